"""Event records as typed rows: lengths as meters sent them, fields as other public tables have them.

The tables of PyPI `dlt645` are the foreign witness for group 03; where it is known to differ from every other source,
the difference is named here.
"""

from collections import defaultdict
from datetime import datetime

import pytest
from dlt645.config.event_record_types import EVENT_RECORD_TYPES

from core.dlt645.catalogue_records import EXTENDED
from core.dlt645.explain import explain
from core.dlt645.frame import Frame, encode
from core.dlt645.identifiers import TABLE, decode_value, encode_value, lookup
from core.errors import ValueFormatError

NOON, LATER = datetime(2026, 11, 24, 12, 30), datetime(2026, 11, 24, 12, 45, 10)  # noqa: DTZ001 civil time
NOON_BYTES, LATER_BYTES = "003012241126", "104512241126"
BYTES = {"YYMMDDhhmmss": 6, "C0C1C2C3": 4, "YYMMDDhhmm": 5, "MMDDhhmm": 4, "YYMMDDNN": 4, "hhmmNN": 3, "MMDDNN": 3,
         "DDhh": 2}  # fmt: skip
# Their record holds 28 slots, 28 zones or 254 holidays; meters differ, so ours keeps the table's bytes.
TABLES_WITHIN = {0x033005, 0x033006, 0x033008}


def foreign():
    """The formats of each identifier in the other table."""
    rows = defaultdict(list)
    for row in EVENT_RECORD_TYPES:
        rows[int(row["Di"], 16)] += row["DataFormat"].split(",")
    return rows


def width(written):
    return BYTES.get(written) or (len(written.replace(".", "")) + 1) // 2


def test_every_record_of_the_other_table_has_our_fields_and_lengths():
    compared = 0
    for di, formats in foreign().items():
        entry = lookup(di)
        assert entry is not None, f"{di:08X}"
        if di >> 8 in TABLES_WITHIN and di & 0xFF:
            formats = [*formats[:2], ""]
        if not di & 0xFF:
            assert [field.length for field in entry.fields][: len(formats)] == [3] * len(formats) or di >> 16 == 0x0310
            continue
        fields = entry.fields or (entry,)
        assert [field.length for field in fields] == [width(one) for one in formats], f"{di:08X} {entry.name_en}"
        points = {len(one.partition(".")[2]) for one, field in zip(formats, fields, strict=True) if field.unit == "Wh"}
        assert points <= {2}
        compared += 1
    assert compared > 550


@pytest.mark.parametrize(
    ("di", "length"),
    [(0x03010101, 131), (0x03090001, 78), (0x030A0001, 78), (0x03300001, 50), (0x03300101, 106), (0x03300201, 202),
     (0x03300301, 14), (0x1D00FF01, 34), (0x1901FF01, 179), (0x1801FF01, 179), (0x03110001, 12), (0x0333FF01, 23)],
)  # fmt: skip
def test_lengths_are_those_that_were_seen(di, length):
    assert lookup(di).length == length


def test_a_voltage_loss_is_read_field_by_field():
    phase = "01000000 02000000 03000000 04000080 0122 500100 002300 000100 9909"
    data = bytes.fromhex(f"{NOON_BYTES} {LATER_BYTES}" + "10000000" * 4 + phase * 3 + "05000000" * 4)
    row = decode_value(0x03010201, data)
    assert row[:3] == (NOON, LATER, 100)
    assert row[6:15] == (10, 20, 30, -40, 220_100, 150, 230_000, 10_000, 999)
    assert row[-4:] == (50, 50, 50, 50)
    assert encode_value(0x03010201, row) == data
    told = explain(encode(Frame("201412345678", 0x91, bytes.fromhex("01020103") + data)))
    names = [(one.name_en, one.text_en) for one in told.values]
    assert names[0] == ("begin", "2026-11-24 12:30:00")
    assert ("voltage, phase B", "220.1 V") in names
    assert names[-1] == ("charge, phase C", "0.05 Ah")


def test_records_have_their_times_and_what_was_before():
    assert decode_value(0x03300401, bytes.fromhex(f"01000000 {NOON_BYTES} {LATER_BYTES}")) == ("00000001", NOON, LATER)
    assert decode_value(0x03050001, bytes.fromhex(f"{NOON_BYTES} 501200 {LATER_BYTES}")) == (NOON, 1250, LATER)
    assert decode_value(0x03120201, bytes.fromhex(f"{NOON_BYTES} {LATER_BYTES} 500000 3012241126")) == (
        NOON, LATER, 5000, NOON,
    )  # fmt: skip
    cover = decode_value(0x03300D01, bytes.fromhex(f"{NOON_BYTES} {LATER_BYTES}" + "01000000" * 12))
    assert cover == (NOON, LATER, *[10] * 12)
    demands = decode_value(0x03300201, bytes.fromhex(f"{NOON_BYTES} 01000000 500000 3012241126"))
    assert demands == (NOON, "00000001", 5000, NOON)
    assert decode_value(0x03300C01, bytes.fromhex(f"{NOON_BYTES} 01000000 0001 9999 9999")) == (
        NOON, "00000001", "day 01 hour 00", "day 99 hour 99", "day 99 hour 99",
    )  # fmt: skip
    assert decode_value(0x03300501, bytes.fromhex(f"{NOON_BYTES} 01000000 010000 033008")) == (
        NOON, "00000001", "01 00 00 03 30 08",
    )  # fmt: skip
    quality = bytes.fromhex("400000 009800 000200 100000 200000 5023 30122411 0021 30122411")
    assert decode_value(0x03100000, quality) == (40, 9800, 200, 10, 20, 235_000, "11-24 12:30", 210_000, "11-24 12:30")


def test_extended_events_count_name_each_field_and_give_whole_records():
    assert decode_value(0x13020001, bytes.fromhex("070000")) == (7,)
    assert lookup(0x13020002).unit == "min"
    assert decode_value(0x13020101, bytes.fromhex(NOON_BYTES)) == (NOON,)
    assert (lookup(0x13022501).name_en, lookup(0x13022501).kind) == ("extended phase break, phase B -1, end", "moment")
    assert lookup(0x13022501).name_zh == "上1次B相断相扩展结束时刻"
    assert [len(group[3]) for group in EXTENDED.values()] == [53] * 4 + [34] * 2 + [35] * 2 + [49] * 3 + [34] * 2
    for di in (
        0x10000001,
        0x10040001,
        0x10010003,
        0x10013601,
        0x1001010B,
        0x14010101,
        0x1D010101,
        0x1F000001,
        0x22000001,
    ):
        assert lookup(di) is None
    whole = lookup(0x1400FF01)
    assert (whole.length, whole.uncertain) == (6 + 64 + 6 + 64, False)
    assert lookup(0x1000FF01) is None
    assert lookup(0x1001FF0A) is lookup(0x1001FF0A)


def test_a_record_cut_inside_a_field_is_refused():
    with pytest.raises(ValueFormatError, match="13 bytes"):
        decode_value(0x03010101, bytes.fromhex(f"{NOON_BYTES} {LATER_BYTES} 10"))


def test_table_and_rules_do_not_overlap():
    assert not any(di >> 24 in EXTENDED for di in TABLE)
