"""A reading that was charged is taken back: counter-posted, charged again, and exact however it lies in time.

The measure is a twin estate that never saw the reading: same balance to the nanofen, same cursor, same live registers.
"""

import json

import pytest
from sqlalchemy import Engine

from core.reading import Verdict
from core.units import NF_PER_FEN
from server.domain.settlement_sums import PeriodSums
from server.domain.verification import MeterChain
from server.errors import Conflict, NotFound, Refused
from server.flows import approvals, bills, voiding
from server.store import schema
from server.store.engine import reader
from server.store.verification_windows import Journal
from server.store.view import Span, postings
from server.store.writer import Writer
from tests.server.books import HOUR, agrees, balance, charge, read, reading, report, rows
from tests.server.estates import BY_RATES, ESTATE, SINGLE, START_S, account_id, at, household, meter_id, plant

DAY = 24 * HOUR
RATES = (100_000, 200_000, 300_000, 400_000)
MONTH_END = 18 * DAY + 14 * HOUR + 55 * 60  # from 13 October 09:05 to 1 November 00:00
START_WH = 1_000_000


def take_back(writer: Writer, world_s: int, number: int = 1, reason: str = "a wrong digit", **more: object) -> int:
    return writer.run(
        lambda unit: voiding.take_back(
            unit, ESTATE, meter_id(number), START_S + world_s, actor="olga", reason=reason, now=at(world_s + 7 * DAY),
            **more,
        )
    )  # fmt: skip


def live(writer: Writer, number: int) -> list[object]:
    """Everything that goes by the readings of a household: balance, cursor, live registers, days."""

    def look(unit):
        def of(table, *names):
            query = table.select().where(table.c.meter_id == meter_id(number))
            return sorted(tuple(row[name] for name in names) for row in unit.connection.execute(query).mappings())

        account = schema.account
        row = unit.connection.execute(account.select().where(account.c.account_id == account_id(number))).mappings()
        one = row.one()
        return [
            one["balance_fen"] * NF_PER_FEN - one["residue_nf"], one["level"],
            of(schema.meter_cursor, "read_at", "total_wh", "rate2_wh", "tier_period_start", "tier_period_wh",
               "order_start", "order_rates_wh"),
            of(schema.meter_live, "total_wh", "reading_at", "previous_wh"),
            of(schema.register_day, "day", "first_wh", "total_wh", "read_at"),
        ]  # fmt: skip

    return writer.run(look)


def play(writer: Writer, number: int, steps, *, without: int | None = None) -> None:
    """Readings (world_s, Wh since the start, rates) of a household, each charged at once; `without` is left out."""
    for world_s, moved_wh, rates in steps:
        if world_s != without:
            assert read(writer, reading(number, world_s, START_WH + moved_wh, rates))[0] is Verdict.ACCEPTED
            charge(writer, world_s + HOUR)


def by_rates(peak_wh: int, valley_wh: int) -> tuple[int, int, int, int]:
    return (RATES[0], RATES[1] + peak_wh, RATES[2], RATES[3] + valley_wh)


FLAT = [(hour * HOUR, hour * 500, None) for hour in range(1, 9)]
SHARED = {
    "id": "shared",
    "name": "four rates that share each tier",
    "versions": [
        {
            "valid_from": "2021-01-01",
            "prices": {"sharp": "1.2", "peak": "0.9", "flat": "0.6", "valley": "0.3"},
            "tier_prices": [{"sharp": "1.4", "peak": "1.2", "flat": "0.7", "valley": "0.5"}],
            "tier_limits_wh": [1000],
            "tier_period": "month",
            "order_rule": "proportional",
            "settlement_day": 1,
            "periods": BY_RATES["versions"][0]["periods"],
        }
    ],
}
CASES = {
    "in the middle": (FLAT, 3 * HOUR, "single"),
    "the first": (FLAT, HOUR, "single"),
    "the newest": (FLAT, 8 * HOUR, "single"),
    "over a tier": (
        [(DAY, 150_000, None), (2 * DAY, 230_000, None), (3 * DAY, 410_000, None), (4 * DAY, 500_000, None)],
        2 * DAY, "single",
    ),
    "over the end of a month": (
        [(MONTH_END - DAY, 190_000, None), (MONTH_END + HOUR, 201_000, None), (MONTH_END + 2 * HOUR, 201_400, None)],
        MONTH_END + HOUR, "single",
    ),
    "just before the end of a month": (
        [(MONTH_END - DAY, 190_000, None), (MONTH_END - HOUR, 199_000, None), (MONTH_END + HOUR, 200_700, None),
         (MONTH_END + 2 * HOUR, 201_000, None)],
        MONTH_END - HOUR, "single",
    ),
    "at midnight of a month": (
        [(MONTH_END - DAY, 190_000, None), (MONTH_END, 200_300, None), (MONTH_END + HOUR, 200_700, None)],
        MONTH_END, "single",
    ),
    "a part of nothing in a month": ([(MONTH_END - 10 * DAY, 190_000, None), (MONTH_END - 600, 191_000, None),
        (MONTH_END + 60, 191_010, None), (MONTH_END + 2 * HOUR, 191_400, None)], MONTH_END - 600, "single"),
    "by rates": (
        [(HOUR, 100, by_rates(100, 0)), (2 * HOUR, 900, by_rates(800, 100)), (3 * HOUR, 1000, by_rates(850, 150))],
        2 * HOUR, "tou",
    ),
    "rates that share a tier": (
        [(HOUR, 100, by_rates(100, 0)), (2 * HOUR, 900, by_rates(800, 100)), (3 * HOUR, 1400, by_rates(850, 550)),
         (4 * HOUR, 1900, by_rates(1300, 600))],
        2 * HOUR, "shared",
    ),
    "no energy since": ([(HOUR, 500, None), (2 * HOUR, 500, None), (3 * HOUR, 500, None)], HOUR, "single"),
}  # fmt: skip


