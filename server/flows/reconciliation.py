"""Reconciliation: a provider's bill file is kept as it came and compared with the books; differences become cases.

The same file again changes nothing. Every comparison is made anew from the newest file of a day: what is no difference
any more is explained and its case closed by itself, what a person has settled stays settled.
"""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING

from sqlalchemy import RowMapping

from server.domain.anomalies import BILL_DIFFERENCE, Finding
from server.domain.reconciliation import (
    DONE,
    FAILED,
    OWNERS,
    PAYMENT,
    REFUND,
    BillRow,
    Difference,
    Kind,
    bounds_ms,
    compare,
    neighbours,
)
from server.errors import Conflict, NotFound, Refused
from server.flows import cases, payments
from server.store import audit
from server.store import reconciliation as kept
from server.store.estates import get_estate
from server.store.unit import Unit

if TYPE_CHECKING:
    from server.clock import Now

FETCHED, UPLOADED = "fetched", "uploaded"


@dataclass(frozen=True, slots=True)
class Loaded:
    """What loading a file did; `repeated` when the newest file of the day was this one already."""

    sha256: str
    rows: int
    differences: int
    repeated: bool


@dataclass(frozen=True, slots=True)
class _Told:
    """A payment of which only the bill file tells."""

    provider: str
    event_id: str
    transaction_id: str
    order_no: str
    amount_fen: int
    paid_ms: int
    paid: bool = True


def load(
    unit: Unit,
    estate_id: str,
    provider: str,
    day: str,
    content: bytes,
    rows: Sequence[BillRow],
    *,
    source: str,
    actor: str,
    now: "Now",
) -> Loaded:
    """Keep a bill file with its hash and compare its day and both neighbours with the books.

    Refused for rows that are not of that day: it is the file of another one.
    """
    start_ms, end_ms = bounds_ms(day)
    strays = sum(not start_ms <= row.at_ms < end_ms for row in rows)
    if strays:
        raise Refused(f"{strays} of {len(rows)} rows are not of {day}; name the day of the file")
    digest = sha256(content).hexdigest()
    repeated = kept.has_file(unit.connection, estate_id, provider, day, digest)
    if not repeated:
        sums = {
            kind: sum(row.amount_fen for row in rows if row.kind == kind and row.state == DONE)
            for kind in (PAYMENT, REFUND)
        }
        if digest in kept.digests(unit.connection, estate_id, provider, day):
            raise Conflict(f"this file was the one of {day} before, and another one took its place")
        kept.add_file(
            unit.connection, estate_id=estate_id, provider=provider, day=day, sha256=digest,
            content=base64.b64encode(content).decode(), rows=len(rows), paid_fen=sums[PAYMENT],
            returned_fen=sums[REFUND], source=source, actor=actor, created_ms=now.machine_ms,
        )  # fmt: skip
        kept.replace_rows(unit.connection, estate_id, provider, day, rows)
        detail = f"{len(rows)} rows, {source}, SHA-256 {digest}"
        audit.record(unit.connection, estate_id, actor, "bill_file.loaded", f"{provider}:{day}", now, detail)
    found = judge(unit, estate_id, provider, day, now)
    for other in neighbours(day):
        judge(unit, estate_id, provider, other, now)
    return Loaded(digest, len(rows), found, repeated)


def judge(unit: Unit, estate_id: str, provider: str, day: str, now: "Now") -> int:
    """Compare a day anew, if there is a file of it; how many differences wait for somebody."""
    connection = unit.connection
    loaded = kept.loaded_days(connection, estate_id, provider)
    if day not in loaded:
        return 0
    theirs = kept.rows_of(connection, estate_id, provider, day)
    ours = kept.booked(connection, estate_id, provider, bounds_ms(day), theirs)
    other = kept.elsewhere(connection, estate_id, provider, day, ours)
    found = {(str(one.kind), one.what, one.key): one for one in compare(day, theirs, ours, other, loaded)}
    known = kept.known_differences(connection, estate_id, provider, day)
    for place, row in known.items():
        if place not in found and row["explained_ms"] is None:
            kept.mark_explained(connection, estate_id, row, now.machine_ms)
            subject = _subject(provider, day, *place)
            cases.settle(unit, estate_id, (BILL_DIFFERENCE, subject), "it is no difference any more", now)
        elif place in found and row["explained_ms"] is not None:
            kept.mark_explained(connection, estate_id, row, None)
    for place, one in found.items():
        if place not in known:
            case_id = None if one.kind is Kind.DAY_BOUNDARY else _raise(unit, estate_id, provider, day, one, now)
            kept.add_difference(connection, estate_id, provider, day, one, case_id, now.machine_ms)
    return sum(one.kind is not Kind.DAY_BOUNDARY for one in found.values())


