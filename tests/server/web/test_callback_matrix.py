"""Every cell of state x delivery for every provider, payments and refunds, through HTTP into the books.

The columns are what a network, a provider or a forger can do to one message; what must be in the books is computed
from the state and the column alone.
"""

import pytest
from sqlalchemy import select

from server.domain.ledger import REFUNDS
from server.flows import refunds
from server.store import schema
from tests.server.pay.sides import SIDES, Alipay, Integrator, Wechat, rsa_key
from tests.server.web.test_payers import AMOUNT_FEN, STATES, Payers, is_kept, is_not_kept

pytestmark = pytest.mark.ci  # test_payers and test_refunds have a part of it for every run
BACK_FEN = 2000
REFUND_NO = "c0ffee" * 5
REFUND_STATES = [
    (Wechat, "SUCCESS", "refunded"), (Wechat, "CLOSED", "released"), (Wechat, "ABNORMAL", "asked"),
    (Alipay, "TRADE_SUCCESS", "asked"), (Alipay, "TRADE_CLOSED", "asked"), (Alipay, "TRADE_FINISHED", "asked"),
    (Integrator, "done", "refunded"), (Integrator, "failed", "released"), (Integrator, "pending", "asked"),
]  # fmt: skip
WINDOW_S = {"wechat": 300, "hmac": 300, "alipay": 25 * 3600 + 300}


@pytest.fixture
def payers(web):
    return Payers(web)


def forged_key(side):
    return b"u" * 40 if side is Integrator else rsa_key("f")


def others(side):
    """What makes a message another's."""
    return {"mchid": "1900000002", "app_id": "2014072300007149", "merchant": "estate-8"}


def deliveries(side, make):
    """Column -> (messages to deliver one after another, how many at once, seconds that pass before, good or bad).

    `make(**defects)` gives one message; `make.other(...)` one for another order, amount or transaction.
    """
    good, window_s = make(), WINDOW_S[side.name]
    headers, body = good
    other = b"X" if body[-9:-8] != b"X" else b"Y"
    tampered = bytes(body[:-9]) + other + bytes(body[-8:])
    return {
        "once": ([good], 1, 0, True),
        "duplicate": ([good] * 3, 1, 0, True),
        "concurrent": ([good], 8, 0, True),
        "another event of the same": ([good, make(event="another")], 1, 0, True),
        "at the old edge of the window": ([good], 1, window_s, True),
        "at the young edge of the window": ([make(late_s=300)], 1, 0, True),
        "replayed": ([good], 1, window_s + 1, False),
        "stale": ([make(late_s=-window_s - 1)], 1, 0, False),
        "future": ([make(late_s=301)], 1, 0, False),
        "tampered": ([(headers, tampered)], 1, 0, False),
        "forged": ([make(key=forged_key(side))], 1, 0, False),
        "for another merchant": ([make(changes=others(side))], 1, 0, False),
    }


COLUMNS = list(deliveries(Wechat, lambda **_: ({}, b"0123456789abcdef")))


def play(payers, side, column, make):
    """Deliver a column; every answer must be the provider's word for kept, or for not kept."""
    messages, at_once, passes_s, good = deliveries(side, make)[column]
    payers.web.clock.move(passes_s)
    for headers, body in messages:
        request = ("POST", f"/callbacks/{side.name}", {"content": body, "headers": headers})
        answers = payers.client.together(*[request] * at_once)
        assert [is_kept(side, one) if good else bool(is_not_kept(side, one)) for one in answers] == [True] * at_once
    return good


@pytest.mark.parametrize("column", COLUMNS)
@pytest.mark.parametrize(("side", "state"), STATES)
def test_a_payment_is_credited_exactly_once_iff_it_is_paid_and_genuine(payers, side, state, column):
    made, order_no = payers.sides[side.name], payers.order(side.name)

    def make(event="ev1", **defects):
        return made.message(order_no, AMOUNT_FEN, state, event=event, **defects)

    genuine = play(payers, side, column, make)
    paid = genuine and state in side.paid_states
    assert payers.booked() == ((AMOUNT_FEN, 0, 1) if paid else (0, 0, 0))


WRONG = {
    "another order": {"order_no": "f" * 32},
    "more": {"amount_fen": AMOUNT_FEN + 1},
    "less": {"amount_fen": AMOUNT_FEN - 1},
    "a hundred times": {"amount_fen": AMOUNT_FEN * 100},
}


@pytest.mark.parametrize("column", [name for name in COLUMNS if name not in ("at the old edge of the window",)])
@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG.keys())
@pytest.mark.parametrize("side", SIDES)
def test_money_with_a_wrong_order_or_amount_waits_in_suspense_exactly_once(payers, side, wrong, column):
    made, ours = payers.sides[side.name], payers.order(side.name)
    amount_fen = wrong.get("amount_fen", AMOUNT_FEN)

    def make(event="ev1", **defects):
        return made.message(wrong.get("order_no", ours), amount_fen, side.paid_states[0], event=event, **defects)

    genuine = play(payers, side, column, make)
    assert payers.booked() == ((0, amount_fen, 1) if genuine else (0, 0, 0))


