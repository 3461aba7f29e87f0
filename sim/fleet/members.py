"""The meters of one bus as views of the fleet: those of DL/T 645 by address, those of Modbus by unit."""

from array import array
from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from core.units import REGISTER_MODULUS_WH
from sim.fleet.fleet import SILENT, Fleet
from sim.kinds import MODBUS_FIRST
from sim.loads.load import MWMS_PER_WH
from sim.meters import Meter
from sim.meters.profiles import VENDORS


class BusMeters(Mapping[str, Meter]):
    """Address to meter; `addresses` ascend and `indices` go with them."""

    def __init__(self, fleet: Fleet, addresses: "array[int]", indices: "array[int]") -> None:
        self._fleet = fleet
        self._addresses = addresses
        self._indices = indices
        self._energy = fleet.loads.table.energy

    @classmethod
    def of_buses(cls, fleet: Fleet, bus_ids: Sequence[str]) -> "list[BusMeters]":
        """The DL/T 645 meters of every bus."""
        bus = _bus_numbers(fleet, bus_ids)
        address = np.array(fleet.address)
        order = np.lexsort((address, bus)).astype(np.int32)
        order = order[np.array(fleet.kind)[order] < MODBUS_FIRST]
        edges = np.searchsorted(bus[order], np.arange(len(bus_ids) + 1))
        lines = [order[first:last] for first, last in pairwise(edges)]
        return [cls(fleet, array("q", address[line].tobytes()), array("i", line.tobytes())) for line in lines]

    @classmethod
    def alone(cls, meter: Meter) -> "BusMeters":
        """One meter by itself, at the address that the scenario gave it."""
        return cls(meter.fleet, array("q", [int(meter.config.address)]), array("i", [meter.index]))

    def __getitem__(self, address: str) -> Meter:
        meter = self.named(address)
        if meter is None:
            raise KeyError(address)
        return meter

    def speaks(self, kind: int) -> bool:
        """Whether any of them is of a kind."""
        return any(self._fleet.kind[index] == kind for index in self._indices)

    def named(self, address: str) -> Meter | None:
        """The meter with these twelve digits, or None; what every request asks."""
        if not address.isdecimal():
            return None
        wanted = int(address)
        place = bisect_left(self._addresses, wanted)
        if place == len(self._addresses) or self._addresses[place] != wanted:
            return None
        return Meter(self._fleet, self._indices[place])

    def plain_total(self, address: int, at_ms: int) -> tuple[int, int | None] | None:
        """What the total of a household's meter shows and the preamble of its vendor; None unless the meter answers
        and nothing has ever happened to it, so that its load alone says all."""
        addresses, fleet = self._addresses, self._fleet
        place = bisect_left(addresses, address)
        if place == len(addresses) or addresses[place] != address:
            return None
        index = self._indices[place]
        if (
            fleet.flags[index] & SILENT
            or index in fleet.notes
            or fleet.recall(index) is not None
            or fleet.is_gate(index)
        ):
            return None
        energy = self._energy(index, at_ms if at_ms > fleet.origin_ms else fleet.origin_ms)
        return (fleet.start_wh[index] + energy // MWMS_PER_WH) % REGISTER_MODULUS_WH, VENDORS[
            fleet.vendor[index]
        ].preamble

    def __iter__(self) -> Iterator[str]:
        return (f"{address:012d}" for address in self._addresses)

    def __len__(self) -> int:
        return len(self._addresses)


def units_of_buses(fleet: Fleet, bus_ids: Sequence[str]) -> list[dict[int, Meter]]:
    """The Modbus meters of every bus."""
    found: list[dict[int, Meter]] = [{} for _ in bus_ids]
    bus = _bus_numbers(fleet, bus_ids)
    for index in np.flatnonzero(np.array(fleet.kind) >= MODBUS_FIRST).tolist():
        found[bus[index]][fleet.unit[index]] = Meter(fleet, index)
    return found


def _bus_numbers(fleet: Fleet, bus_ids: Sequence[str]) -> NDArray[np.int32]:
    """Where the bus of each meter stands: int32[n]."""
    numbers = {bus_id: number for number, bus_id in enumerate(bus_ids)}
    gates = np.array([numbers[gate.meter.bus_id] for gate in fleet.gates], np.int32)
    return np.concatenate([fleet.households.rows["bus"], gates]).astype(np.int32)
