"""Readings: kept raw with a verdict, and only accepted ones move anything."""

import pytest
from sqlalchemy import Engine

from core.reading import Verdict
from server.domain.readings import ContactFailure, MeterVariables
from server.errors import NotFound
from server.flows.readings import note_failures, note_variables
from server.store.writer import Writer
from tests.server.books import HOUR, agrees, balance, charge, read, reading, rows
from tests.server.estates import BY_RATES, ESTATE, SINGLE, START_S, at, household, meter_id, plant


def live(engine: Engine, number: int = 1) -> dict[str, object]:
    """The live row of a meter."""
    return next(row for row in rows(engine, "meter_live") if row["meter_id"] == meter_id(number))


def test_accepted_readings_move_the_live_registers(engine: Engine, writer: Writer) -> None:
    plant(writer)
    assert read(writer, reading(1, HOUR, 1_000_500), reading(2, HOUR, 1_000_100)) == [Verdict.ACCEPTED] * 2
    assert read(writer, reading(1, 2 * HOUR, 1_001_000)) == [Verdict.ACCEPTED]
    row = live(engine)
    assert (row["total_wh"], row["reading_at"], row["previous_wh"]) == (1_001_000, START_S + 2 * HOUR, 1_000_500)
    assert row["contact_at"] == START_S + 2 * HOUR


def test_the_same_batch_again_changes_nothing(engine: Engine, writer: Writer) -> None:
    plant(writer)
    batch = (reading(1, HOUR, 1_000_500), reading(1, 2 * HOUR, 1_001_000), reading(2, HOUR, 1_000_000))
    read(writer, *batch)
    before = rows(engine, "reading"), rows(engine, "register_day"), live(engine)
    assert read(writer, *batch) == [Verdict.DUPLICATE] * 3
    assert (rows(engine, "reading"), rows(engine, "register_day"), live(engine)) == before


def test_two_equal_readings_in_one_batch_are_one(engine: Engine, writer: Writer) -> None:
    plant(writer)
    same = reading(1, HOUR, 1_000_500)
    assert read(writer, same, same) == [Verdict.ACCEPTED, Verdict.DUPLICATE]


def test_invariant_15_late_repeated_and_backward_readings_never_move_money(engine: Engine, writer: Writer) -> None:
    plant(writer)
    read(writer, reading(1, 2 * HOUR, 1_002_000))
    charge(writer, 2 * HOUR)
    before = balance(engine, "H0001"), rows(engine, "meter_cursor")
    verdicts = read(
        writer,
        reading(1, HOUR, 1_001_000),
        reading(1, 2 * HOUR, 1_002_000),
        reading(1, 3 * HOUR, 1_001_990),
        reading(1, 4 * HOUR, 900_000_000),
        reading(1, 5 * HOUR, 1_002_005),
    )
    assert verdicts == [Verdict.FILLED, Verdict.DUPLICATE, Verdict.BACKWARDS, Verdict.JUMP, Verdict.NOT_MULTIPLE]
    assert charge(writer, 9 * HOUR).accounts == 0
    assert (balance(engine, "H0001"), rows(engine, "meter_cursor")) == before
    held = {row["verdict"]: row["reason"] for row in rows(engine, "reading")}
    assert "backwards" in str(held["backwards"])
    agrees(engine)


def test_a_held_rate_holds_the_meter(engine: Engine, writer: Writer) -> None:
    start = (100_000, 200_000, 300_000, 400_000)
    plant(writer, [household(1, tariff_id="tou", start_rates_wh=start)], tariffs=(SINGLE, BY_RATES))
    assert read(writer, reading(1, HOUR, 1_000_100, (100_000, 200_100, 300_000, 399_990))) == [Verdict.BACKWARDS]
    assert "rate 4" in str(rows(engine, "reading")[0]["reason"])
    assert read(writer, reading(1, 2 * HOUR, 1_000_100, (100_000, 200_100, 300_000, 400_000))) == [Verdict.ACCEPTED]


def test_days_end_with_their_last_register(engine: Engine, writer: Writer) -> None:
    plant(writer)
    read(writer, reading(1, HOUR, 1_000_500), reading(1, 2 * HOUR, 1_001_000))
    read(writer, reading(1, 20 * HOUR, 1_004_000), reading(1, 22 * HOUR, 1_005_000))
    days = [(row["day"], row["first_wh"], row["total_wh"]) for row in rows(engine, "register_day")]
    assert sorted(days) == [("2026-10-13", 1_000_000, 1_001_000), ("2026-10-14", 1_004_000, 1_005_000)]


def test_an_unknown_meter_refuses_the_whole_batch(engine: Engine, writer: Writer) -> None:
    plant(writer)
    with pytest.raises(NotFound, match=meter_id(77)):
        read(writer, reading(1, HOUR, 1_000_500), reading(77, HOUR, 5))
    assert rows(engine, "reading") == []


def test_variables_and_failures_of_contact(engine: Engine, writer: Writer) -> None:
    plant(writer)
    failure = ContactFailure(meter_id(1), START_S, 1, "no reply")
    writer.run(lambda unit: note_failures(unit, ESTATE, [failure, failure], at()))
    writer.run(lambda unit: note_failures(unit, ESTATE, [failure], at()))
    assert live(engine)["failures"] == 3
    values = [MeterVariables(meter_id(1), START_S + n, 220_000, 5000, 1_100_000 + n) for n in (5, 3)]
    writer.run(lambda unit: note_variables(unit, ESTATE, values, at(6)))
    row = live(engine)
    assert (row["failures"], row["power_mw"], row["variables_at"]) == (0, 1_100_005, START_S + 5)
