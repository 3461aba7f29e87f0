"""The bulk scanner finds what the stream decoder finds, on any stream and any split, and says it in arrays."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import core
from core.dlt645.commands import Read
from core.dlt645.frame import Frame, FrameDecoder, encode
from tests.core.frame_oracle import frames_in

NO_ROW = (0, 0, 0)


class Rows:
    """The result arrays of a scan, with n rows of `items` values."""

    def __init__(self, n, items=3):
        self.off, self.addr = np.full(n, -1, np.int64), np.zeros(n, np.uint64)
        self.ctrl, self.dlen = (np.zeros(n, np.uint8) for _ in range(2))
        self.error = np.zeros(n, np.uint16)
        self.di, self.value = np.zeros(n, np.uint32), np.zeros((n, items), np.int64)

    def scan(self, data, **options):
        buf = np.frombuffer(bytes(data), np.uint8)
        arrays = (self.off, self.addr, self.ctrl, self.dlen, self.di, self.value, self.error)
        return core.decode_dlt645(buf, *arrays, **options)

    def row(self, i):
        """(address, control, L, identifier, error) of a row."""
        di = None if self.di[i] == core.NO_IDENTIFIER else int(self.di[i])
        return f"{int(self.addr[i]):012X}", int(self.ctrl[i]), int(self.dlen[i]), di, int(self.error[i])


def expected_row(frame):
    refused = frame.data[:2] if frame.is_reply and frame.abnormal else b""
    return frame.address, frame.control, len(frame.data), frame.identifier, int.from_bytes(refused, "little")


controls = st.sampled_from([0x91, 0x11, 0xB1, 0xD1, 0xC3, 0x14, 0x94, 0xD4, 0x93, 0x83, 0x12]) | st.integers(0, 255)
addresses = st.text("0123456789", min_size=12, max_size=12)
frames = st.builds(Frame, addresses, controls, st.binary(max_size=30) | st.binary(min_size=240, max_size=255))
wires = st.builds(encode, frames, st.integers(0, 5))


@st.composite
def damaged(draw):
    wire = bytearray(draw(wires))
    wire[draw(st.integers(0, len(wire) - 1))] = draw(st.sampled_from([0x68, 0x16, 0, 0xFE, 0xFF]))
    return bytes(wire[draw(st.integers(0, 3)) :])


garbage = st.lists(st.sampled_from([0x68, 0x16, 0xFE, 0x00, 0x04, 0x91]), max_size=20).map(bytes)
streams = st.lists(wires | damaged() | garbage | st.binary(max_size=20), max_size=8).map(b"".join)


@given(streams, st.booleans())
def test_the_scanner_agrees_with_the_stream_decoder(stream, final):
    decoder, rows = FrameDecoder(), Rows(40)
    found = decoder.feed(stream)
    bad = decoder.bad_sums
    if final:
        found += decoder.flush()
        bad = decoder.bad_sums
    count, consumed, bad_sums = rows.scan(stream, final=final)
    assert [rows.row(i) for i in range(count)] == [expected_row(frame) for frame in found]
    assert (len(stream) - consumed, bad_sums) == (decoder.pending, bad)


@given(streams, st.lists(st.integers(0, 400), max_size=6), st.integers(1, 4))
def test_any_split_and_any_number_of_rows_give_the_same_frames(stream, cuts, room):
    points = [0, *sorted(min(cut, len(stream)) for cut in cuts), len(stream)]
    held, found = b"", []
    for start, end in pairwise(points):
        held += stream[start:end]
        while True:
            rows = Rows(room)
            count, consumed, _ = rows.scan(held)
            found += [rows.row(i) for i in range(count)]
            held = held[consumed:]
            if count < room:
                break
    assert found == [expected_row(frame) for frame in FrameDecoder().feed(stream)]


@given(streams, st.integers(1, 8), st.booleans(), st.booleans())
def test_every_tier_finds_the_same_and_says_the_same(stream, width, signed, final):
    chosen, said = core.isa(), []
    try:
        for tier in core.isa_available():
            core.use_isa(tier)
            rows = Rows(12)
            counts = rows.scan(stream, width=width, signed_values=signed, final=final)
            arrays = (rows.off, rows.addr, rows.ctrl, rows.dlen, rows.di, rows.value, rows.error)
            said.append((counts, [array.tolist() for array in arrays]))
    finally:
        core.use_isa(chosen)
    assert all(one == said[0] for one in said)


@given(streams)
def test_a_finished_stream_agrees_with_the_oracle(stream):
    rows = Rows(40)
    count, consumed, _ = rows.scan(stream, final=True)
    seen = frames_in(stream)
    assert [rows.row(i)[:3] for i in range(count)] == [(f.address, f.control, len(f.data) // 2) for f in seen]
    assert consumed == len(stream)
    assert all(stream[int(rows.off[i])] == 0x68 for i in range(count))


def reply(data):
    return encode(Frame("000000000001", 0x91, bytes.fromhex(data)), 4)


def test_values_are_the_counts_as_sent():
    rows = Rows(2)
    assert rows.scan(reply("00FF010078563412FFFFFFFF") + reply("000001001A00000021")) == (2, 53, 0)
    assert rows.value.tolist() == [[12345678, core.ABSENT, core.ABSENT], [core.ABSENT] * 3]
    assert rows.off.tolist() == [4, 32]


@pytest.mark.parametrize(
    ("data", "width", "signed", "value"),
    [
        ("00000302561280", 3, True, -1256),
        ("00000302561280", 3, False, 801256),
        ("000101020022", 2, False, 2200),
        ("000101029999999999999979", 8, True, 7_999_999_999_999_999),
        ("0001010299999999999999F9", 8, True, -7_999_999_999_999_999),
        ("0001010205", 1, True, 5),
        ("000101020A", 1, False, core.ABSENT),
    ],
)
def test_widths_and_signs(data, width, signed, value):
    rows = Rows(1, items=1)
    assert rows.scan(reply(data), width=width, signed_values=signed)[0] == 1
    assert rows.value.tolist() == [[value]]


def test_arrays_of_different_lengths_or_shared_memory_are_refused():
    rows = Rows(3)
    rows.ctrl = np.zeros(2, np.uint8)
    with pytest.raises(ValueError, match="must have 3 rows"):
        rows.scan(b"\x68")
    rows = Rows(3)
    rows.ctrl = rows.dlen
    with pytest.raises(ValueError, match="share memory"):
        rows.scan(b"\x68")
    for width in (0, 9):
        with pytest.raises(ValueError, match="width"):
            Rows(1).scan(b"\x68", width=width)


def test_nothing_to_scan_and_no_room_give_nothing():
    assert Rows(3).scan(b"") == NO_ROW
    assert Rows(0).scan(reply("00000100")) == NO_ROW
    assert Rows(1, items=0).scan(reply("0000010012345678"))[0] == 1


@given(st.lists(addresses | st.just("AAAAAAAAAAAA"), min_size=1, max_size=20), st.integers(0, 2**32 - 1))
def test_requests_in_bulk_are_the_single_ones(meters, di):
    for preamble in (0, 4, 16):
        out = np.zeros((len(meters), 16 + preamble), np.uint8)
        core.encode_dlt645(np.array([int(meter, 16) for meter in meters], np.uint64), di, out)
        wanted = [encode(Read(meter, di).to_frame(), preamble) for meter in meters]
        assert [row.tobytes() for row in out] == wanted


@pytest.mark.parametrize("address", [0xA00000000000, 0x00000000000B, 1 << 48, 2**64 - 1])
def test_what_is_no_address_is_refused_and_nothing_is_written(address):
    out = np.zeros((2, 16), np.uint8)
    with pytest.raises(ValueError, match=r"addr\[1\]"):
        core.encode_dlt645(np.array([1, address], np.uint64), 0x10000, out)
    assert not out.any()


@pytest.mark.parametrize("shape", [(1, 16), (2, 15), (2, 33)])
def test_requests_of_another_shape_are_refused(shape):
    with pytest.raises(ValueError, match="out must be"):
        core.encode_dlt645(np.array([1, 2], np.uint64), 0x10000, np.zeros(shape, np.uint8))


def test_no_address_is_no_request_and_requests_may_not_land_in_the_addresses():
    core.encode_dlt645(np.zeros(0, np.uint64), 0x10000, np.zeros((0, 16), np.uint8))
    memory = np.zeros(32, np.uint8)
    with pytest.raises(ValueError, match="out shares memory with addr"):
        core.encode_dlt645(memory[:16].view(np.uint64), 0x10000, memory.reshape(2, 16))
    assert not memory.any()


def test_a_refusal_of_two_bytes_is_seen_though_its_low_byte_is_zero():
    rows = Rows(1)
    rows.scan(encode(Frame("000000000001", 0xC3, bytes.fromhex("0001"))))
    assert rows.error[0] == 0x0100
