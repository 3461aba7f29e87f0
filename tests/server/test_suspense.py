"""Money in suspense that becomes a household's: a top-up like any other, and a booking like any other of a person."""

import json
from typing import Any

import pytest
from sqlalchemy import Engine

from server.domain.ledger import SUSPENSE, Entry
from server.domain.money_rules import Standing
from server.domain.recovery import RecoveryRule
from server.errors import Conflict, NotFound, Refused, StaleLogin
from server.flows import approvals, money_rules, recovery, suspense
from server.flows.ledger import post_entries
from server.flows.partners import PartnerTopup, accept_topup
from server.flows.refunds import order_refund
from server.flows.suspense import Assigned
from server.store import audit, refunds, statistics
from server.store import money_rules as kept
from server.store.writer import Writer
from tests.server.books import HOUR, agrees, report, rows
from tests.server.estates import ESTATE, START_S, at, household, plant
from tests.server.lives import book, still_open, told
from tests.server.test_ledger import tamper
from tests.server.test_recovery import by_ledger, owe

LIMIT_FEN = 10_000  # `adjust_alone` of the estate


def lost(writer: Writer, engine: Engine, amount_fen: int) -> str:
    """Money of a third party for nobody known; the payment."""
    name = f"t-{amount_fen}"
    wish = PartnerTopup("wallet", name, "body", "nobody", None, amount_fen, name, at())
    writer.run(lambda unit: accept_topup(unit, ESTATE, wish))
    return next(str(row["payment_id"]) for row in rows(engine, "payment") if row["transaction_id"] == name)


def give(
    writer: Writer, payment_id: str, name: str = "H0001", world_s: int = HOUR, actor: str = "olga", **more: Any
) -> Assigned:
    words = {"reason": "she has the slip", "actor": actor, "now": at(world_s), **more}
    return writer.run(lambda unit: suspense.assign(unit, ESTATE, payment_id, name, **words))


def agree(writer: Writer, engine: Engine, approval_id: str, actor: str = "paul", **more: Any) -> str:
    sha256 = next(row["payload_sha256"] for row in rows(engine, "approval") if row["approval_id"] == approval_id)
    return writer.run(
        lambda unit: approvals.approve(unit, ESTATE, approval_id, str(sha256), actor=actor, now=at(HOUR), **more)
    )


def said(engine: Engine) -> list[str]:
    return [f"{one.invariant} {one.subject}: {one.detail}" for one in report(engine).mismatches]


def test_what_one_person_books_alone_in_a_day_counts_money_in_suspense(engine: Engine, writer: Writer) -> None:
    plant(writer)
    payment_id = lost(writer, engine, LIMIT_FEN - 3000)
    book(writer, 4000, "key-1")
    asked = give(writer, payment_id)
    assert (asked.batch_seq, bool(asked.approval_id), asked.balance_fen) == (None, True, 9000)
    assert give(writer, payment_id) == asked, "it is asked for once"
    with pytest.raises(Conflict, match="withdraw that first"):
        give(writer, payment_id, "H0002")
    assert "request" in still_open(engine, world_s=HOUR)
    with pytest.raises(Refused, match="you asked for it yourself"):
        agree(writer, engine, asked.approval_id, "olga")
    with pytest.raises(StaleLogin):
        agree(writer, engine, asked.approval_id, fresh=False)
    assert agree(writer, engine, asked.approval_id) == "assignment"
    assert by_ledger(engine)["electricity"] == 9000 + LIMIT_FEN - 3000
    assert told(engine)[-1] == ("assigned", LIMIT_FEN - 3000)
    other = lost(writer, engine, 6000)
    assert give(writer, other, actor="paul").batch_seq is not None, "another person has a limit of one's own"
    agrees(engine)


def test_beyond_the_limit_a_fresh_password_and_a_second_person_are_wanted(engine: Engine, writer: Writer) -> None:
    plant(writer)
    payment_id = lost(writer, engine, LIMIT_FEN + 1)
    with pytest.raises(StaleLogin):
        give(writer, payment_id, fresh=False)
    with pytest.raises(Refused, match="a key of the API"):
        give(writer, payment_id, actor="client:office")
    asked = give(writer, payment_id).approval_id
    words: dict[str, Any] = {
        "key": "k-1",
        "reason": "never ours",
        "actor": "olga",
        "approved_by": "paul",
        "now": at(HOUR),
    }
    writer.run(lambda unit: refunds.update_payment(unit.connection, ESTATE, payment_id, provider="sandbox"))
    writer.run(
        lambda unit: order_refund(unit, ESTATE, payment_id, LIMIT_FEN + 1, **words)
    )  # fmt: skip
    with pytest.raises(Conflict, match="on its way back"):
        agree(writer, engine, asked)
    assert by_ledger(engine)["electricity"] == 5000
    with pytest.raises(NotFound):
        give(writer, "nothing")


