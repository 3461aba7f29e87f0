"""`estate645 scan`: a model bus behind the collector's own session, and the simulator on a pty."""

import argparse
import asyncio
import json
import subprocess
import sys
from contextlib import asynccontextmanager
from time import monotonic, sleep

import pytest

from core.dlt645.frame import FrameDecoder, encode
from core.modbus.meters import DDSU666
from core.modbus.rtu import RtuDecoder
from core.modbus.rtu import encode as encode_rtu
from server.cli import lines, scan
from server.cli.estate_draft import draft
from server.collect.port import PortError, PortStatus
from server.collect.scanning import Findings, FoundMeter
from server.intake.estate_file import read_estate
from tests.core.search_bus import Meter, together
from tests.core.test_search import unit


class ModelPort:
    """A port whose line is the model bus, in this process: what is written is answered at once."""

    def __init__(self, meters, baud_of_meters, settings, units=()):
        self.meters = meters
        self.is_heard = settings == baud_of_meters
        self.units = units
        self.status = PortStatus("model", True, None)

    async def open(self, on_data, on_lost):
        self.on_data = on_data

    def close(self):
        pass

    async def write(self, data):
        if not self.is_heard:
            return
        wires = []
        for request in FrameDecoder().feed(data):
            said = [encode(reply) for meter in self.meters if (reply := meter.answer(request)) is not None]
            wires += [together(said)] if said else []
        for request in RtuDecoder(requests=True).feed(data):
            wires += [encode_rtu(frame) for answer in self.units for frame in answer(request).frames]
        for wire in wires:
            asyncio.get_running_loop().call_soon(self.on_data, wire)


def scan_line(*arguments):
    parser = argparse.ArgumentParser()
    scan.add_parser(parser.add_subparsers())
    parsed = parser.parse_args(["scan", *map(str, arguments)])
    return parsed.run(parsed)


def model(monkeypatch, *meters, line=(115200, "E"), units=()):
    """Let every port be this bus; returns the settings at which it was opened."""
    opened = []

    def open_port(url, settings):
        opened.append((settings.baud, settings.parity))
        return ModelPort(meters, line, opened[-1], units)

    monkeypatch.setattr(lines, "open_port", open_port)
    return opened


NOW_S = 1_795_000_000
QUICK = ("--wait-ms", 12, "--units", "17-18")


def test_all_meters_of_a_mixed_bus_are_found_named_and_written_for_import(monkeypatch, tmp_path, capsys):
    meters = [Meter(f"2026000101{n:02d}", total=0x5634 + n) for n in (1, 2, 3)]
    meters.append(Meter("000000000009", "1997", total=0x99))
    units = [unit(17, DDSU666, {"voltage, phase A": 231_000, "frequency": 50_000})]
    opened = model(monkeypatch, *meters, units=units)
    out = tmp_path / "estate.toml"
    assert scan_line("/model", *QUICK, "--bauds", "57600,115200", "--parities", "E", "--out", out, "--json") == 0
    assert opened == [(57600, "E"), (115200, "E")]
    found = json.loads(capsys.readouterr().out)["meters"]
    assert [(one["protocol"], one["address"]) for one in found] == [
        ("2007", "202600010101"), ("2007", "202600010102"), ("2007", "202600010103"), ("1997", "000000000009"),
        ("modbus", "17"),
    ]  # fmt: skip
    assert {(one["baud"], one["parity"]) for one in found} == {(115200, "E")}
    assert [one["total_wh"] for one in found] == [56_350, 56_360, 56_370, 990, 0]
    assert found[-1]["model"] == "Chint DDSU666"
    document = read_estate(out, NOW_S)
    assert [(home.meter_id, home.protocol, home.model, home.unit, home.start_wh) for home in document.households] == [
        ("202600010101", "2007", "", None, 56_350), ("202600010102", "2007", "", None, 56_360),
        ("202600010103", "2007", "", None, 56_370), ("000000000009", "1997", "", None, 990),
        ("900000000017", "modbus", "chint-ddsu666", 17, 0),
    ]  # fmt: skip
    [bus] = document.buses
    assert (bus.url, bus.baud, bus.parity) == ("/model", 115200, "E")
    [note] = [line for line in out.read_text("utf-8").splitlines() if "900000000017" in line]
    assert (
        "Chint DDSU666: no number of a meter; write the one on its nameplate / 不是真实表号，请填写铭牌上的表号" in note
    )


def found_meter(protocol="2007", address="202600010101", baud=9600, **more):
    return FoundMeter(protocol, address, baud, "E", **({"total_wh": 1230} | more))


