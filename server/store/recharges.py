"""Reads and writes of recharges, and of the limits and prices wanted in meters with local fee control."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, RowMapping, and_, case, func, select

from server.domain.local_fee import LOCAL
from server.store.schema import account, bus, meter, meter_setting, recharge

OPEN = ("waiting", "running")
Row = RowMapping


def add_recharge(connection: Connection, **values: Any) -> None:
    """Append one recharge."""
    connection.execute(recharge.insert().values(**values))


def get_recharge(connection: Connection, estate_id: str, recharge_id: str) -> Row | None:
    """One recharge."""
    query = select(recharge).where(recharge.c.estate_id == estate_id, recharge.c.recharge_id == recharge_id)
    return connection.execute(query).mappings().one_or_none()


def update_recharge(connection: Connection, estate_id: str, recharge_id: str, **values: Any) -> None:
    """Change how one fares."""
    where = (recharge.c.estate_id == estate_id, recharge.c.recharge_id == recharge_id)
    connection.execute(recharge.update().where(*where).values(**values))


def recharges_of(connection: Connection, estate_id: str, account_id: str, *, limit: int) -> Sequence[Row]:
    """The recharges of a household, newest first."""
    query = select(recharge).where(recharge.c.estate_id == estate_id, recharge.c.account_id == account_id)
    order = (recharge.c.created_ms.desc(), recharge.c.recharge_id)
    return connection.execute(query.order_by(*order).limit(limit)).mappings().all()


def recharges_listed(connection: Connection, estate_id: str, *, limit: int) -> Sequence[Row]:
    """Recharges of the estate with their rooms: those that are not decided first, then the newest."""
    same = and_(account.c.estate_id == recharge.c.estate_id, account.c.account_id == recharge.c.account_id)
    query = (
        select(recharge, account.c.room_id, account.c.holder)
        .join(account, same)
        .where(recharge.c.estate_id == estate_id)
        .order_by(case((recharge.c.status.in_(OPEN), 0), else_=1), recharge.c.created_ms.desc(), recharge.c.recharge_id)
        .limit(limit)
    )
    return connection.execute(query).mappings().all()


def local_homes(connection: Connection, estate_id: str) -> Sequence[Row]:
    """Households whose meter keeps the credit: account, room, balance, meter, and settings that are not confirmed."""
    same = and_(account.c.estate_id == meter.c.estate_id, account.c.account_id == meter.c.account_id)
    of_meter = and_(meter_setting.c.estate_id == meter.c.estate_id, meter_setting.c.meter_id == meter.c.meter_id)
    open_settings = (
        select(func.count()).where(of_meter, meter_setting.c.status != "confirmed").correlate(meter).scalar_subquery()
    )
    query = (
        select(
            account.c.account_id, account.c.room_id, account.c.holder, account.c.balance_fen, meter.c.meter_id,
            open_settings.label("open_settings"),
        )
        .join(meter, same)
        .where(meter.c.estate_id == estate_id, meter.c.fee == LOCAL, account.c.status != "closed")
        .order_by(account.c.room_id, account.c.account_id)
    )  # fmt: skip
    return connection.execute(query).mappings().all()


def due_recharges(connection: Connection, estate_id: str, now_ms: int, *, limit: int) -> Sequence[Row]:
    """Open recharges whose turn it is, with their meter and bus; of each meter the oldest, a running one first."""
    same = and_(meter.c.estate_id == recharge.c.estate_id, meter.c.meter_id == recharge.c.meter_id)
    query = (
        select(recharge, meter.c.bus_id, meter.c.customer, bus.c.url)
        .join(meter, same)
        .join(bus, and_(bus.c.estate_id == meter.c.estate_id, bus.c.bus_id == meter.c.bus_id))
        .where(recharge.c.estate_id == estate_id, recharge.c.status.in_(OPEN))
        .order_by(recharge.c.status, recharge.c.created_ms, recharge.c.recharge_id)
    )
    first: dict[str, Row] = {}
    for row in connection.execute(query).mappings():
        first.setdefault(row["meter_id"], row)
    return [row for row in first.values() if row["next_ms"] <= now_ms][:limit]


def running_recharge(connection: Connection, estate_id: str, meter_id: str) -> Row | None:
    """The recharge of a meter whose count is issued and not decided."""
    query = select(recharge).where(
        recharge.c.estate_id == estate_id, recharge.c.meter_id == meter_id, recharge.c.status == "running"
    )
    return connection.execute(query).mappings().one_or_none()


def settings_of(connection: Connection, estate_id: str, meter_id: str) -> Sequence[Row]:
    """What is wanted in a meter and what it shows."""
    query = select(meter_setting).where(meter_setting.c.estate_id == estate_id, meter_setting.c.meter_id == meter_id)
    return connection.execute(query.order_by(meter_setting.c.name)).mappings().all()


def due_settings(connection: Connection, estate_id: str, now_ms: int, *, limit: int) -> Sequence[Row]:
    """Settings that are not confirmed and whose turn it is, with bus and password of their meter, as stored."""
    same = and_(meter.c.estate_id == meter_setting.c.estate_id, meter.c.meter_id == meter_setting.c.meter_id)
    query = (
        select(meter_setting, meter.c.bus_id, meter.c.password, meter.c.password_level)
        .join(meter, same)
        .where(
            meter_setting.c.estate_id == estate_id,
            meter_setting.c.status == "waiting",
            meter_setting.c.next_ms <= now_ms,
        )
        .order_by(meter_setting.c.created_ms, meter_setting.c.meter_id, meter_setting.c.name)
        .limit(limit)
    )
    return connection.execute(query).mappings().all()


def update_setting(connection: Connection, estate_id: str, meter_id: str, name: str, **values: Any) -> None:
    """Change how one fares."""
    where = (
        meter_setting.c.estate_id == estate_id, meter_setting.c.meter_id == meter_id, meter_setting.c.name == name
    )  # fmt: skip
    connection.execute(meter_setting.update().where(*where).values(**values))
