"""Orders, questions, closing and refunds of the real providers, against doubles that check and sign every byte."""

import asyncio
import json
from dataclasses import replace
from datetime import datetime
from urllib.parse import parse_qsl

import httpx
import pytest

from server.errors import Refused
from server.pay.provider import Paid, ProviderUnavailable, RefundState
from tests.server.pay.sides import SIDES, Alipay, Wechat, rsa_fits, rsa_key

ORDER_NO = "0123456789abcdef0123456789abcdef"
NATIVE = ("POST", "/v3/pay/transactions/native")
BY_NUMBER = f"/v3/pay/transactions/out-trade-no/{ORDER_NO}"
REFUNDS = ("POST", "/v3/refund/domestic/refunds")
PRECREATE, QUERY, CLOSE = "alipay.trade.precreate", "alipay.trade.query", "alipay.trade.close"
REFUND, REFUND_QUERY = "alipay.trade.refund", "alipay.trade.fastpay.refund.query"
NOT_THERE = {"code": "40004", "msg": "Business Failed", "sub_code": "ACQ.TRADE_NOT_EXIST"}


def run(side, what, *args, **kwargs):
    return asyncio.run(getattr(side.provider, what)(*args, **kwargs))


def prepare(side, amount_fen=5005):
    return run(
        side, "prepare", ORDER_NO, amount_fen, title="电费 +&=", notify_url="https://estate.example/callbacks/x",
        return_url="https://estate.example/pay/1",
    )  # fmt: skip


def refund(side, amount_fen=1005):
    return run(side, "refund", Paid(ORDER_NO), "r1", amount_fen, total_fen=5005, reason="搬走")


@pytest.fixture
def wechat():
    return Wechat()


@pytest.fixture
def alipay():
    return Alipay()


def wechat_request(side):
    """The last request after its signature was checked: method, target, fields."""
    request = side.asked[-1]
    scheme, _, rest = request.headers["Authorization"].partition(" ")
    assert scheme == "WECHATPAY2-SHA256-RSA2048"
    parts = dict(part.split("=", 1) for part in rest.split(","))
    parts = {name: value.strip('"') for name, value in parts.items()}
    assert (parts["mchid"], parts["serial_no"]) == (side.merchant.mchid, side.merchant.serial)
    assert parts["timestamp"] == str(side.machine_s())
    target = request.url.raw_path.decode()
    signed = f"{request.method}\n{target}\n{parts['timestamp']}\n{parts['nonce_str']}\n".encode()
    rsa_fits(rsa_key("m"), parts["signature"], signed + request.content + b"\n")
    return request.method, target, json.loads(request.content or b"null")


def test_wechat_gives_a_code_for_an_order(wechat):
    wechat.answers[NATIVE] = (200, {"code_url": "weixin://wxpay/bizpayurl?pr=p4lpSuKzz"})
    prepared = prepare(wechat)
    assert (prepared.order_no, prepared.pay_url) == (ORDER_NO, "weixin://wxpay/bizpayurl?pr=p4lpSuKzz")
    assert not prepared.is_page
    method, target, order = wechat_request(wechat)
    assert (method, target) == NATIVE
    until = datetime.fromisoformat(order.pop("time_expire"))
    assert until.timestamp() == wechat.machine_s() + 1800
    assert until.utcoffset().total_seconds() == 8 * 3600
    assert order == {
        "appid": "wxd678efh567hg6787", "mchid": "1900000001", "description": "电费 +&=", "out_trade_no": ORDER_NO,
        "notify_url": "https://estate.example/callbacks/x", "amount": {"total": 5005, "currency": "CNY"},
    }  # fmt: skip
    assert wechat.asked[-1].headers["Wechatpay-Serial"] == wechat.serial


@pytest.mark.parametrize(
    "answer",
    [
        (200, {}),
        (200, {"code_url": "http://evil.example"}),
        (400, {"code": "PARAM_ERROR"}),
        (500, b"<html>"),
        (200, b"[]"),
    ],
)
def test_wechat_without_a_code_leaves_the_order_open(wechat, answer):
    wechat.answers[NATIVE] = answer
    with pytest.raises(ProviderUnavailable):
        prepare(wechat)


