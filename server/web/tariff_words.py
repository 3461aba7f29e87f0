"""A tariff version in words: prices, tiers, seasons, windows, as a price list would say them."""

from collections.abc import Callable, Iterator

from core.tariff import Period, TariffVersion, tiers_at
from core.tariff_terms import ALL_MONTHS, FLAT
from server.web.bill_words import RATES, Said, months_said
from server.web.formats import Formats, kwh, price_trimmed
from server.web.i18n import mark as _

Gettext = Callable[[str], str]


def version_said(version: TariffVersion, f: Formats, gettext: Gettext) -> list[Said]:
    """What a version says, as labels and words."""
    rows = list(_prices(version, gettext))
    rows += list(_tiers(version, gettext))
    if version.free_quota_wh:
        rows.append(Said(gettext(_("Free quota")), kwh(version.free_quota_wh)))
    if version.levies_nf_per_wh:
        rows.append(Said(gettext(_("Levies, contained")), _yuan(version.levies_nf_per_wh, gettext)))
    for rate in dict.fromkeys(period.rate for period in version.periods):
        own = [period for period in version.periods if period.rate == rate]
        rows.append(Said(gettext(RATES[rate]), ", ".join(_window(one, f) for one in own)))
    return rows


def _prices(version: TariffVersion, gettext: Gettext) -> Iterator[Said]:
    if version.kind == "single":
        quota = 1 if version.free_quota_wh else 0
        tiers, _limits = tiers_at(version, version.seasons[0], FLAT)
        words = " / ".join(price_trimmed(price) for price in tiers[quota:])
        yield Said(gettext(_("Price")), gettext(_("%(price)s yuan")) % {"price": words})
        return
    for rate in (1, 2, 3, 4):
        tiers = tuple(version.tier_price_nf_per_wh(tier, rate) for tier in range(version.tier_count + 1))
        words = " / ".join(price_trimmed(price) for price in tiers)
        label = gettext(_("Price, %(rate)s")) % {"rate": gettext(RATES[rate])}
        yield Said(label, gettext(_("%(price)s yuan")) % {"price": words})


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


def _window(period: Period, f: Formats) -> str:
    return f"{f.minute_of_day(period.start_minute)}–{f.minute_of_day(period.end_minute)}"


def _yuan(nf_per_wh: int, gettext: Gettext) -> str:
    return gettext(_("%(price)s yuan")) % {"price": price_trimmed(nf_per_wh)}
