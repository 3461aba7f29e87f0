"""The rarer requests and the typed replies: bytes, matching, and reading back."""

from collections import Counter
from contextlib import suppress
from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.dlt645 import service
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
    reply_value,
)  # fmt: skip
from core.dlt645.frame import Frame, encode, parse
from core.dlt645.replies import Baud, Data, Done, Named, Output, Refused, Reply, parse_reply
from core.dlt645.requests import parse_request
from core.dlt645.service import (
    Authenticate,
    ChangeBaud,
    ChangePassword,
    ClearDemand,
    ClearEvents,
    ClearMeter,
    Freeze,
    ReadRecords,
    SealedControl,
    Terminal,
    WriteAddress,
)  # fmt: skip
from core.errors import ProtocolMisuse, ValueFormatError
from tests.core.codec_checks import captured, in_scope, synthetic

METER, OTHER, ANY, ALL = "201412345678", "201412345679", "A" * 12, "9" * 12
WHO = Password(2, "123456")
NOON = datetime(2026, 11, 24, 12, 30)  # noqa: DTZ001 civil time

# command, its data on paper, a normal reply, one that is not its own
CASES = [
    (Read(METER, 0x00010000), "00000100", (0x91, "00000100 78563412"), (0x91, "00000200 78563412")),
    (ReadRecords(METER, 0x06010002, 3), "02000106 03", (0xB1, "02000106 A0A0"), (0x91, "01000106 A0A0")),
    (ReadRecords(METER, 0x06010001, 1, NOON), "01000106 01 3012241126", (0x91, "01000106"), (0x91, "")),
    (ReadFollow(METER, 0x00010000, 2), "00000100 02", (0x92, "00000100 11 02"), (0x92, "00000100 11 01")),
    (ReadAddress(METER), "", (0x93, "785634121420"), (0x93, "7856")),
    (Write(METER, 0x04001001, b"\0\x10\0\0", WHO, "00000001"), "01100004 02563412 01000000 00100000", (0x94, ""),
     (0x9C, "")),
    (Authenticate(METER, 0x078102FF, operator="00000001"), "FF028107 01000000", (0x83, "FF028107" + "00" * 26),
     (0x83, "FF018107")),
    (BroadcastTime(NOON, METER), "003012 241126", (0x88, ""), (0x96, "")),
    (WriteAddress(ANY, METER), "785634121420", (0x95, ""), (0x93, "")),
    (Freeze(METER), "99999999", (0x96, ""), (0x96, "99")),
    (Freeze(METER, hour=0, minute=5), "05009999", (0x96, ""), (0x88, "")),
    (ChangeBaud(METER, 9600), "20", (0x97, "20"), (0x97, "10")),
    (ChangePassword(METER, WHO, Password(3, "654321")), "040C0004 02563412 03214365", (0x98, "03214365"),
     (0x98, "02563412")),
    (ClearDemand(METER, WHO), "02563412 00000000", (0x99, ""), (0x9A, "")),
    (ClearMeter(METER, WHO), "02563412 00000000", (0x9A, ""), (0x9B, "")),
    (ClearMeter(METER, Password(98), cipher=bytes(20)), "98000000 00000000" + "00" * 20, (0x9A, ""), (0x9B, "")),
    (ClearEvents(METER, WHO), "02563412 00000000 FFFFFFFF", (0x9B, ""), (0x9A, "")),
    (RelayControl(METER, RelayAction.TRIP_AND_RESTORE, NOON, WHO, restore_steps=6),
     "02563412 00000000 1D06 003012241126", (0x9C, ""), (0x9B, "")),
    (SealedControl(METER, Password(98), bytes(20)), "98000000 00000000" + "00" * 20, (0x9C, "0400"), (0x9C, "04")),
    (Terminal(METER, 2), "02", (0x9D, "02"), (0x9D, "01")),
]  # fmt: skip


def frame(control: int, data: str, address: str = METER) -> Frame:
    return Frame(address, control, bytes.fromhex(data))


