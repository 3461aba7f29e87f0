"""Charges over a midnight of the tariff wait for the meter's freeze of it, and not for ever."""

from dataclasses import replace

import pytest

from server.jobs.boundaries import PATIENCE_S, AwaitedFreezes
from server.jobs.ticks import BillingTick
from server.store import schema
from tests.server.books import HOUR, charge, read, reading, rows
from tests.server.estates import ESTATE, at, meter_id, plant
from tests.server.test_billing import MIDNIGHT_NOV
from tests.server.test_jobs_ticks import StandingClock, Watch
from tests.server.test_supply_invariants import without_guard

BEFORE, AFTER = MIDNIGHT_NOV - 600, MIDNIGHT_NOV + 3300


class Night:
    """A household that was read and charged just before the midnight, and read again after it."""

    def __init__(self, engine, writer, **meter):
        self.engine, self.writer, self.clock = engine, writer, StandingClock(AFTER)
        plant(writer, 1)
        own = schema.meter.c.meter_id == meter_id(1)
        self.set(schema.meter.update().where(own).values(meter_id=meter_id(1), **meter))
        read(writer, reading(1, BEFORE, 1_100_000))
        charge(writer, BEFORE)
        self.tick = BillingTick(engine, writer, self.clock, ESTATE, guard=Watch().guard())
        read(writer, reading(1, AFTER, 1_101_500))

    def set(self, statement):
        self.writer.run(lambda unit: unit.connection.execute(statement) and None)

    def ticks(self, world_s):
        """Up to where it is charged after a tick at that time, and what the batches say of splits."""
        self.clock.instant = at(world_s)
        self.tick.run_once()
        [cursor] = rows(self.engine, "meter_cursor")
        return cursor["read_at"] - at().world_s, [
            row["memo"] for row in rows(self.engine, "batch") if row["memo"] and row["kind"] == "charge"
        ]


def probe_waits(engine, writer):
    night = Night(engine, writer)
    assert night.ticks(AFTER) == (BEFORE, [])
    assert night.ticks(AFTER + 59) == (BEFORE, [])
    read(writer, replace(reading(1, MIDNIGHT_NOV, 1_100_300), source="freeze"))
    assert night.ticks(AFTER + 60) == (AFTER, [])
    edges = [(line["from_wh"], line["to_wh"]) for line in rows(engine, "line") if line["meter_id"]]
    assert edges[-2:] == [(1_100_000, 1_100_300), (1_100_300, 1_101_500)]


def test_a_charge_over_the_end_of_the_month_waits_for_the_freeze_that_splits_it(engine, writer):
    probe_waits(engine, writer)


def test_without_waiting_it_is_split_by_time(engine, writer, monkeypatch):
    monkeypatch.setattr(AwaitedFreezes, "_awaiting", lambda *_: frozenset())
    without_guard(probe_waits, engine, writer)


def test_a_meter_that_tells_no_freeze_is_charged_when_patience_has_an_end(engine, writer):
    night = Night(engine, writer)
    night.ticks(AFTER)
    assert night.ticks(AFTER + PATIENCE_S - 60) == (BEFORE, [])
    reached, memos = night.ticks(AFTER + PATIENCE_S)
    assert reached == AFTER
    assert ["split by time" in memo for memo in memos] == [True]


def test_a_clock_that_stood_ahead_makes_no_wait_longer(engine, writer):
    night = Night(engine, writer)
    assert night.ticks(AFTER + 400 * 24 * HOUR)[0] == BEFORE
    assert night.ticks(AFTER + 60)[0] == BEFORE
    assert night.ticks(AFTER + 60 + PATIENCE_S)[0] == AFTER


@pytest.mark.parametrize("meter", [{"protocol": "modbus", "model": "x", "unit": 1}, {"protocol": "1997"}])
def test_a_meter_that_keeps_no_midnight_does_not_wait(engine, writer, meter):
    waits = meter["protocol"] == "1997"  # its automatic reading may be that of the first of the month
    assert Night(engine, writer, **meter).ticks(AFTER)[0] == (BEFORE if waits else AFTER)


def test_an_estate_that_reads_no_freezes_does_not_wait(engine, writer):
    night = Night(engine, writer)
    night.set(schema.estate.update().values(daily_freeze=0))
    assert night.ticks(AFTER)[0] == AFTER
    assert HOUR < AFTER - BEFORE  # due, whatever waits
