"""The meter itself: registers, relay, button, clock, counters. No protocol here.

A meter is passive: it answers for an instant that it is given and never looks at a clock. What must happen by
itself (a delayed trip, a resident at the button) is asked of the world through the fleet's `on_change`, called
after every command that may have changed the relay. Contacts move the supply, unless they are stuck. A meter is a
view of the fleet's columns, made when asked for; what it must keep beyond them goes into `remember`.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Protocol

from sim.estate import MeterConfig
from sim.fleet import SILENT, STUCK_CLOSED, Fleet, Memory
from sim.gate import GateSource
from sim.meters.register import Register
from sim.meters.relay import Relay
from sim.supply import Supply

__all__ = ["Load", "Meter"]

NOMINAL_MV = 220_000
SWING_MV = 4_000
MINUTE_MS = 60_000
SYNC_LIMIT_S = 300
"""A broadcast may move a meter's clock by at most five minutes, once a day, and not around midnight."""


class Load(Protocol):
    """What hangs on a meter."""

    def power_mw(self, at_ms: int) -> int:
        """Power through the meter in mW."""


class Meter:
    """One meter on one bus. Instants are world epoch milliseconds."""

    __slots__ = ("_fleet", "index")

    def __init__(self, fleet: Fleet, index: int) -> None:
        self._fleet = fleet
        self.index = index

    @property
    def address(self) -> str:
        """Twelve digits."""
        return f"{self._fleet.address[self.index]:012d}"

    @property
    def config(self) -> MeterConfig:
        """What the scenario says about this meter."""
        return self._fleet.config(self.index)

    @property
    def has_relay(self) -> bool:
        """Gate meters have none."""
        return not self._fleet.is_gate(self.index)

    @property
    def load(self) -> "Load":
        """What hangs on the meter."""
        return self._source()

    @property
    def register(self) -> Register:
        """Energy taken: total and rates."""
        return Register(self._fleet, self.index, self._source())

    @property
    def relay(self) -> Relay:
        """The relay as the meter knows it."""
        return Relay(self._fleet, self.index)

    @property
    def memory(self) -> Memory | None:
        """What the meter remembers beyond its columns, if anything; read only."""
        return self._fleet.recall(self.index)

    def remember(self) -> Memory:
        """The meter's memory, to be changed."""
        return self._fleet.remember(self.index)

    @property
    def parameters(self) -> Mapping[int, bytes]:
        """Values that were written, by identifier."""
        memory = self.memory
        return memory.parameters if memory is not None else {}

    def set_parameter(self, di: int, value: bytes) -> None:
        """Keep a written value."""
        self.remember().parameters[di] = value

    @property
    def silent(self) -> bool:
        """Whether the meter answers nothing."""
        return self._fleet.has(self.index, SILENT)

    @silent.setter
    def silent(self, on: bool) -> None:
        self._fleet.put(self.index, SILENT, on)

    @property
    def stuck_closed(self) -> bool:
        """Whether the contacts are welded."""
        return self._fleet.has(self.index, STUCK_CLOSED)

    @property
    def clock_offset_s(self) -> int:
        """By how much the meter's clock is ahead."""
        return self._fleet.clock_offset_s[self.index]

    @property
    def trip_delay_min(self) -> int:
        """The meter's own delay before a trip."""
        return self._fleet.trip_delay_min[self.index]

    @trip_delay_min.setter
    def trip_delay_min(self, delay_min: int) -> None:
        self._fleet.trip_delay_min[self.index] = delay_min

    def civil(self, at_ms: int) -> datetime:
        """What the meter's clock shows: naive civil time of the estate."""
        return self._fleet.calendar.civil(at_ms).replace(tzinfo=None) + timedelta(seconds=self.clock_offset_s)

    def set_clock(self, at_ms: int, civil: datetime) -> None:
        """Set the clock to a naive civil time."""
        self._fleet.clock_offset_s[self.index] += round((civil - self.civil(at_ms)).total_seconds())

    def sync_clock(self, at_ms: int, civil: datetime) -> bool:
        """Follow a broadcast time if its guards allow it; whether it was followed."""
        mine = self.civil(at_ms)
        drift_s = abs((civil - mine).total_seconds())
        midnight = mine.replace(hour=0, minute=0, second=0, microsecond=0)
        since_s = (mine - midnight).total_seconds()
        day = (mine.year, mine.timetuple().tm_yday)
        near_midnight = since_s < SYNC_LIMIT_S or since_s > 86400 - SYNC_LIMIT_S
        if drift_s > SYNC_LIMIT_S or near_midnight or (self.memory is not None and self.memory.synced_day == day):
            return False
        self.remember().synced_day = day
        self.set_clock(at_ms, civil)
        return True

    def trip(self, at_ms: int) -> bool:
        """Obey a trip, with the meter's own delay; False when keep-power refuses it."""
        done = self.relay.trip(at_ms, self.trip_delay_min * MINUTE_MS)
        self._settle(at_ms)
        return done

    def allow_close(self, at_ms: int) -> None:
        """Permit closing by button."""
        self.relay.allow_close()
        self._settle(at_ms)

    def close(self, at_ms: int) -> None:
        """Close at once."""
        self.relay.close(at_ms)
        self._settle(at_ms)

    def keep_power(self, at_ms: int, on: bool) -> None:
        """Start or end keep-power."""
        if on:
            self.relay.start_keep_power()
        else:
            self.relay.end_keep_power()
        self._settle(at_ms)

    def press_button(self, at_ms: int) -> bool:
        """Somebody presses the button; whether the contacts closed because of it."""
        done = self.relay.press_button(at_ms)
        self._settle(at_ms)
        return done

    def run_delay(self, at_ms: int) -> None:
        """Carry out a delayed trip that is due."""
        self.relay.run_delay(at_ms)
        self._settle(at_ms)

    def set_stuck_closed(self, at_ms: int, stuck: bool) -> None:
        """Weld the contacts where they are closed, or free them again."""
        self._fleet.put(self.index, STUCK_CLOSED, stuck)
        self._settle(at_ms)

    def power_mw(self, at_ms: int) -> int:
        """Power through the meter, cut to the meter's resolution of 0.1 W."""
        return self.load.power_mw(at_ms) // 100 * 100

    def voltage_mv(self, at_ms: int) -> int:
        """Supply voltage: 220 V with a slow ripple of its own, in steps of 0.1 V."""
        minute = at_ms // MINUTE_MS
        ripple = (minute * 7919 + self._fleet.address[self.index] % 10_000 * 104729) % (2 * SWING_MV)
        return (NOMINAL_MV - SWING_MV + ripple) // 100 * 100

    def current_ma(self, at_ms: int) -> int:
        """Current at unity power factor."""
        return self.power_mw(at_ms) * 1000 // self.voltage_mv(at_ms)

    def _settle(self, at_ms: int) -> None:
        """Let the contacts follow what the relay shows, and tell the world."""
        if self.has_relay:
            closed = not self.relay.shown_open or self.stuck_closed
            Supply(self._fleet, self.index).switch(at_ms, closed)
        self._fleet.on_change(self.index, at_ms)

    def _source(self) -> Supply | GateSource:
        if self.has_relay:
            return Supply(self._fleet, self.index)
        return self._fleet.gate_sources[self.index - len(self._fleet.households)]
