"""What a tariff says: dated versions with rates, tiers, seasons and tier periods, and the guard G0.

Prices are integers of nanofen per Wh, limits integers of Wh, instants integers of epoch seconds. A tariff
that exists is a tariff that can be charged: every `Tariff` is validated when it is made, and what breaks a
rule raises `TariffError` naming the tariff, the place and the remedy. G0 keeps every product of the
deduction kernel inside 64 bits: prices are not negative, and the dearest price plus the sum of the tier
steps is at most 2^31 - 1 nanofen per Wh (21.47 yuan/kWh). Tiers that cost each rate differently are said
with `tier_prices_nf_per_wh` and need an order rule; such a version is charged the wide way only.
"""

from dataclasses import dataclass
from datetime import date
from itertools import pairwise
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from core.errors import CoreError

PRICE_MAX_NF_PER_WH = 2**31 - 1
LIMIT_MAX_WH = 2**53
VALID_FROM_MIN_S, VALID_FROM_MAX_S = -62_100_000_000, 253_300_000_000  # within the years 2 and 9996, in any zone
TIER_STEPS_MAX = 3
RATES = 4
DAY_MINUTES = 1440
SETTLEMENT_DAY_MAX = 28
ALL_MONTHS = tuple(range(1, 13))
SHARP, PEAK, FLAT, VALLEY = 1, 2, 3, 4
KINDS = ("single", "tou")
TIER_PERIODS = ("month", "year", "none")
PROPORTIONAL, CHRONOLOGICAL = "proportional", "chronological"
ORDER_RULES = ("none", PROPORTIONAL, CHRONOLOGICAL)
DEFAULT_TIME_ZONE = "Asia/Shanghai"


class TariffError(CoreError):
    """A tariff that must not be used (ours): says what is wrong, where, and what to do."""


@dataclass(frozen=True, slots=True)
class Period:
    """A time window of every day, [start_minute, end_minute) in minutes after local midnight, with its rate 1..4."""

    start_minute: int
    end_minute: int
    rate: int


@dataclass(frozen=True, slots=True)
class Season:
    """Months (1..12) with their own inclusive upper tier limits in Wh, one for each tier step."""

    months: tuple[int, ...] = ALL_MONTHS
    tier_limits_wh: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class TariffVersion:
    """Prices in force from `valid_from_s` (inclusive, epoch seconds) until the next version starts.

    rate_prices_nf_per_wh: tier-1 prices of the rates sharp, peak, flat, valley; a single price four times.
    tier_steps_nf_per_wh: the price difference at each limit, the same for every rate; or instead of it
    tier_prices_nf_per_wh: the four prices of each tier above the first, with an order rule that says which
    rate's energy crosses a limit (`core.tariff_order`); "proportional" shares over the settlement period,
    which begins on `settlement_day` (1..28) of each month.
    free_quota_wh: energy of each month that costs nothing; it fills the first tier unless `quota_fills_tier`
    is False, and then is not counted at all.
    levies_nf_per_wh: what of each price is levies; the prices contain it.
    tier_period_start: 'MMDD' for 'year', the day of the month 1..28 for 'month', ignored for 'none'.
    periods: the windows of a TOU tariff, covering the day, or () where only the meter knows them.
    """

    valid_from_s: int
    kind: str
    rate_prices_nf_per_wh: tuple[int, int, int, int]
    tier_steps_nf_per_wh: tuple[int, ...] = ()
    seasons: tuple[Season, ...] = (Season(),)
    tier_period: str = "none"
    tier_period_start: str | int = 1
    periods: tuple[Period, ...] = ()
    tier_prices_nf_per_wh: tuple[tuple[int, int, int, int], ...] = ()
    order_rule: str = "none"
    settlement_day: int = 1
    free_quota_wh: int = 0
    quota_fills_tier: bool = True
    levies_nf_per_wh: int = 0

    @property
    def tier_count(self) -> int:
        """How many limits each season has: one less than the tiers."""
        return len(self.tier_steps_nf_per_wh) or len(self.tier_prices_nf_per_wh)

    def tier_price_nf_per_wh(self, tier: int, rate: int) -> int:
        """Price of a tier (0 is the first) at a rate 1..4."""
        if tier and self.tier_prices_nf_per_wh:
            return self.tier_prices_nf_per_wh[tier - 1][rate - 1]
        return self.rate_prices_nf_per_wh[rate - 1] + sum(self.tier_steps_nf_per_wh[:tier])


@dataclass(frozen=True, slots=True)
class Tariff:
    """A tariff with its versions in ascending order; validated when made (`TariffError`)."""

    tariff_id: str
    name: str
    time_zone: str
    versions: tuple[TariffVersion, ...]

    def __post_init__(self) -> None:
        validate(self)


