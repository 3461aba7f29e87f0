"""Every cell of states x defects x deliveries for WeChat Pay, Alipay and integrators, through HTTP into the books."""

import pytest
from sqlalchemy import select

from server.domain.ledger import SUSPENSE
from server.errors import StorageUnavailable
from server.store import schema
from tests.server.pay.sides import SIDES, Wechat
from tests.server.web.conftest import MACHINE_MS

AMOUNT_FEN = 5000
STATES = [(side, state) for side in SIDES for state in side.paid_states + side.unpaid_states]


class Payers:
    """One web with all providers; an order of A1 for each."""

    def __init__(self, web):
        self.web = web
        self.sides = {side.name: side(lambda: web.clock.now().machine_ms // 1000) for side in SIDES}
        web.state.providers.update({name: side.provider for name, side in self.sides.items()})
        self.client = web.client()

    def order(self, name, order_no="0123456789abcdef0123456789abcdef"):
        self.web.execute(
            schema.payment_order.insert().values(
                estate_id=self.web.state.estate_id, order_no=order_no, account_id="A1", amount_fen=AMOUNT_FEN,
                provider=name, channel="online", created_ms=MACHINE_MS, created_at=0,
            )
        )  # fmt: skip
        return order_no

    def deliver(self, name, headers, body):
        return self.client.post(f"/callbacks/{name}", content=body, headers=headers)

    def booked(self):
        """What the household has, what is in suspense, and how many payments there are."""
        accounts = {row["account_id"]: row["balance_fen"] for row in self.web.rows(select(schema.account))}
        return accounts["A1"], accounts.get(SUSPENSE, 0), len(self.web.rows(select(schema.payment)))


@pytest.fixture
def payers(web):
    return Payers(web)


def is_kept(side, answer):
    """The provider's own word for `kept`, and nothing else."""
    if side.name == "alipay":
        return (answer.status_code, answer.content) == (200, b"success")
    return answer.status_code in (200, 204)


def is_not_kept(side, answer):
    if side.name == "alipay":
        return answer.content.strip().lower() != b"success"
    if side.name == "wechat":
        return answer.status_code >= 400 and answer.json()["code"] == "FAIL" and answer.json()["message"]
    return answer.status_code >= 400


@pytest.mark.parametrize(("side", "state"), STATES)
def test_an_honest_message_counts_once_iff_it_says_paid(payers, side, state):
    made, order_no = payers.sides[side.name], payers.order(side.name)
    message = made.message(order_no, AMOUNT_FEN, state)
    answers = [payers.deliver(side.name, *message) for _ in range(3)]
    assert all(is_kept(side, answer) for answer in answers)
    paid = state in side.paid_states
    assert payers.booked() == ((AMOUNT_FEN, 0, 1) if paid else (0, 0, 0))
    [order] = payers.web.rows(select(schema.payment_order))
    assert order["status"] == ("paid" if paid else "created")


@pytest.mark.parametrize("side", SIDES)
def test_eight_at_once_count_once(payers, side):
    made, order_no = payers.sides[side.name], payers.order(side.name)
    headers, body = made.message(order_no, AMOUNT_FEN, side.paid_states[0])
    request = ("POST", f"/callbacks/{side.name}", {"content": body, "headers": headers})
    answers = payers.client.together(*[request] * 8)
    assert all(is_kept(side, answer) for answer in answers)
    assert payers.booked() == (AMOUNT_FEN, 0, 1)


@pytest.mark.parametrize(("side", "state"), STATES)
def test_a_bad_message_is_refused_and_counts_nothing_before_and_after_an_honest_one(payers, side, state):
    made, order_no = payers.sides[side.name], payers.order(side.name)
    bad = list(made.refused_messages(order_no, AMOUNT_FEN, state))
    assert len(bad) >= 20
    assert [what for what, *message in bad if not is_not_kept(side, payers.deliver(side.name, *message))] == []
    assert payers.booked() == (0, 0, 0)
    assert payers.web.rows(select(schema.callback_inbox)) == []
    payers.deliver(side.name, *made.message(order_no, AMOUNT_FEN, side.paid_states[0]))
    for _, *message in bad:
        payers.deliver(side.name, *message)
    assert payers.booked() == (AMOUNT_FEN, 0, 1)


@pytest.mark.parametrize(("side", "state"), [cell for cell in STATES if cell[1] in cell[0].paid_states])
@pytest.mark.parametrize(
    ("order_no", "amount_fen"),
    [("f" * 32, AMOUNT_FEN), (None, AMOUNT_FEN + 1), (None, 1)],
    ids=["order", "more", "less"],
)
def test_money_that_fits_no_order_waits_in_suspense(payers, side, state, order_no, amount_fen):
    ours = payers.order(side.name)
    message = payers.sides[side.name].message(order_no or ours, amount_fen, state)
    answers = [payers.deliver(side.name, *message) for _ in range(2)]
    assert all(is_kept(side, answer) for answer in answers)
    assert payers.booked() == (0, amount_fen, 1)


@pytest.mark.parametrize("side", SIDES)
def test_one_providers_money_does_not_pay_anothers_order(payers, side):
    order_no = payers.order("sandbox")
    payers.deliver(side.name, *payers.sides[side.name].message(order_no, AMOUNT_FEN, side.paid_states[0]))
    assert payers.booked() == (0, AMOUNT_FEN, 1)


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("first", ["paid", "unpaid"])
def test_the_order_of_messages_does_not_matter(payers, side, first):
    made, order_no = payers.sides[side.name], payers.order(side.name)
    paid = made.message(order_no, AMOUNT_FEN, side.paid_states[-1])
    unpaid = made.message(order_no, AMOUNT_FEN, side.unpaid_states[0], event="ev0")
    for message in (paid, unpaid) if first == "paid" else (unpaid, paid):
        assert is_kept(side, payers.deliver(side.name, *message))
    assert payers.booked() == (AMOUNT_FEN, 0, 1)


@pytest.mark.parametrize("side", SIDES)
def test_a_second_payment_of_a_paid_order_waits_in_suspense(payers, side):
    made, order_no = payers.sides[side.name], payers.order(side.name)
    for transaction, event in (("t1", "e1"), ("t2", "e2")):
        payers.deliver(side.name, *made.message(order_no, AMOUNT_FEN, side.paid_states[0], transaction, event))
    assert payers.booked() == (AMOUNT_FEN, AMOUNT_FEN, 2)


@pytest.mark.parametrize("side", SIDES)
def test_a_capture_cannot_be_played_again_later(payers, side):
    made, order_no = payers.sides[side.name], payers.order(side.name)
    message = made.message(order_no, AMOUNT_FEN, side.paid_states[0])
    payers.web.clock.move(25 * 3600 + 301)
    assert is_not_kept(side, payers.deliver(side.name, *message))
    assert payers.booked() == (0, 0, 0)


@pytest.mark.parametrize("side", SIDES)
def test_an_hour_long_outage_of_ours_loses_nothing(payers, side, monkeypatch):
    made, order_no = payers.sides[side.name], payers.order(side.name)
    message = made.message(order_no, AMOUNT_FEN, side.paid_states[0])

    def full(*_, **__):
        raise StorageUnavailable("the disk is full")

    with monkeypatch.context() as broken:
        broken.setattr(payers.web.state.writer, "submit_alike", full)
        answer = payers.deliver(side.name, *message)
    assert is_not_kept(side, answer)
    if side.name != "alipay":
        assert answer.status_code == 503
    payers.web.clock.move(240)
    assert is_kept(side, payers.deliver(side.name, *message))
    assert payers.booked() == (AMOUNT_FEN, 0, 1)


def test_wechats_refund_by_another_hand_is_audited_and_changes_no_balance(payers):
    made, order_no = payers.sides["wechat"], payers.order("wechat")
    payers.deliver("wechat", *made.message(order_no, AMOUNT_FEN))
    payers.deliver("wechat", *made.message(order_no, AMOUNT_FEN, "REFUND", event="ev2"))
    assert payers.booked() == (AMOUNT_FEN, 0, 1)
    assert "payment.contradicted" in [row["verb"] for row in payers.web.rows(select(schema.audit))]


def test_alipays_paid_state_with_a_refund_is_not_credited(payers):
    made, order_no = payers.sides["alipay"], payers.order("alipay")
    for changes in ({"refund_fee": "20.00"}, {"gmt_refund": "2026-11-27 11:00:00"}):
        payers.deliver("alipay", *made.message(order_no, AMOUNT_FEN, changes=changes))
    assert payers.booked() == (0, 0, 0)


def test_nothing_secret_is_logged_or_answered(payers, caplog):
    caplog.set_level("DEBUG")
    canaries = [Wechat.apiv3_key.decode(), payers.sides["hmac"].secret.decode(), "2088102122524333", "oUpF8uMuAJO"]
    texts = []
    for name, made in payers.sides.items():
        order_no = payers.order(name, name.ljust(32, "0"))
        messages = [("honest", *made.message(order_no, AMOUNT_FEN, made.paid_states[0]))]
        for _, headers, body in [*messages, *made.refused_messages(order_no, AMOUNT_FEN, made.paid_states[0])]:
            texts.append(payers.deliver(name, headers, body).text)
            canaries += [v for k, v in headers.items() if k.endswith("Signature") and len(v) > 30]
    said = caplog.text + "".join(texts)
    assert "credited" in said
    assert [one for one in canaries if one in said] == []
