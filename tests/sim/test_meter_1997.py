"""Meters of the 1997 edition: published requests byte for byte, the dialogues of one published log, and every command.

Frames are summed and taken apart here by hand, digits are read as text; nothing of ours decodes. The log is that of
github.com/KTS-Intek/DLT645, where a DTSD22 and a DTSF22 were asked at 99..99.
"""

import json
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from sim.meters import acts, electrical
from tests.sim.rig import Virtual, bus, household, table

CAPTURED = json.loads((Path(__file__).parents[1] / "vectors" / "dlt645_frames.json").read_text("utf-8"))
OLD = [v for v in CAPTURED if v["decoded"].get("protocol") == "1997" or v["decoded"]["control"] in ("C1", "C4")]
REQUESTS = [v for v in OLD if v["direction"] == "request"]
ANSWERS = [v for v in OLD if v["direction"] == "response"]
EVERYBODY, ANY = "9" * 12, "A" * 12
DTSD22, DTSF22 = "000000063295", "201708176934"
OWN = "199700000001"


def meter(address=OWN, vendor="standard-1997", **keys):
    keys = {"load": "constant", "mean_power_w": 700, "start_register_wh": 1_234_560, **keys}
    one = household("1-0101", address, protocol="dlt645-1997", vendor=vendor, resident={"button": "never"}, **keys)
    return Virtual(table([one], [bus(wire="none")]))


def framed(address, control, data=b""):
    wire = b"\x68" + bytes.fromhex(address)[::-1] + bytes([0x68, control, len(data)])
    wire += bytes((byte + 0x33) % 256 for byte in data)
    return wire + bytes([sum(wire) % 256, 0x16])


def taken_apart(wire):
    body = wire.lstrip(b"\xfe")
    assert body[0] == body[7] == 0x68
    assert len(body) == 12 + body[9]
    assert body[-2:] == bytes([sum(body[:-2]) % 256, 0x16])
    return body[6:0:-1].hex().upper(), body[8], bytes((byte - 0x33) % 256 for byte in body[10:-2])


def say(virtual, address, control, data=b""):
    """Who answers, with what control code and data; None for silence."""
    virtual.run_s(1)
    wire = virtual.send(framed(address, control, data), wait_s=1.0)
    return taken_apart(wire) if wire else None


def read(virtual, di, address=OWN):
    """The digits behind an identifier as a person reads them, or the error byte."""
    who, control, data = say(virtual, address, 0x01, bytes.fromhex(di)[::-1])
    assert who == address
    if control == 0xC1:
        return data
    assert (control, data[:2]) == (0x81, bytes.fromhex(di)[::-1])
    return data[:1:-1].hex().upper()


def write(virtual, di, value_hex, password="00000000", address=OWN):
    data = bytes.fromhex(di)[::-1] + bytes.fromhex(password)[::-1] + bytes.fromhex(value_hex)[::-1]
    return say(virtual, address, 0x04, data)


@pytest.mark.parametrize("vector", REQUESTS, ids=lambda v: v["hex"][:44])
def test_a_published_request_gets_what_a_meter_of_the_log_would_say(vector):
    decoded = vector["decoded"]
    named = decoded["address"] if decoded["address"].isdecimal() and decoded["address"] != EVERYBODY else OWN
    virtual = meter(named, "dtsd22-1997", phases=3)
    virtual.run_s(1)
    wire = virtual.send(bytes.fromhex(vector["hex"]), wait_s=1.0)
    if not decoded["checksum_ok"] or decoded["address"] == ANY:
        assert wire == b""
        return
    who, control, data = taken_apart(wire)
    assert who == named
    if decoded["control"] == "04":
        known = decoded["di97"] == "C010" if "di97" in decoded else False
        assert (control, data) == ((0x84, b"") if known else (0xC4, b"\x02"))
    elif "client_bug" in decoded:
        assert (control, data) == (0xC1, b"\x02"), "as the DTSD22 answered"
    else:
        assert (control, data[:2]) == (0x81, bytes.fromhex(decoded["di97"])[::-1])
        assert len(data) > 3


@pytest.mark.parametrize("vector", [v for v in ANSWERS if v["decoded"]["control"] == "81"], ids=lambda v: v["hex"][:44])
def test_an_answer_is_as_long_as_the_captured_one(vector):
    decoded = vector["decoded"]
    virtual = meter(phases=3)
    _, control, data = say(virtual, OWN, 0x01, bytes.fromhex(decoded["di97"])[::-1])
    assert (control, len(data)) == (0x81, decoded["length"])


