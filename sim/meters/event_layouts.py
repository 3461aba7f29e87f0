"""The bytes of one event record, as its kind lays them out.

Registers inside a record are those of its instant, taken from the energy curve when asked. A record that does not exist
yet has zero times and FF in the rest, as live meters show it. Records of a phase hold begin, end, what flowed meanwhile
in total and by phase, what each phase measured at the beginning, and ampere-hours where voltage was the matter.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

from core.dlt645.values import encode_datetime, int_to_bcd, signed_to_bcd
from sim.meters import electrical
from sim.meters import events as kinds
from sim.meters.notes import Event
from sim.meters.programming import RECORD_BYTES
from sim.meters.reverse import reverse_wh

if TYPE_CHECKING:
    from sim.meters import Meter

NO_TIME = bytes(6)
MISSING = b"\xff"
WITH_AMPERE_HOURS = (kinds.VOLTAGE_LOSS, kinds.UNDERVOLTAGE, kinds.OVERVOLTAGE, kinds.PHASE_BREAK)
COVERS = (kinds.METER_COVER, kinds.TERMINAL_COVER)
PROGRAMMED_BYTES = 40
CLEARED_BYTES = {kinds.METER_CLEAR: 96, kinds.DEMAND_CLEAR: 192}
SNAPSHOT_ITEMS = 6


def record_of(meter: "Meter", kind: int, back: int) -> Event | None:
    records = kinds.log_of(meter, kind).records
    return records[back - 1] if back <= len(records) else None


def begun(meter: "Meter", event: Event | None) -> bytes:
    return NO_TIME if event is None else encode_datetime(meter.civil(event.begin_ms))


def ended(meter: "Meter", event: Event | None) -> bytes:
    return NO_TIME if event is None or event.end_ms is None else encode_datetime(meter.civil(event.end_ms))


def operator_bytes(event: Event | None) -> bytes:
    return bytes(4) if event is None else bytes.fromhex(event.operator)[::-1]


def _energy(wh: int) -> bytes:
    return int_to_bcd(wh // 10 % 10**8, 4)


def snapshot(meter: "Meter", at_ms: int | None) -> list[bytes]:
    """Forward, reverse and the four quadrants at an instant."""
    if at_ms is None:
        return [MISSING * 4] * SNAPSHOT_ITEMS
    forward, reverse = meter.register.shown_total_wh(at_ms), reverse_wh(meter, at_ms)[0]
    return [_energy(forward), _energy(reverse), *[bytes(4)] * (SNAPSHOT_ITEMS - 2)]


def _four(wh: int) -> list[bytes]:
    """Forward, reverse and two combined reactive energies of what flowed."""
    return [_energy(wh), bytes(4), bytes(4), bytes(4)]


def flow_wh(meter: "Meter", event: Event, at_ms: int) -> int:
    return electrical.flowed_wh(meter, event.begin_ms, at_ms if event.end_ms is None else event.end_ms)


def phase_values(meter: "Meter", phase: int, at_ms: int) -> list[bytes]:
    """Voltage, current, active and reactive power, power factor; FF for a phase that is not there."""
    if phase not in electrical.phases(meter):
        return [MISSING * 2, MISSING * 3, MISSING * 3, MISSING * 3, MISSING * 2]
    return [
        int_to_bcd(electrical.voltage_mv(meter, phase, at_ms) // 100, 2),
        signed_to_bcd(electrical.current_at_ma(meter, phase, at_ms), 3),
        signed_to_bcd(electrical.power_at_mw(meter, phase, at_ms) // 100, 3),
        bytes(3),
        int_to_bcd(1000, 2),
    ]


def ampere_hours(meter: "Meter", wh: int, at_ms: int) -> list[bytes]:
    """Total and by phase, in steps of 0.01 Ah."""
    found = []
    for phase in electrical.phases(meter):
        voltage = electrical.voltage_mv(meter, phase, at_ms)
        found.append(electrical.share(meter, phase, wh) * 100_000 // voltage if voltage else 0)
    found += [0] * (3 - len(found))
    return [int_to_bcd(hundredths % 10**8, 4) for hundredths in (sum(found), *found)]


def _phase_record(meter: "Meter", kind: int, event: Event | None, at_ms: int) -> bytes:
    hours, measured = kind & 0xFF00 in WITH_AMPERE_HOURS, kind & 0xFF00 not in kinds.WITHOUT_MEASURED
    if event is None:
        return NO_TIME * 2 + MISSING * (64 + 39 * measured + 16 * hours)
    wh = flow_wh(meter, event, at_ms)
    pieces = [begun(meter, event), ended(meter, event), *_four(wh)]
    for phase in (1, 2, 3):
        pieces += _four(electrical.share(meter, phase, wh))
        pieces += phase_values(meter, phase, event.begin_ms) if measured else []
    return b"".join(pieces + (ampere_hours(meter, wh, event.begin_ms) if hours else []))


def registers(meter: "Meter", phase: int, at_ms: int | None) -> list[bytes]:
    """Forward, reverse and combined reactive registers at an instant, total (0) or of a phase."""
    if at_ms is None:
        return [MISSING * 4] * 4
    total_wh = meter.register.shown_total_wh(at_ms)
    return _four(total_wh if phase == 0 else electrical.share(meter, phase, total_wh))


def _span_only(meter: "Meter", _kind: int, event: Event | None, _at_ms: int) -> bytes:
    return begun(meter, event) + ended(meter, event)


def _blackout(meter: "Meter", _kind: int, event: Event | None, _at_ms: int) -> bytes:
    """Begin, the current that still flowed, end."""
    current = bytes(3) if event is None else event.detail.ljust(3, b"\0")
    return begun(meter, event) + current + ended(meter, event)


def _cover(meter: "Meter", _kind: int, event: Event | None, _at_ms: int) -> bytes:
    """Begin, end, and the registers before and after."""
    before = snapshot(meter, event and event.begin_ms)
    after = snapshot(meter, event and event.end_ms)
    return b"".join([begun(meter, event), ended(meter, event), *before, *after])


def _magnet(meter: "Meter", _kind: int, event: Event | None, _at_ms: int) -> bytes:
    """Begin, end, forward and reverse registers then and then."""
    before, after = snapshot(meter, event and event.begin_ms)[:2], snapshot(meter, event and event.end_ms)[:2]
    return b"".join([begun(meter, event), ended(meter, event), *before, *after])


def _programming(meter: "Meter", _kind: int, event: Event | None, _at_ms: int) -> bytes:
    detail = b"" if event is None else event.detail
    return begun(meter, event) + operator_bytes(event) + detail.ljust(PROGRAMMED_BYTES, MISSING)


def _clearing(meter: "Meter", kind: int, event: Event | None, _at_ms: int) -> bytes:
    """Time, operator, and the registers or demands that were there before."""
    detail = b"" if event is None else event.detail
    return begun(meter, event) + operator_bytes(event) + detail.ljust(CLEARED_BYTES[kind], MISSING)


def _table(meter: "Meter", kind: int, event: Event | None, _at_ms: int) -> bytes:
    """Time, operator and the table that stood there before."""
    detail = b"" if event is None else event.detail
    return begun(meter, event) + operator_bytes(event) + detail.ljust(RECORD_BYTES[kind], MISSING)


def _happened(meter: "Meter", _kind: int, event: Event | None, _at_ms: int) -> bytes:
    return begun(meter, event) + operator_bytes(event)


def _unbalance(meter: "Meter", _kind: int, event: Event | None, at_ms: int) -> bytes:
    """Begin, end, the greatest unbalance in 0.01 %, and what flowed meanwhile in total and by phase."""
    if event is None:
        return NO_TIME * 2 + MISSING * 66
    wh = flow_wh(meter, event, at_ms)
    flows = [*_four(wh), *(one for phase in (1, 2, 3) for one in _four(electrical.share(meter, phase, wh)))]
    return b"".join([begun(meter, event), ended(meter, event), event.detail.ljust(2, b"\0"), *flows])


def _event_clearing(meter: "Meter", _kind: int, event: Event | None, _at_ms: int) -> bytes:
    return begun(meter, event) + operator_bytes(event) + (MISSING * 4 if event is None else event.detail)


def _clock_setting(_meter: "Meter", _kind: int, event: Event | None, _at_ms: int) -> bytes:
    """Operator, the clock before, the clock after."""
    return operator_bytes(event) + (NO_TIME * 2 if event is None else event.detail)


Layout = Callable[["Meter", int, Event | None, int], bytes]

LAYOUTS: dict[int, Layout] = {
    **dict.fromkeys(kinds.BY_PHASE, _phase_record),
    **dict.fromkeys(COVERS, _cover),
    **dict.fromkeys(RECORD_BYTES, _table),
    **dict.fromkeys((kinds.KEY_UPDATE, kinds.BAD_CARD, kinds.FOREIGN_CARD), _happened),
    **dict.fromkeys((kinds.AUXILIARY_LOST, kinds.POWER_OFF, kinds.RELAY_FAULT, kinds.SUPPLY_FAULT), _span_only),
    **dict.fromkeys((kinds.VOLTAGE_SEQUENCE, kinds.CURRENT_SEQUENCE), _phase_record),
    kinds.ALL_PHASES_LOST: _blackout,
    **dict.fromkeys((kinds.VOLTAGE_UNBALANCE, kinds.CURRENT_UNBALANCE), _unbalance),
    kinds.MAGNET: _magnet,
    kinds.PROGRAMMING: _programming,
    kinds.METER_CLEAR: _clearing,
    kinds.DEMAND_CLEAR: _clearing,
    kinds.EVENT_CLEAR: _event_clearing,
    kinds.CLOCK_SET: _clock_setting,
}
