"""Variables (02): what the meter measures now, phase by phase and in blocks.

A block of a single-phase meter is filled up with FF, with zeros, or left short, as its vendor does. A value that its
field cannot hold (a gate meter carries more than 79.9999 kW) is FF. Harmonics are those of an
ordinary dwelling; the fundamental is all that its field can say.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

from core.dlt645.identifiers import Value, encode_value
from sim.meters import electrical, events
from sim.meters.demand import demand_now_mw
from sim.meters.prepaid import authenticated_min, current_price_nf
from sim.timing.spans import MINUTE_MS

if TYPE_CHECKING:
    from sim.meters import Meter

FREQUENCY_MHZ = 50_000
UNITY_PERMILLE = 1000
CURRENT_MAX_MA = 799_999
POWER_MAX_MW = 79_999_900
BLOCK = 0xFF
VOLTAGE_DISTORTION_BP, CURRENT_DISTORTION_BP = 120, 850
HARMONICS_BP = {0x0A: (9_999, 15, 60, 10, 70, 5, 50, 5, 30), 0x0B: (9_999, 40, 620, 30, 430, 20, 280, 15, 160)}
CLOCK_BATTERY_MV, LOW_BATTERY_MV = 3_600, 2_400
COOL_M_C = 25_000
PHASES = (1, 2, 3)


def variable(meter: "Meter", di: int, at_ms: int) -> bytes | None:
    """The bytes of a variable; None if this meter does not measure such a thing."""
    kind, phase, last = di >> 16 & 0xFF, di >> 8 & 0xFF, di & 0xFF
    if kind == 0x80:
        single = _SINGLE.get(di)
        return None if single is None else encode_value(di, [single(meter, at_ms)])
    if kind in HARMONICS_BP:
        return _harmonic(meter, di, phase, last)
    measured = _MEASURED.get(kind)
    if measured is None or last:
        return None
    first, value = measured
    if phase == BLOCK:
        return _block(meter, di, range(first, 4), lambda one: value(meter, one, at_ms))
    if phase not in range(first, 4) or phase not in (0, *electrical.phases(meter)):
        return None
    return encode_value(di, [value(meter, phase, at_ms)])


def _block(meter: "Meter", di: int, members: range, value: Callable[[int], Value]) -> bytes:
    present = [value(phase) for phase in members if phase == 0 or phase in electrical.phases(meter)]
    missing = len(members) - len(present)
    filler = meter.profile.phase_filler
    if filler is None or not missing:
        return encode_value(di, present)
    absent: list[Value] = [0 if filler == 0 else None] * missing
    return encode_value(di, present + absent)


def _voltage(meter: "Meter", phase: int, at_ms: int) -> Value:
    return electrical.voltage_mv(meter, phase, at_ms)


def _current(meter: "Meter", phase: int, at_ms: int) -> Value:
    current_ma = electrical.current_ma(meter, phase, at_ms)
    return current_ma if current_ma <= CURRENT_MAX_MA else None


def _power(meter: "Meter", phase: int, at_ms: int) -> Value:
    power_mw = electrical.power_mw(meter, phase, at_ms)
    return power_mw if power_mw <= POWER_MAX_MW else None


def _always(value: int) -> Callable[["Meter", int, int], Value]:
    return lambda _meter, _phase, _at_ms: value


def _harmonic(meter: "Meter", di: int, phase: int, order: int) -> bytes | None:
    shares: tuple[int, ...] = HARMONICS_BP[di >> 16 & 0xFF]
    if order == BLOCK and phase in electrical.phases(meter):
        return encode_value(di, shares)
    if not 1 <= order <= len(shares) or phase not in electrical.phases(meter):
        return None
    return encode_value(di, [shares[order - 1]])


def _neutral(meter: "Meter", at_ms: int) -> Value:
    """One phase returns through the neutral; three equal ones cancel, and what they differ by remains."""
    currents = [electrical.current_ma(meter, phase, at_ms) for phase in electrical.phases(meter)]
    returns = meter.notes.neutral_permille
    if returns is not None:
        return min(max(currents) * returns // 1000, CURRENT_MAX_MA)
    return min(max(currents) - (min(currents) if len(currents) > 1 else 0), CURRENT_MAX_MA)


def _mean(meter: "Meter", at_ms: int) -> Value:
    return min(electrical.mean_power_mw(meter, at_ms - MINUTE_MS, at_ms), POWER_MAX_MW)


def _demand(meter: "Meter", at_ms: int) -> Value:
    return min(demand_now_mw(meter, at_ms), POWER_MAX_MW)


def _temperature(meter: "Meter", at_ms: int) -> Value:
    """A meter in a box on the stairs: 25 degrees and what its own current adds, half a degree for each ampere."""
    warm_m_c = min(electrical.current_ma(meter, 1, at_ms) // 2, 40_000)
    return (COOL_M_C + warm_m_c) // 100 * 100


def _clock_battery(meter: "Meter", _at_ms: int) -> Value:
    return LOW_BATTERY_MV if events.running(meter, events.BATTERY_LOW) else CLOCK_BATTERY_MV


_MEASURED: dict[int, tuple[int, Callable[["Meter", int, int], Value]]] = {
    0x01: (1, _voltage),
    0x02: (1, _current),
    0x03: (0, _power),
    0x04: (0, _always(0)),
    0x05: (0, _power),
    0x06: (0, _always(UNITY_PERMILLE)),
    0x07: (1, _always(0)),
    0x08: (1, _always(VOLTAGE_DISTORTION_BP)),
    0x09: (1, _always(CURRENT_DISTORTION_BP)),
}

_SINGLE: dict[int, Callable[["Meter", int], Value]] = {
    0x02800001: _neutral,
    0x02800002: lambda _meter, _at_ms: FREQUENCY_MHZ,
    0x02800003: _mean,
    0x02800004: _demand,
    0x02800005: lambda _meter, _at_ms: 0,
    0x02800006: _demand,
    0x02800007: _temperature,
    0x02800008: _clock_battery,
    0x02800009: lambda meter, _at_ms: None if meter.phases == 1 else CLOCK_BATTERY_MV,
    0x0280000A: lambda _meter, _at_ms: 0,
    0x0280000B: lambda meter, _at_ms: 0 if meter.profile.money else None,
    0x02800020: current_price_nf,
    0x02800021: current_price_nf,
    0x02800022: authenticated_min,
    0x02800023: lambda _meter, _at_ms: 0,
}
