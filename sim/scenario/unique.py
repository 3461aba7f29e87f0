"""What only one thing of an estate may have: ids, addresses, units on a line; and how many meters a line carries.

Each error names the line of the second one, and of the first.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from sim.estate import GateConfig
from sim.kinds import MODBUS, MODBUS_FIRST
from sim.scenario.columns import Households
from sim.scenario.origins import Origins

METERS_PER_BUS_MAX = 256
UNITS = 256


def refuse_same_ids(what: str, ids: Sequence[str], origins: Origins) -> None:
    """An id belongs to one bus, one household, one main meter."""
    seen: dict[str, int] = {}
    for number, name in enumerate(ids):
        if name in seen:
            raise origins.twice([seen[name], number], "id", f"{what} {name}")
        seen[name] = number


def check_meters(bus_ids: Sequence[str], households: Households, gates: Sequence[GateConfig], origins: Origins) -> None:
    """Every address once, every unit once on its line, and no line with more meters than it can carry.

    `origins` counts the households and then the main meters.
    """
    rows, number_of = households.rows, {bus_id: number for number, bus_id in enumerate(bus_ids)}
    buses = np.append(rows["bus"], [number_of[gate.meter.bus_id] for gate in gates]).astype(np.int64)
    addresses = np.append(rows["address"], [int(gate.meter.address) for gate in gates]).astype(np.int64)
    same = _same(addresses, np.arange(len(addresses)))
    if same is not None:
        raise origins.twice(same, "meter", f"meter {addresses[same[0]]:012d}")
    spoken = np.append(rows["kind"] >= MODBUS_FIRST, [gate.meter.protocol == MODBUS for gate in gates]).astype(bool)
    units = np.append(rows["unit"], [gate.meter.unit for gate in gates]).astype(np.int64)
    modbus = np.flatnonzero(spoken)
    same = _same((buses * UNITS + units)[modbus], modbus)
    if same is not None:
        name = f"unit {units[same[0]]} on bus {bus_ids[buses[same[0]]]}"
        raise origins.twice(same, "unit", name, "each Modbus meter needs its own")
    counts = np.bincount(buses, minlength=len(bus_ids))
    for bus in np.flatnonzero(counts > METERS_PER_BUS_MAX).tolist():
        first_too_many = int(np.flatnonzero(buses == bus)[METERS_PER_BUS_MAX])
        raise origins.refuse(
            first_too_many,
            "bus",
            f"bus {bus_ids[bus]} has {counts[bus]} meters; allowed: at most {METERS_PER_BUS_MAX} on one line",
        )


def _same(values: NDArray[np.int64], numbers: NDArray[np.int64]) -> list[int] | None:
    """The numbers of the things with the first value that stands more than once."""
    _, first, times = np.unique(values, return_index=True, return_counts=True)
    if not (times > 1).any():
        return None
    value = values[first[times > 1].min()]
    return [int(number) for number in numbers[values == value]]
