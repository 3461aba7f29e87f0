"""The reading plan by itself, with time as an argument: rounds, back-off, near meters, watched relays."""

from itertools import pairwise

import pytest

from server.collect.schedule import (
    BACKOFF_CYCLES_MAX,
    FREEZE_SPREAD_S,
    ROUND,
    WATCH_INTERVAL_S,
    WATCH_MAX_S,
    Item,
    Schedule,
)
from server.collect.work import Cadence, Clocks, MeterPlan

A, B, C = "202600000001", "202600000002", "202600000003"
CYCLE_S = 900.0


def schedule(*meters, factor=1, **cadence):
    clocks = Clocks(lambda: 0.0, lambda: 0, factor)
    return Schedule([MeterPlan(meter) for meter in meters], Cadence(**cadence), clocks, 0.0)


def drain(plan, now, seconds_each=0.0):
    """Read everything that is due at `now`, each item taking some time."""
    order = []
    while (due := plan.next(now)) is not None:
        order.append(due)
        now += seconds_each
        plan.done(*due, now)
    return order


def test_the_first_round_brings_energy_of_all_then_status_then_variables_then_clocks():
    plan = schedule(A, B)
    assert drain(plan, 0.0) == [(meter, item) for item in ROUND for meter in (A, B)]
    assert plan.due_at() == CYCLE_S


def test_a_second_energy_round_does_not_wait_for_the_clocks_of_the_first():
    plan = schedule(A, B, factor=900)  # a cycle lasts one second, the bus needs 0.3 s for an item
    order = drain_for(plan, 6.0, 0.3)
    seconds = [item for meter, item in order if meter == A]
    assert seconds.index(Item.ENERGY, 1) < seconds.index(Item.CLOCK)  # but they come


def energy_gaps_s(order):
    """The longest time between two energy reads of each meter; `order` holds (time, meter, item)."""
    seen, gaps = {}, {}
    for at, meter, item in order:
        if item is Item.ENERGY:
            gaps[meter] = max(gaps.get(meter, 0.0), at - seen.get(meter, 0.0))
            seen[meter] = at
    return gaps


def timed(plan, seconds, first_s, patient_s):
    """Read for so long; energy and status take `first_s`, the others `patient_s`."""
    order, now = [], 0.0
    while now < seconds:
        due = plan.next(now)
        if due is None:
            now = plan.due_at()
            continue
        now += first_s if due[1] in (Item.ENERGY, Item.STATUS) else patient_s
        order.append((now, *due))
        plan.done(*due, now)
    return order


def test_late_clocks_and_variables_of_a_full_bus_come_in_turn_and_never_starve_energy():
    """33 meters at 9600 baud in a world that runs 120 times as fast: a round takes longer than the cycle of 5 s."""
    meters = [f"2026000001{n:02d}" for n in range(33)]
    plan = schedule(*meters, factor=120, reading_cycle_s=600, near_cycle_s=200)
    order = timed(plan, 60.0, first_s=0.08, patient_s=0.24)
    assert max(energy_gaps_s(order).values()) < 2 * 5.0
    assert {meter for _, meter, item in order if item is Item.VARIABLES} == set(meters)
    behind = [item not in (Item.ENERGY, Item.STATUS) for _, _, item in order]
    assert not any(one and other for one, other in pairwise(behind))


def test_a_bus_with_time_to_spare_reads_everything_within_three_cycles():
    meters = [f"2026000001{n:02d}" for n in range(29)]
    plan = schedule(*meters, factor=120, reading_cycle_s=1200, near_cycle_s=400)
    order = timed(plan, 30.0, first_s=0.08, patient_s=0.24)
    assert {(meter, item) for _, meter, item in order} == {(meter, item) for meter in meters for item in ROUND}
    assert max(energy_gaps_s(order).values()) < 12.0


def drain_for(plan, seconds, seconds_each):
    order, now = [], 0.0
    while now < seconds:
        due = plan.next(now)
        now += seconds_each
        if due is not None:
            order.append(due)
            plan.done(*due, now)
    return order


def test_energy_and_status_come_each_cycle_the_rest_each_few():
    plan = schedule(A, variables_every=2, clock_every=3)
    drain(plan, 0.0)
    rounds = [{item for _, item in drain(plan, n * CYCLE_S)} for n in range(1, 7)]
    assert [Item.VARIABLES in found for found in rounds] == [False, True, False, True, False, True]
    assert [Item.CLOCK in found for found in rounds] == [False, False, True, False, False, True]
    assert all({Item.ENERGY, Item.STATUS} <= found for found in rounds)


