"""Every golden row once more, from the tariff document: what a person writes, read, compiled and charged.

The documents are written here from the published figures (yuan text), apart from the reader; charges go through
`charge_step`, and through the kernel where the version has a row.
"""

import json
from dataclasses import replace
from datetime import datetime
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

import core
from core.tariff import (
    TariffError,
    compile_row,
    next_boundary_s,
    order_start_s,
    tariff_from_dict,
    tariff_to_dict,
    tiers_at,
)
from core.tariff_order import charge_step, counts_rates, has_row
from core.tariff_terms import validate_version
from core.units import post_charge
from tests.core.deduct_batch import Meter, arrays
from tests.core.test_tariff_golden import CASES, GOLDEN, RATES

SHANGHAI = {
    "id": "shanghai-tou", "valid_from": "2012-07-01", "prices": {"peak": "0.617", "valley": "0.307"},
    "tier_prices": [{"peak": "0.677", "valley": "0.337"}, {"peak": "0.977", "valley": "0.487"}],
    "tier_limits_wh": [3_120_000, 4_800_000], "tier_period": "year", "order_rule": "proportional",
}  # fmt: skip
BEIJING = {
    "id": "beijing", "valid_from": "2012-07-01", "price": "0.4883", "tier_prices": ["0.5383", "0.7883"],
    "tier_limits_wh": [240_000, 400_000], "tier_period": "month",
}  # fmt: skip


def at(text):
    return int(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo("Asia/Shanghai")).timestamp())


def document(case, segment, rule):
    """What a person would write down for the tariff of a golden segment."""
    published = GOLDEN["tariffs"][segment["tariff"]]
    yuan, limits = published["prices_yuan_per_kwh"], published["tier_upper_wh"]
    written = {"id": segment["tariff"], "valid_from": "2012-07-01", "tier_period": published["counter"]}
    if "all" in yuan:
        written |= {"price": yuan["all"][0], "tier_prices": yuan["all"][1:]}
    else:
        tiers = [{rate: prices[tier] for rate, prices in yuan.items()} for tier in range(len(limits) + 1)]
        written |= {"prices": tiers[0], "tier_prices": tiers[1:]}
    if limits:
        written |= {"tier_limits_wh": limits, "household_wh": segment.get("tier_adder_wh", 0), "order_rule": rule}
    if "counter_start_mmdd" in published:
        written["tier_period_start"] = published["counter_start_mmdd"]
    if "free_quota" in case:
        quota = case["free_quota"]
        written |= {"free_quota_wh": quota["quota_wh"], "quota_fills_tier": quota["counts_toward_tier"]}
    return written


def registers(energy):
    return [energy.get(rate, energy.get("all", 0) if rate == "peak" else 0) for rate in RATES]


def charged(case, segment, rule):
    """The charge of a segment, interval by interval, each by `charge_step` and by the kernel if it can."""
    (version,) = tariff_from_dict(document(case, segment, rule)).versions
    (season,) = version.seasons
    before, settled, total = segment["counter_before_wh"], [0] * 4, 0
    for interval in segment.get("intervals_wh", [segment["energy_wh"]]):
        steps = registers(interval)
        charge = charge_step(version, season, steps, before, settled_wh=settled)
        if has_row(version):
            columns = arrays([Meter((0,) * 4, tuple(steps), period=before, balance=2**61)])
            core.deduct(*columns, compile_row(version, season))
            assert (int(columns[10][0]), columns[11][0]) == (charge, core.EVENT_NONE)
        total += charge
        before += sum(steps)
        settled = [was + step for was, step in zip(settled, steps, strict=True)]
    return total


@pytest.mark.parametrize("case_id", CASES)
def test_every_golden_row_comes_out_of_its_document(case_id):
    case = CASES[case_id]
    rule = case["order_rule"]
    for named in ("proportional", "chronological") if rule in ("either", "none") else (rule,):
        charges = [charged(case, segment, named) for segment in case["segments"]]
        assert charges == [segment["exact_nanofen"] for segment in case["segments"]]
        assert sum(charges) == case["expected"]["exact_nanofen"]
        assert post_charge(sum(charges), 0) == (case["expected"]["billed_fen"], case["expected"]["residue_nanofen"])


