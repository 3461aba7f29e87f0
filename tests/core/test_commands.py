"""Requests and the replies that belong to them."""

from datetime import datetime

import pytest

from core.dlt645 import commands
from core.dlt645.commands import (
    BroadcastTime,
    Command,
    Password,
    Read,
    ReadAddress,
    ReadFollow,
    RelayAction,
    RelayControl,
    Write,
    address_matches,
    error_names,
    reply_value,
)
from core.dlt645.frame import Frame, encode
from core.errors import MeterRefused, ProtocolMisuse

METER = "151230011061"
OTHER = "151230011062"
DEADLINE = datetime(2099, 12, 30)  # noqa: DTZ001 civil time
ENERGY = bytes.fromhex("00000100")

READ = Read(METER, 0x00010000)
FOLLOW = ReadFollow(METER, 0x00010000, 2)
WRITE = Write(METER, 0x04001001, bytes.fromhex("00100000"), Password(2, "123456"), "00000001")
TRIP = RelayControl(METER, RelayAction.TRIP, DEADLINE, Password(2, "020637"), "00000001")
CLOCK = BroadcastTime(datetime(2026, 11, 23, 8, 52, 3))  # noqa: DTZ001 civil time


def reply(control: int, data: bytes = b"", address: str = METER) -> Frame:
    return Frame(address, control, data)


@pytest.mark.parametrize(
    ("command", "wire"),
    [
        (READ, "68 61 10 01 30 12 15 68 11 04 33 33 34 33 7B 16"),
        (ReadAddress(), "68 AA AA AA AA AA AA 68 13 00 DF 16"),
        (CLOCK, "68 99 99 99 99 99 99 68 08 06 36 85 3B 56 44 59 5D 16"),
        (
            TRIP,
            "68 61 10 01 30 12 15 68 1C 10 35 6A 39 35 34 33 33 33 4D 33 33 33 33 63 45 CC 2C 16",
        ),
    ],
)
def test_published_requests_are_sent_byte_for_byte(command: Command, wire: str) -> None:
    assert encode(command.to_frame(), 0) == bytes.fromhex(wire)


def test_a_write_carries_password_and_operator_before_its_value() -> None:
    assert WRITE.to_frame().data == bytes.fromhex("01100004 02 563412 01000000 00100000")


def test_a_password_never_shows_in_text() -> None:
    assert "123456" not in repr(WRITE)
    assert "020637" not in str(TRIP)
    assert Password().to_bytes() == bytes.fromhex("02000000")
    assert Password(98, "123456").to_bytes()[0] == 0x98


@pytest.mark.parametrize("code", ["", "12345", "1234567", "12345a", "１２３４５６", "12 456"])
def test_a_password_is_six_digits_and_stays_secret_when_it_is_not(code: str) -> None:
    with pytest.raises(ProtocolMisuse, match="a password has 6 digits") as caught:
        Password(2, code).to_bytes()
    assert not code or code not in str(caught.value)


def test_an_operator_code_is_eight_digits() -> None:
    with pytest.raises(ProtocolMisuse, match="8 digits"):
        RelayControl(METER, RelayAction.TRIP, DEADLINE, Password(), "1").to_frame()


@pytest.mark.parametrize("seq", [0, 256])
def test_a_sequence_number_is_one_to_255(seq: int) -> None:
    with pytest.raises(ProtocolMisuse, match="sequence"):
        ReadFollow(METER, 1, seq).to_frame()


@pytest.mark.parametrize("di", [-1, 1 << 32])
def test_an_identifier_is_four_bytes(di: int) -> None:
    with pytest.raises(ProtocolMisuse, match="four bytes"):
        Read(METER, di).to_frame()


@pytest.mark.parametrize(
    ("command", "answer"),
    [
        (READ, reply(0x91, ENERGY + bytes(4))),
        (READ, reply(0xB1, ENERGY + bytes(4))),
        (READ, reply(0xD1, b"\x02")),
        (FOLLOW, reply(0x92, ENERGY + bytes(4) + b"\x02")),
        (FOLLOW, reply(0xB2, ENERGY + b"\x02")),
        (FOLLOW, reply(0xD2, b"\x02")),
        (ReadAddress(), reply(0x93, bytes(6))),
        (ReadAddress(METER), reply(0x93, bytes(6))),
        (WRITE, reply(0x94)),
        (WRITE, reply(0xD4, b"\x04")),
        (TRIP, reply(0x9C)),
        (TRIP, reply(0x9C, b"\x04\x00")),
        (TRIP, reply(0xDC, b"\x04")),
        (BroadcastTime(DEADLINE, METER), reply(0x88)),
        (BroadcastTime(DEADLINE, METER), reply(0xC8, b"\x04")),
    ],
)
def test_a_reply_is_recognised_and_not_from_another_meter(command: Command, answer: Frame) -> None:
    assert command.match(answer)
    if "A" not in command.address:
        assert not command.match(Frame(OTHER, answer.control, answer.data))
    assert not command.match(Frame(answer.address, answer.control & 0x7F, answer.data))


