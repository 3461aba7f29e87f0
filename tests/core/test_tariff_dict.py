"""Tariffs as JSON and TOML hold them: exact, round trip, and clear about what is wrong."""

import json
import tomllib

import pytest

from core.tariff import (
    Period,
    Season,
    TariffError,
    next_boundary_s,
    tariff_from_dict,
    tariff_to_dict,
    tier_period_start_s,
    version_at,
)
from core.tariff_terms import VALID_FROM_MAX_S, VALID_FROM_MIN_S

BEIJING = {
    "id": "beijing-month",
    "name": "Beijing",
    "valid_from": "2012-07-01",
    "price": "0.4883",
    "tier_steps": ["0.05", "0.25"],
    "tier_limits_wh": [240_000, 400_000],
    "tier_period": "month",
}
ZHEJIANG = {
    "id": "zhejiang-tou",
    "name": "Zhejiang",
    "time_zone": "Asia/Shanghai",
    "versions": [
        {
            "valid_from": "2026-01-01T00:00:00+08:00",
            "prices": {"peak": "0.568", "valley": "0.288"},
            "tier_steps": ["0.05", "0.25"],
            "tier_limits_wh": [2_760_000, 4_800_000],
            "tier_period": "year",
            "periods": [
                {"from": "08:00", "to": "22:00", "rate": "peak"},
                {"from": "22:00", "to": "08:00", "rate": "valley"},
            ],
        }
    ],
}


def changed(**changes):
    table = {**BEIJING, **changes}
    return {key: value for key, value in table.items() if value is not None}


def test_a_flat_table_is_one_version():
    (version,) = tariff_from_dict(BEIJING).versions
    assert version.rate_prices_nf_per_wh == (48_830_000,) * 4
    assert version.tier_steps_nf_per_wh == (5_000_000, 25_000_000)
    assert version.seasons == (Season(tier_limits_wh=(240_000, 400_000)),)
    assert (version.kind, version.tier_period, version.tier_period_start) == ("single", "month", 1)
    assert version.valid_from_s == 1_341_072_000  # 2012-07-01 00:00 in Shanghai


def test_eight_decimals_are_exact():
    (version,) = tariff_from_dict(changed(price="0.58886875")).versions
    assert version.rate_prices_nf_per_wh[0] == 58_886_875


def test_a_window_over_midnight_becomes_two_and_a_missing_rate_is_never_free():
    (version,) = tariff_from_dict(ZHEJIANG).versions
    assert version.windows.workday == (Period(0, 480, 4), Period(480, 1320, 2), Period(1320, 1440, 4))
    assert version.rate_prices_nf_per_wh == (56_800_000, 56_800_000, 56_800_000, 28_800_000)
    assert (version.kind, version.tier_period_start) == ("tou", "0101")


@pytest.mark.parametrize("table", [BEIJING, ZHEJIANG])
def test_the_canonical_form_gives_the_tariff_back(table):
    tariff = tariff_from_dict(table)
    text = json.dumps(tariff_to_dict(tariff))
    assert tariff_from_dict(json.loads(text)) == tariff
    assert tariff_to_dict(tariff_from_dict(json.loads(text))) == json.loads(text)


def test_integer_prices_and_toml_dates():
    text = """
    id = "plain"
    valid_from = 2026-01-01
    price_nf_per_wh = 66286875
    """
    tariff = tariff_from_dict(tomllib.loads(text))
    assert tariff.versions[0].rate_prices_nf_per_wh == (66_286_875,) * 4
    assert tariff.name == "plain"
    instant = tariff_from_dict(changed(valid_from=None, valid_from_s=5))
    assert instant.versions[0].valid_from_s == 5