def test_it_pays_its_share_of_debts_and_the_household_is_told(engine: Engine, writer: Writer) -> None:
    plant(writer, [household(1, opening_fen=2000), household(2)])
    owe(writer, 4000)
    rule = RecoveryRule(START_S, 300, ("arrears",))
    writer.run(lambda unit: recovery.set_rule(unit, ESTATE, rule, actor="olga", now=at()))
    payment_id = lost(writer, engine, 9000)
    assert give(writer, payment_id).balance_fen == 2000 + 9000 - 2700
    assert by_ledger(engine)["arrears"] == -1300
    [notice] = [row for row in rows(engine, "notice") if row["kind"] == "topup" and row["channel"] == "page"]
    assert json.loads(str(notice["arguments"])) == {
        "amount_fen": 9000, "recovered_fen": 2700, "balance_fen": 8300, "room": "1-0001",
    }  # fmt: skip
    agrees(engine)
    seq = "(SELECT batch_seq FROM batch WHERE kind = 'recovery')"
    tamper(engine, "line", f"DELETE FROM line WHERE batch_seq = {seq}")
    tamper(engine, "batch", f"DELETE FROM batch WHERE batch_seq = {seq}")
    assert f"5 payment {payment_id}: no share of it was booked, though debts were owed" in said(engine)


def test_invariant_05_money_out_of_suspense_is_told_and_was_agreed_to(engine: Engine, writer: Writer) -> None:
    plant(writer)
    payment_id = lost(writer, engine, LIMIT_FEN + 1)
    agree(writer, engine, give(writer, payment_id).approval_id)
    agrees(engine)
    tamper(engine, "approval", "UPDATE approval SET approved_by = 'quinn'")
    assert said(engine) == ["5 account H0001, event 2: paul never agreed to it"]
    tamper(engine, "account_event", "DELETE FROM account_event WHERE act = 'assigned'")
    [wrong] = said(engine)
    assert wrong.endswith("is of the kind assignment, but no account's life tells of it")


def as_before(writer: Writer, payment_id: str, amount_fen: int) -> None:
    """One person gives money to a household as it was done before that was told in the account's life."""

    now = at(HOUR)

    def work(unit: Any) -> None:
        entries = (Entry("H0001", amount_fen), Entry(SUSPENSE, -amount_fen))
        key = f"assignment:{payment_id}"
        post_entries(unit, ESTATE, "assignment", "H0001", entries, key, now.world_s, "olga", "the slip", now)
        refunds.update_payment(unit.connection, ESTATE, payment_id, state="assigned", account_id="H0001")
        audit.record(unit.connection, ESTATE, "olga", "suspense.assigned", payment_id, now, "")

    writer.run(work)


def test_invariant_05_what_was_given_before_the_rule_is_held_to_nothing(
    engine: Engine, writer: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(kept, "ACTS_TOLD", {})
        plant(writer)
    owe(writer, 4000)
    writer.run(
        lambda unit: recovery.set_rule(unit, ESTATE, RecoveryRule(START_S, 300, ("arrears",)), actor="olga", now=at())
    )
    as_before(writer, lost(writer, engine, LIMIT_FEN + 1), LIMIT_FEN + 1)
    assert said(engine) == ["6 estate: bookings that are told is {'assignment': 'assigned'}, should be {}"]

    def begin(unit: Any) -> None:
        after = kept.standing(unit.connection, ESTATE)
        before = Standing(after.tariff_of, after.definitions, after.alone_fen)
        money_rules.keep_rules(unit, ESTATE, before, after, "upgrade", at(HOUR))

    writer.run(begin)
    agrees(engine)
    as_before(writer, lost(writer, engine, 5000), 5000)
    told_of, shared = said(engine)
    assert told_of.endswith("is of the kind assignment, but no account's life tells of it")
    assert shared.endswith("no share of it was booked, though debts were owed")


def test_it_is_sold_once_and_on_the_day_when_it_was_given(engine: Engine, writer: Writer) -> None:
    plant(writer)
    with engine.connect() as connection:
        before = statistics.sold(connection, ESTATE, 0)
    given, waiting = lost(writer, engine, 6000), lost(writer, engine, 700)
    day_s = 86_400
    give(writer, given, world_s=day_s)
    with engine.connect() as connection:
        count, fen = statistics.sold(connection, ESTATE, 0)
        assert (count - before[0], fen - before[1]) == (1, 6000)
        assert statistics.sold(connection, ESTATE, START_S + day_s) == (1, 6000)
        assert statistics.sold(connection, ESTATE, START_S + day_s + 1) == (0, 0)
        [found] = [one for one in statistics.topups(connection, ESTATE, 0) if one.provider == SUSPENSE]
        assert (found.event_at, found.account_id, found.amount_fen) == (START_S + day_s, "H0001", 6000)
        assert {one.amount_fen for one in statistics.topups(connection, ESTATE, 0)}.isdisjoint({700})
        assert statistics.topups(connection, ESTATE, START_S + day_s + 1) == []
    give(writer, waiting, "H0002", world_s=2 * day_s)
    with engine.connect() as connection:
        assert statistics.sold(connection, ESTATE, START_S + day_s) == (2, 6700)
        assert [one.amount_fen for one in statistics.topups(connection, ESTATE, START_S + day_s)] == [6000, 700]
