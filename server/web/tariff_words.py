"""A tariff version as a price list says it: a table of prices for each season that differs, and words for the rest.

The rows of a table are the tiers where there is one price all day, and the rates where there are several; then its
columns are the tiers. Ranges of tiers are kWh of the tier period.
"""

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

from core.tariff import Period, Season, TariffVersion, tiers_at
from core.tariff_terms import REGISTERS
from core.tariff_windows import FLAT
from server.web import words
from server.web.bill_words import RATES, Said, registers_said
from server.web.formats import Formats, kwh, months_said, price_trimmed
from server.web.i18n import mark as _
from server.web.tariff_names import DAY_KINDS

Gettext = Callable[[str], str]


class Head(NamedTuple):
    """A tier or a rate: what it is called, and its range of energy or its hours ("" where it has none)."""

    label: str
    note: str


class PriceRow(NamedTuple):
    """One row of a table: yuan a kWh in each of its columns."""

    head: Head
    prices: tuple[str, ...]


class PriceTable(NamedTuple):
    """The prices of some months; no columns have heads where there is one price in each row."""

    months: tuple[int, ...]
    columns: tuple[Head, ...]
    rows: tuple[PriceRow, ...]


class PriceList(NamedTuple):
    """What a version says."""

    tables: tuple[PriceTable, ...]
    rest: tuple[Said, ...]


def price_list(version: TariffVersion, f: Formats, gettext: Gettext) -> PriceList:
    """A version for people."""
    tables = [_table(version, season, months, f, gettext) for season, months in _seasons(version)]
    return PriceList(tuple(tables), tuple(_rest(version, gettext)))


def _seasons(version: TariffVersion) -> Iterator[tuple[Season, tuple[int, ...]]]:
    """Seasons that differ in what a table shows, each with the months of all that are as it is."""
    found: dict[tuple[object, ...], tuple[Season, tuple[int, ...]]] = {}
    for season in version.seasons:
        windows, registers = version.windows_in(season), version.registers_in(season)
        key = (version.prices_in(season), season.tier_limits_wh, windows, registers)
        first, months = found.get(key, (season, ()))
        found[key] = first, (*months, *season.months)
    yield from found.values()


def _table(version: TariffVersion, season: Season, months: tuple[int, ...], f: Formats, gettext: Gettext) -> PriceTable:
    if version.kind == "single":
        prices, limits = tiers_at(version, season, FLAT)
        heads = _tiers(limits, bool(version.free_quota_wh), gettext)
        rows = [PriceRow(head, (price_trimmed(price),)) for head, price in zip(heads, prices, strict=True)]
        return PriceTable(months, (), tuple(rows))
    columns: tuple[Head, ...] = ()
    rows = []
    for register, rate in enumerate(version.registers_in(season), 1):
        prices, limits = tiers_at(version, season, register)
        columns = _tiers(limits, False, gettext)
        head = Head(gettext(RATES[rate]), _hours(version, season, rate, f, gettext))
        rows.append(PriceRow(head, tuple(map(price_trimmed, prices))))
    return PriceTable(months, columns if len(columns) > 1 else (), tuple(rows))


def _tiers(limits_wh: Sequence[int], free: bool, gettext: Gettext) -> tuple[Head, ...]:
    """The tiers by name and range; with `free` the first one is a quota that costs nothing."""
    if not limits_wh:
        return (Head(gettext(_("Price")), ""),)
    whole = [kwh(limit).replace(".00 ", " ") for limit in limits_wh]
    ranges = [gettext(_("up to %(end)s")) % {"end": whole[0]}]
    ranges += [f"{begin.removesuffix(' kWh')}–{end}" for begin, end in pairwise(whole)]
    ranges.append(gettext(_("above %(begin)s")) % {"begin": whole[-1]})
    names = [gettext(_("Free quota"))] if free else []
    names += [gettext(words.TIERS[str(tier)]) for tier in range(1, len(ranges) - len(names) + 1)]
    return tuple(map(Head, names, ranges))


def _hours(version: TariffVersion, season: Season, rate: int, f: Formats, gettext: Gettext) -> str:
    """When a rate counts, by kind of day where they differ; "" where only the meter knows."""
    by_kind = version.windows_in(season).each()
    said = []
    for kind, periods in by_kind.items():
        hours = ", ".join(_window(one, f) for one in periods if one.rate == rate)
        if hours and len(by_kind) > 1:
            hours = f"{gettext(DAY_KINDS[kind])} {hours}"
        said += [hours] if hours else []
    return " · ".join(said) if said or not by_kind else gettext(_("no hours"))


def _rest(version: TariffVersion, gettext: Gettext) -> Iterator[Said]:
    period = {
        "month": gettext(_("a month from day %(start)s")),
        "year": gettext(_("a year from %(start)s")),
    }.get(version.tier_period)
    if period is not None:
        yield Said(gettext(_("Tiers count over")), period % {"start": version.tier_period_start})
    if version.levies_nf_per_wh:
        price = gettext(_("%(price)s yuan")) % {"price": price_trimmed(version.levies_nf_per_wh)}
        yield Said(gettext(_("Levies, contained")), price)
    registers = {version.registers_in(season): season for season in version.seasons}
    for own, season in registers.items():
        if own != REGISTERS:
            label = gettext(_("Registers of the meter"))
            if len(registers) > 1:
                label = gettext(_("%(what)s, months %(months)s")) % {
                    "what": label,
                    "months": months_said(season.months),
                }
            yield Said(label, registers_said(own, gettext))


def _window(period: Period, f: Formats) -> str:
    return f"{f.minute_of_day(period.start_minute)}–{f.minute_of_day(period.end_minute)}"
