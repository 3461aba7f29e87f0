"""BCD, signs, fillers, addresses and civil times of the data field."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.dlt645 import values
from core.dlt645.identifiers import decode_value
from core.errors import ProtocolMisuse, ValueFormatError
from tests.core import frame_oracle as oracle

NEW_YEARS_EVE = datetime(2026, 12, 31, 23, 59, 58)  # noqa: DTZ001 civil time


@pytest.mark.parametrize(
    ("data", "value"), [("78563412", 12345678), ("00", 0), ("99999999", 99999999), ("0100", 1), ("0001", 100)]
)
def test_bcd_has_its_low_byte_first(data: str, value: int) -> None:
    assert values.bcd_to_int(bytes.fromhex(data)) == value
    assert values.int_to_bcd(value, len(data) // 2) == bytes.fromhex(data)


@pytest.mark.parametrize("data", ["", "0A", "A0", "FF", "00FF", "1A00"])
def test_what_is_no_bcd_is_refused(data: str) -> None:
    with pytest.raises(ValueFormatError, match="not BCD"):
        values.bcd_to_int(bytes.fromhex(data))


@given(st.binary(min_size=1, max_size=4), st.booleans())
def test_the_oracle_reads_the_same_number(data: bytes, signed: bool) -> None:
    wanted = oracle.number(data, 0, signed=signed)
    read = values.bcd_to_signed if signed else values.bcd_to_int
    try:
        got = read(data)
    except ValueFormatError:
        got = None
    assert got == wanted


@given(st.integers(-79_999_999, 79_999_999))
def test_a_signed_number_is_written_as_the_oracle_reads_it(value: int) -> None:
    assert oracle.number(values.signed_to_bcd(value, 4), 0, signed=True) == value


def test_the_sign_is_the_top_bit_of_the_highest_byte() -> None:
    assert values.bcd_to_signed(bytes.fromhex("341280")) == -1234
    assert values.bcd_to_signed(bytes.fromhex("348012")) == 128034
    assert values.bcd_to_signed(bytes.fromhex("000080")) == 0
    assert values.signed_to_bcd(-1234, 3) == bytes.fromhex("341280")


@pytest.mark.parametrize(("value", "length"), [(-1, 1), (100, 1), (10**8, 4)])
def test_a_number_that_does_not_fit_is_our_mistake(value: int, length: int) -> None:
    with pytest.raises(ProtocolMisuse, match="does not fit"):
        values.int_to_bcd(value, length)


@pytest.mark.parametrize(("value", "length"), [(80, 1), (-80, 1), (800_000, 3)])
def test_a_signed_number_must_leave_its_top_bit_free(value: int, length: int) -> None:
    with pytest.raises(ProtocolMisuse, match="signed"):
        values.signed_to_bcd(value, length)


def test_an_empty_signed_field_is_refused() -> None:
    with pytest.raises(ValueFormatError, match="no bytes"):
        values.bcd_to_signed(b"")


@pytest.mark.parametrize(("data", "filler"), [("FF", True), ("FFFFFF", True), ("FFFE", False), ("", False)])
def test_a_filler_is_ff_throughout(data: str, filler: bool) -> None:
    assert values.is_filler(bytes.fromhex(data)) is filler


def test_addresses_keep_their_leading_zeros() -> None:
    wire = bytes.fromhex("674860100000")
    assert values.address_from_bytes(wire) == "000010604867"
    assert values.address_to_bytes("000010604867") == wire


def test_a_date_and_time_travels_seconds_first() -> None:
    wire = bytes.fromhex("585923311226")
    assert values.encode_datetime(NEW_YEARS_EVE) == values.encode_deadline(NEW_YEARS_EVE) == wire
    assert values.decode_datetime(wire) == NEW_YEARS_EVE


@given(st.datetimes(datetime(2000, 1, 1), datetime(2099, 12, 31, 23, 59, 59)))  # noqa: DTZ001 civil time
def test_every_civil_second_of_the_century_returns(when: datetime) -> None:
    second = when.replace(microsecond=0)
    assert values.decode_datetime(values.encode_datetime(when)) == second
    assert values.decode_minute(values.encode_minute(when)) == second.replace(second=0)
    assert (
        values.decode_date(values.encode_date(when)) + timedelta(seconds=values.decode_time(values.encode_time(when)))
        == second
    )


@pytest.mark.parametrize(
    "wire", ["000000000000", "585923311326", "585923300226", "605923311226", "586023311226", "585924311226"]
)
def test_impossible_times_are_refused(wire: str) -> None:
    with pytest.raises(ValueFormatError, match="no such"):
        values.decode_datetime(bytes.fromhex(wire))


@pytest.mark.parametrize("wire", ["5859233112", "58592331122600", ""])
def test_times_of_another_length_are_refused(wire: str) -> None:
    with pytest.raises(ValueFormatError, match="6 bytes"):
        values.decode_datetime(bytes.fromhex(wire))


def test_a_time_that_is_not_bcd_is_refused() -> None:
    with pytest.raises(ValueFormatError, match="not BCD"):
        values.decode_datetime(bytes.fromhex("5A5923311226"))


def test_the_weekday_counts_from_sunday() -> None:
    sunday = datetime(2026, 11, 22)  # noqa: DTZ001 civil time
    assert values.encode_date(sunday) == bytes.fromhex("00221126")
    assert values.encode_date(sunday + timedelta(days=6))[0] == 6
    assert values.decode_date(bytes.fromhex("05221126")) == sunday  # a wrong weekday changes nothing


def test_a_record_without_time_has_none() -> None:
    assert values.decode_minute(bytes(5)) is None
    assert values.encode_minute(None) == bytes(5)


def test_a_switch_that_is_not_planned_is_unset() -> None:
    for di in (0x04000106, 0x04000107, 0x04000108, 0x04000109):
        assert decode_value(di, b"\x99" * 5) == decode_value(di, bytes(5)) == (None,)
    assert values.decode_planned_minute(bytes.fromhex("5923311226")) == NEW_YEARS_EVE.replace(second=0)
    with pytest.raises(ValueFormatError, match="no such day"):
        values.decode_planned_minute(bytes.fromhex("0000999999"))


@pytest.mark.parametrize("decode", [values.decode_minute, values.decode_date, values.decode_time])
def test_parts_of_times_have_their_length_checked(decode: Callable[[bytes], object]) -> None:
    with pytest.raises(ValueFormatError, match="bytes, got 2"):
        decode(b"\x01\x01")


@pytest.mark.parametrize(
    ("when", "complaint"),
    [
        (datetime(2026, 1, 1, tzinfo=UTC), "without time zone"),
        (datetime(1999, 12, 31), "year 1999"),  # noqa: DTZ001 civil time
        (datetime(2100, 1, 1), "year 2100"),  # noqa: DTZ001 civil time
    ],
)
def test_times_that_a_meter_cannot_show_are_our_mistake(when: datetime, complaint: str) -> None:
    with pytest.raises(ProtocolMisuse, match=complaint):
        values.encode_deadline(when)


@pytest.mark.parametrize("seconds", [-1, 86400])
def test_no_time_of_day_is_beyond_the_day(seconds: int) -> None:
    with pytest.raises(ProtocolMisuse, match="no time of day"):
        values.encode_time(seconds)
