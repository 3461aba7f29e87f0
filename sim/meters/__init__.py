"""The meter itself: registers, relay, button, clock, counters. No protocol here.

A meter is passive: it answers for an instant that it is given and never looks at a clock. What must happen by
itself (a delayed trip, a resident at the button) is asked of the world through the fleet's `on_change`, called
after every command that may have changed the relay. Contacts move the supply, unless they are stuck. A meter is a
view of the fleet's columns, made when asked for; what the fleet must keep of it goes into `remember`, what the meter
itself notes down (parameters, events, its clock) into `own`.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from core.dlt645.values import bcd_to_int
from sim.estate import MeterConfig
from sim.fleet.fleet import SILENT, STUCK_CLOSED, Fleet, Memory
from sim.fleet.gate import GateSource, Group, changes
from sim.kinds import MODBUS_FIRST
from sim.loads.course import Course
from sim.loads.supply import Supply
from sim.meters import clock, events, parameters, prepaid
from sim.meters.notes import BLANK, Notes
from sim.meters.profiles import VENDORS, VendorProfile
from sim.meters.register import Register
from sim.meters.relay import Relay
from sim.rates import RateCalendar
from sim.timing.spans import MINUTE_MS

__all__ = ["Load", "Meter"]

SETTLEMENT_DAYS = (0x04000B01, 0x04000B02, 0x04000B03)
FIRST_OF_MONTH = (1, 0)
ACTIVE_REPORT = 1 << 2


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
        """Twelve digits; 15H may have changed what the scenario said."""
        fleet, index = self._fleet, self.index
        return fleet.notes.get(index, BLANK).address or f"{fleet.address[index]:012d}"

    @property
    def profile(self) -> VendorProfile:
        """The vendor's habits."""
        return VENDORS[self._fleet.vendor[self.index]]

    @property
    def fleet(self) -> Fleet:
        """Where its state lies."""
        return self._fleet

    @property
    def line_address(self) -> str:
        """What the line calls it: the unit of a Modbus meter, otherwise the address."""
        return str(self.unit) if self.unit else self.address

    @property
    def kind(self) -> int:
        """Protocol and model, see `sim.kinds`."""
        return self._fleet.kind[self.index]

    @property
    def unit(self) -> int:
        """The unit of a Modbus meter on its line; 0 for others."""
        return self._fleet.unit[self.index]

    @property
    def phases(self) -> int:
        """One or three."""
        return self._fleet.phases[self.index] or 1

    @property
    def drift_ms_per_day(self) -> int:
        """How much the clock gains a day as delivered."""
        return self._fleet.clock_drift_ms[self.index]

    @property
    def local_credit_fen(self) -> int | None:
        """The credit as delivered of a meter with local fee control; None in remote mode."""
        stored = self._fleet.local_credit[self.index]
        return None if stored == 0 else stored - 1

    @property
    def calendar(self) -> RateCalendar:
        """Civil time and rates of the estate."""
        return self._fleet.calendar

    @property
    def origin_ms(self) -> int:
        """The meter's first instant."""
        return self._fleet.origin_ms

    @property
    def began_ms(self) -> int:
        """Since when the meter has a past: its first instant, or when it was last cleared."""
        cleared_ms = self.notes.cleared_ms
        return self._fleet.origin_ms if cleared_ms is None else cleared_ms

    @property
    def notes(self) -> Notes:
        """What the meter has noted down, to be read."""
        return self._fleet.notes.get(self.index, BLANK)

    def own(self) -> Notes:
        """The meter's own notes, to be written."""
        return self._fleet.notes.setdefault(self.index, Notes())

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
    def silent(self) -> bool:
        """Whether the meter answers nothing."""
        return self._fleet.flags[self.index] & SILENT != 0

    @silent.setter
    def silent(self, on: bool) -> None:
        self._fleet.put(self.index, SILENT, on)

    @property
    def stuck_closed(self) -> bool:
        """Whether the contacts are welded."""
        return self._fleet.has(self.index, STUCK_CLOSED)

    @property
    def clock_offset_s(self) -> int:
        """By how much the clock was ahead when it was last set."""
        return clock.spans(self)[-1].offset_ms // 1000

    @property
    def trip_delay_min(self) -> int:
        """The meter's own delay before a trip."""
        return self._fleet.trip_delay_min[self.index]

    @trip_delay_min.setter
    def trip_delay_min(self, delay_min: int) -> None:
        self._fleet.trip_delay_min[self.index] = delay_min

    def civil(self, at_ms: int) -> datetime:
        """What the meter's clock shows: naive civil time of the estate."""
        return self.calendar.civil(at_ms + clock.offset_ms(self, at_ms)).replace(tzinfo=None)

    def clock_offset_ms(self, at_ms: int) -> int:
        """By how much the clock is ahead of civil time at an instant."""
        return clock.offset_ms(self, at_ms)

    def set_clock(self, at_ms: int, civil: datetime) -> None:
        """Set the clock to a naive civil time."""
        clock.set_clock(self, at_ms, civil)

    def sync_clock(self, at_ms: int, civil: datetime) -> bool:
        """Follow a broadcast time if its guards allow it; whether it was followed."""
        return clock.sync_clock(self, at_ms, civil)

    def settlement_days(self) -> Sequence[tuple[int, int]]:
        """Day of the month and hour at which settlement periods begin, as written; the first of the month as made."""
        written = self.notes.parameters
        if not any(di in written for di in SETTLEMENT_DAYS):
            return (FIRST_OF_MONTH,)
        wire = [self.parameter(di) for di in SETTLEMENT_DAYS]
        return [(int(value[1:].hex()), int(value[:1].hex())) for value in wire if value != b"\x99\x99"]

    def parameter(self, di: int) -> bytes:
        """A parameter as written, or as made."""
        value = self.parameter_or_nothing(di)
        if not value:
            raise KeyError(f"{di:08X} is no parameter")
        return value

    def parameter_or_nothing(self, di: int) -> bytes:
        """A parameter, or no bytes where the meter has none such."""
        return self.notes.parameters.get(di) or parameters.as_made(self, di) or b""

    def whole_parameter(self, di: int) -> int:
        """A parameter that is a number."""
        return bcd_to_int(self.parameter(di))

    def report_mode(self) -> int:
        """The bits of the events that the meter reports by itself, 0 while that is not enabled."""
        if not self.parameter(parameters.RUN_FEATURES)[0] & ACTIVE_REPORT:
            return 0
        return int.from_bytes(self.parameter(parameters.REPORT_MODE), "little")

    def trip(self, at_ms: int, restore_ms: int | None = None) -> bool:
        """Obey a trip, with the meter's own delay, closing again at `restore_ms`; False when keep-power refuses it."""
        done = self.relay.trip(at_ms, self.trip_delay_min * MINUTE_MS, restore_ms)
        self.settle(at_ms)
        return done

    def allow_close(self, at_ms: int) -> None:
        """Permit closing by button."""
        self.relay.allow_close()
        self.settle(at_ms)

    def restore(self, at_ms: int) -> None:
        """Paid: permit closing, or close where the relay knows nothing between open and closed."""
        if self.kind >= MODBUS_FIRST:
            self.close(at_ms)
        else:
            self.allow_close(at_ms)

    def close(self, at_ms: int) -> None:
        """Close at once."""
        self.relay.close(at_ms)
        self.settle(at_ms)

    def keep_power(self, at_ms: int, on: bool) -> None:
        """Start or end keep-power."""
        if on:
            self.relay.start_keep_power()
        else:
            self.relay.end_keep_power()
        self.settle(at_ms)

    def press_button(self, at_ms: int) -> bool:
        """Somebody presses the button; whether the contacts closed because of it."""
        done = self.relay.press_button(at_ms)
        self.settle(at_ms)
        return done

    def run_delay(self, at_ms: int) -> None:
        """Carry out a delayed trip or an automatic close that is due."""
        self.relay.run_delay(at_ms)
        self.settle(at_ms)

    def run_credit(self, at_ms: int) -> None:
        """Let alarm and relay follow the credit of a meter with local fee control."""
        prepaid.act(self, at_ms)
        self.settle(at_ms)

    def set_stuck_open(self, at_ms: int, stuck: bool) -> None:
        """Burn the contacts away, or mend them."""
        self.own().stuck_open = stuck
        self.settle(at_ms)

    def set_stuck_closed(self, at_ms: int, stuck: bool) -> None:
        """Weld the contacts where they are closed, or free them again."""
        self._fleet.put(self.index, STUCK_CLOSED, stuck)
        self.settle(at_ms)

    @property
    def has_roof(self) -> bool:
        """Whether a roof behind the meter gives back what is not used."""
        return bool(self._fleet.loads.solar[self.index]) if self.has_relay else self._group().has_roof

    def given_back(self, at_ms: int) -> int:
        """mW x ms that was fed into the grid since the origin."""
        if not self.has_roof:
            return 0
        if self.has_relay:
            return Supply(self._fleet, self.index).given_back(at_ms)
        return GateSource(self._group(), self.origin_ms, returned=True).energy(at_ms)

    def power_mw(self, at_ms: int) -> int:
        """Power through the meter, cut to the meter's resolution of 0.1 W; negative while a roof gives back."""
        power_mw = self.load.power_mw(at_ms)
        if self.has_roof:
            power_mw = -self._back_mw(at_ms) or power_mw
        return power_mw // 100 * 100 if power_mw >= 0 else -(-power_mw // 100 * 100)

    def _back_mw(self, at_ms: int) -> int:
        """Power that flows back, or 0."""
        if not self.has_relay:
            return self._group().measured(max(0, -self._group().power_mw(at_ms)))
        roof = self._fleet.loads.export_curve(self.index)
        return 0 if roof is None or not Supply(self._fleet, self.index).on else roof.power_mw(at_ms)

    def settle(self, at_ms: int) -> None:
        """Let the contacts follow what the relay shows, and tell the world."""
        events.note_relay(self)
        if self.has_relay:
            notes = self.notes
            closed = (not self.relay.shown_open or self.stuck_closed) and not notes.mains_off and not notes.stuck_open
            Supply(self._fleet, self.index).switch(at_ms, closed)
        prepaid.replan(self, at_ms)
        self._fleet.on_change(self.index, at_ms)

    @property
    def flow(self) -> Supply | GateSource:
        """What physically flows, whatever the meter makes of it."""
        if self.has_relay:
            return Supply(self._fleet, self.index)
        return GateSource(self._group(), self._fleet.origin_ms)

    def edges_ms(self) -> list[int]:
        """Instants, beside quarter-hours, at which what is counted changes its pace."""
        memory = self._fleet.recall(self.index)
        own = [] if memory is None else changes(memory)
        laws = [] if memory is None or memory.metering is None else memory.metering.edges_ms()
        return own + laws + ([] if self.has_relay else self._group().edges_ms())

    def metering(self) -> Course:
        """The course of what the meter registers, to be changed."""
        return self._fleet.metering(self.index, self.flow)

    def _source(self) -> Supply | GateSource | Course:
        fleet, index = self._fleet, self.index
        memory = fleet.recall(index)
        if memory is not None and memory.metering is not None:
            return memory.metering
        return self.flow if fleet.is_gate(index) else Supply(fleet, index)

    def _group(self) -> Group:
        return self._fleet.groups[self.index - len(self._fleet.households)]
