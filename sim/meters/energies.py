"""Energy identifiers (00): now and at settlement days, total, by rate and by phase, alone and in blocks.

Forward active energy comes from the register, reverse from a roof; nothing is reactive, so apparent energy equals
active. Combined energies are signed, so their magnitude ends at 799,999.99 kWh. Phases have no rates. Money
is that of `prepaid`; in remote mode it is zero or refused, since the balance lives in the head-end.
"""

from typing import TYPE_CHECKING

from core.dlt645.identifiers import Value, encode_value
from core.dlt645.values import int_to_bcd
from core.units import REGISTER_MODULUS_WH, WH_PER_STEP
from sim.meters import electrical
from sim.meters.prepaid import money
from sim.meters.reverse import reverse_wh
from sim.meters.settlement import DAYS_KEPT, month_start, settlement

if TYPE_CHECKING:
    from sim.meters import Meter

RATES = 4
BLOCK = 0xFF
FORWARD_TOTAL = 0x00010000
MONEY = (0x00900100, 0x00900101, 0x00900200, 0x00900201)
COMBINED, FORWARD, APPARENT, FUNDAMENTAL = 0x00, 0x01, 0x09, 0x81
REVERSE, REVERSE_APPARENT, REVERSE_FUNDAMENTAL = 0x02, 0x0A, 0x82
SIGNED = (COMBINED, FUNDAMENTAL, REVERSE_FUNDAMENTAL)
FORWARD_KINDS = (COMBINED, FORWARD, APPARENT, FUNDAMENTAL)
REVERSE_KINDS = (REVERSE, REVERSE_APPARENT, REVERSE_FUNDAMENTAL)
COMBINATION_WORD = 0x04000601
TOTALS_MAX = 0x0A
PHASE_FIRST = 0x15
PHASE_STEP = 0x14
PHASE_KINDS = 10
OTHER_FIRST, OTHER_KINDS = 0x80, 7
CONSUMED = {0x000B0000: (settlement, 1, None), 0x000B0001: (settlement, 2, 1),
            0x000C0000: (month_start, 1, None), 0x000C0001: (month_start, 2, 1)}  # fmt: skip


def energy_item(meter: "Meter", di: int, at_ms: int) -> bytes | None:
    """The bytes of an energy identifier; None if this meter has no such item."""
    if di == FORWARD_TOTAL:
        # what most questions are about
        return int_to_bcd(meter.register.shown_total_wh(at_ms) // WH_PER_STEP, 4)
    if di in MONEY:
        return money(meter, di, at_ms)
    if di in CONSUMED:
        return _consumed(meter, di, at_ms)
    phase, kind = _phase_of(di >> 16 & 0xFF)
    if kind is None or not _served(meter, kind, phase, di):
        return None
    rate, day = di >> 8 & 0xFF, di & 0xFF
    days = range(DAYS_KEPT + 1) if day == BLOCK else (day,)
    row: list[Value] = []
    for number in days:
        row += _registers(meter, kind, phase, rate, number, at_ms)
    return encode_value(di, row)


def _served(meter: "Meter", kind: int, phase: int, di: int) -> bool:
    """Whether the meter has this phase, these rates and days, and its vendor serves such a block."""
    rate, day = di >> 8 & 0xFF, di & 0xFF
    if phase not in (0, *electrical.phases(meter)) or ((phase or kind >= OTHER_FIRST) and rate):
        return False
    known = (rate <= RATES or rate == BLOCK) and (day <= DAYS_KEPT or day == BLOCK)
    if not known or (day == BLOCK and (rate == BLOCK or kind >= OTHER_FIRST)):
        return False
    if BLOCK in (rate, day) and not meter.profile.energy_blocks:
        return False
    return not (rate == BLOCK and kind == COMBINED and day == 0) or meter.profile.combined_blocks


def _phase_of(di2: int) -> tuple[int, int | None]:
    """Phase (0 for the whole) and kind of energy behind DI2."""
    if di2 <= TOTALS_MAX:
        return 0, di2
    phase, kind = divmod(di2 - OTHER_FIRST, PHASE_STEP)
    if 0 <= phase <= 3:
        return (phase, OTHER_FIRST + kind) if kind < OTHER_KINDS else (0, None)
    phase, kind = divmod(di2 - PHASE_FIRST, PHASE_STEP)
    return (phase + 1, kind + 1) if 0 <= phase < 3 and kind < PHASE_KINDS else (0, None)


def _registers(meter: "Meter", kind: int, phase: int, rate: int, day: int, at_ms: int) -> list[Value]:
    """One register, or the total and all rates."""
    width = RATES + 1 if rate == BLOCK else 1
    instant = _instant(meter, day, at_ms)
    if instant is None or kind not in FORWARD_KINDS + REVERSE_KINDS:
        return [0] * width
    if kind == COMBINED and meter.has_roof:
        shown = _combined(meter, instant)
    elif kind in REVERSE_KINDS:
        shown = reverse_wh(meter, instant)
    elif rate == 0:
        shown = (meter.register.shown_total_wh(instant),)
    else:
        shown = meter.register.shown_wh(instant)
    shown = shown if rate == BLOCK else (shown[rate],)
    if phase:
        shown = (electrical.share(meter, phase, shown[0] // WH_PER_STEP) * WH_PER_STEP,)
    span_wh = REGISTER_MODULUS_WH // 10 * 8 if kind in SIGNED else REGISTER_MODULUS_WH
    return [wh % span_wh if wh >= 0 else -(-wh % span_wh) for wh in shown]


def _combined(meter: "Meter", at_ms: int) -> tuple[int, ...]:
    """Forward and reverse put together as the combination word says: bits 0 and 1 add and take off the one, 2 and 3
    the other."""
    word = meter.parameter(COMBINATION_WORD)[0]
    signs = [(word >> low & 1) - (word >> low + 1 & 1) for low in (0, 2)]
    rows = zip(meter.register.shown_wh(at_ms), reverse_wh(meter, at_ms), strict=True)
    return tuple(signs[0] * forward + signs[1] * reverse for forward, reverse in rows)


def _instant(meter: "Meter", day: int, at_ms: int) -> int | None:
    if day == 0:
        return at_ms
    mark = settlement(meter, day, at_ms)
    return None if mark is None else mark.at_ms


def _consumed(meter: "Meter", di: int, at_ms: int) -> bytes:
    """What the running or last settlement period or month took so far."""
    instant, first, last = CONSUMED[di]
    begins, ends = instant(meter, first, at_ms), None if last is None else instant(meter, last, at_ms)
    if last is not None and ends is None:
        return encode_value(di, [0])
    from_ms = meter.began_ms if begins is None else begins.at_ms
    until_ms = at_ms if ends is None else ends.at_ms
    used = meter.register.shown_total_wh(until_ms) - meter.register.shown_total_wh(from_ms)
    return encode_value(di, [used % REGISTER_MODULUS_WH])
