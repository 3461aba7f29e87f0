"""When nobody is cut off: protected hours, weekends, statutory holidays, heat and cold alerts; and what kind a day is.

All in the estate's civil time. Working Saturdays of the holiday calendar stay protected, and so does a year for
which no holidays are known: doubt keeps the power on. Holidays of China come from the library `chinese_calendar`; an
estate adds days off and takes holidays away. After a protected time each household waits its own `delay_s` more, so
that the end of a protected time is never the moment of a mass trip.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

import chinese_calendar

from core.tariff_windows import HOLIDAY, WORKDAY, week_kind

SEARCH_DAYS_MAX = 21  # longer than any run of holidays and weekends
QUARTER = timedelta(minutes=15)
DAY_MINUTES = 1440


@dataclass(frozen=True, slots=True)
class ProtectedTimes:
    """Hours [from_min, to_min) of the local day, over midnight when from > to; from == to protects no hour."""

    time_zone: str
    from_min: int = 17 * 60
    to_min: int = 9 * 60
    weekends: bool = True
    holidays: bool = True
    days_off: tuple[str, ...] = ()  # further holidays of the estate, YYYY-MM-DD
    work_days: tuple[str, ...] = ()  # statutory holidays that are none here; a weekend stays one
    alerts: tuple[tuple[int, int, str], ...] = ()  # [from, until) in world seconds, and the kind: heat, cold, order
    delay_s: int = 0  # what this household waits after a protected time


def times_from(stored: Mapping[str, Any]) -> ProtectedTimes:
    """Protected times from JSON, whose lists were tuples; TypeError for a field that this version does not know."""
    values: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in stored.items()
    }
    values["alerts"] = tuple((start, end, kind) for start, end, kind in values.get("alerts", ()))
    return ProtectedTimes(**values)


def protected_because(times: ProtectedTimes, at_s: int) -> str | None:
    """Why nobody may be cut at world time `at_s`; None when it is allowed.

    heat, cold, order (an alert of the estate), weekend, day_off, holiday, unknown_year, hours, or spread: a protected
    time has just ended, and this household's turn comes later.
    """
    reason = _protected(times, at_s)
    if reason is None and times.delay_s and _protected(times, at_s - times.delay_s):
        return "spread"
    return reason


def _protected(times: ProtectedTimes, at_s: int) -> str | None:
    for start, end, kind in times.alerts:
        if start <= at_s < end:
            return kind
    local = datetime.fromtimestamp(at_s, UTC).astimezone(ZoneInfo(times.time_zone))
    if times.weekends and local.weekday() >= 5:
        return "weekend"
    day = local.date()
    if times.days_off and day.isoformat() in times.days_off:
        return "day_off"
    if times.holidays and not (times.work_days and day.isoformat() in times.work_days):
        reason = _holiday(day)
        if reason:
            return reason
    inside = _inside(times.from_min, times.to_min, local.hour * 60 + local.minute)
    return "hours" if inside else None


def inside_hours(time_zone: str, from_min: int, to_min: int, at_s: int) -> bool:
    """Whether `at_s` lies in the hours [from_min, to_min) of the local day."""
    local = datetime.fromtimestamp(at_s, UTC).astimezone(ZoneInfo(time_zone))
    return _inside(from_min, to_min, local.hour * 60 + local.minute)


def _inside(from_min: int, to_min: int, minute: int) -> bool:
    if from_min <= to_min:
        return from_min <= minute < to_min
    return minute >= from_min or minute < to_min


@lru_cache(maxsize=1024)
def _statutory(day: date) -> tuple[bool, bool] | None:
    """Whether a day is off by the statutory calendar, and whether a holiday is why; None: an unknown year."""
    try:
        off, name = chinese_calendar.get_holiday_detail(day)
    except NotImplementedError:
        return None
    return off, off and name is not None


def _holiday(day: date) -> str | None:
    known = _statutory(day)
    if known is None:
        return "unknown_year"
    return "holiday" if known[1] else None


def day_kind(day: date, own: Mapping[str, str]) -> str:
    """Which windows of a tariff hold on a day: those of a workday, a weekend or a holiday.

    own: the estate's calendar, day -> off | work. A working Saturday of the statutory calendar is a workday; a year for
    which no holidays are known has only days of the week.
    """
    said = own.get(day.isoformat())
    if said == "off":
        return HOLIDAY
    known = _statutory(day)
    if known is None:
        return week_kind(day)
    off, holiday = known
    if holiday and said != "work":
        return HOLIDAY
    return WORKDAY if not off else week_kind(day)


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
