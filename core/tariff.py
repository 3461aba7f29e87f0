"""Tariffs in use: which version, season and tier period hold at an instant, and the kernel's rows.

Instants are epoch seconds; calendar rules (season months, settlement days, windows of the day) hold in
the tariff's time zone. A step that crosses a boundary must be split by the caller at the reading taken on
it (`next_boundary_s`); the two calls telescope, so the sum is exact (R22-R24 of the tariff rules).
`charge_exact` is the wide way: the kernel's formula in Python integers, for rows that are too large for it;
`core.tariff_order.charge_step` charges every tariff, those included that have no row.
"""

import struct
from collections.abc import Iterable, Sequence
from datetime import MAXYEAR, MINYEAR, UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

from core.errors import TariffError
from core.tariff_dict import tariff_from_dict, tariff_to_dict
from core.tariff_terms import (
    DEFAULT_TIME_ZONE,
    PROPORTIONAL,
    TIER_STEPS_MAX,
    Prices,
    Season,
    Tariff,
    TariffVersion,
    validate,
    validate_version,
)
from core.tariff_windows import (
    DEEP,
    FLAT,
    HOLIDAY,
    PEAK,
    SHARP,
    VALLEY,
    WEEKEND,
    WORKDAY,
    DayKindOf,
    Period,
    Windows,
    rate_of,
    week_kind,
)

__all__ = [
    "DEEP",
    "DEFAULT_TIME_ZONE",
    "FLAT",
    "HOLIDAY",
    "PEAK",
    "SHARP",
    "VALLEY",
    "WEEKEND",
    "WORKDAY",
    "DayKindOf",
    "Period",
    "Prices",
    "Season",
    "Tariff",
    "TariffError",
    "TariffVersion",
    "Windows",
    "charge_exact",
    "compile_row",
    "compile_rows",
    "next_boundary_s",
    "order_start_s",
    "rate_at",
    "tariff_from_dict",
    "tariff_to_dict",
    "tier_period_start_s",
    "tiers_at",
    "validate",
    "version_at",
]

CLOSE_ALLOWED_MAX_NF = 2**62
_ROW = struct.Struct("=4i3ii3qq")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MONTHS_A_YEAR = 12


def _local(at_s: int, zone: ZoneInfo) -> datetime:
    return (_EPOCH + timedelta(seconds=at_s)).astimezone(zone)


def _midnight_s(year: int, month: int, day: int, zone: ZoneInfo) -> int:
    """Epoch seconds of a local midnight; month may run over into the next or previous year."""
    year, month = year + (month - 1) // _MONTHS_A_YEAR, (month - 1) % _MONTHS_A_YEAR + 1
    if not MINYEAR <= year <= MAXYEAR:
        raise TariffError(f"a period or season of the year {year} is beyond the calendar; ask for an earlier instant")
    return (datetime(year, month, day, tzinfo=zone) - _EPOCH) // timedelta(seconds=1)


def version_at(tariff: Tariff, at_s: int) -> tuple[TariffVersion, Season]:
    """The version in force at `at_s` and its season; `TariffError` before the first version."""
    for version in reversed(tariff.versions):
        if version.valid_from_s <= at_s:
            month = _local(at_s, ZoneInfo(tariff.time_zone)).month
            return version, version.season_of(month)
    raise TariffError(
        f"tariff {tariff.tariff_id!r}: no version is in force at {_EPOCH + timedelta(seconds=at_s):%Y-%m-%dT%H:%MZ}; "
        "the first one starts later: give it an earlier start or add a version"
    )


def _period_start_s(version: TariffVersion, at_s: int, zone: ZoneInfo, periods_later: int) -> int:
    """Start of the version's tier period that holds at_s, or of a later one; local midnight."""
    if version.tier_period == "month":
        return _month_start_s(int(version.tier_period_start), at_s, zone, periods_later)
    local = _local(at_s, zone)
    month, day = int(str(version.tier_period_start)[:2]), int(str(version.tier_period_start)[2:])
    year = local.year - ((local.month, local.day) < (month, day)) + periods_later
    return _midnight_s(year, month, day, zone)


def _month_start_s(day: int, at_s: int, zone: ZoneInfo, months_later: int) -> int:
    """Start of the month, counted from `day`, that holds at_s, or of a later one; local midnight."""
    local = _local(at_s, zone)
    return _midnight_s(local.year, local.month - (local.day < day) + months_later, day, zone)


def tier_period_start_s(tariff: Tariff, at_s: int) -> int:
    """Start of the month or year over which tiers count at `at_s`; 0 for a tariff without tiers."""
    version, _ = version_at(tariff, at_s)
    if version.tier_period == "none":
        return 0
    return _period_start_s(version, at_s, ZoneInfo(tariff.time_zone), 0)


def _shares_by_month(version: TariffVersion) -> bool:
    """Whether the settlement period matters: tier prices by rate, shared in proportion."""
    return version.tiers_by_rate and version.order_rule == PROPORTIONAL


def order_start_s(tariff: Tariff, at_s: int) -> int:
    """From when on a proportional order rule shares the energy that is used at `at_s`.

    The latest start of the settlement period, tier period, version or season; 0 for any other tariff.
    """
    version, season = version_at(tariff, at_s)
    if not _shares_by_month(version):
        return 0
    zone = ZoneInfo(tariff.time_zone)
    starts = [version.valid_from_s, _month_start_s(version.settlement_day, at_s, zone, 0)]
    if _local(starts[1], zone).month not in season.months:
        local = _local(at_s, zone)
        starts.append(_midnight_s(local.year, local.month, 1, zone))
    return max(*starts, _period_start_s(version, at_s, zone, 0))


