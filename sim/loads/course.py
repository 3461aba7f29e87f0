"""Energy under laws that change: a list of stretches, each with the laws in force, over a source of energy.

`energy(t)` of a course is what had passed up to t. A stretch begins when a law comes or goes, and also when the source
itself changes its course (contacts move), so that within a quarter-hour of a stretch power is constant and no law sees
a mixture. Every past instant can be asked again; what had passed at each midnight is kept, so that a read costs a
day's quarter-hours at most. Only households and meters with something wrong have a course at all.
"""

from bisect import bisect_right
from collections.abc import Sequence
from itertools import pairwise
from typing import Protocol

from sim.loads.laws import Law
from sim.loads.load import SLOT_MS
from sim.timing.spans import DAY_MS, SECOND_MS


class Source(Protocol):
    """Energy as a function of time."""

    def energy(self, at_ms: int) -> int:
        """mW x ms since the origin."""

    def power_mw(self, at_ms: int) -> int:
        """Power now."""


class Stretch:
    """From `at_ms` on, when `passed` had passed, these laws hold."""

    __slots__ = ("at_ms", "laws", "mark", "midnights", "passed")

    def __init__(self, at_ms: int, passed: int, laws: tuple[Law, ...]) -> None:
        self.at_ms = at_ms
        self.passed = passed
        self.laws = laws
        self.midnights: list[int] = []
        """What had passed since `at_ms` at each midnight after it."""
        self.mark = (0, 0)
        """The last quarter-hour that was asked about, and what had passed since `at_ms` then."""


