"""A tariff version in words: prices, tiers, seasons, windows, as a price list would say them."""

from collections.abc import Callable, Hashable, Iterator

from core.tariff import Period, Season, TariffVersion, tiers_at
from core.tariff_terms import ALL_MONTHS, REGISTERS
from core.tariff_windows import FLAT
from server.web.bill_words import RATES, Said, registers_said
from server.web.formats import Formats, kwh, months_said, price_trimmed
from server.web.i18n import mark as _
from server.web.tariff_names import DAY_KINDS

Gettext = Callable[[str], str]


def version_said(version: TariffVersion, f: Formats, gettext: Gettext) -> list[Said]:
    """What a version says, as labels and words."""
    rows = list(_prices(version, gettext))
    rows += list(_tiers(version, gettext))
    if version.free_quota_wh:
        rows.append(Said(gettext(_("Free quota")), kwh(version.free_quota_wh)))
    if version.levies_nf_per_wh:
        rows.append(Said(gettext(_("Levies, contained")), _yuan(version.levies_nf_per_wh, gettext)))
    return rows + list(_windows(version, f, gettext)) + list(_registers(version, gettext))


def _alike(version: TariffVersion, key: Callable[[Season], Hashable]) -> list[tuple[Season, tuple[int, ...]]]:
    """Seasons that differ in this, each with the months of all that are as it is."""
    found: dict[Hashable, tuple[Season, tuple[int, ...]]] = {}
    for season in version.seasons:
        first, months = found.get(key(season), (season, ()))
        found[key(season)] = first, (*months, *season.months)
    return list(found.values())


def _in_months(what: str, months: tuple[int, ...], gettext: Gettext) -> str:
    """A label with the months it is of, unless it is of the whole year."""
    if len(months) == len(ALL_MONTHS):
        return what
    return gettext(_("%(what)s, months %(months)s")) % {"what": what, "months": months_said(months)}


def _prices(version: TariffVersion, gettext: Gettext) -> Iterator[Said]:
    for season, months in _alike(version, lambda one: (version.prices_in(one), version.registers_in(one))):
        for label, words in _season_prices(version, season, gettext):
            yield Said(_in_months(label, months, gettext), gettext(_("%(price)s yuan")) % {"price": words})


def _season_prices(version: TariffVersion, season: Season, gettext: Gettext) -> Iterator[tuple[str, str]]:
    if version.kind == "single":
        quota = 1 if version.free_quota_wh else 0
        tiers, _limits = tiers_at(version, season, FLAT)
        yield gettext(_("Price")), " / ".join(price_trimmed(price) for price in tiers[quota:])
        return
    for register, rate in enumerate(version.registers_in(season), 1):
        tiers, _limits = tiers_at(version, season, register)
        label = gettext(_("Price, %(rate)s")) % {"rate": gettext(RATES[rate])}
        yield label, " / ".join(price_trimmed(price) for price in tiers)


def _tiers(version: TariffVersion, gettext: Gettext) -> Iterator[Said]:
    period = {
        "month": gettext(_("a month from day %(start)s")),
        "year": gettext(_("a year from %(start)s")),
    }.get(version.tier_period)
    if period is None:
        return
    yield Said(gettext(_("Tiers count over")), period % {"start": version.tier_period_start})
    for season in version.seasons:
        limits = " / ".join(kwh(limit) for limit in season.tier_limits_wh)
        if not limits:
            continue
        label = gettext(_("Limits"))
        if season.months != ALL_MONTHS:
            label = gettext(_("Limits, months %(months)s")) % {"months": months_said(season.months)}
        yield Said(label, limits)


def _windows(version: TariffVersion, f: Formats, gettext: Gettext) -> Iterator[Said]:
    """The windows of each rate, by kind of day and season where they differ."""
    for season, months in _alike(version, version.windows_in):
        windows = version.windows_in(season)
        for kind, periods in windows.each().items():
            for rate in dict.fromkeys(period.rate for period in periods):
                label = gettext(RATES[rate])
                if len(windows.each()) > 1:
                    day = gettext(DAY_KINDS[kind])
                    label = gettext(_("%(what)s, %(which)s")) % {"what": label, "which": day}
                text = ", ".join(_window(one, f) for one in periods if one.rate == rate)
                yield Said(_in_months(label, months, gettext), text)


def _registers(version: TariffVersion, gettext: Gettext) -> Iterator[Said]:
    for season, months in _alike(version, version.registers_in):
        if version.registers_in(season) != REGISTERS:
            label = _in_months(gettext(_("Registers of the meter")), months, gettext)
            yield Said(label, registers_said(version.registers_in(season), gettext))


def _window(period: Period, f: Formats) -> str:
    return f"{f.minute_of_day(period.start_minute)}–{f.minute_of_day(period.end_minute)}"


def _yuan(nf_per_wh: int, gettext: Gettext) -> str:
    return gettext(_("%(price)s yuan")) % {"price": price_trimmed(nf_per_wh)}
