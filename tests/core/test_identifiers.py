"""The identifier table: what is in it, how its data is scaled, and what it refuses."""

from datetime import datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.dlt645 import catalogue
from core.dlt645 import identifiers as ids
from core.dlt645.identifiers import TABLE, decode_value, encode_value, lookup
from core.errors import ProtocolMisuse, ValueFormatError
from tests.core import frame_oracle as oracle

NOON = datetime(2026, 11, 24, 12, 30)  # noqa: DTZ001 civil time

# Facts of the standard, written apart from the table: bytes, digits behind the point, signed, unit of one display unit
FORMATS = {
    0x00000000: (4, 2, True, 1000, "Wh"),
    0x00010000: (4, 2, False, 1000, "Wh"),
    0x00010400: (4, 2, False, 1000, "Wh"),
    0x0002000C: (4, 2, False, 1000, "Wh"),
    0x00030000: (4, 2, True, 1000, "varh"),
    0x00050000: (4, 2, False, 1000, "varh"),
    0x00900100: (4, 2, False, 1000, "Wh"),
    0x00900200: (4, 2, False, 100, "fen"),
    0x00900201: (4, 2, False, 100, "fen"),
    0x02010100: (2, 1, False, 1000, "mV"),
    0x02010300: (2, 1, False, 1000, "mV"),
    0x02020100: (3, 3, True, 1000, "mA"),
    0x02030000: (3, 4, True, 10**6, "mW"),
    0x02030300: (3, 4, True, 10**6, "mW"),
    0x02040000: (3, 4, True, 10**6, "mvar"),
    0x02050000: (3, 4, True, 10**6, "mVA"),
    0x02060000: (2, 3, True, 1000, "permille"),
    0x02070100: (2, 1, False, 1000, "mdeg"),
    0x02800001: (3, 3, True, 1000, "mA"),
    0x02800002: (2, 2, False, 1000, "mHz"),
    0x02800007: (2, 1, True, 1000, "m°C"),
    0x02800020: (4, 4, False, 10**8, "nf/Wh"),
    0x04001001: (4, 2, False, 100, "fen"),
    0x04001002: (4, 2, False, 100, "fen"),
    0x04001003: (4, 2, False, 100, "fen"),
    0x04001004: (4, 2, False, 100, "fen"),
    0x04001005: (4, 2, False, 100, "fen"),
    0x04001401: (2, 0, False, 1, "min"),
}


@pytest.mark.parametrize("di", FORMATS, ids="{:08X}".format)
@settings(max_examples=25)
@given(data=st.binary(min_size=4, max_size=4) | st.lists(st.sampled_from(b"\x00\x12\x79\x99"), min_size=4).map(bytes))
def test_the_scale_is_that_of_the_display(di: int, data: bytes) -> None:
    length, decimals, signed, factor, unit = FORMATS[di]
    field = data[:length]
    shown = oracle.number(field, decimals, signed=signed)
    entry = TABLE[di]
    assert (entry.length, entry.unit) == (length, unit)
    if field == b"\xff" * length:
        assert decode_value(di, field) == (None,)
    elif shown is None:
        with pytest.raises(ValueFormatError):
            decode_value(di, field)
    else:
        assert decode_value(di, field) == (shown * factor,)


def test_the_table_is_about_what_a_prepaid_head_end_needs() -> None:
    named = {name: value for name, value in vars(ids).items() if name.isupper() and isinstance(value, int)}
    bits = {"RELAY_OPEN", "COMMAND_OPEN", "PRE_TRIP_ALARM", "KEEP_POWER"}
    missing = [name for name, value in named.items() if name not in bits and lookup(value) is None]
    assert missing == []
    assert (len(named) - len(bits), len(TABLE)) == (23, 6104)


