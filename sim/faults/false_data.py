"""Readings that are made to lie, as the literature numbers them (FDI 1 to 6).

A fixed share, a cap, a subtraction, a block of nothing each day, a share that every quarter-hour draws anew, and such
a share of the mean. Sizes are drawn from the fault's own stream; percentiles and means are those of the household's own
load in the two weeks that follow.
"""

from abc import ABC

import numpy as np
from numpy.typing import NDArray

from sim.faults.fault import Fault, Key, WrongPlace
from sim.faults.theft import PPM_PER_PERMILLE, WHOLE, Theft
from sim.loads.laws import Cap, DailyBlock, DrawnShare, Law, Less, Share, between
from sim.loads.load import SLOT_MS
from sim.timing.spans import DAY_MS

WATCHED_DAYS = 14
DRAWN = (
    Key("least_permille", 200, 0, WHOLE, "smallest share that may be drawn"),
    Key("most_permille", 800, 0, WHOLE, "largest share that may be drawn"),
)


class DrawnTheft(Theft, ABC):
    """A theft whose size is drawn."""

    keys = DRAWN

    def draw_permille(self) -> int:
        """The drawn size of this theft."""
        return between(self.key, 0, self.size("least_permille"), self.size("most_permille"))

    def check(self) -> None:
        """The least is not above the most."""
        if self.size("least_permille") > self.size("most_permille"):
            raise WrongPlace("least_permille is above most_permille", "least_permille")

    def powers_mw(self, at_ms: int) -> NDArray[np.int64]:
        """Mean power of each quarter-hour of the household's load in the next two weeks."""
        loads = self.place.stage.fleet.loads
        first, index = (at_ms + loads.offset_ms) // DAY_MS, np.array([self.place.index], np.int32)
        days = [np.diff(loads.boundaries(index, first + day)[0]) // SLOT_MS for day in range(WATCHED_DAYS)]
        return np.concatenate(days)

    def percentile_mw(self, at_ms: int, percent: int) -> int:
        """A percentile of those powers."""
        ordered = np.sort(self.powers_mw(at_ms))
        return int(ordered[len(ordered) * percent // 100])


class Fdi1(DrawnTheft):
    """A fixed share of the reading."""

    name = "fdi1"

    def law(self, at_ms: int) -> Law:
        """Drawn once."""
        return Share(self.draw_permille() * PPM_PER_PERMILLE)


class Fdi2(DrawnTheft):
    """The reading is capped at a share of the 95th percentile."""

    name = "fdi2"

    def law(self, at_ms: int) -> Law:
        """Drawn once."""
        return Cap(self.percentile_mw(at_ms, 95) * self.draw_permille() // WHOLE)


class Fdi3(DrawnTheft):
    """A share of the 80th percentile is subtracted."""

    name = "fdi3"

    def law(self, at_ms: int) -> Law:
        """Drawn once."""
        return Less(self.percentile_mw(at_ms, 80) * self.draw_permille() // WHOLE)


class Fdi4(Theft):
    """Nothing for one block of hours a day."""

    name = "fdi4"
    keys = (
        Key("least_h", 4, 1, 24, "shortest block, hours"),
        Key("most_h", 18, 1, 24, "longest block, hours"),
    )

    def check(self) -> None:
        """The least is not above the most."""
        if self.size("least_h") > self.size("most_h"):
            raise WrongPlace("least_h is above most_h", "least_h")

    def law(self, at_ms: int) -> Law:
        """Drawn each day."""
        return DailyBlock(self.key, self.size("least_h"), self.size("most_h"))


class Fdi5(DrawnTheft):
    """Another share each quarter-hour."""

    name = "fdi5"

    def law(self, at_ms: int) -> Law:
        """Drawn each quarter-hour."""
        return DrawnShare(self.key, self.size("least_permille"), self.size("most_permille"))


class Fdi6(DrawnTheft):
    """Another share of the mean each quarter-hour."""

    name = "fdi6"

    def law(self, at_ms: int) -> Law:
        """Drawn each quarter-hour."""
        mean_mw = int(self.powers_mw(at_ms).sum()) // (WATCHED_DAYS * DAY_MS // SLOT_MS)
        return DrawnShare(self.key, self.size("least_permille"), self.size("most_permille"), mean_mw)


KINDS: tuple[type[Fault], ...] = (Fdi1, Fdi2, Fdi3, Fdi4, Fdi5, Fdi6)
