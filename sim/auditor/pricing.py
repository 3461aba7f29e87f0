"""What the way between two registers costs, in fractions, slowly: the auditor's own arithmetic.

The life of a meter is cut at every civil minute at which rate, price, season or tier period may change. In each piece
energy pays the price of its rate, and what lies above a tier limit pays that limit's step; the counter of the tiers
begins anew with each tier period. A variant answers "what if" for one wrong way of counting.
"""

from bisect import bisect_right
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from fractions import Fraction
from typing import Any

from sim.auditor.truth_file import MeterTruth, Truth

NF_PER_FEN = 10**9
SINGLE_RATE = 3
RATE_NAMES = ("sharp", "peak", "flat", "valley")
MINUTES_PER_DAY = 1440
SATURDAY = 5
EPOCH_DAY = date(1970, 1, 1).toordinal()


Windows = tuple[tuple[int, int, int], ...]


@dataclass(frozen=True, slots=True)
class Season:
    """What holds in some months of a version; windows of workdays, weekends and holidays."""

    months: tuple[int, ...]
    limits_wh: tuple[int, ...]
    prices: tuple[Fraction, ...]
    steps: tuple[Fraction, ...]
    windows: tuple[Windows, Windows, Windows]

    def rate(self, day: date, minute: int, is_holiday: bool) -> int:
        """The register 1 to 4 that counts in a minute of a day."""
        workday, weekend, holiday = self.windows
        of_week = weekend if weekend and day.weekday() >= SATURDAY else workday
        for start, end, rate in holiday if holiday and is_holiday else of_week:
            if (start <= minute < end) if start < end else (minute >= start or minute < end):
                return rate
        return SINGLE_RATE


@dataclass(frozen=True, slots=True)
class Version:
    """One dated version of the tariff."""

    valid_from_s: float
    single: bool
    seasons: tuple[Season, ...]
    tier_period: str
    tier_start: tuple[int, int]

    def season(self, month: int) -> Season:
        """What holds in a month."""
        return next(season for season in self.seasons if month in season.months)

    def period(self, day: date) -> tuple[int, int] | None:
        """A name for the tier period of a day."""
        if self.tier_period == "none":
            return None
        month, first = self.tier_start
        if self.tier_period == "year":
            return (day.year - ((day.month, day.day) < (month, first)), 0)
        ordinal = day.year * 12 + day.month - (day.day < first)
        return (ordinal, 1)


@dataclass(frozen=True, slots=True)
class Piece:
    """Between two true totals all that decides the price is the same; `counter_wh` is the tiers' at `from_wh`.

    `endless_wh` is what the counter would be if tier periods never ended.
    """

    from_wh: int
    to_wh: int
    season: Season
    month: int
    rate: int
    counter_wh: int
    endless_wh: int


@dataclass(frozen=True, slots=True)
class Variant:
    """One way of counting wrongly."""

    said: str
    no_steps: bool = False
    tier: int | None = None
    rate: int | None = None
    version: Version | None = None
    endless: bool = False


