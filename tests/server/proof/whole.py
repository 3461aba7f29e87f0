"""A whole head-end without threads around a simulated estate: the real collector, flows, jobs and store, one clock."""

import asyncio
from contextlib import contextmanager

import server.collect.control
import server.collect.counsel
import server.collect.line
import server.collect.poller
from server.collect.delivery import Delivery
from server.collect.poller import Poller, Services
from server.collect.work import Clocks
from server.jobs.anomalies import AnomalyJob
from server.jobs.clock_guard import ClockGuard
from server.jobs.clock_watch import ClockWatch
from server.jobs.collecting import FlowOrders, FlowSink, bus_plans
from server.jobs.ticks import BillingTick
from server.store.engine import begin_writing, reader
from server.store.unit import Unit
from sim.scenario.scenario import scenario_from_dict
from sim.timing.anchor import Anchor, WorldClock
from sim.timing.clock import Environment
from sim.world import World
from tests.server.estates import ESTATE
from tests.server.proof.one_clock import AtOnce, OneLoop, SharedClock, SimulatedLine


class PlainWriter:
    """Each unit is a transaction of its own, at once and on this thread; no disk is on trial here."""

    def __init__(self, engine):
        self._connection = begin_writing(engine)
        self._connection.connection.driver_connection.execute("PRAGMA synchronous=OFF")

    def run(self, work, *, urgent=False):
        with self._connection.begin():
            return work(Unit(self._connection))

    def stop(self):
        self._connection.close()


class Whole:
    """A simulated estate and a head-end that has imported it."""

    def __init__(self, engine, scenario, document_importer, start, seed=1):
        self.engine = engine
        plan = scenario_from_dict(scenario)
        self.env = Environment()
        self.lines = {bus.bus_id: SimulatedLine(bus.bus_id) for bus in plan.buses}
        self.world = World(plan, seed, self.env, WorldClock(Anchor(start, start, 1), start), self.lines)
        self.world.open()
        self.loop = OneLoop(self.env)
        self.clock = SharedClock(self.world)
        self.writer = PlainWriter(engine)
        self.pollers = {}
        self.writer.run(document_importer)
        self.restart()

    def restart(self):
        """A new process: whatever only memory held is gone."""
        parts = (self.engine, self.writer, self.clock, ESTATE)
        self.guard = ClockGuard(self.clock.wall_s, self.clock.steady_s, synchronised=lambda: None)
        self.tick = BillingTick(*parts, guard=self.guard)
        self.watch = ClockWatch(*parts, guard=self.guard, ask_clocks=self._ask_clocks)
        self.anomalies = AnomalyJob(*parts, may_time=lambda: self.guard.may_time)
        self.orders = FlowOrders(*parts, clock_sane=self.guard.look)
        timed = {"on_readings": lambda: None, "may_time": lambda: self.guard.may_time}
        self.sink = FlowSink(self.writer, self.clock, ESTATE, **timed)
        machine_ms = lambda: self.clock.now().machine_ms  # noqa: E731
        self.clocks = Clocks(self.clock.world_seconds, machine_ms, 1, "Asia/Shanghai", self.guard.hear)

    def _ask_clocks(self):
        for poller in self.pollers.values():
            poller.ask_clocks()

    def look(self, question):
        with reader(self.engine) as connection:
            return question(connection)

    def plans(self):
        return self.look(lambda connection: bus_plans(connection, ESTATE))

    def services(self, sink=None, orders=None):
        executor = AtOnce()
        delivery = Delivery(sink or self.sink, orders or self.orders, executor)
        return Services(self.clocks, orders or self.orders, delivery, executor)

    @contextmanager
    def polling(self, orders=None):
        """All buses are polled while the block lets the loop run; gives the pollers by bus."""
        services = self.services(orders=orders)
        pollers = {
            plan.bus_id: Poller(plan, self.lines[plan.bus_id].plugged_into(self.loop), services)
            for plan in self.plans()
        }
        self.pollers = pollers
        tasks = [self.loop.create_task(services.delivery.run())]
        tasks += [self.loop.create_task(poller.run()) for poller in pollers.values()]
        try:
            yield pollers
        finally:
            for task in tasks:
                task.cancel()
            self.loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))

    def live(self, seconds):
        """Let the loop run for so long."""
        self.loop.run_until_complete(asyncio.sleep(seconds))

    def close(self):
        self.writer.stop()
        self.loop.close()


@contextmanager
def virtual_collector(monkeypatch, whole):
    """The collector's timers follow the world's clock."""
    for module in (server.collect.control, server.collect.counsel, server.collect.line, server.collect.poller):
        monkeypatch.setattr(module, "monotonic", lambda: whole.env.now)
    try:
        yield whole
    finally:
        whole.close()