def take_in(unit: Unit, estate_id: str, case_id: str, *, reason: str, actor: str, now: "Now") -> str:
    """Book a payment that the file tells of and that is missing here: credited to its order, or to suspense.

    Returns credited or suspense; the difference explains itself. Refused without a reason, for another class, and
    above what one person may book where the only witness is a file that the same person has uploaded.
    """
    row = _difference(unit, estate_id, case_id)
    if (row["class"], row["what"]) != (Kind.MISSING_HERE, PAYMENT):
        raise Refused("only a payment that is missing here can be taken in")
    if not reason.strip():
        raise Refused("say how you made sure that the provider has this money")
    provider, day = row["provider"], row["day"]
    told = next(one for one in kept.rows_of(unit.connection, estate_id, provider, day) if one.key == row["key"])
    limit_fen = get_estate(unit.connection, estate_id)["adjust_alone_fen"]
    if told.amount_fen > limit_fen and _brought(unit, estate_id, provider, day, actor):
        raise Refused(f"you uploaded this file yourself; more than {limit_fen} fen of it are taken in by somebody else")
    event = _Told(provider, f"bill:{day}:{told.key}", told.transaction_id, told.order_no, told.amount_fen, told.at_ms)
    result = payments.record_callback(unit, estate_id, event, f"bill file of {day}: {told!r}", now=now)
    detail = f"{told.amount_fen} fen, {result}: {reason.strip()}"
    audit.record(unit.connection, estate_id, actor, "bill_difference.taken_in", case_id, now, detail)
    judge(unit, estate_id, provider, day, now)
    return str(result)


def _brought(unit: Unit, estate_id: str, provider: str, day: str, actor: str) -> bool:
    """Whether the file of a day that counts is one that this person has uploaded."""
    file = kept.newest_file(unit.connection, estate_id, provider, day)
    return file is not None and (file["source"], file["actor"]) == (UPLOADED, actor)


def settle(unit: Unit, estate_id: str, case_id: str, *, resolution: str, actor: str, now: "Now") -> None:
    """A person has found out and done what was to be done."""
    _difference(unit, estate_id, case_id)
    cases.close(unit, estate_id, case_id, resolution=resolution, actor=actor, now=now)


def _difference(unit: Unit, estate_id: str, case_id: str) -> RowMapping:
    row = kept.difference_of_case(unit.connection, estate_id, case_id)
    if row is None:
        raise NotFound("there is no such difference in this estate")
    return row


def _raise(unit: Unit, estate_id: str, provider: str, day: str, one: Difference, now: "Now") -> str:
    evidence: dict[str, object] = {"provider": provider, "day": day, "class": str(one.kind), "owner": OWNERS[one.kind]}
    given = {
        "order_no": one.order_no, "transaction_id": one.transaction_id, "here_fen": one.here_fen,
        "there_fen": one.there_fen, "status": one.here_state, "state": one.there_state,
    }  # fmt: skip
    evidence |= {name: value for name, value in given.items() if value not in (None, "")}
    if one.what == REFUND:
        evidence["refund_no"] = one.key
    subject = _subject(provider, day, str(one.kind), one.what, one.key)
    severity = "medium" if FAILED in (one.here_state, one.there_state) else "high"
    return cases.raise_case(unit, estate_id, Finding(BILL_DIFFERENCE, subject, None, severity, evidence), now)


def _subject(provider: str, day: str, kind: str, what: str, key: str) -> str:
    return f"{provider}:{day}:{kind}:{what}:{key}"
