"""Exact conversions between the units of the project."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core import units

amounts = st.integers(-(10**12), 10**12)


def test_the_units_are_those_of_the_whole_project() -> None:
    assert (units.WH_PER_STEP, units.REGISTER_MODULUS_WH) == (10, 10**9)
    assert (units.NF_PER_FEN, units.FEN_PER_YUAN) == (10**9, 100)


@pytest.mark.parametrize(
    ("charge_nf", "residue_nf", "posted_fen", "left_nf"),
    [
        (0, 0, 0, 0),
        (499_999_999, 0, 0, 499_999_999),
        (500_000_000, 0, 1, -500_000_000),
        (1, 499_999_999, 1, -500_000_000),
        (662_868_750, -337_131_250, 0, 325_737_500),
        (-500_000_000, 0, 0, -500_000_000),
        (-500_000_001, 0, -1, 499_999_999),
        (10**18, 0, 10**9, 0),
    ],
)
def test_posting_rounds_half_up_and_keeps_the_rest(
    charge_nf: int, residue_nf: int, posted_fen: int, left_nf: int
) -> None:
    assert units.post_charge(charge_nf, residue_nf) == (posted_fen, left_nf)


@given(st.lists(st.integers(-(10**10), 10**10), max_size=50))
def test_posted_fen_are_the_rounded_sum_at_any_moment(charges: list[int]) -> None:
    posted, residue, total = 0, 0, 0
    for charge in charges:
        fen, residue = units.post_charge(charge, residue)
        posted, total = posted + fen, total + charge
        assert posted * 10**9 + residue == total
        assert Fraction(-1, 2) <= Fraction(residue, 10**9) < Fraction(1, 2)


@pytest.mark.parametrize(
    ("fen", "text"),
    [(0, "0.00"), (5, "0.05"), (-5, "-0.05"), (1234, "12.34"), (-1234, "-12.34"), (10**11, "1000000000.00")],
)
def test_fen_are_shown_as_yuan(fen: int, text: str) -> None:
    assert units.format_yuan(fen) == text


@given(amounts)
def test_shown_yuan_are_read_back(fen: int) -> None:
    assert units.parse_yuan(units.format_yuan(fen)) == fen


@pytest.mark.parametrize(
    ("wh", "text"),
    [
        (0, "0.00"),
        (9, "0.00"),
        (-9, "0.00"),
        (10, "0.01"),
        (1239, "1.23"),
        (-1239, "-1.23"),
        (999_999_990, "999999.99"),
    ],
)
def test_wh_are_shown_as_a_register_cuts_them(wh: int, text: str) -> None:
    assert units.format_kwh(wh) == text


@pytest.mark.parametrize(
    ("text", "fen"),
    [("12.34", 1234), ("12.3", 1230), ("12", 1200), (" 0.05 ", 5), ("-0.05", -5), ("+1", 100), ("1.500", 150)],
)
def test_an_amount_is_read_exactly(text: str, fen: int) -> None:
    assert units.parse_yuan(text) == fen


@pytest.mark.parametrize(
    ("text", "nf_per_wh"),
    [("0.66286875", 66_286_875), ("0.5", 50_000_000), ("1", 100_000_000), ("0.00000001", 1), ("0", 0)],
)
def test_a_price_is_read_exactly(text: str, nf_per_wh: int) -> None:
    assert units.parse_price(text) == nf_per_wh


@pytest.mark.parametrize("text", ["", ".", "1.", ".5", "1,50", "1e3", "½", "１", "1_000", "--1", "nan", "9" * 13])
def test_what_is_no_number_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match=r"is not an amount in yuan: write digits with a point, like 12\.34"):
        units.parse_yuan(text)


def test_too_many_decimals_are_refused_and_never_rounded() -> None:
    with pytest.raises(ValueError, match=r"'0\.005' is not an amount in yuan: at most 2 decimals"):
        units.parse_yuan("0.005")
    with pytest.raises(ValueError, match=r"is not a price in yuan/kWh: at most 8 decimals"):
        units.parse_price("0.662868751")
