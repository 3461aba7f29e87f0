"""The way out of the collector: results in batches to the sink, steps of control to the orders.

A bounded queue joins the pollers to one delivering task, which calls the sink in a worker thread and waits for it.
A full queue makes the pollers wait, so nothing is dropped; a sink that fails gets the same batch again until it
takes it. Within a batch steps go first, in their order, and status words last, so that whoever learns that a relay
has moved finds the steps that moved it.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import TypeVar

from server.collect.work import Orders, Sink, StepReport
from server.domain.readings import ContactFailure, MeterReading, MeterVariables, StatusRead

QUEUE_MAX = 256
BATCH_MAX = 64
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
        self._queue: asyncio.Queue[_Parcel | None] = asyncio.Queue(queue_max)
        self.retries = 0
        self.last_error = ""

    @property
    def waiting(self) -> int:
        """Results not yet taken by the delivering task."""
        return self._queue.qsize()

    async def put(self, result: Result) -> None:
        """Queue a result; waits while the queue is full."""
        await self._queue.put(_Parcel(result))

    async def put_and_wait(self, result: Result) -> None:
        """Queue a result and return once the sink has taken it (and everything put before it)."""
        taken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        await self._queue.put(_Parcel(result, taken))
        await taken

    async def finish(self) -> None:
        """Let `run` deliver what is queued and then return."""
        await self._queue.put(None)

    async def run(self) -> None:
        """Deliver until `finish`."""
        last = False
        while not last:
            first = await self._queue.get()
            if first is None:
                return
            batch, last = await self._gather(first)
            await self._deliver([parcel.result for parcel in batch])
            for parcel in batch:
                if parcel.taken is not None and not parcel.taken.done():
                    parcel.taken.set_result(None)

    async def _gather(self, first: _Parcel) -> tuple[list[_Parcel], bool]:
        """A batch beginning with `first`, and whether the end of the queue was met."""
        batch = [first]
        try:
            async with asyncio.timeout(self._batch_wait_s):
                while len(batch) < BATCH_MAX and batch[-1].taken is None:
                    parcel = await self._queue.get()
                    if parcel is None:
                        return batch, True
                    batch.append(parcel)
        except TimeoutError:
            return batch, False
        return batch, False

    async def _deliver(self, batch: Sequence[Result]) -> None:
        for step in [result for result in batch if isinstance(result, StepReport)]:
            await self._until_taken(self._report, step)
        if failures := [result for result in batch if isinstance(result, ContactFailure)]:
            await self._until_taken(self._sink.failures, failures)
        if variables := [result for result in batch if isinstance(result, MeterVariables)]:
            await self._until_taken(self._sink.variables, variables)
        if readings := [result for result in batch if isinstance(result, MeterReading)]:
            await self._until_taken(self._sink.energy, readings)
        if states := [result for result in batch if isinstance(result, StatusRead)]:
            await self._until_taken(self._sink.status, states)

    def _report(self, step: StepReport) -> None:
        self._orders.report(step.meter_id, step.gen, step.step, step.detail)

    async def _until_taken(self, take: Callable[[T], None], rows: T) -> None:
        """Call `take` in a worker thread until it does not fail."""
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
