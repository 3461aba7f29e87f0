"""Properties of the deduction kernel against the oracle of exact fractions (Hypothesis shrinks failures)."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

import core
from tests import oracle
from tests.core.deduct_batch import MAX_DELTA_WH, MODULUS_WH, PRICE_CAP, Meter, Terms, expect, run

REGISTER = st.integers(0, MODULUS_WH - 1)
STEP = st.one_of(st.integers(0, 5000), st.integers(0, MAX_DELTA_WH), st.integers(0, MODULUS_WH - 1))
SIZE = st.integers(1, 25)
PRICE = st.one_of(st.integers(0, 150_000_000), st.integers(0, PRICE_CAP // 2))


@st.composite
def terms(draw, *, dear=False):
    """A tariff that G0 lets pass, falling blocks included."""
    prices = tuple(draw(st.lists(PRICE, min_size=5, max_size=5)))
    if dear:
        prices = tuple(min(p + 20_000_000, PRICE_CAP // 2) for p in prices)
    limits = tuple(sorted(draw(st.sets(st.integers(1, 10**6), max_size=3))))
    room, floor, steps = PRICE_CAP - max(prices), min(prices) - (1 if dear else 0), []
    for _ in limits:
        step = draw(st.integers(-floor, min(room, 200_000_000)) if floor <= room else st.just(0))
        room, floor = room - abs(step), floor + step
        steps.append(step)
    return Terms(prices, tuple(steps), limits, draw(st.integers(-(10**12), 10**13)))


@st.composite
def meter(draw, *, rates, tariffs=1, step=STEP):
    prev = tuple(draw(REGISTER) for _ in range(rates))
    return Meter(
        prev,
        tuple((p + draw(step)) % MODULUS_WH for p in prev),
        ratio=draw(st.one_of(st.just(1), st.integers(1, 2**20))),
        tariff=draw(st.integers(0, tariffs - 1)),
        period=draw(st.one_of(st.integers(0, 10**6 + 10), st.integers(0, 2**53))),
        balance=draw(st.one_of(st.integers(-(10**12), 10**13), st.integers(-(2**62), 2**62))),
        alarm1=draw(st.integers(-(2**31), 2**31 - 1)),
        alarm2=draw(st.integers(0, 5000)),
        overdraft=draw(st.integers(-(2**31), 2**31 - 1)),
        flags=draw(st.integers(0, 7)),
    )


@st.composite
def batches(draw, *, step=STEP, size=SIZE):
    rates = draw(st.integers(1, 5))
    tariffs = draw(st.lists(terms(), min_size=1, max_size=4))
    n = draw(size)
    meters = [draw(meter(rates=rates, tariffs=len(tariffs), step=step)) for _ in range(n)]
    return meters, tariffs


@given(batches(size=st.integers(1, 6)))
def test_kernel_equals_the_fraction_oracle(batch):
    assert run(*batch) == expect(*batch)


@given(terms(), meter(rates=4, step=st.integers(0, 20_000)), st.lists(st.integers(0, 100), min_size=1, max_size=8))
def test_any_split_of_a_step_costs_the_same(tariff, one, shares):
    one = replace(one, ratio=one.ratio % 50 + 1, period=min(one.period, 2**52), balance=one.balance // 2, flags=0)
    total = sum(shares) or 1
    steps = [(n - p) % MODULUS_WH for p, n in zip(one.prev, one.new, strict=True)]
    state, charged, passed = one, 0, 0
    for share in shares:
        passed += share
        point = tuple((p + s * passed // total) % MODULUS_WH for p, s in zip(one.prev, steps, strict=True))
        part = run([replace(state, new=point)], [tariff])
        charged += part.charge[0]
        state = replace(state, prev=point, period=part.period[0], balance=part.balance[0])
    end = run([replace(state, new=one.new)], [tariff])
    whole = run([one], [tariff])
    assert charged + end.charge[0] == whole.charge[0]
    assert (end.period, end.balance) == (whole.period, whole.balance)


@given(terms(), meter(rates=5, step=st.integers(0, 20_000)), st.data())
def test_registers_may_arrive_one_by_one_and_at_any_points(tariff, one, data):
    """The path is free: each register has points of its own, and which comes first does not matter."""
    one = replace(one, ratio=one.ratio % 50 + 1, period=min(one.period, 2**52), balance=one.balance // 2, flags=0)
    steps = [(n - p) % MODULUS_WH for p, n in zip(one.prev, one.new, strict=True)]
    ways = [[*sorted(data.draw(st.lists(st.integers(0, step), max_size=2))), step] for step in steps]
    moves = data.draw(st.permutations([rate for rate, way in enumerate(ways) for _ in way]))
    state, charged = one, 0
    for rate in moves:
        point = list(state.prev)
        point[rate] = (one.prev[rate] + ways[rate].pop(0)) % MODULUS_WH
        part = run([replace(state, new=tuple(point))], [tariff])
        charged += part.charge[0]
        state = replace(state, prev=tuple(point), period=part.period[0], balance=part.balance[0])
    whole = run([one], [tariff])
    assert state.prev == one.new
    assert (charged, state.period, state.balance) == (whole.charge[0], whole.period[0], whole.balance[0])


@given(batches())
def test_balance_plus_charge_is_constant_and_energy_goes_into_the_period(batch):
    meters, _ = batch
    result = run(*batch)
    for i, one in enumerate(meters):
        assert result.balance[i] + result.charge[i] == one.balance
        if result.event[i] not in (core.EVENT_BACKWARDS, core.EVENT_JUMP, core.EVENT_RANGE):
            energy = sum((n - p) % MODULUS_WH for p, n in zip(one.prev, one.new, strict=True)) * one.ratio
            assert result.period[i] - one.period == energy


@given(batches(size=st.integers(1, 40)))
def test_every_tier_gives_the_same_bits(batch):
    chosen, results = core.isa(), []
    try:
        for tier in core.isa_available():
            core.use_isa(tier)
            results.append(run(*batch))
    finally:
        core.use_isa(chosen)
    assert all(result == results[0] for result in results)


@given(terms(), meter(rates=4, step=st.integers(0, 5000)), st.integers(0, 3), st.integers(0, 3))
def test_one_nanofen_around_each_threshold_decides_in_every_tier_and_lane(tariff, one, name, stored):
    """Balances that land on a threshold, just below and just above it, in whole vectors and in the rest."""
    one = replace(one, ratio=1, alarm1=one.alarm1 // 2, overdraft=one.overdraft // 2, flags=one.flags & 4 | stored)
    threshold = (one.alarm1 * 10**9, one.alarm2 * 10**9, -one.overdraft * 10**9, tariff.close_allowed_nf)[name]
    charge = run([replace(one, balance=0)], [tariff]).charge[0]
    meters = [replace(one, balance=threshold + charge + lane % 3 - 1) for lane in range(19)]
    wanted, chosen = expect(meters, [tariff]), core.isa()
    try:
        for tier in core.isa_available():
            core.use_isa(tier)
            assert run(meters, [tariff]) == wanted, tier
            assert run(meters, [tariff], runs=np.array([0, len(meters)])) == wanted, tier
    finally:
        core.use_isa(chosen)


@given(batches(), st.lists(st.integers(0, 25), max_size=5))
def test_slices_one_after_the_other_equal_one_call(batch, cuts):
    meters, tariffs = batch
    points = [0, *sorted(min(cut, len(meters)) for cut in cuts), len(meters)]
    parts = [run(meters, tariffs, lo=lo, hi=hi) for lo, hi in pairwise(points)]
    whole = run(meters, tariffs)
    for name in ("charge", "period", "balance", "flags", "event"):
        pieces = [getattr(part, name)[lo:hi] for part, (lo, hi) in zip(parts, pairwise(points), strict=True)]
        assert [value for piece in pieces for value in piece] == getattr(whole, name)


@given(terms(dear=True), meter(rates=4, step=st.integers(0, 10**6)), st.integers(0, 3))
def test_one_more_watt_hour_on_any_register_costs_more(tariff, one, rate):
    one = replace(one, ratio=one.ratio % 100 + 1, balance=0)
    more = tuple((n + (r == rate)) % MODULUS_WH for r, n in enumerate(one.new))
    less, dearer = run([one, replace(one, new=more)], [tariff]).charge
    assert dearer > less


@given(terms(), st.integers(0, 2), st.integers(1, 60))
def test_around_a_limit_each_watt_hour_has_the_price_of_its_tier(tariff, which, length):
    """The limit itself belongs to the lower tier; a step across it costs what its watt-hours cost."""
    limit = tariff.limits[which % len(tariff.limits)] if tariff.limits else 100
    for end in (limit - 1, limit, limit + 1, limit + length):
        start = max(0, end - length)
        whole = run([Meter((0,), (end - start,), period=start)], [tariff]).charge[0]
        singles = [Meter((wh,), (wh + 1,), period=start + wh) for wh in range(end - start)]
        charges = run(singles, [tariff]).charge if singles else []
        above = [
            sum(s for s, at in zip(tariff.steps, tariff.limits, strict=True) if at <= one.period) for one in singles
        ]
        assert charges == [tariff.prices[0] + step for step in above]
        assert whole == sum(charges)


@given(batches())
def test_an_anomaly_leaves_the_meter_untouched(batch):
    meters, _ = batch
    result = run(*batch)
    for i, one in enumerate(meters):
        if result.event[i] in (core.EVENT_BACKWARDS, core.EVENT_JUMP, core.EVENT_RANGE):
            assert (result.charge[i], result.period[i], result.balance[i], result.flags[i]) == (
                0,
                one.period,
                one.balance,
                one.flags,
            )


@given(batches(), st.data())
def test_slices_and_tails_leave_the_rest_alone(batch, data):
    meters, tariffs = batch
    lo = data.draw(st.integers(0, len(meters)))
    hi = data.draw(st.integers(lo, len(meters)))
    result, whole = run(meters, tariffs, lo=lo, hi=hi), run(meters, tariffs)
    for i, one in enumerate(meters):
        row = (result.charge[i], result.period[i], result.balance[i], result.flags[i], result.event[i])
        if lo <= i < hi:
            assert row == (whole.charge[i], whole.period[i], whole.balance[i], whole.flags[i], whole.event[i])
        else:
            assert row == (-7, one.period, one.balance, one.flags, 99)


@given(batches(), st.randoms(use_true_random=False))
def test_permuting_meters_permutes_results(batch, random):
    meters, tariffs = batch
    order = list(range(len(meters)))
    random.shuffle(order)
    straight, shuffled = run(meters, tariffs), run([meters[i] for i in order], tariffs)
    for name in ("charge", "period", "balance", "flags", "event"):
        assert getattr(shuffled, name) == [getattr(straight, name)[i] for i in order]


@given(batches(), st.data())
def test_an_index_charges_exactly_the_meters_it_names(batch, data):
    meters, tariffs = batch
    chosen = sorted(data.draw(st.sets(st.integers(0, len(meters) - 1))))
    result = run(meters, tariffs, index=np.array(chosen, np.int64))
    whole = run(meters, tariffs)
    for i in range(len(meters)):
        assert result.charge[i] == (whole.charge[i] if i in chosen else -7)
        assert result.event[i] == (whole.event[i] if i in chosen else 99)


@given(batches(), st.data())
def test_runs_equal_the_tariff_column(batch, data):
    meters, tariffs = batch
    meters = sorted(meters, key=lambda one: one.tariff)
    runs = [sum(one.tariff < t for one in meters) for t in range(len(tariffs) + 1)]
    lo = data.draw(st.integers(0, len(meters)))
    assert run(meters, tariffs, runs=np.array(runs), lo=lo) == run(meters, tariffs, lo=lo)


@given(st.integers(2, MODULUS_WH), st.data())
def test_any_modulus_rolls_over_like_the_oracle(modulus, data):
    register = st.integers(0, modulus - 1)
    longest = data.draw(st.integers(1, max(1, (modulus + 1) // 2 - 1)))
    if longest >= (modulus + 1) // 2:
        return
    one = Meter((data.draw(register),), (data.draw(register),))
    tariff = Terms((3,), (2,), (100,))
    options = {"modulus_wh": modulus, "max_delta_wh": longest}
    assert run([one], [tariff], **options) == expect([one], [tariff], **options)


@given(terms(), meter(rates=4, step=st.integers(0, 10**6)))
def test_the_wide_way_equals_the_kernel_on_ordinary_rows(tariff, one):
    from core.tariff import charge_exact

    one = replace(one, balance=0)
    steps = [(n - p) % MODULUS_WH for p, n in zip(one.prev, one.new, strict=True)]
    result = run([one], [tariff])
    if result.event[0] != core.EVENT_RANGE:
        assert charge_exact(tariff.row(), steps, one.period, ratio=one.ratio) == result.charge[0]


@given(st.lists(st.integers(0, 10**12), min_size=1, max_size=40))
def test_postings_are_the_half_up_of_the_running_charge(charges):
    residue, posted = np.zeros(1, np.int64), np.zeros(1, np.int64)
    exact, posted_sum = 0, 0
    for charge in charges:
        core.post_fen(np.array([charge]), residue, posted)
        exact += charge
        posted_sum += int(posted[0])
        assert posted_sum * 10**9 + int(residue[0]) == exact
        assert posted_sum == oracle.half_up_fen(oracle.Fraction(exact, 10**11))
        assert -5 * 10**8 <= residue[0] < 5 * 10**8


@given(st.integers(-(2**62), 2**62), st.integers(10**9 - 2**62, 2**62 - 10**9))
def test_posting_floors_and_never_truncates(charge, residue):
    from core.units import post_charge

    residues, posted = np.array([residue]), np.zeros(1, np.int64)
    core.post_fen(np.array([charge]), residues, posted)
    assert (int(posted[0]), int(residues[0])) == post_charge(charge, residue)
    assert int(posted[0]) == (charge + residue + 5 * 10**8) // 10**9
