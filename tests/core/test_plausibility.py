"""Rules over several registers and steps: sums of rates, spikes, and late readings between their neighbours."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.plausibility import USUAL_FADES_S, rates_agree, spike_limit_wh, usual_after
from core.reading import HELD, TRUE, Verdict, is_accepted, judge_between

DAY = 86_400
MODULUS = 10**9


@given(st.lists(st.integers(0, 10**7), min_size=4, max_size=4), st.lists(st.integers(0, 9), min_size=5, max_size=5))
def test_truncated_registers_of_one_meter_always_agree(moved, before):
    """Each register shows its exact energy cut to 10 Wh, wherever within a step it began."""
    starts = before[:4]
    total_start = sum(starts) + 10 * before[4]
    steps = [(start + step) // 10 * 10 - start // 10 * 10 for start, step in zip(starts, moved, strict=True)]
    total = (total_start + sum(moved)) // 10 * 10 - total_start // 10 * 10
    assert rates_agree(total, steps)


def test_five_counts_too_many_do_not_agree():
    assert rates_agree(100, (20, 20, 20, 0))
    assert not rates_agree(100, (20, 20, 10, 0))
    assert not rates_agree(0, (50, 0, 0, 0))


def test_the_usual_power_rises_at_once_and_fades_slowly():
    assert usual_after(None, 1000, 3600) == 1000
    assert usual_after(1000, 3000, 3600) == 3000
    assert usual_after(3000, 0, 15 * DAY) == 1500
    assert usual_after(3000, 0, USUAL_FADES_S) == 0


def test_one_count_in_a_second_is_no_power_of_36_kw():
    assert usual_after(None, 10, 1) == 40


def test_a_spike_is_far_above_the_usual():
    assert spike_limit_wh(1000, 3600) == 4000
    assert spike_limit_wh(1000, 60) == 1750
    assert spike_limit_wh(0, 3600) == 1000


@pytest.mark.parametrize(
    ("before", "after", "new", "verdict"),
    [
        (1000, 2000, 1500, Verdict.FILLED),
        (1000, 2000, 1000, Verdict.FILLED),
        (1000, 2000, 2000, Verdict.FILLED),
        (1000, 2000, 990, Verdict.LATE),
        (1000, 2000, 2010, Verdict.LATE),
        (1000, 2000, 1505, Verdict.LATE),
        (MODULUS - 100, 100, 0, Verdict.FILLED),
        (MODULUS - 100, 100, 500, Verdict.LATE),
    ],
)
def test_a_late_reading_counts_only_between_its_neighbours(before, after, new, verdict):
    assert judge_between(before, after, new).verdict is verdict
    assert judge_between(before, after, new).step_wh == 0


def test_an_impossible_register_is_the_callers_mistake():
    with pytest.raises(ValueError, match="is not in 0"):
        judge_between(0, MODULUS, 0)


def test_each_verdict_is_true_held_or_neither():
    assert set(TRUE) & set(HELD) == set()
    assert set(Verdict) - set(TRUE) - set(HELD) == {Verdict.DUPLICATE, Verdict.LATE, Verdict.VOIDED, Verdict.REVOKED}
    assert not is_accepted(Verdict.FILLED)
