"""The extremes of section by section arithmetic: at each limit exact, one beyond it an event."""

import numpy as np
import pytest

import core
from tests.core.deduct_batch import MAX_DELTA_WH, MODULUS_WH, PRICE_CAP, Meter, Terms, expect, run

E_MAX = 2**31 - 1


def same(meters, tariffs, **options):
    """Kernel and oracle agree; the kernel's result."""
    result = run(meters, tariffs, **options)
    assert result == expect(meters, tariffs, **options)
    return result


def test_a_roll_over_counts_through_the_modulus():
    result = same([Meter((999_987_650,), (3_210,))], [Terms((1,))])
    assert result.charge == [15_560]


def test_energy_at_the_guard_is_exact_and_one_more_is_an_event():
    # 21 * 102261126 = 2^31 - 2, so registers and a ratio cannot hit every value: use ratio 1 and five registers
    steps = (5 * 10**8 - 1, 5 * 10**8 - 1, 5 * 10**8 - 1, 5 * 10**8 - 1)
    rest = E_MAX - sum(steps)
    tariff = Terms((PRICE_CAP,) * 5)
    options = {"max_delta_wh": 5 * 10**8 - 1}
    at = Meter((0,) * 5, (*steps, rest))
    above = Meter((0,) * 5, (*steps, rest + 1))
    result = same([at, above], [tariff], **options)
    assert result.charge == [E_MAX * PRICE_CAP, 0]
    assert result.event[1] == core.EVENT_RANGE
    assert result.charge[0] < 2**62


@pytest.mark.parametrize("ratio", [440_000, 2**20])
def test_a_bulk_meter_is_held_by_range_and_never_as_suspect(ratio):
    longest = E_MAX // ratio
    result = same([Meter((0,), (longest,), ratio=ratio), Meter((0,), (longest + 1,), ratio=ratio)], [Terms((7,))])
    assert result.charge == [longest * ratio * 7, 0]
    assert result.event[1] == core.EVENT_RANGE


def test_the_largest_product_does_not_wrap_into_a_charge():
    meter = Meter((0,) * 4, (MAX_DELTA_WH,) * 4, ratio=2**20)
    assert same([meter], [Terms((PRICE_CAP,) * 4)]).event == [core.EVENT_RANGE]


@pytest.mark.parametrize("steps", [(500_000_000, 500_000_000, 147_483_647), (0, 0, 1), (1, 0, 0)])
def test_price_cap_with_steps_and_huge_period_energy(steps):
    tariff = Terms((PRICE_CAP - sum(steps),) * 4, steps, (1000, 2**52, 2**53))
    for period in (0, 999, 1000, 2**52 - 1, 2**53 - E_MAX, 2**53):
        meter = Meter((0,) * 4, (MAX_DELTA_WH,) * 4, ratio=5, period=period, balance=2**62)
        result = same([meter], [tariff])
        assert result.event[0] != core.EVENT_RANGE


def test_falling_blocks_down_to_zero():
    tariff = Terms((100, 100, 100, 100), (-60, -40), (50, 80))
    assert same([Meter((0,), (200,))], [tariff]).charge == [50 * 100 + 30 * 40]


@pytest.mark.parametrize("balance", [2**62, -(2**62)])
def test_the_balance_limit_is_exact_and_one_beyond_is_an_event(balance):
    beyond = balance + (1 if balance > 0 else -1)
    tariff = Terms((PRICE_CAP,) * 4)
    energy = Meter((0,) * 4, (MAX_DELTA_WH,) * 4, ratio=5, balance=balance)
    result = same([energy, Meter((0,) * 4, (1,) * 4, balance=beyond)], [tariff])
    assert result.balance == [balance - 20 * MAX_DELTA_WH * PRICE_CAP, beyond]
    assert result.event[1] == core.EVENT_RANGE


