"""Tells the merchant what became of an order: a signed POST, repeated until it is answered with 2xx.

Waits between tries grow as with the large payers, only faster, since this is a sandbox. Planted faults change what
is sent here and nowhere else.
"""

import asyncio
import json
import logging
import time
from collections.abc import Coroutine
from urllib.parse import urlsplit

import httpx
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from server.pay.sandbox_provider.orders import Fault, Order
from server.pay.sandbox_provider.refunds import Refund
from server.pay.sandbox_provider.seal import sealed

log = logging.getLogger(__name__)

WAITS_S = (0.0, 0.5, 1.0, 2.0, 4.0, 8.0, 15.0, 15.0, 30.0, 60.0, 180.0, 600.0)
TIMEOUT_S = 5.0
SKEW_S = 400


class Delivery:
    """Sends callbacks in the background on the event loop of the provider."""

    def __init__(
        self,
        key: Ed25519PrivateKey,
        merchant: str,
        *,
        late_s: float = 3.0,
        waits_s: tuple[float, ...] = WAITS_S,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._key = key
        self._merchant = merchant
        self._late_s = late_s
        self._waits_s = waits_s
        self._transport = transport
        self._tasks: set[asyncio.Task[None]] = set()

    def outcome(self, order: Order) -> dict[str, object]:
        """What callback and query say of an order."""
        return {
            "merchant": self._merchant,
            "order_no": order.terms.order_no,
            "amount_fen": order.terms.amount_fen,
            "currency": order.terms.currency,
            "result": order.result,
            "event_id": order.event_id,
            "transaction_id": order.transaction_id,
            "paid_ms": order.paid_ms,
        }

    def refund_outcome(self, refund: Refund) -> dict[str, object]:
        """What callback and query say of a refund."""
        return {
            "merchant": self._merchant,
            "order_no": refund.order.terms.order_no,
            "transaction_id": refund.order.transaction_id,
            "refund_no": refund.refund_no,
            "amount_fen": refund.amount_fen,
            "currency": refund.order.terms.currency,
            "result": refund.result,
            "event_id": refund.event_id,
        }

    def start(self, order: Order) -> None:
        """Begin to deliver the outcome of a settled order."""
        if order.fault is Fault.LOST:
            return
        for _ in range(2 if order.fault is Fault.DUPLICATE else 1):
            self._begin(self._deliver(order))

    def start_refund(self, refund: Refund) -> None:
        """Begin to deliver the outcome of a refund, once it is no longer pending."""
        self._begin(self._deliver_refund(refund))

    def _begin(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Give up what is still waiting."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _deliver(self, order: Order) -> None:
        if order.fault is Fault.LATE:
            await asyncio.sleep(self._late_s)
        async with httpx.AsyncClient(transport=self._transport, timeout=TIMEOUT_S, trust_env=False) as client:
            for wait_s in self._waits_s:
                await asyncio.sleep(wait_s)
                if await self._post(client, order):
                    order.delivered = True
                    break
            else:
                log.warning("gave up telling the merchant about order %s", order.terms.order_no)
            if order.fault is Fault.DUPLICATE and order.delivered:
                await self._post(client, order)

    async def _deliver_refund(self, refund: Refund) -> None:
        if refund.result == "pending":
            await asyncio.sleep(self._late_s)
            refund.result = "done"
        if not refund.notify_url or refund.order.fault is Fault.LOST:
            return
        async with httpx.AsyncClient(transport=self._transport, timeout=TIMEOUT_S, trust_env=False) as client:
            for wait_s in self._waits_s:
                await asyncio.sleep(wait_s)
                body = json.dumps(self.refund_outcome(refund)).encode()
                path = urlsplit(refund.notify_url).path
                headers = sealed(self._key, "POST", path, body, now_s=int(time.time()))
                if await self._send(client, refund.notify_url, {**headers, "Content-Type": "application/json"}, body):
                    return
        log.warning("gave up telling the merchant about refund %s", refund.refund_no)

    async def _post(self, client: httpx.AsyncClient, order: Order) -> bool:
        headers, body = self.message(order, now_s=int(time.time()))
        order.deliveries += 1
        return await self._send(client, order.terms.notify_url, headers, body)

    async def _send(self, client: httpx.AsyncClient, url: str, headers: dict[str, str], body: bytes) -> bool:
        try:
            answer = await client.post(url, content=body, headers=headers)
        except httpx.HTTPError as error:
            log.info("the merchant does not answer (%s)", type(error).__name__)
            return False
        return answer.is_success

    def message(self, order: Order, *, now_s: int) -> tuple[dict[str, str], bytes]:
        """Headers and body of the callback, with the order's fault in them."""
        outcome = self.outcome(order)
        if order.fault is Fault.WRONG_AMOUNT:
            outcome["amount_fen"] = order.terms.amount_fen + 1
        body = json.dumps(outcome).encode()
        skew_s = {Fault.STALE: -SKEW_S, Fault.FUTURE: SKEW_S}.get(order.fault, 0)
        key = Ed25519PrivateKey.generate() if order.fault is Fault.FORGED else self._key
        path = urlsplit(order.terms.notify_url).path
        headers = sealed(key, "POST", path, body, now_s=now_s + skew_s)
        if order.fault is Fault.FORGED:
            headers["X-Sandbox-Serial"] = sealed(self._key, "POST", path, body, now_s=now_s)["X-Sandbox-Serial"]
        if order.fault is Fault.TAMPERED:
            body = json.dumps({**outcome, "amount_fen": order.terms.amount_fen * 100}).encode()
        return {**headers, "Content-Type": "application/json"}, body
