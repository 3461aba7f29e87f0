"""Money back: out of the balance first, to the payer once, and never a surprise for the power."""

from dataclasses import replace

import pytest

from server.domain.refunds import HAND_TRIES_MIN, LATE_MS
from server.errors import Conflict, NotFound, Refused
from server.flows import approvals, refunds, suspense
from server.flows.verification import verify
from server.pay.provider import RefundEvent, RefundState
from server.store import schema
from tests.server.estates import ESTATE, account_id, meter_id
from tests.server.local_writer import rolled_back
from tests.server.office import PAID_FEN, Office


@pytest.fixture
def office(writer):
    return Office(writer, households=2, opening_fen=0)


@pytest.fixture
def desk(sqlite_engine):
    """The same on SQLite alone, for rules that no database has to do with."""
    with rolled_back(sqlite_engine) as writer:
        yield Office(writer, households=2, opening_fen=0)


def test_money_leaves_the_balance_first_and_arrives_when_the_provider_says_so(office):
    refund_no = office.order(office.paid())
    assert office.books() == (3000, 2000, -PAID_FEN, 0)
    assert office.refund(refund_no)["status"] == "reserved"
    office.agrees()
    office.do(refunds.mark_asked, refund_no)
    assert office.hear(refund_no) == "refunded"
    assert office.books() == (3000, 0, -3000, 0)
    assert office.hear(refund_no, event_id="r2") == "repeat"
    assert office.books() == (3000, 0, -3000, 0)
    assert {row["channel"] for row in office.notices(1, "refund")} == {"page", "message"}
    office.agrees()


def test_what_the_provider_does_not_take_is_back_in_the_balance(office):
    refund_no = office.order(office.paid())
    office.do(refunds.mark_asked, refund_no)
    assert office.hear(refund_no, state=RefundState.FAILED) == "released"
    assert office.books() == (PAID_FEN, 0, -PAID_FEN, 0)
    assert office.refund(refund_no)["status"] == "released"
    assert office.notices(1, "refund_return")
    office.agrees()


def test_the_same_key_is_the_same_refund(office):
    payment_id = office.paid()
    first = office.order(payment_id)
    before = {table.name: office.rows(table) for table in schema.metadata.sorted_tables}
    assert office.order(payment_id) == first
    assert {table.name: office.rows(table) for table in schema.metadata.sorted_tables} == before
    with pytest.raises(Conflict, match="key"):
        office.order(payment_id, amount_fen=2001)
    assert office.order(payment_id, key="key-0002", amount_fen=500) != first


def test_never_more_goes_back_than_was_paid(office):
    payment_id = office.paid()
    office.pay(1, 10_000)
    office.order(payment_id, 3000)
    with pytest.raises(Refused, match="2000 fen can still be given back"):
        office.order(payment_id, 2001, key="key-0002")
    refund_no = office.order(payment_id, 2000, key="key-0003")
    office.do(refunds.mark_asked, refund_no)
    office.hear(refund_no, state=RefundState.FAILED)
    office.order(payment_id, 2000, key="key-0004")
    with pytest.raises(Refused, match="0 fen can still"):
        office.order(payment_id, 1, key="key-0005", approved_by="wang")
    office.agrees()


@pytest.mark.parametrize(
    ("amount_fen", "reason", "why"), [(0, "x", "positive"), (-5, "x", "positive"), (1, " ", "say why")]
)
def test_a_refund_needs_an_amount_and_a_reason(desk, amount_fen, reason, why):
    payment_id = desk.paid()
    with pytest.raises(Refused, match=why):
        desk.order(payment_id, amount_fen, reason=reason)
    with pytest.raises(NotFound):
        desk.order("nothing")
    assert desk.rows(schema.refund) == []


