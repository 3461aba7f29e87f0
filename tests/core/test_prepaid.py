"""Local fee control on the wire: every request and reply against bytes on paper, every error bit, every explanation."""

from dataclasses import FrozenInstanceError
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.dlt645.commands import reply_value
from core.dlt645.explain import explain
from core.dlt645.frame import Frame, encode, parse
from core.dlt645.identifiers import decode_value
from core.dlt645.prepaid import (
    REQUESTS,
    Account,
    AuthenticateIdentity,
    Credit,
    EndAuthentication,
    IdentityReply,
    OpenAccount,
    Purchase,
    QueryStatus,
    Recharge,
    SetValidity,
    Status,
    read_request,
)
from core.dlt645.replies import Refused, parse_reply
from core.dlt645.requests import parse_request
from core.dlt645.security import SERR, Serr
from core.dlt645.service import Authenticate
from core.errors import MeterRefused, ProtocolMisuse, ValueFormatError
from tests.core import frame_oracle
from tests.core.codec_checks import synthetic

METER, OTHER, CUSTOMER, WHO = "201412345678", "201412345679", "000000123456", "00000001"
CREDIT = Credit(5000, 3, CUSTOMER)
MAC_1, MAC_2 = bytes.fromhex("DDCCBBAA"), bytes.fromhex("44332211")
MONEY = "88130000 03000000 DDCCBBAA 563412000000 44332211"

# request, its data on paper, the data of a normal reply on paper
CASES = [
    (AuthenticateIdentity(METER, bytes(range(8)), b"\x11" * 8, b"\x22" * 8, operator=WHO),
     "FF000007 01000000 0001020304050607 1111111111111111 2222222222222222", "FF000007 A1A2A3A4 3132333435363738"),
    (SetValidity(METER, 30, MAC_1), "FF010007 00000000 3000 DDCCBBAA", "FF010007"),
    (EndAuthentication(METER), "FF020007 00000000", "FF020007 563412000000 5B1B0000 03000000 00000000"),
    (OpenAccount(METER, CREDIT, MAC_1, MAC_2), f"FF010107 00000000 {MONEY}", "FF010107"),
    (Recharge(METER, CREDIT, MAC_1, MAC_2, operator=WHO), f"FF020107 01000000 {MONEY}", "FF020107"),
    (QueryStatus(METER), "FF028107 00000000",
     "FF028107 5B1B0000 0A0B0C0D 03000000 1A1B1C1D 563412000000 01020304"),
]  # fmt: skip
IDS = [type(row[0]).__name__ for row in CASES]


def on_paper(control: int, data: str, address: str = METER) -> bytes:
    return frame_oracle.build(frame_oracle.Seen(address, control, data.replace(" ", "").lower()))


@pytest.mark.parametrize(("request_", "data", "reply"), CASES, ids=IDS)
def test_a_request_is_sent_and_read_as_on_paper(request_: Any, data: str, reply: str) -> None:
    assert encode(request_.to_frame(), 0) == on_paper(0x03, data)
    assert read_request(parse_request(parse(on_paper(0x03, data)))) == request_
    assert request_.match(parse(on_paper(0x83, reply)))
    assert request_.match(parse(on_paper(0xC3, "0200")))
    for wrong in (on_paper(0x83, reply, OTHER), on_paper(0x83, reply + "00"), on_paper(0x83, "FFFF0007" + reply[8:]),
                  on_paper(0x03, data), on_paper(0x83, reply[:-2]), on_paper(0xC3, "020000")):  # fmt: skip
        assert not request_.match(parse(wrong))


def test_the_lengths_are_those_of_the_table() -> None:
    assert {f"{di:08X}": 8 + kind.PAYLOAD_BYTES for di, kind in REQUESTS.items()} == {
        "070000FF": 0x20, "070001FF": 0x0E, "070002FF": 8, "070101FF": 0x1E, "070102FF": 0x1E, "078102FF": 8,
    }  # fmt: skip


def test_the_synthetic_recharge_is_typed() -> None:
    (vector,) = [v for v in synthetic() if v["meaning"].startswith("recharge 50.00")]
    frame = parse(bytes.fromhex(vector["hex"]))
    command = read_request(parse_request(frame))
    assert command == Recharge(METER, CREDIT, MAC_1, MAC_2, operator=WHO)
    replies = {v["meaning"]: parse(bytes.fromhex(v["hex"])) for v in synthetic() if v["meaning"].startswith("recharge")}
    assert reply_value(command, replies["recharge OK"]) == b""
    for meaning, serr in (("refused: repeat recharge (SERR bit1)", Serr.REPEATED),
                          ("refused: purchase-count error (SERR bit5)", Serr.COUNT)):  # fmt: skip
        with pytest.raises(MeterRefused, match=f"SERR {serr:04X}H: {SERR[serr.bit_length() - 1][0]}") as refusal:
            reply_value(command, replies[f"recharge {meaning}"])
        assert Serr(refusal.value.err) == serr


