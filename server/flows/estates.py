"""Taking an estate in: the whole document in one unit of work.

The same document again changes nothing. Names, rooms, buses and limits may change; what money depends on may not:
the registers at installation, opening balances, tariff versions already in force, and which meter feeds whom.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from sqlalchemy import select

from core.tariff import Tariff, TariffError, tier_period_start_s
from server.domain.budget import Budget
from server.domain.estate_document import EstateDocument, EstateEntry, GateEntry, HouseholdEntry, RoomEntry
from server.domain.ledger import SYSTEM_ACCOUNTS
from server.domain.schemes import PRESETS, definition_of
from server.domain.tariff_drafts import check_cap, new_versions
from server.errors import Conflict, Refused
from server.flows import schemes
from server.flows.accounts import taken_in
from server.flows.ledger import ensure_account
from server.flows.money_rules import rules_kept
from server.flows.openings import post_openings
from server.flows.tariffs import with_published
from server.store import accounts as lives
from server.store import audit, schema
from server.store.acceptance import exchanges
from server.store.budgets import budgets_of
from server.store.bulk import insert_rows
from server.store.estates import get_estate, upsert, upsert_many
from server.store.meters import MeterRow, list_meters
from server.store.schemes import in_force, set_estate_scheme, set_holiday
from server.store.tariffs import load_tariffs, save_tariff
from server.store.unit import Unit

if TYPE_CHECKING:
    from server.clock import Now


@dataclass(frozen=True, slots=True)
class Imported:
    """How many rows an import named, how many of its households are new, and what each bus needs of its cycle."""

    buses: int
    rooms: int
    households: int
    gates: int
    users: int
    new_households: int
    budgets: tuple[Budget, ...] = ()


def import_estate(unit: Unit, document: EstateDocument, now: "Now") -> Imported:
    """Insert or update everything the document names.

    Conflict for a change that money forbids, Refused for a bus that cannot read its meters in time.
    """
    with rules_kept(unit, document.estate.estate_id, "import", now):
        return _import(unit, document, now)


def _import(unit: Unit, document: EstateDocument, now: "Now") -> Imported:
    connection, estate_id = unit.connection, document.estate.estate_id
    site = {name: value for name, value in asdict(document.estate).items() if name != "scheme_id"}
    is_new = upsert(connection, schema.estate, ("estate_id",), site)
    for name in SYSTEM_ACCOUNTS:
        ensure_account(unit, estate_id, name)
    _tariffs(unit, document, now)
    buildings = [{**asdict(one), "position": position} for position, one in enumerate(document.buildings)]
    upsert_many(connection, schema.building, "building_id", estate_id, buildings)
    upsert_many(connection, schema.room, "room_id", estate_id, list(map(asdict, document.rooms)))
    upsert_many(connection, schema.bus, "bus_id", estate_id, list(map(asdict, document.buses)))
    _schemes(unit, document, now, is_new=is_new)
    new = _households(unit, document, now)
    schemes.settle(unit, estate_id, None, now)
    known = {row.meter_id: row for row in list_meters(connection, estate_id)}
    for gate in document.gates:
        _gate(unit, estate_id, gate, known.get(gate.meter_id), now)
    _people(unit, document)
    _history(unit, document)
    budgets = budgets_of(connection, estate_id)
    refuse_overfull(budgets)
    unit.announce("estate", estate_id)
    return Imported(
        len(document.buses),
        len(document.rooms),
        len(document.households),
        len(document.gates),
        len(document.users),
        new,
        tuple(budgets),
    )


def refuse_overfull(budgets: Iterable[Budget]) -> None:
    """Refused when a bus cannot read its meters once in their cycle; the message says what would help."""
    for budget in budgets:
        if not budget.fits:
            raise Refused(
                f"bus {budget.bus_id}: {budget}; give it fewer meters, a higher baud or longer cycles "
                "(reading_cycle_s, status_cycle_s, variables_cycle_s, clock_cycle_s of the estate)"
            )


def install_meters(
    unit: Unit,
    estate_id: str,
    rooms: Iterable[RoomEntry],
    households: Iterable[HouseholdEntry],
    *,
    actor: str,
    now: "Now",
) -> int:
    """Take new households in beside those that are there; Conflict for one that is. Returns how many."""
    site, homes = get_estate(unit.connection, estate_id), tuple(households)
    table = schema.account
    for home in homes:
        query = select(table.c.account_id).where(table.c.estate_id == estate_id, table.c.account_id == home.account_id)
        if unit.connection.execute(query).first() is not None:
            raise Conflict(f"there is an account {home.account_id} already; give the room another name")
    upsert_many(unit.connection, schema.room, "room_id", estate_id, list(map(asdict, rooms)))
    entry = EstateEntry(estate_id, site["name"], site["time_zone"])
    with rules_kept(unit, estate_id, actor, now):
        new = _households(unit, EstateDocument(entry, households=homes), now, actor)
    refuse_overfull(budgets_of(unit.connection, estate_id))
    for home in homes:
        audit.record(unit.connection, estate_id, actor, "meter.installed", home.meter_id, now, home.room_id)
    unit.announce("estate", estate_id)
    return new


def _tariffs(unit: Unit, document: EstateDocument, now: "Now") -> None:
    """Save tariffs; versions that have been in force may be followed by others, never changed.

    Refused for a new version over the price cap; what two people have published stays.
    """
    estate_id = document.estate.estate_id
    stored = load_tariffs(unit.connection, estate_id)
    for given in document.tariffs:
        old = stored.get(given.tariff_id)
        tariff = given if old is None else with_published(unit.connection, estate_id, old, given)
        try:
            check_cap(tariff, new_versions(old, tariff), document.estate.price_cap_nf_per_wh)
        except TariffError as error:
            raise Refused(str(error)) from error
        if old is not None:
            begun = [[v for v in one.versions if v.valid_from_s <= now.world_s] for one in (old, tariff)]
            if begun[0] != begun[1] or old.time_zone != tariff.time_zone:
                raise Conflict(
                    f"tariff {tariff.tariff_id!r} changes a version that is in force; "
                    "add a version with a later valid_from instead"
                )
        if old != tariff:
            save_tariff(unit.connection, estate_id, tariff, now.machine_ms)


def _schemes(unit: Unit, document: EstateDocument, now: "Now", *, is_new: bool) -> None:
    """Schemes, the estate's choice among them, and its calendar."""
    estate_id = document.estate.estate_id
    preset = document.preset if is_new and document.estate.scheme_id is None else None
    chosen = document.estate.scheme_id or preset
    known = {entry.scheme_id for entry in document.schemes} | set(in_force(unit.connection, estate_id, now.world_s))
    if chosen is not None and chosen in PRESETS and chosen not in known:  # a preset that is there stays as it was
        shipped = PRESETS[chosen]
        schemes.save_version(unit, estate_id, chosen, shipped.name, 0, shipped.definition, actor="import", now=now)
    for entry in document.schemes:
        for one in entry.versions:
            schemes.save_version(
                unit, estate_id, entry.scheme_id, entry.name, one.valid_from, one.rules, actor="import", now=now
            )
    if chosen is not None:
        set_estate_scheme(unit.connection, estate_id, chosen)
    for holiday in document.holidays:
        set_holiday(unit.connection, estate_id, holiday.day, holiday.kind, holiday.name)


