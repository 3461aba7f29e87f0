"""The master of a bus, driven by an explicit clock: replies, refusals, silence, strangers, echoes and gaps."""

from datetime import datetime

import pytest

from core.dlt645.commands import BroadcastTime, Command, Password, Read, ReadAddress, RelayAction, RelayControl
from core.dlt645.frame import Frame, encode
from core.errors import ProtocolMisuse
from core.session import BusSession, Event, RefusedByMeter, ReplyReceived, Sent, Stray, TimedOut, Timing

METER = "000000000001"
OTHER = "000000000002"
ENERGY, VOLTAGE = 0x00010000, 0x02010100
READ = Read(METER, ENERGY)
BYTE_S = 11 / 2400
REQUEST_S = 20 * BYTE_S
# request on the line, longest answer delay, margin, four waking bytes and twelve of the smallest frame
GIVES_UP_S = REQUEST_S + 1.0 + 0.2 + 16 * BYTE_S
NEW_YEAR = datetime(2027, 1, 1)  # noqa: DTZ001 civil time


def answer(di: int = ENERGY, address: str = METER, control: int = 0x91, data: bytes = bytes(4)) -> Frame:
    return Frame(address, control, di.to_bytes(4, "little") + data)


def events(session: BusSession) -> list[Event]:
    found = []
    while (event := session.next_event()) is not None:
        found.append(event)
    return found


def asked(command: Command = READ, timing: Timing | None = None) -> BusSession:
    session = BusSession(timing or Timing())
    session.request(command, 0.0)
    return session


def test_a_request_is_the_encoded_frame_with_its_preamble() -> None:
    assert BusSession(Timing()).request(READ, 0.0) == encode(READ.to_frame(), 4)
    assert BusSession(Timing(), preamble=1).request(READ, 0.0) == encode(READ.to_frame(), 1)


def test_a_reply_is_given_out_with_its_latency() -> None:
    session = asked()
    session.receive_data(encode(answer()), 0.5)
    assert events(session) == [ReplyReceived(READ, answer(), 0.5)]
    assert not session.busy
    assert session.get_timer() is None
    assert session.counters.replies == 1


def test_a_reply_may_come_byte_by_byte() -> None:
    session = asked()
    now = 0.3
    for byte in encode(answer()):
        now += BYTE_S
        assert session.next_event() is None
        session.receive_data(bytes((byte,)), now)
    (event,) = events(session)
    assert isinstance(event, ReplyReceived)
    assert event.latency_s == pytest.approx(0.3 + 24 * BYTE_S)


def test_a_refusal_carries_its_error() -> None:
    session = asked()
    refusal = Frame(METER, 0xD1, b"\x02")
    session.receive_data(encode(refusal), 0.4)
    assert events(session) == [RefusedByMeter(READ, 2, refusal)]
    assert session.counters.refusals == 1


@pytest.mark.parametrize("length", [0, 3, 200])
def test_a_refusal_with_no_error_byte_or_word_is_no_refusal(length: int) -> None:
    session = asked()
    session.receive_data(encode(Frame(METER, 0xD1, b"\x02" * length)), 0.4)
    assert [type(event) for event in events(session)] == [Stray]
    assert session.busy


def test_silence_times_out_at_the_stated_moment() -> None:
    session = asked()
    assert session.get_timer() == pytest.approx(GIVES_UP_S)
    session.handle_timer(GIVES_UP_S - 0.001)
    assert session.busy
    assert events(session) == []
    session.handle_timer(session.get_timer())
    assert events(session) == [TimedOut(READ, 0)]
    assert (session.busy, session.get_timer(), session.counters.timeouts) == (False, None, 1)


def test_a_slower_bus_waits_longer() -> None:
    fast, slow = Timing(baud=9600), Timing(baud=1200, reply_delay_max_s=3.0)
    assert asked(timing=fast).get_timer() == pytest.approx(36 * 11 / 9600 + 1.2)
    assert asked(timing=slow).get_timer() == pytest.approx(36 * 11 / 1200 + 3.2)


def test_garbage_is_counted_in_the_timeout() -> None:
    session = asked()
    session.receive_data(b"\x00\xfe\x16\x68\x33", 0.2)
    session.handle_timer(session.get_timer())
    assert session.busy
    session.handle_timer(session.get_timer())
    assert events(session) == [TimedOut(READ, 4)]


def test_garbage_of_one_request_is_not_counted_in_the_next() -> None:
    session = asked()
    session.receive_data(b"\x01\x02\x03", 0.2)
    session.handle_timer(2.0)
    session.request(READ, 2.1)
    session.receive_data(b"\x01", 2.2)
    session.handle_timer(4.0)
    assert events(session) == [TimedOut(READ, 3), TimedOut(READ, 1)]
    assert session.garbage_bytes == 4


def test_a_bad_sum_is_no_reply() -> None:
    session = asked()
    wire = bytearray(encode(answer()))
    wire[-2] ^= 1
    session.receive_data(bytes(wire), 0.3)
    session.handle_timer(session.get_timer())
    assert events(session) == [TimedOut(READ, 20)]
    assert session.bad_sums == 1


