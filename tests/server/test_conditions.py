"""Cases about the condition of a meter: a clock far off, a register that stands still."""

import pytest
from sqlalchemy import Engine

from server.domain.anomalies import ClockSeen, Unmoved, clock, stuck
from server.domain.readings import MeterVariables, StatusRead
from server.flows import cases
from server.flows.readings import note_variables
from server.flows.relays import record_status
from server.store.engine import reader
from server.store.writer import Writer
from tests.server.books import HOUR, read, reading
from tests.server.estates import ESTATE, START_S, at, meter_id, plant

DAY = 24 * HOUR


def kinds(engine: Engine, world_s: int) -> list[tuple[str, str]]:
    """(kind, subject) of what the rules find."""
    with reader(engine) as connection:
        return [(one.kind, one.subject) for one in cases.find(connection, ESTATE, at(world_s))]


@pytest.mark.parametrize(("offset_s", "found"), [(300, False), (-300, False), (301, True), (-4000, True)])
def test_a_clock_more_than_five_minutes_off_is_a_case(
    engine: Engine, writer: Writer, offset_s: int, found: bool
) -> None:
    plant(writer)
    status = StatusRead(meter_id(1), START_S + HOUR, 1, 0, offset_s)
    writer.run(lambda unit: record_status(unit, ESTATE, [status], at(HOUR)))
    assert (("clock", meter_id(1)) in kinds(engine, HOUR)) == found


def test_a_closed_case_of_a_clock_comes_back_only_with_a_new_look(engine: Engine, writer: Writer) -> None:
    plant(writer)

    def look(world_s: int) -> None:
        status = StatusRead(meter_id(1), START_S + world_s, 1, 0, 900)
        writer.run(lambda unit: record_status(unit, ESTATE, [status], at(world_s)))

    look(HOUR)
    [case_id] = writer.run(lambda unit: cases.detect(unit, ESTATE, at(HOUR)))
    writer.run(
        lambda unit: cases.close(unit, ESTATE, case_id, resolution="set on site", actor="olga", now=at(2 * HOUR))
    )
    assert kinds(engine, 2 * HOUR) == []
    look(3 * HOUR)
    assert kinds(engine, 3 * HOUR) == [("clock", meter_id(1))]


def test_a_register_that_stands_while_power_flows_is_a_case(engine: Engine, writer: Writer) -> None:
    plant(writer)
    read(writer, *(reading(1, hour * HOUR, 1_000_500) for hour in range(1, 73, 6)))
    assert kinds(engine, 72 * HOUR) == []
    values = [MeterVariables(meter_id(1), START_S + 72 * HOUR, 220_000, 900, 198_000)]
    writer.run(lambda unit: note_variables(unit, ESTATE, values, at(72 * HOUR)))
    assert kinds(engine, 72 * HOUR) == [("stuck", meter_id(1))]
    read(writer, reading(1, 73 * HOUR, 1_000_700))
    assert kinds(engine, 73 * HOUR) == []


def test_an_empty_flat_is_no_case_for_years_and_a_quiet_one_after_days() -> None:
    def standing(days: int, usual_w: int | None) -> object:
        return stuck(Unmoved("1", None, 0, days * DAY, 500, days, 0, usual_w))

    assert standing(300, 0) is None
    assert standing(1, 800) is None
    found = standing(3, 800)
    assert found is not None
    assert found.severity == "low"  # type: ignore[attr-defined]


def test_the_limit_of_the_clock_is_the_meters_own() -> None:
    assert clock(ClockSeen("1", None, 0, 300)) is None
    finding = clock(ClockSeen("1", "1-1", 7, -301))
    assert finding is not None
    assert finding.evidence == {"clock_offset_s": -301, "allowed_s": 300, "read_at": 7}


def test_a_jump_that_stays_is_a_case_and_noise_is_none(engine: Engine, writer: Writer) -> None:
    plant(writer)
    read(writer, reading(1, HOUR, 1_500_000), reading(2, HOUR, 1_500_000))
    assert kinds(engine, HOUR + 1800) == []
    read(writer, reading(2, HOUR + 900, 1_000_500))
    assert kinds(engine, HOUR + 1801) == [("jump", meter_id(1))]
