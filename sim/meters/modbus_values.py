"""What the registers of a Modbus meter hold at an instant, computed when somebody asks for them.

The maps of `core.modbus` say where a quantity stands and in which format; its value comes from the same physical state
as on any other meter, in the project's units, and loses there what the format loses: a single has 24 bits, a count is
cut to its step, one without a sign shows the magnitude, one that the field cannot hold stays at the highest. Energies
count in steps of 10 Wh. A register that no source names is there only where the map says that such gaps were answered,
with zero.
"""

from collections.abc import Callable, Mapping
from functools import cache
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

from core.dlt645.values import bcd_to_int
from core.errors import ProtocolMisuse
from core.modbus import meters as maps
from core.modbus.maps import RELAY_EN, MeterMap, Quantity
from sim.kinds import KINDS, MODELS
from sim.meters import electrical
from sim.meters.energies import energy_item
from sim.meters.modbus_demand import demand_mw, highest_mw, period_min

if TYPE_CHECKING:
    from sim.meters import Meter

Value = Callable[["Meter", int], int]
COUNTS_MAX = {"u16": 0xFFFF, "s16": 0x7FFF, "u32": 0xFFFF_FFFF, "s32": 0x7FFF_FFFF}
FREQUENCY_MHZ = 50_000
UNITY_PERMILLE = 1000
WH_STEP = 10
TOTAL = 0
BAUD_CODES = {
    "eastron-sdm630": {2400: 0, 4800: 1, 9600: 2, 19200: 3, 38400: 4},
    "hiking-dds238-2": {9600: 1, 4800: 2, 2400: 3, 1200: 4},
}
SYSTEM_TYPES = {1: 1, 3: 3}
"""One phase with two wires, three with four."""


class Layout(NamedTuple):
    """Who owns each register of one function, and the unnamed registers that are answered with zero."""

    owners: Mapping[int, Quantity]
    blanks: frozenset[int]


def map_of(kind: int) -> MeterMap:
    """The register map of a kind of Modbus meter."""
    return maps.METERS[MODELS[KINDS[kind]].map_key]


@cache
def layout_of(kind: int, function: int, has_relay: bool) -> Layout:
    """The registers of a kind behind one function; main meters carry no relay, and uncertain registers are left out."""
    meter = map_of(kind)
    known = [one for one in meter.quantities if one.function == function and not one.uncertain]
    known = [one for one in known if has_relay or one.name_en != RELAY_EN]
    owners = {one.register + at: one for one in known for at in range(one.count)}
    pairs = pairwise(sorted(owners))
    gaps = [range(low + 1, high) for low, high in pairs if high - low <= meter.gap_max + 1]
    return Layout(owners, frozenset(register for gap in gaps for register in gap))


def words_of(meter: "Meter", quantity: Quantity, baud: int, at_ms: int) -> tuple[int, ...]:
    """The registers of one quantity; `baud` is the rate of the line."""
    if quantity.kind in ("high", "low"):
        return (meter.unit << 8 | _baud_code(meter, baud),)
    value = _value(meter, quantity, baud, at_ms)
    if quantity.kind[0] == "u":
        value = abs(value)
    try:
        return quantity.encode(value)
    except ProtocolMisuse:
        most = COUNTS_MAX[quantity.kind] * quantity.scale
        return quantity.encode(most if value > 0 else -most)


def _value(meter: "Meter", quantity: Quantity, baud: int, at_ms: int) -> int:
    kept = meter.notes.registers.get(quantity.register)
    if kept is not None and quantity.name_en in PARAMETERS:
        return kept
    if quantity.di is not None:
        return _by_identifier(meter, quantity.di, at_ms)
    if quantity.name_en == "baud rate, code 0 2400 to 4 38400":
        return _baud_code(meter, baud)
    return _BY_NAME[quantity.name_en](meter, at_ms)


def _by_identifier(meter: "Meter", di: int, at_ms: int) -> int:
    """The value that DL/T 645 has behind an identifier, in its unit."""
    if not di >> 24:
        return bcd_to_int(energy_item(meter, di, at_ms) or b"") * WH_STEP
    if di == maps.FREQUENCY:
        return FREQUENCY_MHZ
    if di == maps.DEMAND_NOW:
        return demand_mw(meter, at_ms)
    phase = di >> 8 & 0xFF
    if phase != TOTAL and phase not in electrical.phases(meter):
        return 0
    return _MEASURED[di & 0xFFFF0000](meter, phase, at_ms)


def _baud_code(meter: "Meter", baud: int) -> int:
    return BAUD_CODES[map_of(meter.kind).key].get(baud, 0)


def _sum_current_ma(meter: "Meter", at_ms: int) -> int:
    return sum(abs(electrical.current_ma(meter, phase, at_ms)) for phase in electrical.phases(meter))


def _mean_voltage_mv(meter: "Meter", at_ms: int) -> int:
    phases = electrical.phases(meter)
    return sum(electrical.voltage_mv(meter, phase, at_ms) for phase in phases) // len(phases)


def _forward_wh(meter: "Meter", at_ms: int) -> int:
    return meter.register.shown_total_wh(at_ms)


def _nothing(_meter: "Meter", _at_ms: int) -> int:
    return 0


_MEASURED: Mapping[int, Callable[["Meter", int, int], int]] = {
    0x02010000: electrical.voltage_mv,
    0x02020000: lambda meter, phase, at_ms: abs(electrical.current_ma(meter, phase, at_ms)),
    maps.POWER: electrical.power_mw,
    maps.REACTIVE: lambda _meter, _phase, _at_ms: 0,
    maps.APPARENT: lambda meter, phase, at_ms: abs(electrical.power_mw(meter, phase, at_ms)),
    maps.POWER_FACTOR: lambda meter, phase, at_ms: (
        UNITY_PERMILLE if electrical.power_mw(meter, phase, at_ms) >= 0 else -UNITY_PERMILLE
    ),
    maps.ANGLE: lambda _meter, _phase, _at_ms: 0,
}
PARAMETERS: Mapping[str, tuple[int, ...] | range] = {
    "demand period": (0, 5, 8, 10, 15, 20, 30, 60),
    "parity and stop bits, code": range(4),
    "unit": range(1, 248),
    "baud rate, code 0 2400 to 4 38400": range(5),
}
"""What a master may write, and which values the manuals allow."""
_BY_NAME: Mapping[str, Value] = {
    "voltage, average": _mean_voltage_mv,
    "current, average": lambda meter, at_ms: _sum_current_ma(meter, at_ms) // len(electrical.phases(meter)),
    "current, sum of the phases": _sum_current_ma,
    "phase angle, total": _nothing,
    "forward reactive energy, total": _nothing,
    "reverse reactive energy, total": _nothing,
    "combined reactive energy, total": _nothing,
    "apparent energy, total": _forward_wh,
    # ampere-hours at the nominal voltage, since only energy is integrated
    "charge": lambda meter, at_ms: _forward_wh(meter, at_ms) * 1_000_000 // electrical.NOMINAL_MV,
    "maximum active demand": highest_mw,
    "demand period": lambda meter, _at_ms: period_min(meter),
    "system type, 1 1p2w 2 3p3w 3 3p4w": lambda meter, _at_ms: SYSTEM_TYPES[meter.phases],
    "parity and stop bits, code": _nothing,
    "unit": lambda meter, _at_ms: meter.unit,
    RELAY_EN: lambda meter, _at_ms: int(not (meter.relay.shown_open or meter.notes.shows_open)),
}
