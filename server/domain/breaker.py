"""When the breaker opens by itself: what looks like our own mistake, and not like households that owe.

The breaker stops all cuts of an estate, pages the staff, and is closed by two people only. Figures are counts.
"""

from collections.abc import Sequence

MASS_EVENT_MIN, MASS_EVENT_PERMILLE = 5, 150  # more candidates at once look like our own mistake
HISTORY_DAYS, HISTORY_DAYS_MIN, HISTORY_FACTOR = 14, 7, 3
SYSTEM_PERMILLE, SYSTEM_MIN = 5, 5  # cuts an hour over all estates of the database
PAYING_MIN, PAYING_PERMILLE, PAYING_MS = 5, 50, 600_000
SILENCE_MS, ASKED_MIN = 3_600_000, 3
CLOCK_DOUBT = "the clock is in doubt"


def plausible_candidates(households: int, history: Sequence[int]) -> int:
    """How many households may be candidates at once.

    The larger of 5 and 15 %, and not more than three times the 95th percentile of the last 14 days once seven of them
    are known.
    """
    limit = max(MASS_EVENT_MIN, households * MASS_EVENT_PERMILLE // 1000)
    if len(history) < HISTORY_DAYS_MIN:
        return limit
    ordered = sorted(history)
    p95 = ordered[-(-len(ordered) * 95 // 100) - 1]
    return min(limit, max(MASS_EVENT_MIN, HISTORY_FACTOR * p95))


def too_many(candidates: int, plausible: int) -> str:
    """The reason to open for too many candidates at once, or an empty text."""
    if candidates <= plausible:
        return ""
    return f"{candidates} households are candidates at once, {plausible} are plausible"


def paying(candidates: int, under_way: int) -> str:
    """The reason to open when many candidates are just paying, or their payments are not booked."""
    if under_way < PAYING_MIN or under_way * 1000 <= candidates * PAYING_PERMILLE:
        return ""
    return f"{under_way} of {candidates} candidates have payments under way that are not booked"


def callbacks_silent(asked: int, delivered: int) -> str:
    """The reason to open when payments are only found by asking: the way of the callbacks is broken."""
    if asked < ASKED_MIN or delivered:
        return ""
    return f"{asked} payments of the last hour were found by asking only, no callback came"


def system_trips_max(households: int, configured: Sequence[int]) -> int:
    """Cuts an hour over all estates: 0.5 % of all households, at least 5 and what an estate configures for itself."""
    return max(SYSTEM_MIN, households * SYSTEM_PERMILLE // 1000, *configured)
