"""The Protocol that every payment provider speaks, ours included.

An order is committed before the provider is asked. A payment counts only after `verify_callback` (raw bytes,
signature, freshness) and the checks of `flows.payments` (order, amount, account).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from server.errors import EstateError


class ProviderUnavailable(EstateError):
    """The provider cannot be asked now; the order stays open and nothing is credited."""


@dataclass(frozen=True, slots=True)
class PreparedOrder:
    """What the payer needs to pay: the provider's page, or a code to show."""

    order_no: str
    pay_url: str


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


class Provider(Protocol):
    """One payment provider; `pay_origin` is the origin of its payment pages, allowed by our form policy."""

    name: str
    pay_origin: str

    async def prepare(
        self, order_no: str, amount_fen: int, *, title: str, notify_url: str, return_url: str
    ) -> PreparedOrder:
        """Register the committed order with the provider; raises ProviderUnavailable."""
        ...

    def verify_callback(self, headers: Mapping[str, str], body: bytes, *, now_ms: int) -> PaidEvent:
        """Check signature and freshness (two-sided window of 300 s); raises CallbackRejected."""
        ...

    async def query(self, order_no: str) -> PaidEvent | None:
        """Ask what became of an order when no callback came."""
        ...
