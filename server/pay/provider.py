"""The Protocol that every payment provider speaks, ours included.

An order is committed before the provider is asked. A payment counts only after `verify_callback` (raw bytes,
signature, freshness, merchant, currency) and the checks of `flows.payments` (order, amount, account). A provider
that is told nothing, or not the word that it demands, sends its message again.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from server.domain.reconciliation import BillRow
from server.errors import EstateError


class ProviderUnavailable(EstateError):
    """The provider cannot be asked now; the order stays open and nothing is credited."""


@dataclass(frozen=True, slots=True)
class PreparedOrder:
    """What the payer needs to pay: an address, which is the provider's page, or else a code to scan."""

    order_no: str
    pay_url: str
    is_page: bool = True


@dataclass(frozen=True, slots=True)
class PaidEvent:
    """A verified message of the provider that money has arrived (or is known not to)."""

    provider: str
    event_id: str
    transaction_id: str
    order_no: str
    amount_fen: int
    paid: bool
    paid_ms: int


class RefundState(StrEnum):
    """What a provider says of money on its way back; a pending one is asked for again under the same number."""

    DONE = "done"
    PENDING = "pending"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Paid:
    """By what a provider knows a payment: our order, or its own transaction where it came without an order."""

    order_no: str
    transaction_id: str = ""

    def by(self, order: str, transaction: str) -> dict[str, str]:
        """The one field that names it, under the provider's name for an order or for a transaction."""
        return {order: self.order_no} if self.order_no else {transaction: self.transaction_id}


@dataclass(frozen=True, slots=True)
class RefundEvent:
    """A verified message of the provider about money on its way back; without an amount it is only a hint to ask."""

    provider: str
    event_id: str
    refund_no: str
    order_no: str
    amount_fen: int | None
    state: RefundState


@dataclass(frozen=True, slots=True)
class CallbackAnswer:
    """What a provider wants to hear: HTTP status and body."""

    status: int
    body: bytes
    media_type: str


class Provider(Protocol):
    """One payment provider; `pay_origin` is the origin of its payment pages, allowed by our form policy, or empty."""

    name: str
    pay_origin: str

    async def prepare(
        self, order_no: str, amount_fen: int, *, title: str, notify_url: str, return_url: str
    ) -> PreparedOrder:
        """Register the committed order with the provider; raises ProviderUnavailable."""
        ...

    def verify_callback(self, headers: Mapping[str, str], body: bytes, *, now_ms: int) -> PaidEvent | RefundEvent:
        """Check signature and freshness, to both sides of now, over the raw bytes; raises CallbackRejected."""
        ...

    def accepted(self, result: str) -> CallbackAnswer:
        """The answer to a message that is in the books, or was before; `result` says what became of it."""
        ...

    def refused(self, status: int, detail: str) -> CallbackAnswer:
        """The answer to a message that is not in the books; the provider is to send it again."""
        ...

    async def query(self, order_no: str) -> PaidEvent | None:
        """Ask what became of an order when no callback came; None while it is open or unknown there."""
        ...

    async def close(self, order_no: str) -> bool:
        """Take the chance to pay away; False when it was paid before. Raises ProviderUnavailable."""
        ...

    async def refund(
        self, paid: Paid, refund_no: str, amount_fen: int, *, total_fen: int, reason: str, notify_url: str = ""
    ) -> RefundState:
        """Give back `amount_fen` of a payment over `total_fen`; the same `refund_no` again moves nothing more.

        Raises Refused when the provider gives no money back for this order, ProviderUnavailable when that is open.
        """
        ...

    async def query_refund(self, paid: Paid, refund_no: str, amount_fen: int) -> RefundState | None:
        """What became of a refund that was asked for; None when the provider has never heard of it.

        Raises ProviderUnavailable, also when what is known there is another refund.
        """
        ...

    async def bill(self, day: str) -> bytes:
        """The provider's bill file of a day (YYYY-MM-DD in Beijing) as it comes; empty where it had no business.

        Raises ProviderUnavailable, also when the file does not have the hash that was promised.
        """
        ...

    def read_bill(self, content: bytes) -> Sequence[BillRow]:
        """The rows of a bill file; raises Refused naming what is wrong with it, or whose it is."""
        ...


def json_accepted(result: str) -> CallbackAnswer:
    """The answer of providers that only look at the status."""
    return CallbackAnswer(200, json.dumps({"result": result}).encode(), "application/json")


def json_refused(status: int, detail: str) -> CallbackAnswer:
    """An RFC 9457 problem, for providers that only look at the status."""
    problem = {"type": "about:blank", "title": "Not accepted", "status": status, "detail": detail}
    return CallbackAnswer(status, json.dumps(problem).encode(), "application/problem+json")
