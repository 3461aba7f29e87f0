"""A trace shows no password, whatever frame it travels in and however its bytes are split; all else stays as it was."""

from datetime import datetime

import pytest

from core.dlt645.commands import Password, Read, RelayAction, RelayControl, Write
from core.dlt645.edition1997 import CHANGE_PASSWORD_97, Write97
from core.dlt645.frame import Frame, encode, parse
from core.dlt645.masking import Masker
from core.dlt645.service1997 import ChangePassword97, ClearDemand97, Done97

A = "202600000001"
SECRET = Password(2, "918273")
WIRE = bytes((one + 0x33) & 0xFF for one in bytes.fromhex("738291"))
TIME = datetime(2026, 10, 13, 9, 5)  # noqa: DTZ001 - a meter's civil time
PASSWORD_1 = bytes.fromhex("02738291")
CARRIERS = {
    "1CH": encode(RelayControl(A, RelayAction.TRIP, TIME, SECRET).to_frame()),
    "14H": encode(Write(A, 0x04000103, b"\x01", SECRET).to_frame()),
    "14H of a password": encode(Write(A, 0x04000C03, PASSWORD_1, Password(2, "000000")).to_frame()),
    "18H": encode(Frame(A, 0x18, bytes.fromhex("030C0004") + PASSWORD_1 + PASSWORD_1)),
    "98H": encode(Frame(A, 0x98, PASSWORD_1)),
    "19H": encode(Frame(A, 0x19, PASSWORD_1 + bytes(4))),
    "1AH": encode(Frame(A, 0x1A, PASSWORD_1 + bytes(4))),
    "1BH": encode(Frame(A, 0x1B, PASSWORD_1 + bytes(8))),
    "91H of 04000C03": encode(Frame(A, 0x91, bytes.fromhex("030C0004") + PASSWORD_1)),
    "04H of 1997": encode(Write97(A, 0xC010, b"\x01\x13\x10\x26", "00918273").to_frame()),
    "0FH of 1997": encode(ChangePassword97(A, "91827302", "91827302").to_frame()),
    "8FH of 1997": encode(Done97(A, CHANGE_PASSWORD_97, PASSWORD_1).to_frame()),
    "10H of 1997": encode(ClearDemand97(A, "91827302").to_frame()),
    "07H keys": encode(Frame(A, 0x03, bytes.fromhex("FF010207") + bytes(4) + bytes.fromhex("738291738291"))),
}


@pytest.mark.parametrize("wire", CARRIERS.values(), ids=CARRIERS)
@pytest.mark.parametrize("step", [1, 7, 1000])
def test_no_carrier_shows_its_password_and_each_still_reads_as_its_frame(wire, step):
    masker = Masker()
    assert WIRE in wire
    shown = b"".join(masker.feed(wire[at : at + step]) for at in range(0, len(wire), step))
    assert WIRE not in shown
    assert masker.hidden > 0
    frame, real = parse(shown), parse(wire)
    assert (frame.address, frame.control, len(frame.data)) == (real.address, real.control, len(real.data))


@pytest.mark.parametrize("carrier", ["04H of 1997", "14H", "18H", "1AH", "1BH", "1CH"])
@pytest.mark.parametrize("length", [0, 1, 3])
def test_a_damaged_length_does_not_uncover_a_password(carrier, length):
    wire = bytearray(CARRIERS[carrier])
    wire[9] = length
    assert WIRE not in Masker().feed(bytes(wire))


def test_a_frame_without_a_password_and_what_is_no_frame_stay_as_they_are():
    masker = Masker()
    reads = encode(Read(A, 0x00010000).to_frame()) + encode(Frame(A, 0x91, bytes.fromhex("0000010078563412")))
    noise = bytes(range(256)) * 3
    assert masker.feed(reads + noise) == reads + noise
    assert masker.hidden == 0


def test_the_rest_of_a_control_frame_stays_as_it_is():
    wire = CARRIERS["1CH"]
    shown, plain = parse(Masker().feed(wire)).data, parse(wire).data
    assert (shown[0], shown[1:4], shown[4:]) == (plain[0], b"\0\0\0", plain[4:])


def test_noise_before_a_frame_and_an_echo_behind_it_hide_nothing_less():
    wire = b"\x68\x00\x68" + CARRIERS["1CH"] + CARRIERS["14H"]
    assert WIRE not in Masker().feed(wire)


def test_a_wrong_checksum_stays_wrong():
    wire = bytearray(CARRIERS["1CH"])
    wire[-2] ^= 0x01
    shown = Masker().feed(bytes(wire))
    right = sum(shown[shown.index(0x68) : -2]) & 0xFF
    assert shown[-2] == right ^ 0x01
