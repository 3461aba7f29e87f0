"""The store's single writer: one thread, one connection, group commit.

Each unit runs in a savepoint of its own; units that wait are committed together, and every caller is answered only
after that durable commit. A unit that fails is rolled back alone. Urgent units (payments) go first: a group that has
some takes no other work along, and work that was passed over gets a short turn at the beginning of the next group, so
that neither waits for long. Units of one flow that works out many (`submit_alike`) share a savepoint; when that run
fails, each is run alone. When the database itself fails, the whole group is answered with StorageUnavailable and the
connection is opened again. Listeners hear a unit's announcements after the commit and before its caller is answered,
from the writer's thread; a unit that changed rows and announced nothing is announced as `UNNAMED`.
"""

import logging
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from threading import Condition, Thread
from time import monotonic
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine, event
from sqlalchemy.exc import DBAPIError, OperationalError

from server.errors import EstateError, StorageUnavailable
from server.store.checkpoints import beside
from server.store.direct import CHANGES, begin_unit, keep_unit, note_change, undo_unit
from server.store.engine import begin_writing, unavailable
from server.store.unit import UNNAMED, Alike, Item, Unit

T = TypeVar("T")

GROUP_UNITS_MAX = 256  # units of one durable transaction: bounds what one failing commit takes along
GROUP_WORK_S = 0.05  # no further unit joins a group that has worked this long, so payments wait little
TURN_S = 0.01  # of a group that payments wait for, this much belongs to work that was passed over for others
ALIKE_MAX = 128  # units of one run of a flow
GATHER_S = 0.002  # a group waits at most this long for callers that were answered with the one before
QUEUE_UNITS_MAX = 100_000  # waiting units; more means that the disk does not keep up, and callers are told

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Job:
    flow: Alike[Any, Any]
    estate_id: str
    item: Any
    future: Future[Any]
    urgent: bool
    result: Any = None
    announcements: list[tuple[str, str]] | None = None

    @property
    def kind(self) -> tuple[object, str] | None:
        """What may run together; None runs alone."""
        return None if self.flow is _alone else (self.flow, self.estate_id)


def _alone(units: Sequence[Unit], _estate_id: str, works: Sequence[Callable[[Unit], Any]]) -> list[Any]:
    """The flow of a unit that is like no other."""
    return [work(unit) for unit, work in zip(units, works, strict=True)]


