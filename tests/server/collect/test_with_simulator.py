"""The collector against the simulator, two real processes on a pty at 9600 8E1 and on TCP, in a world at x120.

The simulator's own truth says what each register and relay did; the collector must have seen the same.
"""

import argparse
import json
import subprocess
import sys
import threading
import urllib.request
from time import monotonic, sleep, time

import pytest

from core.dlt645 import identifiers as di
from server.cli import read
from server.clock import anchor_from_file
from server.collect.port import LineSettings
from server.collect.ports import check_world
from server.collect.supervisor import Supervisor
from server.collect.work import BusPlan, Cadence, Clocks, MeterPlan, timing_for
from server.errors import ConfigError
from tests.server.collect.fake_bus import ChangingOrders, RememberingSink

TTL_S = 600
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
port = "pty"
baud = 9600
parity = "E"
reply_delay_ms = 20
[[bus]]
id = "bus-2"
port = "tcp://127.0.0.1:0"
wire = "none"
reply_delay_ms = 5
"""
METERS = {"bus-1": [f"2026000101{n:02d}" for n in range(1, 7)], "bus-2": [f"2026000102{n:02d}" for n in range(1, 5)]}
DEAD = METERS["bus-1"][5]
DELAYED = METERS["bus-2"][3]


def scenario():
    text = SCENARIO
    for bus_id, meters in METERS.items():
        for meter in meters:
            text += f'[[household]]\nid = "{meter[-4:]}"\nmeter = "{meter}"\nbus = "{bus_id}"\n'
            text += 'load = "constant"\nmean_power_w = 3000\nstart_register_wh = 1234560\n'
            text += 'password = "112233"\nresident = { button = "never" }\n'
            text += 'fault = "silent"\n' if meter == DEAD else ""
            text += "trip_delay_min = 1\n" if meter == DELAYED else ""
    return text


class Simulator:
    """A simulator process and its truth."""

    def __init__(self, directory):
        (directory / "estate.toml").write_text(scenario(), "utf-8")
        ready = directory / "ready.json"
        arguments = ["estate.toml", "--seed", "7", "--factor", "120", "--world-start", "2026-10-13T09:05:00+08:00"]
        arguments += ["--anchor", "anchor.json", "--run-dir", "run", "--ready", str(ready)]
        self.process = subprocess.Popen([sys.executable, "-P", "-m", "sim", *arguments], cwd=directory)
        end = monotonic() + 60
        while not ready.exists():
            assert self.process.poll() is None
            assert monotonic() < end
            sleep(0.02)
        self.ready = json.loads(ready.read_text("utf-8"))
        self.anchor = anchor_from_file(directory / "anchor.json")
        self.urls = {
            bus_id: name if name.startswith("tcp://") else str(directory / name)
            for bus_id, name in self.ready["ports"].items()
        }

    def stop(self):
        self.process.terminate()
        assert self.process.wait(30) == 0

    def ask(self, path, body=None):
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.ready["control_url"] + path, data)
        with urllib.request.urlopen(request, timeout=20) as answer:
            return json.load(answer)

    def truth(self, meter):
        return next(entry for entry in entries(self.ask("/truth")) if entry["meter"] == meter)


def entries(truth):
    return truth if isinstance(truth, list) else truth["households"]


class Watch:
    """A collector over the simulator's buses."""

    def __init__(self, simulator):
        self.simulator = simulator
        self.sink, self.orders = RememberingSink(), ChangingOrders()
        anchor = simulator.anchor
        self.clocks = Clocks(lambda: anchor.world_at(time()), lambda: int(time() * 1000), anchor.factor)
        line = LineSettings(9600, "E", 1)
        plans = [
            BusPlan(
                bus_id,
                url,
                tuple(MeterPlan(meter) for meter in METERS[bus_id]),
                line=line,
                timing=timing_for(line, reply_delay_max_ms=500),
                cadence=Cadence(reading_cycle_s=360, near_cycle_s=120),
            )
            for bus_id, url in simulator.urls.items()
        ]
        for plan in plans:
            check_world(anchor.factor, TTL_S, plan.url)
        self.collector = Supervisor(plans, self.sink, self.orders, self.clocks)

    def until(self, condition, timeout_s=60.0):
        end = monotonic() + timeout_s
        while not condition():
            assert monotonic() < end, (f"not within {timeout_s} s", self.collector.status(), self.orders.steps)
            sleep(0.02)

    def want(self, meter, action, gen):
        expires_at = int(self.clocks.world_now()) + TTL_S
        self.orders.want(meter, action, gen=gen, password="112233", ttl_s=TTL_S, expires_at=expires_at)
        self.collector.wake(next(bus_id for bus_id, meters in METERS.items() if meter in meters))

    def last_status(self, meter):
        return next((s.status3 for s in reversed(self.sink.states) if s.meter_id == meter), None)


@pytest.fixture(scope="module")
def simulator(tmp_path_factory):
    simulator = Simulator(tmp_path_factory.mktemp("simulated"))
    yield simulator
    simulator.stop()


