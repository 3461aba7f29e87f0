"""Where a household stands: the price of now, the tier it is in, its days of use, and how long its credit lasts.

Of several meters the energy is added up; tiers count for each meter, so each has its own tier and price. Shared by the
resident's pages and the staff's. Everything is read; the tariff is evaluated by `core.tariff` at the world time of the
page.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from sqlalchemy import Connection

from core.errors import CoreError
from core.tariff import (
    DayKindOf,
    Tariff,
    next_boundary_s,
    rate_at,
    tariff_from_dict,
    tier_period_start_s,
    tiers_at,
    version_at,
)
from core.tariff_windows import RATE_NAMES, week_kind
from server.domain.calendar import day_kind
from server.domain.forecast import DaysLeft, days_left
from server.domain.states import state_of
from server.store import household as reads
from server.store.days import Day, together
from server.store.schemes import holidays
from server.store.wall import HouseholdRow
from server.web.figures import TierBar, tier_bar
from server.web.formats import Formats

FORECAST_DAYS = 7
OF_METERS = ("cut", "allow", "lost")  # states that a meter has by itself
MISSED_CYCLES = 2  # an age is shown in warning ink after so many


def is_late(reading_at: int | None, now_s: int, cycle_s: int) -> bool:
    """Whether a reading has missed two cycles, or there is none."""
    return reading_at is None or now_s - reading_at > MISSED_CYCLES * cycle_s


def meter_state(row: HouseholdRow, now_s: int, cycle_s: int) -> str:
    """cut, allow, lost or normal: what is so of a meter by itself; the balance is the household's."""
    state = state_of(row, now_s, cycle_s)
    return state if state in OF_METERS else "normal"


@dataclass(frozen=True, slots=True)
class Prices:
    """The tariff as it holds now: price of this moment, prices of the tiers at the present rate, the next change."""

    name: str
    kind: str
    price_nf_per_wh: int
    tier_prices_nf_per_wh: tuple[int, ...]
    limits_wh: tuple[int, ...]
    period: str  # month | year | none
    period_start: int
    changes_at: int | None
    rate: str


@dataclass(frozen=True, slots=True)
class MeterStanding:
    """What is worked out for one meter; `row` is of it alone."""

    row: HouseholdRow
    prices: Prices | None
    tiers: TierBar | None
    period_wh: int | None
    days: tuple[Day, ...]
    charged_at: int | None


@dataclass(frozen=True, slots=True)
class Standing:
    """Everything of a household that is worked out for its pages, of all its meters.

    `prices` are those of the meter that pays most now, `tiers` are None where several meters have their own.
    """

    prices: Prices | None
    tiers: TierBar | None
    period_wh: int | None
    days: tuple[Day, ...]
    today_wh: int | None
    left: DaysLeft | None
    charged_at: int | None
    meters: tuple[MeterStanding, ...]

    def left_after(self, balance_fen: int) -> DaysLeft | None:
        """How long the credit would last with another balance."""
        price = mean_price(self.meters)
        return None if price is None else _left(balance_fen, self.days, self.today_wh, price)

    @property
    def least_price_nf_per_wh(self) -> int:
        """The price of the meter that pays least now."""
        return min((one.prices.price_nf_per_wh for one in self.meters if one.prices), default=0)


