"""Closing days and months: what belongs to a period, what keeps it open, and that a close never changes."""

from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, text

from server.clock import Now
from server.domain.settlement import Settlement, Sums, sums_sha256
from server.errors import Conflict, NotFound, Refused
from server.flows import settlement as flow
from server.flows.fees import post_fee
from server.flows.verification import verify
from server.flows.voiding import take_back
from server.store import settlement as kept
from server.store.engine import open_engine, reader
from server.store.statements import lines_in
from server.store.writer import Writer
from tests.server.books import agrees, charge, post_topup, read, reading, report
from tests.server.estates import BY_RATES, ESTATE, SINGLE, START_S, at, household, plant
from tests.server.local_writer import rolled_back

DAY = 86_400
MIDNIGHT = DAY - (9 * 3600 + 5 * 60)  # of 14 October, after the start at 09:05 of the 13th
FIRST, SECOND = "2026-10-13", "2026-10-14"


def close(writer: Writer, kind: str, period: str, world_s: int, override: str = "") -> Settlement:
    now = at(world_s)

    def unit_of(unit):
        drafted = flow.draft(unit.connection, ESTATE, kind, period, now)
        return flow.close(unit, ESTATE, drafted, actor="li", override=override, now=now)

    return writer.run(unit_of)


def sums_of(engine: Engine, kind: str, period: str) -> dict[str, Sums]:
    with reader(engine) as connection:
        return {row.account_id: row for row in kept.sums(connection, ESTATE, kind, period)}


def top_up(writer: Writer, world_s: int, amount_fen: int, key: str, account: str = "H0001") -> None:
    writer.run(
        lambda unit: post_topup(
            unit, ESTATE, account, amount_fen, provider="cash", idem_key=key, event_at=START_S + world_s, actor="c",
            now=at(world_s),
        )
    )  # fmt: skip


def read_both(writer: Writer, world_s: int, used_wh: int) -> None:
    read(writer, *(reading(number, world_s, 1_000_000 + used_wh) for number in (1, 2)))
    charge(writer, world_s)


def test_a_day_fixes_what_was_used_paid_and_left(engine: Engine, writer: Writer) -> None:
    plant(writer, [household(1), household(2, tariff_id="tou", start_rates_wh=(0, 600_000, 0, 400_000))],
          tariffs=(SINGLE, BY_RATES))  # fmt: skip
    read(writer, reading(1, 3600, 1_002_000), reading(2, 3600, 1_003_000, (0, 602_500, 0, 400_500)))
    charge(writer, 3600)
    top_up(writer, 7200, 10_000, "t")
    read(writer, reading(1, MIDNIGHT, 1_004_000), reading(2, MIDNIGHT, 1_004_000, (0, 603_000, 0, 401_000)))
    charge(writer, MIDNIGHT)
    read(writer, reading(1, MIDNIGHT + 900, 1_004_500), reading(2, MIDNIGHT + 900, 1_004_000, (0, 603_000, 0, 401_000)))
    charge(writer, MIDNIGHT + 3600)
    closed = close(writer, "day", FIRST, MIDNIGHT + 7200)
    found = sums_of(engine, "day", FIRST)
    first, second = found["H0001"], found["H0002"]
    assert (first.opening_fen, first.energy_wh, first.rates_wh) == (0, 4000, (0, 0, 0, 0))
    assert first.kinds == {"opening": 5000, "topup": 10_000, "charge": -236}  # 4 kWh at 0.58886875 are 2.35547 yuan
    assert first.closing_fen == 5000 + 10_000 - 236
    assert (second.energy_wh, second.rates_wh) == (4000, (0, 3000, 0, 1000))
    assert second.kinds["charge"] == -(3 * 90 + 30)
    assert found["revenue"].kinds == {"charge": 236 + 300}
    assert sum(row.closing_fen for row in found.values()) == 0
    assert closed.energy_wh == 8000
    assert agrees(engine).settlements == 1


def test_what_is_booked_late_falls_into_the_open_period_with_its_own_time(engine: Engine, writer: Writer) -> None:
    plant(writer)
    read_both(writer, MIDNIGHT + 60, 1000)
    close(writer, "day", FIRST, MIDNIGHT + 7200)
    top_up(writer, 3600, 700, "late")  # an event of the 13th, booked when that is closed
    read_both(writer, MIDNIGHT + DAY + 60, 2000)
    close(writer, "day", SECOND, MIDNIGHT + DAY + 7200)
    first, second = sums_of(engine, "day", FIRST)["H0001"], sums_of(engine, "day", SECOND)["H0001"]
    assert (first.kinds, first.late_lines) == ({"opening": 5000}, 0)
    assert (second.late_lines, second.late_fen, second.kinds["topup"]) == (1, 700, 700)
    assert second.opening_fen == first.closing_fen
    assert second.kinds["charge"] == -59  # what was read at 00:01 ended on the 14th
    agrees(engine)


