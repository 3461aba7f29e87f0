"""The rows of a charge add up to it: for every golden case, in both orders, and for any energies."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.tariff import tariff_from_dict
from core.tariff_order import charge_step
from server.domain.bill_parts import CELL, FREE, RATE, SURCHARGE, TIER, parts_of
from tests.core.test_tariff_documents import BEIJING, SHANGHAI, document, registers
from tests.core.test_tariff_golden import CASES


def total(parts):
    return sum(part.charge_nf for part in parts)


@pytest.mark.parametrize("rule", ["proportional", "chronological"])
def test_every_golden_case_is_told_by_its_rows(rule):
    for case in CASES.values():
        for segment in case["segments"]:
            (version,) = tariff_from_dict(document(case, segment, rule)).versions
            (season,), energy = version.seasons, registers(segment["energy_wh"])
            before = segment["counter_before_wh"]
            parts = parts_of(version, season, energy, before, [0] * 4)
            assert total(parts) == charge_step(version, season, energy, before, settled_wh=[0] * 4), case["id"]


def rows(tariff, energy, before, **more):
    (version,) = tariff_from_dict(tariff | more).versions
    return [
        (part.what, part.tier, part.rate, part.energy_wh, part.price_nf_per_wh)
        for part in parts_of(version, version.seasons[0], energy, before, [0] * 4)
    ]


def test_a_single_price_goes_tier_by_tier():
    assert rows(BEIJING, [300_000], 200_000) == [
        (TIER, 1, 0, 40_000, 48_830_000), (TIER, 2, 0, 160_000, 53_830_000), (TIER, 3, 0, 100_000, 78_830_000),
    ]  # fmt: skip


def test_a_free_quota_comes_first_and_costs_nothing():
    assert rows(BEIJING, [20_000], 0, free_quota_wh=15_000) == [
        (FREE, 0, 0, 15_000, 0), (TIER, 1, 0, 5_000, 48_830_000),
    ]  # fmt: skip


def test_rates_first_then_the_surcharge_of_the_tier():
    tou = {
        "id": "x", "valid_from": "2021-01-01", "prices": {"peak": "0.9", "valley": "0.3"}, "tier_steps": ["0.05"],
        "tier_limits_wh": [100], "tier_period": "month",
    }  # fmt: skip
    assert rows(tou, [0, 60, 0, 80], 50) == [
        (RATE, 0, 2, 60, 90_000_000), (RATE, 0, 4, 80, 30_000_000), (SURCHARGE, 2, 0, 90, 5_000_000),
    ]  # fmt: skip


def test_tiers_that_price_each_rate_are_told_by_rate_and_tier():
    found = rows(SHANGHAI, [0, 60_000, 0, 40_000], 3_070_000)
    assert found == [
        (CELL, 1, 2, 30_000, 61_700_000), (CELL, 1, 4, 20_000, 30_700_000),
        (CELL, 2, 2, 30_000, 67_700_000), (CELL, 2, 4, 20_000, 33_700_000),
    ]  # fmt: skip


@given(
    st.lists(st.integers(0, 900_000), min_size=4, max_size=4), st.lists(st.integers(0, 900_000), min_size=4, max_size=4)
)
def test_a_step_of_a_proportional_period_is_what_the_place_gained(settled, energy):
    (version,) = tariff_from_dict(SHANGHAI).versions
    before = 2_900_000 + sum(settled)
    parts = parts_of(version, version.seasons[0], energy, before, settled)
    assert total(parts) == charge_step(version, version.seasons[0], energy, before, settled_wh=settled)
    assert sum(part.energy_wh for part in parts) == sum(energy)
