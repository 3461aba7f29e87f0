"""Status words: every bit that is set is either named or told raw."""

from hypothesis import given
from hypothesis import strategies as st

from core.dlt645.status import BITS, status_names, unknown_bits


@given(st.integers(1, 7), st.integers(0, 15))
def test_a_single_bit_has_a_name_or_is_unknown(number, bit):
    word = 1 << bit
    assert bool(status_names(number, word)) != bool(unknown_bits(number, word))


def test_the_bits_of_a_profile_are_unknown():
    assert unknown_bits(3, 0x0C50) == 0x0C00
    assert unknown_bits(3, 0x0050) == 0
    assert unknown_bits(1, 0x00C1) == 0x00C1
    assert all(not unknown_bits(number, 1 << bit) for number, row in BITS.items() for bit, _, _ in row)
