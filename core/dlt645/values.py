"""Values inside the data field, after the 33H offset has been removed.

Numbers are packed BCD with the low byte first; a signed item carries its sign in the top bit of the
highest byte. A meter fills what it does not have with FF. Times are the meter's own civil time: two
digits of the year mean 2000 to 2099, and no time zone travels on the wire, so all `datetime` here are
naive. Everything is integer arithmetic.
"""

import re
from datetime import date, datetime, time

from core.errors import ProtocolMisuse, ValueFormatError

SIGN_BIT = 0x80
FILLER = 0xFF
CENTURY = 2000

# The bit of the baud word, not a number of 300s: 4800 is 10H.
BAUD_WORDS = {600: 0x02, 1200: 0x04, 2400: 0x08, 4800: 0x10, 9600: 0x20, 19200: 0x40}

_ADDRESS = re.compile("(?:[0-9]{2}|AA){6}")


def bcd_to_int(data: bytes) -> int:
    """Read packed BCD, low byte first; `ValueFormatError` when empty or a nibble is above 9."""
    digits = data[::-1].hex()
    if not digits.isdecimal():
        raise ValueFormatError(f"not BCD: {data.hex(' ').upper() or 'no bytes'} (low byte first)")
    return int(digits)


def int_to_bcd(value: int, length: int) -> bytes:
    """Write `value` as `length` bytes of BCD, low byte first; `ProtocolMisuse` when it does not fit."""
    try:
        return int(f"{value:d}", 16).to_bytes(length, "little")
    except OverflowError:
        raise ProtocolMisuse(f"{value} does not fit into {length} BCD bytes") from None


def bcd_to_signed(data: bytes) -> int:
    """Read BCD whose highest byte carries the sign in its top bit (1 = negative or reverse)."""
    if not data:
        raise ValueFormatError("not BCD: no bytes (low byte first)")
    if data[-1] & SIGN_BIT:
        return -bcd_to_int(data[:-1] + bytes((data[-1] & ~SIGN_BIT & 0xFF,)))
    return bcd_to_int(data)


def signed_to_bcd(value: int, length: int) -> bytes:
    """Write a signed number; the magnitude must leave the top bit free (at most 79 in the highest byte)."""
    if not 0 <= abs(value) < 80 * 100 ** (length - 1):
        raise ProtocolMisuse(f"{value} does not fit into {length} signed BCD bytes")
    magnitude = int_to_bcd(abs(value), length)
    if value >= 0:
        return magnitude
    return magnitude[:-1] + bytes((magnitude[-1] | SIGN_BIT,))


def is_filler(data: bytes) -> bool:
    """Whether a field holds FF throughout, which means that the meter has no such value."""
    return bool(data) and data.count(FILLER) == len(data)


def address_to_bytes(address: str) -> bytes:
    """Turn 12 displayed digits (AA pairs are wildcards) into the six bytes A0..A5 of the wire."""
    if not _ADDRESS.fullmatch(address):
        raise ProtocolMisuse(f"address {address!r} is not 12 digits (AA for any two)")
    return bytes.fromhex(address)[::-1]


def address_from_bytes(data: bytes) -> str:
    """Turn A0..A5 into the displayed digits; leading zeros stay, since an address is not a number."""
    return data[::-1].hex().upper()


def encode_baud(baud: int) -> int:
    """The baud word, one bit set; `ProtocolMisuse` for a rate that has none."""
    if baud not in BAUD_WORDS:
        raise ProtocolMisuse(f"baud {baud} has no word; there are {', '.join(map(str, BAUD_WORDS))}")
    return BAUD_WORDS[baud]


def decode_baud(word: int) -> int:
    """The rate of a baud word; `ValueFormatError` unless exactly one of its known bits is set."""
    for baud, known in BAUD_WORDS.items():
        if word == known:
            return baud
    raise ValueFormatError(f"baud word {word:02X}H: exactly one of bits 1 to 6 must be set")


