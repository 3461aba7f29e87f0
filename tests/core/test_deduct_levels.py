"""Levels and events on exact nanofen: alarms fire below their threshold, the trip at or below -overdraft."""

import array

import numpy as np
import pytest

import core
from tests.core.deduct_batch import Meter, Terms, run

FEN = 10**9
FREE = Terms((0, 0, 0, 0))


def after(balance_nf, *, flags=0, alarm1=2000, alarm2=1000, overdraft=0, close_allowed_nf=0):
    return core.level_after(balance_nf, alarm1, alarm2, overdraft, close_allowed_nf, flags)


@pytest.mark.parametrize(
    ("balance_nf", "level"),
    [
        (2000 * FEN, 0),
        (2000 * FEN - 1, 1),
        (1000 * FEN, 1),
        (1000 * FEN - 1, 2),
        (1, 2),
        (0, 3),
        (-1, 3),
    ],
)
def test_thresholds_are_exact_to_the_nanofen(balance_nf, level):
    event = {0: core.EVENT_NONE, 1: core.EVENT_ALARM1, 2: core.EVENT_ALARM2, 3: core.EVENT_TRIP}[level]
    assert after(balance_nf) == (level, event)


def test_overdraft_moves_only_the_trip():
    assert after(-500 * FEN + 1, overdraft=500) == (2, core.EVENT_ALARM2)
    assert after(-500 * FEN, overdraft=500) == (3, core.EVENT_TRIP)


def test_an_event_is_an_edge_against_the_stored_level():
    assert after(1500 * FEN, flags=1) == (1, core.EVENT_NONE)
    assert after(500 * FEN, flags=1) == (2, core.EVENT_ALARM2)
    assert after(5000 * FEN, flags=2) == (0, core.EVENT_NONE)


def test_a_tripped_meter_closes_only_above_close_allowed():
    level_at = 300 * FEN
    assert after(level_at, flags=3, close_allowed_nf=level_at) == (3, core.EVENT_NONE)
    assert after(level_at + 1, flags=3, close_allowed_nf=level_at) == (2, core.EVENT_CLOSE_ALLOWED)
    assert after(5000 * FEN, flags=3, close_allowed_nf=level_at) == (0, core.EVENT_CLOSE_ALLOWED)


def test_close_allowed_below_the_trip_threshold_does_not_release():
    assert after(-5 * FEN, flags=3, close_allowed_nf=-100 * FEN) == (3, core.EVENT_NONE)


def test_keep_power_caps_the_level_below_the_trip():
    kept = core.FLAG_KEEP_POWER
    assert after(-5 * FEN, flags=kept) == (kept | 2, core.EVENT_ALARM2)
    assert after(-5 * FEN, flags=kept | 2) == (kept | 2, core.EVENT_NONE)
    assert after(-5 * FEN, flags=kept | 3) == (kept | 2, core.EVENT_CLOSE_ALLOWED)


def test_other_flag_bits_are_left_alone():
    assert after(-FEN, flags=0xF8) == (0xF8 | 3, core.EVENT_TRIP)


def test_extreme_thresholds_do_not_wrap():
    low, high = -(2**31), 2**31 - 1
    assert after(high * FEN, alarm1=high, alarm2=low, overdraft=0)[0] == 0
    assert after(high * FEN - 1, alarm1=high, alarm2=low, overdraft=0)[0] == 1
    assert after(-low * FEN, alarm1=low, alarm2=low, overdraft=low)[0] == 3
    assert after(-low * FEN + 1, alarm1=low, alarm2=low, overdraft=low)[0] == 0


def test_values_beyond_the_array_types_are_refused():
    with pytest.raises(OverflowError):
        after(2**63)


def test_a_deduction_alone_never_allows_closing():
    meter = Meter((0,) * 4, (10,) * 4, balance=-FEN, flags=3)
    result = run([meter], [Terms((5, 5, 5, 5))])
    assert result.event == [core.EVENT_NONE]
    assert result.flags == [3]


def test_an_anomaly_takes_precedence_over_a_trip():
    meter = Meter((100,) * 4, (90, 100, 100, 100), balance=-FEN)
    result = run([meter], [FREE])
    assert (result.event, result.flags) == ([core.EVENT_BACKWARDS], [0])


def test_a_batch_of_levels_equals_one_at_a_time():
    balances = array.array("q", [2500 * FEN, 1500 * FEN, 0, 400 * FEN])
    flags = array.array("B", [0, 0, 0, 3])
    event = array.array("B", bytes(4))
    limits = [array.array("i", [fen] * 4) for fen in (2000, 1000, 0)]
    single = [after(b, flags=f, close_allowed_nf=FEN) for b, f in zip(balances, flags, strict=True)]
    core.update_levels(balances, *limits, array.array("q", [FEN] * 4), flags, event)
    assert list(zip(flags, event, strict=True)) == single


@pytest.mark.parametrize("place", range(6))
@pytest.mark.parametrize("wrong", [1.0, 1.7, np.float64(1.5), "1"])
def test_what_is_no_integer_is_refused_not_cut(place, wrong):
    arguments = [FEN, 2000, 1000, 0, 0, 0]
    arguments[place] = wrong
    with pytest.raises(TypeError):
        core.level_after(*arguments)
    arguments[place] = np.int64(1)
    core.level_after(*arguments)


@pytest.mark.parametrize("name", ["balance_nf", "alarm1_fen", "event"])
def test_a_batch_of_levels_refuses_shared_memory(name):
    one = np.zeros(4, np.int64)
    columns = {"balance_nf": np.zeros(4, np.int64)}
    columns |= {limit: np.zeros(4, np.int32) for limit in ("alarm1_fen", "alarm2_fen", "overdraft_fen")}
    columns |= {"close_allowed_nf": np.zeros(4, np.int64), "flags": one.view(np.uint8)[:4], "event": bytearray(4)}
    columns[name] = {"event": one.view(np.uint8)[3:7], "balance_nf": one, "alarm1_fen": one.view(np.int32)[:4]}[name]
    with pytest.raises(ValueError, match=f"flags and {name} share memory"):
        core.update_levels(*columns.values())
    assert not one.any()


def test_a_batch_of_levels_refuses_unequal_lengths():
    limits = [array.array("i", [0, 0]) for _ in range(3)]
    with pytest.raises(ValueError, match="event holds 1 elements, but balance_nf holds 2"):
        core.update_levels(array.array("q", [0, 0]), *limits, array.array("q", [0, 0]), bytearray(2), bytearray(1))