def test_all_ninety_one_rows_are_there_and_only_shanghai_leaves_the_kernel():
    assert len(CASES) == 91
    without = {
        segment["tariff"]
        for case in CASES.values()
        for segment in case["segments"]
        if not has_row(tariff_from_dict(document(case, segment, "chronological")).versions[0])
    }
    assert without == {"SH-TOU", "SH-TOU-2012H2"}


@given(st.lists(st.lists(st.integers(0, 900_000), min_size=4, max_size=4), min_size=1, max_size=6))
def test_proportional_charges_do_not_depend_on_how_the_energy_is_cut(intervals):
    (version,) = tariff_from_dict(SHANGHAI).versions
    season, start, settled, parts = version.seasons[0], 2_000_000, [0] * 4, 0
    for steps in intervals:
        parts += charge_step(version, season, steps, start + sum(settled), settled_wh=settled)
        settled = [was + step for was, step in zip(settled, steps, strict=True)]
    assert parts == charge_step(version, season, settled, start, settled_wh=[0] * 4)


def test_the_ratio_multiplies_the_energy_before_it_is_placed():
    (version,) = tariff_from_dict(SHANGHAI).versions
    once = charge_step(version, version.seasons[0], [0, 30, 0, 20], 3_119_000, settled_wh=[0] * 4, ratio=40)
    assert once == charge_step(version, version.seasons[0], [0, 1200, 0, 800], 3_119_000, settled_wh=[0] * 4)


def test_the_canonical_form_keeps_prices_by_rate_order_and_quota():
    for table in (SHANGHAI | {"settlement_day": 16}, BEIJING | {"free_quota_wh": 15_000, "quota_fills_tier": False}):
        tariff = tariff_from_dict(table)
        assert tariff_from_dict(json.loads(json.dumps(tariff_to_dict(tariff)))) == tariff
    (version,) = tariff_from_dict(BEIJING).versions
    assert (version.tier_steps_nf_per_wh, version.tier_prices_nf_per_wh) == ((5_000_000, 25_000_000), ())
    (version,) = tariff_from_dict(SHANGHAI | {"household_wh": 1_200_000}).versions
    assert version.seasons[0].tier_limits_wh == (4_320_000, 6_000_000)
    assert counts_rates(version)
    assert not counts_rates(tariff_from_dict(SHANGHAI | {"order_rule": "chronological"}).versions[0])


def test_a_free_quota_is_the_first_tier_and_costs_nothing():
    (version,) = tariff_from_dict(BEIJING | {"free_quota_wh": 15_000}).versions
    assert tiers_at(version, version.seasons[0], 2) == (
        (0, 48_830_000, 53_830_000, 78_830_000), (15_000, 240_000, 400_000),
    )  # fmt: skip
    (version,) = tariff_from_dict(BEIJING | {"free_quota_wh": 15_000, "quota_fills_tier": False}).versions
    assert tiers_at(version, version.seasons[0], 2)[1] == (15_000, 255_000, 415_000)


