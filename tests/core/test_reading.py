"""Judging of cumulative registers: what is charged, and what waits for a person."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.reading import Verdict, is_accepted, judge, plausible_wh, worst

HOUSEHOLD_W = 220 * 60 * 12 // 10
HOUR = 3600
NOON = 1_790_000_000
MODULUS = 10**9


def judged(prev, new, seconds=HOUR, **options):
    options = {"max_power_w": HOUSEHOLD_W, **options}
    return judge(prev, NOON, new, NOON + seconds, **options)


def test_a_step_forward_is_charged():
    result = judged(1_234_560, 1_235_000)
    assert (result.verdict, result.step_wh, result.total_wh) == (Verdict.ACCEPTED, 440, 1_235_000)


def test_no_consumption_is_a_reading_too():
    result = judged(1_234_560, 1_234_560)
    assert (result.verdict, result.step_wh) == (Verdict.ACCEPTED, 0)


def test_the_published_roll_over():
    result = judged(999_987_650, 3_210)
    assert (result.verdict, result.step_wh, result.total_wh) == (Verdict.ROLLED_OVER, 15_560, 3_210)


def test_the_longest_plausible_step_and_one_more():
    limit = plausible_wh(HOUR, HOUSEHOLD_W) // 10 * 10
    assert judged(0, limit).verdict is Verdict.ACCEPTED
    jump = judged(0, limit + 10)
    assert (jump.verdict, jump.step_wh, jump.total_wh) == (Verdict.JUMP, 0, 0)


def test_a_display_may_advance_one_step_within_a_second():
    assert judged(0, 10, seconds=1).verdict is Verdict.ACCEPTED


def test_a_roll_over_must_be_plausible():
    assert judged(999_987_650, 3_210, seconds=60).verdict is Verdict.BACKWARDS
    assert judged(999_987_650, 500_000).verdict is Verdict.BACKWARDS


def test_a_roll_over_starts_in_the_last_tenth_of_the_span():
    year = 365 * 24 * HOUR
    options = {"seconds": 20 * year, "modulus_wh": MODULUS}
    assert judged(900_000_000, 10, **options).verdict is Verdict.ROLLED_OVER
    assert judged(899_999_990, 10, **options).verdict is Verdict.BACKWARDS


def test_a_register_that_reads_zero_is_held_and_named_even_where_a_roll_over_could_bring_it_there():
    zero = judged(1_234_560, 0)
    assert (zero.verdict, zero.step_wh, zero.total_wh) == (Verdict.ZERO, 0, 1_234_560)
    assert zero.reason == "reads 0 Wh after 1234560 Wh: a placeholder, a reset or a replacement"
    assert judged(999_999_990, 0).verdict is Verdict.ZERO
    assert judged(999_999_990, 10).verdict is Verdict.ROLLED_OVER
    assert judged(0, 0).verdict is Verdict.ACCEPTED


def test_a_step_back_is_held_with_its_size():
    result = judged(5000, 4990)
    assert (result.verdict, result.step_wh, result.total_wh) == (Verdict.BACKWARDS, 0, 5000)
    assert "10 Wh backwards" in result.reason


def test_old_readings_change_nothing():
    assert judged(5000, 5000, seconds=0).verdict is Verdict.DUPLICATE
    assert judged(5000, 5010, seconds=0).verdict is Verdict.LATE
    assert judged(5000, 4000, seconds=-1).verdict is Verdict.LATE


def test_a_register_counts_in_its_own_steps():
    assert judged(5000, 5005).verdict is Verdict.NOT_MULTIPLE
    assert judged(5000, 5005, step_wh=1).verdict is Verdict.ACCEPTED


@pytest.mark.parametrize(
    ("prev", "new", "options"),
    [(-10, 0, {}), (0, MODULUS, {}), (0, 0, {"max_power_w": 0}), (0, 0, {"step_wh": 0})],
)
def test_an_impossible_argument_is_the_callers_mistake(prev, new, options):
    with pytest.raises(ValueError, match=r"must be positive|is not in 0"):
        judged(prev, new, **options)


@pytest.mark.parametrize(
    ("verdicts", "expected"),
    [
        ([Verdict.ACCEPTED, Verdict.ROLLED_OVER], Verdict.ROLLED_OVER),
        ([Verdict.ACCEPTED, Verdict.JUMP, Verdict.BACKWARDS], Verdict.BACKWARDS),
        ([Verdict.ACCEPTED, Verdict.JUMP, Verdict.ZERO], Verdict.ZERO),
        ([Verdict.ACCEPTED] * 4, Verdict.ACCEPTED),
    ],
)
def test_one_held_register_holds_the_meter(verdicts, expected):
    assert worst(verdicts) is expected


@given(st.integers(0, 10**8 - 1), st.integers(0, 10**8 - 1), st.integers(-HOUR, 10**9))
def test_only_accepted_verdicts_advance(prev, new, seconds):
    result = judged(prev * 10, new * 10, seconds=seconds)
    if is_accepted(result.verdict):
        assert (prev * 10 + result.step_wh) % MODULUS == result.total_wh == new * 10
        assert 0 <= result.step_wh <= plausible_wh(seconds, HOUSEHOLD_W)
    else:
        assert (result.step_wh, result.total_wh) == (0, prev * 10)
    assert result.reason
