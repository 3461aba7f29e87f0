"""How long the credit lasts: an estimate from the days before, always called an estimate.

The daily use is the mean of the last complete days; the range comes from the two heaviest and the two lightest of
them. Integers throughout: Wh a day, nanofen per Wh, fen.
"""

from collections.abc import Sequence
from dataclasses import dataclass

NF_PER_FEN = 1_000_000_000
DAYS_MAX = 61  # whatever is longer is told as "60+ days"
EXTREMES = 2


@dataclass(frozen=True, slots=True)
class DaysLeft:
    """Whole days: the likely number and its range; each at most DAYS_MAX."""

    days: int
    fewest: int
    most: int


def _days(balance_fen: int, energy_wh: int, count: int, price_nf_per_wh: int) -> int:
    """Days that `balance_fen` lasts when `count` days took `energy_wh` in all."""
    cost_nf = energy_wh * price_nf_per_wh
    if cost_nf <= 0:
        return DAYS_MAX
    return min(DAYS_MAX, balance_fen * NF_PER_FEN * count // cost_nf)


def days_left(balance_fen: int, daily_wh: Sequence[int], price_nf_per_wh: int) -> DaysLeft | None:
    """How long `balance_fen` lasts at the price of now; None without a complete day to go by.

    daily_wh: energy of complete days, newest last. A household in debt has 0 days.
    """
    if not daily_wh:
        return None
    if balance_fen <= 0:
        return DaysLeft(0, 0, 0)
    ordered = sorted(daily_wh)
    light, heavy = ordered[:EXTREMES], ordered[-EXTREMES:]
    return DaysLeft(
        _days(balance_fen, sum(ordered), len(ordered), price_nf_per_wh),
        _days(balance_fen, sum(heavy), len(heavy), price_nf_per_wh),
        _days(balance_fen, sum(light), len(light), price_nf_per_wh),
    )
