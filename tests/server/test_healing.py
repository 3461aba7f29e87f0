"""Gaps: found by a look at the last days, asked for in the cheapest way, and shown where nothing fills them."""

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import Engine

from server.clock import Clock
from server.collect.history import Recall
from server.domain.healing import TRIES_MAX, Gap, Missing, longest_s, midnights, questions
from server.flows.clocks import claim_broadcast
from server.jobs.healing import HealingJob
from server.store.days import Day, with_gaps
from server.store.engine import reader
from server.store.gaps import gaps, missing_midnights
from server.store.household import days
from server.store.schema import meter
from server.store.writer import Writer
from tests.server.books import HOUR, read, reading
from tests.server.estates import ESTATE, START_S, at, meter_id, plant
from tests.server.test_exchanges import NEW, new_reading, replace

ZONE = ZoneInfo("Asia/Shanghai")
CYCLE_S = 900
DAY = 24 * HOUR


class FixedClock(Clock):
    """World time stands still."""

    def __init__(self, world_s: int) -> None:
        super().__init__()
        self.at = at(world_s)

    def now(self):  # type: ignore[no-untyped-def]
        return self.at


def test_load_records_come_first_and_hours_where_they_did_not_help() -> None:
    gap = Gap("1", START_S, START_S + 2 * HOUR)  # 09:05 to 11:05
    first = questions(Missing((gap,), ()), {}, ZONE)
    assert [(one.kind, one.at - START_S, one.records) for one in first] == [
        ("load", 600, 6), ("load", 600 + 6 * 900, 2),
    ]  # fmt: skip
    second = questions(Missing((gap,), ()), {gap.end: 1}, ZONE)
    assert [(one.kind, datetime.fromtimestamp(one.at, ZONE).hour) for one in second] == [("hourly", 10), ("hourly", 11)]
    assert questions(Missing((gap,), ()), {gap.end: TRIES_MAX}, ZONE) == []


def test_midnights_come_from_daily_freezes() -> None:
    nights = midnights(START_S, ZONE, 3)
    assert [datetime.fromtimestamp(one, ZONE).strftime("%d %H:%M") for one in nights] == [
        "13 00:00", "12 00:00", "11 00:00",
    ]  # fmt: skip
    [one] = questions(Missing((), (("1", nights[0]),)), {}, ZONE)
    assert (one.kind, one.at) == ("daily", nights[0])


def test_a_meter_that_keeps_one_register_a_month_is_asked_for_that() -> None:
    gap, first = Gap("1", START_S, START_S + 2 * DAY), Gap("2", START_S, START_S)
    asked = questions(Missing((), (), (first, gap)), {}, ZONE)
    assert asked == [
        ("2", "month", START_S, 6, START_S), ("1", "month", START_S, 6, START_S + 2 * DAY),
    ]  # fmt: skip
    assert questions(Missing((), (), (gap,)), {gap.end: TRIES_MAX}, ZONE) == []


def test_one_long_gap_does_not_keep_all_others_waiting() -> None:
    long, short = Gap("1", START_S, START_S + 7 * DAY), Gap("2", START_S, START_S + HOUR)
    asked = questions(Missing((long, short), ()), {}, ZONE)
    assert [one.meter_id for one in asked].count("1") == 64
    assert [one.meter_id for one in asked].count("2") == 1


def test_a_gap_says_how_many_readings_are_missing() -> None:
    assert Gap("1", 0, 3600).missing(900) == 3
    assert Gap("1", 0, 1000).missing(900) == 0
    assert longest_s(900) == 1350


def found(engine: Engine, since_s: int = 0) -> list[tuple[int, int]]:
    """Gaps of household 1 by seconds after the start."""
    with reader(engine) as connection:
        rows = gaps(connection, ESTATE, [meter_id(1)], START_S + since_s, longest_s(CYCLE_S))
    return [(row.from_at - START_S, row.to_at - START_S) for row in rows]


def test_a_gap_lies_between_true_readings_only(engine: Engine, writer: Writer) -> None:
    plant(writer)
    read(
        writer,
        reading(1, 900, 1_000_100),
        reading(1, 1800, 1_000_200),
        reading(1, 2700, 900_000),  # held
        reading(1, 5400, 1_000_600),
        reading(1, 6300, 1_000_700),
    )
    assert found(engine) == [(1800, 5400)]
    assert read(writer, reading(1, 3600, 1_000_400)) != []
    assert found(engine) == [(1800, 3600), (3600, 5400)]
    read(writer, reading(1, 2700, 1_000_300), reading(1, 4500, 1_000_500))
    assert found(engine, 3000) == []


