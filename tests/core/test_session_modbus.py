"""Modbus RTU transactions through the session, alone and on one bus with DL/T 645 meters; replies are the oracle's."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.dlt645.commands import Read
from core.errors import ProtocolMisuse
from core.modbus.commands import ReadRegisters, WriteRegisters
from core.modbus.rtu import RtuFrame
from core.session import BusSession, Event, RefusedByMeter, ReplyReceived, Stray, TimedOut, Timing
from tests.core import frame_oracle, modbus_oracle
from tests.core.modbus_oracle import Said, build

TIMING = Timing(baud=9600, frame_gap_s=0.0)
BYTE_S = 11 / 9600
READ = ReadRegisters(1, 0x0048, 2, 4)
REQUEST = bytes.fromhex("010400480002F1DD")
REPLY = bytes.fromhex("010404462A7521298C")
RELAY = WriteRegisters(1, 0x001A, (0,))
DLT = Read("000000000001", 0x00010000)
DLT_REPLY = frame_oracle.build(frame_oracle.Seen("000000000001", 0x91, "00000100" + "78563412"), 4)


def events(session: BusSession) -> list[Event]:
    found = []
    while (event := session.next_event()) is not None:
        found.append(event)
    return found


def asked(command: Any = READ, timing: Timing = TIMING) -> BusSession:
    session = BusSession(timing)
    session.request(command, 0.0)
    return session


def test_a_request_has_no_waking_bytes() -> None:
    assert BusSession(TIMING, preamble=4).request(READ, 0.0) == REQUEST


@pytest.mark.parametrize("size", [1, 2, 3, 5, 9])
def test_a_reply_may_come_in_any_pieces(size: int) -> None:
    session = asked()
    for at in range(0, len(REPLY), size):
        assert session.next_event() is None
        session.receive_data(REPLY[at : at + size], 0.1)
    [event] = events(session)
    assert isinstance(event, ReplyReceived)
    assert event == ReplyReceived(READ, RtuFrame(1, 4, True, 0, 2, (0x462A, 0x7521)), 0.1)
    assert (session.garbage_bytes, session.counters.replies, session.get_timer()) == (0, 1, None)


def test_a_refusal_carries_its_exception() -> None:
    session = asked()
    session.receive_data(build(Said(1, 0x84, "02")), 0.1)
    assert events(session) == [RefusedByMeter(READ, 2, RtuFrame(1, 4, True, exception=2))]


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        (Said(2, 4, "04462a7521"), "foreign"),
        (Said(1, 3, "04462a7521"), "unasked"),
        (Said(1, 4, "02462a"), "unasked"),
        (Said(1, 4, "06462a75210000"), "unasked"),
        (Said(1, 0x90, "02"), "unasked"),
        (Said(1, 0x10, "00480002"), "unasked"),
    ],
)
def test_another_unit_function_or_length_is_no_answer(said: Said, reason: str) -> None:
    session = asked()
    session.receive_data(build(said), 0.1)
    assert [event.reason for event in events(session)] == [reason]
    assert session.busy
    session.receive_data(REPLY, 0.2)
    assert [type(event) for event in events(session)] == [ReplyReceived]


def test_a_wrong_crc_is_noise_and_times_out() -> None:
    session = asked()
    session.receive_data(REPLY[:-1] + b"\x00", 0.1)
    session.handle_timer(session.get_timer())
    while session.busy:
        session.handle_timer(session.get_timer())
    assert events(session) == [TimedOut(READ, 9)]
    assert session.bad_sums == 1


def test_silence_times_out_after_the_request_the_delay_and_the_shortest_reply() -> None:
    session = asked()
    assert session.get_timer() == pytest.approx(8 * BYTE_S + 1.2 + 5 * BYTE_S)
    session.handle_timer(session.get_timer())
    assert events(session) == [TimedOut(READ, 0)]


@pytest.mark.parametrize("command", [READ, RELAY])
@pytest.mark.parametrize("cut", [1, 6, 7, 8, 9, 12])
def test_the_echo_of_a_request_is_known(command: Any, cut: int) -> None:
    session = BusSession(TIMING)
    echo = session.request(command, 0.0)
    reply = REPLY if command is READ else build(Said(1, 0x10, "001a0001"))
    stream = echo + reply
    session.receive_data(stream[:cut], 0.1)
    session.receive_data(stream[cut:], 0.2)
    first, second = events(session)
    assert first == Stray(command.to_frame(), "echo")
    assert isinstance(second, ReplyReceived)
    assert session.garbage_bytes == 0


def test_a_reply_that_reads_like_a_request_is_a_reply() -> None:
    """The first eight bytes are a sound read request, made so by the register that stands where its CRC would."""
    head = bytes.fromhex("010306000001")
    body = head + modbus_oracle.crc(head) + b"\x00"
    wire = body + modbus_oracle.crc(body)
    assert modbus_oracle.frames_in(wire, replies=False) == [Said(1, 3, "06000001")]
    session = asked(ReadRegisters(1, 0, 3))
    session.receive_data(wire, 0.1)
    [event] = events(session)
    assert isinstance(event, ReplyReceived)


@pytest.mark.parametrize("noise", [b"\x00", b"\xff", b"\x01", b"\x01\x04", b"\x00\x01\x03\x00", b"\x01\x84\x00"])
def test_noise_in_front_of_a_reply_costs_its_own_bytes_only(noise: bytes) -> None:
    session = asked()
    session.receive_data(noise + REPLY, 0.1)
    if session.busy:
        session.handle_timer(session.get_timer())
    assert [type(event) for event in events(session)] == [ReplyReceived]
    assert session.garbage_bytes == len(noise)


def test_a_false_start_that_promises_much_gives_way_after_the_byte_gap() -> None:
    session = asked()
    session.receive_data(b"\x05\x03\xfa" + REPLY, 0.1)
    assert events(session) == []
    assert session.get_timer() == pytest.approx(0.6)
    session.handle_timer(0.6)
    assert [type(event) for event in events(session)] == [ReplyReceived]


def test_a_babbling_line_holds_few_bytes_and_no_request_for_ever() -> None:
    session, now = asked(), 0.0
    while session.busy:
        now += 0.05
        session.receive_data(b"\x01\x03\xfa" * 400, now)
        assert session._decoder.pending < 256
        session.handle_timer(now)
    assert now < 2.5


def test_a_late_reply_of_the_same_length_cannot_be_told_apart() -> None:
    """Nothing in it names a register; the commands' docstring says what to do about it."""
    session = asked()
    session.handle_timer(2.0)
    session.request(ReadRegisters(1, 0x004A, 2, 4), 2.1)
    session.receive_data(REPLY, 2.2)
    assert [type(event) for event in events(session)] == [TimedOut, ReplyReceived]


