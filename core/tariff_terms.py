"""What a tariff says: dated versions with rates, tiers, seasons and tier periods, and the guard G0.

Prices are integers of nanofen per Wh, limits integers of Wh, instants integers of epoch seconds. A tariff
that exists is a tariff that can be charged: every `Tariff` is validated when it is made, and what breaks a
rule raises `TariffError` naming the tariff, the place and the remedy. G0 keeps every product of the
deduction kernel inside 64 bits: prices are not negative, and the dearest price plus the sum of the tier
steps is at most 2^31 - 1 nanofen per Wh (21.47 yuan/kWh). Tiers that cost each rate differently are said
with `tier_prices_nf_per_wh` and need an order rule; such a version is charged the wide way only.

What is charged is what the meter's rate registers T1 to T4 count: the meter switches among them by its own program.
`registers` says which rate each of them counts, `windows` what the program is; only version, season, tier period and
settlement period are boundaries that split a charge.
"""

from dataclasses import dataclass
from datetime import date
from itertools import pairwise
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from core.errors import TariffError
from core.tariff_windows import DEEP, FLAT, NO_WINDOWS, PEAK, SHARP, VALLEY, Windows, check_windows

PRICE_MAX_NF_PER_WH = 2**31 - 1
LIMIT_MAX_WH = 2**53
VALID_FROM_MIN_S, VALID_FROM_MAX_S = -62_100_000_000, 253_300_000_000  # within the years 2 and 9996, in any zone
TIER_STEPS_MAX = 3
RATES = 4  # rate registers that are read of a meter: T1 to T4
SETTLEMENT_DAY_MAX = 28
ALL_MONTHS = tuple(range(1, 13))
REGISTERS = (SHARP, PEAK, FLAT, VALLEY)  # what T1 to T4 count unless a tariff says otherwise
KINDS = ("single", "tou")
TIER_PERIODS = ("month", "year", "none")
PROPORTIONAL, CHRONOLOGICAL = "proportional", "chronological"
ORDER_RULES = ("none", PROPORTIONAL, CHRONOLOGICAL)
DEFAULT_TIME_ZONE = "Asia/Shanghai"
Four = tuple[int, int, int, int]


@dataclass(frozen=True, slots=True)
class Prices:
    """What energy costs in one season, nanofen per Wh; prices by register T1 to T4, fields as in `TariffVersion`."""

    rate_prices_nf_per_wh: Four
    tier_steps_nf_per_wh: tuple[int, ...] = ()
    tier_prices_nf_per_wh: tuple[Four, ...] = ()

    @property
    def tier_count(self) -> int:
        """How many limits there are: one less than the tiers."""
        return len(self.tier_steps_nf_per_wh) or len(self.tier_prices_nf_per_wh)

    def tier_price_nf_per_wh(self, tier: int, register: int) -> int:
        """Price of a tier (0 is the first) at a register 1..4."""
        if tier and self.tier_prices_nf_per_wh:
            return self.tier_prices_nf_per_wh[tier - 1][register - 1]
        return self.rate_prices_nf_per_wh[register - 1] + sum(self.tier_steps_nf_per_wh[:tier])


@dataclass(frozen=True, slots=True)
class Season:
    """Months (1..12) with their own inclusive upper tier limits in Wh, one for each tier step.

    prices, registers, windows: the season's own, None for those of the version.
    """

    months: tuple[int, ...] = ALL_MONTHS
    tier_limits_wh: tuple[int, ...] = ()
    prices: Prices | None = None
    registers: Four | None = None
    windows: Windows | None = None


@dataclass(frozen=True, slots=True)
class TariffVersion:
    """Prices in force from `valid_from_s` (inclusive, epoch seconds) until the next version starts.

    rate_prices_nf_per_wh: tier-1 prices of the registers T1 to T4; a single price four times.
    tier_steps_nf_per_wh: the price difference at each limit, the same for every rate; or instead of it
    tier_prices_nf_per_wh: the four prices of each tier above the first, with an order rule that says which
    rate's energy crosses a limit (`core.tariff_order`); "proportional" shares over the settlement period,
    which begins on `settlement_day` (1..28) of each month.
    free_quota_wh: energy of each month that costs nothing; it fills the first tier unless `quota_fills_tier`
    is False, and then is not counted at all.
    levies_nf_per_wh: what of each price is levies; the prices contain it.
    tier_period_start: 'MMDD' for 'year', the day of the month 1..28 for 'month', ignored for 'none'.
    windows: of the days of a TOU tariff; empty where only the meter knows them.
    registers: the rate 1..5 (sharp, peak, flat, valley, deep valley) that each of T1 to T4 counts.
    """

    valid_from_s: int
    kind: str
    rate_prices_nf_per_wh: Four
    tier_steps_nf_per_wh: tuple[int, ...] = ()
    seasons: tuple[Season, ...] = (Season(),)
    tier_period: str = "none"
    tier_period_start: str | int = 1
    windows: Windows = NO_WINDOWS
    tier_prices_nf_per_wh: tuple[Four, ...] = ()
    order_rule: str = "none"
    settlement_day: int = 1
    free_quota_wh: int = 0
    quota_fills_tier: bool = True
    levies_nf_per_wh: int = 0
    registers: Four = REGISTERS

    def prices_in(self, season: Season) -> Prices:
        """What energy costs in one of the seasons."""
        own = Prices(self.rate_prices_nf_per_wh, self.tier_steps_nf_per_wh, self.tier_prices_nf_per_wh)
        return season.prices or own

    @property
    def tiers_by_rate(self) -> bool:
        """Whether the tiers of some season cost each rate differently, so that an order rule matters."""
        return any(self.prices_in(season).tier_prices_nf_per_wh for season in self.seasons)

    def windows_in(self, season: Season) -> Windows:
        """The windows of the days of one of the seasons."""
        return self.windows if season.windows is None else season.windows

    def registers_in(self, season: Season) -> Four:
        """The rate that each of T1 to T4 counts in one of the seasons."""
        return season.registers or self.registers

    def season_of(self, month: int) -> Season:
        """The season of a month 1..12."""
        return next(season for season in self.seasons if month in season.months)


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
    for season in version.seasons:
        _check_prices(version.prices_in(season), version.levies_nf_per_wh, where)
        _check_registers(version.registers_in(season), version.kind, where)
    _check_order(version, where)
    _check_quota(version, where)
    _check_seasons(version, where)
    _check_tier_period_start(version, where)
    check_windows(((version.windows_in(one), version.registers_in(one)) for one in version.seasons), where)


