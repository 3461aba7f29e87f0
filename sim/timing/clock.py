"""SimPy's clock in two drives: against the machine's clock, or alone as fast as the machine goes.

`now` always counts machine seconds since the start, because the wire lives in machine time; world time is
derived from it (`sim.timing.anchor`), however fast the world runs.

Real drive: one loop waits with select() on the epoll descriptor until the next event is due (select keeps
microseconds where epoll.poll() rounds up to a millisecond), runs I/O handlers with `now` not beyond the next
due event and the true arrival in `io_time`, steps due events in bounded bursts so that neither I/O nor events
starve, and gives what is left to jobs from other threads. Events have absolute deadlines, are never stepped
early, and how late each one was is recorded. A background job gets what the other jobs leave.

Virtual drive: the same events without descriptors, ended by `run(until=...)`; `passing` lets time pass in slices.
`sim.timing.stepped` drives it for a client that says when time passes.
"""

import ctypes
import os
import select
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable

import simpy

from sim.timing.jobs import Job
from sim.timing.lag import LagMeter

BURST_EVENTS = 256
"""Due events stepped before I/O is looked at again."""
COARSE_S = 0.003
"""Until so long before an event one epoll call both waits and says who is ready; it rounds up to whole milliseconds."""
JOB_SLICE_S = 0.0005
"""Machine seconds that jobs of other threads may take between two looks at the wire."""
WAIT_MAX_S = 1.0
"""Longest sleep without an event; only bounds how long a lost wake-up could matter."""
PR_SET_TIMERSLACK = 29

Handler = Callable[[], None]


class Environment(simpy.Environment):
    """SimPy environment with calls at absolute deadlines; virtual drive."""

    def __init__(self) -> None:
        super().__init__(0.0)
        self.io_time = 0.0

    def call_at(self, at_s: float, callback: Callable[[], None]) -> simpy.Event:
        """Call `callback` at `at_s` machine seconds after the start (now, if that has passed)."""
        event = simpy.Event(self)
        event._ok = True
        event._value = None
        event.callbacks.append(lambda _event: callback())
        self.schedule(event, delay=max(0.0, at_s - self.now))
        return event

    @property
    def time_s(self) -> float:
        """Machine seconds since the start, as true as the drive knows them."""
        return self.io_time if self.io_time > self._now else self._now

    def passing(self, until_s: float) -> Job:
        """Step everything that is due up to an instant, that instant included, in slices, and stand there."""
        stepped = 0
        while self.peek() <= until_s:
            self.step()
            stepped += 1
            if stepped % BURST_EVENTS == 0:
                yield
        self._now = max(self._now, until_s)


class ServedEnvironment(Environment, ABC):
    """An environment whose loop also takes jobs from other threads."""

    def __init__(self) -> None:
        super().__init__()
        self.lag = LagMeter()
        self.background: Job | None = None

    @abstractmethod
    def wall_s(self) -> float:
        """Machine seconds since the start."""

    @abstractmethod
    def submit(self, job: Job) -> None:
        """Run a job of another thread on the loop."""

    @abstractmethod
    def serve(self) -> None:
        """Run the loop until `stop` is called."""

    @abstractmethod
    def stop(self) -> None:
        """End `serve`; may be called from a signal handler or another thread."""

    def close(self) -> None:
        """Give back what the loop itself holds."""

    def _step_background(self) -> None:
        """One slice of the background job, which may end it or put another in its place."""
        job = self.background
        if job is not None and next(job, StopIteration) is StopIteration and self.background is job:
            self.background = None


class RealEnvironment(ServedEnvironment):
    """Drives the events against the monotonic clock and serves descriptors meanwhile."""

    def __init__(self) -> None:
        super().__init__()
        self._epoll = select.epoll()
        self._wake_fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._handlers: dict[int, Handler] = {}
        self._jobs: deque[Job] = deque()
        self._start_s = time.monotonic()
        self._running = True
        self.watch(self._wake_fd, self._drain_wake)
        set_timer_slack_ns(1)

    def wall_s(self) -> float:
        """Machine seconds since the start by the monotonic clock."""
        return time.monotonic() - self._start_s

    def watch(self, fd: int, handler: Handler) -> None:
        """Call `handler` whenever `fd` can be read."""
        self._handlers[fd] = handler
        self._epoll.register(fd, select.EPOLLIN)

    def watch_writable(self, fd: int, handler: Handler) -> None:
        """Call `handler` once `fd` can be written, or has failed; it must unwatch."""
        self._handlers[fd] = handler
        self._epoll.register(fd, select.EPOLLOUT)

    def unwatch(self, fd: int) -> None:
        """Forget `fd`; harmless when it is not watched."""
        if self._handlers.pop(fd, None) is not None:
            self._epoll.unregister(fd)

    def submit(self, job: Job) -> None:
        """Run a job from another thread in slices between the wire's work."""
        self._jobs.append(job)
        self._wake()

    def stop(self) -> None:
        """End `serve`; may be called from a signal handler or another thread."""
        self._running = False
        self._wake()

    def close(self) -> None:
        """Release the descriptors of the loop itself."""
        self._epoll.close()
        os.close(self._wake_fd)

    def serve(self) -> None:
        """Serve descriptors, events and jobs until `stop` is called."""
        while self._running:
            self._serve_io(self._wait())
            self._step_due()
            self._serve_jobs()

    def _wait(self) -> list[tuple[int, int]]:
        """Sleep until a descriptor can be read or an event is due; which descriptors are ready."""
        if self._jobs or self.background is not None:
            return self._epoll.poll(0)
        delay_s = min(max(0.0, self.peek() - self.wall_s()), WAIT_MAX_S)
        if delay_s > COARSE_S:
            return self._epoll.poll(delay_s - COARSE_S)
        return self._epoll.poll(0) if select.select([self._epoll.fileno()], [], [], delay_s)[0] else []

    def _serve_io(self, ready: list[tuple[int, int]]) -> None:
        handlers, start_s, monotonic = self._handlers, self._start_s, time.monotonic
        for fd, _mask in ready:
            self.io_time = wall_s = monotonic() - start_s
            if wall_s > self._now:
                due_s = self._queue[0][0] if self._queue else wall_s
                self._now = wall_s if due_s > wall_s else max(self._now, due_s)
            handler = handlers.get(fd)
            if handler is not None:
                handler()

    def _step_due(self) -> None:
        for _ in range(BURST_EVENTS):
            due_s = self.peek()
            wall_s = self.wall_s()
            if due_s > wall_s:
                self.io_time = wall_s
                self._now = max(self._now, min(wall_s, due_s))
                return
            self.lag.record(wall_s - due_s)
            self.io_time = due_s
            self.step()

    def _serve_jobs(self) -> None:
        end_s = time.monotonic() + JOB_SLICE_S
        while self._jobs and time.monotonic() < end_s:
            job = self._jobs[0]
            if next(job, StopIteration) is StopIteration:
                self._jobs.popleft()
        while self.background is not None and not self._jobs and time.monotonic() < end_s:
            self._step_background()

    def _wake(self) -> None:
        os.eventfd_write(self._wake_fd, 1)

    def _drain_wake(self) -> None:
        try:
            os.eventfd_read(self._wake_fd)
        except BlockingIOError:
            return


def set_timer_slack_ns(slack_ns: int) -> None:
    """Let the kernel end this thread's sleeps as precisely as it can (Linux only, ignored elsewhere)."""
    try:
        ctypes.CDLL(None).prctl(PR_SET_TIMERSLACK, slack_ns, 0, 0, 0)
    except (AttributeError, OSError):
        return
