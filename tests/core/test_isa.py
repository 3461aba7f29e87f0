"""Every instruction set tier gives the same bits: ordinary and extreme rows, tails, slices, anomalies, checks.

The tiers of the host are compared with the scalar one, which the oracle judges elsewhere. A tier that the host
lacks is skipped by name; `CORE_ISA` is tried in processes of its own.
"""

import os
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

import core
from core import _isa
from tests.core.deduct_batch import ROW

TIERS = ("avx2", "avx512")
LIMIT = 2**31 - 1
HERE = Path(__file__).parent
IN_PLACE = ("tier_period_wh", "balance_nf", "flags", "charge_nf", "event")


@pytest.fixture(params=[pytest.param(tier, marks=pytest.mark.isa) for tier in TIERS])
def tier(request):
    """The tier under test; the one chosen at import is in use again afterwards."""
    if request.param not in _isa.available():
        pytest.skip(f"the host lacks the instruction set {request.param}")
    chosen = core.isa()
    yield request.param
    _isa.use(chosen)


def pick(random, n, ordinary, *extremes):
    """Ordinary values with an extreme one in every fifth place."""
    values = ordinary.copy()
    rare = random.random(n) < 0.2
    values[rare] = random.choice(np.array(extremes, dtype=values.dtype), rare.sum())
    return values


def rows(random, count=40):
    """Tariff rows up to the price cap, with falling tiers and limits to 2^53."""
    table = np.zeros(count, ROW)
    table["price"] = random.integers(0, 1_500_000_000, (count, 4))
    table["fifth"] = random.integers(0, 1_500_000_000, count)
    table["step"] = random.integers(-200_000_000, 200_000_000, (count, 3))
    table["boundary"] = random.integers(0, 2**20, (count, 3))
    table["boundary"][::7] = 2**53
    table["price"][0], table["fifth"][0], table["step"][0] = LIMIT, LIMIT, 0
    table["close_allowed"] = random.integers(-(10**13), 10**13, count)
    return table


