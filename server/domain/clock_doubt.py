"""Whose clock is wrong: what the clocks of the meters say of ours.

A meter's clock may be off; most of them are not, and not all by the same. So where most of them agree with each other,
they are right, and ours is judged by them: beyond what a meter's own clock may be off, it is ours that is in doubt. A
machine whose clock is kept by others (NTP) is believed against meters that somebody has set wrongly. Offsets are world
seconds, meter minus ours, all of one state of our clock.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from server.domain.anomalies import CLOCK_MAX_S

Reason = Literal["meters", "jumped", "behind", "ahead"]
HEARD_MIN = 3  # fewer could all be wrong
ALIKE_S = 120


@dataclass(frozen=True, slots=True)
class Opinion:
    """What meters that agree say: by how much ours is behind them (seconds), how many were heard, how many agree."""

    behind_s: int
    heard: int
    alike: int

    @property
    def ours_is_right(self) -> bool:
        """Whether ours is no further off than a meter's own clock may be."""
        return abs(self.behind_s) <= CLOCK_MAX_S


@dataclass(frozen=True, slots=True)
class ClockDoubt:
    """Why our clock is not believed; what the meters say is 0 where they say nothing.

    `ahead`: it is believed, but `meters` have been charged by times that are still to come, and cannot be set back.
    """

    reason: Reason
    ours_ahead_s: int = 0
    heard: int = 0
    alike: int = 0
    meters: int = 0

    def evidence(self) -> dict[str, object]:
        """As a case keeps it, without what is not known."""
        known: dict[str, object] = {"doubt": self.reason}
        if self.heard:
            way = "server_ahead_s" if self.ours_ahead_s > 0 else "server_behind_s"
            known |= {way: abs(self.ours_ahead_s), "clocks_heard": self.heard, "clocks_alike": self.alike}
        if self.meters:
            known["meters_ahead"] = self.meters
        return known


def opinion_of(offsets: Collection[int]) -> Opinion | None:
    """What these clocks say together; None where they are too few, or agree on nothing."""
    if len(offsets) < HEARD_MIN:
        return None
    middle = sorted(offsets)[len(offsets) // 2]
    alike = sum(abs(one - middle) <= ALIKE_S for one in offsets)
    return Opinion(middle, len(offsets), alike) if 2 * alike > len(offsets) else None


def ahead_s(evidence: Mapping[str, Any]) -> int:
    """By how much a case says that our clock is ahead of the meters', below zero behind them; 0 where it does not."""
    return int(evidence.get("server_ahead_s", 0)) - int(evidence.get("server_behind_s", 0))