def test_what_is_consumed_goes_back_only_with_a_second_person(office):
    payment_id = office.paid()
    office.read(1)
    office.wait(20_000)
    office.read(1, 50_000)
    with pytest.raises(Refused, match=r"a second person must agree: only 20\d\d fen are not consumed"):
        office.order(payment_id, 2400)
    assert office.balance(1) == PAID_FEN
    refund_no, approval_id = office.ask(payment_id, 2400)
    assert refund_no == ""
    left_fen = office.balance(1)
    assert left_fen < 2400, "what was used until the last reading is charged before it is judged"
    [row] = office.rows(schema.approval)
    with pytest.raises(Refused, match="second person"):
        office.do(approvals.approve, approval_id, row["payload_sha256"], actor="zhou")
    office.do(approvals.approve, approval_id, row["payload_sha256"], actor="wang")
    [found] = office.rows(schema.refund)
    assert (found["actor"], found["approved_by"], found["amount_fen"]) == ("zhou", "wang", 2400)
    assert office.ask(payment_id, 2400) == (found["refund_no"], ""), "a repeat is the same refund, and asks nobody"
    assert office.balance(1) == left_fen - 2400
    office.agrees()


def test_nothing_goes_back_out_of_a_closed_account(desk):
    payment_id = desk.paid()
    desk.set_account(1, status="closed")
    with pytest.raises(Refused, match="closed and settled"):
        desk.order(payment_id, 1, approved_by="wang")


def test_a_residue_is_consumed_money(desk):
    payment_id = desk.paid()
    desk.set_account(1, residue_nf=1)
    with pytest.raises(Refused, match="only 4999 fen"):
        desk.order(payment_id, PAID_FEN)
    desk.order(payment_id, PAID_FEN - 1)


def test_a_large_refund_needs_a_second_person(desk):
    payment_id = desk.paid(amount_fen=60_000)
    with pytest.raises(Refused, match="more than 50000 fen"):
        desk.order(payment_id, 50_001)
    desk.set(schema.estate, refund_alone_max_fen=100)
    refund_no, approval_id = desk.ask(payment_id, 101)
    assert not refund_no
    assert approval_id
    assert desk.ask(payment_id, 100)[0]


def test_a_refund_in_flight_never_cuts_anybody(office):
    """While nobody can tell, the money counts as still there; once it is gone, the household is warned anew."""
    payment_id = office.paid(1, 1000)
    office.read(1)
    office.wait(12_000)
    office.read(1, 18_000)
    office.charge()
    office.receive(1)
    assert office.notices(1, "cut_warning")
    office.wait(60)
    office.pay(1, 2000)
    refund_no = office.order(payment_id, 1000)
    cash = office.payment(provider="cash")["payment_id"]
    office.order(cash, office.balance(1) + 1, actor="cashier", approved_by="zhou")
    assert office.balance(1) == -1
    office.be_ready(1)
    candidate, decision = office.judged(1)
    assert "overdrawn" in decision.refusals
    assert candidate.facts.returning_fen == 1000
    assert office.trips() == []
    warned = len(office.notices(1, "cut_warning"))
    office.do(refunds.mark_asked, refund_no)
    office.hear(refund_no)
    _, decision = office.judged(1)
    assert "overdrawn" not in decision.refusals
    assert "notice_delivered" in decision.refusals, "the old warning was about another debt"
    assert office.trips() == []
    assert len(office.notices(1, "cut_warning")) > warned
    office.receive(1)
    office.be_ready(1)
    office.decide()
    assert [wish["meter_id"] for wish in office.trips()] == [meter_id(1)]


def test_an_alarm_that_a_refund_causes_is_told_by_the_next_charge(office):
    payment_id = office.paid()
    office.read(1)
    office.order(payment_id, 4500)
    assert office.notices(1, "alarm2") == []
    office.wait(900)
    office.read(1, 100)
    office.charge()
    assert office.notices(1, "alarm2")


def test_money_that_came_back_lifts_a_wish_to_cut(office):
    payment_id = office.paid(1, 10_000)
    refund_no = office.order(payment_id, 10_000)
    office.set(schema.supply, schema.supply.c.meter_id == meter_id(1), desired="open", cause="arrears")
    office.do(refunds.mark_asked, refund_no)
    office.hear(refund_no, state=RefundState.FAILED)
    assert office.supply(1)["desired"] == "closed"


