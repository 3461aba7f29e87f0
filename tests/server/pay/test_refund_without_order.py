"""Refunds of money that came without an order of ours: named by the provider's own transaction, on each wire."""

import asyncio
import json

import pytest

from server.errors import Refused
from server.pay.provider import Paid, ProviderUnavailable, RefundState
from tests.server.pay.sides import Alipay, Integrator, Wechat
from tests.server.pay.test_real_providers import REFUND_QUERY, REFUNDS, alipay_request, run, wechat_request
from tests.server.pay.test_sandbox import Bench

PAID = Paid("", "4200000001")


def give_back(side, paid=PAID):
    return run(side, "refund", paid, "r1", 1005, total_fen=5005, reason="搬走")


def test_wechat_is_asked_for_its_transaction_and_must_answer_for_it():
    made = Wechat()
    answer = {
        "transaction_id": "4200000001", "out_trade_no": "of the merchant", "out_refund_no": "r1",
        "status": "SUCCESS", "amount": {"refund": 1005},
    }  # fmt: skip
    made.answers[REFUNDS] = (200, answer)
    assert give_back(made) is RefundState.DONE
    asked = wechat_request(made)[2]
    assert (asked["transaction_id"], "out_trade_no" in asked) == ("4200000001", False)
    made.answers[REFUNDS] = (200, {**answer, "transaction_id": "4200000002"})
    with pytest.raises(ProviderUnavailable, match="another refund"):
        give_back(made)


def test_alipay_is_asked_for_its_trade_and_must_answer_for_it():
    made = Alipay()
    answer = {"code": "10000", "trade_no": "4200000001", "out_trade_no": "of the merchant", "fund_change": "Y"}
    made.answers["alipay.trade.refund"] = answer
    assert give_back(made) is RefundState.DONE
    asked = alipay_request(made)[2]
    assert (asked["trade_no"], "out_trade_no" in asked) == ("4200000001", False)
    made.answers["alipay.trade.refund"] = {**answer, "trade_no": "x"}
    with pytest.raises(ProviderUnavailable):
        give_back(made)
    made.answers[REFUND_QUERY] = {
        "code": "10000", "out_request_no": "r1", "refund_amount": "10.05", "refund_status": "REFUND_SUCCESS",
    }  # fmt: skip
    assert run(made, "query_refund", PAID, "r1", 1005) is RefundState.DONE
    assert alipay_request(made)[2]["trade_no"] == "4200000001"


def test_an_integrator_is_told_its_own_transaction():
    made = Integrator()
    made.answers["refund"] = {"refund_no": "r1", "result": "done"}
    assert give_back(made) is RefundState.DONE
    asked = json.loads(made.asked[-1].content)
    assert (asked["order_no"], asked["transaction_id"]) == ("", "4200000001")


def test_the_test_wallet_finds_a_payment_by_its_transaction():
    bench = Bench()

    async def story():
        await bench.pay(await bench.order())
        await bench.settled()
        [event] = bench.events()
        paid = Paid("", event.transaction_id)
        done = await bench.provider.refund(paid, "r1", 100, total_fen=5000, reason="not ours")
        assert await bench.provider.query_refund(paid, "r1", 100) is done
        with pytest.raises(Refused):
            await bench.provider.refund(Paid("", "tx-unknown"), "r2", 100, total_fen=5000, reason="not ours")
        with pytest.raises(ProviderUnavailable, match="another refund"):
            await bench.provider.query_refund(Paid("", "tx-unknown"), "r1", 100)
        return done

    assert asyncio.run(story()) is RefundState.DONE