class Course:
    """What passes of a source; `offset_ms` leads to the estate's standard time."""

    def __init__(self, source: Source, origin_ms: int, offset_ms: int) -> None:
        self._source = source
        self._offset_ms = offset_ms
        self._origin_ms = origin_ms
        self._stretches = [Stretch(origin_ms, 0, ())]

    def add(self, at_ms: int, law: Law) -> None:
        """A law comes into force."""
        self._begin(at_ms, (*self._stretches[-1].laws, law))

    def drop(self, at_ms: int, law: Law) -> None:
        """A law is over."""
        self._begin(at_ms, tuple(other for other in self._stretches[-1].laws if other is not law))

    def cut(self, at_ms: int) -> None:
        """The source takes another course from now on."""
        self._begin(at_ms, self._stretches[-1].laws)

    def energy(self, at_ms: int) -> int:
        """mW x ms that had passed."""
        at_ms = max(at_ms, self._origin_ms)
        stretch = self._stretches[bisect_right(self._stretches, at_ms, key=_start) - 1]
        return stretch.passed + self._since(stretch, at_ms)

    def power_mw(self, at_ms: int) -> int:
        """What is shown of the power now: laws of the register alone do not touch it."""
        stretch = self._stretches[bisect_right(self._stretches, at_ms, key=_start) - 1]
        energy = self._source.power_mw(at_ms) * SECOND_MS
        for law in stretch.laws:
            if not law.of_register:
                energy = law.passes((at_ms + self._offset_ms) // SLOT_MS, energy, SECOND_MS)
        return energy // SECOND_MS

    def day(self, first_ms: int, came: Sequence[int]) -> list[int] | None:
        """What had passed at a day's quarter-hours, from what had come; None where laws change within it."""
        number = bisect_right(self._stretches, first_ms, key=_start) - 1
        following = self._stretches[number + 1 : number + 2]
        if number < 0 or (following and following[0].at_ms < first_ms + DAY_MS):
            return None
        stretch = self._stretches[number]
        if all(law.steady for law in stretch.laws):
            base = self._source.energy(stretch.at_ms)
            return [stretch.passed + _passes(stretch.laws, 0, energy - base, 0) for energy in came]
        slot, passed = (first_ms + self._offset_ms) // SLOT_MS, [self.energy(first_ms)]
        for place, (before, after) in enumerate(pairwise(came)):
            passed.append(passed[-1] + _passes(stretch.laws, slot + place, after - before, SLOT_MS))
        stretch.mark = first_ms + DAY_MS, passed[-1] - stretch.passed
        return passed

    def edges_ms(self) -> list[int]:
        """Instants at which laws came or went."""
        return [stretch.at_ms for stretch in self._stretches]

    def reached_ms(self, energy: int, until_ms: int) -> int | None:
        """First millisecond up to `until_ms` at which `energy` had passed, or None, by bisection."""
        if self.energy(until_ms) < energy:
            return None
        low, high = self._origin_ms, until_ms
        while low < high:
            middle = (low + high) // 2
            low, high = (low, middle) if self.energy(middle) >= energy else (middle + 1, high)
        return low

    def lost(self, law: Law, until_ms: int) -> int:
        """mW x ms that one law has kept from passing so far; negative where it added."""
        total = 0
        for number, stretch in enumerate(self._stretches):
            following = self._stretches[number + 1 : number + 2]
            end_ms = min(until_ms, following[0].at_ms if following else until_ms)
            if end_ms > stretch.at_ms and any(other is law for other in stretch.laws):
                total += self._lost_within(stretch, law, end_ms)
        return total

    def _lost_within(self, stretch: Stretch, law: Law, end_ms: int) -> int:
        """What a law keeps from passing in one stretch: all that does not pass, where it is the only one."""
        laws = stretch.laws
        if len(laws) == 1:
            came = self._source.energy(end_ms) - self._source.energy(stretch.at_ms)
            return came - self._since(stretch, end_ms)
        place = next(number for number, other in enumerate(laws) if other is law)
        before, after = (self._through(laws[:upto], laws, stretch.at_ms, end_ms) for upto in (place, place + 1))
        return before - after

    def _begin(self, at_ms: int, laws: tuple[Law, ...]) -> None:
        at_ms = max(at_ms, self._stretches[-1].at_ms)
        stretch = Stretch(at_ms, self.energy(at_ms), laws)
        if self._stretches[-1].at_ms == at_ms:
            self._stretches.pop()
        self._stretches.append(stretch)

    def _since(self, stretch: Stretch, at_ms: int) -> int:
        """What passed from the beginning of a stretch to an instant of it."""
        laws = stretch.laws
        if all(law.steady for law in laws):
            return self._through(laws, laws, stretch.at_ms, at_ms)
        from_ms, passed = self._known(stretch, at_ms)
        if from_ms <= stretch.mark[0] <= at_ms:
            from_ms, passed = stretch.mark
        passed += self._through(laws, laws, from_ms, at_ms)
        if (at_ms + self._offset_ms) % SLOT_MS == 0:
            stretch.mark = at_ms, passed
        return passed

    def _known(self, stretch: Stretch, at_ms: int) -> tuple[int, int]:
        """The last midnight of a stretch up to an instant, or its beginning, and what had passed since that."""
        first_ms = ((stretch.at_ms + self._offset_ms) // DAY_MS + 1) * DAY_MS - self._offset_ms
        days, kept = (at_ms - first_ms) // DAY_MS + 1, stretch.midnights
        if days <= 0:
            return stretch.at_ms, 0
        while len(kept) < days:
            midnight_ms = first_ms + len(kept) * DAY_MS
            if stretch.mark[0] == midnight_ms:
                kept.append(stretch.mark[1])
                continue
            from_ms = midnight_ms - DAY_MS if kept else stretch.at_ms
            passed = self._through(stretch.laws, stretch.laws, from_ms, midnight_ms)
            kept.append(passed + (kept[-1] if kept else 0))
        return first_ms + (days - 1) * DAY_MS, kept[days - 1]

    def _through(self, some: tuple[Law, ...], laws: tuple[Law, ...], from_ms: int, until_ms: int) -> int:
        """What the first `some` of the laws let through; all of `laws` decide whether quarter-hours matter."""
        source = self._source
        if all(law.steady for law in laws):
            return _passes(some, 0, source.energy(until_ms) - source.energy(from_ms), until_ms - from_ms)
        passed, at_ms, before = 0, from_ms, source.energy(from_ms)
        while at_ms < until_ms:
            slot = (at_ms + self._offset_ms) // SLOT_MS
            end_ms = min((slot + 1) * SLOT_MS - self._offset_ms, until_ms)
            after = source.energy(end_ms)
            passed += _passes(some, slot, after - before, end_ms - at_ms)
            at_ms, before = end_ms, after
        return passed


def _passes(laws: tuple[Law, ...], slot: int, energy: int, span_ms: int) -> int:
    for law in laws:
        energy = law.passes(slot, energy, span_ms)
    return energy


def _start(stretch: Stretch) -> int:
    return stretch.at_ms