def test_replies_are_read_and_written_as_on_paper() -> None:
    said = {kind: bytes.fromhex(row[2][8:]) for row, kind in zip(CASES, IDS, strict=True)}
    identity, account = IdentityReply.read(said["AuthenticateIdentity"]), Account.read(said["EndAuthentication"])
    status = Status.read(said["QueryStatus"])
    assert identity == IdentityReply(bytes.fromhex("A1A2A3A4"), b"12345678")
    assert account == Account(CUSTOMER, 7003, 3)
    assert (status.remaining_fen, status.count, status.customer) == (7003, 3, CUSTOMER)
    assert (status.remaining_mac.hex(), status.count_mac.hex(), status.keys.hex()) == (
        "0a0b0c0d", "1a1b1c1d", "01020304",
    )  # fmt: skip
    kinds = {"AuthenticateIdentity": identity, "EndAuthentication": account, "QueryStatus": status}
    for name, reply in kinds.items():
        assert reply.to_bytes() == said[name]
        with pytest.raises(ValueFormatError):
            type(reply).read(said[name] + b"\0")


@pytest.mark.parametrize("wire", ["1600", "1000"])
def test_a_purchase_record_counts_in_bcd_or_in_binary(wire: str) -> None:
    data = bytes.fromhex(f"3012241126 {wire} 00500000 03200000 03700000 03700000")
    record = Purchase.read(data)
    assert (record.amount_fen, record.before_fen, record.after_fen) == (5000, 2003, 7003)
    assert record.is_of(16)
    assert [n for n in range(1, 100) if record.is_of(n)] == ([16, 22] if wire == "1600" else [10, 16])
    if wire == "1600":
        assert decode_value(0x0333FF01, data)[1:5] == (16, 5000, 2003, 7003)
        assert Purchase(b"\x16\0", 1, 0, 1).is_of(120_016)
    for wrong in (data[:-1], data + b"\0", b"\xff" * 23):
        with pytest.raises(ValueFormatError):
            Purchase.read(wrong)


BITS = [
    (0, Serr.OTHER, "other error", "其他错误"),
    (1, Serr.REPEATED, "repeated recharge", "重复充值"),
    (2, Serr.ESAM, "ESAM verification failed", "ESAM验证失败"),
    (3, Serr.IDENTITY, "identity authentication failed", "身份认证失败"),
    (4, Serr.CUSTOMER, "customer number does not match", "客户编号不匹配"),
    (5, Serr.COUNT, "wrong recharge count", "充值次数错误"),
    (6, Serr.HOARDING, "purchase exceeds the hoarding limit", "购电超囤积"),
    (7, Serr.FILE, "address or file error", "地址或文件错误"),
    (8, Serr.SUSPENDED, "remote authentication suspended", "远程认证挂起"),
    (9, Serr.TERMINAL_CLOSE, "terminal close failed", "终端合闸失败"),
    (15, Serr.PASSWORD, "password setting error", "设置密码错误"),
]


@pytest.mark.parametrize(("bit", "serr", "en", "zh"), BITS)
def test_every_bit_of_the_error_word_has_its_name(bit: int, serr: Serr, en: str, zh: str) -> None:
    wire = on_paper(0xC3, f"{1 << bit & 0xFF:02x}{1 << bit >> 8:02x}")
    refused = parse_reply(parse(wire))
    assert refused == Refused(METER, 3, serr, 2)
    assert refused.reasons == ((en, zh),)
    assert explain(wire).error_en == f"SERR {serr:04X}H: {en}"
    assert explain(wire).error_zh == f"SERR {serr:04X}H：{zh}"
    with pytest.raises(MeterRefused, match=f"SERR {serr:04X}H: {en}$"):
        reply_value(QueryStatus(METER), parse(wire))


def test_the_error_word_has_no_other_names_and_shows_all_its_bits() -> None:
    assert {1 << bit for bit in SERR} == {int(bit) for bit in Serr} == {1 << row[0] for row in BITS}
    told = explain(on_paper(0xC3, "2214"))
    assert told.error_en == "SERR 1422H: repeated recharge, wrong recharge count, bit 10, bit 12"
    assert told.error_zh == "SERR 1422H：重复充值，充值次数错误，位10，位12"