def test_proportional_shares_begin_anew_with_each_settlement_period():
    tariff = tariff_from_dict(SHANGHAI | {"settlement_day": 16})
    assert order_start_s(tariff, at("2026-03-20")) == at("2026-03-16")
    assert order_start_s(tariff, at("2026-01-05")) == at("2026-01-01")  # the tier period began later than 16 December
    assert next_boundary_s(tariff, at("2026-03-20")) == at("2026-04-16")
    assert order_start_s(tariff_from_dict(SHANGHAI | {"order_rule": "chronological"}), at("2026-03-20")) == 0
    assert next_boundary_s(tariff_from_dict(SHANGHAI | {"order_rule": "chronological"}), at("2026-03-20")) == at(
        "2027-01-01"
    )
    seasons = [{"months": list(m), "tier_limits_wh": [1000, 2000]} for m in ((4, 5, 6), (1, 2, 3, *range(7, 13)))]
    split = {key: value for key, value in SHANGHAI.items() if key != "tier_limits_wh"}
    tariff = tariff_from_dict(split | {"settlement_day": 16, "seasons": seasons})
    assert order_start_s(tariff, at("2026-04-10")) == at("2026-04-01")
    assert order_start_s(tariff, at("2026-05-10")) == at("2026-04-16")


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"order_rule": "none"}, "use kind 'tou' and the order_rule"),
        ({"order_rule": "first"}, "order_rule 'first' is unknown"),
        ({"settlement_day": 29}, "settlement_day 29"),
        ({"kind": "single"}, "a single price with several rates"),
        ({"tier_prices": [{"peak": "0.677", "valley": "0.337"}]}, "2 tier limits for 1 tier steps"),
        ({"tier_prices": [{"peak": "22", "valley": "0.3"}, {"peak": "0.9"}]}, "prices are 0.."),
        ({"tier_prices": "0.677"}, "must be a list"),
        ({"tier_prices": [{"night": "0.3"}]}, "unknown key 'night'"),
        ({"tier_steps": ["0.05"]}, "give exactly one of"),
        ({"household_wh": -1}, "would lower the limits"),
        ({"free_quota_wh": 15_000}, "no rule says which rate"),
    ],
)
def test_what_breaks_a_rule_is_named(change, complaint):
    with pytest.raises(TariffError, match=complaint.replace("(", "\\(")):
        tariff_from_dict(SHANGHAI | change)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"free_quota_wh": 240_001}, "beyond the first limit"),
        ({"free_quota_wh": -1}, "give Wh, 0 for none"),
        ({"free_quota_wh": 2**53 - 399_999, "quota_fills_tier": False}, "together at most 9007199254740992 Wh"),
        ({"free_quota_wh": 15_000, "tier_period": "year"}, "counts by the month"),
        (
            {"free_quota_wh": 1, "tier_prices": ["0.5", "0.6", "0.7"], "tier_limits_wh": [5, 6, 7]},
            "at most 2 tier steps",
        ),
        ({"free_quota_wh": 15_000, "quota_fills_tier": 1}, "must be true or false"),
        ({"tier_prices": [0.5, "0.6"]}, "quoted text"),
        ({"tier_prices_nf_per_wh": [[1, 2, 3]], "tier_prices": None}, "not four"),
    ],
)
def test_what_breaks_a_rule_of_the_quota_is_named(change, complaint):
    table = {key: value for key, value in (BEIJING | change).items() if value is not None}
    with pytest.raises(TariffError, match=complaint):
        tariff_from_dict(table)


def test_a_quota_beside_no_tier_at_all_counts_by_the_month():
    table = {"id": "flat", "valid_from": "2026-01-01", "price": "0.5", "free_quota_wh": 10_000, "tier_period": "month"}
    (version,) = tariff_from_dict(table).versions
    assert charge_step(version, version.seasons[0], [0, 12_000], 0) == 2_000 * 50_000_000
    assert charge_step(version, version.seasons[0], [0, 12_000], 9_000) == 11_000 * 50_000_000


def test_what_has_no_row_and_what_cannot_be_charged_is_refused():
    (version,) = tariff_from_dict(SHANGHAI).versions
    season = version.seasons[0]
    with pytest.raises(TariffError, match="have no row"):
        compile_row(version, season)
    for steps, before, settled, ratio in (
        ([0, 1, 0, 1], 0, None, 1), ([0, 1, 0, 1], 0, [0] * 3, 1), ([0, -1, 0, 1], 0, [0] * 4, 1),
        ([0, 1, 0, 1], 0, [0] * 4, 0), ([0, 1, 0, 1], 0, [0, 5, 0, 0], 1),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=r"so far|cannot be charged|do not fit"):
            charge_step(version, season, steps, before, settled_wh=settled, ratio=ratio)


def test_versions_made_by_hand_are_held_to_the_same_rules():
    (version,) = tariff_from_dict(SHANGHAI).versions
    with pytest.raises(TariffError, match="both tier steps and tier prices"):
        validate_version(replace(version, tier_steps_nf_per_wh=(1, 2)))
    with pytest.raises(TariffError, match="four in each tier"):
        validate_version(replace(version, tier_prices_nf_per_wh=((1, 2, 3, 4), (1, 2, 3))))


def test_steps_follow_where_every_rate_rises_by_the_same():
    prices = {"peak": "0.568", "valley": "0.288"}
    tiers = [{"peak": "0.618", "valley": "0.338"}, {"peak": "0.868", "valley": "0.588"}]
    (version,) = tariff_from_dict(SHANGHAI | {"prices": prices, "tier_prices": tiers}).versions
    assert version.tier_steps_nf_per_wh == (5_000_000, 25_000_000)
    for rate in (2, 4):
        tiers = tiers_at(version, version.seasons[0], rate)[0]
        assert [upper - lower for lower, upper in pairwise(tiers)] == [5_000_000, 25_000_000]
