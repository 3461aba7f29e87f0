"""World time at any speed: what is due keeps its order, a pause holds it back, a step carries it out."""

from datetime import UTC, datetime, timedelta

import pytest

from sim.timing.agenda import Agenda
from sim.timing.anchor import Anchor, WorldClock
from sim.timing.clock import Environment
from tests.sim.rig import ADDRESS, Virtual, household, table

START = datetime(2026, 10, 13, tzinfo=UTC)
WORLD_MS = 1_791_849_600_000
HOUR_MS = 3_600_000


def agenda(factor=1):
    env = Environment()
    clock = WorldClock(Anchor(START, START, factor), START)
    return env, clock, Agenda(env, clock)


def test_items_of_one_instant_keep_their_order_and_get_their_own_time():
    env, _, plan = agenda()
    seen = []
    for name, at_ms in (("b", 2000), ("a", 1000), ("c", 2000), ("late", -5000)):
        plan.call_at(WORLD_MS + at_ms, lambda at_ms, name=name: seen.append((name, at_ms - WORLD_MS)))
    env.run(until=10)
    assert seen == [("late", -5000), ("a", 1000), ("b", 2000), ("c", 2000)]
    assert (plan.done, len(plan)) == (4, 0)


def test_an_item_may_note_another_for_now():
    env, _, plan = agenda()
    seen = []
    plan.call_at(WORLD_MS + 1000, lambda at_ms: plan.call_at(at_ms, seen.append))
    env.run(until=1.5)
    assert seen == [WORLD_MS + 1000]


def test_many_due_at_once_are_all_done():
    env, _, plan = agenda()
    seen = []
    for number in range(1000):
        plan.call_at(WORLD_MS + 1000, lambda _at_ms, number=number: seen.append(number))
    env.run(until=1.5)
    assert seen == list(range(1000))


def test_a_change_of_speed_moves_what_is_due():
    env, clock, plan = agenda(factor=60)
    seen = []
    plan.call_at(WORLD_MS + HOUR_MS, lambda _at_ms: seen.append(env.now))
    env.run(until=30)
    assert clock.world_ms(30) == WORLD_MS + HOUR_MS // 2
    clock.set_speed(30, 3600)
    plan.rearm()
    env.run(until=100)
    assert seen == [pytest.approx(30.5)]
    assert clock.world_ms(31) == WORLD_MS + HOUR_MS + HOUR_MS // 2


def test_nothing_happens_while_the_world_stands_still():
    env, clock, plan = agenda(factor=60)
    seen = []
    plan.call_at(WORLD_MS + HOUR_MS, lambda _at_ms: seen.append(env.now))
    clock.set_speed(0, 0)
    plan.rearm()
    env.run(until=1000)
    assert seen == []
    assert clock.world_ms(1000) == WORLD_MS
    clock.set_speed(1000, 60)
    plan.rearm()
    env.run(until=1100)
    assert seen == [pytest.approx(1060)]


def test_a_step_carries_out_what_falls_into_it_and_shows_each_its_time():
    _, clock, plan = agenda()
    clock.set_speed(0, 0)
    seen = []
    for ahead_ms in (HOUR_MS, 2 * HOUR_MS, 3 * HOUR_MS):
        plan.call_at(WORLD_MS + ahead_ms, lambda at_ms: seen.append((at_ms, clock.world_ms(0))))
    plan.run_until(WORLD_MS + 2 * HOUR_MS)
    assert seen == [(WORLD_MS + n * HOUR_MS,) * 2 for n in (1, 2)]
    assert clock.world_ms(50) == WORLD_MS + 2 * HOUR_MS
    with pytest.raises(ValueError, match="never goes back"):
        clock.move_to(50, WORLD_MS)


def test_a_world_may_be_paused_stepped_and_sped_up_with_the_truth_of_an_undisturbed_one():
    steady, moved = (Virtual(table([household(fault="unmetered_tap", at="2026-10-14T01:00")])) for _ in range(2))
    for virtual in (steady, moved):
        virtual.household().meter.trip(virtual.world.now_ms)
        virtual.household().meter.allow_close(virtual.world.now_ms)
    steady.run_s(2 * 86400)
    world = moved.world
    world.set_speed(0)
    moved.run_s(500)
    world.step(20 * HOUR_MS)
    world.set_speed(3600)
    moved.run_s(20)
    world.set_speed(1)
    moved.run_s(8 * 3600)
    assert world.now_ms == steady.world.now_ms
    supplies = [virtual.household(ADDRESS) for virtual in (steady, moved)]
    assert supplies[0].supply.energy(world.now_ms) == supplies[1].supply.energy(world.now_ms)
    assert supplies[0].taps.energy(world.now_ms) == supplies[1].taps.energy(world.now_ms) > 0
    assert supplies[0].meter.relay.events == supplies[1].meter.relay.events


def test_the_clock_counts_on_from_where_it_was_changed():
    clock = WorldClock(Anchor(START, START, 7), START)
    clock.set_speed(10.0, 100)
    assert clock.world_ms(10.5) == WORLD_MS + 70_000 + 50_000
    assert clock.now_s(WORLD_MS + 70_000 + 50_000) == pytest.approx(10.5)
    assert clock.anchor == Anchor(START + timedelta(seconds=10), START + timedelta(seconds=70), 100)
    clock.set_speed(20.0, 0)
    assert clock.now_s(WORLD_MS + 10**9) == float("inf")
