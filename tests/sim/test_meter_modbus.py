"""Modbus meters against numbers packed by `struct` and frames summed by the oracle's CRC; nothing of ours decodes here.

Requests are written as hex; what a register must hold follows from the physical state that the simulator knows.
"""

import json
import struct
from itertools import pairwise
from pathlib import Path

import pytest

from sim.meters import electrical
from tests.core.modbus_oracle import crc
from tests.sim.rig import Virtual, bus, household, table

PUBLISHED = json.loads((Path(__file__).parents[1] / "vectors" / "modbus_frames.json").read_text("utf-8"))
PLATE, UNIT = "202600010101", 5
NEVER = {"button": "never"}


def estate(model="ddsu666", *, wire="byte-true", unit=UNIT, **keys):
    keys = {"load": "constant", "mean_power_w": 1234, "resident": NEVER, **keys}
    one = household("1-0101", PLATE, protocol="modbus", model=model, unit=unit, **keys)
    return Virtual(table([one], [bus(wire=wire, parity="N")]))


def say(virtual, body, unit=UNIT):
    """The bytes behind the unit of a sound answer to a request in hex; None for silence."""
    request = bytes([unit]) + bytes.fromhex(body)
    wire = virtual.send(request + crc(request), wait_s=1.0)
    if not wire:
        return None
    assert wire[-2:] == crc(wire[:-2])
    assert wire[0] == unit
    return wire[1:-2]


def held(virtual, register, count, function=3, unit=UNIT):
    """The bytes of some registers."""
    answer = say(virtual, f"{function:02x}{register:04x}{count:04x}", unit)
    assert answer[:2] == bytes([function, 2 * count]), answer.hex()
    return answer[2:]


def single(virtual, register, function=3):
    return struct.unpack(">f", held(virtual, register, 2, function))[0]


def nearest_single(number):
    return struct.unpack(">f", struct.pack(">f", number))[0]


def meter_of(virtual):
    return virtual.household(PLATE).meter


def now(virtual):
    return virtual.world.now_ms


