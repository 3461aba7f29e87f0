"""The way out of the collector: results in batches to the sink, steps of control to the orders.

A bounded queue joins the pollers to one delivering task, which calls the sink in worker threads and waits for it.
A full queue makes the pollers wait, so nothing is dropped; a sink that fails gets the same batch again until it
takes it. A batch is what came within a fifth of a second, since a durable commit costs as much for one row as for
hundreds; it leaves at once when somebody waits for one of its results. Within a batch steps go first, in their order,
then failures, and status words last, so that whoever learns that a relay has moved finds the steps that moved it;
readings and variables go together, so that the store may commit them together.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import TypeVar

from server.collect.work import Orders, Sink, StepReport
from server.domain.readings import ContactFailure, MeterReading, MeterVariables, StatusRead

QUEUE_MAX = 4096  # a second of the fastest 256 buses; what does not fit waits in the pollers
BATCH_MAX = 1024  # rows of one unit: bounds how long a payment waits behind it
BATCH_WAIT_S = 0.2
RETRY_MIN_S = 0.2
RETRY_MAX_S = 5.0

Result = MeterReading | MeterVariables | StatusRead | ContactFailure | StepReport

T = TypeVar("T")

log = logging.getLogger("estate645.collect")


@dataclass(slots=True)
class _Parcel:
    result: Result
    taken: asyncio.Future[None] | None = None  # somebody waits: the batch leaves at once


class Delivery:
    """Hands results over. Runs on the collector's loop; `run` is its one task."""

    def __init__(
        self,
        sink: Sink,
        orders: Orders,
        executor: Executor,
        *,
        queue_max: int = QUEUE_MAX,
        batch_wait_s: float = BATCH_WAIT_S,
    ) -> None:
        self._sink = sink
        self._orders = orders
        self._executor = executor
        self._batch_wait_s = batch_wait_s
        self._queue_max = queue_max
        self._parcels: deque[_Parcel] = deque()
        self._ended = False
        self._filled = asyncio.Event()  # there is something to deliver, or no more will come
        self._leaving = asyncio.Event()  # ... and no reason to wait for more
        self._room = asyncio.Event()
        self._room.set()
        self.retries = 0
        self.last_error = ""

    @property
    def waiting(self) -> int:
        """Results not yet taken by the delivering task."""
        return len(self._parcels)

    async def put(self, result: Result) -> None:
        """Queue a result; waits while the queue is full."""
        await self._put(_Parcel(result))

    async def put_and_wait(self, result: Result) -> None:
        """Queue a result and return once the sink has taken it (and everything put before it)."""
        taken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        await self._put(_Parcel(result, taken))
        await taken

    async def finish(self) -> None:
        """Let `run` deliver what is queued and then return."""
        self._ended = True
        self._filled.set()
        self._leaving.set()

    async def run(self) -> None:
        """Deliver until `finish`."""
        while True:
            await self._filled.wait()
            await self._linger()
            batch = self._take()
            if not batch:
                return
            await self._deliver([parcel.result for parcel in batch])
            for parcel in batch:
                if parcel.taken is not None and not parcel.taken.done():
                    parcel.taken.set_result(None)

    async def _put(self, parcel: _Parcel) -> None:
        while len(self._parcels) >= self._queue_max:
            self._room.clear()
            await self._room.wait()
        self._parcels.append(parcel)
        self._filled.set()
        if parcel.taken is not None or len(self._parcels) >= min(BATCH_MAX, self._queue_max):
            self._leaving.set()

    async def _linger(self) -> None:
        """Wait for more, but not for long, and not while somebody waits."""
        try:
            async with asyncio.timeout(self._batch_wait_s):
                await self._leaving.wait()
        except TimeoutError:
            return

    def _take(self) -> list[_Parcel]:
        """The oldest results, at most a batch of them; none only after the end."""
        batch = [self._parcels.popleft() for _ in range(min(BATCH_MAX, len(self._parcels)))]
        if not self._parcels and not self._ended:
            self._filled.clear()
        if not self._ended and len(self._parcels) < BATCH_MAX and not any(one.taken for one in self._parcels):
            self._leaving.clear()
        self._room.set()
        return batch

    async def _deliver(self, batch: Sequence[Result]) -> None:
        for step in [result for result in batch if isinstance(result, StepReport)]:
            await self._until_taken(self._report, step)
        failures = [result for result in batch if isinstance(result, ContactFailure)]
        variables = [result for result in batch if isinstance(result, MeterVariables)]
        readings = [result for result in batch if isinstance(result, MeterReading)]
        await self._until_taken(self._sink.failures, failures)  # an answer behind them sets their count back
        await asyncio.gather(
            self._until_taken(self._sink.variables, variables),
            self._until_taken(self._sink.energy, readings),
        )
        await self._until_taken(self._sink.status, [result for result in batch if isinstance(result, StatusRead)])

    def _report(self, step: StepReport) -> None:
        self._orders.report(step.meter_id, step.gen, step.step, step.detail, step.switch)

    async def _until_taken(self, take: Callable[[T], None], rows: T) -> None:
        """Call `take` in a worker thread until it does not fail; nothing is not offered."""
        if not rows:
            return
        delay_s = RETRY_MIN_S
        while True:
            try:
                await asyncio.get_running_loop().run_in_executor(self._executor, take, rows)
            except Exception as error:
                self.retries += 1
                self.last_error = f"{type(error).__name__}: {error}"
                log.exception("results were not taken, trying again in %.1f s", delay_s)
                await asyncio.sleep(delay_s)
                delay_s = min(delay_s * 2, RETRY_MAX_S)
            else:
                return
