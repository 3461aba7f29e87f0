"""When which rate register counts, and where a charge must be split.

A tariff is a list of dated versions. Each gives prices, tier steps, seasons and the windows of the day (periods) with
their register 1..4 (sharp, peak, flat, valley, unless the tariff names others); a season may have prices, steps and
windows of its own, and weekends and the estate's holidays theirs. Meters follow the windows of the version in force at
their own estate's civil time; a single-rate version counts in register 3 (flat). This is the simulator's own reading
of the tariff text, apart from the head-end's: prices are exact fractions of nanofen per Wh.
"""

from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from fractions import Fraction
from zoneinfo import ZoneInfo

from sim.timing.spans import DAY_MINUTES

FRIDAY = 4
SINGLE_RATE = 3
"""The rate register of a meter without windows: flat."""


@dataclass(frozen=True, slots=True)
class Window:
    """Minutes of the civil day [start, end) that count in register `rate`; end <= start runs over midnight."""

    start_minute: int
    end_minute: int
    rate: int

    def holds(self, minute: int) -> bool:
        """Whether a minute of the day falls inside."""
        if self.start_minute < self.end_minute:
            return self.start_minute <= minute < self.end_minute
        return minute >= self.start_minute or minute < self.end_minute


@dataclass(frozen=True, slots=True)
class DayWindows:
    """Windows of workdays, weekends and holidays; without any a weekend is as a workday, a holiday as its weekday."""

    workday: tuple[Window, ...] = ()
    weekend: tuple[Window, ...] = ()
    holiday: tuple[Window, ...] = ()

    def on(self, day: date, is_holiday: bool) -> tuple[Window, ...]:
        """The windows of a day."""
        if is_holiday and self.holiday:
            return self.holiday
        return self.weekend if self.weekend and day.weekday() > FRIDAY else self.workday

    def edges(self) -> set[int]:
        """Minutes of the day at which a window of any kind of day begins."""
        every = (*self.workday, *self.weekend, *self.holiday)
        midnight = {0} if self.weekend or self.holiday else set()
        return midnight | {edge % DAY_MINUTES for w in every for edge in (w.start_minute, w.end_minute)}


@dataclass(frozen=True, slots=True)
class SeasonTerms:
    """What holds in some months: upper limits of the tiers in Wh, prices and steps, windows."""

    months: tuple[int, ...]
    limits_wh: tuple[int, ...]
    prices: tuple[Fraction, ...]
    steps: tuple[Fraction, ...]
    windows: DayWindows


@dataclass(frozen=True, slots=True)
class PriceVersion:
    """One dated version of a tariff; prices and steps are exact nanofen per Wh, those of the whole year in `prices`."""

    valid_from_ms: int
    kind: str
    prices: tuple[Fraction, ...]
    seasons: tuple[SeasonTerms, ...]
    tier_period: str = "none"
    tier_start: tuple[int, int] = (1, 1)

    def season(self, month: int) -> SeasonTerms:
        """The terms of a calendar month."""
        return next(season for season in self.seasons if month in season.months)

    def rate_on(self, day: date, minute: int, is_holiday: bool) -> int:
        """The register 1..4 that counts in this minute of a civil day."""
        if self.kind == "single":
            return SINGLE_RATE
        windows = self.season(day.month).windows.on(day, is_holiday)
        return next((w.rate for w in windows if w.holds(minute)), SINGLE_RATE)


