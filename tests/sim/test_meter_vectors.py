"""Every published or captured request, byte for byte at a simulated meter, and the shapes of every captured answer.

Answers are taken apart here by hand. What a real meter says follows from the vector's own annotations and from the
rules of real firmware: silence for broadcasts, foreign addresses, bad sums and writes to a wildcard; ERR 02 for unknown
data and unknown commands; the identifier back and as many bytes as the captured meters sent.
"""

import json
from datetime import datetime
from pathlib import Path

import pytest

from tests.sim.rig import Virtual, bus, household, table

VECTORS = Path(__file__).parents[1] / "vectors"
CAPTURED = json.loads((VECTORS / "dlt645_frames.json").read_text("utf-8"))
SYNTHETIC = json.loads((VECTORS / "dlt645_synthetic.json").read_text("utf-8"))
REQUESTS = [v for v in CAPTURED if v["direction"] == "request"]
ANSWERS = [v for v in CAPTURED if v["direction"] == "response"]
MADE_UP = [v for v in SYNTHETIC if v["direction"] == "request"]
EVERYBODY, ANY = "9" * 12, "A" * 12
LIVED_DAYS = 70
THREE_PHASE = {"000037102083", "000037102084", "000051510663", "000000000161", "000000001111", "181226034194"}
"""Meters that were seen to answer about phases B and C or whose maker is known."""


def meter(address="201412345678", **keys):
    keys = {"load": "constant", "mean_power_w": 700, "start_register_wh": 1_234_560, **keys}
    return Virtual(table([household("1-0101", address, resident={"button": "never"}, **keys)], [bus(wire="none")]))


def say(estate, wire):
    estate.run_s(1)
    return estate.send(bytes.fromhex(wire), wait_s=1.0)


def taken_apart(wire):
    """Address, control, data without offset of one sound answer."""
    body = wire.lstrip(b"\xfe")
    assert body[0] == body[7] == 0x68
    assert body[-1] == 0x16
    assert len(body) == 12 + body[9]
    assert body[-2] == sum(body[:-2]) % 256
    return body[6:0:-1].hex().upper(), body[8], bytes((byte - 0x33) % 256 for byte in body[10:-2])


def expected(vector):
    """Control and data that a meter of ours owes to a captured request, or None for silence; data None is any."""
    decoded = vector["decoded"]
    control, address = int(decoded["control"], 16), decoded["address"]
    sound = decoded["checksum_ok"] and address != EVERYBODY
    if not sound or control == 0x08 or (address == ANY and control in (0x01, 0x04, 0x14, 0x15)):
        return None
    if control == 0x13:
        return 0x93, bytes.fromhex(OWN)[::-1]
    if control == 0x1C:
        zero = decoded["deadline_YYMMDDhhmmss"] == "000000000000"
        return (0xDC, b"\x04") if zero else (0x9C, b"")
    if control == 0x17:
        return 0x97, bytes.fromhex(decoded["baud_word"])
    if control == 0x11 and "client_bug" not in decoded:
        return 0x91, None
    return control | 0xC0, b"\x02"


OWN = "201412345678"


@pytest.mark.parametrize("vector", REQUESTS, ids=lambda v: v["hex"][:44])
def test_a_captured_request_gets_the_answer_of_a_real_meter(vector):
    decoded = vector["decoded"]
    address = decoded["address"] if decoded["address"].isdecimal() and decoded["address"] != EVERYBODY else OWN
    password = bytes.fromhex(decoded.get("password_wire", "000000"))[::-1].hex()
    phases = 3 if address in THREE_PHASE or decoded.get("di", "")[:6] in ("020102", "020103") else 1
    estate = meter(address, password=password, phases=phases)
    estate.run_s(86400)
    wire = say(estate, vector["hex"])
    owed = expected(vector)
    if owed is None:
        assert wire == b""
        assert estate.household(address).meter.clock_offset_s == 0
        return
    who, control, data = taken_apart(wire)
    assert (who, control) == (address, owed[0])
    if owed[1] is not None:
        assert data == owed[1]
    else:
        assert data[:4] == bytes.fromhex(decoded["di"])[::-1]
        assert len(data) > 4


def test_the_captured_trip_opens_the_relay_as_it_did_in_the_field():
    request = next(v for v in REQUESTS if v["decoded"].get("n1") == "1A" and v["decoded"]["address"] == "151230011061")
    ok = next(v for v in ANSWERS if v["decoded"]["address"] == "151230011061" and v["decoded"]["control"] == "9C")
    status = next(v for v in ANSWERS if v["decoded"].get("di") == "04000503")
    password = bytes.fromhex(request["decoded"]["password_wire"])[::-1].hex()
    estate = meter("151230011061", password=password)
    assert say(estate, request["hex"]).lstrip(b"\xfe") == bytes.fromhex(ok["hex"])
    read = bytes.fromhex("6861100130121568110436383337")
    read += bytes([sum(read) % 256, 0x16])
    assert say(estate, read.hex()).lstrip(b"\xfe") == bytes.fromhex(status["hex"])


@pytest.mark.parametrize("zero", [v for v in REQUESTS if v["decoded"].get("deadline_YYMMDDhhmmss") == "0" * 12],
                         ids=lambda v: v["hex"][:30])  # fmt: skip
