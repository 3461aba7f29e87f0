"""What every kind of fault is: where it can sit, which keys it takes, what it does, and what its label says.

A kind is a class; one of its instances is one fault of one place. A place is a household (with its meter), a main
meter, or a bus. `begin` and `end` change the fleet or the bus at world times; `lost_mwms` tells how much energy flowed
that no register shows (or that flowed although the relay showed open). The stage is all that a fault sees of the world.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, ClassVar, Protocol

from sim.errors import SimError
from sim.fleet.dwelling import Household
from sim.fleet.fleet import Fleet
from sim.kinds import KIND_1997, KIND_2007, KINDS
from sim.loads.laws import Law
from sim.meters import Meter
from sim.timing.spans import DAY_S
from sim.wire.bus import Bus

THEFT, METER, COMMUNICATION, BENIGN = "theft", "meter", "communication", "benign"
HOUSEHOLD, GATE, BUS = "household", "gate", "bus"
ANY_METER = (HOUSEHOLD, GATE)
ANY_KIND = tuple(range(len(KINDS)))
DLT645_KINDS = (KIND_2007, KIND_1997)


class WrongPlace(SimError):
    """A fault was ordered where it cannot be; the message says what it needs, `key` which size forbids it."""

    def __init__(self, message: str, key: str = "") -> None:
        super().__init__(message)
        self.key = key


class StillRunning(SimError):
    """A fault was ordered where one of its kind runs; the message has the id of that one."""


@dataclass(frozen=True, slots=True)
class Key:
    """One number, switch, list or name that a kind takes from its table; `default` shows the type."""

    name: str
    default: int | bool | str | tuple[int, ...]
    low: int = 0
    high: int = 0
    meaning: str = ""
    multiple: int = 1


class Stage(Protocol):
    """What faults see of the world; instants are world epoch milliseconds."""

    @property
    def seed(self) -> int:
        """The world's seed."""

    @property
    def origin_ms(self) -> int:
        """The world's first instant."""

    @property
    def fleet(self) -> Fleet:
        """All meters."""

    @property
    def buses(self) -> Mapping[str, Bus]:
        """All lines."""

    def call_at_ms(self, world_ms: int, callback: Callable[[int], None]) -> None:
        """Call back at a world time."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a fault sits; `index` is the meter's, None on a bus."""

    stage: Stage
    where: str
    name: str
    index: int | None

    @property
    def meter(self) -> Meter:
        """The meter of a household or the main meter."""
        if self.index is None:
            raise WrongPlace(f"bus {self.name} is no meter; name a household, a meter or a gate")
        return Meter(self.stage.fleet, self.index)

    @property
    def household(self) -> Household:
        """The household."""
        return Household(self.stage.fleet, self.meter.index)

    @property
    def bus(self) -> Bus:
        """The line."""
        return self.stage.buses[self.name if self.index is None else self.meter.config.bus_id]

    def other(self, household_id: str) -> Household:
        """Another household by its id, or by the address of its meter."""
        fleet = self.stage.fleet
        found = fleet.households.ids.find(household_id)
        found = fleet.at_address(household_id) if found is None else found
        if found is None or found == self.index or fleet.is_gate(found):
            raise WrongPlace(f'with = "{household_id}": name another household of this estate, or its meter', "with")
        return Household(self.stage.fleet, found)


class Fault:
    """One fault; kinds override what differs."""

    name: ClassVar[str]
    group: ClassVar[str]
    where: ClassVar[tuple[str, ...]] = (HOUSEHOLD,)
    meters: ClassVar[tuple[int, ...]] = ANY_KIND
    """Kinds of meters on whose wire it can show; on a bus there must be one of them."""
    severity: ClassVar[str] = "medium"
    alarm: ClassVar[str | None] = None
    also: ClassVar[tuple[str, ...]] = ()
    """Other classes of alarms that would not be false."""
    within_s: ClassVar[int] = DAY_S
    keys: ClassVar[tuple[Key, ...]] = ()
    instant: ClassVar[bool] = False
    """Over as soon as it has happened."""

    def __init__(self, place: Place, sizes: Mapping[str, Any], fault_id: str) -> None:
        self.place = place
        self.sizes = {key.name: key.default for key in self.keys} | dict(sizes)
        self.key = blake2b(f"{place.stage.seed}\x1f{fault_id}".encode(), digest_size=16).digest()
        self.running = False

    def check(self) -> None:
        """WrongPlace when it cannot be here."""

    def shown_by(self) -> tuple[int, ...]:
        """The kinds of meters that it needs, with these sizes."""
        return self.meters

    def prepare(self, at_ms: int) -> None:
        """The scenario has planned it for a time; nothing has flowed yet."""

    def begin(self, at_ms: int) -> None:
        """It begins."""

    def end(self, at_ms: int) -> None:
        """It is over."""

    def lost_mwms(self, at_ms: int) -> int:
        """mW x ms lost until an instant at which it runs, or at which it ended."""
        return 0

    def expected(self, _at_ms: int) -> tuple[str | None, int]:
        """The class of the alarm that it deserves, and within how many seconds."""
        return self.alarm, self.within_s

    def later(self, at_ms: int, act: Callable[[int], None]) -> None:
        """Do something at a later time if the fault still runs then."""
        self.place.stage.call_at_ms(at_ms, lambda when_ms: act(when_ms) if self.running else None)

    def size(self, name: str) -> int:
        """A size that is a number."""
        return int(self.sizes[name])


class MeteringFault(Fault, ABC):
    """The meter registers something else than what flows, by a law."""

    _law: Law | None = None

    @abstractmethod
    def law(self, at_ms: int) -> Law:
        """The law, made when it begins."""

    def begin(self, at_ms: int) -> None:
        """The law comes into force."""
        self._law = self.law(at_ms)
        self.place.meter.metering().add(at_ms, self._law)

    def end(self, at_ms: int) -> None:
        """The law is over."""
        if self._law is not None:
            self.place.meter.metering().drop(at_ms, self._law)

    def lost_mwms(self, at_ms: int) -> int:
        """What the law has kept from the register."""
        return 0 if self._law is None else self.place.meter.metering().lost(self._law, at_ms)


class DemandFault(Fault, ABC):
    """The household uses electricity otherwise, by a law; nothing is lost."""

    _law: Law | None = None

    @abstractmethod
    def law(self, at_ms: int) -> Law:
        """The law, made when it begins."""

    def begin(self, at_ms: int) -> None:
        """The law comes into force."""
        self.change(at_ms, self.law(at_ms))

    def change(self, at_ms: int, law: Law) -> None:
        """Another law follows."""
        self.end(at_ms)
        self._law = law
        self.place.household.supply.demand(at_ms, law)

    def end(self, at_ms: int) -> None:
        """As before."""
        if self._law is not None:
            self.place.household.supply.demand(at_ms, self._law, ends=True)
            self._law = None