def test_the_reverse_register_is_read_rarely_and_not_first():
    plan = schedule(A, reverse_every=4)
    wanted = []
    for n in range(9):
        wanted.append(plan.wants_reverse(A))
        plan.done(A, Item.ENERGY, n * CYCLE_S)
    assert wanted == [False, False, True, False, False, False, True, False, False]


def test_a_silent_meter_waits_ever_longer_and_is_probed_once():
    plan = schedule(A)
    now, waits = 0.0, []
    assert plan.attempts(A, 3) == 3
    for _ in range(6):
        plan.failed(A, now)
        waits.append((plan.due_at() - now) / CYCLE_S)
        now = plan.due_at()
        assert plan.next(now - 1) is None
        assert plan.next(now) == (A, Item.ENERGY)
        assert plan.attempts(A, 3) == 1
    assert waits == [1, 2, 4, 8, 8, BACKOFF_CYCLES_MAX]
    assert plan.silent == 1
    plan.done(A, Item.ENERGY, now)
    assert (plan.silent, plan.attempts(A, 3)) == (0, 3)


def test_one_voice_after_a_wholly_silent_bus_calls_all_meters():
    plan = schedule(A, B, C)
    for _ in range(4):
        for meter in (A, B, C):
            plan.failed(meter, 0.0)
    plan.done(B, Item.ENERGY, 100.0)
    assert [plan.next(100.0), plan.silent] == [(A, Item.ENERGY), 2]
    plan.failed(A, 100.0)
    assert plan.next(100.0) == (C, Item.ENERGY)


def test_a_meter_that_comes_near_is_read_as_if_it_had_been_near_all_along():
    plan = schedule(A, B, near_cycle_s=100)
    drain(plan, 0.0)
    plan.set_near([A, "unknown"], 250.0)
    assert drain(plan, 250.0) == [(A, Item.ENERGY)]
    assert plan.due_at() == 350.0
    plan.set_near([], 350.0)
    drain(plan, 350.0)
    assert plan.due_at() == CYCLE_S


def test_the_clock_of_a_near_meter_does_not_wait():
    plan = schedule(A, B, C)
    plan.set_near([C], 0.0)
    order = drain(plan, 0.0)
    assert order.index((C, Item.CLOCK)) < order.index((A, Item.CLOCK))


def test_a_near_meter_that_is_silent_stays_put_off():
    plan = schedule(A, near_cycle_s=10)
    plan.failed(A, 0.0)
    plan.set_near([A], 1.0)
    assert plan.due_at() >= CYCLE_S


def test_clocks_in_doubt_are_asked_of_all_meters_in_turn():
    names = [f"2026000000{number:02}" for number in range(20)]
    plan = schedule(*names)
    drain(plan, 0.0)
    turns = []
    for turn in range(1, 6):
        plan.failed(names[3], 10.0 * turn)  # and is never asked
        plan.ask_clocks(8, 10.0 * turn)
        asked = [meter for meter, item in drain(plan, 10.0 * turn) if item is Item.CLOCK]
        assert len(asked) == 8
        turns.append(set(asked))
    answering = set(names) - {names[3]}
    assert turns[0] | turns[1] | turns[2] == answering
    assert not turns[0] & turns[1]
    assert turns[2] | turns[3] | turns[4] == answering


def test_a_relay_on_its_way_is_watched_ever_less_often_and_not_for_ever():
    plan = schedule(A, B)
    drain(plan, 0.0)
    plan.watch(A, 10.0)
    plan.watch(A, 11.0)  # again changes nothing
    assert plan.due_at() == 10.0 + WATCH_INTERVAL_S
    looks, now = 0, 10.0
    while (now := plan.due_at()) < CYCLE_S:
        assert plan.next(now) == (A, Item.STATUS)
        plan.done(A, Item.STATUS, now)
        looks += 1
    assert 40 < looks < 120
    for n in range(1, 5):
        drain(plan, 10.0 + n * WATCH_MAX_S)
    assert plan.due_at() - (10.0 + 4 * WATCH_MAX_S) == CYCLE_S


def test_a_settled_relay_is_read_with_the_cycle():
    plan = schedule(A)
    drain(plan, 0.0)
    plan.watch(A, 0.0)
    plan.settle(A)
    assert plan.due_at() == CYCLE_S