def _households(unit: Unit, document: EstateDocument, now: "Now", actor: str = "import") -> int:
    connection, estate_id = unit.connection, document.estate.estate_id
    tariffs = load_tariffs(connection, estate_id)
    meters = {row.meter_id: row for row in list_meters(connection, estate_id)}
    meter_of = {row.account_id: row.meter_id for row in meters.values() if row.account_id}
    account = schema.account
    query = select(account.c.account_id, account.c.room_id).where(
        account.c.estate_id == estate_id, account.c.kind == "household", account.c.status != "closed"
    )
    tenants = {room_id: account_id for account_id, room_id in connection.execute(query)}
    given = {home.account_id: home.room_id for home in document.households}
    gone = lives.gone(connection, estate_id)
    for home in document.households:
        if home.account_id in gone:
            raise Conflict(f"the household of account {home.account_id} has moved out; take it out of the file")
        _refuse_moves(home, meters.get(home.meter_id), meter_of, tenants, given)
    upsert_many(connection, account, "account_id", estate_id, list(map(_account, document.households)))
    known = [home for home in document.households if home.meter_id in meters]
    for home in known:
        _refuse_changes(unit, estate_id, home, meters[home.meter_id])
    upsert_many(connection, schema.meter, "meter_id", estate_id, list(map(_wiring, known)))
    new = [home for home in document.households if home.meter_id not in meters]
    _install(unit, estate_id, new, tariffs, now)
    openings = {home.account_id: home.opening_fen for home in document.households if home.opening_fen}
    post_openings(unit, estate_id, openings, event_at=now.world_s, actor="import", now=now)
    _tell(unit, estate_id, new, actor, now)
    return len(new)


