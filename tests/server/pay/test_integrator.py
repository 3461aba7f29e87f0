"""An integrator's payment service: orders, questions, closing, refunds, and secrets that change."""

import json

import httpx
import pytest

from server.errors import CallbackRejected, Refused
from server.pay.provider import ProviderUnavailable, RefundState
from tests.server.pay.sides import Integrator
from tests.server.pay.test_real_providers import ORDER_NO, prepare, refund, run


@pytest.fixture
def integrator():
    return Integrator()


def test_an_integrator_gives_a_page_for_an_order(integrator):
    integrator.answers["order"] = {"pay_url": "https://pay.example/p/1"}
    prepared = prepare(integrator)
    assert (prepared.order_no, prepared.pay_url, prepared.is_page) == (ORDER_NO, "https://pay.example/p/1", True)
    request = integrator.asked[-1]
    assert dict(request.headers) | {k.lower(): v for k, v in integrator.headers(request.content).items()} == dict(
        request.headers
    )
    assert json.loads(request.content) == {
        "kind": "order", "merchant": "estate-7", "order_no": ORDER_NO, "currency": "CNY", "amount_fen": 5005,
        "title": "电费 +&=", "notify_url": "https://estate.example/callbacks/x",
        "return_url": "https://estate.example/pay/1",
    }  # fmt: skip
    for pay_url in (None, "https://pay.example.evil/p", "http://pay.example/p", "https://pay.example/" + "p" * 500):
        integrator.answers["order"] = {"pay_url": pay_url}
        with pytest.raises(ProviderUnavailable):
            prepare(integrator)


def test_an_integrator_is_asked_and_closes_and_gives_back(integrator):
    paid = {"merchant": "estate-7", "currency": "CNY", "result": "paid", "amount_fen": 5005}
    paid |= {"event_id": "e", "transaction_id": "t", "paid_ms": 1}
    integrator.answers["query"] = paid
    assert run(integrator, "query", ORDER_NO).amount_fen == 5005
    for result in ("open", "unknown"):
        integrator.answers["query"] = {"result": result}
        assert run(integrator, "query", ORDER_NO) is None
    for changes in ({"merchant": "x"}, {"currency": "USD"}, {"amount_fen": "5005"}, {"order_no": "x"}, {"to": "order"}):
        integrator.answers["query"] = {**paid, **changes}
        with pytest.raises(ProviderUnavailable):
            run(integrator, "query", ORDER_NO)
    for result, closed in (("closed", True), ("unknown", True), ("failed", True), ("paid", False)):
        integrator.answers["close"] = {"result": result}
        assert run(integrator, "close", ORDER_NO) is closed
    integrator.answers["close"] = {}
    with pytest.raises(ProviderUnavailable):
        run(integrator, "close", ORDER_NO)
    for result in RefundState:
        integrator.answers["refund"] = {"result": str(result), "refund_no": "r1"}
        assert refund(integrator) == result
    for answer, error in (
        ({"result": "refused"}, Refused),
        ({"result": "done", "refund_no": "r2"}, ProviderUnavailable),
    ):
        integrator.answers["refund"] = answer
        with pytest.raises(error):
            refund(integrator)


def test_secrets_of_an_integrator_can_be_changed_without_a_pause(integrator):
    _, body = integrator.message(ORDER_NO, 5005)
    now_ms = integrator.machine_s() * 1000
    for secret in (integrator.secret, integrator.next_secret):
        assert integrator.provider.verify_callback(integrator.headers(body, secret=secret), body, now_ms=now_ms).paid
    with pytest.raises(CallbackRejected):
        integrator.provider.verify_callback(integrator.headers(body, secret=b"u" * 40), body, now_ms=now_ms)


def test_our_own_message_is_no_payment_when_it_is_sent_back_to_us(integrator):
    integrator.answers["query"] = {"result": "open"}
    run(integrator, "query", ORDER_NO)
    asked = integrator.asked[-1]
    for message in (asked, integrator._hear(asked)):
        with pytest.raises(CallbackRejected, match="kind payment"):
            integrator.provider.verify_callback(message.headers, message.content, now_ms=integrator.machine_s() * 1000)


@pytest.mark.parametrize("changes", [{"order_no": "another"}, {"to": "query"}, {"kind": "payment"}])
def test_an_answer_to_another_question_is_none(integrator, changes):
    integrator.answers["close"] = {"result": "closed", **changes}
    with pytest.raises(ProviderUnavailable, match="another question"):
        run(integrator, "close", ORDER_NO)


@pytest.mark.parametrize("defect", ["forged", "stale", "future", "unsigned", "status"])
def test_an_answer_counts_only_when_the_service_signed_it_now(integrator, defect):
    body = json.dumps({"kind": "answer", "to": "close", "order_no": ORDER_NO, "result": "closed"}).encode()
    headers = {
        "forged": integrator.headers(body, secret=b"u" * 40),
        "stale": integrator.headers(body, at_s=integrator.machine_s() - 301),
        "future": integrator.headers(body, at_s=integrator.machine_s() + 301),
        "unsigned": {},
        "status": integrator.headers(body),
    }[defect]
    answer = httpx.Response(500 if defect == "status" else 200, content=body, headers=headers)
    integrator.provider._transport = httpx.MockTransport(lambda _: answer)
    with pytest.raises(ProviderUnavailable):
        run(integrator, "close", ORDER_NO)
