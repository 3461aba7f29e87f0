"""Seasons, weekends and holidays at the meter: which register counts and what it is worth, beside the head-end."""

from datetime import datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

from hypothesis import given, settings
from hypothesis import strategies as st

from core.tariff import HOLIDAY, rate_at, tariff_from_dict
from core.tariff_windows import week_kind
from server.domain.comparison import Course, cost
from server.domain.registers import Registers
from sim.scenario.holidays import read_holidays
from sim.scenario.section import Section
from sim.scenario.tariff import read_calendar
from sim.truth import charge_to_nf
from tests.sim.rig import Virtual, household, table

ZONE = ZoneInfo("Asia/Shanghai")
MIDNIGHT = datetime(2026, 9, 30, tzinfo=ZONE)
HOLIDAYS = ["2026-10-01..2026-10-03"]
SEASONAL = {
    "registers": ["deep", "peak", "flat", "valley"],
    "prices": {"deep": "0.1", "peak": "0.9", "flat": "0.5", "valley": "0.3"},
    "tier_steps": ["0.05"],
    "tier_period": "month",
    "seasons": [
        {"months": [10, 11, 12, 1, 2, 3, 4, 5, 6], "tier_limits_wh": [30_000], "tier_steps": ["0.1"]},
        {"months": [7, 8, 9], "prices": {"deep": "0.2", "flat": "0.6"}, "tier_limits_wh": [20_000],
         "periods": [{"from": "22:00", "to": "06:00", "rate": "deep"},
                     {"from": "06:00", "to": "22:00", "rate": "flat"}]},
    ],
    "periods": [{"from": "00:00", "to": "08:00", "rate": "valley"}, {"from": "08:00", "to": "24:00", "rate": "peak"}],
    "weekend_periods": [{"from": "00:00", "to": "24:00", "rate": "flat"}],
    "holiday_periods": [{"from": "11:00", "to": "13:00", "rate": "deep"},
                        {"from": "13:00", "to": "11:00", "rate": "flat"}],
}  # fmt: skip
VERSION = tariff_from_dict({"id": "t", "valid_from": "2020-01-01", **SEASONAL}).versions[0]


def lived(days):
    estate = {"id": "e", "holidays": HOLIDAYS}
    whole = table([household(load="constant", mean_power_w=1000)], tariff=SEASONAL) | {"estate": estate}
    stage = Virtual(whole, start=MIDNIGHT)
    stage.run_s(days * 86_400)
    return stage, stage.household().meter.register, stage.world.now_ms


def test_a_meter_follows_season_weekend_and_holiday():
    _stage, register, now_ms = lived(7)
    origin_ms = register.origin_ms
    days = [register.rates_wh(origin_ms + number * 86_400_000) for number in range(8)]
    moved = [tuple(b - a for a, b in zip(one, other, strict=True)) for one, other in pairwise(days)]
    summer, holiday = (8000, 0, 16_000, 0), (2000, 0, 22_000, 0)
    weekend, workday = (0, 0, 24_000, 0), (0, 16_000, 0, 8000)
    assert moved == [summer, holiday, holiday, holiday, weekend, workday, workday]
    assert now_ms == origin_ms + 7 * 86_400_000


def test_the_truth_and_the_billing_agree_across_the_season():
    stage, register, now_ms = lived(3)
    tariff = tariff_from_dict({"id": "t", "valid_from": "2020-01-01", **SEASONAL})
    instants = [register.origin_ms + number * 86_400_000 for number in range(4)]
    points = [Registers(at // 1000, sum(register.rates_wh(at)), register.rates_wh(at)) for at in instants]
    charged, _ = cost([Course("M", "A", 1, points)], tariff, points[0].at, points[-1].at)
    assert charged["A"] == charge_to_nf(register, stage.world.calendar, points[-1].total_wh, now_ms)
    by_hand = 8000 * 20_000_000 + 16_000 * 60_000_000 + 4_000 * 5_000_000  # the last day of September, over 20 kWh
    by_hand += 4000 * 10_000_000 + 44_000 * 50_000_000 + 18_000 * 10_000_000  # two holidays of October, over 30 kWh
    assert charged["A"] == by_hand


@settings(max_examples=200)
@given(st.integers(0, 366 * 1440))
def test_both_ends_of_the_wire_read_the_same_windows(minutes):
    holidays = read_holidays(Section("t", "[estate]", {"holidays": HOLIDAYS}))
    calendar = read_calendar(Section("t", "[tariff]", SEASONAL), ZONE, holidays)
    moment = MIDNIGHT + timedelta(minutes=minutes)
    at_s = int(moment.timestamp())
    kind = HOLIDAY if calendar.holiday(moment.date()) else week_kind(moment.date())
    season = VERSION.season_of(moment.month)
    register = VERSION.registers_in(season).index(rate_at(VERSION, at_s, "Asia/Shanghai", lambda _day: kind)) + 1
    assert calendar.rate_at(at_s * 1000) == register
    following = calendar.next_switch_ms(at_s * 1000)
    assert following is not None
    assert calendar.rate_at(following - 60_000) == register
