"""Virtual drive for a head-end under test: nothing moves by itself, time passes when a client says so.

The loop only takes jobs. A job that lets time pass steps the same events in the same order as any virtual run, so a
recorded script of requests is one world, to the byte. Machine seconds are virtual too: bytes, Td and time-outs take
the time that they would take on the wire, and none of the caller's.
"""

import queue
import threading

from sim.timing.clock import ServedEnvironment
from sim.timing.jobs import Job

WAKE_S = 0.2
"""A signal that comes just before the wait begins is seen after it."""


class SteppedEnvironment(ServedEnvironment):
    """Serves jobs, one after another, on the thread that calls `serve`."""

    def __init__(self) -> None:
        super().__init__()
        self._jobs: queue.SimpleQueue[Job] = queue.SimpleQueue()
        self._stopping = threading.Event()

    def wall_s(self) -> float:
        """Virtual machine seconds since the start."""
        return self.now

    def submit(self, job: Job) -> None:
        """Run a job as soon as those before it are done."""
        self._jobs.put(job)

    def stop(self) -> None:
        """End `serve`; an empty job wakes it."""
        self._stopping.set()
        self._jobs.put(iter(()))

    def serve(self) -> None:
        """Take jobs until `stop` is called."""
        while not self._stopping.is_set():
            try:
                job = self._jobs.get(timeout=WAKE_S if self.background is None else 0)
            except queue.Empty:
                self._step_background()
                continue
            for _ in job:
                if self._stopping.is_set():
                    break
