"""Money back through the sandbox payment, from both ends, and every way in which it can go wrong."""

import asyncio

import pytest

from server.errors import Refused
from server.pay.provider import Paid, ProviderUnavailable, RefundState
from server.pay.sandbox import CALLBACK_PATH
from server.pay.sandbox_provider.orders import Fault
from tests.server.pay.test_sandbox import MERCHANT, Bench


@pytest.fixture
def bench():
    return Bench()


def give_back(bench, amount_fen=100, refund_no="r1", order_no="o1"):
    notify_url = f"{MERCHANT}{CALLBACK_PATH}"
    return bench.provider.refund(
        Paid(order_no), refund_no, amount_fen, total_fen=5000, reason="moved out", notify_url=notify_url
    )


def test_the_test_wallet_gives_back_what_was_paid_once_a_number_and_tells_of_it(bench):
    async def story():
        await bench.pay(await bench.order())
        await bench.settled()
        bench.calls.clear()
        states = [await give_back(bench, 3000), await give_back(bench, 3000)]
        await bench.settled()
        with pytest.raises(Refused, match="no money back"):
            await give_back(bench, 2001, "r2")
        with pytest.raises(ProviderUnavailable):
            await give_back(bench, 2999)
        known = [await bench.provider.query_refund(Paid("o1"), "r1", fen) for fen in (3000,)]
        return states + known + [await bench.provider.query_refund(Paid("o1"), "r2", 2001)]

    assert asyncio.run(story()) == [RefundState.DONE, RefundState.DONE, RefundState.DONE, None]
    [event] = bench.events()
    assert (event.refund_no, event.order_no, event.amount_fen, event.state) == ("r1", "o1", 3000, RefundState.DONE)


def test_nothing_goes_back_of_what_nobody_paid(bench):
    async def story():
        await bench.order()
        for order_no in ("o1", "unknown"):
            with pytest.raises(Refused, match="no money back"):
                await give_back(bench, order_no=order_no)

    asyncio.run(story())


@pytest.mark.parametrize(
    ("fault", "first", "last"),
    [
        (Fault.REFUND_PENDING, RefundState.PENDING, RefundState.DONE),
        (Fault.REFUND_FAILED, RefundState.FAILED, RefundState.FAILED),
        (Fault.REFUND_UNANSWERED, ProviderUnavailable, RefundState.DONE),
    ],
)
def test_a_refund_goes_wrong_as_it_is_told(bench, fault, first, last):
    async def story():
        await bench.pay(await bench.order())
        bench.desk.book.plant(fault, "o1")
        if isinstance(first, RefundState):
            assert await give_back(bench) is first
        else:
            with pytest.raises(first):
                await give_back(bench)
        await bench.settled()
        return await bench.provider.query_refund(Paid("o1"), "r1", 100)

    assert asyncio.run(story()) is last
    assert bench.events()[-1].state is last


def test_an_answer_about_another_refund_is_no_word_on_ours(bench):
    async def story():
        await bench.pay(await bench.order())
        await give_back(bench, 3000)
        for order_no, fen in (("o1", 2999), ("o2", 3000)):
            with pytest.raises(ProviderUnavailable, match="another refund"):
                await bench.provider.query_refund(Paid(order_no), "r1", fen)

    asyncio.run(story())
