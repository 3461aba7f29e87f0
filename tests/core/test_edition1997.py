"""DL/T 645-1997: what the captures leave open."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.dlt645 import edition1997 as old
from core.dlt645.frame import Frame
from core.dlt645.identifiers import TABLE
from core.errors import MeterRefused, ProtocolMisuse, ValueFormatError
from tests.core import frame_oracle as oracle
from tests.core.edition_checks import frames_1997

METER = "000000063295"

# bytes, digits behind the point, our units in one display unit
FORMATS = {
    0x9010: (4, 2, 1000), 0x9120: (4, 2, 1000), 0x9414: (4, 2, 1000), 0xA010: (3, 4, 10**6), 0xB611: (2, 0, 1000),
    0xB623: (2, 2, 1000), 0xB630: (3, 4, 10**6), 0xB640: (2, 2, 10**6), 0xB651: (2, 3, 1000), 0xC030: (3, 0, 1),
}  # fmt: skip


def test_the_captured_frames_are_all_there() -> None:
    kinds = Counter((v["decoded"]["control"], "client_bug" in v["decoded"]) for v in frames_1997())
    assert kinds == {("81", False): 20, ("01", False): 14, ("01", True): 2, ("04", False): 2}  # and one bad sum: 39


@pytest.mark.parametrize("di", FORMATS, ids="{:04X}".format)
@given(data=st.binary(min_size=4, max_size=4) | st.lists(st.sampled_from(b"\x00\x12\x79\x99"), min_size=4).map(bytes))
def test_the_scale_is_that_of_the_display(di: int, data: bytes) -> None:
    length, decimals, factor = FORMATS[di]
    shown = oracle.number(data[:length], decimals, signed=False)
    if data[:length] == b"\xff" * length:
        assert old.decode_value_97(di, data[:length]) == (None,)
    elif shown is None:
        with pytest.raises(ValueFormatError):
            old.decode_value_97(di, data[:length])
    else:
        assert old.decode_value_97(di, data[:length]) == (shown * factor,)


def test_a_block_may_end_with_its_mark() -> None:
    data = bytes.fromhex("00010000 00020000 00030000 00040000 00050000")
    row = tuple(1000 * n for n in range(1, 6))
    assert old.decode_value_97(0x901F, data) == row
    assert old.decode_value_97(0x901F, data + b"\xaa") == row
    assert len(old.decode_value_97(0x901F, bytes(28) + b"\xaa")) == 7  # captured: L = 1FH
    with pytest.raises(ValueFormatError):
        old.decode_value_97(0x901F, data + b"\xab")


def test_the_error_bits_are_not_those_of_2007() -> None:
    assert old.error_names_97(0x03) == (("illegal data", "非法数据"), ("identifier error", "数据标识错"))
    with pytest.raises(MeterRefused, match="ERR 04H: wrong password"):
        old.reply_value_97(old.Write97(METER, 0xC010, b""), Frame(METER, 0xC4, b"\x04"))
    with pytest.raises(MeterRefused, match="no reason given"):
        old.reply_value_97(old.Read97(METER, 0x9010), Frame(METER, 0xC1, b"\x80"))


def test_a_write_has_a_password_of_eight_digits_and_no_operator() -> None:
    write = old.Write97(METER, 0xC011, bytes.fromhex("003012"), "12345678")
    assert write.to_frame() == Frame(METER, 0x04, bytes.fromhex("11C0 78563412 003012"))
    assert "12345678" not in repr(write)
    assert write.match(Frame(METER, 0x84))
    assert old.reply_value_97(write, Frame(METER, 0x84)) == b""
    assert not old.Write97("9" * 12, 0xC011, b"").expects_reply
    with pytest.raises(ProtocolMisuse, match="8 digits"):
        old.Write97(METER, 0xC011, b"", "123456").to_frame()


def test_misuse_and_unknown_identifiers_are_named() -> None:
    with pytest.raises(ProtocolMisuse, match="two bytes"):
        old.Read97(METER, 0x10000).to_frame()
    with pytest.raises(ProtocolMisuse, match="does not answer"):
        old.reply_value_97(old.Read97(METER, 0x9010), Frame(METER, 0x84))
    with pytest.raises(ValueFormatError, match="E323 is not in the 1997 table"):
        old.decode_value_97(0xE323, b"\x00")
    assert old.identifier_97(Frame(METER, 0x81, b"\x10")) is None


def test_the_table_is_named_in_both_languages_and_maps_to_2007() -> None:
    assert len(old.TABLE_97) == 642
    assert len({entry.name_en for entry in old.TABLE_97.values()}) == len(old.TABLE_97)
    assert len({entry.name_zh for entry in old.TABLE_97.values()}) == len(old.TABLE_97)
    assert all(not entry.name_zh.isascii() for entry in old.TABLE_97.values())
    assert old.lookup_97(0xB310).uncertain
    assert not old.lookup_97(0x9130).uncertain
    unmapped = set(old.TO_2007) - set(old.TABLE_97)
    assert unmapped == {0xD113, 0xD120, 0xD130}
    for di, newer in old.TO_2007.items():
        assert newer in TABLE
        if di not in unmapped:
            assert old.TABLE_97[di].unit == TABLE[newer].unit


@pytest.mark.parametrize(
    ("di", "name", "data", "row"),
    [
        (0x9140, "quadrant 4 reactive energy, total", "01000000", (10,)),
        (0x9523, "reverse reactive energy, rate 3, last month", "01000000", (10,)),
        (0xA82F, "maximum reverse active demand, block, last month but one", "500000" * 5, (5000,) * 5),
        (0xB111, "time of the maximum forward reactive demand, rate 1", "30122411", ("11-24 12:30",)),
        (0xB210, "time of the last programming", "30122411", ("11-24 12:30",)),
        (0xB214, "battery working time", "010000", (1,)),
        (0xB323, "phase break time, phase C", "020000", (2,)),
        (0xB33F, "begin of the last phase break, block", "30122411" * 4, ("11-24 12:30",) * 4),
        (0xB61F, "voltage, block", "2002 2102 2202", (220_000, 221_000, 222_000)),
        (0xB64F, "reactive power, block", "0001 0000 0000 0000", (1_000_000, 0, 0, 0)),
        (0xC117, "day of the automatic reading", "0001", ("day 01 hour 00",)),
        (0xC119, "initial active energy", "01000000", (10,)),
        (0xC32F, "zones, block", "010101 020107", ("01-01 table 01", "07-01 table 02")),
        (0xC342, "day table 2, slot 2", "033008", ("08:30 rate 03",)),
    ],
)
def test_the_deeper_identifiers_are_read(di: int, name: str, data: str, row: tuple) -> None:
    assert old.lookup_97(di).name_en == name
    assert old.decode_value_97(di, bytes.fromhex(data)) == row


@given(st.sampled_from(sorted(old.TABLE_97)), st.binary(max_size=40))
def test_no_data_makes_decoding_fail_in_another_way(di: int, data: bytes) -> None:
    try:
        row = old.decode_value_97(di, data)
    except ValueFormatError:
        return
    assert row
