"""The sandbox payment from both ends: order, page, signed callback, and every way in which it can go wrong."""

import asyncio
import json

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from server.errors import CallbackRejected
from server.pay.provider import ProviderUnavailable
from server.pay.sandbox import CALLBACK_PATH, SandboxProvider, stamp_headers
from server.pay.sandbox_provider.app import Desk, create_provider
from server.pay.sandbox_provider.delivery import Delivery
from server.pay.sandbox_provider.orders import Fault
from server.pay.sandbox_provider.seal import fingerprint
from server.signing.ed25519 import sign

MERCHANT = "http://merchant.test"
PAYER = "http://payer.test"


class Bench:
    """A merchant that answers callbacks with the statuses in `answers` (200 when they run out), and a provider."""

    def __init__(self):
        self.merchant_key, self.provider_key = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
        self.calls, self.answers = [], []
        delivery = Delivery(
            self.provider_key,
            fingerprint(self.merchant_key.public_key()),
            late_s=0.05,
            waits_s=(0.0, 0.01, 0.01),
            transport=httpx.MockTransport(self._hear),
        )
        self.desk = Desk(self.provider_key, self.merchant_key.public_key(), delivery)
        self.app = create_provider(self.desk, faults=True)
        self.transport = httpx.ASGITransport(self.app)
        self.provider = self.client()

    def client(self, merchant_key=None, provider_key=None):
        return SandboxProvider(
            PAYER,
            merchant_key or self.merchant_key,
            (provider_key or self.provider_key).public_key(),
            transport=self.transport,
        )

    def _hear(self, request):
        self.calls.append((dict(request.headers), request.content))
        return httpx.Response(self.answers.pop(0) if self.answers else 200)

    async def order(self, order_no="o1", amount_fen=5000):
        return await self.provider.prepare(
            order_no,
            amount_fen,
            title="1-1202 充值",
            notify_url=f"{MERCHANT}{CALLBACK_PATH}",
            return_url=f"{MERCHANT}/pay/{order_no}",
        )

    async def pay(self, prepared, result="pay"):
        async with httpx.AsyncClient(transport=self.transport) as browser:
            return await browser.post(prepared.pay_url, data={"result": result})

    async def settled(self):
        while self.desk.delivery._tasks:
            await asyncio.gather(*self.desk.delivery._tasks)

    def events(self):
        found = []
        for headers, body in self.calls:
            now_ms = int(headers["x-sandbox-timestamp"]) * 1000
            found.append(self.provider.verify_callback(headers, body, now_ms=now_ms))
        return found


@pytest.fixture
def bench():
    return Bench()


def test_a_payment_travels_from_order_to_verified_callback(bench):
    async def story():
        prepared = await bench.order()
        assert prepared.pay_url.startswith(f"{PAYER}/pay/")
        assert await bench.provider.query("o1") is None
        answer = await bench.pay(prepared)
        assert (answer.status_code, answer.headers["location"]) == (303, f"{MERCHANT}/pay/o1")
        await bench.settled()
        return await bench.provider.query("o1")

    asked = asyncio.run(story())
    [event] = bench.events()
    assert event == asked
    assert (event.order_no, event.amount_fen, event.paid, event.provider) == ("o1", 5000, True, "sandbox")


def test_a_failed_payment_is_reported_as_not_paid(bench):
    async def story():
        await bench.pay(await bench.order(), "fail")
        await bench.settled()

    asyncio.run(story())
    assert [event.paid for event in bench.events()] == [False]


def test_the_callback_is_repeated_until_the_merchant_accepts_it(bench):
    bench.answers = [500, 404]

    async def story():
        await bench.pay(await bench.order())
        await bench.settled()

    asyncio.run(story())
    events = bench.events()
    assert len(events) == 3
    assert len(set(events)) == 1
    assert bench.desk.book.by_number("o1").delivered