def test_a_late_reply_of_another_length_or_unit_answers_nothing() -> None:
    session = asked()
    session.handle_timer(2.0)
    session.receive_data(REPLY, 2.05)
    session.request(ReadRegisters(2, 0x0048, 2, 4), 2.2)
    session.receive_data(REPLY, 2.3)
    assert [getattr(event, "reason", None) for event in events(session)] == [None, "late", "foreign"]
    assert session.busy


def test_frames_need_three_and_a_half_characters_of_silence() -> None:
    session = asked()
    session.receive_data(REPLY, 0.1)
    assert session.ready_at() == pytest.approx(0.1 + 3.5 * BYTE_S)
    with pytest.raises(ProtocolMisuse, match="quiet until"):
        session.request(READ, 0.1 + 3.4 * BYTE_S)
    session.request(READ, session.ready_at(READ))
    fast = asked(timing=Timing(baud=115200, frame_gap_s=0.0))
    fast.receive_data(REPLY, 0.1)
    assert fast.ready_at() == pytest.approx(0.10175)


def test_silence_goes_before_a_modbus_request_behind_a_frame_of_dlt645() -> None:
    session = asked(DLT)
    session.receive_data(DLT_REPLY, 0.1)
    assert session.ready_at() == 0.1
    assert session.ready_at(DLT) == 0.1
    assert session.ready_at(READ) == pytest.approx(0.1 + 3.5 * BYTE_S)
    with pytest.raises(ProtocolMisuse, match="quiet until"):
        session.request(READ, 0.1)
    session.request(DLT, 0.1)


