"""Which record a written table leaves behind, beside the programming record: what stood there before.

Slot tables, zone tables, weekends, holidays, combination words, settlement days, prices and tiers have an event of
their own each. Its record is time, operator and the whole table as it was, unused places filled with FF; slot tables
and holidays are longer than a frame.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

from sim.meters import events

if TYPE_CHECKING:
    from sim.meters import Meter

SLOT_TABLES, SLOT_TABLE_BYTES = 8, 14 * 3
ZONE_TABLE_BYTES = 14 * 3
HOLIDAYS, HOLIDAY_BYTES = 254, 4
SETS = (0x04010000, 0x04020000)
SETTLEMENT_DAYS = (0x04000B01, 0x04000B02, 0x04000B03)

RECORD_BYTES = {
    events.SLOT_TABLE: 2 * SLOT_TABLES * SLOT_TABLE_BYTES, events.ZONE_TABLE: 2 * ZONE_TABLE_BYTES, events.WEEKEND: 1,
    events.HOLIDAY: HOLIDAYS * HOLIDAY_BYTES, events.ACTIVE_WORD: 1, events.REACTIVE_WORD_1: 1,
    events.REACTIVE_WORD_2: 1, events.SETTLEMENT_DAY: 6, events.PRICE_TABLE: 32, events.TIER_TABLE: 112,
}  # fmt: skip
"""Bytes of the old table in a record."""


def table_event(di: int) -> int | None:
    """The event of writing an identifier, if it has one of its own."""
    fixed = _FIXED.get(di)
    if fixed is not None:
        return fixed
    group = di >> 16
    if group in (0x0401, 0x0402) and di & 0xFFFF <= SLOT_TABLES:
        return events.SLOT_TABLE if di & 0xFFFF else events.ZONE_TABLE
    return {0x0403: events.HOLIDAY, 0x0405: events.PRICE_TABLE, 0x0406: events.TIER_TABLE}.get(group)


def note_table(meter: "Meter", di: int, at_ms: int, operator: str) -> None:
    """Record what stood in a table that is about to be written."""
    kind = table_event(di)
    if kind is not None:
        events.note(meter, kind, at_ms, operator=operator, detail=_BEFORE[kind](meter))


def _joined(meter: "Meter", *pieces: tuple[int, int]) -> bytes:
    """Parameters one after another, each filled up to its bytes."""
    return b"".join(meter.parameter_or_nothing(di).ljust(size, b"\xff") for di, size in pieces)


def _slots(meter: "Meter") -> bytes:
    return _joined(meter, *((base | n, SLOT_TABLE_BYTES) for base in SETS for n in range(1, SLOT_TABLES + 1)))


def _zones(meter: "Meter") -> bytes:
    return _joined(meter, *((base, ZONE_TABLE_BYTES) for base in SETS))


def _holidays(meter: "Meter") -> bytes:
    return _joined(meter, *((0x04030000 | n, HOLIDAY_BYTES) for n in range(1, HOLIDAYS + 1)))


def _prices(meter: "Meter") -> bytes:
    return _joined(meter, *((0x04050000 | number << 8 | rate, 4) for number in (1, 2) for rate in range(1, 5)))


def _tiers(meter: "Meter") -> bytes:
    return _joined(meter, *((0x04060000 | part << 8 | tier, 4) for part in range(4) for tier in range(1, 8)))


def _word(di: int) -> Callable[["Meter"], bytes]:
    return lambda meter: _joined(meter, (di, 1))


_FIXED = {
    0x04000801: events.WEEKEND, 0x04000802: events.WEEKEND, 0x04000601: events.ACTIVE_WORD,
    0x04000602: events.REACTIVE_WORD_1, 0x04000603: events.REACTIVE_WORD_2,
    **dict.fromkeys(SETTLEMENT_DAYS, events.SETTLEMENT_DAY),
}  # fmt: skip

_BEFORE: dict[int, Callable[["Meter"], bytes]] = {
    events.SLOT_TABLE: _slots,
    events.ZONE_TABLE: _zones,
    events.WEEKEND: _word(0x04000802),
    events.HOLIDAY: _holidays,
    events.ACTIVE_WORD: _word(0x04000601),
    events.REACTIVE_WORD_1: _word(0x04000602),
    events.REACTIVE_WORD_2: _word(0x04000603),
    events.SETTLEMENT_DAY: lambda meter: _joined(meter, *((di, 2) for di in SETTLEMENT_DAYS)),
    events.PRICE_TABLE: _prices,
    events.TIER_TABLE: _tiers,
}