class Writer:
    """Runs units of work one after another; implements `server.store.unit.Writing`."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._urgent: deque[_Job] = deque()
        self._ordinary: deque[_Job] = deque()
        self._wake = Condition()
        self._stopping = False
        self._passed_over = False
        self._expected = 0
        self._commit_s = 0.0
        self._listeners: list[Callable[[str, str], None]] = []
        self._connection: Connection | None = None
        self._checkpoints = beside(engine)
        self._thread = Thread(target=self._serve, name="estate645-writer", daemon=True)
        self._thread.start()

    def submit(self, work: Callable[[Unit], T], *, urgent: bool = False) -> Future[T]:
        """Queue one unit; the future resolves after the durable commit, or with what the unit raised."""
        return self._submit(_Job(_alone, "", work, Future(), urgent))

    def submit_alike(self, flow: Alike[Item, T], estate_id: str, item: Item, *, urgent: bool = False) -> Future[T]:
        """Queue one unit of a flow that works out many at once."""
        return self._submit(_Job(flow, estate_id, item, Future(), urgent))

    def _submit(self, job: _Job) -> Future[Any]:
        with self._wake:
            if self._stopping:
                raise StorageUnavailable("the writer has stopped; nothing was done, start the server again")
            if len(self._ordinary) + len(self._urgent) >= QUEUE_UNITS_MAX:
                raise StorageUnavailable("too many writes are waiting; nothing was done, try again in a minute")
            (self._urgent if job.urgent else self._ordinary).append(job)
            self._wake.notify()
        return job.future

    def run(self, work: Callable[[Unit], T], *, urgent: bool = False) -> T:
        """Submit and wait; raises what the unit raised, or StorageUnavailable."""
        return self.submit(work, urgent=urgent).result()

    def subscribe(self, listener: Callable[[str, str], None]) -> None:
        """Call `listener(topic, key)` after commits, from the writer's thread; it must not block."""
        self._listeners.append(listener)

    def stop(self) -> None:
        """Finish what is queued, then end the thread and close the connection; further units are refused."""
        with self._wake:
            self._stopping = True
            self._wake.notify()
        self._thread.join()

    def _serve(self) -> None:
        while self._wait():
            self._group()
        self._close()
        if self._checkpoints is not None:
            self._checkpoints.stop()

    def _wait(self) -> bool:
        """Sleep until there is work; False when stopped and drained."""
        with self._wake:
            while not (self._urgent or self._ordinary):
                if self._stopping:
                    return False
                self._wake.wait()
        return True

    def _next(self, group: "_Group") -> list[_Job]:
        """What runs next in this group: one job, or several of a kind; nothing when the group is to be committed."""
        with self._wake:
            while True:
                queue = self._queue(group)
                if not queue:
                    return []
                jobs = _first(queue, GROUP_UNITS_MAX - group.units)
                jobs = [job for job in jobs if job.future.set_running_or_notify_cancel()]
                if jobs:
                    return jobs

    def _queue(self, group: "_Group") -> "deque[_Job] | None":
        """The queue whose turn it is; None when the group is full, or has worked long enough."""
        if group.units >= GROUP_UNITS_MAX:
            return None
        if self._ordinary and self._passed_over and group.worked_s() < TURN_S:
            return self._ordinary
        if group.urgent_s() > GROUP_WORK_S:
            return None
        if self._urgent:
            return self._urgent
        if self._ordinary and not group.urgent and group.worked_s() < GROUP_WORK_S:
            return self._ordinary
        return self._gathered(group)

    def _gathered(self, group: "_Group") -> "deque[_Job] | None":
        """Urgent jobs of callers who had their answer a moment ago, once they have come."""
        left_s = min(GATHER_S, self._commit_s / 2)
        while group.urgent and not self._urgent and group.urgent < self._expected and left_s > 0:
            before = monotonic()
            self._wake.wait(left_s)
            left_s -= monotonic() - before
        return self._urgent or None

    def _group(self) -> None:
        """One durable transaction: run units until nobody waits or a limit is met, commit, answer."""
        group = _Group()
        jobs: list[_Job] = []
        try:
            connection = self._open()
            with connection.begin():
                group.begin()
                while jobs := self._next(group):
                    group.add(jobs, _run(self._engine, connection, jobs))
                jobs = []
                begun = monotonic()
            self._commit_s = monotonic() - begun
        except Exception as error:  # the database failed: nothing of this group is known to be durable
            self._give_up(error, [*group.done, *jobs], group.failed)
            return
        with self._wake:
            self._passed_over = bool(group.urgent and self._ordinary)
        self._expected = group.urgent
        self._answer(group.done, group.failed)
        if self._checkpoints is not None:
            self._checkpoints.wake()

    def _answer(self, done: list[_Job], failed: list[tuple[_Job, BaseException]]) -> None:
        rings = dict.fromkeys(ring for job in done for ring in job.announcements or ())
        for topic, key in rings:
            for listener in self._listeners:
                try:
                    listener(topic, key)
                except Exception:
                    _log.exception("a listener of %s failed; the rows are the truth, nothing is lost", topic)
        for job in done:
            job.future.set_result(job.result)
        for job, error in failed:
            job.future.set_exception(error)

    def _give_up(self, error: Exception, lost: list[_Job], failed: list[tuple[_Job, BaseException]]) -> None:
        _log.error("the group of %d units was not committed: %s", len(lost), error)
        self._close()
        answer = unavailable(self._engine, error) if isinstance(error, DBAPIError) else error
        if not lost and not failed:
            lost = self._next(_Group())
        for job in lost:
            job.future.set_exception(answer)
        for job, reason in failed:
            job.future.set_exception(reason)

    def _open(self) -> Connection:
        if self._connection is None or self._connection.invalidated or self._connection.closed:
            self._connection = begin_writing(self._engine)
            event.listen(self._connection, "after_cursor_execute", _note_change)
        return self._connection

    def _close(self) -> None:
        if self._connection is not None:
            try:
                self._connection.close()
            except DBAPIError as error:
                _log.warning("closing the writer's connection failed: %s", error)
            self._connection = None