def test_a_vendor_that_ignores_the_deadline_obeys_zeros(zero):
    decoded = zero["decoded"]
    password = bytes.fromhex(decoded["password_wire"])[::-1].hex()
    estate = meter(decoded["address"], password=password, vendor="property-plain")
    assert taken_apart(say(estate, zero["hex"])) == (decoded["address"], 0x9C, b"")


def comparable(vector):
    decoded = vector["decoded"]
    known = decoded["control"] in ("91", "B1") and decoded.get("protocol") != "1997" and "di" in decoded
    return known and decoded["di"] != "001D0000" and not (decoded["di"] == "02010100" and decoded["length"] == 7)


@pytest.fixture(scope="module")
def lived():
    estates = {phases: meter(phases=phases) for phases in (1, 3)}
    for estate in estates.values():
        estate.run_s(LIVED_DAYS * 86400)
    return estates


@pytest.mark.parametrize("vector", [v for v in ANSWERS if comparable(v)], ids=lambda v: v["decoded"]["di"])
def test_an_answer_has_the_shape_that_captured_meters_gave_it(lived, vector):
    decoded = vector["decoded"]
    single = 1 if decoded["address"] not in THREE_PHASE else 3
    body = bytes.fromhex(OWN)[::-1]
    frame = b"\x68" + body + b"\x68\x11\x04" + bytes((b + 0x33) % 256 for b in bytes.fromhex(decoded["di"])[::-1])
    _, control, data = taken_apart(say(lived[single], (frame + bytes([sum(frame) % 256, 0x16])).hex()))
    tail = 4 if decoded["di"] == "040005FF" and decoded["length"] == 22 else 0
    assert (f"{control:02X}", len(data) + tail) == (decoded["control"], decoded["length"])
    assert data[:4] == bytes.fromhex(decoded["di"])[::-1]


def test_enough_answers_are_compared():
    assert sum(map(comparable, ANSWERS)) >= 60


MOMENT = datetime.fromisoformat("2026-11-23T08:50:00+08:00")


def made_up(hex_start):
    return next(v["hex"] for v in MADE_UP if v["hex"].startswith(hex_start))


def living(**keys):
    return Virtual(
        table([household("1-0101", OWN, load="constant", mean_power_w=700, resident={"button": "never"}, **keys)],
              [bus(wire="none")]),
        start=MOMENT,
    )  # fmt: skip


def reply_hex(meaning):
    return next(v["hex"] for v in SYNTHETIC if v["direction"] == "response" and v["meaning"].startswith(meaning))


def test_synthetic_relay_commands_are_obeyed_in_their_order():
    estate = living(password="123456")
    ok, refused = bytes.fromhex(reply_hex("control OK")), bytes.fromhex(reply_hex("control refused: password"))
    trip, close, keep = (next(v["hex"] for v in MADE_UP if v["decoded"].get("n1") == n1) for n1 in ("1A", "1C", "3A"))
    assert say(estate, trip).lstrip(b"\xfe") == ok
    assert estate.household(OWN).meter.relay.shown_open
    assert say(estate, close).lstrip(b"\xfe") == ok
    assert not estate.household(OWN).meter.relay.shown_open
    assert say(estate, keep).lstrip(b"\xfe") == ok
    assert taken_apart(say(estate, trip))[1:] == (0xDC, b"\x01"), "keep-power refuses"
    assert say(living(password="654321"), trip).lstrip(b"\xfe") == refused


def test_synthetic_broadcasts_set_the_clock_and_freeze_without_an_answer():
    estate = living()
    estate.run_s(60)
    assert say(estate, made_up("689999999999996808")) == b""
    shown = estate.household(OWN).meter.civil(estate.world.now_ms)
    assert shown == datetime.fromisoformat("2026-11-23T08:52:04"), "set to 08:52:03 a second ago"
    assert say(estate, made_up("689999999999996816")) == b""
    assert len(estate.household(OWN).meter.notes.instant_freezes_ms) == 1


def test_synthetic_baud_follow_up_and_shortened_address():
    estate = living()
    assert say(estate, made_up("68785634121420681701")).lstrip(b"\xfe") == bytes.fromhex(reply_hex("baud change echo"))
    assert say(estate, made_up("68785634121420681205")).lstrip(b"\xfe") == bytes.fromhex(
        reply_hex("follow-up abnormal")
    )
    who, control, data = taken_apart(say(estate, made_up("687856AAAAAAAA6811")))
    assert (who, control, data[:4], len(data)) == (OWN, 0x91, bytes.fromhex("00010102"), 6)


def test_the_synthetic_recharge_is_refused_without_a_security_module():
    assert taken_apart(say(living(), made_up("6878563412142068031E"))) == (OWN, 0xC3, b"\x01\x00")


def test_every_synthetic_request_was_replayed():
    starts = [
        "6899",
        "687856AA",
        "687856341214206812",
        "68785634121420681C",
        "687856341214206803",
        "687856341214206817",
    ]
    assert all(any(v["hex"].startswith(start) for start in starts) for v in MADE_UP)
    assert len(MADE_UP) == 9
