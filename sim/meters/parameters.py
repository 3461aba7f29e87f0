"""Parameters (04): what a meter is made with, what was written since, and what a write sets in motion.

As made, every meter of a kind is alike, so only written values are kept, as bytes. A write must have the identifier's
length and be readable as its kind; counts beyond what the tables hold are refused with their own ERR bits. Clock, trip
delay, address and passwords act at once. Each write leaves a programming record, a clock write one of its own.
"""

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import TYPE_CHECKING

from core.dlt645.entry import READ_WRITE, Identifier
from core.dlt645.identifiers import TABLE, decode_value, encode_value, lookup
from core.dlt645.values import (
    address_from_bytes,
    bcd_to_int,
    decode_date,
    decode_datetime,
    decode_time,
    encode_datetime,
    int_to_bcd,
)
from core.errors import ValueFormatError
from sim.meters import events
from sim.meters.passwords import PASSWORD_DI, set_password
from sim.meters.prepaid import PRICES, delivered_price, reprice
from sim.meters.programming import note_table
from sim.meters.refusal import ERR_NO_DATA, ERR_OTHER, ERR_RATES, ERR_SLOTS, ERR_ZONES, RefusedError
from sim.meters.status import status_words
from sim.timing.spans import DAY_MINUTES

if TYPE_CHECKING:
    from sim.meters import Meter

DATE, TIME, DATE_TIME = 0x04000101, 0x04000102, 0x0400010C
ADDRESS, METER_NUMBER = 0x04000401, 0x04000402
TRIP_DELAY = 0x04001401
REPORT_STATUS = 0x04001501
RUN_FEATURES, REPORT_MODE = 0x04001101, 0x04001104
BAUD_WORDS = range(0x04000701, 0x04000706)
COUNT_LIMITS = {0x04000201: (14, ERR_ZONES), 0x04000202: (8, ERR_OTHER), 0x04000203: (14, ERR_SLOTS),
                0x04000204: (63, ERR_RATES)}  # fmt: skip
STATUS_WORDS = range(0x04000501, 0x04000508)
STATUS_BLOCK = 0x040005FF
WRITTEN_FIRST = (0x0403, 0x0404)

_NUMBERS = {
    0x04000103: 15, 0x04000104: 15, 0x04000105: 80, 0x04000201: 1, 0x04000202: 1, 0x04000203: 1, 0x04000204: 4,
    0x04000205: 0, 0x04000206: 9, 0x04000207: 0, 0x04000301: 5, 0x04000302: 5, 0x04000303: 2, 0x04000304: 4,
    0x04000305: 4, 0x04000306: 1, 0x04000307: 1, 0x04000409: 1200, 0x0400040A: 1200, 0x04000802: 1,
    **dict.fromkeys(range(0x04000A02, 0x04000A08), 15), 0x04001202: 60,
}  # fmt: skip
_WORDS = {
    0x04000601: 0x05, 0x04000602: 0x41, 0x04000603: 0x14, 0x04000801: 0x7F, 0x04000901: 0x3F, 0x04000902: 0xFF,
    0x04000903: 0xFF, 0x04000904: 0xFF, 0x04000905: 0x03, 0x04000906: 0xFF, RUN_FEATURES: 0x00,
    REPORT_MODE: (1 << 64) - 1,
}  # fmt: skip
_TEXTS = {
    0x04000403: "ESTATE645", 0x04000404: "220V", 0x04000405: "5A", 0x04000407: "1.0", 0x04000408: "2.0",
    0x0400040B: "E645-SIM", 0x0400040C: "2026", 0x0400040D: "DL/T645-2007", 0x04800001: "ESTATE645 SIMULATOR",
    0x04800002: "VIRTUAL", 0x04800003: "ESTATE645",
}  # fmt: skip
_PATTERNS = {
    0x04000A01: "00-00 00:00", 0x04000B01: "day 01 hour 00", 0x04000B02: "day 99 hour 99",
    0x04000B03: "day 99 hour 99", 0x04001203: "00:00",
}  # fmt: skip
_MINUTES = (*range(0x04000106, 0x0400010A), 0x04001201)
_LINES = range(0x04000D01, 0x04000D0D)
_LADDERS = (0x040606FF, 0x040607FF, 0x04060AFF, 0x04060BFF)
_LIMITS = {0x04000E01: 13_200_000, 0x04000E02: 13_200_000, 0x04000E03: 264_000, 0x04000E04: 171_600}
_AMOUNTS = range(0x04001001, 0x04001006)


