"""What goes wrong, when, and the labels that say so afterwards.

A fault begins at a world time, by the scenario's schedule or by the control API, and may end. Each one leaves
a label with its span and the energy that was lost or hidden by it, so that a head-end's alarms can be judged:

silent              the meter answers nothing; it still counts
relay_stuck_closed  the relay obeys and shows it, the contacts stay closed; energy = what flowed while shown open
register_backwards  the shown register falls by some kWh and counts on from there; energy = the fall
unmetered_tap       somebody draws before the meter; energy = what the tap drew
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sim.estate import FaultConfig, FaultKind
from sim.load import MWMS_PER_WH

if TYPE_CHECKING:
    from sim.world import Household, World


@dataclass(slots=True)
class ActiveFault:
    """One fault of one household, running or over."""

    household: "Household"
    config: FaultConfig
    from_ms: int
    until_ms: int | None = None


class FaultBoard:
    """Starts and ends faults and keeps their labels."""

    def __init__(self, world: "World") -> None:
        self._world = world
        self.faults: list[ActiveFault] = []
        self._running: dict[tuple[Household, FaultKind], ActiveFault] = {}

    def plan(self, household: "Household") -> None:
        """Schedule what the scenario says about a household."""
        config = household.config.fault
        if config is not None:
            at_ms = max(config.at_ms, self._world.origin_ms)
            self._world.call_at_ms(at_ms, lambda when_ms: self.start(household, config, when_ms))

    def start(self, household: "Household", config: FaultConfig, at_ms: int) -> None:
        """Begin a fault now; one of the same kind that still runs is left as it is."""
        if config.kind is FaultKind.NONE or (household, config.kind) in self._running:
            return
        fault = ActiveFault(household, config, at_ms)
        self.faults.append(fault)
        self._running[household, config.kind] = fault
        meter = household.meter
        if config.kind is FaultKind.SILENT:
            meter.silent = True
        elif config.kind is FaultKind.RELAY_STUCK_CLOSED:
            meter.set_stuck_closed(at_ms, True)
        elif config.kind is FaultKind.REGISTER_BACKWARDS:
            meter.register.set_back(at_ms, config.drop_wh)
        else:
            household.start_tap(at_ms, config.tap_power_w * 1000)
        if config.until_ms is not None:
            self._world.call_at_ms(config.until_ms, lambda when_ms: self._end(fault, when_ms))

    def clear(self, household: "Household", at_ms: int) -> None:
        """End every fault of a household that runs."""
        for (faulty, _), fault in list(self._running.items()):
            if faulty == household:
                self._end(fault, at_ms)

    def labels(self, at_ms: int) -> list[dict[str, Any]]:
        """All faults so far: household, meter, kind, span in world seconds, energy in Wh."""
        return [
            {
                "household": fault.household.config.household_id,
                "meter": fault.household.meter.address,
                "kind": fault.config.kind.value,
                "start_s": fault.from_ms / 1000,
                "end_s": None if fault.until_ms is None else fault.until_ms / 1000,
                "energy_wh": self._energy_wh(fault, at_ms),
            }
            for fault in self.faults
        ]

    def _end(self, fault: ActiveFault, at_ms: int) -> None:
        if fault.until_ms is not None:
            return
        fault.until_ms = at_ms
        del self._running[fault.household, fault.config.kind]
        household, kind = fault.household, fault.config.kind
        if kind is FaultKind.SILENT:
            household.meter.silent = False
        elif kind is FaultKind.RELAY_STUCK_CLOSED:
            household.meter.set_stuck_closed(at_ms, False)
        elif kind is FaultKind.REGISTER_BACKWARDS:
            household.meter.register.set_back(at_ms, 0)
        else:
            household.end_taps(at_ms)

    def _energy_wh(self, fault: ActiveFault, at_ms: int) -> int:
        end_ms = at_ms if fault.until_ms is None else fault.until_ms
        kind = fault.config.kind
        if kind is FaultKind.UNMETERED_TAP:
            taps = fault.household.taps
            return (taps.energy(end_ms) - taps.energy(fault.from_ms)) // MWMS_PER_WH
        if kind is FaultKind.REGISTER_BACKWARDS:
            return fault.household.meter.register.offset_wh(fault.from_ms)
        if kind is FaultKind.RELAY_STUCK_CLOSED:
            return _flowed_while_open(fault.household, fault.from_ms, end_ms) // MWMS_PER_WH
        return 0


def _flowed_while_open(household: "Household", from_ms: int, until_ms: int) -> int:
    """Energy between two instants while the relay showed open contacts."""
    flowed, opened_ms = 0, None
    for event in household.meter.relay.events:
        if event.to == "open":
            opened_ms = event.at_ms
        elif opened_ms is not None:
            flowed += _between(household, max(opened_ms, from_ms), min(event.at_ms, until_ms))
            opened_ms = None
    if opened_ms is not None:
        flowed += _between(household, max(opened_ms, from_ms), until_ms)
    return flowed


def _between(household: "Household", from_ms: int, until_ms: int) -> int:
    if until_ms <= from_ms:
        return 0
    return household.supply.energy(until_ms) - household.supply.energy(from_ms)
