"""One whole frame: what `parse` refuses and says, what `encode` refuses, what the bits of a frame mean."""

import pytest

from core.dlt645.frame import DATA_MAX, PREAMBLE_MAX, Frame, encode, parse
from core.errors import CoreError, FrameError, ProtocolMisuse

# Read request and reply that are published with their checksums.
REQUEST = bytes.fromhex("68 61 10 01 30 12 15 68 11 04 33 33 34 33 7B 16")
REPLY = bytes.fromhex("68 12 90 78 56 34 12 68 91 08 33 33 34 33 AB 89 67 45 CC 16")


def altered(at: int, value: int) -> bytes:
    wire = bytearray(REPLY)
    wire[at] = value
    return bytes(wire)


def test_a_published_request_is_read() -> None:
    assert parse(REQUEST) == Frame("151230011061", 0x11, bytes.fromhex("00000100"))


def test_a_published_reply_is_read() -> None:
    frame = parse(REPLY)
    assert (frame.address, frame.control, frame.identifier) == ("123456789012", 0x91, 0x00010000)
    assert frame.data[4:] == bytes.fromhex("78563412")


@pytest.mark.parametrize("waking", [0, 1, 2, 3, 4, 7, 16])
def test_any_number_of_waking_bytes_is_accepted_and_sent(waking: int) -> None:
    wire = b"\xfe" * waking + REPLY
    assert encode(parse(wire), waking) == wire


def test_four_waking_bytes_are_sent_unless_told() -> None:
    assert encode(parse(REPLY)) == b"\xfe" * 4 + REPLY


@pytest.mark.parametrize(
    ("wire", "complaint"),
    [
        (b"", "no bytes of a frame"),
        (b"\xfe" * 40, "no bytes of a frame"),
        (REPLY[:11], "short: 11 bytes"),
        (REPLY[:-1], "needs 20 bytes, 1 missing"),
        (altered(0, 0x69), "start with 68H but with 69H"),
        (altered(7, 0x67), "second 68H missing: 67H"),
        (altered(9, 9), "L = 9 needs 21 bytes, 1 missing"),
        (altered(9, 7), "1 trailing bytes after the frame"),
        (REPLY + b"\xfe", "1 trailing bytes"),
        (altered(19, 0x17), "missing 16H at the end: got 17H"),
        (altered(18, 0xCD), "checksum: expected CCH, got CDH"),
        (altered(8, 0x92), "checksum: expected CDH, got CCH"),
    ],
)
def test_a_bad_frame_is_refused_with_its_reason(wire: bytes, complaint: str) -> None:
    with pytest.raises(FrameError, match=complaint):
        parse(wire)


def test_every_single_bit_error_is_refused() -> None:
    for at in range(len(REPLY)):
        for bit in range(8):
            with pytest.raises(FrameError):
                parse(altered(at, REPLY[at] ^ 1 << bit))


def test_every_cut_frame_is_refused() -> None:
    for length in range(len(REPLY)):
        with pytest.raises(FrameError):
            parse(REPLY[:length])


def test_marks_inside_address_and_data_are_data() -> None:
    frame = Frame("681668166816", 0x91, bytes((0x35, 0xE3, 0x68, 0x16)) * 4)
    wire = encode(frame, 0)
    assert wire.count(0x68) > 6
    assert wire.count(0x16) > 6
    assert parse(wire) == frame


def test_the_offset_wraps_around() -> None:
    every_byte = bytes(range(255))
    wire = encode(Frame("000000000001", 0x91, every_byte), 0)
    assert wire[10 : 10 + 255] == bytes((byte + 0x33) % 256 for byte in every_byte)
    assert parse(wire).data == every_byte


def test_a_wildcard_address_keeps_its_letters() -> None:
    frame = parse(bytes.fromhex("68 AA AA AA AA AA AA 68 13 00 DF 16"))
    assert frame == Frame("AAAAAAAAAAAA", 0x13)
    assert parse(encode(Frame("AAAAAAAA5678", 0x11))).address == "AAAAAAAA5678"


@pytest.mark.parametrize(
    ("frame", "preamble", "complaint"),
    [
        (Frame("12345", 0x11), 4, "is not 12 digits"),
        (Frame("1234567890123", 0x11), 4, "is not 12 digits"),
        (Frame("12345678901x", 0x11), 4, "is not 12 digits"),
        (Frame("12 34 56 78 90 12", 0x11), 4, "is not 12 digits"),
        (Frame("1234567890BC", 0x11), 4, "is not 12 digits"),
        (Frame("aaaaaaaaaaaa", 0x11), 4, "is not 12 digits"),
        (Frame("1A2345678901", 0x11), 4, "is not 12 digits"),
        (Frame("000000000001", 256), 4, "control code 256"),
        (Frame("000000000001", -1), 4, "control code -1"),
        (Frame("000000000001", 0x11, bytes(DATA_MAX + 1)), 4, "256 data bytes"),
        (Frame("000000000001", 0x11), -1, "not -1"),
        (Frame("000000000001", 0x11), PREAMBLE_MAX + 1, "not 17"),
    ],
)
def test_what_cannot_travel_is_our_mistake(frame: Frame, preamble: int, complaint: str) -> None:
    with pytest.raises(ProtocolMisuse, match=complaint):
        encode(frame, preamble)


@pytest.mark.parametrize(
    ("control", "bits"),
    [
        (0x11, (False, False, False, 0x11)),
        (0x91, (True, False, False, 0x11)),
        (0xB1, (True, False, True, 0x11)),
        (0xD1, (True, True, False, 0x11)),
        (0x9C, (True, False, False, 0x1C)),
        (0xDC, (True, True, False, 0x1C)),
        (0x08, (False, False, False, 0x08)),
    ],
)
def test_the_control_code_is_four_things(control: int, bits: tuple[bool, bool, bool, int]) -> None:
    frame = Frame("000000000001", control)
    assert (frame.is_reply, frame.abnormal, frame.follow, frame.function) == bits


@pytest.mark.parametrize(
    ("control", "data", "identifier"),
    [
        (0x11, "00000100", 0x00010000),
        (0x12, "00FF010001", 0x0001FF00),
        (0x92, "00FF01000000", 0x0001FF00),
        (0x14, "0110000400000000", 0x04001001),
        (0xB1, "00FF0100", 0x0001FF00),
        (0x91, "000001", None),  # too short for an identifier
        (0xD1, "02", None),
        (0xD1, "00000100", None),  # a refusal names no identifier
        (0x13, "", None),
        (0x93, "010000000000", None),
        (0x1C, "02000000000000001A00", None),
        (0x01, "10900000", None),  # the 1997 edition's read
    ],
)
def test_the_identifier_is_read_only_where_one_travels(control: int, data: str, identifier: int | None) -> None:
    assert Frame("000000000001", control, bytes.fromhex(data)).identifier == identifier


def test_frames_are_values() -> None:
    assert len({parse(REPLY), parse(b"\xfe" + REPLY), parse(REQUEST)}) == 2


def test_ours_and_theirs_are_different_errors_of_one_root() -> None:
    assert issubclass(FrameError, CoreError)
    assert issubclass(ProtocolMisuse, CoreError)
    assert not issubclass(FrameError, ProtocolMisuse)
