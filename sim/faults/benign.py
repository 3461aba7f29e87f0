"""What looks like a theft or a fault and is none: people travel, move, buy, repair and do not pay; power fails.

The reading and the main meter change together, so nothing is lost, and nobody should be alarmed.
"""

from sim.faults.fault import ANY_METER, BENIGN, BUS, GATE, HOUSEHOLD, DemandFault, Fault, Key
from sim.kinds import SWITCHING_KINDS
from sim.loads.laws import Law, Level, Plus, Roof, Share, Window
from sim.meters import Meter, acts, events
from sim.timing.spans import HOUR_MS, MINUTE_MS

PPM_PER_PERMILLE = 1000
PROGRAMMED_AT_MAINTENANCE = 0x04000101


class Habit(DemandFault):
    """The household lives otherwise."""

    group = BENIGN
    severity = "none"


class Holiday(Habit):
    """Nobody is at home for some days."""

    name = "holiday"
    keys = (Key("load_permille", 150, 0, 999, "what the household still uses"),)

    def law(self, at_ms: int) -> Law:
        """A share."""
        return Share(self.size("load_permille") * PPM_PER_PERMILLE)


class Vacancy(Habit):
    """The dwelling stands empty."""

    name = "vacancy"
    keys = (Key("power_w", 10, 1, 1000, "what still runs"),)

    def law(self, at_ms: int) -> Law:
        """A level."""
        return Level(self.size("power_w") * 1000)


class NewAirConditioner(Habit):
    """Another air conditioner runs in the evening and at night."""

    name = "new_air_conditioner"
    keys = (
        Key("power_w", 1200, 1, 10_000, "its power"),
        Key("from_min", 19 * 60, 0, 1439, "minute of the day at which it starts"),
        Key("until_min", 2 * 60, 0, 1439, "minute of the day at which it stops"),
    )

    def law(self, at_ms: int) -> Law:
        """On top, in its window."""
        return Window(Plus(self.size("power_w") * 1000), self.size("from_min"), self.size("until_min"))


class TenantChange(Habit):
    """The dwelling stands empty for some days, then others live there."""

    name = "tenant_change"
    keys = (
        Key("empty_h", 72, 1, 24 * 60, "hours without anybody"),
        Key("load_permille", 600, 1, 5000, "what the others use of what the first ones used"),
    )

    def law(self, at_ms: int) -> Law:
        """Empty first."""
        self.later(at_ms + self.size("empty_h") * HOUR_MS, self._move_in)
        return Level(10_000)

    def _move_in(self, at_ms: int) -> None:
        self.change(at_ms, Share(self.size("load_permille") * PPM_PER_PERMILLE))


class NewSolar(Habit):
    """A roof covers part of the day's load; what it has too much of is not metered here."""

    name = "new_solar"
    keys = (Key("peak_w", 3000, 100, 20_000, "its peak power"),)

    def law(self, at_ms: int) -> Law:
        """Less at noon."""
        return Roof(self.size("peak_w") * 1000)


class CommonLoad(Fault):
    """Unmetered common load behind a main meter grows: lifts, pumps, lamps."""

    name = "common_load"
    group = BENIGN
    severity = "none"
    where = (GATE,)
    keys = (Key("power_w", 300, 1, 20_000, "by how much"),)

    def begin(self, at_ms: int) -> None:
        """From now on."""
        self._taps = self.place.stage.fleet.remember(self.place.meter.index).taps
        self._tap = self._taps.start(at_ms, self.size("power_w") * 1000)

    def end(self, at_ms: int) -> None:
        """As before."""
        self._taps.end(self._tap, at_ms)


class PowerCut(Fault):
    """The mains fail, for one dwelling, behind a main meter, or on a whole bus."""

    name = "power_cut"
    group = BENIGN
    severity = "none"
    where = (*ANY_METER, BUS)

    def begin(self, at_ms: int) -> None:
        """Dark."""
        for meter in self._meters():
            acts.fail_power(meter, at_ms)

    def end(self, at_ms: int) -> None:
        """Light."""
        for meter in self._meters():
            acts.return_power(meter, at_ms)

    def _meters(self) -> list[Meter]:
        place, fleet = self.place, self.place.stage.fleet
        if place.where == BUS:
            return list(place.bus.meters())
        if place.where == HOUSEHOLD:
            return [place.meter]
        gate = fleet.gates[place.meter.index - len(fleet.households)]
        return [place.meter, *(Meter(fleet, index) for index in gate.households.indices.tolist())]


class Disconnection(Fault):
    """Tripped for debt, and allowed to close when it is paid."""

    name = "disconnection"
    meters = SWITCHING_KINDS
    group = BENIGN
    severity = "none"

    def begin(self, at_ms: int) -> None:
        """Tripped."""
        self.place.meter.trip(at_ms)

    def end(self, at_ms: int) -> None:
        """Paid; the resident does the rest."""
        self.place.meter.restore(at_ms)


class Maintenance(Fault):
    """An installer opens the terminals, cuts the power for some minutes, and writes a parameter."""

    name = "maintenance"
    group = BENIGN
    severity = "none"
    keys = (Key("dark_min", 15, 1, 600, "minutes without power"),)
    _open = False

    def begin(self, at_ms: int) -> None:
        """Open and dark."""
        self._open = True
        acts.open_cover(self.place.meter, at_ms, terminal=True)
        acts.fail_power(self.place.meter, at_ms)
        self.later(at_ms + self.size("dark_min") * MINUTE_MS, self._finish)

    def end(self, at_ms: int) -> None:
        """Gone."""
        self._finish(at_ms)

    def _finish(self, at_ms: int) -> None:
        meter = self.place.meter
        if not self._open:
            return
        self._open = False
        acts.return_power(meter, at_ms)
        events.note_programming(meter, PROGRAMMED_AT_MAINTENANCE, at_ms, "00000001")
        acts.close_cover(meter, at_ms, terminal=True)


KINDS: tuple[type[Fault], ...] = (
    Holiday, Vacancy, NewAirConditioner, TenantChange, NewSolar, PowerCut, CommonLoad, Disconnection, Maintenance,
)  # fmt: skip
