"""Reads an estate from a TOML file, or from a folder of estate.toml with households.csv and history.csv.

Everything is checked before anything is written: keys, values, and that what one row names exists in another. The
first mistake stops the reading with file, row, key and allowed values.
"""

import csv
import tomllib
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

from core.dlt645.profiles import EDITION_2007
from core.tariff import Tariff, TariffError, tariff_from_dict
from server.domain.estate_document import (
    ApiClientEntry,
    BuildingEntry,
    BusEntry,
    DayRegister,
    EstateDocument,
    EstateEntry,
    GateEntry,
    HolidayEntry,
    HouseholdEntry,
    RoomEntry,
    UserEntry,
)
from server.domain.ledger import SYSTEM_ACCOUNTS
from server.domain.local_fee import LOCAL
from server.domain.schemes import HUNAN, PRESETS
from server.errors import ConfigError
from server.intake import estate_keys as keys
from server.intake.estate_limits import LIMITS, check_topups
from server.intake.estate_rules import check_limits, household_of, scheme_of
from server.intake.estate_values import REGISTER_STEP_WH
from server.languages import Word, wrong
from server.languages import mark as _
from server.price_lists import written_out

Entry = TypeVar("Entry")
MANY = _("%(where)s: %(table)s must be written as [[%(table)s]], once for each")
TABLES = (
    "estate", "tariff", "scheme", "holiday", "bus", "meter_profile", "building", "room", "household", "gate", "user",
    "api_client",
)  # fmt: skip


def read_estate(path: Path, now_s: int) -> EstateDocument:
    """Read and check a file or folder; ConfigError says what is wrong, where, and what is allowed.

    `now_s` is the world time from which meters without `installed_at` are charged.
    """
    source = path / "estate.toml" if path.is_dir() else path
    raw = _toml(source)
    for name in raw:
        if name not in TABLES:
            raise wrong(
                _("%(where)s: unknown table %(name)r; allowed tables: %(allowed)s"),
                where=source, name=name, allowed=", ".join(TABLES),
            )  # fmt: skip
    if path.is_dir() and (path / "households.csv").exists():
        raw["household"] = [*raw.get("household", []), *_csv(path / "households.csv")]
    history = _csv(path / "history.csv") if path.is_dir() and (path / "history.csv").exists() else []
    document = _document(source, raw, history)
    _check(source, document)
    _check_in_force(source, document, now_s)
    return document


def _toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise wrong(
            _("%(where)s: cannot be read (%(why)s); name an existing estate file or folder"),
            where=path, why=error.strerror,
        ) from error  # fmt: skip
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise wrong(_("%(where)s: not valid TOML: %(why)s"), where=path, why=error) from error


