"""1,024 ports in one collector: every bus is polled, and the limit of descriptors is raised or explained."""

import json
import resource
import subprocess
import sys
from time import monotonic, sleep, time

import pytest

from server.collect import limits
from server.collect.limits import descriptors_needed, raise_descriptors
from server.collect.port import LineSettings, PortError
from server.collect.supervisor import Supervisor
from server.collect.work import BusPlan, Cadence, Clocks, MeterPlan, timing_for
from tests.server.collect.fake_bus import ChangingOrders, RememberingSink

PORTS = 1024
SOFT_AS_DELIVERED = 1024  # of most systems: fewer than this collector needs
SCENARIO = """
[estate]
id = "cuihu"
name = "Cuihu"
time_zone = "Asia/Shanghai"
[tariff]
id = "t"
price = "0.4883"
"""


@pytest.fixture
def usual_limit():
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (SOFT_AS_DELIVERED, before[1]))
    yield before[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


def scenario():
    parts = [SCENARIO]
    for n in range(PORTS):
        parts.append(f'[[bus]]\nid = "b{n}"\nport = "pty"\nwire = "none"\nreply_delay_ms = 5\n')
        parts.append(f'[[household]]\nid = "h{n}"\nmeter = "{meter(n)}"\nbus = "b{n}"\nload = "constant"\n')
        parts.append("mean_power_w = 3000\nstart_register_wh = 1234560\n")
    return "".join(parts)


def meter(n):
    return f"2026{n:08d}"


def until(condition, timeout_s=100.0):
    end = monotonic() + timeout_s
    while not condition():
        assert monotonic() < end
        sleep(0.02)


@pytest.fixture
def ports(usual_limit, tmp_path):
    (tmp_path / "estate.toml").write_text(scenario(), "utf-8")
    ready = tmp_path / "ready.json"
    arguments = ["estate.toml", "--seed", "7", "--run-dir", "run", "--ready", str(ready)]
    process = subprocess.Popen([sys.executable, "-P", "-m", "sim", *arguments], cwd=tmp_path)
    until(lambda: ready.exists() or process.poll() is not None)
    yield {name: str(tmp_path / path) for name, path in json.loads(ready.read_text("utf-8"))["ports"].items()}
    process.terminate()
    assert process.wait(30) == 0


@pytest.mark.ci
def test_1024_ptys_are_all_polled_in_turn_after_turn(ports):
    line = LineSettings(9600, "E", 1)
    plans = [
        BusPlan(
            f"b{n}",
            ports[f"b{n}"],
            (MeterPlan(meter(n)),),
            line=line,
            timing=timing_for(line, 5000),
            cadence=Cadence(reading_cycle_s=5, near_cycle_s=5),
        )
        for n in range(PORTS)
    ]
    sink = RememberingSink()
    collector = Supervisor(plans, sink, ChangingOrders(), Clocks(time, lambda: int(time() * 1000)))
    collector.start()
    try:
        assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] >= descriptors_needed(PORTS)
        until(
            lambda: (
                len(sink.readings) >= PORTS
                and {r.meter_id for r in sink.readings} == {p.meters[0].meter_id for p in plans}
            )
        )
        seen = len(sink.readings)
        until(lambda: len({r.meter_id for r in sink.readings[seen:]}) == PORTS)
        states = collector.status()
        assert sum(state.open for state in states) == PORTS
        assert sum(state.failures for state in states) == 0
        assert {state.last_error for state in states} == {""}
    finally:
        collector.stop()


def test_a_hard_limit_that_is_too_low_is_explained(monkeypatch):
    monkeypatch.setattr(limits.resource, "getrlimit", lambda _: (256, 1024))
    monkeypatch.setattr(limits.resource, "setrlimit", lambda *_: pytest.fail("nothing can be raised"))
    with pytest.raises(PortError, match=r"1024 buses need \d+ file descriptors, the hard limit is 1024; raise it"):
        raise_descriptors(1024)
    collector = Supervisor(
        [BusPlan(f"b{n}", f"/dev/pts/{n}", ()) for n in range(1024)], None, None, Clocks(time, lambda: 0)
    )
    with pytest.raises(PortError, match="LimitNOFILE"):
        collector.start()


def test_what_suffices_is_left_alone(monkeypatch):
    monkeypatch.setattr(limits.resource, "getrlimit", lambda _: (10_000, 20_000))
    monkeypatch.setattr(limits.resource, "setrlimit", lambda *_: pytest.fail("it sufficed"))
    raise_descriptors(1024)
