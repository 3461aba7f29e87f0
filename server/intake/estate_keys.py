"""The keys of an estate file: for each table its keys, how each is read, and what is allowed.

A `Key` reads one value into a field of a domain entry; `read_table` refuses unknown and missing keys and says file,
table, key and the allowed values. CSV values are text, so numbers are accepted as text too; floats never are.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from core.modbus.meters import METERS
from core.modbus.rtu import UNIT_MAX
from core.units import REGISTER_MODULUS_WH, parse_yuan
from server.collect.port import LineSettings, PortError
from server.collect.ports import open_port
from server.collect.scanning import PROTOCOLS
from server.collect.serial_port import BAUDS
from server.domain.access import ROLES, SCOPES
from server.domain.local_fee import LOCAL, REMOTE
from server.domain.schemes import FINAL_NOTICE_MAX_S, GRACE_MAX_S, KEEP_POLICIES, SPREAD_MAX_S, Level, level_from
from server.domain.tariff_drafts import cap_of
from server.languages import Word, wrong
from server.languages import mark as _

REGISTER_STEP_WH = 10  # two digits behind the point, in kWh
AMOUNT_MAX_FEN = 2**31 - 1  # thresholds are int32 in the deduction kernel
WRONG = _("%(where)s: %(key)s = %(value)r is wrong; allowed: %(allowed)s")
_ID = re.compile(r"[^\s\x00-\x1f]{1,64}")


@dataclass(frozen=True, slots=True)
class Key:
    """One key of a table: its name in the file, the field it fills, how it is read and what is allowed."""

    name: str
    field: str
    read: Callable[[object], object]
    allowed: str
    required: bool = False


def read_table(where: str, table: object, keys: tuple[Key, ...]) -> dict[str, Any]:
    """The fields that `table` gives; ConfigError naming `where`, the key and the allowed values."""
    if not isinstance(table, Mapping):
        raise wrong(_("%(where)s: must be a table of keys, not %(table)r"), where=where, table=table)
    known = {key.name: key for key in keys}
    for name in table:
        if name not in known:
            raise wrong(_("%(where)s: unknown key %(key)r; allowed keys: %(allowed)s"), where=where, key=name,
                        allowed=", ".join(known))  # fmt: skip
    fields: dict[str, Any] = {}
    for key in keys:
        if key.name not in table:
            if key.required:
                raise wrong(_("%(where)s: key %(key)r is missing; allowed: %(allowed)s"), where=where, key=key.name,
                            allowed=Word(key.allowed))  # fmt: skip
            continue
        try:
            fields[key.field] = key.read(table[key.name])
        except (ValueError, TypeError, ZoneInfoNotFoundError) as error:
            raise wrong(WRONG, where=where, key=key.name, value=table[key.name], allowed=Word(key.allowed)) from error
    return fields


def text(value: object) -> str:
    """Any text."""
    if not isinstance(value, str):
        raise ValueError
    return value


def identifier(value: object) -> str:
    """1 to 64 characters without spaces."""
    if not _ID.fullmatch(text(value)):
        raise ValueError
    return str(value)


def address(value: object) -> str:
    """A meter address of 12 digits."""
    if not re.fullmatch(r"[0-9]{12}", text(value)):
        raise ValueError
    return str(value)


def integer(low: int, high: int) -> Callable[[object], int]:
    """An integer in low..high."""

    def read(value: object) -> int:
        if isinstance(value, bool) or not isinstance(value, int | str):
            raise ValueError
        number = int(value)
        if not low <= number <= high:
            raise ValueError
        return number

    return read


def baud(value: object) -> int:
    """A speed that serial ports have."""
    number = integer(min(BAUDS), max(BAUDS))(value)
    if number not in BAUDS:
        raise ValueError
    return number


def digits(value: object) -> str:
    """The six digits of a meter's password."""
    if not re.fullmatch(r"[0-9]{6}", text(value)):
        raise ValueError
    return str(value)


def filled(value: object) -> str:
    """Text that is not empty."""
    if not text(value):
        raise ValueError
    return str(value)


def one_of(*choices: str) -> Callable[[object], str]:
    """One of the given words."""

    def read(value: object) -> str:
        if value not in choices:
            raise ValueError
        return str(value)

    return read


def flag(value: object) -> int:
    """true or false, as 1 or 0."""
    if isinstance(value, bool):
        return int(value)
    if value in ("true", "1", "false", "0"):
        return int(value in ("true", "1"))
    raise ValueError


def zone(value: object) -> str:
    """A time zone of the IANA database."""
    ZoneInfo(text(value))
    return str(value)


