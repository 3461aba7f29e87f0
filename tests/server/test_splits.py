"""Charges over a boundary of a tariff: split as R22 asks, and what `verify` says of those that are not."""

import json
from datetime import datetime
from pathlib import Path

import pytest
from sqlalchemy import Engine

from core.reading import Verdict
from core.tariff import tariff_from_dict
from server.domain import billing
from server.domain.billing import AccountState, Charging, Due, plan_steps
from server.domain.registers import Registers, boundary_rounded_down, split_by_time, split_by_times
from server.domain.tariff_calendar import TariffCalendar
from server.flows.bills import explain
from server.store.engine import reader
from server.store.writer import Writer
from tests.server.books import HOUR, agrees, charge, read, reading, report, rows
from tests.server.estates import BY_RATES, ESTATE, SINGLE, START_S, household, plant
from tests.server.test_billing import MIDNIGHT_NOV, charges
from tests.server.test_ledger import tamper
from tests.server.test_voiding import take_back

VECTORS = Path(__file__).parents[1] / "vectors" / "tariff_golden.json"
MIDNIGHT_DEC = MIDNIGHT_NOV + 30 * 24 * HOUR
MEGA = 1_000_000
BASE = 150_000  # used until just before the boundary, so that no later step is out of the way
USED = MEGA + BASE
RATES = (1000, 2000, 3000, 4000)
MONTHLY = {**BY_RATES, "versions": [
    {**BY_RATES["versions"][0], "tier_steps": ["0.1"], "tier_limits_wh": [900], "tier_period": "month"}  # type: ignore[index]
]}  # fmt: skip


def local(day: str) -> int:
    return int(datetime.fromisoformat(f"{day}T00:00:00+08:00").timestamp())


def test_golden_gd21_06_the_odd_watt_hour_goes_to_the_earlier_part() -> None:
    row = next(one for one in json.loads(VECTORS.read_text("utf-8"))["cases"] if one["id"] == "GD21-06")
    versions = [
        {
            "valid_from": day,
            "prices": {"sharp": peak, "peak": peak, "flat": "0.58886875", "valley": valley},
            "tier_steps": ["0.05", "0.25"],
            "tier_limits_wh": [260_000, 600_000],
            "tier_period": "month",
            "tier_period_start": 16,
        }
        for day, peak, valley in (
            ("2021-01-01", "0.96599875", "0.29876875"),
            ("2021-10-01", "0.99500875", "0.22914475"),
        )
    ]
    tariff = tariff_from_dict({"id": "gz", "name": "Guangzhou", "versions": versions})
    start = Registers(local("2021-09-16"), 0, (0, 0, 0, 0))
    end = Registers(local("2021-10-16"), 360_001, (0, 130_001, 130_000, 100_000))
    due = Due("m", "a", "gz", 1, 1, 1, start, end, start.at, 0)
    steps = plan_steps(due, TariffCalendar(tariff), lambda *_: None)
    assert steps is not None
    assert [step.moved_wh[1:] for step in steps] == [tuple(one["energy_wh"].values()) for one in row["segments"]]
    charging = Charging({"a": AccountState("a", 0, 0, 0, 0, 0, 0, 0, 0)})
    charging.run(steps)
    assert sum(line.charge_nf for line in charging.lines) == row["expected"]["exact_nanofen"]
    assert charging.charged_fen == row["expected"]["billed_fen"]


def test_several_boundaries_share_by_largest_remainder_and_ties_go_to_the_first() -> None:
    start = Registers(0, 0, None)
    for energy_wh, parts in ((1, [1, 1]), (2, [1, 2]), (4, [2, 3]), (3, [1, 2])):
        ends = split_by_times(start, Registers(3, energy_wh, None), (1, 2))
        assert [one.total_wh for one in ends] == parts
    assert split_by_time(start, Registers(3, 5, None), 2, down=True).total_wh == 3


def planted(writer: Writer, tariff_id: str = "single") -> None:
    home = household(1, tariff_id=tariff_id, start_rates_wh=RATES, opening_fen=100_000, max_power_w=10**6)
    plant(writer, [home], tariffs=(SINGLE, MONTHLY))


