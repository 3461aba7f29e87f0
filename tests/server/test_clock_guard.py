"""Whose clock is wrong: the guard of our clock, what it believes of the meters, and what people are told."""

import json
from types import SimpleNamespace

import pytest

from server.clock import Now
from server.domain.clock_doubt import ClockDoubt, Opinion, opinion_of
from server.flows import clock_doubt
from server.flows.clock_doubt import take_back_ahead, tell
from server.jobs import clock_guard
from server.jobs.clock_guard import ASK_AGAIN_S, AWAITED_S, AWAY_MS, HEARD_SURE, SURE_AFTER_S, ClockGuard
from server.jobs.clock_watch import ClockWatch
from server.jobs.collecting import FlowSink
from server.store.cases import live_evidence
from server.store.readings import newest_contact_ms, note_contact, stamped_after
from tests.server.books import agrees, charge, read, reading, rows
from tests.server.estates import ESTATE, at, meter_id, plant
from tests.server.test_supply_invariants import without_guard

YEAR_S = 365 * 86_400


class Watch:
    """Two clocks that a test moves, and what the machine says of the first."""

    def __init__(self, synchronised=None):
        self.wall_s, self.steady_s = 1_800_000_000.0, 50.0
        self.guard = ClockGuard(lambda: self.wall_s, lambda: self.steady_s, synchronised=lambda: synchronised)

    def run(self, seconds, jump_s=0.0):
        self.wall_s += seconds + jump_s
        self.steady_s += seconds

    def hear(self, *offsets):
        for number, offset_s in enumerate(offsets):
            self.guard.hear(f"{number:012d}", offset_s)


@pytest.mark.parametrize(
    ("offsets", "said"),
    [
        ([], None),
        ([-YEAR_S, -YEAR_S], None),  # two may be wrong together
        ([0, 5, -3], Opinion(0, 3, 3)),
        ([-YEAR_S, -YEAR_S + 60, 0], Opinion(-YEAR_S + 60, 3, 2)),
        ([-YEAR_S, 0, 4000, 9000], None),  # nobody agrees
        ([600, 0, 0, 0], Opinion(0, 4, 3)),
    ],
)
def test_most_clocks_that_agree_have_an_opinion(offsets, said):
    assert opinion_of(offsets) == said


def test_meters_that_agree_with_each_other_and_not_with_us_are_believed():
    watch = Watch()
    watch.hear(-YEAR_S, -YEAR_S)
    assert watch.guard.look()
    assert watch.guard.may_time
    watch.hear(-YEAR_S, -YEAR_S + 9, -YEAR_S - 4)
    assert not watch.guard.look()
    assert not watch.guard.may_time
    assert watch.guard.doubt() is None  # the first may be wrong: others are asked
    assert watch.guard.wants_clocks()
    watch.run(SURE_AFTER_S)
    assert not watch.guard.may_time
    assert watch.guard.doubt() == ClockDoubt("meters", YEAR_S, 3, 3)
    watch.run(ASK_AGAIN_S)
    assert watch.guard.wants_clocks()  # whether somebody has slewed it
    assert not watch.guard.wants_clocks()
    watch.run(ASK_AGAIN_S)
    assert watch.guard.wants_clocks()
    watch.hear(8, 9, 4)
    assert watch.guard.look()
    assert watch.guard.may_time


def probe_first_wrong():
    """Of a site that nobody's NTP keeps, somebody has set the first meters by another zone."""
    watch, states = Watch(), []
    for number, offset_s in enumerate((28_800, 28_810, 28_790, 28_800, 0, 3, -2, 1, 0, 2)):
        watch.guard.hear(f"{number:012d}", offset_s)
        states.append(watch.guard.doubt())
    assert states == [None] * 10
    assert watch.guard.look()


def test_the_first_that_answer_may_be_wrong():
    probe_first_wrong()


def test_without_asking_others_the_first_are_believed(monkeypatch):
    monkeypatch.setattr(clock_guard, "SURE_AFTER_S", 0.0)
    without_guard(probe_first_wrong)


def test_a_clock_that_others_keep_is_believed_against_meters_that_somebody_set_wrong():
    watch = Watch(synchronised=True)
    watch.hear(-8 * 3600, -8 * 3600, -8 * 3600)  # all of them by another zone
    assert watch.guard.look()
    assert watch.guard.may_time
    assert not watch.guard.is_vouched_for


def test_after_a_jump_the_meters_are_asked_and_no_reading_has_a_time_until_they_answer():
    watch = Watch()
    watch.hear(0, 1, 2)
    watch.run(10, YEAR_S)
    assert not watch.guard.look()
    assert not watch.guard.may_time  # what they said was by the clock of before
    assert watch.guard.wants_clocks()
    watch.hear(*[-YEAR_S] * HEARD_SURE)
    assert watch.guard.doubt().reason == "meters"
    watch.run(10, -YEAR_S)
    assert not watch.guard.may_time
    watch.hear(0, 1, 2)
    assert watch.guard.look()
    assert watch.guard.is_vouched_for


