"""What people and the grid do to a meter: power fails and returns, covers open, magnets come, the voltage moves.

Each act changes what the meter can do or measures and leaves its event; a fault schedule calls them. A meter without
power answers nothing and passes no energy; its clock goes on. Undervoltage begins below 78 % of the nominal voltage,
overvoltage above 120 %; below 60 % it is a loss of voltage while current flows, else a broken phase.
"""

from typing import TYPE_CHECKING

from sim.meters import electrical, events

if TYPE_CHECKING:
    from sim.meters import Meter

NOMINAL_PERMILLE = 1000
UNDER_PERMILLE = 780
OVER_PERMILLE = 1200
LOST_PERMILLE = 600
LEAST_CURRENT_MA = 25
"""0.5 % of a basic current of 5 A."""

VOLTAGE_EVENTS = (events.VOLTAGE_LOSS, events.UNDERVOLTAGE, events.OVERVOLTAGE, events.PHASE_BREAK)


def fail_power(meter: "Meter", at_ms: int) -> None:
    """One cause takes the mains away: the meter is silent and nothing flows."""
    meter.own().mains_cuts += 1
    if meter.notes.mains_cuts == 1:
        events.begin(meter, events.POWER_OFF, at_ms)
        meter.settle(at_ms)


def return_power(meter: "Meter", at_ms: int) -> None:
    """One cause is over; the mains are back with the last one."""
    meter.own().mains_cuts -= 1
    if meter.notes.mains_cuts == 0:
        events.end(meter, events.POWER_OFF, at_ms)
        meter.settle(at_ms)


def open_cover(meter: "Meter", at_ms: int, *, terminal: bool = False) -> None:
    """Somebody opens the meter's or the terminals' cover."""
    events.begin(meter, events.TERMINAL_COVER if terminal else events.METER_COVER, at_ms)


def close_cover(meter: "Meter", at_ms: int, *, terminal: bool = False) -> None:
    """The cover is put back."""
    events.end(meter, events.TERMINAL_COVER if terminal else events.METER_COVER, at_ms)


def place_magnet(meter: "Meter", at_ms: int) -> None:
    """A strong magnet comes near."""
    events.begin(meter, events.MAGNET, at_ms)


def remove_magnet(meter: "Meter", at_ms: int) -> None:
    """The magnet is taken away."""
    events.end(meter, events.MAGNET, at_ms)


def set_voltage(meter: "Meter", phase: int, permille: int, at_ms: int) -> None:
    """The voltage of a phase moves to a share of what it would be; 1000 is normal again."""
    current_ma = electrical.current_ma(meter, phase, at_ms)
    own = meter.own()
    history = (*own.voltage_permille.get(phase, ()), (at_ms, permille))
    own.voltage_permille = {**own.voltage_permille, phase: history}
    kind = _voltage_event(permille, current_ma)
    for other in VOLTAGE_EVENTS:
        if other != kind:
            events.end(meter, other | phase, at_ms)
    if kind is not None:
        events.begin(meter, kind | phase, at_ms)


def press_program_key(meter: "Meter", allowed: bool) -> None:
    """Allow or forbid a new address by the key under the sealed cover."""
    meter.own().programming = allowed


def _voltage_event(permille: int, current_ma: int) -> int | None:
    if permille > OVER_PERMILLE:
        return events.OVERVOLTAGE
    if permille >= UNDER_PERMILLE:
        return None
    if permille >= LOST_PERMILLE:
        return events.UNDERVOLTAGE
    return events.VOLTAGE_LOSS if current_ma >= LEAST_CURRENT_MA else events.PHASE_BREAK