def test_days_and_months_are_closed_each_in_their_own_row(engine: Engine, writer: Writer) -> None:
    plant(writer)
    read_both(writer, 20 * DAY, 30_000)
    close(writer, "month", "2026-10", 20 * DAY)
    for day in (FIRST, SECOND):
        close(writer, "day", day, 20 * DAY)
    month = sums_of(engine, "month", "2026-10")["H0001"]
    assert (
        month.kinds["charge"] == -1645
    )  # 27,932 of 30,000 Wh by time until the tariff's boundary at the end of the month
    assert sums_of(engine, "day", FIRST)["H0001"].kinds == {"opening": 5000}
    with pytest.raises(Refused, match="2026-10-15"):
        close(writer, "day", "2026-10-16", 20 * DAY)
    assert agrees(engine).settlements == 3


def test_the_second_close_changes_nothing(engine: Engine, writer: Writer) -> None:
    plant(writer)
    read_both(writer, MIDNIGHT + 60, 1000)
    now = at(MIDNIGHT + 7200)
    with reader(engine) as connection:
        drafted = flow.draft(connection, ESTATE, "day", FIRST, now)
    first = writer.run(lambda unit: flow.close(unit, ESTATE, drafted, actor="li", now=now))
    top_up(writer, 60, 300, "late")
    assert writer.run(lambda unit: flow.close(unit, ESTATE, drafted, actor="wu", now=at(MIDNIGHT + 9000))) == first
    with pytest.raises(Conflict, match="closed already"):
        close(writer, "day", FIRST, MIDNIGHT + 9000)
    assert agrees(engine).settlements == 1


def test_two_drafts_of_one_row_do_not_both_go_in(engine: Engine, writer: Writer) -> None:
    plant(writer)
    read_both(writer, MIDNIGHT + DAY + 60, 1000)
    now = at(MIDNIGHT + DAY + 7200)
    with reader(engine) as connection:
        drafts = [flow.draft(connection, ESTATE, "day", day, now) for day in (FIRST, SECOND)]
    writer.run(lambda unit: flow.close(unit, ESTATE, drafts[0], actor="li", now=now))
    with pytest.raises(Conflict, match="meanwhile"):
        writer.run(lambda unit: flow.close(unit, ESTATE, drafts[1], actor="li", now=now))


@pytest.mark.parametrize(("period", "world_s"), [(FIRST, MIDNIGHT - 1), ("2026-11-01", 0)])
def test_what_has_not_ended_stays_open(engine: Engine, writer: Writer, period: str, world_s: int) -> None:
    plant(writer)
    with pytest.raises(Refused, match="not ended"):
        close(writer, "day", period, world_s)


@pytest.mark.parametrize(("kind", "period"), [("day", "2026-10"), ("month", FIRST), ("year", "2026"), ("day", "x"),
                                              ("day", "2026-02-30"), ("month", "9999-12")])  # fmt: skip
def test_what_is_no_period_is_not_found(engine: Engine, writer: Writer, kind: str, period: str) -> None:
    plant(writer)
    with pytest.raises(NotFound):
        close(writer, kind, period, 0)


def test_a_meter_that_was_not_read_needs_a_reason(engine: Engine, writer: Writer) -> None:
    plant(writer)
    read(writer, reading(1, MIDNIGHT + 60, 1_001_000))
    charge(writer, MIDNIGHT + 60)
    with pytest.raises(Refused, match=r"0 readings are held and 1 meters"):
        close(writer, "day", FIRST, MIDNIGHT + 7200)
    with pytest.raises(Refused):
        close(writer, "day", FIRST, MIDNIGHT + 7200, "  ")
    closed = close(writer, "day", FIRST, MIDNIGHT + 7200, "meter of 1-0002 is being repaired")
    assert closed.override == "meter of 1-0002 is being repaired"
    assert '"missing_meters": ["202600000002"]' in closed.doubts
    agrees(engine)


def test_a_held_reading_needs_a_reason(engine: Engine, writer: Writer) -> None:
    plant(writer)
    read_both(writer, 3600, 1000)
    read(writer, reading(1, 7200, 1_000_500))  # backwards, within the day
    with reader(engine) as connection:
        doubts = kept.doubts_at(connection, ESTATE, START_S + MIDNIGHT)
        later = kept.doubts_at(connection, ESTATE, START_S + 7200)
    assert (doubts.held, doubts.held_meters, doubts.missing) == (1, ("202600000001",), 2)
    assert later.held == 0  # it was read at the end of that span, not before


