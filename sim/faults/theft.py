"""Thefts at the wires: around a meter, before a meter, before any meter, alone or in turn, all year or in season.

All of them keep what the main meter sees as it is, so a balance shows them; the household's own register shows less,
or, with a tap before it, nothing of it at all.
"""

from typing import ClassVar

from sim.faults.fault import GATE, THEFT, Fault, Key, MeteringFault
from sim.loads.course import Course
from sim.loads.laws import EveryOtherDay, Law, Months, Share, Window
from sim.timing.spans import WEEK_S

PPM_PER_PERMILLE = 1000
WHOLE = 1000


def metered(default: int, high: int = 999) -> Key:
    """The share that is still registered."""
    return Key("metered_permille", default, 0, high, "share that is still registered")


class Theft(MeteringFault):
    """A theft that only a balance shows."""

    group = THEFT
    severity = "high"
    alarm = "balance"
    also: ClassVar[tuple[str, ...]] = ("suspect", "drop")
    within_s = WEEK_S


class ShareTheft(Theft):
    """A fixed share is still registered."""

    keys: ClassVar[tuple[Key, ...]] = (metered(0),)

    def law(self, at_ms: int) -> Law:
        """The share."""
        return Share(self.size("metered_permille") * PPM_PER_PERMILLE)


class Bypass(ShareTheft):
    """A wire around the meter, for all of the load or a part of it."""

    name = "bypass"


class EveningTap(ShareTheft):
    """A wire around the meter in the evening."""

    name = "evening_tap"
    keys = (
        metered(250),
        Key("from_min", 18 * 60, 0, 1439, "minute of the day at which it begins"),
        Key("until_min", 60, 0, 1439, "minute of the day at which it ends"),
    )

    def law(self, at_ms: int) -> Law:
        """The share, in its window."""
        return Window(super().law(at_ms), self.size("from_min"), self.size("until_min"))


class Seasonal(ShareTheft):
    """A bypass in some months of the year."""

    name = "seasonal"
    keys = (metered(0), Key("months", (6, 7, 8, 9), 1, 12, "months in which it is done"))

    def law(self, at_ms: int) -> Law:
        """The share, in its months."""
        months = self.sizes["months"]
        return Months(super().law(at_ms), tuple(months) if isinstance(months, tuple | list) else ())


class Colluding(Fault):
    """Two households bypass their meters in turn, one on even days and one on odd."""

    name = "colluding"
    group = THEFT
    severity = "high"
    alarm = "balance"
    also = ("suspect", "drop")
    within_s = WEEK_S
    keys = (Key("with", "", meaning="the other household"), metered(0))
    _laws: tuple[Law, Law] | None = None

    def check(self) -> None:
        """There is another household."""
        self.place.other(str(self.sizes["with"]))

    def begin(self, at_ms: int) -> None:
        """Both begin."""
        share = Share(self.size("metered_permille") * PPM_PER_PERMILLE)
        self._laws = EveryOtherDay(share, 0), EveryOtherDay(share, 1)
        for course, law in zip(self._courses(), self._laws, strict=True):
            course.add(at_ms, law)

    def end(self, at_ms: int) -> None:
        """Both end."""
        for course, law in zip(self._courses(), self._laws or (), strict=False):
            course.drop(at_ms, law)

    def lost_mwms(self, at_ms: int) -> int:
        """What both kept from their meters."""
        return sum(course.lost(law, at_ms) for course, law in zip(self._courses(), self._laws or (), strict=False))

    def _courses(self) -> tuple[Course, Course]:
        return self.place.meter.metering(), self.place.other(str(self.sizes["with"])).meter.metering()


class UnmeteredTap(Fault):
    """Somebody draws before a household's meter."""

    name = "unmetered_tap"
    group = THEFT
    severity = "high"
    alarm = "balance"
    also = ("suspect", "drop")
    within_s = WEEK_S
    keys = (Key("tap_power_w", 800, 1, 20_000, "what is drawn"),)

    def begin(self, at_ms: int) -> None:
        """From now on."""
        self._began_ms = at_ms
        self._taps = self.place.stage.fleet.remember(self.place.meter.index).taps
        self._tap = self._taps.start(at_ms, self.size("tap_power_w") * 1000)

    def end(self, at_ms: int) -> None:
        """No more."""
        self._taps.end(self._tap, at_ms)

    def lost_mwms(self, at_ms: int) -> int:
        """All of it."""
        return (at_ms - self._began_ms) * self.size("tap_power_w") * 1000


class GateTap(UnmeteredTap):
    """Somebody draws before any household's meter: no meter is to blame."""

    name = "gate_tap"
    where = (GATE,)


KINDS: tuple[type[Fault], ...] = (Bypass, EveningTap, Seasonal, Colluding, UnmeteredTap, GateTap)