def estate(writer: Writer, tariff: str) -> None:
    starts = {"start_rates_wh": RATES} if tariff != "single" else {}
    homes = [household(n, tariff_id=tariff, opening_fen=50_000, max_power_w=100_000, **starts) for n in (1, 2)]
    plant(writer, homes, tariffs=(SINGLE, BY_RATES, SHARED))


@pytest.mark.parametrize("name", CASES)
def test_it_is_as_if_the_reading_had_never_counted(sqlite_engine: Engine, name: str) -> None:
    probe(sqlite_engine, name)


def probe(engine: Engine, name: str) -> None:
    steps, gone, tariff = CASES[name]
    writer = Writer(engine)
    try:
        estate(writer, tariff)
        play(writer, 1, steps)
        play(writer, 2, steps, without=gone)
        take_back(writer, gone, approved=approval_of(engine, 1, gone))
        charge(writer, 60 * DAY)
        assert live(writer, 1) == live(writer, 2)
        agrees(engine)
    finally:
        writer.stop()


def approval_of(engine: Engine, number: int, world_s: int) -> dict[str, object]:
    """What a second person would have agreed to."""
    with reader(engine) as connection:
        return voiding.plan_of(connection, ESTATE, meter_id(number), START_S + world_s).as_json()


def test_on_both_databases_and_twice(engine: Engine, writer: Writer) -> None:
    estate(writer, "single")
    play(writer, 1, FLAT)
    play(writer, 2, FLAT, without=8 * HOUR)
    before = balance(engine, account_id(1))
    assert take_back(writer, 8 * HOUR) == 30
    charge(writer, 9 * HOUR)
    assert live(writer, 1) == live(writer, 2)
    assert balance(engine, account_id(1)) != before
    take_back(writer, 3 * HOUR)
    take_back(writer, 7 * HOUR)
    found = agrees(engine)
    assert found.batches == len(rows(engine, "batch"))
    kinds = [row["kind"] for row in rows(engine, "batch")]
    assert kinds.count("void") == 3
    acts = [(row["verdict_before"], row["verdict_after"]) for row in rows(engine, "reading_act")]
    assert acts == [("accepted", "revoked")] * 3
    with reader(engine) as connection:
        steps = [
            (one.from_wh, one.to_wh)
            for one in postings(connection, ESTATE, Span(0, 2**40))
            if one.meter_id == meter_id(1)
        ]
    assert [first[1] for first in steps[:-1]] == [second[0] for second in steps[1:]]  # each watt-hour once
    assert steps[-1][1] == START_WH + 3000


def test_a_reading_within_a_charge_moves_no_money(engine: Engine, writer: Writer) -> None:
    estate(writer, "single")
    read(writer, reading(1, 600, START_WH + 100), reading(1, HOUR, START_WH + 500))
    charge(writer, 2 * HOUR)
    before = balance(engine, account_id(1))
    assert take_back(writer, 600) == 0
    assert balance(engine, account_id(1)) == before
    assert [row["kind"] for row in rows(engine, "batch")].count("void") == 0
    assert [row["verdict"] for row in rows(engine, "reading") if row["read_at"] == START_S + 600] == ["voided"]
    agrees(engine)


