"""The state of all meters of an estate as columns; households come first, then the gates.

What every meter has costs a few bytes: flags, clock, trip delay, and where its rate registers stood. What only some
have (switchings, events, parameters, a fault's trace) is a `Memory`, made by `remember` when there is something to
keep; `recall` shows it without making one. `Meter`, `Relay`, `Register` and `Supply` are views with an index, made
when asked for and forgotten again, so they must keep nothing of their own.
"""

from array import array
from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from sim.estate import GateConfig, MeterConfig
from sim.fleet.ratebook import RateBook
from sim.kinds import kind_number
from sim.loads.course import Course
from sim.loads.load import Loads
from sim.loads.taps import Taps
from sim.rates import RateCalendar
from sim.scenario.columns import Households
from sim.vendors import VENDOR_NAMES

if TYPE_CHECKING:
    from sim.fleet.gate import GateSource, Group
    from sim.loads.supply import Supply
    from sim.meters.notes import Notes

SHOWN_OPEN, COMMAND_OPEN, KEEP_POWER, ALARM, STUCK_CLOSED, SILENT, CONTACTS_OPEN, WALKING = (1 << n for n in range(8))
"""Bits of a meter's flags; CONTACTS_OPEN is physical, SHOWN_OPEN is what the meter believes."""


class Segment(NamedTuple):
    """From `at_ms` on: `energy` had flowed, the load's curve stood at `curve`, and the contacts are so."""

    at_ms: int
    energy: int
    curve: int
    on: bool


class Shown(NamedTuple):
    """From `from_ms` on the shown rate registers lag by `offsets_wh`, and the total by their sum."""

    from_ms: int
    offsets_wh: tuple[int, ...]

    @property
    def offset_wh(self) -> int:
        """By how much the shown total lags."""
        return sum(self.offsets_wh)


class RelayEvent(NamedTuple):
    """The shown contacts moved at world time `at_ms` to 'open' or 'closed', because of `cause`."""

    at_ms: int
    to: str
    cause: str


@dataclass(slots=True)
class Memory:
    """What a meter remembers beyond its registers; most meters never need one."""

    relay_events: list[RelayEvent] = field(default_factory=list)
    pressed_ms: list[int] = field(default_factory=list)
    trip_due_ms: int | None = None
    restore_due_ms: int | None = None
    shown: list[Shown] = field(default_factory=list)
    segments: list[Segment] = field(default_factory=list)
    taps: Taps = field(default_factory=Taps)
    demand: Course | None = None
    metering: Course | None = None
    visits: int = 0
    state: dict[str, Any] = field(default_factory=dict)
    """Whatever a protocol wants to keep for this meter, by its own name."""


class Fleet:
    """All meters; indices count households, then gates. Instants are world epoch milliseconds."""

    def __init__(
        self,
        households: Households,
        gates: tuple[GateConfig, ...],
        loads: Loads,
        calendar: RateCalendar,
        origin_ms: int,
    ) -> None:
        self.households = households
        self._household_count = len(households)
        self.gates = gates
        self.loads = loads
        self.calendar = calendar
        self.origin_ms = origin_ms
        self.flags = bytearray(len(self))
        self.trip_delay_min = array("H", [int(row) for row in households.rows["trip_delay_min"]])
        self.trip_delay_min.extend(gate.meter.trip_delay_min for gate in gates)
        meters = [gate.meter for gate in gates]
        self.vendor = bytearray(households.rows["vendor"].tobytes())
        self.vendor.extend(VENDOR_NAMES.index(meter.vendor) for meter in meters)
        self.phases = bytearray(households.rows["phases"].tobytes())
        self.phases.extend(meter.phases for meter in meters)
        self.kind = bytearray(households.rows["kind"].tobytes())
        self.kind.extend(kind_number(meter.protocol, meter.model) for meter in meters)
        self.unit = bytearray(households.rows["unit"].tobytes())
        self.unit.extend(meter.unit for meter in meters)
        self.clock_drift_ms = array("i", households.rows["clock_drift_ms_per_day"].tobytes())
        self.clock_drift_ms.extend(meter.clock_drift_ms_per_day for meter in meters)
        self.local_credit = array("i", households.rows["local_credit"].tobytes())
        self.local_credit.extend(0 for _ in gates)
        self.start_wh = array("q", households.rows["start_register_wh"].tobytes())
        self.start_wh.extend(gate.meter.start_register_wh for gate in gates)
        self.address = array("q", households.rows["address"].tobytes())
        self.address.extend(int(gate.meter.address) for gate in gates)
        self._by_address = array("i", np.argsort(np.array(self.address), kind="stable").astype(np.int32).tobytes())
        self.rates = RateBook(calendar, origin_ms, len(self))
        self.groups: list[Group] = []
        self.on_change: Callable[[int, int], None] = lambda _index, _at_ms: None
        self.notes: dict[int, Notes] = {}
        self._memories: dict[int, Memory] = {}
        self.recall: Callable[[int], Memory | None] = self._memories.get
        """What the meter remembers; None when there is nothing yet."""

    def __len__(self) -> int:
        return len(self.households) + len(self.gates)

    def at_address(self, address: str) -> int | None:
        """The index of the meter with these twelve digits, or None."""
        if not address.isdecimal():
            return None
        place = bisect_left(self._by_address, int(address), key=self.address.__getitem__)
        if place == len(self) or self.address[self._by_address[place]] != int(address):
            return None
        return self._by_address[place]

    def is_gate(self, index: int) -> bool:
        """Whether the meter is a main meter, which has no relay."""
        return index >= self._household_count

    def config(self, index: int) -> MeterConfig:
        """The settings of a meter."""
        count = len(self.households)
        return self.gates[index - count].meter if index >= count else self.households.meter(index)

    def remember(self, index: int) -> Memory:
        """The meter's memory, made if there is none yet."""
        memory = self._memories.get(index)
        if memory is None:
            memory = self._memories[index] = Memory()
        return memory

    def remembering(self) -> list[int]:
        """Indices of the meters that have a memory, ascending."""
        return sorted(self._memories)

    def demand(self, index: int) -> Course:
        """The course of a household's load, made if nothing has changed it yet."""
        memory = self.remember(index)
        if memory.demand is None:
            memory.demand = Course(self.loads.curve(index), self.origin_ms, self.loads.offset_ms)
        return memory.demand

    def metering(self, index: int, flow: "Supply | GateSource") -> Course:
        """The course of what a meter registers of `flow`, made if nothing has changed it yet."""
        memory = self.remember(index)
        if memory.metering is None:
            memory.metering = Course(flow, self.origin_ms, self.loads.offset_ms)
        return memory.metering

    def has(self, index: int, flag: int) -> bool:
        """Whether a flag of the meter is set."""
        return bool(self.flags[index] & flag)

    def put(self, index: int, flag: int, on: bool) -> None:
        """Set or clear a flag of the meter."""
        self.flags[index] = self.flags[index] | flag if on else self.flags[index] & ~flag