@pytest.mark.parametrize("period", [-1, 2**53 + 1, 2**63 - 1, -(2**63)])
def test_a_period_counter_out_of_range_is_an_event(period):
    result = run([Meter((0,), (5,), period=period)], [Terms((7,), (1,), (3,))])
    assert (result.event, result.period, result.charge) == ([core.EVENT_RANGE], [period], [0])


def test_the_longest_step_is_accepted_and_one_more_is_not():
    start = 700_000_000
    result = same(
        [
            Meter((start,), (start + MAX_DELTA_WH,)),
            Meter((start,), (start + MAX_DELTA_WH + 1,)),
            Meter((start,), (start - 1,)),
            Meter((950_000_000,), (50_000_000,)),
            Meter((950_000_000,), (50_000_001,)),
        ],
        [Terms((1,))],
    )
    good, jump, back = core.EVENT_NONE, core.EVENT_JUMP, core.EVENT_BACKWARDS
    assert result.event == [good, jump, back, good, back]


def test_one_bad_register_holds_the_whole_meter_and_backwards_is_named_first():
    far = MAX_DELTA_WH + 1
    result = same([Meter((0, 10, 0, 0), (far, 5, 1, 1)), Meter((0,) * 4, (1, 1, 1, far))], [Terms((1,) * 4)])
    assert result.event == [core.EVENT_BACKWARDS, core.EVENT_JUMP]
    assert result.charge == [0, 0]


def test_a_step_crosses_any_number_of_tiers_at_once():
    tariff = Terms((10,), (5, 10, 100), (100, 200, 300))
    result = same([Meter((0,), (400,), period=50)], [tariff])
    assert result.charge == [400 * 10 + 350 * 5 + 250 * 10 + 150 * 100]


def test_every_number_of_rates_has_its_price():
    for rates in range(1, 6):
        result = same([Meter((0,) * rates, (1,) * rates)], [Terms((1, 10, 100, 1000, 10_000))])
        assert result.charge == [int("1" * rates)]


def test_a_large_mixed_batch_equals_the_oracle():
    random = np.random.default_rng(645)
    tariffs = [
        Terms(tuple(random.integers(0, 10**8, 4).tolist()), (5_000_000, 25_000_000), (240_000, 400_000))
        for _ in range(8)
    ]
    meters = []
    for _ in range(2000):
        prev = random.integers(0, MODULUS_WH, 4)
        step = random.integers(0, 5000, 4) * (1 if random.random() < 0.95 else -1)
        meters.append(
            Meter(
                tuple(prev.tolist()),
                tuple(((prev + step) % MODULUS_WH).tolist()),
                ratio=int(random.choice([1, 1, 1, 30, 2**20])),
                tariff=int(random.integers(0, 8)),
                period=int(random.integers(0, 500_000)),
                balance=int(random.integers(-(10**12), 10**13)),
                flags=int(random.integers(0, 8)),
            )
        )
    assert len(set(same(meters, tariffs).event)) > 4


def test_post_fen_refuses_what_could_wrap():
    good = np.zeros(2, np.int64)
    for charge, residue in ((2**62 + 1, 0), (-(2**62) - 1, 0), (0, 2**62), (0, -(2**62))):
        residues = np.array([5, residue])
        with pytest.raises(ValueError, match="beyond"):
            core.post_fen(np.array([10**10, charge]), residues, good)
        assert residues.tolist() == [5, residue]
    with pytest.raises(ValueError, match="arrays of their own"):
        core.post_fen(np.zeros(2, np.int64), good, good)
    with pytest.raises(ValueError, match="residue_nf holds 1 elements, but charge_nf holds 2"):
        core.post_fen(np.zeros(2, np.int64), np.zeros(1, np.int64), good)
    both = np.zeros(3, np.int64)
    with pytest.raises(ValueError, match="residue_nf and posted_fen share memory"):
        core.post_fen(np.zeros(2, np.int64), both[:2], both[1:])
    with pytest.raises(ValueError, match="posted_fen and charge_nf share memory"):
        core.post_fen(both[1:], np.zeros(2, np.int64), both[:2])