@pytest.mark.parametrize(("command", "data", "right", "wrong"), CASES)
def test_a_request_has_its_bytes_and_knows_its_reply(
    command: Command, data: str, right: tuple[int, str], wrong: tuple[int, str]
) -> None:
    assert command.to_frame().data == bytes.fromhex(data)
    assert command.expects_reply
    assert command.match(frame(*right))
    assert not command.match(frame(*wrong))
    assert not command.match(frame(*right, address=OTHER))
    assert not command.match(frame(right[0] & 0x7F, right[1]))


@pytest.mark.parametrize("command", [row[0] for row in CASES], ids=lambda command: type(command).__name__)
def test_a_request_is_read_back_and_its_refusal_known(command: Command) -> None:
    request = command.to_frame()
    assert parse_request(request) == command
    refusal = frame(request.control | 0xC0, "02")
    assert command.match(refusal) == (request.control not in {0x13, 0x15})  # these two refuse by silence


def test_every_control_code_of_2007_is_read_both_ways() -> None:
    codes = {0x03, 0x08, *range(0x11, 0x1E)}
    assert {row[0].to_frame().control for row in CASES} == codes
    assert {row[2][0] & 0x1F for row in CASES} == codes
    for control in set(range(256)) - codes:
        with pytest.raises(ValueFormatError, match=f"{control:02X}H"):
            parse_request(frame(control, "00" * 16))


@pytest.mark.parametrize(("command", "reply"), [(row[0], row[2]) for row in CASES])
def test_a_reply_is_typed_without_its_request(command: Command, reply: tuple[int, str]) -> None:
    got = parse_reply(frame(*reply))
    kinds = {0x91: Data, 0xB1: Data, 0x92: Data, 0x83: Data, 0x93: Named, 0x97: Baud, 0x9D: Output}
    assert type(got) is kinds.get(reply[0], Done)
    if isinstance(got, Data):
        assert got.data == reply_value(command, frame(*reply))


def test_replies_say_what_they_hold() -> None:
    assert parse_reply(frame(0xB2, "00000100 1122 05")) == Data(METER, 0x00010000, b"\x11\x22", 5, True, 0x12)
    assert parse_reply(frame(0x93, "674860100000")) == Named(METER, "000010604867")
    assert parse_reply(frame(0x97, "08")) == Baud(METER, 2400)
    assert parse_reply(frame(0x9C, "0801")).execution == (("delayed trip (timer)", "延时跳闸(延时时间)"),
                                                         ("keep power", "保电"))  # fmt: skip
    assert parse_reply(frame(0xC3, "2000")) == Refused(METER, 3, 0x20, 2)
    assert parse_reply(frame(0xC3, "2000")).reasons == (("wrong recharge count", "充值次数错误"),)
    assert parse_reply(frame(0xDC, "20")).reasons == (("too many slots of the day", "日时段数超"),)
    assert parse_reply(frame(0xDC, "2000")).reasons == (("trip failed (keep power)", "跳闸失败(保电)"),)


# what a meter says, and its bytes on paper
SAID = [
    (Data(METER, 0x00010000, b"\x78\x56"), 0x91, "00000100 7856"),
    (Data(METER, 0x03300201, b"\x11", more=True), 0xB1, "01023003 11"),
    (Data(METER, 0x03300201, b"\x22", 1, True, 0x12), 0xB2, "01023003 22 01"),
    (Data(METER, 0x03300201, b"", 255, False, 0x12), 0x92, "01023003 FF"),
    (Data(METER, 0x070102FF, b"", function=0x03), 0x83, "FF020107"),
    (Named(METER, "000010604867"), 0x93, "674860100000"),
    *((Done(METER, function), function | 0x80, "") for function in (0x08, 0x14, 0x15, 0x16, 0x19, 0x1A, 0x1B, 0x1C)),
    (Done(METER, 0x18, b"\x03\x21\x43\x65"), 0x98, "03214365"),
    (Done(METER, 0x1C, b"\x04\x00"), 0x9C, "0400"),
    (Baud(METER, 9600), 0x97, "20"),
    (Output(METER, 2), 0x9D, "02"),
    *((Refused(METER, function, 2), function | 0xC0, "02")
      for function in (0x08, 0x11, 0x12, 0x14, 0x16, 0x17, 0x18, 0x19, 0x1A, 0x1B, 0x1C, 0x1D)),
    (Refused(METER, 0x03, 0x0200, 2), 0xC3, "0002"),
    (Refused(METER, 0x1C, 0x0020, 2), 0xDC, "2000"),
]  # fmt: skip


