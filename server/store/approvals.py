"""Reads and writes of acts that need a second person."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, RowMapping, bindparam, select

from server.store.direct import Query
from server.store.schema import approval


def add(connection: Connection, **values: Any) -> None:
    """Insert one request."""
    connection.execute(approval.insert().values(**values))


def get(connection: Connection, estate_id: str, approval_id: str) -> RowMapping | None:
    """One request."""
    query = select(approval).where(approval.c.estate_id == estate_id, approval.c.approval_id == approval_id)
    return connection.execute(query).mappings().one_or_none()


_WAITING = Query(
    lambda _: (
        select(approval)
        .where(
            approval.c.estate_id == bindparam("estate_id"),
            approval.c.status == "waiting",
            approval.c.expires_ms > bindparam("now_ms"),
        )
        .order_by(approval.c.requested_ms.desc())
    )
)


def waiting(connection: Connection, estate_id: str, now_ms: int) -> Sequence[Mapping[str, Any]]:
    """Requests that wait for their second person and have not expired, newest first."""
    return _WAITING.ask(connection, estate_id=estate_id, now_ms=now_ms)


def payloads(connection: Connection, estate_id: str, now_ms: int, kind: str) -> dict[str, dict[str, Any]]:
    """What waiting requests of a kind ask for, by their ids."""
    rows = waiting(connection, estate_id, now_ms)
    return {row["approval_id"]: json.loads(row["payload"]) for row in rows if row["kind"] == kind}


def update(connection: Connection, estate_id: str, approval_id: str, **values: Any) -> None:
    """Change the state of a request."""
    connection.execute(
        approval.update()
        .where(approval.c.estate_id == estate_id, approval.c.approval_id == approval_id)
        .values(**values)
    )


def newest_approved(connection: Connection, estate_id: str, kind: str, since_ms: int) -> RowMapping | None:
    """The last act of this kind that two people agreed to after `since_ms`."""
    query = (
        select(approval)
        .where(
            approval.c.estate_id == estate_id,
            approval.c.kind == kind,
            approval.c.status == "approved",
            approval.c.approved_ms > since_ms,
        )
        .order_by(approval.c.approved_ms.desc())
        .limit(1)
    )
    return connection.execute(query).mappings().one_or_none()


def withdraw_waiting(connection: Connection, estate_id: str, kind: str) -> None:
    """Take back every waiting request of this kind."""
    where = (approval.c.estate_id == estate_id, approval.c.kind == kind, approval.c.status == "waiting")
    connection.execute(approval.update().where(*where).values(status="withdrawn"))
