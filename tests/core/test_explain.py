"""Frames explained: every vector in value, every defect named, nothing that makes it fail."""

from collections import Counter
from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.dlt645.explain import Explanation, explain
from core.dlt645.frame import Frame, encode, parse
from core.dlt645.status import status_names
from core.errors import FrameError
from tests.core.codec_checks import captured, stated_values, synthetic
from tests.core.frame_oracle import only_frame

METER = "201412345678"


def of(control: int, data: str, address: str = METER) -> Explanation:
    return explain(encode(Frame(address, control, bytes.fromhex(data)), 0))


def texts(told: Explanation) -> dict[str, str]:
    return {row.name_en: row.text_en for row in told.rows}


def texts_zh(told: Explanation) -> dict[str, str]:
    return {row.name_zh: row.text_zh for row in told.rows}


@pytest.mark.parametrize("vector", captured(), ids=lambda v: v["hex"][:40])
def test_a_captured_frame_is_explained_as_its_vector_states(vector: dict) -> None:
    told, want = explain(bytes.fromhex(vector["hex"])), vector["decoded"]
    assert (told.address, f"{told.control:02X}") == (want["address"], want["control"])
    assert told.checksum_ok is want["checksum_ok"] is told.is_sound
    assert told.identifier == want.get("di", want.get("di97"))
    if want.get("protocol") == "1997":
        assert told.edition == "1997"
    if "err" in want:
        assert told.err == want["err"]
        assert told.error_en.startswith(f"ERR {want['err']}H: ")


def test_the_values_of_eighty_eight_replies_are_told_as_stated() -> None:
    compared = Counter()
    for vector in captured():
        want, told = vector["decoded"], explain(bytes.fromhex(vector["hex"]))
        if not told.control & 0x80 or not told.values or not want["checksum_ok"]:
            continue
        rows = want.get("value")
        stated = (rows,) if isinstance(rows, str) else stated_values(vector)
        if stated is None:
            continue
        assert tuple(one.value for one in told.values) == stated, vector["hex"]
        compared[told.edition] += 1
    assert compared == {"2007": 67, "1997": 20}


def test_the_editions_are_told_apart() -> None:
    editions = Counter(explain(bytes.fromhex(vector["hex"])).edition for vector in captured())
    assert editions == {"2007": 134, "1997": 41, "": 4}


@pytest.mark.parametrize(
    ("control", "data", "complaint"),
    [(0xD4, "", "0 bytes"), (0xD1, "", "0 bytes"), (0xD1, "020304", "3 bytes"), (0xC3, "02", None)],
)
def test_a_malformed_refusal_is_called_malformed(control: int, data: str, complaint: str | None) -> None:
    told = of(control, data)
    assert told.is_sound
    if complaint is None:
        assert told.error_en is not None
        assert "a refusal has" not in told.error_en
        return
    assert f"a refusal has 1 or 2 bytes, not {complaint[0]}" in told.error_en
    assert f"异常应答应为1或2字节，收到{complaint[0]}字节" in told.error_zh
    assert told.err == (data and "040302") or told.err is None


def test_a_repeated_read_of_1997_is_not_taken_for_security() -> None:
    told = of(0x83, "1090 01000000")
    assert (told.edition, told.identifier, told.values[0].value) == ("1997", "9010", 10)  # 0.01 kWh in Wh
    assert of(0x83, "FF000007 11223344 55667788").edition == "2007"
    assert of(0xC3, "0200").edition == "2007"


def test_synthetic_frames_are_sound_and_only_refusals_and_one_value_complain() -> None:
    complaints = {}
    for vector in synthetic():
        told = explain(bytes.fromhex(vector["hex"]))
        assert told.is_sound
        if told.error_en:
            complaints[vector["meaning"]] = told.error_en
    assert complaints == {
        "follow-up abnormal: no data": "ERR 02H: no such data",
        "control refused: password/unauthorised": "ERR 04H: wrong password or not authorised",
        "recharge refused: repeat recharge (SERR bit1)": "SERR 0002H: repeated recharge",
        "recharge refused: purchase-count error (SERR bit5)": "SERR 0020H: wrong recharge count",
        "baud change refused": "ERR 08H: baud rate cannot be changed",
        "non-BCD nibble in value (must be rejected)": "value cannot be read: not BCD: 0A 00 00 00 (low byte first)",
    }


def test_a_frame_cut_anywhere_says_that_it_is_short() -> None:
    wire = bytes.fromhex("6812907856341268910833333433AB896745CC16")
    for size in range(len(wire)):
        told = explain(wire[:size])
        assert not told.is_sound
        assert told.error_zh
        assert not told.checksum_ok