class RateCalendar:
    """The versions of one tariff on the civil time of one estate."""

    def __init__(
        self, zone: ZoneInfo, versions: tuple[PriceVersion, ...], holiday: Callable[[date], bool] = lambda _day: False
    ) -> None:
        self.zone = zone
        self.holiday = holiday
        self.versions = tuple(sorted(versions, key=lambda version: version.valid_from_ms))
        self._starts = [version.valid_from_ms for version in self.versions]
        self._minutes = [_switch_minutes(version) for version in self.versions]

    @property
    def standard_offset_ms(self) -> int:
        """Offset of the estate's standard time from UTC; habits of households follow it all year."""
        winter = datetime(2026, 1, 1, tzinfo=self.zone)
        return int((winter.utcoffset() or timedelta()).total_seconds()) * 1000

    def civil(self, at_ms: int) -> datetime:
        """Aware civil time of the estate at world epoch milliseconds."""
        return (datetime.fromtimestamp(at_ms // 1000, UTC)).astimezone(self.zone)

    def civil_ms(self, civil: datetime) -> int:
        """World epoch milliseconds of a naive civil time."""
        return int(civil.replace(tzinfo=self.zone).timestamp()) * 1000

    def version_at(self, at_ms: int) -> PriceVersion:
        """The version in force; before the first one, the first one."""
        return self.versions[self._index(at_ms)]

    def rate_at(self, at_ms: int) -> int:
        """Rate 1..4 that counts at an instant."""
        civil = self.civil(at_ms)
        day = civil.date()
        return self.version_at(at_ms).rate_on(day, civil.hour * 60 + civil.minute, self.holiday(day))

    def next_switch_ms(self, after_ms: int) -> int | None:
        """First instant after `after_ms` at which the rate may change; None if it never will."""
        index = self._index(after_ms)
        following = self._starts[index + 1] if index + 1 < len(self._starts) else None
        minutes = self._minutes[index]
        if not minutes:
            return following
        switch_ms = self._next_minute_ms(minutes, after_ms)
        return switch_ms if following is None else min(switch_ms, following)

    def next_month_ms(self, after_ms: int) -> int:
        """First midnight after `after_ms` that begins a calendar month."""
        civil = self.civil(after_ms)
        first = datetime(civil.year + civil.month // 12, civil.month % 12 + 1, 1)  # noqa: DTZ001 (civil)
        return self.civil_ms(first)

    def tier_period_start_ms(self, at_ms: int) -> int | None:
        """Start of the tier period that holds an instant; None when tiers do not count in periods."""
        version = self.version_at(at_ms)
        if version.tier_period == "none":
            return None
        civil = self.civil(at_ms).replace(tzinfo=None)
        month, day = version.tier_start
        start = datetime(civil.year, civil.month if version.tier_period == "month" else month, day)  # noqa: DTZ001
        if start > civil:
            start = _one_period_back(start, version.tier_period)
        return self.civil_ms(start)

    def next_split_ms(self, after_ms: int) -> int:
        """First midnight after `after_ms` at which version, season or tier period may change."""
        candidates = [self.next_month_ms(after_ms)]
        candidates += [start for start in self._starts if start > after_ms][:1]
        candidates += self._tier_starts_after(after_ms)
        return min(candidates)

    def _tier_starts_after(self, after_ms: int) -> list[int]:
        version = self.version_at(after_ms)
        if version.tier_period == "none":
            return []
        year = self.civil(after_ms).year
        month, day = version.tier_start
        months = range(1, 13) if version.tier_period == "month" else (month,)
        starts = [self.civil_ms(datetime(y, m, day)) for y in (year, year + 1) for m in months]  # noqa: DTZ001
        return [start for start in starts if start > after_ms][:1]

    def _index(self, at_ms: int) -> int:
        return max(0, bisect_right(self._starts, at_ms) - 1)

    def _next_minute_ms(self, minutes: list[int], after_ms: int) -> int:
        midnight = self.civil(after_ms).replace(tzinfo=None, hour=0, minute=0, second=0)
        for day in (midnight, midnight + timedelta(days=1)):
            for minute in minutes:
                switch_ms = self.civil_ms(day + timedelta(minutes=minute))
                if switch_ms > after_ms:
                    return switch_ms
        raise AssertionError("a day later every minute has come")


def _switch_minutes(version: PriceVersion) -> list[int]:
    if version.kind == "single":
        return []
    edges = set().union(*(season.windows.edges() for season in version.seasons))
    midnight = {0} if len({season.windows for season in version.seasons}) > 1 else set()
    return sorted(edges | midnight)


def _one_period_back(start: datetime, tier_period: str) -> datetime:
    if tier_period == "year":
        return start.replace(year=start.year - 1)
    last_month = start.replace(day=1) - timedelta(days=1)
    return last_month.replace(day=start.day)