@pytest.mark.parametrize(
    "changes",
    [{"amount_fen": 2001}, {"order_no": "another"}, {"provider": "alipay"}],
    ids=["amount", "order", "provider"],
)
def test_a_message_about_another_refund_changes_nothing_and_becomes_a_case(office, changes):
    refund_no = office.order(office.paid())
    office.do(refunds.mark_asked, refund_no)
    before = office.books()
    assert office.hear(refund_no, **changes) == "contradicted"
    assert office.books() == before
    assert office.cases() == [("refund_contradicted", "open")]


def test_a_refund_that_nobody_asked_for_becomes_a_case(office):
    office.paid()
    event = RefundEvent("sandbox", "r1", "by another hand", "o1", 100, RefundState.DONE)
    assert office.do(refunds.record_callback, event, "{}") == "unknown"
    assert office.do(refunds.record_callback, replace(event, event_id="r2"), "{}") == "unknown"
    assert office.books() == (PAID_FEN, 0, -PAID_FEN, 0)
    assert office.cases() == [("refund_unknown", "open")]


def test_a_provider_that_takes_its_word_back_becomes_a_case_and_moves_nothing(office):
    refund_no = office.order(office.paid())
    office.do(refunds.mark_asked, refund_no)
    office.hear(refund_no)
    assert office.hear(refund_no, event_id="r2", state=RefundState.FAILED) == "contradicted"
    office.do(refunds.hear, refund_no, RefundState.FAILED, "")
    assert office.books() == (3000, 0, -3000, 0)
    assert office.cases() == [("refund_contradicted", "open")]


@pytest.mark.parametrize("changes", [{"amount_fen": None}, {"state": RefundState.PENDING}])
def test_a_hint_is_no_proof_but_a_reason_to_ask_at_once(desk, changes):
    refund_no = desk.order(desk.paid())
    desk.do(refunds.mark_asked, refund_no)
    assert desk.refund(refund_no)["next_ms"] > desk.now.machine_ms
    assert desk.hear(refund_no, **changes) == "noted"
    assert (desk.refund(refund_no)["status"], desk.refund(refund_no)["next_ms"]) == ("asked", 0)


def test_a_refund_that_was_never_asked_for_is_not_done_because_somebody_says_so(desk):
    refund_no = desk.order(desk.paid())
    assert desk.hear(refund_no) == "noted"
    assert desk.refund(refund_no)["status"] == "reserved"


