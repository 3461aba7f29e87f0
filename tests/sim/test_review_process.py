"""Starting and ending badly: signals at any moment, remains of a killed simulator, taken names, bad requests."""

import contextlib
import io
import json
import math
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from types import SimpleNamespace

import pytest

from sim.__main__ import main
from sim.control.api import Control, _Handler
from sim.timing.stepped import SteppedEnvironment
from tests.sim.rig import simulator

HEAD = """
[estate]
id = "cuihu"
[tariff]
price = "0.5"
[[bus]]
id = "bus-1"
"""
HOUSEHOLD = """
[[household]]
id = "1-{number:04d}"
meter = "2026{number:08d}"
bus = "bus-1"
"""
ESTATE = HEAD + HOUSEHOLD.format(number=1)
METER = "202600000001"
WAIT_S = 60


@contextlib.contextmanager
def start(tmp_path, *options, scenario=ESTATE, run="run", ready="ready.json"):
    path = tmp_path / "estate.toml"
    path.write_text(scenario, "utf-8")
    command = [sys.executable, "-P", "-m", "sim", str(path), "--run-dir", str(tmp_path / run)]
    command += ["--ready", str(tmp_path / ready), *options]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def until(condition, process):
    end = time.monotonic() + WAIT_S
    while not condition():
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < end
        time.sleep(0.005)


def refused(tmp_path, *options, **keys):
    """The only line that a simulator says when it cannot start."""
    with start(tmp_path, *options, **keys) as process:
        said = process.communicate(timeout=WAIT_S)[1]
    assert process.returncode == 2, said
    return said


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_while_the_estate_is_built_leaves_nothing(tmp_path, number):
    scenario = HEAD + "".join(HOUSEHOLD.format(number=n) for n in range(1, 250))
    with start(tmp_path, scenario=scenario) as process:
        until((tmp_path / "run").exists, process)
        process.send_signal(number)
        said = process.communicate(timeout=WAIT_S)[1]
    assert process.returncode == 0, said
    assert not (tmp_path / "run").exists()
    assert not (tmp_path / "ready.json").exists()


def test_signals_while_it_ends_change_nothing(tmp_path):
    with start(tmp_path) as process:
        until((tmp_path / "ready.json").exists, process)
        for number in (signal.SIGINT, signal.SIGTERM) * 100:
            process.send_signal(number)
            time.sleep(0.002)
        said = process.communicate(timeout=WAIT_S)[1]
    assert process.returncode == 0, said
    assert "Traceback" not in said
    assert not (tmp_path / "run").exists()


def test_the_ready_file_of_a_killed_simulator_is_gone_before_the_next_one_opens_its_ports(tmp_path):
    (tmp_path / "ready.json").write_text("{}")
    scenario = HEAD + "".join(HOUSEHOLD.format(number=n) for n in range(1, 250))
    with start(tmp_path, scenario=scenario) as process:
        until((tmp_path / "run" / "bus-1").is_symlink, process)
        ready = tmp_path / "ready.json"
        assert not ready.exists() or json.loads(ready.read_text())["pid"] == process.pid
        process.terminate()
        process.communicate(timeout=WAIT_S)


def test_a_ready_file_that_cannot_be_is_refused_and_nothing_is_left(tmp_path):
    (tmp_path / "file").write_text("")
    assert "--ready" in refused(tmp_path, ready="file/ready.json")
    assert not (tmp_path / "run").exists()


def test_a_port_name_that_is_taken_by_a_directory_is_refused(tmp_path):
    (tmp_path / "run" / "bus-1").mkdir(parents=True)
    assert "bus-1: cannot be put in place" in refused(tmp_path)
    assert os.listdir(tmp_path / "run") == ["bus-1"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--virtual", "0"], "days above 0"),
        (["--virtual", "-1"], "days above 0"),
        (["--virtual", "nan"], "days above 0"),
        (["--world-start", "0001-01-01T00:00:00+08:00"], "years between"),
        (["--world-start", "2100-01-01T00:00:00Z"], "years between"),
    ],
)
def test_impossible_options_are_refused_with_what_is_allowed(tmp_path, options, words):
    said = refused(tmp_path, *options)
    assert words in said
    assert "Traceback" not in said


