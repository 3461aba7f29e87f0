"""Control and sight from the command line: watch, inject, record, time against one running simulator."""

import fcntl
import json
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
import time

import pytest

from core.dlt645.commands import Read
from core.dlt645.identifiers import ENERGY_TOTAL
from sim.__main__ import main
from sim.control.recent import WINDOW, Recent
from sim.timing.stepped import SteppedEnvironment
from sim.wire.recording import exchanges, read_recording
from tests.sim.rig import ADDRESS, PtyMaster, Virtual, household, simulator, table

ESTATE = """
[estate]
id = "cuihu"
name = "翠湖花园"
[tariff]
price = "0.5"
[[bus]]
id = "bus-1"
[[household]]
id = "1-0101"
meter = "202600010101"
bus = "bus-1"
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sight")
    with simulator(folder, ESTATE, "--factor", "60", "--world-start", "2026-10-13T09:05:00+08:00") as running:
        running.file = str(folder / "ready.json")
        yield running


def cli(capsys, *words):
    """Status, what was printed, and what was complained."""
    status = main([str(word) for word in words])
    said = capsys.readouterr()
    return status, said.out, said.err


def test_a_fault_is_injected_and_ended(run, capsys):
    status, said, _ = cli(capsys, "inject", run.file, ADDRESS, "unmetered_tap", "tap_power_w=2000")
    assert status == 0
    assert json.loads(said)["fault"] == "unmetered_tap"
    assert cli(capsys, "inject", run.ready["control_url"], "1-0101", "none")[0] == 0
    assert cli(capsys, "inject", run.file, "bus:bus-1", "bit_errors", "lasts_s=60")[0] == 0
    tap, noise = run.get("/truth/labels")
    assert (tap["kind"], tap["end_s"] is not None) == ("unmetered_tap", True)
    (going_on,) = run.get("/faults")
    assert {key: noise[key] for key in going_on} == going_on
    assert (noise["kind"], noise["bus"]) == ("bit_errors", "bus-1")
    assert cli(capsys, "inject", run.file, "bus:bus-1", "none")[0] == 0


def test_a_bus_is_recorded_from_now_on_until_told_otherwise(run, capsys, tmp_path):
    tape = tmp_path / "bus.pcap"
    with PtyMaster(run.ready["ports"]["bus-1"]) as line:
        line.ask(Read(ADDRESS, ENERGY_TOTAL))
        assert cli(capsys, "record", run.file, "bus-1", tape)[0] == 0
        for _ in range(2):
            line.ask(Read(ADDRESS, ENERGY_TOTAL))
        status, said, _ = cli(capsys, "record", run.file, "bus-1", "--stop")
        assert json.loads(said)["ended"] == str(tape)
        line.ask(Read(ADDRESS, ENERGY_TOTAL))
    assert status == 0
    assert len(exchanges(read_recording(tape))) == 2
    status, _, complaint = cli(capsys, "record", run.file, "bus-1", tape)
    assert (status, "exists; name another file" in complaint) == (2, True)
    assert len(exchanges(read_recording(tape))) == 2


def test_time_is_told_and_changed(run, capsys):
    before = json.loads(cli(capsys, "time", run.file)[1])
    assert before["speed"] == 60
    assert json.loads(cli(capsys, "time", run.file, "pause")[1])["speed"] == 0
    stepped = json.loads(cli(capsys, "time", run.file, "step", 86_400)[1])
    assert stepped["world_s"] >= before["world_s"] + 86_400
    assert json.loads(cli(capsys, "time", run.file, "leap", 3600)[1])["world_s"] >= stepped["world_s"]
    assert json.loads(cli(capsys, "time", run.file, "60")[1])["speed"] == 60


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("inject", "READY", ADDRESS, "melted"), "silent"),
        (("inject", "READY", "1", "silent"), "no household has the meter 1"),
        (("inject", "READY", ADDRESS, "silent", "x"), "allowed: key=value"),
        (("inject", "READY", ADDRESS, "silent", "x=1"), "unknown key x"),
        (("inject", "READY", "gate:g", "silent"), "no gate g"),
        (("inject", "READY", "bus:b9", "bit_errors"), "no bus b9"),
        (("record", "READY", "bus-9", "/tmp/x.pcap"), "there is no bus bus-9; allowed: bus-1"),
        (("record", "READY", "bus-1", "/tmp/x.txt"), "ends with .pcap"),
        (("record", "READY", "bus-1", "/nonexistent/x.pcap"), "cannot be written"),
        (("record", "READY", "bus-1"), "name a FILE, or say --stop"),
        (("time", "READY", "leap"), "step SECONDS, leap SECONDS"),
        (("time", "READY", "3601"), "from 0 to 3600"),
        (("watch", "/nonexistent.json"), "allowed: http://HOST:PORT"),
        (("watch", __file__), "not a ready file"),
        (("watch", "http://127.0.0.1:9"), "no simulator answers"),
    ],
)
def test_mistakes_are_named_with_what_is_allowed(run, capsys, words, said):
    status, _, complaint = cli(capsys, *(run.file if word == "READY" else word for word in words))
    assert status == 2
    assert said in complaint
    assert complaint.count("\n") == 1


def test_metrics_tell_the_last_seconds_beside_all_time(run):
    with PtyMaster(run.ready["ports"]["bus-1"]) as line:
        for _ in range(5):
            line.ask(Read(ADDRESS, ENERGY_TOTAL))
    told = run.get("/metrics")
    (bus,) = told["buses"]
    assert told["recent"]["transactions_per_s"] == bus["recent"]["transactions_per_s"] > 0
    assert bus["recent"]["utilisation"] > 0
    assert 0 < told["recent"]["lag"]["events"] <= told["lag"]["events"]
    assert told["recent"]["lag"]["p50_ms"] <= told["recent"]["lag"]["p99_ms"] <= told["recent"]["lag"]["max_ms"]
    assert (told["meters"], told["relays_open"], told["seed"]) == (1, 0, 1)


def test_what_is_long_over_is_not_recent():
    virtual = Virtual(table([household()]))
    env = SteppedEnvironment()
    recent = Recent(env, virtual.world.buses)
    seen = []
    for second in range(20):
        env.lag.record(0.001 if second < 3 else 0.0001)
        virtual.world.buses["bus-1"].counters.answers += 5 if second < 3 else 1
        for _ in env.passing(second + 1.0):
            pass
        for _ in recent.sampling():
            pass
        seen.append(recent.summary(env.wall_s()))
    assert seen[0]["transactions_per_s"] == 0, "the first sample is its own beginning"
    assert seen[2]["transactions_per_s"] == 5
    assert 1 < seen[4]["transactions_per_s"] < 5
    assert seen[-1]["transactions_per_s"] == recent.of_bus("bus-1", env.wall_s())["transactions_per_s"] == 1
    assert seen[-1]["seconds"] == WINDOW - 1
    assert seen[-1]["lag"] == {"p50_ms": 0.11, "p99_ms": 0.11, "max_ms": 0.11, "events": WINDOW - 1}


def test_once_is_one_line(run, capsys):
    assert cli(capsys, "watch", run.file, "--once")[1].count("\n") == 1
    assert json.loads(cli(capsys, "watch", run.file, "--once", "--json")[1])["metrics"]["estate"] == "翠湖花园"


class Console:
    """A command on a terminal of its own."""

    def __init__(self, words, columns=80, rows=24):
        self.ours, theirs = pty.openpty()
        self.resize(columns, rows)
        self.before = termios.tcgetattr(theirs)
        environment = os.environ | {"TERM": "xterm-256color", "LANG": "C.UTF-8", "LC_ALL": ""}
        command = [sys.executable, "-P", "-m", "sim", *words]
        self.process = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env=environment)
        self.theirs = theirs
        self.said = ""

    def resize(self, columns, rows):
        fcntl.ioctl(self.ours, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def until(self, text, within_s=30):
        end = time.monotonic() + within_s
        while text not in self.said:
            if time.monotonic() > end:
                self.process.kill()
                self.process.wait()
                raise AssertionError(self.said)
            if select.select([self.ours], [], [], 0.1)[0]:
                self.said += os.read(self.ours, 65536).decode("utf-8", "replace")

    def press(self, keys):
        self.said = ""
        os.write(self.ours, keys.encode())

    def end(self):
        assert self.process.wait(30) == 0
        assert termios.tcgetattr(self.theirs) == self.before, "the terminal is as it was"
        self.until("\x1b[?1049l")
        os.close(self.ours)
        os.close(self.theirs)


def test_on_a_terminal_it_refreshes_in_place_obeys_keys_and_leaves_it_as_it_was(run):
    console = Console(["watch", run.file, "--every", "0.2"])
    console.until("翠湖花园")
    console.until("×60")
    console.press(" ")
    console.until("paused")
    assert run.get("/time")["speed"] == 0
    console.press(" +\x1b[B\x1b[5~")
    console.until("×120")
    console.said = ""
    console.resize(39, 24)
    console.until("needs 40 x 10, has 39 x 24")
    console.press("\x03")
    console.end()


def test_a_signal_or_the_end_of_the_simulator_gives_the_terminal_back(tmp_path):
    with simulator(tmp_path, ESTATE) as mine:
        consoles = [Console(["watch", str(tmp_path / "ready.json"), "--every", "0.2"]) for _ in range(2)]
        command = [sys.executable, "-P", "-m", "sim", "watch", str(tmp_path / "ready.json"), "--every", "0.1"]
        piped = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for console in consoles:
            console.until("翠湖花园")
        first, second = piped.stdout.readline(), piped.stdout.readline()
        consoles[0].process.send_signal(signal.SIGTERM)
        consoles[0].end()
        mine.stop()
        consoles[1].until("the simulator has ended")
        consoles[1].end()
        complaint = piped.communicate(timeout=30)[1]
    assert " x1 meters 1 buses 1 " in first
    assert " x1 meters 1 buses 1 " in second
    assert (piped.returncode, complaint) == (0, "estate645-sim: the simulator has ended\n")