def rates(moved_wh: int) -> tuple[int, int, int, int]:
    """Registers after `moved_wh` of the first rate and twice that of the second, beside what was used before."""
    return (RATES[0] + moved_wh, RATES[1] + 2 * moved_wh, RATES[2] + BASE, RATES[3])


def split(
    writer: Writer, energy_wh: int = 400, tariff_id: str = "single", *, before: int = HOUR, after: int = 2700
) -> None:
    """A charge up to just before the boundary, and one over it, of which nothing was read there."""
    planted(writer, tariff_id)
    for at, wh in ((MIDNIGHT_NOV - before, 30), (MIDNIGHT_NOV + after, 30 + 3 * energy_wh)):
        read(writer, reading(1, at, USED + wh, rates(wh // 3)))
        charge(writer, at)


def as_before(monkeypatch: pytest.MonkeyPatch) -> None:
    """Charge by the rule and with the memo of earlier releases."""
    monkeypatch.setattr(billing, "boundary_registers", boundary_rounded_down)
    monkeypatch.setattr(
        "server.flows.billing.split_memo", lambda n: f"{n} steps split by time at a tariff boundary" if n else ""
    )


@pytest.mark.parametrize("tariff_id", ["single", "tou"])
def test_a_split_by_time_is_worked_out_again(engine: Engine, writer: Writer, tariff_id: str) -> None:
    split(writer, tariff_id=tariff_id)
    found = [(one["from_wh"], one["to_wh"], one["to_rates_wh"]) for one in charges(engine)[1:]]
    by_rates = tariff_id == "tou"
    assert found == [
        (USED + 30, USED + 716, "1239,2477,153000,4000" if by_rates else None),
        (USED + 716, USED + 1230, "1410,2820,153000,4000" if by_rates else None),
    ]
    assert agrees(engine).estimated == 1
    with reader(engine) as connection:
        assert explain(connection, ESTATE, "H0001:2026-10").differences == ()
        assert explain(connection, ESTATE, "H0001:2026-11").differences == ()


def test_invariant_03_a_split_that_time_does_not_explain_is_found(
    engine: Engine, writer: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        billing, "boundary_registers",
        lambda spans, start, end, read: [Registers(spans[0].end_s, start.total_wh + 900, None)],
    )  # fmt: skip
    split(writer)
    monkeypatch.undo()
    [found] = report(engine).mismatches
    assert (found.invariant, found.detail.partition(" from ")[0]) == (3, "is split as 1150030 to 1150930 Wh")
    assert "should be 1150030 to 1150716 Wh" in found.detail


def test_splits_of_before_are_held_to_the_rule_of_before_and_not_taken_up_again(
    engine: Engine, writer: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    as_before(monkeypatch)
    split(writer, tariff_id="tou")
    assert charges(engine)[1]["to_rates_wh"] == "1238,2477,153000,4000"
    agrees(engine)
    with reader(engine) as connection:
        assert explain(connection, ESTATE, "H0001:2026-10").differences == ()
    monkeypatch.undo()
    for at, wh in ((MIDNIGHT_DEC - HOUR, 240_000), (MIDNIGHT_DEC + 2700, 241_200)):
        read(writer, reading(1, at, USED + wh, rates(wh // 3)))
        charge(writer, at)
    agrees(engine)
    as_before(monkeypatch)
    january = MIDNIGHT_DEC + 31 * 24 * HOUR
    for at, wh in ((january - HOUR, 480_000), (january + 2700, 481_200)):
        read(writer, reading(1, at, USED + wh, rates(wh // 3)))
        charge(writer, at)
    assert ["had left behind" in one.detail for one in report(engine).mismatches] == [True]


@pytest.mark.parametrize(("before", "after"), [(HOUR, 60), (60, HOUR)])
def test_a_part_of_nothing_has_no_line_and_agrees_all_the_same(
    engine: Engine, writer: Writer, before: int, after: int
) -> None:
    split(writer, 10, before=before, after=after)
    assert len(charges(engine)) == 2
    read(writer, reading(1, MIDNIGHT_NOV + 3 * HOUR, USED + 2000))
    charge(writer, MIDNIGHT_NOV + 3 * HOUR)
    agrees(engine)
    with reader(engine) as connection:
        assert [explain(connection, ESTATE, f"H0001:{line}").differences for line in (2, 3, 4)] == [(), (), ()]


def test_a_boundary_that_was_read_bounds_the_split_of_another(engine: Engine, writer: Writer) -> None:
    planted(writer)
    read(writer, reading(1, MIDNIGHT_NOV - HOUR, USED))
    charge(writer, MIDNIGHT_NOV - HOUR)
    read(writer, reading(1, MIDNIGHT_DEC, USED + 100), reading(1, MIDNIGHT_DEC + HOUR, USED + 1000))
    assert charge(writer, MIDNIGHT_DEC + HOUR).held == ()
    assert [one["to_wh"] - USED for one in charges(engine)] == [0, 100, 1000]  # type: ignore[operator]
    agrees(engine)


def test_invariant_03_a_jump_of_the_cursor_over_a_boundary_is_found(engine: Engine, writer: Writer) -> None:
    planted(writer)
    read(writer, reading(1, MIDNIGHT_NOV - HOUR, MEGA + 199_000))
    charge(writer, MIDNIGHT_NOV - HOUR)
    tamper(engine, "meter_cursor", f"UPDATE meter_cursor SET read_at = read_at + {HOUR}")
    read(writer, reading(1, MIDNIGHT_NOV + HOUR, MEGA + 201_000))
    charge(writer, MIDNIGHT_NOV + HOUR)
    [found] = report(engine).mismatches
    assert (found.invariant, "should be 1199000 to 1200000 Wh from" in found.detail) == (3, True)


def test_a_charge_that_begins_at_a_reading_without_use_agrees(engine: Engine, writer: Writer) -> None:
    planted(writer, "tou")
    for at, moved in ((MIDNIGHT_NOV - HOUR, 10), (MIDNIGHT_NOV + HOUR, 10), (MIDNIGHT_NOV + 2 * HOUR, 20)):
        read(writer, reading(1, at, USED + 3 * moved, rates(moved)))
        charge(writer, at)
    assert [one["event_from"] for one in charges(engine)][1] == charges(engine)[0]["event_to"] + 2 * HOUR  # type: ignore[operator]
    agrees(engine)


def test_invariant_03_rates_that_the_reading_at_a_boundary_does_not_explain_are_found(
    engine: Engine, writer: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    planted(writer, "tou")
    read(writer, reading(1, MIDNIGHT_NOV - HOUR, USED + 30, rates(10)))
    charge(writer, MIDNIGHT_NOV - HOUR)
    read(writer, reading(1, MIDNIGHT_NOV, USED + 90), reading(1, MIDNIGHT_NOV + HOUR, USED + 330, rates(110)))
    honest = billing.boundary_registers
    monkeypatch.setattr(
        billing, "boundary_registers",
        lambda *known: [one._replace(rates_wh=(1040, 2040, 153_000, 4000)) for one in honest(*known)],
    )  # fmt: skip
    charge(writer, MIDNIGHT_NOV + HOUR)
    assert any("1040,2040,153000,4000) from" in one.detail for one in report(engine).mismatches)


def test_a_step_is_estimated_where_its_rates_are(engine: Engine, writer: Writer) -> None:
    planted(writer, "tou")
    read(writer, reading(1, MIDNIGHT_NOV - HOUR, USED + 30, rates(10)))
    charge(writer, MIDNIGHT_NOV - HOUR)
    read(writer, reading(1, MIDNIGHT_NOV, USED + 90), reading(1, MIDNIGHT_NOV + HOUR, USED + 330, rates(110)))
    assert charge(writer, MIDNIGHT_NOV + HOUR).estimated == 1
    agrees(engine)
    empty = ", ".join(f"rate{number}_wh = NULL" for number in range(1, 5))
    tamper(engine, "reading", f"UPDATE reading SET {empty} WHERE total_wh = {USED + 330}")
    assert [one.detail for one in report(engine).mismatches] == [
        "to_rates_wh is 1110,2220,153000,4000, but the reading there has no rates"
    ]


def test_invariant_03_the_rates_of_a_first_charge_follow_from_the_installation(engine: Engine, writer: Writer) -> None:
    split(writer, tariff_id="tou")
    tamper(engine, "meter", "UPDATE meter SET start_rate2_wh = 1990")
    [found] = report(engine).mismatches
    assert found.detail == "from_rates_wh is 1000,2000,3000,4000, should be 1000,1990,3000,4000"


def test_a_batch_that_names_no_rule_does_not_begin_the_present_one(
    engine: Engine, writer: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    as_before(monkeypatch)
    planted(writer, "tou")
    january = MIDNIGHT_DEC + 31 * 24 * HOUR
    for group in (
        [(MIDNIGHT_NOV - 60, 0)],
        [(MIDNIGHT_NOV, 30), (MIDNIGHT_NOV + HOUR, 60)],  # two lines, both of them read
        [(MIDNIGHT_DEC - 60, 60_000)],
        [(MIDNIGHT_DEC + HOUR, 60_060)],  # a first part of less than 1 Wh
        [(january - HOUR, 240_000)],
        [(january + 2700, 241_200)],
    ):
        read(writer, *(reading(1, at, USED + wh, rates(wh // 3)) for at, wh in group))
        charge(writer, group[-1][0])
    memos = [one["memo"] for one in rows(engine, "batch") if one["kind"] == "charge"]
    assert memos == ["", "", "", "", "", "1 steps split by time at a tariff boundary"]
    agrees(engine)
    with reader(engine) as connection:
        for month in ("2026-10", "2026-11", "2026-12"):
            assert explain(connection, ESTATE, f"H0001:{month}").differences == ()


def test_invariant_03_a_batch_that_names_no_rule_is_held_to_the_present_one_once_another_has_named_it(
    engine: Engine, writer: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    split(writer)
    as_before(monkeypatch)
    for at, wh in ((MIDNIGHT_DEC - 60, 60_000), (MIDNIGHT_DEC + HOUR, 60_040)):
        read(writer, reading(1, at, USED + wh))
        charge(writer, at)
    [found] = report(engine).mismatches
    assert f"should be {USED + 60_000} to {USED + 60_001} Wh" in found.detail


def test_rates_that_were_estimated_where_a_charge_ends_agree(
    engine: Engine, writer: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    planted(writer, "tou")
    read(writer, reading(1, MIDNIGHT_NOV - HOUR, USED + 30, rates(10)))
    charge(writer, MIDNIGHT_NOV - HOUR)
    read(writer, reading(1, MIDNIGHT_NOV, USED + 90), reading(1, MIDNIGHT_NOV + HOUR, USED + 90, rates(30)))
    assert charge(writer, MIDNIGHT_NOV + HOUR).estimated == 1
    assert [one["event_to"] for one in charges(engine)][1:] == [START_S + MIDNIGHT_NOV]
    agrees(engine)
    tamper(engine, "reading", f"UPDATE reading SET rate2_wh = 2061 WHERE read_at = {START_S + MIDNIGHT_NOV + HOUR}")
    assert any("should be" in one.detail for one in report(engine).mismatches)


def test_a_reading_that_was_taken_back_explains_where_a_charge_begins(engine: Engine, writer: Writer) -> None:
    planted(writer)
    read(writer, reading(1, MIDNIGHT_NOV - 900, USED))
    charge(writer, MIDNIGHT_NOV - 900)
    read(writer, reading(1, MIDNIGHT_NOV, USED), reading(1, MIDNIGHT_NOV + HOUR, USED + 40))
    charge(writer, MIDNIGHT_NOV + HOUR)
    take_back(writer, MIDNIGHT_NOV)
    assert [one["verdict"] for one in rows(engine, "reading")].count("voided") == 1
    agrees(engine)
    with reader(engine) as connection:
        assert explain(connection, ESTATE, "H0001:2026-11").differences == ()


def test_a_charge_over_many_boundaries_agrees_when_each_was_read_later(engine: Engine, writer: Writer) -> None:
    planted(writer)
    months = [int((local(f"2026-{month}-01")) - START_S) for month in (11, 12)]
    months += [local(f"2027-0{month}-01") - START_S for month in range(1, 6)]
    for at, wh in ((months[0] - HOUR, 0), (months[-1] + HOUR, 700_000)):
        read(writer, reading(1, at, USED + wh))
        charge(writer, at)
    healed = [reading(1, at, USED + 1000 + 90_000 * number) for number, at in enumerate(months)]
    assert set(read(writer, *healed)) == {Verdict.FILLED}
    agrees(engine)