def test_a_foreign_meter_does_not_answer_for_ours() -> None:
    session = asked()
    session.receive_data(encode(answer(address=OTHER)), 0.3)
    assert events(session) == [Stray(answer(address=OTHER), "foreign")]
    assert session.busy
    session.receive_data(encode(answer()), 0.5)
    assert events(session) == [ReplyReceived(READ, answer(), 0.5)]


def test_another_identifier_is_no_answer() -> None:
    session = asked()
    session.receive_data(encode(answer(VOLTAGE, data=b"\x00\x22")), 0.3)
    assert [event.reason for event in events(session)] == ["unasked"]
    assert session.busy


def test_another_control_code_is_no_answer() -> None:
    session = asked()
    session.receive_data(encode(Frame(METER, 0x9C)) + encode(Frame(METER, 0xDC, b"\x04")), 0.3)
    assert [event.reason for event in events(session)] == ["unasked", "unasked"]
    assert session.busy


@pytest.mark.parametrize("split", range(1, 44, 6))
def test_the_echo_of_our_request_is_ignored(split: int) -> None:
    session = BusSession(Timing())
    stream = session.request(READ, 0.0) + encode(answer())
    session.receive_data(stream[:split], 0.2)
    session.receive_data(stream[split:], 0.3)
    assert events(session) == [Stray(READ.to_frame(), "echo"), ReplyReceived(READ, answer(), 0.3)]
    assert session.counters.echoes == 1


def test_another_master_is_heard_and_ignored() -> None:
    session = asked()
    session.receive_data(encode(Read(METER, VOLTAGE).to_frame()), 0.2)
    assert [event.reason for event in events(session)] == ["request"]
    assert session.busy


def test_a_late_reply_in_the_next_window_answers_nothing() -> None:
    session = asked()
    session.handle_timer(1.5)
    second = Read(OTHER, ENERGY)
    session.request(second, 1.6)
    session.receive_data(encode(answer()), 1.9)
    session.receive_data(encode(answer(address=OTHER)), 2.2)
    assert events(session) == [
        TimedOut(READ, 0),
        Stray(answer(), "foreign"),
        ReplyReceived(second, answer(address=OTHER), pytest.approx(0.6)),
    ]


def test_a_late_reply_of_another_identifier_answers_nothing() -> None:
    session = asked()
    session.handle_timer(1.5)
    session.request(Read(METER, VOLTAGE), 1.6)
    session.receive_data(encode(answer()), 1.9)
    assert [type(event) for event in events(session)] == [TimedOut, Stray]
    assert session.busy


def test_a_reply_after_the_timeout_is_late() -> None:
    session = asked()
    session.handle_timer(1.5)
    session.receive_data(encode(answer()), 1.6)
    assert events(session) == [TimedOut(READ, 0), Stray(answer(), "late")]


def test_a_second_reply_answers_nothing() -> None:
    session = asked()
    session.receive_data(encode(answer()) * 2, 0.3)
    assert events(session) == [ReplyReceived(READ, answer(), 0.3), Stray(answer(), "late")]


def test_bytes_already_received_count_even_if_the_caller_is_late() -> None:
    session = asked()
    session.receive_data(encode(answer()), 60.0)
    assert events(session) == [ReplyReceived(READ, answer(), 60.0)]


def test_the_wait_extends_while_a_frame_is_coming() -> None:
    session = asked()
    wire = encode(answer(data=bytes(60)), 0)
    session.receive_data(wire[:10], GIVES_UP_S - 0.01)
    assert session.get_timer() == pytest.approx(GIVES_UP_S - 0.01 + 0.5)
    session.handle_timer(GIVES_UP_S)
    session.receive_data(wire[10:], GIVES_UP_S + 0.3)
    (event,) = events(session)
    assert isinstance(event, ReplyReceived)


def test_noise_cannot_extend_the_wait_for_ever() -> None:
    session = asked()
    now = 0.0
    while session.busy:
        now += 0.1
        session.receive_data(b"\x68" * 5, now)
        session.handle_timer(now)
    longest = GIVES_UP_S + 255 * BYTE_S + 0.5
    assert now == pytest.approx(longest, abs=0.11)
    (event,) = events(session)
    assert isinstance(event, TimedOut)
    assert event.garbage_bytes > 50


def test_a_frame_that_stops_in_the_middle_is_dropped_after_the_byte_gap() -> None:
    session = asked()
    session.receive_data(encode(answer(), 0)[:9], 0.2)
    assert session.get_timer() == pytest.approx(0.7)
    session.handle_timer(0.7)
    assert session.garbage_bytes == 9
    session.receive_data(encode(answer(), 0), 0.8)
    assert events(session) == [ReplyReceived(READ, answer(), 0.8)]


def test_a_reply_behind_a_false_start_is_found_after_the_byte_gap() -> None:
    session = asked()
    hiding = bytes.fromhex("68 11 11 11 11 11 11 68 91 C8")
    session.receive_data(hiding + encode(answer(), 0), 0.3)
    assert events(session) == []
    session.handle_timer(session.get_timer())
    assert events(session) == [ReplyReceived(READ, answer(), pytest.approx(0.8))]


