"""A line with meters of three protocols: each answers its own and sleeps through the others', however bytes arrive.

The estate is that of examples/mixed.toml. Modbus frames are summed by the oracle, DL/T 645 frames by hand.
"""

import random
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from sim.errors import ScenarioError
from sim.scenario.scenario import load_scenario
from tests.core.modbus_oracle import crc
from tests.sim.rig import Virtual, bus, household, table

EXAMPLE = Path(__file__).parents[2] / "examples" / "mixed.toml"
NEWER, OLDER, ECHO = "202600010101", "199700010104", "199700010103"
CHARACTER_S = 10 / 9600
QUIET_S = 3.5 * CHARACTER_S


def mixed(**keys):
    estate = tomllib.loads(EXAMPLE.read_text("utf-8"))
    estate["bus"][0] |= {"port": "memory"} | keys
    return Virtual(estate)


def dlt645(address, control, data_hex=""):
    data = bytes.fromhex(data_hex)
    wire = b"\x68" + bytes.fromhex(address)[::-1] + bytes([0x68, control, len(data)])
    wire += bytes((byte + 0x33) % 256 for byte in data)
    return wire + bytes([sum(wire) % 256, 0x16])


def modbus(body_hex):
    body = bytes.fromhex(body_hex)
    return body + crc(body)


QUESTIONS = {
    "2007": (dlt645(NEWER, 0x11, "00000100"), dlt645(NEWER, 0x91, "")[:9]),
    "2007 three-phase": (b"\xfe\xfe" + dlt645("202600010102", 0x11, "00FF0102"), dlt645("202600010102", 0x91, "")[:9]),
    "1997": (dlt645(OLDER, 0x01, "1F90"), dlt645(OLDER, 0x81, "")[:9]),
    "1997 echo": (dlt645("A" * 12, 0x01, "1090"), dlt645("A" * 12, 0x81, "")[:9]),
    "1997 gate": (dlt645("199700019902", 0x01, "2FB6"), dlt645("199700019902", 0x81, "")[:9]),
    "ddsu666": (modbus("050340000002"), bytes.fromhex("050304")),
    "dds238": (modbus("06030000001B"), bytes.fromhex("060336")),
    "ddsy1352": (modbus("07030000000A"), bytes.fromhex("070314")),
    "sdm630 gate": (modbus("63040000002A"), bytes.fromhex("630454")),
}


def feed(virtual, wire, piece, pause_s=0.0, wait_s=1.0):
    """Give bytes in pieces, each after a pause, and take what comes back."""
    for at in range(0, len(wire), piece):
        virtual.run_s(pause_s) if at and pause_s else None
        virtual.ports["mixed"].feed(wire[at : at + piece])
    if wait_s:
        virtual.run_s(wait_s)
    return virtual.ports["mixed"].take().lstrip(b"\xfe")


@pytest.mark.parametrize("wire", ["byte-true", "none"])
@pytest.mark.parametrize("piece", [1, 3, 64])
def test_every_meter_answers_its_own_protocol_and_no_other(wire, piece):
    virtual = mixed(wire=wire)
    names = list(QUESTIONS) * 6
    random.Random(piece).shuffle(names)
    for name in names:
        request, beginning = QUESTIONS[name]
        answer = feed(virtual, request, piece)
        assert answer.startswith(beginning), name
        if len(beginning) == 3:
            assert (len(answer), answer[-2:]) == (5 + beginning[2], crc(answer[:-2]))
        else:
            assert (len(answer), answer[-2]) == (12 + answer[9], sum(answer[:-2]) % 256)
    summary = virtual.world.buses["mixed"].summary(1.0)
    assert (summary["meters"], summary["requests"], summary["answers"]) == (9, len(names), len(names))
    assert (summary["bad_sums"], summary["garbage_bytes"], summary["unanswered"]) == (0, 0, 0)


def test_without_a_wire_the_protocols_may_follow_each_other_at_once():
    virtual = mixed(wire="none")
    for name in [*QUESTIONS, *reversed(QUESTIONS)] * 3:
        request, beginning = QUESTIONS[name]
        assert feed(virtual, request, 64, wait_s=0.0).startswith(beginning), name


@pytest.mark.parametrize("piece", [1, 64])
def test_a_request_for_a_modbus_meter_inside_dlt645_wakes_nobody_else(piece):
    virtual = mixed()
    hidden = modbus("06100 01A0001020000".replace(" ", ""))
    data = bytes(4) + b"\2\0\0\0" + bytes(4) + bytes((byte - 0x33) % 256 for byte in hidden)
    wire = dlt645("209912310000", 0x14, data.hex())
    assert hidden in wire
    assert feed(virtual, wire, piece) == b""
    assert feed(virtual, b"\xfe" + hidden + b"\xfe", piece) == b"", "nor in the middle of anything else"
    assert not virtual.household("202600010106").meter.relay.shown_open
    assert feed(virtual, hidden, piece).startswith(hidden[:6]), "alone it is obeyed"
    assert virtual.household("202600010106").meter.relay.shown_open


