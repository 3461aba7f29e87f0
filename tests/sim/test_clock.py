"""The clocks: exact conversion between world and machine, events never early, lag measured, jobs in slices."""

import json
import os
import threading
import time
from datetime import UTC, datetime, timedelta

import pytest

from sim.errors import ScenarioError
from sim.timing.anchor import Anchor, WorldClock, read_anchor
from sim.timing.clock import Environment, RealEnvironment
from sim.timing.jobs import Call
from sim.timing.lag import LagMeter

MACHINE = datetime(2026, 10, 13, 1, 0, tzinfo=UTC)
WORLD = datetime(2026, 10, 13, 1, 5, tzinfo=UTC)
WORLD_MS = int(WORLD.timestamp()) * 1000


@pytest.fixture
def real():
    env = RealEnvironment()
    yield env
    env.close()


@pytest.mark.parametrize("factor", [1, 7, 120, 3600])
def test_world_time_goes_factor_times_as_fast_and_back(factor):
    clock = WorldClock(Anchor(MACHINE, WORLD, factor), MACHINE + timedelta(seconds=10))
    assert clock.world_ms(0.0) == WORLD_MS + 10_000 * factor
    assert clock.world_ms(1.5) == WORLD_MS + 11_500 * factor
    for world_ms in range(WORLD_MS + 10_000, WORLD_MS + 12_000, 37):
        now_s = clock.now_s(world_ms)
        assert clock.world_ms(now_s) >= world_ms
        assert clock.world_ms(now_s - 2e-6) < world_ms + 1


def test_anchor_file_goes_round(tmp_path):
    path = tmp_path / "anchor.json"
    path.write_text(json.dumps(Anchor(MACHINE, WORLD, 120).to_json()))
    assert read_anchor(path) == Anchor(MACHINE, WORLD, 120)


@pytest.mark.parametrize(
    "text",
    [
        "{}",
        "[]",
        "no json",
        '{"machine_utc": "2026-10-13T01:00:00", "world_utc": "2026-10-13T01:05:00Z", "factor": 1}',
        '{"machine_utc": "2026-10-13T01:00:00Z", "world_utc": "2026-10-13T01:05:00Z", "factor": 0}',
    ],
)
def test_anchor_file_that_is_none_is_named(tmp_path, text):
    path = tmp_path / "anchor.json"
    path.write_text(text)
    with pytest.raises(ScenarioError, match=r"anchor\.json: .*world_utc"):
        read_anchor(path)


def test_virtual_events_come_in_order_at_their_time():
    env, seen = Environment(), []
    for at_s in (3.0, 1.0, 2.0, 1.0):
        env.call_at(at_s, lambda at_s=at_s: seen.append((at_s, env.now)))
    env.run(until=10)
    assert seen == [(1.0, 1.0), (1.0, 1.0), (2.0, 2.0), (3.0, 3.0)]


def test_real_events_are_never_early_and_their_lag_is_counted(real):
    seen = []
    for index in range(200):
        at_s = 0.05 + index * 0.001
        real.call_at(at_s, lambda at_s=at_s: seen.append(real.wall_s() - at_s))
    real.call_at(0.3, real.stop)
    real.serve()
    assert len(seen) == 200
    assert min(seen) >= 0
    assert real.lag.count == 201
    assert real.lag.percentile_s(50) <= real.lag.percentile_s(99) <= real.lag.max_s


def test_io_is_served_between_events_with_its_true_arrival(real):
    reader, writer = os.pipe()
    arrivals = []

    def take():
        arrivals.append((os.read(reader, 10), real.io_time, real.now))
        real.stop()

    real.watch(reader, take)
    threading.Timer(0.1, lambda: os.write(writer, b"x")).start()
    real.serve()
    real.unwatch(reader)
    os.close(reader)
    os.close(writer)
    ((data, io_time, now),) = arrivals
    assert data == b"x"
    assert io_time >= 0.1
    assert now <= io_time


def test_jobs_of_other_threads_run_on_the_loop_in_slices_and_let_events_pass(real):
    on_time = []

    def steps():
        for number in range(50):
            time.sleep(0.002)
            yield number, threading.current_thread() is threading.main_thread()

    def ask():
        call = Call(steps())
        real.submit(call.job())
        results.append(call.wait(30))
        real.stop()

    results: list[object] = []
    for index in range(100):
        real.call_at(index * 0.001, lambda: on_time.append(real.wall_s()))
    thread = threading.Thread(target=ask)
    thread.start()
    real.serve()
    thread.join()
    assert results == [(49, True)]
    assert len(on_time) == 100, "events went on while the job ran"


def test_error_of_a_job_comes_back_to_who_asked(real):
    def steps():
        yield 1
        raise ValueError("no such thing")

    raised = []

    def ask():
        call = Call(steps())
        real.submit(call.job())
        try:
            call.wait(30)
        except ValueError as error:
            raised.append(str(error))
        real.stop()

    thread = threading.Thread(target=ask)
    thread.start()
    real.serve()
    thread.join()
    assert raised == ["no such thing"]


def test_lag_percentiles():
    lag = LagMeter()
    for milliseconds in range(1, 101):
        lag.record(milliseconds / 1000)
    lag.record(5.0)
    assert lag.percentile_s(50) == pytest.approx(0.051, abs=2e-5)
    assert lag.percentile_s(99) == pytest.approx(0.100, abs=2e-5)
    assert lag.summary_ms()["max_ms"] == 5000
    with pytest.raises(ValueError, match="early"):
        lag.record(-0.001)
    assert LagMeter().percentile_s(99) == 0
