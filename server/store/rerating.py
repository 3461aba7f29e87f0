"""Reads and writes of re-ratings, and of the corrections that they have posted."""

from collections.abc import Sequence
from dataclasses import fields
from typing import Any

from sqlalchemy import Connection, RowMapping, and_, func, or_, select

from server.domain.rerating import KIND, Rerate
from server.domain.voiding import VOID
from server.store.account_lines import lines_of_accounts
from server.store.schema import batch, line, rerate

RERATES_SHOWN = 50
_NAMES = tuple(field.name for field in fields(Rerate))


def _of(row: RowMapping) -> Rerate:
    return Rerate(**{name: row[name] for name in _NAMES})


def add(connection: Connection, **values: Any) -> None:
    """Keep one re-rating."""
    connection.execute(rerate.insert().values(**values))


def get(connection: Connection, estate_id: str, rerate_id: str) -> Rerate | None:
    """One re-rating."""
    query = select(rerate).where(rerate.c.estate_id == estate_id, rerate.c.rerate_id == rerate_id)
    row = connection.execute(query).mappings().one_or_none()
    return None if row is None else _of(row)


def update(connection: Connection, estate_id: str, rerate_id: str, **values: Any) -> None:
    """Note how far a re-rating is."""
    where = (rerate.c.estate_id == estate_id, rerate.c.rerate_id == rerate_id)
    connection.execute(rerate.update().where(*where).values(**values))


def note_portion(
    connection: Connection, estate_id: str, rerate_id: str, last_account: str, corrected: int, fen: int
) -> None:
    """Note that corrections are posted up to an account."""
    more = {"corrected": rerate.c.corrected + corrected, "corrected_fen": rerate.c.corrected_fen + fen}
    where = (rerate.c.estate_id == estate_id, rerate.c.rerate_id == rerate_id)
    connection.execute(rerate.update().where(*where).values(done_account=last_account, **more))


def newest(connection: Connection, estate_id: str, *, limit: int = RERATES_SHOWN) -> Sequence[RowMapping]:
    """Re-ratings as they are kept, newest first."""
    query = select(rerate).where(rerate.c.estate_id == estate_id).order_by(rerate.c.created_ms.desc())
    return connection.execute(query.limit(limit)).mappings().all()


def with_status(connection: Connection, estate_id: str, *statuses: str) -> list[Rerate]:
    """Re-ratings in these states, in the order in which they were asked for."""
    query = select(rerate).where(rerate.c.estate_id == estate_id, rerate.c.status.in_(statuses))
    return [_of(row) for row in connection.execute(query.order_by(rerate.c.created_ms, rerate.c.rerate_id)).mappings()]


def taken_back_since(connection: Connection, estate_id: str, one: Rerate) -> bool:
    """Whether charges of its span were taken back after its bound: it would correct what is no more."""
    query = (
        select(line.c.batch_seq)
        .join(batch, and_(batch.c.estate_id == line.c.estate_id, batch.c.batch_seq == line.c.batch_seq))
        .where(
            line.c.estate_id == estate_id, batch.c.kind == VOID, batch.c.batch_seq > one.until_batch,
            line.c.tariff_id == one.tariff_id, line.c.event_to > one.from_at, line.c.event_from < one.until_at,
        )
        .limit(1)
    )  # fmt: skip
    return connection.execute(query).first() is not None


def corrected(
    connection: Connection, estate_id: str, rerates: Sequence[Rerate], account_ids: Sequence[str] | None = None
) -> dict[str, int]:
    """Nanofen that these re-ratings have posted, by account."""
    if not rerates:
        return {}
    keys = [batch.c.memo == one.memo for one in rerates]
    own = (line.c.estate_id == estate_id,) if account_ids is None else lines_of_accounts(estate_id, account_ids)
    query = (
        select(line.c.account_id, func.sum(line.c.charge_nf))
        .join(batch, and_(batch.c.estate_id == line.c.estate_id, batch.c.batch_seq == line.c.batch_seq))
        .where(*own, batch.c.kind == KIND, line.c.charge_nf != 0, or_(*keys))
        .group_by(line.c.account_id)
    )
    return {row[0]: int(row[1]) for row in connection.execute(query)}