def test_after_a_day_without_an_answer_somebody_has_to_look(office):
    refund_no = office.order(office.paid())
    office.do(refunds.mark_asked, refund_no)
    office.do(refunds.note_open, refund_no, "no answer")
    assert office.cases() == []
    office.wait(LATE_MS // 1000)
    office.do(refunds.note_open, refund_no, "no answer")
    assert office.cases() == [("refund_open", "open")]
    office.hear(refund_no)
    assert office.cases() == [("refund_open", "closed")]


def test_a_person_decides_only_after_the_provider_was_asked_enough(office):
    refund_no = office.order(office.paid())
    office.do(refunds.mark_asked, refund_no)
    decide = {"refunded": False, "reason": "the platform shows none", "actor": "zhou", "approved_by": "wang"}
    for _ in range(HAND_TRIES_MIN):
        with pytest.raises(Refused, match="asked for"):
            office.do(refunds.decide_by_hand, refund_no, **decide)
        office.do(refunds.note_open, refund_no, "no answer")
    with pytest.raises(Refused, match="say why"):
        office.do(refunds.decide_by_hand, refund_no, **{**decide, "reason": " "})
    for alone in ("", "zhou"):
        with pytest.raises(Refused, match="second person"):
            office.do(refunds.decide_by_hand, refund_no, **{**decide, "approved_by": alone})
    office.do(refunds.decide_by_hand, refund_no, **decide)
    assert office.books() == (PAID_FEN, 0, -PAID_FEN, 0)
    with pytest.raises(Conflict, match="decided already"):
        office.do(refunds.decide_by_hand, refund_no, **decide)
    assert office.hear(refund_no) == "contradicted", "it was paid out after all: somebody must know"
    office.agrees()


BROKEN = ["post_entries", "kept.add_refund", "notices.enqueue", "audit.record"]


@pytest.mark.parametrize("broken", BROKEN)
def test_a_refund_is_reserved_whole_or_not_at_all(office, monkeypatch, broken):
    payment_id = office.paid()
    before = {table.name: office.rows(table) for table in schema.metadata.sorted_tables}

    def fail(*_given, **_named):
        raise OSError("broken on purpose")

    with monkeypatch.context() as patch:
        patch.setattr(f"server.flows.refunds.{broken}", fail)
        with pytest.raises(OSError, match="on purpose"):
            office.order(payment_id)
    assert {table.name: office.rows(table) for table in schema.metadata.sorted_tables} == before


EDITS = {
    "a refund more": lambda office, no: office.set(schema.refund, schema.refund.c.refund_no == no, amount_fen=2001),
    "decided by a row": lambda office, no: office.set(schema.refund, status="refunded"),
    "another account": lambda office, no: office.set(schema.refund, account_id=account_id(2)),
    "more than was paid": lambda office, no: office.set(schema.payment, amount_fen=1999),
    "a forgotten row": lambda office, no: office.writer.run(
        lambda unit: unit.connection.execute(schema.refund.delete()) and None
    ),
    "an invented assignment": lambda office, no: office.set(schema.payment, state="assigned"),
}


@pytest.mark.parametrize("edit", EDITS.values(), ids=EDITS.keys())
def test_verify_sees_refunds_that_their_bookings_do_not_bear_out(desk, edit):
    refund_no = desk.order(desk.paid())
    desk.agrees()
    edit(desk, refund_no)
    found = desk.look(lambda connection: verify(connection, ESTATE)).mismatches
    assert 5 in {one.invariant for one in found}


def test_a_payment_is_not_given_back_in_small_parts_by_one_person(desk):
    payment_id = desk.paid(amount_fen=60_000)
    desk.order(payment_id, 30_000)
    with pytest.raises(Refused, match="more than 50000 fen of one payment"):
        desk.order(payment_id, 20_001, key="key-0002")
    desk.order(payment_id, 20_000, key="key-0003")


def approval(office, approval_id):
    return next(row["payload_sha256"] for row in office.rows(schema.approval) if row["approval_id"] == approval_id)


def test_two_people_agree_to_money_that_is_there_not_to_what_is_consumed_meanwhile(office):
    office.set(schema.estate, refund_alone_max_fen=100)
    payment_ids = [office.paid(name=name) for name in ("t1", "t2")]
    asked = [office.ask(one, PAID_FEN, key=f"key-{one[:8]}")[1] for one in payment_ids]
    office.read(1)
    office.wait(1200)
    office.read(1, 1_500)
    office.do(approvals.approve, asked[0], approval(office, asked[0]), actor="wang")
    with pytest.raises(Conflict, match="other money now"):
        office.do(approvals.approve, asked[1], approval(office, asked[1]), actor="wang")
    assert office.balance(1) > 0
    office.agrees()


def test_a_refund_out_of_suspense_never_takes_a_households_money(office):
    office.set(schema.estate, refund_alone_max_fen=100)
    payment_id = office.lost()
    _, asked = office.ask(payment_id, PAID_FEN)
    office.do(suspense.assign, payment_id, account_id(1), reason="they called", actor="zhou")
    with pytest.raises(Conflict, match="other money now"):
        office.do(approvals.approve, asked, approval(office, asked), actor="wang")
    assert office.balance(1) == PAID_FEN
    office.agrees()
