"""The runner of jobs: each in its own thread, none ends silently, all end when they are told to."""

import logging
import threading
import time

import pytest

from server.jobs.runner import Runner

WAIT_S = 20.0  # generous: only a broken runner needs it


class Counting:
    """Counts its runs, fails as told, and lets a test wait for a run."""

    def __init__(self, name, interval_s=600.0, failures=0):
        self.name, self.interval_s = name, interval_s
        self.runs, self._failures = 0, failures
        self._changed = threading.Condition()

    def run_once(self):
        with self._changed:
            self.runs += 1
            self._changed.notify_all()
        if self.runs <= self._failures:
            raise RuntimeError(f"failure {self.runs}")

    def wait_for(self, runs):
        with self._changed:
            assert self._changed.wait_for(lambda: self.runs >= runs, WAIT_S), f"{self.runs} of {runs} runs"


@pytest.fixture
def started():
    """Starts a runner; ends it after the test."""
    runners = []

    def start(*jobs):
        runner = Runner(jobs)
        runner.start()
        runners.append(runner)
        return runner

    yield start
    for runner in runners:
        runner.stop()


def test_each_job_runs_at_once(started):
    first, second = Counting("first"), Counting("second")
    started(first, second)
    first.wait_for(1)
    second.wait_for(1)


def test_a_job_runs_again_after_its_interval(started):
    job = Counting("quick", interval_s=0.01)
    started(job)
    job.wait_for(5)


def test_a_poke_runs_a_job_before_its_interval(started):
    job = Counting("slow")
    runner = started(job)
    job.wait_for(1)
    runner.poke("slow")
    job.wait_for(2)


def test_a_poke_during_a_run_is_not_lost(started):
    entered, leave = threading.Event(), threading.Event()

    class Slow(Counting):
        def run_once(self):
            super().run_once()
            if self.runs == 1:
                entered.set()
                assert leave.wait(WAIT_S)

    job = Slow("slow")
    runner = started(job)
    assert entered.wait(WAIT_S)
    runner.poke("slow")
    leave.set()
    job.wait_for(2)


def test_an_unknown_name_cannot_be_poked(started):
    runner = started(Counting("only"))
    with pytest.raises(KeyError):
        runner.poke("other")


def test_a_failing_job_is_logged_and_tried_again(started, caplog):
    job = Counting("shaky", interval_s=0.01, failures=1)
    with caplog.at_level(logging.ERROR, "estate645.jobs"):
        started(job)
        job.wait_for(2)
    [record] = caplog.records
    assert "shaky" in record.getMessage()
    assert "failure 1" in str(record.exc_info[1])


def test_a_failing_job_is_named_until_it_succeeds(started):
    job = Counting("broken", failures=10**9)
    runner = started(job)
    job.wait_for(1)
    for _ in range(2000):
        if runner.failing():
            break
        threading.Event().wait(0.01)
    assert runner.failing() == {"broken": 1}


def test_a_failing_job_takes_no_other_with_it(started):
    broken, sound = Counting("broken", interval_s=0.01, failures=10**9), Counting("sound", interval_s=0.01)
    started(broken, sound)
    broken.wait_for(1)
    sound.wait_for(5)


def test_a_failing_job_cannot_be_poked_out_of_its_pause(started):
    job = Counting("broken", failures=10**9)
    runner = started(job)
    job.wait_for(1)
    while not runner.failing():
        threading.Event().wait(0.01)
    runner.poke("broken")
    threading.Event().wait(0.2)
    assert job.runs == 1


def test_a_failing_job_pauses_before_it_is_tried_again(started):
    times = []

    class Timed(Counting):
        def run_once(self):
            times.append(time.monotonic())
            super().run_once()

    job = Timed("broken", interval_s=0.01, failures=10**9)
    started(job)
    job.wait_for(2)
    assert times[1] - times[0] >= 0.9


def test_stopping_ends_every_thread():
    jobs = [Counting(f"job{number}", interval_s=0.01) for number in range(4)]
    runner = Runner(jobs)
    runner.start()
    for job in jobs:
        job.wait_for(1)
    runner.stop()
    assert not [thread.name for thread in threading.enumerate() if thread.name.startswith("job-job")]
    runs = [job.runs for job in jobs]
    threading.Event().wait(0.1)
    assert [job.runs for job in jobs] == runs


def test_a_runner_that_never_started_can_be_stopped():
    Runner([Counting("idle")]).stop()