def mean_price(meters: Sequence[MeterStanding]) -> int | None:
    """What a Wh costs the household now, nanofen: each meter's price, weighted by what it used lately, rounded up."""
    priced = [(one.prices.price_nf_per_wh, _lately_wh(one)) for one in meters if one.prices]
    if not priced:
        return None
    used_wh = sum(wh for _, wh in priced)
    return -(-sum(price * wh for price, wh in priced) // used_wh) if used_wh else max(price for price, _ in priced)


def _lately_wh(meter: MeterStanding) -> int:
    return sum(day.energy_wh for day in meter.days[-FORECAST_DAYS:])


def _left(balance_fen: int, days: Sequence[Day], today_wh: int | None, price_nf_per_wh: int) -> DaysLeft | None:
    full = [day.energy_wh for day in (days[:-1] if today_wh is not None else days)]
    return days_left(balance_fen, full[-FORECAST_DAYS:], price_nf_per_wh)


@lru_cache(maxsize=256)
def _tariff(definition: str) -> Tariff:
    return tariff_from_dict(json.loads(definition))


def prices_of(definition: str, at_s: int, used_wh: int, day_kind_of: DayKindOf = week_kind) -> Prices | None:
    """The tariff at `at_s` for a household that has used `used_wh` in the tier period; None where none is in force."""
    try:
        tariff = _tariff(definition)
        version, season = version_at(tariff, at_s)
        rate = rate_at(version, at_s, tariff.time_zone, day_kind_of)
    except CoreError:
        return None
    tiers, limits_wh = tiers_at(version, season, version.registers_in(season).index(rate) + 1)
    tier = sum(1 for limit in limits_wh if used_wh > limit)
    return Prices(
        tariff.name, version.kind, tiers[tier], tiers, limits_wh,
        version.tier_period, tier_period_start_s(tariff, at_s), next_boundary_s(tariff, at_s), RATE_NAMES[rate - 1],
    )  # fmt: skip


def standing_of(conn: Connection, estate_id: str, rows: Sequence[HouseholdRow], f: Formats) -> Standing:
    """Work out where a household stands at the time of the page; `rows` has each of its meters."""
    tariff_id, balance_fen = rows[0].tariff_id, rows[0].balance_fen
    definition = reads.tariff_definition(conn, estate_id, tariff_id) if tariff_id else None
    own_days = holidays(conn, estate_id) if definition else {}

    def prices_after(used_wh: int) -> Prices | None:
        return prices_of(definition, f.now_s, used_wh, lambda day: day_kind(day, own_days)) if definition else None

    meters = tuple(_meter(conn, estate_id, row, prices_after) for row in rows)
    days = meters[0].days if len(meters) == 1 else tuple(together((one.days for one in meters), reads.DAYS))
    used = [one.period_wh for one in meters if one.period_wh is not None]
    bare = Standing(
        max((one.prices for one in meters if one.prices), key=lambda one: one.price_nf_per_wh, default=None),
        meters[0].tiers if len(meters) == 1 else None,
        sum(used) if used else None,
        days,
        energy_today(days, f),
        None,
        charged_of(meters),
        meters,
    )
    return replace(bare, left=bare.left_after(balance_fen))


def _meter(
    conn: Connection, estate_id: str, row: HouseholdRow, prices_after: Callable[[int], Prices | None]
) -> MeterStanding:
    cursor = reads.cursor(conn, estate_id, row.meter_id)
    used_wh = None
    if cursor is not None:
        since = max(0, (row.total_wh or cursor["total_wh"]) - cursor["total_wh"])
        used_wh = int(cursor["tier_period_wh"]) + since * row.ratio
    prices = prices_after(used_wh or 0)
    tiers = tier_bar(used_wh or 0, prices.limits_wh) if prices and prices.limits_wh else None
    days = tuple(reads.days(conn, estate_id, row.meter_id))
    charged_at = None if cursor is None else int(cursor["read_at"])
    return MeterStanding(row, prices, tiers, used_wh, days, charged_at)


def meter_today(conn: Connection, estate_id: str, row: HouseholdRow) -> MeterStanding:
    """The latest day of one meter and up to where it was charged, without prices."""
    cursor = reads.cursor(conn, estate_id, row.meter_id)
    days = tuple(reads.days(conn, estate_id, row.meter_id, limit=1))
    return MeterStanding(row, None, None, None, days, None if cursor is None else int(cursor["read_at"]))


def today_of(meters: Sequence[MeterStanding], f: Formats) -> int | None:
    """Energy of today of all meters of a household; None while one of them has not told it."""
    return energy_today(together((one.days for one in meters), 1), f)


def charged_of(meters: Sequence[MeterStanding]) -> int | None:
    """Up to when all of them are charged that were charged at all."""
    return min((one.charged_at for one in meters if one.charged_at is not None), default=None)


def energy_today(days: Sequence[Day], f: Formats) -> int | None:
    """Energy of today, if the last of these days is today."""
    return days[-1].energy_wh if days and days[-1].day == f.iso_day(f.now_s) else None