def test_meters_of_both_protocols_share_a_bus() -> None:
    session, now = BusSession(TIMING), 0.0
    for command, reply in (
        (DLT, DLT_REPLY),
        (READ, REPLY),
        (RELAY, build(Said(1, 0x10, "001a0001"))),
        (DLT, DLT_REPLY),
    ):
        echo = session.request(command, now)
        for byte in echo + reply:
            now += BYTE_S
            session.receive_data(bytes((byte,)), now)
        echoed, answered = events(session)
        assert (echoed.reason, answered.command) == ("echo", command)
        now = session.ready_at() + 0.01
    assert (session.garbage_bytes, session.counters.replies, session.counters.echoes) == (0, 4, 4)


def test_a_late_reply_of_the_other_protocol_is_noise() -> None:
    session = asked(DLT)
    session.handle_timer(2.0)
    session.request(READ, 2.1)
    session.receive_data(DLT_REPLY + REPLY, 2.2)
    while session.busy:
        session.handle_timer(session.get_timer())
    assert [type(event) for event in events(session)] == [TimedOut, ReplyReceived]
    assert session.garbage_bytes == len(DLT_REPLY)
    session.request(DLT, 5.0)
    session.receive_data(REPLY + DLT_REPLY, 5.1)
    assert [type(event) for event in events(session)] == [ReplyReceived]
    assert session.garbage_bytes == len(DLT_REPLY) + len(REPLY)


def test_what_was_heard_before_is_settled_before_the_protocol_changes() -> None:
    session = BusSession(TIMING)
    session.receive_data(bytes.fromhex("68 11 11 11 11 11 11 68 91 C8") + DLT_REPLY[4:], 5.0)
    assert events(session) == []
    session.request(READ, 5.1)
    assert [event.reason for event in events(session)] == ["late"]
    assert (session.garbage_bytes, session.get_timer()) == (10, pytest.approx(5.1 + 1.2 + 13 * BYTE_S))


def test_sums_are_counted_over_all_transactions() -> None:
    session = asked()
    session.receive_data(REPLY[:-1] + b"\x00", 0.1)
    session.handle_timer(9.0)
    session.request(DLT, 10.0)
    session.receive_data(DLT_REPLY[:-2] + b"\x00\x16", 10.1)
    session.handle_timer(19.0)
    session.request(READ, 20.0)
    assert session.bad_sums == 2


def test_a_request_tells_how_long_its_reply_may_be() -> None:
    assert READ.to_frame().reply_sizes == (5, len(REPLY))
    assert RELAY.to_frame().reply_sizes == (5, 8)
    assert ReadRegisters(1, 0, 125).to_frame().reply_sizes == (5, 255)


def test_a_request_that_cannot_travel_leaves_the_session_free() -> None:
    session = BusSession(TIMING)
    for wrong in (
        ReadRegisters(0, 0, 1),
        ReadRegisters(1, 0, 126),
        ReadRegisters(1, 0, 1, 16),
        WriteRegisters(1, 0, ()),
    ):
        with pytest.raises(ProtocolMisuse):
            session.request(wrong, 0.0)
    assert (session.busy, session.counters.requests) == (False, 0)


pieces = st.one_of(
    st.binary(max_size=20),
    st.sampled_from((REPLY, REQUEST, DLT_REPLY, build(Said(1, 0x84, "02")), build(Said(2, 4, "04462a7521")))),
    st.builds(lambda keep: REPLY[:keep], st.integers(0, 9)),
)


@settings(max_examples=150)
@given(
    st.lists(st.tuples(st.sampled_from((READ, RELAY, DLT)), st.lists(pieces, max_size=5)), max_size=8),
    st.floats(0.001, 0.7),
)
def test_every_request_ends_once_and_only_by_bytes_that_came(script: list[Any], pace_s: float) -> None:
    session, now, ended = BusSession(TIMING), 0.0, []
    for command, heard in script:
        now = max(now, session.ready_at(command))
        session.request(command, now)
        line = b"".join(heard)
        for piece in heard:
            now += pace_s
            session.receive_data(piece, now)
            while (timer := session.get_timer()) is not None and timer <= now:
                session.handle_timer(now)
        while session.busy:
            now = max(now, session.get_timer())
            session.handle_timer(now)
        for event in events(session):
            if isinstance(event, Stray):
                continue
            ended.append(event.command)
            if command is READ and isinstance(event, ReplyReceived):
                words = "".join(f"{word:04x}" for word in event.frame.registers)
                assert build(Said(1, 4, "04" + words)) in line
    assert ended == [command for command, _ in script]
