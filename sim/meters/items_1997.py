"""What a meter of the 1997 edition can be asked for, by its two-byte identifiers.

Energies, demands and parameters that both editions have are those of the 2007 identifiers, cut to the older fields: a
demand and its time are two items, voltage has whole volts, current two decimals. Months back are settlement days back.
Reactive items, demands and phase breaks belong to three-phase meters. Nothing reactive flows here, so that is zero.
None means that this meter has no such item.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

from core.dlt645.edition1997 import BLOCK_END, lookup_97
from core.dlt645.identifiers import Value, encode_entry
from core.dlt645.values import bcd_to_int, int_to_bcd
from sim.meters import electrical, events
from sim.meters.demand import demand_item
from sim.meters.energies import energy_item
from sim.meters.habits_1997 import HABITS_97
from sim.meters.status_1997 import GRID_STATUS, METER_STATUS, phase_break, status_97
from sim.timing.spans import MINUTE_MS

if TYPE_CHECKING:
    from sim.meters import Meter

BLOCK, MEMBERS = 0x0F, 5
ENERGY, DEMAND, DEMAND_TIME, MONTH_STEP, MONTHS = 0x90, 0xA0, 0xB0, 4, 3
DEMAND_BYTES, POWER_BYTES, TIME_BYTES = 8, 3, 4
REGISTER_COUNTS = 10**8
VOLTAGE, CURRENT, POWER, REACTIVE, FACTOR = 0x10, 0x20, 0x30, 0x40, 0x50
UNITY_PERMILLE = 1000
BATTERY_MINUTES = 10**6
FIRST_TABLE, NEWER_TABLE = 0xC320, 0x04010000
DATE, TIME, METER_NUMBER = 0xC010, 0xC011, 0xC032
LAST_PROGRAMMED, LAST_CLEARED, PROGRAMMINGS, CLEARINGS, BATTERY = range(0xB210, 0xB215)

SAME = {
    0xC030: 0x04000409, 0xC031: 0x0400040A, 0xC111: 0x04000103, 0xC112: 0x04000104, 0xC117: 0x04000B01,
    0xC310: 0x04000201, 0xC311: 0x04000202, 0xC312: 0x04000203, 0xC313: 0x04000204,
}  # fmt: skip
"""Parameters of both editions with the same bytes; a write changes the one that the meter works with."""
MADE: dict[int, Value] = {
    0xC022: 0, 0xC033: "0" * 12, 0xC034: "0" * 12, 0xC113: 5, 0xC114: 5, 0xC115: 2, 0xC116: 4,
    0xC119: 0, 0xC11A: 0, 0xC314: 0,
}  # fmt: skip


def read_97(meter: "Meter", di: int, at_ms: int) -> bytes | None:
    """The bytes behind an identifier, with the end mark of a block where the vendor has one."""
    if lookup_97(di) is None:
        return None
    data = _GROUPS.get(di >> 8, _energy_or_demand)(meter, di, at_ms)
    if data and di & 0x0F == BLOCK and HABITS_97[meter.profile.name].block_end:
        return data + bytes((BLOCK_END,))
    return data


def _encoded(di: int, *row: Value) -> bytes:
    entry = lookup_97(di)
    assert entry is not None
    return encode_entry(entry, row)


def _energy_or_demand(meter: "Meter", di: int, at_ms: int) -> bytes | None:
    high, rate = di >> 8, di & 0x0F
    group = next(first for first in (DEMAND_TIME, DEMAND, ENERGY) if high >= first)
    back, reactive = divmod(high - group, MONTH_STEP)
    if reactive or group != ENERGY:
        if meter.phases == 1:
            return None
        if reactive:
            size = POWER_BYTES if group == DEMAND else TIME_BYTES
            return bytes(size * (MEMBERS if rate == BLOCK else 1))
    kind = di >> 4 & 0x0F
    newer = kind << 16 | (0xFF if rate == BLOCK else rate) << 8 | back
    if group != ENERGY:
        return _demand(demand_item(meter, 0x01000000 | newer, at_ms), group)
    if not kind:
        both = [energy_item(meter, 0x00010000 * each | back, at_ms) for each in (1, 2)]
        return int_to_bcd(sum(bcd_to_int(register or b"") for register in both) % REGISTER_COUNTS, TIME_BYTES)
    return energy_item(meter, newer, at_ms)


def _demand(data: bytes | None, group: int) -> bytes | None:
    """The powers, or the times without their years."""
    if data is None:
        return None
    first, size = (0, POWER_BYTES) if group == DEMAND else (POWER_BYTES, TIME_BYTES)
    return b"".join(data[at + first : at + first + size] for at in range(0, len(data), DEMAND_BYTES))


def _variable(meter: "Meter", di: int, at_ms: int) -> bytes | None:
    """One phase (or the total), or all that the meter has."""
    kind, phase = di & 0xF0, di & 0x0F
    if kind == VOLTAGE and not HABITS_97[meter.profile.name].voltages:
        return None
    first = 1 if kind in (VOLTAGE, CURRENT) else 0
    served = [one for one in range(first, MONTH_STEP) if one == 0 or one in electrical.phases(meter)]
    if phase != BLOCK and phase not in served:
        return None
    value = _VALUES[kind]
    return _encoded(di, *(value(meter, one, at_ms) for one in (served if phase == BLOCK else (phase,))))


def _breaks(meter: "Meter", di: int, _at_ms: int) -> bytes | None:
    """Of one phase, or of all together and then each."""
    if meter.phases == 1:
        return None
    item, phase = di & 0xF0, di & 0x0F
    return _encoded(di, *(phase_break(meter, item, one) for one in ((0, 1, 2, 3) if phase == BLOCK else (phase,))))


def _record(meter: "Meter", di: int, at_ms: int) -> bytes | None:
    log = events.log_of(meter, events.PROGRAMMING if di in (LAST_PROGRAMMED, PROGRAMMINGS) else events.DEMAND_CLEAR)
    if di in (PROGRAMMINGS, CLEARINGS):
        return _encoded(di, log.total % 10_000)
    if di == BATTERY:
        return _encoded(di, (at_ms - meter.origin_ms) // MINUTE_MS % BATTERY_MINUTES)
    return _encoded(di, f"{meter.civil(log.records[0].begin_ms):%m%d%H%M}" if log.records else "0" * 8)


def parameter_97(meter: "Meter", di: int) -> bytes | None:
    """A parameter as written or as made."""
    written = meter.notes.parameters.get(di)
    if written is not None:
        return written
    if di in SAME:
        return meter.parameter(SAME[di])
    if di == METER_NUMBER:
        return bytes.fromhex(meter.config.address)[::-1]
    if di in MADE:
        return _encoded(di, MADE[di])
    return _table(meter, di)


def keep_97(meter: "Meter", di: int, value: bytes) -> None:
    """Keep a written parameter where it works; an entry of a table changes that table."""
    place, entry = SAME.get(di, di), di & 0x0F
    if di >= FIRST_TABLE:
        place = NEWER_TABLE + (di - FIRST_TABLE >> 4)
        if entry != BLOCK:
            table = meter.parameter(place)
            value = table[: 3 * entry - 3] + value + table[3 * entry :]
    meter.own().parameters = {**meter.notes.parameters, place: value}


def _table(meter: "Meter", di: int) -> bytes | None:
    """Zones (C32n) and slots of a day table (C33n and on): an entry, or all there are."""
    if di < FIRST_TABLE:
        return None
    table, entry = meter.parameter_or_nothing(NEWER_TABLE + (di - FIRST_TABLE >> 4)), di & 0x0F
    if entry == BLOCK:
        return table or None
    return table[3 * entry - 3 : 3 * entry] or None


def _parameter(meter: "Meter", di: int, at_ms: int) -> bytes | None:
    if di in (DATE, TIME):
        return _encoded(di, meter.civil(at_ms))
    if di in (METER_STATUS, GRID_STATUS):
        return _encoded(di, status_97(meter, di, at_ms))
    return parameter_97(meter, di)


_VALUES: dict[int, Callable[["Meter", int, int], int]] = {
    VOLTAGE: electrical.voltage_mv,
    CURRENT: lambda meter, phase, at_ms: abs(electrical.current_ma(meter, phase, at_ms)),
    POWER: lambda meter, phase, at_ms: abs(electrical.power_mw(meter, phase, at_ms)),
    REACTIVE: lambda _meter, _phase, _at_ms: 0,
    FACTOR: lambda _meter, _phase, _at_ms: UNITY_PERMILLE,
}
_GROUPS: dict[int, Callable[["Meter", int, int], bytes | None]] = {
    0xB2: _record, 0xB3: _breaks, 0xB6: _variable, 0xC0: _parameter, 0xC1: _parameter, 0xC3: _parameter,
}  # fmt: skip
