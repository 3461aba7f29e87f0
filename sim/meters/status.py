"""Status words 1 to 7: what is so with the meter right now, from relay, running events, key and clock."""

from typing import TYPE_CHECKING

from sim.meters import electrical, events, prepaid

if TYPE_CHECKING:
    from sim.meters import Meter

INTERVAL_DEMAND, CLOCK_BATTERY_LOW = 1 << 1, 1 << 2
ACTIVE_REVERSED = 1 << 4
PROGRAMMING_ALLOWED = 1 << 3
POWER_DOWN, METER_COVER_OPEN, TERMINAL_COVER_OPEN = 1 << 5, 1 << 9, 1 << 10
PERIOD, SLIP = 0x04000103, 0x04000104
PHASE_BITS = {events.VOLTAGE_LOSS: 0, events.UNDERVOLTAGE: 1, events.OVERVOLTAGE: 2, events.CURRENT_LOSS: 3,
              events.OVERCURRENT: 4, events.OVERLOAD: 5, events.REVERSE_FLOW: 6, events.PHASE_BREAK: 7,
              events.OPEN_CURRENT: 8}  # fmt: skip
SUPPLY_BITS = {events.POWER_OFF: POWER_DOWN, events.METER_COVER: METER_COVER_OPEN,
               events.TERMINAL_COVER: TERMINAL_COVER_OPEN}  # fmt: skip


def status_words(meter: "Meter", at_ms: int) -> list[int]:
    """The seven words."""
    first = INTERVAL_DEMAND if meter.whole_parameter(SLIP) >= meter.whole_parameter(PERIOD) else 0
    backwards = meter.has_roof and meter.power_mw(at_ms) < 0
    first |= ACTIVE_REVERSED if backwards else 0
    reversed_phases = (1 << len(electrical.phases(meter))) - 1 if backwards else 0
    if not meter.notes.events:
        return [first, reversed_phases, word_3(meter, at_ms), 0, 0, 0, 0]
    first |= CLOCK_BATTERY_LOW if events.running(meter, events.BATTERY_LOW) else 0
    for phase in electrical.phases(meter):
        reversed_phases |= 1 << phase - 1 if events.running(meter, events.REVERSE_FLOW | phase) else 0
    each = [_phase_word(meter, phase) for phase in (1, 2, 3)]
    return [first, reversed_phases, word_3(meter, at_ms), *each, _last_word(meter)]


def word_3(meter: "Meter", at_ms: int) -> int:
    """The relay's bits, the account's, and whether the programming key is pressed."""
    programming = PROGRAMMING_ALLOWED if meter.notes.programming else 0
    return meter.relay.status_bits | prepaid.status_bits(meter, at_ms) | programming


def _phase_word(meter: "Meter", phase: int) -> int:
    return sum(1 << bit for kind, bit in PHASE_BITS.items() if events.running(meter, kind | phase))


def _last_word(meter: "Meter") -> int:
    return sum(bit for kind, bit in SUPPLY_BITS.items() if events.running(meter, kind))
