"""The audit trail: who did what to whom, append-only."""

from typing import TYPE_CHECKING
from uuid import uuid4

from sqlalchemy import Connection, select

from server.store.schema import audit

if TYPE_CHECKING:
    from server.clock import Now


def record(
    connection: Connection, estate_id: str, actor: str, verb: str, subject: str, now: "Now", detail: str = ""
) -> None:
    """Append one entry in the caller's unit of work."""
    connection.execute(
        audit.insert().values(
            estate_id=estate_id,
            audit_id=uuid4().hex,
            actor=actor,
            verb=verb,
            subject=subject,
            detail=detail,
            world_at=now.world_s,
            created_ms=now.machine_ms,
        )
    )


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
