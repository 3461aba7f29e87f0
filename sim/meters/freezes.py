"""Freezes (05): registers as they stood at set instants of the meter's clock, computed when somebody asks.

Nothing is stored but the orders: the pattern of 16H with when it was given, and the instants of immediate freezes. A
freeze is then a question to the energy curve about its instant. Depths are those of real firmware: timed 60, instant 3,
hourly 254, daily 62; a switch of tables keeps the last two. Mode words select what a freeze holds: what is not selected
is refused alone and is empty between the separators AA of a whole freeze.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import islice
from typing import TYPE_CHECKING

from core.dlt645.identifiers import Value, encode_value
from core.dlt645.values import bcd_to_int, decode_minute, encode_minute, signed_to_bcd
from core.errors import ValueFormatError
from sim.meters import electrical
from sim.meters.clock import Floor, Mark, marks_back
from sim.meters.demand import demand_row
from sim.meters.notes import FreezePattern
from sim.meters.refusal import ERR_OTHER, RefusedError
from sim.meters.reverse import reverse_wh

if TYPE_CHECKING:
    from sim.meters import Meter

TIMED, INSTANT, HOURLY, DAILY = 0x00, 0x01, 0x04, 0x06
SWITCHES = {0x02: 0x04000106, 0x03: 0x04000107, 0x05: 0x04000108, 0x07: 0x04000109}
DEPTHS = {TIMED: 60, INSTANT: 3, HOURLY: 254, DAILY: 62, **dict.fromkeys(SWITCHES, 2)}
MODE_WORDS = {TIMED: 0x04000902, INSTANT: 0x04000903, HOURLY: 0x04000905, DAILY: 0x04000906,
              **dict.fromkeys(SWITCHES, 0x04000904)}  # fmt: skip
HOURLY_START, HOURLY_INTERVAL, DAILY_TIME = 0x04001201, 0x04001202, 0x04001203
SEPARATOR = b"\xaa"
WHOLE = 0xFF
OPEN = 99
DAY_MAX = 28
SELECTED_BY = {0x01: 0, 0x02: 1, 0x03: 2, 0x04: 3, 0x05: 4, 0x06: 4, 0x07: 4, 0x08: 4, 0x09: 5, 0x0A: 6, 0x10: 7}
"""Bit of the mode word for each content DI1."""

DEMANDS = {0x09: 0x01, 0x0A: 0x02}
CONTENTS = (0x00, *SELECTED_BY)
FORWARD, REVERSE, POWERS = 0x01, 0x02, 0x10


def freeze_item(meter: "Meter", di: int, at_ms: int) -> bytes | None:
    """The bytes of a freeze identifier; None if there is no such freeze or it does not hold this."""
    kind, content, back = di >> 16 & 0xFF, di >> 8 & 0xFF, di & 0xFF
    if not 1 <= back <= DEPTHS.get(kind, 0) or content not in (*CONTENTS, WHOLE):
        return None
    mark = next(islice(_instants(meter, kind, at_ms), back - 1, None), None)
    if mark is None:
        return None
    if content != WHOLE:
        return _content(meter, kind, content, mark)
    pieces = [_content(meter, kind, one, mark) or b"" for one in CONTENTS]
    return b"".join(piece + SEPARATOR for piece in pieces)


def order_freeze(meter: "Meter", data: bytes, at_ms: int) -> None:
    """16H: mm hh DD MM, 99 from the month down leaving fields open; all 99 freezes now. ERR 01 for anything else."""
    try:
        minute, hour, day, month = (bcd_to_int(data[at : at + 1]) for at in range(4))
    except ValueFormatError as bad:
        raise RefusedError(ERR_OTHER) from bad
    given = [None if value == OPEN else value for value in (month, day, hour, minute)]
    if minute == OPEN and given == [None] * 4:
        kept = (at_ms, *meter.notes.instant_freezes_ms)
        meter.own().instant_freezes_ms = kept[: DEPTHS[INSTANT]]
        return
    if not _sound(given):
        raise RefusedError(ERR_OTHER)
    pattern = FreezePattern(at_ms, given[0], given[1], given[2], minute)
    meter.own().freeze_patterns = (*meter.notes.freeze_patterns, pattern)


def _sound(given: list[int | None]) -> bool:
    """Open fields come first, and every other is a time; days end at 28, so that each month has them."""
    closed = [value is not None for value in given]
    limits = ((1, 12), (1, DAY_MAX), (0, 23), (0, 59))
    inside = all(value is None or low <= value <= high for value, (low, high) in zip(given, limits, strict=True))
    return closed == sorted(closed) and closed[-1] and inside


def _instants(meter: "Meter", kind: int, at_ms: int) -> Iterator[Mark]:
    """When a freeze of this kind was made, newest first."""
    if kind == INSTANT:
        return (Mark(when, meter.civil(when)) for when in meter.notes.instant_freezes_ms if when <= at_ms)
    if kind == TIMED:
        return _timed(meter, at_ms)
    return marks_back(meter, _floor_of(meter, kind), at_ms)


def _timed(meter: "Meter", at_ms: int) -> Iterator[Mark]:
    """Each order holds until the next one."""
    until_ms = at_ms
    for pattern in reversed(meter.notes.freeze_patterns):
        if pattern.from_ms <= until_ms:
            floor = _pattern_floor(pattern)
            yield from (mark for mark in marks_back(meter, floor, until_ms) if mark.at_ms > pattern.from_ms)
            until_ms = pattern.from_ms


def _floor_of(meter: "Meter", kind: int) -> Floor:
    if kind == DAILY:
        minute, hour = meter.parameter(DAILY_TIME)
        daily = FreezePattern(0, None, None, bcd_to_int(bytes((hour,))), bcd_to_int(bytes((minute,))))
        return _pattern_floor(daily)
    if kind == HOURLY:
        return _interval_floor(decode_minute(meter.parameter(HOURLY_START)), meter.whole_parameter(HOURLY_INTERVAL))
    switch = decode_minute(meter.parameter(SWITCHES[kind]))
    return lambda civil: switch if switch is not None and civil >= switch else None


def _interval_floor(start: datetime | None, minutes: int) -> Floor:
    """Every so many minutes from a start; from midnight where none was set. Nothing at interval 0."""

    def floor(civil: datetime) -> datetime | None:
        begin = start or civil.replace(hour=0, minute=0, second=0, microsecond=0)
        if not minutes or civil < begin:
            return None
        gone = int((civil - begin).total_seconds()) // 60 // minutes * minutes
        return begin + timedelta(minutes=gone)

    return floor


def _pattern_floor(pattern: FreezePattern) -> Floor:
    def floor(civil: datetime) -> datetime | None:
        mark = civil.replace(minute=pattern.minute, second=0, microsecond=0)
        if pattern.hour is None:
            return mark if mark <= civil else mark - timedelta(hours=1)
        mark = mark.replace(hour=pattern.hour)
        if pattern.day is None:
            return mark if mark <= civil else mark - timedelta(days=1)
        mark = mark.replace(day=pattern.day)
        if pattern.month is None:
            return mark if mark <= civil else (mark.replace(day=1) - timedelta(days=1)).replace(day=pattern.day)
        mark = mark.replace(month=pattern.month)
        return mark if mark <= civil else mark.replace(year=mark.year - 1)

    return floor


def _content(meter: "Meter", kind: int, content: int, mark: Mark) -> bytes | None:
    """One content of a freeze; None where its mode word does not select it. Hourly freezes hold totals only."""
    if content == 0:
        return encode_minute(mark.civil)
    selected = meter.parameter(MODE_WORDS[kind])[0]
    if not selected >> SELECTED_BY[content] & 1:
        return None
    if content == POWERS:
        return _powers(meter, mark.at_ms)
    if content in DEMANDS:
        return _demands(meter, DEMANDS[content], mark.at_ms)
    row: list[Value] = [0] * 5
    if content in (FORWARD, REVERSE):
        row = list(meter.register.shown_wh(mark.at_ms) if content == FORWARD else reverse_wh(meter, mark.at_ms))
    if kind == HOURLY:
        return encode_value(content << 16, row[:1])
    return encode_value(content << 16 | 0xFF00, row)


def _demands(meter: "Meter", demand: int, at_ms: int) -> bytes:
    return encode_value(0x01 << 24 | demand << 16 | 0xFF00, demand_row(meter, demand, 0, at_ms))


def _powers(meter: "Meter", at_ms: int) -> bytes:
    """Active and then reactive, total and phases; FF for a phase that is not there."""
    active = [signed_to_bcd(electrical.power_at_mw(meter, phase, at_ms) // 100 % 800_000, 3)
              if phase in (0, *electrical.phases(meter)) else b"\xff" * 3 for phase in range(4)]  # fmt: skip
    reactive = [bytes(3) if phase in (0, *electrical.phases(meter)) else b"\xff" * 3 for phase in range(4)]
    return b"".join(active + reactive)