def test_where_no_meter_has_a_clock_readings_wait_for_a_cycle_and_cuts_for_the_next_start():
    watch = Watch()
    watch.run(10, 3600)
    assert not watch.guard.may_time
    watch.run(AWAITED_S)
    assert watch.guard.may_time
    assert not watch.guard.look()
    assert watch.guard.doubt() == ClockDoubt("jumped")


def probe_few_and_back(back_s=-3600.0):
    """Of a site with two meters the wall clock is set wrong, and set right after a while."""
    watch = Watch()
    watch.hear(0, 90)
    watch.run(10, 3600)
    assert not watch.guard.look()
    watch.hear(-3600, -3510)  # two could be wrong together
    watch.run(4 * 3600)
    assert watch.guard.doubt() == ClockDoubt("jumped")
    watch.run(10, back_s)
    assert not watch.guard.look()  # the meters are asked first
    watch.run(AWAITED_S)
    assert watch.guard.look()
    assert watch.guard.is_vouched_for  # so that what was stamped ahead is taken back
    watch.run(10, 7200)
    assert not watch.guard.look()


def test_a_clock_that_came_back_is_believed_though_few_meters_can_tell():
    probe_few_and_back()


@pytest.mark.parametrize("back_s", [-1800.0, -5400.0, 3600.0])
def test_a_clock_that_went_elsewhere_is_not(back_s):
    without_guard(probe_few_and_back, back_s)


def probe_slept(showed=(-7200, 90), shows=(-7200, 91)):
    """A machine of two meters sleeps for an hour, and its steady clock with it; one meter has its own time zone."""
    watch = Watch()
    watch.hear(*showed)
    watch.run(10, 3600)
    assert not watch.guard.look()
    watch.hear(*shows)
    watch.run(AWAITED_S)
    assert watch.guard.look()


def test_few_meters_that_show_what_they_showed_before_are_believed():
    probe_slept()


@pytest.mark.parametrize("shows", [(-7200 - 3600, 90 - 3600), (-7200, 90 - 3600), (-7200,), ()])
def test_few_meters_that_show_something_else_or_are_not_heard_are_not(shows):
    without_guard(probe_slept, (-7200, 90), shows)


def test_meters_that_nobody_heard_before_prove_nothing():
    without_guard(probe_slept, (), (-7200, 91))


def test_coming_back_clears_no_other_doubt():
    watch = Watch()
    watch.hear(0)
    watch.guard.distrust("the clock is before the newest answer", "behind")
    watch.run(10, 3600)
    watch.run(10, -3600)
    watch.hear(0)
    watch.run(AWAITED_S)
    assert watch.guard.doubt() == ClockDoubt("behind")


@pytest.mark.parametrize(
    ("synchronised", "since_ms", "asks", "reason"),
    [
        (None, 3_600_000, False, None),
        (None, AWAY_MS + 1, True, None),
        (True, 400 * 86_400_000, False, None),
        (None, -3_600_000, True, "behind"),
    ],
)
def test_a_start_long_after_the_last_answer_or_before_it_asks_the_meters_first(synchronised, since_ms, asks, reason):
    watch = Watch(synchronised)
    watch.guard.look_at_past(int(watch.wall_s * 1000) - since_ms)
    assert watch.guard.awaits is asks
    assert watch.guard.may_time is not asks
    doubt = watch.guard.doubt()
    assert (doubt and doubt.reason) == reason
    watch.hear(0, 0, 0)
    assert watch.guard.look()


def test_the_case_follows_the_doubt_and_closes_itself(engine, writer):
    plant(writer, 1)

    def say(doubt):
        writer.run(lambda unit: tell(unit, ESTATE, doubt, at(60)))

    say(None)
    say(ClockDoubt("jumped"))
    say(ClockDoubt("meters", YEAR_S, 5, 4))
    [row] = rows(engine, "anomaly_case")
    assert (row["kind"], row["severity"], row["status"]) == ("server_clock", "high", "open")
    assert json.loads(row["evidence"]) == {
        "doubt": "meters", "server_ahead_s": YEAR_S, "clocks_heard": 5, "clocks_alike": 4,
    }  # fmt: skip
    with engine.connect() as connection:
        assert live_evidence(connection, ESTATE) == row["evidence"]
    say(None)
    assert [row["status"] for row in rows(engine, "anomaly_case")] == ["closed"]
    with engine.connect() as connection:
        assert live_evidence(connection, ESTATE) is None