def test_wechat_is_asked_what_became_of_an_order(wechat):
    paid = wechat.transaction(ORDER_NO, 5005)
    wechat.answers["GET", BY_NUMBER] = (200, paid)
    event = run(wechat, "query", ORDER_NO)
    assert wechat_request(wechat) == ("GET", f"{BY_NUMBER}?mchid=1900000001", None)
    assert (event.order_no, event.amount_fen, event.paid, event.transaction_id) == (ORDER_NO, 5005, True, "4200000001")
    assert event.paid_ms == 1_795_746_896_000  # 2026-11-27 10:34:56 in Beijing: date -d 2026-11-27T10:34:56+08:00 +%s
    for state in ("NOTPAY", "USERPAYING"):
        wechat.answers["GET", BY_NUMBER] = (200, {**paid, "trade_state": state})
        assert run(wechat, "query", ORDER_NO) is None
    for state in ("CLOSED", "REVOKED", "PAYERROR"):
        bare = {"mchid": paid["mchid"], "appid": paid["appid"], "out_trade_no": ORDER_NO, "trade_state": state}
        wechat.answers["GET", BY_NUMBER] = (200, bare)
        assert not run(wechat, "query", ORDER_NO).paid
    wechat.answers["GET", BY_NUMBER] = (404, {"code": "ORDER_NOT_EXIST", "message": ""})
    assert run(wechat, "query", ORDER_NO) is None


@pytest.mark.parametrize(
    "answer",
    [
        (404, {"code": "MCH_NOT_EXISTS"}), (500, {"code": "SYSTEM_ERROR"}), (200, {}), (200, b"not json"),
        (200, Wechat().transaction("another", 5005)), (200, Wechat().transaction(ORDER_NO, 5005, mchid="2")),
        (200, Wechat().transaction(ORDER_NO, 5005, appid="2")), (200, Wechat().transaction(ORDER_NO, 5005, amount={})),
    ],
)  # fmt: skip
def test_wechats_nonsense_is_no_word_on_an_order(wechat, answer):
    wechat.answers["GET", BY_NUMBER] = answer
    with pytest.raises(ProviderUnavailable):
        run(wechat, "query", ORDER_NO)


def test_wechat_closes_an_order(wechat):
    wechat.answers["POST", f"{BY_NUMBER}/close"] = (204, b"")
    assert run(wechat, "close", ORDER_NO)
    assert wechat_request(wechat) == ("POST", f"{BY_NUMBER}/close", {"mchid": "1900000001"})
    for code, closed in (("ORDER_CLOSED", True), ("ORDER_NOT_EXIST", True), ("ORDERPAID", False)):
        wechat.answers["POST", f"{BY_NUMBER}/close"] = (400, {"code": code})
        assert run(wechat, "close", ORDER_NO) is closed
    wechat.answers["POST", f"{BY_NUMBER}/close"] = (500, {"code": "SYSTEM_ERROR"})
    with pytest.raises(ProviderUnavailable):
        run(wechat, "close", ORDER_NO)


def test_wechat_gives_money_back(wechat):
    answer = {"out_trade_no": ORDER_NO, "out_refund_no": "r1", "refund_id": "503", "amount": {"refund": 1005}}
    for status, state in (
        ("SUCCESS", "done"),
        ("PROCESSING", "pending"),
        ("ABNORMAL", "pending"),
        ("CLOSED", "failed"),
    ):
        wechat.answers[REFUNDS] = (200, {**answer, "status": status})
        assert refund(wechat) == RefundState(state)
    assert wechat_request(wechat)[2] == {
        "out_trade_no": ORDER_NO, "out_refund_no": "r1", "reason": "搬走",
        "amount": {"refund": 1005, "total": 5005, "currency": "CNY"},
    }  # fmt: skip
    wechat.answers[REFUNDS] = (403, {"code": "NOT_ENOUGH"})
    with pytest.raises(Refused, match="NOT_ENOUGH"):
        refund(wechat)
    for changes in ({"out_refund_no": "r2"}, {"amount": {"refund": 1}}, {"out_trade_no": "x"}, {"status": "?"}):
        wechat.answers[REFUNDS] = (200, {**answer, "status": "SUCCESS", **changes})
        with pytest.raises(ProviderUnavailable):
            refund(wechat)


