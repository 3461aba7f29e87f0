"""Closing days and months: sums of every account, derived from the journal, checked, and fixed for ever.

`draft` works the sums out beside the writer, in one consistent read; `steps` are the units of work that fix them: one
for a small estate, else some thousand accounts at a time, so that payments never wait long. The header comes last and
makes them true; a close that was broken off goes on through the same batch. A period is closed once, in order, after
it has ended, and not while readings of it are held or missing unless a person says why. Nothing is moved by a close:
it only says what belonged to the period when it was closed.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from sqlalchemy import Connection

from server.domain.ledger import GENESIS
from server.domain.settlement import (
    DAY,
    KINDS,
    Doubts,
    Settlement,
    Sums,
    period_at,
    span_of,
    sums_sha256,
    turnover_of,
)
from server.domain.settlement_sums import PeriodSums
from server.errors import Conflict, NotFound, Refused
from server.store import audit
from server.store import settlement as kept
from server.store.estates import get_estate
from server.store.unit import Unit
from server.store.verification import ratios
from server.store.verification_windows import Journal

if TYPE_CHECKING:
    from server.clock import Now

OVERRIDE_LENGTH_MAX = 1000
SUMS_AT_ONCE = 2000  # about 20 ms of the writer's time


@dataclass(frozen=True, slots=True)
class Draft:
    """A period as it would be closed: the header without who and why, its sums, and what is not known."""

    settlement: Settlement
    sums: Sequence[Sums]
    doubts: Doubts


@dataclass(frozen=True, slots=True)
class Following:
    """The period that is to be closed next; `over` says that it has ended."""

    kind: str
    period: str
    from_at: int
    to_at: int
    over: bool
    doubts: Doubts


def following(connection: Connection, estate_id: str, kind: str, now: "Now") -> Following:
    """What comes next: the period after the last closed one, else that of the journal's first batch."""
    zone = _zone(connection, estate_id)
    last = kept.newest(connection, estate_id, kind)
    at_s = kept.first_event_at(connection, estate_id) if last is None else last.to_at
    period = period_at(kind, now.world_s if at_s is None else at_s, zone)
    from_at, to_at = span_of(kind, period, zone)
    over = to_at <= now.world_s
    doubts = kept.doubts_at(connection, estate_id, to_at) if over else Doubts()
    return Following(kind, period, from_at, to_at, over, doubts)


def day_due(connection: Connection, estate_id: str, now: "Now") -> Following | None:
    """The day that may be closed by itself: the one after the last, else yesterday; None when nothing is due.

    Days of before the journal are not closed.
    """
    first_at = kept.first_event_at(connection, estate_id)
    if first_at is None:
        return None
    if kept.newest(connection, estate_id, DAY) is not None:
        due = following(connection, estate_id, DAY, now)
        return due if due.over else None
    zone = _zone(connection, estate_id)
    today_at, _ = span_of(DAY, period_at(DAY, now.world_s, zone), zone)
    period = period_at(DAY, today_at - 1, zone)
    from_at, to_at = span_of(DAY, period, zone)
    if first_at >= to_at:
        return None
    return Following(DAY, period, from_at, to_at, True, kept.doubts_at(connection, estate_id, to_at))


def draft(connection: Connection, estate_id: str, kind: str, period: str, now: "Now") -> Draft:
    """Work a period out; nothing is written.

    NotFound for no period; Conflict when it is closed; Refused before its end, out of order, or over wrong books.
    """
    if kind not in KINDS:
        raise NotFound(f"there are no settlement periods of kind {kind!r}; there are {', '.join(KINDS)}")
    zone = _zone(connection, estate_id)
    from_at, to_at = span_of(kind, period, zone)
    if to_at > now.world_s:
        raise Refused(f"the {kind} {period} has not ended yet; it can be closed afterwards")
    if kept.settlement_of(connection, estate_id, kind, period) is not None:
        raise Conflict(f"the {kind} {period} is closed already; what was closed stays as it is")
    last = kept.newest(connection, estate_id, kind)
    if last is not None and last.to_at != from_at:
        raise Refused(f"the {kind} after {last.period} comes first: {period_at(kind, last.to_at, zone)}")
    begun = kept.begun_through(connection, estate_id, kind, period)
    through = kept.newest_batch(connection, estate_id) if begun is None else begun
    sums = _derive(connection, estate_id, last, from_at, to_at, through)
    doubts = kept.doubts_at(connection, estate_id, to_at)
    header = Settlement(
        kind, period, from_at, to_at, through, len(sums), sum(row.energy_wh for row in sums),
        json.dumps(turnover_of(sums), separators=(",", ":")), "", doubts.as_json(), "", now.world_s, now.machine_ms,
        sums_sha256(sums), GENESIS if last is None else last.hash,
    )  # fmt: skip
    return Draft(header, sums, doubts)


