"""The collector behind the simulator's own DTU: it dials in, mixes heartbeats into its answers, and dials again."""

import subprocess
import sys
import threading
from time import monotonic, sleep, time

import pytest

from server.collect.dtu_listener import DtuSettings
from server.collect.dtu_registration import compile_registration
from server.collect.port import LineSettings
from server.collect.supervisor import Supervisor
from server.collect.work import BusPlan, Cadence, Clocks, MeterPlan, timing_for
from tests.server.collect.fake_bus import ChangingOrders, RememberingSink

METERS = [f"2026000103{n:02d}" for n in range(1, 5)]
SCENARIO = """
[estate]
id = "cuihu"
name = "Cuihu"
time_zone = "Asia/Shanghai"
[tariff]
id = "t"
price = "0.4883"
[[bus]]
id = "bus-1"
port = "dtu://127.0.0.1:{port}"
wire = "none"
reply_delay_ms = 5
registration = "hex:FE 44 54 55 31 0A"
heartbeat = "HB"
heartbeat_s = 1
redial_s = 1
"""


def until(condition, timeout_s=60.0):
    end = monotonic() + timeout_s
    while not condition():
        assert monotonic() < end
        sleep(0.02)


@pytest.fixture
def collector():
    """It waits long for an answer: on a busy machine the simulator does, and that is no failure."""
    plan = BusPlan(
        "bus-1",
        "dtu://DTU1",
        tuple(MeterPlan(meter) for meter in METERS),
        timing=timing_for(LineSettings(9600, "E", 1), reply_delay_max_ms=10_000),
        cadence=Cadence(reading_cycle_s=1, near_cycle_s=1),
    )
    before = set(threading.enumerate())
    pattern = compile_registration(r"\xfe(?P<id>\w+)\n")
    settings = DtuSettings("127.0.0.1", 0, registration=pattern, heartbeats=(b"HB",))
    collector = Supervisor(
        [plan], RememberingSink(), ChangingOrders(), Clocks(time, lambda: int(time() * 1000)), dtus=settings
    )
    collector.start()
    until(lambda: collector.dtu_address)
    yield collector
    collector.stop()
    assert set(threading.enumerate()) <= before


@pytest.fixture
def dial(tmp_path, collector):
    """Starts a DTU; none outlives the test, however it ends."""
    started = []

    def dial():
        started.append(Dtu(tmp_path, collector.dtu_address[1]))
        return started[-1]

    yield dial
    for dtu in started:
        dtu.process.kill()
        dtu.process.wait(30)


class Dtu:
    """A simulated estate behind one DTU; `stop` is a modem that loses its power."""

    def __init__(self, directory, port):
        (directory / "estate.toml").write_text(scenario(port), "utf-8")
        ready = directory / "ready.json"
        arguments = ["estate.toml", "--seed", "7", "--run-dir", "run", "--ready", str(ready)]
        self.process = subprocess.Popen([sys.executable, "-P", "-m", "sim", *arguments], cwd=directory)
        until(lambda: ready.exists() or self.process.poll() is not None)
        assert self.process.poll() is None
        ready.unlink()

    def stop(self):
        self.process.terminate()
        assert self.process.wait(30) == 0


def scenario(port):
    return SCENARIO.format(port=port) + "".join(
        f'[[household]]\nid = "{meter[-4:]}"\nmeter = "{meter}"\nbus = "bus-1"\n'
        'load = "constant"\nmean_power_w = 3000\nstart_register_wh = 1234560\n'
        for meter in METERS
    )


def test_all_meters_are_read_over_a_dtu_that_dials_in_twice(collector, dial):
    sink = collector._sink
    assert collector.status()[0].waiting
    dtu = dial()
    until(lambda: {r.meter_id for r in sink.readings} == set(METERS))
    first = collector.status()[0]
    assert (first.open, first.waiting) == (True, False)
    assert first.peer.startswith("127.0.0.1:")
    sleep(3)  # some heartbeats pass
    assert collector.status()[0].failures == 0
    assert {r.total_wh // 1000 for r in sink.readings} == {1234}
    dtu.stop()
    until(lambda: collector.status()[0].waiting)
    seen = len(sink.readings)
    again = dial()
    until(lambda: len(sink.readings) >= seen + 4 and collector.status()[0].reconnects == 1)
    assert collector.status()[0].peer != first.peer
    again.stop()