def _csv(path: Path) -> list[dict[str, str]]:
    """Rows of a CSV file with a header; empty cells count as absent."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, strict=True)
            rows = list(reader)
    except (OSError, csv.Error, UnicodeDecodeError) as error:
        raise wrong(
            _("%(where)s: cannot be read (%(why)s); it must be CSV in UTF-8 with a header line"), where=path, why=error
        ) from error
    for number, row in enumerate(rows, 2):
        if None in row or None in row.values():
            raise wrong(
                _("%(where)s, line %(line)d: must have exactly as many cells as the header line"),
                where=path, line=number,
            )  # fmt: skip
    return [{name: cell for name, cell in row.items() if cell != ""} for row in rows]


def _document(source: Path, raw: Mapping[str, Any], history: list[dict[str, str]]) -> EstateDocument:
    def entries(table: str, allowed: tuple[keys.Key, ...], make: Callable[..., Entry]) -> tuple[Entry, ...]:
        return tuple(make(**fields) for fields in _fields(source, table, _rows(source, raw, table), allowed))

    if not isinstance(raw.get("estate"), Mapping):
        raise wrong(_("%(where)s: table [estate] is missing; give it at least id and name"), where=source)
    where = f"{source}: [estate]"
    estate = keys.read_table(where, {"time_zone": "Asia/Shanghai", **raw["estate"]}, (*keys.ESTATE, *LIMITS))
    check_topups(where, estate)
    estate.pop("mode", None)
    profiles = _profiles(source, raw)
    households = [
        _with_profile(source, fields, profiles)
        for fields in _fields(source, "household", _rows(source, raw, "household"), keys.HOUSEHOLD)
    ]
    residents = [entry for fields in households if (entry := _resident(fields))]
    rooms = entries("room", keys.ROOM, RoomEntry)
    homes = tuple(household_of(f"{source}: household {fields['account_id']}", fields) for fields in households)
    return EstateDocument(
        estate=EstateEntry(**estate),
        tariffs=tuple(_tariff(source, table) for table in _rows(source, raw, "tariff")),
        buses=entries("bus", keys.BUS, BusEntry),
        buildings=entries("building", keys.BUILDING, BuildingEntry),
        rooms=rooms,
        households=homes,
        gates=tuple(
            _gate(source, fields, rooms, homes)
            for fields in _fields(source, "gate", _rows(source, raw, "gate"), keys.GATE)
        ),
        users=(*_users(source, raw), *residents),
        api_clients=entries("api_client", keys.API_CLIENT, ApiClientEntry),
        history=tuple(
            DayRegister(**fields) for fields in _fields(source.parent / "history.csv", "row", history, keys.HISTORY)
        ),
        schemes=tuple(
            scheme_of(source, fields) for fields in _fields(source, "scheme", _rows(source, raw, "scheme"), keys.SCHEME)
        ),
        holidays=entries("holiday", keys.HOLIDAY, HolidayEntry),
        preset=HUNAN,
    )


def _rows(source: Path, raw: Mapping[str, Any], table: str) -> list[Any]:
    rows = raw.get(table, [])
    if not isinstance(rows, list):
        raise wrong(MANY, where=source, table=table)
    return rows


def _fields(
    source: Path, table: str, rows: Iterable[object], allowed: tuple[keys.Key, ...]
) -> Iterable[dict[str, Any]]:
    for number, row in enumerate(rows, 1):
        name = row.get(allowed[0].name, "") if isinstance(row, Mapping) else ""
        yield keys.read_table(f"{source}: {table} {number} ({name})", row, allowed)


def _tariff(source: Path, table: object) -> Tariff:
    if not isinstance(table, Mapping):
        raise wrong(MANY, where=source, table="tariff")
    try:
        return tariff_from_dict(written_out(table))
    except (TariffError, ValueError) as error:
        raise ConfigError(f"{source}: {error}") from error


def _users(source: Path, raw: Mapping[str, Any]) -> tuple[UserEntry, ...]:
    fields = _fields(source, "user", _rows(source, raw, "user"), keys.USER)
    return tuple(UserEntry(**{"name": entry["login"], **entry}) for entry in fields)


def _profiles(source: Path, raw: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """What the meters of a profile share, by its id."""
    found = list(_fields(source, "meter_profile", _rows(source, raw, "meter_profile"), keys.METER_PROFILE))
    _unique(source, "meter_profile id", (fields["profile_id"] for fields in found))
    return {fields.pop("profile_id"): fields for fields in found}


def _with_profile(source: Path, fields: dict[str, Any], profiles: Mapping[str, dict[str, Any]]) -> dict[str, Any]:
    """A household's fields, with those of its meter's profile where it has none of its own."""
    name = fields.pop("meter_profile", None)
    if name is None:
        return fields
    _known(source, f"household {fields['account_id']}: meter_profile", name, set(profiles))
    return profiles[name] | fields


def _resident(fields: dict[str, Any]) -> UserEntry | None:
    """Take the resident's login out of a household's fields."""
    login, password = fields.pop("resident_login", None), fields.pop("resident_password", "")
    if login is None:
        return None
    return UserEntry(login, "resident", fields["holder"], fields["account_id"], password=password)


def _gate(
    source: Path, fields: dict[str, Any], rooms: tuple[RoomEntry, ...], homes: tuple[HouseholdEntry, ...]
) -> GateEntry:
    """A gate names its meters, or the building whose meters are all below it."""
    building = fields.pop("building", None)
    if (building is None) == ("meter_ids" not in fields):
        raise wrong(
            _("%(where)s: gate %(meter)s: give exactly one of meters and building"),
            where=source, meter=fields["meter_id"],
        )  # fmt: skip
    if building is not None:
        inside = {room.room_id for room in rooms if room.building_id == building}
        fields["meter_ids"] = tuple(home.meter_id for home in homes if home.room_id in inside)
    return GateEntry(**fields)


def _check(source: Path, document: EstateDocument) -> None:
    """Refuse duplicates and names that point to nothing."""
    homes = document.households
    meters = [home.meter_id for home in homes]
    _unique(source, "tariff id", (entry.tariff_id for entry in document.tariffs))
    _unique(source, "bus id", (entry.bus_id for entry in document.buses))
    _unique(source, "bus url", (entry.url for entry in document.buses))
    _unique(source, "building id", (entry.building_id for entry in document.buildings))
    _unique(source, "room id", (entry.room_id for entry in document.rooms))
    _unique(source, "household account", (home.account_id for home in homes))
    _unique(source, "household room", (home.room_id for home in homes))
    _unique(source, "meter", (*meters, *(gate.meter_id for gate in document.gates)))
    _speech(source, document)
    _unique(source, "login", (user.login for user in document.users))
    _unique(source, "scheme id", (entry.scheme_id for entry in document.schemes))
    _unique(source, "holiday", (entry.day for entry in document.holidays))
    schemes = {*(entry.scheme_id for entry in document.schemes), *PRESETS}
    if document.estate.scheme_id is not None:
        _known(source, "[estate]: scheme", document.estate.scheme_id, schemes)
    buildings = {entry.building_id for entry in document.buildings}
    buses = {entry.bus_id for entry in document.buses}
    for room in document.rooms:
        _known(source, f"room {room.room_id}: building", room.building_id, buildings)
    rooms = {room.room_id for room in document.rooms}
    tariffs = {tariff.tariff_id: tariff for tariff in document.tariffs}
    for home in homes:
        where = f"household {home.account_id}"
        if home.account_id in SYSTEM_ACCOUNTS or ":" in home.account_id:
            raise wrong(
                _("%(where)s: account is wrong; %(reserved)s and ':' are reserved"),
                where=f"{source}: {where}", reserved=", ".join(SYSTEM_ACCOUNTS),
            )  # fmt: skip
        _known(source, f"{where}: room", home.room_id, rooms)
        _known(source, f"{where}: bus", home.bus_id, buses)
        _known(source, f"{where}: tariff", home.tariff_id, set(tariffs))
        if home.scheme_id is not None:
            _known(source, f"{where}: scheme", home.scheme_id, schemes)
        _fee(f"{source}: {where}", home)
        by_rates = any(version.kind == "tou" for version in tariffs[home.tariff_id].versions)
        if by_rates and home.start_rates_wh is None:
            raise wrong(
                _("%(where)s: start_rates_wh is missing; its tariff charges by time of use"), where=f"{source}: {where}"
            )
        check_limits(f"{source}: {where}", document, home)
    for gate in document.gates:
        _known(source, f"gate {gate.meter_id}: bus", gate.bus_id, buses)
        for meter_id in gate.meter_ids:
            _known(source, f"gate {gate.meter_id}: meters", meter_id, set(meters))
    accounts = {home.account_id for home in homes}
    for user in document.users:
        if user.account_id is not None:
            _known(source, f"user {user.login}: account", user.account_id, accounts)
        elif user.role == "resident":
            raise wrong(
                _("%(where)s: user %(login)s: account is missing; a resident belongs to a household"),
                where=source, login=user.login,
            )  # fmt: skip


def _speech(source: Path, document: EstateDocument) -> None:
    """Refuse Modbus meters without model and unit, others with them or with finer registers, and a unit twice."""
    meters: list[HouseholdEntry | GateEntry] = [*document.households, *document.gates]
    for one in meters:
        where, given = f"{source}: meter {one.meter_id}", [bool(one.model), one.unit is not None]
        if one.protocol == "modbus" and not all(given):
            raise wrong(_("%(where)s: model and unit are missing; a meter of protocol modbus needs both"), where=where)
        if one.protocol != "modbus" and one.start_wh % REGISTER_STEP_WH:
            raise wrong(keys.WRONG, where=where, key="start_wh", value=one.start_wh, allowed=keys.START)
        if one.protocol != "modbus" and any(given):
            raise wrong(
                _("%(where)s: model and unit are for protocol modbus; this meter speaks %(protocol)s"),
                where=where, protocol=one.protocol,
            )  # fmt: skip
    units = [(one.bus_id, one.unit) for one in meters if one.unit is not None]
    _unique(source, "bus and unit", (f"{bus_id} {unit}" for bus_id, unit in units))


def _check_in_force(source: Path, document: EstateDocument, now_s: int) -> None:
    """Refuse a tariff that does not yet say a price when a household on it begins."""
    first_s = {tariff.tariff_id: tariff.versions[0].valid_from_s for tariff in document.tariffs}
    for home in document.households:
        begins_s = now_s if home.installed_at is None else home.installed_at
        if first_s[home.tariff_id] > begins_s:
            zone = ZoneInfo(document.estate.time_zone)
            first, begins = (datetime.fromtimestamp(at_s, zone) for at_s in (first_s[home.tariff_id], begins_s))
            raise wrong(
                _(
                    "%(where)s: tariff %(tariff)s: valid_from = %(first)s is wrong; allowed: at the latest %(begins)s, "
                    "when household %(account)s begins; add a version that starts earlier"
                ),
                where=source, tariff=home.tariff_id, first=first.isoformat(), begins=begins.isoformat(),
                account=home.account_id,
            )  # fmt: skip


def _fee(where: str, home: HouseholdEntry) -> None:
    """Refuse a meter that keeps its credit and cannot be given any, and an owner's number on another."""
    if home.fee == LOCAL and (home.protocol != EDITION_2007 or not home.customer):
        raise wrong(_("%(where)s: fee = 'local' needs customer, its 12 digits, and protocol 2007"), where=where)
    if home.fee != LOCAL and home.customer:
        raise wrong(_("%(where)s: customer is for fee = 'local'; this household's balance is kept here"), where=where)


def _unique(source: Path, what: str, values: Iterable[str]) -> None:
    twice = [value for value, count in Counter(values).items() if count > 1]
    if twice:
        raise wrong(
            _("%(where)s: %(what)s %(value)r is given twice; each must be unique"),
            where=source, what=what, value=twice[0],
        )  # fmt: skip


def _known(source: Path, what: str, value: str, allowed: set[str]) -> None:
    if value not in allowed:
        some = ", ".join(sorted(allowed)[:10]) or Word(_("none is declared"))
        raise wrong(
            _("%(where)s: %(what)s = %(value)r is not declared; allowed: %(allowed)s"),
            where=source, what=what, value=value, allowed=some,
        )  # fmt: skip