@pytest.mark.parametrize("defect", ["forged", "stale", "future", "serial", "unsigned", "body"])
def test_wechats_answer_counts_only_when_the_platform_signed_it_now(wechat, defect):
    body = json.dumps(wechat.transaction(ORDER_NO, 5005)).encode()
    headers = {
        "forged": wechat.headers(body, key=rsa_key("f")),
        "stale": wechat.headers(body, at_s=wechat.machine_s() - 301),
        "future": wechat.headers(body, at_s=wechat.machine_s() + 301),
        "serial": wechat.headers(body, serial="another"),
        "unsigned": {},
        "body": wechat.headers(body + b" "),
    }[defect]
    wechat.provider._transport = httpx.MockTransport(lambda _: httpx.Response(200, content=body, headers=headers))
    with pytest.raises(ProviderUnavailable):
        run(wechat, "query", ORDER_NO)


def alipay_request(side):
    """The last request after its signature was checked: method, notify_url, fields of biz_content."""
    request = side.asked[-1]
    query = dict(parse_qsl(request.url.query.decode(), strict_parsing=True))
    form = dict(parse_qsl(request.content.decode(), strict_parsing=True))
    given = query.pop("sign")
    everything = {**query, **form}
    rsa_fits(rsa_key("m"), given, "&".join(f"{k}={everything[k]}" for k in sorted(everything)).encode())
    assert set(form) == {"biz_content"}
    assert (query["app_id"], query["sign_type"], query["charset"]) == (side.app.app_id, "RSA2", "utf-8")
    assert query["timestamp"] == side.clock(side.machine_s())
    return query["method"], query.get("notify_url"), json.loads(form["biz_content"])


def test_alipay_gives_a_code_for_an_order(alipay):
    code = "https://qr.alipay.com/bavh4wjlxf12tper3a"
    alipay.answers[PRECREATE] = {"code": "10000", "msg": "Success", "out_trade_no": ORDER_NO, "qr_code": code}
    prepared = prepare(alipay)
    assert (prepared.order_no, prepared.pay_url, prepared.is_page) == (ORDER_NO, code, False)
    method, notify_url, order = alipay_request(alipay)
    assert (method, notify_url) == (PRECREATE, "https://estate.example/callbacks/x")
    assert order == {
        "out_trade_no": ORDER_NO, "total_amount": "50.05", "subject": "电费 +&=", "seller_id": "2088101106499364",
        "timeout_express": "30m", "qr_code_timeout_express": "30m",
    }  # fmt: skip


@pytest.mark.parametrize(
    "changes", [{"code": "40004"}, {"out_trade_no": "another"}, {"qr_code": None}, {"qr_code": "javascript:1"}]
)
def test_alipay_without_a_code_leaves_the_order_open(alipay, changes):
    good = {"code": "10000", "out_trade_no": ORDER_NO, "qr_code": "https://qr.alipay.com/b"}
    alipay.answers[PRECREATE] = {**good, **changes}
    with pytest.raises(ProviderUnavailable):
        prepare(alipay)


def trade(state="TRADE_SUCCESS", **changes):
    return {
        "code": "10000", "msg": "成功", "out_trade_no": ORDER_NO, "trade_no": "2026112722", "trade_status": state,
        "total_amount": "50.05", "send_pay_date": "2026-11-27 10:34:56", **changes,
    }  # fmt: skip


def test_alipay_is_asked_what_became_of_an_order(alipay):
    for state in alipay.paid_states:
        alipay.answers[QUERY] = trade(state)
        event = run(alipay, "query", ORDER_NO)
        assert (event.order_no, event.amount_fen, event.paid) == (ORDER_NO, 5005, True)
        assert event.paid_ms == 1_795_746_896_000
    assert alipay_request(alipay) == (QUERY, None, {"out_trade_no": ORDER_NO})
    alipay.answers[QUERY] = trade("TRADE_CLOSED")
    assert not run(alipay, "query", ORDER_NO).paid
    for answer in (trade("WAIT_BUYER_PAY"), NOT_THERE):
        alipay.answers[QUERY] = answer
        assert run(alipay, "query", ORDER_NO) is None


@pytest.mark.parametrize(
    "answer",
    [
        trade(code="20000"), trade(out_trade_no="another"), trade("PAID"), trade(total_amount="50.055"),
        trade(trade_no=""), trade(send_pay_date="?"), {},
    ],
)  # fmt: skip
def test_alipays_nonsense_is_no_word_on_an_order(alipay, answer):
    alipay.answers[QUERY] = answer
    with pytest.raises(ProviderUnavailable):
        run(alipay, "query", ORDER_NO)