def read_parameter(meter: "Meter", di: int, at_ms: int) -> bytes | None:
    """The bytes of a parameter; None if this meter has none such."""
    live = _LIVE.get(di)
    if live is not None:
        return live(meter, at_ms)
    if di in STATUS_WORDS:
        return status_words(meter, at_ms)[di - STATUS_WORDS[0]].to_bytes(2, "little")
    if di == STATUS_BLOCK:
        return b"".join(word.to_bytes(2, "little") for word in status_words(meter, at_ms))
    if PASSWORD_DI < di <= PASSWORD_DI + 10:
        return None
    written = meter.notes.parameters.get(di)
    return as_made(meter, di) if written is None else written


def as_made(meter: "Meter", di: int) -> bytes | None:
    """What a parameter was when the meter left the factory."""
    if di in (ADDRESS, METER_NUMBER):
        return bytes.fromhex(meter.config.address)[::-1]
    if di == 0x04000406:
        return encode_value(di, [f"{meter.config.max_current_a}A"])
    if di in BAUD_WORDS:
        return bytes((0x04 if di < 0x04000703 else 0x20,))
    if meter.local_credit_fen is not None and di in PRICES:
        return delivered_price(meter, di & 0xFF)
    return _MADE.get(di)


def write_parameter(meter: "Meter", di: int, value: bytes, operator: str, at_ms: int) -> None:
    """14H: set a parameter, or refuse it. ERR 02 for what is not there or cannot be written, ERR 01 for nonsense."""
    entry = lookup(di)
    if PASSWORD_DI < di <= PASSWORD_DI + 10:
        _write_password(meter, di, value)
    elif entry is None or entry.access != READ_WRITE or not _has(meter, di):
        raise RefusedError(ERR_NO_DATA)
    else:
        _check_value(di, value, entry)
        note_table(meter, di, at_ms, operator)
        act = _ACTS.get(di)
        if act is None:
            meter.own().parameters = {**meter.notes.parameters, di: value}
            reprice(meter, at_ms)
        elif di in (DATE, TIME, DATE_TIME):
            before = encode_datetime(meter.civil(at_ms))
            act(meter, value, at_ms)
            events.note_clock(meter, before, at_ms, operator)
        else:
            act(meter, value, at_ms)
    events.note_programming(meter, di, at_ms, operator)


def _has(meter: "Meter", di: int) -> bool:
    """Whether the meter has a place for this: holidays and screens come into being when they are written."""
    return di in _ACTS or di >> 16 in WRITTEN_FIRST or as_made(meter, di) is not None


def _check_value(di: int, value: bytes, entry: Identifier) -> None:
    """Tables may have fewer entries than they have room for; everything else has its length."""
    table = entry.members_max > 1 and not entry.items
    if entry.length and (len(value) % entry.length if table else len(value) != entry.length):
        raise RefusedError(ERR_OTHER)
    if di in COUNT_LIMITS and bcd_to_int(value) > COUNT_LIMITS[di][0]:
        raise RefusedError(COUNT_LIMITS[di][1])
    judge = _PLAUSIBLE.get(di)
    if judge is not None:
        if not judge(*(bcd_to_int(bytes((byte,))) for byte in value)):
            raise RefusedError(ERR_OTHER)
    else:
        decode_value(di, value)


def _write_password(meter: "Meter", di: int, value: bytes) -> None:
    level = di - PASSWORD_DI - 1
    if len(value) != 4 or value[0] != level:
        raise RefusedError(ERR_OTHER)
    set_password(meter, level, value[1:])


def _write_date(meter: "Meter", value: bytes, at_ms: int) -> None:
    day = decode_date(value)
    meter.set_clock(at_ms, meter.civil(at_ms).replace(year=day.year, month=day.month, day=day.day))


def _write_time(meter: "Meter", value: bytes, at_ms: int) -> None:
    midnight = meter.civil(at_ms).replace(hour=0, minute=0, second=0)
    meter.set_clock(at_ms, midnight + timedelta(seconds=decode_time(value)))


def _write_date_time(meter: "Meter", value: bytes, at_ms: int) -> None:
    meter.set_clock(at_ms, decode_datetime(value[:3] + value[4:]))