@pytest.mark.parametrize(("said", "control", "data"), SAID)
def test_a_meter_writes_its_replies(said: Reply, control: int, data: str) -> None:
    assert said.to_frame() == frame(control, data)
    assert parse_reply(frame(control, data)) == said


def test_an_action_that_no_relay_knows_is_our_mistake() -> None:
    with pytest.raises(ProtocolMisuse, match="relay action 153 is not known"):
        RelayControl(METER, 0x99, NOON, Password()).to_frame()  # type: ignore[arg-type]


def test_every_control_code_is_answered_and_refused_by_a_typed_reply() -> None:
    codes = {0x03, 0x08, *range(0x11, 0x1E)}
    assert {row[1] & 0x1F for row in SAID if not row[1] & 0x40} == codes
    assert {row[1] & 0x1F for row in SAID if row[1] & 0x40} == codes - {0x13, 0x15}  # these two refuse by silence


@pytest.mark.parametrize(
    "said",
    [Data(METER, 1, b"", seq=1), Data(METER, 1, b"", function=0x12), Data(METER, 1, b"", 0, False, 0x12),
     Data(METER, 1, b"", 256, False, 0x12), Data(METER, 1, b"", function=0x14), Done(METER, 0x11),
     Done(METER, 0x14, b"1"), Baud(METER, 300), Refused(METER, 0x13, 1), Refused(METER, 0x15, 1),
     Refused(METER, 0x03, 1), Refused(METER, 0x11, 1, 2), Refused(METER, 0x1E, 1), Named(METER, "1")],
)  # fmt: skip
def test_what_no_meter_says_is_our_mistake(said: Reply) -> None:
    with pytest.raises(ProtocolMisuse):
        said.to_frame()


def test_captured_and_synthetic_replies_are_read_and_sent_again_byte_for_byte() -> None:
    kinds = Counter()
    for vector in [v for v in captured() if in_scope(v)] + synthetic():
        if vector["direction"] != "response":
            continue
        wire = bytes.fromhex(vector["hex"])
        said = parse_reply(parse(wire))
        assert encode(said.to_frame(), vector["decoded"].get("preamble_fe", 0)) == wire
        kinds[type(said).__name__] += 1
    assert kinds == {"Data": 82, "Refused": 10, "Named": 4, "Done": 2, "Baud": 1}


@pytest.mark.parametrize(
    ("control", "data"),
    [(0x91, "000001"), (0x92, "00000100"), (0x94, "00"), (0x9C, "01"), (0x97, "18"), (0xD1, ""), (0xD1, "000000"),
     (0x11, "00000100"), (0x81, "1090"), (0x93, "6748601000AA"), (0xB4, ""), (0xB3, "674860100000"), (0xF1, "02"),
     (0xBC, "0400"), (0xB8, "02222222"), (0xD3, "01"), (0xD5, "01"), (0xC3, "02"), (0xD1, "0200"), (0xDA, "0200"),
     (0x92, "00000100 1122 00"), (0xB7, "08"), (0xBD, "02")],
)  # fmt: skip
def test_what_is_no_reply_is_refused(control: int, data: str) -> None:
    with pytest.raises(ValueFormatError):
        parse_reply(frame(control, data))