def test_a_single_holds_what_24_bits_can_of_an_energy_whose_truth_stays_exact():
    virtual = estate(start_register_wh=123_456_780_990 // 1000 * 10 % 10**9)
    register = meter_of(virtual).register
    for _ in range(40):
        virtual.run_s(97)
        shown = single(virtual, 0x4000)
        kwh = [register.shown_total_wh(now(virtual) - back_ms) / 1000 for back_ms in (0, 1000)]
        assert shown in map(nearest_single, kwh)
    assert any(nearest_single(kwh) != kwh for kwh in (1234567.81, 1234567.82, 1234567.83))
    assert register.total_wh(now(virtual)) - register.start_wh == register.source.energy(now(virtual)) // 3_600_000_000


def test_a_large_energy_counts_in_steps_of_its_single():
    virtual = estate(start_register_wh=900_000_000)
    seen = set()
    for _ in range(60):
        virtual.run_s(120)
        seen.add(single(virtual, 0x4000))
    steps = sorted(seen)
    assert len(steps) > 10
    assert {round((b - a) * 2**4) for a, b in pairwise(steps)} == {1}, "one step is 1/16 kWh"


def test_ddsu666_shows_the_physical_state():
    virtual = estate()
    virtual.run_s(3600)
    meter, at_ms = meter_of(virtual), now(virtual)
    voltage = single(virtual, 0x2000)
    assert voltage == nearest_single(electrical.voltage_mv(meter, 1, at_ms) / 1000)
    assert single(virtual, 0x2004) == nearest_single(1.234)
    assert single(virtual, 0x2002) == pytest.approx(1234 / voltage, abs=0.001)
    assert [single(virtual, register) for register in (0x2006, 0x200A, 0x200E)] == [0.0, 1.0, 50.0]
    assert single(virtual, 0x400A) == 0.0


def test_a_roof_makes_power_negative_and_counts_the_other_way():
    virtual = estate("dds238", load="single", mean_power_w=50, solar_w=8000)
    virtual.run_s(4 * 3600)
    block = struct.unpack(">I12xIIHHhhHH", held(virtual, 0, 18))
    total, given, taken, volts, amperes, watts = block[:6]
    assert watts < -100
    assert given > 0
    assert total == given + taken
    assert amperes == pytest.approx(-watts / (volts / 10) * 100, abs=2)


def test_dds238_cuts_to_its_steps_and_answers_gaps_with_zero():
    virtual = estate("dds238", start_register_wh=73_420, mean_power_w=999)
    meter = meter_of(virtual)
    raw = held(virtual, 0, 0x1B)
    total, gap, given, taken, volts, amperes, watts, var, factor, hertz = struct.unpack(">I12sIIHHhhHH", raw[:36])
    assert (total, gap, given, taken) == (7342, bytes(12), 0, 7342)
    at_ms = now(virtual)
    assert volts == electrical.voltage_mv(meter, 1, at_ms) // 100
    assert amperes == electrical.current_ma(meter, 1, at_ms) // 10
    assert (watts, var, factor, hertz) == (999, 0, 1000, 5000)
    assert raw[36:] == bytes(6) + bytes([UNIT, 1]) + bytes(8) + bytes([0, 1]), "unit, code of 9600 baud, relay closed"


def test_ddsy1352_rates_add_up_to_its_total():
    virtual = estate("ddsy1352", start_register_wh=1_000_000)
    virtual.run_s(86_400)
    total, *rates = struct.unpack(">5I", held(virtual, 0, 10))
    assert sum(rates) == total == meter_of(virtual).register.shown_total_wh(now(virtual)) // 10
    assert struct.unpack(">h", held(virtual, 0x0D, 1)) == (1234,)


def test_sdm630_splits_over_three_phases_by_function_04():
    virtual = estate("sdm630", mean_power_w=6000)
    volts, amperes, watts = (struct.unpack(">3f", held(virtual, at, 6, 4)) for at in (0x00, 0x06, 0x0C))
    assert sum(watts) == pytest.approx(6000, abs=0.01)
    assert max(watts) - min(watts) > 1, "phases are not equal"
    assert all(w / v == pytest.approx(a, abs=0.002) for v, a, w in zip(volts, amperes, watts, strict=True))
    assert single(virtual, 0x34, 4) == 6000.0
    assert single(virtual, 0x2A, 4) == pytest.approx(sum(volts) / 3, abs=0.001)
    assert single(virtual, 0x30, 4) == pytest.approx(sum(amperes), abs=0.001)
    assert single(virtual, 0x0A) == 3.0, "three phases, four wires"


def test_sdm630_on_one_phase_has_no_other():
    virtual = estate("sdm630", phases=1)
    assert struct.unpack(">3f", held(virtual, 0x0C, 6, 4)) == (1234.0, 0.0, 0.0)
    assert single(virtual, 0x0A) == 1.0


def test_sdm630_demand_follows_the_load_and_keeps_the_highest_window():
    virtual = estate("sdm630", load="family", mean_power_w=400)
    hours, energy = [], meter_of(virtual).register.source.energy
    for _ in range(30):
        virtual.run_s(3600)
        start = virtual.world.origin_ms
        ends = [start + 3_600_000 * n for n in range((now(virtual) - start) // 3_600_000 + 1)]
        hours = [(energy(b) - energy(a)) / 3_600_000 / 1000 for a, b in pairwise(ends)]
        assert single(virtual, 0x54, 4) == pytest.approx(hours[-1], abs=0.1)
        assert single(virtual, 0x56, 4) == pytest.approx(max(hours), abs=0.1)
    assert max(hours) > 1.3 * hours[-1] or max(hours) > 1.3 * min(hours), "the maximum had to be remembered"


@pytest.mark.parametrize(
    ("model", "request_hex", "code"),
    [
        ("ddsu666", "0420000002", 1),  # it has no input registers
        ("dds238", "060 01A0000".replace(" ", ""), 1),
        ("sdm630", "080000AA55", 1),
        ("ddsu666", "010000 0002".replace(" ", ""), 1),
        ("ddsu666", "0320100002", 2),
        ("ddsu666", "0320060004", 2),  # 2008H is nobody's
        ("ddsu666", "0320010002", 2),  # the end of one single and the beginning of the next
        ("sdm630", "0400000001", 2),  # half a single
        ("dds238", "03001A0002", 2),
        ("ddsy1352", "03000A0001", 2),  # nobody knows what it holds
        ("ddsy1352", "0300110001", 2),
        ("sdm630", "0400000052", 3),  # 41 singles
        ("ddsu666", "0320000000", 3),
        ("ddsu666", "032000007E", 3),
        ("ddsu666", "1040000002043F800000", 2),  # energy cannot be written
        ("dds238", "10001A0001020002", 3),
        ("dds238", "10001A000000", 3),
        ("dds238", "10001A000204000000 00".replace(" ", ""), 2),
        ("dds238", "10001A0001040001 0000".replace(" ", ""), 3),  # the count of bytes is not that of the registers
        ("sdm630", "100002000204 41100000".replace(" ", ""), 3),  # a demand period of 9 minutes
        ("sdm630", "100002000204 7FC00000".replace(" ", ""), 3),  # not a number
        ("sdm630", "10000A000204 3F800000".replace(" ", ""), 2),  # needs a password that is not in the map
    ],
)
def test_what_a_meter_does_not_have_is_refused_with_the_right_exception(model, request_hex, code):
    function = int(request_hex[:2], 16)
    assert say(estate(model), request_hex) == bytes([function | 0x80, code])


@pytest.mark.parametrize(
    "wire",
    [
        bytes.fromhex("06 03 20 00 00 02") + crc(bytes.fromhex("06 03 20 00 00 02")),
        bytes.fromhex("00 03 20 00 00 02") + crc(bytes.fromhex("00 03 20 00 00 02")),
        bytes.fromhex("00 10 00 1A 00 01 02 00 00") + crc(bytes.fromhex("00 10 00 1A 00 01 02 00 00")),
        bytes.fromhex("05 03 20 00 00 02") + bytes(2),
        bytes.fromhex("05 03 20 00 00") + crc(bytes.fromhex("05 03 20 00 00")),
    ],
    ids=["other unit", "broadcast read", "broadcast write", "bad CRC", "a byte short"],
)
@pytest.mark.parametrize("line", ["byte-true", "none"])
def test_a_meter_keeps_quiet(wire, line):
    virtual = estate("dds238", wire=line)
    assert virtual.send(wire, wait_s=1.0) == b""
    assert not meter_of(virtual).relay.shown_open
    virtual.run_s(1)
    assert say(virtual, "03001A0001") == bytes([3, 2, 0, 1]), "and is well"


def test_a_silent_meter_and_one_without_mains_answer_nothing():
    virtual = estate()
    meter_of(virtual).silent = True
    assert say(virtual, "0320000002") is None
    meter_of(virtual).silent = False
    assert say(virtual, "0320000002") is not None
    meter_of(virtual).own().mains_cuts = 1
    assert say(virtual, "0320000002") is None


def test_the_relay_moves_the_supply_at_once_and_reads_back():
    virtual = estate("dds238")
    home = virtual.household(PLATE)
    virtual.run_s(600)
    assert say(virtual, "10001A0001020000") == bytes.fromhex("10001A0001")
    assert held(virtual, 0x1A, 1) == b"\0\0"
    assert not home.supply.on
    stands = held(virtual, 0, 2)
    virtual.run_s(7200)
    assert held(virtual, 0, 2) == stands
    assert struct.unpack(">hH", held(virtual, 0x0E, 1) + held(virtual, 0x0D, 1)) == (0, 0)
    assert say(virtual, "10001A0001020001") == bytes.fromhex("10001A0001")
    assert held(virtual, 0x1A, 1) == b"\0\1"
    assert home.supply.on
    virtual.run_s(600)
    assert held(virtual, 0, 2) > stands


def test_a_welded_relay_says_what_was_ordered_while_energy_goes_on():
    virtual = estate("dds238")
    meter_of(virtual).set_stuck_closed(now(virtual), True)
    assert say(virtual, "10001A0001020000") == bytes.fromhex("10001A0001")
    assert held(virtual, 0x1A, 1) == b"\0\0"
    before = held(virtual, 0, 2)
    virtual.run_s(3600)
    assert held(virtual, 0, 2) > before


def test_a_beginning_that_happens_to_be_sound_is_not_taken_for_the_whole():
    virtual = estate("sdm630", wire="none")
    beginning = bytes.fromhex("05100002000204")
    beginning += crc(beginning)
    whole = beginning + bytes(2)
    assert virtual.send(beginning, wait_s=0.0001) == b""
    assert virtual.send(whole[9:] + crc(whole), wait_s=0.0001) == b"\x05\x90\x03" + crc(b"\x05\x90\x03")


def test_parameters_are_kept_and_hold_only_after_a_restart():
    virtual = estate("sdm630")
    for register, value in ((0x14, 9.0), (0x1C, 3.0), (0x12, 1.0), (0x02, 15.0)):
        assert say(virtual, f"10{register:04x}000204{struct.pack('>f', value).hex()}") == bytes.fromhex(
            f"10{register:04x}0002"
        )
        assert single(virtual, register) == value
    assert say(virtual, "0300140002", unit=9) is None


def test_a_main_meter_may_be_a_modbus_meter_and_then_has_no_relay():
    homes = [household(f"1-010{n}", f"20260001010{n}", load="constant", mean_power_w=13_000) for n in range(1, 4)]
    main = {"id": "g", "meter": "202600019999", "bus": "bus-1", "prefix": "1-", "loss_permille": 20}
    virtual = Virtual(table(homes, [bus()], [main | {"protocol": "modbus", "model": "dds238", "unit": 247}]))
    virtual.run_s(3600)
    assert say(virtual, "03001A0001", unit=247) == bytes([0x83, 2])
    (watts,) = struct.unpack(">h", held(virtual, 0x0E, 1, unit=247))
    assert watts == 32767, "39.8 kW do not fit and stay at the highest"
    (counts,) = struct.unpack(">I", held(virtual, 0x0A, 2, unit=247))
    assert counts == pytest.approx(3978, abs=3)


def published(hex_start):
    (wire,) = {v["hex"] for v in PUBLISHED if v["hex"].startswith(hex_start)}
    return bytes.fromhex(wire)


@pytest.mark.parametrize(
    ("model", "hex_start", "answer_start", "answer_bytes"),
    [
        ("sdm630", "0104000000027", "010404", 9),
        ("sdm630", "0104000C0002", "010404", 9),
        ("sdm630", "01040048000", "010404", 9),
        ("sdm630", "01080000AA55", "018801", 5),
        ("sdm630", "0103000B0001", "018302", 5),
        ("ddsy1352", "0103000B0001", "010302", 7),
        ("dds238", "010300000012", "010324", 41),
        ("dds238", "0110300C000102", "", 0),
        ("dds238", "0203000B0001", "", 0),
        ("ddsu666", "0110005700020400010000", "019002", 5),
    ],
)
def test_published_requests_get_the_answers_of_the_captures(model, hex_start, answer_start, answer_bytes):
    virtual = estate(model, unit=1)
    wire = virtual.send(published(hex_start), wait_s=1.0)
    assert len(wire) == answer_bytes
    assert wire.startswith(bytes.fromhex(answer_start))
    assert not wire or wire[-2:] == crc(wire[:-2])
