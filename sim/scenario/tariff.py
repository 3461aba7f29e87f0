"""Reading the [tariff] table of a scenario into the simulator's own calendar and exact prices.

The table has the shape that the head-end accepts too: id, name, time_zone and versions (or the keys of the
only version directly). Prices are integers of nanofen per Wh or decimal text in yuan per kWh, which is read
as a fraction; floats are refused. The code is apart from the head-end's, because the simulator judges it.
"""

from dataclasses import replace
from datetime import datetime
from fractions import Fraction
from itertools import accumulate
from typing import Any
from zoneinfo import ZoneInfo

from sim.rates import DayWindows, PriceVersion, RateCalendar, SeasonTerms, Window
from sim.scenario.holidays import EPOCH_DAY, NO_HOLIDAYS, Holidays
from sim.scenario.section import Section
from sim.timing.spans import DAY_MINUTES

STEPS, STEPS_NF = "tier_steps", "tier_steps_nf_per_wh"
RATES = ("sharp", "peak", "flat", "valley", "deep")
REGISTERS = RATES[:4]
PRICE_KEYS = ("price", "price_nf_per_wh", "prices", "rate_prices_nf_per_wh")
NF_PER_WH_OF_YUAN_PER_KWH = 10**8
ALL_MONTHS = tuple(range(1, 13))
PRICE_MAX = 2**31 - 1
DEFAULT_VALID_FROM = "2020-01-01"
YUAN_TEXT = 'text in yuan per kWh, such as "0.4883"'


def read_calendar(section: Section, zone: ZoneInfo, holidays: Holidays = NO_HOLIDAYS) -> RateCalendar:
    """Read the [tariff] table; ScenarioError names key and allowed values."""
    section.raw("id")
    section.raw("name")
    section.raw("time_zone")
    tables = section.sections("versions") if section.has("versions") else [section]
    versions = tuple(_version(table, zone) for table in tables)
    section.finish()
    if not versions:
        raise section.wrong("versions", "at least one table")
    return RateCalendar(zone, versions, lambda day: holidays.number_of(day.toordinal() - EPOCH_DAY) >= 0)


def _version(section: Section, zone: ZoneInfo) -> PriceVersion:
    registers = _registers(section, REGISTERS)
    prices, single, price_key = _prices(section, registers)
    if min(prices) < 0:
        raise section.wrong(price_key, "prices of 0 or above")
    kind = section.choice("kind", ("single", "tou"), "single" if single else "tou")
    steps = _steps(section)
    _check_steps(section, prices, steps)
    period = section.choice("tier_period", ("month", "year", "none"), "none")
    whole_year = SeasonTerms(ALL_MONTHS, (), prices, steps, _days(section, registers))
    version = PriceVersion(
        valid_from_ms=_valid_from_ms(section, zone),
        kind=kind,
        prices=prices,
        seasons=_seasons(section, whole_year, registers),
        tier_period=period,
        tier_start=_tier_start(section, period),
    )
    if kind == "tou" and not all(_covers_days(season.windows) for season in version.seasons):
        raise section.wrong("periods", 'tables {from="08:00", to="22:00", rate="peak"} that cover the whole day')
    section.finish()
    return version


def _registers(section: Section, default: tuple[str, ...]) -> tuple[str, ...]:
    """The names of the rates that the registers 1 to 4 count."""
    value = section.raw("registers", list(default))
    if not isinstance(value, list) or len(value) != len(REGISTERS) or not set(value) <= set(RATES):
        raise section.wrong("registers", f"four of {', '.join(RATES)}, one for each register")
    if len(set(value)) != len(value):
        raise section.wrong("registers", "each rate once")
    return tuple(value)


def _check_steps(section: Section, prices: tuple[Fraction, ...], steps: tuple[Fraction, ...]) -> None:
    if min(accumulate(steps, initial=min(prices))) < 0:
        key = STEPS_NF if section.has(STEPS_NF) else STEPS
        raise section.wrong(key, "differences that leave every price at 0 or above")


def _prices(section: Section, registers: tuple[str, ...]) -> tuple[tuple[Fraction, ...], bool, str]:
    """The four prices, whether one key gives them all at once, and that key."""
    given = [key for key in PRICE_KEYS if section.has(key)]
    if len(given) != 1:
        raise section.wrong(given[0] if given else PRICE_KEYS[0], f"exactly one of {', '.join(PRICE_KEYS)}")
    key = given[0]
    value = section.raw(key)
    if key == "price":
        return (_yuan(section, key, value),) * 4, True, key
    if key == "price_nf_per_wh":
        return (_nanofen(section, key, value),) * 4, True, key
    if key == "rate_prices_nf_per_wh":
        if not isinstance(value, list) or len(value) != len(REGISTERS):
            raise section.wrong(key, f"four integers of nanofen per Wh for {', '.join(registers)}")
        return tuple(_nanofen(section, key, item) for item in value), False, key
    return _named_prices(section, value, registers), False, key


def _named_prices(section: Section, value: object, registers: tuple[str, ...]) -> tuple[Fraction, ...]:
    if not isinstance(value, dict) or not value or not set(value) <= set(registers):
        raise section.wrong("prices", f"a table of {', '.join(registers)} with {YUAN_TEXT}")
    given = {name: _yuan(section, "prices", text) for name, text in value.items()}
    default = given.get("flat", given.get("peak"))
    if default is None:
        raise section.wrong("prices", "at least flat or peak")
    return tuple(given.get(name, default) for name in registers)


