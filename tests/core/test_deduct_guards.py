"""G1: what breaks a rule of the call is a ValueError that names it, and nothing was changed."""

import array

import numpy as np
import pytest

import core
from tests.core.deduct_batch import Meter, Terms, arrays, run, tariff_row

PREV, NEW, RATIO, TARIFF, PERIOD, BALANCE, ALARM1, _, _, FLAGS, CHARGE, EVENT = range(12)
PLAIN = Terms((50_000_000,) * 4)


def three():
    return arrays([Meter((100, 0, 0, 0), (200, 10, 0, 0)) for _ in range(3)])


def refused(match, *, columns=None, tariffs=None, **options):
    columns = three() if columns is None else columns
    before = [np.copy(column) for column in columns]
    with pytest.raises((ValueError, TypeError), match=match):
        core.deduct(*columns, PLAIN.row() if tariffs is None else tariffs, **options)
    for column, old in zip(columns, before, strict=True):
        assert np.array_equal(column, old), "a refused call changed something"


@pytest.mark.parametrize("argument", [TARIFF, PERIOD, BALANCE, ALARM1, FLAGS, CHARGE, EVENT])
def test_a_column_of_another_length_is_refused(argument):
    columns = three()
    columns[argument] = np.ascontiguousarray(columns[argument][:2])
    refused("holds 2 elements", columns=columns)


@pytest.mark.parametrize("argument", range(12))
def test_a_column_of_another_type_is_refused(argument):
    columns = three()
    columns[argument] = columns[argument].astype(np.float64)
    refused("Buffer dtype mismatch", columns=columns)


@pytest.mark.parametrize("argument", range(12))
def test_a_column_that_is_not_contiguous_is_refused(argument):
    columns = three()
    wide = np.repeat(columns[argument], 2, axis=-1)
    columns[argument] = wide[..., ::2]
    refused("contiguous", columns=columns)


@pytest.mark.parametrize("options", [{"max_delta_wh": 1.7}, {"modulus_wh": 1e9}, {"lo": 0.0}, {"hi": 3.0}])
def test_a_scalar_that_is_no_integer_is_refused(options):
    refused("integer", **options)


@pytest.mark.parametrize("argument", [RATIO, TARIFF, PERIOD, BALANCE, FLAGS, CHARGE, EVENT])
def test_none_is_refused(argument):
    columns = three()
    arguments = [*columns, PLAIN.row()]
    arguments[argument] = None
    with pytest.raises(TypeError, match="None"):
        core.deduct(*arguments)


@pytest.mark.parametrize(
    ("argument", "value", "message"),
    [
        (RATIO, 0, r"ratio\[2\] = 0 is not in 1"),
        (RATIO, -1, r"ratio\[2\] = -1"),
        (RATIO, 2**20 + 1, r"ratio\[2\] = 1048577"),
        (RATIO, -(2**31), r"ratio\[2\]"),
        (TARIFF, 1, r"tariff\[2\] = 1, but there are 1"),
        (TARIFF, 65535, r"tariff\[2\] = 65535"),
    ],
)
def test_a_value_out_of_range_names_its_meter(argument, value, message):
    columns = three()
    columns[argument][2] = value
    refused(message, columns=columns)


@pytest.mark.parametrize("value", [-1, 10**9, 2**31 - 1, -(2**31)])
@pytest.mark.parametrize("side", [PREV, NEW])
def test_a_register_out_of_range_names_rate_and_meter(side, value):
    columns = three()
    columns[side][3, 1] = value
    refused(r"_wh\[3, 1\] = ", columns=columns)


@pytest.mark.parametrize("meter", [0, 2])
def test_with_an_index_only_the_meters_it_names_are_checked(meter):
    columns = three()
    columns[RATIO][meter] = 0
    refused(rf"ratio\[{meter}\] = 0", columns=columns, index=np.array([0, 2]))
    columns[RATIO][:] = (1, 0, 1)
    core.deduct(*columns, PLAIN.row(), index=np.array([0, 2]))
    assert columns[CHARGE].tolist() == [110 * 50_000_000, -7, 110 * 50_000_000]


@pytest.mark.parametrize("meter", [0, 1, 2])
def test_a_slice_checks_only_its_meters(meter):
    columns = three()
    columns[RATIO][meter] = 0
    if meter == 1:
        refused(r"ratio\[1\] = 0", columns=columns, lo=1, hi=2)
    else:
        core.deduct(*columns, PLAIN.row(), lo=1, hi=2)


@pytest.mark.parametrize(
    "options",
    [
        {"lo": -1},
        {"lo": 4},
        {"hi": 4},
        {"lo": 2, "hi": 1},
        {"modulus_wh": 0},
        {"modulus_wh": 10**9 + 1},
        {"max_delta_wh": 0},
        {"max_delta_wh": 5 * 10**8},
        {"index": np.array([0, 0])},
        {"index": np.array([1, 0])},
        {"index": np.array([3])},
        {"index": np.array([-1])},
        {"runs": np.array([0, 2])},
        {"runs": np.array([1, 3])},
        {"runs": np.array([0, 1, 3])},
        {"index": np.array([0]), "runs": np.array([0, 3])},
    ],
)
def test_impossible_options_are_refused(options):
    refused("lo = |modulus_wh|index|runs", **options)


@pytest.mark.parametrize(
    "tariffs",
    [
        b"",
        bytes(63),
        tariff_row((-1, 0, 0, 0)),
        tariff_row((0, 0, 0, 0, -1)),
        tariff_row((2**31 - 1, 0, 0, 0), (1,), (10,)),
        tariff_row((1, 1, 1, 1), (-(2**31),), (10,)),
        tariff_row((1, 1, 1, 1), (1,), (-1,)),
        tariff_row((1, 1, 1, 1), (1,), (2**53 + 1,)),
        tariff_row((1, 1, 1, 1)) * 65_536,
    ],
)
def test_rows_that_could_leave_64_bits_are_refused(tariffs):
    refused("tariff", tariffs=tariffs)


