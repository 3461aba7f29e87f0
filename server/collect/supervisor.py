"""The collector's own thread and event loop, away from HTTP: one poller a bus, one delivering task.

    start() -> thread -> uvloop -> [poller bus 1 | poller bus 2 | ... | delivery]  -> stop()

Public methods may be called from any thread. `stop` ends the pollers first, then lets the delivery hand over what
is queued, then closes ports, worker threads and loop; it leaves nothing behind.
"""

import asyncio
import logging
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from threading import Event, Lock, Thread
from typing import Any

import uvloop

from core.dlt645.search import Heard
from server.collect.delivery import Delivery
from server.collect.dtu_listener import DtuListener, DtuSettings
from server.collect.history import Recall
from server.collect.limits import raise_descriptors
from server.collect.line import Tap
from server.collect.poller import Poller, Services
from server.collect.port import Port, PortError
from server.collect.ports import open_port
from server.collect.tally import BusStatus
from server.collect.work import BusPlan, Clocks, Orders, Sink, Unlock, as_stored
from server.domain.readings import MeterReading
from server.errors import EstateError, NotFound

WORKERS = 4  # threads for sink and orders; both end in one writer, more would only wait there
STOP_TIMEOUT_S = 10.0
DRAIN_TIMEOUT_S = 5.0  # how long a stopping collector offers its last results to a failing sink

SWITCH_INTERVAL_S = 0.0005  # how long other threads may keep the loop from a bus that has answered (Python: 5 ms)

log = logging.getLogger("estate645.collect")