def _derive(
    connection: Connection, estate_id: str, last: Settlement | None, from_at: int, to_at: int, through: int
) -> list[Sums]:
    """The sums of the period, checked against the balances of all accounts."""
    if last is None:
        own = PeriodSums([from_at, to_at], [through, through], ratios(connection, estate_id))
        start = 0
    else:
        rows = kept.sums(connection, estate_id, last.kind, last.period)
        opening = {row.account_id: row.closing_fen for row in rows}
        own = PeriodSums([from_at, to_at], [last.through_seq, through], ratios(connection, estate_id), opening)
        since = kept.first_batch_since(connection, estate_id, from_at)
        start = min(last.through_seq, last.through_seq if since is None else since - 1)
    for window in Journal(connection, estate_id).windows(after=start):
        own.take(window.batches, window.lines)
    sums = [row for _, rows in own.complete(through) for row in rows]
    _check(connection, estate_id, sums, own.still_open())
    return sums


def _check(connection: Connection, estate_id: str, sums: Sequence[Sums], still_open: dict[str, int]) -> None:
    """Sums of lines against differences of balances, and the journal's balance; Refused when anything is wrong."""
    for row in sums:
        if row.opening_fen + sum(row.kinds.values()) != row.closing_fen:
            raise Refused(f"the lines of account {row.account_id} do not lead from its opening to its closing balance")
    closing = {row.account_id: row.closing_fen for row in sums}
    for account_id, balance_fen in kept.balances(connection, estate_id).items():
        derived_fen = closing.get(account_id, 0) + still_open.get(account_id, 0)
        if derived_fen != balance_fen:
            raise Refused(
                f"account {account_id} stands at {balance_fen} fen, its lines make {derived_fen}: nothing is closed "
                "over wrong books; run estate645 verify"
            )
    unbalanced_fen = sum(row.closing_fen for row in sums)
    if unbalanced_fen:
        raise Refused(f"the journal does not balance by {unbalanced_fen} fen at the end of the period")


def steps(
    estate_id: str, drafted: Draft, *, actor: str, override: str = "", now: "Now"
) -> list[Callable[[Unit], Settlement | None]]:
    """The units of work that close a drafted period, in order; the last one answers with it. Errors as in `close`."""
    last = partial(close, estate_id=estate_id, drafted=drafted, actor=actor, override=override, now=now)
    if len(drafted.sums) <= SUMS_AT_ONCE:
        return [last]
    first = partial(_begin, estate_id=estate_id, drafted=drafted, override=override)
    rest = [
        partial(_keep, estate_id=estate_id, drafted=drafted, start=start)
        for start in range(0, len(drafted.sums), SUMS_AT_ONCE)
    ]
    return [first, *rest, last]


def _begin(unit: Unit, estate_id: str, drafted: Draft, override: str) -> None:
    own = drafted.settlement
    if _may_close(unit.connection, estate_id, drafted, override):
        kept.begin(unit.connection, estate_id, own)
    _same_batch(unit.connection, estate_id, own)


def _keep(unit: Unit, estate_id: str, drafted: Draft, start: int) -> None:
    _same_batch(unit.connection, estate_id, drafted.settlement)
    kept.append_sums(unit.connection, estate_id, drafted.settlement, drafted.sums[start : start + SUMS_AT_ONCE])


def _same_batch(connection: Connection, estate_id: str, own: Settlement) -> None:
    begun = kept.begun_through(connection, estate_id, own.kind, own.period)
    if begun not in (None, own.through_seq):
        raise Conflict("this period is being closed through another batch; look again")


def _may_close(connection: Connection, estate_id: str, drafted: Draft, override: str) -> bool:
    """Whether a drafted period is still open; Refused or Conflict when it must not be closed."""
    own = drafted.settlement
    if kept.settlement_of(connection, estate_id, own.kind, own.period) is not None:
        return False
    if drafted.doubts and not override.strip():
        raise Refused(
            f"{drafted.doubts.held} readings are held and {drafted.doubts.missing} meters are not charged up to the "
            f"end of {own.period}; settle them, or say why it is closed all the same"
        )
    if len(override.strip()) > OVERRIDE_LENGTH_MAX:
        raise Refused(f"a reason has at most {OVERRIDE_LENGTH_MAX} characters")
    last = kept.newest(connection, estate_id, own.kind)
    if (GENESIS if last is None else last.hash) != own.previous_hash:
        raise Conflict("another period was closed meanwhile; nothing was closed, look again")
    return True


def close(unit: Unit, estate_id: str, drafted: Draft, *, actor: str, override: str = "", now: "Now") -> Settlement:
    """Fix a drafted period, with those of its sums that no step has kept; one that is closed comes back as it is.

    Refused while there are doubts and no `override` says why it is closed all the same; Conflict when another period
    was closed meanwhile.
    """
    connection, own = unit.connection, drafted.settlement
    if not _may_close(connection, estate_id, drafted, override):
        known = kept.settlement_of(connection, estate_id, own.kind, own.period)
        if known is not None:
            return known
    _same_batch(connection, estate_id, own)
    closed = replace(
        own,
        override=override.strip() if drafted.doubts else "",
        actor=actor,
        world_at=now.world_s,
        created_ms=now.machine_ms,
    ).chained()
    if kept.sums_kept(connection, estate_id, own.kind, own.period) != len(drafted.sums):
        kept.append_sums(connection, estate_id, own, drafted.sums)
    kept.append(connection, estate_id, closed)
    audit.record(connection, estate_id, actor, f"{own.kind}.closed", own.period, now, closed.override)
    return closed


def _zone(connection: Connection, estate_id: str) -> ZoneInfo:
    return ZoneInfo(get_estate(connection, estate_id)["time_zone"])
