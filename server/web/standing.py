"""Where a household stands: the price of now, the tier it is in, its days of use, and how long its credit lasts.

Shared by the resident's pages and the staff's household page. Everything is read; the tariff is evaluated by
`core.tariff` at the world time of the page.
"""

import json
from dataclasses import dataclass
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
from server.store import household as reads
from server.store.days import Day
from server.store.schemes import holidays
from server.store.wall import HouseholdRow
from server.web.figures import TierBar, tier_bar
from server.web.formats import Formats

FORECAST_DAYS = 7
MISSED_CYCLES = 2  # an age is shown in warning ink after so many


def is_late(reading_at: int | None, now_s: int, cycle_s: int) -> bool:
    """Whether a reading has missed two cycles, or there is none."""
    return reading_at is None or now_s - reading_at > MISSED_CYCLES * cycle_s


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
class Standing:
    """Everything of a household that is worked out for its pages."""

    prices: Prices | None
    tiers: TierBar | None
    period_wh: int | None
    days: tuple[Day, ...]
    today_wh: int | None
    left: DaysLeft | None
    charged_at: int | None

    def left_after(self, balance_fen: int) -> DaysLeft | None:
        """How long the credit would last with another balance."""
        return self._left(balance_fen)

    def _left(self, balance_fen: int) -> DaysLeft | None:
        if self.prices is None:
            return None
        full = [day.energy_wh for day in (self.days[:-1] if self.today_wh is not None else self.days)]
        return days_left(balance_fen, full[-FORECAST_DAYS:], self.prices.price_nf_per_wh)


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


def standing_of(conn: Connection, estate_id: str, row: HouseholdRow, f: Formats) -> Standing:
    """Work out where `row` stands at the time of the page."""
    cursor = reads.cursor(conn, estate_id, row.meter_id)
    definition = reads.tariff_definition(conn, estate_id, row.tariff_id) if row.tariff_id else None
    used_wh = None
    if cursor is not None:
        since = max(0, (row.total_wh or cursor["total_wh"]) - cursor["total_wh"])
        used_wh = int(cursor["tier_period_wh"]) + since * row.ratio
    own_days = holidays(conn, estate_id) if definition else {}
    prices = prices_of(definition, f.now_s, used_wh or 0, lambda day: day_kind(day, own_days)) if definition else None
    days = tuple(reads.days(conn, estate_id, row.meter_id))
    today = days[-1].energy_wh if days and days[-1].day == f.iso_day(f.now_s) else None
    tiers = tier_bar(used_wh or 0, prices.limits_wh) if prices and prices.limits_wh else None
    charged_at = None if cursor is None else int(cursor["read_at"])
    bare = Standing(prices, tiers, used_wh, days, today, None, charged_at)
    return Standing(prices, tiers, used_wh, days, today, bare.left_after(row.balance_fen), charged_at)