class Supervisor:
    """Collects from all buses of one estate."""

    def __init__(
        self,
        plans: Sequence[BusPlan],
        sink: Sink,
        orders: Orders,
        clocks: Clocks,
        *,
        port_of: Callable[[BusPlan], Port] | None = None,
        dtus: DtuSettings | None = None,
        unlock: Unlock = as_stored,
    ) -> None:
        """`port_of` replaces the way from a plan to its port (for other carriers, and for tests).

        `unlock` opens a stored password just before it is sent.
        """
        self._plans = tuple(plans)
        self._sink = sink
        self._orders = orders
        self._clocks = clocks
        self._unlock = unlock
        self._dtus = DtuListener(dtus)
        self._port_of = port_of or self._open_port
        self._lock = Lock()
        self._pollers: dict[str, Poller] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._refused: dict[str, str] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping: asyncio.Event | None = None
        self._delivery: Delivery | None = None
        self._thread: Thread | None = None
        self._ready = Event()

    def start(self) -> None:
        """Start the thread; returns when the pollers run.

        `EstateError` when it already runs, `PortError` when the system has too few descriptors for so many buses.
        """
        if self._thread is not None:
            raise EstateError("the collector already runs")
        raise_descriptors(len(self._plans))
        sys.setswitchinterval(min(SWITCH_INTERVAL_S, sys.getswitchinterval()))
        self._ready.clear()
        self._thread = Thread(target=self._run, name="collector", daemon=True)
        self._thread.start()
        self._ready.wait()

    def stop(self, timeout_s: float = STOP_TIMEOUT_S) -> None:
        """End everything; safe to call twice. `EstateError` when the sink does not return in time."""
        thread, self._thread = self._thread, None
        if thread is None:
            return
        self._post(self._end)
        thread.join(timeout_s)
        if thread.is_alive():
            raise EstateError(f"the collector did not stop within {timeout_s:g} s: the sink does not return")

    def wake(self, bus_id: str) -> None:
        """Something is wanted of this bus: look for orders now. Unknown buses and a stopped collector are ignored."""
        self._post(self._wake, bus_id)

    def read_now(self, meter_id: str) -> Future[MeterReading]:
        """Read one meter before the schedule goes on; fails with `NotFound`, `MeterUnread` or `PortError`."""
        promise: Future[MeterReading] = Future()
        if not self._post(self._demand, meter_id, promise):
            promise.set_exception(PortError("the collector does not run; start the server with collect = true"))
        return promise

    def ask_clocks(self) -> None:
        """Ask some meters of each bus for the time, ahead of everything else."""
        self._post(self._ask_clocks)

    def recall(self, bus_id: str, wanted: Sequence[Recall]) -> None:
        """Ask about the past of meters of a bus when it has time; results come like readings. None for unknown ones."""
        self._post(self._recall, bus_id, tuple(wanted))

    def ask(self, bus_id: str, command: Any, linger_s: float) -> Future[Heard]:
        """Ask on a bus beside its schedule; fails with `NotFound`, `MeterUnread` or `PortError`.

        Who asks answers for the command: people's questions are reads only, and money and settings come from jobs.
        """
        promise: Future[Heard] = Future()
        if not self._post(self._question, bus_id, command, linger_s, promise):
            promise.set_exception(PortError("the collector does not run; start the server with collect = true"))
        return promise

    def listen(self, bus_id: str, tap: Tap) -> Callable[[], None]:
        """Tell `tap` of every byte of a bus, on the collector's loop; returns what ends it. `NotFound`."""
        poller = self._pollers.get(bus_id)
        if poller is None:
            raise NotFound(f"bus {bus_id} is not being read")
        self._post(poller.taps.add, tap)

        def end() -> None:
            self._post(poller.taps.discard, tap)

        return end

    @property
    def plans(self) -> tuple[BusPlan, ...]:
        """The plans that hold now."""
        return self._plans

    def reload(self, plans: Sequence[BusPlan]) -> None:
        """Take new plans: new buses open, absent ones close, and changed meters keep what is known of them."""
        self._plans = tuple(plans)
        try:
            raise_descriptors(len(self._plans))
        except PortError as error:  # the ports that are open stay so; those that cannot be opened say so
            log.error("%s", error)
        self._post(self._apply, self._plans)

    def follow(self, plans: Sequence[BusPlan]) -> None:
        """Take plans if they are others than before, or if a bus among them has no port that could be made."""
        if tuple(plans) != self._plans or any(plan.bus_id in self._refused for plan in plans):
            self.reload(plans)

    def status(self) -> tuple[BusStatus, ...]:
        """All buses in the order of the plans."""
        found = []
        for plan in self._plans:
            poller = self._pollers.get(plan.bus_id)
            found.append(poller.status() if poller is not None else _closed(plan, self._refused.get(plan.bus_id, "")))
        return tuple(found)

    @property
    def dtu_address(self) -> tuple[str, int] | None:
        """Where DTUs dial in, once the listener stands."""
        return self._dtus.address

    @property
    def sink_trouble(self) -> str:
        """Why results were last not taken, with the number of tries; empty when they always were."""
        delivery = self._delivery
        if delivery is None or not delivery.retries:
            return ""
        return f"{delivery.retries} tries failed, last: {delivery.last_error}"

    def _post(self, function: Callable[..., None], *args: object) -> bool:
        """Run `function` on the collector's loop; False when there is none."""
        with self._lock:
            if self._loop is None:
                return False
            self._loop.call_soon_threadsafe(function, *args)
            return True

    def _run(self) -> None:
        try:
            with (
                ThreadPoolExecutor(WORKERS, "collector-worker") as executor,
                asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
            ):
                runner.run(self._main(executor))
        except Exception:
            log.exception("the collector ended unexpectedly")
        finally:
            with self._lock:
                self._loop = None
            self._ready.set()

    async def _main(self, executor: ThreadPoolExecutor) -> None:
        self._stopping = asyncio.Event()
        self._delivery = Delivery(self._sink, self._orders, executor)
        self._services = Services(self._clocks, self._orders, self._delivery, executor, self._unlock)
        delivering = asyncio.create_task(self._delivery.run(), name="delivery")
        listening = asyncio.create_task(self._dtus.run(), name="dtu listener")
        self._apply(self._plans)
        with self._lock:
            self._loop = asyncio.get_running_loop()
        self._ready.set()
        await self._stopping.wait()
        with self._lock:
            self._loop = None
        await self._end_pollers()
        listening.cancel()
        await asyncio.gather(listening, return_exceptions=True)
        await self._drain(self._delivery, delivering)
        await asyncio.sleep(0)  # transports that were aborted close in the next round

    async def _end_pollers(self) -> None:
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._tasks.clear()
        self._pollers.clear()

    async def _drain(self, delivery: Delivery, delivering: asyncio.Task[None]) -> None:
        try:
            async with asyncio.timeout(DRAIN_TIMEOUT_S):
                await delivery.finish()
                await delivering
        except TimeoutError:
            log.error("stopping with %d results not taken: %s", delivery.waiting, delivery.last_error)
            delivering.cancel()
            await asyncio.gather(delivering, return_exceptions=True)

    def _end(self) -> None:
        if self._stopping is not None:
            self._stopping.set()

    def _wake(self, bus_id: str) -> None:
        poller = self._pollers.get(bus_id)
        if poller is not None:
            poller.wake()

    def _demand(self, meter_id: str, promise: Future[MeterReading]) -> None:
        for poller in self._pollers.values():
            if any(meter.meter_id == meter_id for meter in poller.plan.meters):
                poller.demand(meter_id, promise)
                return
        if promise.set_running_or_notify_cancel():
            promise.set_exception(NotFound(f"meter {meter_id} is on no bus that is being read"))

    def _ask_clocks(self) -> None:
        for poller in self._pollers.values():
            poller.ask_clocks()

    def _recall(self, bus_id: str, wanted: Sequence[Recall]) -> None:
        poller = self._pollers.get(bus_id)
        if poller is not None:
            poller.recall(wanted)

    def _question(self, bus_id: str, command: Any, linger_s: float, promise: Future[Heard]) -> None:
        poller = self._pollers.get(bus_id)
        if poller is not None:
            poller.question(command, linger_s, promise)
        elif promise.set_running_or_notify_cancel():
            promise.set_exception(NotFound(f"bus {bus_id} is not being read"))

    def _apply(self, plans: Sequence[BusPlan]) -> None:
        wanted = {plan.bus_id: plan for plan in plans}
        for bus_id, poller in list(self._pollers.items()):
            plan = wanted.get(bus_id)
            if plan is not None and replace(poller.plan, meters=plan.meters) == plan:
                poller.replan(plan)
            else:
                self._close_bus(bus_id)
        self._dtus.keep([plan.url.removeprefix("dtu://") for plan in plans])
        for bus_id, plan in wanted.items():
            if bus_id not in self._pollers:
                self._open_bus(plan)

    def _open_port(self, plan: BusPlan) -> Port:
        return open_port(plan.url, plan.line, factor=self._clocks.factor, dtus=self._dtus)

    def _close_bus(self, bus_id: str) -> None:
        del self._pollers[bus_id]
        self._tasks[bus_id].cancel()

    def _open_bus(self, plan: BusPlan) -> None:
        """Start the poller; a plan that names no port is shown as closed with the reason."""
        self._refused.pop(plan.bus_id, None)
        try:
            poller = Poller(plan, self._port_of(plan), self._services)
        except EstateError as error:
            log.error("bus %s: %s", plan.bus_id, error)
            self._refused[plan.bus_id] = str(error)
            return
        self._pollers[plan.bus_id] = poller
        before = self._tasks.get(plan.bus_id)
        self._tasks[plan.bus_id] = asyncio.create_task(_after(before, poller), name=f"bus {plan.bus_id}")


async def _after(before: asyncio.Task[None] | None, poller: Poller) -> None:
    """Run `poller` once its predecessor has let go of the port."""
    if before is not None:
        await asyncio.gather(before, return_exceptions=True)
    await poller.run()


def _closed(plan: BusPlan, reason: str) -> BusStatus:
    return BusStatus(
        plan.bus_id, plan.url, False, None, len(plan.meters), 0, 0, 0, 0, 0, 0, reason, None, None, None
    )  # fmt: skip
