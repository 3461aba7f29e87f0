"""A hall of one bus for several tests: its simulated meters, the head-end's file of it, and both as processes."""

import json
import signal
import subprocess
import sys
from contextlib import contextmanager

from tests.e2e.processes import start, wait_until

SCENARIO = """
[estate]
id = "hall"
name = "Hall"
time_zone = "Asia/Shanghai"
[tariff]
id = "t"
price = "0.4883"
[[bus]]
id = "bus-1"
port = "pty"
baud = 9600
parity = "E"
reply_delay_ms = 5
"""
METERS = ["202600010101", "202600010102"]
STRANGER = "202600010103"
ESTATE = """
[estate]
id = "hall"
name = "Hall"
[[tariff]]
id = "t"
name = "t"
[[tariff.versions]]
valid_from = "2000-01-01T00:00:00+08:00"
kind = "single"
price = "0.4883"
tier_period = "none"
[[bus]]
id = "bus-1"
url = "URL"
baud = 9600
reply_delay_max_ms = 100
[[building]]
id = "1"
name = "1"
"""
HOME = """
[[room]]
id = "1-N"
building = "1"
floor = 1
door = "N"
[[household]]
account = "HN"
room = "1-N"
holder = "x"
tariff = "t"
meter = "METER"
bus = "bus-1"
start_wh = 1000
"""


def home(number, meter, power_w=10, more=""):
    """A household of the scenario that draws the same power all the time."""
    return (
        f'[[household]]\nid = "h{number}"\nmeter = "{meter}"\nbus = "bus-1"\nload = "constant"\n'
        f"mean_power_w = {power_w}\nstart_register_wh = 1000\n{more}"
    )


def estate(port, meters=(), more=""):
    """The head-end's file, with a household for each of these meters."""
    homes = "".join(HOME.replace("METER", name).replace("N", str(n)) for n, name in enumerate(meters, 1))
    return ESTATE.replace("URL", str(port)) + homes + more


@contextmanager
def simulated(folder, scenario):
    """A simulator in `folder`; yields the path of its bus."""
    (folder / "sim.toml").write_text(scenario, "utf-8")
    ready = folder / "sim.json"
    simulator = subprocess.Popen(
        [sys.executable, "-P", "-m", "sim", "sim.toml", "--run-dir", "run", "--ready", "sim.json"], cwd=folder
    )
    try:
        wait_until(lambda: ready.exists() or simulator.poll() is not None, "the simulator is ready")
        yield folder / json.loads(ready.read_text("utf-8"))["ports"]["bus-1"]
    finally:
        simulator.terminate()
        code = simulator.wait(30)
    assert code == 0


def serve(folder, *options):
    """Start a server in `folder`; the process, and what its ready file says."""
    ready = folder / "server.json"
    ready.unlink(missing_ok=True)
    server = start("serve", *options, "--ready", ready, cwd=folder)
    wait_until(lambda: ready.exists() or server.poll() is not None, "the server is ready")
    assert server.poll() is None, server.stdout.read()
    return server, json.loads(ready.read_text("utf-8"))


def end(server, number=signal.SIGINT):
    """End a server in order; what it printed."""
    server.send_signal(number)
    return server.communicate(timeout=60)[0]


@contextmanager
def served(folder, *options):
    """A server in `folder` on a free port; yields what its ready file says."""
    server, said = serve(folder, "--port", "0", *options)
    try:
        yield said
    finally:
        end(server)
