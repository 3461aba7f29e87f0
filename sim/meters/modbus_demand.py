"""Demand of a meter without a clock: windows of whole periods that follow each other from its first instant on.

Read off the energy curve when somebody asks; what was found is kept, and the next question goes on from there. A period
of 0 shows power itself, as manuals have it, and looks for the maximum minute by minute.
"""

from typing import TYPE_CHECKING

from sim.meters import electrical
from sim.timing.spans import MINUTE_MS

if TYPE_CHECKING:
    from sim.meters import Meter

PERIOD_REGISTER, PERIOD_MIN = 0x0002, 60


def period_min(meter: "Meter") -> int:
    """Minutes of a window, as written or as made; 0 for none."""
    return meter.notes.registers.get(PERIOD_REGISTER, PERIOD_MIN)


def demand_mw(meter: "Meter", at_ms: int) -> int:
    """The window that ended last."""
    if not period_min(meter):
        return electrical.power_mw(meter, 0, at_ms)
    period_ms = _period_ms(meter)
    end_ms = _ended(meter, at_ms, period_ms)
    return electrical.mean_power_mw(meter, end_ms - period_ms, end_ms)


def highest_mw(meter: "Meter", at_ms: int) -> int:
    """The highest window since the meter's first instant, in steps of 0.1 W; a new period begins anew."""
    period_ms, energy = _period_ms(meter), meter.register.source.energy
    kept = meter.notes.peak
    if kept is None or kept[0] != period_ms:
        kept = period_ms, _ended(meter, meter.began_ms, period_ms), 0
    _, until_ms, best = kept
    last_ms = _ended(meter, at_ms, period_ms)
    if last_ms > until_ms:
        before = energy(until_ms)
        while until_ms < last_ms:
            until_ms += period_ms
            after = energy(until_ms)
            before, best = after, max(best, after - before)
        meter.own().peak = period_ms, until_ms, best
    return best // period_ms // electrical.STEP_MW * electrical.STEP_MW


def _period_ms(meter: "Meter") -> int:
    return max(1, period_min(meter)) * MINUTE_MS


def _ended(meter: "Meter", at_ms: int, period_ms: int) -> int:
    """When the last whole window ended."""
    return meter.origin_ms + (at_ms - meter.origin_ms) // period_ms * period_ms
