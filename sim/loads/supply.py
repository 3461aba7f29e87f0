"""What physically flows behind a household's meter: its load, switched by contacts.

Most meters never switch, and then the load's own curve is the answer. One that did keeps a segment for each
switching, with the energy so far and where the curve stood, so that reading is O(1), no remainder is lost, and every
past instant can be asked about again. What a roof gives back flows only while the contacts are closed, too. Where laws
change what the household demands, their course takes the place of the load's own curve.
"""

from bisect import bisect_right
from collections.abc import Sequence
from itertools import pairwise

from sim.fleet.fleet import CONTACTS_OPEN, Fleet, Segment
from sim.loads.course import Course
from sim.loads.laws import Law
from sim.loads.load import Curve


class Supply:
    """Energy through one household's meter (unit mW x ms, see `sim.loads.load`): a view."""

    __slots__ = ("_fleet", "_index")

    def __init__(self, fleet: Fleet, index: int) -> None:
        self._fleet = fleet
        self._index = index

    @property
    def curve(self) -> Curve:
        """The load itself, always switched on."""
        return self._fleet.loads.curve(self._index)

    @property
    def on(self) -> bool:
        """Whether the contacts are physically closed now."""
        return not self._fleet.has(self._index, CONTACTS_OPEN)

    def switch(self, at_ms: int, on: bool) -> None:
        """Open or close the contacts; nothing happens when they are so already."""
        if on == self.on:
            return
        segments = self._fleet.remember(self._index).segments
        if not segments:
            segments.append(Segment(self._fleet.origin_ms, 0, 0, True))
        at_ms = max(at_ms, segments[-1].at_ms)
        segments.append(Segment(at_ms, self.energy(at_ms), self._demanded(at_ms), on))
        self._fleet.put(self._index, CONTACTS_OPEN, not on)
        self._cut_metering(at_ms)

    def demand(self, at_ms: int, law: Law, *, ends: bool = False) -> None:
        """A law of demand begins or ends now."""
        course = self._fleet.demand(self._index)
        if ends:
            course.drop(at_ms, law)
        else:
            course.add(at_ms, law)
        self._cut_metering(at_ms)

    def energy(self, at_ms: int) -> int:
        """Energy since the origin at any instant from the origin on."""
        memory = self._fleet.recall(self._index)
        if memory is None:
            return self._fleet.loads.table.energy(self._index, at_ms)
        segments = memory.segments
        if not segments:
            return self._demanded(at_ms)
        segment = segments[max(0, bisect_right(segments, at_ms, key=_start) - 1)]
        if not segment.on:
            return segment.energy
        return segment.energy + self._demanded(at_ms) - segment.curve

    def power_mw(self, at_ms: int) -> int:
        """Power now; 0 with open contacts."""
        if not self.on:
            return 0
        course = self._course()
        return self._fleet.loads.table.power_mw(self._index, at_ms) if course is None else course.power_mw(at_ms)

    def reached_ms(self, energy: int, until_ms: int) -> int | None:
        """First millisecond up to `until_ms` at which `energy` had flowed, or None."""
        if self.energy(until_ms) < energy:
            return None
        segments = self._segments() or [Segment(self._fleet.origin_ms, 0, 0, True)]
        index = bisect_right(segments, energy, key=lambda segment: segment.energy) - 1
        while index > 0 and segments[index].energy == energy:
            index -= 1
        segment = segments[max(index, 0)]
        if energy <= segment.energy:
            return segment.at_ms
        course, wanted = self._course(), segment.curve + energy - segment.energy
        return self.curve.reached_ms(wanted) if course is None else course.reached_ms(wanted, until_ms)

    def given_back(self, at_ms: int) -> int:
        """Energy that the roof fed into the grid since the origin."""
        curve = self._fleet.loads.export_curve(self._index)
        if curve is None:
            return 0
        origin_ms = self._fleet.origin_ms
        edges = [segment for segment in self._segments() if segment.at_ms <= at_ms]
        edges = edges or [Segment(origin_ms, 0, 0, True)]
        spans = pairwise([*edges, Segment(max(at_ms, origin_ms), 0, 0, False)])
        return sum(curve.energy(after.at_ms) - curve.energy(before.at_ms) for before, after in spans if before.on)

    def net_energy(self, at_ms: int) -> int:
        """Energy taken less energy given back."""
        back = self.given_back(at_ms) if self._fleet.loads.solar[self._index] else 0
        return self.energy(at_ms) - back

    def net_power_mw(self, at_ms: int) -> int:
        """Power taken, or given back as a negative number."""
        curve = self._fleet.loads.export_curve(self._index)
        back = curve.power_mw(at_ms) if curve is not None and self.on else 0
        return self.power_mw(at_ms) - back

    def switchings(self) -> Sequence[Segment]:
        """Every movement of the contacts so far, after the state at the origin."""
        return self._segments()[1:]

    def _demanded(self, at_ms: int) -> int:
        course = self._course()
        return self._fleet.loads.table.energy(self._index, at_ms) if course is None else course.energy(at_ms)

    def _course(self) -> Course | None:
        memory = self._fleet.recall(self._index)
        return None if memory is None else memory.demand

    def _cut_metering(self, at_ms: int) -> None:
        memory = self._fleet.recall(self._index)
        if memory is not None and memory.metering is not None:
            memory.metering.cut(at_ms)

    def _segments(self) -> Sequence[Segment]:
        memory = self._fleet.recall(self._index)
        return memory.segments if memory is not None else ()


def _start(segment: Segment) -> int:
    return segment.at_ms
