"""Reading the [tariff] table of a scenario into the simulator's own calendar and exact prices.

The table has the shape that the head-end accepts too: id, name, time_zone and versions (or the keys of the
only version directly). Prices are integers of nanofen per Wh or decimal text in yuan per kWh, which is read
as a fraction; floats are refused. The code is apart from the head-end's, because the simulator judges it.
"""

from datetime import datetime
from fractions import Fraction
from itertools import accumulate
from typing import Any
from zoneinfo import ZoneInfo

from sim.rates import PriceVersion, RateCalendar, SeasonTiers, Window
from sim.scenario.section import Section
from sim.timing.spans import DAY_MINUTES

STEPS, STEPS_NF = "tier_steps", "tier_steps_nf_per_wh"
RATES = ("sharp", "peak", "flat", "valley")
NF_PER_WH_OF_YUAN_PER_KWH = 10**8
ALL_MONTHS = tuple(range(1, 13))
PRICE_MAX = 2**31 - 1
DEFAULT_VALID_FROM = "2020-01-01"
YUAN_TEXT = 'text in yuan per kWh, such as "0.4883"'


def read_calendar(section: Section, zone: ZoneInfo) -> RateCalendar:
    """Read the [tariff] table; ScenarioError names key and allowed values."""
    section.raw("id")
    section.raw("name")
    section.raw("time_zone")
    tables = section.sections("versions") if section.has("versions") else [section]
    versions = tuple(_version(table, zone) for table in tables)
    section.finish()
    if not versions:
        raise section.wrong("versions", "at least one table")
    return RateCalendar(zone, versions)


def _version(section: Section, zone: ZoneInfo) -> PriceVersion:
    prices, single, price_key = _prices(section)
    if min(prices) < 0:
        raise section.wrong(price_key, "prices of 0 or above")
    kind = section.choice("kind", ("single", "tou"), "single" if single else "tou")
    steps = _steps(section)
    if min(accumulate(steps, initial=min(prices))) < 0:
        raise section.wrong(
            STEPS_NF if section.has(STEPS_NF) else STEPS, "differences that leave every price at 0 or above"
        )
    period = section.choice("tier_period", ("month", "year", "none"), "none")
    version = PriceVersion(
        valid_from_ms=_valid_from_ms(section, zone),
        kind=kind,
        prices=prices,
        steps=steps,
        seasons=_seasons(section, len(steps)),
        tier_period=period,
        tier_start=_tier_start(section, period),
        windows=tuple(_window(table) for table in section.sections("periods")),
    )
    if kind == "tou" and not _covers_day(version.windows):
        raise section.wrong("periods", 'tables {from="08:00", to="22:00", rate="peak"} that cover the whole day')
    section.finish()
    return version


def _prices(section: Section) -> tuple[tuple[Fraction, ...], bool, str]:
    """The four prices, whether one key gives them all at once, and that key."""
    keys = ("price", "price_nf_per_wh", "prices", "rate_prices_nf_per_wh")
    given = [key for key in keys if section.has(key)]
    if len(given) != 1:
        raise section.wrong(given[0] if given else keys[0], f"exactly one of {', '.join(keys)}")
    key = given[0]
    value = section.raw(key)
    if key == "price":
        return (_yuan(section, key, value),) * 4, True, key
    if key == "price_nf_per_wh":
        return (_nanofen(section, key, value),) * 4, True, key
    if key == "rate_prices_nf_per_wh":
        if not isinstance(value, list) or len(value) != len(RATES):
            raise section.wrong(key, f"four integers of nanofen per Wh for {', '.join(RATES)}")
        return tuple(_nanofen(section, key, item) for item in value), False, key
    return _named_prices(section, value), False, key


def _named_prices(section: Section, value: object) -> tuple[Fraction, ...]:
    if not isinstance(value, dict) or not value or not set(value) <= set(RATES):
        raise section.wrong("prices", f"a table of {', '.join(RATES)} with {YUAN_TEXT}")
    given = {name: _yuan(section, "prices", text) for name, text in value.items()}
    default = given.get("flat", given.get("peak"))
    if default is None:
        raise section.wrong("prices", "at least flat or peak")
    return tuple(given.get(name, default) for name in RATES)


def _steps(section: Section) -> tuple[Fraction, ...]:
    key = STEPS_NF if section.has(STEPS_NF) else STEPS
    value = section.raw(key, [])
    if not isinstance(value, list) or len(value) > 3:
        raise section.wrong(key, "a list of at most three price differences")
    read = _yuan if key == STEPS else _nanofen
    return tuple(read(section, key, item) for item in value)


def _seasons(section: Section, steps: int) -> tuple[SeasonTiers, ...]:
    if section.has("seasons"):
        seasons = []
        for table in section.sections("seasons"):
            months, limits = table.wholes("months", 1, 12), table.wholes("tier_limits_wh", 0, 2**53)
            table.finish()
            seasons.append(SeasonTiers(months, limits))
    else:
        seasons = [SeasonTiers(ALL_MONTHS, section.wholes("tier_limits_wh", 0, 2**53))]
    for season in seasons:
        if len(season.limits_wh) != steps or list(season.limits_wh) != sorted(set(season.limits_wh)):
            raise section.wrong("tier_limits_wh", f"{steps} ascending limits in Wh, one for each tier step")
    if sorted(month for season in seasons for month in season.months) != list(ALL_MONTHS):
        raise section.wrong("seasons", "every month 1 to 12 in exactly one season")
    return tuple(seasons)


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


def _window(section: Section) -> Window:
    start, end = (_minute(section, key) for key in ("from", "to"))
    rate = RATES.index(section.choice("rate", RATES)) + 1
    section.finish()
    return Window(start, end, rate)


def _minute(section: Section, key: str) -> int:
    hour, _, minute = section.text(key).partition(":")
    if len(hour) == len(minute) == 2 and hour.isdecimal() and minute.isdecimal() and int(minute) < 60:
        total = int(hour) * 60 + int(minute)
        if total <= DAY_MINUTES:
            return total
    raise section.wrong(key, 'a time of the day from "00:00" to "24:00"')


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