def test_other_protocols_wake_no_meter_of_dlt645():
    virtual, draws = mixed(), random.Random(645)
    for _ in range(400):
        wire = modbus(f"68{draws.choice(('03', '04'))}{draws.randrange(2**16):04x}{draws.randrange(1, 126):04x}")
        assert feed(virtual, wire, 64, wait_s=0.6) == b""
    assert virtual.world.buses["mixed"].counters.answers == 0
    assert virtual.world.buses["mixed"].garbage_bytes == 0


@pytest.mark.parametrize(("pause_s", "answered"), [(CHARACTER_S, True), (QUIET_S, True), (5.5 * CHARACTER_S, False)])
def test_a_silence_of_three_and_a_half_characters_ends_a_modbus_frame(pause_s, answered):
    """Three bytes, a pause counted from the beginning of the last of them, and the rest."""
    request, beginning = QUESTIONS["ddsu666"]
    virtual = mixed()
    virtual.ports["mixed"].feed(request[:3])
    virtual.run_s(2 * CHARACTER_S + pause_s)
    virtual.ports["mixed"].feed(request[3:])
    virtual.run_s(1)
    assert virtual.ports["mixed"].take().startswith(beginning) is answered
    assert feed(virtual, request, 64).startswith(beginning)


def test_bytes_close_behind_a_request_spoil_it_and_later_ones_do_not():
    request, beginning = QUESTIONS["ddsu666"]
    for pause_s, answered in ((0.001, False), (8 * CHARACTER_S + 2 * QUIET_S, True)):
        virtual = mixed(reply_delay_ms=50)
        virtual.ports["mixed"].feed(request)
        virtual.run_s(pause_s)
        virtual.ports["mixed"].feed(b"\x01")
        virtual.run_s(1)
        assert virtual.ports["mixed"].take().startswith(beginning) is answered


def test_an_answer_waits_for_the_silence_even_without_a_reply_delay():
    virtual = mixed(reply_delay_ms=0, chunk_bytes=1)
    request, _ = QUESTIONS["ddsu666"]
    start_s, writes, port = virtual.env.now, [], virtual.ports["mixed"]
    port.write = lambda data: writes.append(virtual.env.now - start_s)
    port.feed(request)
    virtual.run_s(1)
    assert writes[0] >= (len(request) + 1) * CHARACTER_S + QUIET_S
    assert writes[-1] == pytest.approx(writes[0] + 8 * CHARACTER_S)
    assert writes[0] < (len(request) + 1) * CHARACTER_S + QUIET_S + 0.001


def test_noise_is_counted_once():
    virtual = mixed()
    feed(virtual, QUESTIONS["ddsu666"][0], 64)
    feed(virtual, b"\x11\x22\x33\x44\x55", 64)
    feed(virtual, QUESTIONS["2007"][0], 64)
    assert virtual.world.buses["mixed"].garbage_bytes == 5


def test_a_plate_number_is_no_address_and_a_unit_needs_its_line():
    virtual = mixed()
    assert feed(virtual, dlt645("202600010105", 0x11, "00000100"), 64) == b""
    assert feed(virtual, modbus("080340000002"), 64) == b""


def test_editions_meet_each_others_commands_as_real_meters_do():
    virtual = mixed()
    assert feed(virtual, dlt645(OLDER, 0x11, "00000100"), 64) == b"", "seen in a log"
    refused = feed(virtual, dlt645(NEWER, 0x01, "1090"), 64)
    assert refused[8:11] == bytes([0xC1, 1, 0x02 + 0x33])


def test_one_modbus_only_line_counts_its_own_noise():
    one = household("1-0101", "202600010101", protocol="modbus", model="ddsu666", unit=1)
    virtual = Virtual(table([one], [bus(parity="N")]))
    assert virtual.send(modbus("010340000002"), wait_s=1.0).startswith(b"\x01\x03\x04")
    virtual.send(modbus("010340000002")[:-1] + b"\0", wait_s=1.0)
    virtual.send(modbus("010340000002"), wait_s=1.0)
    summary = virtual.world.buses["bus-1"].summary(1.0)
    assert (summary["bad_sums"], summary["garbage_bytes"], summary["answers"]) == (1, 8, 2)


