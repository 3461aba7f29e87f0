"""What the head-end says that happened, for somebody who judges it from outside: readings, charges, relays, cases.

Each read goes through one estate in the order of time and holds one page of rows at most. Relay states are those that a
read-back gave, told by its notices and by the row of the relay as it is now.
"""

from collections import Counter
from collections.abc import Iterator
from typing import Any, NamedTuple

from sqlalchemy import Connection, Select, and_, func, select, union

from server.domain.archive import Archived
from server.domain.voiding import VOID
from server.store.reading_archive import archived_until
from server.store.readings import ACCEPTED, HELD_VERDICTS
from server.store.schema import account_event, anomaly_case, batch, estate, line, meter, notice, reading, supply

ROWS_AT_ONCE = 5000
IMPORTED = "import"


class Span(NamedTuple):
    """World epoch seconds: after `from_s`, up to `until_s`."""

    from_s: int
    until_s: int


class Posting(NamedTuple):
    """One charged step of one meter; fen and nanofen as they were taken from the account."""

    meter_id: str
    at: int
    from_wh: int
    to_wh: int
    charge_fen: int
    charge_nf: int


class RelaySeen(NamedTuple):
    """From this time on the relay was taken for open or closed."""

    meter_id: str
    at: int
    state: str


class CaseSeen(NamedTuple):
    """A case as it was opened; `is_gate` where its subject is a main meter."""

    kind: str
    subject: str
    is_gate: bool
    at: int


def whole_span(connection: Connection, estate_id: str) -> Span:
    """From the first installation to the newest reading."""
    begun = select(func.min(meter.c.installed_at)).where(meter.c.estate_id == estate_id)
    newest = select(func.max(reading.c.read_at)).where(reading.c.estate_id == estate_id)
    from_s = connection.execute(begun).scalar() or 0
    return Span(from_s, max(from_s, connection.execute(newest).scalar() or 0))


def cycles(connection: Connection, estate_id: str) -> tuple[int, int]:
    """Reading cycle and billing cycle in world seconds."""
    query = select(estate.c.reading_cycle_s, estate.c.billing_cycle_s).where(estate.c.estate_id == estate_id)
    row = connection.execute(query).one()
    return row[0], row[1]


def readings_seen(connection: Connection, estate_id: str, span: Span) -> Iterator[tuple[str, int, int, bool]]:
    """(meter, world time, register in Wh, whether it was believed); what is not is held for a person to decide."""
    until_at = archived_until(connection, estate_id)
    if span.from_s < until_at:
        raise Archived(
            f"readings of before {until_at} (epoch seconds) are archived; begin later, or put them back "
            "(estate645 archive --restore FILE)"
        )
    columns = select(reading.c.meter_id, reading.c.read_at, reading.c.total_wh, reading.c.verdict).where(
        reading.c.estate_id == estate_id,
        reading.c.read_at > span.from_s,
        reading.c.read_at <= span.until_s,
        reading.c.verdict.in_((*ACCEPTED, *HELD_VERDICTS)),
        reading.c.source != IMPORTED,
    )
    for row in _paged(connection, columns.order_by(reading.c.read_at)):
        yield row[0], row[1], row[2], row[3] in ACCEPTED


def postings(connection: Connection, estate_id: str, span: Span) -> Iterator[Posting]:
    """Charged steps in the order of the journal."""
    query = (
        select(
            line.c.meter_id, line.c.event_to, line.c.from_wh, line.c.to_wh, -line.c.amount_fen, line.c.charge_nf,
            line.c.event_from,
        )
        .join(batch, and_(batch.c.estate_id == line.c.estate_id, batch.c.batch_seq == line.c.batch_seq))
        .where(
            line.c.estate_id == estate_id,
            batch.c.kind == "charge",
            line.c.meter_id.is_not(None),
            line.c.event_to > span.from_s,
            line.c.event_to <= span.until_s,
        )
        .order_by(line.c.batch_seq, line.c.line_no)
    )  # fmt: skip
    gone = _taken_back(connection, estate_id)
    for row in _paged(connection, query):
        key = (row[0], row[6], row[1], row[2], row[3])
        if gone[key] > 0:
            gone[key] -= 1  # each mirror takes one of them back; what was charged after it stands
        else:
            yield Posting(*row[:6])


def _taken_back(connection: Connection, estate_id: str) -> Counter[tuple[str, int, int, int, int]]:
    """How often each charged step (meter, from, to, both registers) was taken back."""
    query = (
        select(line.c.meter_id, line.c.event_from, line.c.event_to, line.c.to_wh, line.c.from_wh)
        .join(batch, and_(batch.c.estate_id == line.c.estate_id, batch.c.batch_seq == line.c.batch_seq))
        .where(line.c.estate_id == estate_id, batch.c.kind == VOID, line.c.meter_id.is_not(None))
    )
    return Counter((row[0], row[1], row[2], row[3], row[4]) for row in connection.execute(query))


def relays_seen(connection: Connection, estate_id: str, span: Span) -> list[RelaySeen]:
    """What was read back, by time: cuts and restores that were told, and each relay as it is now."""
    feeding = select(meter.c.meter_id, meter.c.account_id).where(
        meter.c.estate_id == estate_id, meter.c.kind == "household", meter.c.account_id.is_not(None)
    )
    before = select(account_event.c.meter_id, account_event.c.account_id).where(
        account_event.c.estate_id == estate_id,
        account_event.c.act == "moved_out",
        account_event.c.meter_id.is_not(None),
    )
    fed = union(feeding, before).subquery()
    query = (
        select(fed.c.meter_id, notice.c.event_at, notice.c.kind)
        .join(notice, notice.c.account_id == fed.c.account_id)
        .where(notice.c.estate_id == estate_id, notice.c.channel == "page", notice.c.kind.in_(("cut", "restored")))
    )
    seen = [RelaySeen(row[0], row[1], "open" if row[2] == "cut" else "closed") for row in connection.execute(query)]
    now = select(supply.c.meter_id, supply.c.relay_at, supply.c.relay).where(
        supply.c.estate_id == estate_id, supply.c.relay != "unknown", supply.c.relay_at.is_not(None)
    )
    for meter_id, at, relay in connection.execute(now):
        seen.append(RelaySeen(meter_id, at, "closed" if relay == "closed" else "open"))
    return sorted({one for one in seen if span.from_s < one.at <= span.until_s}, key=lambda one: (one.at, one.meter_id))


def cases_seen(connection: Connection, estate_id: str, span: Span) -> list[CaseSeen]:
    """Cases that were opened in the span."""
    query = (
        select(anomaly_case.c.kind, anomaly_case.c.subject, meter.c.kind, anomaly_case.c.opened_at)
        .join(meter, and_(meter.c.estate_id == anomaly_case.c.estate_id, meter.c.meter_id == anomaly_case.c.subject))
        .where(anomaly_case.c.estate_id == estate_id)
        .order_by(anomaly_case.c.opened_at)
    )
    found = [CaseSeen(row[0], row[1], row[2] == "gate", row[3]) for row in connection.execute(query)]
    return [one for one in found if span.from_s < one.at <= span.until_s]


def _paged(connection: Connection, query: Select[Any]) -> Iterator[Any]:
    yield from connection.execute(query, execution_options={"yield_per": ROWS_AT_ONCE})
