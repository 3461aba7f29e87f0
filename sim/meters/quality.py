"""Voltage quality (03 10): how long the voltage was watched this month and before, and its highest and lowest.

The voltage of a minute is known without having been measured, and its ripple repeats after 8000 minutes, so a month's
extremes are those of its first 8000 minutes. Limits are those of the meter's parameters, which the ripple never leaves:
all of the time counts as within limits.
"""

from datetime import datetime
from typing import TYPE_CHECKING

from core.dlt645.values import int_to_bcd
from sim.meters import electrical
from sim.meters.settlement import month_start
from sim.timing.spans import MINUTE_MS

if TYPE_CHECKING:
    from sim.meters import Meter

RIPPLE_MINUTES = 8000
WHOLE_BP = 10_000
MINUTES_MAX = 999_999
MONTHS_KEPT = 12


def voltage_quality(meter: "Meter", di: int, at_ms: int) -> bytes | None:
    """Statistics of a phase (0: all) in this month (DI0 = 0) or one of the twelve before."""
    phase, back = di >> 8 & 0xFF, di & 0xFF
    if phase not in (0, *electrical.phases(meter)) or back > MONTHS_KEPT:
        return None
    span = _month(meter, back, at_ms)
    if span is None:
        return bytes(27)
    minutes = (span[1] - span[0]) // MINUTE_MS
    highest, lowest = _extremes(meter, phase or 1, span[0], min(minutes, RIPPLE_MINUTES))
    watched = int_to_bcd(min(minutes, MINUTES_MAX), 3)
    return watched + int_to_bcd(WHOLE_BP, 3) + bytes(9) + _extreme(meter, highest) + _extreme(meter, lowest)


def _month(meter: "Meter", back: int, at_ms: int) -> tuple[int, int] | None:
    begins, ends = month_start(meter, back + 1, at_ms), month_start(meter, back, at_ms) if back else None
    if back and ends is None:
        return None
    return (meter.began_ms if begins is None else begins.at_ms), (at_ms if ends is None else ends.at_ms)


def _extremes(meter: "Meter", phase: int, from_ms: int, minutes: int) -> tuple[tuple[int, int], tuple[int, int]]:
    """Highest and lowest voltage, each with its first minute."""
    instants = range(from_ms, from_ms + max(1, minutes) * MINUTE_MS, MINUTE_MS)
    seen = [(electrical.voltage_mv(meter, phase, instant), instant) for instant in instants]
    return max(seen, key=lambda one: (one[0], -one[1])), min(seen)


def _extreme(meter: "Meter", found: tuple[int, int]) -> bytes:
    when: datetime = meter.civil(found[1])
    return int_to_bcd(found[0] // 100, 2) + b"".join(
        int_to_bcd(part, 1) for part in (when.minute, when.hour, when.day, when.month)
    )