@pytest.mark.parametrize(
    ("wire", "complaint"),
    [
        ("", "no bytes of a frame"),
        ("16", "does not start with 68H but with 16H"),
        ("00 68 11", "the first 68H is byte 2"),
        ("68 61 01 00 00 00 00 69 11", "second 68H missing: 69H"),
        ("68 61 01 00 00 00", "short: 6 bytes"),
        ("68 61 01 00 00 00 00 68 11 04 33 33 34", "L = 4 needs 16 bytes, 3 missing"),
        ("68 61 01 00 00 00 00 68 11 04 33 33 34 33 15 16", "checksum: expected 14H, got 15H"),
        ("68 61 01 00 00 00 00 68 11 04 33 33 34 33 AC 16", "(the first 68H was left out)"),
        ("FE 68 61 01 00 00 00 00 68 11 04 33 33 34 33 12 16", "(the waking FE bytes were counted)"),
        ("68 61 01 00 00 00 00 68 11 04 33 33 34 33 14 17", "missing 16H at the end: got 17H"),
        ("68 61 01 00 00 00 00 68 11 04 33 33 34 33 14 16 FE 00", "2 trailing bytes"),
    ],
)
def test_what_is_wrong_is_said(wire: str, complaint: str) -> None:
    told = explain(bytes.fromhex(wire))
    assert complaint in told.error_en
    assert not told.error_zh.isascii()
    assert not told.is_sound


@given(st.binary(max_size=40) | st.binary(max_size=30).map(lambda tail: bytes.fromhex("68610100000000 68") + tail))
def test_explaining_never_fails_and_complains_exactly_when_parsing_does(wire: bytes) -> None:
    told = explain(wire)
    try:
        parse(wire)
    except FrameError:
        assert not told.is_sound
    else:
        assert told.is_sound
    assert told.is_sound == (only_frame(wire) is not None)


@given(st.integers(0, 255), st.binary(max_size=60))
def test_no_data_field_makes_explaining_fail(control: int, data: bytes) -> None:
    told = of(control, data.hex())
    assert told.is_sound
    shown = sum(len(row.data) for row in told.rows)
    assert shown <= len(data) + 12


def test_passwords_are_not_shown() -> None:
    for control, data in ((0x14, "01100004 02563412 01000000 00100000"), (0x18, "030C0004 02563412 02563412"),
                          (0x14, "010C0004 02563412 01000000 02563412"), (0x98, "02563412")):  # fmt: skip
        told = of(control, data, "000000000161")
        assert "password" in " ".join(texts(told))
        assert all("563412" not in row.data.hex() and "123456" not in row.text_en for row in told.rows)


_DI_OF_PASSWORD, _WHO = "030C0004", "99 563412 01000000"


@pytest.mark.parametrize("level", ["99", "98", "96", "02"])
@pytest.mark.parametrize("secret", ["02665544", "026655", "02", "0266554433", "0266550A0B0C", "02665544 11223344"])
@pytest.mark.parametrize("control", [0x14, 0x91, 0xB1, 0x92, 0xB2])
def test_no_byte_of_a_password_is_shown_as_a_value(control: int, secret: str, level: str) -> None:
    who, seq = (f"{level}563412 01000000" if control == 0x14 else ""), ("01" if control in (0x92, 0xB2) else "")
    told = of(control, f"{_DI_OF_PASSWORD} {who} {secret} {seq}")
    _hides(told, bytes.fromhex(secret))


@pytest.mark.parametrize("change", range(-9, 10))
@pytest.mark.parametrize("control", [0x14, 0x18, 0x98, 0x1C, 0x91, 0x04, 0x0F])
def test_a_wrong_length_lets_no_password_out(control: int, change: int) -> None:
    data = {0x98: "02665544", 0x91: f"{_DI_OF_PASSWORD} 02665544", 0x0F: "02665544 02665544",
            0x04: "10C0 02665544"}.get(control, "030C0004 02665544 02665544")  # fmt: skip
    wire = bytearray(encode(Frame(METER, control, bytes.fromhex(data)), 0))
    if control == 0x91 and wire[9] + change < 4:
        return  # its identifier is cut too: nothing says that a password follows
    wire[9] = max(0, wire[9] + change)
    told = explain(bytes(wire))
    _hides(told, bytes.fromhex("665544"))
    assert not told.error_en or all(f"got {byte + 0x33:02X}H" not in told.error_en for byte in (0x66, 0x55, 0x44))


