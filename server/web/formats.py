"""How figures are written: money, energy, prices, instants and ages, by integer arithmetic alone.

Minus is U+2212 and stands before the currency sign; a space stands before a unit; rounding is half away from
zero. `Formats` adds what depends on the language and on the estate's time zone.
"""

from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

MINUS = "\u2212"
DAYS_SHOWN_MAX = 60
MONTHS_A_YEAR = 12
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MINUTE_S, _HOUR_S, _DAY_S = 60, 3600, 86400


def _scaled(value: int, divisor: int) -> int:
    """`value` over `divisor`, rounded half away from zero."""
    whole = (2 * abs(value) + divisor) // (2 * divisor)
    return -whole if value < 0 else whole


def _decimal(value: int, decimals: int, *, grouped: bool = True) -> str:
    """Digits of |value| counted in units of 10**-decimals, without a sign."""
    whole, rest = divmod(abs(value), 10**decimals)
    text = f"{whole:,}" if grouped else str(whole)
    return f"{text}.{rest:0{decimals}d}" if decimals else text


def _sign(value: int) -> str:
    return MINUS if value < 0 else ""


def yuan(fen: int) -> str:
    """Money: ¥1,234.56 and \u2212¥18.94."""
    return f"{_sign(fen)}¥{_decimal(fen, 2)}"


def signed_yuan(fen: int) -> str:
    """Money that came or went: +¥100.00 and \u2212¥2.65."""
    return f"{'+' if fen > 0 else _sign(fen)}¥{_decimal(fen, 2)}"


def amount(fen: int) -> str:
    """Money in a column that says yuan: \u221218.94."""
    return f"{_sign(fen)}{_decimal(fen, 2)}"


def signed_amount(fen: int) -> str:
    """A change in a column that says yuan: +100.00."""
    return f"{'+' if fen > 0 else _sign(fen)}{_decimal(fen, 2)}"


def whole_yuan(fen: int) -> str:
    """Money on a tile, whole yuan: 185 and \u221219; a debt below half a yuan says so: \u22120.2, never 0."""
    rounded = _scaled(fen, 100)
    if fen < 0 and rounded == 0:
        return f"{_sign(fen)}{_decimal(max(1, _scaled(-fen, 10)), 1)}"
    return f"{_sign(rounded)}{abs(rounded)}"


def round_yuan(fen: int) -> str:
    """A round sum such as ¥100; with fen where there are any."""
    return f"{_sign(fen)}¥{_decimal(fen // 100, 0)}" if fen % 100 == 0 else yuan(fen)


def kwh_figure(wh: int) -> str:
    """Energy in kWh with two decimals, without the unit."""
    value = _scaled(wh, 10)
    return f"{_sign(value)}{_decimal(value, 2)}"


def kwh(wh: int) -> str:
    """Energy: 67.22 kWh."""
    return f"{kwh_figure(wh)} kWh"


def kw_figure(power_mw: int) -> str:
    """Power in kW with two decimals, without the unit."""
    value = _scaled(power_mw, 10_000)
    return f"{_sign(value)}{_decimal(value, 2)}"


def volts(voltage_mv: int) -> str:
    """Voltage with one decimal, without the unit."""
    return _decimal(_scaled(voltage_mv, 100), 1)


def amperes(current_ma: int) -> str:
    """Current with two decimals, without the unit."""
    value = _scaled(current_ma, 10)
    return f"{_sign(value)}{_decimal(value, 2)}"


def price(nf_per_wh: int) -> str:
    """A unit price for residents: ¥0.5889 (a kWh)."""
    return f"¥{_decimal(_scaled(nf_per_wh, 10_000), 4)}"


def price_exact(nf_per_wh: int) -> str:
    """The published price, exact: 0.58886875."""
    return _decimal(nf_per_wh, 8)


def fen_exact(nf: int) -> str:
    """Exact money in fen, as many decimals as there are: 24.415 and \u22120.000488."""
    return f"{_sign(nf)}{_trimmed(nf, 9, 0)}"


def nf_yuan(nf: int) -> str:
    """An exact sum as money, to the fen: ¥1,234.57."""
    return yuan(_scaled(nf, 10**9))


