"""All registers of an estate at every quarter-hour, and the freezes at midnight, as fast as arrays go.

After the world has lived through a day, the day's curve of every household is laid under its switchings: most rows
only shift by what was not drawn in earlier days, and those that switched within the day are put together from their
segments. Where laws spoil a meter or change a load, the meter itself is asked. Registers are total steps of 10 Wh; at
midnight total and rates freeze. Both go into a digest, so that two runs can be compared by one line. What is counted
here is what the meters answer, number by number.
"""

from dataclasses import dataclass, field
from hashlib import blake2b
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.units import WH_PER_STEP
from sim.fleet.fleet import Fleet, Segment
from sim.fleet.ratebook import RATES, split_start
from sim.loads.load import MWMS_PER_WH, SLOT_MS, SLOTS
from sim.meters import Meter
from sim.timing.spans import DAY_MS

CLOSED = -1
CHUNK = 512
"""Households at a time: their boundaries stay in the cache."""
Energy = NDArray[np.int64]


@dataclass(slots=True)
class Totals:
    """What a sweep has seen; powers are means of a quarter-hour over the whole estate."""

    registers: int = 0
    freezes: int = 0
    peak_mw: int = 0
    peak_at_ms: int = 0
    digest: Any = field(default_factory=lambda: blake2b(digest_size=16))


