"""Acceptance: what is held and why, what a person releases or voids, and that money follows only from what counts."""

import pytest
from sqlalchemy import Engine

from core.reading import RULES_VERSION, Verdict
from server.errors import Conflict, NotFound, Refused
from server.flows import acceptance, verification
from server.flows.readings import LEARNING_S
from server.flows.verification import verify
from server.store import schema
from server.store.acceptance import held
from server.store.engine import reader
from server.store.writer import Writer
from tests.server.books import HOUR, agrees, balance, charge, read, reading, report, rows
from tests.server.estates import BY_RATES, ESTATE, SINGLE, START_S, at, household, meter_id, plant

DAY = 24 * HOUR


def release(writer: Writer, world_s: int, reason: str = "read on site", number: int = 1) -> Verdict:
    """Release the reading of a household."""
    return writer.run(
        lambda unit: acceptance.release(
            unit, ESTATE, meter_id(number), START_S + world_s, actor="olga", reason=reason, now=at(world_s + 60)
        )
    )


def void(writer: Writer, world_s: int, reason: str = "noise") -> None:
    """Void the reading of household 1."""
    writer.run(
        lambda unit: acceptance.void(
            unit, ESTATE, meter_id(1), START_S + world_s, actor="olga", reason=reason, now=at(world_s + 60)
        )
    )


def queue(engine: Engine) -> list[tuple[int, str]]:
    """What waits for a person: (world_s, verdict)."""
    with reader(engine) as connection:
        return [(row["read_at"] - START_S, row["verdict"]) for row in held(connection, ESTATE)]


def habits(writer: Writer, hours: int, step_wh: int = 300) -> int:
    """A meter that uses `step_wh` an hour for so many hours; its last register."""
    wh = 1_000_000
    batch = []
    for hour in range(1, hours + 1):
        wh += step_wh
        batch.append(reading(1, hour * HOUR, wh))
    read(writer, *batch)
    return wh


def test_rates_that_do_not_add_up_to_the_total_are_held(engine: Engine, writer: Writer) -> None:
    start = (100_000, 200_000, 300_000, 400_000)
    plant(writer, [household(1, tariff_id="tou", start_rates_wh=start)], tariffs=(SINGLE, BY_RATES))
    within = reading(1, HOUR, 1_000_100, (100_020, 200_020, 300_020, 400_000))  # 60 of 100 Wh: one count a rate is lost
    beyond = reading(1, 2 * HOUR, 1_000_200, (100_020, 200_070, 300_020, 400_000))  # 50 of 100 Wh
    assert read(writer, within, beyond) == [Verdict.ACCEPTED, Verdict.SUM_DIFFERS]
    assert queue(engine) == [(2 * HOUR, "sum_differs")]
    assert "the total by 100 Wh" in str(rows(engine, "reading")[-1]["reason"])


def test_a_jump_never_becomes_plausible_by_waiting(engine: Engine, writer: Writer) -> None:
    plant(writer)
    jumped = [reading(1, hour * HOUR, 1_500_000 + hour * 100) for hour in (1, 10, 20, 40, 80)]
    assert set(read(writer, *jumped)) == {Verdict.JUMP}
    assert charge(writer, 90 * HOUR).accounts == 0
    lower = reading(1, 81 * HOUR, 1_008_000)
    assert read(writer, lower) == [Verdict.ACCEPTED]
    assert queue(engine) == []  # what is below it was noise and is settled
    agrees(engine)


def test_a_released_jump_is_charged_and_the_books_agree(engine: Engine, writer: Writer) -> None:
    plant(writer)
    read(writer, reading(1, HOUR, 1_500_000))
    assert release(writer, HOUR) == Verdict.RELEASED
    assert read(writer, reading(1, 2 * HOUR, 1_500_100)) == [Verdict.ACCEPTED]
    assert charge(writer, 3 * HOUR).accounts == 1
    assert balance(engine, "H0001")[0] < 0
    agrees(engine)
    [act] = rows(engine, "reading_act")
    assert (act["verdict_before"], act["verdict_after"], act["actor"], act["reason"]) == (
        "jump", "released", "olga", "read on site",
    )  # fmt: skip
    assert [row["detail"] for row in rows(engine, "audit") if row["verb"] == "reading.release"] != []
    days = [row["total_wh"] for row in rows(engine, "register_day")]
    assert 1_500_100 in days


def test_a_voided_reading_never_counts_and_frees_the_next_ones(engine: Engine, writer: Writer) -> None:
    plant(writer)
    read(writer, reading(1, HOUR, 1_500_000))
    void(writer, HOUR)
    assert queue(engine) == []
    assert read(writer, reading(1, 40 * HOUR, 1_500_100)) == [Verdict.ACCEPTED]  # 40 hours of power explain it
    with pytest.raises(Conflict, match="voided"):
        release(writer, HOUR)
    with pytest.raises(NotFound):
        void(writer, 3 * HOUR)