def test_the_provider_gives_up_after_its_last_try(bench):
    bench.answers = [500] * 10

    async def story():
        await bench.pay(await bench.order())
        await bench.settled()

    asyncio.run(story())
    assert len(bench.calls) == 3
    assert not bench.desk.book.by_number("o1").delivered


def test_the_same_order_is_the_same_page_and_other_terms_are_refused(bench):
    async def story():
        first, second = await bench.order(), await bench.order()
        assert first == second
        with pytest.raises(ProviderUnavailable, match="other terms"):
            await bench.order(amount_fen=6000)

    asyncio.run(story())


def test_paying_twice_pays_once(bench):
    async def story():
        prepared = await bench.order()
        await bench.pay(prepared)
        await bench.pay(prepared)
        await bench.pay(prepared, "fail")
        await bench.settled()

    asyncio.run(story())
    assert len(bench.calls) == 1
    assert bench.desk.book.by_number("o1").result == "paid"


@pytest.mark.parametrize("amount_fen", [0, -5, 10_000_001])
def test_an_amount_out_of_range_is_refused(bench, amount_fen):
    with pytest.raises(ProviderUnavailable, match="amount_fen"):
        asyncio.run(bench.order(amount_fen=amount_fen))


def run_with_fault(bench, fault):
    async def story():
        prepared = await bench.order()
        bench.desk.book.plant(fault, "o1")
        await bench.pay(prepared)
        await bench.settled()

    asyncio.run(story())


def test_fault_duplicate_delivers_the_same_event_several_times(bench):
    run_with_fault(bench, Fault.DUPLICATE)
    events = bench.events()
    assert len(events) == 4
    assert len(set(events)) == 1


def test_fault_late_still_delivers(bench):
    run_with_fault(bench, Fault.LATE)
    assert [event.paid for event in bench.events()] == [True]


def test_fault_lost_delivers_nothing_but_a_query_tells(bench):
    run_with_fault(bench, Fault.LOST)
    assert bench.calls == []
    assert asyncio.run(bench.provider.query("o1")).paid


def test_fault_wrong_amount_is_well_signed(bench):
    run_with_fault(bench, Fault.WRONG_AMOUNT)
    assert [event.amount_fen for event in bench.events()] == [5001]


@pytest.mark.parametrize("fault", [Fault.TAMPERED, Fault.FORGED])
def test_faults_that_break_the_signature_are_refused(bench, fault):
    run_with_fault(bench, fault)
    with pytest.raises(CallbackRejected, match="does not fit"):
        bench.events()


@pytest.mark.parametrize("fault", [Fault.STALE, Fault.FUTURE])
def test_faults_of_time_are_refused(bench, fault):
    run_with_fault(bench, fault)
    headers, body = bench.calls[0]
    shift_ms = 400_000 if fault is Fault.STALE else -400_000
    now_ms = int(headers["x-sandbox-timestamp"]) * 1000 + shift_ms
    with pytest.raises(CallbackRejected, match="more than 300 s"):
        bench.provider.verify_callback(headers, body, now_ms=now_ms)


def test_a_strangers_order_is_refused_and_so_is_a_replayed_one(bench):
    async def story():
        with pytest.raises(ProviderUnavailable, match="not on file"):
            await bench.client(merchant_key=Ed25519PrivateKey.generate()).query("o1")
        stamp = sign(bench.merchant_key, "GET", "/v1/orders/o1", 1, "n", b"")
        async with httpx.AsyncClient(transport=bench.transport, base_url=PAYER) as client:
            answer = await client.get("/v1/orders/o1", headers=stamp_headers(stamp))
            assert (answer.status_code, "not from now" in answer.text) == (401, True)

    asyncio.run(story())


def test_an_answer_of_somebody_else_is_not_believed(bench):
    with pytest.raises(ProviderUnavailable, match="refused"):
        asyncio.run(bench.client(provider_key=Ed25519PrivateKey.generate()).query("o1"))