def shown(control: int, data: str) -> tuple[dict[str, str], dict[str, Any], Any]:
    told = explain(on_paper(control, data))
    rows = {row.name_zh: row.text_zh for row in told.rows}
    return rows, {one.name_en: (one.value, one.unit) for one in told.values}, told


def test_every_request_and_reply_is_explained_without_complaint() -> None:
    for _, data, reply in CASES:
        for control, text in ((0x03, data), (0x83, reply)):
            told = explain(on_paper(control, text))
            assert told.error_en is None
            assert sum(len(row.data) for row in told.rows) == 12 + len(bytes.fromhex(text))
            assert not any(row.text_en.startswith("layout") for row in told.rows)


def test_an_explained_purchase_and_status_carry_their_values() -> None:
    rows, values, _ = shown(0x03, CASES[4][1])
    assert values == {"amount": (5000, "fen"), "purchase count": (3, ""), "customer number": (CUSTOMER, "")}
    assert (rows["数据标识"], rows["购电金额"], rows["客户编号"]) == ("070102FF，充值", "50.00 元", CUSTOMER)
    rows, values, _ = shown(0x83, CASES[5][2])
    assert values["remaining amount"] == (7003, "fen")
    assert rows["剩余金额"] == "70.03 元"
    _, values, _ = shown(0x03, CASES[1][1])
    assert values == {"validity": (30, "min")}


@pytest.mark.parametrize(
    ("control", "data", "complaint"),
    [
        (0x03, "FF020107 01000000 88130000", "data of 4 bytes, expected 22"),
        (0x03, "FF020107 01000000", "data of 0 bytes, expected 22"),
        (0x83, "FF000007 A1A2A3A4", "data of 4 bytes, expected 12"),
        (0x83, "FF020107 00", "data of 1 bytes, expected 0"),
        (0x03, "FF020107 0100", "data of 6 bytes, expected 8"),
        (0x03, "FF020107 01000000 88130000 03000000 DDCCBBAA 56341200000A 44332211",
         "customer number is not BCD: 0A0000123456"),
    ],
)  # fmt: skip
def test_a_wrong_length_or_digit_is_said(control: int, data: str, complaint: str) -> None:
    told = explain(on_paper(control, data))
    assert told.error_en == complaint
    assert not told.error_zh.isascii()


@pytest.mark.parametrize(
    "data",
    ["FF020107 01000000 88130000", "FF028107 00000000 00", "FF010207 00000000", "FF010007 00000000 3A00 DDCCBBAA",
     "FF020107 01000000 88130000 03000000 DDCCBBAA 56341200000A 44332211"],
)  # fmt: skip
def test_what_is_no_request_of_local_fee_control_is_refused(data: str) -> None:
    seen = parse_request(Frame(METER, 0x03, bytes.fromhex(data)))
    assert isinstance(seen, Authenticate)
    with pytest.raises(ValueFormatError):
        read_request(seen)


@pytest.mark.parametrize(
    "make",
    [lambda: Credit(1 << 32, 1, CUSTOMER), lambda: Credit(1, -1, CUSTOMER), lambda: Credit(1, 1, "AA" + "0" * 10),
     lambda: Credit(1, 1, "12"), lambda: Recharge(METER, CREDIT, bytes(3), MAC_2).to_frame(),
     lambda: AuthenticateIdentity(METER, bytes(8), bytes(7), bytes(8)).to_frame(),
     lambda: SetValidity(METER, 10_000, MAC_1).to_frame(), lambda: IdentityReply(bytes(5), bytes(8)).to_bytes()],
)  # fmt: skip
def test_what_cannot_travel_is_our_mistake(make: Any) -> None:
    with pytest.raises(ProtocolMisuse):
        make()


@given(st.integers(0, 0xFFFFFFFF), st.integers(0, 0xFFFFFFFF), st.binary(min_size=8, max_size=8))
def test_amount_and_count_are_binary_low_byte_first(amount_fen: int, count: int, macs: bytes) -> None:
    command = Recharge(METER, Credit(amount_fen, count, CUSTOMER), macs[:4], macs[4:])
    data = frame_oracle.only_frame(encode(command.to_frame(), 0)).data
    pairs = [data[at : at + 2] for at in range(16, 32, 2)]
    assert int("".join(reversed(pairs[:4])), 16) == amount_fen
    assert int("".join(reversed(pairs[4:])), 16) == count
    assert read_request(parse_request(command.to_frame())) == command


def test_ciphers_and_macs_stay_out_of_a_log() -> None:
    text = repr([row[0] for row in CASES])
    assert "\\xdd" not in text
    assert repr(bytes(range(8))) not in text
    with pytest.raises(FrozenInstanceError):
        CASES[4][0].mac_1 = b""
