"""Virtual time that a client steps: wire times are true, what nobody waits for is kept, one script is one world."""

from datetime import datetime

import pytest

from core.dlt645.commands import BroadcastTime, Read
from core.dlt645.frame import FrameDecoder, encode
from core.dlt645.identifiers import ENERGY_TOTAL, decode_value
from tests.sim.rig import ADDRESS, OTHER, simulator

ESTATE = """
[estate]
id = "cuihu"
[tariff]
price = "0.5"
[[bus]]
id = "bus-1"
baud = 9600
parity = "E"
reply_delay_ms = 20
[[bus]]
id = "bus-2"
baud = 2400
parity = "E"
reply_delay_ms = [20, 60]
bit_errors_ppm = 300
[[household]]
id = "1-0101"
meter = "202600010101"
bus = "bus-1"
load = "constant"
mean_power_w = 1000
[[household]]
id = "1-0102"
meter = "202600010102"
bus = "bus-2"
"""
OPTIONS = ("--clock", "stepped", "--world-start", "2026-10-01T00:00:00+08:00", "--seed", "5")
READ = encode(Read(ADDRESS, ENERGY_TOTAL).to_frame())
BYTE_S = 11 / 9600


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    with simulator(tmp_path_factory.mktemp("stepped"), ESTATE, *OPTIONS) as running:
        yield running


def exchange(run, wire=READ, bus="bus-1", **keys):
    answer = run.post("/exchange", {"bus": bus, "hex": wire.hex(), **keys})
    return bytes.fromhex(answer["hex"]), answer


def energy_wh(wire):
    (frame,) = FrameDecoder().feed(wire)
    return decode_value(ENERGY_TOTAL, frame.data[4:])[0]


def test_time_stands_still_until_told_and_an_answer_takes_what_it_takes_on_the_wire(run):
    assert run.ready["clock"] == "stepped"
    assert run.ready["ports"]["bus-1"] == "memory:bus-1"
    before = run.get("/time")
    wire, after = exchange(run, wait_s=5)
    assert after["now_s"] - before["now_s"] == pytest.approx((len(READ) + len(wire)) * BYTE_S + 0.020, abs=1e-5)
    assert after["world_s"] - before["world_s"] == pytest.approx(after["now_s"] - before["now_s"], abs=0.002)
    assert run.get("/time") == {key: value for key, value in after.items() if key != "hex"}


def test_a_wait_that_is_too_short_gets_a_part_and_the_rest_is_there_later(run):
    whole, _ = exchange(run)
    part, _ = exchange(run, wait_s=len(READ) * BYTE_S + 0.020 + 10.5 * BYTE_S)
    assert len(part) == 10, "two chunks of five bytes"
    rest = run.post("/advance", {"seconds": 1})["received"]["bus-1"]
    assert part + bytes.fromhex(rest) == whole
    silent, after = exchange(run, encode(Read(OTHER, ENERGY_TOTAL).to_frame()), wait_s=0.75)
    assert silent == b""
    assert after["now_s"] == pytest.approx(run.get("/time")["now_s"])
    broadcast, _ = exchange(run, encode(BroadcastTime(run_civil(run)).to_frame()), wait_s=0)
    assert broadcast == b""
    quiet, ended = exchange(run, b"\x68" + READ, wait_s=5, quiet_s=0.25)
    assert energy_wh(quiet) >= 0
    assert run.post("/advance", {"seconds": 0})["now_s"] == ended["now_s"]


def run_civil(run):
    return datetime.fromisoformat(run.get("/time")["world_civil"]).replace(tzinfo=None)


def test_several_buses_are_asked_at_once_and_an_hour_is_an_hour(run):
    slow = encode(Read(OTHER, ENERGY_TOTAL).to_frame())
    began = run.get("/time")["now_s"]
    first = run.post(
        "/advance", {"seconds": 2, "send": {"bus-1": READ.hex(), "bus-2": slow.hex()}, "until_bytes": True}
    )
    assert list(first["received"]) == ["bus-1"], "the faster line speaks first"
    assert first["now_s"] - began == pytest.approx((len(READ) + 5) * BYTE_S + 0.020, abs=1e-5)
    rest = run.post("/advance", {"seconds": 2})
    assert rest["received"].keys() == {"bus-1", "bus-2"}
    assert rest["now_s"] == pytest.approx(first["now_s"] + 2, abs=1e-5)
    before_wh = energy_wh(exchange(run)[0])
    run.post("/advance", {"seconds": 3600})
    assert energy_wh(exchange(run)[0]) - before_wh in (1000, 1010)
    run.post("/time", {"step_s": 3600})
    assert energy_wh(exchange(run)[0]) - before_wh in (2000, 2010)
    assert run.get("/metrics")["recent"]["lag"]["events"] == 0, "virtual time is never late"


@pytest.mark.parametrize(
    ("path", "body", "said"),
    [
        ("/exchange", {"bus": "hall", "hex": "68"}, "there is no bus hall; allowed: bus-1, bus-2"),
        ("/exchange", {"bus": "bus-1", "hex": "6"}, "bytes in hexadecimal"),
        ("/exchange", {"bus": "bus-1", "hex": "68", "wait_s": -1}, "from 0 to 600"),
        ("/exchange", {"bus": "bus-1", "hex": "68", "wait_s": True}, "from 0 to 600"),
        ("/exchange", {"bus": "bus-1", "hex": "68", "wait": 1}, "unknown key wait"),
        ("/advance", {}, "seconds is missing"),
        ("/advance", {"seconds": float("nan")}, "from 0 to"),
        ("/advance", {"seconds": 1, "send": {"hall": "68"}}, "there is no bus hall"),
    ],
)
def test_wrong_requests_move_nothing(run, path, body, said):
    before = run.get("/time")
    status, message = run.error(path, body)
    assert status == 400
    assert said in message
    assert run.get("/time") == before


def test_one_script_is_one_world_to_the_byte(tmp_path):
    seen = []
    for name in ("a", "b"):
        folder = tmp_path / name
        folder.mkdir()
        with simulator(folder, ESTATE, *OPTIONS, "--record", str(folder / "tapes")) as run:
            said = []
            for number in range(12):
                bus, meter = ("bus-1", ADDRESS) if number % 2 else ("bus-2", OTHER)
                wire = encode(Read(meter, ENERGY_TOTAL).to_frame())
                said.append(exchange(run, wire, bus, wait_s=1)[1])
                run.post("/advance", {"seconds": 7000 * number})
            run.post("/fault", {"meter": ADDRESS, "fault": "silent"})
            said += [run.post("/advance", {"seconds": 9}), run.get("/truth"), run.get("/truth/labels")]
            run.stop()
        seen.append((said, *[(folder / "tapes" / f"{bus}.pcap").read_bytes() for bus in ("bus-1", "bus-2")]))
    assert seen[0] == seen[1]
    assert seen[0][0][1]["hex"]