def _tell(unit: Unit, estate_id: str, new: Sequence[HouseholdEntry], actor: str, now: "Now") -> None:
    """Begin the lives of new accounts; one that was opened before is in service now."""
    begun = lives.begun(unit.connection, estate_id) if new else set()
    columns = (
        "estate_id", "account_id", "event_no", "act", "status", "room_id", "meter_id", "register_wh", "detail", "actor",
        "reason", "world_at", "created_ms",
    )  # fmt: skip
    rows = [
        (
            estate_id, home.account_id, 1, "opened", "normal", home.room_id, home.meter_id, home.start_wh, "prepaid",
            actor, "taken in", now.world_s, now.machine_ms,
        )
        for home in new
        if home.account_id not in begun
    ]  # fmt: skip
    insert_rows(unit.connection, schema.account_event, columns, rows)
    for home in new:
        if home.account_id in begun:
            taken_in(unit, estate_id, home.account_id, home.meter_id, home.start_wh, actor, now)


def _refuse_moves(
    home: HouseholdEntry,
    meter: MeterRow | None,
    meter_of: dict[str, str],
    tenants: dict[str, str],
    given: dict[str, str],
) -> None:
    if meter is not None and meter.kind == "household" and meter.account_id is None and meter.bus_id:
        raise Conflict(
            f"meter {home.meter_id} of account {home.account_id} is vacant, its household has moved out; open the "
            "account at the console and move it in there, with the base register"
        )
    if meter is not None and meter.account_id != home.account_id:
        raise Conflict(
            f"meter {home.meter_id} of account {home.account_id} already feeds account "
            f"{meter.account_id or 'none (it is a gate)'} in room {meter.room_id}; a meter cannot be in two places"
        )
    if meter_of.get(home.account_id, home.meter_id) != home.meter_id:
        raise Conflict(
            f"account {home.account_id} has meter {meter_of[home.account_id]}; a replacement needs the final register "
            "of the old meter and is no import"
        )
    tenant = tenants.get(home.room_id, home.account_id)
    if tenant != home.account_id and given.get(tenant, home.room_id) == home.room_id:
        raise Conflict(f"room {home.room_id} belongs to account {tenant}; close that account first")


def _account(home: HouseholdEntry) -> dict[str, object]:
    fields = ("account_id", "room_id", "holder", "phone", "tariff_id")
    values: dict[str, object] = {"kind": "household", **{name: getattr(home, name) for name in fields}}
    kept = {name: getattr(home, name) for name in ("scheme_id", "protected", "protected_reason", "protected_until")}
    values |= {name: value for name, value in kept.items() if value is not None}
    if home.own_rules:
        values["own_rules"] = json.dumps(definition_of(home.own_rules), sort_keys=True)
    return values


def _wiring(home: HouseholdEntry) -> dict[str, object]:
    """What may change at an installed meter."""
    return {name: getattr(home, name) for name in _WIRING}


def _refuse_changes(unit: Unit, estate_id: str, home: HouseholdEntry, meter: MeterRow) -> None:
    """Conflict for what may not change at an installed meter: its registers and what they were judged by."""
    rates = (meter.start_rate1_wh, meter.start_rate2_wh, meter.start_rate3_wh, meter.start_rate4_wh)
    given = (home.start_wh, home.start_rates_wh or (None,) * 4, home.ratio)
    now_installed = given == (meter.start_wh, rates, meter.ratio) and home.installed_at in (None, meter.installed_at)
    if not now_installed and not _was_installed(unit, estate_id, home):
        raise Conflict(
            f"meter {home.meter_id} was installed at {meter.start_wh} Wh with ratio {meter.ratio}; "
            "start registers, ratio and installed_at cannot change"
        )
    if home.fee != meter.fee:
        raise Conflict(
            f"meter {home.meter_id} was installed with fee = {meter.fee!r}; it cannot change, since energy would be "
            "charged twice or never"
        )
    if home.max_power_w < meter.max_power_w:
        raise Conflict(
            f"meter {home.meter_id} has max_power_w = {meter.max_power_w}; it cannot shrink, since past charges were "
            "judged by it"
        )


def _was_installed(unit: Unit, estate_id: str, home: HouseholdEntry) -> bool:
    """Whether the file tells of an installation that an exchange has ended since; it need not be written anew."""
    return any(
        (row["old_meter_id"], row["old_start_wh"], row["old_ratio"]) == (home.meter_id, home.start_wh, home.ratio)
        and home.installed_at in (None, row["old_installed_at"])
        for row in exchanges(unit.connection, estate_id, account_id=home.account_id)
    )


