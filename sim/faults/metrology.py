"""Meters that go wrong: registers, accuracy, clocks, batteries, relays.

A register may stand still, jump, fall back, roll over or hold a wrong bit; a class error drifts; a clock gains or was
set wrongly; contacts weld, burn away, or do not move at all. A replaced meter begins with a register of its own.
"""

from collections.abc import Sequence
from datetime import timedelta

from core.units import REGISTER_MODULUS_WH, WH_PER_STEP
from sim.faults.fault import (
    ANY_METER,
    DLT645_KINDS,
    METER,
    Fault,
    Key,
    MeteringFault,
)
from sim.loads.laws import Drift, Law, Share
from sim.loads.load import MWMS_PER_WH, SLOT_MS
from sim.meters import clock, events
from sim.timing.spans import DAY_S, HOUR_MS, HOUR_S, MINUTE_MS, MONTH_S

CLOCK_LIMIT_S = 300
"""A clock that is further off than this deserves an alarm."""


class MeterFault(Fault):
    """A fault of any meter."""

    group = METER
    where = ANY_METER


class RegisterStuck(MeteringFault):
    """The register stands still while power is shown."""

    name = "register_stuck"
    also = ("balance", "suspect", "drop")
    group = METER
    where = ANY_METER
    alarm = "register_stuck"
    within_s = 3 * DAY_S

    def law(self, at_ms: int) -> Law:
        """Nothing is counted."""
        return Share(0, of_register=True)


class Shifted(MeterFault):
    """The shown register moves at once, and back when it is mended: that step is the label's own too."""

    _lags: Sequence[int] | None = None

    def by_wh(self, at_ms: int) -> int:
        """By how much it moves; negative is backwards."""
        return 0

    def begin(self, at_ms: int) -> None:
        """It moves."""
        self._lags = self.place.meter.register.shift(at_ms, self.by_wh(at_ms))

    def end(self, at_ms: int) -> None:
        """It moves back."""
        if self._lags is not None:
            self.place.meter.register.lag(at_ms, [-lag for lag in self._lags])

    def lost_mwms(self, at_ms: int) -> int:
        """What the register hides."""
        return sum(self._lags or ()) * MWMS_PER_WH


