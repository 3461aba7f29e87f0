"""The faults of a world: planned, begun, ended, and the labels that say so afterwards.

A label tells what was wrong, where, from when to when, how much energy no register shows, and which alarm it deserves
within which time. Ids are made of kind, place and a count, so that a fault more elsewhere changes no other label.
"""

from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from sim.errors import UnknownMeter
from sim.estate import FaultConfig
from sim.faults.fault import ANY_KIND, BUS, GATE, HOUSEHOLD, Fault, Place, Stage, StillRunning, WrongPlace
from sim.faults.registry import KINDS
from sim.kinds import KINDS as METER_KINDS
from sim.loads.load import MWMS_PER_WH


@dataclass(slots=True)
class ActiveFault:
    """One fault, running or over."""

    fault_id: str
    config: FaultConfig
    fault: Fault
    from_ms: int
    until_ms: int | None = None


class FaultBoard:
    """Starts and ends faults and keeps their labels."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self.faults: list[ActiveFault] = []
        self._running: dict[tuple[str, str, str], ActiveFault] = {}
        self._counts: dict[tuple[str, str, str], int] = {}
        self._planned: dict[FaultConfig, Fault] = {}
        self._planned_at: dict[tuple[str, str, str], list[FaultConfig]] = {}

    def plan(self, config: FaultConfig) -> None:
        """Schedule what the scenario says; what would be over before the world begins never was."""
        origin_ms = self._stage.origin_ms
        if config.from_start:
            until_ms = None if config.until_ms is None else config.until_ms + origin_ms
            config = replace(config, at_ms=config.at_ms + origin_ms, until_ms=until_ms, from_start=False)
        if config.until_ms is not None and config.until_ms <= origin_ms:
            return
        at_ms = max(config.at_ms, origin_ms)
        try:
            self._check_alone(config)
            fault = self._planned[config] = self._made(config)
        except WrongPlace as error:
            place = dict(config.sizes_stand).get(error.key, config.stands)
            stands = f"{place}: " if place else ""
            raise WrongPlace(f"{stands}fault {config.kind} of {config.where} {config.name}: {error}") from error
        fault.prepare(at_ms)
        self._stage.call_at_ms(at_ms, partial(self._start_planned, config))

    def _check_alone(self, config: FaultConfig) -> None:
        """One kind at one place is planned once at a time."""
        for other in self._planned_at.setdefault((config.kind, config.where, config.name), []):
            if _overlap(config, other):
                raise WrongPlace("planned twice for one time; let the first end before the second, or leave one out")
        self._planned_at[config.kind, config.where, config.name].append(config)

    def start(self, config: FaultConfig, at_ms: int) -> ActiveFault:
        """Begin a fault now; StillRunning where one of its kind runs there, WrongPlace where it cannot be."""
        key = config.kind, config.where, config.name
        running = self._running.get(key)
        if running is not None:
            if running.config.until_ms is None or running.config.until_ms > at_ms:
                raise StillRunning(f"{running.fault_id} still runs there; end it with none first")
            self._end(running, at_ms)
        fault = self._planned.pop(config, None) or self._made(config)
        self._counts[key] = self._counts.get(key, 0) + 1
        active = ActiveFault(self._id(config), config, fault, at_ms)
        self.faults.append(active)
        self._running[key] = active
        fault.running = True
        fault.begin(at_ms)
        if fault.instant:
            self._end(active, at_ms)
        elif config.until_ms is not None:
            self._stage.call_at_ms(config.until_ms, lambda when_ms: self._end(active, when_ms))
        return active

    def _start_planned(self, config: FaultConfig, at_ms: int) -> None:
        with suppress(StillRunning):  # one that was ordered or drawn before it has the place, and the label
            self.start(config, at_ms)

    def clear(self, where: str, name: str, at_ms: int) -> None:
        """End every fault that runs at a place."""
        for key, active in list(self._running.items()):
            if key[1:] == (where, name):
                self._end(active, at_ms)

    def running(self) -> list[ActiveFault]:
        """The faults that go on."""
        return list(self._running.values())

    def labels(self, at_ms: int) -> list[dict[str, Any]]:
        """All faults so far, see docs/simulator.md; world seconds, Wh."""
        return [self.label(active, at_ms) for active in self.faults]

    def going_on(self) -> list[dict[str, Any]]:
        """What runs now, without the energy, which takes its time to sum up: cheap enough to be asked every second."""
        return [
            {
                "id": active.fault_id,
                "kind": active.config.kind,
                "class": active.fault.group,
                "meter": None if active.fault.place.index is None else active.fault.place.meter.config.address,
                "bus": active.fault.place.bus.config.bus_id,
                "start_s": active.from_ms / 1000,
            }
            for active in self.running()
        ]

    def label(self, active: ActiveFault, at_ms: int) -> dict[str, Any]:
        """The label of one fault."""
        fault, config, place = active.fault, active.config, active.fault.place
        end_ms = at_ms if active.until_ms is None else active.until_ms
        alarm, within_s = fault.expected(end_ms)
        gate = self._gate(place)
        if alarm == "balance" and gate is None:
            alarm = None
        return {
            "id": active.fault_id,
            "kind": config.kind,
            "class": fault.group,
            "severity": fault.severity,
            "household": place.name if place.where == HOUSEHOLD else None,
            "meter": None if place.index is None else place.meter.config.address,
            "gate": gate,
            "bus": place.bus.config.bus_id,
            "start_s": active.from_ms / 1000,
            "end_s": None if active.until_ms is None else active.until_ms / 1000,
            "began_before": config.at_ms < self._stage.origin_ms,
            "lost_wh": fault.lost_mwms(end_ms) // MWMS_PER_WH,
            "alarm": alarm,
            "also": list(fault.also),
            "alarm_within_s": None if alarm is None else within_s,
            "sizes": {name: list(size) if isinstance(size, tuple) else size for name, size in fault.sizes.items()},
        }

    def _end(self, active: ActiveFault, at_ms: int) -> None:
        if active.until_ms is not None:
            return
        active.until_ms = at_ms
        del self._running[active.config.kind, active.config.where, active.config.name]
        if not active.fault.instant:
            active.fault.end(at_ms)
        active.fault.running = False

    def _made(self, config: FaultConfig) -> Fault:
        kind = KINDS[config.kind]
        place = self._place(config)
        if place.where not in kind.where:
            raise WrongPlace(f"{config.kind} cannot be at a {place.where}; allowed: {', '.join(kind.where)}")
        number = self._counts.get((config.kind, config.where, config.name), 0) + 1
        fault = kind(place, dict(config.sizes), f"{config.kind}/{config.name}/{number}")
        _check_meter(fault)
        fault.check()
        if "with" in fault.sizes:  # labels name households, whichever way this one was named
            fault.sizes["with"] = place.other(str(fault.sizes["with"])).config.household_id
        return fault

    def _id(self, config: FaultConfig) -> str:
        return f"{config.kind}/{config.name}/{self._counts[config.kind, config.where, config.name]}"

    def _place(self, config: FaultConfig) -> Place:
        fleet, name, index = self._stage.fleet, config.name, None
        if config.where == BUS:
            if name not in self._stage.buses:
                raise UnknownMeter(f"no bus {name}")
        elif config.where == GATE:
            index = next((n for n, gate in enumerate(fleet.gates, len(fleet.households)) if gate.gate_id == name), None)
        else:
            index = fleet.households.ids.find(name)
        if index is None and config.where != BUS:
            raise UnknownMeter(f"no {config.where} {name}")
        return Place(self._stage, config.where, name, index)

    def _gate(self, place: Place) -> str | None:
        """The main meter that sees the place."""
        if place.where == GATE:
            return place.name
        for gate in self._stage.fleet.gates if place.index is not None else ():
            if (gate.households.indices == place.index).any():
                return gate.gate_id
        return None


def _check_meter(fault: Fault) -> None:
    """A label must not promise what no meter there can show."""
    place, allowed = fault.place, fault.shown_by()
    found = place.bus.meters() if place.index is None else (place.meter,)
    if allowed != ANY_KIND and not any(meter.kind in allowed for meter in found):
        names = ", ".join(METER_KINDS[kind] for kind in allowed)
        raise WrongPlace(f"{fault.name} cannot show at {place.where} {place.name}; allowed: meters of {names}")


def _overlap(one: FaultConfig, other: FaultConfig) -> bool:
    first, second = sorted((one, other), key=lambda config: config.at_ms)
    return not KINDS[first.kind].instant and (first.until_ms is None or first.until_ms > second.at_ms)
