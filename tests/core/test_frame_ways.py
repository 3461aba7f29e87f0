"""The compiled way for one frame and the long way agree on any bytes and any fields, and the compiled one is taken."""

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from core._frame import read_frame, read_question, write_frame, write_register
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


QUESTION = Frame("201412345678", 0x11, bytes.fromhex("00000100"))
whole = st.integers(0, 999_999_999_998)
named = st.integers(0, 999_999_999_999).map("{:012d}".format) | st.just("AAAAAAAA0102")
questions = st.builds(
    encode, st.builds(Frame, named, st.sampled_from([0x11, 0x12, 0x91]), st.binary(min_size=4, max_size=5))
)


@settings(max_examples=400)
@given(damaged() | noise | st.binary(max_size=40) | questions)
@example(encode(QUESTION))
@example(encode(QUESTION, 16))
@example(encode(Frame("9" * 12, 0x11, QUESTION.data)))
@example(encode(Frame("A" * 12, 0x11, QUESTION.data)))
def test_a_question_is_read_as_the_frame_says(wire: bytes) -> None:
    frame, question = slowly(wire), read_question(wire)
    if frame is None or frame.control != 0x11 or len(frame.data) != 4 or not frame.address.isdecimal():
        assert question is None
    elif frame.address == "9" * 12:
        assert question is None, "nobody answers a broadcast"
    else:
        assert question == (int(frame.address), frame.identifier)


@given(whole, st.integers(0, 2**32 - 1), st.integers(0, 99_999_999), st.integers(0, 16))
def test_a_register_is_written_as_the_frame_with_its_digits(address: int, di: int, steps: int, preamble: int) -> None:
    data = di.to_bytes(4, "little") + bytes.fromhex(f"{steps:08d}")[::-1]
    assert write_register(address, di, steps, preamble) == encode(Frame(f"{address:012d}", 0x91, data), preamble)


@pytest.mark.parametrize(
    "fields",
    [(-1, 0, 0, 0), (999_999_999_999, 0, 0, 0), (1, 0, -1, 0), (1, 0, 100_000_000, 0), (1, 0, 0, -1), (1, 0, 0, 17)],
)
def test_a_register_that_does_not_fit_is_not_written(fields: tuple[int, int, int, int]) -> None:
    assert write_register(*fields) is None
