"""Answers that hold many items between marks: whole freezes (05 .. FF nn) and load records (06).

    freeze        time AA  energies AA  ...  powers AA      in the order of DI1; of an item not kept only the AA is left
    load record   A0 A0 length  time  class 1 AA .. class 6 AA  sum E5      one record after the other

No digit pair is AAH, with or without a sign, so the marks cut safely. A meter may leave out marks at the end. The
order is that of the standard's annex as one public description has it: what is read is marked uncertain. Times are
the meter's own civil time, None where nothing was recorded.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from core.dlt645 import values
from core.dlt645.catalogue_freezes import freezes_of
from core.dlt645.catalogue_loads import LOAD_CLASSES, load_class
from core.dlt645.entry import Identifier
from core.dlt645.identifiers import Value, decode_entry, encode_entry
from core.errors import ProtocolMisuse, ValueFormatError

MARK = b"\xaa"
RECORD_START = b"\xa0\xa0"
RECORD_END = 0xE5
TIME_BYTES = 5
HEAD_BYTES = 3 + TIME_BYTES
FREEZE_BLOCK = 0xFF


@dataclass(frozen=True, slots=True)
class Section:
    """One item of a block: its entry and its values; no values where the meter does not keep it."""

    entry: Identifier
    values: tuple[Value, ...]


@dataclass(frozen=True, slots=True)
class LoadRecord:
    """What a meter kept at one instant. `sum_ok`: its own sum is that of its bytes, counted from the first A0."""

    at: datetime | None
    sections: tuple[Section, ...]
    sum_ok: bool


def is_freeze_block(di: int) -> bool:
    """Whether an identifier asks for all that one freeze holds."""
    return di >> 24 == 0x05 and di >> 8 & 0xFF == FREEZE_BLOCK and bool(_freeze_entries(di))


def is_load_record(di: int) -> bool:
    """Whether an identifier asks for load records."""
    return di >> 24 == 0x06 and load_class(di) is not None


def decode_freeze(di: int, data: bytes) -> tuple[Section, ...]:
    """All items of one freeze, the time first; `ValueFormatError` names the item that cannot be read."""
    entries = _freeze_entries(di)
    if not entries:
        raise ValueFormatError(f"{di:08X} is no freeze block")
    parts = data.removesuffix(MARK).split(MARK)
    if not data or len(parts) > len(entries):
        raise ValueFormatError(f"a freeze block has up to {len(entries)} items, not {len(parts)}")
    return tuple(_section(entry, part) for entry, part in zip(entries, parts, strict=False))


def encode_freeze(di: int, rows: Mapping[int, Sequence[Value]]) -> bytes:
    """A freeze block as a meter sends it; `rows` by DI1, what is not in it is not kept."""
    entries = _freeze_entries(di)
    known = {entry.di >> 8 & 0xFF: entry for entry in entries}
    if not entries or not set(rows) <= set(known):
        raise ProtocolMisuse(f"{di:08X} is no freeze block, or has no item of {sorted(rows)}")
    parts = (encode_entry(entry, rows[di1]) if di1 in rows else b"" for di1, entry in known.items())
    return b"".join(part + MARK for part in parts)


def decode_load_records(di: int, data: bytes) -> tuple[LoadRecord, ...]:
    """All records of an answer, several frames joined; `ValueFormatError` where the marks do not fit."""
    which = load_class(di)
    if which is None:
        raise ValueFormatError(f"{di:08X} is no load record")
    records, start = [], 0
    while start < len(data):
        end = _record_end(data, start)
        records.append(_load_record(which, data[start:end]))
        start = end
    return tuple(records)


def encode_load_record(at: datetime, rows: Mapping[int, Sequence[Value]]) -> bytes:
    """One load record as a meter sends it; `rows` by class 1..6."""
    if not set(rows) <= set(LOAD_CLASSES):
        raise ProtocolMisuse(f"load records have the classes 1 to 6, not {sorted(rows)}")
    parts = (encode_entry(LOAD_CLASSES[number], rows[number]) if number in rows else b"" for number in LOAD_CLASSES)
    body = values.encode_minute(at) + b"".join(part + MARK for part in parts)
    record = RECORD_START + bytes((len(body),)) + body
    return record + bytes((sum(record) & 0xFF, RECORD_END))


def _freeze_entries(di: int) -> tuple[Identifier, ...]:
    return tuple(entry for entry in freezes_of(di >> 16 & 0xFF, di & 0xFF) if entry.di >> 8 & 0xFF != FREEZE_BLOCK)


def _section(entry: Identifier, part: bytes) -> Section:
    return Section(entry, decode_entry(entry, part) if part else ())


def _record_end(data: bytes, start: int) -> int:
    """Where the record ends: behind the E5 that follows a sum which follows a mark, with nothing or a record behind it.

    A sum of E5 behind two marks looks like an end one byte too early.
    """
    if data[start : start + 2] != RECORD_START or len(data) < start + HEAD_BYTES:
        raise ValueFormatError(f"byte {start + 1} of the load records does not begin one: {data[start:].hex().upper()}")
    at = start + HEAD_BYTES
    while at + 2 < len(data):
        if data[at] == MARK[0] and data[at + 2] == RECORD_END and data[at + 3 : at + 5] in (b"", RECORD_START):
            return at + 3
        at += 1
    raise ValueFormatError(f"the load record from byte {start + 1} on has no E5H behind its sum")


def _load_record(which: int, record: bytes) -> LoadRecord:
    at = values.decode_minute(record[3:HEAD_BYTES])
    parts = record[HEAD_BYTES:-3].split(MARK)
    entries = [LOAD_CLASSES[which]] if which and len(parts) == 1 else list(LOAD_CLASSES.values())
    if len(parts) > len(entries):
        raise ValueFormatError(f"a load record has up to {len(entries)} classes, not {len(parts)}")
    sections = tuple(_section(entry, part) for entry, part in zip(entries, parts, strict=False))
    return LoadRecord(at, sections, record[-2] == sum(record[:-2]) & 0xFF)
