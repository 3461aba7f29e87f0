"""Charges that one uniform surcharge cannot express: tier prices of each rate, and the free quota.

Where a tier costs each rate differently (Shanghai), it matters which rate's energy crosses a limit (rule
R26). Proportional: the energy of an interval that falls in a tier is shared among the rates as their energy
not yet placed stands, by largest remainder, ties to the first rate. Chronological: intervals in the order of
time, each by that rule. A low-income quota (R28) is free energy of the first tier. All of it is the wide way:
Python integers, in nanofen, Wh and nanofen per Wh.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from core.tariff import TariffError, TariffVersion, charge_exact
from core.tariff_terms import LIMIT_MAX_WH, PRICE_MAX_NF_PER_WH


@dataclass(frozen=True, slots=True)
class TierPrices:
    """Prices by rate and tier, and the inclusive upper limits of all tiers but the last; `TariffError` if unsound."""

    prices_nf_per_wh: tuple[tuple[int, ...], ...]
    limits_wh: tuple[int, ...]

    def __post_init__(self) -> None:
        tiers = len(self.limits_wh) + 1
        if not self.prices_nf_per_wh or any(len(prices) != tiers for prices in self.prices_nf_per_wh):
            raise TariffError(f"{len(self.limits_wh)} tier limits: give every rate {tiers} prices")
        if any(not 0 <= price <= PRICE_MAX_NF_PER_WH for prices in self.prices_nf_per_wh for price in prices):
            raise TariffError(f"prices must be 0..{PRICE_MAX_NF_PER_WH} nanofen/Wh")
        if any(not 0 < limit <= LIMIT_MAX_WH for limit in self.limits_wh):
            raise TariffError(f"tier limits {self.limits_wh} must be positive")
        if any(lower >= upper for lower, upper in pairwise(self.limits_wh)):
            raise TariffError(f"tier limits {self.limits_wh} do not ascend; list them from the lowest")


def share(energy_wh: Sequence[int], amount_wh: int) -> list[int]:
    """`amount_wh` split in proportion to the energies: whole Wh by largest remainder, ties to the first."""
    total = sum(energy_wh)
    if total == 0:
        return [0] * len(energy_wh)
    parts = [amount_wh * energy // total for energy in energy_wh]
    by_remainder = sorted(range(len(parts)), key=lambda rate: (-(amount_wh * energy_wh[rate] % total), rate))
    for rate in by_remainder[: amount_wh - sum(parts)]:
        parts[rate] += 1
    return parts


def place(terms: TierPrices, energy_wh: Sequence[int], before_wh: int) -> list[list[int]]:
    """Energy of one interval by tier and rate, under the proportional rule.

    energy_wh: Wh of each rate; before_wh: the tier period's energy before the interval. `ValueError` for a
    negative amount or another number of rates.
    """
    if len(energy_wh) != len(terms.prices_nf_per_wh) or min(energy_wh) < 0 or before_wh < 0:
        raise ValueError(f"energies {tuple(energy_wh)} Wh after {before_wh} Wh do not fit these rates")
    left, counter, placed = list(energy_wh), before_wh, []
    for limit in terms.limits_wh:
        parts = share(left, min(sum(left), max(0, limit - counter)))
        left = [have - part for have, part in zip(left, parts, strict=True)]
        counter += sum(parts)
        placed.append(parts)
    return [*placed, left]


def charge_proportional(terms: TierPrices, energy_wh: Sequence[int], before_wh: int) -> int:
    """Charge of one interval in nanofen under the proportional rule; `ValueError` as in `place`."""
    placed = place(terms, energy_wh, before_wh)
    return sum(
        part * terms.prices_nf_per_wh[rate][tier]
        for tier, parts in enumerate(placed)
        for rate, part in enumerate(parts)
    )


def charge_chronological(terms: TierPrices, intervals_wh: Sequence[Sequence[int]], before_wh: int) -> int:
    """Charge of intervals in the order of time, in nanofen; each interval by the proportional rule."""
    charge_nf = 0
    for energy_wh in intervals_wh:
        charge_nf += charge_proportional(terms, energy_wh, before_wh)
        before_wh += sum(energy_wh)
    return charge_nf


def charge_with_quota(
    version: TariffVersion, energy_wh: int, quota_wh: int, *, counts_toward_tier: bool = True, before_wh: int = 0
) -> int:
    """Charge of energy at a single price when `quota_wh` of it is free, in nanofen.

    counts_toward_tier: the free energy fills the first tier; else it is not counted at all. `ValueError` for a
    negative amount; `TariffError` for a time-of-use version, whose quota no rule gives to a rate.
    """
    if version.kind != "single":
        raise TariffError("a free quota needs a single price; no rule says which rate it would free")
    if min(energy_wh, quota_wh, before_wh) < 0:
        raise ValueError(f"{energy_wh} Wh with {quota_wh} Wh free after {before_wh} Wh cannot be charged")
    free_wh = min(energy_wh, quota_wh)
    if not counts_toward_tier:
        return charge_exact(version, (energy_wh - free_wh,), before_wh)
    return charge_exact(version, (energy_wh,), before_wh) - free_wh * version.rate_prices_nf_per_wh[0]