def test_nothing_is_closed_over_wrong_books(engine: Engine, writer: Writer) -> None:
    plant(writer)
    read_both(writer, MIDNIGHT + 60, 1000)
    writer.run(lambda unit: unit.connection.execute(
        text("UPDATE account SET balance_fen = balance_fen + 1 WHERE account_id = 'H0001'")
    ) and None)  # fmt: skip
    with pytest.raises(Refused, match="account H0001 stands at"):
        close(writer, "day", FIRST, MIDNIGHT + 7200)


def test_a_large_close_goes_in_steps_and_on_where_it_was_broken_off(
    engine: Engine, writer: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(flow, "SUMS_AT_ONCE", 2)
    plant(writer)
    read_both(writer, MIDNIGHT + 60, 1000)
    now = at(MIDNIGHT + 7200)

    def steps():
        with reader(engine) as connection:
            drafted = flow.draft(connection, ESTATE, "day", FIRST, now)
        return drafted, flow.steps(ESTATE, drafted, actor="li", now=now)

    first, units = steps()
    assert len(units) == 4  # begin, two times two sums, the header
    for unit in units[:2]:
        writer.run(unit)
    assert agrees(engine).settlements == 0  # half a close is none, and no mistake
    top_up(writer, MIDNIGHT + 100, 700, "meanwhile")
    again, rest = steps()
    assert again.settlement.through_seq == first.settlement.through_seq
    assert again.sums == first.sums
    assert [writer.run(unit) for unit in rest][-1].sums_sha256 == first.settlement.sums_sha256
    assert agrees(engine).settlements == 1
    close(writer, "day", SECOND, MIDNIGHT + DAY + 7200, "not read")
    assert sums_of(engine, "day", SECOND)["H0001"].kinds["topup"] == 700
    assert agrees(engine).settlements == 2


def test_a_close_that_has_begun_is_not_ended_through_another_batch(
    engine: Engine, writer: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant(writer)
    read_both(writer, MIDNIGHT + 60, 1000)
    now = at(MIDNIGHT + 7200)
    with reader(engine) as connection:
        early = flow.draft(connection, ESTATE, "day", FIRST, now)
    top_up(writer, 60, 300, "late")
    with reader(engine) as connection:
        other = flow.draft(connection, ESTATE, "day", FIRST, now)
    monkeypatch.setattr(flow, "SUMS_AT_ONCE", 2)
    writer.run(flow.steps(ESTATE, early, actor="li", now=now)[0])
    for unit in flow.steps(ESTATE, other, actor="li", now=now):
        with pytest.raises(Conflict, match="another batch"):
            writer.run(unit)


EDITS = (
    "UPDATE settlement_sum SET closing_fen = closing_fen + 1 WHERE account_id = 'H0001'",
    "UPDATE settlement_sum SET by_kind = '{}' WHERE account_id = 'H0002'",
    "DELETE FROM settlement_sum WHERE account_id = 'H0001'",
    "UPDATE settlement SET through_seq = through_seq + 1",
    "UPDATE settlement SET energy_wh = energy_wh + 1",
    "UPDATE settlement SET turnover = '{}'",
    "UPDATE settlement SET override = 'fine'",
    "UPDATE settlement SET to_at = to_at + 1",
    "DELETE FROM settlement",
)


@pytest.mark.parametrize("edit", EDITS)
def test_verify_finds_an_edited_close(sqlite_engine: Engine, edit: str) -> None:
    writer = Writer(sqlite_engine)
    plant(writer)
    read_both(writer, MIDNIGHT + 60, 1000)
    close(writer, "day", FIRST, MIDNIGHT + 7200)
    assert report(sqlite_engine).mismatches == ()
    table = "settlement_sum" if "settlement_sum" in edit else "settlement"
    verb = edit.split(maxsplit=1)[0]
    writer.run(lambda unit: unit.connection.execute(text(f"DROP TRIGGER {table}_no_{verb}")) and None)
    writer.run(lambda unit: unit.connection.execute(text(edit)) and None)
    writer.stop()
    wrong = report(sqlite_engine).mismatches
    assert {one.invariant for one in wrong} == {7, 8}  # 7: the trigger is gone


def test_verify_finds_a_close_that_says_otherwise_than_the_journal(sqlite_engine: Engine) -> None:
    """A forger who writes sums, hash and header anew still contradicts the lines."""
    writer = Writer(sqlite_engine)
    plant(writer)
    read_both(writer, MIDNIGHT + 60, 1000)
    now = at(MIDNIGHT + 7200)
    with reader(sqlite_engine) as connection:
        drafted = flow.draft(connection, ESTATE, "day", FIRST, now)
    rows = [row._replace(closing_fen=row.closing_fen + 5) if row.account_id == "H0001" else row for row in drafted.sums]
    forged = replace(drafted, sums=rows, settlement=replace(drafted.settlement, sums_sha256=sums_sha256(rows)))
    writer.run(lambda unit: flow.close(unit, ESTATE, forged, actor="x", now=now))
    writer.stop()
    wrong = report(sqlite_engine).mismatches
    assert any(one.invariant == 8 and "account H0001" in one.detail for one in wrong)


ACTS = st.lists(
    st.tuples(
        st.sampled_from(("use", "pay", "fee", "day", "month")),
        st.integers(1, 2),
        st.integers(0, 3 * DAY),
        st.integers(1, 5000),
    ),
    min_size=4,
    max_size=10,
)


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(acts=ACTS)
def test_any_history_closes_to_the_same_balances(database_url: str, acts) -> None:
    """Closes follow each other without a gap, balance, and verify derives each of them again."""
    engine = open_engine(database_url)
    with rolled_back(engine) as writer:
        plant(writer)
        clock, used = 0, {1: 1_000_000, 2: 1_000_000}
        for number, (act, home, seconds, amount) in enumerate(acts):
            if act == "use":
                clock += seconds // 4
                used[home] += amount // 10 * 10
                read(writer, reading(home, clock, used[home]))
                charge(writer, clock)
            elif act == "pay":
                top_up(writer, clock - seconds, amount, f"k{number}", f"H000{home}")
            elif act == "fee":
                fee(writer, clock - seconds, home, amount, f"f{number}")
            else:
                clock += DAY if act == "day" else 25 * DAY
                close_next(writer, act, clock)
        connection = writer._connection
        assert verify(connection, ESTATE).mismatches == ()
        for kind in ("day", "month"):
            before: dict[str, int] = {}
            for one in kept.settlements(connection, ESTATE, kind):
                rows = kept.sums(connection, ESTATE, kind, one.period)
                assert sum(row.closing_fen for row in rows) == 0
                for row in rows:
                    if before:
                        assert row.opening_fen == before.get(row.account_id, 0)
                    assert row.opening_fen + sum(row.kinds.values()) == row.closing_fen
                before = {row.account_id: row.closing_fen for row in rows}
                assert_lines_make(connection, one, [row for row in rows if row.account_id.startswith("H")])
    engine.dispose()


def assert_lines_make(connection, closed: Settlement, rows: list[Sums]) -> None:
    """What a statement lists must be what the close has summed, although both find it by roads of their own."""
    for row in rows:
        lines = lines_in(connection, ESTATE, closed, [row.account_id])
        by_kind: dict[str, int] = {}
        for line in lines:
            by_kind[line.kind] = by_kind.get(line.kind, 0) + line.amount_fen
        assert {kind: fen for kind, fen in by_kind.items() if fen} == row.kinds
        assert (len(lines), sum(line.late for line in lines)) == (row.lines, row.late_lines)
        assert sum(line.energy_wh for line in lines) == row.energy_wh
        assert sum(line.charge_nf for line in lines) == row.charge_nf


def test_a_charge_that_was_taken_back_takes_its_energy_off_in_its_own_period(engine: Engine, writer: Writer) -> None:
    plant(writer)
    for hour in range(1, 6):
        read_both(writer, hour * 3600, hour * 500)
    read_both(writer, MIDNIGHT + 3600, 4000)
    writer.run(
        lambda unit: take_back(
            unit,
            ESTATE,
            "202600000001",
            START_S + 3 * 3600,
            actor="li",
            reason="a wrong digit",
            now=at(MIDNIGHT + 3700),
        )
    )
    closed = close(writer, "day", FIRST, MIDNIGHT + 7200)
    with reader(engine) as connection:
        rows = kept.sums_of(connection, ESTATE, "day", FIRST, ["H0001", "H0002"])
        assert_lines_make(connection, closed, list(rows.values()))
    assert [rows[name].energy_wh for name in ("H0001", "H0002")] == [2500, 2500]
    assert "void" in rows["H0001"].kinds
    assert "void" not in rows["H0002"].kinds
    agrees(engine)


def close_next(writer, kind: str, clock: int) -> None:
    now: Now = at(clock)

    def unit_of(unit):
        due = flow.following(unit.connection, ESTATE, kind, now)
        if due.over:
            drafted = flow.draft(unit.connection, ESTATE, kind, due.period, now)
            flow.close(unit, ESTATE, drafted, actor="li", override="as it is", now=now)

    writer.run(unit_of)


def fee(writer, world_s: int, home: int, amount_fen: int, key: str) -> None:
    writer.run(
        lambda unit: post_fee(
            unit, ESTATE, f"H000{home}", "shared", amount_fen, idem_key=key, event_at=START_S + world_s, actor="c",
            memo="", now=at(0),
        )
    )  # fmt: skip