def _check_words(version: TariffVersion, where: str) -> None:
    if version.kind not in KINDS:
        raise _refuse(where, f"kind {version.kind!r} is unknown", f"use one of {', '.join(KINDS)}")
    if version.tier_period not in TIER_PERIODS:
        what = f"tier_period {version.tier_period!r} is unknown"
        raise _refuse(where, what, f"use one of {', '.join(TIER_PERIODS)}")
    tiers = max((version.prices_in(season).tier_count for season in version.seasons), default=0)
    if (version.tier_period == "none") != (not tiers and not version.free_quota_wh):
        what = f"tier_period is {version.tier_period!r} with {tiers} tier steps"
        raise _refuse(where, what, "tiers need a month or year to count over, and no tiers need 'none'")
    several = any(len(set(version.prices_in(season).rate_prices_nf_per_wh)) > 1 for season in version.seasons)
    if version.kind == "single" and (several or any(version.windows_in(one) != NO_WINDOWS for one in version.seasons)):
        raise _refuse(where, "a single price with several rates", "give one price and no periods, or kind 'tou'")


def _check_registers(registers: Four, kind: str, where: str) -> None:
    """Each register counts a rate of its own."""
    if registers == REGISTERS:
        return
    known = all(type(rate) is int and SHARP <= rate <= DEEP for rate in registers)
    if kind == "single" or not known or len(registers) != RATES or len(set(registers)) != RATES:
        remedy = "name four of sharp, peak, flat, valley and deep, each once, for a tariff of kind 'tou'"
        raise _refuse(where, f"registers {registers!r}", remedy)


def _check_prices(prices: Prices, levies_nf_per_wh: int, where: str) -> None:
    first, steps = prices.rate_prices_nf_per_wh, prices.tier_steps_nf_per_wh
    if len(first) != RATES or any(type(value) is not int for value in (*first, *steps)):
        raise _refuse(where, "prices and tier steps must be integers, four prices", "use nanofen per Wh")
    if len(steps) > TIER_STEPS_MAX:
        raise _refuse(where, f"{len(steps)} tier steps", f"at most {TIER_STEPS_MAX} are possible")
    if min(first) < 0:
        raise _refuse(where, f"a price of {min(first)} nanofen/Wh", "prices cannot be negative")
    if type(levies_nf_per_wh) is not int or not 0 <= levies_nf_per_wh <= min(first):
        what = f"levies of {levies_nf_per_wh!r} nanofen/Wh in a price of {min(first)}"
        raise _refuse(where, what, "prices contain the levies, so none is below them")
    if max(first) + sum(abs(step) for step in steps) > PRICE_MAX_NF_PER_WH:
        total = max(first) + sum(abs(step) for step in steps)
        what = f"the dearest price with all tier steps is {total} nanofen/Wh"
        raise _refuse(where, what, f"at most {PRICE_MAX_NF_PER_WH} (21.47 yuan/kWh) can be charged exactly")
    for count in range(1, len(steps) + 1):
        marginal = min(first) + sum(steps[:count])
        if marginal < 0:
            raise _refuse(where, f"tier {count + 1} costs {marginal} nanofen/Wh", "no tier may be negative")


def _check_order(version: TariffVersion, where: str) -> None:
    if version.order_rule not in ORDER_RULES:
        what = f"order_rule {version.order_rule!r} is unknown"
        raise _refuse(where, what, f"use one of {', '.join(ORDER_RULES)}")
    if type(version.settlement_day) is not int or not 1 <= version.settlement_day <= SETTLEMENT_DAY_MAX:
        raise _refuse(where, f"settlement_day {version.settlement_day!r}", f"use a day 1..{SETTLEMENT_DAY_MAX}")
    for season in version.seasons:
        _check_tier_prices(version, version.prices_in(season), where)


def _check_tier_prices(version: TariffVersion, prices: Prices, where: str) -> None:
    """Tiers that cost each rate differently: four prices a tier, an order rule, and a tariff by rates."""
    rows = prices.tier_prices_nf_per_wh
    if not rows:
        return
    if prices.tier_steps_nf_per_wh:
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
    tiers = max(version.prices_in(season).tier_count for season in version.seasons)
    if version.tier_period != "month" or tiers >= TIER_STEPS_MAX:
        what = f"a free quota with tier_period {version.tier_period!r} and {tiers} tier steps"
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
        limits, tiers = season.tier_limits_wh, version.prices_in(season).tier_count
        if len(limits) != tiers:
            what = f"{len(limits)} tier limits for {tiers} tier steps"
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