Outcome = tuple[_Job, Exception | None]


class _Group:
    """The units of one durable transaction so far."""

    def __init__(self) -> None:
        self.begin()
        self._urgent_since: float | None = None
        self.units, self.urgent = 0, 0
        self.done: list[_Job] = []
        self.failed: list[tuple[_Job, BaseException]] = []

    def begin(self) -> None:
        """Count its time from now."""
        self._begun = monotonic()

    def worked_s(self) -> float:
        """Seconds since it began."""
        return monotonic() - self._begun

    def urgent_s(self) -> float:
        """Seconds since the first urgent unit was done."""
        return 0.0 if self._urgent_since is None else monotonic() - self._urgent_since

    def add(self, jobs: Sequence[_Job], outcomes: Sequence[Outcome]) -> None:
        """Take note of jobs that were run."""
        self.units += len(jobs)
        self.urgent += sum(job.urgent for job in jobs)
        if self.urgent and self._urgent_since is None:
            self._urgent_since = monotonic()
        for job, error in outcomes:
            if error is None:
                self.done.append(job)
            else:
                self.failed.append((job, error))


def _first(queue: "deque[_Job]", most: int) -> list[_Job]:
    """Take the first job off a queue, and with it others of its kind, wherever they wait."""
    first = queue.popleft()
    if first.kind is None:
        return [first]
    jobs, others = [first], list[_Job]()
    most = min(most, ALIKE_MAX)
    while queue and len(jobs) < most:
        job = queue.popleft()
        (jobs if job.kind == first.kind else others).append(job)
    queue.extendleft(reversed(others))
    return jobs


def _note_change(connection: Connection, cursor: Any, statement: str, *_: object) -> None:
    note_change(connection, statement, cursor.rowcount)


def _run(engine: Engine, connection: Connection, jobs: Sequence[_Job]) -> list[Outcome]:
    """Run jobs of one kind in a savepoint; raises only when the whole transaction is lost."""
    units = [Unit(connection) for _ in jobs]
    first, before = jobs[0], connection.info.get(CHANGES, 0)
    begin_unit(connection)
    try:
        results = first.flow(units, first.estate_id, [job.item for job in jobs])
    except Exception as error:
        if connection.invalidated:
            raise
        undo_unit(connection)
        if len(jobs) > 1:
            return [outcome for job in jobs for outcome in _run(engine, connection, [job])]
        _note_alarms(connection, units[0])
        return [(first, unavailable(engine, error) if isinstance(error, OperationalError) else error)]
    keep_unit(connection)
    if connection.info.get(CHANGES, 0) != before and not any(unit.announcements for unit in units):
        units[0].announce(UNNAMED, "")
    return [_outcome(connection, *one) for one in zip(jobs, units, results, strict=True)]


def _outcome(connection: Connection, job: _Job, unit: Unit, result: object) -> Outcome:
    if job.flow is not _alone and isinstance(result, EstateError):
        _note_alarms(connection, unit)
        return job, result
    job.result, job.announcements = result, unit.announcements
    return job, None


def _note_alarms(connection: Connection, unit: Unit) -> None:
    """Write what a failed unit wants to be known; an alarm that fails itself is logged."""
    for note in unit.alarms:
        begin_unit(connection)
        try:
            note(Unit(connection))
        except Exception:
            if connection.invalidated:
                raise
            undo_unit(connection)
            _log.exception("an alarm could not be written")
        else:
            keep_unit(connection)
