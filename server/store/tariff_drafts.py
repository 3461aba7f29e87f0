"""Reads and writes of drafts of tariffs."""

import json
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, RowMapping, and_, select

from server.domain.verification_orders import Agreed, Published
from server.store.schema import approval, tariff_draft

DRAFTS_SHOWN = 50


def add(connection: Connection, **values: Any) -> None:
    """Keep one draft."""
    connection.execute(tariff_draft.insert().values(**values))


def get(connection: Connection, estate_id: str, draft_id: str) -> RowMapping | None:
    """One draft."""
    query = select(tariff_draft).where(tariff_draft.c.estate_id == estate_id, tariff_draft.c.draft_id == draft_id)
    return connection.execute(query).mappings().one_or_none()


def newest(connection: Connection, estate_id: str, *, limit: int = DRAFTS_SHOWN) -> Sequence[RowMapping]:
    """Drafts, newest first."""
    query = select(tariff_draft).where(tariff_draft.c.estate_id == estate_id)
    return connection.execute(query.order_by(tariff_draft.c.created_ms.desc()).limit(limit)).mappings().all()


def published_starts(connection: Connection, estate_id: str, tariff_id: str) -> set[int]:
    """When the versions of a tariff begin that two people have published."""
    query = select(tariff_draft.c.starts).where(
        tariff_draft.c.estate_id == estate_id,
        tariff_draft.c.tariff_id == tariff_id,
        tariff_draft.c.status == "published",
    )
    return {start for text in connection.execute(query).scalars() for start in json.loads(text)}


def published(connection: Connection, estate_id: str) -> list[tuple[Published, Agreed | None]]:
    """Drafts that became tariffs, in that order, with what two people agreed to."""
    own = tariff_draft.c
    same = and_(approval.c.estate_id == own.estate_id, approval.c.approval_id == own.approval_id)
    query = (
        select(own.draft_id, own.tariff_id, own.definition, own.starts, *(approval.c[name] for name in Agreed._fields))
        .outerjoin(approval, same)
        .where(own.estate_id == estate_id, own.status == "published")
        .order_by(own.decided_ms, own.created_ms)
    )
    rows = connection.execute(query).all()
    return [(Published(*row[:4]), None if row[4] is None else Agreed(*row[4:])) for row in map(tuple, rows)]


def update(connection: Connection, estate_id: str, draft_id: str, **values: Any) -> None:
    """Change the state of a draft."""
    where = (tariff_draft.c.estate_id == estate_id, tariff_draft.c.draft_id == draft_id)
    connection.execute(tariff_draft.update().where(*where).values(**values))
