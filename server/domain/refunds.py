"""Money on its way back: how much may go, who may decide it alone, and how a refund fares.

A refund is reserved when the money has left the balance, asked once a provider may have heard of it, then refunded or
released. What nobody can tell stays asked: it is asked for again under the same number, and a person may decide it in
the end. A payment never gives back more than it brought, less what went back before. What a household has consumed
is not given back, unless a second person agrees with the reason.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Final, Protocol
from zoneinfo import ZoneInfo

RESERVED, ASKED, REFUNDED, RELEASED = "reserved", "asked", "refunded", "released"
OPEN: Final = (RESERVED, ASKED)
SOURCE, BY_CASH = "source", "cash"
WAYS: Final = (SOURCE, BY_CASH)
REASON_LENGTH_MAX: Final = 200
PARTNER: Final = "client:"  # how money is named that a third party took under its own key
BACKOFF_MIN_MS: Final = 30_000
BACKOFF_MAX_MS: Final = 3_600_000
HAND_TRIES_MIN: Final = 3  # so often a provider must have been asked before a person may decide
LATE_MS: Final = 24 * 3600 * 1000  # open for so long, a refund becomes a case
ALONE_MAX_FEN: Final = 50_000  # above it two people; an estate may set another amount


class Outcome(StrEnum):
    """What became of a provider's message about a refund."""

    REFUNDED = "refunded"
    RELEASED = "released"
    REPEAT = "repeat"
    NOTED = "noted"
    UNKNOWN = "unknown"
    CONTRADICTED = "contradicted"


class Returned(Protocol):
    """A verified message about a refund; the fields of `server.pay.provider.RefundEvent`."""

    @property
    def provider(self) -> str: ...
    @property
    def event_id(self) -> str: ...
    @property
    def refund_no(self) -> str: ...
    @property
    def order_no(self) -> str: ...
    @property
    def amount_fen(self) -> int | None: ...
    @property
    def state(self) -> str: ...


@dataclass(frozen=True, slots=True)
class Wish:
    """What a refund would do: of one payment, from one balance."""

    amount_fen: int
    paid_fen: int
    returned_fen: int  # of the payment, refunded already or on its way
    available_fen: int  # the whole fen that the balance has left, nothing of it consumed
    way: str
    is_own_sale: bool = True  # cash: sold today by who gives it back
    alone_max_fen: int = ALONE_MAX_FEN


def refusal(wish: Wish) -> str:
    """Why this cannot be given back by anybody, or an empty text."""
    if wish.amount_fen <= 0:
        return f"a refund of {wish.amount_fen} fen is not possible; the amount must be positive"
    left_fen = wish.paid_fen - wish.returned_fen
    if wish.amount_fen > left_fen:
        return f"of this payment {left_fen} fen can still be given back, not {wish.amount_fen}"
    return ""


def source_problem(provider: str, order_no: str | None, transaction_id: str) -> str:
    """Why nobody can be asked to send a payment back the way it came, or an empty text."""
    if provider.startswith(PARTNER):
        name = provider.removeprefix(PARTNER)
        return f"{name} took this money itself and gives it back itself; agree with it, and book what it did"
    if not order_no and not transaction_id:
        return f"{provider} has named neither an order nor a transaction, so it cannot be asked to send this back"
    return ""


def second_person(wish: Wish) -> str:
    """Why a second person must agree, or an empty text."""
    if wish.amount_fen > wish.available_fen:
        return f"only {max(0, wish.available_fen)} fen are not consumed"
    if wish.way == BY_CASH and not wish.is_own_sale:
        return "cash goes back alone only on the day of the sale and by its cashier"
    if wish.amount_fen + wish.returned_fen > wish.alone_max_fen:
        return f"more than {wish.alone_max_fen} fen of one payment"
    return ""


def available_fen(balance_fen: int, residue_nf: int) -> int:
    """The whole fen of a balance that nothing has been charged against."""
    return balance_fen - (1 if residue_nf > 0 else 0)


def next_try_ms(tries: int, now_ms: int) -> int:
    """When a refund that nobody can tell of is asked for again: after 30 s, doubling to an hour."""
    return now_ms + min(BACKOFF_MAX_MS, BACKOFF_MIN_MS << min(tries, 12))


def is_late(created_ms: int, now_ms: int) -> bool:
    """Whether somebody has to look after an open refund."""
    return now_ms - created_ms >= LATE_MS


def same_day(time_zone: str, one_s: int, other_s: int) -> bool:
    """Whether two world times lie on one local day of the estate."""
    zone = ZoneInfo(time_zone)
    return datetime.fromtimestamp(one_s, UTC).astimezone(zone).date() == (
        datetime.fromtimestamp(other_s, UTC).astimezone(zone).date()
    )
