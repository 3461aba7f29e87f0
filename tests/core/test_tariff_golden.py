"""Published prices to the fen and the nanofen: golden rows through `compile_row` and the kernel.

The rows that are left out are named by kind, with the reason; their count is pinned, so that a row can
neither slip out nor come in unnoticed.
"""

import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

import core
from core.tariff import Season, TariffVersion, charge_exact, compile_row
from core.units import post_charge
from tests.core.deduct_batch import Meter, arrays

GOLDEN = json.loads((Path(__file__).parents[1] / "vectors" / "tariff_golden.json").read_text("utf-8"))
CASES = {case["id"]: case for case in GOLDEN["cases"]}
RATES = ("sharp", "peak", "flat", "valley")
ROWS, COVERED = 91, 78


def prices_of(tariff):
    """Tier prices of the four rates; a rate that is not published costs as flat, else as peak."""
    given = tariff["prices_nanofen_per_wh"]
    default = given.get("all") or given.get("flat") or given["peak"]
    return [given.get(rate, default) for rate in RATES]


def steps_of(prices):
    return {tuple(b - a for a, b in pairwise(rate)) for rate in prices}


def left_out(case):
    """Why a row needs more than one uniform surcharge and no quota, or None."""
    if "free_quota" in case:
        return "a free quota is a deduction of its own, not part of a tariff version"
    for segment in case["segments"]:
        if len(steps_of(prices_of(GOLDEN["tariffs"][segment["tariff"]]))) > 1:
            return "a tier surcharge that differs by rate needs the chronological or proportional order"
    return None


def version_of(segment):
    """The segment's tariff as a version; the household's extra kWh belong to its limits."""
    tariff = GOLDEN["tariffs"][segment["tariff"]]
    prices = prices_of(tariff)
    limits = tuple(limit + segment.get("tier_adder_wh", 0) for limit in tariff["tier_upper_wh"])
    yearly = tariff["counter"] == "year"
    return TariffVersion(
        valid_from_s=0,
        kind="single" if "all" in tariff["prices_nanofen_per_wh"] else "tou",
        rate_prices_nf_per_wh=tuple(rate[0] for rate in prices),
        tier_steps_nf_per_wh=next(iter(steps_of(prices))),
        seasons=(Season(tier_limits_wh=limits),),
        tier_period=tariff["counter"],
        tier_period_start=tariff.get("counter_start_mmdd", "0101") if yearly else 1,
    )


def registers(energy):
    """Energy by rate name as the four registers; a single price counts in the second."""
    return tuple(energy.get(rate, energy.get("all", 0) if rate == "peak" else 0) for rate in RATES)


def through_kernel(segment):
    """Exact charge of one segment by the compiled kernel."""
    version = version_of(segment)
    meter = Meter((0,) * 4, registers(segment["energy_wh"]), period=segment["counter_before_wh"], balance=2**61)
    columns = arrays([meter])
    core.deduct(*columns, compile_row(version, version.seasons[0]))
    assert columns[11][0] == core.EVENT_NONE
    return int(columns[10][0])


EXPRESSIBLE = [case_id for case_id, case in CASES.items() if left_out(case) is None]


def test_the_rows_left_out_are_these():
    reasons = {}
    for case_id, case in CASES.items():
        if left_out(case):
            reasons.setdefault(left_out(case).split(" ")[1], []).append(case_id)
    assert reasons == {
        "tier": [f"SH-P-0{1}", *(f"SH-T-0{n}" for n in range(1, 9))],
        "free": [f"LI-0{n}" for n in range(1, 5)],
    }
    assert (len(CASES), len(EXPRESSIBLE)) == (ROWS, COVERED)


@pytest.mark.parametrize("case_id", EXPRESSIBLE)
def test_row_comes_out_to_the_fen_and_the_nanofen(case_id):
    case = CASES[case_id]
    charges = [through_kernel(segment) for segment in case["segments"]]
    assert charges == [segment["exact_nanofen"] for segment in case["segments"]]
    billed, residue = post_charge(sum(charges), 0)
    assert billed == case["expected"]["billed_fen"]
    assert residue == case["expected"]["residue_nanofen"]
    assert billed not in case.get("must_not_equal_fen", {}).values()


@pytest.mark.parametrize("case_id", EXPRESSIBLE)
def test_the_wide_way_gives_the_same(case_id):
    for segment in CASES[case_id]["segments"]:
        energy, before = registers(segment["energy_wh"]), segment["counter_before_wh"]
        assert charge_exact(version_of(segment), energy, before) == segment["exact_nanofen"]


@pytest.mark.parametrize("case_id", [case_id for case_id in EXPRESSIBLE if "intervals_wh" in str(CASES[case_id])])
def test_the_order_of_intervals_cannot_matter_under_a_uniform_surcharge(case_id):
    (segment,) = CASES[case_id]["segments"]
    for intervals in (segment["intervals_wh"], segment["intervals_wh"][::-1]):
        counter, charge = segment["counter_before_wh"], 0
        for interval in intervals:
            charge += through_kernel({**segment, "energy_wh": interval, "counter_before_wh": counter})
            counter += sum(interval.values())
        assert charge == segment["exact_nanofen"]


def test_daily_postings_add_up_to_the_bill_without_drift():
    case = CASES["BJ-M-10"]
    version = version_of(case["segments"][0])
    columns = arrays([Meter((0,) * 4, (0, 8370, 0, 0), balance=2**61)])
    residue, posted, postings = np.zeros(1, np.int64), np.zeros(1, np.int64), []
    for _ in range(30):
        core.deduct(*columns, compile_row(version, version.seasons[0]))
        core.post_fen(columns[10], residue, posted)
        postings.append(int(posted[0]))
        columns[0][:] = columns[1]
        columns[1][1] += 8370
    assert postings == case["daily_postings_fen"]
    assert sum(postings) == case["expected"]["billed_fen"] == 12_317