class Sweep:
    """Sweeps one day after the other, in order, from the world's origin on."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet
        self._count = len(fleet.households)
        self._start_wh: Energy = np.array(fleet.start_wh[: self._count], np.int64)
        self._lag: Energy = np.zeros(self._count, np.int64)
        self._frozen: Energy = np.full(self._count, CLOSED, np.int64)
        self._counted_wh: Energy = self._start_wh // WH_PER_STEP * WH_PER_STEP
        starts = [split_start(wh) for wh in self._start_wh.tolist()]
        self.rates_wh: Energy = np.array(starts, np.int64).reshape(-1, RATES)
        self.totals = Totals()

    def day(self, day: int, until_ms: int) -> None:
        """Sweep a day (since 1970 of standard time) as far as the world has lived in it."""
        first_ms = day * DAY_MS - self._fleet.loads.offset_ms
        instants = first_ms + np.arange(SLOTS + 1, dtype=np.int64) * SLOT_MS
        seen = np.flatnonzero((instants[1:] > self._fleet.origin_ms) & (instants[1:] <= until_ms)) + 1
        switched, lawful = self._switched_since(first_ms), self._lawful()
        pieces = self._rate_pieces(first_ms) if until_ms >= first_ms + DAY_MS else []
        power = np.zeros(SLOTS, np.int64)
        for first in range(0, self._count, CHUNK):
            rows = slice(first, min(first + CHUNK, self._count))
            energy = self._metered(rows, day, switched, instants)
            self._ask(rows, lawful, energy, instants)
            self._count_registers(rows, energy[:, seen])
            power += np.diff(energy, axis=1).sum(axis=0) // SLOT_MS
            if pieces:
                self._freeze(rows, energy, pieces, lawful | switched.keys())
        self._note_peak(power[seen - 1], instants[seen - 1])
        for index, segments in switched.items():
            last = segments[-1]
            self._lag[index] = last.curve - last.energy
            self._frozen[index] = CLOSED if last.on else last.energy

    def _switched_since(self, first_ms: int) -> dict[int, list[Segment]]:
        """Households whose contacts moved from an instant on, with all their segments."""
        found = {}
        for index in self._fleet.remembering():
            memory = self._fleet.recall(index)
            if memory is not None and memory.segments and memory.segments[-1].at_ms >= first_ms:
                found[index] = memory.segments
        return found

    def _lawful(self) -> set[int]:
        """Households whose load or meter follows laws."""
        found = {index: self._fleet.recall(index) for index in self._fleet.remembering()}
        return {n for n, memory in found.items() if memory and (memory.demand or memory.metering) and n < self._count}

    def _ask(self, rows: slice, lawful: set[int], energy: Energy, instants: Energy) -> None:
        """Put what such meters register at the boundaries in the place of what was computed."""
        for index in lawful & set(range(rows.start, rows.stop)):
            row = energy[index - rows.start]
            passed = self._through_laws(index, row.tolist(), int(instants[0]))
            if passed is None:
                source, origin_ms = Meter(self._fleet, index).register.source, self._fleet.origin_ms
                passed = [source.energy(max(at_ms, origin_ms)) for at_ms in instants.tolist()]
            row[:] = passed

    def _through_laws(self, index: int, row: list[int], first_ms: int) -> list[int] | None:
        """What the laws make of a day's curve; None where that is more than a day of one kind."""
        memory = self._fleet.recall(index)
        if memory is None or (memory.demand is not None and memory.segments):
            return None
        for course in (memory.demand, memory.metering):
            if course is not None:
                passed = course.day(first_ms, row)
                if passed is None:
                    return None
                row = passed
        return row

    def _metered(self, rows: slice, day: int, switched: dict[int, list[Segment]], instants: Energy) -> Energy:
        """Energy through the meters at the boundaries of a day; nothing flows before the origin."""
        curves = self._fleet.loads.boundaries(np.arange(rows.start, rows.stop, dtype=np.int32), day)
        energy: Energy = np.maximum(curves - self._lag[rows, None], 0)
        frozen = self._frozen[rows]
        energy[frozen != CLOSED] = frozen[frozen != CLOSED, None]
        for index in switched.keys() & range(rows.start, rows.stop):
            energy[index - rows.start] = _through(switched[index], curves[index - rows.start], instants)
        return energy

    def _count_registers(self, rows: slice, energy: Energy) -> None:
        """The total registers at the boundaries that were lived."""
        steps = (self._start_wh[rows, None] + energy // MWMS_PER_WH) // WH_PER_STEP
        self.totals.registers += steps.size
        self.totals.digest.update(steps.astype("<u4").tobytes())

    def _rate_pieces(self, first_ms: int) -> list[tuple[int, int]]:
        """Ends of the day's pieces with one rate, and that rate's column."""
        rates, end_ms = self._fleet.rates, first_ms + DAY_MS
        edges = [max(first_ms, self._fleet.origin_ms), *rates.switches_between(first_ms, end_ms), end_ms]
        return [(after, rates.rate_at(before) - 1) for before, after in pairwise(edges)]

    def _freeze(self, rows: slice, energy: Energy, pieces: list[tuple[int, int]], exact: set[int]) -> None:
        """Count the day's steps in their rates and freeze what stands at midnight."""
        for end_ms, column in pieces:
            reached = self._reached(rows, energy, end_ms, exact)
            total_wh = (self._start_wh[rows] + reached // MWMS_PER_WH) // WH_PER_STEP * WH_PER_STEP
            self.rates_wh[rows, column] += total_wh - self._counted_wh[rows]
            self._counted_wh[rows] = total_wh
        self.totals.freezes += rows.stop - rows.start
        self.totals.digest.update(self.rates_wh[rows].astype("<i8").tobytes())

    def _reached(self, rows: slice, energy: Energy, at_ms: int, exact: set[int]) -> Energy:
        """Energy at an instant of the day, exact also within a quarter-hour."""
        slot, rest_ms = divmod((at_ms + self._fleet.loads.offset_ms) % DAY_MS, SLOT_MS)
        if not rest_ms:
            return energy[:, slot if slot or at_ms == self._fleet.origin_ms else SLOTS]
        reached: Energy = energy[:, slot] + (energy[:, slot + 1] - energy[:, slot]) * rest_ms // SLOT_MS
        begins_here = at_ms - rest_ms < self._fleet.origin_ms
        every = range(rows.start, rows.stop)
        for index in every if begins_here else exact & set(every):
            reached[index - rows.start] = Meter(self._fleet, index).register.source.energy(at_ms)
        return reached

    def _note_peak(self, power: Energy, starts: Energy) -> None:
        if len(power) and power.max() > self.totals.peak_mw:
            self.totals.peak_mw = int(power.max())
            self.totals.peak_at_ms = int(starts[power.argmax()])


def _through(segments: list[Segment], curve: Energy, instants: Energy) -> Energy:
    """Energy at the boundaries of a day in which the contacts moved."""
    which = np.searchsorted([segment.at_ms for segment in segments], instants, side="right") - 1
    chosen = np.array([(s.energy, s.curve, s.on) for s in segments], np.int64)[np.maximum(which, 0)]
    energy: Energy = np.where(chosen[:, 2], chosen[:, 0] + curve - chosen[:, 1], chosen[:, 0])
    return np.maximum(energy, 0)
