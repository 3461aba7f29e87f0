"""What physically flows: a household's supply behind its meter, and the sum that a gate meter sees.

A supply is switched by contacts. It keeps one segment for each switching, with the energy so far and where
the load's curve stood, so that reading is O(1), no remainder is lost, and every past instant can be asked
about again. A tap draws before the meter: it adds to the gate meter's sum and never to the household's.
"""

from bisect import bisect_right
from collections.abc import Sequence
from typing import NamedTuple

from sim.load import Curve


class Segment(NamedTuple):
    """From `at_ms` on: `energy` had flowed, the curve stood at `curve`, and the contacts are so."""

    at_ms: int
    energy: int
    curve: int
    on: bool


class Supply:
    """Energy through one household's meter (unit mW x ms, see `sim.load`)."""

    def __init__(self, curve: Curve, origin_ms: int) -> None:
        self.curve = curve
        self._segments = [Segment(origin_ms, 0, curve.energy(origin_ms), True)]

    @property
    def on(self) -> bool:
        """Whether the contacts are physically closed now."""
        return self._segments[-1].on

    def switch(self, at_ms: int, on: bool) -> None:
        """Open or close the contacts; nothing happens when they are so already."""
        at_ms = max(at_ms, self._segments[-1].at_ms)
        if on != self.on:
            energy = self.energy(at_ms)
            self._segments.append(Segment(at_ms, energy, self.curve.energy(at_ms), on))

    def energy(self, at_ms: int) -> int:
        """Energy since the origin at any instant from the origin on."""
        segment = self._segments[max(0, bisect_right(self._segments, at_ms, key=_start) - 1)]
        if not segment.on:
            return segment.energy
        return segment.energy + self.curve.energy(at_ms) - segment.curve

    def power_mw(self, at_ms: int) -> int:
        """Power now; 0 with open contacts."""
        return self.curve.power_mw(at_ms) if self.on else 0

    def reached_ms(self, energy: int, until_ms: int) -> int | None:
        """First millisecond up to `until_ms` at which `energy` had flowed, or None."""
        if self.energy(until_ms) < energy:
            return None
        index = bisect_right(self._segments, energy, key=lambda segment: segment.energy) - 1
        while index > 0 and self._segments[index].energy == energy:
            index -= 1
        segment = self._segments[max(index, 0)]
        if energy <= segment.energy:
            return segment.at_ms
        return self.curve.reached_ms(segment.curve + energy - segment.energy)


class Taps:
    """Energy drawn before a household's meter by taps, each a span with a power."""

    def __init__(self) -> None:
        self._taps: list[tuple[int, int | None, int]] = []

    def start(self, at_ms: int, until_ms: int | None, power_mw: int) -> None:
        """A tap of some power from `at_ms` to `until_ms` (None: until further notice)."""
        self._taps.append((at_ms, until_ms, power_mw))

    def end(self, at_ms: int) -> None:
        """All taps that run end now."""
        self._taps = [
            (start, at_ms if until is None or until > at_ms else until, power) for start, until, power in self._taps
        ]

    def energy(self, at_ms: int) -> int:
        """mW x ms drawn by taps up to an instant."""
        return sum(
            power * max(0, (at_ms if until is None else min(at_ms, until)) - start)
            for start, until, power in self._taps
        )

    def power_mw(self, at_ms: int) -> int:
        """Power of the taps that run at an instant."""
        return sum(p for start, until, p in self._taps if start <= at_ms and (until is None or at_ms < until))


class GateSource:
    """What a main meter measures: its households and their taps, plus losses in per mille of that."""

    def __init__(self, members: Sequence[tuple[Supply, Taps]], loss_permille: int, origin_ms: int) -> None:
        self._members = tuple(members)
        self._loss_permille = loss_permille
        self._origin_ms = origin_ms

    def energy(self, at_ms: int) -> int:
        """Energy through the main meter since the origin."""
        drawn = sum(supply.energy(at_ms) + taps.energy(at_ms) for supply, taps in self._members)
        return drawn * (1000 + self._loss_permille) // 1000

    def power_mw(self, at_ms: int) -> int:
        """Power through the main meter."""
        drawn = sum(supply.power_mw(at_ms) + taps.power_mw(at_ms) for supply, taps in self._members)
        return drawn * (1000 + self._loss_permille) // 1000

    def reached_ms(self, energy: int, until_ms: int) -> int | None:
        """First millisecond up to `until_ms` at which `energy` had flowed, by bisection."""
        if self.energy(until_ms) < energy:
            return None
        low, high = self._origin_ms, until_ms
        while low < high:
            middle = (low + high) // 2
            low, high = (low, middle) if self.energy(middle) >= energy else (middle + 1, high)
        return low


def _start(segment: Segment) -> int:
    return segment.at_ms
