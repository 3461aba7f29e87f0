"""What a step costs, taken apart: energy at a price, row by row, so that whoever has a pencil can add it up.

A single price goes tier by tier. A tariff by rates has each rate at its price and, beyond each limit, the step of the
tier on top (first the rate, then the surcharge). Where tiers price each rate differently, a row is one rate in one
tier, placed by the order rule; a proportional rule places the whole settlement period to date, so a row of one step
is what the place gained, and may be less than nothing.
"""

from collections.abc import Sequence
from typing import NamedTuple

from core.tariff import Season, TariffVersion, tiers_at
from core.tariff_order import counts_rates, has_row, place, tier_prices
from core.tariff_windows import FLAT

FREE, TIER, RATE, SURCHARGE, CELL = "free", "tier", "rate", "surcharge", "cell"


class Part(NamedTuple):
    """Energy at one price. `tier` counts from 1, `rate` is 1..5 (5 is deep valley); 0 where it does not matter."""

    what: str
    tier: int
    rate: int
    energy_wh: int
    price_nf_per_wh: int

    @property
    def charge_nf(self) -> int:
        """Exact."""
        return self.energy_wh * self.price_nf_per_wh


def parts_of(
    version: TariffVersion,
    season: Season,
    moved_wh: Sequence[int],
    before_wh: int,
    settled_wh: Sequence[int],
) -> tuple[Part, ...]:
    """The rows of one step; their charges add up to what it costs.

    moved_wh: energy of the step by register, after the ratio; before_wh: of the tier period before it; settled_wh: of
    that, what each rate has used since a proportional order rule shares.
    """
    if not has_row(version):
        rows = _cells(version, season, moved_wh, before_wh, settled_wh)
    elif version.kind == "single":
        rows = _by_tier(version, season, sum(moved_wh), before_wh)
    else:
        rows = _by_rate(version, season, moved_wh, before_wh)
    return tuple(row for row in rows if row.energy_wh)


def _by_tier(version: TariffVersion, season: Season, energy_wh: int, before_wh: int) -> list[Part]:
    prices, limits_wh = tiers_at(version, season, FLAT)
    quota = bool(version.free_quota_wh)
    rows, lower = [], before_wh
    for place_no, price in enumerate(prices):
        upper = before_wh + energy_wh
        if place_no < len(limits_wh):
            upper = min(upper, max(lower, limits_wh[place_no]))
        what = FREE if quota and place_no == 0 else TIER
        rows.append(Part(what, place_no + (0 if quota else 1), 0, upper - lower, price))
        lower = upper
    return rows


def _by_rate(version: TariffVersion, season: Season, moved_wh: Sequence[int], before_wh: int) -> list[Part]:
    prices, rates = version.prices_in(season), version.registers_in(season)
    by_register = zip(rates, moved_wh, prices.rate_prices_nf_per_wh, strict=True)
    rows = [Part(RATE, 0, rate, energy, price) for rate, energy, price in by_register]
    after_wh = before_wh + sum(moved_wh)
    for tier, (step, limit) in enumerate(zip(prices.tier_steps_nf_per_wh, season.tier_limits_wh, strict=True), 2):
        rows.append(Part(SURCHARGE, tier, 0, max(0, after_wh - limit) - max(0, before_wh - limit), step))
    return rows


def _cells(
    version: TariffVersion, season: Season, moved_wh: Sequence[int], before_wh: int, settled_wh: Sequence[int]
) -> list[Part]:
    terms, rates = tier_prices(version, season), version.registers_in(season)
    if counts_rates(version):
        start_wh = before_wh - sum(settled_wh)
        until = [was + step for was, step in zip(settled_wh, moved_wh, strict=True)]
        placed, was_placed = place(terms, until, start_wh), place(terms, settled_wh, start_wh)
    else:
        placed = place(terms, moved_wh, before_wh)
        was_placed = [[0] * len(moved_wh) for _ in placed]
    return [
        Part(CELL, tier, rates[place_no], energy - was, terms.prices_nf_per_wh[place_no][tier - 1])
        for tier, (row, row_before) in enumerate(zip(placed, was_placed, strict=True), 1)
        for place_no, (energy, was) in enumerate(zip(row, row_before, strict=True))
    ]
