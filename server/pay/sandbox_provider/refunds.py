"""Refunds of the sandbox provider, in memory: done at once unless a fault is planted on the order.

A refund is known by its number; the same number again is the same refund and moves nothing more. Of an order no more
goes back than was paid.
"""

import secrets
from dataclasses import dataclass

from server.pay.sandbox_provider.orders import AMOUNT_FEN_MAX, Fault, Order, OrderBook, Refusal

REFUNDS_MAX = 100_000


@dataclass(slots=True)
class Refund:
    """One refund and what became of it: done, pending, failed or refused."""

    order: Order
    refund_no: str
    amount_fen: int
    notify_url: str
    result: str
    event_id: str
    at_ms: int


class RefundBook:
    """All refunds of one merchant."""

    def __init__(self, orders: OrderBook) -> None:
        self._orders = orders
        self._by_no: dict[str, Refund] = {}

    def all(self) -> list[Refund]:
        """Every refund, in the order in which they were asked for."""
        return list(self._by_no.values())

    def by_number(self, refund_no: str) -> Refund:
        """One refund; 404 when there is none."""
        if refund_no not in self._by_no:
            raise Refusal(404, "no such refund")
        return self._by_no[refund_no]

    def give(self, fields: object, *, now_ms: int) -> tuple[Refund, bool]:
        """The refund that a request asks for, and whether it is new; 409 for a number with other terms."""
        order, refund_no, amount_fen, notify_url = self._terms(fields)
        known = self._by_no.get(refund_no)
        if known is not None:
            if (known.order, known.amount_fen) != (order, amount_fen):
                raise Refusal(409, "this refund number was used with other terms")
            return known, False
        if len(self._by_no) >= REFUNDS_MAX:
            raise Refusal(503, "the refund book is full")
        given_fen = sum(one.amount_fen for one in self._by_no.values() if one.order is order and one.result != "failed")
        result = {Fault.REFUND_PENDING: "pending", Fault.REFUND_FAILED: "failed"}.get(order.fault, "done")
        if order.result != "paid" or given_fen + amount_fen > order.terms.amount_fen:
            result = "refused"
        found = Refund(order, refund_no, amount_fen, notify_url, result, f"ev{secrets.token_hex(12)}", now_ms)
        if result != "refused":
            self._by_no[refund_no] = found
        return found, result != "refused"

    def _terms(self, fields: object) -> tuple[Order, str, int, str]:
        if not isinstance(fields, dict):
            raise Refusal(422, "the body is not a JSON object")
        amount = fields.get("amount_fen")
        if isinstance(amount, bool) or not isinstance(amount, int) or not 0 < amount <= AMOUNT_FEN_MAX:
            raise Refusal(422, f"amount_fen must be a whole number from 1 to {AMOUNT_FEN_MAX}")
        if fields.get("currency") != "CNY":
            raise Refusal(422, "currency must be CNY")
        refund_no, notify_url = fields.get("refund_no"), fields.get("notify_url", "")
        if not isinstance(refund_no, str) or not 0 < len(refund_no) <= 64:
            raise Refusal(422, "refund_no must be a text of 1 to 64 characters")
        if not isinstance(notify_url, str) or (notify_url and not notify_url.startswith(("http://", "https://"))):
            raise Refusal(422, "notify_url must be an http address, or empty")
        return self._order(fields), refund_no, amount, notify_url

    def _order(self, fields: dict[str, object]) -> Order:
        """By our number, or by the wallet's own for money that came without one."""
        if "order_no" in fields:
            return self._orders.by_number(str(fields["order_no"]))
        return self._orders.by_transaction(str(fields.get("transaction_id")))
