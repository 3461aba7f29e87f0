"""Pages of rows for the API: each is read from the last key of the page before, so that pages neither skip nor repeat
rows while new ones arrive, and no page costs more than its own rows.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import BindParameter, Connection, RowMapping, and_, bindparam, select

from server.store.account_lines import NEWEST_FIRST, lines_of
from server.store.direct import Query
from server.store.schema import account, anomaly_case, api_client, batch, line, meter, reading, relay_desired

LAST = 2**63 - 1  # greater than any instant and any version
_BEFORE: BindParameter[int] = bindparam("before")
_LIMIT: BindParameter[int] = bindparam("limit")

_HOUSEHOLD_IDS = Query(
    lambda _: (
        select(account.c.account_id)
        .where(
            account.c.estate_id == bindparam("estate_id"),
            account.c.kind == "household",
            account.c.status != "closed",
            account.c.account_id > bindparam("after"),
        )
        .order_by(account.c.account_id)
        .limit(bindparam("limit"))
    )
)


def household_ids(connection: Connection, estate_id: str, *, after: str, limit: int) -> list[str]:
    """Ids of open household accounts greater than `after`, in order."""
    rows = _HOUSEHOLD_IDS.rows(connection, estate_id=estate_id, after=after, limit=limit)
    return [str(account_id) for (account_id,) in rows]


_READINGS = Query(
    lambda _: (
        select(reading)
        .where(
            reading.c.estate_id == bindparam("estate_id"),
            reading.c.meter_id == bindparam("meter_id"),
            reading.c.read_at >= bindparam("since"),
            reading.c.read_at < bindparam("before"),
        )
        .order_by(reading.c.read_at.desc())
        .limit(bindparam("limit"))
    )
)


def readings(
    connection: Connection, estate_id: str, meter_id: str, *, before: int | None, limit: int, since: int = 0
) -> Sequence[Mapping[str, Any]]:
    """Readings of a meter with `read_at` from `since` to under `before` (world seconds), newest first."""
    until = LAST if before is None else before
    return _READINGS.ask(
        connection, estate_id=estate_id, meter_id=meter_id, since=since, before=until, limit=limit
    )  # fmt: skip


_LINES = Query(
    lambda _: (
        select(line, batch.c.kind, batch.c.memo, batch.c.event_at, batch.c.created_ms)
        .join(batch, and_(batch.c.estate_id == line.c.estate_id, batch.c.batch_seq == line.c.batch_seq))
        .where(*lines_of(bindparam("estate_id"), bindparam("account_id"), before=_BEFORE, newest=_LIMIT))
        .order_by(*NEWEST_FIRST)
        .limit(_LIMIT)
    )
)


def ledger_lines(
    connection: Connection, estate_id: str, account_id: str, *, before: int | None, limit: int
) -> Sequence[Mapping[str, Any]]:
    """Lines of an account with `account_version` under `before`, with kind and memo of their batch, newest first."""
    until = LAST if before is None else before
    return _LINES.ask(connection, estate_id=estate_id, account_id=account_id, before=until, limit=limit)


def cases(
    connection: Connection, estate_id: str, *, statuses: Sequence[str], after: str, limit: int
) -> Sequence[RowMapping]:
    """Cases in one of `statuses` with an id greater than `after`, in order of their ids."""
    query = select(anomaly_case).where(
        anomaly_case.c.estate_id == estate_id, anomaly_case.c.status.in_(statuses), anomaly_case.c.case_id > after
    )
    return connection.execute(query.order_by(anomaly_case.c.case_id).limit(limit)).mappings().all()


def supply_decisions(connection: Connection, estate_id: str, *, limit: int) -> Sequence[RowMapping]:
    """The newest wishes for relays with their evidence, account and room, newest first."""
    query = (
        select(relay_desired, meter.c.account_id, meter.c.room_id)
        .join(
            meter,
            and_(meter.c.estate_id == relay_desired.c.estate_id, meter.c.meter_id == relay_desired.c.meter_id),
        )
        .where(relay_desired.c.estate_id == estate_id)
        .order_by(relay_desired.c.created_ms.desc(), relay_desired.c.meter_id, relay_desired.c.gen.desc())
        .limit(limit)
    )
    return connection.execute(query).mappings().all()


def client(connection: Connection, estate_id: str, client_id: str) -> RowMapping | None:
    """An active API client by its id, or None."""
    query = select(api_client).where(
        api_client.c.estate_id == estate_id, api_client.c.client_id == client_id, api_client.c.active == 1
    )
    return connection.execute(query).mappings().one_or_none()
