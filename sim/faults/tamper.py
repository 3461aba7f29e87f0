"""Thefts at the meter itself: magnets, covers, current transformers, phases and the neutral.

Most leave an event record; what the meter still shows of power and currents follows from where it was touched.
"""

from typing import ClassVar

from sim.faults.fault import THEFT, Fault, Key, WrongPlace
from sim.faults.theft import PPM_PER_PERMILLE, WHOLE, ShareTheft, metered
from sim.kinds import KIND_2007
from sim.loads.laws import Law, Share
from sim.meters import acts, electrical, events
from sim.timing.spans import DAY_MINUTES, DAY_S, HOUR_MS, MINUTE_MS, WEEK_S

TAMPERED = ("balance", "suspect", "drop")


class Magnet(ShareTheft):
    """A magnet on the meter, noticed by it or not."""

    name = "magnet"
    also = TAMPERED
    severity = "critical"
    alarm = "magnet"
    within_s = DAY_S
    keys = (metered(150, 300), Key("event", True, meaning="whether the meter notices"))

    def shown_by(self) -> tuple[int, ...]:
        """Only one edition has the event."""
        return (KIND_2007,) if self.sizes["event"] else self.meters

    def begin(self, at_ms: int) -> None:
        """With its event."""
        super().begin(at_ms)
        if self.sizes["event"]:
            acts.place_magnet(self.place.meter, at_ms)

    def end(self, at_ms: int) -> None:
        """Taken away."""
        super().end(at_ms)
        acts.remove_magnet(self.place.meter, at_ms)

    def expected(self, _at_ms: int) -> tuple[str | None, int]:
        """The event tells, if there is one."""
        return (self.alarm, self.within_s) if self.sizes["event"] else ("balance", WEEK_S)


class NeutralTamper(ShareTheft):
    """Part of the current returns through the earth; the meter counts the smaller one."""

    name = "neutral_tamper"
    meters = (KIND_2007,)
    also = TAMPERED
    alarm = "neutral"
    within_s = DAY_S
    keys = (metered(400, 899),)

    def law(self, at_ms: int) -> Law:
        """Only the count suffers: the live current is still shown."""
        return Share(self.size("metered_permille") * PPM_PER_PERMILLE, of_register=True)

    def begin(self, at_ms: int) -> None:
        """The neutral carries less from now on."""
        super().begin(at_ms)
        self.place.meter.own().neutral_permille = self.size("metered_permille")

    def end(self, at_ms: int) -> None:
        """All of it returns again."""
        super().end(at_ms)
        self.place.meter.own().neutral_permille = None


class CtShort(ShareTheft):
    """A shunt across the current transformer."""

    name = "ct_short"
    keys = (metered(300, 500),)


class PhaseTheft(ShareTheft):
    """A theft at one phase of a three-phase meter."""

    keys: ClassVar[tuple[Key, ...]] = (Key("phase", 1, 1, 3, "the phase"),)

    def check(self) -> None:
        """Three phases."""
        if self.place.meter.phases == 1:
            raise WrongPlace(f"{self.name} needs a three-phase meter (phases = 3)")

    def permille(self) -> int:
        """What the phase carries of the whole."""
        return electrical.share(self.place.meter, self.size("phase"), WHOLE)


class PhaseLost(PhaseTheft):
    """The voltage lead of one phase is taken off."""

    name = "phase_lost"
    also = TAMPERED
    alarm = "voltage_loss"
    within_s = DAY_S

    def law(self, at_ms: int) -> Law:
        """The other two are counted."""
        return Share((WHOLE - self.permille()) * PPM_PER_PERMILLE, of_register=True)

    def begin(self, at_ms: int) -> None:
        """With its event."""
        super().begin(at_ms)
        acts.set_voltage(self.place.meter, self.size("phase"), 0, at_ms)

    def end(self, at_ms: int) -> None:
        """The lead is back."""
        super().end(at_ms)
        acts.set_voltage(self.place.meter, self.size("phase"), acts.NOMINAL_PERMILLE, at_ms)


class ReversedCt(PhaseTheft):
    """A current transformer is turned round: its phase counts backwards, or by amount where the meter does so."""

    name = "reversed_ct"
    also = TAMPERED
    alarm = "reverse"
    within_s = DAY_S
    keys = (Key("phase", 1, 1, 3, "the phase"), Key("absolute", False, meaning="the meter counts amounts"))

    def check(self) -> None:
        """The phase is there."""
        if self.size("phase") not in electrical.phases(self.place.meter):
            raise WrongPlace("phase: the meter has only phase 1", "phase")

    def law(self, at_ms: int) -> Law:
        """What is left when the phase is taken off instead of added."""
        counted = WHOLE if self.sizes["absolute"] else max(0, WHOLE - 2 * self.permille())
        return Share(counted * PPM_PER_PERMILLE, of_register=True)

    def begin(self, at_ms: int) -> None:
        """With its event."""
        super().begin(at_ms)
        events.begin(self.place.meter, events.REVERSE_FLOW | self.size("phase"), at_ms)

    def end(self, at_ms: int) -> None:
        """Turned back."""
        super().end(at_ms)
        events.end(self.place.meter, events.REVERSE_FLOW | self.size("phase"), at_ms)


class CoverOpened(Fault):
    """Somebody opens the cover, looks, and closes it."""

    name = "cover_opened"
    meters = (KIND_2007,)
    group = THEFT
    alarm = "cover"
    keys = (
        Key("open_min", 10, 1, DAY_MINUTES, "minutes until it is closed"),
        Key("terminal", False, meaning="the terminals' cover"),
    )

    def begin(self, at_ms: int) -> None:
        """Open, and closed by itself."""
        acts.open_cover(self.place.meter, at_ms, terminal=bool(self.sizes["terminal"]))
        self.later(at_ms + self.size("open_min") * MINUTE_MS, self._close)

    def end(self, at_ms: int) -> None:
        """Closed."""
        self._close(at_ms)

    def _close(self, at_ms: int) -> None:
        acts.close_cover(self.place.meter, at_ms, terminal=bool(self.sizes["terminal"]))


class CoverThenTheft(ShareTheft):
    """The cover is opened, and some hours later the meter registers less."""

    name = "cover_then_theft"
    meters = (KIND_2007,)
    also = TAMPERED
    severity = "critical"
    alarm = "cover"
    within_s = DAY_S
    keys = (
        metered(200),
        Key("open_min", 10, 1, DAY_MINUTES, "minutes until the cover is closed"),
        Key("theft_after_h", 24, 0, 24 * 60, "hours until the theft begins"),
    )

    def begin(self, at_ms: int) -> None:
        """The cover first."""
        acts.open_cover(self.place.meter, at_ms)
        self.later(at_ms + self.size("open_min") * MINUTE_MS, self._close)
        self.later(at_ms + self.size("theft_after_h") * HOUR_MS, super().begin)

    def end(self, at_ms: int) -> None:
        """Cover and theft."""
        self._close(at_ms)
        super().end(at_ms)

    def _close(self, at_ms: int) -> None:
        acts.close_cover(self.place.meter, at_ms)


KINDS: tuple[type[Fault], ...] = (
    Magnet, NeutralTamper, CtShort, PhaseLost, ReversedCt, CoverOpened, CoverThenTheft,
)  # fmt: skip