def test_midnights_without_a_reading_are_found_after_the_installation(engine: Engine, writer: Writer) -> None:
    plant(writer)
    night = 15 * HOUR - 300
    read(writer, reading(1, night, 1_001_000), reading(1, 60 * HOUR, 1_003_000))
    wanted = [START_S + night + DAY, START_S + night, START_S + night - DAY]
    with reader(engine) as connection:
        rows = missing_midnights(connection, ESTATE, [meter_id(1), "202699000001"], wanted)
    assert rows == [(meter_id(1), START_S + night + DAY)]


def test_the_job_asks_the_bus_of_the_meter_and_gives_up_until_the_next_day(engine: Engine, writer: Writer) -> None:
    plant(writer)
    read(writer, reading(1, 2 * DAY + 900, 1_000_100), reading(1, 2 * DAY + 9000, 1_000_200))
    asked: list[tuple[str, Recall]] = []
    clock = FixedClock(2 * DAY + 10_000)
    job = HealingJob(engine, clock, ESTATE, lambda bus, wanted: asked.extend((bus, one) for one in wanted))
    job.run_once()
    assert {bus for bus, _ in asked} == {"bus-1"}
    kinds = {one.kind for _, one in asked if one.meter_id == meter_id(1)}
    assert kinds == {"load", "daily"}
    for _ in range(TRIES_MAX):
        job.run_once()
    asked.clear()
    job.run_once()
    assert asked == []
    clock.at = at(3 * DAY + 10_100)
    job.run_once()
    assert [one.kind for _, one in asked if one.meter_id == meter_id(1)].count("load") > 0
    clock.at = at(400 * DAY)  # stands ahead for a while
    job.run_once()
    asked.clear()
    clock.at = at(3 * DAY + 20_000)
    job.run_once()
    assert [one.kind for _, one in asked if one.meter_id == meter_id(1)].count("load") > 0


@pytest.mark.parametrize(("protocol", "kinds"), [("1997", {"month"}), ("modbus", set())])
def test_the_job_asks_each_protocol_for_what_it_keeps(
    engine: Engine, writer: Writer, protocol: str, kinds: set[str]
) -> None:
    """Over the first of a month: a register of that midnight, or nothing, is there to be had."""
    plant(writer)
    mine = meter.update().where(meter.c.meter_id == meter_id(1)).values(protocol=protocol)
    writer.run(lambda unit: unit.connection.execute(mine) and None)
    november = 19 * DAY - 9 * HOUR - 300
    read(writer, reading(1, november - HOUR, 1_000_100), reading(1, november + 2 * HOUR, 1_000_200))
    asked: list[Recall] = []
    clock = FixedClock(november + 4 * HOUR)
    HealingJob(engine, clock, ESTATE, lambda _bus, wanted: asked.extend(wanted)).run_once()
    mine_asked = [one for one in asked if one.meter_id == meter_id(1)]
    assert {one.kind for one in mine_asked} == kinds
    spans = {(one.at - START_S, one.until - START_S) for one in mine_asked}
    wanted = {(november, november), (november - HOUR, november + 2 * HOUR)}
    assert spans & wanted == (wanted if kinds else set())


def test_days_without_a_reading_are_none_and_not_zero() -> None:
    known = [Day("1", "2026-02-27", 5), Day("1", "2026-03-02", 7)]
    assert with_gaps(known) == [("2026-02-27", 5), ("2026-02-28", None), ("2026-03-01", None), ("2026-03-02", 7)]
    assert with_gaps([]) == []


def test_the_days_of_a_household_go_on_over_an_exchange(engine: Engine, writer: Writer) -> None:
    plant(writer)
    read(writer, reading(1, HOUR, 1_000_500), reading(1, 20 * HOUR, 1_002_000))
    replace(writer, 24 * HOUR, 1_002_300)
    read(writer, new_reading(26 * HOUR, 620), new_reading(40 * HOUR, 1_120))  # type: ignore[arg-type]
    with reader(engine) as connection:
        listed = [(day.day, day.energy_wh) for day in days(connection, ESTATE, NEW)]
    assert listed == [("2026-10-13", 500), ("2026-10-14", 1_800 + 500), ("2026-10-15", 500)]


def test_leave_to_set_clocks_is_given_once_a_local_day_and_never_in_doubt(engine: Engine, writer: Writer) -> None:
    plant(writer)

    def ask(world_s: int, bus_id: str = "bus-1", *, sane: bool = True) -> bool:
        return writer.run(lambda unit: claim_broadcast(unit, ESTATE, bus_id, at(world_s), clock_sane=sane))

    assert not ask(0, sane=False)
    assert ask(0)
    assert not ask(10 * HOUR)
    assert ask(10 * HOUR, "bus-2")
    assert ask(16 * HOUR)  # the next local day
