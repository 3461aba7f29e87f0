"""What the room wall, the search and the shell of the pages read: every household with its meter in one query.

`HouseholdRow` is the join of account, room, meter, live values and supply; the state that people see is derived from
it by `domain.states`, never stored.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Any

from sqlalchemy import Connection, Select, and_, func, or_, select

from server.store.schema import account, anomaly_case, building, bus, meter, meter_live, room, supply

FOUND_MAX = 20
DARK = ("open", "permitted")


@dataclass(frozen=True, slots=True)
class HouseholdRow:
    """One household: fen, Wh, mV, mA, mW; `*_at` world seconds, `*_ms` machine milliseconds, None where unknown."""

    account_id: str
    room_id: str
    building_id: str
    building_name: str
    floor: int
    door: str
    holder: str
    phone: str
    status: str
    payment: str
    tariff_id: str | None
    balance_fen: int
    residue_nf: int
    level: int
    alarm1_fen: int
    alarm2_fen: int
    overdraft_fen: int
    close_allowed_fen: int
    protected: int
    protected_reason: str
    meter_id: str
    bus_id: str
    ratio: int
    start_wh: int
    contact_at: int | None
    failures: int | None
    total_wh: int | None
    reading_at: int | None
    reading_ms: int | None
    voltage_mv: int | None
    current_ma: int | None
    power_mw: int | None
    variables_at: int | None
    status3: int | None
    status3_at: int | None
    clock_offset_s: int | None
    gen: int | None
    desired: str | None
    relay: str | None
    relay_at: int | None
    command: str | None
    cause: str | None
    candidate: str | None
    candidate_at: int | None


_SOURCES = {
    "building_name": building.c.name,
    **{name: account.c[name] for name in ("account_id", "room_id", "status", "protected", "protected_reason")},
    **{name: room.c[name] for name in ("building_id", "floor", "door")},
    **{name: meter.c[name] for name in ("meter_id", "bus_id", "ratio", "start_wh")},
}


def _column(name: str) -> Any:
    if name in _SOURCES:
        return _SOURCES[name]
    for table in (account, supply, meter_live):
        if name in table.c:
            return table.c[name]
    raise KeyError(name)


_COLUMNS = [_column(field.name) for field in fields(HouseholdRow)]


def _row(row: Any) -> HouseholdRow:
    return HouseholdRow(*row)


def _households(estate_id: str) -> Select[Any]:
    def beside(left: Any, right: Any, *names: str) -> Any:
        return and_(*(left.c[n] == right.c[n] for n in ("estate_id", *names)))

    joined = (
        account.join(room, beside(account, room, "room_id"))
        .join(building, beside(room, building, "building_id"))
        .join(meter, beside(account, meter, "account_id"))
        .outerjoin(meter_live, beside(meter, meter_live, "meter_id"))
        .outerjoin(supply, beside(meter, supply, "meter_id"))
    )
    return (
        select(*_COLUMNS)
        .select_from(joined)
        .where(
            account.c.estate_id == estate_id,
            account.c.kind == "household",
            account.c.status != "closed",
            meter.c.kind == "household",
        )
    )


def households(connection: Connection, estate_id: str) -> list[HouseholdRow]:
    """All open households, by building, from the top floor down, by door; one with many meters once."""
    query = _households(estate_id).order_by(
        building.c.position, building.c.building_id, room.c.floor.desc(), room.c.door, meter.c.meter_id
    )
    return _one_each(_row(row) for row in connection.execute(query))


def _one_each(rows: Iterable[HouseholdRow]) -> list[HouseholdRow]:
    """A household with many meters by the first of them, or by the first that is without power."""
    found: dict[str, HouseholdRow] = {}
    for row in rows:
        known = found.setdefault(row.account_id, row)
        if known.relay not in DARK and row.relay in DARK:
            found[row.account_id] = row
    return list(found.values())


def household(connection: Connection, estate_id: str, account_id: str) -> HouseholdRow | None:
    """One open household by its account, or None; by the same meter as in `households`."""
    return _first(connection, _households(estate_id).where(account.c.account_id == account_id))


def household_of_room(connection: Connection, estate_id: str, room_id: str) -> HouseholdRow | None:
    """The open household of a room, or None."""
    return _first(connection, _households(estate_id).where(account.c.room_id == room_id))


def _first(connection: Connection, query: Select[Any]) -> HouseholdRow | None:
    return next(iter(_one_each(_row(row) for row in connection.execute(query.order_by(meter.c.meter_id)))), None)


def find(connection: Connection, estate_id: str, words: str) -> list[HouseholdRow]:
    """Households by room label ("1-1202", "1 1202"), name, last digits of the phone or meter number; best first."""
    wanted = words.strip()
    if not wanted:
        return []
    label = "-".join(wanted.replace("栋", " ").replace("-", " ").split())
    pattern = "%" + wanted.replace("\\", "\\\\").replace("%", r"\%").replace("_", r"\_") + "%"
    digits = "".join(ch for ch in wanted if ch.isdigit())
    choices = [account.c.room_id.like(f"%{label}%"), account.c.holder.like(pattern, escape="\\")]
    if len(digits) >= 4 and digits == wanted.replace(" ", ""):
        choices += [account.c.phone.like(f"%{digits}"), meter.c.meter_id.like(f"%{digits}%")]
    rows = connection.execute(
        _households(estate_id).where(or_(*choices)).order_by(account.c.room_id, meter.c.meter_id).limit(FOUND_MAX)
    )
    found = _one_each(_row(row) for row in rows)
    return sorted(found, key=lambda one: (one.room_id != label, one.room_id))


def open_case_rooms(connection: Connection, estate_id: str) -> set[str]:
    """Rooms that an open or acknowledged case is about."""
    query = select(anomaly_case.c.room_id).where(
        anomaly_case.c.estate_id == estate_id, anomaly_case.c.status != "closed", anomaly_case.c.room_id.is_not(None)
    )
    return {str(room_id) for (room_id,) in connection.execute(query)}


def gate_power_mw(connection: Connection, estate_id: str) -> Mapping[str, int]:
    """Power that the households of each building draw now, mW, as far as their meters told it."""
    rows = connection.execute(
        select(room.c.building_id, func.sum(meter_live.c.power_mw))
        .select_from(
            meter.join(
                meter_live,
                and_(meter.c.estate_id == meter_live.c.estate_id, meter.c.meter_id == meter_live.c.meter_id),
            ).join(room, and_(meter.c.estate_id == room.c.estate_id, meter.c.room_id == room.c.room_id))
        )
        .where(meter.c.estate_id == estate_id, meter.c.kind == "household")
        .group_by(room.c.building_id)
    )
    return {str(name): int(power or 0) for name, power in rows}


@dataclass(frozen=True, slots=True)
class ShellCounts:
    """The small figures of the navigation."""

    households: int
    buses: int
    cases_open: int
    cut: int


def shell_counts(connection: Connection, estate_id: str) -> ShellCounts:
    """Households, buses, open cases and households whose relay was read back as open or permitted."""
    households_count = connection.execute(
        select(func.count()).where(
            account.c.estate_id == estate_id, account.c.kind == "household", account.c.status != "closed"
        )
    ).scalar_one()
    buses = connection.execute(select(func.count()).where(bus.c.estate_id == estate_id)).scalar_one()
    cases = connection.execute(
        select(func.count()).where(anomaly_case.c.estate_id == estate_id, anomaly_case.c.status != "closed")
    ).scalar_one()
    relays = Counter(
        str(relay) for (relay,) in connection.execute(select(supply.c.relay).where(supply.c.estate_id == estate_id))
    )
    return ShellCounts(int(households_count), int(buses), int(cases), relays["open"] + relays["permitted"])
