"""The living estate: meters on buses, loads behind them, residents and faults, all on one clock.

`World` builds everything from a scenario and a seed and then only reacts: to bytes on a bus, to the end of a
trip delay, to a resident who walks to the button, to a fault that begins. Energy starts to flow at the world
time of the anchor, so that the same scenario, seed and anchor are the same world however late the process
was started. State lies in the columns of the fleet; a household is a view that is made when asked for.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial

from sim.errors import UnknownMeter
from sim.estate import GateConfig, Scenario
from sim.faults import FaultBoard
from sim.fleet.dwelling import Dwellings, Household
from sim.fleet.fleet import WALKING, Fleet
from sim.fleet.gate import Group
from sim.fleet.members import BusMeters, units_of_buses
from sim.life import Life
from sim.loads.load import Loads
from sim.loads.weather import Weather
from sim.meters import Meter
from sim.ports import Port
from sim.streams import draw, stream
from sim.timing.agenda import Agenda
from sim.timing.anchor import WorldClock, epoch_us
from sim.timing.clock import Environment
from sim.wire.bus import Bus
from sim.wire.listening import ears_of

__all__ = ["Gate", "Household", "World"]


@dataclass(frozen=True, slots=True)
class Gate:
    """A main meter and what it measures."""

    config: GateConfig
    meter: Meter


class World:
    """An estate that runs on `env`; instants are world epoch milliseconds."""

    def __init__(
        self, scenario: Scenario, seed: int, env: Environment, clock: WorldClock, ports: Mapping[str, Port]
    ) -> None:
        self.scenario = scenario
        self.seed = seed
        self.env = env
        self.clock = clock
        self.origin_ms = epoch_us(clock.anchor.world_utc) // 1000
        self.calendar = scenario.calendar
        self.agenda = Agenda(env, clock)
        self.fleet = self._fleet()
        self.fleet.on_change = self._follow_up
        self.households = Dwellings(self.fleet)
        self.gates = {
            gate.gate_id: Gate(gate, Meter(self.fleet, len(scenario.households) + number))
            for number, gate in enumerate(scenario.gates)
        }
        bus_ids = [bus.bus_id for bus in scenario.buses]
        members, units = BusMeters.of_buses(self.fleet, bus_ids), units_of_buses(self.fleet, bus_ids)
        self.buses = {
            bus.bus_id: Bus(
                env,
                bus,
                ports[bus.bus_id],
                clock.world_ms,
                stream(seed, bus.bus_id, "delay"),
                stream(seed, bus.bus_id, "noise"),
                ears_of(bus, meters, on_modbus),
            )
            for bus, meters, on_modbus in zip(scenario.buses, members, units, strict=True)
        }
        self.faults = FaultBoard(self)
        for config in (*scenario.households.faults.values(), *scenario.faults):
            self.faults.plan(config)
        self.life = Life(self, scenario.events)
        for index in scenario.households.with_credit():
            Meter(self.fleet, index).run_credit(self.origin_ms)

    @property
    def now_ms(self) -> int:
        """World time now."""
        return self.clock.world_ms(self.env.time_s)

    def household(self, name: str) -> Household:
        """The household behind a meter's address, or of an id; UnknownMeter if there is none."""
        found = self.households.behind(name) or self.households.get(name)
        if found is None:
            raise UnknownMeter(f"no household has the meter {name}")
        return found

    def meters(self) -> Iterator[Meter]:
        """All meters of the estate."""
        return (Meter(self.fleet, index) for index in range(len(self.fleet)))

    def call_at_ms(self, world_ms: int, callback: Callable[[int], None]) -> None:
        """Call `callback(world_ms)` when the world shows that time."""
        self.agenda.call_at(world_ms, callback)

    def set_speed(self, factor: int) -> None:
        """From now on `factor` world seconds pass in one machine second; 0 lets the world stand still."""
        self.clock.set_speed(self.env.time_s, factor)
        self.agenda.rearm()

    def step(self, world_ms: int) -> None:
        """Let so many milliseconds of world time pass at once, with all that happens in them, in its order."""
        self.agenda.run_until(self.now_ms + world_ms)

    def close(self) -> None:
        """Close all buses."""
        for bus in self.buses.values():
            bus.close()

    def open(self) -> None:
        """Open all ports; PortError when one cannot be had."""
        for bus in self.buses.values():
            bus.port.open(self.env, bus.on_bytes)

    def _fleet(self) -> Fleet:
        households = self.scenario.households
        loads = Loads(
            self.seed,
            households,
            Weather(self.seed, self.scenario.climate, self.scenario.holidays.number_of),
            origin_ms=self.origin_ms,
            offset_ms=self.calendar.standard_offset_ms,
            profiles=self.scenario.profiles,
        )
        fleet = Fleet(households, self.scenario.gates, loads, self.calendar, self.origin_ms)
        gates = enumerate(self.scenario.gates, start=len(households))
        fleet.groups += [Group(fleet, gate, self.seed, index) for index, gate in gates]
        return fleet

    def _follow_up(self, index: int, at_ms: int) -> None:
        """After a change of the relay: the end of its delay, and the way to the button."""
        meter = Meter(self.fleet, index)
        relay = meter.relay
        if relay.due_ms is not None:
            self.call_at_ms(relay.due_ms, meter.run_delay)
        self._watch_credit(meter)
        if not relay.permits_close or self.fleet.has(index, WALKING):
            return
        household = Household(self.fleet, index)
        resident = household.resident
        if resident.button == "never":
            return
        memory = meter.remember()
        memory.visits += 1
        self.fleet.put(index, WALKING, True)
        delay_s = draw(self.seed, *resident.button_delay_s, household.household_id, "button", memory.visits)
        if resident.clock == "machine":
            delay_s *= max(1, self.clock.anchor.factor)
        self.call_at_ms(at_ms + delay_s * 1000, partial(self._arrive, index))

    def _watch_credit(self, meter: Meter) -> None:
        """Come back when the credit of a meter with local fee control reaches its next threshold."""
        account = meter.notes.account
        if account is not None and account.due_ms is not None and account.due_ms != account.watched_ms:
            account.watched_ms = account.due_ms
            self.call_at_ms(account.due_ms, partial(self._credit_due, meter))

    def _credit_due(self, meter: Meter, at_ms: int) -> None:
        """A threshold is reached, unless the plan has changed since."""
        account = meter.notes.account
        if account is not None and account.due_ms == at_ms:
            meter.run_credit(at_ms)

    def _arrive(self, index: int, at_ms: int) -> None:
        """The resident is at the meter, and presses only if that is of any use."""
        self.fleet.put(index, WALKING, False)
        meter = Meter(self.fleet, index)
        if meter.relay.permits_close:
            meter.press_button(at_ms)