def test_a_charge_by_a_time_to_come_is_taken_back_whatever_it_moves_and_charged_again(engine, writer):
    plant(writer, 1)
    read(writer, reading(1, 3600, 1_001_000))
    charge(writer, 3600)
    read(writer, reading(1, YEAR_S, 1_091_000))  # 90 kWh, more than one person may take back
    charge(writer, YEAR_S)
    right_s = 40 * 3600  # what it was really
    with engine.connect() as connection:
        assert stamped_after(connection, ESTATE, at(right_s).world_s, 10) == [(meter_id(1), at(YEAR_S).world_s)]
    assert read(writer, reading(1, right_s, 1_091_100))[0] == "late"
    writer.run(lambda unit: take_back_ahead(unit, ESTATE, meter_id(1), at(YEAR_S).world_s, at(right_s)))
    assert read(writer, reading(1, right_s + 900, 1_092_000))[0] == "accepted"
    charge(writer, right_s + 900)
    [cursor] = [row for row in rows(engine, "meter_cursor") if row["meter_id"] == meter_id(1)]
    assert (cursor["read_at"], cursor["total_wh"]) == (at(right_s + 900).world_s, 1_092_000)
    agrees(engine)
    assert clock_doubt.STOOD_AHEAD in {row["reason"] for row in rows(engine, "reading_act")}


def probe_contact(engine, writer):
    """A meter that answered while the clock stood ahead, and is dead since."""
    plant(writer, 2)
    note = {meter_id(1): (at(YEAR_S).world_s, at(YEAR_S).machine_ms), meter_id(2): (at(60).world_s, at(60).machine_ms)}
    writer.run(lambda unit: note_contact(unit.connection, ESTATE, note))
    watch = Watch()
    clock = SimpleNamespace(now=lambda: at(3600))
    job = ClockWatch(engine, writer, clock, ESTATE, guard=watch.guard, ask_clocks=list)
    job.run_once()
    assert heard(engine) == {meter_id(1): at(YEAR_S).world_s, meter_id(2): at(60).world_s}  # nobody vouches yet
    watch.hear(0, 1, 2)
    job.run_once()
    assert heard(engine) == {meter_id(1): at(3600).world_s, meter_id(2): at(60).world_s}
    with engine.connect() as connection:
        assert newest_contact_ms(connection, ESTATE) == at(3600).machine_ms


def heard(engine):
    return {row["meter_id"]: row["contact_at"] for row in rows(engine, "meter_live") if row["contact_at"]}


def test_who_answered_by_a_clock_that_stood_ahead_is_not_heard_of_for_all_that_time(engine, writer):
    probe_contact(engine, writer)


def test_without_looking_at_answers_a_dead_meter_counts_as_heard(engine, writer, monkeypatch):
    monkeypatch.setattr(clock_doubt, "contacts_until", lambda *_: None)
    without_guard(probe_contact, engine, writer)


def probe_never_set(engine, writer):
    """Batteries are empty everywhere: after an outage the server and its meters begin at the same date again."""
    plant(writer, 1)
    read(writer, reading(1, 3600, 1_001_000))
    watch = Watch()
    watch.wall_s = 946_684_800.0
    clock = SimpleNamespace(now=lambda: Now(int(watch.wall_s), int(watch.wall_s) * 1000))
    watch.guard = ClockGuard(lambda: watch.wall_s, lambda: watch.steady_s, synchronised=lambda: None)
    watch.hear(0, 0, 0)
    ClockWatch(engine, writer, clock, ESTATE, guard=watch.guard, ask_clocks=list).run_once()
    assert {row["verdict"] for row in rows(engine, "reading")} == {"accepted"}


def test_a_date_at_which_clocks_begin_takes_no_reading_back(engine, writer):
    probe_never_set(engine, writer)


def test_without_asking_for_a_date_that_can_be_all_readings_go(engine, writer, monkeypatch):
    monkeypatch.setattr(clock_guard, "EARLIEST_S", 0)
    without_guard(probe_never_set, engine, writer)


@pytest.mark.parametrize(("waits_s", "sane"), [(0.0, False), (240.0, True)])
def test_in_a_fast_world_an_answer_may_wait_in_this_process(waits_s, sane):
    watch = Watch()
    watch.guard = ClockGuard(
        lambda: watch.wall_s, lambda: watch.steady_s, synchronised=lambda: None, waits_s=waits_s
    )  # fmt: skip
    watch.hear(-420, -500, -530)
    assert watch.guard.look() is sane
    watch.hear(420, 500, 530)  # no answer comes before its question
    assert not watch.guard.look()


def test_a_batch_that_waited_while_the_clock_was_set_back_has_no_time(engine, writer):
    plant(writer, 2)
    told = []
    clock = SimpleNamespace(now=lambda: at(3600))
    sink = FlowSink(writer, clock, ESTATE, on_readings=lambda: told.append(1))
    sink.energy([reading(1, YEAR_S, 1_001_000)])
    assert told == []
    sink.energy([reading(1, YEAR_S, 1_001_000), reading(2, 3590, 1_001_000)])
    assert told == [1]
    kept = [(row["meter_id"], row["read_at"]) for row in rows(engine, "reading")]
    assert kept == [(meter_id(2), at(3590).world_s)]
    assert heard(engine) == {meter_id(1): at(3600).world_s, meter_id(2): at(3590).world_s}
