"""Reads of meters: which hang on a bus, which feed an account."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from operator import attrgetter
from typing import Any

from sqlalchemy import Connection, Row, bindparam, select

from server.errors import NotFound
from server.store.direct import Query
from server.store.schema import meter


@dataclass(frozen=True, slots=True)
class MeterRow:
    """One meter as it is installed now; registers in Wh before the ratio, `installed_at` world seconds."""

    meter_id: str
    kind: str
    bus_id: str
    account_id: str | None
    room_id: str | None
    gate_id: str | None
    install_no: int
    start_wh: int
    start_rate1_wh: int | None
    start_rate2_wh: int | None
    start_rate3_wh: int | None
    start_rate4_wh: int | None
    installed_at: int
    ratio: int
    max_power_w: int
    protocol: str
    model: str
    unit: int | None
    password_level: int
    password: str
    fee: str
    customer: str

    def __repr__(self) -> str:
        """Without the password."""
        return f"MeterRow({self.meter_id}, {self.kind}, bus {self.bus_id}, account {self.account_id})"


_COLUMNS = [meter.c[field.name] for field in fields(MeterRow)]


def _row(row: Row[Any]) -> MeterRow:
    return MeterRow(**row._mapping)


def meters_on_bus(connection: Connection, estate_id: str, bus_id: str) -> list[MeterRow]:
    """The meters of one bus, by address."""
    query = select(*_COLUMNS).where(meter.c.estate_id == estate_id, meter.c.bus_id == bus_id).order_by(meter.c.meter_id)
    return [_row(row) for row in connection.execute(query)]


def list_meters(connection: Connection, estate_id: str) -> list[MeterRow]:
    """All meters of an estate, by address."""
    query = select(*_COLUMNS).where(meter.c.estate_id == estate_id).order_by(meter.c.meter_id)
    return [_row(row) for row in connection.execute(query)]


_METER = select(*_COLUMNS).where(
    meter.c.estate_id == bindparam("estate_id"), meter.c.meter_id == bindparam("meter_id")
)  # fmt: skip


def find_meter(connection: Connection, estate_id: str, meter_id: str) -> MeterRow | None:
    """One meter, or None."""
    row = connection.execute(_METER, {"estate_id": estate_id, "meter_id": meter_id}).one_or_none()
    return None if row is None else _row(row)


def get_meter(connection: Connection, estate_id: str, meter_id: str) -> MeterRow:
    """One meter; NotFound if there is none in this estate."""
    found = find_meter(connection, estate_id, meter_id)
    if found is None:
        raise NotFound(f"there is no meter {meter_id!r} in this estate")
    return found


# In no order, since SQLite would walk through all meters of the estate in that of their numbers.
_OF_ACCOUNT = Query(
    lambda _: select(*_COLUMNS).where(
        meter.c.estate_id == bindparam("estate_id"), meter.c.account_id == bindparam("account_id")
    )
)


def meters_of_account(connection: Connection, estate_id: str, account_id: str) -> Sequence[MeterRow]:
    """The meters whose consumption an account pays, by address."""
    rows = _OF_ACCOUNT.rows(connection, estate_id=estate_id, account_id=account_id)
    return sorted((MeterRow(*row) for row in rows), key=attrgetter("meter_id"))


def meter_of_account(connection: Connection, estate_id: str, account_id: str) -> MeterRow:
    """The (first) meter of an account; NotFound if it has none."""
    found = meters_of_account(connection, estate_id, account_id)
    if not found:
        raise NotFound(f"account {account_id!r} has no meter")
    return found[0]