_CURSOR = (
    "estate_id", "meter_id", "install_no", "read_at", "total_wh", "rate1_wh", "rate2_wh", "rate3_wh", "rate4_wh",
    "tier_period_start",
)  # fmt: skip
_SPEECH = ("protocol", "model", "unit")
_WIRING = ("meter_id", "bus_id", "room_id", "max_power_w", "password_level", "password", "customer", *_SPEECH)


def _install(
    unit: Unit, estate_id: str, homes: Sequence[HouseholdEntry], tariffs: Mapping[str, Tariff], now: "Now"
) -> None:
    """New meters with their cursors at the start registers, and nothing known about their relays."""
    connection = unit.connection
    meters: list[dict[str, object]] = []
    cursors: list[tuple[object, ...]] = []
    for home in homes:
        installed_at = now.world_s if home.installed_at is None else home.installed_at
        rates = home.start_rates_wh or (None,) * 4
        values = _wiring(home) | {f"start_rate{number}_wh": value for number, value in enumerate(rates, 1)}
        values |= {"kind": "household", "installed_at": installed_at, "account_id": home.account_id}
        meters.append(values | {"start_wh": home.start_wh, "ratio": home.ratio, "fee": home.fee})
        period_start = tier_period_start_s(tariffs[home.tariff_id], installed_at)
        cursors.append((estate_id, home.meter_id, 1, installed_at, home.start_wh, *rates, period_start))
    upsert_many(connection, schema.meter, "meter_id", estate_id, meters)
    insert_rows(connection, schema.meter_cursor, _CURSOR, cursors)
    for table in (schema.meter_live, schema.supply):
        insert_rows(connection, table, ("estate_id", "meter_id"), [(estate_id, home.meter_id) for home in homes])


def _gate(unit: Unit, estate_id: str, gate: GateEntry, known: MeterRow | None, now: "Now") -> None:
    connection, meter = unit.connection, schema.meter
    if known is not None and (known.kind != "gate" or known.start_wh != gate.start_wh or known.ratio != gate.ratio):
        raise Conflict(
            f"meter {gate.meter_id} is already installed as a {known.kind} meter from {known.start_wh} Wh with ratio "
            f"{known.ratio}; a gate cannot change these"
        )
    values: dict[str, object] = {"estate_id": estate_id, "meter_id": gate.meter_id, "kind": "gate"}
    values |= {"bus_id": gate.bus_id, "start_wh": gate.start_wh, "ratio": gate.ratio, "max_power_w": gate.max_power_w}
    values |= {name: getattr(gate, name) for name in _SPEECH}
    if known is None:
        values["installed_at"] = now.world_s
        insert_rows(connection, schema.meter_live, ("estate_id", "meter_id"), [(estate_id, gate.meter_id)])
    upsert(connection, meter, ("estate_id", "meter_id"), values | {"room_id": gate.name})
    connection.execute(
        meter.update().where(meter.c.estate_id == estate_id, meter.c.gate_id == gate.meter_id).values(gate_id=None)
    )
    for meter_id in gate.meter_ids:
        where = (meter.c.estate_id == estate_id, meter.c.meter_id == meter_id)
        connection.execute(meter.update().where(*where).values(gate_id=gate.meter_id))


def _people(unit: Unit, document: EstateDocument) -> None:
    """Logins and API clients; a user without a new hash keeps the password."""
    estate_id = document.estate.estate_id
    for user in document.users:
        values = {name: getattr(user, name) for name in ("login", "role", "name", "account_id", "language")}
        if user.password_hash:
            values["password_hash"] = user.password_hash
        values |= {"estate_id": estate_id, "user_id": user.login}
        upsert(unit.connection, schema.app_user, ("estate_id", "user_id"), values)
    for client in document.api_clients:
        upsert(
            unit.connection, schema.api_client, ("estate_id", "client_id"), {"estate_id": estate_id, **asdict(client)}
        )


def _history(unit: Unit, document: EstateDocument) -> None:
    """Registers of past days, for charts only; a day that was read live is left alone."""
    estate_id = document.estate.estate_id
    rows: list[tuple[object, ...]] = []
    previous: dict[str, int] = {}
    for item in sorted(document.history, key=lambda one: (one.meter_id, one.day)):
        first_wh = previous.get(item.meter_id, item.register_wh)
        previous[item.meter_id] = item.register_wh
        rows.append((estate_id, item.meter_id, item.day, first_wh, item.register_wh, 0, "import"))
    columns = ("estate_id", "meter_id", "day", "first_wh", "total_wh", "read_at", "source")
    insert_rows(unit.connection, schema.register_day, columns, rows, "ON CONFLICT DO NOTHING")
