"""Households as views: a dwelling, its supply, its taps and its meter, made when somebody asks."""

from collections.abc import Iterator, Mapping

from sim.estate import HouseholdConfig, Resident
from sim.fleet.fleet import Fleet
from sim.loads.supply import Supply
from sim.loads.taps import Taps
from sim.meters import Meter

NO_TAPS = Taps()


class Household:
    """A dwelling of the fleet."""

    __slots__ = ("fleet", "index")

    def __init__(self, fleet: Fleet, index: int) -> None:
        self.fleet = fleet
        self.index = index

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Household) and self.fleet is other.fleet and self.index == other.index

    def __hash__(self) -> int:
        return self.index

    @property
    def household_id(self) -> str:
        """Its id."""
        return self.fleet.households.ids[self.index]

    @property
    def config(self) -> HouseholdConfig:
        """What the scenario says about it."""
        return self.fleet.households[self.index]

    @property
    def resident(self) -> Resident:
        """How somebody at home reacts."""
        households = self.fleet.households
        return households.residents[int(households.rows["resident"][self.index])]

    @property
    def supply(self) -> Supply:
        """What flows through its meter."""
        return Supply(self.fleet, self.index)

    @property
    def meter(self) -> Meter:
        """Its meter."""
        return Meter(self.fleet, self.index)

    @property
    def taps(self) -> Taps:
        """What is drawn before its meter; to look at only."""
        memory = self.fleet.recall(self.index)
        return memory.taps if memory is not None else NO_TAPS


class Dwellings(Mapping[str, Household]):
    """All households by id, in the order of the scenario."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet

    def __getitem__(self, household_id: str) -> Household:
        index = self._fleet.households.ids.find(household_id)
        if index is None:
            raise KeyError(household_id)
        return Household(self._fleet, index)

    def __iter__(self) -> Iterator[str]:
        return iter(self._fleet.households.ids)

    def __len__(self) -> int:
        return len(self._fleet.households)

    def behind(self, address: str) -> Household | None:
        """The household of a meter's address, or None."""
        index = self._fleet.at_address(address)
        return None if index is None or self._fleet.is_gate(index) else Household(self._fleet, index)
