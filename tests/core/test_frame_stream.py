"""The incremental decoder: splits, garbage, false starts, bounded memory; and the oracle's word on any stream."""

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from core.dlt645.frame import FRAME_MAX, Frame, FrameDecoder, encode, parse
from core.errors import FrameError, ProtocolMisuse
from tests.core import frame_oracle as oracle

FIRST = Frame("201412345678", 0x91, bytes.fromhex("0000010078563412"))
SECOND = Frame("000000000002", 0xD1, b"\x02")
WIRE = encode(FIRST) + encode(SECOND)

frames = st.builds(
    Frame,
    address=st.text("0123456789", min_size=12, max_size=12),
    control=st.sampled_from((0x11, 0x91, 0xB1, 0xD1, 0x13, 0x93, 0x1C, 0x9C, 0x08)) | st.integers(0, 255),
    data=st.binary(max_size=40) | st.lists(st.sampled_from(b"\x35\xe3\x00\xff"), max_size=40).map(bytes),
)


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """A frame as sent, cut, or with bytes changed, lost or doubled."""
    wire = bytearray(encode(draw(frames), draw(st.integers(0, 4))))
    for _ in range(draw(st.integers(0, 2))):
        at = draw(st.integers(0, len(wire) - 1))
        how = draw(st.sampled_from(("change", "lose", "double", "cut")))
        if how == "change":
            wire[at] = draw(st.integers(0, 255))
        elif how == "lose":
            del wire[at]
        elif how == "double":
            wire.insert(at, wire[at])
        else:
            del wire[max(1, at) :]
        if not wire:
            break
    return bytes(wire)


noise = st.lists(st.sampled_from(b"\x68\x16\xfe\x00\x91\x04") | st.integers(0, 255), max_size=30).map(bytes)
streams = st.lists(damaged() | noise, max_size=6).map(b"".join)


def seen(found: list[Frame]) -> list[oracle.Seen]:
    return [oracle.Seen(frame.address.lower(), frame.control, frame.data.hex()) for frame in found]


def read_in_pieces(stream: bytes, size: int) -> list[Frame]:
    decoder = FrameDecoder()
    found = [frame for at in range(0, len(stream), size) for frame in decoder.feed(stream[at : at + size])]
    return found + decoder.flush()


@settings(max_examples=300)
@given(streams, st.integers(1, 70))
@example(b"\x68" * 300, 1)
@example(WIRE[:15] + WIRE, 3)
def test_the_oracle_finds_the_same_frames_in_any_stream_and_split(stream: bytes, size: int) -> None:
    wanted = oracle.frames_in(stream)
    assert seen(read_in_pieces(stream, size)) == wanted
    assert seen(read_in_pieces(stream, 1)) == wanted


@settings(max_examples=200)
@given(damaged() | noise)
def test_the_oracle_accepts_the_same_single_frames(wire: bytes) -> None:
    wanted = oracle.only_frame(wire)
    try:
        found = seen([parse(wire)])
    except FrameError:
        found = []
    assert found == ([] if wanted is None else [wanted])


@given(frames, st.integers(0, 7))
def test_the_oracle_would_send_the_same_bytes(frame: Frame, waking: int) -> None:
    (said,) = seen([frame])
    assert encode(frame, waking) == oracle.build(said, waking)


@given(st.binary(max_size=600), st.integers(1, 50))
def test_no_bytes_are_lost_from_the_account(stream: bytes, size: int) -> None:
    decoder = FrameDecoder()
    framed = 0
    for at in range(0, len(stream), size):
        framed += sum(12 + len(frame.data) for frame in decoder.feed(stream[at : at + size]))
    framed += sum(12 + len(frame.data) for frame in decoder.flush())
    assert decoder.pending == 0
    assert framed + decoder.garbage_bytes <= len(stream) <= framed + decoder.garbage_bytes + stream.count(0xFE)


@pytest.mark.parametrize("size", range(1, len(WIRE) + 1))
def test_two_frames_are_found_in_any_even_split(size: int) -> None:
    decoder = FrameDecoder()
    found = [frame for at in range(0, len(WIRE), size) for frame in decoder.feed(WIRE[at : at + size])]
    assert (found, decoder.pending, decoder.garbage_bytes) == ([FIRST, SECOND], 0, 0)


