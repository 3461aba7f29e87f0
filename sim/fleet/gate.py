"""What a main meter measures: its households, taps, common load and line losses, through its own imperfect eyes.

The power of the whole group only changes at quarter-hours and where a contact, a tap or the day changes, so each
piece between two such instants is exact: net energy of the group, and a loss that grows with the square of the load;
a share of what flowed is lost in the lines too. What roofs give back feeds the neighbours first; only a surplus of
the whole group counts backwards. A group without roofs, common load and square losses is just a sum. The meter then
errs by its class error and sees what its current transformers leave: one step of its register is 10 Wh times their
ratio. Days that are over are summed once and kept.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from sim.estate import GateConfig
from sim.fleet.fleet import Fleet, Memory
from sim.loads.load import SLOT_MS, SLOTS
from sim.loads.supply import Supply
from sim.streams import stream
from sim.timing.spans import DAY_MS

PER_MILLION = 1_000_000
Energy = NDArray[np.int64]
DRIFT_DAYS = 14
"""Over so many days the drift of a common load is smoothed."""


class Flow(NamedTuple):
    """Energy in mW x ms that came in, and that went back."""

    taken: int
    returned: int


class Group:
    """The group behind one main meter; instants are world epoch milliseconds."""

    def __init__(self, fleet: Fleet, config: GateConfig, seed: int, index: int) -> None:
        self._fleet = fleet
        self._index = index
        self._config = config
        self._seed = seed
        self._members = config.households.indices
        self.has_roof = bool(fleet.loads.solar[self._members].any())
        self._plain = not (self.has_roof or config.loss_ppm_per_kw or config.common_power_w)
        self._first_day = (fleet.origin_ms + fleet.loads.offset_ms) // DAY_MS
        self._days = [Flow(0, 0)]
        self._drifts: dict[int, int] = {}

    def flow(self, at_ms: int) -> Flow:
        """What truly flowed from the origin to an instant, losses included."""
        day = (at_ms + self._fleet.loads.offset_ms) // DAY_MS
        if self._plain:
            taken, returned = self._sum(at_ms), 0
        else:
            while len(self._days) <= day - self._first_day:
                past = self._first_day + len(self._days) - 1
                self._days.append(_sum(self._days[-1], self._within(past, self._midnight_ms(past + 1))))
            taken, returned = _sum(self._days[day - self._first_day], self._within(day, at_ms))
        permille = self._config.loss_permille
        return Flow(taken * (1000 + permille) // 1000, returned * (1000 - permille) // 1000)

    def days_until(self, at_ms: int) -> Iterator[None]:
        """Sum up the days before an instant, one a step, so that `flow` is quick afterwards."""
        day = (at_ms + self._fleet.loads.offset_ms) // DAY_MS
        while not self._plain and len(self._days) <= day - self._first_day:
            self.flow(self._midnight_ms(self._first_day + len(self._days)))
            yield

    def edges_ms(self) -> list[int]:
        """Instants at which a contact, a tap or a habit of the group changed."""
        return [at_ms for memory in self._memories().values() for at_ms in changes(memory)]

    def _sum(self, at_ms: int) -> int:
        """What a plain group drew: its households and taps."""
        drawn = sum(Supply(self._fleet, index).energy(at_ms) for index in self._members.tolist())
        return drawn + sum(memory.taps.energy(at_ms) for memory in self._memories().values())

    def power_mw(self, at_ms: int) -> int:
        """Net power with losses, negative while the group gives back."""
        drawn = sum(Supply(self._fleet, index).net_power_mw(at_ms) for index in self._members.tolist())
        drawn += sum(memory.taps.power_mw(at_ms) for memory in self._memories().values())
        drawn += self._common_mw((at_ms + self._fleet.loads.offset_ms) // DAY_MS)
        drawn += int(self._square_loss_mw(np.array([drawn]))[0])
        return drawn + abs(drawn) * self._config.loss_permille // 1000

    def measured(self, energy: int) -> int:
        """What the meter makes of a true energy."""
        seen = energy * (PER_MILLION + self._config.class_error_ppm)
        return seen // (PER_MILLION * self._config.ct_ratio)

    def _within(self, day: int, until_ms: int) -> Flow:
        """The flow of one day up to an instant."""
        instants, net = self._net(day, until_ms)
        spans_ms, energy = np.diff(instants), np.diff(net)
        energy = energy + self._square_loss_mw(energy // spans_ms) * spans_ms
        return Flow(int(energy[energy > 0].sum()), -int(energy[energy < 0].sum()))

    def _square_loss_mw(self, power_mw: Energy) -> Energy:
        """The loss that grows with the square of the load; int64 holds it up to some megawatts."""
        watts: Energy = power_mw // 1000
        return watts * watts * self._config.loss_ppm_per_kw // PER_MILLION

    def _net(self, day: int, until_ms: int) -> tuple[Energy, Energy]:
        """Instants of a day at which the power may change, and the group's net energy at each, from any zero."""
        midnight_ms = self._midnight_ms(day)
        first_ms = max(midnight_ms, self._fleet.origin_ms)
        memories = self._memories()
        moved = {index: memory for index, memory in memories.items() if _moves(memory, first_ms, until_ms)}
        inner = {midnight_ms + slot * SLOT_MS for slot in range(1, SLOTS)}
        inner.update(at_ms for memory in memories.values() for at_ms in changes(memory))
        chosen = sorted(at_ms for at_ms in inner if first_ms < at_ms < until_ms)
        instants = np.array([first_ms, *chosen, *([until_ms] if until_ms > first_ms else [])])
        steady = [i for i in self._members.tolist() if i not in moved and _is_on(memories.get(i), first_ms)]
        net = self._steady(np.array(steady, np.int32), day, instants - midnight_ms)
        net = net + self._common_mw(day) * (instants - midnight_ms)
        for index in moved:
            supply = Supply(self._fleet, index)
            net = net + np.array([supply.net_energy(at_ms) for at_ms in instants.tolist()])
        for memory in memories.values():
            if memory.taps:
                net = net + np.array([memory.taps.energy(at_ms) for at_ms in instants.tolist()])
        return instants, net

    def _steady(self, indices: NDArray[np.int32], day: int, since_ms: Energy) -> Energy:
        """Net energy of households whose contacts stay closed, at instants of a day."""
        loads = self._fleet.loads
        edges = loads.boundaries(indices, day).sum(axis=0)
        roofs = indices[loads.solar[indices]]
        if len(roofs):
            edges = edges - loads.boundaries(roofs, day, given_back=True).sum(axis=0)
        slot, rest_ms = np.divmod(np.minimum(since_ms, DAY_MS - 1), SLOT_MS)
        rest_ms = since_ms - slot * SLOT_MS
        found: Energy = edges[slot] + (edges[slot + 1] - edges[slot]) // SLOT_MS * rest_ms
        return found

    def _common_mw(self, day: int) -> int:
        """Lifts, lights and pumps: steady within a day, drifting from day to day."""
        power_w, drift = self._config.common_power_w, self._config.common_drift_permille
        if not power_w or not drift:
            return power_w * 1000
        swing = sum(self._shock(day - back) for back in range(DRIFT_DAYS))
        return power_w * (1000 * DRIFT_DAYS + swing) // DRIFT_DAYS

    def _shock(self, day: int) -> int:
        known = self._drifts.get(day)
        if known is None:
            drift = self._config.common_drift_permille
            rng = stream(self._seed, self._config.gate_id, "common", day)
            known = self._drifts[day] = int(rng.integers(-drift, drift, endpoint=True))
        return known

    def _memories(self) -> dict[int, Memory]:
        """What members remember, and the main meter itself: taps before any household's meter are its own."""
        found = ((index, self._fleet.recall(index)) for index in (*self._members.tolist(), self._index))
        return {index: memory for index, memory in found if memory is not None}

    def _midnight_ms(self, day: int) -> int:
        return day * DAY_MS - self._fleet.loads.offset_ms


