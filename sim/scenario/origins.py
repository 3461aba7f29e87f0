"""Which table of a scenario each bus, household and main meter comes from, so that an error about some names a line.

Things are counted in the order in which they are read: those written down one by one, then those of each generator.
"""

from bisect import bisect_right
from collections.abc import Sequence

from sim.errors import ScenarioError
from sim.scenario.section import Section


class Origins:
    """Tables in the order of the things that they make."""

    def __init__(self, *before: "Origins") -> None:
        """What some others count, one after another."""
        self._starts: list[int] = []
        self._sections: list[Section] = []
        self._count = 0
        for origins in before:
            ends = [*origins._starts, origins._count][1:]
            for section, start, end in zip(origins._sections, origins._starts, ends, strict=True):
                self.add(section, end - start)

    def add(self, section: Section, count: int = 1) -> None:
        """The next `count` things come from this table; none is allowed."""
        if count:
            self._starts.append(self._count)
            self._sections.append(section)
            self._count += count

    def of(self, number: int) -> Section:
        """The table behind a thing by its number."""
        return self._sections[bisect_right(self._starts, number) - 1]

    def refuse(self, number: int, key: str, message: str) -> ScenarioError:
        """The error about one thing, at its key where its table has that."""
        section = self.of(number)
        return section.refuse(key if section.has(key) else "", message)

    def twice(self, numbers: Sequence[int], key: str, name: str, wanted: str = "each needs its own") -> ScenarioError:
        """The error about the first two of some things that share what only one may have."""
        first, second = sorted(numbers)[:2]
        there = self.of(first).place()
        return self.refuse(second, key, f"{name} appears more than once; {wanted}; {there} has it too")
