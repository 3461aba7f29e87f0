"""Where the collector meets storage: its sink and its orders, each call one unit of work of the writer.

Both run in the collector's worker threads. A unit that fails raises there, and the collector offers the batch again;
nothing read is lost and nothing is believed before it is committed.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from typing import cast

from sqlalchemy import Connection, Engine

from server.clock import Clock
from server.collect.port import LineSettings
from server.collect.work import Action, BusPlan, Cadence, ControlOrder, MeterPlan, Switch, timing_for
from server.domain.anomalies import CLOCK_MAX_S
from server.domain.readings import ContactFailure, MeterReading, MeterVariables, StatusRead
from server.flows import clocks, keep_power, readings, relays
from server.store.direct import Row
from server.store.engine import reader
from server.store.estates import get_estate, list_buses
from server.store.meters import MeterRow, meters_on_bus
from server.store.supply import near_by_bus, near_meters
from server.store.unit import Writing

NEAR_CYCLE_DIVISOR = 3  # meters near a threshold are read three times as often


class FlowSink:
    """Takes what the collector read into the store."""

    def __init__(
        self,
        writer: Writing,
        clock: Clock,
        estate_id: str,
        *,
        on_readings: Callable[[], None],
        may_time: Callable[[], bool] = lambda: True,
    ) -> None:
        """`may_time` is asked whether our clock may say when something was read."""
        self._may_time = may_time
        self._writer = writer
        self._clock = clock
        self._estate_id = estate_id
        self._on_readings = on_readings

    def energy(self, readings_: Sequence[MeterReading]) -> None:
        """Keep and judge cumulative registers, then let billing look; without a time they are only an answer.

        What they count is charged with the next reading that has one. A batch that waited for the store may have got
        its time from a clock that has been set back since: that time is to come, and none.
        """
        latest_s = self._clock.now().world_s + CLOCK_MAX_S if self._may_time() else 0
        timed = [one for one in readings_ if one.read_at <= latest_s]
        if untimed := [one for one in readings_ if one.read_at > latest_s]:
            self._writer.run(lambda unit: readings.note_untimed(unit, self._estate_id, untimed, self._clock.now()))
        if timed:
            self._writer.run(lambda unit: readings.record(unit, self._estate_id, timed, self._clock.now()))
            self._on_readings()

    def variables(self, rows: Sequence[MeterVariables]) -> None:
        """Keep momentary values."""
        self._writer.run(lambda unit: readings.note_variables(unit, self._estate_id, rows, self._clock.now()))

    def status(self, rows: Sequence[StatusRead]) -> None:
        """Believe what was read back, but no clock of a meter while ours is in doubt."""
        if not self._may_time():
            rows = [replace(one, clock_offset_s=None) for one in rows]
        self._writer.run(lambda unit: relays.record_status(unit, self._estate_id, rows, self._clock.now()))

    def failures(self, rows: Sequence[ContactFailure]) -> None:
        """Count silence."""
        self._writer.run(lambda unit: readings.note_failures(unit, self._estate_id, rows, self._clock.now()))


class FlowOrders:
    """Tells the collector which relays are wanted otherwise, from committed rows only.

    `clock_sane` is asked before every frame of a trip, since the clock may jump between a decision and its frame.
    """

    def __init__(
        self, engine: Engine, writer: Writing, clock: Clock, estate_id: str, *, clock_sane: Callable[[], bool]
    ) -> None:
        self._engine = engine
        self._writer = writer
        self._clock = clock
        self._estate_id = estate_id
        self._clock_sane = clock_sane

    def next(self, bus_id: str) -> Sequence[ControlOrder]:
        """Unconfirmed wishes of this bus, closes first."""
        with reader(self._engine) as connection:
            orders = relays.next_orders(connection, self._estate_id, bus_id, self._clock.now().machine_ms)
        return [_control_order(order) for order in orders]

    def everywhere(self) -> Mapping[str, tuple[Sequence[ControlOrder], Collection[str]]]:
        """Wishes and meters to read more often of all buses, from one look."""
        with reader(self._engine) as connection:
            orders = relays.orders_by_bus(connection, self._estate_id, self._clock.now().machine_ms)
            near = near_by_bus(connection, self._estate_id)
        return {
            bus_id: ([_control_order(order) for order in orders.get(bus_id, ())], near.get(bus_id, frozenset()))
            for bus_id in orders.keys() | near.keys()
        }

    def still_current(self, meter_id: str, gen: int, switch: Switch = "relay", *, sending: bool = False) -> bool:
        """Asked before a frame goes out; for a trip the durable store must answer, not a reader alone.

        A frame of a close that would close what others have opened is withdrawn.
        """
        with reader(self._engine) as connection:
            if switch == "keep":
                return keep_power.is_current(
                    connection, self._estate_id, meter_id, gen, self._clock.now(), clock_sane=self._clock_sane()
                )
            current = relays.is_current(connection, self._estate_id, meter_id, gen)
            trip = relays.is_trip(connection, self._estate_id, meter_id, gen)
            others = sending and not trip and relays.closes_for_others(connection, self._estate_id, meter_id, gen)
        if current and others:
            self._writer.run(
                lambda unit: relays.leave_to_others(unit, self._estate_id, meter_id, gen, self._clock.now())
            )
        if not current or not trip:
            return current and not others
        return self._writer.run(
            lambda unit: relays.clear_trip(
                unit, self._estate_id, meter_id, gen, self._clock.now(), clock_sane=self._clock_sane(), sending=sending
            ),
            urgent=True,
        )

    def report(self, meter_id: str, gen: int, step: str, detail: str, switch: Switch = "relay") -> None:
        """Keep one step of an order."""
        record = keep_power.record_attempt if switch == "keep" else relays.record_attempt
        self._writer.run(lambda unit: record(unit, self._estate_id, meter_id, gen, step, detail, self._clock.now()))

    def near(self, bus_id: str) -> Collection[str]:
        """Meters to read more often."""
        with reader(self._engine) as connection:
            return near_meters(connection, self._estate_id, bus_id)

    def may_set_clocks(self, bus_id: str) -> bool:
        """Once a day, while our own clock is sane."""
        return self._writer.run(
            lambda unit: clocks.claim_broadcast(
                unit, self._estate_id, bus_id, self._clock.now(), clock_sane=self._clock_sane()
            )
        )


def _control_order(order: relays.RelayOrder) -> ControlOrder:
    return ControlOrder(
        order.meter_id,
        order.gen,
        cast(Action, order.action),
        order.password,
        order.password_level,
        order.expires_at,
        order.command_ttl_s,
    )


def bus_plans(connection: Connection, estate_id: str) -> list[BusPlan]:
    """What the collector needs to know of every bus of an estate."""
    site = get_estate(connection, estate_id)
    cadence = _cadence(site)
    plans = []
    for row in list_buses(connection, estate_id):
        line = LineSettings(row["baud"], row["parity"], row["stop_bits"], bool(row["rs485"]))
        plans.append(
            BusPlan(
                bus_id=row["bus_id"],
                url=row["url"],
                meters=tuple(
                    _meter_plan(one, may_trip=bool(site["trips_without_deadline"]))
                    for one in meters_on_bus(connection, estate_id, row["bus_id"])
                ),
                line=line,
                timing=timing_for(line, row["reply_delay_max_ms"], row["frame_gap_ms"]),
                attempts_max=row["attempts_max"],
                cadence=cadence,
            )
        )
    return plans


def _cadence(site: Row) -> Cadence:
    """The cycles of an estate; whatever is read more rarely comes each so many reading cycles."""
    cycle_s = site["reading_cycle_s"]
    every = {name: max(1, -(-site[f"{name}_cycle_s"] // cycle_s)) for name in ("status", "variables", "clock")}
    return Cadence(
        reading_cycle_s=cycle_s,
        near_cycle_s=max(1, cycle_s // NEAR_CYCLE_DIVISOR),
        status_every=every["status"],
        variables_every=every["variables"],
        clock_every=every["clock"],
        daily_freeze=bool(site["daily_freeze"]),
    )


def _meter_plan(meter: MeterRow, *, may_trip: bool) -> MeterPlan:
    return MeterPlan(
        meter.meter_id,
        meter.kind,
        meter.protocol,
        meter.model,
        meter.unit,
        trips_without_deadline=may_trip,
    )