@pytest.mark.parametrize(
    ("name", "di"),
    [
        ("ENERGY_TOTAL", 0x00010000),
        ("ENERGY_BLOCK", 0x0001FF00),
        ("REVERSE_TOTAL", 0x00020000),
        ("VOLTAGE_A", 0x02010100),
        ("CURRENT_A", 0x02020100),
        ("POWER_TOTAL", 0x02030000),
        ("DATE", 0x04000101),
        ("TIME", 0x04000102),
        ("STATUS_WORD_3", 0x04000503),
        ("STATUS_BLOCK", 0x040005FF),
        ("REMAINING_AMOUNT", 0x00900200),
        ("OVERDRAFT_AMOUNT", 0x00900201),
        ("ALARM_AMOUNT_1", 0x04001001),
        ("OVERDRAFT_LIMIT", 0x04001003),
        ("TRIP_DELAY", 0x04001401),
        ("ADDRESS", 0x04000401),
        ("RELAY_OPEN", 16),
        ("COMMAND_OPEN", 64),
        ("PRE_TRIP_ALARM", 128),
        ("KEEP_POWER", 4096),
    ],
)
def test_the_constants_are_those_of_the_standard(name: str, di: int) -> None:
    assert getattr(ids, name) == di


def test_every_entry_has_two_names_and_a_length_that_its_members_share() -> None:
    for di, entry in TABLE.items():
        assert entry.di == di
        assert entry.name_en.isascii()
        assert not entry.name_zh.isascii()
        assert entry.length == entry.item_length * max(1, len(entry.items))
        assert all(TABLE[item].length == entry.item_length for item in entry.items if item in TABLE)
    names = [entry.name_en for entry in TABLE.values()]
    assert len(set(names)) == len(names)
    assert len({entry.name_zh for entry in TABLE.values()}) == len(names)


def test_the_rates_have_their_chinese_order() -> None:
    names = [lookup(0x00010000 | rate << 8).name_zh for rate in range(5)]
    assert names == [
        "当前正向有功总电能",
        "当前正向有功尖电能",
        "当前正向有功峰电能",
        "当前正向有功平电能",
        "当前正向有功谷电能",
    ]


def test_settlement_days_and_their_blocks_are_known() -> None:
    assert lookup(0x0001000C).name_en == "forward active energy, total, settlement day -12"
    assert lookup(0x0001000C).name_zh == "上12结算日正向有功总电能"
    assert len(lookup(0x000100FF).items) == 13
    assert lookup(0x0001FF01).length == 20
    assert lookup(0x0001000D) is None


@pytest.mark.parametrize("members", range(1, 6))
def test_a_short_energy_block_gives_what_it_has(members: int) -> None:
    data = b"".join(bytes((rate, 0, 0, 0)) for rate in range(1, members + 1))
    assert decode_value(ids.ENERGY_BLOCK, data) == tuple(10 * rate for rate in range(1, members + 1))


def test_a_meter_with_more_rates_gives_more() -> None:
    assert len(decode_value(ids.ENERGY_BLOCK, bytes(4 * 13))) == 13
    assert len(decode_value(ids.ENERGY_BLOCK, bytes(4 * 64))) == 64
    with pytest.raises(ValueFormatError, match="260 bytes"):
        decode_value(ids.ENERGY_BLOCK, bytes(4 * 65))


@pytest.mark.parametrize(
    ("data", "row"), [("0022", (220000,)), ("0022FFFFFFFF", (220000, None, None)), ("002200000000", (220000, 0, 0))]
)
def test_a_single_phase_meter_answers_a_voltage_block_in_three_ways(data: str, row: tuple[int | None, ...]) -> None:
    assert decode_value(ids.VOLTAGE_BLOCK, bytes.fromhex(data)) == row


@pytest.mark.parametrize(
    ("di", "length"),
    [
        (ids.ENERGY_TOTAL, 0),
        (ids.ENERGY_TOTAL, 3),
        (ids.ENERGY_TOTAL, 6),
        (ids.ENERGY_TOTAL, 8),
        (ids.ENERGY_BLOCK, 5),
        (ids.VOLTAGE_BLOCK, 3),
        (ids.VOLTAGE_BLOCK, 8),
        (ids.STATUS_WORD_3, 1),
        (ids.STATUS_WORD_3, 4),
        (ids.STATUS_BLOCK, 16),
        (ids.ADDRESS, 5),
        (ids.DATE, 3),
    ],
)
def test_data_of_another_length_is_refused(di: int, length: int) -> None:
    with pytest.raises(ValueFormatError, match=f"{di:08X}"):
        decode_value(di, bytes(length))


