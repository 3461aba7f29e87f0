"""Runs the jobs: one daemon thread each, woken by its interval or by a poke, ended by `stop`.

A job that fails is logged with its stack and tried again after a growing pause; it never ends silently and never
takes another job with it.
"""

import logging
from collections.abc import Sequence
from threading import Condition, Thread
from typing import Protocol

BACKOFF_MAX_S = 60.0
STOP_TIMEOUT_S = 10.0

log = logging.getLogger("estate645.jobs")


class Job(Protocol):
    """One thing that is done again and again; `interval_s` is machine seconds between the ends of two runs."""

    name: str
    interval_s: float

    def run_once(self) -> None:
        """Do it once; an exception is logged and the job comes again."""
        ...


class _Loop:
    """One job with its thread."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.failures = 0
        self._wanted = False
        self._ended = False
        self._changed = Condition()
        self.thread = Thread(target=self._run, name=f"job-{job.name}", daemon=True)

    def poke(self) -> None:
        """Run soon."""
        with self._changed:
            self._wanted = True
            self._changed.notify()

    def end(self) -> None:
        """Run no more."""
        with self._changed:
            self._ended = True
            self._changed.notify()

    def _run(self) -> None:
        while True:
            try:
                self.job.run_once()
                self.failures = 0
            except Exception:
                self.failures += 1
                log.exception("job %s failed (%d in a row), it is tried again", self.job.name, self.failures)
            if not self._wait():
                return

    def _wait(self) -> bool:
        """Sleep until the next run; False when the job has ended. A failing job cannot be poked out of its pause."""
        pause_s = self.job.interval_s
        if self.failures:
            pause_s = min(BACKOFF_MAX_S, max(pause_s, 0.5) * 2 ** min(self.failures, 8))
        with self._changed:
            self._changed.wait_for(lambda: self._ended or (self._wanted and not self.failures), pause_s)
            self._wanted = False
            return not self._ended


class Runner:
    """All jobs of one process."""

    def __init__(self, jobs: Sequence[Job]) -> None:
        self._loops = {job.name: _Loop(job) for job in jobs}

    def start(self) -> None:
        """Start every job; each runs at once for the first time."""
        for loop in self._loops.values():
            loop.thread.start()

    def poke(self, name: str) -> None:
        """Let this job run soon; unknown names are a mistake of ours."""
        self._loops[name].poke()

    def failing(self) -> dict[str, int]:
        """Jobs whose last run failed, with the number of failures in a row."""
        return {name: loop.failures for name, loop in self._loops.items() if loop.failures}

    def stop(self) -> None:
        """End every job and wait for its thread."""
        for loop in self._loops.values():
            loop.end()
        for name, loop in self._loops.items():
            if loop.thread.ident is not None:
                loop.thread.join(STOP_TIMEOUT_S)
                if loop.thread.is_alive():
                    log.error("job %s did not end within %.0f s", name, STOP_TIMEOUT_S)