def signed_callback(bench, fields):
    body = fields if isinstance(fields, bytes) else json.dumps(fields).encode()
    stamp = sign(bench.provider_key, "POST", CALLBACK_PATH, 1_790_000_000, "n", body)
    return bench.provider.verify_callback(stamp_headers(stamp), body, now_ms=1_790_000_000_000)


@pytest.mark.parametrize(
    "change",
    [
        {"amount_fen": "5000"},
        {"amount_fen": 50.0},
        {"amount_fen": True},
        {"amount_fen": -1},
        {"amount_fen": 10**13},
        {"order_no": ""},
        {"order_no": "x" * 65},
        {"order_no": 5},
        {"event_id": None},
        {"result": "maybe"},
        {"currency": "USD"},
        {"merchant": "somebody else"},
        {"paid_ms": "now"},
    ],
)
def test_well_signed_nonsense_is_refused(bench, change):
    good = {
        "merchant": fingerprint(bench.merchant_key.public_key()),
        "order_no": "o1",
        "amount_fen": 5000,
        "currency": "CNY",
        "result": "paid",
        "event_id": "e1",
        "transaction_id": "t1",
        "paid_ms": 1_790_000_000_000,
    }
    assert signed_callback(bench, good).amount_fen == 5000
    with pytest.raises(CallbackRejected):
        signed_callback(bench, {**good, **change})


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b"\xff\xfe", b"[" * 20_000])
def test_a_signed_body_that_is_no_object_is_refused(bench, body):
    with pytest.raises(CallbackRejected):
        signed_callback(bench, body)


def test_the_payment_page_is_bilingual_escaped_and_has_no_inline_style_or_script(bench):
    async def story():
        prepared = await bench.provider.prepare(
            "o2", 123456, title="<script>", notify_url=f"{MERCHANT}/c", return_url=f'{MERCHANT}/"><script>'
        )
        async with httpx.AsyncClient(transport=bench.transport) as browser:
            style = await browser.get(f"{PAYER}/style.css")
            page = await browser.get(prepared.pay_url)
            await bench.pay(prepared)
            after = await browser.get(prepared.pay_url)
            await bench.desk.delivery.close()
            return page, after, style

    page, after, style = asyncio.run(story())
    for text in (page.text, after.text):
        assert "<script" not in text
        assert "style=" not in text
    assert "¥1,234.56" in page.text
    assert "支付 · Pay" in page.text
    assert "已支付 · Paid" in after.text
    assert page.headers["content-security-policy"].startswith(
        "default-src 'none'; style-src 'self'; form-action 'self'"
    )
    assert style.headers["content-type"].startswith("text/css")


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/pay/unknown", b"result=pay", 404),
        ("/v1/orders", b"{}", 401),
        ("/v1/orders", b"x" * 20_000, 413),
        ("/v1/faults", b"{}", 401),
    ],
)
def test_the_providers_bad_requests_have_clear_statuses(bench, path, body, status):
    async def ask():
        async with httpx.AsyncClient(transport=bench.transport, base_url=PAYER) as client:
            return (await client.post(path, content=body)).status_code

    assert asyncio.run(ask()) == status


def test_an_unreachable_provider_is_named_as_such(bench):
    bench.provider = SandboxProvider(
        "http://127.0.0.1:9", bench.merchant_key, bench.provider_key.public_key(), transport=httpx.MockTransport(_down)
    )
    with pytest.raises(ProviderUnavailable, match="no answer"):
        asyncio.run(bench.order())


def _down(request):
    raise httpx.ConnectError("connection refused", request=request)


def test_a_closed_order_can_no_longer_be_paid_and_a_paid_one_no_longer_closed(bench):
    async def story():
        prepared = await bench.order()
        closed = await bench.provider.close("o1")
        await bench.pay(prepared)
        paid = await bench.order("o2")
        await bench.pay(paid)
        await bench.settled()
        return closed, (await bench.provider.query("o1")).paid, await bench.provider.close("o2"), len(bench.calls)

    assert asyncio.run(story()) == (True, False, False, 1)
    assert asyncio.run(bench.provider.close("unknown"))
