"""Energy of days from the registers that days ended with.

A day counts from where the day before ended; after a gap it counts from its own first reading, since the energy of
the gap belongs to days that nobody read.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any


@dataclass(frozen=True, slots=True)
class Day:
    """Energy of one meter on one local day, Wh; `day` is YYYY-MM-DD. Without a meter it is that of several together."""

    meter_id: str
    day: str
    energy_wh: int


def daily(rows: Iterable[Any]) -> list[Day]:
    """Days from (meter, day, first_wh, total_wh), ordered by meter and day or at least by day within a meter."""
    ended: dict[str, tuple[str, int]] = {}
    found: list[Day] = []
    for row in rows:
        meter_id, day, first_wh, total_wh = str(row[0]), str(row[1]), int(row[2]), int(row[3])
        before = ended.get(meter_id)
        start_wh = before[1] if before is not None and before[0] == day else first_wh
        begins_here = before is None and first_wh == total_wh
        if not begins_here:  # one register alone says nothing about its day
            found.append(Day(meter_id, day, max(0, total_wh - start_wh)))
        ended[meter_id] = (_next(day), total_wh)
    return found


def _next(day: str) -> str:
    return (date.fromisoformat(day) + timedelta(days=1)).isoformat()


def together(meters: Iterable[Sequence[Day]], limit: int) -> list[Day]:
    """The latest days of a household from those of each of its meters, oldest first.

    meters: of each its latest `limit` days, oldest first. From its first day on each has to tell a day, for else the
    sum would be less than was used; such a day is absent.
    """
    known = [{one.day: one.energy_wh for one in days} for days in meters if days]
    begun = max(
        (min(days) for days in known if len(days) >= limit), default=""
    )  # before, a meter has more than is here
    firsts = [min(days) for days in known]
    found = []
    for day in sorted(set().union(*known)):
        own = [days.get(day) for first, days in zip(firsts, known, strict=True) if first <= day]
        if day >= begun and None not in own:
            found.append(Day("", day, sum(one or 0 for one in own)))
    return found[-limit:]


def with_gaps(days: Iterable[Day]) -> list[tuple[str, int | None]]:
    """Each local day from the first to the last with its energy, None where no reading tells it."""
    known = {one.day: one.energy_wh for one in days}
    if not known:
        return []
    day, last = min(known), max(known)
    found = [(day, known.get(day))]
    while day < last:
        day = _next(day)
        found.append((day, known.get(day)))
    return found
