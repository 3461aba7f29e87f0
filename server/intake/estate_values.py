"""How one value of an estate file is read: a function for each form, which raises ValueError for what it is not.

CSV values are text, so numbers are accepted as text too; floats never are.
"""

import re
from collections.abc import Callable
from datetime import date, datetime
from zoneinfo import ZoneInfo

from core.units import REGISTER_MODULUS_WH, parse_yuan
from server.collect.port import LineSettings, PortError
from server.collect.ports import open_port
from server.collect.serial_port import BAUDS
from server.domain.access import SCOPES
from server.domain.schemes import Level, level_from

REGISTER_STEP_WH = 10  # two digits behind the point, in kWh
AMOUNT_MAX_FEN = 2**31 - 1  # thresholds are int32 in the deduction kernel
_ID = re.compile(r"[^\s\x00-\x1f]{1,64}")


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


register = integer(0, REGISTER_MODULUS_WH - 1)  # a cumulative register, Wh


def start_register(value: object) -> int:
    """What a register shows: a finer figure would be ahead of the first reading, which then looks like a step back."""
    register_wh = register(value)
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
