"""Small estates for the tests: scenarios as tables, virtual worlds with memory ports, and simulator processes."""

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import termios
import time
import tty
import urllib.error
import urllib.request
from datetime import UTC, datetime, timedelta
from pathlib import Path

from core.dlt645.commands import Password, Read, RelayControl
from core.dlt645.frame import Frame, FrameDecoder, encode
from core.dlt645.identifiers import decode_value
from sim.estate import FaultConfig
from sim.ports import MemoryPort
from sim.scenario.scenario import scenario_from_dict
from sim.timing.anchor import Anchor, WorldClock
from sim.timing.clock import Environment
from sim.world import World

START = datetime.fromisoformat("2026-10-13T09:05:00+08:00")
ADDRESS = "202600010101"
OTHER = "202600010102"
GATE = "202600019999"
TIERED = {
    "id": "t",
    "price": "0.4883",
    "tier_steps": ["0.05", "0.25"],
    "tier_limits_wh": [240000, 400000],
    "tier_period": "month",
}


def bus(bus_id="bus-1", **keys):
    return {"id": bus_id, "port": "memory"} | keys


def household(name="1-0101", meter=ADDRESS, bus_id="bus-1", **keys):
    return {"id": name, "meter": meter, "bus": bus_id} | keys


def table(households, buses=None, gates=(), tariff=None):
    return {
        "estate": {"id": "cuihu", "name": "Cuihu", "time_zone": "Asia/Shanghai"},
        "tariff": tariff or TIERED,
        "bus": buses or [bus()],
        "household": households,
        "gate": list(gates),
    }


class Virtual:
    """A world in virtual time whose buses are asked through memory ports."""

    def __init__(self, scenario_table, seed=1, start=START, factor=1):
        scenario = scenario_from_dict(scenario_table)
        self.env = Environment()
        self.clock = WorldClock(Anchor(START, start, factor), START)
        self.ports = {b.bus_id: MemoryPort(b.bus_id) for b in scenario.buses}
        self.world = World(scenario, seed, self.env, self.clock, self.ports)
        self.world.open()

    def run_s(self, seconds):
        self.env.run(until=self.env.now + seconds)

    def send(self, wire, bus_id="bus-1", wait_s=3.0):
        """Feed bytes and return the bytes that come back within some machine seconds."""
        self.ports[bus_id].feed(wire)
        self.run_s(wait_s)
        return self.ports[bus_id].take()

    def ask(self, frame, bus_id="bus-1", wait_s=3.0):
        """The frames that answer a frame."""
        return FrameDecoder().feed(self.send(encode(frame), bus_id, wait_s))

    def read(self, di, address=ADDRESS, bus_id="bus-1"):
        """The decoded values behind an identifier."""
        (reply,) = self.ask(Read(address, di).to_frame(), bus_id)
        assert reply.control == 0x91, reply
        assert reply.identifier == di
        return decode_value(di, reply.data[4:])

    def read_long(self, di, address=ADDRESS, bus_id="bus-1", request=b""):
        """The bytes behind an identifier, joined from all the frames of the answer."""
        data = di.to_bytes(4, "little")
        (reply,) = self.ask(Frame(address, 0x11, data + request), bus_id, wait_s=1.0)
        joined, sequence = reply.data[4:], 0
        assert reply.control in (0x91, 0xB1), reply
        while reply.follow:
            sequence += 1
            (reply,) = self.ask(Frame(address, 0x12, data + bytes([sequence])), bus_id, wait_s=1.0)
            assert reply.control in (0x92, 0xB2), reply
            assert (reply.data[:4], reply.data[-1]) == (data, sequence)
            joined += reply.data[4:-1]
        return joined

    def switch(self, action, address=ADDRESS, *, code="000000", lifetime_s=600, deadline=None):
        """The reply frame of a relay command."""
        if deadline is None:
            deadline = self.civil() + timedelta(seconds=lifetime_s)
        (reply,) = self.ask(RelayControl(address, action, deadline, Password(2, code)).to_frame())
        return reply

    def civil(self):
        return self.world.calendar.civil(self.world.now_ms).replace(tzinfo=None)

    def fault(self, kind, where="household", name="1-0101", until_ms=None, **sizes):
        """Begin a fault now."""
        now_ms = self.world.now_ms
        config = FaultConfig(kind, now_ms, until_ms, where, name, tuple(sizes.items()))
        return self.world.faults.start(config, now_ms)

    def labels(self):
        """All labels now."""
        return self.world.faults.labels(self.world.now_ms)

    def household(self, address=ADDRESS):
        return self.world.household(address)