@pytest.mark.parametrize(
    ("command", "answer"),
    [
        (READ, reply(0x91, bytes.fromhex("00000200") + bytes(4))),  # another identifier
        (READ, reply(0x91, ENERGY[:3])),  # none
        (READ, reply(0xF1, b"\x02")),  # refused and to be continued
        (READ, reply(0xD1)),  # refused without its error
        (READ, reply(0x92, ENERGY + bytes(4))),
        (READ, reply(0x94)),
        (FOLLOW, reply(0x92, ENERGY + bytes(4) + b"\x01")),  # another sequence number
        (FOLLOW, reply(0x92, ENERGY)),  # none
        (FOLLOW, reply(0x91, ENERGY + b"\x02")),
        (ReadAddress(), reply(0x93, bytes(5))),
        (ReadAddress(), reply(0xD3, b"\x01")),  # this refusal is silence
        (ReadAddress(), reply(0x93, bytes(6), "AAAAAAAAAAAA")),  # names no meter
        (WRITE, reply(0x91, ENERGY)),
        (WRITE, reply(0xB4)),
        (TRIP, reply(0x94)),
        (TRIP, reply(0x1C)),
        (CLOCK, reply(0x88, b"", "999999999999")),  # nobody answers a broadcast
    ],
)
def test_everything_else_is_no_reply(command: Command, answer: Frame) -> None:
    assert not command.match(answer)


@pytest.mark.parametrize(
    ("pattern", "address", "matches"),
    [
        ("AAAAAAAAAAAA", "000000000001", True),
        ("AAAAAAAA5678", "201412345678", True),
        ("AAAAAAAA5678", "201412345679", False),
        ("201412345678", "201412345678", True),
        ("201412345678", "AAAAAAAAAAAA", False),
        ("AAAAAAAA5678", "AAAAAAAA5678", False),
        ("AAAAAAAA5678", "2014123456AA", False),
        ("AAAAAAAA5678", "20141234567", False),
        ("9AAAAAAAAAA1", "9AAAAAAAAAA1", False),
    ],
)
def test_wildcards_stand_for_any_two_digits(pattern: str, address: str, matches: bool) -> None:
    assert address_matches(pattern, address) is matches


@pytest.mark.parametrize(
    ("command", "answered"),
    [(READ, True), (ReadAddress(), True), (CLOCK, False), (BroadcastTime(DEADLINE, METER), True), (TRIP, True)],
)
def test_only_broadcasts_are_not_answered(command: Command, answered: bool) -> None:
    assert command.expects_reply is answered


def test_a_broadcast_of_any_command_awaits_nothing() -> None:
    everybody = "9" * 12
    for command in (Read(everybody, 1), ReadFollow(everybody, 1, 1), Write(everybody, 1, b"", Password())):
        assert not command.expects_reply
    assert not ReadAddress(everybody).expects_reply
    assert not RelayControl(everybody, RelayAction.TRIP, DEADLINE, Password()).expects_reply


def test_the_payload_is_what_follows_identifier_and_before_sequence() -> None:
    assert reply_value(READ, reply(0x91, ENERGY + b"\x12\x34\x56\x78")) == b"\x12\x34\x56\x78"
    assert reply_value(FOLLOW, reply(0x92, ENERGY + b"\x12\x34\x02")) == b"\x12\x34"
    assert reply_value(ReadAddress(), reply(0x93, b"\1\2\3\4\5\6")) == b"\1\2\3\4\5\6"
    assert reply_value(TRIP, reply(0x9C)) == b""


def test_a_refusal_says_why() -> None:
    with pytest.raises(MeterRefused, match=f"{METER} refused with ERR 06H: no such data, wrong password") as caught:
        reply_value(READ, reply(0xD1, b"\x06"))
    assert caught.value.err == 6


def test_a_refusal_may_be_a_word_and_may_be_empty_of_reasons() -> None:
    with pytest.raises(MeterRefused) as caught:
        reply_value(TRIP, reply(0xDC, b"\x10\x01"))
    assert caught.value.err == 0x0110
    with pytest.raises(MeterRefused, match="no reason given"):
        reply_value(TRIP, reply(0xDC, b"\x00"))


def test_a_reply_to_something_else_is_our_mistake() -> None:
    with pytest.raises(ProtocolMisuse, match="91H of 151230011062 does not answer"):
        reply_value(READ, reply(0x91, ENERGY, OTHER))


def test_a_refusal_without_text_says_its_number() -> None:
    assert str(MeterRefused(4)) == "the meter refused the request with ERR 04H"


def test_every_error_bit_has_a_name_in_both_languages() -> None:
    assert error_names(0) == ()
    assert error_names(0x06) == (("no such data", "无请求数据"), ("wrong password or not authorised", "密码错或未授权"))
    assert len(error_names(0xFF)) == 8


def test_the_relay_actions_are_those_of_the_standard() -> None:
    assert {action.name: int(action) for action in RelayAction} == {
        "TRIP": 0x1A, "ALLOW_CLOSE": 0x1B, "CLOSE": 0x1C, "ALARM_ON": 0x2A, "ALARM_OFF": 0x2B,
        "KEEP_POWER": 0x3A, "CANCEL_KEEP_POWER": 0x3B, "TRIP_AND_RESTORE": 0x1D, "TRIP_AND_RESTORE_1E": 0x1E,
    }  # fmt: skip
    codes = (commands.READ, commands.READ_FOLLOW, commands.READ_ADDRESS, commands.WRITE, commands.BROADCAST_TIME)
    assert (*codes, commands.RELAY) == (0x11, 0x12, 0x13, 0x14, 0x08, 0x1C)


def test_a_shortened_address_has_its_wildcards_above_the_digits() -> None:
    assert [commands.shortened_address(tail) for tail in ("", "45", "345678", OTHER)] == [
        "A" * 12, "AAAAAAAAAA45", "AAAAAA345678", OTHER,
    ]  # fmt: skip
    frame = Read(commands.shortened_address("1062"), 0x00010000).to_frame()
    assert frame.address == "AAAAAAAA1062"
    assert address_matches(frame.address, "151230011062")
    assert not address_matches(frame.address, "151230011162")
    for tail in ("5", "1" * 14, "4A", "٤٥"):
        with pytest.raises(ProtocolMisuse, match="in pairs"):
            commands.shortened_address(tail)
