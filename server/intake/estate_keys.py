"""The keys of an estate file: for each table its keys, how each is read, and what is allowed.

A `Key` reads one value into a field of a domain entry; `read_table` refuses unknown and missing keys and says file,
table, key and the allowed values, in the language asked for. How a value is read, `estate_values` says.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from zoneinfo import ZoneInfoNotFoundError

from core.modbus.meters import METERS
from core.modbus.rtu import UNIT_MAX
from core.units import REGISTER_MODULUS_WH
from server.collect.scanning import PROTOCOLS
from server.collect.serial_port import BAUDS
from server.domain.access import ROLES, SCOPES
from server.domain.local_fee import LOCAL, REMOTE
from server.domain.schemes import FINAL_NOTICE_MAX_S, GRACE_MAX_S, KEEP_POLICIES, SPREAD_MAX_S
from server.domain.tariff_drafts import cap_of
from server.intake.estate_values import (
    REGISTER_STEP_WH,
    address,
    alarm,
    baud,
    bus_url,
    day,
    digits,
    filled,
    flag,
    identifier,
    instant,
    integer,
    list_of_tables,
    minute,
    one_of,
    register,
    registers,
    scopes,
    text,
    words,
    yuan,
    zone,
)
from server.languages import Filled, Word, wrong
from server.languages import mark as _

WRONG = _("%(where)s: %(key)s = %(value)r is wrong; allowed: %(allowed)s")


@dataclass(frozen=True, slots=True)
class Key:
    """One key of a table: its name in the file, the field it fills, how it is read and what is allowed."""

    name: str
    field: str
    read: Callable[[object], object]
    allowed: str
    required: bool = False


def said_of(key: Key) -> str:
    """What a key allows, as a field of a message in both languages."""
    return key.allowed if isinstance(key.allowed, Filled) else Word(key.allowed)


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
                            allowed=said_of(key))  # fmt: skip
            continue
        try:
            fields[key.field] = key.read(table[key.name])
        except (ValueError, TypeError, ZoneInfoNotFoundError) as error:
            raise wrong(WRONG, where=where, key=key.name, value=table[key.name], allowed=said_of(key)) from error
    return fields


_REGISTER_RANGE = Filled(_("an integer of Wh, 0 to %(most)s"), most=REGISTER_MODULUS_WH - 1)
_REGISTERS = {"step": REGISTER_STEP_WH, "most": REGISTER_MODULUS_WH - REGISTER_STEP_WH}
START = Filled(_("a multiple of %(step)s Wh, 0 to %(most)s, as registers show"), **_REGISTERS)
_ANY_START = Filled(
    _("a multiple of %(step)s Wh, 0 to %(most)s, as registers show; any whole Wh for modbus"), **_REGISTERS
)
_FOUR = Filled(_("four multiples of %(step)s Wh: sharp, peak, flat, valley"), step=REGISTER_STEP_WH)
_YUAN = _('yuan as quoted text, such as "30.00"')
_NOT_BELOW = _('yuan as quoted text, such as "30.00", not below 0.00')
_ALARM = _('yuan as quoted text, such as "30.00", a share of the last top-up, such as "20%", or "7 days"')
_CAP = _('quoted yuan/kWh above zero, such as "0.98"')
_TEXT = _("quoted text")
_FILLED = _("quoted text that is not empty")
_IDENTIFIER = _("quoted text of 1 to 64 characters without spaces")
_FLAG = _("true or false")
_ZONE = _("a time zone name, such as Asia/Shanghai")
_DAY = _("a date YYYY-MM-DD")
_INSTANT = _("an ISO 8601 instant with offset")
_METER = _("the 12 digits of the meter's address, quoted")
_RANGE = _("%(low)s to %(high)s")
_SECONDS = _("%(low)s to %(high)s seconds")
_DAILY = _("%(low)s to %(high)s seconds, so that clocks are read daily")
_MS = _("%(low)s to %(high)s ms")
_WATTS = _("%(low)s to %(high)s W")
_TIME = _('a time of day, such as "%(time)s"')
_TIMES = _('a time of day, such as "%(time)s", together with %(other)s')
_ID_OF = _("the id of a [[%(table)s]]")
_SCHEME = _("the id of a [[scheme]] or a preset")
_BUS_URL = _("/dev/ttyUSB0, the path of a pty, tcp://host:port, rfc2217://host:port, or dtu://ID")


def _within(low: int, high: int, message: str = _RANGE) -> tuple[Callable[[object], int], Filled]:
    """How an integer in low..high is read, and what is allowed."""
    return integer(low, high), Filled(message, low=low, high=high)


def _words(*choices: str) -> tuple[Callable[[object], str], str]:
    """One of some words, which are the same in every language."""
    return one_of(*choices), ", ".join(choices)


ESTATE = (
    Key("id", "estate_id", identifier, _IDENTIFIER, required=True),
    Key("name", "name", text, _TEXT, required=True),
    Key("time_zone", "time_zone", zone, _ZONE),
    Key("mode", "mode", one_of("observe"), _("observe (arming takes two people, after the import)")),
    Key("close_policy", "close_policy", one_of("allow", "direct"), _("allow or direct")),
    Key("reading_cycle_s", "reading_cycle_s", *_within(1, 86400, _SECONDS)),
    Key("status_cycle_s", "status_cycle_s", *_within(1, 86400, _SECONDS)),
    Key("variables_cycle_s", "variables_cycle_s", *_within(1, 86400, _SECONDS)),
    Key("clock_cycle_s", "clock_cycle_s", *_within(1, 86400, _DAILY)),
    Key("daily_freeze", "daily_freeze", flag, _FLAG),
    Key("billing_cycle_s", "billing_cycle_s", *_within(1, 86400, _SECONDS)),
    Key("grace_s", "grace_s", *_within(0, GRACE_MAX_S, _SECONDS)),
    Key("command_ttl_s", "command_ttl_s", *_within(1, 600, _SECONDS)),
    Key("trips_without_deadline", "trips_without_deadline", flag, _FLAG),
    Key("reading_fresh_s", "reading_fresh_s", *_within(1, 86400, _SECONDS)),
    Key("protected_from", "protected_from_min", minute, Filled(_TIME, time="17:00")),
    Key("protected_to", "protected_to_min", minute, Filled(_TIME, time="09:00")),
    Key("protect_weekends", "protect_weekends", flag, _FLAG),
    Key("protect_holidays", "protect_holidays", flag, _FLAG),
    Key("phone", "phone", text, _TEXT),
    Key("spread_s", "spread_s", *_within(0, SPREAD_MAX_S, _SECONDS)),
    Key("scheme", "scheme_id", identifier, _SCHEME),
    Key("price_cap", "price_cap_nf_per_wh", cap_of, _CAP),
    Key("trips_per_hour_max", "trips_per_hour_max", *_within(0, 100_000)),
    Key("trips_per_day_max", "trips_per_day_max", *_within(0, 100_000)),
    Key("adjust_alone", "adjust_alone_fen", yuan, _YUAN),
)
RULES = (
    Key("alarm1", "alarm1", alarm, _ALARM),
    Key("alarm2", "alarm2", alarm, _ALARM),
    Key("overdraft", "overdraft_fen", yuan, _NOT_BELOW),
    Key("close_allowed", "close_allowed_fen", yuan, _YUAN),
    Key("grace_s", "grace_s", *_within(0, GRACE_MAX_S, _SECONDS)),
    Key("quiet_from", "quiet_from_min", minute, Filled(_TIMES, time="22:00", other="quiet_to")),
    Key("quiet_to", "quiet_to_min", minute, Filled(_TIMES, time="08:00", other="quiet_from")),
    Key("protected_from", "protected_from_min", minute, Filled(_TIMES, time="17:00", other="protected_to")),
    Key("protected_to", "protected_to_min", minute, Filled(_TIMES, time="09:00", other="protected_from")),
    Key("protect_weekends", "protect_weekends", flag, _FLAG),
    Key("protect_holidays", "protect_holidays", flag, _FLAG),
    Key("protect_alerts", "protect_alerts", flag, _FLAG),
    Key("spread_s", "spread_s", *_within(0, SPREAD_MAX_S, _SECONDS)),
    Key("final_notice_s", "final_notice_s", *_within(0, FINAL_NOTICE_MAX_S, _SECONDS)),
    Key("keep_power", "keep_power", *_words(*KEEP_POLICIES)),
)
SCHEME = (
    Key("id", "scheme_id", identifier, _IDENTIFIER, required=True),
    Key("name", "name", text, _TEXT, required=True),
    Key("versions", "versions", list_of_tables, _("[[scheme.versions]], once for each date"), required=True),
)
SCHEME_VERSION = (Key("valid_from", "valid_from", instant, _INSTANT, required=True), *RULES)
HOLIDAY = (
    Key("day", "day", day, _DAY, required=True),
    Key("kind", "kind", one_of("off", "work"), _("off or work"), required=True),
    Key("name", "name", text, _TEXT),
)
BUS = (
    Key("id", "bus_id", identifier, _IDENTIFIER, required=True),
    Key("url", "url", bus_url, _BUS_URL, required=True),
    Key("baud", "baud", baud, ", ".join(map(str, BAUDS))),
    Key("parity", "parity", one_of("E", "N", "O"), _("E, N or O")),
    Key("stop_bits", "stop_bits", integer(1, 2), _("1 or 2")),
    Key("reply_delay_max_ms", "reply_delay_max_ms", *_within(20, 60_000, _MS)),
    Key("frame_gap_ms", "frame_gap_ms", *_within(0, 10_000, _MS)),
    Key("attempts_max", "attempts_max", *_within(1, 10)),
    Key("rs485", "rs485", flag, _FLAG),
)
SPEECH = (
    Key("protocol", "protocol", one_of(*PROTOCOLS), _("2007, 1997 or modbus")),
    Key("model", "model", *_words(*METERS)),
    Key("unit", "unit", *_within(1, UNIT_MAX)),
)
METER_PROFILE = (
    Key("id", "profile_id", identifier, _IDENTIFIER, required=True),
    Key("password", "password", digits, _("the 6 digits of the password that its meters share, quoted")),
    Key("password_level", "password_level", *_within(0, 9)),
)
BUILDING = (
    Key("id", "building_id", identifier, _IDENTIFIER, required=True),
    Key("name", "name", text, _TEXT, required=True),
)
ROOM = (
    Key("id", "room_id", identifier, _IDENTIFIER, required=True),
    Key("building", "building_id", identifier, Filled(_ID_OF, table="building"), required=True),
    Key("floor", "floor", *_within(-20, 300), required=True),
    Key("door", "door", text, _TEXT, required=True),
)
HOUSEHOLD = (
    Key("account", "account_id", identifier, _IDENTIFIER, required=True),
    Key("room", "room_id", identifier, Filled(_ID_OF, table="room"), required=True),
    Key("holder", "holder", text, _TEXT, required=True),
    Key("phone", "phone", text, _TEXT),
    Key("tariff", "tariff_id", identifier, Filled(_ID_OF, table="tariff"), required=True),
    Key("meter", "meter_id", address, _METER, required=True),
    Key("bus", "bus_id", identifier, Filled(_ID_OF, table="bus"), required=True),
    Key("start_wh", "start_wh", register, _ANY_START, required=True),
    Key("start_rates_wh", "start_rates_wh", registers, _FOUR),
    Key("installed_at", "installed_at", instant, _("an ISO 8601 instant with offset, at which start_wh was read")),
    Key("ratio", "ratio", *_within(1, 2**20)),
    Key("opening_balance", "opening_fen", yuan, _YUAN),
    Key("scheme", "scheme_id", identifier, _SCHEME),
    *RULES,
    Key("protected", "protected", flag, _FLAG),
    Key("reason", "protected_reason", text, _TEXT),
    Key("protected_until", "protected_until", instant, _INSTANT),
    Key("max_power_w", "max_power_w", *_within(1, 10**9, _WATTS)),
    Key("meter_profile", "meter_profile", identifier, Filled(_ID_OF, table="meter_profile")),
    Key("password", "password", digits, _("the 6 digits of the meter's password, quoted")),
    Key("password_level", "password_level", *_within(0, 9)),
    *SPEECH,
    Key("fee", "fee", one_of(REMOTE, LOCAL), _("remote (the balance is here) or local (the meter keeps it)")),
    Key("customer", "customer", address, _("the 12 digits by which a meter with fee = local knows its owner, quoted")),
    Key("resident_login", "resident_login", identifier, _IDENTIFIER),
    Key("resident_password", "resident_password", filled, _FILLED),
)
GATE = (
    Key("meter", "meter_id", address, _METER, required=True),
    Key("bus", "bus_id", identifier, Filled(_ID_OF, table="bus"), required=True),
    Key("name", "name", text, _TEXT, required=True),
    Key("meters", "meter_ids", words, _("a list of meter addresses below the gate")),
    Key("building", "building", identifier, _("the id of a [[building]] whose meters are all below the gate")),
    Key("start_wh", "start_wh", register, _ANY_START, required=True),
    Key("ratio", "ratio", *_within(1, 2**20)),
    Key("max_power_w", "max_power_w", *_within(1, 10**9, _WATTS)),
    *SPEECH,
)
USER = (
    Key("login", "login", identifier, _IDENTIFIER, required=True),
    Key("password", "password", filled, _FILLED, required=True),
    Key("role", "role", *_words(*ROLES), required=True),
    Key("name", "name", text, _TEXT),
    Key("account", "account_id", identifier, _("the account of a [[household]], for residents")),
    Key("language", "language", one_of("zh_CN", "en"), _("zh_CN or en")),
)
API_CLIENT = (
    Key("id", "client_id", identifier, _IDENTIFIER, required=True),
    Key("name", "name", text, _TEXT, required=True),
    Key("secret", "secret", filled, _FILLED, required=True),
    Key("scopes", "scopes", scopes, Filled(_("a list of %(names)s"), names=", ".join(sorted(SCOPES))), required=True),
)
HISTORY = (
    Key("meter", "meter_id", address, _("the 12 digits of a meter's address"), required=True),
    Key("day", "day", day, _DAY, required=True),
    Key("register_wh", "register_wh", register, _REGISTER_RANGE, required=True),
)