def _steps(section: Section) -> tuple[Fraction, ...]:
    key = STEPS_NF if section.has(STEPS_NF) else STEPS
    value = section.raw(key, [])
    if not isinstance(value, list) or len(value) > 3:
        raise section.wrong(key, "a list of at most three price differences")
    read = _yuan if key == STEPS else _nanofen
    return tuple(read(section, key, item) for item in value)


def _seasons(section: Section, whole_year: SeasonTerms, registers: tuple[str, ...]) -> tuple[SeasonTerms, ...]:
    if section.has("seasons"):
        seasons = [_season(table, whole_year, registers) for table in section.sections("seasons")]
    else:
        seasons = [replace(whole_year, limits_wh=section.wholes("tier_limits_wh", 0, 2**53))]
    for season in seasons:
        steps, limits_wh = len(season.steps), list(season.limits_wh)
        if len(limits_wh) != steps or limits_wh != sorted(set(limits_wh)):
            raise section.wrong("tier_limits_wh", f"{steps} ascending limits in Wh, one for each tier step")
    if sorted(month for season in seasons for month in season.months) != list(ALL_MONTHS):
        raise section.wrong("seasons", "every month 1 to 12 in exactly one season")
    return tuple(seasons)


def _season(table: Section, whole_year: SeasonTerms, registers: tuple[str, ...]) -> SeasonTerms:
    """A season: what it does not say of its own is as in the whole year."""
    registers = _registers(table, registers)
    months, limits = table.wholes("months", 1, 12), table.wholes("tier_limits_wh", 0, 2**53)
    prices, steps, windows = whole_year.prices, whole_year.steps, whole_year.windows
    if any(table.has(key) for key in PRICE_KEYS):
        prices = _prices(table, registers)[0]
        if min(prices) < 0:
            raise table.wrong("prices", "prices of 0 or above")
    if table.has(STEPS) or table.has(STEPS_NF):
        steps = _steps(table)
    _check_steps(table, prices, steps)
    if table.has("periods"):
        windows = _days(table, registers)
    table.finish()
    return SeasonTerms(months, limits, prices, steps, windows)


def _days(section: Section, registers: tuple[str, ...]) -> DayWindows:
    """Windows of workdays, weekends and holidays."""
    keys = ("periods", "weekend_periods", "holiday_periods")
    workday, weekend, holiday = (tuple(_window(table, registers) for table in section.sections(key)) for key in keys)
    return DayWindows(workday, weekend, holiday)


def _tier_start(section: Section, period: str) -> tuple[int, int]:
    """Month and day at which a tier period begins; the month counts for years only."""
    value: Any = section.raw("tier_period_start", "0101" if period == "year" else 1)
    if period == "year":
        if isinstance(value, str) and len(value) == 4 and value.isdecimal():
            month, day = int(value[:2]), int(value[2:])
            if 1 <= month <= 12 and 1 <= day <= 28:
                return month, day
        raise section.wrong("tier_period_start", 'month and day as "MMDD", day 01 to 28')
    if isinstance(value, int) and 1 <= value <= 28:
        return 1, value
    raise section.wrong("tier_period_start", "a day of the month from 1 to 28")


def _valid_from_ms(section: Section, zone: ZoneInfo) -> int:
    if section.has("valid_from_s"):
        return section.whole("valid_from_s", 0, 2**40) * 1000
    value = section.raw("valid_from", DEFAULT_VALID_FROM)
    try:
        moment = datetime.fromisoformat(str(value))
    except ValueError as error:
        raise section.wrong("valid_from", "a date or an instant in ISO 8601") from error
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=zone)
    return int(moment.timestamp()) * 1000


def _window(section: Section, registers: tuple[str, ...]) -> Window:
    start, end = (_minute(section, key) for key in ("from", "to"))
    rate = registers.index(section.choice("rate", registers)) + 1
    section.finish()
    return Window(start, end, rate)


def _minute(section: Section, key: str) -> int:
    hour, _, minute = section.text(key).partition(":")
    if len(hour) == len(minute) == 2 and hour.isdecimal() and minute.isdecimal() and int(minute) < 60:
        total = int(hour) * 60 + int(minute)
        if total <= DAY_MINUTES:
            return total
    raise section.wrong(key, 'a time of the day from "00:00" to "24:00"')


def _covers_days(windows: DayWindows) -> bool:
    return all(
        _covers_day(day) for day in (windows.workday, windows.weekend, windows.holiday) if day or day is windows.workday
    )


def _covers_day(windows: tuple[Window, ...]) -> bool:
    return all(sum(w.holds(minute) for w in windows) == 1 for minute in range(DAY_MINUTES))


def _yuan(section: Section, key: str, value: object) -> Fraction:
    if isinstance(value, str):
        try:
            price = Fraction(value) * NF_PER_WH_OF_YUAN_PER_KWH
        except (ValueError, ZeroDivisionError) as error:
            raise section.wrong(key, YUAN_TEXT) from error
        if abs(price) <= PRICE_MAX and price.denominator == 1:
            return price
    raise section.wrong(key, f"{YUAN_TEXT}, at most eight decimals")


def _nanofen(section: Section, key: str, value: object) -> Fraction:
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) <= PRICE_MAX:
        return Fraction(value)
    raise section.wrong(key, f"an integer of nanofen per Wh up to {PRICE_MAX}")