@pytest.mark.parametrize("factor", [math.inf, 1.9, "2", True, None, 0])
def test_an_anchor_with_another_factor_than_a_whole_number_is_refused(tmp_path, factor):
    anchor = tmp_path / "anchor.json"
    moment = "2026-10-13T01:05:00Z"
    anchor.write_text(json.dumps({"machine_utc": moment, "world_utc": moment, "factor": factor}))
    said = refused(tmp_path, "--anchor", str(anchor))
    assert "anchor.json" in said
    assert "factor" in said


def test_a_truth_file_that_cannot_be_written_leaves_no_half_of_it(tmp_path, capsys):
    (tmp_path / "truth").mkdir()
    (tmp_path / "estate.toml").write_text(ESTATE)
    words = [str(tmp_path / "estate.toml"), "--virtual", "0.001", "--truth-out", str(tmp_path / "truth")]
    assert main(words) == 2
    assert "truth: cannot be written" in capsys.readouterr().err
    assert sorted(os.listdir(tmp_path)) == ["estate.toml", "truth"]


@pytest.mark.parametrize("run", [["--speed", "max", "--days", "1"], ["--virtual", "1"]])
@pytest.mark.parametrize(
    ("option", "why"),
    [
        (["--ready", "r.json"], "there is nothing to connect to"),
        (["--record", "tapes"], "nobody speaks on its buses"),
        (["--run-dir", "run"], "it has no ports"),
        (["--control", "127.0.0.1:0"], "it takes no requests"),
    ],
)
def test_what_a_run_at_once_cannot_honour_is_refused_and_not_passed_over(tmp_path, capsys, run, option, why):
    assert main([str(tmp_path / "estate.toml"), *run, *option]) == 2
    assert f"leave out {option[0]}, {why}; --clock stepped knows it" in capsys.readouterr().err


def test_a_truth_file_of_a_run_on_ports_is_refused_and_the_export_named(capsys):
    assert main(["estate.toml", "--truth-out", "t.json"]) == 2
    assert "--truth-export with any run" in capsys.readouterr().err


def test_bad_requests_are_answered_and_never_hang(tmp_path):
    with simulator(tmp_path, ESTATE) as running:
        far = {"meter": METER, "register_wh": 0, "at_s": math.inf}
        assert running.error("/truth/charges", {"cursors": [far]})[0] == 400
        port = int(running.ready["control_url"].rpartition(":")[2])
        for length in ("-1", "many"):
            with socket.create_connection(("127.0.0.1", port), timeout=20) as line:
                line.sendall(f"POST /fault HTTP/1.1\r\nHost: sim\r\nContent-Length: {length}\r\n\r\n".encode())
                assert b" 400 " in line.recv(1000)
        assert running.post("/stop", {}) == {"stopping": True}
        running.process.wait(WAIT_S)
        assert running.process.returncode == 0


def bare_control():
    """The control API of a world without anything."""
    env = SteppedEnvironment()
    clock = SimpleNamespace(anchor=SimpleNamespace(factor=1))
    world = SimpleNamespace(buses={}, clock=clock, scenario=SimpleNamespace(buses=[]))
    return env, Control(world, env, None, "127.0.0.1", 0)


def test_whoever_asks_for_the_end_hears_of_it_before_the_end(monkeypatch):
    """An answer that takes a moment to leave is not cut off by the end that it tells of."""
    answer, sent = _Handler._answer, threading.Event()

    def slow(self, *what):
        time.sleep(0.3)
        answer(self, *what)
        sent.set()

    monkeypatch.setattr(_Handler, "_answer", slow)
    env, control = bare_control()
    control.start()
    ask = urllib.request.Request(control.url + "/stop", b"{}")
    asking = threading.Thread(target=lambda: urllib.request.urlopen(ask, timeout=20).close())
    asking.start()
    env.serve()
    control.close()
    assert sent.is_set()
    asking.join()
    env.close()