def test_enough_was_published():
    assert len(REQUESTS) >= 19
    assert len(ANSWERS) >= 20


def test_the_dialogue_with_the_dtsd22():
    virtual = meter(DTSD22, "dtsd22-1997", phases=3, start_register_wh=380)
    ask = lambda control, data: say(virtual, EVERYBODY, control, data)  # noqa: E731
    assert ask(0x01, bytes.fromhex("1090")) == (DTSD22, 0x81, bytes.fromhex("1090 38000000"))
    assert ask(0x01, bytes.fromhex("0090")) == (DTSD22, 0x81, bytes.fromhex("0090 38000000"))
    block = ask(0x01, bytes.fromhex("1F90"))
    assert block[:2] == (DTSD22, 0x81)
    assert len(block[2]) == 22, "a total, four rates and no end mark"
    assert ask(0x01, bytes.fromhex("CDCECDCD")) == (DTSD22, 0xC1, b"\x02"), "four bytes of 2007 without the offset"
    assert ask(0x11, bytes.fromhex("00000100")) is None
    assert ask(0x12, bytes.fromhex("00000100")) is None
    assert ask(0x13, b"") is None
    assert say(virtual, ANY, 0x13) is None
    assert say(virtual, ANY, 0x01, bytes.fromhex("1090")) is None


def test_the_dialogue_with_the_dtsf22():
    virtual = meter(DTSF22, "dtsf22-1997", phases=3)
    ask = lambda control, data: say(virtual, EVERYBODY, control, data)  # noqa: E731
    assert virtual.send(framed(EVERYBODY, 0x01, bytes.fromhex("32C0")), wait_s=1.0) == bytes.fromhex(
        "FEFEFEFE6834691708172068810865F3679C4A3B4A53C916"
    )
    assert ask(0x01, bytes.fromhex("11B6")) == (DTSF22, 0xC1, b"\x02"), "it has no voltages"
    assert ask(0x01, bytes.fromhex("35C1")) == (DTSF22, 0xC1, b"\x02")
    assert ask(0x01, bytes.fromhex("FF90")) == (DTSF22, 0xC1, b"\x02")
    assert ask(0x01, bytes.fromhex("10C07711C0")) is None, "two identifiers at once"
    date = bytes.fromhex("06060719")
    assert ask(0x04, bytes.fromhex("10C0") + bytes.fromhex("CDCDCDCD") + date) == (DTSF22, 0xC4, b"\x04")
    assert ask(0x04, bytes.fromhex("10C0") + bytes(4) + date) == (DTSF22, 0xC4, b"\x01"), "the key is not pressed"
    acts.press_program_key(virtual.household(DTSF22).meter, True)
    assert ask(0x04, bytes.fromhex("10C0") + bytes(4) + date) == (DTSF22, 0x84, b"")
    assert ask(0x01, bytes.fromhex("10C0"))[2][3:] == date[1:], "19-07-06, a Saturday whatever was written"


def test_what_everybody_and_anybody_mean_is_the_vendors_habit():
    ask = bytes.fromhex("1090")
    assert say(meter(), EVERYBODY, 0x01, ask) is None
    assert say(meter(), ANY, 0x01, ask) is None
    assert say(meter(vendor="any-echo-1997"), EVERYBODY, 0x01, ask) is None
    who, control, _ = say(meter(vendor="any-echo-1997"), ANY, 0x01, ask)
    assert (who, control) == (ANY, 0x81), "it echoes AA and names nobody"


def test_a_block_may_end_with_aa():
    plain, marked = meter(phases=3), meter(vendor="block-end-1997", phases=3)
    for di in ("901F", "A01F", "B61F"):
        assert read(marked, di) == "AA" + read(plain, di)
    assert read(marked, "9010") == read(plain, "9010")