MODBUS = {"protocol": "modbus", "model": "ddsu666", "unit": 5}


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"protocol": "dlms"}, "protocol is 'dlms'; allowed: dlt645-2007, dlt645-1997, modbus"),
        (MODBUS | {"model": "ddsu999"}, "model is 'ddsu999'; allowed: ddsu666, sdm630, dds238, ddsy1352"),
        (MODBUS | {"unit": 248}, "unit is 248; allowed: a whole number from 1 to 247"),
        ({"protocol": "modbus", "model": "ddsu666"}, "unit is missing"),
        (MODBUS | {"phases": 3}, "phases is 3; allowed: 1"),
        (MODBUS | {"password": "000000"}, "unknown key password"),
        ({"unit": 5}, "unknown key unit"),
        ({"protocol": "dlt645-1997", "vendor": "standard"}, "vendor is 'standard'; allowed: standard-1997, "),
        ({"vendor": "dtsd22-1997"}, "vendor is 'dtsd22-1997'; allowed: standard, local-prepaid"),
        ({"protocol": "dlt645-1997", "local_credit_fen": 1}, "unknown key local_credit_fen"),
        (MODBUS | {"model": "dds238"}, "dds238 cannot work at the 19200 baud of bus bus-1: 1200, 2400, "),
    ],
)  # fmt: skip
def test_a_scenario_says_what_a_protocol_allows(keys, message):
    with pytest.raises(ScenarioError) as refused:
        Virtual(table([household(**keys)], [bus(baud=19200)]))
    assert message in str(refused.value)


def test_a_unit_belongs_to_one_meter_of_a_line():
    homes = [household(f"1-010{n}", f"20260001010{n}", **MODBUS) for n in (1, 2)]
    with pytest.raises(ScenarioError, match="unit 5 on bus bus-1 appears more than once"):
        Virtual(table(homes))
    main = {"id": "g", "meter": "202600019999", "bus": "bus-1", "prefix": "1-"} | MODBUS
    with pytest.raises(ScenarioError, match="unit 5 on bus bus-1 appears more than once"):
        Virtual(table(homes[:1], gates=[main]))
    assert Virtual(table([homes[0], homes[1] | {"bus": "bus-2"}], [bus(), bus("bus-2")]))


def test_the_example_can_be_loaded_and_says_what_it_holds():
    scenario = load_scenario(EXAMPLE)
    spoken = [(one.meter.protocol, one.meter.model, one.meter.phases) for one in scenario.households]
    spoken += [(gate.meter.protocol, gate.meter.model, gate.meter.phases) for gate in scenario.gates]
    assert len({(protocol, model) for protocol, model, _ in spoken}) == 6
    assert {phases for protocol, _, phases in spoken if protocol == "dlt645-1997"} == {1, 3}


def test_a_world_without_modbus_meters_does_not_import_pymodbus():
    code = (
        "import sys; from sim.scenario.scenario import load_scenario; import sim.__main__, pathlib;"
        "from tests.sim.rig import Virtual, household, table; Virtual(table([household()]));"
        "assert 'pymodbus' not in sys.modules;"
        "Virtual(table([household(protocol='modbus', model='ddsu666', unit=1)])); assert 'pymodbus' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=EXAMPLE.parents[1], timeout=60)


def generated(**keys):
    estate = table([]) | {"generate": [{"buildings": 2, "floors": 3, "rooms": 99, "bus": {"port": "memory"}} | keys]}
    return estate | {"bus": [bus("spare")]}


def test_whole_estates_of_modbus_meters_fill_their_units_line_by_line():
    virtual = Virtual(generated(protocol="modbus", model="dds238"))
    assert {name: line.summary(1.0)["meters"] for name, line in virtual.world.buses.items()} == {
        "b1-1": 247, "b1-2": 50, "b2-1": 247, "b2-2": 50, "spare": 0,
    }  # fmt: skip
    for name, unit, answered in (("b1-1", 247, True), ("b2-2", 50, True), ("b1-2", 51, False)):
        answer = virtual.send(modbus(f"{unit:02x}0300000002"), name)
        assert (answer[:3] == bytes([unit, 3, 4])) is answered, name


def test_whole_estates_of_older_meters():
    virtual = Virtual(generated(protocol="dlt645-1997", vendor="dtsd22-1997", phases=3))
    answer = virtual.send(dlt645("645000000101", 0x01, "1FB6"), "b1-1")
    assert answer[8:10] == bytes([0x81, 2 + 3 * 2])
    with pytest.raises(ScenarioError, match=r"meters_per_bus is 248; allowed: a whole number from 1 to 247"):
        Virtual(generated(protocol="modbus", model="ddsu666", meters_per_bus=248))