def test_many_watched_relays_take_turns_with_the_readings():
    meters = [f"2026000001{n:02d}" for n in range(60)]
    plan = schedule(*meters, factor=900)
    for meter in meters:
        plan.watch(meter, -10.0)
    order = drain_for(plan, 12.0, 0.1)
    energies = [item for _, item in order if item is Item.ENERGY]
    assert len(energies) > 20


def test_replan_keeps_what_is_known():
    plan = schedule(A, B)
    drain(plan, 0.0)
    plan.replan([MeterPlan(B), MeterPlan(C, kind="gate")], 50.0)
    assert drain(plan, 50.0) == [(C, Item.ENERGY), (C, Item.VARIABLES)]
    for gone in (plan.done, lambda m, i, n: plan.failed(m, n), lambda m, i, n: plan.watch(m, n)):
        gone(A, Item.ENERGY, 60.0)
    assert plan.attempts(A, 3) == 3


@pytest.mark.parametrize("factor", [1, 120])
def test_spans_are_world_time(factor):
    plan = schedule(A, factor=factor)
    drain(plan, 0.0)
    assert plan.due_at() == CYCLE_S / factor


def test_a_bus_without_meters_has_nothing_to_do():
    plan = schedule()
    assert (plan.next(0.0), plan.due_at()) == (None, float("inf"))


def test_status_may_come_each_few_cycles():
    plan = schedule(A, status_every=2)
    drain(plan, 0.0)
    rounds = [{item for _, item in drain(plan, n * CYCLE_S)} for n in range(1, 5)]
    assert [Item.STATUS in found for found in rounds] == [False, True, False, True]


MIDNIGHT_S = 16 * 3600.0  # of Shanghai; world time begins at 08:00 there


def freezes(meters, days=2, **cadence):
    """When each meter's freeze was read, by world time that runs with machine time."""
    world = [0.0]
    clocks = Clocks(lambda: world[0], lambda: 0, 1)
    plan = Schedule([MeterPlan(meter) for meter in meters], Cadence(**cadence), clocks, 0.0)
    found = []
    while (now := plan.due_at()) < days * 86_400:
        world[0] = now
        due = plan.next(now)
        plan.done(*due, now)
        if due[1] is Item.FREEZE:
            found.append((due[0], now))
    return found


def test_each_day_every_meter_is_asked_once_for_its_freeze_within_two_hours_of_midnight_and_not_all_at_once():
    meters = [f"2026000001{n:02d}" for n in range(40)]
    found = freezes(meters)
    for night in (MIDNIGHT_S, MIDNIGHT_S + 86_400):
        times = sorted(at - night for _, at in found if night <= at < night + 86_400)
        assert len(times) == len(meters)
        assert times[0] >= 120
        assert times[-1] < 120 + FREEZE_SPREAD_S
        assert times[-1] - times[0] > FREEZE_SPREAD_S / 2
    assert freezes(meters) == found


def test_an_estate_may_do_without_freezes_and_gates_have_none():
    assert freezes([A, B], daily_freeze=False) == []
    plan = schedule()
    plan.replan([MeterPlan(C, kind="gate")], 0.0)
    assert plan.due_at() == 0.0
    assert {item for _, item in drain(plan, 0.0)} == {Item.ENERGY, Item.VARIABLES}


def test_dead_meters_do_not_slow_the_living():
    """64 meters at 2400 baud, a tenth of them dead with three attempts of 1.4 s: the living are read each cycle."""
    meters = [f"2026000001{n:02d}" for n in range(64)]
    dead = set(meters[::10])
    plan = schedule(*meters)
    seen, now = {}, 0.0
    while now < 24 * 3600:
        due = plan.next(now)
        if due is None:
            now = plan.due_at()
            continue
        meter, item = due
        if meter in dead:
            now += 1.4 * plan.attempts(meter, 3)
            plan.failed(meter, now)
            continue
        now += 0.55 * (1 if item in (Item.ENERGY, Item.STATUS) else 3)
        plan.done(meter, item, now)
        if item is Item.ENERGY:
            seen.setdefault(meter, []).append(now)
    gaps = [b - a for times in seen.values() for a, b in pairwise(times)]
    assert set(seen) == set(meters) - dead
    assert max(gaps) < 1.25 * CYCLE_S
    assert min(len(times) for times in seen.values()) >= 93