def _hides(told: Explanation, secret: bytes) -> None:
    open_ = {"checksum", *_OPEN} if told.checksum_ok else _OPEN
    plain, shown = set(secret[1:]), [row for row in told.rows if row.name_en not in open_]
    for row in shown:
        assert not plain & set(row.data), row
        assert not {(byte + 0x33) & 0xFF for byte in plain} & set(row.data), row
        assert all(f"{byte:02X}" not in row.text_en for byte in plain), row
    assert all(f"{byte:02X}" not in (told.error_en or "") for byte in plain if byte > 0x40)


_OPEN = {"address", "control code", "length", "identifier", "operator", "password level"}


def test_relay_control_is_told_piece_by_piece() -> None:
    told = of(0x1C, "02563412 01000000 1A00 595923311226")
    assert texts(told)["action"] == "1A trip"
    assert texts_zh(told)["控制命令"] == "1A 跳闸"
    assert texts(told)["deadline"] == "2026-12-31 23:59:59"
    assert texts(of(0x1C, "02563412 01000000 1A00 000000000000"))["deadline"] == "none (all zero)"
    assert of(0x1C, "02563412 01000000 7700 595923311226").error_en == "action 77H is unknown"


def test_sealed_relay_control_shows_level_and_ciphertext() -> None:
    told = of(0x1C, "98000000 01000000" + "11" * 20)
    assert told.error_en is None
    assert texts(told)["password level"] == "98 ciphertext with MAC"
    assert texts(told)["ciphertext and MAC"] == "11" * 20
    assert texts(of(0x9C, "0400"))["execution word"] == "direct trip"
    assert of(0xDC, "1000").error_en == "ERR 0010H: deadline invalid"


@pytest.mark.parametrize(
    ("data", "text"),
    [
        ("99999999", "at once"),
        ("30999999", "every hour at minute 30"),
        ("30129999", "every day at 12:30"),
        ("30120199", "every month on day 01 at 12:30"),
    ],
)
def test_freeze_times_are_read(data: str, text: str) -> None:
    assert texts(of(0x16, data))["freeze time"] == text
    assert of(0x16, data).error_en is None


@pytest.mark.parametrize(
    "data", ["30120111", "30124599", "30123299", "30240199", "60120199", "30990199", "3012AA99", "99129999"]
)
def test_what_is_no_freeze_time_is_said_to_be_none(data):
    assert "not a freeze time" in of(0x16, data).error_en
    assert "无效冻结时间" in of(0x16, data).error_zh


def test_the_other_commands_are_told() -> None:
    assert texts(of(0x17, "20"))["baud word"] == "9600 bd"
    assert of(0x17, "60").error_en == "baud word 60H: exactly one of bits 1 to 6 must be set"
    assert texts(of(0x1B, "02563412 01000000 FFFFFFFF"))["what to clear"] == "all events"
    assert texts(of(0x1D, "01"))["output"] == "01 demand period"
    assert texts(of(0x15, "785634121420"))["address"] == METER
    assert texts(of(0x12, "00FF0100 01"))["sequence number"] == "01"
    assert texts(of(0x92, "00FF0100 11223344 01"))["part of the data"] == "44332211"
    assert texts(of(0x11, "01000006 02 0008241126"))["from"] == "2026-11-24 08:00:00"
    assert of(0x08, "0352082311").error_en == "data of 5 bytes, expected 6"
    assert of(0x13, "00").error_en == "1 bytes more than the command has"


def test_a_recharge_shows_binary_amount_and_count() -> None:
    (vector,) = [v for v in synthetic() if v["meaning"].startswith("recharge 50.00")]
    told = texts(explain(bytes.fromhex(vector["hex"])))
    assert (told["amount"], told["purchase count"], told["customer number"]) == ("50.00 yuan", "3", "000000123456")


def test_values_are_shown_as_the_meter_does() -> None:
    def shown(data: str, control: int = 0x91) -> list[tuple[str, str]]:
        return [(one.text_en, one.text_zh) for one in of(control, data).values]

    assert shown("00000100 78563412") == [("123456.78 kWh", "123456.78 kWh")]
    assert shown("00010202 341280") == [("-1.234 A", "-1.234 A")]
    assert shown("00029000 56980100") == [("198.56 yuan", "198.56 元")]
    assert shown("00FF0102 0022FFFFFFFF")[1:] == [("not available", "无数据")] * 2
    assert shown("20008002 29660000") == [("0.6629 yuan/kWh", "0.6629 元/kWh")]
    assert shown("02010004 003012") == [("12:30:00", "12:30:00")]
    assert shown("10 90 48632400".replace(" ", ""), 0x81) == [("2463.48 kWh", "2463.48 kWh")]
    assert shown("11B62302", 0x81) == [("223 V", "223 V")]