def test_a_field_widened_by_a_zero_byte_is_read_and_by_another_is_not() -> None:
    assert decode_value(ids.VOLTAGE_A, bytes.fromhex("342200")) == (223400,)
    with pytest.raises(ValueFormatError, match="3 bytes, expected 2"):
        decode_value(ids.VOLTAGE_A, bytes.fromhex("342201"))


def test_status_words_are_sixteen_bits_low_byte_first() -> None:
    (word,) = decode_value(ids.STATUS_WORD_3, bytes.fromhex("5000"))
    assert word == ids.RELAY_OPEN | ids.COMMAND_OPEN
    block = bytes.fromhex("0100 0200 5010 0000 0000 0000 0080")
    assert decode_value(ids.STATUS_BLOCK, block) == (1, 2, 0x1050, 0, 0, 0, 0x8000)
    assert decode_value(ids.STATUS_BLOCK, block + b"\xff" * 4) == (1, 2, 0x1050, 0, 0, 0, 0x8000)


@pytest.mark.parametrize(
    ("di", "data", "row"),
    [
        (0x00013F00, "78563412", (123456780,)),
        (0x002A000C, "00000001", (10_000_000,)),
        (0x01030500, "005080 3012241126", (-500_000, NOON)),
        (0x02080100, "2305", (523,)),
        (0x020A0109, "0001", (100,)),
        (0x020A010A, "0001", (100,)),
        (0x020B0315, "1200", (12,)),
        (0x03010000, "010000 020000 030000 040000 050000 060000", (1, 2, 3, 4, 5, 6)),
        (0x03050000, "120000", (12,)),
        (0x03110001, "003012241126 000000000000", (NOON, None)),
        (0x03300301, "003012241126 01000000 FFFFFFFF", (NOON, "00000001", None)),
        (0x0330000A, "003012241126 01000000 01100004", (NOON, "00000001", "04001001")),
        (0x03330201, "0300", (3,)),
        (0x0333FF01, "3012241126 0300 00500000 00000000 00500000 00000100", (NOON, 3, 5000, 0, 5000, 10000)),
        (0x03320301, "00500000", (50_000,)),
        (0x1D00FF01, "003012241126 01000000" + "01000000" * 6, (NOON, "00000001", *[10] * 6)),
        (0x1E000302, "01000000", (10,)),
        (0x04000703, "20", (9600,)),
        (0x04000B02, "9999", ("day 99 hour 99",)),
        (0x04000A01, "30122411", ("11-24 12:30",)),
        (0x04001203, "3012", ("12:30",)),
        (0x04010000, "010101 020107", ("01-01 table 01", "07-01 table 02")),
        (0x04020003, "010000 033008", ("00:00 rate 01", "08:30 rate 03")),
        (0x04030002, "01011026", ("2026-10-01 table 01",)),
        (0x04050103, "86662800", (2_866_860_000,)),
        (0x050400FE, "3012241126", (NOON,)),
        (0x05020A01, "500000 3012241126", (5000, NOON)),
        (0x05061001, "500000" * 8, (5000,) * 8),
        (0x06010002, "A0A0", ("A0 A0",)),
        (0x00800000, "00000180", (-100_000,)),
        (0x00C2000C, "00010000", (1000,)),
        (0x01150000, "500000 3012241126", (5000, NOON)),
        (0x010100FF, "500000 3012241126" * 2, (5000, NOON, 5000, NOON)),
        (0x020A01FF, "0001 5000", (100, 50)),
        (0x04000302, "05", (5,)),
        (0x04000D0C, "0010", (1000,)),
        (0x04000E03, "2023", (232_000,)),
        (0x04040201, "00000100 00", ("00010000", 0)),
        (
            0x040606FF,
            "00002400" * 6 + "83480000" * 7 + "000101" * 6,
            (2_400_000,) * 6 + (48_830_000,) * 7 + ("01-01 hour 00",) * 6,
        ),
    ],
)
def test_the_deeper_identifiers_are_read_and_written(di: int, data: str, row: tuple[ids.Value, ...]) -> None:
    assert decode_value(di, bytes.fromhex(data)) == row
    assert encode_value(di, row) == bytes.fromhex(data) or None in row