class GateSource:
    """Energy through a main meter in one direction, as the meter measures it."""

    def __init__(self, group: Group, origin_ms: int, *, returned: bool = False) -> None:
        self.group = group
        self._origin_ms = origin_ms
        self._returned = returned

    def energy(self, at_ms: int) -> int:
        """mW x ms behind the transformers since the origin."""
        return self.group.measured(self.group.flow(at_ms)[self._returned])

    def power_mw(self, at_ms: int) -> int:
        """Power behind the transformers, without its sign."""
        return self.group.measured(abs(self.group.power_mw(at_ms)))

    def reached_ms(self, energy: int, until_ms: int) -> int | None:
        """First millisecond up to `until_ms` at which `energy` had flowed, by bisection."""
        if self.energy(until_ms) < energy:
            return None
        span = range(self._origin_ms, until_ms)
        return self._origin_ms + bisect_left(span, energy, key=self.energy)


def changes(memory: Memory) -> list[int]:
    """Instants at which a household's contacts, taps or habits changed."""
    habits = [] if memory.demand is None else memory.demand.edges_ms()
    return [segment.at_ms for segment in memory.segments] + memory.taps.edges_ms() + habits


def _moves(memory: Memory, after_ms: int, before_ms: int) -> bool:
    """Whether the contacts move within a span, or the household does not follow the curve of its load."""
    return memory.demand is not None or any(after_ms < segment.at_ms < before_ms for segment in memory.segments)


def _is_on(memory: Memory | None, at_ms: int) -> bool:
    """Whether the contacts are closed from an instant on."""
    if memory is None or not memory.segments:
        return True
    return memory.segments[max(0, bisect_right(memory.segments, at_ms, key=lambda s: s.at_ms) - 1)].on


def _sum(one: Flow, other: Flow) -> Flow:
    return Flow(one.taken + other.taken, one.returned + other.returned)
