"""The meter itself: registers, relay, button, clock, counters. No protocol here.

A meter is passive: it answers for an instant that it is given and never looks at a clock. What must happen by
itself (a delayed trip, a resident at the button) is asked of the world through `on_change`, which is called
after every command that may have changed the relay. Contacts move the supply, unless they are stuck.
"""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Protocol

from sim.estate import MeterConfig
from sim.meters.register import Register
from sim.meters.relay import Relay
from sim.rates import RateCalendar

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

    def __init__(
        self,
        config: MeterConfig,
        register: Register,
        load: Load,
        calendar: RateCalendar,
        *,
        switch: Callable[[int, bool], None] | None = None,
    ) -> None:
        self.config = config
        self.address = config.address
        self.register = register
        self.load = load
        self.relay = Relay()
        self.stuck_closed = False
        self.silent = False
        self.clock_offset_s = 0
        self.trip_delay_min = config.trip_delay_min
        self.parameters: dict[int, bytes] = {}
        self.on_change: Callable[[int], None] = lambda _at_ms: None
        self._calendar = calendar
        self._switch = switch
        self._synced_day: tuple[int, int] | None = None

    @property
    def has_relay(self) -> bool:
        """Gate meters have none."""
        return self._switch is not None

    def civil(self, at_ms: int) -> datetime:
        """What the meter's clock shows: naive civil time of the estate."""
        return self._calendar.civil(at_ms).replace(tzinfo=None) + timedelta(seconds=self.clock_offset_s)

    def set_clock(self, at_ms: int, civil: datetime) -> None:
        """Set the clock to a naive civil time."""
        self.clock_offset_s += round((civil - self.civil(at_ms)).total_seconds())

    def sync_clock(self, at_ms: int, civil: datetime) -> bool:
        """Follow a broadcast time if its guards allow it; whether it was followed."""
        mine = self.civil(at_ms)
        drift_s = abs((civil - mine).total_seconds())
        midnight = mine.replace(hour=0, minute=0, second=0, microsecond=0)
        since_s = (mine - midnight).total_seconds()
        day = (mine.year, mine.timetuple().tm_yday)
        near_midnight = since_s < SYNC_LIMIT_S or since_s > 86400 - SYNC_LIMIT_S
        if drift_s > SYNC_LIMIT_S or near_midnight or self._synced_day == day:
            return False
        self._synced_day = day
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
        self.stuck_closed = stuck
        self._settle(at_ms)

    def power_mw(self, at_ms: int) -> int:
        """Power through the meter, cut to the meter's resolution of 0.1 W."""
        return self.load.power_mw(at_ms) // 100 * 100

    def voltage_mv(self, at_ms: int) -> int:
        """Supply voltage: 220 V with a slow ripple of its own, in steps of 0.1 V."""
        minute = at_ms // MINUTE_MS
        ripple = (minute * 7919 + int(self.address[-4:]) * 104729) % (2 * SWING_MV)
        return (NOMINAL_MV - SWING_MV + ripple) // 100 * 100

    def current_ma(self, at_ms: int) -> int:
        """Current at unity power factor."""
        return self.power_mw(at_ms) * 1000 // self.voltage_mv(at_ms)

    def _settle(self, at_ms: int) -> None:
        """Let the contacts follow what the relay shows, and tell the world."""
        if self._switch is not None:
            self._switch(at_ms, not self.relay.shown_open or self.stuck_closed)
        self.on_change(at_ms)