def test_alipay_closes_an_order(alipay):
    for answer in ({"code": "10000"}, NOT_THERE):
        alipay.answers[CLOSE] = answer
        assert run(alipay, "close", ORDER_NO)
    alipay.answers[CLOSE] = {"code": "40004", "sub_code": "ACQ.TRADE_STATUS_ERROR"}
    for state, closed in (("TRADE_SUCCESS", False), ("TRADE_CLOSED", True)):
        alipay.answers[QUERY] = trade(state)
        assert run(alipay, "close", ORDER_NO) is closed
    alipay.answers[CLOSE] = {"code": "20000", "sub_code": "isp.unknow-error"}
    with pytest.raises(ProviderUnavailable):
        run(alipay, "close", ORDER_NO)


def test_alipay_gives_money_back(alipay):
    alipay.answers[REFUND] = {"code": "10000", "out_trade_no": ORDER_NO, "fund_change": "Y", "refund_fee": "10.05"}
    assert refund(alipay) == RefundState.DONE
    wish = {"out_trade_no": ORDER_NO, "refund_amount": "10.05", "out_request_no": "r1", "refund_reason": "搬走"}
    assert alipay_request(alipay) == (REFUND, None, wish)
    alipay.answers[REFUND]["fund_change"] = "N"
    found = {"code": "10000", "out_request_no": "r1", "refund_amount": "10.05", "refund_status": "REFUND_SUCCESS"}
    for changes, state in (({}, "done"), ({"refund_amount": "1.00"}, "pending"), ({"refund_status": ""}, "pending")):
        alipay.answers[REFUND_QUERY] = {**found, **changes}
        assert refund(alipay) == RefundState(state)
    alipay.answers[REFUND] = {"code": "40004", "sub_code": "ACQ.SELLER_BALANCE_NOT_ENOUGH"}
    with pytest.raises(Refused, match="SELLER_BALANCE"):
        refund(alipay)
    for answer in ({"code": "40004", "sub_code": "ACQ.SYSTEM_ERROR"}, {"code": "10000", "out_trade_no": "x"}):
        alipay.answers[REFUND] = answer
        with pytest.raises(ProviderUnavailable):
            refund(alipay)


@pytest.mark.parametrize("defect", ["changed", "forged", "unsigned", "error", "status", "not json", "other name"])
def test_alipays_answer_counts_only_when_it_signed_it(alipay, defect):
    alipay.answers[QUERY] = trade()
    run(alipay, "query", ORDER_NO)
    honest = alipay._hear(alipay.asked[-1]).content
    body = {
        "changed": honest.replace(b"50.05", b"90.05"),
        "forged": honest.replace(honest[honest.rindex(b'"sign"') :], b'"sign":"AAAA"}'),
        "unsigned": honest[: honest.rindex(b',"sign"')] + b"}",
        "error": b'{"error_response":{"code":"40002"},"sign":""}',
        "status": honest,
        "not json": b"<html>",
        "other name": honest.replace(b"alipay_trade_query_response", b"alipay_trade_close_response"),
    }[defect]
    status = 502 if defect == "status" else 200
    alipay.provider._transport = httpx.MockTransport(lambda _: httpx.Response(status, content=body))
    with pytest.raises(ProviderUnavailable):
        run(alipay, "query", ORDER_NO)


@pytest.mark.parametrize("late_s", [-300, 0, 300])
@pytest.mark.parametrize("side", SIDES)
def test_the_edges_of_the_window_are_inside(side, late_s):
    made = side()
    message = made.message(ORDER_NO, 5005, side.paid_states[0], late_s=late_s)
    assert made.provider.verify_callback(*message, now_ms=made.machine_s() * 1000).paid


def test_alipays_last_repeat_is_inside_the_window(alipay):
    message = alipay.message(ORDER_NO, 5005, late_s=-(24 * 3600 + 24 * 60))
    assert alipay.provider.verify_callback(*message, now_ms=alipay.machine_s() * 1000).paid


@pytest.mark.parametrize("side", SIDES)
def test_a_provider_that_cannot_be_reached_is_unavailable(side):
    made = side()

    def down(request):
        raise httpx.ConnectTimeout("secret detail", request=request)

    made.provider._transport = httpx.MockTransport(down)
    for what in ("query", "close"):
        with pytest.raises(ProviderUnavailable, match="ConnectTimeout") as caught:
            run(made, what, ORDER_NO)
        assert "secret detail" not in str(caught.value)


def test_secrets_do_not_show_in_a_repr(wechat, alipay):
    shown = repr(wechat.merchant) + repr(replace(alipay.app))
    assert wechat.apiv3_key.decode() not in shown
    assert "PrivateKey" not in shown
