"""The store's single writer: one thread, one connection, group commit.

Each unit runs in a savepoint of its own; units that wait are committed together, urgent ones first, and every
caller is answered only after that durable commit. A unit that fails is rolled back alone. When the database
itself fails, the whole group is answered with StorageUnavailable and the connection is opened again. Listeners
hear a unit's announcements after the commit, from the writer's thread.
"""

import logging
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from threading import Condition, Thread
from time import monotonic
from typing import Any, TypeVar, cast

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError, OperationalError

from server.errors import StorageUnavailable
from server.store.engine import begin_writing, unavailable
from server.store.unit import Unit

T = TypeVar("T")

GROUP_UNITS_MAX = 256  # units of one durable transaction: bounds what one failing commit takes along
GROUP_WORK_S = 0.05  # no further unit joins a group that has worked this long, so payments wait little
QUEUE_UNITS_MAX = 100_000  # waiting units; more means that the disk does not keep up, and callers are told

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Job:
    work: Callable[[Unit], Any]
    future: Future[Any]
    result: Any = None
    announcements: list[tuple[str, str]] | None = None


class Writer:
    """Runs units of work one after another; implements `server.store.unit.Writing`."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._urgent: deque[_Job] = deque()
        self._ordinary: deque[_Job] = deque()
        self._wake = Condition()
        self._stopping = False
        self._listeners: list[Callable[[str, str], None]] = []
        self._connection: Connection | None = None
        self._thread = Thread(target=self._serve, name="estate645-writer", daemon=True)
        self._thread.start()

    def submit(self, work: Callable[[Unit], T], *, urgent: bool = False) -> Future[T]:
        """Queue one unit; the future resolves after the durable commit, or with what the unit raised."""
        job = _Job(work, Future())
        with self._wake:
            if self._stopping:
                raise StorageUnavailable("the writer has stopped; nothing was done, start the server again")
            if len(self._ordinary) + len(self._urgent) >= QUEUE_UNITS_MAX:
                raise StorageUnavailable("too many writes are waiting; nothing was done, try again in a minute")
            (self._urgent if urgent else self._ordinary).append(job)
            self._wake.notify()
        return cast("Future[T]", job.future)

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

    def _wait(self) -> bool:
        """Sleep until there is work; False when stopped and drained."""
        with self._wake:
            while not (self._urgent or self._ordinary):
                if self._stopping:
                    return False
                self._wake.wait()
        return True

    def _next(self) -> _Job | None:
        with self._wake:
            for queue in (self._urgent, self._ordinary):
                while queue:
                    job = queue.popleft()
                    if job.future.set_running_or_notify_cancel():
                        return job
        return None

    def _group(self) -> None:
        """One durable transaction: run units until the queue is empty or a limit is met, commit, answer."""
        done: list[_Job] = []
        failed: list[tuple[_Job, BaseException]] = []
        job: _Job | None = None
        try:
            connection = self._open()
            with connection.begin():
                deadline = monotonic() + GROUP_WORK_S
                while len(done) + len(failed) < GROUP_UNITS_MAX and (job := self._next()):
                    error = _run_one(self._engine, connection, job)
                    if error is None:
                        done.append(job)
                    else:
                        failed.append((job, error))
                    job = None
                    if monotonic() > deadline:
                        break
        except Exception as error:  # the database failed: nothing of this group is known to be durable
            self._give_up(error, [*done, *([job] if job else [])], failed)
            return
        self._answer(done, failed)

    def _answer(self, done: list[_Job], failed: list[tuple[_Job, BaseException]]) -> None:
        for job in done:
            job.future.set_result(job.result)
        for job, error in failed:
            job.future.set_exception(error)
        rings = dict.fromkeys(ring for job in done for ring in job.announcements or ())
        for topic, key in rings:
            for listener in self._listeners:
                try:
                    listener(topic, key)
                except Exception:
                    _log.exception("a listener of %s failed; the rows are the truth, nothing is lost", topic)

    def _give_up(self, error: Exception, lost: list[_Job], failed: list[tuple[_Job, BaseException]]) -> None:
        _log.error("the group of %d units was not committed: %s", len(lost), error)
        self._close()
        answer = unavailable(self._engine, error) if isinstance(error, DBAPIError) else error
        if not lost and not failed:
            waiting = self._next()
            lost = [waiting] if waiting else []
        for job in lost:
            job.future.set_exception(answer)
        for job, reason in failed:
            job.future.set_exception(reason)

    def _open(self) -> Connection:
        if self._connection is None or self._connection.invalidated or self._connection.closed:
            self._connection = begin_writing(self._engine)
        return self._connection

    def _close(self) -> None:
        if self._connection is not None:
            try:
                self._connection.close()
            except DBAPIError as error:
                _log.warning("closing the writer's connection failed: %s", error)
            self._connection = None


def _run_one(engine: Engine, connection: Connection, job: _Job) -> Exception | None:
    """Run one unit in a savepoint; returns what it raised, raises when the whole transaction is lost."""
    unit = Unit(connection)
    savepoint = connection.begin_nested()
    try:
        job.result = job.work(unit)
    except Exception as error:
        savepoint.rollback()
        if connection.invalidated:
            raise
        _note_alarms(connection, unit)
        return unavailable(engine, error) if isinstance(error, OperationalError) else error
    savepoint.commit()
    job.announcements = unit.announcements
    return None


def _note_alarms(connection: Connection, unit: Unit) -> None:
    """Write what a failed unit wants to be known; an alarm that fails itself is logged."""
    for note in unit.alarms:
        savepoint = connection.begin_nested()
        try:
            note(Unit(connection))
        except Exception:
            savepoint.rollback()
            if connection.invalidated:
                raise
            _log.exception("an alarm could not be written")
        else:
            savepoint.commit()
