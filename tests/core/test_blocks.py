"""Whole freezes and load records: written on paper from the description, read into typed rows, shown."""

from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.dlt645 import blocks
from core.dlt645.blocks import decode_freeze, decode_load_records, encode_freeze, encode_load_record
from core.dlt645.explain import explain
from core.dlt645.frame import Frame, encode
from core.errors import ProtocolMisuse, ValueFormatError

NOON = datetime(2026, 11, 24, 12, 30)  # noqa: DTZ001 civil time
TIME = "3012241126"
DAILY = 0x0506FF01
# time, forward with two rates, reverse, then seven items not kept, a demand, none, the powers
FREEZE = "".join(
    (f"{TIME}AA", "90785634 10000000 80785634AA", "20000000AA", "AA" * 6, f"500000{TIME}AA", "AA",
     "500000 100000 200000 200080 000000 000000 000000 000000AA")
)  # fmt: skip
CLASSES = "".join(
    ("0122 0222 0322 501200 000000 FFFFFF 0050AA", "500000 100000 200000 200000", "000000" * 4, "AA",
     "0010 9909 9909 9909AA", "78563412 00000000 00000000 00000080AA", "00000000" * 4, "AA", "500000 100000AA")
)  # fmt: skip


def load(body: str) -> bytes:
    data = bytes.fromhex(body)
    record = b"\xa0\xa0" + bytes((len(data),)) + data
    return record + bytes((sum(record) & 0xFF, 0xE5))


def test_a_freeze_is_cut_at_its_marks():
    sections = decode_freeze(DAILY, bytes.fromhex(FREEZE))
    assert len(sections) == 12
    assert [section.values for section in sections[:3]] == [(NOON,), (345_678_900, 100, 345_678_800), (200,)]
    assert all(section.values == () for section in sections[3:9])
    assert (sections[9].values, sections[10].values) == ((5000, NOON), ())
    assert sections[11].values == (5000, 1000, 2000, -2000, 0, 0, 0, 0)
    assert sections[1].entry.di == 0x05060101
    kept = {section.entry.di >> 8 & 0xFF: section.values for section in sections if section.values}
    assert encode_freeze(DAILY, kept) == bytes.fromhex(FREEZE)


def test_a_meter_may_leave_out_the_end():
    assert [part.values for part in decode_freeze(DAILY, bytes.fromhex(f"{TIME}AA10000000"))] == [(NOON,), (100,)]
    assert len(decode_freeze(DAILY, bytes.fromhex(f"{TIME}AA10000000AA"))) == 2


def test_load_records_follow_each_other():
    data = load(TIME + CLASSES)
    first, second = decode_load_records(0x06000000, data + data)
    assert first == second
    assert (first.at, first.sum_ok, len(first.sections)) == (NOON, True, 6)
    voltage, power, factor, energy, quadrants, demand = (section.values for section in first.sections)
    assert voltage == (220_100, 220_200, 220_300, 1250, 0, None, 50_000)
    assert power[:4] == (5000, 1000, 2000, 2000)
    assert factor == (1000, 999, 999, 999)
    assert energy == (123_456_780, 0, 0, 0)
    assert (quadrants, demand) == ((0, 0, 0, 0), (5000, 1000))
    rows = dict(enumerate((voltage, power, factor, energy, quadrants, demand), 1))
    rows[4] = (123_456_780, 0, 0, 0)
    again = decode_load_records(0x06000000, encode_load_record(NOON, rows))
    assert [section.values for section in again[0].sections] == [section.values for section in first.sections]


def test_one_class_alone_is_that_class():
    (record,) = decode_load_records(0x06040002, load(f"{TIME}78563412 00000000AA"))
    (section,) = record.sections
    assert (section.entry.di, section.values) == (0x06040002, (123_456_780, 0))
    (record,) = decode_load_records(0x06040002, load(f"{TIME}AAAAAA78563412AAAAAA"))
    assert [part.values for part in record.sections] == [(), (), (), (123_456_780,), (), ()]


def test_a_value_that_looks_like_the_end_is_not_the_end():
    (record,) = decode_load_records(0x06020002, load(f"{TIME}0000E5 100000AA"))
    assert record.sections[0].values == (-65_000_000, 1000)


def test_records_whose_sum_is_any_byte_that_of_their_end_included_are_told_apart():
    sums = set()
    for step in range(0, 10_000, 7):
        one = encode_load_record(NOON, {4: (step * 10, 0, 0, 0)})
        sums.add(one[-2])
        found = decode_load_records(0x06040001, one + one)
        assert [(record.sum_ok, record.sections[3].values[0]) for record in found] == [(True, step * 10)] * 2
    assert 0xE5 in sums


def test_a_wrong_sum_is_told_and_not_refused():
    data = bytearray(load(f"{TIME}AA"))
    data[-2] ^= 1
    (record,) = decode_load_records(0x06000002, bytes(data))
    assert not record.sum_ok


@pytest.mark.parametrize(
    ("data", "complaint"),
    [("A0A0", "does not begin one"), ("00" * 12, "does not begin one"), (f"A0A006{TIME}AA00", "no E5H"),
     (load(TIME + "AA" * 7).hex(), "up to 6 classes"), (load(f"{TIME}01AA").hex(), "1 bytes"),
     (load("3099241126AA").hex(), "no such time")],
)  # fmt: skip
def test_what_is_no_load_record_is_named(data, complaint):
    with pytest.raises(ValueFormatError, match=complaint):
        decode_load_records(0x06000001, bytes.fromhex(data))


def test_what_is_no_block_is_refused():
    with pytest.raises(ValueFormatError, match="no freeze block"):
        decode_freeze(0x05080101, b"\0")
    with pytest.raises(ValueFormatError, match="up to 12 items"):
        decode_freeze(DAILY, b"\xaa" * 14)
    with pytest.raises(ValueFormatError, match="no load record"):
        decode_load_records(0x06070000, b"")
    with pytest.raises(ProtocolMisuse, match="no freeze block"):
        encode_freeze(DAILY, {0x11: (1,)})
    with pytest.raises(ProtocolMisuse, match="classes 1 to 6"):
        encode_load_record(NOON, {7: (1,)})
    assert not blocks.is_freeze_block(0x05060101)
    assert not blocks.is_load_record(0x06100001)


def test_both_are_explained_item_by_item():
    told = explain(encode(Frame("201412345678", 0x91, bytes.fromhex("01FF0605" + FREEZE))))
    shown = [(one.name_en, one.text_en) for one in told.values]
    assert shown[0] == ("daily freeze 1, time", "2026-11-24 12:30:00")
    assert ("forward active energy, total", "345678.90 kWh") in shown
    assert told.values[0].name_zh == "上1次日冻结时间"
    data = load(TIME + CLASSES)
    told = explain(encode(Frame("201412345678", 0x91, bytes.fromhex("02000006") + data)))
    assert [(one.name_en, one.text_en) for one in told.values[:2]] == [
        ("recorded at", "2026-11-24 12:30:00"), ("voltage, phase A", "220.1 V"),
    ]  # fmt: skip
    told = explain(encode(Frame("201412345678", 0x91, bytes.fromhex("02000006 A0A0"))))
    assert "does not begin one" in told.error_en


@given(st.binary(max_size=80), st.sampled_from((DAILY, 0x06000001, 0x06030000)))
def test_no_data_makes_reading_fail_in_another_way(data, di):
    read = decode_freeze if di == DAILY else decode_load_records
    try:
        read(di, data)
    except ValueFormatError:
        return
