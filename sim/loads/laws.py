"""What becomes of energy on its way: shares, caps, blocks, windows, drifts, and loads that come and go.

A law turns the energy of a span within one quarter-hour into what passes on; unit mW x ms, integers, rounded down.
Households demand by the curve of their load; laws of demand change that (a holiday, a new air conditioner). Meters
register what flows; laws of metering change that (a theft, a worn meter). A `steady` law is a plain share and may be
applied to any span whole. A law `of_register` spoils the count only: power and currents are still shown as they are.
Nothing passes where nothing flows, so every law gives 0 for 0, except those that add.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from typing import Protocol

from sim.loads.load import SLOT_MS, SLOTS
from sim.timing.spans import MINUTE_MS

PPM = 1_000_000
PERMILLE = 1000
MINUTES_PER_SLOT = SLOT_MS // MINUTE_MS
SUNRISE, SUNSET = 26, 74
"""Quarter-hours of the day between which a roof gives anything."""


class Law(Protocol):
    """`slot` numbers the quarter-hours since 1970 of the estate's standard time."""

    @property
    def steady(self) -> bool:
        """Whether the slot does not matter."""

    @property
    def of_register(self) -> bool:
        """Whether only the count is spoilt."""

    def passes(self, slot: int, energy: int, span_ms: int) -> int:
        """What is left of the energy of a span within one slot."""


@dataclass(frozen=True, eq=False)
class Share:
    """A fixed share in parts per million."""

    ppm: int
    of_register: bool = False
    steady: bool = True

    def passes(self, slot: int, energy: int, span_ms: int) -> int:
        """Share of the energy."""
        return energy * self.ppm // PPM


@dataclass(frozen=True, eq=False)
class Cap:
    """At most this power."""

    power_mw: int
    of_register: bool = False
    steady: bool = False

    def passes(self, slot: int, energy: int, span_ms: int) -> int:
        """The energy up to the cap."""
        return min(energy, self.power_mw * span_ms)


@dataclass(frozen=True, eq=False)
class Less:
    """What exceeds this power."""

    power_mw: int
    of_register: bool = False
    steady: bool = False

    def passes(self, slot: int, energy: int, span_ms: int) -> int:
        """The energy above the power."""
        return max(0, energy - self.power_mw * span_ms)


@dataclass(frozen=True, eq=False)
class Level:
    """This power, whatever the load does."""

    power_mw: int
    of_register: bool = False
    steady: bool = False

    def passes(self, slot: int, energy: int, span_ms: int) -> int:
        """The level's energy while anything flows."""
        return self.power_mw * span_ms if energy else 0


@dataclass(frozen=True, eq=False)
class Plus:
    """The load and this power on top."""

    power_mw: int
    of_register: bool = False
    steady: bool = False

    def passes(self, slot: int, energy: int, span_ms: int) -> int:
        """Both together."""
        return energy + self.power_mw * span_ms


@dataclass(frozen=True, eq=False)
class Window:
    """Another law between two minutes of the day (over midnight where they are turned), to the quarter-hour."""

    law: Law
    from_min: int
    until_min: int
    of_register: bool = False
    steady: bool = False

    def passes(self, slot: int, energy: int, span_ms: int) -> int:
        """The other law's, or all."""
        minute = slot % SLOTS * MINUTES_PER_SLOT
        if self.from_min < self.until_min:
            inside = self.from_min <= minute < self.until_min
        else:
            inside = minute >= self.from_min or minute < self.until_min
        return self.law.passes(slot, energy, span_ms) if inside else energy


@dataclass(frozen=True, eq=False)
class Months:
    """Another law in some months of the year."""

    law: Law
    months: tuple[int, ...]
    of_register: bool = False
    steady: bool = False

    def passes(self, slot: int, energy: int, span_ms: int) -> int:
        """The other law's, or all."""
        day = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(days=slot // SLOTS)
        return self.law.passes(slot, energy, span_ms) if day.month in self.months else energy


@dataclass(frozen=True, eq=False)
class EveryOtherDay:
    """Another law on days whose number is even (0) or odd (1)."""

    law: Law
    remainder: int
    of_register: bool = False
    steady: bool = False

    def passes(self, slot: int, energy: int, span_ms: int) -> int:
        """The other law's, or all."""
        return self.law.passes(slot, energy, span_ms) if slot // SLOTS % 2 == self.remainder else energy


@dataclass(frozen=True, eq=False)
class DailyBlock:
    """Nothing for one block of hours that each day draws anew; blocks end with their day."""

    key: bytes
    least_h: int
    most_h: int
    of_register: bool = False
    steady: bool = False

    def passes(self, slot: int, energy: int, span_ms: int) -> int:
        """Nothing inside the block."""
        day, place = divmod(slot, SLOTS)
        length = between(self.key, day, self.least_h * 4, self.most_h * 4)
        start = between(self.key, -1 - day, 0, SLOTS - length)
        return 0 if start <= place < start + length else energy


@dataclass(frozen=True, eq=False)
class DrawnShare:
    """A share that every quarter-hour draws anew, in per mille; of the energy, or of a mean power."""

    key: bytes
    least: int
    most: int
    mean_mw: int | None = None
    of_register: bool = False
    steady: bool = False

    def passes(self, slot: int, energy: int, span_ms: int) -> int:
        """The drawn share."""
        whole = energy if self.mean_mw is None else self.mean_mw * span_ms if energy else 0
        return whole * between(self.key, slot, self.least, self.most) // PERMILLE


@dataclass(frozen=True, eq=False)
class Drift:
    """A share that moves by so many parts per million a day, from the day on in which `first_slot` lies."""

    ppm_per_day: int
    first_slot: int
    of_register: bool = False
    steady: bool = False

    def passes(self, slot: int, energy: int, span_ms: int) -> int:
        """What the worn meter counts."""
        days = slot // SLOTS - self.first_slot // SLOTS
        return energy * max(0, PPM + self.ppm_per_day * days) // PPM


@dataclass(frozen=True, eq=False)
class Roof:
    """The load less what a roof of this peak power gives in the middle of the day: a parabola from 6:30 to 18:30."""

    peak_mw: int
    of_register: bool = False
    steady: bool = False

    def passes(self, slot: int, energy: int, span_ms: int) -> int:
        """What is still taken from the grid."""
        place = slot % SLOTS
        if not SUNRISE < place < SUNSET:
            return energy
        half = (SUNSET - SUNRISE) // 2
        away = place - SUNRISE - half
        return max(0, energy - self.peak_mw * (half * half - away * away) // (half * half) * span_ms)


def between(key: bytes, number: int, least: int, most: int) -> int:
    """A whole number from [least, most], the same for the same key and number everywhere."""
    drawn = int.from_bytes(
        blake2b(number.to_bytes(8, "little", signed=True), digest_size=8, key=key).digest(), "little"
    )
    return least + drawn % (most - least + 1)
