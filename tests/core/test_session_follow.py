"""Answers in several frames."""

import pytest

from core.dlt645.commands import Read, ReadFollow
from core.dlt645.edition1997 import Read97
from core.dlt645.follow import LongRead
from core.dlt645.frame import Frame, parse
from core.errors import FrameError, MeterRefused, ProtocolMisuse
from core.session import BusSession, ReplyReceived, Timing
from tests.core.codec_checks import captured

METER = "201412345678"
DI = 0x03300201
HEAD = bytes.fromhex("01023003")


def reply(control: int, data: bytes) -> Frame:
    return Frame(METER, control, data)


def test_frames_are_joined_in_order_and_the_sequence_number_goes() -> None:
    reading = LongRead(METER, DI)
    assert reading.next_command() == Read(METER, DI)
    reading.take(reply(0xB1, HEAD + b"abc"))
    assert reading.next_command() == ReadFollow(METER, DI, 1)
    reading.take(reply(0xB2, HEAD + b"de\x01"))
    assert reading.next_command() == ReadFollow(METER, DI, 2)
    reading.take(reply(0x92, HEAD + b"f\x02"))
    assert (reading.next_command(), reading.data, reading.report) == (None, b"abcdef", None)
    with pytest.raises(ProtocolMisuse, match="complete"):
        reading.take(reply(0x92, HEAD + b"f\x02"))


def test_a_captured_first_frame_asks_for_the_second() -> None:
    (vector,) = [v for v in captured() if v["decoded"]["control"] == "B1"]
    reading = LongRead("000037102084", DI)
    reading.take(parse(bytes.fromhex(vector["hex"])))
    assert (reading.next_command(), len(reading.data)) == (ReadFollow("000037102084", DI, 1), 196)


def test_pending_events_are_kept_apart_from_the_data() -> None:
    reading = LongRead(METER, 0x00010000)
    reading.take(reply(0xB1, bytes.fromhex("00000100 78563412")))
    reading.take(reply(0x92, bytes.fromhex("01150004 AABB 01")))
    assert (reading.next_command(), reading.data) == (None, bytes.fromhex("78563412"))
    assert reading.report == b"\xaa\xbb"


def test_the_status_itself_may_be_read_in_parts() -> None:
    reading = LongRead(METER, 0x04001501)
    reading.take(reply(0xB1, bytes.fromhex("01150004 AA")))
    reading.take(reply(0x92, bytes.fromhex("01150004 BB 01")))
    assert (reading.data, reading.report) == (b"\xaa\xbb", None)


def test_a_wrong_sequence_number_or_a_refusal_ends_it() -> None:
    reading = LongRead(METER, DI)
    reading.take(reply(0xB1, HEAD))
    with pytest.raises(ProtocolMisuse):
        reading.take(reply(0x92, HEAD + b"\x02"))
    reading = LongRead(METER, DI)
    with pytest.raises(MeterRefused, match="no such data"):
        reading.take(reply(0xD1, b"\x02"))


def test_a_refused_follow_up_leaves_what_was_read_and_the_refusal() -> None:
    reading = LongRead(METER, 0x00010000)
    reading.take(reply(0xB1, bytes.fromhex("00000100 78563412")))
    reading.take(reply(0xD2, b"\x02"))
    assert (reading.next_command(), reading.data) == (None, bytes.fromhex("78563412"))
    assert reading.refusal is not None
    assert (reading.refusal.err, reading.report) == (2, None)
    with pytest.raises(ProtocolMisuse, match="complete"):
        reading.take(reply(0x92, HEAD + b"f\x02"))


def test_an_answer_without_end_is_given_up() -> None:
    reading = LongRead(METER, DI)
    reading.take(reply(0xB1, HEAD))
    for seq in range(1, 255):
        reading.take(reply(0xB2, HEAD + bytes((7, seq))))
    with pytest.raises(FrameError, match="without end"):
        reading.take(reply(0xB2, HEAD + b"\x07\xff"))
    assert len(reading.data) == 255


def test_a_session_carries_commands_of_1997() -> None:
    session = BusSession(Timing(baud=1200))
    session.request(Read97("000014359743", 0x9010), 0.0)
    session.receive_data(bytes.fromhex("6843973514000068810643C37B9657331B16"), 0.5)
    event = session.next_event()
    assert isinstance(event, ReplyReceived)
    assert event.frame.data[2:] == bytes.fromhex("48632400")
