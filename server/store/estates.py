"""Reads and writes of estates, buildings, rooms, buses and accounts."""

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any

from sqlalchemy import ColumnElement, Connection, RowMapping, and_, bindparam, select

from server.errors import NotFound
from server.store.bulk import insert_rows
from server.store.direct import Query
from server.store.schema import account, building, bus, estate

_ACCOUNT = select(account).where(
    account.c.estate_id == bindparam("estate_id"), account.c.account_id == bindparam("account_id")
)  # fmt: skip
_ESTATE = Query(lambda _: select(estate).where(estate.c.estate_id == bindparam("estate_id")))


def get_estate(connection: Connection, estate_id: str) -> Mapping[str, Any]:
    """The estate's row; NotFound if there is none."""
    row = _ESTATE.first(connection, estate_id=estate_id)
    if row is None:
        raise NotFound(f"there is no estate {estate_id!r}")
    return row


def list_estates(connection: Connection) -> Sequence[RowMapping]:
    """All estates, by id."""
    return connection.execute(select(estate).order_by(estate.c.estate_id)).mappings().all()


def list_buses(connection: Connection, estate_id: str) -> Sequence[RowMapping]:
    """The buses of an estate with their line settings, by id."""
    query = select(bus).where(bus.c.estate_id == estate_id).order_by(bus.c.bus_id)
    return connection.execute(query).mappings().all()


def list_buildings(connection: Connection, estate_id: str) -> Sequence[RowMapping]:
    """The buildings of an estate in their order."""
    query = select(building).where(building.c.estate_id == estate_id)
    return connection.execute(query.order_by(building.c.position, building.c.building_id)).mappings().all()


def has_household(connection: Connection, estate_id: str, room_id: str) -> bool:
    """Whether an account that is not closed lives in this room."""
    query = select(account.c.account_id).where(_lives_in(estate_id, room_id))
    return connection.execute(query).first() is not None


def get_account(connection: Connection, estate_id: str, account_id: str) -> RowMapping:
    """One account's row; NotFound if there is none in this estate."""
    row = connection.execute(_ACCOUNT, {"estate_id": estate_id, "account_id": account_id}).mappings().one_or_none()
    if row is None:
        raise NotFound(f"there is no account {account_id!r} in this estate")
    return row


def account_of_room(connection: Connection, estate_id: str, room_id: str) -> RowMapping:
    """The household account of a room that is not closed; NotFound if there is none."""
    row = connection.execute(select(account).where(_lives_in(estate_id, room_id))).mappings().first()
    if row is None:
        raise NotFound(f"there is no open account for room {room_id!r} in this estate")
    return row


def _lives_in(estate_id: str, room_id: str) -> ColumnElement[bool]:
    return and_(
        account.c.estate_id == estate_id,
        account.c.kind == "household",
        account.c.room_id == room_id,
        account.c.status != "closed",
    )


def upsert(connection: Connection, table: Any, key: Sequence[str], values: dict[str, object]) -> bool:
    """Insert `values`, or update the row with the same `key` columns; True when it was inserted."""
    where = [table.c[name] == values[name] for name in key]
    found = connection.execute(select(*table.primary_key.columns).where(*where)).first()
    if found is None:
        connection.execute(table.insert().values(**values))
        return True
    rest = {name: value for name, value in values.items() if name not in key}
    if rest:
        connection.execute(table.update().where(*where).values(**rest))
    return False


def upsert_many(connection: Connection, table: Any, key: str, estate_id: str, rows: Sequence[dict[str, Any]]) -> None:
    """`upsert` of many rows of an estate by their `key`, where each row may name other columns.

    New ones are inserted together; of those that are there, only what differs is written.
    """
    if not rows:
        return
    query = select(table).where(table.c.estate_id == estate_id)
    known = {row[key]: row for row in connection.execute(query).mappings()}
    new = {row[key]: row for row in rows if row[key] not in known}
    for names, alike in groupby(sorted(new.values(), key=_names), key=_names):
        columns = ("estate_id", *names)
        insert_rows(connection, table, columns, [(estate_id, *(row[name] for name in names)) for row in alike])
    for row in rows:
        before = known.get(row[key]) or new[row[key]]
        changed = {name: value for name, value in row.items() if before[name] != value}
        if changed:
            where = (table.c.estate_id == estate_id, table.c[key] == row[key])
            connection.execute(table.update().where(*where).values(**changed))


def _names(row: dict[str, Any]) -> tuple[str, ...]:
    return tuple(sorted(row))
