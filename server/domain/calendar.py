"""When nobody is cut off: protected hours, weekends, statutory holidays.

All in the estate's civil time. Working Saturdays of the holiday calendar stay protected, and so does a year for
which no holidays are known: doubt keeps the power on. Holidays of China come from the library `chinese_calendar`.
"""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import chinese_calendar

SEARCH_DAYS_MAX = 21  # longer than any run of holidays and weekends
QUARTER = timedelta(minutes=15)


@dataclass(frozen=True, slots=True)
class ProtectedTimes:
    """Hours [from_min, to_min) of the local day, over midnight when from > to; from == to protects no hour."""

    time_zone: str
    from_min: int = 17 * 60
    to_min: int = 9 * 60
    weekends: bool = True
    holidays: bool = True


def protected_because(times: ProtectedTimes, at_s: int) -> str | None:
    """Why nobody may be cut at world time `at_s`: hours, weekend, holiday, unknown_year; None when it is allowed."""
    local = datetime.fromtimestamp(at_s, UTC).astimezone(ZoneInfo(times.time_zone))
    if times.weekends and local.weekday() >= 5:
        return "weekend"
    if times.holidays:
        reason = _holiday(local.date())
        if reason:
            return reason
    minute = local.hour * 60 + local.minute
    if times.from_min <= times.to_min:
        inside = times.from_min <= minute < times.to_min
    else:
        inside = minute >= times.from_min or minute < times.to_min
    return "hours" if inside else None


def _holiday(day: date) -> str | None:
    try:
        off, name = chinese_calendar.get_holiday_detail(day)
    except NotImplementedError:
        return "unknown_year"
    return "holiday" if off and name is not None else None


def earliest_allowed(times: ProtectedTimes, from_s: int) -> int | None:
    """The first quarter of an hour at or after `from_s` in which a cut is allowed; None if none within three weeks."""
    if protected_because(times, from_s) is None:
        return from_s
    start = datetime.fromtimestamp(from_s, UTC)
    moment = start - timedelta(minutes=start.minute % 15, seconds=start.second) + QUARTER
    for _ in range(SEARCH_DAYS_MAX * 96):
        at_s = int(moment.timestamp())
        if protected_because(times, at_s) is None:
            return at_s
        moment += QUARTER
    return None


def allowed_until(times: ProtectedTimes, from_s: int, until_s: int) -> int:
    """The world time at which the allowed time around `from_s` ends, `until_s` if it lasts longer.

    Protected times begin on whole minutes. `from_s` itself when nobody may be cut then.
    """
    moment_s = from_s
    while moment_s < until_s:
        if protected_because(times, moment_s) is not None:
            return moment_s
        moment_s += 60 - moment_s % 60
    return until_s