def minute(value: object) -> int:
    """A time of day hh:mm, as minutes."""
    match = re.fullmatch(r"([01]\d|2[0-3]):([0-5]\d)", text(value))
    if match is None:
        raise ValueError
    return int(match[1]) * 60 + int(match[2])


def yuan(value: object) -> int:
    """An amount in yuan as quoted text, as fen."""
    amount_fen = parse_yuan(text(value))
    if abs(amount_fen) > AMOUNT_MAX_FEN:
        raise ValueError
    return amount_fen


def instant(value: object) -> int:
    """An ISO 8601 instant with a UTC offset, as epoch seconds."""
    moment = value if isinstance(value, datetime) else datetime.fromisoformat(text(value))
    if moment.tzinfo is None:
        raise ValueError
    return int(moment.timestamp())


def bus_url(value: object) -> str:
    """Where a bus is, as the ports themselves read it."""
    url = text(value)
    if not url.strip() or "\x00" in url:
        raise ValueError
    try:
        open_port(url, LineSettings())
    except PortError as error:
        raise ValueError from error
    return url


def start_register(value: object) -> int:
    """What a register shows: a finer figure would be ahead of the first reading, which then looks like a step back."""
    register_wh = REGISTER(value)
    if register_wh % REGISTER_STEP_WH:
        raise ValueError
    return register_wh


def registers(value: object) -> tuple[int, ...]:
    """Four rate registers in Wh: a list, or text such as "10,20,30,40"."""
    parts = value.split(",") if isinstance(value, str) else value
    if not isinstance(parts, list) or len(parts) != 4:
        raise ValueError
    return tuple(start_register(part) for part in parts)


def words(value: object) -> tuple[str, ...]:
    """A list of meter addresses."""
    if not isinstance(value, list):
        raise ValueError
    return tuple(address(item) for item in value)


def list_of_tables(value: object) -> list[object]:
    """Tables, at least one."""
    if not isinstance(value, list) or not value:
        raise ValueError
    return value


def scopes(value: object) -> str:
    """Scopes as a list or as text with commas."""
    parts = value.split(",") if isinstance(value, str) else value
    if not isinstance(parts, list) or not parts:
        raise ValueError
    return ",".join(one_of(*SCOPES)(text(part).strip()) for part in parts)


def alarm(value: object) -> Level:
    """An alarm level: yuan, a share of the last top-up, or days."""
    return level_from(text(value))


def day(value: object) -> str:
    """A local date."""
    return (value if isinstance(value, date) else date.fromisoformat(text(value))).isoformat()


REGISTER = integer(0, REGISTER_MODULUS_WH - 1)
_REGISTER_RANGE = f"an integer of Wh, 0 to {REGISTER_MODULUS_WH - 1}"
START = f"a multiple of {REGISTER_STEP_WH} Wh, 0 to {REGISTER_MODULUS_WH - REGISTER_STEP_WH}, as registers show"
_ANY_START = f"{START}; any whole Wh for modbus"
_YUAN = _('yuan as quoted text, such as "30.00"')
_ALARM = _('yuan as quoted text, such as "30.00", a share of the last top-up, such as "20%", or "7 days"')
_TEXT = _("quoted text")
_FILLED = _("quoted text that is not empty")
_IDENTIFIER = _("quoted text of 1 to 64 characters without spaces")
_FLAG = _("true or false")
_FOUR = f"four multiples of {REGISTER_STEP_WH} Wh: sharp, peak, flat, valley"

