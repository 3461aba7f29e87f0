"""Checks of a batch: equal to one frame at a time, and nothing unchecked reaches the loop."""

import array

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import core

FRAMES = st.lists(st.binary(max_size=40), max_size=30)
GOOD = bytes.fromhex("68 01 00 00 00 00 00 68 11 04 33 33 34 33 B3 16")


def joined(frames):
    """One buffer and its offsets."""
    off = np.zeros(len(frames) + 1, np.int64)
    np.cumsum([len(frame) for frame in frames], out=off[1:])
    return b"".join(frames), off


@given(FRAMES)
def test_a_batch_equals_one_frame_at_a_time(frames):
    buf, off = joined(frames)
    sums, crcs = np.full(len(frames), 9, np.uint8), np.full(len(frames), 9, np.uint16)
    core.sum_batch(buf, off, sums)
    assert sums.tolist() == [core.dlt_sum(frame) for frame in frames]
    core.crc_batch(core.CRC_MODBUS, buf, off, crcs)
    assert crcs.tolist() == [core.crc16_modbus(frame) for frame in frames]
    core.crc_batch(core.CRC_X25, buf, off, crcs)
    assert crcs.tolist() == [core.crc16_x25(frame) for frame in frames]


@pytest.mark.parametrize("spoiled", range(len(GOOD)))
def test_check_batch_refuses_a_frame_with_any_fixed_or_summed_byte_spoiled(spoiled):
    wrong = bytearray(GOOD)
    wrong[spoiled] ^= 0x55
    buf, off = joined([GOOD, bytes(wrong), GOOD])
    ok = np.full(3, 9, np.uint8)
    assert core.check_batch(buf, off, ok) == 2
    assert ok.tolist() == [1, 0, 1]


@pytest.mark.parametrize("length", range(len(GOOD)))
def test_check_batch_refuses_a_truncated_frame(length):
    ok = bytearray(1)
    assert core.check_batch(GOOD, np.array([0, length]), ok) == 0


def test_check_batch_refuses_a_frame_with_a_byte_too_many():
    buf, off = joined([b"\xfe" + GOOD, GOOD + b"\x16", GOOD])
    ok = bytearray(3)
    assert core.check_batch(buf, off, ok) == 1
    assert bytes(ok) == b"\0\0\1"


def test_frames_may_leave_gaps_at_both_ends():
    ok = bytearray(1)
    assert core.check_batch(b"xx" + GOOD + b"yyy", np.array([2, 2 + len(GOOD)]), ok) == 1


@pytest.mark.parametrize(
    ("offsets", "message"),
    [
        ([], "n \\+ 1 offsets"),
        ([-1, 2], "cannot be negative"),
        ([0, 2, 1], "below off"),
        ([0, 17], "beyond the buffer of 16 bytes"),
        ([2**62, 2**63 - 1], "beyond"),
        ([0, 2**63 - 1, -(2**63)], r"off\[2\] = -\d+ is below off"),
        *(([*range(at), at - 2, *[16] * (32 - at)], rf"off\[{at}\] = .* is below") for at in range(2, 16)),
    ],
)
def test_offsets_are_checked_before_use(offsets, message):
    out = bytearray(max(0, len(offsets) - 1))
    for batch in (core.sum_batch, core.check_batch):
        with pytest.raises(ValueError, match=message):
            batch(GOOD, np.array(offsets, np.int64), out)
    wide = np.zeros(len(out), np.uint16)
    with pytest.raises(ValueError, match=message):
        core.crc_batch(core.CRC_X25, GOOD, np.array(offsets, np.int64), wide)
    assert not any(out), "a refused call wrote something"


@pytest.mark.parametrize("outputs", [0, 1, 3])
def test_the_output_must_hold_one_element_a_frame(outputs):
    with pytest.raises(ValueError, match=f"2 frames, {outputs} elements"):
        core.sum_batch(GOOD, np.array([0, 8, 16]), bytearray(outputs))


@pytest.mark.parametrize("at", [0, 15, 32])
def test_results_cannot_land_in_the_offsets_that_were_checked(at):
    off = np.array([0, 4, 8, 12, 16])
    for batch in (core.sum_batch, core.check_batch):
        with pytest.raises(ValueError, match="shares memory with off"):
            batch(GOOD, off, off.view(np.uint8)[at : at + 4])
    with pytest.raises(ValueError, match="shares memory with off"):
        core.crc_batch(core.CRC_X25, GOOD, off, off.view(np.uint16)[at // 2 : at // 2 + 4])
    assert off.tolist() == [0, 4, 8, 12, 16], "a refused call wrote something"


def test_results_cannot_land_in_the_frames_but_may_lie_beside_them():
    buf, off = np.frombuffer(GOOD + b"\0", np.uint8).copy(), np.array([0, 16])
    with pytest.raises(ValueError, match="shares memory with buf"):
        core.check_batch(buf, off, buf[15:16])
    assert core.check_batch(buf[:16], off, buf[16:]) == 1
    assert buf[16] == 1


def test_an_unknown_kind_is_refused():
    with pytest.raises(ValueError, match="kind must be"):
        core.crc_batch(2, GOOD, np.array([0, 16]), np.zeros(1, np.uint16))


@pytest.mark.parametrize("out", [bytes(1), np.zeros(1, np.int8), np.zeros(1, np.uint16), None])
def test_an_output_that_cannot_take_the_results_is_refused(out):
    with pytest.raises((ValueError, TypeError, BufferError)):
        core.sum_batch(GOOD, np.array([0, 16]), out)


def test_none_is_refused_everywhere():
    with pytest.raises(TypeError):
        core.sum_batch(None, np.array([0, 0]), bytearray(1))
    with pytest.raises(TypeError):
        core.sum_batch(GOOD, None, bytearray(1))


def test_an_empty_buffer_holds_empty_frames():
    out, wide = bytearray(b"\7\7"), np.full(2, 7, np.uint16)
    core.sum_batch(b"", np.zeros(3, np.int64), out)
    core.crc_batch(core.CRC_MODBUS, b"", np.zeros(3, np.int64), wide)
    assert (bytes(out), wide.tolist()) == (b"\0\0", [0xFFFF, 0xFFFF])


def test_arrays_of_the_standard_library_serve_as_well():
    out = array.array("B", [0, 0])
    core.sum_batch(bytearray(GOOD), array.array("q", [0, 14, 16]), out)
    assert out[0] == GOOD[14]
