"""Debts paid by a plan: each instalment once on its day, never so much that power would be lost, told and verified."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Engine, text

from server.clock import Clock
from server.domain.debt_plans import DebtPlan, days_due, instalment, next_due
from server.domain.ledger import Entry
from server.domain.recovery import Standing
from server.errors import Conflict, NotFound, Refused
from server.flows import debt_plans as flows
from server.flows.ledger import post_entries
from server.flows.verification import verify
from server.jobs.debt_plans import DebtPlanJob
from server.store import debt_plans as kept
from server.store.engine import reader
from server.store.writer import Writer
from tests.server.books import agrees, rows
from tests.server.estates import ESTATE, at, household, plant
from tests.server.lives import book, final, out, still_open
from tests.server.lives import told as lives
from tests.server.test_recovery import by_ledger, owe

DAY_S = 86_400
TODAY = "2026-10-13"  # the estate's first day, a Tuesday
WEEKLY = DebtPlan(1500, "week", 5, TODAY, ("arrears", "shared"))  # Fridays: 16, 23, 30 October
WHO = {"reason": "agreed at the counter", "actor": "li"}


def test_days_are_due_each_week_or_month_and_never_before_the_plan():
    assert next_due(WEEKLY, "") == "2026-10-16"
    assert days_due(WEEKLY, "", "2026-10-30") == ["2026-10-16", "2026-10-23", "2026-10-30"]
    assert days_due(WEEKLY, "2026-10-16", "2026-10-22") == []
    monthly = DebtPlan(1, "month", 28, "2027-01-28", ("arrears",))
    assert days_due(monthly, "", "2027-03-31") == ["2027-01-28", "2027-02-28", "2027-03-28"]
    assert next_due(DebtPlan(1, "week", 2, TODAY, ("arrears",)), "") == TODAY, "the first day counts"


@given(
    st.integers(-(10**6), 10**6), st.integers(-(10**4), 10**4), st.integers(0, 10**4), st.integers(0, 10**5),
    st.integers(0, 10**5), st.integers(1, 10**6),
)  # fmt: skip
def test_an_instalment_never_takes_what_power_needs(balance_fen, close_fen, alarm2_fen, arrears, shared, wanted_fen):
    plan = DebtPlan(wanted_fen, "week", 1, TODAY, ("arrears", "shared"))
    parts = instalment(plan, Standing(balance_fen, close_fen, alarm2_fen, {"arrears": arrears, "shared": shared}))
    taken_fen = sum(parts.values())
    assert taken_fen <= min(wanted_fen, arrears + shared)
    assert all(fen > 0 for fen in parts.values())
    if taken_fen:
        assert balance_fen - taken_fen > close_fen
        assert balance_fen - taken_fen >= alarm2_fen
    room_fen = balance_fen - max(close_fen + 1, alarm2_fen)
    assert taken_fen == max(0, min(wanted_fen, arrears + shared, room_fen)), "and all that it may"


WRONG = [
    DebtPlan(0, "week", 1, TODAY, ("arrears",)), DebtPlan(10**7, "week", 1, TODAY, ("arrears",)),
    DebtPlan(1, "year", 1, TODAY, ("arrears",)), DebtPlan(1, "week", 8, TODAY, ("arrears",)),
    DebtPlan(1, "month", 29, TODAY, ("arrears",)), DebtPlan(1, "week", 1, TODAY, ()),
    DebtPlan(1, "week", 1, TODAY, ("electricity",)), DebtPlan(1, "week", 1, "2026-10-12", ("arrears",)),
    DebtPlan(1, "week", 1, TODAY, ("property",)),
]  # fmt: skip


@pytest.mark.parametrize("plan", WRONG, ids=repr)
def test_a_plan_that_cannot_be_followed_is_refused(sqlite_engine: Engine, plan: DebtPlan) -> None:
    writer = Writer(sqlite_engine)
    plant(writer)
    owe(writer, 4000)
    with pytest.raises(Refused):
        agree(writer, plan)
    writer.stop()
    assert rows(sqlite_engine, "debt_plan") == []


def agree(writer: Writer, plan: DebtPlan = WEEKLY, name: str = "H0001") -> int:
    return writer.run(lambda unit: flows.set_plan(unit, ESTATE, name, plan, now=at(), **WHO))


def take(writer: Writer, days: int, number: int = 1) -> int:
    return writer.run(lambda unit: flows.take_due(unit, ESTATE, number, at(days * DAY_S)))


def told(engine: Engine) -> list[tuple[str, dict[str, object]]]:
    found = [row for row in rows(engine, "notice") if row["channel"] == "page"]
    kinds = ("plan_set", "instalment", "instalment_missed")
    ordered = sorted(found, key=lambda row: row["event_at"])
    return [(row["kind"], json.loads(row["arguments"])) for row in ordered if row["kind"] in kinds]


def test_instalments_are_taken_once_each_and_end_with_the_debt(engine: Engine, writer: Writer) -> None:
    plant(writer, [household(1, opening_fen=9000), household(2)])
    owe(writer, 4000)
    agree(writer)
    assert (take(writer, 2), take(writer, 3), take(writer, 4)) == (0, 1500, 0)
    assert by_ledger(engine)["arrears"] == -2500
    assert take(writer, 17) == 2500, "two were due meanwhile, the last one only what was owed"
    assert by_ledger(engine) == {"electricity": 5000, "shared": 0, "property": 0, "arrears": 0}
    [plan] = rows(engine, "debt_plan")
    assert plan["ended_by"] == "system"
    assert [(row["due_day"], row["taken_fen"]) for row in rows(engine, "debt_instalment")] == [
        ("2026-10-16", 1500), ("2026-10-23", 1500), ("2026-10-30", 1000),
    ]  # fmt: skip
    first, *rest = told(engine)
    assert (first[0], first[1]["due_day"], first[1]["owed_fen"]) == ("plan_set", "2026-10-16", 4000)
    assert sorted((kind, said["amount_fen"], said["owed_fen"]) for kind, said in rest) == [
        ("instalment", 1000, 0), ("instalment", 1500, 1000), ("instalment", 1500, 2500),
    ]  # fmt: skip
    agrees(engine)


def test_what_the_balance_has_no_room_for_is_told_and_not_taken_later(engine: Engine, writer: Writer) -> None:
    plant(writer, [household(1, opening_fen=1600), household(2)])  # 1000 is the second alarm
    owe(writer, 4000)
    agree(writer)
    assert (take(writer, 3), take(writer, 10)) == (600, 0)
    assert by_ledger(engine) == {"electricity": 1000, "shared": 0, "property": 0, "arrears": -3400}
    assert [(kind, said["missed_fen"]) for kind, said in told(engine)[1:]] == [
        ("instalment_missed", 900), ("instalment_missed", 1500),
    ]  # fmt: skip
    agrees(engine)


def test_an_instalment_that_settles_an_account_that_was_left_closes_it(engine: Engine, writer: Writer) -> None:
    plant(writer)
    owe(writer, 2500)
    out(writer, 0, final(1, 1_000_000))
    book(writer, -2500)
    agree(writer)
    assert (take(writer, 3), still_open(engine)) == (1500, ["balance", "balance"])
    assert take(writer, 10) == 1000, "nobody has power to keep there: all of the balance may go to the debt"
    assert by_ledger(engine) == {"electricity": 0, "shared": 0, "property": 0, "arrears": 0}
    assert lives(engine)[-1][0] == "closed"
    [plan] = rows(engine, "debt_plan")
    assert plan["ended_by"] == "system"
    agrees(engine)


def test_one_plan_runs_at_a_time_and_people_end_it(engine: Engine, writer: Writer) -> None:
    plant(writer, [household(1, opening_fen=9000), household(2)])
    owe(writer, 4000)
    agree(writer)
    with pytest.raises(Conflict, match="has a plan already"):
        agree(writer)
    for name in ("nobody", "H0001:arrears"):
        with pytest.raises(NotFound):
            agree(writer, name=name)
    end = {"reason": "paid at the counter", "actor": "li"}
    writer.run(lambda unit: flows.end_plan(unit, ESTATE, "H0001", now=at(DAY_S), **end))
    assert take(writer, 3) == 0
    with pytest.raises(NotFound, match="no plan"):
        writer.run(lambda unit: flows.end_plan(unit, ESTATE, "H0001", now=at(DAY_S), **end))
    assert agree(writer) == 2


def test_the_job_takes_what_is_due_unless_the_clock_is_in_doubt(engine: Engine, writer: Writer) -> None:
    plant(writer, [household(1, opening_fen=9000), household(2)])
    owe(writer, 4000)
    agree(writer)

    class Later(Clock):
        def now(self):
            return at(3 * DAY_S)

    sane = [False]
    job = DebtPlanJob(engine, writer, Later(), ESTATE, clock_sane=lambda: sane[0])
    job.run_once()
    assert rows(engine, "debt_instalment") == []
    sane[0] = True
    for _ in range(2):
        job.run_once()
    assert [row["taken_fen"] for row in rows(engine, "debt_instalment")] == [1500]
    with reader(engine) as connection:
        assert flows.due_plans(connection, ESTATE, at(3 * DAY_S)) == []
        assert len(kept.running(connection, ESTATE)) == 1


def test_verify_finds_an_instalment_that_nobody_owes(engine: Engine, writer: Writer) -> None:
    plant(writer, [household(1, opening_fen=9000), household(2)])
    owe(writer, 4000)
    entries = (Entry("H0001", -100), Entry("H0001:arrears", 100))
    writer.run(
        lambda unit: post_entries(
            unit, ESTATE, "instalment", "H0001", entries, "instalment:1:2026-10-16", at().world_s, "x", "", at()
        )
    )
    with reader(engine) as connection:
        assert [one.invariant for one in verify(connection, ESTATE).mismatches] == [5]


def test_verify_finds_an_edited_instalment(sqlite_engine: Engine) -> None:
    writer = Writer(sqlite_engine)
    plant(writer, [household(1, opening_fen=9000), household(2)])
    owe(writer, 4000)
    agree(writer)
    take(writer, 3)
    agrees(sqlite_engine)
    writer.run(lambda unit: unit.connection.execute(text("DROP TRIGGER debt_instalment_no_UPDATE")) and None)
    edit = text("UPDATE debt_instalment SET taken_fen = 1400, parts = '{\"arrears\": 1400}'")
    writer.run(lambda unit: unit.connection.execute(edit) and None)
    writer.stop()
    with reader(sqlite_engine) as connection:
        assert 5 in {one.invariant for one in verify(connection, ESTATE).mismatches}
