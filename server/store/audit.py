"""The audit trail: who did what to whom, append-only."""

from typing import TYPE_CHECKING
from uuid import uuid4

from sqlalchemy import Connection, select

from server.store.bulk import Bundle
from server.store.schema import audit

if TYPE_CHECKING:
    from server.clock import Now


COLUMNS = ("estate_id", "audit_id", "actor", "verb", "subject", "detail", "world_at", "created_ms")


def record(
    connection: Connection, estate_id: str, actor: str, verb: str, subject: str, now: "Now", detail: str = ""
) -> None:
    """Append one entry in the caller's unit of work."""
    bundle = Bundle()
    add(bundle, estate_id, actor, verb, subject, now, detail)
    bundle.send(connection)


def add(bundle: Bundle, estate_id: str, actor: str, verb: str, subject: str, now: "Now", detail: str = "") -> None:
    """Append one entry together with other writes."""
    row = (estate_id, uuid4().hex, actor, verb, subject, detail, now.world_s, now.machine_ms)
    bundle.insert(audit, COLUMNS, [row])


def seen_since(connection: Connection, estate_id: str, verb: str, subject: str, world_s: int) -> bool:
    """Whether somebody did this to it at `world_s` or later."""
    query = (
        select(audit.c.audit_id)
        .where(
            audit.c.estate_id == estate_id,
            audit.c.verb == verb,
            audit.c.subject == subject,
            audit.c.world_at >= world_s,
        )
        .limit(1)
    )
    return connection.execute(query).first() is not None