class Pricing:
    """Prices of one estate."""

    def __init__(self, truth: Truth) -> None:
        self._truth = truth
        self.versions = [_version(row) for row in truth.estate["versions"]]
        self._holidays = [(first, last) for first, last in truth.estate["holidays"]]
        self._pieces: dict[str, list[Piece]] = {}

    def way_nf(self, meter: MeterTruth, from_wh: int, to_wh: int, variant: Variant | None = None) -> Fraction:
        """Nanofen between two true totals."""
        total = Fraction(0)
        for piece in self._between(meter, from_wh, to_wh):
            low, high = max(from_wh, piece.from_wh), min(to_wh, piece.to_wh)
            total += _piece_nf(piece, low, high, variant)
        return total

    def variants(self, meter: MeterTruth, from_wh: int, to_wh: int) -> Iterator[Variant]:
        """Ways in which this way may have been counted wrongly."""
        pieces = self._between(meter, from_wh, to_wh)
        yield Variant("the tier steps were left out", no_steps=True)
        yield Variant("the tiers were not begun anew with their period", endless=True)
        for tier in range(max((len(piece.season.limits_wh) for piece in pieces), default=0) + 1):
            yield Variant(f"all of it was counted in tier {tier + 1}", tier=tier)
        for rate in sorted({rate for _, _, rate in self._all_windows()}):
            yield Variant(f"all of it was counted at the rate {RATE_NAMES[rate - 1]}", rate=rate)
        for version in self.versions:
            said = self._truth.said(version.valid_from_s)
            yield Variant(f"it was counted at the prices valid from {said}", version=version)

    def _all_windows(self) -> Iterator[tuple[int, int, int]]:
        for version in self.versions:
            for season in version.seasons:
                for windows in season.windows:
                    yield from windows

    def _between(self, meter: MeterTruth, from_wh: int, to_wh: int) -> list[Piece]:
        return [piece for piece in self._of(meter) if piece.from_wh < to_wh and piece.to_wh > from_wh]

    def _of(self, meter: MeterTruth) -> list[Piece]:
        known = self._pieces.get(meter.address)
        if known is None:
            known = self._pieces[meter.address] = list(self._cut(meter))
        return known

    def _cut(self, meter: MeterTruth) -> Iterator[Piece]:
        """The pieces of a meter's life, those without energy left out."""
        instants = list(self._instants(meter.times[-1]))
        before_wh, period = meter.total_wh(0), None
        counter_wh, endless_wh = meter.tier_used_wh, meter.tier_used_wh
        for number, at_ms in enumerate(instants[:-1]):
            civil = datetime.fromtimestamp(self._truth.at_s(at_ms), UTC).astimezone(self._truth.zone)
            version = self._version_at(self._truth.at_s(at_ms))
            if number and version.period(civil.date()) != period:
                counter_wh = 0
            period = version.period(civil.date())
            after_wh = meter.total_wh(instants[number + 1])
            if after_wh > before_wh:
                season = version.season(civil.month)
                rate = SINGLE_RATE if version.single else self._rate(season, civil)
                yield Piece(before_wh, after_wh, season, civil.month, rate, counter_wh, endless_wh)
            counter_wh, endless_wh = counter_wh + after_wh - before_wh, endless_wh + after_wh - before_wh
            before_wh = after_wh

    def _rate(self, season: Season, civil: datetime) -> int:
        day = civil.date()
        number = day.toordinal() - EPOCH_DAY
        is_holiday = any(first <= number <= last for first, last in self._holidays)
        return season.rate(day, civil.hour * 60 + civil.minute, is_holiday)

    def _instants(self, last_ms: int) -> Iterator[int]:
        """The start, every civil minute at which something may change, and the end."""
        yield 0
        zone = self._truth.zone
        day = datetime.fromtimestamp(self._truth.at_s(0), UTC).astimezone(zone).date()
        edges = {0} | {edge % MINUTES_PER_DAY for window in self._all_windows() for edge in window[:2]}
        while True:
            for minute in sorted(edges):
                civil = datetime(day.year, day.month, day.day, minute // 60, minute % 60, tzinfo=zone)
                at_ms = self._truth.ms(civil.timestamp())
                if at_ms >= last_ms:
                    yield last_ms
                    return
                if at_ms > 0:
                    yield at_ms
            day += timedelta(days=1)

    def _version_at(self, at_s: float) -> Version:
        starts = [version.valid_from_s for version in self.versions]
        return self.versions[max(0, bisect_right(starts, at_s) - 1)]


def _piece_nf(piece: Piece, low_wh: int, high_wh: int, variant: Variant | None) -> Fraction:
    season, energy_wh, rate = piece.season, high_wh - low_wh, piece.rate
    counter_wh = piece.counter_wh
    if variant is not None:
        season = variant.version.season(piece.month) if variant.version else season
        rate = variant.rate or rate
        counter_wh = piece.endless_wh if variant.endless else counter_wh
    cost = season.prices[rate - 1] * energy_wh
    if variant is not None and variant.no_steps:
        return cost
    if variant is not None and variant.tier is not None:
        return cost + sum(season.steps[: variant.tier], Fraction(0)) * energy_wh
    start_wh = counter_wh + low_wh - piece.from_wh
    for step, limit_wh in zip(season.steps, piece.season.limits_wh, strict=False):
        cost += step * (max(0, start_wh + energy_wh - limit_wh) - max(0, start_wh - limit_wh))
    return cost


def _version(row: Mapping[str, Any]) -> Version:
    return Version(
        valid_from_s=row["valid_from_s"],
        single=row["kind"] == "single",
        seasons=tuple(_season(season) for season in row["seasons"]),
        tier_period=row["tier_period"],
        tier_start=tuple(row["tier_start"]),
    )


def _season(row: Mapping[str, Any]) -> Season:
    workday, weekend, holiday = (tuple((start, end, rate) for start, end, rate in day) for day in row["windows"])
    return Season(
        months=tuple(row["months"]),
        limits_wh=tuple(row["limits_wh"]),
        prices=tuple(Fraction(price) for price in row["prices_nf_per_wh"]),
        steps=tuple(Fraction(step) for step in row["steps_nf_per_wh"]),
        windows=(workday, weekend, holiday),
    )
