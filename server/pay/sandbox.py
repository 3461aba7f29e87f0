"""Our side of the sandbox payment provider: orders out, signed callbacks in.

Both directions are signed with separate Ed25519 keys, and the provider's answers too, so that a wrong peer cannot
say that an order was paid. Amounts are integers of fen, compared with our own order by the flow, never taken from
the payer's browser.
"""

import json
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from urllib.parse import urlsplit

import httpx
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from server.domain.reconciliation import BillRow
from server.errors import CallbackRejected, Refused
from server.pay.bills import read_json
from server.pay.provider import (
    CallbackAnswer,
    Paid,
    PaidEvent,
    PreparedOrder,
    ProviderUnavailable,
    RefundEvent,
    RefundState,
    json_accepted,
    json_refused,
)
from server.pay.refund_events import refund_event
from server.signing.ed25519 import (
    BadSignature,
    Stamp,
    load_private_key,
    load_public_key,
    serial_of,
    sign,
    verify,
)
from server.signing.fields import AMOUNT_FEN_MAX, MACHINE_MS_MAX, number, object_of, text

TIMEOUT_S = 5.0
CALLBACK_PATH = "/callbacks/sandbox"
CURRENCY = "CNY"


class SandboxProvider:
    """Speaks to `server.pay.sandbox_provider` over HTTP; see `Provider` for the contract of the methods."""

    name = "sandbox"

    def __init__(
        self,
        url: str,
        merchant_key: Ed25519PrivateKey,
        provider_key: Ed25519PublicKey,
        *,
        callback_path: str = CALLBACK_PATH,
        transport: httpx.AsyncBaseTransport | None = None,
        machine_s: Callable[[], float] = time.time,
    ) -> None:
        parts = urlsplit(url)
        self.pay_origin = f"{parts.scheme}://{parts.netloc}"
        self._url = url.rstrip("/")
        self._merchant_key = merchant_key
        self._provider_key = provider_key
        self._callback_path = callback_path
        self._transport = transport
        self._machine_s = machine_s

    async def prepare(
        self, order_no: str, amount_fen: int, *, title: str, notify_url: str, return_url: str
    ) -> PreparedOrder:
        """Register the order; the same order again yields the same page."""
        order = {
            "order_no": order_no,
            "amount_fen": amount_fen,
            "currency": CURRENCY,
            "title": title,
            "notify_url": notify_url,
            "return_url": return_url,
        }
        answer = await self._ask("POST", "/v1/orders", json.dumps(order).encode())
        if answer is None:
            raise ProviderUnavailable("the sandbox provider does not know the path /v1/orders")
        pay_url = answer.get("pay_url")
        if answer.get("order_no") != order_no or answer.get("amount_fen") != amount_fen:
            raise ProviderUnavailable("the sandbox provider answered for another order")
        if not isinstance(pay_url, str) or not pay_url.startswith(f"{self.pay_origin}/"):
            raise ProviderUnavailable("the sandbox provider named a payment page that is not its own")
        return PreparedOrder(order_no, pay_url)

    def verify_callback(self, headers: Mapping[str, str], body: bytes, *, now_ms: int) -> PaidEvent | RefundEvent:
        """Check signature and freshness over the raw bytes, then read the fields; raises CallbackRejected."""
        try:
            verify(self._provider_key, _stamp(headers), "POST", self._callback_path, body, now_s=now_ms // 1000)
        except BadSignature as error:
            raise CallbackRejected(f"callback of {self.name} refused: {error}") from error
        fields = object_of(body)
        return self._refund_event(fields) if "refund_no" in fields else self._event(fields)

    async def query(self, order_no: str) -> PaidEvent | None:
        """What the provider knows of the order: None while it is unpaid or unknown there."""
        answer = await self._ask("GET", f"/v1/orders/{order_no}", b"")
        if answer is None or answer.get("result") == "open":
            return None
        try:
            return self._event(answer)
        except CallbackRejected as error:
            raise ProviderUnavailable(f"the sandbox provider answered nonsense: {error}") from error

    def accepted(self, result: str) -> CallbackAnswer:
        """200 and what became of the message."""
        return json_accepted(result)

    def refused(self, status: int, detail: str) -> CallbackAnswer:
        """Any other status."""
        return json_refused(status, detail)

    async def close(self, order_no: str) -> bool:
        """Close the order's page; False when it was paid before."""
        answer = await self._ask("POST", f"/v1/orders/{order_no}/close", b"")
        return answer is None or answer.get("result") == "failed"

    async def refund(
        self, paid: Paid, refund_no: str, amount_fen: int, *, total_fen: int, reason: str, notify_url: str = ""
    ) -> RefundState:
        """Send money back into the test wallet."""
        wish = {
            **paid.by("order_no", "transaction_id"),
            "refund_no": refund_no,
            "amount_fen": amount_fen,
            "currency": CURRENCY,
            "notify_url": notify_url,
        }
        answer = await self._ask("POST", "/v1/refunds", json.dumps(wish).encode())
        if answer is None or answer.get("result") == "refused":
            raise Refused("the test wallet gives no money back for this order")
        return _refund_state(answer, paid, refund_no, amount_fen)

    async def query_refund(self, paid: Paid, refund_no: str, amount_fen: int) -> RefundState | None:
        """What the provider knows of a refund."""
        answer = await self._ask("GET", f"/v1/refunds/{refund_no}", b"")
        return None if answer is None else _refund_state(answer, paid, refund_no, amount_fen)

    async def bill(self, day: str) -> bytes:
        """The rows of a day, as the provider signs them."""
        answer = await self._ask("GET", f"/v1/bills/{day}", b"")
        if answer is None or answer.get("day") != day:
            raise ProviderUnavailable("the sandbox provider has no bill file of this day")
        return json.dumps({"rows": answer.get("rows")}, ensure_ascii=False, sort_keys=True).encode()

    def read_bill(self, content: bytes) -> Sequence[BillRow]:
        """A JSON object with rows."""
        return read_json(content)

    def _refund_event(self, fields: Mapping[str, object]) -> RefundEvent:
        self._for_us(fields)
        return refund_event(self.name, fields)

    def _for_us(self, fields: Mapping[str, object]) -> None:
        if fields.get("currency") != CURRENCY or fields.get("merchant") != serial_of(self._merchant_key.public_key()):
            raise CallbackRejected("the message is for another merchant or currency")

    def _event(self, fields: Mapping[str, object]) -> PaidEvent:
        self._for_us(fields)
        if fields.get("result") not in ("paid", "failed"):
            raise CallbackRejected("the field result is neither paid nor failed")
        return PaidEvent(
            provider=self.name,
            event_id=text(fields, "event_id"),
            transaction_id=text(fields, "transaction_id"),
            order_no=text(fields, "order_no"),
            amount_fen=number(fields, "amount_fen", AMOUNT_FEN_MAX),
            paid=fields["result"] == "paid",
            paid_ms=number(fields, "paid_ms", MACHINE_MS_MAX),
        )

    async def _ask(self, method: str, path: str, body: bytes) -> dict[str, object] | None:
        """One signed request and its verified answer; None for 404."""
        stamp = sign(self._merchant_key, method, path, int(self._machine_s()), secrets.token_hex(16), body)
        headers = {**stamp_headers(stamp), "Content-Type": "application/json"}
        try:
            async with httpx.AsyncClient(transport=self._transport, timeout=TIMEOUT_S, trust_env=False) as client:
                answer = await client.request(method, self._url + path, content=body, headers=headers)
        except httpx.HTTPError as error:
            raise ProviderUnavailable(f"no answer from the sandbox provider ({type(error).__name__})") from error
        try:
            stamp = _stamp(answer.headers)
            verify(self._provider_key, stamp, "ANSWER", path, answer.content, now_s=int(self._machine_s()))
            fields = object_of(answer.content)
        except (BadSignature, CallbackRejected) as error:
            raise ProviderUnavailable(f"answer of the sandbox provider refused: {error}") from error
        if answer.status_code == httpx.codes.NOT_FOUND:
            return None
        if not answer.is_success:
            raise ProviderUnavailable(f"the sandbox provider refused: {fields.get('detail', answer.status_code)}")
        return fields


def _refund_state(answer: Mapping[str, object], paid: Paid, refund_no: str, amount_fen: int) -> RefundState:
    ours = {**paid.by("order_no", "transaction_id"), "refund_no": refund_no, "amount_fen": amount_fen}
    if any(answer.get(name) != value for name, value in ours.items()):
        raise ProviderUnavailable("the sandbox provider answered for another refund")
    result = answer.get("result")
    if not isinstance(result, str) or result not in tuple(RefundState):
        raise ProviderUnavailable("the sandbox provider left the refund open")
    return RefundState(result)


def open_sandbox(url: str, *, merchant_key: str, provider_public_key: str) -> SandboxProvider:
    """The provider from the paths of the settings; raises ConfigError naming the file."""
    return SandboxProvider(url, load_private_key(Path(merchant_key)), load_public_key(Path(provider_public_key)))


def stamp_headers(stamp: Stamp) -> dict[str, str]:
    """The stamp as HTTP headers."""
    return {
        "X-Sandbox-Timestamp": str(stamp.timestamp_s),
        "X-Sandbox-Nonce": stamp.nonce,
        "X-Sandbox-Serial": stamp.serial,
        "X-Sandbox-Signature": stamp.signature,
    }


def _stamp(headers: Mapping[str, str]) -> Stamp:
    lower = {name.lower(): value for name, value in headers.items()}
    timestamp = lower.get("x-sandbox-timestamp", "")
    if not (timestamp.isascii() and timestamp.isdigit() and len(timestamp) <= 12):
        raise BadSignature("the timestamp is missing or not a number")
    return Stamp(
        int(timestamp),
        lower.get("x-sandbox-nonce", ""),
        lower.get("x-sandbox-serial", ""),
        lower.get("x-sandbox-signature", ""),
    )
