"""Windows of the day: which rate counts when, on workdays, weekends and statutory holidays.

A meter switches its rate registers by its own program (day tables, weekday word, holidays and year zones of DL/T 645),
and what the registers count is what is charged. Windows tell the same program to people, previews and simulated
meters; they charge nothing. Days without windows of their own are as workdays, a holiday as its day of the week. The
limits are those of a meter's tables: 14 windows in a day, 8 different days.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import date

from core.errors import TariffError

SHARP, PEAK, FLAT, VALLEY, DEEP = 1, 2, 3, 4, 5
RATE_NAMES = ("sharp", "peak", "flat", "valley", "deep")
WORKDAY, WEEKEND, HOLIDAY = "workday", "weekend", "holiday"
DAY_KINDS = (WORKDAY, WEEKEND, HOLIDAY)
DAY_MINUTES = 1440
PERIODS_MAX = 14
DAY_TABLES_MAX = 8
_SATURDAY = 5

DayKindOf = Callable[[date], str]


@dataclass(frozen=True, slots=True)
class Period:
    """A time window of the day, [start_minute, end_minute) in minutes after local midnight, with its rate 1..5."""

    start_minute: int
    end_minute: int
    rate: int


@dataclass(frozen=True, slots=True)
class Windows:
    """The windows of each kind of day, each covering the day; () where a kind has none of its own."""

    workday: tuple[Period, ...] = ()
    weekend: tuple[Period, ...] = ()
    holiday: tuple[Period, ...] = ()

    def on(self, day: date, kind: str) -> tuple[Period, ...]:
        """The windows of a day of this kind; () where only the meter knows them."""
        if kind == HOLIDAY and not self.holiday:
            kind = week_kind(day)
        return {WEEKEND: self.weekend, HOLIDAY: self.holiday}.get(kind) or self.workday

    def each(self) -> dict[str, tuple[Period, ...]]:
        """The windows that are given, by kind of day."""
        given = zip(DAY_KINDS, (self.workday, self.weekend, self.holiday), strict=True)
        return {kind: periods for kind, periods in given if periods}


NO_WINDOWS = Windows()
"""Only the meter knows when which rate counts."""


def week_kind(day: date) -> str:
    """The kind of a day where no calendar is known: its day of the week."""
    return WEEKEND if day.weekday() >= _SATURDAY else WORKDAY


def rate_of(periods: Iterable[Period], minute: int) -> int | None:
    """The rate 1..5 that counts in a minute of the day; None outside all windows."""
    return next((one.rate for one in periods if one.start_minute <= minute < one.end_minute), None)


def check_windows(all_windows: Iterable[tuple[Windows, tuple[int, ...]]], where: str) -> None:
    """Check the windows of all seasons, each with the rates that registers count; `TariffError` names what is wrong."""
    seen, empty = set(), False
    for windows, rates in all_windows:
        given = windows.each()
        if given and not windows.workday:
            raise TariffError(f"{where}: windows of {' and '.join(given)} without those of a workday; give periods too")
        empty |= not given
        for kind, periods in given.items():
            check_periods(periods, rates, where if kind == WORKDAY else f"{where}, {kind}")
        seen |= set(given.values())
    if seen and empty:
        raise TariffError(
            f"{where}: a season lists no periods while another does; list those of all seasons or of none"
        )
    if len(seen) > DAY_TABLES_MAX:
        what = f"{len(seen)} different days of windows"
        raise TariffError(
            f"{where}: {what}; a meter keeps at most {DAY_TABLES_MAX} day tables, so let some be the same"
        )


def check_periods(periods: tuple[Period, ...], rates: tuple[int, ...], where: str) -> None:
    """Check the windows of one day: no gap, no overlap, rates that a register counts; `TariffError`."""
    expected = 0
    ordered = sorted(periods, key=lambda period: period.start_minute)
    for period in ordered:
        if period.start_minute != expected or period.end_minute <= period.start_minute:
            what = f"the periods leave or share minute {min(expected, period.start_minute)} of the day"
            raise TariffError(f"{where}: {what}; cover 00:00 to 24:00 without gap or overlap")
        if not 1 <= period.rate <= len(RATE_NAMES):
            names = ", ".join(f"{number} {name}" for number, name in enumerate(RATE_NAMES, 1))
            raise TariffError(f"{where}: rate {period.rate} of a period; rates are {names}")
        if period.rate not in rates:
            name = RATE_NAMES[period.rate - 1]
            counted = ", ".join(RATE_NAMES[rate - 1] for rate in rates)
            what = f"a period of the rate {name!r}, which no register counts ({counted})"
            raise TariffError(f"{where}: {what}; name it in registers, or use one of these")
        expected = period.end_minute
    if expected != DAY_MINUTES:
        raise TariffError(f"{where}: the periods end at minute {expected}; cover 00:00 to 24:00")
    if switch_count(ordered) > PERIODS_MAX:
        what = f"{switch_count(ordered)} periods in a day"
        raise TariffError(f"{where}: {what}; a meter's day table holds at most {PERIODS_MAX}")


def switch_count(periods: Iterable[Period]) -> int:
    """How many windows a day has; one over midnight counts once, and neighbours of one rate are one window."""
    rates = [period.rate for period in periods]
    return max(1, sum(rate != rates[place - 1] for place, rate in enumerate(rates)))
