"""The billing tick, the clock guard, sealing and the look for anomalies."""

from types import SimpleNamespace

import pytest
from sqlalchemy import func, select

from server.clock import Clock
from server.domain.readings import MeterReading
from server.flows.readings import record
from server.jobs import ticks
from server.jobs.anomalies import AnomalyJob
from server.jobs.clock_guard import ClockGuard
from server.jobs.sealing import SealingJob
from server.jobs.ticks import BillingTick
from server.store import schema
from server.store.billing import DueMeter
from server.store.writer import Writer
from tests.server.books import balance, read, reading, rows
from tests.server.estates import ESTATE, account_id, at, meter_id, plant


class Patient:
    """Lets no meter wait."""

    def ready(self, _connection, _estate, due, _now_s):
        return [one.meter_id for one in due]


class Watch:
    """Two clocks that a test moves."""

    def __init__(self):
        self.wall_s, self.steady_s = 1_000_000.0, 50.0

    def run(self, seconds, jump_s=0.0):
        self.wall_s += seconds + jump_s
        self.steady_s += seconds

    def guard(self):
        return ClockGuard(lambda: self.wall_s, lambda: self.steady_s)


class StandingClock(Clock):
    """World and machine time as a test says."""

    def __init__(self, world_s=0):
        super().__init__()
        self.instant = at(world_s)

    def now(self):
        return self.instant


@pytest.mark.parametrize("jump_s", [61.0, -61.0, 3600.0, -86_400.0])
def test_a_jump_of_the_wall_clock_is_never_forgiven(jump_s):
    watch = Watch()
    guard = watch.guard()
    watch.run(10, jump_s)
    assert guard.look() is False
    watch.run(10, -jump_s)
    assert guard.look() is False


@pytest.mark.parametrize("jump_s", [0.0, 59.0, -59.0])
def test_a_small_correction_is_no_jump(jump_s):
    watch = Watch()
    guard = watch.guard()
    watch.run(86_400, jump_s)
    assert guard.look() is True


def test_many_small_corrections_add_up_to_a_jump():
    watch = Watch()
    guard = watch.guard()
    for _ in range(3):
        watch.run(10, 30)
    assert guard.look() is False


@pytest.fixture
def decided(monkeypatch):
    """What `supply.decide` was told about the clock, run by run."""
    told = []
    monkeypatch.setattr(ticks.supply, "decide", lambda _unit, _estate, _now, *, clock_sane: told.append(clock_sane))
    return told


def test_a_tick_charges_and_then_decides(engine, writer, decided):
    plant(writer, 1)
    read(writer, reading(1, 3600, 1_010_000))
    BillingTick(engine, writer, StandingClock(3600), ESTATE, guard=Watch().guard()).run_once()
    assert balance(engine, account_id(1))[0] == 5000 - 589
    assert decided == [True]


def test_a_jumped_clock_stops_cuts_but_not_charging(engine, writer, decided):
    plant(writer, 1)
    read(writer, reading(1, 3600, 1_010_000))
    watch = Watch()
    tick = BillingTick(engine, writer, StandingClock(3600), ESTATE, guard=watch.guard())
    watch.run(1, 120)
    tick.run_once()
    tick.run_once()
    assert balance(engine, account_id(1))[0] == 5000 - 589
    assert decided == [False, False]


def test_world_time_before_the_journal_stops_cuts_until_the_next_start(engine, writer, decided):
    plant(writer, 1)
    read(writer, reading(1, 3600, 1_010_000))
    clock = StandingClock(3600)
    BillingTick(engine, writer, clock, ESTATE, guard=Watch().guard()).run_once()
    tick = BillingTick(engine, writer, clock, ESTATE, guard=Watch().guard())
    clock.instant = at(3600 - 61)
    tick.run_once()
    clock.instant = at(3700)
    tick.run_once()
    assert decided == [True, False, False]


def test_one_tick_charges_more_meters_than_fit_into_a_batch(sqlite_engine, decided, monkeypatch):
    monkeypatch.setattr(ticks.billing, "CHARGE_METERS_MAX", 3)
    whole, sizes = ticks.billing.charge_due, []

    def charge(unit, estate, now, *, meter_ids):
        sizes.append(len(meter_ids))
        return whole(unit, estate, now, meter_ids=meter_ids)

    monkeypatch.setattr(ticks.billing, "charge_due", charge)
    writer = Writer(sqlite_engine)
    plant(writer, 8)
    read(writer, *(reading(number, 3600, 1_010_000) for number in range(1, 9)))
    BillingTick(sqlite_engine, writer, StandingClock(3600), ESTATE, guard=Watch().guard()).run_once()
    writer.stop()
    assert {balance(sqlite_engine, account_id(number))[0] for number in range(1, 9)} == {5000 - 589}
    assert (sizes, decided) == ([3, 3, 2], [True])


@pytest.mark.parametrize(
    ("meter_us", "sizes"), [(200, [200, 100, 100, 100]), (1_000, [200, *[50] * 6]), (20, [200, 300])]
)
def test_a_batch_has_as_many_meters_as_fit_into_its_time(sqlite_engine, monkeypatch, meter_us, sizes):
    taken, clock = [], [0.0]

    def charge(unit, estate, now, *, meter_ids):
        taken.append(len(meter_ids))
        clock[0] += len(meter_ids) * meter_us / 1e6
        return SimpleNamespace(meters=len(meter_ids))

    monkeypatch.setattr(ticks, "time", SimpleNamespace(monotonic=lambda: clock[0]))
    monkeypatch.setattr(ticks.billing, "charge_due", charge)
    monkeypatch.setattr(ticks, "due_meters", lambda *_: [DueMeter(str(n), "2007", "single", 0, 1) for n in range(500)])
    writer = Writer(sqlite_engine)
    plant(writer, 1)
    assert ticks.charge_all(sqlite_engine, writer, ESTATE, lambda: at(3600), Patient()) == 500
    writer.stop()
    assert taken == sizes


def test_sealing_leaves_no_tail(engine, writer):
    plant(writer, 3)
    SealingJob(engine, writer, StandingClock(), ESTATE).run_once()
    with engine.connect() as connection:
        batches = connection.execute(select(func.count()).select_from(schema.batch)).scalar_one()
    assert len(rows(engine, "seal")) == batches > 0


def test_the_look_for_anomalies_opens_cases_and_leaves_the_writer_alone_without_any(engine, writer):
    plant(writer, 1)
    heard = []
    writer.subscribe(lambda topic, _key: heard.append(topic))
    may_time = [True]
    job = AnomalyJob(engine, writer, StandingClock(2000), ESTATE, may_time=lambda: may_time[0])
    job.run_once()
    assert heard == []
    row = MeterReading(meter_id(1), at(60).world_s, at(60).machine_ms, 900_000)
    writer.run(lambda unit: record(unit, ESTATE, [row], at(60)))
    may_time[0] = False  # while our clock is in doubt nothing is old, nor anybody else's clock wrong
    job.run_once()
    assert rows(engine, "anomaly_case") == []
    may_time[0] = True
    job.run_once()
    job.run_once()
    assert [row["kind"] for row in rows(engine, "anomaly_case")] == ["backwards"]
    assert heard.count("case") == 1
