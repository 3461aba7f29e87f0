"""Bits on a line against a UART written another way, and the arithmetic of noise from the facts."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim.wire.uart import LineSettings, Noise, from_bits, to_bits

EVEN, NONE, ODD = LineSettings(9600, "E"), LineSettings(9600, "N"), LineSettings(9600, "O")
ANY = bytes(range(256))


def waveform(data, parity, stop_bits=1):
    """Characters 0 and 1 as an oscilloscope shows them, made with text instead of arithmetic."""
    line = ""
    for byte in data:
        bits = format(byte, "08b")[::-1]
        mark = {"N": "", "E": str(bits.count("1") % 2), "O": str((bits.count("1") + 1) % 2)}[parity]
        line += "0" + bits + mark + "1" * stop_bits
    return [int(level) for level in line]


@pytest.mark.parametrize("parity", ["N", "E", "O"])
@pytest.mark.parametrize("stop_bits", [1, 2])
def test_bits_are_those_of_the_oscilloscope(parity, stop_bits):
    line = LineSettings(2400, parity, stop_bits)
    assert to_bits(ANY, line) == waveform(ANY, parity, stop_bits)
    assert len(to_bits(b"\x68", line)) == line.bits_per_byte


@given(st.binary(max_size=60), st.sampled_from("NEO"), st.sampled_from([1, 2]), st.sampled_from([600, 2400, 9600]))
def test_ends_set_alike_understand_each_other(data, parity, stop_bits, baud):
    line = LineSettings(baud, parity, stop_bits)
    assert from_bits(waveform(data, parity, stop_bits), baud, line) == data


def test_every_single_flip_of_a_byte_is_caught_by_parity_or_by_the_marks():
    for byte in range(256):
        for index in range(11):
            bits = waveform(bytes([byte]), "E")
            bits[index] ^= 1
            if 1 <= index <= 9:
                assert from_bits(bits, 9600, EVEN) == b"", (byte, index)
            assert from_bits(bits, 9600, EVEN) != bytes([byte]) or index == 0, (byte, index)


def test_a_path_that_drops_parity_passes_the_wrong_byte_on():
    bits = waveform(b"\x33", "E")
    bits[1] ^= 1
    assert from_bits(bits, 9600, EVEN, parity_checked=False) == b"\x32"


def test_even_parity_read_without_parity_loses_exactly_the_bytes_of_even_weight_when_they_stand_alone():
    for byte in range(256):
        lost = bin(byte).count("1") % 2 == 0
        got = from_bits(waveform(bytes([byte]), "E"), 9600, NONE)
        assert (got[:1] == bytes([byte])) is not lost, byte


def test_even_against_odd_hears_nothing():
    assert from_bits(waveform(ANY, "E"), 9600, ODD) == b""


def test_two_stop_bits_are_as_good_as_one_without_parity():
    assert from_bits(waveform(ANY, "N", 2), 9600, NONE) == ANY
    assert from_bits(waveform(ANY, "N", 1), 9600, LineSettings(9600, "N", 2)) == ANY


@pytest.mark.parametrize(("sender", "receiver"), [(9600, 2400), (2400, 9600), (4800, 9600), (19200, 9600)])
def test_another_baud_is_garbage(sender, receiver):
    frame = bytes.fromhex("FEFEFEFE68112233445566681104333333331416")
    got = from_bits(waveform(frame, "E"), sender, LineSettings(receiver, "E"))
    assert frame[4:] not in got
    assert got != frame


def test_a_baud_that_is_off_by_two_percent_still_works_and_by_eight_does_not():
    assert from_bits(waveform(ANY, "E"), 9600, LineSettings(9792, "E")) == ANY
    assert from_bits(waveform(ANY, "E"), 9600, LineSettings(10368, "E")) != ANY


def test_noise_flips_as_many_bits_as_it_says():
    noise = Noise(1_000, np.random.default_rng(1))
    for _ in range(2_000):
        noise.hits(bytes(20), EVEN)
    assert noise.flipped_bits == pytest.approx(440, abs=4 * 21), "2,000 frames of 220 bits at 1e-3, four deviations"


def test_no_noise_draws_nothing():
    draws = np.random.default_rng(1)
    assert Noise(0, draws).hits(ANY, EVEN) is None
    assert draws.random() == np.random.default_rng(1).random()
