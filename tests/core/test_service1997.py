"""The commands of 1997 beyond read and write: bytes, matching, refusals, and both directions typed."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.dlt645.commands import BroadcastTime
from core.dlt645.edition1997 import Read97, Write97, reply_value_97
from core.dlt645.explain import explain
from core.dlt645.frame import Frame, encode, parse
from core.dlt645.service1997 import (
    ChangeBaud97,
    ChangePassword97,
    ClearDemand97,
    Data97,
    Done97,
    ReadFollow97,
    Refused97,
    Reread97,
    WriteAddress97,
    long_read_97,
    parse_reply_97,
    parse_request_97,
)
from core.errors import MeterRefused, ProtocolMisuse, ValueFormatError
from tests.core.edition_checks import frames_1997

METER, OTHER, ANY, ALL = "000000063295", "000000000001", "A" * 12, "9" * 12

# command, its data on paper, a normal reply, one that is not its own
CASES = [
    (Read97(METER, 0x901F), "1F90", (0x81, "1F90 00000000"), (0x81, "1090 00000000")),
    (ReadFollow97(METER, 0x901F), "1F90", (0xA2, "1F90 0000"), (0x82, "1090 0000")),
    (Reread97(METER), "", (0x83, "1F90 0000"), (0x83, "1F")),
    (Write97(METER, 0xC111, b"\x15", "12345678"), "11C1 78563412 15", (0x84, ""), (0x8A, "")),
    (WriteAddress97(METER, "123456789012"), "129078563412", (0x8A, ""), (0x8A, "00")),
    (ChangeBaud97(METER, 0x08), "08", (0x8C, "08"), (0x8C, "10")),
    (ChangePassword97(METER, "00000001", "12345678"), "01000000 78563412", (0x8F, "78563412"), (0x8F, "01000000")),
    (ClearDemand97(METER), "", (0x90, ""), (0x8F, "")),
    (ClearDemand97(METER, "12345678"), "78563412", (0x90, ""), (0x90, "00")),
]


def frame(control: int, data: str = "", address: str = METER) -> Frame:
    return Frame(address, control, bytes.fromhex(data))


@pytest.mark.parametrize(("command", "data", "right", "wrong"), CASES)
def test_a_request_has_its_bytes_and_knows_its_reply(command, data, right, wrong) -> None:
    request = command.to_frame()
    assert request.data == bytes.fromhex(data)
    assert parse_request_97(request) == command
    assert command.expects_reply
    assert command.match(frame(*right))
    assert not command.match(frame(*wrong))
    assert not command.match(frame(right[0] & 0x7F, right[1]))
    assert not command.match(frame(*right, address=OTHER))
    refusal = frame(request.control | 0xC0, "04")
    assert command.match(refusal)
    assert not command.match(frame(request.control | 0xC0, "0400"))
    with pytest.raises(MeterRefused, match="ERR 04H: wrong password"):
        reply_value_97(command, refusal)


@pytest.mark.parametrize(("command", "reply"), [(row[0], row[2]) for row in CASES])
def test_a_reply_is_typed_and_written_again(command, reply) -> None:
    said = parse_reply_97(frame(*reply))
    assert said.to_frame() == frame(*reply)
    if isinstance(said, Data97):
        assert said.data == reply_value_97(command, frame(*reply))
    refused = parse_reply_97(frame(command.to_frame().control | 0xC0, "02"))
    assert refused == Refused97(METER, command.to_frame().control, 2)
    assert refused.reasons == (("identifier error", "数据标识错"),)
    assert refused.to_frame() == frame(command.to_frame().control | 0xC0, "02")


def test_every_control_code_of_1997_is_there() -> None:
    codes = {row[0].to_frame().control for row in CASES}
    assert codes == {0x01, 0x02, 0x03, 0x04, 0x0A, 0x0C, 0x0F, 0x10}
    assert isinstance(parse_request_97(frame(0x08, "003012241126", ALL)), BroadcastTime)
    for control in set(range(256)) - codes - {0x08}:
        with pytest.raises(ValueFormatError, match=f"{control:02X}H"):
            parse_request_97(frame(control))


def test_wildcards_are_answered_and_a_new_address_may_answer() -> None:
    assert ReadFollow97(ALL, 0x9010).match(frame(0x82, "1090 00000000"))
    assert Reread97(ANY).match(frame(0x83, "1090 00000000", ANY))
    assert ReadFollow97(ALL, 0x9010).expects_reply
    assert WriteAddress97(OTHER, METER).match(frame(0x8A))
    assert WriteAddress97(OTHER, METER).match(frame(0x8A, address=OTHER))
    assert not WriteAddress97(OTHER, METER).match(frame(0x8A, address="000000000009"))
    assert ChangePassword97(METER, "00000001", "12345678").match(frame(0x8F))


def test_a_long_answer_is_joined_by_02() -> None:
    reading = long_read_97(METER, 0x901F)
    assert reading.next_command() == Read97(METER, 0x901F)
    reading.take(frame(0xA1, "1F90 01000000"))
    assert reading.next_command() == ReadFollow97(METER, 0x901F)
    reading.take(frame(0xA2, "1F90 02000000"))
    reading.take(frame(0x82, "1F90 03000000"))
    assert (reading.next_command(), reading.data) == (None, bytes.fromhex("010000000200000003000000"))
    reading = long_read_97(METER, 0x9010)
    with pytest.raises(MeterRefused, match="identifier error"):
        reading.take(frame(0xC1, "02"))


def test_captured_replies_and_requests_are_read_and_sent_again_byte_for_byte() -> None:
    count = 0
    for vector in frames_1997():
        wire, preamble = bytes.fromhex(vector["hex"]), vector["decoded"]["preamble_fe"]
        if "client_bug" in vector["decoded"]:
            continue
        read = parse_request_97 if vector["direction"] == "request" else parse_reply_97
        assert encode(read(parse(wire)).to_frame(), preamble) == wire
        count += 1
    assert count == 36


@pytest.mark.parametrize(
    ("control", "data"),
    [
        (0x81, "10"),
        (0x84, "00"),
        (0xA4, ""),
        (0xC1, ""),
        (0xC1, "0200"),
        (0x01, "1090"),
        (0x8F, "00"),
        (0x91, "00000100"),
    ],
)
def test_what_is_no_reply_is_refused(control: int, data: str) -> None:
    with pytest.raises(ValueFormatError):
        parse_reply_97(frame(control, data))


@pytest.mark.parametrize(
    "command",
    [ChangeBaud97(METER, 256), ChangePassword97(METER, "1", "12345678"), ClearDemand97(METER, "abcdefgh"),
     ReadFollow97(METER, 0x10000), WriteAddress97(METER, "1")],
)  # fmt: skip
def test_impossible_requests_are_our_mistake(command) -> None:
    with pytest.raises(ProtocolMisuse):
        command.to_frame()


def test_secrets_are_shown_neither_by_the_command_nor_by_the_explanation() -> None:
    change = ChangePassword97(METER, "87654321", "12345678")
    assert "4321" not in repr(change)
    assert "4321" not in repr([Done97(METER, 0x0F, bytes.fromhex("21436587")), ClearDemand97(METER, "87654321")])
    for command in (change, ClearDemand97(METER, "87654321")):
        told = explain(encode(command.to_frame()))
        assert told.edition == "1997"
        assert not any(b"\x21\x43" in row.data for row in told.rows)


def test_the_explanation_knows_follow_up_and_reread() -> None:
    told = explain(encode(frame(0xA1, "1F90 01000000")))
    assert told.problems == ()
    assert any("join it with what 02H brings" in row.text_en for row in told.rows)
    told = explain(encode(frame(0x83, "1090 01000000")))
    assert [one.text_en for one in told.values] == ["0.01 kWh"] or told.edition == "2007"


@given(st.integers(0, 255), st.binary(max_size=24))
def test_no_data_makes_reading_fail_in_another_way(control: int, data: bytes) -> None:
    with suppress(ValueFormatError):
        assert parse_request_97(Frame(METER, control, data)).to_frame() == Frame(METER, control, data)
    with suppress(ValueFormatError):
        assert parse_reply_97(Frame(METER, control, data)).to_frame() == Frame(METER, control, data)