class RegisterJump(Shifted):
    """The register jumps forward."""

    name = "register_jump"
    also = ("register_backwards", "register_implausible", "balance")
    alarm = "register_jump"
    keys = (Key("jump_wh", 100_000, WH_PER_STEP, REGISTER_MODULUS_WH // 2, "how far", WH_PER_STEP),)

    def by_wh(self, at_ms: int) -> int:
        """Forward."""
        return self.size("jump_wh")


class RegisterBackwards(Shifted):
    """The register falls by some kWh and counts on from there, never below zero."""

    name = "register_backwards"
    also = ("register_jump", "register_implausible", "balance")
    alarm = "register_backwards"
    keys = (Key("drop_wh", 50_000, WH_PER_STEP, REGISTER_MODULUS_WH // 2, "how far", WH_PER_STEP),)

    def by_wh(self, at_ms: int) -> int:
        """Backward."""
        return -self.size("drop_wh")


class MeterReplaced(Shifted):
    """Another meter of the same address, with a register and a memory of its own."""

    name = "meter_replaced"
    also = ("meter_replaced", "register_implausible")
    alarm = "register_backwards"
    instant = True
    keys = (Key("new_register_wh", 0, 0, REGISTER_MODULUS_WH - WH_PER_STEP, "where it begins", WH_PER_STEP),)

    def begin(self, at_ms: int) -> None:
        """Registers and records of the new one."""
        super().begin(at_ms)
        self.place.meter.own().events = {}

    def by_wh(self, at_ms: int) -> int:
        """From the old register to the new one."""
        return self.size("new_register_wh") - self.place.meter.register.shown_total_wh(at_ms)

    def lost_mwms(self, at_ms: int) -> int:
        """Nothing: the old register was read when it went."""
        return 0


class RegisterRollover(Shifted):
    """The register runs from 999999.99 kWh to zero; planned ahead, it does so without a jump before."""

    name = "register_rollover"
    also = ("meter_replaced",)
    instant = True
    keys = (Key("before_wh", 0, 0, 10**6, "how much before its end it then stands", WH_PER_STEP),)
    _planned = False

    def prepare(self, at_ms: int) -> None:
        """The register starts so that it will be full then."""
        register, index = self.place.meter.register, self.place.meter.index
        flows_wh = register.source.energy(at_ms) // MWMS_PER_WH // WH_PER_STEP * WH_PER_STEP
        self.place.stage.fleet.start_wh[index] = REGISTER_MODULUS_WH - self.size("before_wh") - flows_wh
        self._planned = True

    def by_wh(self, at_ms: int) -> int:
        """What is missing to its end, if nobody has planned for it."""
        if self._planned:
            return 0
        shown_wh = self.place.meter.register.shown_total_wh(at_ms)
        return REGISTER_MODULUS_WH - max(WH_PER_STEP, self.size("before_wh")) - shown_wh

    def lost_mwms(self, at_ms: int) -> int:
        """Nothing."""
        return 0


class BcdBitFlip(MeterFault):
    """One bit of the stored energy is wrong; the frame around it is sound."""

    name = "bcd_bit_flip"
    also = ("register_jump", "register_backwards", "balance")
    alarm = "register_implausible"
    keys = (Key("bit", 20, 0, 31, "counted from the lowest of the first byte: 20 is one of 1000 kWh"),)

    def begin(self, at_ms: int) -> None:
        """Wrong."""
        self.place.meter.own().flipped_bit = self.size("bit")

    def end(self, at_ms: int) -> None:
        """Right."""
        self.place.meter.own().flipped_bit = None


class ClassErrorDrift(MeteringFault):
    """The meter counts less every day, or more."""

    name = "class_error_drift"
    also = ("suspect",)
    group = METER
    where = ANY_METER
    severity = "low"
    alarm = "balance"
    within_s = MONTH_S
    keys = (Key("ppm_per_day", -1000, -100_000, 100_000, "how its error grows; negative counts less"),)

    def law(self, at_ms: int) -> Law:
        """From its first day on."""
        return Drift(self.size("ppm_per_day"), (at_ms + self.place.stage.fleet.loads.offset_ms) // SLOT_MS)


class ClockFault(MeterFault):
    """The clock is wrong until somebody sets it and mends it."""

    alarm = "clock"
    meters = DLT645_KINDS

    def end(self, at_ms: int) -> None:
        """Mended and set."""
        meter = self.place.meter
        clock.set_drift(meter, at_ms, meter.drift_ms_per_day)
        meter.set_clock(at_ms, meter.calendar.civil(at_ms).replace(tzinfo=None))


class ClockDrift(ClockFault):
    """The clock gains, or loses, so much a day."""

    name = "clock_drift"
    severity = "low"
    keys = (Key("ms_per_day", MINUTE_MS, -HOUR_MS, HOUR_MS, "what it gains a day"),)

    def begin(self, at_ms: int) -> None:
        """From now on."""
        clock.set_drift(self.place.meter, at_ms, self.size("ms_per_day"))

    def expected(self, _at_ms: int) -> tuple[str | None, int]:
        """Once it is too far off, and a day later at most."""
        rate = abs(self.size("ms_per_day"))
        return (self.alarm, CLOCK_LIMIT_S * 1000 * DAY_S // rate + DAY_S) if rate else (None, 0)


class ClockJump(ClockFault):
    """The clock is suddenly wrong."""

    name = "clock_jump"
    keys = (Key("jump_s", HOUR_S, -(10**7), 10**7, "how far; negative is back"),)

    def begin(self, at_ms: int) -> None:
        """Now."""
        meter = self.place.meter
        meter.set_clock(at_ms, meter.civil(at_ms) + timedelta(seconds=self.size("jump_s")))

    def expected(self, _at_ms: int) -> tuple[str | None, int]:
        """A small one deserves none."""
        return (self.alarm if abs(self.size("jump_s")) > CLOCK_LIMIT_S else None), self.within_s


class BatteryLow(MeterFault):
    """The clock's battery is low."""

    name = "battery_low"
    meters = DLT645_KINDS
    severity = "low"
    alarm = "battery"

    def begin(self, at_ms: int) -> None:
        """The meter says so."""
        events.begin(self.place.meter, events.BATTERY_LOW, at_ms)

    def end(self, at_ms: int) -> None:
        """Replaced."""
        events.end(self.place.meter, events.BATTERY_LOW, at_ms)


KINDS: tuple[type[Fault], ...] = (
    RegisterStuck, RegisterJump, RegisterBackwards, RegisterRollover, BcdBitFlip, MeterReplaced, ClassErrorDrift,
    ClockDrift, ClockJump, BatteryLow,
)  # fmt: skip
