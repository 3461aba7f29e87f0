"""Settlement periods: the local days and months of an estate, and what closing one of them fixes.

Closing a period fixes the newest batch that counts. A line of the journal belongs to the first period of its kind
that ends after the line's event and was closed through its batch or a later one: what is booked late falls into the
period that is open then, and keeps its event time. A charge counts at its last second. Days and months are closed
each in their own row, without a gap; the headers of a row are chained by hash, so that an edited one shows.
"""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import astuple, dataclass, replace
from datetime import UTC, date, datetime, timedelta
from hashlib import sha256
from typing import NamedTuple
from zoneinfo import ZoneInfo

from server.domain.ledger import GENESIS, payload_sha256
from server.errors import NotFound

DAY, MONTH = "day", "month"
KINDS = (DAY, MONTH)
DOUBTS_NAMED_MAX = 200  # meters and readings that a close names; the counts are always whole
_FORMS = {DAY: re.compile(r"\d{4}-\d{2}-\d{2}"), MONTH: re.compile(r"\d{4}-\d{2}")}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Sums(NamedTuple):
    """One account in one closed period; `by_kind` is JSON of fen by kind of batch, energy is after the ratio.

    Rates are sharp, peak, flat and valley where the tariff prices them, else 0. Late lines are those whose event lies
    before the period. Opening balance and the sum over all kinds make the closing balance.
    """

    account_id: str
    opening_fen: int
    closing_fen: int
    by_kind: str
    lines: int
    late_lines: int
    late_fen: int
    charge_nf: int
    energy_wh: int
    rate1_wh: int
    rate2_wh: int
    rate3_wh: int
    rate4_wh: int

    @property
    def kinds(self) -> dict[str, int]:
        """Fen by kind of batch."""
        found: dict[str, int] = json.loads(self.by_kind)
        return found

    @property
    def rates_wh(self) -> tuple[int, int, int, int]:
        """Energy by rate."""
        return self.rate1_wh, self.rate2_wh, self.rate3_wh, self.rate4_wh


@dataclass(frozen=True, slots=True)
class Doubts:
    """What is not known at the end of a period: counts, and whom they concern."""

    held: int = 0
    missing: int = 0
    held_meters: tuple[str, ...] = ()
    missing_meters: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        """Whether there is any."""
        return bool(self.held or self.missing)

    def as_json(self) -> str:
        """As a close keeps them."""
        return json.dumps({name: getattr(self, name) for name in self.__dataclass_fields__}, sort_keys=True)


@dataclass(frozen=True, slots=True)
class Settlement:
    """One closed period: its span, the newest batch that counts, totals, who closed it, and its place in the chain."""

    kind: str
    period: str
    from_at: int
    to_at: int
    through_seq: int
    accounts: int
    energy_wh: int
    turnover: str  # JSON of fen by kind of batch, each counted once
    override: str  # why it was closed in spite of doubts; empty where there were none
    doubts: str
    actor: str
    world_at: int
    created_ms: int
    sums_sha256: str
    previous_hash: str = GENESIS
    hash: str = ""

    def chained(self) -> "Settlement":
        """The same with the hash that follows from everything else."""
        return replace(self, hash=payload_sha256(*astuple(self)[:-1]))


def span_of(kind: str, period: str, zone: ZoneInfo) -> tuple[int, int]:
    """Begin and end of a period in world seconds, the end excluded; NotFound for what is no period."""
    form = _FORMS.get(kind)
    try:
        if form is None or not form.fullmatch(period):
            raise ValueError
        first = date.fromisoformat(period if kind == DAY else f"{period}-01")
        return midnight(first, zone), midnight(_following(kind, first), zone)
    except (ValueError, OverflowError) as error:
        raise NotFound(f"{period!r} is no {kind}; write a day as 2026-10-13 and a month as 2026-10") from error


def midnight(day: date, zone: ZoneInfo) -> int:
    """World seconds of the begin of a local day."""
    return int(datetime(day.year, day.month, day.day, tzinfo=zone).timestamp())


def period_at(kind: str, at_s: int, zone: ZoneInfo) -> str:
    """The name of the period in which an instant lies."""
    day = (_EPOCH + timedelta(seconds=at_s)).astimezone(zone).date().isoformat()
    return day if kind == DAY else day[:7]


def _following(kind: str, first: date) -> date:
    if kind == DAY:
        return first + timedelta(days=1)
    return (first.replace(day=28) + timedelta(days=4)).replace(day=1)


def sums_sha256(rows: Iterable[Sums]) -> str:
    """Hash of the sums of a period, in the order of their accounts."""
    return sha256("\n".join(repr(tuple(row)) for row in rows).encode()).hexdigest()


def turnover_of(rows: Iterable[Sums]) -> dict[str, int]:
    """Fen that moved in a period by kind of batch: what came to accounts, which is what went from others."""
    found: dict[str, int] = {}
    for row in rows:
        for kind, fen in row.kinds.items():
            found[kind] = found.get(kind, 0) + max(0, fen)
    return {kind: fen for kind, fen in sorted(found.items()) if fen}


def kinds_text(by_kind: Mapping[str, int]) -> str:
    """Fen by kind as a sum keeps them: without zeros, in order."""
    return json.dumps({kind: fen for kind, fen in sorted(by_kind.items()) if fen}, separators=(",", ":"))
