"""What a meter of the 1997 edition tells of its state: the two status words, and how often its phases broke.

Word C020 has the bits that word 1 of 2007 kept: 1 for interval demand, 2 for a low battery, 4 for active power that
flows back. Word C021 has the phases: 0 to 2 without voltage, 4 to 6 with too much. Two programs of data collectors say
so, and one copies C020 into word 1. No bit tells of a relay: nothing in this edition moves one. An edition that knows
only broken phases counts a phase without voltage as one, whether current still flows or not.
"""

from typing import TYPE_CHECKING

from sim.meters import electrical, events
from sim.meters.status import ACTIVE_REVERSED, CLOCK_BATTERY_LOW, INTERVAL_DEMAND, status_words

if TYPE_CHECKING:
    from sim.meters import Meter
    from sim.meters.notes import EventLog

METER_STATUS, GRID_STATUS = 0xC020, 0xC021
KEPT_OF_WORD_1 = INTERVAL_DEMAND | CLOCK_BATTERY_LOW | ACTIVE_REVERSED
BROKEN = (events.VOLTAGE_LOSS, events.PHASE_BREAK)
NO_VOLTAGE, OVERVOLTAGE = 0, 4
COUNT, MINUTES, BEGIN, END = 0x10, 0x20, 0x30, 0x40
COUNT_END, MINUTES_END = 10_000, 1_000_000
NEVER = "0" * 8
Told = int | str


def status_97(meter: "Meter", di: int, at_ms: int) -> int:
    """One of the two words."""
    if di == METER_STATUS:
        return status_words(meter, at_ms)[0] & KEPT_OF_WORD_1
    word = 0
    for phase in electrical.phases(meter):
        if any(events.running(meter, kind | phase) for kind in BROKEN):
            word |= 1 << NO_VOLTAGE + phase - 1
        if events.running(meter, events.OVERVOLTAGE | phase):
            word |= 1 << OVERVOLTAGE + phase - 1
    return word


def phase_break(meter: "Meter", item: int, phase: int) -> Told:
    """How often, how long, from when or until when a phase was broken; phase 0 is all of them."""
    logs = [events.log_of(meter, kind | one) for kind in BROKEN for one in ((phase,) if phase else (1, 2, 3))]
    if item == COUNT:
        return sum(log.total for log in logs) % COUNT_END
    if item == MINUTES:
        return sum(log.minutes for log in logs) % MINUTES_END
    last_ms = max(_instants(logs, of_end=item == END), default=None)
    return NEVER if last_ms is None else f"{meter.civil(last_ms):%m%d%H%M}"


def _instants(logs: list["EventLog"], *, of_end: bool) -> list[int]:
    """When the recorded breaks ended, or began."""
    found = [event.end_ms if of_end else event.begin_ms for log in logs for event in log.records]
    return [at_ms for at_ms in found if at_ms is not None]
