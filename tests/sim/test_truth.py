"""The truth: charges against worked figures and against a step-by-step oracle, and when a register was shown."""

from datetime import datetime
from fractions import Fraction
from zoneinfo import ZoneInfo

import pytest

from sim.truth import charge_between_nf, charge_to_nf, estate_truth, household_truth, judge_cursor, locate
from tests.sim.charge_oracle import charge_by_steps
from tests.sim.rig import ADDRESS, START, Virtual, household, table

ZONE = ZoneInfo("Asia/Shanghai")
KW = {"load": "constant", "mean_power_w": 1000}
BEIJING = {
    "price": "0.4883",
    "tier_steps": ["0.05", "0.25"],
    "tier_limits_wh": [240000, 400000],
    "tier_period": "month",
}
GUANGZHOU = {
    "kind": "tou",
    "prices": {"peak": "0.99500875", "flat": "0.58886875", "valley": "0.22914475"},
    "tier_steps_nf_per_wh": [5_000_000, 25_000_000],
    "seasons": [
        {"months": [5, 6, 7, 8, 9, 10], "tier_limits_wh": [260000, 600000]},
        {"months": [11, 12, 1, 2, 3, 4], "tier_limits_wh": [200000, 400000]},
    ],
    "tier_period": "month",
    "periods": [
        {"from": "00:00", "to": "08:00", "rate": "valley"},
        {"from": "08:00", "to": "10:00", "rate": "flat"},
        {"from": "10:00", "to": "12:00", "rate": "peak"},
        {"from": "12:00", "to": "14:00", "rate": "flat"},
        {"from": "14:00", "to": "19:00", "rate": "peak"},
        {"from": "19:00", "to": "24:00", "rate": "flat"},
    ],
}


def lived(tariff, days, start=START, **keys):
    """An estate of one household after some days, its household, and now."""
    estate = Virtual(table([household(**(KW | keys))], tariff=tariff), start=start)
    estate.run_s(days * 86400)
    return estate, estate.household(), estate.world.now_ms


def charged(estate, upto_wh):
    home = estate.household()
    now_ms = estate.world.now_ms
    return charge_to_nf(home.meter.register, estate.world.calendar, upto_wh, now_ms, home.config.tier_used_wh)


def test_single_price_without_tiers():
    estate, _, _ = lived({"price": "0.66286875"}, 1)
    assert charged(estate, 10) == 662_868_750
    assert charged(estate, 24_000) == 24_000 * 66_286_875


def test_beijing_month_crosses_two_tiers_inside_one_charge():
    estate, _, _ = lived(BEIJING, 40, datetime.fromisoformat("2026-10-01T00:00:00+08:00"))
    # 240 kWh at 0.4883 (117.192), 160 at 0.5383 (86.128) and 50 at 0.7883 (39.415) are 242.735 yuan
    assert charged(estate, 450_000) == 24_273_500_000_000
    assert charged(estate, 240_000) == 240_000 * 48_830_000, "the limit itself is still tier 1"
    assert charged(estate, 240_010) - charged(estate, 240_000) == 10 * 53_830_000


def test_energy_used_before_the_start_counts_toward_the_tier():
    estate, _, _ = lived(BEIJING, 1, tier_used_wh=239_990)
    assert charged(estate, 20) == 10 * 48_830_000 + 10 * 53_830_000


def test_a_new_month_starts_the_tiers_again():
    estate, home, now_ms = lived(BEIJING, 20, datetime.fromisoformat("2026-10-21T00:00:00+08:00"))
    register = home.meter.register
    # 264 kWh fall into October, the rest into November
    assert register.steps_wh(now_ms) == 480_000
    october = 240_000 * 48_830_000 + 24_000 * 53_830_000
    assert charged(estate, 264_000) == october
    assert charged(estate, 480_000) == october + 216_000 * 48_830_000


def test_a_year_that_starts_in_december():
    tariff = BEIJING | {"tier_period": "year", "tier_period_start": "1201"}
    estate, _, _ = lived(tariff, 30, datetime.fromisoformat("2026-11-21T00:00:00+08:00"))
    before = 240_000 * 48_830_000
    assert charged(estate, 240_000) == before
    assert charged(estate, 480_000) == before + 240_000 * 48_830_000


def test_a_year_goes_on_above_its_limits_from_month_to_month():
    tariff = BEIJING | {"tier_period": "year", "tier_limits_wh": [240000, 720000]}
    estate, _, _ = lived(tariff, 50, datetime.fromisoformat("2026-10-20T00:00:00+08:00"))
    # 24 kWh a day: October ends at 288, November at 1008 kWh, both limits are passed in November
    expected = 240_000 * 48_830_000 + 480_000 * 53_830_000 + 480_000 * 78_830_000
    assert charged(estate, 1_200_000) == expected


def test_a_tier_day_in_the_middle_of_the_month():
    tariff = BEIJING | {"tier_period_start": 15}
    estate, _, _ = lived(tariff, 30, datetime.fromisoformat("2026-10-10T00:00:00+08:00"))
    assert charged(estate, 360_000) == 360_000 * 48_830_000
    assert charged(estate, 360_010) - charged(estate, 360_000) == 10 * 53_830_000


def test_a_new_price_counts_from_its_midnight():
    tariff = {
        "versions": [
            {"valid_from": "2026-01-01", "price": "0.5"},
            {"valid_from": "2026-10-14", "price": "0.6"},
        ]
    }
    estate, home, _ = lived(tariff, 2)
    midnight_ms = int(datetime.fromisoformat("2026-10-14T00:00:00+08:00").timestamp()) * 1000
    old_wh = home.meter.register.steps_wh(midnight_ms)
    assert old_wh == 14_910
    assert charged(estate, old_wh + 10) == old_wh * 50_000_000 + 10 * 60_000_000