def _write_trip_delay(meter: "Meter", value: bytes, _at_ms: int) -> None:
    meter.trip_delay_min = bcd_to_int(value)


def _write_address(meter: "Meter", value: bytes, _at_ms: int) -> None:
    set_address(meter, value)


def _clear_reports(meter: "Meter", _value: bytes, _at_ms: int) -> None:
    events.take_reports(meter)


def set_address(meter: "Meter", wire: bytes) -> None:
    """Answer to another address from now on; nobody may be called broadcast or carry a wildcard."""
    try:
        bcd_to_int(wire)
    except ValueFormatError as bad:
        raise RefusedError(ERR_OTHER) from bad
    if wire == b"\x99" * 6:
        raise RefusedError(ERR_OTHER)
    meter.own().address = address_from_bytes(wire)


def _made() -> Mapping[int, bytes]:
    made = {di: int_to_bcd(value, TABLE[di].length) for di, value in _NUMBERS.items() if di in TABLE}
    made |= {di: word.to_bytes(TABLE[di].length, "little") for di, word in _WORDS.items()}
    made |= {di: encode_value(di, [text]) for di, text in (_TEXTS | _PATTERNS).items()}
    made |= {di: bytes(TABLE[di].length) for di in (*_MINUTES, *_AMOUNTS, 0x0400040E, *_LINES, *_LADDERS)}
    made |= {di: encode_value(di, [limit]) for di, limit in _LIMITS.items()}
    made |= {0x04040100 | screen: bytes(5) for screen in range(1, 6)}
    made |= {0x04040200 | screen: bytes(5) for screen in range(1, 6)}
    for number in (1, 2):
        tables = number << 16 | 0x04000000
        made[tables] = bytes.fromhex("010101")
        made |= {tables | table: bytes.fromhex("030000") for table in range(1, 9)}
        prices = 0x04050000 | number << 8
        made |= {prices | rate: bytes(4) for rate in range(1, 5)} | {prices | 0xFF: bytes(16)}
        tiers = 0x04060000 | (number - 1) << 9
        made |= {tiers | part | tier: bytes(4) for part in (0, 0x100) for tier in range(1, 8)}
    return made


_MADE = _made()


def _is_time(minute: int, hour: int) -> bool:
    return minute < 60 and hour < 24


def _is_settlement(hour: int, day: int) -> bool:
    return (hour < 24 and 1 <= day <= 28) or (hour, day) == (99, 99)


def _is_moment(minute: int, hour: int, day: int, month: int) -> bool:
    """A day that every year has, or all zeros for none."""
    longest = {4: 30, 6: 30, 9: 30, 11: 30, 2: 28}.get(month, 31)
    return _is_time(minute, hour) and ((1 <= month <= 12 and 1 <= day <= longest) or not (month or day))


_PLAUSIBLE: dict[int, Callable[..., bool]] = {
    0x04000103: lambda minutes: 1 <= minutes <= 60,
    0x04000104: lambda minutes: 1 <= minutes <= 60,
    0x04001202: lambda minutes: minutes <= 60,
    **dict.fromkeys(range(0x04000A02, 0x04000A08), lambda low, high: 100 * high + low <= DAY_MINUTES),
    **dict.fromkeys(range(0x04000B01, 0x04000B04), _is_settlement),
    0x04000A01: _is_moment,
    0x04001203: _is_time,
}
"""Parameters whose digits must also make sense, lowest byte first."""

_LIVE: dict[int, Callable[["Meter", int], bytes]] = {
    DATE: lambda meter, at_ms: encode_value(DATE, [meter.civil(at_ms)]),
    TIME: lambda meter, at_ms: encode_value(TIME, [meter.civil(at_ms)]),
    DATE_TIME: lambda meter, at_ms: encode_value(DATE_TIME, [meter.civil(at_ms)]),
    TRIP_DELAY: lambda meter, _at_ms: int_to_bcd(meter.trip_delay_min, 2),
    ADDRESS: lambda meter, _at_ms: bytes.fromhex(meter.address)[::-1],
    REPORT_STATUS: lambda meter, _at_ms: events.take_reports(meter),
}

_ACTS: dict[int, Callable[["Meter", bytes, int], None]] = {
    DATE: _write_date,
    TIME: _write_time,
    DATE_TIME: _write_date_time,
    TRIP_DELAY: _write_trip_delay,
    ADDRESS: _write_address,
    REPORT_STATUS: _clear_reports,
}
