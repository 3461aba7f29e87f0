"""A tariff version as a form: what was typed, what is wrong with it and where, and the document that it stands for.

Every field stays the text that was typed. Prices are those of the tiers themselves, levies contained; windows are
begins, each of which lasts until the next one, so that a day has no gap and no overlap. What a form cannot say
(registers of a season, seconds of a begin) stays with the text.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

from core.tariff import DEFAULT_TIME_ZONE, Period, Season, Tariff, TariffVersion
from core.tariff_terms import REGISTERS, SETTLEMENT_DAY_MAX
from core.tariff_windows import DAY_KINDS, PERIODS_MAX, RATE_NAMES
from core.units import parse_kwh, parse_price
from server.domain.tariff_drafts import yuan_of
from server.web.formats import in_year
from server.web.i18n import mark as _

Gettext = Callable[[str], str]
TIERS, WINDOWS_SHOWN, SEASONS_MAX = 4, 8, 4
PRICE_ROWS = 5  # the single price, then T1 to T4
WINDOW_KEYS = dict(zip(DAY_KINDS, ("periods", "weekend_periods", "holiday_periods"), strict=True))
HEAD = (
    "tariff_id", "name", "valid_from", "kind", "levies", "tier_period", "tier_start", "order_rule", "settlement_day",
    "quota", "quota_outside", "note", "replaces",
)  # fmt: skip
DEFAULTS = {"kind": "single", "tier_period": "month", "tier_start": "1", "order_rule": "none", "settlement_day": "1"}


@dataclass(slots=True)
class SeasonForm:
    """One season as it was typed; `windows` are (begin, rate) by kind of day."""

    months: set[int] = field(default_factory=set)
    prices: list[list[str]] = field(default_factory=lambda: [[""] * TIERS for _row in range(PRICE_ROWS)])
    limits: list[str] = field(default_factory=lambda: [""] * (TIERS - 1))
    windows: dict[str, list[tuple[str, str]]] = field(default_factory=lambda: {kind: [] for kind in DAY_KINDS})

    def rows(self, kind: str) -> list[tuple[str, str]]:
        """The windows of a kind of day with empty places to fill."""
        given = self.windows[kind]
        return [*given, *[("", "")] * max(2, WINDOWS_SHOWN - len(given))][:PERIODS_MAX]


@dataclass(slots=True)
class TariffForm:
    """Everything that was typed, and what is wrong by field."""

    head: dict[str, str] = field(default_factory=lambda: dict.fromkeys(HEAD, "") | DEFAULTS)
    registers: list[str] = field(default_factory=lambda: [RATE_NAMES[rate - 1] for rate in REGISTERS])
    seasons: list[SeasonForm] = field(default_factory=lambda: [SeasonForm(set(range(1, 13)))])
    errors: dict[str, str] = field(default_factory=dict)

    def __getitem__(self, name: str) -> str:
        """A field of the head."""
        return self.head[name]

    @property
    def slots(self) -> list[str]:
        """The names of all places where something may be wrong."""
        parts = ("months", "prices", "limits", *DAY_KINDS)
        of_seasons = [f"s{place}-{part}" for place in range(len(self.seasons)) for part in parts]
        head = [name for name in HEAD if name not in ("kind", "quota_outside", "replaces")]
        return ["form", *head, "registers", *of_seasons]

    @property
    def rows(self) -> range:
        """The rows of prices that count."""
        return range(1) if self["kind"] == "single" else range(1, PRICE_ROWS)


def read_form(data: Mapping[str, Any], months: Callable[[str], Sequence[Any]]) -> TariffForm:
    """What was sent; `months` gives all values of a repeated field. Unknown words fall back, nothing is judged."""

    def text(name: str, fallback: str = "") -> str:
        value = data.get(name, fallback)
        return value.strip()[:500] if isinstance(value, str) else fallback

    form = TariffForm()
    form.head |= {name: text(name, DEFAULTS.get(name, "")) for name in HEAD}
    form.registers = [text(f"t{number}", default) for number, default in enumerate(form.registers, 1)]
    count = text("seasons", "1")
    form.seasons = []
    for place in range(min(SEASONS_MAX, int(count) if count.isdecimal() and count.isascii() else 1) or 1):
        own, at = SeasonForm(), f"s{place}"
        own.months = {int(one) for one in months(f"{at}-m") if str(one).isdecimal() and 1 <= int(one) <= 12}
        own.prices = [[text(f"{at}-p{row}-{tier}") for tier in range(TIERS)] for row in range(PRICE_ROWS)]
        own.limits = [text(f"{at}-l{tier}") for tier in range(TIERS - 1)]
        for kind in DAY_KINDS:
            typed = [(text(f"{at}-{kind}-b{n}"), text(f"{at}-{kind}-r{n}")) for n in range(PERIODS_MAX)]
            own.windows[kind] = [(begin, rate) for begin, rate in typed if begin]
        form.seasons.append(own)
    return form


def form_of(tariff: Tariff, version: TariffVersion) -> TariffForm | None:
    """The form of a version; None for one that a form cannot say."""
    zone = ZoneInfo(tariff.time_zone)
    begins = datetime.fromtimestamp(version.valid_from_s, UTC).astimezone(zone)
    odd = begins.timetz().replace(tzinfo=None).isoformat() != "00:00:00" or tariff.time_zone != DEFAULT_TIME_ZONE
    if odd or len(version.seasons) > SEASONS_MAX or any(one.registers for one in version.seasons):
        return None
    form = TariffForm()
    form.head |= {
        "tariff_id": tariff.tariff_id, "name": tariff.name, "valid_from": begins.date().isoformat(),
        "kind": version.kind, "levies": yuan_of(version.levies_nf_per_wh) if version.levies_nf_per_wh else "",
        "tier_period": version.tier_period, "tier_start": str(version.tier_period_start),
        "order_rule": version.order_rule, "settlement_day": str(version.settlement_day),
        "quota": _kwh(version.free_quota_wh) if version.free_quota_wh else "",
        "quota_outside": "" if version.quota_fills_tier else "1",
    }  # fmt: skip
    form.registers = [RATE_NAMES[rate - 1] for rate in version.registers]
    form.seasons = [_season_form(version, season) for season in version.seasons]
    return form


def _season_form(version: TariffVersion, season: Season) -> SeasonForm:
    prices, own = version.prices_in(season), SeasonForm(set(season.months))
    for row in range(PRICE_ROWS):
        for tier in range(prices.tier_count + 1):
            own.prices[row][tier] = yuan_of(prices.tier_price_nf_per_wh(tier, max(1, row)))
    for place, limit in enumerate(season.tier_limits_wh):
        own.limits[place] = _kwh(limit)
    for kind, periods in version.windows_in(season).each().items():
        own.windows[kind] = [(_clock(one.start_minute), RATE_NAMES[one.rate - 1]) for one in _begins(periods)]
    return own


def _begins(periods: Sequence[Period]) -> Iterator[Period]:
    """Windows without those that only go on with the rate before them, over midnight too."""
    for place, one in enumerate(periods):
        if one.rate != periods[place - 1].rate or len(periods) == 1:
            yield one


def _kwh(wh: int) -> str:
    whole, part = divmod(wh, 1000)
    return f"{whole}.{part:03d}".rstrip("0").rstrip(".")


def _clock(minute: int) -> str:
    return f"{minute // 60:02d}:{minute % 60:02d}"


SEASON_OWN = ("months", "tier_limits_wh")


def _own_of(season: Mapping[str, Any], whole: Mapping[str, Any]) -> dict[str, Any]:
    """What a season has otherwise than the version; prices with their tiers, and windows, go together."""
    own = {key: season[key] for key in SEASON_OWN}
    for keys in (("price", "prices", "tier_prices"), tuple(WINDOW_KEYS.values())):
        given = {key: season[key] for key in keys if key in season}
        if given != {key: whole[key] for key in keys if key in whole}:
            own |= given
    return own


def _steps_differ(rows: Iterable[Sequence[str]]) -> bool:
    """Whether a limit adds more at one rate than at another."""
    steps = {tuple(upper - lower for lower, upper in pairwise(map(parse_price, row))) for row in rows}
    return len(steps) > 1


class FormReader:
    """Judges a form field by field and makes its document; errors land in the form, each by its field."""

    def __init__(self, form: TariffForm, gettext: Gettext) -> None:
        self.form, self._gettext = form, gettext

    def document(self) -> dict[str, Any]:
        """The document; whether it may be used, `form.errors` says."""
        form = self.form
        form.errors.clear()
        version: dict[str, Any] = {"valid_from": self._day(), "kind": form["kind"]}
        if form["kind"] == "tou":
            version["registers"] = self._registers()
        first, *later = self._seasons()
        whole = {key: value for key, value in first.items() if key not in SEASON_OWN}
        version |= whole | self._tiers() | self._more()
        if later:
            version["seasons"] = [_own_of(season, whole) for season in (first, *later)]
        elif first["tier_limits_wh"]:
            version["tier_limits_wh"] = first["tier_limits_wh"]
        if not form["tariff_id"]:
            self._wrong("tariff_id", _("Give it an id, such as guangzhou-2027."))
        return {"id": form["tariff_id"], "name": form["name"] or form["tariff_id"], "versions": [version]}

    def _wrong(self, where: str, message: str, /, **fields: object) -> None:
        self.form.errors.setdefault(where, self._gettext(message) % fields if fields else self._gettext(message))

    def _day(self) -> str:
        try:
            return date.fromisoformat(self.form["valid_from"]).isoformat()
        except ValueError:
            self._wrong("valid_from", _("Choose the day on which it begins."))
            return "2000-01-01"

    def _registers(self) -> list[str]:
        names = self.form.registers
        if any(name not in RATE_NAMES for name in names) or len(set(names)) < len(names):
            self._wrong("registers", _("Each register counts another rate: two of them are the same."))
        return names

    def _price(self, text: str, where: str, cell: str) -> int:
        try:
            value = parse_price(text)
            if value < 0:
                raise ValueError(text)
        except ValueError:
            self._wrong(
                where, _("%(cell)s: %(text)s is no price in yuan, with at most eight decimals."), cell=cell, text=text
            )
            return 0
        return value

    def _seasons(self) -> list[dict[str, Any]]:
        form = self.form
        taken = sorted(month for one in form.seasons for month in one.months)
        if taken != list(range(1, 13)):
            last = f"s{len(form.seasons) - 1}-months"
            twice = sorted({month for month in taken if taken.count(month) > 1})
            missing = sorted(set(range(1, 13)) - set(taken))
            if twice:
                self._wrong(last, _("Months in two seasons: %(months)s."), months=", ".join(map(str, twice)))
            else:
                self._wrong(last, _("Months in no season: %(months)s."), months=", ".join(map(str, missing)))
        found = [self._season(place, one) for place, one in enumerate(form.seasons)]
        if any(self._windows_given(one) for one in form.seasons):
            for place, one in enumerate(form.seasons):
                if not self._windows_given(one):
                    self._wrong(f"s{place}-workday", _("Other seasons have windows: give those of this season too."))
        return found

    @staticmethod
    def _windows_given(season: SeasonForm) -> bool:
        return any(season.windows.values())

    def _season(self, place: int, own: SeasonForm) -> dict[str, Any]:
        at = f"s{place}"
        table: dict[str, Any] = {"months": list(in_year(own.months)) or [1]}
        rows = {row: self._row(own, row, at) for row in self.form.rows}
        tiers = max(len(row) for row in rows.values())
        for row, prices in rows.items():
            if len(prices) < tiers:
                cell = self._cell(row, len(prices))
                self._wrong(f"{at}-prices", _("%(cell)s: a price is missing."), cell=cell)
                prices.extend(prices[-1:] * (tiers - len(prices)))
        if self.form["kind"] == "single":
            table["price"], *table["tier_prices"] = rows[0]
        else:
            named = [
                {name: rows[row][tier] for row, name in enumerate(self.form.registers, 1)} for tier in range(tiers)
            ]
            sound = f"{at}-prices" not in self.form.errors
            if sound and self.form["order_rule"] == "none" and _steps_differ(rows.values()):
                self._wrong(
                    "order_rule", _("Tiers rise by other steps at other rates: choose proportional or chronological.")
                )
            table["prices"], *table["tier_prices"] = named
            table |= self._windows(own, at)
        table["tier_limits_wh"] = self._limits(own, at, tiers)
        return table

    def _cell(self, row: int, tier: int) -> str:
        tier_said = self._gettext(_("tier %(number)s")) % {"number": tier + 1}
        return f"T{row}, {tier_said}" if row else tier_said

    def _row(self, own: SeasonForm, row: int, at: str) -> list[str]:
        """The prices of a row up to its last one."""
        typed = own.prices[row]
        given = max((tier + 1 for tier, text in enumerate(typed) if text), default=0)
        if not given:
            self._wrong(f"{at}-prices", _("%(cell)s: a price is missing."), cell=self._cell(row, 0))
            return ["0"]
        return [yuan_of(self._price(typed[tier], f"{at}-prices", self._cell(row, tier))) for tier in range(given)]

    def _limits(self, own: SeasonForm, at: str, tiers: int) -> list[int]:
        found: list[int] = []
        for place, text in enumerate(own.limits):
            if bool(text) != (place < tiers - 1):
                self._wrong(
                    f"{at}-limits", _("%(tiers)d tiers have %(limits)d limits between them."), tiers=tiers,
                    limits=tiers - 1,
                )  # fmt: skip
            if text:
                try:
                    found.append(parse_kwh(text))
                except ValueError:
                    self._wrong(f"{at}-limits", _("%(text)s is no energy in kWh."), text=text)
        if any(lower >= upper for lower, upper in pairwise(found)) or any(limit <= 0 for limit in found):
            self._wrong(f"{at}-limits", _("Limits rise from the lowest to the highest."))
        return found

    def _windows(self, own: SeasonForm, at: str) -> dict[str, Any]:
        table = {}
        for kind, typed in own.windows.items():
            if typed:
                table[WINDOW_KEYS[kind]] = self._day_windows(typed, f"{at}-{kind}")
        if table and "periods" not in table:
            self._wrong(f"{at}-workday", _("Windows of weekends or holidays need those of workdays."))
        return table

    def _day_windows(self, typed: Sequence[tuple[str, str]], where: str) -> list[dict[str, str]]:
        begins: dict[str, str] = {}
        for begin, rate in typed:
            try:
                moment = datetime.strptime(begin[:5], "%H:%M").strftime("%H:%M")  # noqa: DTZ007 (a time of any day)
            except ValueError:
                self._wrong(where, _("%(text)s is no time of the day."), text=begin)
                continue
            if moment in begins:
                self._wrong(where, _("Two windows begin at %(time)s."), time=moment)
            if rate not in self.form.registers:
                self._wrong(where, _("The window from %(time)s has a rate that no register counts."), time=moment)
            begins[moment] = rate
        order = sorted(begins)
        if len(order) == 1:
            return [{"from": "00:00", "to": "24:00", "rate": begins[order[0]]}]
        ends = [*order[1:], *order[:1]]
        return [{"from": begin, "to": end, "rate": begins[begin]} for begin, end in zip(order, ends, strict=True)]

    def _tiers(self) -> dict[str, Any]:
        period, start = self.form["tier_period"], self.form["tier_start"]
        several = any(any(one.limits) for one in self.form.seasons) or self._quota
        if not several:
            return {"tier_period": "none"}
        if period == "none":
            self._wrong("tier_period", _("Tiers count over a month or a year: choose one."))
        if period == "year":
            return {"tier_period": "year", "tier_period_start": self._year_start(start)}
        return {"tier_period": "month", "tier_period_start": self._number(start or "1", "tier_start")}

    @property
    def _quota(self) -> str:
        """The free energy; a tariff by rates has none."""
        return self.form["quota"] if self.form["kind"] == "single" else ""

    def _year_start(self, text: str) -> str:
        try:
            date(2001, int(text[:2]), int(text[2:]))
            if len(text) != len("MMDD"):
                raise ValueError(text)
        except ValueError:
            self._wrong("tier_start", _("The day on which a year of tiers begins, as MMDD: 0101."))
            return "0101"
        return text

    def _number(self, text: str, where: str) -> int:
        if text.isascii() and text.isdecimal() and 1 <= int(text) <= SETTLEMENT_DAY_MAX:
            return int(text)
        self._wrong(where, _("A day of the month from 1 to 28."))
        return 1

    def _more(self) -> dict[str, Any]:
        form = self.form
        more: dict[str, Any] = {"order_rule": form["order_rule"]}
        more["settlement_day"] = self._number(form["settlement_day"] or "1", "settlement_day")
        if form["levies"]:
            cell = self._gettext(_("Levies"))
            levies = self._price(form["levies"], "levies", cell)
            more["levies"] = yuan_of(levies)
        if self._quota:
            try:
                more["free_quota_wh"] = parse_kwh(form["quota"])
            except ValueError:
                self._wrong("quota", _("%(text)s is no energy in kWh."), text=form["quota"])
            more["quota_fills_tier"] = not form["quota_outside"]
        return more
