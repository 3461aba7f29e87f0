"""Virtual drive: an estate lives through some days as fast as the machine goes, without ports.

Events happen in their order at their instants; after each day all registers are swept (`sim.fleet.sweep`). The summary
says what was lived through: households, energy by kind of load, peaks, events by kind, and how much faster than life
it was.
"""

import json
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

from sim.estate import LOADS, Scenario
from sim.fleet.dwelling import Household
from sim.fleet.sweep import Sweep
from sim.loads.load import MWMS_PER_WH
from sim.ports import MemoryPort
from sim.timing.anchor import Anchor, WorldClock, iso_utc
from sim.timing.clock import Environment
from sim.timing.spans import DAY_MS, DAY_S
from sim.truth import gate_truth, household_truth
from sim.world import World

WH_PER_KWH = 1000


class VirtualRun:
    """A world of its own clock, swept day by day."""

    def __init__(self, scenario: Scenario, seed: int, anchor: Anchor) -> None:
        env, clock = Environment(), WorldClock(Anchor(anchor.machine_utc, anchor.world_utc), anchor.machine_utc)
        ports = {bus.bus_id: MemoryPort(bus.bus_id) for bus in scenario.buses}
        self.world = World(scenario, seed, env, clock, ports)
        self.sweep = Sweep(self.world.fleet)
        self._offset_ms = self.world.calendar.standard_offset_ms
        self._took_s = 0.0

    def run(self, days: float) -> None:
        """Live through some days from the origin on."""
        began_s = time.perf_counter()
        world, end_ms = self.world, self.world.origin_ms + round(days * DAY_MS)
        day = (world.origin_ms + self._offset_ms) // DAY_MS
        while True:
            until_ms = min((day + 1) * DAY_MS - self._offset_ms, end_ms)
            world.env.run(until=max(world.clock.now_s(until_ms), world.env.now))
            self.sweep.day(day, until_ms)
            if until_ms == end_ms:
                break
            day += 1
        for _ in world.env.passing(world.env.now):  # the last instant is lived through, as at every midnight before
            pass
        self._took_s = time.perf_counter() - began_s

    def summary(self) -> dict[str, Any]:
        """What was lived through; everything but the last two numbers follows from scenario, seed and anchor."""
        world, totals = self.world, self.sweep.totals
        lived_s = (world.now_ms - world.origin_ms) / 1000
        return {
            "estate": world.scenario.name,
            "seed": world.seed,
            "from": iso_utc(world.clock.anchor.world_utc),
            "days": lived_s / DAY_S,
            "households": len(world.households),
            "main_meters": len(world.gates),
            "energy_kwh": self._energy_kwh(),
            "peak_kw": totals.peak_mw // 1_000_000,
            "peak_at_s": totals.peak_at_ms // 1000,
            "registers": totals.registers,
            "freezes": totals.freezes,
            "events": self._events(),
            "digest": totals.digest.hexdigest(),
            "seconds": round(self._took_s, 3),
            "times_faster_than_life": round(lived_s / self._took_s) if self._took_s else 0,
        }

    def _energy_kwh(self) -> dict[str, int]:
        """Energy by kind of load, and given back by roofs; main meters sum up only when their truth is asked for."""
        fleet, now_ms = self.world.fleet, self.world.now_ms
        by_load: Counter[str] = Counter()
        back = 0
        for index, load in enumerate(fleet.households.rows["load"].tolist()):
            supply = Household(fleet, index).supply
            by_load[LOADS[load]] += supply.energy(now_ms)
            back += supply.given_back(now_ms)
        found = {"all": sum(by_load.values())} | {load: by_load[load] for load in LOADS if by_load[load]}
        found |= {"given_back": back}
        return {name: energy // MWMS_PER_WH // WH_PER_KWH for name, energy in found.items()}

    def _events(self) -> dict[str, int]:
        """How often what happened."""
        fleet = self.world.fleet
        memories = [memory for index in fleet.remembering() if (memory := fleet.recall(index)) is not None]
        counted = Counter(f"relay {event.cause}" for memory in memories for event in memory.relay_events)
        counted.update(f"fault {fault.config.kind}" for fault in self.world.faults.faults)
        return {"steps of the agenda": self.world.agenda.done, **dict(sorted(counted.items()))}


def truth_lines(world: World) -> Iterator[str]:
    """The truth as JSON Lines: one household or main meter a line."""
    at_ms = world.now_ms
    for household in world.households.values():
        yield json.dumps(household_truth(household, at_ms), sort_keys=True)
    for gate in world.gates.values():
        yield json.dumps(gate_truth(gate.meter, gate.config.gate_id, gate.config.feeds, at_ms), sort_keys=True)