@pytest.mark.parametrize(
    ("meter", "reason"),
    [
        (
            found_meter("modbus", "17", model="Chint DDSU666 / Eastron SDM630"),
            "no model, or several, fit its registers",
        ),
        (found_meter("modbus", "17", profile="chint-ddsu666", total_wh=None), "its register could not be read"),
        (found_meter("modbus", "17", profile="chint-ddsu666", baud=2400), "set it to the line of the others first"),
        (found_meter("1997", "000000000009", baud=2400), "set it to the line of the others first"),
        (found_meter("1997", "000000000009", total_wh=1235), "its register could not be read"),
    ],
)
def test_what_cannot_be_taken_in_is_a_comment_with_its_reason(meter, reason, tmp_path):
    others = [found_meter(), found_meter(address="202600010102")]
    path = tmp_path / "estate.toml"
    path.write_text(draft("/model", Findings(meters=[*others, meter])), "utf-8")
    assert len(read_estate(path, NOW_S).households) == 2
    [line] = [one for one in path.read_text("utf-8").splitlines() if one.startswith(f"# {meter.protocol} ")]
    assert reason in line


def test_a_modbus_register_between_two_steps_keeps_its_watt_hours(tmp_path):
    path = tmp_path / "estate.toml"
    meters = [found_meter("modbus", "17", profile="chint-ddsu666", total_wh=1234)]
    path.write_text(draft("/model", Findings(meters=meters)), "utf-8")
    [home] = read_estate(path, NOW_S).households
    assert home.start_wh == 1234


def test_the_draft_and_the_command_speak_the_language_asked_for(monkeypatch, capsys):
    model(monkeypatch, Meter("202600010101", total=0x5634))
    scan_line("/model", *QUICK, *LINE, "--lang", "zh")
    shown = capsys.readouterr().out
    assert "共1块表，询问" in shown
    assert "meters" not in shown


def test_a_clash_is_said_and_no_meter_and_the_command_fails(monkeypatch, capsys):
    model(monkeypatch, Meter("000000000007", total=0x1234), Meter("000000000007", total=0x4321))
    assert scan_line("/model", *QUICK, "--bauds", "115200", "--parities", "E", "--protocols", "2007") == 1
    shown = capsys.readouterr().out
    assert "000000000007: several meters speak" in shown
    assert "0 meters" in shown


LINE = ("--bauds", "115200", "--parities", "E", "--protocols", "2007,1997")


def test_a_meter_that_refuses_all_is_shown_with_its_edition_uncertain_and_the_command_fails(monkeypatch, capsys):
    model(monkeypatch, Meter("000000000007", refuses=(0x11, 0x01)))
    assert scan_line("/model", *QUICK, *LINE) == 1
    shown = capsys.readouterr().out.splitlines()
    assert shown[0].split()[:2] == ["2007", "000000000007"]
    assert "000000000007: refuses every read" in shown[1]
    assert shown[-1].startswith("1 meters")


def test_a_meter_of_1997_that_refuses_the_reads_of_2007_is_one_meter_of_1997(monkeypatch, capsys):
    model(monkeypatch, Meter("000000000007", "1997", total=0x99, refuses=(0x11,)))
    assert scan_line("/model", *QUICK, *LINE, "--json") == 0
    [meter] = json.loads(capsys.readouterr().out)["meters"]
    assert (meter["protocol"], meter["edition_known"], meter["total_wh"]) == ("1997", True, 990)


class Deaf(Meter):
    """Answers to its own number alone: neither to a wildcard, nor to a shortened address, nor to the broadcast."""

    def hears(self, pattern):
        return pattern == self.address


def test_a_meter_that_answers_no_search_is_found_by_the_number_on_its_nameplate(monkeypatch, tmp_path, capsys):
    model(monkeypatch, Deaf("000000000777", "1997", total=0x99), Meter("202600010101", total=0x5634))
    assert scan_line("/model", *QUICK, *LINE, "--json") == 0
    assert [one["address"] for one in json.loads(capsys.readouterr().out)["meters"]] == ["202600010101"]
    out = tmp_path / "estate.toml"
    named = ("--addresses", "777; 202600010101 000000000888")
    assert scan_line("/model", *QUICK, *LINE, *named, "--json", "--out", out) == 1  # 888 is nobody
    found = json.loads(capsys.readouterr().out)
    assert found["silent"] == ["000000000888"]
    meters = {one["address"]: one for one in found["meters"]}
    assert len(found["meters"]) == len(meters) == 2
    assert (meters["000000000777"]["protocol"], meters["000000000777"]["total_wh"]) == ("1997", 990)
    assert meters["000000000777"]["profile"]
    assert {home.meter_id for home in read_estate(out, NOW_S).households} == set(meters)
    assert "000000000888" in out.read_text("utf-8")


