"""Orders of the sandbox provider, in memory: open, then paid or failed, never back.

`pay_id` is the secret part of the payment page's address. A fault may be planted on an order (or on all), for the
tests of the merchant's side.
"""

import secrets
from dataclasses import dataclass
from enum import StrEnum

ORDERS_MAX = 100_000
AMOUNT_FEN_MAX = 10_000_000


class Fault(StrEnum):
    """How the callback of a paid order, or its refund, goes wrong; NONE is the honest one."""

    NONE = "none"
    DUPLICATE = "duplicate"  # three deliveries, two of them at once
    LATE = "late"  # delivered only after `late_s`
    LOST = "lost"  # never delivered; only a query tells
    STALE = "stale"  # signed with a timestamp that is too old
    FUTURE = "future"  # signed with a timestamp ahead of now
    WRONG_AMOUNT = "wrong_amount"  # a well-signed amount that is not the order's
    TAMPERED = "tampered"  # body changed after signing
    FORGED = "forged"  # signed with a key that is not the provider's
    REFUND_PENDING = "refund_pending"  # a refund of this order is done only after `late_s`
    REFUND_FAILED = "refund_failed"  # it fails
    REFUND_UNANSWERED = "refund_unanswered"  # it is done, but the first answer is an error


class Refusal(Exception):
    """The request cannot be done; `status` is the HTTP status."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.status = status


@dataclass(frozen=True, slots=True)
class Terms:
    """What the merchant asked for."""

    order_no: str
    amount_fen: int
    currency: str
    title: str
    notify_url: str
    return_url: str


@dataclass(slots=True)
class Order:
    """One order and what became of it."""

    terms: Terms
    pay_id: str
    result: str = "open"
    event_id: str = ""
    transaction_id: str = ""
    paid_ms: int = 0
    fault: Fault = Fault.NONE
    deliveries: int = 0
    delivered: bool = False


class OrderBook:
    """All orders of one merchant."""

    def __init__(self) -> None:
        self._by_no: dict[str, Order] = {}
        self._by_pay_id: dict[str, Order] = {}
        self.fault_for_all = Fault.NONE

    def place(self, terms: Terms) -> Order:
        """Open an order; the same terms again give the same order, other terms are refused with 409."""
        known = self._by_no.get(terms.order_no)
        if known is not None:
            if known.terms != terms:
                raise Refusal(409, "this order number was used with other terms")
            return known
        if len(self._by_no) >= ORDERS_MAX:
            raise Refusal(503, "the order book is full")
        order = Order(terms, secrets.token_urlsafe(16), fault=self.fault_for_all)
        self._by_no[terms.order_no] = order
        self._by_pay_id[order.pay_id] = order
        return order

    def by_number(self, order_no: str) -> Order:
        """The merchant's order; 404 when there is none."""
        if order_no not in self._by_no:
            raise Refusal(404, "no such order")
        return self._by_no[order_no]

    def by_transaction(self, transaction_id: str) -> Order:
        """The order that a transaction of the wallet paid; 404 when there is none."""
        found = next(
            (one for one in self._by_no.values() if transaction_id and one.transaction_id == transaction_id), None
        )
        if found is None:
            raise Refusal(404, "no such transaction")
        return found

    def by_pay_id(self, pay_id: str) -> Order:
        """The order of a payment page; 404 when there is none."""
        if pay_id not in self._by_pay_id:
            raise Refusal(404, "no such payment")
        return self._by_pay_id[pay_id]

    def all(self) -> list[Order]:
        """Every order, in the order in which they were placed."""
        return list(self._by_no.values())

    def settle(self, order: Order, *, paid: bool, now_ms: int) -> bool:
        """The payer decided; False when the order was settled before, which changes nothing."""
        if order.result != "open":
            return False
        order.result = "paid" if paid else "failed"
        order.event_id = f"ev{secrets.token_hex(12)}"
        order.transaction_id = f"tx{secrets.token_hex(12)}"
        order.paid_ms = now_ms
        return True

    def plant(self, fault: Fault, order_no: str | None) -> None:
        """Plant a fault on one order, or on all that are placed from now on."""
        if order_no is None:
            self.fault_for_all = fault
        else:
            self.by_number(order_no).fault = fault


def terms_of(fields: object) -> Terms:
    """The terms in a request body; 422 naming the field that is wrong."""
    if not isinstance(fields, dict):
        raise Refusal(422, "the body is not a JSON object")
    amount = fields.get("amount_fen")
    if isinstance(amount, bool) or not isinstance(amount, int) or not 0 < amount <= AMOUNT_FEN_MAX:
        raise Refusal(422, f"amount_fen must be a whole number from 1 to {AMOUNT_FEN_MAX}")
    if fields.get("currency") != "CNY":
        raise Refusal(422, "currency must be CNY")
    texts = {}
    for name, length_max in (("order_no", 64), ("title", 200), ("notify_url", 500), ("return_url", 500)):
        value = fields.get(name)
        if not isinstance(value, str) or not 0 < len(value) <= length_max:
            raise Refusal(422, f"{name} must be a text of 1 to {length_max} characters")
        if name.endswith("_url") and not value.startswith(("http://", "https://")):
            raise Refusal(422, f"{name} must be an http address")
        texts[name] = value
    return Terms(amount_fen=amount, currency="CNY", **texts)