ESTATE = (
    Key("id", "estate_id", identifier, _IDENTIFIER, required=True),
    Key("name", "name", text, _TEXT, required=True),
    Key("time_zone", "time_zone", zone, "a time zone name, such as Asia/Shanghai"),
    Key("mode", "mode", one_of("observe"), "observe (arming takes two people, after the import)"),
    Key("close_policy", "close_policy", one_of("allow", "direct"), "allow or direct"),
    Key("reading_cycle_s", "reading_cycle_s", integer(1, 86400), "1 to 86400 seconds"),
    Key("status_cycle_s", "status_cycle_s", integer(1, 86400), "1 to 86400 seconds"),
    Key("variables_cycle_s", "variables_cycle_s", integer(1, 86400), "1 to 86400 seconds"),
    Key("clock_cycle_s", "clock_cycle_s", integer(1, 86400), "1 to 86400 seconds, so that clocks are read daily"),
    Key("daily_freeze", "daily_freeze", flag, _FLAG),
    Key("billing_cycle_s", "billing_cycle_s", integer(1, 86400), "1 to 86400 seconds"),
    Key("grace_s", "grace_s", integer(0, GRACE_MAX_S), f"0 to {GRACE_MAX_S} seconds"),
    Key("command_ttl_s", "command_ttl_s", integer(1, 600), "1 to 600 seconds"),
    Key("trips_without_deadline", "trips_without_deadline", flag, _FLAG),
    Key("reading_fresh_s", "reading_fresh_s", integer(1, 86400), "1 to 86400 seconds"),
    Key("protected_from", "protected_from_min", minute, 'a time of day, such as "17:00"'),
    Key("protected_to", "protected_to_min", minute, 'a time of day, such as "09:00"'),
    Key("protect_weekends", "protect_weekends", flag, _FLAG),
    Key("protect_holidays", "protect_holidays", flag, _FLAG),
    Key("phone", "phone", text, _TEXT),
    Key("spread_s", "spread_s", integer(0, SPREAD_MAX_S), f"0 to {SPREAD_MAX_S} seconds"),
    Key("scheme", "scheme_id", identifier, "the id of a [[scheme]] or a preset"),
    Key("price_cap", "price_cap_nf_per_wh", cap_of, 'quoted yuan/kWh above zero, such as "0.98"'),
    Key("trips_per_hour_max", "trips_per_hour_max", integer(0, 100_000), "0 to 100000"),
    Key("trips_per_day_max", "trips_per_day_max", integer(0, 100_000), "0 to 100000"),
    Key("adjust_alone", "adjust_alone_fen", yuan, _YUAN),
)
RULES = (
    Key("alarm1", "alarm1", alarm, _ALARM),
    Key("alarm2", "alarm2", alarm, _ALARM),
    Key("overdraft", "overdraft_fen", yuan, f"{_YUAN}, not below 0.00"),
    Key("close_allowed", "close_allowed_fen", yuan, _YUAN),
    Key("grace_s", "grace_s", integer(0, GRACE_MAX_S), f"0 to {GRACE_MAX_S} seconds"),
    Key("quiet_from", "quiet_from_min", minute, 'a time of day, such as "22:00", together with quiet_to'),
    Key("quiet_to", "quiet_to_min", minute, 'a time of day, such as "08:00", together with quiet_from'),
    Key("protected_from", "protected_from_min", minute, 'a time of day, such as "17:00", together with protected_to'),
    Key("protected_to", "protected_to_min", minute, 'a time of day, such as "09:00", together with protected_from'),
    Key("protect_weekends", "protect_weekends", flag, _FLAG),
    Key("protect_holidays", "protect_holidays", flag, _FLAG),
    Key("protect_alerts", "protect_alerts", flag, _FLAG),
    Key("spread_s", "spread_s", integer(0, SPREAD_MAX_S), f"0 to {SPREAD_MAX_S} seconds"),
    Key("final_notice_s", "final_notice_s", integer(0, FINAL_NOTICE_MAX_S), f"0 to {FINAL_NOTICE_MAX_S} seconds"),
    Key("keep_power", "keep_power", one_of(*KEEP_POLICIES), ", ".join(KEEP_POLICIES)),
)
SCHEME = (
    Key("id", "scheme_id", identifier, _IDENTIFIER, required=True),
    Key("name", "name", text, _TEXT, required=True),
    Key("versions", "versions", list_of_tables, "[[scheme.versions]], once for each date", required=True),
)
SCHEME_VERSION = (Key("valid_from", "valid_from", instant, "an ISO 8601 instant with offset", required=True), *RULES)
HOLIDAY = (
    Key("day", "day", day, "a date YYYY-MM-DD", required=True),
    Key("kind", "kind", one_of("off", "work"), "off or work", required=True),
    Key("name", "name", text, _TEXT),
)
BUS = (
    Key("id", "bus_id", identifier, _IDENTIFIER, required=True),
    Key(
        "url",
        "url",
        bus_url,
        "/dev/ttyUSB0, the path of a pty, tcp://host:port, rfc2217://host:port, or dtu://ID",
        required=True,
    ),
    Key("baud", "baud", baud, ", ".join(map(str, BAUDS))),
    Key("parity", "parity", one_of("E", "N", "O"), "E, N or O"),
    Key("stop_bits", "stop_bits", integer(1, 2), "1 or 2"),
    Key("reply_delay_max_ms", "reply_delay_max_ms", integer(20, 60_000), "20 to 60000 ms"),
    Key("frame_gap_ms", "frame_gap_ms", integer(0, 10_000), "0 to 10000 ms"),
    Key("attempts_max", "attempts_max", integer(1, 10), "1 to 10"),
    Key("rs485", "rs485", flag, _FLAG),
)
SPEECH = (
    Key("protocol", "protocol", one_of(*PROTOCOLS), "2007, 1997 or modbus"),
    Key("model", "model", one_of(*METERS), ", ".join(METERS)),
    Key("unit", "unit", integer(1, UNIT_MAX), f"1 to {UNIT_MAX}"),
)
METER_PROFILE = (
    Key("id", "profile_id", identifier, _IDENTIFIER, required=True),
    Key("password", "password", digits, "the 6 digits of the password that its meters share, quoted"),
    Key("password_level", "password_level", integer(0, 9), "0 to 9"),
)
BUILDING = (
    Key("id", "building_id", identifier, _IDENTIFIER, required=True),
    Key("name", "name", text, _TEXT, required=True),
)
ROOM = (
    Key("id", "room_id", identifier, _IDENTIFIER, required=True),
    Key("building", "building_id", identifier, "the id of a [[building]]", required=True),
    Key("floor", "floor", integer(-20, 300), "-20 to 300", required=True),
    Key("door", "door", text, _TEXT, required=True),
)
HOUSEHOLD = (
    Key("account", "account_id", identifier, _IDENTIFIER, required=True),
    Key("room", "room_id", identifier, "the id of a [[room]]", required=True),
    Key("holder", "holder", text, _TEXT, required=True),
    Key("phone", "phone", text, _TEXT),
    Key("tariff", "tariff_id", identifier, "the id of a [[tariff]]", required=True),
    Key("meter", "meter_id", address, _("the 12 digits of the meter's address, quoted"), required=True),
    Key("bus", "bus_id", identifier, "the id of a [[bus]]", required=True),
    Key("start_wh", "start_wh", REGISTER, _ANY_START, required=True),
    Key("start_rates_wh", "start_rates_wh", registers, _FOUR),
    Key("installed_at", "installed_at", instant, "an ISO 8601 instant with offset, at which start_wh was read"),
    Key("ratio", "ratio", integer(1, 2**20), "1 to 1048576"),
    Key("opening_balance", "opening_fen", yuan, _YUAN),
    Key("scheme", "scheme_id", identifier, "the id of a [[scheme]] or a preset"),
    *RULES,
    Key("protected", "protected", flag, _FLAG),
    Key("reason", "protected_reason", text, _TEXT),
    Key("protected_until", "protected_until", instant, "an ISO 8601 instant with offset"),
    Key("max_power_w", "max_power_w", integer(1, 10**9), "1 to 1000000000 W"),
    Key("meter_profile", "meter_profile", identifier, "the id of a [[meter_profile]]"),
    Key("password", "password", digits, _("the 6 digits of the meter's password, quoted")),
    Key("password_level", "password_level", integer(0, 9), "0 to 9"),
    *SPEECH,
    Key("fee", "fee", one_of(REMOTE, LOCAL), "remote (the balance is here) or local (the meter keeps it)"),
    Key("customer", "customer", address, "the 12 digits by which a meter with fee = local knows its owner, quoted"),
    Key("resident_login", "resident_login", identifier, _IDENTIFIER),
    Key("resident_password", "resident_password", filled, _FILLED),
)
GATE = (
    Key("meter", "meter_id", address, _("the 12 digits of the meter's address, quoted"), required=True),
    Key("bus", "bus_id", identifier, "the id of a [[bus]]", required=True),
    Key("name", "name", text, _TEXT, required=True),
    Key("meters", "meter_ids", words, "a list of meter addresses below the gate"),
    Key("building", "building", identifier, "the id of a [[building]] whose meters are all below the gate"),
    Key("start_wh", "start_wh", REGISTER, _ANY_START, required=True),
    Key("ratio", "ratio", integer(1, 2**20), "1 to 1048576"),
    Key("max_power_w", "max_power_w", integer(1, 10**9), "1 to 1000000000 W"),
    *SPEECH,
)
USER = (
    Key("login", "login", identifier, _IDENTIFIER, required=True),
    Key("password", "password", filled, _FILLED, required=True),
    Key("role", "role", one_of(*ROLES), ", ".join(ROLES), required=True),
    Key("name", "name", text, _TEXT),
    Key("account", "account_id", identifier, "the account of a [[household]], for residents"),
    Key("language", "language", one_of("zh_CN", "en"), "zh_CN or en"),
)
API_CLIENT = (
    Key("id", "client_id", identifier, _IDENTIFIER, required=True),
    Key("name", "name", text, _TEXT, required=True),
    Key("secret", "secret", filled, _FILLED, required=True),
    Key("scopes", "scopes", scopes, f"a list of {', '.join(sorted(SCOPES))}", required=True),
)
HISTORY = (
    Key("meter", "meter_id", address, "the 12 digits of a meter's address", required=True),
    Key("day", "day", day, "a date YYYY-MM-DD", required=True),
    Key("register_wh", "register_wh", REGISTER, _REGISTER_RANGE, required=True),
)