def test_a_settlement_day_out_of_use_is_called_off() -> None:
    (shown,) = of(0x91, "020B0004 9999").values
    assert (shown.text_en, shown.text_zh, shown.value) == ("off", "停用", "day 99 hour 99")
    (shown,) = of(0x91, "020B0004 0001").values
    assert shown.text_en == "day 01 hour 00"


def test_status_bits_have_names_in_both_languages() -> None:
    told = of(0x91, "03050004 D002").values[0]
    assert told.text_en == "02D0H: relay open, relay commanded open, pre-trip alarm, prepaid by money"
    assert told.text_zh == "02D0H：继电器断开，继电器命令断，预跳闸报警，电费型预付费"
    assert status_names(3, 0b110) == ()
    assert status_names(3, 0b100) == (("on battery", "电池供电"),)
    assert status_names(7, 1 << 9) == (("meter cover open", "开表盖"),)
    assert status_names(1, 1 << 6) == ()  # means something else in every profile
    block = of(0x91, "FF050004" + "0000" * 2 + "1000" + "0000" * 3 + "2000").values
    assert [one.text_en for one in block][2::4] == ["0010H: relay open", "0020H: power failure"]


def test_mistaken_clients_are_recognised() -> None:
    told = [explain(bytes.fromhex(v["hex"])) for v in captured() if "client_bug" in v["decoded"]]
    found = [one.error_en for one in told]
    assert sum("twice: 0001FF00 was meant" in (text or "") for text in found) == 1
    assert of(0x11, "CDCDCECD").error_en == "the data was sent without the +33H offset: 00010000 was meant"


def test_program_records_of_a_real_meter_are_read() -> None:
    (vector,) = [v for v in captured() if v["decoded"].get("di") == "03300001"]
    values = explain(bytes.fromhex(vector["hex"])).values
    at = datetime(2016, 9, 6, 10, 4, 32)  # noqa: DTZ001 civil time
    assert [one.value for one in values] == [at, "00000000", *[None] * 10]


def test_what_has_no_plain_reading_is_shown_as_bytes() -> None:
    who = "99 563412 01000000"
    assert "value and MAC" in texts(of(0x14, f"01100004 {who} 00100000 11223344"))
    told = of(0x81, "1090 0A000000")
    assert (told.edition, told.values) == ("1997", ())
    assert "value cannot be read" in told.error_en
    told = of(0x11, "02000106 03 3012241126")
    assert (texts(told)["number of blocks"], texts(told)["from"]) == ("03", "2026-11-24 12:30:00")
    assert "a read has 4, 5 or 10 bytes, not 6" in of(0x11, "02000106 03 30").error_en
    assert "无效时间" in texts_zh(of(0x11, "02000106 03 3099241126"))["给定时间"]
    wire = bytearray(encode(Frame(METER, 0x11, bytes.fromhex("00000100")), 0))
    wire[1] = 0x0A
    assert "not BCD" in texts(explain(bytes(wire)))["address"]


def test_several_defects_are_joined_as_each_language_does():
    told = explain(bytes.fromhex("6812907856341268910733333433AB896745CC16"))
    assert (
        told.error_en
        == "checksum: expected 86H, got 45H; missing 16H at the end: got CCH; 1 trailing bytes after the frame"
    )
    assert told.error_zh == "校验和错：应为86H，收到45H；结束符不是16H而是CCH；帧后多出1字节"


@pytest.mark.parametrize(
    ("control", "data", "complaint", "complaint_zh"),
    [
        (0x1C, "02 000000 01000000 1A00 000000401399", "no date and time: 991340000000", "日期时间无效"),
        (0x11, "02000106 03 6112241126", "no date and time: 2611241261", "日期时间无效"),
        (0x11, "02000106 AB", "number of blocks is not BCD: AB", "负荷记录块数非BCD：AB"),
        (0x93, "0100000000AB", "address is not BCD: AB0000000001", "通信地址非BCD"),
        (0x92, "00000100 12345678 00", "sequence numbers count from 1", "帧序号应从1开始"),
        (0x14, "01100004 02000000 01000000", "a value is missing", "缺少数据"),
        (0x91, "00000100", "a value is missing", "缺少数据"),
        (0x9C, "010000", "an execution word has 2 bytes, not 3", "执行状态字应为2字节"),
        (0xB4, "", "only answers to reads have following frames", "仅读数据应答可有后续帧"),
        (0x1B, "02000000 01000000 00000003", "DI0 FFH: 03000000", "DI0应为FFH"),
    ],
)
def test_content_that_cannot_be_is_a_defect_in_both_languages(control, data, complaint, complaint_zh):
    told = of(control, data)
    assert complaint in (told.error_en or "")
    assert complaint_zh in (told.error_zh or "")