def next_boundary_s(tariff: Tariff, at_s: int) -> int | None:
    """The first instant after `at_s` at which version, season or tier period changes, or None.

    The settlement period counts too, where a proportional order rule makes it matter.
    """
    version, season = version_at(tariff, at_s)
    zone = ZoneInfo(tariff.time_zone)
    boundaries = [later.valid_from_s for later in tariff.versions if later.valid_from_s > at_s]
    if version.tier_period != "none":
        boundaries.append(_period_start_s(version, at_s, zone, 1))
    if _shares_by_month(version):
        boundaries.append(_month_start_s(version.settlement_day, at_s, zone, 1))
    if len(version.seasons) > 1:
        local = _local(at_s, zone)
        months = range(local.month + 1, local.month + _MONTHS_A_YEAR)
        changed = next(m for m in months if (m - 1) % _MONTHS_A_YEAR + 1 not in season.months)
        boundaries.append(_midnight_s(local.year, changed, 1, zone))
    return min(boundaries, default=None)


def rate_at(
    version: TariffVersion, at_s: int, time_zone: str = DEFAULT_TIME_ZONE, day_kind_of: DayKindOf = week_kind
) -> int:
    """The rate (1..5) of the window that holds at `at_s`; a single price counts as flat (3).

    day_kind_of: which kind a local day is, by a calendar that knows the holidays. `TariffError` where a TOU version
    does not list its windows.
    """
    if version.kind == "single":
        return FLAT
    local = _local(at_s, ZoneInfo(time_zone))
    periods = version.windows_in(version.season_of(local.month)).on(local.date(), day_kind_of(local.date()))
    rate = rate_of(periods, local.hour * 60 + local.minute)
    if rate is None:
        raise TariffError("this TOU version lists no periods; add them, or ask the meter for its schedule")
    return rate


def compile_row(version: TariffVersion, season: Season, close_allowed_nf: int = 0) -> bytes:
    """The 64-byte row of `core.deduct` for a version in one of its seasons.

    close_allowed_nf: a tripped meter may close when its balance is above it. `TariffError` on guard G0.
    """
    validate_version(version)
    if season not in version.seasons:
        raise TariffError(f"{season} is no season of this version; take the pair that version_at returns")
    if abs(close_allowed_nf) > CLOSE_ALLOWED_MAX_NF:
        raise TariffError(f"close_allowed_nf = {close_allowed_nf} is beyond 2^62; use a smaller level")
    if version.tiers_by_rate:
        raise TariffError("tiers that cost each rate differently have no row; charge_step of core.tariff_order can")
    tiers, limits_wh = tiers_at(version, season, FLAT)
    steps = tuple(upper - lower for lower, upper in pairwise(tiers))
    first = version.prices_in(season).rate_prices_nf_per_wh
    prices = (0,) * len(first) if version.free_quota_wh else first
    unused = (0,) * (TIER_STEPS_MAX - len(steps))
    # A fifth register, should a meter have one, costs as flat: it is not free.
    return _ROW.pack(*prices, *steps, *unused, prices[FLAT - 1], *limits_wh, *unused, close_allowed_nf)


def tiers_at(version: TariffVersion, season: Season, register: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Prices of the tiers at a register 1..4 in a season, and the inclusive upper limits of all but the last.

    A free quota is the first tier and costs nothing.
    """
    own = version.prices_in(season)
    prices = tuple(own.tier_price_nf_per_wh(tier, register) for tier in range(own.tier_count + 1))
    limits_wh, quota_wh = season.tier_limits_wh, version.free_quota_wh
    if not quota_wh:
        return prices, limits_wh
    later = tuple(limit if version.quota_fills_tier else limit + quota_wh for limit in limits_wh)
    return (0, *prices), (quota_wh, *later)


def compile_rows(rows: Iterable[tuple[TariffVersion, Season, int]]) -> bytes:
    """Rows for one call of `core.deduct`, numbered from 0 in the given order."""
    return b"".join(compile_row(version, season, close_allowed_nf) for version, season, close_allowed_nf in rows)


def charge_exact(
    terms: bytes | TariffVersion,
    steps_wh: Sequence[int],
    tier_period_wh: int,
    *,
    season: Season | None = None,
    ratio: int = 1,
) -> int:
    """Charge of one step in nanofen, of any size: the kernel's formula in Python integers.

    terms: a compiled row, or a version (with its season, unless it has only one); steps_wh: the step of each
    register, rates in order; tier_period_wh: energy of the tier period before the step. `ValueError` for a
    negative step, counter or ratio below 1.
    """
    if isinstance(terms, TariffVersion):
        if season is None and len(terms.seasons) > 1:
            raise ValueError("this version has several seasons: say which")
        terms = compile_row(terms, season or terms.seasons[0])
    if not 1 <= len(steps_wh) <= 5 or min(steps_wh) < 0 or tier_period_wh < 0 or ratio < 1:
        raise ValueError(f"steps {tuple(steps_wh)} Wh, {tier_period_wh} Wh before and ratio {ratio} cannot be charged")
    row = _ROW.unpack(terms)
    prices, steps, boundaries = (*row[0:4], row[7]), row[4:7], row[8:11]
    charge_nf: int = sum(step * price for step, price in zip(steps_wh, prices, strict=False)) * ratio
    after_wh = tier_period_wh + sum(steps_wh) * ratio
    for step, boundary_wh in zip(steps, boundaries, strict=True):
        charge_nf += step * (max(0, after_wh - boundary_wh) - max(0, tier_period_wh - boundary_wh))
    return charge_nf
