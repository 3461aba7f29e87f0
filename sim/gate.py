"""What a main meter measures: its households and their taps, plus the losses of the lines."""

import numpy as np
from numpy.typing import NDArray

from sim.fleet import Fleet
from sim.supply import Supply


class GateSource:
    """Energy through a main meter; losses in per mille of what is drawn."""

    def __init__(self, fleet: Fleet, members: NDArray[np.int32], loss_permille: int) -> None:
        self._fleet = fleet
        self._members = tuple(members.tolist())
        self._loss_permille = loss_permille

    def energy(self, at_ms: int) -> int:
        """Energy through the main meter since the origin."""
        drawn = sum(self._supply(index).energy(at_ms) for index in self._members)
        for index in self._members:
            memory = self._fleet.recall(index)
            if memory is not None:
                drawn += memory.taps.energy(at_ms)
        return drawn * (1000 + self._loss_permille) // 1000

    def power_mw(self, at_ms: int) -> int:
        """Power through the main meter."""
        drawn = sum(self._supply(index).power_mw(at_ms) for index in self._members)
        for index in self._members:
            memory = self._fleet.recall(index)
            if memory is not None:
                drawn += memory.taps.power_mw(at_ms)
        return drawn * (1000 + self._loss_permille) // 1000

    def reached_ms(self, energy: int, until_ms: int) -> int | None:
        """First millisecond up to `until_ms` at which `energy` had flowed, by bisection."""
        if self.energy(until_ms) < energy:
            return None
        low, high = self._fleet.origin_ms, until_ms
        while low < high:
            middle = (low + high) // 2
            low, high = (low, middle) if self.energy(middle) >= energy else (middle + 1, high)
        return low

    def _supply(self, index: int) -> Supply:
        return Supply(self._fleet, index)