@pytest.fixture
def watch(simulator):
    before = set(threading.enumerate())
    watch = Watch(simulator)
    watch.collector.start()
    yield watch
    watch.collector.stop()
    assert set(threading.enumerate()) <= before


def test_every_living_meter_is_read_and_its_register_is_the_true_one(watch):
    living = {meter for meters in METERS.values() for meter in meters} - {DEAD}
    watch.until(lambda: {r.meter_id for r in watch.sink.readings} == living)
    watch.until(lambda: {s.meter_id for s in watch.sink.states if s.clock_offset_s is not None} == living)
    watch.until(lambda: any(failure.meter_id == DEAD for failure in watch.sink.lost))
    for reading in {r.meter_id: r for r in watch.sink.readings}.values():
        truth = watch.simulator.truth(reading.meter_id)
        assert truth["start_register_wh"] <= reading.total_wh <= truth["register_wh"]
        assert sum(reading.rates_wh) == reading.total_wh
    # the meters' clocks are right; what is left is the resolution of a second and the way of the bytes
    assert max(abs(s.clock_offset_s) for s in watch.sink.states if s.clock_offset_s is not None) <= 60
    pty, tcp = watch.collector.status()
    assert (pty.open, pty.parity_effective, tcp.open, tcp.parity_effective) == (True, False, True, None)
    assert pty.silent_meters == 1
    assert 0 < pty.latency_p50_ms < 1000


@pytest.mark.parametrize("bus_id", ["bus-1", "bus-2"])
def test_trip_allow_and_button_over_the_wire(watch, bus_id):
    meter = METERS[bus_id][0]
    watch.want(meter, "trip", 1)
    watch.until(lambda: watch.last_status(meter) == di.RELAY_OPEN | di.COMMAND_OPEN)
    assert watch.orders.names(meter)[:3] == ["sent", "accepted", "read_back"]
    assert watch.simulator.truth(meter)["relay"] == "open"

    watch.want(meter, "allow", 2)
    watch.until(lambda: watch.last_status(meter) == di.RELAY_OPEN)  # permitted, nobody has pressed yet
    truth = watch.simulator.truth(meter)
    assert (truth["relay"], truth["command_open"]) == ("open", False)
    watch.orders.wanted.clear()

    watch.simulator.ask("/button", {"meter": meter})
    watch.until(lambda: watch.last_status(meter) == 0)
    assert watch.simulator.truth(meter)["relay"] == "closed"


def test_a_trip_with_a_delay_is_confirmed_only_when_the_relay_has_moved(watch):
    watch.want(DELAYED, "trip", 1)
    watch.until(lambda: watch.last_status(DELAYED) == di.RELAY_OPEN | di.COMMAND_OPEN)
    assert watch.simulator.truth(DELAYED)["relay"] == "open"
    watch.want(DELAYED, "close", 2)
    watch.until(lambda: watch.last_status(DELAYED) == 0)
    assert watch.simulator.truth(DELAYED)["relay"] == "closed"


def test_a_wrong_password_is_reported_and_nothing_moves(watch):
    meter = METERS["bus-2"][1]
    watch.orders.want(meter, "trip", password="999999", ttl_s=TTL_S)
    watch.collector.wake("bus-2")
    watch.until(lambda: "read_back" in watch.orders.names(meter))
    assert watch.orders.names(meter)[:3] == ["sent", "refused", "read_back"]
    assert "wrong password" in watch.orders.steps[1][3]
    assert watch.simulator.truth(meter)["relay"] == "closed"


def test_read_now_gives_the_present_register(watch):
    meter = METERS["bus-1"][2]
    reading = watch.collector.read_now(meter).result(30)
    assert reading.total_wh <= watch.simulator.truth(meter)["register_wh"]
    assert reading.source == "demand"
    # what else was read went the ordinary way, and was there before the answer
    assert next(row for row in watch.sink.rows if row.meter_id == meter).voltage_mv > 180_000
    assert watch.last_status(meter) == 0


def command_line(*arguments):
    parser = argparse.ArgumentParser()
    read.add_parser(parser.add_subparsers())
    parsed = parser.parse_args(["read", *arguments])
    return parsed.run(parsed)


def test_the_read_command_asks_one_meter(simulator, capsys):
    meter, url = METERS["bus-2"][2], simulator.urls["bus-2"]
    assert command_line(url, meter, "00010000") == 0
    shown = capsys.readouterr().out
    assert shown.startswith(f"{meter} 00010000: forward active energy")
    value = int(shown.split(": ")[2].split()[0])
    assert 1_234_560 <= value <= simulator.truth(meter)["register_wh"]
    assert command_line(url, meter, "0FFFFFFF") == 1
    assert "no such data" in capsys.readouterr().err
    assert command_line(simulator.urls["bus-1"], DEAD, "00010000", "--baud", "9600", "--wait-ms", "200") == 1
    assert "did not answer in time" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [("x", "1234", "00010000"), ("x", "248", "0000"), ("x", "202600010101", "00001"), ("x", "202600010101", "zzzz")],
)
def test_the_read_command_says_what_is_allowed(arguments):
    with pytest.raises(ConfigError, match="allowed:"):
        command_line(*arguments)