def batch(n, rates, seed, tariffs):
    """Columns by argument name: plausible meters mixed with rows at every limit and with anomalies."""
    random = np.random.default_rng(seed)
    prev = random.integers(0, 10**9, (rates, n)).astype(np.int64)
    step = random.integers(0, 50_000, (rates, n))
    for r in range(rates):
        step[r] = pick(random, n, step[r], 0, 10**8, 10**8 + 1, -1, -(10**8), 2**31 // rates // 7)
    step[:, random.random(n) < 0.4] %= 5_000
    columns = {
        "prev_wh": prev.astype(np.int32),
        "new_wh": ((prev + step) % 10**9).astype(np.int32),
        "ratio": pick(random, n, np.ones(n, np.int32), 7, 30, 2**20, 2**20 - 1),
        "tariff": random.integers(0, tariffs, n).astype(np.uint16),
        "tier_period_wh": pick(random, n, random.integers(0, 2**20, n), 0, 2**53, 2**53 + 1, -1, -(2**63)),
        "balance_nf": pick(
            random, n, random.integers(-(10**13), 10**13, n), 2**62, -(2**62), 2**62 + 1, -(2**62) - 1, -(2**63)
        ),
    }
    for name in ("alarm1_fen", "alarm2_fen", "overdraft_fen"):
        ordinary = random.integers(-10_000, 10_000, n).astype(np.int32)
        columns[name] = pick(random, n, ordinary, LIMIT, -LIMIT - 1, 0)
    columns["flags"] = random.integers(0, 256, n).astype(np.uint8)
    return {**columns, "charge_nf": np.full(n, -7, np.int64), "event": np.full(n, 99, np.uint8)}


def deducted(tier, columns, table, **options):
    """What the tier makes of a copy of the columns."""
    _isa.use(tier)
    copied = {name: column.copy() for name, column in columns.items()}
    core.deduct(*copied.values(), table, **options)
    return {name: copied[name] for name in IN_PLACE}


def assert_same(tier, columns, table, **options):
    expected, got = deducted("scalar", columns, table, **options), deducted(tier, columns, table, **options)
    for name in IN_PLACE:
        assert np.array_equal(expected[name], got[name]), f"{name} differs in {tier}"
    return got


@pytest.mark.parametrize("rates", [1, 2, 3, 4, 5])
def test_deduction_is_the_same_bit_for_bit(tier, rates):
    table = rows(np.random.default_rng(rates))
    got = assert_same(tier, batch(20_003, rates, rates, len(table)), table)
    assert set(got["event"].tolist()) == set(range(8)), "the rows must show every event"


@pytest.mark.parametrize("n", range(1, 26))
def test_tails_are_the_same(tier, n):
    table = rows(np.random.default_rng(n))
    assert_same(tier, batch(n, 4, n, len(table)), table)


@pytest.mark.parametrize(("lo", "hi"), [(0, 0), (1, 2), (3, 20), (5, 101), (99, 101), (17, 90)])
def test_slices_are_the_same_and_leave_the_rest(tier, lo, hi):
    table = rows(np.random.default_rng(9))
    got = assert_same(tier, batch(101, 4, 9, len(table)), table, lo=lo, hi=hi)
    outside = np.r_[0:lo, hi:101]
    assert (got["event"][outside] == 99).all()
    assert (got["charge_nf"][outside] == -7).all()


@pytest.mark.parametrize("rates", [4, 5])
def test_grouped_meters_are_the_same_and_equal_the_gathered_ones(tier, rates):
    table = rows(np.random.default_rng(3))
    columns = batch(5_003, rates, 3, len(table))
    columns["tariff"].sort()
    runs = np.searchsorted(columns["tariff"], np.arange(len(table) + 1)).astype(np.int64)
    grouped = assert_same(tier, columns, table, runs=runs)
    gathered = deducted(tier, columns, table)
    assert all(np.array_equal(grouped[name], gathered[name]) for name in IN_PLACE)
    assert_same(tier, columns, table, runs=runs, lo=777, hi=4_001)


def test_another_modulus_is_the_same(tier):
    table = rows(np.random.default_rng(4))
    columns = batch(3_001, 4, 4, len(table))
    for name in ("prev_wh", "new_wh"):
        columns[name] %= 10**6
    assert_same(tier, columns, table, modulus_wh=10**6, max_delta_wh=4_000)


def frames(seed, longest, n=3_000):
    """A buffer of random frames, empty ones and all lengths up to `longest` among them."""
    random = np.random.default_rng(seed)
    length = random.integers(0, longest + 1, n)
    length[: longest + 1] = np.arange(longest + 1)
    off = np.concatenate(([0], np.cumsum(length))).astype(np.int64)
    return random.integers(0, 256, int(off[-1])).astype(np.uint8), off


@pytest.mark.parametrize("longest", [16, 40, 64, 70, 267, 1_000])
@pytest.mark.parametrize("seed", [1, 2])
def test_checks_of_frames_are_the_same(tier, longest, seed):
    buf, off = frames(seed, longest)
    for kind, one in ((core.CRC_MODBUS, core.crc16_modbus), (core.CRC_X25, core.crc16_x25)):
        out = np.zeros(len(off) - 1, np.uint16)
        _isa.use(tier)
        core.crc_batch(kind, buf, off, out)
        assert out.tolist() == [one(buf[a:b].tobytes()) for a, b in pairwise(off.tolist())]
    sums = np.zeros(len(off) - 1, np.uint8)
    core.sum_batch(buf, off, sums)
    assert sums.tolist() == [core.dlt_sum(buf[a:b].tobytes()) for a, b in pairwise(off.tolist())]


@pytest.mark.parametrize("size", [0, 1, 15, 16, 47, 48, 63, 64, 65, 100])
def test_frames_at_both_ends_of_a_buffer_are_the_same(tier, size):
    buf = np.frombuffer(np.random.default_rng(size).bytes(size), np.uint8)
    off = np.array([0, 0, size // 3, size // 2, size], np.int64)
    expected, got = np.zeros(4, np.uint16), np.zeros(4, np.uint16)
    for kind in (core.CRC_MODBUS, core.CRC_X25):
        _isa.use("scalar")
        core.crc_batch(kind, buf, off, expected)
        _isa.use(tier)
        core.crc_batch(kind, buf, off, got)
        assert got.tolist() == expected.tolist()


def started(value):
    return subprocess.run(
        [sys.executable, "-c", "import core; print(core.isa())"],
        env={**os.environ, "CORE_ISA": value},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize("name", _isa.TIERS)
def test_the_environment_forces_a_tier_or_stops_the_import(name):
    done = started(name)
    if name in _isa.available():
        assert done.stdout.strip() == name
    else:
        assert "ImportError" in done.stderr
        assert "lacks that instruction set" in done.stderr


def test_an_unknown_tier_stops_the_import():
    done = started("sse9")
    assert done.returncode != 0
    assert "CORE_ISA='sse9' is no instruction set tier; there are scalar, avx2, avx512" in done.stderr


def test_the_best_tier_is_taken_by_default():
    assert started("").stdout.strip() == _isa.available()[-1]


def test_a_switch_to_an_unknown_tier_is_refused_and_changes_nothing():
    before = core.isa()
    with pytest.raises(ValueError, match="no instruction set tier"):
        _isa.use("mmx")
    assert core.isa() == before


def test_a_tier_that_the_machine_lacks_is_refused_and_stops_an_import_that_asks_for_it(monkeypatch):
    before = core.isa()
    monkeypatch.setattr(_isa, "available", lambda: ("scalar",))
    with pytest.raises(ValueError, match="lacks that instruction set; it has scalar"):
        _isa.use("avx512")
    with pytest.raises(ImportError, match="CORE_ISA='avx2': this machine or build lacks"):
        _isa._choose("avx2")
    assert core.isa() == before


@pytest.mark.ci
@pytest.mark.parametrize("name", [pytest.param(name, marks=pytest.mark.isa) for name in _isa.TIERS])
def test_the_suites_of_the_kernels_pass_in_every_tier(name):
    if name not in _isa.available():
        pytest.skip(f"the host lacks the instruction set {name}")
    suites = sorted(str(path) for kind in ("crc", "deduct", "scan") for path in HERE.glob(f"test_{kind}*.py"))
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-m", "not ci and not long", "-p", "no:cacheprovider", *suites],
        env={**os.environ, "CORE_ISA": name},
        cwd=HERE.parents[1],
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-4000:]
