"""A bulk cut: a list that two people approved, carried out in waves of 1 %, 5 % and the rest, with pauses between.

The waves stand in for the limits of hour, day and system; every other check of a cut holds for each household as ever.
A wave in which more than 1 % of the households pay stops everything: the list was wrong. One of which nobody was cut
has shown nothing, so none follows it.
"""

from typing import NamedTuple

HOLD_S = 600  # world time between two waves
LIFETIME_S = 86_400  # what was not cut by then stays on
LIST_MAX = 5000
PAID_PERMILLE = 10
WAVES = 3


class Progress(NamedTuple):
    """Where a bulk cut is: its wave, how many of it have paid or were cut, whether anybody of it waits."""

    wave: int
    wave_size: int
    paid: int
    cut: int
    waiting: int
    wave_age_s: int
    age_s: int


def waves_of(count: int) -> list[int]:
    """The wave, from 1, of each place of a list: 1 %, 5 % and the rest, at least one household in the first two."""
    first = max(1, count // 100)
    second = max(1, count * 5 // 100)
    return [1 if place < first else 2 if place < first + second else 3 for place in range(count)]


def must_stop(progress: Progress) -> bool:
    """Whether more than 1 % of the present wave have paid since it began."""
    return progress.paid * 1000 > progress.wave_size * PAID_PERMILLE


def next_wave(progress: Progress) -> int:
    """The wave that comes now: the same, the next one after its pause, or 0 when all is done or too old."""
    if progress.age_s >= LIFETIME_S:
        return 0
    if progress.wave < WAVES:
        shown = progress.cut > 0 or not progress.wave_size
        return progress.wave + (shown and progress.wave_age_s >= HOLD_S)
    return progress.wave if progress.waiting else 0