def test_identifiers_by_rule_are_like_those_of_the_table_and_no_more() -> None:
    assert lookup(0x00010500).name_zh == "当前正向有功费率5电能"
    assert lookup(0x0001050C).name_en == "forward active energy, rate 5, settlement day -12"
    assert lookup(0x000105FF).items[1] == 0x00010501
    assert lookup(0x00010500) is lookup(0x00010500)
    for di in (0x00014000, 0x0001050D, 0x00150500, 0x00B10500, 0x05080001, 0x05040000, 0x050400FF, 0x04030000):
        assert lookup(di) is None
    assert decode_value(0x04000C03, bytes.fromhex("02563412")) == ("********",)  # a password stays secret


def test_access_is_that_of_the_standard() -> None:
    access = {di: TABLE[di].access for di in (0x00010000, 0x04000101, 0x04000503, 0x04000C01, 0x04800001)}
    assert list(access.values()) == ["R", "RW", "R", "W", "R"]
    assert all(entry.access == "R" for di, entry in TABLE.items() if di >> 24 != 4)
    assert TABLE[0x03300201].uncertain
    assert not TABLE[0x00010000].uncertain


def test_dates_times_and_addresses_are_read() -> None:
    assert decode_value(ids.DATE, bytes.fromhex("02241126")) == (NOON.replace(hour=0, minute=0),)
    assert decode_value(ids.TIME, bytes.fromhex("003012")) == (45000,)
    assert decode_value(ids.DATE_TIME, bytes.fromhex("00301202241126")) == (NOON,)
    assert decode_value(ids.DAILY_FREEZE_TIME, bytes.fromhex("3012241126")) == (NOON,)
    assert decode_value(ids.ADDRESS, bytes.fromhex("674860100000")) == ("000010604867",)


@pytest.mark.parametrize(
    ("di", "data"),
    [
        (ids.DATE, "02311126"),
        (ids.TIME, "003024"),
        (ids.DATE_TIME, "00301202241326"),
        (ids.DAILY_FREEZE_TIME, "6012241126"),
        (ids.ADDRESS, "6748601000AA"),
        (0x04000403, "80" * 32),
    ],
)
def test_impossible_dates_times_addresses_and_texts_are_refused(di: int, data: str) -> None:
    with pytest.raises(ValueFormatError):
        decode_value(di, bytes.fromhex(data))


@pytest.mark.parametrize(
    ("di", "row", "data"),
    [
        (ids.ENERGY_TOTAL, (1234560,), "56341200"),
        (ids.ENERGY_TOTAL, (1234569,), "56341200"),  # a register shows whole steps
        (ids.ENERGY_TOTAL, (None,), "FFFFFFFF"),
        (ids.ENERGY_BLOCK, (30, 10, None, 20, 0), "03000000 01000000 FFFFFFFF 02000000 00000000"),
        (ids.CURRENT_A, (-1234,), "341280"),
        (ids.POWER_TOTAL, (-50,), "000000"),
        (ids.POWER_TOTAL, (-500000,), "005080"),
        (ids.VOLTAGE_A, (223400,), "3422"),
        (ids.REMAINING_AMOUNT, (19856,), "56980100"),
        (ids.STATUS_WORD_3, (0x1050,), "5010"),
        (ids.DATE, (NOON,), "02241126"),
        (ids.TIME, (NOON,), "003012"),
        (ids.TIME, (45000,), "003012"),
        (ids.DATE_TIME, (NOON,), "00301202241126"),
        (ids.DAILY_FREEZE_TIME, (NOON,), "3012241126"),
        (0x01010000, (3500, NOON), "350000 3012241126"),
        (0x01010000, (0, None), "000000 0000000000"),
        (ids.ADDRESS, ("000010604867",), "674860100000"),
        (0x04000404, ("220V",), "0000 56303232"),
    ],
)
def test_a_meter_writes_values_as_the_standard_has_them(di: int, row: tuple[ids.Value, ...], data: str) -> None:
    assert encode_value(di, row) == bytes.fromhex(data)


