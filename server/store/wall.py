"""What the room wall, the search and the shell of the pages read: every household with its meter in one query.

`HouseholdRow` is the join of account, room, meter, live values and supply; the state that people see is derived from
it by `domain.states`, never stored.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any, NamedTuple

from sqlalchemy import Connection, Select, and_, bindparam, func, literal_column, or_, select

from server.domain.supply import HAZARDS
from server.errors import NotFound
from server.store.cases import LIVE
from server.store.direct import Query
from server.store.schema import account, anomaly_case, building, bus, meter, meter_live, room, supply

FOUND_MAX = 20
METERS_MAX = 5 * FOUND_MAX  # of those that are found
DARK = ("open", "permitted")
IDS_AT_ONCE = 500


class HouseholdRow(NamedTuple):
    """One household: fen, Wh, mV, mA, mW; `*_at` world seconds, `*_ms` machine milliseconds, None where unknown.

    Of `meters` meters, which is one where the row is of a meter alone; what `whole` says of several, it says there.
    """

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
    protocol: str
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
    meters: int


_LABEL = re.compile(r"[0-9A-Za-z]+")
_SOURCES: dict[str, Any] = {
    "meters": literal_column("1").label("meters"),
    "building_name": building.c.name,
    **{name: account.c[name] for name in ("account_id", "room_id", "status", "protected", "protected_reason")},
    **{name: room.c[name] for name in ("building_id", "floor", "door")},
    **{name: meter.c[name] for name in ("meter_id", "bus_id", "ratio", "start_wh", "protocol")},
}


def _column(name: str) -> Any:
    if name in _SOURCES:
        return _SOURCES[name]
    for table in (account, supply, meter_live):
        if name in table.c:
            return table.c[name]
    raise KeyError(name)


def _households() -> Select[Any]:
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
        select(*map(_column, HouseholdRow._fields))
        .select_from(joined)
        .where(
            account.c.estate_id == bindparam("estate_id"),
            account.c.kind == "household",
            account.c.status != "closed",
            meter.c.kind == "household",
        )
    )


_ALL = _households()
_ORDERED = _ALL.order_by(
    building.c.position, building.c.building_id, room.c.floor.desc(), room.c.door, meter.c.meter_id
)  # fmt: skip
# In no order, since SQLite would walk through all meters of the estate to find few of them in that of their numbers.
_OF_ACCOUNT = Query(lambda _: _ALL.where(account.c.account_id == bindparam("account_id")))
_OF_ROOM = Query(lambda _: _ALL.where(account.c.room_id == bindparam("room_id")))
_OF_ACCOUNTS = Query(lambda among: _ALL.where(among(account.c.account_id, "account_ids")))


def households(connection: Connection, estate_id: str) -> list[HouseholdRow]:
    """All open households, by building, from the top floor down, by door; one with many meters once."""
    return _one_each(map(HouseholdRow._make, connection.execute(_ORDERED, {"estate_id": estate_id})))


def _one_each(rows: Iterable[HouseholdRow]) -> list[HouseholdRow]:
    """Each household by all its meters."""
    found: dict[str, list[HouseholdRow]] = {}
    for row in rows:
        found.setdefault(row.account_id, []).append(row)
    return [own[0] if len(own) == 1 else whole(own) for own in found.values()]


def whole(rows: Sequence[HouseholdRow]) -> HouseholdRow:
    """A household by all its meters, at least one.

    Power is the sum of what is known, as old as the oldest of it; contact and readings are as old as the oldest, and
    unknown where one has none. Everything else is of the first meter that is cut for money, else that waits for its
    button, else that is open for a hazard, else of the first.
    """
    shown = min(rows, key=_turn)
    known = [row.power_mw for row in rows if row.power_mw is not None]
    return shown._replace(
        meters=len(rows),
        power_mw=sum(known) if known else None,
        contact_at=_oldest(row.contact_at for row in rows),
        reading_at=_oldest(row.reading_at for row in rows),
        variables_at=min((row.variables_at for row in rows if row.variables_at is not None), default=None),
    )


def _turn(row: HouseholdRow) -> int:
    if row.relay not in DARK:
        return len(DARK) + 1
    return len(DARK) if is_isolated(row) else DARK.index(row.relay)


def chosen(rows: Sequence[HouseholdRow], meter_id: str) -> HouseholdRow:
    """The named meter among those of a household, without a name that of `whole`; NotFound for one that is not."""
    wanted = meter_id or whole(rows).meter_id
    found = next((row for row in rows if row.meter_id == wanted), None)
    if found is None:
        raise NotFound(f"no meter {meter_id} of household {rows[0].account_id}")
    return found


def is_isolated(row: HouseholdRow) -> bool:
    """Whether this meter gives no power for a hazard, so that no payment helps."""
    return row.desired == "open" and row.cause in HAZARDS and row.relay in DARK


def _oldest(instants: Iterable[int | None]) -> int | None:
    found = list(instants)
    known = [one for one in found if one is not None]
    return min(known) if len(known) == len(found) else None


def households_of(connection: Connection, estate_id: str, account_ids: Sequence[str]) -> list[HouseholdRow]:
    """The open households among these accounts, in no order; by the same meters as in `households`."""
    found: list[HouseholdRow] = []
    for start in range(0, len(account_ids), IDS_AT_ONCE):
        some = list(account_ids[start : start + IDS_AT_ONCE])
        found += _one_each(_by_meter(_OF_ACCOUNTS.rows(connection, estate_id=estate_id, account_ids=some)))
    return found


_METERS = select(meter.c.meter_id, meter.c.bus_id, meter.c.account_id).where(
    meter.c.estate_id == bindparam("estate_id"), meter.c.kind == "household", meter.c.account_id.is_not(None)
)


def owners(connection: Connection, estate_id: str) -> list[tuple[str, str, str]]:
    """(meter, bus, account) of every meter of a household."""
    return [(row[0], row[1], row[2]) for row in connection.execute(_METERS, {"estate_id": estate_id})]


def household(connection: Connection, estate_id: str, account_id: str) -> HouseholdRow | None:
    """One open household by its account and all its meters, or None."""
    return _whole(meters_of(connection, estate_id, account_id))


def meters_of(connection: Connection, estate_id: str, account_id: str) -> list[HouseholdRow]:
    """One open household once for each of its meters, by number; none where there is no such household."""
    return _by_meter(_OF_ACCOUNT.rows(connection, estate_id=estate_id, account_id=account_id))


def each_meter(connection: Connection, estate_id: str, row: HouseholdRow) -> list[HouseholdRow]:
    """The household of `row` once for each of its meters; nothing is asked where it has one."""
    return [row] if row.meters == 1 else meters_of(connection, estate_id, row.account_id)


def household_of_room(connection: Connection, estate_id: str, room_id: str) -> HouseholdRow | None:
    """The open household of a room, or None."""
    return _whole(meters_of_room(connection, estate_id, room_id))


def meters_of_room(connection: Connection, estate_id: str, room_id: str) -> list[HouseholdRow]:
    """The open household of a room once for each of its meters, by number."""
    rows = _by_meter(_OF_ROOM.rows(connection, estate_id=estate_id, room_id=room_id))
    return [row for row in rows if row.account_id == rows[0].account_id]


def _whole(rows: Sequence[HouseholdRow]) -> HouseholdRow | None:
    return whole(rows) if rows else None


def _by_meter(rows: Iterable[tuple[Any, ...]]) -> list[HouseholdRow]:
    return sorted(map(HouseholdRow._make, rows), key=attrgetter("meter_id"))


def find(connection: Connection, estate_id: str, words: str) -> list[HouseholdRow]:
    """Households by room or its label ("1-1202", "1 1202"), name, last digits of the phone or meter number; best first.

    Where nothing fits, by the label of a room whose id has words in it.
    """
    wanted = words.strip()
    if not wanted:
        return []
    label = "-".join(wanted.replace("栋", " ").replace("-", " ").split())
    pattern = "%" + wanted.replace("\\", "\\\\").replace("%", r"\%").replace("_", r"\_") + "%"
    digits = "".join(ch for ch in wanted if ch.isdigit())
    names = (account.c.room_id, account.c.holder)
    choices = [account.c.room_id.like(f"%{label}%"), *(name.like(pattern, escape="\\") for name in names)]
    if len(digits) >= 4 and digits == wanted.replace(" ", ""):
        own = (meter.c.estate_id == estate_id, meter.c.meter_id.like(f"%{digits}%"))
        choices += [
            account.c.phone.like(f"%{digits}"),
            account.c.account_id.in_(select(meter.c.account_id).where(*own)),
        ]
    found = _fitting(connection, estate_id, or_(*choices))
    if not found:
        found = _fitting(connection, estate_id, account.c.room_id.in_(rooms_called(connection, estate_id, label)))
    return sorted(found, key=lambda one: (one.room_id not in (label, wanted), one.room_id))


def _fitting(connection: Connection, estate_id: str, which: Any) -> list[HouseholdRow]:
    query = _ALL.where(which).order_by(account.c.room_id, account.c.account_id, meter.c.meter_id).limit(METERS_MAX)
    return _one_each(map(HouseholdRow._make, connection.execute(query, {"estate_id": estate_id})))[:FOUND_MAX]


def rooms_called(connection: Connection, estate_id: str, label: str) -> list[str]:
    """Rooms whose ids have this label between their words: 3-2-501 of 3栋2单元501."""
    every = connection.execute(select(room.c.room_id).where(room.c.estate_id == estate_id)).scalars()
    return sorted(one for one in every if label and "-".join(_LABEL.findall(one)) == label)


_CASE_ROOMS = Query(
    lambda _: select(anomaly_case.c.room_id).where(
        anomaly_case.c.estate_id == bindparam("estate_id"),
        anomaly_case.c.status.in_(LIVE),
        anomaly_case.c.room_id.is_not(None),
    )
)


def open_case_rooms(connection: Connection, estate_id: str) -> frozenset[str]:
    """Rooms that an open or acknowledged case is about."""
    return frozenset(room_id for (room_id,) in _CASE_ROOMS.rows(connection, estate_id=estate_id))


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


_COUNTS = Query(
    lambda _: select(
        select(func.count()).where(bus.c.estate_id == bindparam("estate_id")).scalar_subquery().label("buses"),
        select(func.count())
        .where(anomaly_case.c.estate_id == bindparam("estate_id"), anomaly_case.c.status.in_(LIVE))
        .scalar_subquery()
        .label("cases"),
    )
)


def shell_counts(connection: Connection, estate_id: str, households: int, cut: int) -> ShellCounts:
    """Buses and open cases, beside the households and those whose relay was read back as open or permitted."""
    buses, cases = _COUNTS.rows(connection, estate_id=estate_id)[0]
    return ShellCounts(households, buses, cases, cut)