def _refuse(where: str, what: str, remedy: str) -> TariffError:
    return TariffError(f"{where}: {what}; {remedy}")


def zone_of(name: str, where: str) -> ZoneInfo:
    """The time zone of a name; `TariffError` when there is none."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as unknown:
        raise _refuse(where, f"unknown time zone {name!r}", "use an IANA name such as Asia/Shanghai") from unknown


def validate(tariff: Tariff) -> None:
    """Check the whole tariff, guard G0 included; `TariffError` at the first thing that is wrong."""
    where = f"tariff {tariff.tariff_id!r}"
    zone_of(tariff.time_zone, where)
    if not tariff.versions:
        raise _refuse(where, "it has no version", "add at least one")
    for number, version in enumerate(tariff.versions):
        validate_version(version, f"{where}, version {number + 1}")
        if number and version.valid_from_s <= tariff.versions[number - 1].valid_from_s:
            what = f"version {number + 1} does not start after version {number}"
            raise _refuse(where, what, "list the versions by ascending start")


def validate_version(version: TariffVersion, where: str = "tariff version") -> None:
    """Check one version, guard G0 included; `where` opens the message of the `TariffError`."""
    start_s = version.valid_from_s
    if type(start_s) is not int or not VALID_FROM_MIN_S <= start_s <= VALID_FROM_MAX_S:
        raise _refuse(where, f"valid_from_s = {start_s!r}", f"give {VALID_FROM_MIN_S}..{VALID_FROM_MAX_S} seconds")
    _check_words(version, where)
    _check_prices(version, where)
    _check_order(version, where)
    _check_quota(version, where)
    _check_seasons(version, where)
    _check_tier_period_start(version, where)
    if version.periods:
        _check_periods(version.periods, where)


def _check_words(version: TariffVersion, where: str) -> None:
    if version.kind not in KINDS:
        raise _refuse(where, f"kind {version.kind!r} is unknown", f"use one of {', '.join(KINDS)}")
    if version.tier_period not in TIER_PERIODS:
        what = f"tier_period {version.tier_period!r} is unknown"
        raise _refuse(where, what, f"use one of {', '.join(TIER_PERIODS)}")
    if (version.tier_period == "none") != (not version.tier_count and not version.free_quota_wh):
        what = f"tier_period is {version.tier_period!r} with {version.tier_count} tier steps"
        raise _refuse(where, what, "tiers need a month or year to count over, and no tiers need 'none'")
    if version.kind == "single" and (len(set(version.rate_prices_nf_per_wh)) > 1 or version.periods):
        raise _refuse(where, "a single price with several rates", "give one price and no periods, or kind 'tou'")


def _check_prices(version: TariffVersion, where: str) -> None:
    prices, steps = version.rate_prices_nf_per_wh, version.tier_steps_nf_per_wh
    if len(prices) != RATES or any(type(value) is not int for value in (*prices, *steps)):
        raise _refuse(where, "prices and tier steps must be integers, four prices", "use nanofen per Wh")
    if len(steps) > TIER_STEPS_MAX:
        raise _refuse(where, f"{len(steps)} tier steps", f"at most {TIER_STEPS_MAX} are possible")
    if min(prices) < 0:
        raise _refuse(where, f"a price of {min(prices)} nanofen/Wh", "prices cannot be negative")
    if type(version.levies_nf_per_wh) is not int or not 0 <= version.levies_nf_per_wh <= min(prices):
        what = f"levies of {version.levies_nf_per_wh!r} nanofen/Wh in a price of {min(prices)}"
        raise _refuse(where, what, "prices contain the levies, so none is below them")
    if max(prices) + sum(abs(step) for step in steps) > PRICE_MAX_NF_PER_WH:
        total = max(prices) + sum(abs(step) for step in steps)
        what = f"the dearest price with all tier steps is {total} nanofen/Wh"
        raise _refuse(where, what, f"at most {PRICE_MAX_NF_PER_WH} (21.47 yuan/kWh) can be charged exactly")
    for count in range(1, len(steps) + 1):
        marginal = min(prices) + sum(steps[:count])
        if marginal < 0:
            raise _refuse(where, f"tier {count + 1} costs {marginal} nanofen/Wh", "no tier may be negative")


def _check_order(version: TariffVersion, where: str) -> None:
    """Tiers that cost each rate differently: four prices a tier, an order rule, and a tariff by rates."""
    rows = version.tier_prices_nf_per_wh
    if version.order_rule not in ORDER_RULES:
        what = f"order_rule {version.order_rule!r} is unknown"
        raise _refuse(where, what, f"use one of {', '.join(ORDER_RULES)}")
    if type(version.settlement_day) is not int or not 1 <= version.settlement_day <= SETTLEMENT_DAY_MAX:
        raise _refuse(where, f"settlement_day {version.settlement_day!r}", f"use a day 1..{SETTLEMENT_DAY_MAX}")
    if not rows:
        return
    if version.tier_steps_nf_per_wh:
        raise _refuse(where, "both tier steps and tier prices", "give one of them")
    if version.kind != "tou" or version.order_rule == "none":
        remedy = "use kind 'tou' and the order_rule of the price list, proportional or chronological"
        raise _refuse(where, f"tier prices by rate, kind {version.kind!r}, order_rule {version.order_rule!r}", remedy)
    if any(len(row) != RATES or any(type(price) is not int for price in row) for row in rows):
        raise _refuse(where, "tier prices must be integers, four in each tier", "use nanofen per Wh")
    if any(not 0 <= price <= PRICE_MAX_NF_PER_WH for row in rows for price in row):
        raise _refuse(where, f"tier prices {rows}", f"prices are 0..{PRICE_MAX_NF_PER_WH} nanofen/Wh")


def _check_quota(version: TariffVersion, where: str) -> None:
    quota_wh = version.free_quota_wh
    if type(quota_wh) is not int or not 0 <= quota_wh <= LIMIT_MAX_WH:
        raise _refuse(where, f"free_quota_wh = {quota_wh!r}", "give Wh, 0 for none")
    if not quota_wh:
        return
    if version.kind != "single":
        raise _refuse(where, "a free quota with several rates", "no rule says which rate it frees: use a single price")
    if version.tier_period != "month" or version.tier_count >= TIER_STEPS_MAX:
        what = f"a free quota with tier_period {version.tier_period!r} and {version.tier_count} tier steps"
        raise _refuse(where, what, f"it counts by the month, beside at most {TIER_STEPS_MAX - 1} tier steps")
    first_wh = min((season.tier_limits_wh[0] for season in version.seasons if season.tier_limits_wh), default=quota_wh)
    if version.quota_fills_tier and quota_wh > first_wh:
        raise _refuse(where, f"a free quota of {quota_wh} Wh beyond the first limit", f"at most {first_wh} Wh fit")
    last_wh = max((season.tier_limits_wh[-1] for season in version.seasons if season.tier_limits_wh), default=0)
    if not version.quota_fills_tier and quota_wh + last_wh > LIMIT_MAX_WH:
        what = f"a free quota of {quota_wh} Wh before a limit of {last_wh} Wh"
        raise _refuse(where, what, f"together at most {LIMIT_MAX_WH} Wh can be counted")


def _check_seasons(version: TariffVersion, where: str) -> None:
    months = sorted(month for season in version.seasons for month in season.months)
    if months != list(ALL_MONTHS):
        raise _refuse(where, f"the seasons name the months {months}", "name each month 1..12 exactly once")
    for season in version.seasons:
        limits = season.tier_limits_wh
        if len(limits) != version.tier_count:
            what = f"{len(limits)} tier limits for {version.tier_count} tier steps"
            raise _refuse(where, what, "each limit has its step")
        if any(type(limit) is not int or not 0 < limit <= LIMIT_MAX_WH for limit in limits):
            raise _refuse(where, f"tier limits {limits}", "limits are positive integers of Wh")
        if any(lower >= upper for lower, upper in pairwise(limits)):
            raise _refuse(where, f"tier limits {limits} do not ascend", "list them from the lowest")


def _check_tier_period_start(version: TariffVersion, where: str) -> None:
    start = version.tier_period_start
    if version.tier_period == "month" and not (type(start) is int and 1 <= start <= SETTLEMENT_DAY_MAX):
        raise _refuse(where, f"tier_period_start {start!r} of a month", f"use a day 1..{SETTLEMENT_DAY_MAX}")
    if version.tier_period == "year":
        try:
            if not isinstance(start, str) or len(start) != len("MMDD") or not (start.isascii() and start.isdecimal()):
                raise ValueError(start)
            date(2001, int(start[:2]), int(start[2:]))
        except ValueError as bad:
            what = f"tier_period_start {start!r} of a year"
            raise _refuse(where, what, "use a day of every year as 'MMDD', such as '0101'") from bad


def _check_periods(periods: tuple[Period, ...], where: str) -> None:
    expected = 0
    for period in sorted(periods, key=lambda period: period.start_minute):
        if period.start_minute != expected or period.end_minute <= period.start_minute:
            what = f"the periods leave or share minute {min(expected, period.start_minute)} of the day"
            raise _refuse(where, what, "cover 00:00 to 24:00 without gap or overlap")
        if not 1 <= period.rate <= RATES:
            raise _refuse(where, f"rate {period.rate} of a period", "rates are 1 sharp, 2 peak, 3 flat, 4 valley")
        expected = period.end_minute
    if expected != DAY_MINUTES:
        raise _refuse(where, f"the periods end at minute {expected}", "cover 00:00 to 24:00")