@pytest.mark.parametrize(
    ("di", "row", "complaint"),
    [
        (0x12345678, (1,), "not in the table"),
        (ids.ENERGY_TOTAL, (), "does not hold 0 values"),
        (ids.ENERGY_TOTAL, (1, 2), "does not hold 2 values"),
        (0x01010000, (1,), "does not hold 1 values"),
        (ids.ENERGY_TOTAL, (-10,), "does not fit"),
        (ids.ENERGY_TOTAL, (10**9,), "does not fit"),
        (ids.CURRENT_A, (800_000,), "does not fit"),
        (ids.ENERGY_TOTAL, ("12",), "cannot hold"),
        (ids.DATE, (45000,), "cannot hold"),
        (ids.TIME, ("12:30",), "cannot hold"),
        (ids.ADDRESS, (1,), "cannot hold"),
        (0x01010000, (1, 2), "cannot hold"),
        (ids.STATUS_WORD_3, (0x10000,), "cannot hold"),
        (0x03300001, (1,), "cannot hold"),
        (0x03300001, (NOON,) * 13, "does not hold 13 values"),
        (0x06010002, ("zz",), "cannot hold"),
        (0x03300001, (None, "00000001", "ABCD"), "has 4 bytes, 'ABCD' makes 2|makes 2"),
        (0x04000703, (300,), "no word"),
        (0x04010000, ("01-01",), "cannot hold"),
        (0x04000404, ("220 volts",), "do not fit"),
        (0x04000404, ("電",), "cannot hold"),
        (0x01010000, (1, "noon"), "cannot hold"),
        (0x04000703, ("9600",), "cannot hold"),
        (0x04000C02, ("********",), "cannot be written as values of kind secret"),
    ],
)
def test_what_an_identifier_cannot_hold_is_our_mistake(di: int, row: tuple[ids.Value, ...], complaint: str) -> None:
    with pytest.raises(ProtocolMisuse, match=complaint):
        encode_value(di, row)


def test_an_unknown_identifier_is_refused_with_its_data() -> None:
    with pytest.raises(ValueFormatError, match="FE000000 is not in the table; its data is 0102"):
        decode_value(0xFE000000, b"\x01\x02")
    assert lookup(0xFE000000) is None


@given(st.sampled_from(sorted(TABLE)), st.binary(max_size=80))
def test_no_data_makes_decoding_fail_in_another_way(di: int, data: bytes) -> None:
    try:
        row = decode_value(di, data)
    except ValueFormatError:
        return
    assert 1 <= len(row) <= 2 * TABLE[di].members_max


def test_the_table_is_one_for_all_and_no_rule_walks_through_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def walked() -> None:
        raise AssertionError("the table is built again")

    assert ids.TABLE is catalogue.ENTRIES
    for maker in ("entries", "_energies", "_demands"):
        monkeypatch.setattr(catalogue, maker, walked)
    catalogue.derived.cache_clear()
    assert lookup(0x00013F0C).items == ()
    assert lookup(0x01013FFF).items[0] == 0x01013F00
    assert lookup(0x05063E3E) is None
    assert lookup(0x00010000) is lookup(0x00010000) is TABLE[0x00010000]


def test_a_field_of_any_length_keeps_its_bytes_even_when_all_are_ff() -> None:
    row = decode_value(0x03300603, b"\xff" * 20)
    assert row == (None, None, " ".join(["FF"] * 10))
    assert encode_value(0x03300603, row) == b"\xff" * 20


def test_harmonics_are_counted_in_binary():
    named = {di: entry.name_en for di in (0x020A010A, 0x020A0110, 0x020B0315) if (entry := lookup(di)) is not None}
    assert named == {
        0x020A010A: "voltage harmonic 10, phase A",
        0x020A0110: "voltage harmonic 16, phase A",
        0x020B0315: "current harmonic 21, phase C",
    }
    assert lookup(0x020A0116) is None
