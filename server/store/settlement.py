"""Reads and appends of closed settlement periods, and what is not known at the end of one."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import astuple, fields
from typing import Any

from sqlalchemy import Connection, RowMapping, and_, bindparam, func, or_, select

from server.domain.local_fee import REMOTE
from server.domain.settlement import DOUBTS_NAMED_MAX, Doubts, Settlement, Sums
from server.store.bulk import insert_rows
from server.store.direct import Query
from server.store.readings import HELD_VERDICTS
from server.store.schema import (
    account,
    batch,
    meter,
    meter_cursor,
    meter_live,
    reading,
    settlement,
    settlement_begun,
    settlement_sum,
)

_HEADER = tuple(field.name for field in fields(Settlement))
_KEY = ("estate_id", "kind", "period")


def settlements(
    connection: Connection, estate_id: str, kind: str, *, limit: int | None = None, newest_first: bool = False
) -> list[Settlement]:
    """Closed periods of a kind in order."""
    query = select(*(settlement.c[name] for name in _HEADER)).where(
        settlement.c.estate_id == estate_id, settlement.c.kind == kind
    )
    order = settlement.c.from_at.desc() if newest_first else settlement.c.from_at
    return [Settlement(*row) for row in connection.execute(query.order_by(order).limit(limit))]


def newest(connection: Connection, estate_id: str, kind: str) -> Settlement | None:
    """The period of a kind that was closed last."""
    found = settlements(connection, estate_id, kind, limit=1, newest_first=True)
    return found[0] if found else None


def settlement_of(connection: Connection, estate_id: str, kind: str, period: str) -> Settlement | None:
    """One closed period, or None."""
    query = select(*(settlement.c[name] for name in _HEADER)).where(
        settlement.c.estate_id == estate_id, settlement.c.kind == kind, settlement.c.period == period
    )
    row = connection.execute(query).one_or_none()
    return None if row is None else Settlement(*row)


def before(connection: Connection, estate_id: str, closed: Settlement) -> Settlement | None:
    """The closed period just before this one."""
    query = select(*(settlement.c[name] for name in _HEADER)).where(
        settlement.c.estate_id == estate_id, settlement.c.kind == closed.kind, settlement.c.to_at == closed.from_at
    )
    row = connection.execute(query).one_or_none()
    return None if row is None else Settlement(*row)


def sums(connection: Connection, estate_id: str, kind: str, period: str) -> list[Sums]:
    """All accounts of a closed period in the order of their ids."""
    columns = [settlement_sum.c[name] for name in Sums._fields]
    query = select(*columns).where(
        settlement_sum.c.estate_id == estate_id,
        settlement_sum.c.kind == kind,
        settlement_sum.c.period == period,
    )
    return sorted(Sums(*row) for row in connection.execute(query))  # databases order letters each in their way


def page_of_sums(
    connection: Connection, estate_id: str, closed: Settlement, *, after: str, limit: int, households: bool = False
) -> Sequence[RowMapping]:
    """Accounts of a closed period after `after`, with their room; with `households` only their own accounts."""
    own = and_(account.c.estate_id == settlement_sum.c.estate_id, account.c.account_id == settlement_sum.c.account_id)
    query = (
        select(settlement_sum, account.c.room_id, account.c.kind.label("account_kind"))
        .outerjoin(account, own)
        .where(
            settlement_sum.c.estate_id == estate_id,
            settlement_sum.c.kind == closed.kind,
            settlement_sum.c.period == closed.period,
            settlement_sum.c.account_id > after,
        )
    )
    if households:
        query = query.where(account.c.kind == "household")
    return connection.execute(query.order_by(settlement_sum.c.account_id).limit(limit)).mappings().all()


def sums_of(
    connection: Connection, estate_id: str, kind: str, period: str, account_ids: Sequence[str]
) -> dict[str, Sums]:
    """The sums of some accounts in a closed period."""
    columns = [settlement_sum.c[name] for name in Sums._fields]
    query = select(*columns).where(
        settlement_sum.c.estate_id == estate_id,
        settlement_sum.c.kind == kind,
        settlement_sum.c.period == period,
        settlement_sum.c.account_id.in_(account_ids),
    )
    return {row[0]: Sums(*row) for row in connection.execute(query)}


_MONTHS = Query(
    lambda _: (
        select(settlement_sum, settlement.c.from_at, settlement.c.to_at)
        .join(settlement, and_(*(settlement.c[name] == settlement_sum.c[name] for name in _KEY)))
        .where(
            settlement_sum.c.estate_id == bindparam("estate_id"),
            settlement_sum.c.kind == "month",
            settlement_sum.c.account_id == bindparam("account_id"),
        )
        .order_by(settlement.c.from_at.desc())
        .limit(bindparam("limit"))
    )
)


def months_of(connection: Connection, estate_id: str, account_id: str, *, limit: int) -> Sequence[Mapping[str, Any]]:
    """The newest closed months in which an account has sums, newest first."""
    return _MONTHS.ask(connection, estate_id=estate_id, account_id=account_id, limit=limit)


def append(connection: Connection, estate_id: str, closed: Settlement) -> None:
    """Keep a closed period, whose sums are kept already."""
    insert_rows(connection, settlement, ("estate_id", *_HEADER), [(estate_id, *astuple(closed))])


def append_sums(connection: Connection, estate_id: str, closed: Settlement, rows: Sequence[Sums]) -> int:
    """Keep sums of a period that is being closed; what is there stays as it is. Returns how many were new."""
    key = (estate_id, closed.kind, closed.period)
    columns = (*_KEY, *Sums._fields)
    return insert_rows(connection, settlement_sum, columns, [(*key, *row) for row in rows], "ON CONFLICT DO NOTHING")


def sums_kept(connection: Connection, estate_id: str, kind: str, period: str) -> int:
    """How many sums of a period are kept."""
    query = select(func.count()).where(
        settlement_sum.c.estate_id == estate_id, settlement_sum.c.kind == kind, settlement_sum.c.period == period
    )
    return int(connection.execute(query).scalar_one())


def begin(connection: Connection, estate_id: str, closed: Settlement) -> None:
    """Fix through which batch a period counts whose sums are written in steps."""
    columns = (*_KEY, "through_seq", "world_at", "created_ms")
    row = (estate_id, closed.kind, closed.period, closed.through_seq, closed.world_at, closed.created_ms)
    insert_rows(connection, settlement_begun, columns, [row], "ON CONFLICT DO NOTHING")


def begun_through(connection: Connection, estate_id: str, kind: str, period: str) -> int | None:
    """The batch through which a period counts whose close has begun; None where none has."""
    query = select(settlement_begun.c.through_seq).where(
        settlement_begun.c.estate_id == estate_id,
        settlement_begun.c.kind == kind,
        settlement_begun.c.period == period,
    )
    return connection.execute(query).scalar_one_or_none()


def turnover(closed: Settlement) -> dict[str, int]:
    """Fen by kind of batch that moved in a closed period; empty for what is no such text."""
    try:
        found: dict[str, int] = json.loads(closed.turnover)
    except ValueError:
        return {}
    return found


def strays(connection: Connection, estate_id: str) -> list[tuple[str, str]]:
    """Periods that have sums, but are neither closed nor being closed."""
    own = and_(*(settlement.c[name] == settlement_sum.c[name] for name in _KEY))
    begun = and_(*(settlement_begun.c[name] == settlement_sum.c[name] for name in _KEY))
    query = (
        select(settlement_sum.c.kind, settlement_sum.c.period)
        .outerjoin(settlement, own)
        .outerjoin(settlement_begun, begun)
        .where(
            settlement_sum.c.estate_id == estate_id,
            settlement.c.period.is_(None),
            settlement_begun.c.period.is_(None),
        )
        .distinct()
    )
    return [(row[0], row[1]) for row in connection.execute(query)]


def newest_batch(connection: Connection, estate_id: str) -> int:
    """The number of the newest batch, 0 for an empty journal."""
    query = select(func.max(batch.c.batch_seq)).where(batch.c.estate_id == estate_id)
    return int(connection.execute(query).scalar() or 0)


def first_batch_since(connection: Connection, estate_id: str, at_s: int) -> int | None:
    """The number of the first batch of an event at or after `at_s`."""
    query = select(batch.c.batch_seq).where(batch.c.estate_id == estate_id, batch.c.event_at >= at_s)
    return connection.execute(query.order_by(batch.c.batch_seq).limit(1)).scalar_one_or_none()


def first_event_at(connection: Connection, estate_id: str) -> int | None:
    """World time of the first batch of the journal; None for an empty one."""
    query = select(batch.c.event_at).where(batch.c.estate_id == estate_id).order_by(batch.c.batch_seq).limit(1)
    return connection.execute(query).scalar_one_or_none()


def balances(connection: Connection, estate_id: str) -> dict[str, int]:
    """Fen of all accounts as they stand."""
    query = select(account.c.account_id, account.c.balance_fen).where(account.c.estate_id == estate_id)
    return {row[0]: row[1] for row in connection.execute(query)}


def doubts_at(connection: Connection, estate_id: str, to_at: int) -> Doubts:
    """Meters that are not charged up to the end of a period, and readings of before it that wait for a person."""
    held, held_meters = _counted(connection, _held(estate_id, to_at), reading.c.meter_id)
    missing, missing_meters = _counted(connection, _missing(estate_id, to_at), meter.c.meter_id)
    return Doubts(held, missing, held_meters, missing_meters)


def _counted(connection: Connection, query: Any, name: Any) -> tuple[int, tuple[str, ...]]:
    count = int(connection.execute(select(func.count()).select_from(query.subquery())).scalar_one())
    if not count:
        return 0, ()
    named = query.distinct().order_by(name).limit(DOUBTS_NAMED_MAX)
    return count, tuple(connection.execute(named).scalars())


def _held(estate_id: str, to_at: int) -> Any:
    own = and_(meter.c.estate_id == reading.c.estate_id, meter.c.meter_id == reading.c.meter_id)
    live = and_(meter_live.c.estate_id == meter.c.estate_id, meter_live.c.meter_id == meter.c.meter_id)
    return (
        select(reading.c.meter_id)
        .join(meter, own)
        .join(meter_live, live)
        .where(
            reading.c.estate_id == estate_id,
            reading.c.install_no == meter.c.install_no,
            reading.c.verdict.in_(HELD_VERDICTS),
            reading.c.read_at >= func.coalesce(meter_live.c.reading_at, meter.c.installed_at),
            reading.c.read_at < to_at,
            meter.c.kind == "household",
        )
    )


def _missing(estate_id: str, to_at: int) -> Any:
    cursor = and_(meter_cursor.c.estate_id == meter.c.estate_id, meter_cursor.c.meter_id == meter.c.meter_id)
    owner = and_(account.c.estate_id == meter.c.estate_id, account.c.account_id == meter.c.account_id)
    return (
        select(meter.c.meter_id)
        .join(account, owner)
        .outerjoin(meter_cursor, cursor)
        .where(
            meter.c.estate_id == estate_id,
            meter.c.kind == "household",
            meter.c.fee == REMOTE,
            meter.c.installed_at < to_at,
            account.c.status == "normal",
            account.c.tariff_id.is_not(None),
            or_(meter_cursor.c.read_at.is_(None), meter_cursor.c.read_at < to_at),
        )
    )