def test_an_array_given_twice_for_output_is_refused():
    columns = three()
    columns[CHARGE] = columns[BALANCE]
    refused("balance_nf and charge_nf share memory", columns=columns)


@pytest.mark.parametrize("checked", [PREV, NEW, RATIO, TARIFF, ALARM1])
def test_results_cannot_land_in_values_that_were_already_checked(checked):
    columns = three()
    columns[CHARGE] = np.zeros(8, np.int64)[:3]
    size = columns[checked].nbytes
    inside = columns[CHARGE].base.view(np.uint8)[:size].view(columns[checked].dtype)
    inside[:] = columns[checked].ravel()
    columns[checked] = inside.reshape(columns[checked].shape)
    refused("share memory; they must be arrays of their own", columns=columns)


def test_outputs_that_overlap_by_one_meter_are_refused():
    columns, both = three(), np.zeros(5, np.int64)
    columns[PERIOD], columns[BALANCE] = both[:3], both[2:]
    refused("tier_period_wh and balance_nf share memory", columns=columns)
    columns[PERIOD], columns[BALANCE] = np.zeros(6, np.int64)[:3], np.zeros(6, np.int64)[3:]
    core.deduct(*columns, PLAIN.row())


def test_an_index_or_runs_that_the_results_would_overwrite_are_refused():
    columns = three()
    columns[CHARGE] = np.arange(3)
    refused("charge_nf and index share memory", columns=columns, index=columns[CHARGE])
    columns[PERIOD] = np.array([0, 3, 9])
    refused("tier_period_wh and runs share memory", columns=columns, runs=columns[PERIOD][:2])


def test_an_index_into_no_meters_is_refused():
    with pytest.raises(ValueError, match=r"index\[0\] = 0 is not in 0"):
        core.deduct(*[array.array("i", [0] * 4)] * 2, *arrays([])[2:], PLAIN.row(), index=np.array([0]))


def test_flat_registers_without_elements_are_refused():
    columns = three()
    columns[PREV] = np.zeros(0, np.int32)
    refused("prev_wh must be int32", columns=columns)


def test_more_than_five_rates_are_refused():
    columns = three()
    columns[PREV] = columns[NEW] = np.zeros((6, 3), np.int32)
    refused("rates", columns=columns)


def test_unequal_rates_are_refused():
    columns = three()
    columns[NEW] = np.ascontiguousarray(columns[NEW][:2])
    refused("rates", columns=columns)


def test_nothing_to_do_is_no_error():
    core.deduct(*arrays([]), PLAIN.row())
    assert run([Meter((0,) * 4, (9,) * 4)], [PLAIN], lo=1).charge == [-7]


@pytest.mark.parametrize("columns", [arrays([]), three()], ids=["no meters", "an empty slice"])
@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"tariffs": b"x"}, "whole rows"),
        ({"tariffs": b""}, "whole rows"),
        ({"tariffs": "x"}, "bytes-like"),
        ({"tariffs": tariff_row((-1, 0))}, "negative"),
        ({"runs": np.array([0, 9])}, "offsets from 0 to"),
        ({"index": np.array([0, 0])}, "index"),
        ({"index": np.zeros(0, np.int64), "runs": np.array([0])}, "exclude"),
    ],
)
def test_a_call_that_charges_nobody_is_checked_like_any_other(columns, options, match):
    refused(match, columns=columns, lo=0, hi=0, **options)


def test_an_empty_slice_touches_nobody():
    chosen = core.isa()
    try:
        for tier in core.isa_available():
            core.use_isa(tier)
            for at, rules in [(at, one) for at in range(4) for one in ({}, {"runs": np.array([0, 3])})]:
                columns = three()
                before = [np.copy(column) for column in columns]
                core.deduct(*columns, PLAIN.row(), lo=at, hi=at, **rules)
                core.deduct(*columns, PLAIN.row(), index=np.zeros(0, np.int64))
                assert all(np.array_equal(column, old) for column, old in zip(columns, before, strict=True))
    finally:
        core.use_isa(chosen)


def test_registers_of_an_empty_slice_are_checked():
    columns = three()
    columns[PREV] = np.zeros((6, 3), np.int32)
    refused("rates", columns=columns, lo=1, hi=1)


def test_arrays_of_the_standard_library_serve_as_well():
    zeros = {code: array.array(code, [0, 0]) for code in "iHqB"}
    charge, event = array.array("q", [0, 0]), array.array("B", [0, 0])
    balance, period = array.array("q", [10**12, 10**12]), array.array("q", [0, 0])
    prev, new = array.array("i", [0, 5, 0, 0]), array.array("i", [10, 25, 0, 100])
    ratio = array.array("i", [1, 1])
    limits = [array.array("i", [0, 0])] * 3
    core.deduct(prev, new, ratio, zeros["H"], period, balance, *limits, bytearray(2), charge, event, tariff_row((7, 9)))
    assert charge.tolist() == [70, 20 * 7 + 100 * 9]
    assert period.tolist() == [10, 120]


def test_rows_at_an_odd_address_are_read_right():
    shifted = memoryview(b"x" + PLAIN.row())[1:]
    columns = three()
    core.deduct(*columns, shifted)
    assert columns[CHARGE].tolist() == [110 * 50_000_000] * 3


def test_the_instruction_set_is_named():
    assert core.isa() in ("scalar", "avx2", "avx512")