def test_units_are_those_of_the_older_fields():
    virtual = meter(mean_power_w=1234)
    one = virtual.household(OWN).meter
    volts, amperes, watts = (read(virtual, di) for di in ("B611", "B621", "B630"))
    at_ms = virtual.world.now_ms
    voltage_mv = electrical.voltage_mv(one, 1, at_ms)
    assert (len(volts), int(volts)) == (4, voltage_mv // 1000)
    assert (len(amperes), int(amperes)) == (4, 1_234_000_000 // voltage_mv // 10)
    assert (len(watts), int(watts)) == (6, 12_340)
    assert read(virtual, "B650") == "1000"


def test_only_three_phases_have_demands_reactive_items_and_more_voltages():
    one, three = meter(), meter(phases=3)
    three.run_s(3600)
    for di in ("B612", "9110", "A010", "B010", "B310", "B612", "B633"):
        assert read(one, di) == b"\x02"
        assert isinstance(read(three, di), str)
    assert read(three, "A010") == "007000"
    ended = datetime.strptime("2026" + read(three, "B010"), "%Y%m%d%H%M")  # noqa: DTZ007
    assert ended.minute % 15 == 0
    assert three.civil() - timedelta(hours=1) < ended <= three.civil()


def test_months_back_are_settlement_days():
    virtual = meter()
    virtual.run_s(40 * 86_400)
    last, now = int(read(virtual, "9410")), int(read(virtual, "9010"))
    begun = datetime.fromisoformat("2026-11-01T00:00")
    hours = (begun - datetime.fromisoformat("2026-10-13T09:05")).total_seconds() / 3600
    assert last * 10 == pytest.approx(1_234_560 + 700 * hours, abs=20)
    assert last < now
    assert int(read(virtual, "9810")) == 0


def test_nothing_of_2007_is_answered():
    virtual = meter()
    for control, data in ((0x11, "00000100"), (0x13, ""), (0x14, "00" * 16), (0x1C, "00" * 16), (0x16, "99999999")):
        assert say(virtual, OWN, control, bytes.fromhex(data)) is None
    assert virtual.household(OWN).supply.on


def test_writes_need_the_password_and_a_parameter():
    virtual = meter(password="123456")
    assert write(virtual, "C111", "30") == (OWN, 0xC4, b"\x04")
    assert read(virtual, "C111") == "15"
    assert write(virtual, "C111", "30", "00123456") == (OWN, 0x84, b"")
    assert read(virtual, "C111") == "30"
    assert read(virtual, "B212") == "0001", "programmed once"
    assert read(virtual, "B210") == virtual.civil().strftime("%m%d%H%M")
    assert write(virtual, "9010", "00000000", "00123456") == (OWN, 0xC4, b"\x02")
    assert write(virtual, "E323", "00", "00123456") == (OWN, 0xC4, b"\x02")
    assert write(virtual, "C111", "0030", "00123456") == (OWN, 0xC4, b"\x01"), "too long"
    assert write(virtual, "C111", "3A", "00123456") == (OWN, 0xC4, b"\x01"), "no digits"
    assert write(virtual, "C117", "000115", "00123456") == (OWN, 0xC4, b"\x01"), "a byte too many, though zero"
    assert write(virtual, "C117", "0115", "00123456") == (OWN, 0x84, b"")
    assert read(virtual, "C117") == "0115"
    for _ in range(5):
        write(virtual, "C111", "15")
    assert write(virtual, "C111", "15", "00123456") == (OWN, 0xC4, b"\x04"), "locked out until tomorrow"


def test_a_table_is_written_whole_or_entry_by_entry():
    virtual = meter()
    assert read(virtual, "C331") == "000003"
    assert write(virtual, "C33F", "180004080002000003") == (OWN, 0x84, b"")
    assert [read(virtual, f"C33{n}") for n in (1, 2, 3, 4)] == ["000003", "080002", "180004", b"\x02"]
    assert write(virtual, "C332", "073002") == (OWN, 0x84, b"")
    assert read(virtual, "C33F") == "180004073002000003"
    assert write(virtual, "C334", "230001") == (OWN, 0xC4, b"\x02"), "there are three"
    assert write(virtual, "C33F", "1800040800") == (OWN, 0xC4, b"\x01")


def test_clock_is_written_in_two_halves_and_follows_a_broadcast():
    virtual = meter()
    assert write(virtual, "C010", "26102001") == (OWN, 0x84, b"")
    assert write(virtual, "C011", "101500") == (OWN, 0x84, b"")
    one = virtual.household(OWN).meter
    assert one.civil(virtual.world.now_ms) == datetime.fromisoformat("2026-10-20T10:15:01")
    moment = one.civil(virtual.world.now_ms) + timedelta(minutes=2)
    wire = framed(EVERYBODY, 0x08, bytes.fromhex(moment.strftime("%y%m%d%H%M%S"))[::-1])
    assert virtual.send(wire, wait_s=1.0) == b""
    assert abs((one.civil(virtual.world.now_ms) - moment).total_seconds()) <= 2


def test_password_address_demand_and_rate():
    virtual = meter(phases=3)
    one = virtual.household(OWN).meter
    virtual.run_s(3600)
    old, new = bytes(4), bytes.fromhex("00654321")[::-1]
    assert say(virtual, OWN, 0x0F, new + new) == (OWN, 0xCF, b"\x04")
    assert say(virtual, OWN, 0x0F, old + new) == (OWN, 0x8F, new)
    assert say(virtual, OWN, 0x10, old) == (OWN, 0xD0, b"\x04")
    assert read(virtual, "A010") == "007000"
    assert say(virtual, OWN, 0x10, new) == (OWN, 0x90, b"")
    assert read(virtual, "A010") == "000000"
    assert read(virtual, "B213") == "0001"
    assert say(virtual, OWN, 0x0C, b"\x04") == (OWN, 0xCC, b"\x08"), "nobody says what the word means"
    other = "199700000002"
    assert say(virtual, OWN, 0x0A, bytes.fromhex(other)[::-1]) is None
    acts.press_program_key(one, True)
    assert say(virtual, OWN, 0x0A, bytes.fromhex(other)[::-1]) == (other, 0x8A, b"")
    assert say(virtual, OWN, 0x01, bytes.fromhex("1090")) is None
    assert read(virtual, "C032", other) == OWN, "the plate keeps its number"


def test_the_last_answer_can_be_asked_for_again():
    virtual = meter()
    assert say(virtual, OWN, 0x03) is None
    _, _, first = say(virtual, OWN, 0x01, bytes.fromhex("1090"))
    virtual.run_s(3600)
    assert say(virtual, OWN, 0x03) == (OWN, 0x83, first)
    assert say(virtual, OWN, 0x01, bytes.fromhex("1090"))[2] != first
    assert say(virtual, OWN, 0x02, bytes.fromhex("1090")) == (OWN, 0xC2, b"\x02"), "nothing follows"


def test_silent_and_without_mains():
    virtual = meter()
    one = virtual.household(OWN).meter
    one.silent = True
    assert say(virtual, OWN, 0x01, bytes.fromhex("1090")) is None
    one.silent = False
    acts.fail_power(one, virtual.world.now_ms)
    assert say(virtual, OWN, 0x01, bytes.fromhex("1090")) is None


def test_the_meter_status_word_follows_battery_and_roof_and_the_way_of_demands():
    virtual = meter(solar_w=8000, load="single", mean_power_w=50)
    assert int(read(virtual, "C020"), 16) & 6 == 2, "interval demand, as delivered"
    virtual.fault("battery_low")
    assert int(read(virtual, "C020"), 16) & 6 == 6
    seen = set()
    for _ in range(24):
        virtual.run_s(900)
        seen.add(read(virtual, "C020"))
    assert "16" in seen, "in the middle of the day the roof gives back"
    virtual.world.faults.clear("household", "1-0101", virtual.world.now_ms)
    virtual.run_s(8 * 3600)
    assert read(virtual, "C020") == "02"


def test_a_written_slip_time_shows_in_the_status_word():
    virtual = meter()
    assert say(virtual, OWN, 0x04, bytes.fromhex("12C1") + bytes(4) + b"\x05")[1] == 0x84
    assert read(virtual, "C020") == "00", "sliding windows"


def test_the_grid_status_word_and_the_records_of_phase_breaks_follow_the_phases():
    virtual = meter(phases=3)
    assert [read(virtual, di) for di in ("C021", "B310", "B330", "B340")] == ["00", "0000", "0" * 8, "0" * 8]
    begun = virtual.civil()
    virtual.fault("phase_lost", phase=2)
    one = virtual.household(OWN).meter
    acts.set_voltage(one, 1, 1300, virtual.world.now_ms)
    assert read(virtual, "C021") == "12"
    virtual.run_s(300)
    virtual.world.faults.clear("household", "1-0101", virtual.world.now_ms)
    acts.set_voltage(one, 1, 1000, virtual.world.now_ms)
    assert read(virtual, "C021") == "00"
    assert [read(virtual, di) for di in ("B310", "B311", "B312", "B320", "B321")] == [
        "0001",
        "0000",
        "0001",
        "000005",
        "000000",
    ]
    assert read(virtual, "B332") == f"{begun:%m%d%H%M}"
    assert read(virtual, "B340") == f"{virtual.civil():%m%d%H%M}"
    assert read(virtual, "B31F") == "0000000100000001"


def test_nobody_writes_what_a_meter_finds():
    virtual = meter()
    for di in ("20C0", "21C0"):
        assert say(virtual, OWN, 0x04, bytes.fromhex(di) + bytes(4) + b"\x00")[1] == 0xC4
