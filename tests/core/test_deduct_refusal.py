"""A long batch is charged while it is checked: a bad value anywhere must still leave everything as it was, bit for bit.

Rows at every limit, with anomalies and random old outputs; the bad value stands at the seams of the pass (first and
last meter, heads and tails of groups and runs). The short batches of `test_deduct_guards` are checked beforehand.
"""

import numpy as np
import pytest

import core
from core import _isa
from tests.core.test_isa import IN_PLACE, batch, rows

N = 20_011
LO, HI = 1_003, 19_990
PLACES = (LO, LO + 1, LO + 15, LO + 16, 9_999, HI - 17, HI - 2, HI - 1)
BAD = {
    "prev_wh": (-1, 10**9, -(2**31)),
    "new_wh": (-1, 10**9, 2**31 - 1),
    "ratio": (0, -1, 2**20 + 1),
    "tariff": (40, 65_535),
}


@pytest.fixture(params=_isa.TIERS)
def tier(request):
    """The tier under test; the one chosen at import is in use again afterwards."""
    if request.param not in _isa.available():
        pytest.skip(f"the host lacks the instruction set {request.param}")
    chosen = core.isa()
    _isa.use(request.param)
    yield request.param
    _isa.use(chosen)


@pytest.fixture(scope="module")
def table():
    return rows(np.random.default_rng(5))


@pytest.fixture(scope="module")
def fresh(table):
    """Columns whose outputs hold what an earlier call may have left."""
    random = np.random.default_rng(6)
    columns = batch(N, 4, 6, len(table))
    columns["charge_nf"] = random.integers(-(2**63), 2**63 - 1, N)
    columns["event"] = random.integers(0, 256, N).astype(np.uint8)
    return columns


def copied(columns):
    return {name: column.copy() for name, column in columns.items()}


def refused(columns, table, match, **options):
    before = copied(columns)
    with pytest.raises(ValueError, match=match):
        core.deduct(*columns.values(), table, **options)
    for name, old in before.items():
        assert np.array_equal(columns[name], old), f"the refused call changed {name}"


@pytest.mark.parametrize("name", BAD)
@pytest.mark.parametrize("place", PLACES)
def test_a_bad_value_anywhere_undoes_the_whole_call(tier, fresh, table, name, place):
    columns = copied(fresh)
    for value in BAD[name]:
        target = columns[name][3] if columns[name].ndim == 2 else columns[name]
        target[place] = value
        refused(columns, table, rf"{name}\[(3, )?{place}\] = {value}", lo=LO, hi=HI)


@pytest.mark.parametrize("place", PLACES)
def test_grouped_meters_are_undone_as_well(tier, fresh, table, place):
    columns = copied(fresh)
    runs = np.array([*np.sort(np.random.default_rng(place).integers(0, N, len(table))), N])
    runs[0] = 0
    columns["ratio"][place] = 0
    columns["tariff"][:] = 65_535  # not looked at
    refused(columns, table, rf"ratio\[{place}\] = 0", runs=runs)


@pytest.mark.parametrize("rates", [1, 5])
def test_every_number_of_rates_is_undone(tier, table, rates):
    columns = batch(N, rates, rates, len(table))
    columns["new_wh"][rates - 1, HI] = 10**9
    refused(columns, table, rf"new_wh\[{rates - 1}, {HI}\]")


@pytest.mark.parametrize("place", [LO - 1, HI])
def test_a_bad_value_outside_the_slice_refuses_nothing(tier, fresh, table, place):
    columns = copied(fresh)
    columns["ratio"][place] = 0
    core.deduct(*columns.values(), table, lo=LO, hi=HI)
    outside = np.r_[0:LO, HI:N]
    for name in IN_PLACE:
        assert np.array_equal(columns[name][outside], fresh[name][outside])
        assert not np.array_equal(columns[name], fresh[name])


def test_an_index_is_checked_before_it_is_followed(tier, fresh, table):
    columns = copied(fresh)
    columns["tariff"][N - 1] = len(table)
    refused(columns, table, rf"tariff\[{N - 1}\] = 40, but there are 40", index=np.arange(0, N, 2))


@pytest.mark.parametrize("lo", [0, 5])
def test_long_runs_are_the_same_in_every_tier(tier, fresh, table, lo):
    columns = copied(fresh)
    columns["tariff"].sort()
    runs = np.searchsorted(columns["tariff"], np.arange(len(table) + 1)).astype(np.int64)
    expected = copied(columns)
    core.deduct(*columns.values(), table, runs=runs, lo=lo)
    _isa.use("scalar")
    core.deduct(*expected.values(), table, lo=lo)
    assert all(np.array_equal(columns[name], expected[name]) for name in IN_PLACE)


@pytest.mark.ci
@pytest.mark.parametrize("place", [None, 0, (3 << 20) - 1, 3 << 20, (3 << 20) + 5_000])
def test_beyond_three_million_meters_the_rest_is_checked_first(tier, table, place):
    n = (3 << 20) + 5_001
    some = batch(20_011, 1, 1, len(table))
    columns = {name: np.ascontiguousarray(np.resize(column, (*column.shape[:-1], n))) for name, column in some.items()}
    if place is not None:
        columns["ratio"][place] = 0
        refused(columns, table, rf"ratio\[{place}\] = 0")
        return
    core.deduct(*columns.values(), table)
    _isa.use("scalar")
    core.deduct(*some.values(), table)
    for name in IN_PLACE:
        assert np.array_equal(columns[name], np.resize(some[name], n))
