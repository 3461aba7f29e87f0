"""The compiled way for one frame and the long way agree on any bytes and any fields, and the compiled one is taken."""

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from core._frame import read_frame, write_frame
from core.dlt645.frame import Frame, _encode_slowly, _parse_slowly, encode, parse
from core.errors import FrameError, ProtocolMisuse
from tests.core.test_frame_stream import damaged, frames, noise

PLAIN = Frame("201412345678", 0x91, bytes.fromhex("0000010078563412"))
WIRE = encode(PLAIN, 0)

odd_addresses = st.text("0123456789Aa /:٣x", max_size=14) | st.text(max_size=13) | st.just("AA" * 6)


def slowly(wire: bytes) -> Frame | None:
    try:
        return _parse_slowly(wire)
    except FrameError:
        return None


@settings(max_examples=400)
@given(damaged() | noise | st.binary(max_size=40))
@example(b"\xfe" * 16 + WIRE)
@example(b"\xfe" * 40)
@example(b"")
def test_the_same_bytes_are_a_frame_either_way(wire: bytes) -> None:
    fast = read_frame(Frame, wire)
    assert fast == slowly(wire)
    if fast is not None:
        assert (type(fast.address), type(fast.control), type(fast.data)) == (str, int, bytes)


@given(frames, st.integers(0, 16))
def test_the_same_fields_are_sent_either_way(frame: Frame, preamble: int) -> None:
    assert write_frame(frame.address, frame.control, frame.data, preamble) == _encode_slowly(frame, preamble)


@given(
    st.builds(Frame, odd_addresses, st.integers(-1, 300), st.integers(0, 300).map(bytes)),
    st.integers(-2, 19),
)
def test_whatever_is_odd_goes_the_long_way_and_never_out_wrongly(frame: Frame, preamble: int) -> None:
    wire = write_frame(frame.address, frame.control, frame.data, preamble)
    try:
        wanted: bytes | None = _encode_slowly(frame, preamble)
    except ProtocolMisuse:
        wanted = None
    assert wire in (None, wanted)


@pytest.mark.parametrize("length", [0, 1, 7, 8, 254, 255])
def test_every_length_of_data_is_taken(length: int) -> None:
    frame = Frame("999999999999", 0xFF, bytes(range(256))[:length])
    wire = write_frame(frame.address, frame.control, frame.data, 16)
    assert wire is not None
    assert read_frame(Frame, wire) == frame == _parse_slowly(wire)


def test_every_single_bit_error_is_refused_by_the_compiled_way() -> None:
    for bit in range(8 * len(WIRE)):
        wire = bytearray(WIRE)
        wire[bit // 8] ^= 1 << bit % 8
        assert read_frame(Frame, bytes(wire)) is None


def test_other_types_go_the_long_way() -> None:
    assert read_frame(Frame, bytearray(WIRE)) is None
    assert parse(bytearray(WIRE)) == PLAIN  # type: ignore[arg-type]
    for fields in (
        (b"201412345678", 0x91, b"", 0),
        ("201412345678", True, b"", 0),
        ("201412345678", 0x91, bytearray(), 0),
        ("201412345678", 0x91, b"", False),
        ("201412345678", 2**80, b"", 0),
        ("201412345678", 0x91, b"", 2**80),
        ("\ud80001412345678", 0x91, b"", 0),
    ):
        assert write_frame(*fields) is None


def test_a_class_without_the_slots_is_an_error() -> None:
    with pytest.raises(AttributeError):
        read_frame(int, WIRE)
    with pytest.raises(TypeError):
        read_frame(None, WIRE)  # type: ignore[arg-type]
