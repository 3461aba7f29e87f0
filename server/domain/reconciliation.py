"""Reconciliation: what a provider's bill file of a day says against what is booked here, both ways.

Payments are told apart by the provider's transaction, refunds by our number. A difference has a class, which says who
has to act and how. The day of a bill is Beijing's, by the time at which money moved there, so that what happens around
midnight may stand in the neighbouring file: that is a difference of the day boundary and nobody's work.

A refund stands in the file of the day on which the provider took it on, with the state that it had when the file was
made; the file is never written again. So one that was under way then says nothing of how it ended, but does say that
somebody has sent money back.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, timezone
from enum import StrEnum
from typing import Final, NamedTuple

PAYMENT, REFUND = "payment", "refund"
DONE, PENDING, FAILED = "done", "pending", "failed"
BEIJING: Final = timezone(timedelta(hours=8))
READY_HOUR: Final = 10  # of the day after; the providers make their files in the morning
DAYS_BACK: Final = 7  # so far back a file that is missing is fetched
DAYS_MISSED: Final = 31  # so far back people are told that one is missing
EDGE_MS: Final = 10 * 60 * 1000  # so close to midnight the two clocks may name different days
DAY_MS: Final = 24 * 3600 * 1000


class Kind(StrEnum):
    """The class of a difference."""

    MISSING_HERE = "missing_here"
    MISSING_THERE = "missing_there"
    AMOUNT = "amount"
    STATE = "state"
    DUPLICATE = "duplicate"
    DAY_BOUNDARY = "day_boundary"


OWNERS: Mapping[str, str] = {  # whose turn it is
    Kind.MISSING_HERE: "operator",
    Kind.MISSING_THERE: "operator",
    Kind.AMOUNT: "provider",
    Kind.STATE: "operator",
    Kind.DUPLICATE: "provider",
    Kind.DAY_BOUNDARY: "nobody",
}


ACTIONS: Mapping[str, str] = {  # what they do
    Kind.MISSING_HERE: "ask the provider, and take the money in if it is there",
    Kind.MISSING_THERE: "ask the provider, and give the credit back if no money came",
    Kind.AMOUNT: "ask the provider which amount is right",
    Kind.STATE: "look at the provider's platform and at the refund here",
    Kind.DUPLICATE: "ask the provider whether it was taken twice",
    Kind.DAY_BOUNDARY: "nothing",
}


class BillRow(NamedTuple):
    """One row of a bill file; amounts are positive fen, `at_ms` is the provider's time."""

    kind: str
    order_no: str
    refund_no: str  # empty for a payment
    transaction_id: str
    amount_fen: int
    state: str  # done | pending | failed
    at_ms: int

    @property
    def key(self) -> str:
        """What tells it from all others of its kind."""
        return self.refund_no if self.kind == REFUND else self.transaction_id


class Booked(NamedTuple):
    """A payment or refund as it is booked here."""

    kind: str
    key: str
    order_no: str
    amount_fen: int
    state: str
    at_ms: int
    transaction_id: str = ""


@dataclass(frozen=True, slots=True)
class Difference:
    """One difference of a day; an amount that one side does not know is None."""

    kind: Kind
    what: str
    key: str
    order_no: str
    transaction_id: str
    here_fen: int | None
    there_fen: int | None
    here_state: str = ""
    there_state: str = ""


def day_of(at_ms: int) -> str:
    """The day in Beijing."""
    return datetime.fromtimestamp(at_ms // 1000, UTC).astimezone(BEIJING).date().isoformat()


def bounds_ms(day: str) -> tuple[int, int]:
    """When a day begins and ends, machine time."""
    parsed = date.fromisoformat(day)
    start_ms = int(datetime(parsed.year, parsed.month, parsed.day, tzinfo=BEIJING).timestamp()) * 1000
    return start_ms, start_ms + DAY_MS


def neighbours(day: str) -> tuple[str, str]:
    """The days before and after."""
    parsed = date.fromisoformat(day)
    return tuple((parsed + timedelta(days=step)).isoformat() for step in (-1, 1))  # type: ignore[return-value]


def due_days(now_ms: int, have: Iterable[str], begun_ms: int | None, back: int = DAYS_BACK) -> list[str]:
    """Of the last `back` days those whose file should be there and is not, oldest first; none of before anything was
    booked.
    """
    now = datetime.fromtimestamp(now_ms // 1000, UTC).astimezone(BEIJING)
    newest = now.date() - timedelta(days=1 if now.hour >= READY_HOUR else 2)
    known = set(have)
    days = [(newest - timedelta(days=number)).isoformat() for number in range(back)]
    begun = "9999" if begun_ms is None else day_of(begun_ms)
    return [day for day in reversed(days) if day not in known and day >= begun]


def compare(
    day: str,
    theirs: Sequence[BillRow],
    ours: Sequence[Booked],
    elsewhere: Mapping[tuple[str, str], str],
    loaded: Iterable[str],
) -> list[Difference]:
    """The differences of a day, in a fixed order.

    `ours` holds what was booked on that day and whatever else the file names; `elsewhere` the day of the file in which
    a (kind, key) stands; `loaded` the days whose files are there.
    """
    found: list[Difference] = []
    counts = Counter((row.kind, row.key) for row in theirs)
    first = {(row.kind, row.key): row for row in reversed(theirs)}
    booked = {(one.kind, one.key): one for one in ours}
    for place, row in sorted(first.items()):
        one = booked.get(place)
        if counts[place] > 1:
            found.append(_both(Kind.DUPLICATE, row, one))
        kind = _kind_of(day, row, one)
        if kind is not None:
            found.append(_both(kind, row, one))
    for place, one in sorted(booked.items()):
        if place in first or one.state != DONE or day_of(one.at_ms) != day:
            continue
        found.append(_ours(_absent(day, one, elsewhere.get(place), set(loaded)), one))
    return found


def _kind_of(day: str, row: BillRow, one: Booked | None) -> Kind | None:
    under_way = row.kind == REFUND and row.state == PENDING
    if one is None:
        return Kind.MISSING_HERE if row.state == DONE or under_way else None
    if row.amount_fen != one.amount_fen:
        return Kind.AMOUNT
    if (row.state == DONE) != (one.state == DONE) and not under_way:
        return Kind.STATE
    return Kind.DAY_BOUNDARY if day_of(one.at_ms) != day else None


def _absent(day: str, one: Booked, other_day: str | None, loaded: set[str]) -> Kind:
    """Why what is booked here is not in the file of its day."""
    if other_day is not None:
        return Kind.DAY_BOUNDARY
    start_ms, end_ms = bounds_ms(day)
    before, after = neighbours(day)
    waits = (one.at_ms - start_ms < EDGE_MS and before not in loaded) or (
        end_ms - one.at_ms <= EDGE_MS and after not in loaded
    )
    return Kind.DAY_BOUNDARY if waits else Kind.MISSING_THERE


def _both(kind: Kind, row: BillRow, one: Booked | None) -> Difference:
    here = (one.amount_fen, one.state) if one is not None else (None, "")
    return Difference(
        kind, row.kind, row.key, row.order_no, row.transaction_id, here[0], row.amount_fen, here[1], row.state
    )  # fmt: skip


def _ours(kind: Kind, one: Booked) -> Difference:
    return Difference(kind, one.kind, one.key, one.order_no, one.transaction_id, one.amount_fen, None, one.state)
