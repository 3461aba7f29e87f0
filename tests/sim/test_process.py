"""The simulator as a process: ports that a stranger can open, the control API, clear errors, no traces left."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.parse
from datetime import timedelta

import pytest

from core.dlt645.commands import Password, Read, ReadAddress, RelayAction, RelayControl
from core.dlt645.frame import FrameDecoder, encode
from core.dlt645.identifiers import COMMAND_OPEN, ENERGY_BLOCK, ENERGY_TOTAL, RELAY_OPEN, STATUS_WORD_3
from tests.sim.rig import ADDRESS, OTHER, PtyMaster, simulator

ESTATE = """
[estate]
id = "cuihu"
name = "Cuihu"
[tariff]
price = "0.5"
[[bus]]
id = "bus-1"
baud = 9600
[[bus]]
id = "bus-2"
port = "tcp://127.0.0.1:0"
[[household]]
id = "1-0101"
meter = "202600010101"
bus = "bus-1"
start_register_wh = 1234560
load = "constant"
mean_power_w = 3600
resident = { button = "prompt", button_delay_s = 60 }
[[household]]
id = "1-0102"
meter = "202600010102"
bus = "bus-2"
"""
WORLD = ("--factor", "60", "--world-start", "2026-10-13T09:05:00+08:00")


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    with simulator(tmp_path_factory.mktemp("sim"), ESTATE, *WORLD, "--seed", "3") as sim:
        yield sim


def test_ready_file_tells_ports_control_anchor_and_pid(running):
    ready = running.ready
    assert set(ready) >= {"control_url", "ports", "anchor", "pid"}
    assert ready["pid"] == running.process.pid
    assert ready["anchor"]["world_utc"] == "2026-10-13T01:05:00Z"
    assert ready["anchor"]["factor"] == 60
    assert os.readlink(ready["ports"]["bus-1"]).startswith("/dev/pts/")
    assert ready["ports"]["bus-2"].startswith("tcp://127.0.0.1:")
    assert running.get("/health")["seed"] == 3


def test_pty_is_raw_from_the_start_so_control_characters_come_back_unchanged(running):
    fd = os.open(running.ready["ports"]["bus-1"], os.O_RDWR | os.O_NOCTTY)
    try:
        os.write(fd, b"\x03\x04\x0d" + encode(Read(ADDRESS, ENERGY_TOTAL).to_frame()))
        decoder, frames, end = FrameDecoder(), [], time.monotonic() + 20
        while not frames and time.monotonic() < end:
            frames = decoder.feed(os.read(fd, 100))
    finally:
        os.close(fd)
    assert frames[0].address == ADDRESS
    assert decoder.garbage_bytes == 0, "no echo, no translation"


def test_8e1_client_can_open_again_and_again(running):
    for _ in range(3):
        with PtyMaster(running.ready["ports"]["bus-1"]) as line:
            line.set_8e1()
            line.set_8e1()
            total, *rates = line.read(ENERGY_BLOCK)
            assert total >= 1234560
            assert sum(rates) == total


def test_foreign_address_and_bad_sum_get_silence_on_a_real_line(running):
    with PtyMaster(running.ready["ports"]["bus-1"]) as line:
        assert line.ask(Read(OTHER, ENERGY_TOTAL), within_s=0.6) is None
        wire = bytearray(encode(Read(ADDRESS, ENERGY_TOTAL).to_frame()))
        wire[-2] ^= 0x20
        line.write(wire)
        assert line.frame(within_s=0.6) is None
        assert line.ask(Read(ADDRESS, ENERGY_TOTAL)) is not None


def test_trip_allow_close_and_the_resident_bring_power_back(running):
    def order(action):
        deadline = running.civil(ahead_s=600)
        return line.ask(RelayControl(ADDRESS, action, deadline, Password()))

    with PtyMaster(running.ready["ports"]["bus-1"]) as line:
        expired = RelayControl(ADDRESS, RelayAction.TRIP, running.civil() - timedelta(hours=1), Password())
        assert line.ask(expired).data == b"\x04"
        assert order(RelayAction.TRIP).control == 0x9C
        assert line.read(STATUS_WORD_3) == (RELAY_OPEN | COMMAND_OPEN,)
        assert order(RelayAction.ALLOW_CLOSE).control == 0x9C
        end = time.monotonic() + 30
        while line.read(STATUS_WORD_3) != (0,):
            assert time.monotonic() < end
    home = running.get("/truth")["households"][0]
    assert [event["cause"] for event in home["relay_events"]] == ["trip", "button"]
    assert home["button_pressed_at"] == [home["relay_events"][1]["at_s"]]


def test_truth_agrees_with_the_wire_and_prices_it(running):
    with PtyMaster(running.ready["ports"]["bus-1"]) as line:
        total, *rates = line.read(ENERGY_BLOCK)
    truth = running.get("/truth")
    home = truth["households"][0]
    assert home["meter"] == ADDRESS
    assert home["start_register_wh"] == 1234560
    assert 0 <= home["register_wh"] - total <= 600
    cursor = {"meter": ADDRESS, "at_s": truth["at_s"], "register_wh": total, "rates_wh": rates}
    (verdict,) = running.post("/truth/charges", {"cursors": [cursor]})
    assert verdict["charge_nf"] == str((total - 1234560) * 50_000_000)
    assert verdict["rates_match"] is True
    assert verdict["window"][0] <= truth["at_s"]
    query = urllib.parse.urlencode({"meter": ADDRESS, "from_wh": 1234560, "to_wh": total})
    assert running.get(f"/truth/charge?{query}")["charge_nf"] == verdict["charge_nf"]


def test_tcp_port_serves_two_clients_that_hear_each_other(running):
    host, _, port = running.ready["ports"]["bus-2"].removeprefix("tcp://").partition(":")
    with socket.create_connection((host, int(port))) as one, socket.create_connection((host, int(port))) as two:
        for line in (one, two):
            line.settimeout(20)
        one.sendall(encode(ReadAddress().to_frame()))
        for line in (one, two):
            decoder, frames = FrameDecoder(), []
            while not frames:
                frames = decoder.feed(line.recv(100))
            assert frames[0].address == OTHER


def test_faults_and_the_button_by_control_api(running):
    with PtyMaster(running.ready["ports"]["bus-1"]) as line:
        running.post("/fault", {"meter": ADDRESS, "fault": "silent"})
        assert line.ask(Read(ADDRESS, ENERGY_TOTAL), within_s=0.6) is None
        running.post("/fault", {"meter": ADDRESS, "fault": "none"})
        assert line.ask(Read(ADDRESS, ENERGY_TOTAL)) is not None
    label = running.get("/truth/labels")[0]
    assert (label["meter"], label["kind"]) == (ADDRESS, "silent")
    assert label["start_s"] < label["end_s"]
    assert running.post("/button", {"meter": ADDRESS})["closed"] is False


def test_metrics_count_lag_and_every_bus(running):
    metrics = running.get("/metrics")
    assert metrics["lag"]["events"] > 0
    assert {bus["bus"] for bus in metrics["buses"]} == {"bus-1", "bus-2"}
    assert metrics["transactions"] == sum(bus["answers"] for bus in metrics["buses"])


def test_control_api_says_what_is_wrong(running):
    assert running.error("/nothing")[0] == 404
    assert "GET /truth" in running.error("/nothing")[1]
    assert running.error("/button", {"meter": "000000000000"})[0] == 404
    status, message = running.error("/fault", {"meter": ADDRESS, "fault": "explode"})
    assert status == 400
    assert "relay_stuck_closed" in message
    assert running.error("/truth/charges", {"cursor": []})[0] == 400
    assert running.error(f"/truth/charge?meter={ADDRESS}&to_wh=77")[0] == 400


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_stop_signal_ends_with_0_and_leaves_nothing(tmp_path, number):
    with simulator(tmp_path, ESTATE) as sim:
        assert (tmp_path / "run" / "bus-1").is_symlink()
        log = sim.stop(number)
        assert sim.process.returncode == 0
    assert not (tmp_path / "run").exists()
    assert not (tmp_path / "ready.json").exists()
    assert "lag p50" in log
    assert "bus-2: meters 1" in log


def test_stop_by_control_api(tmp_path):
    with simulator(tmp_path, ESTATE) as sim:
        assert sim.post("/stop", {}) == {"stopping": True}
        assert sim.process.wait(30) == 0


def test_links_of_a_killed_simulator_are_swept_by_the_next(tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "keep.txt").write_text("not ours")
    with simulator(tmp_path, ESTATE) as sim:
        sim.process.kill()
        sim.process.wait(30)
    assert (tmp_path / "run" / "bus-1").is_symlink()
    (tmp_path / "ready.json").unlink()
    renamed = ESTATE.replace('"bus-1"', '"line-1"')
    with simulator(tmp_path, renamed) as sim:
        assert not (tmp_path / "run" / "bus-1").is_symlink()
        sim.stop()
    assert [entry.name for entry in (tmp_path / "run").iterdir()] == ["keep.txt"]


def test_anchor_file_is_made_and_then_shared(tmp_path):
    anchor = tmp_path / "anchor.json"
    with simulator(tmp_path, ESTATE, "--anchor", str(anchor), *WORLD) as sim:
        first = sim.ready["anchor"]
        assert json.loads(anchor.read_text()) == first
    with simulator(tmp_path, ESTATE, "--anchor", str(anchor)) as sim:
        assert sim.ready["anchor"] == first
        assert sim.get("/truth")["households"][0]["true_energy_wh"] > 0, "the world went on meanwhile"


def run_cli(*arguments):
    run = subprocess.run([sys.executable, "-P", "-m", "sim", *arguments], capture_output=True, text=True, timeout=60)
    return run.returncode, run.stdout, run.stderr


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("baud = 9600", "baud = 96"), "bus[1]: baud is 96; allowed:"),
        (('load = "constant"', 'laod = "constant"'), "household[1]: unknown key laod"),
        (("tcp://127.0.0.1:0", "tcp://nowhere"), "bus[2]: port is 'tcp://nowhere'; allowed:"),
    ],
)
def test_wrong_scenario_ends_with_2_and_one_line(tmp_path, change, said):
    path = tmp_path / "estate.toml"
    path.write_text(ESTATE.replace(*change))
    status, _, stderr = run_cli(str(path), "--run-dir", str(tmp_path / "run"))
    assert status == 2
    assert said in stderr
    assert stderr.count("\n") == 1
    assert not (tmp_path / "run").exists()


def test_missing_file_is_named():
    status, _, stderr = run_cli("no-such-estate.toml")
    assert (status, stderr) == (2, "estate645-sim: no-such-estate.toml: cannot be read: No such file or directory\n")


def test_port_in_use_is_named(tmp_path):
    path = tmp_path / "estate.toml"
    with socket.create_server(("127.0.0.1", 0)) as busy:
        port = busy.getsockname()[1]
        path.write_text(ESTATE.replace("127.0.0.1:0", f"127.0.0.1:{port}"))
        status, _, stderr = run_cli(str(path), "--run-dir", str(tmp_path / "run"))
        assert status == 2
        assert f"tcp://127.0.0.1:{port}: cannot listen: Address already in use" in stderr
        path.write_text(ESTATE)
        arguments = ("--run-dir", str(tmp_path / "run"), "--control", f"127.0.0.1:{port}")
        status, _, stderr = run_cli(str(path), *arguments)
        assert status == 2
        assert f"--control 127.0.0.1:{port}: cannot listen" in stderr
    assert not (tmp_path / "run").exists()


def test_run_directory_in_use_is_named(tmp_path):
    with simulator(tmp_path, ESTATE):
        status, _, stderr = run_cli(str(tmp_path / "estate.toml"), "--run-dir", str(tmp_path / "run"))
        assert status == 2
        assert "another simulator is running there" in stderr
        assert (tmp_path / "run" / "bus-1").is_symlink(), "the first one is not disturbed"


@pytest.mark.parametrize("option", [("--factor", "0"), ("--world-start", "2026-10-13T09:05"), ("--control", "8000")])
def test_wrong_option_is_explained(tmp_path, option):
    path = tmp_path / "estate.toml"
    path.write_text(ESTATE)
    status, _, stderr = run_cli(str(path), *option)
    assert status == 2
    assert option[0] in stderr
    assert option[1] in stderr


def test_virtual_days_end_with_the_truth_and_are_repeatable(tmp_path):
    path = tmp_path / "estate.toml"
    path.write_text(ESTATE.replace("tcp://127.0.0.1:0", "pty"))
    printed = []
    for hash_seed in ("1", "2"):
        command = [sys.executable, "-P", "-m", "sim", str(path), "--seed", "4", "--virtual", "30"]
        command += ["--world-start", "2026-10-13T09:05:00+08:00"]
        environment = os.environ | {"PYTHONHASHSEED": hash_seed}
        run = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60, env=environment)
        printed.append(run.stdout)
    assert printed[0] == printed[1]
    home = json.loads(printed[0])["truth"]["households"][0]
    assert home["true_energy_wh"] == 3600 * 24 * 30


def test_example_and_missing_scenario():
    status, stdout, _ = run_cli("--example")
    assert status == 0
    assert "[[household]]" in stdout
    status, _, stderr = run_cli()
    assert (status, stderr) == (2, "estate645-sim: no scenario; name a TOML file, or print one with --example\n")


def test_options_against_an_existing_anchor_are_refused(tmp_path):
    path, anchor = tmp_path / "estate.toml", tmp_path / "anchor.json"
    path.write_text(ESTATE)
    anchor.write_text('{"machine_utc": "2026-10-13T01:00:00Z", "world_utc": "2026-10-13T01:05:00Z", "factor": 120}')
    for options in (("--factor", "60"), ("--world-start", "2026-10-13T09:05:00+08:00")):
        status, _, stderr = run_cli(str(path), "--anchor", str(anchor), *options)
        assert status == 2
        assert "exists with factor 120" in stderr
