"""Windows of the day by kind of day and season: which rate holds when, beside the oracle; and the limits of a meter."""

from datetime import date, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.tariff import HOLIDAY, Period, TariffError, Windows, rate_at, tariff_from_dict, tariff_to_dict
from core.tariff_windows import RATE_NAMES, check_periods, switch_count, week_kind
from tests import oracle

ZONE = ZoneInfo("Asia/Shanghai")
REGISTERS = ("deep", "peak", "flat", "valley")
QUARTERS = st.integers(0, 95)


@st.composite
def days(draw):
    """The windows of a day, the last one over midnight: (from, to, name) in minutes."""
    cuts = sorted(draw(st.sets(QUARTERS, min_size=1, max_size=8)))
    names = draw(st.lists(st.sampled_from(REGISTERS), min_size=len(cuts), max_size=len(cuts)))
    ends = [*cuts[1:], cuts[0]]
    return [(begin * 15, end * 15, name) for begin, end, name in zip(cuts, ends, names, strict=True)]


def clock(minute):
    return f"{minute // 60:02d}:{minute % 60:02d}"


def written(day):
    return [{"from": clock(begin), "to": clock(end), "rate": name} for begin, end, name in day]


def tariff(**more):
    return tariff_from_dict(
        {"id": "t", "valid_from": "2026-01-01", "registers": list(REGISTERS), "prices": {"flat": "0.5"}, **more}
    )


@settings(max_examples=60)
@given(days(), days(), days(), days(), st.integers(0, 364), st.integers(0, 1439))
def test_the_rate_of_a_minute_is_that_of_the_season_and_the_kind_of_day(work, weekend, holiday, summer, number, minute):
    own = {"periods": written(summer)}
    whole = tariff(
        periods=written(work), weekend_periods=written(weekend), holiday_periods=written(holiday),
        seasons=[{"months": [7, 8], **own}, {"months": [1, 2, 3, 4, 5, 6, 9, 10, 11, 12]}],
    )  # fmt: skip
    assert tariff_from_dict(tariff_to_dict(whole)) == whole
    day = date(2026, 1, 1) + timedelta(days=number)
    is_holiday = number % 9 == 0
    if day.month in (7, 8):
        windows = summer
    elif is_holiday:
        windows = holiday
    else:
        windows = weekend if day.weekday() >= 5 else work
    moment = datetime(day.year, day.month, day.day, minute // 60, minute % 60, tzinfo=ZONE)
    rate = rate_at(
        whole.versions[0], int(moment.timestamp()), "Asia/Shanghai", lambda d: HOLIDAY if is_holiday else week_kind(d)
    )
    assert RATE_NAMES[rate - 1] == oracle.window_of(windows, minute)


def test_a_holiday_without_windows_of_its_own_is_as_its_day_of_the_week():
    flat, peak = (Period(0, 1440, 3),), (Period(0, 1440, 2),)
    windows = Windows(flat, peak)
    assert windows.on(date(2026, 10, 1), HOLIDAY) == flat  # a Thursday
    assert windows.on(date(2026, 10, 3), HOLIDAY) == peak
    assert Windows(flat).on(date(2026, 10, 3), week_kind(date(2026, 10, 3))) == flat


def switching(count):
    cuts = [*range(0, 1440, 1440 // count)][:count]
    return tuple(Period(a, b, 2 + number % 2) for number, (a, b) in enumerate(pairwise([*cuts, 1440])))


def test_a_day_has_eight_windows_and_at_most_the_fourteen_of_a_meter():
    for count in (1, 2, 8, 14):
        check_periods(switching(count), (1, 2, 3, 4), "t")
    assert switch_count(switching(8)) == 8
    with pytest.raises(TariffError, match="16 periods in a day; a meter's day table holds at most 14"):
        check_periods(switching(16), (1, 2, 3, 4), "t")
    over_midnight = (Period(0, 480, 4), Period(480, 1320, 2), Period(1320, 1440, 4))
    assert switch_count(over_midnight) == 2


def test_a_meter_keeps_eight_different_days():
    def season(month, minute):
        windows = [
            {"from": "00:00", "to": clock(minute), "rate": "flat"},
            {"from": clock(minute), "to": "24:00", "rate": "peak"},
        ]
        return {"months": [month], "periods": windows}

    tariff(seasons=[season(month, 60 * min(month, 8)) for month in range(1, 13)])
    with pytest.raises(TariffError, match="9 different days of windows; a meter keeps at most 8 day tables"):
        tariff(seasons=[season(month, 60 * min(month, 9)) for month in range(1, 13)])