@pytest.mark.parametrize(
    ("control", "data"),
    [(0x11, "000001"), (0x11, "00000100 0000"), (0x12, "00000100 00"), (0x13, "00"), (0x14, "01100004 02563412 01"),
     (0x08, "0030122411"), (0x17, "18"), (0x16, "0000"), (0x16, "05009901"), (0x18, "050C0004 02563412 03214365"),
     (0x1C, "02563412 00000000 7700 003012241126"), (0x1C, "02563412 00000000 1A00 000000000000"),
     (0x1C, "0256341A 00000000 1A00 003012241126"), (0x19, "02563412"), (0x15, "AAAAAAAAAAAA"), (0x1D, "")],
)  # fmt: skip
def test_what_is_no_request_is_refused(control: int, data: str) -> None:
    with pytest.raises(ValueFormatError):
        parse_request(frame(control, data))


def test_captured_requests_are_read_and_sent_again_byte_for_byte() -> None:
    kinds = Counter()
    for vector in [v for v in captured() if in_scope(v)] + synthetic():
        if vector["direction"] != "request":
            continue
        wire = bytes.fromhex(vector["hex"])
        preamble = vector["decoded"].get("preamble_fe", 0)
        try:
            command = parse_request(parse(wire))
        except ValueFormatError:
            kinds["impossible date"] += 1
            continue
        assert encode(command.to_frame(), preamble) == wire
        kinds[type(command).__name__] += 1
    assert kinds == {
        "Read": 36, "ReadAddress": 4, "Write": 2, "BroadcastTime": 2, "RelayControl": 4, "impossible date": 3,
        "ReadFollow": 1, "Authenticate": 1, "Freeze": 1, "ChangeBaud": 1,
    }  # fmt: skip


@given(st.sampled_from((0x03, 0x08, *range(0x11, 0x1E))), st.binary(max_size=30))
def test_no_data_makes_reading_fail_in_another_way(control: int, data: bytes) -> None:
    try:
        command = parse_request(Frame(METER, control, data))
    except ValueFormatError:
        command = None
    assert command is None or command.to_frame() == Frame(METER, control, data)
    for reply in (Frame(METER, control | 0x80, data), Frame(METER, control | 0xC0, data)):
        with suppress(ValueFormatError):
            said = parse_reply(reply)
            if not isinstance(said, Refused):  # a meter may refuse with a size that no standard has
                assert said.to_frame() == reply


@pytest.mark.parametrize(
    "command",
    [Freeze(METER, month=1), Freeze(METER, day=1, hour=99, minute=5), Freeze(METER, day=29, hour=0, minute=0),
     Freeze(METER, hour=24, minute=0), ChangeBaud(METER, 300), ChangeBaud(METER, 4801), Terminal(METER, 3),
     ClearEvents(METER, WHO, di=0x03300001), ClearMeter(METER, WHO, cipher=bytes(19)), ReadRecords(METER, 1, 0),
     SealedControl(METER, WHO, b""), ChangePassword(METER, Password(4), Password(3)), ReadRecords(METER, 1 << 32, 1),
     ChangePassword(METER, Password(0), Password(10)), ClearDemand(METER, WHO, "1"),
     RelayControl(METER, RelayAction.TRIP_AND_RESTORE, NOON, WHO, restore_steps=256)],
)  # fmt: skip
def test_impossible_requests_are_our_mistake(command: Command) -> None:
    with pytest.raises(ProtocolMisuse):
        command.to_frame()


def test_broadcasts_are_never_answered_and_secrets_never_shown() -> None:
    for command in (Freeze(ALL), Terminal(ALL, 1)):
        assert not command.expects_reply
        assert not command.match(frame(command.FUNCTION | 0x80, ""))
    shown = repr([ChangePassword(METER, WHO, Password(3, "654321")), ClearMeter(METER, WHO, cipher=b"\x77" * 20)])
    assert "123456" not in shown.replace(METER, "")
    assert "654321" not in shown
    assert "w" * 20 not in shown
    assert service.ALL_EVENTS == 0xFFFFFFFF