def test_a_reason_is_asked_for_and_an_accepted_reading_is_left_alone(writer: Writer) -> None:
    plant(writer)
    read(writer, reading(1, HOUR, 1_000_100), reading(1, 2 * HOUR, 1_500_000))
    with pytest.raises(Refused, match="say why"):
        release(writer, 2 * HOUR, reason="  ")
    with pytest.raises(Conflict, match="not held"):
        void(writer, HOUR)


def test_a_register_below_the_accepted_one_cannot_be_released(engine: Engine, writer: Writer) -> None:
    plant(writer)
    read(writer, reading(1, HOUR, 1_000_100), reading(1, 2 * HOUR, 5_000))
    with pytest.raises(Refused, match="exchange of the meter"):
        release(writer, 2 * HOUR)
    assert rows(engine, "reading_act") == []


def test_a_register_that_reads_zero_is_held_until_the_next_reading_tells(engine: Engine, writer: Writer) -> None:
    plant(writer)
    read(writer, reading(1, HOUR, 1_000_100))
    assert read(writer, reading(1, 2 * HOUR, 0)) == [Verdict.ZERO]
    assert queue(engine) == [(2 * HOUR, "zero")]
    assert charge(writer, 3 * HOUR).accounts == 1  # up to the register before
    assert read(writer, reading(1, 4 * HOUR, 1_000_300)) == [Verdict.ACCEPTED]
    assert queue(engine) == []
    agrees(engine)


def test_a_zero_is_voided_and_never_released_but_through_the_end_of_the_register(writer: Writer) -> None:
    plant(writer, [household(1, start_wh=600_000_000), household(2, start_wh=999_999_900)])
    read(writer, reading(1, HOUR, 0), reading(2, HOUR, 0))
    with pytest.raises(Refused, match="exchange of the meter"):
        release(writer, HOUR)  # half of the register is 500 000 kWh: the step would be 400 000 kWh
    void(writer, HOUR)
    assert release(writer, HOUR, number=2) == Verdict.RELEASED


def ahead(writer: Writer, *steps_wh: int) -> int:
    """An hour of three readings, one stamped a day ahead and charged, then late ones with these steps; the last one."""
    read(writer, *(reading(1, hour * HOUR, 1_000_000 + hour * 100) for hour in (1, 2, 3)))
    assert read(writer, reading(1, 28 * HOUR, 1_000_400)) == [Verdict.ACCEPTED]
    assert charge(writer, 28 * HOUR).accounts == 1
    wh = 1_000_400
    for hour, step_wh in enumerate(steps_wh, 4):
        wh += step_wh
        assert read(writer, reading(1, hour * HOUR, wh)) == [Verdict.LATE]
    return wh


@pytest.mark.parametrize(("steps_wh", "last_wh"), [([3_000] * 24, 1_000), ([15_000] * 2, 0)], ids=["a day", "two"])
def test_a_jump_after_the_clock_stood_a_day_ahead_heals_by_what_was_read_meanwhile(
    engine: Engine, writer: Writer, steps_wh: list[int], last_wh: int
) -> None:
    plant(writer)
    wh = ahead(writer, *steps_wh) + last_wh
    assert read(writer, reading(1, 29 * HOUR, wh)) == [Verdict.ACCEPTED]
    lead = f"{len(steps_wh)} readings stamped before the accepted one lead here"
    assert rows(engine, "reading")[-1]["reason"].startswith(lead)
    assert charge(writer, 30 * HOUR).accounts == 1
    agrees(engine)
    [charged] = [row for row in rows(engine, "meter_cursor") if row["meter_id"] == meter_id(1)]
    assert charged["total_wh"] == wh
    for hour, step_wh in ((10, 1_000), (12, 2_000)):  # the clock is set back once more
        assert read(writer, reading(1, hour * HOUR + 60, wh + step_wh)) == [Verdict.LATE]
    agrees(engine)