def nf_signed_yuan(nf: int) -> str:
    """A difference of exact sums as money: +¥3.20."""
    return signed_yuan(_scaled(nf, 10**9))


def nf_amount(nf: int) -> str:
    """An exact sum in a column that says yuan."""
    return amount(_scaled(nf, 10**9))


def nf_signed_amount(nf: int) -> str:
    """A difference in a column that says yuan."""
    return signed_amount(_scaled(nf, 10**9))


def kwh_exact(wh: int) -> str:
    """Energy with all its digits, at least two: 1.23 kWh, 0.617 kWh."""
    return f"{_sign(wh)}{_trimmed(wh, 3, 2)} kWh"


def price_trimmed(nf_per_wh: int) -> str:
    """The published price without the zeros at its end: 0.4883, 0.58886875."""
    return f"{_sign(nf_per_wh)}{_trimmed(nf_per_wh, 8, 4)}"


def _trimmed(value: int, decimals: int, least: int) -> str:
    """Digits of |value| in units of 10**-decimals, without zeros at the end but for `least` decimals."""
    whole, _, part = _decimal(value, decimals).partition(".")
    part = part.rstrip("0").ljust(least, "0")
    return f"{whole}.{part}" if part else whole


def percent(part: int, whole: int) -> str:
    """A share with one decimal: 98.7; a dash where there is no whole."""
    return _decimal(part * 1000 // whole, 1) if whole else "—"


def seconds(ms: int) -> str:
    """A duration with one decimal: 6.2."""
    return _decimal(_scaled(ms, 100), 1)


def masked_name(name: str) -> str:
    """A name as the counter may show it: the first character and a star."""
    return f"{name[0]}*" if name else ""


def masked_phone(phone: str) -> str:
    """A phone number as the counter may show it: 138****6021."""
    return f"{phone[:3]}****{phone[-4:]}" if len(phone) >= 8 else ""


def meter_number(meter_id: str) -> str:
    """A 12-digit address in groups of four."""
    return " ".join(meter_id[start : start + 4] for start in range(0, len(meter_id), 4))


def in_year(months: Iterable[int]) -> tuple[int, ...]:
    """Months in the order of a year that begins with the first of them that follows none: 11, 12, 1."""
    own = set(months)
    first = min((month for month in own if (month - 2) % MONTHS_A_YEAR + 1 not in own), default=1)
    return tuple(sorted(own, key=lambda month: (month - first) % MONTHS_A_YEAR))


def months_said(months: Iterable[int]) -> str:
    """Months by number, runs of them by their ends: "11–4, 6"."""
    runs: list[list[int]] = []
    for month in in_year(months):
        if runs and runs[-1][-1] % MONTHS_A_YEAR + 1 == month:
            runs[-1].append(month)
        else:
            runs.append([month])
    return ", ".join(str(run[0]) if len(run) == 1 else f"{run[0]}–{run[-1]}" for run in runs)


class Formats:
    """What depends on language and time zone; `gettext` translates the patterns."""

    def __init__(self, gettext: Callable[[str], str], time_zone: str, now_s: int) -> None:
        self._gettext = gettext
        self.zone = ZoneInfo(time_zone)
        self.time_zone = time_zone
        self.now_s = now_s

    def said(self, message: str) -> str:
        """A marked message in the language of these formats."""
        return self._gettext(message)

    def _local(self, at_s: int) -> datetime:
        return (_EPOCH + timedelta(seconds=at_s)).astimezone(self.zone)

    def clock(self, at_s: int) -> str:
        """14:05."""
        return f"{self._local(at_s):%H:%M}"

    def iso_day(self, at_s: int) -> str:
        """2026-10-08, the local date."""
        return f"{self._local(at_s):%Y-%m-%d}"

    def weekday(self, at_s: int) -> str:
        """周四, Thu."""
        _ = self._gettext
        names = (_("Mon"), _("Tue"), _("Wed"), _("Thu"), _("Fri"), _("Sat"), _("Sun"))
        return names[self._local(at_s).weekday()]

    def month(self, number: int) -> str:
        """Oct; in Chinese the number, for use in a date pattern."""
        _ = self._gettext
        names = (
            _("Jan"), _("Feb"), _("Mar"), _("Apr"), _("May"), _("Jun"),
            _("Jul"), _("Aug"), _("Sep"), _("Oct"), _("Nov"), _("Dec"),
        )  # fmt: skip
        return names[number - 1]

    def short_day(self, at_s: int) -> str:
        """10月8日, 8 Oct; with the year where it is another one."""
        local = self._local(at_s)
        if local.year != self._local(self.now_s).year:
            return f"{local:%Y-%m-%d}"
        return self._gettext("%(day)d %(month)s") % {"day": local.day, "month": self.month(local.month)}

    def long_day(self, at_s: int) -> str:
        """10月8日 周四, Thu 8 Oct."""
        _ = self._gettext
        return _("%(weekday)s %(date)s") % {"weekday": self.weekday(at_s), "date": self.short_day(at_s)}

    def moment(self, at_s: int) -> str:
        """14:05 of today, otherwise with the date."""
        if self.iso_day(at_s) == self.iso_day(self.now_s):
            return self.clock(at_s)
        return f"{self.short_day(at_s)} {self.clock(at_s)}"

    def full(self, at_s: int) -> str:
        """Always with the date: 10月8日 14:05."""
        return f"{self.short_day(at_s)} {self.clock(at_s)}"

    def local_day(self, day: str) -> str:
        """A local date YYYY-MM-DD in a table: 10月8日 周四, Thu 8 Oct; with the year where it is another one."""
        noon = datetime.fromisoformat(f"{day}T12:00").replace(tzinfo=self.zone)
        return self.long_day(int(noon.timestamp()))

    def period(self, period: str) -> str:
        """A settlement period: a local date as in tables, a month as 2026年10月, Oct 2026."""
        if len(period) > len("2026-10"):
            return self.local_day(period)
        year, month = int(period[:4]), int(period[5:7])
        return self._gettext("%(month)s %(year)d") % {"month": self.month(month), "year": year}

    def place(self, room: str) -> str:
        """A room as people say it: 1 栋 1202, 1-1202; other spellings stay as they are."""
        building, dash, door = room.partition("-")
        if not (dash and building.isdigit() and door.isdigit()):
            return room
        return self._gettext("%(building)s-%(door)s") % {"building": building, "door": door}

    def day_of(self, day: str) -> str:
        """A local date YYYY-MM-DD as 10/8, for axes."""
        return f"{int(day[5:7])}/{int(day[8:10])}"

    def age(self, at_s: int | None) -> str:
        """3 分钟前, 3 min ago; a dash where nothing ever came."""
        _ = self._gettext
        if at_s is None:
            return _("never")
        return _("%(span)s ago") % {"span": self.span(max(0, self.now_s - at_s))}

    def span(self, span_s: int) -> str:
        """A span in its largest whole unit."""
        _ = self._gettext
        if span_s < _MINUTE_S:
            return _("%(n)d s") % {"n": span_s}
        if span_s < _HOUR_S:
            return _("%(n)d min") % {"n": span_s // _MINUTE_S}
        if span_s < 2 * _DAY_S:
            return _("%(n)d h") % {"n": span_s // _HOUR_S}
        return _("%(n)d d") % {"n": span_s // _DAY_S}

    def days(self, days: int) -> str:
        """7 天, 7 days; above 60: 60 天以上."""
        _ = self._gettext
        if days > DAYS_SHOWN_MAX:
            return _("60+ days")
        return _("1 day") if days == 1 else _("%(n)d days") % {"n": days}

    def every(self, every: str, day: int) -> str:
        """每周一, each Monday; 每月 15 日, on the 15th of each month."""
        _ = self._gettext
        if every == "month":
            return _("on day %(day)d of each month") % {"day": day}
        names = (
            _("each Monday"), _("each Tuesday"), _("each Wednesday"), _("each Thursday"), _("each Friday"),
            _("each Saturday"), _("each Sunday"),
        )  # fmt: skip
        return names[day - 1]

    def minute_of_day(self, minutes: int) -> str:
        """17:00 from minutes after local midnight."""
        return f"{minutes // 60:02d}:{minutes % 60:02d}"
