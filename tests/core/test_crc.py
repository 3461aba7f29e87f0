"""Checks of one frame: published check values, the bitwise definition, and every kind of buffer."""

import array
import mmap

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import core
from tests import oracle

CHECK = b"123456789"
CHECKS = [core.dlt_sum, core.crc16_modbus, core.crc16_x25]


def test_published_check_values():
    assert core.crc16_modbus(CHECK) == 0x4B37
    assert core.crc16_x25(CHECK) == 0x906E


def test_sum_of_a_known_request():
    # read the total energy of meter 000000000001: the sum byte of the frame is its last but one
    frame = bytes.fromhex("68 01 00 00 00 00 00 68 11 04 33 33 34 33 B3 16")
    assert core.dlt_sum(frame[:-2]) == frame[-2]


def test_nothing_has_the_initial_value():
    assert [check(b"") for check in CHECKS] == [0, 0xFFFF, 0]


@given(st.binary(max_size=300))
def test_checks_equal_their_definitions(data):
    assert core.dlt_sum(data) == oracle.sum_modulo_256(data)
    assert core.crc16_modbus(data) == oracle.crc16_bitwise(data, 0x8005, 0xFFFF, 0)
    assert core.crc16_x25(data) == oracle.crc16_bitwise(data, 0x1021, 0xFFFF, 0xFFFF)


@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize(
    "wrap",
    [bytearray, memoryview, lambda b: array.array("B", b), lambda b: np.frombuffer(b, np.uint8)],
    ids=["bytearray", "memoryview", "array", "numpy"],
)
def test_any_contiguous_buffer_gives_the_same(check, wrap):
    assert check(wrap(CHECK)) == check(CHECK)


def test_a_memory_map_is_a_buffer():
    with mmap.mmap(-1, 9) as pages:
        pages[:] = CHECK
        assert core.crc16_modbus(pages) == 0x4B37


@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize("wrong", ["text", 5, None, [1, 2]])
def test_what_is_no_buffer_is_refused(check, wrong):
    with pytest.raises(TypeError):
        check(wrong)


@pytest.mark.parametrize("check", CHECKS)
def test_a_stride_is_refused(check):
    with pytest.raises(BufferError):
        check(memoryview(CHECK)[::2])


@pytest.mark.parametrize("check", CHECKS)
def test_a_refused_buffer_stays_free(check):
    buffer = bytearray(CHECK)
    check(buffer)
    buffer.append(1)  # BufferError here would mean that an export was leaked