def test_guangzhou_over_a_change_of_season_agrees_with_pricing_every_step():
    start = datetime.fromisoformat("2026-10-29T05:00:00+08:00")
    estate, home, now_ms = lived(GUANGZHOU, 14, start, load="family", mean_power_w=900, tier_used_wh=250_000)
    register = home.meter.register
    register.now_ms = now_ms
    upto_wh = register.steps_wh(now_ms)
    limits = {5: (260000, 600000), 11: (200000, 400000)}
    version = (
        0,
        (58_886_875, 99_500_875, 58_886_875, 22_914_475),
        (5_000_000, 25_000_000),
        lambda month: limits[5] if 5 <= month <= 10 else limits[11],
        lambda civil: (civil.year, civil.month),
    )
    assert upto_wh > 150_000
    assert charged(estate, upto_wh) == charge_by_steps(register, upto_wh, ZONE, [version], 250_000)
    middle_wh = upto_wh // 20 * 10
    parts = charge_between_nf(home, estate.world.calendar, middle_wh, upto_wh, now_ms) + charged(estate, middle_wh)
    assert parts == charged(estate, upto_wh)


def test_an_opened_relay_costs_nothing():
    estate, home, now_ms = lived({"price": "0.5"}, 1)
    home.meter.trip(now_ms)
    reached_wh = home.meter.register.steps_wh(now_ms)
    estate.run_s(86400)
    assert household_truth(home, estate.world.now_ms)["register_wh"] == reached_wh
    assert household_truth(home, estate.world.now_ms)["relay"] == "open"


def test_cursor_gets_the_charge_the_rates_and_the_span_of_time():
    estate, home, now_ms = lived({"price": "0.5"}, 1, start_register_wh=1000)
    start_s = START.timestamp()
    cursor = {"meter": ADDRESS, "register_wh": 2000, "at_s": start_s + 3610, "rates_wh": [60, 320, 1380, 240]}
    verdict = judge_cursor(home, estate.world.calendar, cursor, now_ms)
    assert verdict["charge_nf"] == str(1000 * 50_000_000)
    assert verdict["window"] == [start_s + 3600, start_s + 3636]
    assert verdict["rates_match"] is True
    assert verdict["error"] is None


def test_cursor_that_the_meter_never_showed_is_an_error():
    estate, home, now_ms = lived({"price": "0.5"}, 1, start_register_wh=1000)
    for register_wh in (0, 990, 2005, 900_000):
        verdict = judge_cursor(home, estate.world.calendar, {"register_wh": register_wh}, now_ms)
        assert verdict["charge_nf"] is None
        assert "never" in verdict["error"]


def test_register_shown_now_has_no_end_yet():
    _, home, now_ms = lived({"price": "0.5"}, 1)
    shown_wh = home.meter.register.shown_wh(now_ms)[0]
    assert locate(home.meter.register, shown_wh, now_ms, now_ms) == (shown_wh, now_ms, None)


def test_charge_goes_through_a_roll_over():
    estate, home, now_ms = lived({"price": "0.5"}, 1, start_register_wh=999_999_000)
    verdict = judge_cursor(home, estate.world.calendar, {"register_wh": 500}, now_ms)
    assert verdict["true_total_wh"] == 1_000_000_500
    assert verdict["charge_nf"] == str(1500 * 50_000_000)


def test_a_register_shown_twice_is_told_apart_by_time():
    estate, home, _ = lived({"price": "0.5"}, 1, start_register_wh=100_000)
    estate.fault("register_backwards", drop_wh=5_000)
    estate.run_s(86400)
    later_ms = estate.world.now_ms
    start_ms = int(START.timestamp()) * 1000
    first = locate(home.meter.register, 120_000, start_ms + 20 * 3_600_000, later_ms)
    second = locate(home.meter.register, 120_000, later_ms, later_ms)
    assert first is not None
    assert second is not None
    assert (first[0], second[0]) == (120_000, 125_000)
    assert second[1] - first[1] == 5 * 3_600_000


def test_a_register_that_a_fault_takes_away_was_shown_until_the_fault():
    estate, home, _ = lived({"price": "0.5"}, 1, start_register_wh=100_000)
    estate.run_s(10)
    now_ms = estate.world.now_ms
    estate.fault("register_backwards", drop_wh=5_000)
    estate.run_s(3600)
    assert locate(home.meter.register, 124_000, now_ms, estate.world.now_ms) == (124_000, now_ms - 10_000, now_ms)


def test_two_runs_of_one_seed_tell_the_same_truth():
    truths = []
    for _ in range(2):
        homes = [household(), household("1-0102", "202600010102", load="heavy")]
        estate = Virtual(table(homes, tariff=GUANGZHOU), seed=11)
        estate.run_s(3 * 86400)
        estate.household().meter.trip(estate.world.now_ms)
        estate.household().meter.allow_close(estate.world.now_ms)
        estate.run_s(2 * 86400)
        truths.append([*estate_truth(estate.world)][-1])
    assert truths[0] == truths[1]
    assert truths[0]["households"][0]["button_pressed_at"]


def test_prices_are_exact_fractions():
    estate, _, _ = lived({"price": "0.66286875"}, 1)
    assert isinstance(charged(estate, 1000), Fraction)
    with pytest.raises(ValueError, match="never showed"):
        charged(estate, 10**8)
