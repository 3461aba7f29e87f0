"""One charge for every tariff: the kernel's formula, or tier prices of each rate under an order rule.

Where a tier costs each rate differently (Shanghai), it matters which rate's energy crosses a limit (rule
R26). Proportional: the energy of an interval that falls in a tier is shared among the rates as their energy
not yet placed stands, by largest remainder, ties to the first rate. The order rule "chronological" takes
every metering interval by itself, in the order of time; "proportional" takes the settlement period to date as
one interval, and a step costs the value to date less the value before it. A free quota (R28) is a tier that costs
nothing, so it needs no rule of its own. Python integers throughout: nanofen, Wh, nanofen per Wh.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from core.errors import TariffError
from core.tariff import charge_exact
from core.tariff_terms import LIMIT_MAX_WH, PRICE_MAX_NF_PER_WH, PROPORTIONAL, RATES, Season, TariffVersion


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


def tier_prices(version: TariffVersion, season: Season) -> TierPrices:
    """All prices of a version by register and tier in one of its seasons, with the limits."""
    own = version.prices_in(season)
    tiers = range(own.tier_count + 1)
    prices = tuple(tuple(own.tier_price_nf_per_wh(tier, rate) for tier in tiers) for rate in range(1, RATES + 1))
    return TierPrices(prices, season.tier_limits_wh)


def has_row(version: TariffVersion) -> bool:
    """Whether the deduction kernel can charge this version; else only `charge_step` can."""
    return not version.tiers_by_rate


def counts_rates(version: TariffVersion) -> bool:
    """Whether a charge depends on what each rate has used in the settlement period, and not on the sum alone."""
    return not has_row(version) and version.order_rule == PROPORTIONAL


def charge_step(
    version: TariffVersion,
    season: Season,
    steps_wh: Sequence[int],
    before_wh: int,
    *,
    settled_wh: Sequence[int] | None = None,
    ratio: int = 1,
) -> int:
    """Charge of one step of a meter in nanofen, whatever its tariff; the one entry for billing and its checks.

    steps_wh: the step of each register, rates in order; before_wh: energy of the tier period before the step;
    settled_wh: of that, the energy of each rate since `core.tariff.order_start_s`, which a version that
    `counts_rates` asks for; both with the ratio. `ValueError` for a negative amount, a ratio below 1, or no
    `settled_wh` where it is needed.
    """
    if has_row(version):
        return charge_exact(version, steps_wh, before_wh, season=season, ratio=ratio)
    if ratio < 1:
        raise ValueError(f"a ratio of {ratio} cannot be charged")
    terms, moved = tier_prices(version, season), [step * ratio for step in steps_wh]
    if not counts_rates(version):
        return charge_proportional(terms, moved, before_wh)
    if settled_wh is None or len(settled_wh) != len(moved) or min(moved) < 0:
        raise ValueError(f"steps {tuple(steps_wh)} Wh: the proportional rule needs what each rate has used so far")
    after = [was + step for was, step in zip(settled_wh, moved, strict=True)]
    start_wh = before_wh - sum(settled_wh)
    return charge_proportional(terms, after, start_wh) - charge_proportional(terms, settled_wh, start_wh)


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
