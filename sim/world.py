"""The living estate: meters on buses, loads behind them, residents and faults, all on one clock.

`World` builds everything from a scenario and a seed and then only reacts: to bytes on a bus, to the end of a
trip delay, to a resident who walks to the button, to a fault that begins. Energy starts to flow at the world
time of the anchor, so that the same scenario, seed and anchor are the same world however late the process
was started.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from sim.anchor import WorldClock, epoch_us
from sim.bus import Bus
from sim.clock import Environment
from sim.errors import UnknownMeter
from sim.estate import GateConfig, HouseholdConfig, Scenario
from sim.faults import FaultBoard
from sim.load import DAY_MS, HouseholdCurve, household_curve
from sim.meters import Meter
from sim.meters.register import Register
from sim.ports import Port
from sim.streams import draw, stream
from sim.supply import GateSource, Supply, Taps
from sim.weather import Weather


@dataclass(slots=True)
class Household:
    """A dwelling, its supply and its meter."""

    config: HouseholdConfig
    supply: Supply
    taps: Taps
    meter: Meter
    visits: int = field(default=0)
    walking: bool = field(default=False)


@dataclass(slots=True)
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
        self.buses = {
            bus.bus_id: Bus(
                env,
                bus,
                ports[bus.bus_id],
                clock.world_ms,
                stream(seed, bus.bus_id, "delay"),
                stream(seed, bus.bus_id, "noise"),
            )
            for bus in scenario.buses
        }
        weather = Weather(seed)
        self.households = {h.household_id: self._household(h, weather) for h in scenario.households}
        self.gates = {gate.gate_id: self._gate(gate) for gate in scenario.gates}
        self.by_address = {h.meter.address: h for h in self.households.values()}
        self.faults = FaultBoard(self)
        for household in self.households.values():
            self._prepare(household, self.origin_ms)
        for household in self.households.values():
            self.faults.plan(household)

    @property
    def now_ms(self) -> int:
        """World time now."""
        return self.clock.world_ms(self.env.time_s)

    def household(self, address: str) -> Household:
        """The household behind a meter's address, or of an id; UnknownMeter if there is none."""
        found = self.by_address.get(address) or self.households.get(address)
        if found is None:
            raise UnknownMeter(f"no household has the meter {address}")
        return found

    def meters(self) -> Iterator[Meter]:
        """All meters of the estate."""
        for dwelling in self.households.values():
            yield dwelling.meter
        for gate in self.gates.values():
            yield gate.meter

    def call_at_ms(self, world_ms: int, callback: object) -> None:
        """Call `callback(world_ms)` when the world shows that time."""
        assert callable(callback)
        self.env.call_at(self.clock.now_s(world_ms), lambda: callback(world_ms))

    def close(self) -> None:
        """Close all buses."""
        for bus in self.buses.values():
            bus.close()

    def open(self) -> None:
        """Open all ports; PortError when one cannot be had."""
        for bus in self.buses.values():
            bus.port.open(self.env, bus.on_bytes)

    def _household(self, config: HouseholdConfig, weather: Weather) -> Household:
        curve = household_curve(
            self.seed, config, weather, origin_ms=self.origin_ms, offset_ms=self.calendar.standard_offset_ms
        )
        supply, taps = Supply(curve, self.origin_ms), Taps()
        register = Register(supply, self.calendar, config.meter.start_register_wh, self.origin_ms)
        meter = Meter(config.meter, register, supply, self.calendar, switch=supply.switch)
        self.buses[config.meter.bus_id].meters[meter.address] = meter
        household = Household(config, supply, taps, meter)
        meter.on_change = lambda at_ms: self._follow_up(household, at_ms)
        return household

    def _gate(self, config: GateConfig) -> Gate:
        members = [self.households[name] for name in config.households]
        source = GateSource([(m.supply, m.taps) for m in members], config.loss_permille, self.origin_ms)
        register = Register(source, self.calendar, config.meter.start_register_wh, self.origin_ms)
        meter = Meter(config.meter, register, source, self.calendar)
        self.buses[config.meter.bus_id].meters[meter.address] = meter
        return Gate(config, meter)

    def _prepare(self, household: Household, at_ms: int) -> None:
        """Draw the next days of a household within the day before they begin, each at its own moment.

        Otherwise the first reader after midnight (a gate meter above all) would draw them for everybody at
        once and keep the wire waiting.
        """
        curve = household.supply.curve
        if isinstance(curve, HouseholdCurve):
            begins_ms = curve.prepare(max(at_ms, self.now_ms))
            ahead_ms = draw(self.seed, 1, DAY_MS, household.config.household_id, "prepare")
            self.call_at_ms(begins_ms - ahead_ms, lambda _when_ms: self._prepare(household, begins_ms))

    def _follow_up(self, household: Household, at_ms: int) -> None:
        """After a change of the relay: the end of its delay, and the way to the button."""
        relay = household.meter.relay
        if relay.trip_due_ms is not None:
            self.call_at_ms(relay.trip_due_ms, household.meter.run_delay)
        resident = household.config.resident
        if relay.permits_close and not household.walking and resident.button != "never":
            household.visits += 1
            household.walking = True
            delay_s = draw(
                self.seed, *resident.button_delay_s, household.config.household_id, "button", household.visits
            )
            if resident.clock == "machine":
                delay_s *= self.clock.anchor.factor
            self.call_at_ms(at_ms + delay_s * 1000, lambda when_ms: self._arrive(household, when_ms))

    def _arrive(self, household: Household, at_ms: int) -> None:
        """The resident is at the meter, and presses only if that is of any use."""
        household.walking = False
        if household.meter.relay.permits_close:
            household.meter.press_button(at_ms)