def test_a_reply_behind_a_false_start_is_found_when_giving_up() -> None:
    session = asked(timing=Timing(byte_gap_max_s=10.0))
    hiding = bytes.fromhex("68 11 11 11 11 11 11 68 91 C8")
    session.receive_data(hiding + encode(answer(), 0), 0.3)
    session.handle_timer(session.get_timer())
    assert [type(event) for event in events(session)] == [ReplyReceived]


def test_half_a_frame_on_an_idle_bus_is_dropped_too() -> None:
    session = BusSession(Timing())
    session.receive_data(b"\x68\x01", 5.0)
    assert session.get_timer() == pytest.approx(5.5)
    session.handle_timer(5.5)
    assert (session.get_timer(), session.garbage_bytes) == (None, 2)


def test_half_a_frame_does_not_spoil_the_next_reply() -> None:
    session = BusSession(Timing())
    session.receive_data(bytes.fromhex("68 11 11 11 11 11 11 68 91 C8"), 5.0)
    session.request(READ, 5.1)
    session.receive_data(encode(answer()), 5.3)
    assert [type(event) for event in events(session)] == [ReplyReceived]


def test_a_broadcast_is_sent_and_awaits_nothing() -> None:
    session = BusSession(Timing())
    clock = BroadcastTime(NEW_YEAR)
    wire = session.request(clock, 10.0)
    assert events(session) == [Sent(clock)]
    assert (session.busy, session.get_timer()) == (False, None)
    assert session.ready_at() == pytest.approx(10.0 + len(wire) * BYTE_S + 0.03)


def test_one_request_at_a_time() -> None:
    session = asked()
    with pytest.raises(ProtocolMisuse, match="still waits"):
        session.request(Read(OTHER, ENERGY), 0.5)
    session.receive_data(encode(answer()), 0.6)
    assert [type(event) for event in events(session)] == [ReplyReceived]


def test_the_guard_gap_separates_transactions() -> None:
    session = asked()
    session.receive_data(encode(answer()), 0.5)
    assert session.ready_at() == pytest.approx(0.53)
    with pytest.raises(ProtocolMisuse, match=r"quiet until 0\.530"):
        session.request(READ, 0.52)
    session.request(READ, session.ready_at())


def test_the_guard_gap_follows_a_timeout_too() -> None:
    session = asked()
    session.handle_timer(1.6)
    assert session.ready_at() == pytest.approx(1.63)
    with pytest.raises(ProtocolMisuse, match="quiet until"):
        session.request(READ, 1.61)


def test_noise_moves_the_guard_gap_but_not_for_ever() -> None:
    session = asked()
    session.receive_data(encode(answer()), 0.5)
    session.receive_data(b"\x00", 0.52)
    assert session.ready_at() == pytest.approx(0.55)
    for tick in range(100):
        session.receive_data(b"\x00", 0.53 + tick / 50)
    assert session.ready_at() == pytest.approx(1.03)


def test_a_refused_argument_leaves_the_session_free() -> None:
    session = BusSession(Timing())
    with pytest.raises(ProtocolMisuse):
        session.request(Read("12", ENERGY), 0.0)
    assert (session.busy, session.counters.requests) == (False, 0)
    session.request(READ, 0.0)


def test_relay_commands_are_matched_by_meter() -> None:
    trip = RelayControl(METER, RelayAction.TRIP, NEW_YEAR, Password())
    session = asked(trip)
    session.receive_data(encode(Frame(OTHER, 0x9C)) + encode(Frame(METER, 0x9C)), 0.4)
    assert events(session) == [
        Stray(Frame(OTHER, 0x9C), "foreign"),
        ReplyReceived(trip, Frame(METER, 0x9C), 0.4),
    ]


def test_an_address_is_asked_for_with_wildcards() -> None:
    session = asked(ReadAddress())
    found = Frame("000010604867", 0x93, bytes.fromhex("674860100000"))
    session.receive_data(encode(Frame("A" * 12, 0x13)) + encode(found), 0.4)
    assert events(session) == [Stray(Frame("A" * 12, 0x13), "echo"), ReplyReceived(ReadAddress(), found, 0.4)]


def test_no_bytes_change_nothing() -> None:
    session = asked()
    before = session.get_timer()
    session.receive_data(b"", 0.4)
    assert (session.get_timer(), session.next_event()) == (before, None)


@pytest.mark.parametrize(
    "wrong", [{"baud": 0}, {"baud": -9600}, {"bits_per_byte": 0}, {"margin_s": -0.1}, {"frame_gap_s": -1.0}]
)
def test_an_impossible_timing_is_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(ProtocolMisuse):
        Timing(**wrong)


def test_the_wire_time_is_eleven_bits_a_byte() -> None:
    assert Timing().wire_time_s(20) == pytest.approx(0.0917, abs=0.0001)
    assert Timing(baud=9600, bits_per_byte=10).wire_time_s(96) == pytest.approx(0.1)