def test_a_wrong_high_reading_no_longer_holds_what_follows(engine: Engine, writer: Writer) -> None:
    estate(writer, "single")
    play(writer, 1, FLAT[:3])
    play(writer, 1, [(4 * HOUR, 9000, None)])
    assert read(writer, reading(1, 5 * HOUR, START_WH + 2500)) == [Verdict.BACKWARDS]
    take_back(writer, 4 * HOUR)
    assert read(writer, reading(1, 6 * HOUR, START_WH + 3000)) == [Verdict.ACCEPTED]
    charge(writer, 8 * HOUR)
    play(writer, 2, [*FLAT[:3], (6 * HOUR, 3000, None)])
    assert live(writer, 1)[0] == live(writer, 2)[0]
    agrees(engine)


def test_it_needs_a_reason_a_reading_that_counts_and_no_exchange(engine: Engine, writer: Writer) -> None:
    estate(writer, "single")
    play(writer, 1, FLAT)
    with pytest.raises(Refused, match="say why"):
        take_back(writer, HOUR, reason=" ")
    with pytest.raises(NotFound):
        take_back(writer, 77)
    take_back(writer, HOUR)
    with pytest.raises(Conflict, match="does not count"):
        take_back(writer, HOUR)
    writer.run(
        lambda unit: unit.connection.execute(schema.meter.update().values(install_no=2)) and None
    )  # fmt: skip
    with pytest.raises(Refused, match="exchange"):
        take_back(writer, 2 * HOUR)


def probe_rerated(writer: Writer) -> None:
    estate(writer, "single")
    play(writer, 1, FLAT)
    values = {
        "estate_id": ESTATE, "rerate_id": "r1", "tariff_id": "single", "definition": "{}", "from_at": START_S,
        "until_at": START_S + 2 * HOUR, "until_batch": 3, "reason": "a wrong price", "status": "done", "actor": "olga",
        "created_ms": 0, "preview": "{}",
    }  # fmt: skip
    writer.run(lambda unit: unit.connection.execute(schema.rerate.insert().values(**values)) and None)
    take_back(writer, 5 * HOUR)  # charged after the span
    with pytest.raises(Refused, match="corrections"):
        take_back(writer, 2 * HOUR)


def test_what_corrections_went_by_is_not_taken_back(sqlite_engine: Engine) -> None:
    writer = Writer(sqlite_engine)
    try:
        probe_rerated(writer)
    finally:
        writer.stop()


def test_without_that_guard_the_corrections_would_stay(sqlite_engine: Engine, monkeypatch) -> None:
    monkeypatch.setattr(voiding, "_not_rerated", lambda *_: None)
    writer = Writer(sqlite_engine)
    try:
        with pytest.raises(BaseException, match="DID NOT RAISE"):
            probe_rerated(writer)
    finally:
        writer.stop()


# the second person


def ask(writer: Writer, world_s: int) -> str:
    return writer.run(
        lambda unit: approvals.request_void(
            unit, ESTATE, meter_id(1), START_S + world_s, actor="anna", reason="a wrong digit", now=at(3 * DAY)
        )
    )


def approve(engine: Engine, writer: Writer, asked: str, actor: str = "bert") -> None:
    [row] = [one for one in rows(engine, "approval") if one["approval_id"] == asked]
    sha = str(row["payload_sha256"])
    writer.run(lambda unit: approvals.approve(unit, ESTATE, asked, sha, actor=actor, now=at(3 * DAY)) and None)


def probe_alone(writer: Writer) -> None:
    estate(writer, "single")
    play(writer, 1, [(DAY, 150_000, None), (2 * DAY, 250_000, None)])
    with pytest.raises(Refused, match="second person"):
        take_back(writer, 2 * DAY)


def test_above_the_limit_one_person_is_not_enough(engine: Engine, writer: Writer) -> None:
    probe_alone(writer)
    before = live(writer, 1)
    asked = ask(writer, 2 * DAY)
    assert live(writer, 1) == before
    [row] = rows(engine, "approval")
    assert json.loads(str(row["payload"]))["moved_fen"] == 6139
    with pytest.raises(Refused, match="second person"):
        approve(engine, writer, asked, actor="anna")
    approve(engine, writer, asked)
    assert [one["verdict"] for one in rows(engine, "reading")] == ["accepted", "revoked"]
    agrees(engine)


def test_without_the_limit_one_would_be(sqlite_engine: Engine, monkeypatch) -> None:
    monkeypatch.setattr(voiding, "ALONE_MAX_FEN", 10**9)
    writer = Writer(sqlite_engine)
    try:
        with pytest.raises(BaseException, match="DID NOT RAISE"):
            probe_alone(writer)
    finally:
        writer.stop()


