"""Reads and writes of what people decide about held readings, and of exchanges of meters and ratios."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, RowMapping, and_, func, select

from server.store.partial import IS_HELD
from server.store.readings import HELD_VERDICTS
from server.store.schema import exchange, meter, meter_live, reading, reading_act

if TYPE_CHECKING:
    from server.clock import Now

LISTED_MAX = 500


def get_reading(connection: Connection, estate_id: str, meter_id: str, read_at: int) -> RowMapping | None:
    """One reading as it is kept, or None."""
    query = select(reading).where(
        reading.c.estate_id == estate_id, reading.c.meter_id == meter_id, reading.c.read_at == read_at
    )
    return connection.execute(query).mappings().one_or_none()


def verdict_of(connection: Connection, estate_id: str, meter_id: str, read_at: int) -> str:
    """What a reading that is kept is taken for."""
    row = get_reading(connection, estate_id, meter_id, read_at)
    return "" if row is None else str(row["verdict"])


def change_verdict(
    connection: Connection,
    row: RowMapping,
    verdict: str,
    *,
    actor: str,
    reason: str,
    now: "Now",
) -> None:
    """Give a reading another verdict; the one before, the person and the reason are kept beside it."""
    key = ("estate_id", "meter_id", "read_at")
    same = [reading_act.c[name] == row[name] for name in key]
    number = connection.execute(select(func.coalesce(func.max(reading_act.c.act_no), 0)).where(*same)).scalar_one()
    connection.execute(
        reading_act.insert().values(
            **{name: row[name] for name in key},
            act_no=number + 1,
            verdict_before=row["verdict"],
            verdict_after=verdict,
            actor=actor,
            reason=reason,
            world_at=now.world_s,
            created_ms=now.machine_ms,
        )
    )
    connection.execute(reading.update().where(*(reading.c[name] == row[name] for name in key)).values(verdict=verdict))


def held(connection: Connection, estate_id: str, *, limit: int = LISTED_MAX) -> Sequence[RowMapping]:
    """Held readings that no later accepted one has settled, newest first, with room and the accepted register."""
    query = (
        select(
            reading, meter.c.room_id, meter.c.account_id, meter.c.kind,
            func.coalesce(meter_live.c.total_wh, meter.c.start_wh).label("accepted_wh"),
            func.coalesce(meter_live.c.reading_at, meter.c.installed_at).label("accepted_at"),
        )
        .join(meter, and_(meter.c.estate_id == reading.c.estate_id, meter.c.meter_id == reading.c.meter_id))
        .join(meter_live, and_(meter_live.c.estate_id == meter.c.estate_id, meter_live.c.meter_id == meter.c.meter_id))
        .where(
            reading.c.estate_id == estate_id,
            reading.c.install_no == meter.c.install_no,
            IS_HELD,
            reading.c.read_at >= func.coalesce(meter_live.c.reading_at, meter.c.installed_at),
        )
        .order_by(reading.c.read_at.desc(), reading.c.meter_id)
        .limit(limit)
    )  # fmt: skip
    return connection.execute(query).mappings().all()


_HELD_OF_METER = (  # a subquery, so that each meter is asked through its own newest readings
    select(func.count())
    .where(
        reading.c.estate_id == meter.c.estate_id,
        reading.c.meter_id == meter.c.meter_id,
        reading.c.install_no == meter.c.install_no,
        reading.c.verdict.in_(HELD_VERDICTS),
        reading.c.read_at >= func.coalesce(meter_live.c.reading_at, meter.c.installed_at),
    )
    .correlate(meter, meter_live)
    .scalar_subquery()
)


def holding_meters(connection: Connection, estate_id: str) -> int:
    """How many meters have readings that `held` lists."""
    query = (
        select(func.count())
        .select_from(meter)
        .join(meter_live, and_(meter_live.c.estate_id == meter.c.estate_id, meter_live.c.meter_id == meter.c.meter_id))
        .where(meter.c.estate_id == estate_id, _HELD_OF_METER > 0)
    )
    return int(connection.execute(query).scalar_one())


def acts(connection: Connection, estate_id: str, *, limit: int = 50) -> Sequence[RowMapping]:
    """What people decided about readings, newest first."""
    query = select(reading_act).where(reading_act.c.estate_id == estate_id)
    return connection.execute(query.order_by(reading_act.c.created_ms.desc()).limit(limit)).mappings().all()


def add_exchange(connection: Connection, values: Mapping[str, Any]) -> None:
    """Keep one exchange; all columns are named."""
    connection.execute(exchange.insert().values(**values))


def exchanges(connection: Connection, estate_id: str, *, account_id: str | None = None) -> Sequence[RowMapping]:
    """Exchanges of an estate, or of one account, oldest first."""
    query = select(exchange).where(exchange.c.estate_id == estate_id)
    if account_id is not None:
        query = query.where(exchange.c.account_id == account_id)
    return connection.execute(query.order_by(exchange.c.at, exchange.c.created_ms)).mappings().all()
