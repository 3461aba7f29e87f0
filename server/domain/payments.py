"""What money may be credited: the checks between a verified message and the ledger.

A message is bound to our own order, never to what the payer's browser says: order, provider and amount must agree.
Whatever does not fit is kept in suspense, since it is somebody's money; it is never the household's credit.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

TOPUP_MIN_FEN = 1000  # online and kiosk: below 10 yuan the provider's fee eats the amount
COUNTER_MIN_FEN = 1  # cash that was taken is booked, however little
TOPUP_MAX_FEN = 500_000  # one payment; more is a mistake of typing
ORDER_OPEN_MS = 30 * 60 * 1000
ORDER_POLLS_MS = (30_000, 120_000, 600_000, ORDER_OPEN_MS)  # after creation, when no callback came
ORDER_CHANNELS = ("online", "kiosk")


class CallbackResult(StrEnum):
    """What became of a provider's message."""

    CREDITED = "credited"
    REPEAT = "repeat"
    SUSPENSE = "suspense"
    IGNORED = "ignored"


class Paid(Protocol):
    """A verified message of a provider; the fields of `server.pay.provider.PaidEvent`."""

    @property
    def provider(self) -> str: ...
    @property
    def event_id(self) -> str: ...
    @property
    def transaction_id(self) -> str: ...
    @property
    def order_no(self) -> str: ...
    @property
    def amount_fen(self) -> int: ...
    @property
    def paid(self) -> bool: ...
    @property
    def paid_ms(self) -> int: ...


@dataclass(frozen=True, slots=True)
class OrderFacts:
    """What our own order says."""

    provider: str
    amount_fen: int
    status: str


def amount_problem(amount_fen: int, minimum_fen: int = TOPUP_MIN_FEN, maximum_fen: int = TOPUP_MAX_FEN) -> str:
    """Why this amount cannot be paid, or an empty text."""
    if amount_fen < minimum_fen:
        return f"at least {minimum_fen} fen must be paid, not {amount_fen}"
    if amount_fen > maximum_fen:
        return f"at most {maximum_fen} fen can be paid at once, not {amount_fen}"
    return ""


@dataclass(frozen=True, slots=True)
class Limits:
    """An estate's limits of top-ups: of one payment, of the balance after it, of one cashier's day; None: any."""

    topup_min_fen: int = TOPUP_MIN_FEN
    topup_max_fen: int = TOPUP_MAX_FEN
    balance_max_fen: int | None = None
    sales_day_max_fen: int | None = None

    def problem(self, amount_fen: int, balance_fen: int, *, minimum_fen: int | None = None) -> str:
        """Why a household with this balance cannot be sold so much, or an empty text."""
        least_fen = self.topup_min_fen if minimum_fen is None else minimum_fen
        problem = amount_problem(amount_fen, least_fen, self.topup_max_fen)
        if not problem and self.is_hoard(balance_fen + amount_fen):
            room_fen = max(0, (self.balance_max_fen or 0) - balance_fen)
            problem = f"the balance may not rise above {self.balance_max_fen} fen; at most {room_fen} fen can be paid"
        return problem

    def is_hoard(self, balance_fen: int) -> bool:
        """Whether a balance is more than anybody may hold."""
        return self.balance_max_fen is not None and balance_fen > self.balance_max_fen

    def till_problem(self, amount_fen: int, taken_fen: int) -> str:
        """Why a cashier who has taken so much today cannot take this too, or an empty text."""
        if self.sales_day_max_fen is None or taken_fen + amount_fen <= self.sales_day_max_fen:
            return ""
        return (
            f"one cashier may take {self.sales_day_max_fen} fen a day; {taken_fen} fen were taken; hand over the till"
        )


def suspense_reason(order: OrderFacts | None, event: Paid) -> str:
    """Why verified money must not be credited to the order's household, or an empty text."""
    if order is None:
        return "unknown order"
    if order.provider != event.provider:
        return f"the order belongs to provider {order.provider}"
    if order.amount_fen != event.amount_fen:
        return f"the order is over {order.amount_fen} fen, {event.amount_fen} fen were paid"
    if order.status != "created":
        return f"the order is {order.status}"
    return ""


def poll_is_due(created_ms: int, polls: int, now_ms: int) -> bool:
    """Whether an open order, asked for `polls` times already, is to be asked for again."""
    due_ms = ORDER_POLLS_MS[min(polls, len(ORDER_POLLS_MS) - 1)]
    return now_ms - created_ms >= due_ms


def is_overdue(created_ms: int, now_ms: int) -> bool:
    """Whether an unpaid order has been open for its whole time."""
    return now_ms - created_ms >= ORDER_OPEN_MS
