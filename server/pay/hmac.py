"""Integrators who bring a payment service of their own: JSON both ways, signed with a shared secret.

The field `kind` keeps messages of one direction from being played back in the other: we send order, query, close,
refund, refund_query and bill to one address, its answers are of kind answer, its callbacks payment or refunded.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from urllib.parse import urlsplit

import httpx

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
from server.signing.ed25519 import BadSignature, machine_now_s
from server.signing.fields import AMOUNT_FEN_MAX, MACHINE_MS_MAX, number, object_of, text
from server.signing.shared_secret import check, signed_headers

TIMEOUT_S = 5
CURRENCY = "CNY"
ADDRESS_LENGTH_MAX = 500


class HmacProvider:
    """Speaks to one integrator's payment service; see `Provider` for the contract of the methods."""

    name = "hmac"

    def __init__(
        self,
        url: str,
        merchant: str,
        secrets: Sequence[bytes],
        *,
        transport: httpx.AsyncBaseTransport | None = None,
        machine_s: Callable[[], int] = machine_now_s,
    ) -> None:
        parts = urlsplit(url)
        self.pay_origin = f"{parts.scheme}://{parts.netloc}"
        self._url = url
        self._merchant = merchant
        self._secrets = tuple(secrets)
        self._transport = transport
        self._machine_s = machine_s

    async def prepare(
        self, order_no: str, amount_fen: int, *, title: str, notify_url: str, return_url: str
    ) -> PreparedOrder:
        """Register the order; the payment page must be of the service's own origin."""
        more = {"amount_fen": amount_fen, "title": title, "notify_url": notify_url, "return_url": return_url}
        answer = await self._ask("order", order_no, **more)
        pay_url = answer.get("pay_url")
        if not isinstance(pay_url, str) or not pay_url.startswith(f"{self.pay_origin}/"):
            raise ProviderUnavailable("the payment service named a payment page that is not its own")
        if len(pay_url) > ADDRESS_LENGTH_MAX:
            raise ProviderUnavailable("the payment service named a payment page with too long an address")
        return PreparedOrder(order_no, pay_url)

    def verify_callback(self, headers: Mapping[str, str], body: bytes, *, now_ms: int) -> PaidEvent | RefundEvent:
        """Check signature and freshness over the raw bytes, then read the fields."""
        try:
            check(self._secrets, headers, body, now_s=now_ms // 1000)
        except BadSignature as error:
            raise CallbackRejected(f"callback of {self.name} refused: {error}") from error
        fields = object_of(body)
        if fields.get("kind") == "refunded":
            return self._refund_event(fields)
        if fields.get("kind") != "payment":
            raise CallbackRejected("the message is neither of kind payment nor of kind refunded")
        return self._event(fields, text(fields, "order_no"))

    def accepted(self, result: str) -> CallbackAnswer:
        """200 and what became of the message."""
        return json_accepted(result)

    def refused(self, status: int, detail: str) -> CallbackAnswer:
        """Any other status."""
        return json_refused(status, detail)

    async def query(self, order_no: str) -> PaidEvent | None:
        """What the service knows of the order."""
        answer = await self._ask("query", order_no)
        if answer.get("result") in ("open", "unknown"):
            return None
        try:
            return self._event(answer, order_no)
        except CallbackRejected as error:
            raise ProviderUnavailable(f"the payment service answered nonsense: {error}") from error

    async def close(self, order_no: str) -> bool:
        """Close the order there."""
        result = (await self._ask("close", order_no)).get("result")
        if result not in ("closed", "failed", "unknown", "paid"):
            raise ProviderUnavailable("the payment service did not close the order")
        return result != "paid"

    async def refund(
        self, paid: Paid, refund_no: str, amount_fen: int, *, total_fen: int, reason: str, notify_url: str = ""
    ) -> RefundState:
        """Send money back the way it came."""
        more = {"refund_no": refund_no, "amount_fen": amount_fen, "total_fen": total_fen, "reason": reason}
        if notify_url:
            more["notify_url"] = notify_url
        answer = await self._ask("refund", paid.order_no, **_transaction(paid), **more)
        if answer.get("result") == "refused":
            raise Refused("the payment service gives no money back for this order")
        return _refund_state(answer, refund_no)

    async def query_refund(self, paid: Paid, refund_no: str, amount_fen: int) -> RefundState | None:
        """What the service knows of a refund."""
        answer = await self._ask("refund_query", paid.order_no, **_transaction(paid), refund_no=refund_no)
        if answer.get("result") in ("unknown", "refused"):
            return None
        if answer.get("amount_fen") != amount_fen:
            raise ProviderUnavailable("the payment service knows this refund with another amount")
        return _refund_state(answer, refund_no)

    async def bill(self, day: str) -> bytes:
        """The rows of a day, as the service signs them."""
        answer = await self._ask("bill", "", day=day)
        if answer.get("day") != day:
            raise ProviderUnavailable("the payment service answered for another day")
        return json.dumps({"rows": answer.get("rows")}, ensure_ascii=False, sort_keys=True).encode()

    def read_bill(self, content: bytes) -> Sequence[BillRow]:
        """A JSON object with rows."""
        return read_json(content)

    def _refund_event(self, fields: Mapping[str, object]) -> RefundEvent:
        if (fields.get("merchant"), fields.get("currency")) != (self._merchant, CURRENCY):
            raise CallbackRejected("the message is for another merchant or currency")
        return refund_event(self.name, fields)

    def _event(self, fields: Mapping[str, object], order_no: str) -> PaidEvent:
        ours = (self._merchant, CURRENCY, order_no)
        if (fields.get("merchant"), fields.get("currency"), fields.get("order_no")) != ours:
            raise CallbackRejected("the message is for another merchant, currency or order")
        if fields.get("result") not in ("paid", "failed"):
            raise CallbackRejected("the field result is neither paid nor failed")
        return PaidEvent(
            provider=self.name,
            event_id=text(fields, "event_id"),
            transaction_id=text(fields, "transaction_id"),
            order_no=order_no,
            amount_fen=number(fields, "amount_fen", AMOUNT_FEN_MAX),
            paid=fields["result"] == "paid",
            paid_ms=number(fields, "paid_ms", MACHINE_MS_MAX),
        )

    async def _ask(self, kind: str, order_no: str, **more: object) -> dict[str, object]:
        """One signed message and its verified answer, which must name the same order and kind of question."""
        wish = {"kind": kind, "merchant": self._merchant, "order_no": order_no, "currency": CURRENCY, **more}
        body = json.dumps(wish).encode()
        headers = signed_headers(self._secrets, body, now_s=self._machine_s())
        try:
            async with httpx.AsyncClient(transport=self._transport, timeout=TIMEOUT_S, trust_env=False) as client:
                answer = await client.post(self._url, content=body, headers=headers)
        except httpx.HTTPError as error:
            raise ProviderUnavailable(f"no answer from the payment service ({type(error).__name__})") from error
        if not answer.is_success:
            raise ProviderUnavailable(f"the payment service answered {answer.status_code}")
        try:
            check(self._secrets, answer.headers, answer.content, now_s=self._machine_s())
            fields = object_of(answer.content)
        except (BadSignature, CallbackRejected) as error:
            raise ProviderUnavailable(f"answer of the payment service refused: {error}") from error
        if (fields.get("kind"), fields.get("to"), fields.get("order_no")) != ("answer", kind, order_no):
            raise ProviderUnavailable("the payment service answered another question")
        return fields


def _transaction(paid: Paid) -> dict[str, str]:
    """The service's own number of a payment that came without an order of ours."""
    return {} if paid.order_no else {"transaction_id": paid.transaction_id}


def _refund_state(answer: Mapping[str, object], refund_no: str) -> RefundState:
    result = answer.get("result")
    if answer.get("refund_no") != refund_no or not isinstance(result, str) or result not in tuple(RefundState):
        raise ProviderUnavailable("the payment service left the refund open")
    return RefundState(result)