def test_below_the_limit_it_is_done_at_once(engine: Engine, writer: Writer) -> None:
    estate(writer, "single")
    play(writer, 1, FLAT)
    assert ask(writer, 8 * HOUR) == ""
    assert rows(engine, "approval") == []
    assert [one["kind"] for one in rows(engine, "batch")].count("void") == 1


def test_charges_that_changed_meanwhile_are_not_what_was_approved(engine: Engine, writer: Writer) -> None:
    estate(writer, "single")
    play(writer, 1, [(DAY, 150_000, None), (2 * DAY, 250_000, None)])
    asked = ask(writer, 2 * DAY)
    play(writer, 1, [(2 * DAY + HOUR, 251_000, None)])
    with pytest.raises(Conflict, match="have changed"):
        approve(engine, writer, asked)


# verify


def test_verify_misses_a_mirror_and_sees_a_wrong_one(engine: Engine, writer: Writer, monkeypatch) -> None:
    estate(writer, "single")
    play(writer, 1, FLAT[:2])
    reading_table = schema.reading
    where = reading_table.c.read_at == START_S + 2 * HOUR
    writer.run(
        lambda unit: unit.connection.execute(reading_table.update().where(where).values(verdict="revoked")) and None
    )
    assert report(engine).mismatches, "a reading that nobody took back does not count any more"
    act = (ESTATE, meter_id(1), START_S + 2 * HOUR, 1, "accepted", "revoked", "", "", 0, 0)
    writer.run(lambda unit: unit.connection.execute(schema.reading_act.insert().values(act)) and None)
    details = [one.detail for one in report(engine).mismatches]
    assert any("was taken back" in one for one in details)
    writer.run(
        lambda unit: unit.connection.execute(reading_table.update().where(where).values(verdict="accepted")) and None
    )
    honest = voiding.mirror
    monkeypatch.setattr(
        voiding, "mirror", lambda line, *rest: honest(line._replace(charge_nf=line.charge_nf + 1), *rest)
    )
    take_back(writer, 2 * HOUR)
    assert {one.invariant for one in report(engine).mismatches} == {6}


def test_verify_without_the_mirrors_of_a_chain_disagrees(engine: Engine, writer: Writer, monkeypatch) -> None:
    estate(writer, "single")
    play(writer, 1, FLAT)
    take_back(writer, 3 * HOUR)
    agrees(engine)
    monkeypatch.setattr(MeterChain, "take_back", lambda *_args, **_more: None)
    assert report(engine).mismatches == ()  # the arrays go on from what a line says
    monkeypatch.setattr("server.flows.verification.VOID", "none")
    assert report(engine).mismatches != ()


# what is told of the bill


def test_bills_tell_a_taken_back_charge_as_booked_and_the_new_one_as_worked_out(engine: Engine, writer: Writer) -> None:
    estate(writer, "single")
    play(writer, 1, FLAT)
    take_back(writer, 3 * HOUR)
    with reader(engine) as connection:
        month = bills.explain(connection, ESTATE, f"{account_id(1)}:2026-10")
        newest = bills.explain(connection, ESTATE, account_id(1))
    assert [one.differences for one in (*month.lines, *newest.lines) if one.differences] == []
    assert sum(one.derived.energy_wh for one in month.lines if one.derived is not None) == 4000


def test_sums_of_a_period_count_each_watt_hour_once(engine: Engine, writer: Writer) -> None:
    estate(writer, "single")
    play(writer, 1, FLAT)
    play(writer, 2, FLAT, without=3 * HOUR)
    take_back(writer, 3 * HOUR)
    sums = PeriodSums([START_S - DAY, START_S + DAY], [0, 10**6], {})
    with reader(engine) as connection:
        for window in Journal(connection, ESTATE).windows():
            sums.take(window.batches, window.lines)
    [(_, rows_)] = list(sums.complete(10**6))
    own, twin = (next(one for one in rows_ if one.account_id == account_id(n)) for n in (1, 2))
    assert (own.charge_nf, own.energy_wh) == (twin.charge_nf, twin.energy_wh)
    assert own.energy_wh == 4000


def test_a_settlement_period_that_has_ended_is_not_opened_again(sqlite_engine: Engine) -> None:
    writer = Writer(sqlite_engine)
    try:
        estate(writer, "shared")
        play(writer, 1, [(MONTH_END - HOUR, 100, by_rates(100, 0)), (MONTH_END + HOUR, 900, by_rates(800, 100))])
        with pytest.raises(Refused, match="settlement period that has ended"):
            take_back(writer, MONTH_END - HOUR)
    finally:
        writer.stop()
