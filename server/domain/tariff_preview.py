"""What a tariff version looks like before anybody pays it: the price over a day, and what a month of use would cost.

A month's energy is spread evenly over the hours of its days, five workdays to two of a weekend where those differ; each
month begins a tier period. Exact nanofen by the charge of `core.tariff_order`; nothing here is booked.
"""

from dataclasses import dataclass
from itertools import groupby

from core.tariff import Season, TariffVersion, Windows
from core.tariff_order import charge_step, share
from core.tariff_terms import RATES
from core.tariff_windows import DAY_MINUTES, WEEKEND, WORKDAY

WEEK = {WORKDAY: 5, WEEKEND: 2}


@dataclass(frozen=True, slots=True)
class Piece:
    """A window of a day with what a kWh of the first tier costs in it."""

    start_minute: int
    end_minute: int
    rate: int
    price_nf_per_wh: int


@dataclass(frozen=True, slots=True)
class Day:
    """Days that are alike in some months; `kinds` are those with the same windows, () where all days are alike."""

    months: tuple[int, ...]
    kinds: tuple[str, ...]
    pieces: tuple[Piece, ...]


def days_of(version: TariffVersion) -> list[Day]:
    """The days of all seasons with their prices; none for a tariff by rates that does not list its windows."""
    found: dict[tuple[tuple[str, ...], tuple[Piece, ...]], tuple[int, ...]] = {}
    for season in version.seasons:
        prices = version.prices_in(season)
        if version.kind == "single":
            one_price = (Piece(0, DAY_MINUTES, 0, prices.rate_prices_nf_per_wh[0]),)
            found[(), one_price] = (*found.get(((), one_price), ()), *season.months)
            continue
        registers, given = version.registers_in(season), version.windows_in(season).each()
        for periods, kinds in groupby(given, key=lambda kind, own=given: own[kind]):  # type: ignore[misc]
            pieces = tuple(
                Piece(
                    one.start_minute, one.end_minute, one.rate,
                    prices.tier_price_nf_per_wh(0, registers.index(one.rate) + 1),
                )
                for one in periods
            )  # fmt: skip
            key = (tuple(kinds) if len(given) > 1 else (), pieces)
            found[key] = (*found.get(key, ()), *season.months)
    return [Day(months, *key) for key, months in found.items()]


def month_nf(version: TariffVersion, season: Season, energy_wh: int) -> int | None:
    """What a month of this season costs that uses so much from its first hour on; None where windows are not listed."""
    if version.kind == "single":
        return charge_step(version, season, (energy_wh,), 0)
    windows = version.windows_in(season)
    if not windows.workday:
        return None
    steps_wh = share(_minutes(version, season, windows), energy_wh)
    return charge_step(version, season, steps_wh, 0, settled_wh=(0,) * RATES)


def _minutes(version: TariffVersion, season: Season, windows: Windows) -> list[int]:
    """How many minutes of a week each register counts."""
    registers = version.registers_in(season)
    minutes = [0] * RATES
    for kind, days in WEEK.items():
        for one in windows.each().get(kind) or windows.workday:
            minutes[registers.index(one.rate)] += days * (one.end_minute - one.start_minute)
    return minutes