def decode_datetime(data: bytes) -> datetime:
    """Read ss mm hh DD MM YY; `ValueFormatError` when it is no date."""
    if len(data) != 6:
        raise ValueFormatError(f"a date and time has 6 bytes, got {len(data)}")
    return datetime.combine(_decode_day(data[3:6]), _decode_clock(data[0:3]))


def encode_datetime(when: datetime) -> bytes:
    """Write ss mm hh DD MM YY of a naive civil time."""
    return encode_time(when) + _encode_day(when)


def encode_deadline(when: datetime) -> bytes:
    """Write N3..N8 of command 1CH: the last second, on the meter's own clock, at which it may act."""
    return encode_datetime(when)


def decode_minute(data: bytes) -> datetime | None:
    """Read mm hh DD MM YY, as in demand and freeze records; all zero means that nothing was recorded."""
    if len(data) != 5:
        raise ValueFormatError(f"a date and minute has 5 bytes, got {len(data)}")
    if not any(data):
        return None
    return datetime.combine(_decode_day(data[2:5]), _decode_clock(b"\0" + data[0:2]))


def decode_planned_minute(data: bytes) -> datetime | None:
    """Read mm hh DD MM YY of something planned; zeros or 9999999999 mean that nothing is."""
    return None if data == b"\x99" * 5 else decode_minute(data)


def encode_minute(when: datetime | None) -> bytes:
    """Write mm hh DD MM YY of a naive civil time; None writes zeros."""
    return bytes(5) if when is None else encode_datetime(when)[1:]


def decode_date(data: bytes) -> datetime:
    """Read WW DD MM YY as midnight of the day; the weekday (0 = Sunday) must be BCD and is not judged."""
    if len(data) != 4:
        raise ValueFormatError(f"a date with weekday has 4 bytes, got {len(data)}")
    bcd_to_int(data[0:1])
    return datetime.combine(_decode_day(data[1:4]), time())


def encode_date(when: datetime) -> bytes:
    """Write WW DD MM YY of a naive civil day, 0 = Sunday."""
    return bytes((when.isoweekday() % 7,)) + _encode_day(when)


def decode_time(data: bytes) -> int:
    """Read ss mm hh as seconds since midnight."""
    clock = _decode_clock(data)
    return clock.hour * 3600 + clock.minute * 60 + clock.second


def encode_time(when: datetime | int) -> bytes:
    """Write ss mm hh of a naive civil time or of seconds since midnight."""
    seconds = when if isinstance(when, int) else when.hour * 3600 + when.minute * 60 + when.second
    if not 0 <= seconds < 86400:
        raise ProtocolMisuse(f"{seconds} s is no time of day")
    minutes, second = divmod(seconds, 60)
    hour, minute = divmod(minutes, 60)
    return int_to_bcd(second, 1) + int_to_bcd(minute, 1) + int_to_bcd(hour, 1)


def _decode_day(data: bytes) -> date:
    day, month, year = (bcd_to_int(data[i : i + 1]) for i in range(3))
    try:
        return date(CENTURY + year, month, day)
    except ValueError as error:
        raise ValueFormatError(f"no such day: {CENTURY + year}-{month:02d}-{day:02d}") from error


def _decode_clock(data: bytes) -> time:
    if len(data) != 3:
        raise ValueFormatError(f"a time of day has 3 bytes, got {len(data)}")
    second, minute, hour = (bcd_to_int(data[i : i + 1]) for i in range(3))
    try:
        return time(hour, minute, second)
    except ValueError as error:
        raise ValueFormatError(f"no such time of day: {hour:02d}:{minute:02d}:{second:02d}") from error


def _encode_day(when: datetime) -> bytes:
    if when.tzinfo is not None:
        raise ProtocolMisuse("a meter's clock is civil time: pass a datetime without time zone")
    if not CENTURY <= when.year < CENTURY + 100:
        raise ProtocolMisuse(f"year {when.year} cannot be written with two digits of 2000 to 2099")
    return int_to_bcd(when.day, 1) + int_to_bcd(when.month, 1) + int_to_bcd(when.year - CENTURY, 1)
