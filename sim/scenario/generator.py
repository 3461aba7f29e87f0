"""[[generate]]: whole buildings of households, buses and main meters from a dozen lines.

A household's id is BUILDING-FLOORROOM and its address counts from `first_meter` by the same numbers, so that a
further building, floor or room changes no other. What varies (kind of load, start register, resident, solar roof) is
drawn from the household's own key. The meters of a building fill its buses one after another; its main meters, each
for as many households in a row, stand at the end.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.units import WH_PER_STEP
from sim.estate import (
    BUTTONS,
    LOADS,
    PROMPT_DELAY_S,
    SLOW_DELAY_S,
    BusConfig,
    GateConfig,
    MeterConfig,
    Resident,
)
from sim.kinds import MODBUS, kind_number
from sim.loads.habits import draw_keys, uniform
from sim.scenario.bus import read_bus
from sim.scenario.columns import ROW, HouseholdRows, Ids, Members
from sim.scenario.estate import read_gate_traits
from sim.scenario.meter import UNIT_MAX, read_pattern
from sim.scenario.section import Section
from sim.vendors import VENDOR_NAMES

PER_BUILDING = 10_000
METERS_PER_BUS_MAX = 256
GATE_FLOOR = 9_900
GATES_PER_BUILDING_MAX = 99
GENERATED_LOADS = tuple(load for load in LOADS if load != "constant")
DEFAULT_LOADS = {"family": 66, "single": 18, "heavy": 10, "vacant": 6}
DEFAULT_RESIDENTS = {"prompt": 1}
DRAW_LOAD, DRAW_START, DRAW_RESIDENT, DRAW_ROOF, DRAW_SOLAR, DRAW_PROFILE = range(20, 26)
Weights = Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Generator:
    """What one [[generate]] table says."""

    first_building: int
    buildings: int
    floors: int
    rooms: int
    meters_per_bus: int
    households_per_gate: int
    first_meter: int
    loads: Weights
    residents: Weights
    start_register_wh: tuple[int, int]
    solar_permille: int
    solar_w: tuple[int, int]
    mean_power_w: int
    profiles: int
    bus: BusConfig
    meter: MeterConfig
    gate: GateConfig

    @property
    def households_per_building(self) -> int:
        """Rooms of all floors."""
        return self.floors * self.rooms

    @property
    def gates_per_building(self) -> int:
        """Main meters, the last one for what is left."""
        return -(-self.households_per_building // self.households_per_gate) if self.households_per_gate else 0

    def numbers(self) -> range:
        """The numbers of the buildings."""
        return range(self.first_building, self.first_building + self.buildings)

    def buses(self) -> Iterator[BusConfig]:
        """The buses of every building."""
        lines = -(-(self.households_per_building + self.gates_per_building) // self.meters_per_bus)
        for building in self.numbers():
            for line in range(lines):
                yield replace(self.bus, bus_id=f"b{building}-{line + 1}")

    def add_households(self, rows: HouseholdRows, seed: int) -> None:
        """All households, in bulk."""
        place = np.arange(self.buildings * self.households_per_building)
        building, within = np.divmod(place, self.households_per_building)
        building += self.first_building
        floor, room = np.divmod(within, self.rooms)
        number = (floor + 1) * 100 + room + 1
        names = np.array([f"{b}-{n:04d}".encode() for b, n in zip(building.tolist(), number.tolist(), strict=True)])
        keys = draw_keys(seed, [name.decode() for name in names.tolist()])
        table = np.zeros(len(place), ROW)
        table["address"] = self.first_meter + (building - 1) * PER_BUILDING + number
        numbers = np.array([rows.bus_number(f"b{b}-{n + 1}") for b in self.numbers() for n in range(self._lines())])
        table["bus"] = numbers[(building - self.first_building) * self._lines() + within // self.meters_per_bus]
        table["max_current_a"], table["password_level"], table["phases"] = 60, 2, self.meter.phases
        table["kind"] = kind_number(self.meter.protocol, self.meter.model)
        table["vendor"] = VENDOR_NAMES.index(self.meter.vendor)
        if self.meter.protocol == MODBUS:
            table["unit"] = within % self.meters_per_bus + 1
        self._draw(table, keys, rows)
        rows.extend(names, table)

    def gates(self, ids: Ids) -> Iterator[GateConfig]:
        """The main meters of every building."""
        each = self.households_per_building
        for building in self.numbers():
            first = ids.find(f"{building}-0101")
            assert first is not None
            for gate in range(self.gates_per_building):
                start, end = gate * self.households_per_gate, min((gate + 1) * self.households_per_gate, each)
                address = self.first_meter + (building - 1) * PER_BUILDING + GATE_FLOOR + gate
                meter = MeterConfig(f"{address:012d}", f"b{building}-{(each + gate) // self.meters_per_bus + 1}")
                yield replace(
                    self.gate,
                    gate_id=f"g{building}-{gate + 1}",
                    feeds=f"building {building}, part {gate + 1}",
                    meter=meter,
                    households=Members(ids, np.arange(first + start, first + end, dtype=np.int32)),
                )

    def _lines(self) -> int:
        return -(-(self.households_per_building + self.gates_per_building) // self.meters_per_bus)

    def _draw(self, table: NDArray[Any], keys: NDArray[np.uint64], rows: HouseholdRows) -> None:
        """What varies from household to household."""
        load = _chosen(uniform(keys, DRAW_LOAD), self.loads)
        table["load"] = np.array([LOADS.index(name) for name in self.loads])[load]
        least, most = self.start_register_wh
        steps = least // WH_PER_STEP + (uniform(keys, DRAW_START) * ((most - least) // WH_PER_STEP + 1)).astype(
            np.int64
        )
        table["start_register_wh"] = steps * WH_PER_STEP
        kinds = [Resident(name, SLOW_DELAY_S if name == "slow" else PROMPT_DELAY_S) for name in self.residents]
        residents = np.array([rows.resident(kind) for kind in kinds])
        table["resident"] = residents[_chosen(uniform(keys, DRAW_RESIDENT), self.residents)]
        roofs = uniform(keys, DRAW_ROOF) * 1000 < self.solar_permille
        low, high = self.solar_w
        table["solar_w"] = np.where(roofs, low + (uniform(keys, DRAW_SOLAR) * (high - low + 1)).astype(np.int64), 0)
        table["mean_power_w"] = np.where(table["load"] == LOADS.index("vacant"), 0, self.mean_power_w)
        table["profile"] = (uniform(keys, DRAW_PROFILE) * self.profiles).astype(np.int64)


def read_generator(section: Section, profiles: int = 0) -> Generator:
    """Read one [[generate]] table; `profiles` is how many load profiles there are to replay."""
    loads = _weights(section, "loads", GENERATED_LOADS, DEFAULT_LOADS)
    if loads.get("replay") and not profiles:
        raise section.wrong("loads", "replay only with a table [replay] that names a file")
    bus = read_bus(section.inner("bus"), "generated")
    meter = read_pattern(section, bus)
    most = UNIT_MAX if meter.protocol == MODBUS else METERS_PER_BUS_MAX
    per_bus = section.whole("meters_per_bus", 1, most, most)
    start_wh = section.span("start_register_wh", 0, 999_999_990, (0, 0))
    generator = Generator(
        first_building=section.whole("first_building", 1, 99_999, 1),
        buildings=section.whole("buildings", 1, 10_000),
        floors=section.whole("floors", 1, 98),
        rooms=section.whole("rooms", 1, 99),
        meters_per_bus=per_bus,
        households_per_gate=section.whole("households_per_gate", 0, 1000, 0),
        first_meter=int(section.digits("first_meter", 12, "645000000000")),
        loads=loads,
        residents=_weights(section, "residents", BUTTONS, DEFAULT_RESIDENTS),
        start_register_wh=start_wh,
        solar_permille=section.whole("solar_permille", 0, 1000, 0),
        solar_w=section.span("solar_w", 100, 100_000, (3_000, 8_000)),
        mean_power_w=section.whole("mean_power_w", 0, 20_000, 0),
        profiles=max(profiles, 1),
        bus=bus,
        meter=meter,
        gate=_gate_pattern(section.inner("gate")),
    )
    _check(section, generator)
    section.finish()
    return generator


def _check(section: Section, generator: Generator) -> None:
    """What fits each key alone may still not fit together."""
    if generator.gates_per_building > GATES_PER_BUILDING_MAX:
        raise section.wrong("households_per_gate", f"at most {GATES_PER_BUILDING_MAX} main meters in a building")
    last = generator.first_meter + (generator.numbers()[-1]) * PER_BUILDING
    if last >= 999_999_999_999:
        raise section.wrong("first_meter", "an address from which all buildings fit into twelve digits")
    if generator.bus.port not in ("pty", "memory", "tcp://127.0.0.1:0"):
        raise section.inner("bus").wrong("port", "pty, memory or tcp://127.0.0.1:0, since there are many")


def _gate_pattern(section: Section) -> GateConfig:
    """What all main meters of a generator have in common."""
    pattern = GateConfig(
        gate_id="",
        meter=MeterConfig("0" * 12, ""),
        feeds="",
        households=Members(Ids(np.zeros(0, "S1")), np.zeros(0, np.int32)),
        **read_gate_traits(section),
    )
    section.finish()
    return pattern


def _weights(section: Section, key: str, allowed: tuple[str, ...], default: Weights) -> Weights:
    """Shares by name, as whole numbers of any sum."""
    if not section.has(key):
        section.raw(key)
        return default
    inner = section.inner(key)
    weights = {name: inner.whole(name, 0, 1_000_000, 0) for name in allowed}
    inner.finish()
    if not sum(weights.values()):
        raise section.wrong(key, f"shares above 0 of {', '.join(allowed)}")
    return {name: weight for name, weight in weights.items() if weight}


def _chosen(u: NDArray[Any], weights: Weights) -> NDArray[Any]:
    """Which of the weights each draw falls into."""
    sums = np.array(list(accumulate(weights.values())))
    return np.asarray(np.searchsorted(sums, u * sums[-1], side="right"))
