"""What providers say of refunds when they are asked, and in messages of their own."""

import pytest

from server.errors import CallbackRejected
from server.pay.provider import Paid, ProviderUnavailable, RefundEvent, RefundState
from tests.server.pay.sides import SIDES, Alipay, Integrator, Wechat, rsa_key
from tests.server.pay.test_real_providers import ORDER_NO, REFUND_QUERY, REFUNDS, run

NO = "0123456789abcdef0123456789abcd11"
FEN = 1005


def hear(side, message):
    return side.provider.verify_callback(*message, now_ms=side.machine_s() * 1000)


def ask(side):
    return run(side, "query_refund", Paid(ORDER_NO), NO, FEN)


@pytest.mark.parametrize(
    ("side", "state", "said"),
    [
        (Wechat, "SUCCESS", "done"), (Wechat, "CLOSED", "failed"), (Wechat, "ABNORMAL", "pending"),
        (Integrator, "done", "done"), (Integrator, "failed", "failed"), (Integrator, "pending", "pending"),
    ],
)  # fmt: skip
def test_a_message_names_number_order_amount_and_state(side, state, said):
    made = side()
    event = hear(made, made.refund_message(ORDER_NO, NO, FEN, state))
    assert event == RefundEvent(made.name, "rf1", NO, ORDER_NO, FEN, RefundState(said))


@pytest.mark.parametrize("state", ["TRADE_SUCCESS", "TRADE_CLOSED", "TRADE_FINISHED"])
def test_alipays_message_is_a_hint_since_it_sums_up_all_refunds(state):
    made = Alipay()
    event = hear(made, made.refund_message(ORDER_NO, NO, FEN, state))
    assert event == RefundEvent("alipay", "rf1", NO, ORDER_NO, None, RefundState.DONE)


def test_alipays_refund_without_a_number_is_a_payment_that_is_not_paid():
    made = Alipay()
    for changes in ({"out_biz_no": ""}, {"refund_fee": "0.00", "gmt_refund": ""}):
        event = hear(made, made.refund_message(ORDER_NO, NO, FEN, changes=changes))
        assert not isinstance(event, RefundEvent)
        assert event.paid is ("refund_fee" in changes)


DEFECTS = {
    "forged": {"key": True},
    "stale": {"late_s": -(25 * 3600 + 301)},
    "future": {"late_s": 301},
    "another merchant": {"changes": {"mchid": "2", "app_id": "2", "merchant": "estate-8"}},
    "unknown state": {"changes": {"refund_status": "?", "trade_status": "?", "result": "?"}},
    "no number": {"changes": {"out_refund_no": "", "refund_no": ""}},
    "no amount": {"changes": {"amount": {"refund": "1"}, "amount_fen": "1"}},
}


@pytest.mark.parametrize(
    ("side", "defect"),
    # Alipay's hint has no amount, and without a number it is no message about a refund
    [(side, name) for side in SIDES for name in DEFECTS if side is not Alipay or not name.startswith("no ")],
)
def test_a_bad_message_about_a_refund_is_refused(side, defect):
    made = side()
    changes = dict(DEFECTS[defect])
    if "key" in changes:
        changes["key"] = b"u" * 40 if side is Integrator else rsa_key("f")
    with pytest.raises(CallbackRejected):
        hear(made, made.refund_message(ORDER_NO, NO, FEN, **changes))


def test_a_refund_notice_sealed_with_another_key_is_refused():
    made = Wechat()
    with pytest.raises(CallbackRejected):
        hear(made, made.refund_message(ORDER_NO, NO, FEN, apiv3_key=b"v" * 32))


def test_wechat_is_asked_what_became_of_a_refund():
    made, path = Wechat(), ("GET", f"{REFUNDS[1]}/{NO}")
    answer = {"out_trade_no": ORDER_NO, "out_refund_no": NO, "amount": {"refund": FEN}}
    for status, state in (
        ("SUCCESS", "done"),
        ("PROCESSING", "pending"),
        ("CLOSED", "failed"),
        ("ABNORMAL", "pending"),
    ):
        made.answers[path] = (200, {**answer, "status": status})
        assert ask(made) == RefundState(state)
    made.answers[path] = (404, {"code": "RESOURCE_NOT_EXISTS"})
    assert ask(made) is None
    for status, changes in ((500, {}), (404, {"code": "MCH_NOT_EXISTS"}), (200, {"amount": {"refund": 1}}), (200, {})):
        made.answers[path] = (status, {**answer, **changes})
        with pytest.raises(ProviderUnavailable):
            ask(made)


def test_alipay_is_asked_what_became_of_a_refund():
    made = Alipay()
    answer = {"code": "10000", "out_request_no": NO, "refund_amount": "10.05", "refund_status": "REFUND_SUCCESS"}
    for changes, said in (({}, RefundState.DONE), ({"refund_amount": ""}, None), ({"refund_status": ""}, "pending")):
        made.answers[REFUND_QUERY] = {**answer, **changes}
        assert ask(made) == said
    made.answers[REFUND_QUERY] = {"code": "40004", "sub_code": "ACQ.TRADE_NOT_EXIST"}
    assert ask(made) is None
    for changes in ({"code": "20000"}, {"out_request_no": "another"}):
        made.answers[REFUND_QUERY] = {**answer, **changes}
        with pytest.raises(ProviderUnavailable):
            ask(made)


def test_an_integrator_is_asked_what_became_of_a_refund():
    made = Integrator()
    for result, said in (("done", "done"), ("pending", "pending"), ("failed", "failed")):
        made.answers["refund_query"] = {"refund_no": NO, "amount_fen": FEN, "result": result}
        assert ask(made) == RefundState(said)
    for result in ("unknown", "refused"):
        made.answers["refund_query"] = {"refund_no": NO, "result": result}
        assert ask(made) is None
    for changes in ({"amount_fen": 1}, {"refund_no": "r2"}, {"result": "?"}):
        made.answers["refund_query"] = {"refund_no": NO, "amount_fen": FEN, "result": "done", **changes}
        with pytest.raises(ProviderUnavailable):
            ask(made)
