"""Money back by people: sales reversed at the counter, cash, and money in suspense."""

import pytest

from server.domain.ledger import REFUNDS, SUSPENSE
from server.domain.verification_refunds import RefundBooks
from server.errors import Conflict, NotFound, Refused
from server.flows import refunds, suspense
from server.flows.verification import verify
from server.pay.provider import RefundState
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


def test_a_cashier_reverses_the_own_last_sale_of_today(office):
    sale = office.pay(1, 3000, "sale-0001")
    first = office.do(refunds.reverse_sale, sale.order_no, reason="wrong room", actor="cashier")
    assert office.do(refunds.reverse_sale, sale.order_no, reason="again", actor="cashier") == first
    assert (office.balance(1), office.account("cash")) == (0, 0)
    assert office.refund(first)["status"] == "refunded"
    office.agrees()


def test_what_cannot_be_reversed(desk):
    first, last = desk.pay(1, 3000, "sale-0001"), None
    desk.wait(1)
    last = desk.pay(2, 2000, "sale-0002")
    reverse = {"reason": "wrong room", "actor": "cashier"}
    with pytest.raises(Refused, match="own last sale"):
        desk.do(refunds.reverse_sale, first.order_no, **reverse)
    with pytest.raises(Refused, match="own last sale"):
        desk.do(refunds.reverse_sale, last.order_no, reason="wrong room", actor="another")
    with pytest.raises(NotFound):
        desk.do(refunds.reverse_sale, "nothing", **reverse)
    desk.set_account(2, balance_fen=1999)
    with pytest.raises(Refused, match="consumed"):
        desk.do(refunds.reverse_sale, last.order_no, **reverse)
    desk.set_account(2, balance_fen=2000)
    desk.wait(86_400)
    with pytest.raises(Refused, match="not of today"):
        desk.do(refunds.reverse_sale, last.order_no, **reverse)


def test_cash_goes_back_alone_on_its_day_and_by_its_cashier(office):
    office.pay(1, 3000, "sale-0001")
    payment_id = office.payment(provider="cash")["payment_id"]
    office.order(payment_id, 1000, actor="cashier")
    assert (office.balance(1), office.account("cash"), office.account(REFUNDS)) == (2000, -2000, 0)
    with pytest.raises(Refused, match="its cashier"):
        office.order(payment_id, 1000, key="key-0002", actor="another")
    office.wait(86_400)
    with pytest.raises(Refused, match="on the day of the sale"):
        office.order(payment_id, 1000, key="key-0003", actor="cashier")
    office.order(payment_id, 1000, key="key-0003", actor="cashier", approved_by="zhou")
    assert office.account("cash") == -1000
    office.agrees()


def test_money_in_suspense_is_given_to_a_household_once_with_a_reason(office):
    payment_id = office.lost()
    office.set(schema.supply, schema.supply.c.meter_id == meter_id(1), desired="open", cause="arrears")
    for account, reason, problem in (
        (account_id(1), " ", Refused),
        ("nobody", "x", NotFound),
        (SUSPENSE, "x", NotFound),
    ):
        with pytest.raises(problem):
            office.do(suspense.assign, payment_id, account, reason=reason, actor="zhou")
    given = office.do(suspense.assign, payment_id, account_id(1), reason="bank slip", actor="zhou")
    assert given.balance_fen == PAID_FEN
    assert office.books() == (PAID_FEN, 0, -PAID_FEN, 0)
    assert office.supply(1)["desired"] == "closed"
    with pytest.raises(Conflict):
        office.do(suspense.assign, payment_id, account_id(2), reason="bank slip", actor="zhou")
    office.order(payment_id, 1000)
    assert office.books() == (4000, 1000, -PAID_FEN, 0)
    office.agrees()


def test_money_in_suspense_goes_back_without_touching_a_household(office):
    payment_id = office.lost()
    refund_no = office.order(payment_id, PAID_FEN)
    assert office.books() == (0, PAID_FEN, -PAID_FEN, 0)
    with pytest.raises(Conflict, match="on its way back"):
        office.do(suspense.assign, payment_id, account_id(1), reason="bank slip", actor="zhou")
    office.do(refunds.mark_asked, refund_no)
    office.hear(refund_no, state=RefundState.FAILED)
    assert office.books() == (0, 0, -PAID_FEN, PAID_FEN)
    office.do(suspense.assign, payment_id, account_id(1), reason="bank slip", actor="zhou")
    assert office.balance(1) == PAID_FEN
    office.agrees()


def test_money_that_no_provider_can_send_back_is_not_promised(office):
    payment_id = office.lost()
    office.set(schema.payment, schema.payment.c.payment_id == payment_id, order_no=None, transaction_id="")
    with pytest.raises(Refused, match="neither an order nor a transaction"):
        office.order(payment_id, PAID_FEN)
    office.set(schema.payment, schema.payment.c.payment_id == payment_id, transaction_id="s1", provider="client:bank")
    with pytest.raises(Refused, match="bank took this money itself"):
        office.order(payment_id, PAID_FEN)
    with pytest.raises(Refused, match="bank took this money itself"):
        office.ask(payment_id, PAID_FEN)
    assert office.books() == (0, 0, -PAID_FEN, PAID_FEN)


def test_a_message_about_a_refund_of_money_without_an_order_is_believed_by_its_number(office):
    payment_id = office.lost()
    office.set(schema.payment, schema.payment.c.payment_id == payment_id, order_no=None)
    refund_no = office.order(payment_id, PAID_FEN)
    office.do(refunds.mark_asked, refund_no)
    assert office.hear(refund_no, order_no="of the merchant") == "refunded"
    assert office.books() == (0, 0, 0, 0)


def test_verify_reads_refunds_and_assignments_as_the_journal_goes_by(office, monkeypatch):
    """Memory does not grow with the years: no more rows are waited for than a window has batches."""
    for number in range(4):
        refund_no = office.order(office.paid(name=f"t{number}"), key=f"key-000{number}")
        office.hear(refund_no, **({"state": RefundState.FAILED} if number % 2 else {}), event_id=f"r{number}")
        payment_id = office.lost(100 + number, f"s{number}")
        office.do(suspense.assign, payment_id, account_id(2), reason="bank slip", actor="zhou")
        sale = office.pay(1, 3000, f"sale-000{number}")
        office.do(refunds.reverse_sale, sale.order_no, reason="wrong room", actor="cashier")
        office.wait(1)
    waits, expect = [], RefundBooks.expect

    def counted(books, wanted):
        expect(books, wanted)
        waits.append(len(books._wanted))

    monkeypatch.setattr(RefundBooks, "expect", counted)
    monkeypatch.setattr("server.store.verification_windows.HEADERS_AT_ONCE", 3)
    office.agrees()
    assert len(waits) > 8
    assert max(waits) <= 3
    for table, change in (
        (schema.refund, {"amount_fen": 1}), (schema.payment, {"account_id": account_id(1)}),
    ):  # fmt: skip
        office.set(table, **change)
        assert office.look(lambda connection: verify(connection, ESTATE)).mismatches != ()