def test_requests_on_one_connection_stay_in_step(tmp_path):
    """The body of a request is never taken for the next one, whether there is such a route or not."""
    with simulator(tmp_path, ESTATE) as running:
        port = int(running.ready["control_url"].rpartition(":")[2])
        body = b"GET /health HTTP/1.1\r\n\r\n"
        with socket.create_connection(("127.0.0.1", port), timeout=20) as line:
            line.sendall(b"POST /nowhere HTTP/1.1\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
            line.sendall(b"GET /time HTTP/1.1\r\nConnection: close\r\n\r\n")
            said = all_of(line)
        assert said.count(b"HTTP/1.1 ") == 2, said
        assert b" 404 " in said
        assert b'"world_utc"' in said
        for header in (b"Transfer-Encoding: chunked", b"Content-Length: 0\r\nContent-Length: 5"):
            with socket.create_connection(("127.0.0.1", port), timeout=20) as line:
                line.sendall(b"POST /button HTTP/1.1\r\n%s\r\n\r\n5\r\nhello\r\n0\r\n\r\n" % header)
                said = all_of(line)
            assert said.startswith(b"HTTP/1.1 400 "), said
            assert said.count(b"HTTP/1.1 ") == 1, said


def all_of(line):
    """Everything until the other end closes, or resets what we sent too much."""
    said = b""
    with contextlib.suppress(ConnectionResetError):
        while came := line.recv(65_536):
            said += came
    return said


@pytest.mark.parametrize("gone", [BrokenPipeError, ConnectionResetError])
def test_a_client_that_hangs_up_is_nothing_to_speak_of(gone):
    """The answer finds nobody: no traceback, and the connection is not used again."""

    class Nobody(io.BytesIO):
        def write(self, _data):
            raise gone

    handler = _Handler.__new__(_Handler)
    handler.rfile, handler.wfile = io.BytesIO(b"GET /nowhere HTTP/1.1\r\n\r\n"), Nobody()
    env, handler.control = bare_control()
    handler.client_address, handler.close_connection = ("127.0.0.1", 1), False
    handler.handle_one_request()
    handler.control.close()
    env.close()
    assert handler.close_connection


def foreign_port(run, name):
    """A link to a pseudo-terminal that another program has put there."""
    run.mkdir(exist_ok=True)
    (run / name).symlink_to("/dev/pts/0")
    return run / name


def test_the_ports_of_other_programs_in_the_run_directory_stay(tmp_path):
    theirs = foreign_port(tmp_path / "run", "their-meter")
    with start(tmp_path) as process:
        until((tmp_path / "ready.json").exists, process)
        assert theirs.is_symlink()
        process.terminate()
        process.communicate(timeout=WAIT_S)
    assert os.listdir(tmp_path / "run") == ["their-meter"]


def test_a_port_name_that_is_a_link_of_another_program_is_refused(tmp_path):
    theirs = foreign_port(tmp_path / "run", "bus-1")
    assert "bus-1 is a link of somebody else" in refused(tmp_path)
    assert os.listdir(tmp_path / "run") == ["bus-1"]
    assert os.readlink(theirs) == "/dev/pts/0"


def test_what_a_killed_simulator_left_is_swept_even_if_the_next_one_has_other_buses(tmp_path):
    with start(tmp_path) as process:
        until((tmp_path / "ready.json").exists, process)
    foreign_port(tmp_path / "run", "their-meter")
    assert (tmp_path / "run" / "bus-1").is_symlink()
    (tmp_path / "ready.json").unlink()
    with start(tmp_path, scenario=ESTATE.replace("bus-1", "hall")) as process:
        until((tmp_path / "ready.json").exists, process)
        assert sorted(path.name for path in (tmp_path / "run").iterdir() if path.is_symlink()) == [
            "hall",
            "their-meter",
        ]


@pytest.mark.parametrize("words", [["--example"], ["--help"], ["SCENARIO", "--speed", "max", "--days", "0.001"]])
def test_whoever_stops_reading_hears_no_complaint(tmp_path, words):
    (tmp_path / "estate.toml").write_text(ESTATE)
    words = [word.replace("SCENARIO", str(tmp_path / "estate.toml")) for word in words]
    command = [sys.executable, "-P", "-m", "sim", *words]
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "wb") as nobody:
        done = subprocess.run(command, stdout=nobody, stderr=subprocess.PIPE, timeout=WAIT_S, check=False)
    assert (done.returncode, done.stderr) == (int("--help" not in words), b"")