@pytest.mark.parametrize("steps_wh", [[], [3_000], [3_000] * 12 + [300_000] + [3_000] * 11], ids=["0", "1", "too long"])
def test_a_forged_jump_is_found_whatever_its_reason_says(
    engine: Engine, writer: Writer, steps_wh: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    plant(writer)
    wh = ahead(writer, *steps_wh)
    end = reading(1, 29 * HOUR, max(wh, 1_100_000) + 1_000)
    read(writer, end)
    healed = {"verdict": "accepted", "reason": "24 readings lead here: the server's clock had stood ahead"}
    live = {"total_wh": end.total_wh, "reading_at": end.read_at, "reading_ms": end.received_ms}
    writer.run(
        lambda unit: (
            [
                unit.connection.execute(table.update().where(*where).values(**values))
                for table, where, values in (
                    (schema.reading, (schema.reading.c.read_at == end.read_at,), healed),
                    (schema.meter_live, (schema.meter_live.c.meter_id == meter_id(1),), live),
                )
            ]
            and None
        )
    )
    assert charge(writer, 30 * HOUR).accounts == 1
    with reader(engine) as connection:
        found = verify(connection, ESTATE).mismatches
    assert [one.invariant for one in found] == [16]
    monkeypatch.setattr(verification, "is_archived", lambda *_: True)
    excused = report(engine)
    assert excused.mismatches == ()
    assert excused.unchecked == ("1 charges above their meter's power, whose readings may be archived",)


@pytest.mark.parametrize(
    "steps_wh", [[], [73_000], [3_000] * 12 + [300_000] + [3_000] * 11], ids=["nothing", "one", "a step too long"]
)
def test_a_jump_that_no_readings_lead_to_waits_for_a_person(writer: Writer, steps_wh: list[int]) -> None:
    plant(writer)
    wh = ahead(writer, *steps_wh)
    assert read(writer, reading(1, 29 * HOUR, max(wh + 1_000, 1_100_000))) == [Verdict.JUMP]


def test_a_held_reading_that_others_overtook_is_released_only_between_them(engine: Engine, writer: Writer) -> None:
    plant(writer)
    odd = reading(1, HOUR, 1_000_105)
    read(writer, odd, reading(1, 2 * HOUR, 1_000_200))
    with pytest.raises(Refused, match="does not lie between"):
        release(writer, HOUR)
    read(writer, reading(2, HOUR, 1_500_000), reading(2, 3 * HOUR, 1_000_400))
    with pytest.raises(Refused, match="does not lie between"):
        release(writer, HOUR, number=2)


def test_a_spike_waits_for_the_next_reading_and_is_charged_once_confirmed(engine: Engine, writer: Writer) -> None:
    plant(writer, [household(1, opening_fen=500_000)])
    wh = habits(writer, LEARNING_S // HOUR + 1)
    hours = LEARNING_S // HOUR + 1
    charge(writer, hours * HOUR)
    before = balance(engine, "H0001")
    spike = reading(1, (hours + 1) * HOUR, wh + 9_000)
    assert read(writer, spike) == [Verdict.SPIKE]
    assert charge(writer, (hours + 2) * HOUR).accounts == 0
    assert balance(engine, "H0001") == before
    assert read(writer, reading(1, (hours + 2) * HOUR, wh + 12_000)) == [Verdict.ACCEPTED]
    assert charge(writer, (hours + 3) * HOUR).accounts == 1
    agrees(engine)


def test_a_spike_that_the_next_reading_denies_is_never_charged(engine: Engine, writer: Writer) -> None:
    plant(writer)
    wh = habits(writer, LEARNING_S // HOUR + 1)
    hours = LEARNING_S // HOUR + 1
    assert read(writer, reading(1, (hours + 1) * HOUR, wh + 9_000)) == [Verdict.SPIKE]
    assert read(writer, reading(1, (hours + 2) * HOUR, wh + 600)) == [Verdict.ACCEPTED]
    assert queue(engine) == []
    agrees(engine)


def test_a_meter_whose_habits_are_not_known_yet_has_no_spikes(writer: Writer) -> None:
    plant(writer)
    wh = habits(writer, 24)
    assert read(writer, reading(1, 25 * HOUR, wh + 9_000)) == [Verdict.ACCEPTED]


def test_late_readings_fill_gaps_and_days_and_charge_nothing(engine: Engine, writer: Writer) -> None:
    plant(writer)
    midnight = 15 * HOUR - 300  # the estate starts at 09:05
    read(writer, reading(1, HOUR, 1_000_500), reading(1, 60 * HOUR, 1_010_000))
    charge(writer, 61 * HOUR)
    money = balance(engine, "H0001")
    assert read(
        writer,
        reading(1, midnight, 1_002_000),
        reading(1, midnight + DAY, 1_006_000),
        reading(1, midnight + 2 * HOUR, 1_001_000),
        reading(1, 30 * HOUR, 1_020_000),
    ) == [Verdict.FILLED, Verdict.FILLED, Verdict.LATE, Verdict.LATE]
    assert charge(writer, 62 * HOUR).accounts == 0
    assert balance(engine, "H0001") == money
    days = {row["day"]: (row["first_wh"], row["total_wh"]) for row in rows(engine, "register_day")}
    assert days["2026-10-13"] == (1_000_000, 1_002_000)
    assert days["2026-10-14"] == (1_002_000, 1_006_000)
    agrees(engine)


def test_a_filled_reading_says_nothing_of_contact(engine: Engine, writer: Writer) -> None:
    plant(writer)
    live = reading(1, 2 * HOUR, 1_000_500)
    freeze = reading(1, HOUR, 1_000_200)
    read(writer, live)
    object.__setattr__(freeze, "source", "freeze")
    assert read(writer, freeze) == [Verdict.FILLED]
    [row] = [row for row in rows(engine, "meter_live") if row["meter_id"] == meter_id(1)]
    assert (row["contact_at"], row["total_wh"]) == (START_S + 2 * HOUR, 1_000_500)


def test_each_reading_keeps_the_version_of_the_rules(engine: Engine, writer: Writer) -> None:
    plant(writer)
    read(writer, reading(1, HOUR, 1_000_500))
    assert [row["rules"] for row in rows(engine, "reading")] == [RULES_VERSION]
