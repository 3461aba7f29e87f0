"""What a meter measures at an instant: voltage, current and power, phase by phase, and energy between two instants.

A single-phase meter has phase 1 only. A three-phase meter splits what it carries over three phases in shares of its
own, nearly equal; the shares always add up to the whole. Power factor is one, so nothing reactive flows. Past power is
taken from the energy curve, which knows every instant, not from what the load draws now.
"""

from typing import TYPE_CHECKING

from sim.loads.load import MWMS_PER_WH
from sim.timing.spans import MINUTE_MS, SECOND_MS

if TYPE_CHECKING:
    from sim.meters import Meter

NOMINAL_MV = 220_000
SWING_MV = 4_000
NORMAL_PERMILLE = 1000
SHARE_SPREAD_PERMILLE = 40
STEP_MW = 100
PRIMES = (104_729, 15_485_863, 32_452_843)


def phases(meter: "Meter") -> tuple[int, ...]:
    """The phases that the meter has."""
    return (1,) if meter.phases == 1 else (1, 2, 3)


def voltage_mv(meter: "Meter", phase: int, at_ms: int) -> int:
    """Supply voltage: 220 V with a slow ripple of its own, in steps of 0.1 V; less or more under a fault."""
    minute = at_ms // MINUTE_MS
    ripple = (minute * 7919 + int(meter.address[-4:]) * PRIMES[phase - 1]) % (2 * SWING_MV)
    permille = NORMAL_PERMILLE
    for from_ms, changed in meter.notes.voltage_permille.get(phase, ()):
        permille = changed if from_ms <= at_ms else permille
    return (NOMINAL_MV - SWING_MV + ripple) * permille // 1000 // 100 * 100


def share(meter: "Meter", phase: int, whole: int) -> int:
    """What one phase carries of a whole, in units of the whole; the last phase takes the rest."""
    if meter.phases == 1:
        return whole if phase == 1 else 0
    lean = int(meter.address[-3:]) % (2 * SHARE_SPREAD_PERMILLE) - SHARE_SPREAD_PERMILLE
    first, second = whole * (333 + lean) // 1000, whole * (333 - lean) // 1000
    return (first, second, whole - first - second)[phase - 1]


def power_mw(meter: "Meter", phase: int, at_ms: int) -> int:
    """Power now in steps of 0.1 W; phase 0 is the total."""
    total_steps = meter.power_mw(at_ms) // STEP_MW
    return (total_steps if phase == 0 else share(meter, phase, total_steps)) * STEP_MW


def current_ma(meter: "Meter", phase: int, at_ms: int) -> int:
    """Current now, at unity power factor, with the sign of the power; 0 where there is no voltage."""
    return _current(power_mw(meter, phase, at_ms), voltage_mv(meter, phase, at_ms))


def _current(power: int, voltage: int) -> int:
    if not voltage:
        return 0
    return power * 1000 // voltage if power >= 0 else -(-power * 1000 // voltage)


def mean_power_mw(meter: "Meter", from_ms: int, until_ms: int) -> int:
    """Mean power between two instants, in steps of 0.1 W."""
    source = meter.register.source
    from_ms = max(from_ms, meter.origin_ms)
    if until_ms <= from_ms:
        return 0
    flowed = source.energy(until_ms) - source.energy(from_ms)
    return flowed // (until_ms - from_ms) // STEP_MW * STEP_MW


def power_at_mw(meter: "Meter", phase: int, at_ms: int) -> int:
    """Power at an instant of the past; phase 0 is the total. Negative while the roof gave back."""
    total_steps = mean_power_mw(meter, at_ms - SECOND_MS, at_ms) // STEP_MW
    if meter.has_roof:
        back_mw = (meter.given_back(at_ms) - meter.given_back(at_ms - SECOND_MS)) // SECOND_MS
        total_steps = -(back_mw // STEP_MW) if back_mw >= STEP_MW else total_steps
    return (total_steps if phase == 0 else share(meter, phase, total_steps)) * STEP_MW


def current_at_ma(meter: "Meter", phase: int, at_ms: int) -> int:
    """Current at an instant of the past."""
    return _current(power_at_mw(meter, phase, at_ms), voltage_mv(meter, phase, at_ms))


def flowed_wh(meter: "Meter", from_ms: int, until_ms: int) -> int:
    """Energy between two instants, cut to whole Wh."""
    source = meter.register.source
    return max(0, source.energy(until_ms) - source.energy(max(from_ms, meter.origin_ms))) // MWMS_PER_WH
