"""Finds Modbus units by asking each, and names the model whose registers make sense; sans-IO, it only reads.

A unit is there when a sound frame with its number comes back, a refusal too. A model is named when its voltage, its
frequency and its power factor are possible ones and no other known model's are; registers that no model of ours has
prove nothing. Two units of one number answer at once: what then comes is noise, and the number is a clash.
"""

from collections.abc import Generator, Sequence

from core.dlt645.search import Heard
from core.errors import CoreError
from core.modbus.commands import ReadRegisters
from core.modbus.maps import MeterMap, Quantity, reads, values_of
from core.modbus.meters import FREQUENCY, METERS, POWER_FACTOR, VOLTAGE
from core.modbus.rtu import UNIT_MAX

PLAUSIBLE = {  # identifier: least and most, in the project's units
    VOLTAGE | 0x0100: (80_000, 500_000),
    FREQUENCY: (45_000, 65_000),
    POWER_FACTOR: (-1000, 1000),
}
SURE_TRIES = 2

Asking = Generator[ReadRegisters, Heard, None]


class UnitSearch:
    """Searches `units` on a line whose settings are right; `found` maps each to the keys of the models that fit."""

    def __init__(self, units: Sequence[int] = range(1, UNIT_MAX + 1)) -> None:
        self.found: dict[int, tuple[str, ...]] = {}
        self.clashes: list[int] = []
        self.probes = 0
        self._steps = self._search(units)
        self._probe: ReadRegisters | None = next(self._steps, None)

    def next_probe(self) -> ReadRegisters | None:
        """What to ask now, or None when the search is over."""
        return self._probe

    def heard(self, heard: Heard) -> None:
        """Take what came after the probe."""
        self.probes += 1
        try:
            self._probe = self._steps.send(heard)
        except StopIteration:
            self._probe = None

    @property
    def pattern(self) -> str:
        """What is being asked, for a display of progress; empty when the search is over."""
        return "" if self._probe is None else f"unit {self._probe.unit}"

    def _search(self, units: Sequence[int]) -> Asking:
        for unit in units:
            for _ in range(SURE_TRIES):
                heard = yield ReadRegisters(unit, 0, 2)
                if heard.frames or not heard.garbage_bytes:
                    break
            if heard.frames:
                yield from self._name(unit)
            elif heard.garbage_bytes:
                self.clashes.append(unit)

    def _name(self, unit: int) -> Asking:
        fitting = []
        for meter in METERS.values():
            judged = [one for one in meter.quantities if one.di in PLAUSIBLE]
            values: dict[Quantity, int] = {}
            for command in reads(unit, meter, judged):
                heard = yield command
                values |= _values(meter, command, heard)
            if judged and all(one in values and _is_plausible(one, values[one]) for one in judged):
                fitting.append(meter.key)
        self.found[unit] = tuple(fitting)


def _values(meter: MeterMap, command: ReadRegisters, heard: Heard) -> dict[Quantity, int]:
    """What the answer holds; nothing where it is none, a refusal, or no number."""
    try:
        return dict(values_of(meter, command, heard.frames[0])) if heard.frames else {}
    except CoreError:
        return {}


def _is_plausible(quantity: Quantity, value: int) -> bool:
    low, high = PLAUSIBLE[quantity.di or 0]
    return low <= value <= high
