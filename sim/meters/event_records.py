"""Which event records a meter can be asked for: 03 (standard), 10..1C and 22 (extended), 1D and 1E (relay).

DI0 = 00 asks how often and for how many minutes, DI0 = 01..0A for the n-th last record. An extended record can be asked
for field by field (DI1) or whole (DI1 = FF); it gives the registers at its begin and at its end.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

from core.dlt645.values import int_to_bcd
from sim.meters import electrical
from sim.meters import events as kinds
from sim.meters.event_layouts import (
    LAYOUTS,
    MISSING,
    WITH_AMPERE_HOURS,
    ampere_hours,
    begun,
    ended,
    flow_wh,
    operator_bytes,
    phase_values,
    record_of,
    registers,
    snapshot,
)
from sim.meters.notes import Event
from sim.meters.prepaid import purchase
from sim.meters.quality import voltage_quality

if TYPE_CHECKING:
    from sim.meters import Meter

MEASURED = tuple(kind for kind in kinds.BY_PHASE if kind not in kinds.WITHOUT_MEASURED)
UNBALANCES = (kinds.VOLTAGE_UNBALANCE, kinds.CURRENT_UNBALANCE)
WHOLE = 0xFF


def standard_event(meter: "Meter", di: int, at_ms: int) -> bytes | None:
    """An identifier of group 03; None when the meter has no such event."""
    kind, back = di >> 8 & 0xFFFF, di & 0xFF
    special = _SPECIAL.get(kind >> 8)
    if special is not None:
        return special(meter, di, at_ms)
    by_phase = kind & 0xFF00 in kinds.BY_PHASE
    family = kind & 0xFF00 if by_phase else kind
    if family not in LAYOUTS or (family in kinds.THREE_PHASE and meter.phases == 1):
        return None
    if by_phase and kind == family:
        return b"".join(_totals(meter, family | phase) for phase in (1, 2, 3)) if back == 0 else None
    if back > kinds.RECORDS_MAX or (by_phase and kind & 0xFF not in electrical.phases(meter)):
        return None
    return LAYOUTS[family](meter, kind, record_of(meter, kind, back), at_ms) if back else _totals(meter, kind)


def extended_event(meter: "Meter", di: int, at_ms: int) -> bytes | None:
    """Groups 10..1C and 22: DI2 the phase (0: all), DI1 the item, DI0 the record; or DI1 = 00 for the totals."""
    kind, phase = kinds.EXTENDED.get(di >> 24), di >> 16 & 0xFF
    if kind is None or phase not in (0, *electrical.phases(meter)):
        return None
    if kind in kinds.THREE_PHASE and (meter.phases == 1 or phase):
        return None
    if di >> 8 & 0xFF == 0:
        return _extended_total(meter, kind, phase, di & 0xFF)
    return _extended_item(meter, kind, phase, di & 0xFFFF, at_ms)


def _extended_item(meter: "Meter", kind: int, phase: int, which: int, at_ms: int) -> bytes | None:
    """One field of a record, or the record whole."""
    item, back = which >> 8, which & 0xFF
    if phase == 0 and kind in kinds.BY_PHASE:
        return _latest_of_phases(meter, kind, item) if back == 1 else None
    if not 1 <= back <= kinds.RECORDS_MAX:
        return None
    pieces = _extended_pieces(meter, kind | phase, record_of(meter, kind | phase, back), at_ms)
    if item == WHOLE:
        return b"".join(pieces)
    return pieces[item - 1] if item <= len(pieces) else None


def relay_event(meter: "Meter", di: int, at_ms: int) -> bytes | None:
    """1D 00 and 1E 00: the count, one item of a record, or a record whole."""
    kind, item, back = di >> 16 & 0xFFFF, di >> 8 & 0xFF, di & 0xFF
    if kind not in (kinds.TRIPPED, kinds.CLOSED) or not meter.has_relay:
        return None
    if item == 0:
        return int_to_bcd(kinds.log_of(meter, kind).total, 3) if back == 1 else None
    if not 1 <= back <= kinds.RECORDS_MAX:
        return None
    event = record_of(meter, kind, back)
    pieces = [begun(meter, event), operator_bytes(event), *snapshot(meter, event and event.begin_ms)]
    if item == WHOLE:
        return b"".join(pieces)
    return pieces[item - 1] if item <= len(pieces) else None


def _demand_over(meter: "Meter", di: int, _at_ms: int) -> bytes | None:
    """Six counts for DI1 = 00; for the demands 1..6 begin, end, the highest demand meanwhile and its minute."""
    which, back = di >> 8 & 0xFF, di & 0xFF
    each = [kinds.DEMAND_OVER | one for one in range(1, 7)]
    if which == 0 and back == 0:
        return b"".join(int_to_bcd(kinds.log_of(meter, kind).total, 3) for kind in each)
    if not 1 <= which <= len(each) or not 1 <= back <= kinds.RECORDS_MAX:
        return None
    event = record_of(meter, kinds.DEMAND_OVER | which, back)
    highest = MISSING * 8 if event is None else event.detail.ljust(8, b"\0")
    return begun(meter, event) + ended(meter, event) + highest


def _totals(meter: "Meter", kind: int) -> bytes:
    """How often and for how many minutes; power failures, covers and everything that people do are only counted."""
    log = kinds.log_of(meter, kind)
    if kind == kinds.POWER_OFF or kind >= kinds.PROGRAMMING:
        return int_to_bcd(log.total, 3)
    return int_to_bcd(log.total, 3) + int_to_bcd(min(log.minutes, kinds.COUNT_MAX), 3)


def _extended_total(meter: "Meter", kind: int, phase: int, which: int) -> bytes | None:
    """01 is the count, 02 the minutes; phase 0 adds the phases up."""
    each = [kind | phase] if phase or kind not in kinds.BY_PHASE else [kind | p for p in electrical.phases(meter)]
    logs = [kinds.log_of(meter, one) for one in each]
    if which == 1:
        return int_to_bcd(min(sum(log.total for log in logs), kinds.COUNT_MAX), 3)
    return int_to_bcd(min(sum(log.minutes for log in logs), kinds.COUNT_MAX), 3) if which == 2 else None


def _latest_of_phases(meter: "Meter", kind: int, item: int) -> bytes | None:
    """When the last event of any phase began (item 01) or ended (02)."""
    found = [event for p in electrical.phases(meter) if (event := record_of(meter, kind | p, 1)) is not None]
    last = max(found, key=lambda event: event.begin_ms, default=None)
    if item == 1:
        return begun(meter, last)
    return ended(meter, last) if item == 2 else None


def _extended_pieces(meter: "Meter", kind: int, event: Event | None, at_ms: int) -> list[bytes]:
    """Begin, registers and phases then; ampere-hours of voltage events; end, registers and phases' energy then."""
    if kind == kinds.BATTERY_LOW:
        return [begun(meter, event), ended(meter, event)]
    hours, measured = kind & 0xFF00 in WITH_AMPERE_HOURS, kind & 0xFF00 in MEASURED
    pieces = [begun(meter, event)]
    began = None if event is None else event.begin_ms
    pieces += registers(meter, 0, began)
    for phase in (1, 2, 3):
        pieces += registers(meter, phase, began)
        if measured:
            pieces += [MISSING * n for n in (2, 3, 3, 3, 2)] if began is None else phase_values(meter, phase, began)
    if kind in UNBALANCES:
        pieces.append(MISSING * 3 if event is None else event.detail.ljust(3, b"\0"))
    if hours:
        pieces += (
            [MISSING * 4] * 4 if event is None else ampere_hours(meter, flow_wh(meter, event, at_ms), event.begin_ms)
        )
    pieces.append(ended(meter, event))
    for phase in (0, 1, 2, 3):
        pieces += registers(meter, phase, None if event is None else event.end_ms)
    return pieces


_SPECIAL: dict[int, Callable[["Meter", int, int], bytes | None]] = {
    0x10: voltage_quality,
    0x12: _demand_over,
    0x33: lambda meter, di, _at_ms: purchase(meter, di),
}
"""DI2 of the groups whose DI1 and DI0 mean something else than everywhere."""