@pytest.mark.parametrize("text", ["12x", "1234567890123", "1,-2", "１２"])
def test_what_is_no_number_of_a_nameplate_is_said(text, capsys):
    with pytest.raises(SystemExit):
        scan_line("/model", "--addresses", text)
    assert "is no number of a meter" in capsys.readouterr().err


def test_a_pty_that_was_deaf_to_one_parity_is_asked_with_the_next(monkeypatch):
    """A pty keeps no parity bit, but who is at its other side may know what was asked for."""
    asked = []

    class Ears:
        port_status = PortStatus("pty", True, False, "")

    @asynccontextmanager
    async def opened(_port, line, _wait_ms):
        asked.append((line.baud, line.parity))
        yield Ears()

    class Found:
        def __init__(self):
            self.findings = Findings()

        async def scan(self, _ears, line):
            if asked[-1] == (9600, "N"):
                self.findings.meters.append(FoundMeter("2007", "1", 9600, line.parity))

    monkeypatch.setattr(scan, "opened", opened)
    arguments = argparse.Namespace(
        port="/dev/pts/1", bauds=(2400, 9600), parities=("E", "N", "O"), wait_ms=1, config=None, database=None
    )
    monkeypatch.setattr(scan, "running_bus", lambda _: None)
    scanner = Found()
    asyncio.run(scan._scan(arguments, scanner))
    assert [(one.baud, one.parity) for one in scanner.findings.meters] == [(9600, "N")]


def test_an_empty_line_ends_with_exit_code_1_and_a_file_is_never_overwritten(monkeypatch, tmp_path, capsys):
    model(monkeypatch)
    assert scan_line("/model", *QUICK, "--bauds", "115200") == 1
    assert "0 meters, 14 questions" in capsys.readouterr().out
    (tmp_path / "kept").write_text("mine")
    with pytest.raises(Exception, match="exists already"):
        scan_line("/model", "--out", tmp_path / "kept")


def test_a_port_that_is_missing_is_said(tmp_path):
    with pytest.raises(PortError, match="no such device"):
        scan_line(tmp_path / "nothing", *QUICK)


@pytest.mark.parametrize(
    "arguments", [("--bauds", "300"), ("--parities", "X"), ("--units", "0-3"), ("--protocols", "698")]
)
def test_what_is_allowed_is_said(arguments, capsys):
    with pytest.raises(SystemExit):
        scan_line("/x", *arguments)
    assert "allowed:" in capsys.readouterr().err


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
reply_delay_ms = [5, 15]
"""


@pytest.mark.ci
@pytest.mark.timeout(240)
def test_meters_of_the_simulator_on_a_pty_are_found_at_their_baud(tmp_path, capsys):
    names = ["202600010101", "202600010102", "202600020102", "000000000077"]
    homes = "".join(
        f'[[household]]\nid = "h{n}"\nmeter = "{name}"\nbus = "bus-1"\nload = "constant"\nmean_power_w = 10\n'
        f"start_register_wh = {(n + 1) * 10_000}\n"
        for n, name in enumerate(names)
    )
    (tmp_path / "estate.toml").write_text(SCENARIO + homes, "utf-8")
    ready = tmp_path / "ready.json"
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "sim", "estate.toml", "--run-dir", "run", "--ready", str(ready)], cwd=tmp_path
    )
    try:
        end = monotonic() + 60
        while not ready.exists():
            assert process.poll() is None
            assert monotonic() < end
            sleep(0.02)
        port = tmp_path / json.loads(ready.read_text("utf-8"))["ports"]["bus-1"]
        options = ("--bauds", "9600,2400", "--protocols", "2007", "--wait-ms", 100, "--out", tmp_path / "found.toml")
        assert scan_line(port, *options) == 0
        shown = capsys.readouterr().out
    finally:
        process.terminate()
        process.wait(30)
    assert sorted(line.split()[1] for line in shown.splitlines() if line.startswith("2007")) == sorted(names)
    registers = {home.meter_id: home.start_wh for home in read_estate(tmp_path / "found.toml", NOW_S).households}
    assert all(registers[name] - (n + 1) * 10_000 in range(0, 30, 10) for n, name in enumerate(names))