class Simulator:
    """A simulator process and what its ready file says."""

    def __init__(self, process, ready, log):
        self.process = process
        self.ready = ready
        self._log = log

    def get(self, path):
        with urllib.request.urlopen(self.ready["control_url"] + path, timeout=30) as answer:
            return json.load(answer)

    def post(self, path, body, **headers):
        data = json.dumps(body).encode()
        request = urllib.request.Request(self.ready["control_url"] + path, data=data, headers=headers)
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.load(answer)

    def error(self, path, body=None, **headers):
        """Status and message of a request that must fail."""
        try:
            self.get(path) if body is None else self.post(path, body, **headers)
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.load(error)["error"]
        raise AssertionError(f"{path} did not fail")

    def civil(self, ahead_s=0):
        """Meter time, some seconds ahead."""
        anchor = self.ready["anchor"]
        gone = datetime.now(UTC) - datetime.fromisoformat(anchor["machine_utc"])
        world = datetime.fromisoformat(anchor["world_utc"]) + gone * anchor["factor"]
        return (world + timedelta(hours=8, seconds=ahead_s)).replace(tzinfo=None)

    def stop(self, number=signal.SIGTERM):
        self.process.send_signal(number)
        self.process.wait(30)
        return self._log.read_text()


@contextlib.contextmanager
def simulator(tmp_path: Path, scenario: str, *options: str):
    """Run `python -m sim` on a scenario text until the block ends."""
    path, ready, log = tmp_path / "estate.toml", tmp_path / "ready.json", tmp_path / "log.txt"
    path.write_text(scenario, "utf-8")
    command = [sys.executable, "-P", "-m", "sim", str(path), "--run-dir", str(tmp_path / "run")]
    with log.open("w") as stderr:
        process = subprocess.Popen([*command, "--ready", str(ready), *options], stderr=stderr)
    try:
        end = time.monotonic() + 60
        while not ready.exists():
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < end, "the simulator did not get ready"
            time.sleep(0.02)
        yield Simulator(process, json.loads(ready.read_text()), log)
    finally:
        if process.poll() is None:
            process.terminate()
        process.wait(30)


class PtyMaster:
    """A plain termios client of a simulated bus, as foreign head-ends are."""

    def __init__(self, path):
        self.fd = os.open(path, os.O_RDWR | os.O_NOCTTY)
        tty.setraw(self.fd)
        self.decoder = FrameDecoder()

    def set_8e1(self, baud=termios.B9600):
        """Ask for 8E1; the pty may refuse (EINVAL), which a tolerant client accepts."""
        attributes = termios.tcgetattr(self.fd)
        attributes[2] = attributes[2] & ~termios.CSIZE | termios.CS8 | termios.PARENB
        attributes[4] = attributes[5] = baud
        try:
            termios.tcsetattr(self.fd, termios.TCSANOW, attributes)
        except termios.error:
            return False
        return True

    def write(self, data):
        os.write(self.fd, data)

    def frame(self, within_s=20.0):
        """The next frame, or None when nothing came in time."""
        end = time.monotonic() + within_s
        while time.monotonic() < end:
            if select.select([self.fd], [], [], 0.05)[0]:
                frames = self.decoder.feed(os.read(self.fd, 4096))
                if frames:
                    return frames[0]
        return None

    def ask(self, command, within_s=20.0):
        self.write(encode(command.to_frame()))
        return self.frame(within_s)

    def read(self, di, address=ADDRESS):
        reply = self.ask(Read(address, di))
        assert reply is not None
        return decode_value(di, reply.data[4:])

    def close(self):
        os.close(self.fd)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