def test_a_frame_is_given_out_with_its_last_byte_and_not_before() -> None:
    decoder = FrameDecoder()
    wire = encode(FIRST)
    assert decoder.feed(wire[:-1]) == []
    assert decoder.pending == len(wire) - 5  # the waking bytes are not kept
    assert decoder.feed(wire[-1:]) == [FIRST]


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_any_buffer_can_be_fed(kind: type) -> None:
    assert FrameDecoder().feed(kind(WIRE)) == [FIRST, SECOND]


def test_a_false_start_costs_one_byte_and_hides_nothing() -> None:
    decoder = FrameDecoder()
    doubled = b"\x68" + encode(FIRST, 0)  # seen after a lost byte
    assert decoder.feed(doubled) == [FIRST]
    assert decoder.garbage_bytes == 1


def test_a_frame_behind_a_cut_one_is_found() -> None:
    decoder = FrameDecoder()
    assert decoder.feed(encode(FIRST, 0)[:13] + encode(SECOND, 0) + encode(FIRST, 0)) == [SECOND, FIRST]
    assert decoder.garbage_bytes == 13


def test_a_bad_sum_is_counted_and_the_next_frame_found() -> None:
    decoder = FrameDecoder()
    wire = bytearray(encode(FIRST, 0))
    wire[-2] ^= 0xFF
    assert decoder.feed(bytes(wire) + encode(SECOND, 0)) == [SECOND]
    assert (decoder.bad_sums, decoder.garbage_bytes, decoder.frames) == (1, len(wire), 1)


def test_flush_gives_up_on_a_cut_frame_and_finds_what_it_hid() -> None:
    decoder = FrameDecoder()
    hiding = bytes.fromhex("68 11 11 11 11 11 11 68 91 C8")  # claims 200 data bytes that never come
    assert decoder.feed(hiding + encode(SECOND, 0)) == []
    assert decoder.flush() == [SECOND]
    assert (decoder.pending, decoder.garbage_bytes) == (0, len(hiding))


def test_reset_drops_what_is_held_and_returns_it() -> None:
    decoder = FrameDecoder()
    decoder.feed(WIRE[:14])
    assert decoder.reset() == WIRE[4:14]
    assert (decoder.pending, decoder.garbage_bytes) == (0, 10)
    assert decoder.feed(WIRE) == [FIRST, SECOND]


def test_waking_bytes_are_not_garbage() -> None:
    decoder = FrameDecoder()
    assert decoder.feed(b"\xfe" * 100 + encode(FIRST, 0) + b"\xfe" * 3) == [FIRST]
    assert (decoder.garbage_bytes, decoder.pending) == (0, 0)


@pytest.mark.parametrize("chunk", [1, 100, 100_000])
def test_memory_is_bounded_whatever_comes(chunk: int) -> None:
    decoder = FrameDecoder(max_buffer=FRAME_MAX)
    worst = b"\x68\x68" + b"\x68" * 6 + b"\x91\xff"  # every byte may begin the longest frame
    stream = (worst * (100_000 // len(worst) + 1))[:100_000]
    for at in range(0, 20_000 if chunk == 1 else len(stream), chunk):
        decoder.feed(stream[at : at + chunk])
        assert decoder.pending < FRAME_MAX
    assert decoder.feed(encode(FIRST, 0) * 30)[-1] == FIRST


def test_a_buffer_that_cannot_hold_a_frame_is_refused() -> None:
    with pytest.raises(ProtocolMisuse, match="cannot hold"):
        FrameDecoder(max_buffer=FRAME_MAX - 1)


def test_the_longest_frame_is_read_byte_by_byte() -> None:
    longest = Frame("000000000003", 0xB1, bytes(255))
    decoder = FrameDecoder(max_buffer=FRAME_MAX)
    assert [frame for byte in encode(longest) for frame in decoder.feed(bytes((byte,)))] == [longest]
