"""Where readings are missing: between true readings that are too far apart, and at midnights."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import BigInteger, BindParameter, Connection, Select, and_, bindparam, case, func, select

from server.domain.healing import DAYS, Gap, longest_s
from server.store.direct import Among, Query
from server.store.readings import KNOWN
from server.store.schema import meter, reading

DAY_S = 86_400


def _gaps(among: Among) -> Select[Any]:
    before = func.lag(reading.c.read_at).over(partition_by=reading.c.meter_id, order_by=reading.c.read_at)
    from_s: BindParameter[int] = bindparam("from_s", type_=BigInteger)
    began = case((meter.c.installed_at > from_s, meter.c.installed_at), else_=from_s)
    seen = (
        select(reading.c.meter_id, func.coalesce(before, began).label("from_at"), reading.c.read_at.label("to_at"))
        .join(meter, and_(meter.c.estate_id == reading.c.estate_id, meter.c.meter_id == reading.c.meter_id))
        .where(
            reading.c.estate_id == bindparam("estate_id"),
            among(reading.c.meter_id, "meter_ids"),
            reading.c.read_at >= began,
            reading.c.verdict.in_(KNOWN),
        )
        .subquery()
    )
    longest: BindParameter[int] = bindparam("longest_s", type_=BigInteger)
    return select(seen).where(seen.c.to_at - seen.c.from_at > longest).order_by(seen.c.meter_id, seen.c.to_at)


_GAPS = Query(_gaps)


def gaps(connection: Connection, estate_id: str, meter_ids: Sequence[str], from_s: int, longest_s: int) -> list[Gap]:
    """Pairs of neighbouring true readings since `from_s` that are more than `longest_s` apart, by meter and time.

    A meter's first one is looked at against `from_s` or its installation, whichever is later.
    """
    asked = {"estate_id": estate_id, "meter_ids": meter_ids, "from_s": from_s, "longest_s": longest_s}
    return [Gap(*row) for row in _GAPS.rows(connection, **asked)]


def gaps_of(connection: Connection, estate_id: str, meter_id: str, now_s: int, cycle_s: int) -> list[Gap]:
    """The gaps of one meter in the last seven days."""
    return gaps(connection, estate_id, [meter_id], now_s - DAYS * DAY_S, longest_s(cycle_s))


def missing_midnights(
    connection: Connection, estate_id: str, meter_ids: Sequence[str], midnights: Sequence[int]
) -> list[tuple[str, int]]:
    """(meter, midnight) of household meters that were installed by then and have no true reading of it."""
    columns = (reading.c.meter_id, reading.c.read_at)
    query = select(*columns).where(
        reading.c.estate_id == estate_id,
        reading.c.meter_id.in_(meter_ids),
        reading.c.read_at.in_(midnights),
        reading.c.verdict.in_(KNOWN),
    )
    have = {(row[0], row[1]) for row in connection.execute(query)}
    installed = select(meter.c.meter_id, meter.c.installed_at).where(
        meter.c.estate_id == estate_id,
        meter.c.meter_id.in_(meter_ids),
        meter.c.kind == "household",
    )
    return [
        (meter_id, at)
        for meter_id, installed_at in connection.execute(installed)
        for at in midnights
        if at > installed_at and (meter_id, at) not in have
    ]
