"""The golden rows that one uniform surcharge cannot express: the two order rules, to the nanofen."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.tariff import Season, TariffError, TariffVersion, charge_exact
from core.tariff_order import (
    TierPrices,
    charge_chronological,
    charge_proportional,
    place,
    share,
)
from core.units import post_charge
from tests.core.test_tariff_golden import CASES, EXPRESSIBLE, GOLDEN, RATES, left_out, prices_of

ORDERED = [i for i, case in CASES.items() if left_out(case) and "free_quota" not in case]
QUOTAS = [i for i, case in CASES.items() if "free_quota" in case]


def terms_of(segment):
    tariff = GOLDEN["tariffs"][segment["tariff"]]
    limits = tuple(limit + segment.get("tier_adder_wh", 0) for limit in tariff["tier_upper_wh"])
    return TierPrices(tuple(tuple(prices) for prices in prices_of(tariff)), limits)


def by_rate(energy):
    return [energy.get(rate, 0) for rate in RATES]


def both_rules(segment):
    terms, before = terms_of(segment), segment["counter_before_wh"]
    intervals = segment.get("intervals_wh", [segment["energy_wh"]])
    return {
        "proportional": charge_proportional(terms, by_rate(segment["energy_wh"]), before),
        "chronological": charge_chronological(terms, [by_rate(interval) for interval in intervals], before),
    }


def assert_billed(case, charge_nf):
    assert post_charge(charge_nf, 0) == (case["expected"]["billed_fen"], case["expected"]["residue_nanofen"])


def test_every_golden_row_is_checked_somewhere():
    assert sorted([*EXPRESSIBLE, *ORDERED, *QUOTAS]) == sorted(CASES)
    assert len(CASES) == 91


@pytest.mark.parametrize("case_id", ORDERED)
def test_a_surcharge_by_rate_comes_out_by_the_named_order(case_id):
    case = CASES[case_id]
    total = 0
    for segment in case["segments"]:
        charges = both_rules(segment)
        rules = ("proportional", "chronological") if case["order_rule"] == "either" else (case["order_rule"],)
        assert {charges[rule] for rule in rules} == {segment["exact_nanofen"]}
        total += segment["exact_nanofen"]
    assert_billed(case, total)


def test_the_order_matters():
    charges = both_rules(CASES["SH-T-02"]["segments"][0])
    assert charges == {"proportional": 174_374_000_000_000, "chronological": 174_830_000_000_000}


energies = st.lists(st.integers(0, 10**7), min_size=4, max_size=4)


@given(energies, st.integers(0, 10**7))
def test_shares_add_up_and_are_within_one_wh_of_proportion(energy, part):
    total = sum(energy)
    amount = min(part, total)
    shares = share(energy, amount)
    assert sum(shares) == amount
    for have, got in zip(energy, shares, strict=True):
        assert 0 <= got <= have
        assert total == 0 or abs(got - Fraction(amount * have, total)) < 1


@given(
    st.lists(energies, min_size=1, max_size=4),
    st.integers(0, 10**7),
    st.lists(st.integers(0, 10**8), min_size=4, max_size=4),
)
def test_under_one_surcharge_for_all_rates_no_order_matters(intervals, before, first):
    steps, limits = (5_000_000, 25_000_000), (3_120_000, 4_800_000)
    terms = TierPrices(tuple((price, price + steps[0], price + sum(steps)) for price in first), limits)
    version = TariffVersion(0, "tou", tuple(first), steps, (Season(tier_limits_wh=limits),), "year", "0101")
    total = [sum(rate) for rate in zip(*intervals, strict=True)]
    kernel = charge_exact(version, total, before)
    assert charge_proportional(terms, total, before) == kernel
    assert charge_chronological(terms, intervals, before) == kernel
    assert charge_chronological(terms, intervals[::-1], before) == kernel


def test_a_tie_goes_to_the_first_rate():
    assert share([1, 1, 1, 1], 2) == [1, 1, 0, 0]


@given(energies, st.integers(0, 10**7))
def test_placing_loses_no_energy_and_fills_tiers_in_turn(energy, before):
    terms = TierPrices(((1, 2, 3),) * 4, (3_120_000, 4_800_000))
    placed = place(terms, energy, before)
    assert [sum(rate) for rate in zip(*placed, strict=True)] == energy
    after = before + sum(energy)
    assert sum(placed[0]) == max(0, min(after, 3_120_000) - before)
    assert sum(placed[2]) == max(0, after - max(before, 4_800_000))


@pytest.mark.parametrize(
    ("prices", "limits"),
    [((), ()), (((1, 2),), ()), (((1, -1),), (5,)), (((1, 2**31),), (5,)), (((1, 2),), (0,)), (((1, 2, 3),), (5, 5))],
)
def test_unsound_terms_are_refused(prices, limits):
    with pytest.raises(TariffError):
        TierPrices(prices, limits)


def test_what_cannot_be_charged_is_refused():
    terms = TierPrices(((1, 2), (1, 2)), (5,))
    for energy, before in (((1,), 0), ((-1, 2), 0), ((1, 2), -1)):
        with pytest.raises(ValueError, match="do not fit"):
            charge_proportional(terms, energy, before)
