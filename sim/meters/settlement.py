"""Settlement periods of a meter: up to three instants a month, the first of the month at 0 h as made.

Registers and demands of settlement day -n are those of the n-th last such instant on the meter's own clock; before the
meter's first day everything is zero.
"""

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from sim.meters.clock import Mark, marks_back

if TYPE_CHECKING:
    from sim.meters import Meter

DAYS_KEPT = 12


def last_settlement(meter: "Meter", civil: datetime) -> datetime:
    """The settlement instant at or before a civil time."""
    months = [civil.replace(day=1, hour=0, minute=0, second=0, microsecond=0)]
    months.append((months[0] - timedelta(days=1)).replace(day=1))
    found = [month.replace(day=day, hour=hour) for month in months for day, hour in meter.settlement_days()]
    return max(instant for instant in found if instant <= civil)


def settlement(meter: "Meter", back: int, at_ms: int) -> Mark | None:
    """The `back`-th last settlement before an instant; None before the meter's first."""
    marks = marks_back(meter, lambda civil: last_settlement(meter, civil), at_ms)
    return next((mark for number, mark in enumerate(marks, 1) if number == back), None)


def month_start(meter: "Meter", back: int, at_ms: int) -> Mark | None:
    """The `back`-th last beginning of a calendar month; 1 is the running month's."""

    def first(civil: datetime) -> datetime:
        return civil.replace(day=1, hour=0, minute=0, second=0, microsecond=0)

    marks = marks_back(meter, first, at_ms)
    return next((mark for number, mark in enumerate(marks, 1) if number == back), None)