def test_seasons_with_their_own_limits():
    seasons = [
        {"months": [5, 6, 7, 8, 9, 10], "tier_limits_wh": [260_000, 600_000]},
        {"months": [11, 12, 1, 2, 3, 4], "tier_limits_wh": [200_000, 400_000]},
    ]
    (version,) = tariff_from_dict(changed(tier_limits_wh=None, seasons=seasons)).versions
    assert version.seasons[1] == Season((11, 12, 1, 2, 3, 4), (200_000, 400_000))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"price": 0.4883}, "must be quoted text in yuan/kWh"),
        ({"price": "0.123456789"}, "at most 8 decimals"),
        ({"price": "half"}, "is not a price"),
        ({"price": None}, "give exactly one of price_nf_per_wh"),
        ({"price_nf_per_wh": 5}, "not price_nf_per_wh, price"),
        ({"price": None, "price_nf_per_wh": 0.5}, "must be a list of integers"),
        ({"price": None, "rate_prices_nf_per_wh": [1, 2, 3]}, "give sharp, peak, flat, valley"),
        ({"price": None, "rate_prices_nf_per_wh": [1, 2, 3, True]}, "must be a list of integers"),
        ({"price": None, "prices": {"valley": "0.3"}}, "at least flat or peak"),
        ({"price": None, "prices": {"noon": "0.3"}}, "unknown key 'noon'; allowed are sharp, peak"),
        ({"price": None, "prices": "0.3"}, "no table of keys"),
        ({"tier_limit": [1]}, "unknown key 'tier_limit'; allowed are id"),
        ({"tier_steps": "0.05"}, "must be a list of text"),
        ({"tier_steps": [0.05, 0.25]}, "must be quoted text"),
        ({"tier_steps_nf_per_wh": [5, 5]}, "give exactly one of tier_steps_nf_per_wh, tier_steps"),
        ({"tier_limits_wh": "240"}, "must be a list of integers"),
        ({"tier_limits_wh": None}, "0 tier limits for 2 tier steps"),
        ({"tier_limits_wh": None, "seasons": []}, "seasons must be a list"),
        ({"tier_limits_wh": None, "seasons": [{"month": [1]}]}, "unknown key 'month'"),
        ({"valid_from": "tomorrow"}, "write a date or an instant"),
        ({"valid_from": None}, "give exactly one of valid_from"),
        ({"time_zone": "Mars/Base"}, "unknown time zone 'Mars/Base'; use an IANA name"),
        ({"time_zone": "Asia"}, "unknown time zone 'Asia'; use an IANA name"),
        ({"time_zone": ""}, "unknown time zone ''; use an IANA name"),
        (
            {"time_zone": "Europe/Berlin", "valid_from": "2026-03-29T02:30"},
            "skip or repeat this time; write",
        ),
        (
            {"time_zone": "Europe/Berlin", "valid_from": "2026-10-25T02:30"},
            "skip or repeat this time; write",
        ),
        ({"valid_from": None, "valid_from_s": 10**30}, "valid_from_s = 1000000000000000000000000000000; give"),
        ({"valid_from": None, "valid_from_s": -(10**12)}, "valid_from_s = -1000000000000; give"),
        ({"tier_period": "year", "tier_period_start": "+1+1"}, "use a day of every year as 'MMDD'"),
        ({"tier_period": "year", "tier_period_start": " 1 1"}, "use a day of every year as 'MMDD'"),
        ({"tier_period": "year", "tier_period_start": "\u0660\u0661\u0660\u0661"}, "use a day of every year as 'MMDD'"),
        (
            {"kind": "tou", "periods": [{"from": "\u0660\u0668:00", "to": "22:00", "rate": "peak"}]},
            "no time of the day",
        ),
        ({"time_zone": 8}, "time_zone = 8 is no text"),
        ({"id": ""}, "a tariff has no id"),
        ({"kind": "tou", "periods": "day"}, "periods must be a list"),
        ({"kind": "tou", "periods": [{"from": "8", "to": "22:00", "rate": "peak"}]}, "'8' is no time of the day"),
        ({"kind": "tou", "periods": [{"from": "08:00", "to": "22:00", "rate": 2}]}, "use sharp, peak, flat"),
    ],
)
def test_what_is_wrong_is_named(changes, message):
    with pytest.raises(TariffError, match=message):
        tariff_from_dict(changed(**changes))


@pytest.mark.parametrize("start_s", [VALID_FROM_MIN_S, VALID_FROM_MAX_S])
@pytest.mark.parametrize("zone", ["Pacific/Kiritimati", "Etc/GMT+12"])
def test_the_outermost_starts_can_be_used(start_s, zone):
    tariff = tariff_from_dict(changed(valid_from=None, valid_from_s=start_s, time_zone=zone))
    version, _ = version_at(tariff, start_s)
    assert version.valid_from_s == start_s
    assert tier_period_start_s(tariff, start_s) <= start_s < next_boundary_s(tariff, start_s)


def test_a_period_that_begins_after_the_calendar_ends_is_named():
    at_s = 253_402_000_000  # the last days of the year 9999
    with pytest.raises(TariffError, match="year 10000 is beyond the calendar"):
        next_boundary_s(tariff_from_dict(changed()), at_s)


@pytest.mark.parametrize("versions", ["all", [5], []])
def test_versions_must_be_a_list_of_tables(versions):
    with pytest.raises(TariffError, match=r"must be a list|no table|no version"):
        tariff_from_dict({"id": "x", "versions": versions})


@pytest.mark.parametrize("data", [None, [], "tariff", 5])
def test_what_is_no_table_is_no_tariff(data):
    with pytest.raises(TariffError, match="table of keys"):
        tariff_from_dict(data)
