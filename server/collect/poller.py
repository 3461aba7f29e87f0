"""One task a bus: orders first, then reads that somebody waits for, then the schedule, then the past.

    open port -> [ orders | on-demand reads | due item | gap of the past | sleep ] ... -> port lost -> open port

Nothing runs beside it on its bus, so exactly one request is out. Orders are fetched when the bell rings and, since
rings may be lost, every few seconds. A meter that fails costs its own items only.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field
from functools import partial
from time import monotonic
from typing import Any, TypeVar

from core.dlt645.identifiers import COMMAND_OPEN, RELAY_OPEN
from core.dlt645.search import Heard
from core.errors import CoreError, MeterRefused, ValueFormatError
from server.collect.clocks import ClockMender
from server.collect.control import RelayLane
from server.collect.counsel import Counsel
from server.collect.delivery import Delivery, Result
from server.collect.history import History, Recall
from server.collect.line import BusLine
from server.collect.port import Awaited, Port, PortError, PortWaiting
from server.collect.questions import QuestionLane
from server.collect.readout import MeterState, Readout
from server.collect.recalls import RecallLane
from server.collect.schedule import Item, Schedule
from server.collect.tally import BusStatus, Tally, percentile_ms, reason_of
from server.collect.work import BusPlan, Clocks, ControlOrder, MeterUnread, Orders, StepReport, Unlock, as_stored
from server.domain.readings import ContactFailure, MeterReading, StatusRead

ORDERS_POLL_S = 2.0
RECONNECT_MIN_S = 0.5
RECONNECT_MAX_S = 30.0
DEMANDS_MAX = 64
CLOCKS_ASKED = 8  # of a bus, where ours is in doubt

T = TypeVar("T")

log = logging.getLogger("estate645.collect")


@dataclass(frozen=True, slots=True)
class Services:
    """What all pollers share."""

    clocks: Clocks
    orders: Orders
    delivery: Delivery
    executor: Executor
    unlock: Unlock = as_stored
    counsel: Counsel = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "counsel", Counsel(self.orders, self.call))

    async def call(self, function: Callable[[], T]) -> T:
        """Run a blocking function in a worker thread."""
        return await asyncio.get_running_loop().run_in_executor(self.executor, function)


class Poller:
    """Reads and switches the meters of one bus. `run` is its task; the other methods are of the same loop."""

    def __init__(self, plan: BusPlan, port: Port, services: Services) -> None:
        self.plan = plan
        self._services = services
        self._tally = Tally()
        self._bell = asyncio.Event()
        self._line = BusLine(port, plan.timing, services.clocks, self._tally, self._bell.set)
        self.taps = self._line.taps
        self._questions = QuestionLane(self._line, plan.bus_id)
        self._readout = Readout(self._line, services.clocks)
        self._history = History(self._line, self._readout, services.clocks)
        self._recalls = RecallLane(self._history, services.delivery)
        self._mender = ClockMender(self._line, services.clocks, plan.bus_id, self._may_set_clocks)
        self._meters = {meter.meter_id: MeterState(meter) for meter in plan.meters}
        self._schedule = Schedule(plan.meters, plan.cadence, services.clocks, monotonic())
        self._demands: deque[tuple[str, Future[MeterReading]]] = deque()
        self._orders_due = float("-inf")
        self._consulted = float("-inf")
        self._consults_alone = False
        self._arrived = False
        if isinstance(port, Awaited):
            port.on_arrival(self._note_arrival)
        self._lane = RelayLane(
            self._line,
            self._readout,
            services.clocks,
            is_current=self._is_current,
            hand_over=self._hand_over,
            unlock=services.unlock,
        )

    def wake(self) -> None:
        """Look for orders now."""
        self._orders_due = float("-inf")
        self._consults_alone = True
        self._bell.set()

    def demand(self, meter_id: str, promise: Future[MeterReading]) -> None:
        """Read this meter before the schedule goes on; `promise` gets the reading or the reason."""
        if len(self._demands) >= DEMANDS_MAX:
            if promise.set_running_or_notify_cancel():
                promise.set_exception(MeterUnread(f"bus {self.plan.bus_id} already has {DEMANDS_MAX} reads waiting"))
            return
        self._demands.append((meter_id, promise))
        self._bell.set()

    def question(self, command: Any, linger_s: float, promise: Future[Heard]) -> None:
        """Ask this beside the schedule and take all that is heard; reads only."""
        self._questions.put(command, linger_s, promise)
        self._bell.set()

    def recall(self, wanted: Sequence[Recall]) -> None:
        """Ask about the past of meters when there is time."""
        self._recalls.put(wanted)
        self._bell.set()

    def ask_clocks(self) -> None:
        """Ours is in doubt: forget what was found of the meters' clocks, and ask some of them at once."""
        for meter in self._meters.values():
            meter.forget_clock()
        self._schedule.ask_clocks(CLOCKS_ASKED, monotonic())
        self._bell.set()

    def replan(self, plan: BusPlan) -> None:
        """Take new meters; the line must be the same, and the cadence."""
        self.plan = plan
        known = self._meters
        self._meters = {meter.meter_id: known.get(meter.meter_id) or MeterState(meter) for meter in plan.meters}
        for meter in plan.meters:
            self._meters[meter.meter_id].replan(meter)
        self._schedule.replan(plan.meters, monotonic())
        self._bell.set()

    def status(self) -> BusStatus:
        """The bus as pages show it; may be called from any thread."""
        port, tally = self._line.port_status, self._tally
        latencies_s = list(tally.latencies_s.copy())
        return BusStatus(
            bus_id=self.plan.bus_id,
            url=self.plan.url,
            open=port.is_open,
            waiting=port.waiting,
            peer=port.peer,
            since_ms=port.since_ms,
            parity_effective=port.parity_effective,
            meters=len(self.plan.meters),
            silent_meters=self._schedule.silent,
            transactions=tally.transactions,
            failures=tally.failures,
            refusals=tally.refusals,
            strays=tally.strays,
            reconnects=max(0, tally.opens - 1),
            last_error=tally.last_error,
            last_reply_ms=tally.last_reply_ms,
            latency_p50_ms=percentile_ms(latencies_s, 50),
            latency_p95_ms=percentile_ms(latencies_s, 95),
            reply_p50_ms=percentile_ms(list(tally.delays_s.copy()), 50),
            next_s=tally.next_s(monotonic()),
        )

    async def run(self) -> None:
        """Serve the bus until cancelled; a lost port is opened again, ever more slowly."""
        delay_s = RECONNECT_MIN_S
        try:
            while True:
                began = monotonic()
                await self._serve_once()
                if monotonic() - began > RECONNECT_MAX_S:
                    delay_s = RECONNECT_MIN_S
                await self._stay_closed(delay_s)
                delay_s = min(delay_s * 2, RECONNECT_MAX_S)
        finally:
            self._line.close()
            self._refuse_demands("the collector is stopping")

    async def _serve_once(self) -> None:
        """Open the port and serve until it is lost or something unforeseen happens, which is logged."""
        self._arrived = False
        try:
            await self._line.open()
            await self._serve()
        except PortWaiting as error:
            self._tally.last_error = str(error)
        except PortError as error:
            if str(error) != self._tally.last_error:
                log.warning("bus %s: %s", self.plan.bus_id, error)
            self._tally.last_error = str(error)
        except Exception as error:
            log.exception("bus %s: the poller failed and starts again", self.plan.bus_id)
            self._tally.last_error = f"{type(error).__name__}: {error}"
        finally:
            self._line.close()

    async def _stay_closed(self, delay_s: float) -> None:
        """Wait before the next try; who wants a read meanwhile is told why there is none."""
        until = monotonic() + delay_s
        while (rest_s := until - monotonic()) > 0 and not self._arrived:
            self._bell.clear()
            self._refuse_demands(self._tally.last_error)
            await self._sleep(rest_s)

    def _note_arrival(self) -> None:
        """The other side has come: no reason to stay closed."""
        self._arrived = True
        self._bell.set()

    async def _serve(self) -> None:
        while self._line.lost is None:
            self._bell.clear()
            if monotonic() >= self._orders_due:
                await self._serve_orders()
            elif self._demands:
                await self._serve_demand(*self._demands.popleft())
            elif self._questions.has_turn:
                await self._questions.serve()
            elif self._recalls.has_turn:
                await self._recalls.serve(self._meters, self._attempts_for_the_past)
            elif (due := self._schedule.next(monotonic())) is not None:
                self._questions.give_turn()
                self._recalls.give_turn()
                await self._serve_item(*due)
            elif self._questions.waits:
                await self._questions.serve()
            elif self._recalls.waits:
                await self._recalls.serve(self._meters, self._attempts_for_the_past)
            else:
                self._tally.due_at = self._schedule.due_at()
                await self._sleep(min(self._tally.due_at, self._orders_due) - monotonic())
        raise PortError(self._line.lost)

    async def _sleep(self, seconds: float) -> None:
        """Sleep, but not longer than until the bell."""
        try:
            async with asyncio.timeout(max(0.0, seconds)):
                await self._bell.wait()
        except TimeoutError:
            return

    async def _serve_orders(self) -> None:
        """Fetch and carry out what is wanted; trouble with the store costs this round only."""
        self._orders_due = monotonic() + ORDERS_POLL_S
        try:
            orders, near = await self._consult()
        except Exception as error:
            self._tally.last_error = f"orders cannot be fetched: {error}"
            log.exception("bus %s: orders cannot be fetched", self.plan.bus_id)
            return
        self._schedule.set_near(near, monotonic())
        for order in orders:
            meter = self._meters.get(order.meter_id)
            if meter is None:
                continue
            if self._lane.is_ready(order, monotonic()):
                self._lane.note_attempt(order, monotonic())
                attempts = self._schedule.attempts(order.meter_id, self.plan.attempts_max)
                self._note_status(await self._lane.carry_out(order, meter, attempts))
            self._orders_due = min(self._orders_due, max(monotonic(), self._lane.not_before(order)))

    async def _consult(self) -> tuple[Sequence[ControlOrder], Collection[str]]:
        """Alone when the bell rang or the last look found something, which may have changed since; else with all."""
        counsel, alone, began = self._services.counsel, self._consults_alone, monotonic()
        self._consults_alone = False
        try:
            found = await (
                counsel.of_one(self.plan.bus_id) if alone else counsel.shared(self.plan.bus_id, self._consulted)
            )
        except BaseException:
            self._consults_alone = True
            raise
        self._consulted = began if alone else self._consulted
        self._consults_alone = self._consults_alone or bool(found[0])
        return found

    async def _may_set_clocks(self) -> bool:
        """Leave to tell the time; if it cannot be asked for, there is none."""
        try:
            return await self._services.call(partial(self._services.orders.may_set_clocks, self.plan.bus_id))
        except Exception:
            log.exception("bus %s: leave to set clocks cannot be asked for", self.plan.bus_id)
            return False

    def _attempts_for_the_past(self, meter_id: str) -> int:
        """How often to ask a meter about its past; not at all while it is silent."""
        attempts_max = self.plan.attempts_max
        return attempts_max if self._schedule.attempts(meter_id, 2) > 1 else 0

    async def _is_current(self, order: ControlOrder, sending: bool) -> bool:
        """Whether the generation still holds; if that cannot be told, it does not."""
        ask = partial(self._services.orders.still_current, order.meter_id, order.gen, order.switch, sending=sending)
        try:
            return await self._services.call(ask)
        except Exception:
            log.exception("bus %s: generation of meter %s cannot be checked", self.plan.bus_id, order.meter_id)
            return False

    async def _hand_over(self, result: StatusRead | StepReport, wait: bool) -> None:
        if wait:
            await self._services.delivery.put_and_wait(result)
        else:
            await self._services.delivery.put(result)

    async def _serve_demand(self, meter_id: str, promise: Future[MeterReading]) -> None:
        if not promise.set_running_or_notify_cancel():
            return
        meter = self._meters.get(meter_id)
        if meter is None:
            promise.set_exception(MeterUnread(f"meter {meter_id} is no longer on bus {self.plan.bus_id}"))
            return
        try:
            reading = await self._read_all(meter)
        except CoreError as error:
            promise.set_exception(MeterUnread(str(error)))
            await self._fail(meter_id, Item.ENERGY, error)
            return
        except PortError as error:
            promise.set_exception(error)
            raise
        except BaseException:
            promise.set_exception(PortError(f"bus {self.plan.bus_id} was closed while the meter was read"))
            raise
        promise.set_result(reading)

    async def _read_all(self, meter: MeterState) -> MeterReading:
        """Energy, variables and status of one meter, all of them handed to the sink."""
        attempts = self.plan.attempts_max
        reading = await self._readout.energy(meter, attempts, source="demand")
        await self._services.delivery.put(reading)
        self._schedule.done(meter.meter_id, Item.ENERGY, monotonic())
        variables = await self._readout.variables(meter, attempts)
        await self._services.delivery.put(variables)
        status = None if meter.plan.kind == "gate" else await self._readout.status(meter, attempts)
        if status is not None:
            self._note_status(status)
            await self._services.delivery.put_and_wait(status)
        return reading

    async def _serve_item(self, meter_id: str, item: Item) -> None:
        meter = self._meters[meter_id]
        try:
            result = await self._read(meter, item, self._schedule.attempts(meter_id, self.plan.attempts_max))
        except CoreError as error:
            await self._fail(meter_id, item, error)
            return
        self._schedule.done(meter_id, item, monotonic())
        if result is not None:
            if isinstance(result, StatusRead):
                self._note_status(result)
            await self._services.delivery.put(result)
        if item is Item.CLOCK:
            for told in await self._mender.mend():
                self._schedule.recheck_clock(told, monotonic())

    async def _read(self, meter: MeterState, item: Item, attempts: int) -> Result | None:
        match item:
            case Item.ENERGY:
                with_reverse = self._schedule.wants_reverse(meter.meter_id)
                return await self._readout.energy(meter, attempts, with_reverse=with_reverse)
            case Item.STATUS:
                return await self._readout.status(meter, attempts)
            case Item.CLOCK:
                self._mender.note(meter.meter_id, await self._readout.clock_offset(meter, attempts))
                return await self._readout.status(meter, attempts)
            case Item.FREEZE:
                return await self._history.last_midnight(meter, attempts)
            case Item.VARIABLES:
                return await self._readout.variables(meter, attempts)

    def _note_status(self, status: StatusRead | None) -> None:
        """Watch a relay whose state and command disagree: a button or a trip delay is pending."""
        if status is None:
            return
        if bool(status.status3 & RELAY_OPEN) == bool(status.status3 & COMMAND_OPEN):
            self._schedule.settle(status.meter_id)
        else:
            self._schedule.watch(status.meter_id, monotonic())

    async def _fail(self, meter_id: str, item: Item, error: CoreError) -> None:
        """Report a failure. Silence puts the meter off; an answer without use costs only this item."""
        if isinstance(error, MeterRefused | ValueFormatError):
            self._schedule.done(meter_id, item, monotonic())
        else:
            self._schedule.failed(meter_id, monotonic())
        clocks = self._services.clocks
        failure = ContactFailure(meter_id, int(clocks.world_now()), clocks.machine_ms(), reason_of(error))
        await self._services.delivery.put(failure)

    def _refuse_demands(self, reason: str) -> None:
        self._questions.refuse(reason)
        while self._demands:
            _, promise = self._demands.popleft()
            if promise.set_running_or_notify_cancel():
                promise.set_exception(PortError(f"bus {self.plan.bus_id} is not open: {reason}"))