class Returning:
    """A paid order of A1 of which 20 yuan are on their way back."""

    def __init__(self, payers, side):
        self.payers, self.made, self.order_no = payers, payers.sides[side.name], payers.order(side.name)
        payers.deliver(side.name, *self.made.message(self.order_no, AMOUNT_FEN, side.paid_states[0]))
        web = payers.web
        [paid] = web.rows(select(schema.payment))
        self.refund_no = web.state.writer.run(
            lambda unit: refunds.order_refund(
                unit, web.state.estate_id, paid["payment_id"], BACK_FEN, key="key-0001", reason="moved out",
                actor="zhou", now=web.clock.now(),
            )
        )  # fmt: skip
        web.state.writer.run(
            lambda unit: refunds.mark_asked(unit, web.state.estate_id, self.refund_no, web.clock.now())
        )

    def books(self):
        """(balance of the household, under way, given back by the provider), status, cases."""
        web = self.payers.web
        accounts = {row["account_id"]: row["balance_fen"] for row in web.rows(select(schema.account))}
        [row] = web.rows(select(schema.refund))
        cases = [one["kind"] for one in web.rows(select(schema.anomaly_case))]
        name = f"provider:{self.made.name}"
        return (accounts["A1"], accounts[REFUNDS], AMOUNT_FEN + accounts[name]), row["status"], cases


BOOKS = {
    "refunded": (AMOUNT_FEN - BACK_FEN, 0, BACK_FEN),
    "released": (AMOUNT_FEN, 0, 0),
    "asked": (AMOUNT_FEN - BACK_FEN, BACK_FEN, 0),
}


@pytest.mark.parametrize("column", COLUMNS)
@pytest.mark.parametrize(("side", "state", "status"), REFUND_STATES)
def test_a_refund_is_settled_exactly_once_iff_its_genuine_message_says_so(payers, side, state, status, column):
    returning = Returning(payers, side)

    def make(event="rf1", **defects):
        return returning.made.refund_message(returning.order_no, returning.refund_no, BACK_FEN, state, event, **defects)

    genuine = play(payers, side, column, make)
    expected = status if genuine else "asked"
    assert returning.books() == (BOOKS[expected], expected, [])


WRONG_REFUNDS = {
    "another order": ({"order_no": "f" * 32}, "refund_contradicted"),
    "another number": ({"refund_no": REFUND_NO}, "refund_unknown"),
    "more": ({"amount_fen": BACK_FEN + 1}, "refund_contradicted"),
    "less": ({"amount_fen": BACK_FEN - 1}, "refund_contradicted"),
}


@pytest.mark.parametrize("column", [name for name in COLUMNS if name != "at the old edge of the window"])
@pytest.mark.parametrize(("wrong", "kind"), WRONG_REFUNDS.values(), ids=WRONG_REFUNDS.keys())
@pytest.mark.parametrize("side", SIDES)
def test_a_message_about_another_refund_moves_nothing_and_becomes_one_case(payers, side, wrong, kind, column):
    returning = Returning(payers, side)
    state = next(state for one, state, status in REFUND_STATES if one is side)

    def make(event="rf1", **defects):
        fields = {"order_no": returning.order_no, "refund_no": returning.refund_no, "amount_fen": BACK_FEN, **wrong}
        return returning.made.refund_message(*fields.values(), state, event, **defects)

    genuine = play(payers, side, column, make)
    hint = side is Alipay and "amount_fen" in wrong  # names no amount of this refund: only a reason to ask
    assert returning.books() == (BOOKS["asked"], "asked", [kind] if genuine and not hint else [])


@pytest.mark.parametrize("order", ["paid first", "refund first"])
@pytest.mark.parametrize("side", SIDES)
def test_the_order_in_which_payment_and_refund_are_told_does_not_matter(payers, side, order):
    """A refund of before we know the payment is another's: a case, and the payment still counts as it says."""
    made, order_no = payers.sides[side.name], payers.order(side.name)
    paid = made.message(order_no, AMOUNT_FEN, side.paid_states[0])
    state = next(state for one, state, status in REFUND_STATES if one is side)
    back = made.refund_message(order_no, REFUND_NO, BACK_FEN, state)
    for message in (paid, back) if order == "paid first" else (back, paid):
        assert is_kept(side, payers.deliver(side.name, *message))
    assert payers.booked() == (AMOUNT_FEN, 0, 1)
    assert [row["kind"] for row in payers.web.rows(select(schema.anomaly_case))] == ["refund_unknown"]


def test_the_matrix_has_all_its_cells():
    assert len(COLUMNS) == 12
    assert {side.name for side in SIDES} == {side.name for side, *_ in REFUND_STATES} == set(WINDOW_S)
    for side in SIDES:
        states = {state for one, state in STATES if one is side}
        assert states == {*side.paid_states, *side.unpaid_states}
