"""Reads and writes of what meters that keep the credit themselves say they still have."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, RowMapping, and_, select

from server.store.schema import meter, meter_credit

WAITING, READ, DECIDED, FAILED = "waiting", "read", "decided", "failed"


def add(connection: Connection, **values: Any) -> None:
    """Insert one question, or one decision."""
    connection.execute(meter_credit.insert().values(**values))


def update(connection: Connection, estate_id: str, meter_id: str, asked_ms: int, **values: Any) -> None:
    """Change how a question fares."""
    where = (
        meter_credit.c.estate_id == estate_id, meter_credit.c.meter_id == meter_id,
        meter_credit.c.asked_ms == asked_ms,
    )  # fmt: skip
    connection.execute(meter_credit.update().where(*where).values(**values))


def newest(connection: Connection, estate_id: str, meter_id: str, *statuses: str) -> RowMapping | None:
    """The newest question or decision about a meter, of these statuses or of any."""
    query = select(meter_credit).where(meter_credit.c.estate_id == estate_id, meter_credit.c.meter_id == meter_id)
    if statuses:
        query = query.where(meter_credit.c.status.in_(statuses))
    return connection.execute(query.order_by(meter_credit.c.asked_ms.desc()).limit(1)).mappings().one_or_none()


def due(connection: Connection, estate_id: str, now_ms: int, *, limit: int) -> Sequence[RowMapping]:
    """Questions whose turn has come, with the bus of their meter, oldest first."""
    same = and_(meter.c.estate_id == meter_credit.c.estate_id, meter.c.meter_id == meter_credit.c.meter_id)
    query = (
        select(meter_credit, meter.c.bus_id)
        .join(meter, same)
        .where(
            meter_credit.c.estate_id == estate_id, meter_credit.c.status == WAITING, meter_credit.c.next_ms <= now_ms
        )
        .order_by(meter_credit.c.asked_ms, meter_credit.c.meter_id)
        .limit(limit)
    )
    return connection.execute(query).mappings().all()
