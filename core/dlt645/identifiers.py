"""The data identifiers of DL/T 645-2007 that a prepaid head-end reads and writes, as one table.

An `Identifier` says what the bytes behind a DI mean; `decode_value` turns them into integers of the
project's units (Wh, mV, mA, mW, fen, ...) and naive civil times, `encode_value` does the reverse for a meter.
A block (FF in one byte of the DI) is the row of its members' values. A meter may send fewer members than the
block has, and fills members that it lacks with FF; these decode to None.

One DI is XX XX XX XX = DI3 DI2 DI1 DI0, high byte first. The entries are built in `catalogue`.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import partial

from core.dlt645 import values
from core.dlt645.catalogue import ENTRIES, Field, Identifier, derived
from core.errors import ProtocolMisuse, ValueFormatError

Value = int | datetime | str | None

ENERGY_TOTAL = 0x00010000
ENERGY_BLOCK = 0x0001FF00
REVERSE_TOTAL = 0x00020000
REMAINING_AMOUNT = 0x00900200
OVERDRAFT_AMOUNT = 0x00900201
VOLTAGE_A = 0x02010100
VOLTAGE_BLOCK = 0x0201FF00
CURRENT_A = 0x02020100
CURRENT_BLOCK = 0x0202FF00
POWER_TOTAL = 0x02030000
POWER_BLOCK = 0x0203FF00
FREQUENCY = 0x02800002
DATE = 0x04000101
TIME = 0x04000102
DATE_TIME = 0x0400010C
ADDRESS = 0x04000401
STATUS_WORD_3 = 0x04000503
STATUS_BLOCK = 0x040005FF
ALARM_AMOUNT_1 = 0x04001001
OVERDRAFT_LIMIT = 0x04001003
CLOSE_ALLOWED_AMOUNT = 0x04001005
TRIP_DELAY = 0x04001401
DAILY_FREEZE_TIME = 0x05060001

# Status word 3. There is no "close permitted" bit: it follows from RELAY_OPEN without COMMAND_OPEN.
RELAY_OPEN = 1 << 4
COMMAND_OPEN = 1 << 6
PRE_TRIP_ALARM = 1 << 7
KEEP_POWER = 1 << 12

TABLE: Mapping[int, Identifier] = ENTRIES


def lookup(di: int) -> Identifier | None:
    """The entry of an identifier, or None for one that the table does not hold."""
    return TABLE.get(di) or derived(di)


def decode_value(di: int, data: bytes) -> tuple[Value, ...]:
    """Read the data behind an identifier as scaled values, one per member (a demand gives power and time).

    `ValueFormatError` for an unknown identifier, a wrong length or bytes that are no value.
    """
    entry = TABLE.get(di) or derived(di)
    if entry is None:
        raise ValueFormatError(f"identifier {di:08X} is not in the table; its data is {data.hex().upper()}")
    return decode_entry(entry, data)


def decode_entry(entry: Identifier, data: bytes) -> tuple[Value, ...]:
    """Read data as one entry of any table says; `ValueFormatError` as for `decode_value`."""
    if entry.kind == "raw" and len(data) == (entry.length or len(data)):
        return (data.hex(" ").upper(),)
    if entry.kind == "record":
        return _decode_record(entry, data)
    if entry.tail and len(data) == entry.length + entry.tail:
        data = data[: entry.length]
    size = entry.item_length
    whole, rest = divmod(len(data), size or 1)
    if rest == 1 and whole == 1 and data[-1] == 0 and not entry.items:
        # One vendor widens a field by a zero byte (seen: a voltage of three bytes); the value is the same.
        data, rest = data[:size], 0
    if rest or not 1 <= whole <= entry.members_max:
        raise _wrong_length(entry, data)
    decode = _DECODERS[entry.kind]
    found: list[Value] = []
    for start in range(0, len(data), size):
        field = data[start : start + size]
        if values.is_filler(field):
            found.extend((None,) * entry.values_per_member)
        else:
            found.extend(decode(field, entry.scale))
    return tuple(found)


def encode_value(di: int, row: Sequence[Value]) -> bytes:
    """Write values as a meter does; None becomes FF. `ProtocolMisuse` for what the identifier cannot hold."""
    entry = TABLE.get(di) or derived(di)
    if entry is None:
        raise ProtocolMisuse(f"identifier {di:08X} is not in the table")
    return encode_entry(entry, row)


def encode_entry(entry: Identifier, row: Sequence[Value]) -> bytes:
    """Write values as one entry of any table says; `ProtocolMisuse` as for `encode_value`."""
    if entry.kind == "record" and 1 <= len(row) <= len(entry.fields):
        return b"".join(_encode_field(entry, field, value) for field, value in zip(entry.fields, row, strict=False))
    width = entry.values_per_member
    if not row or len(row) % width or len(row) // width > entry.members_max:
        raise ProtocolMisuse(f"{entry.name_en} ({entry.di:08X}) does not hold {len(row)} values")
    encode = _encoder(entry)
    members = (row[start : start + width] for start in range(0, len(row), width))
    return b"".join(_encode_member(entry, encode, member) for member in members)


def _wrong_length(entry: Identifier, data: bytes) -> ValueFormatError:
    return ValueFormatError(f"{entry.name_en} ({entry.di:08X}): {len(data)} bytes, expected {entry.length}")


def _decode_record(entry: Identifier, data: bytes) -> tuple[Value, ...]:
    """A row of unlike fields; a meter may leave out whole fields at the end. A field of any length has no filler."""
    found: list[Value] = []
    start = 0
    for field in entry.fields:
        if start == len(data) and found:
            break
        part = data[start : start + (field.length or len(data))]
        if len(part) < field.length:
            raise _wrong_length(entry, data)
        found.append(None if field.length and values.is_filler(part) else _DECODERS[field.kind](part, field.scale)[0])
        start += len(part)
    if start != len(data):
        raise _wrong_length(entry, data)
    return tuple(found)


_Encoder = Callable[[Sequence[Value], int, int], bytes]


def _encode_field(entry: Identifier, field: Field, value: Value) -> bytes:
    alone = Identifier(entry.di, f"{entry.name_en}: {field.name_en}", "", field.length, field.kind, "", field.scale)
    return _encode_member(alone, _encoder(alone), (value,))


def _encoder(entry: Identifier) -> _Encoder:
    """How members of an entry are written; passwords are masked when read, so there is nothing to write back."""
    encode = _ENCODERS.get(entry.kind)
    if encode is None:
        raise ProtocolMisuse(f"{entry.name_en} ({entry.di:08X}) cannot be written as values of kind {entry.kind}")
    return encode


def _encode_member(entry: Identifier, encode: _Encoder, member: Sequence[Value]) -> bytes:
    if member[0] is None:
        return bytes((values.FILLER,)) * entry.item_length
    try:
        written = encode(member, entry.item_length, entry.scale)
    except (TypeError, AttributeError, ValueError) as error:
        raise ProtocolMisuse(f"{entry.name_en} ({entry.di:08X}) cannot hold {member!r}") from error
    if entry.item_length and len(written) != entry.item_length:
        where = f"{entry.name_en} ({entry.di:08X})"
        raise ProtocolMisuse(f"{where} has {entry.item_length} bytes, {member!r} makes {len(written)}")
    return written


def _counts(value: Value, scale: int) -> int:
    """Scaled units back to counts of the register, cut towards zero as a register shows them."""
    if not isinstance(value, int):
        raise TypeError
    return value // scale if value >= 0 else -(-value // scale)


def _encode_demand(member: Sequence[Value], length: int, scale: int) -> bytes:
    power, at = member
    if at is not None and not isinstance(at, datetime):
        raise TypeError
    return values.int_to_bcd(_counts(power, scale), length - 5) + values.encode_minute(at)


def _encode_signed_demand(member: Sequence[Value], length: int, scale: int) -> bytes:
    power, at = member
    if at is not None and not isinstance(at, datetime):
        raise TypeError
    return values.signed_to_bcd(_counts(power, scale), length - 5) + values.encode_minute(at)


def _encode_datetime_with_weekday(member: Sequence[Value], _length: int, _scale: int) -> bytes:
    when = _civil(member[0])
    return values.encode_time(when) + values.encode_date(when)


def _decode_datetime_with_weekday(field: bytes, _scale: int) -> tuple[Value, ...]:
    day = field[4:7]
    values.decode_date(field[3:7])
    return (values.decode_datetime(field[0:3] + day),)


def _civil(value: Value) -> datetime:
    if not isinstance(value, datetime):
        raise TypeError
    return value


def _clock(value: Value) -> datetime | int:
    if not isinstance(value, datetime | int):
        raise TypeError
    return value


def _text(value: Value) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value


def _bits(value: Value, length: int) -> bytes:
    if not isinstance(value, int) or not 0 <= value < 1 << (8 * length):
        raise TypeError
    return value.to_bytes(length, "little")


def _encode_address(member: Sequence[Value], _length: int, _scale: int) -> bytes:
    return values.address_to_bytes(_text(member[0]))


def _encode_ascii(member: Sequence[Value], length: int, _scale: int) -> bytes:
    text = _text(member[0]).encode("ascii")
    if len(text) > length:
        raise ProtocolMisuse(f"{len(text)} characters do not fit into {length}")
    return text.ljust(length, b"\0")[::-1]


def _decode_address(field: bytes, _scale: int) -> tuple[Value, ...]:
    values.bcd_to_int(field)
    return (values.address_from_bytes(field),)


def _decode_ascii(field: bytes, _scale: int) -> tuple[Value, ...]:
    text = field[::-1].rstrip(b"\0 \xff")
    if not text.isascii():
        raise ValueFormatError(f"not ASCII: {field.hex(' ').upper()}")
    return (text.decode("ascii"),)


# Digits that are neither number nor date: how they are written, highest byte first.
_PATTERNS = {
    "digits": "{}{}{}{}",
    "yearless": "{}-{} {}:{}",
    "dayhour": "day {} hour {}",
    "monthdayhour": "{}-{} hour {}",
    "hourminute": "{}:{}",
    "zone": "{}-{} table {}",
    "slot": "{}:{} rate {}",
    "holiday": "20{}-{}-{} table {}",
}


def _decode_pattern(pattern: str, field: bytes, _scale: int) -> tuple[Value, ...]:
    values.bcd_to_int(field)
    return (pattern.format(*(f"{byte:02x}" for byte in field[::-1])),)


def _encode_pattern(member: Sequence[Value], length: int, _scale: int) -> bytes:
    digits = "".join(character for character in _text(member[0]) if character.isdecimal())[-2 * length :]
    if len(digits) != 2 * length:
        raise TypeError
    return bytes.fromhex(digits)[::-1]


def _whole(value: Value) -> int:
    if not isinstance(value, int):
        raise TypeError
    return value


_DECODERS: Mapping[str, Callable[[bytes, int], tuple[Value, ...]]] = {
    "number": lambda field, scale: (values.bcd_to_int(field) * scale,),
    "amount": lambda field, scale: (values.bcd_to_int(field) * scale,),
    "signed": lambda field, scale: (values.bcd_to_signed(field) * scale,),
    "bits": lambda field, _scale: (int.from_bytes(field, "little"),),
    "date": lambda field, _scale: (values.decode_date(field),),
    "time": lambda field, _scale: (values.decode_time(field),),
    "datetime": _decode_datetime_with_weekday,
    "minute": lambda field, _scale: (values.decode_planned_minute(field),),
    "demand": lambda field, scale: (values.bcd_to_int(field[:-5]) * scale, values.decode_minute(field[-5:])),
    "signed demand": lambda field, scale: (values.bcd_to_signed(field[:-5]) * scale, values.decode_minute(field[-5:])),
    "address": _decode_address,
    "ascii": _decode_ascii,
    "moment": lambda field, _scale: (values.decode_datetime(field) if any(field) else None,),
    "raw": lambda field, _scale: (field.hex(" ").upper(),),
    "di": lambda field, _scale: (field[::-1].hex().upper() if any(field) else None,),
    "baud": lambda field, _scale: (values.decode_baud(field[0]),),
    "secret": lambda field, _scale: ("*" * 2 * len(field),),
    **{kind: partial(_decode_pattern, pattern) for kind, pattern in _PATTERNS.items()},
}

_ENCODERS: Mapping[str, _Encoder] = {
    "number": lambda member, length, scale: values.int_to_bcd(_counts(member[0], scale), length),
    "amount": lambda member, length, scale: values.int_to_bcd(_counts(member[0], scale), length),
    "signed": lambda member, length, scale: values.signed_to_bcd(_counts(member[0], scale), length),
    "bits": lambda member, length, _scale: _bits(member[0], length),
    "date": lambda member, _length, _scale: values.encode_date(_civil(member[0])),
    "time": lambda member, _length, _scale: values.encode_time(_clock(member[0])),
    "datetime": _encode_datetime_with_weekday,
    "minute": lambda member, _length, _scale: values.encode_minute(_civil(member[0])),
    "demand": _encode_demand,
    "signed demand": _encode_signed_demand,
    "address": _encode_address,
    "ascii": _encode_ascii,
    "moment": lambda member, _length, _scale: values.encode_datetime(_civil(member[0])),
    "raw": lambda member, _length, _scale: bytes.fromhex(_text(member[0])),
    "di": lambda member, _length, _scale: bytes.fromhex(_text(member[0]))[::-1],
    "baud": lambda member, _length, _scale: bytes((values.encode_baud(_whole(member[0])),)),
    **dict.fromkeys(_PATTERNS, _encode_pattern),
}
