"""Dated tariffs: which version, season and tier period hold, where the boundaries are, and the kernel's row."""

import struct
from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

import core
from core.tariff import (
    Period,
    Season,
    Tariff,
    TariffError,
    TariffVersion,
    Windows,
    charge_exact,
    compile_row,
    compile_rows,
    next_boundary_s,
    rate_at,
    tier_period_start_s,
    version_at,
)

SUMMER, WINTER = Season((5, 6, 7, 8, 9, 10), (260_000, 600_000)), Season((11, 12, 1, 2, 3, 4), (200_000, 400_000))


def at(text, zone="Asia/Shanghai"):
    """Epoch seconds of a local time."""
    return int(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp())


def version(start="2021-10-01", **changes):
    terms = {
        "kind": "single",
        "rate_prices_nf_per_wh": (58_886_875,) * 4,
        "tier_steps_nf_per_wh": (5_000_000, 25_000_000),
        "seasons": (SUMMER, WINTER),
        "tier_period": "month",
        "tier_period_start": 1,
    }
    return TariffVersion(valid_from_s=at(start), **{**terms, **changes})


def tariff(*versions, zone="Asia/Shanghai"):
    return Tariff("gz", "Guangzhou", zone, versions or (version(),))


def single(start="2021-10-01"):
    return version(start, tier_steps_nf_per_wh=(), seasons=(Season(),), tier_period="none")


def test_a_version_holds_from_its_first_second():
    two = tariff(version("2020-01-01"), version("2021-10-01"))
    assert version_at(two, at("2021-10-01") - 1)[0] is two.versions[0]
    assert version_at(two, at("2021-10-01"))[0] is two.versions[1]


def test_before_the_first_version_there_is_no_price():
    with pytest.raises(TariffError, match="no version is in force at 2021-09-30"):
        version_at(tariff(), at("2021-10-01") - 1)


def test_seasons_change_at_local_midnight():
    assert version_at(tariff(), at("2026-10-31T23:59:59"))[1] == SUMMER
    assert version_at(tariff(), at("2026-11-01T00:00:00"))[1] == WINTER


@pytest.mark.parametrize(
    ("start", "now", "expected"),
    [
        (1, "2026-11-24T12:00:00", "2026-11-01"),
        (1, "2026-11-01T00:00:00", "2026-11-01"),
        (16, "2026-11-15T23:59:59", "2026-10-16"),
        (16, "2026-11-16T00:00:00", "2026-11-16"),
        (16, "2026-01-10T00:00:00", "2025-12-16"),
    ],
)
def test_monthly_tiers_restart_on_the_settlement_day(start, now, expected):
    assert tier_period_start_s(tariff(version(tier_period_start=start)), at(now)) == at(expected)


@pytest.mark.parametrize(
    ("start", "now", "expected"),
    [
        ("0101", "2026-11-24T12:00:00", "2026-01-01"),
        ("1201", "2026-11-30T23:59:59", "2025-12-01"),
        ("1201", "2026-12-01T00:00:00", "2026-12-01"),
        ("0716", "2026-07-15T00:00:00", "2025-07-16"),
    ],
)
def test_yearly_tiers_restart_on_their_day(start, now, expected):
    yearly = tariff(version(tier_period="year", tier_period_start=start))
    assert tier_period_start_s(yearly, at(now)) == at(expected)


def test_without_tiers_there_is_no_tier_period():
    assert tier_period_start_s(tariff(single()), at("2026-11-24")) == 0
    assert next_boundary_s(tariff(single()), at("2026-11-24")) is None


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        ("2026-10-20T08:00:00", "2026-11-01"),
        ("2026-11-01T00:00:00", "2026-11-16"),
        ("2026-11-16T00:00:00", "2026-12-16"),
        ("2026-12-20T00:00:00", "2027-01-16"),
        ("2027-01-16T00:00:00", "2027-02-10"),
    ],
)
def test_the_next_boundary_is_the_nearest_of_version_season_and_tier_period(now, expected):
    dated = tariff(version(tier_period_start=16), version("2027-02-10", tier_period_start=16))
    assert next_boundary_s(dated, at(now)) == at(expected)


def test_a_season_boundary_far_ahead_is_found_across_the_year():
    yearly = version(tier_period="year", tier_period_start="0401")
    assert next_boundary_s(tariff(yearly), at("2026-11-24")) == at("2027-04-01")
    later = version(tier_period="year", tier_period_start="0601")
    assert next_boundary_s(tariff(later), at("2026-11-24")) == at("2027-05-01")


def test_local_midnight_follows_daylight_saving():
    berlin = tariff(version("2021-10-01", tier_period_start=1), zone="Europe/Berlin")
    summer, winter = at("2026-10-01", "Europe/Berlin"), at("2026-11-01", "Europe/Berlin")
    assert next_boundary_s(berlin, summer) == winter
    assert winter - summer == 31 * 86_400 + 3600


@given(st.integers(at("2021-10-01"), at("2040-01-01")), st.sampled_from(["month", "year"]), st.integers(1, 28))
def test_nothing_changes_between_an_instant_and_its_next_boundary(now, tier_period, day):
    start = day if tier_period == "month" else f"07{day:02d}"
    dated = tariff(version(tier_period=tier_period, tier_period_start=start))
    boundary = next_boundary_s(dated, now)
    assert now < boundary

    def state(instant):
        return version_at(dated, instant), tier_period_start_s(dated, instant)

    assert state(now) == state(boundary - 1)
    assert state(boundary) != state(now)
    assert tier_period_start_s(dated, now) <= now


def test_the_rate_of_a_window():
    day = (Period(0, 480, 4), Period(480, 1320, 2), Period(1320, 1440, 4))
    tou = version(kind="tou", windows=Windows(day))
    assert [rate_at(tou, at(f"2026-11-24T{t}")) for t in ("07:59:59", "08:00:00", "21:59:59", "22:00:00")] == [
        4,
        2,
        2,
        4,
    ]
    assert rate_at(single(), at("2026-11-24T12:00:00")) == 3
    assert rate_at(tou, at("2026-11-24T12:00:00"), "UTC") == 4
    with pytest.raises(TariffError, match="lists no periods"):
        rate_at(version(kind="tou"), at("2026-11-24"))


def test_the_row_has_the_documented_layout():
    row = compile_row(version(rate_prices_nf_per_wh=(4, 3, 2, 1), kind="tou"), SUMMER, 12_345)
    assert len(row) == core.ROW_BYTES == 64
    assert struct.unpack("=4i3ii3qq", row) == (
        *(4, 3, 2, 1),
        *(5_000_000, 25_000_000, 0),
        2,
        *(260_000, 600_000, 0),
        12_345,
    )
    pairs = [(version(), SUMMER, 1), (version(), WINTER, 2)]
    assert compile_rows(pairs) == b"".join(compile_row(*pair) for pair in pairs)


def test_a_row_of_a_foreign_season_is_refused():
    with pytest.raises(TariffError, match="no season of this version"):
        compile_row(version(), Season())
    with pytest.raises(TariffError, match="beyond 2"):
        compile_row(version(), SUMMER, 2**62 + 1)


def test_the_wide_way_takes_any_size():
    row = compile_row(version(), SUMMER)
    energy = 381 * 10**9
    exact = energy * 58_886_875 + (energy - 260_000) * 5_000_000 + (energy - 600_000) * 25_000_000
    assert charge_exact(row, (energy,), 0) == exact > 2**63


@pytest.mark.parametrize(
    ("arguments", "options"),
    [(((-1,), 0), {}), (((1,), -1), {}), (((1,), 0), {"ratio": 0}), (((), 0), {}), (((1,) * 6, 0), {})],
)
def test_the_wide_way_refuses_what_cannot_be_charged(arguments, options):
    with pytest.raises(ValueError, match="cannot be charged"):
        charge_exact(compile_row(version(), SUMMER), *arguments, **options)
    with pytest.raises(ValueError, match="several seasons"):
        charge_exact(version(), (1,), 0)


CAP = 2**31 - 1


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"kind": "flat"}, "kind 'flat' is unknown; use one of single, tou"),
        ({"tier_period": "week"}, "use one of month, year, none"),
        ({"tier_period": "none"}, "tiers need a month or year"),
        ({"rate_prices_nf_per_wh": (1, 2, 3, 4)}, "a single price with several rates"),
        ({"rate_prices_nf_per_wh": (-1,) * 4}, "prices cannot be negative"),
        ({"rate_prices_nf_per_wh": (0.5,) * 4}, "must be integers"),
        ({"rate_prices_nf_per_wh": (1, 1, 1)}, "four prices"),
        ({"rate_prices_nf_per_wh": (CAP - 29_999_999,) * 4}, "at most 2147483647"),
        ({"tier_steps_nf_per_wh": (-58_886_876, 0)}, "tier 2 costs -1"),
        ({"tier_steps_nf_per_wh": (0, -58_886_876)}, "tier 3 costs -1"),
        ({"tier_steps_nf_per_wh": (1, 1, 1, 1)}, "at most 3"),
        ({"tier_steps_nf_per_wh": (1,)}, "2 tier limits for 1 tier steps"),
        ({"seasons": (SUMMER,)}, "name each month 1..12 exactly once"),
        ({"seasons": (SUMMER, SUMMER, WINTER)}, "exactly once"),
        ({"seasons": (Season(tier_limits_wh=(0, 5)),)}, "positive integers"),
        ({"seasons": (Season(tier_limits_wh=(5, 5)),)}, "do not ascend"),
        ({"seasons": (Season(tier_limits_wh=(5, 2**53 + 1)),)}, "positive integers"),
        ({"tier_period_start": 29}, "use a day 1..28"),
        ({"tier_period_start": "1"}, "use a day 1..28"),
        ({"tier_period": "year", "tier_period_start": "0229"}, "MMDD"),
        ({"tier_period": "year", "tier_period_start": 101}, "MMDD"),
        ({"kind": "tou", "windows": Windows((Period(0, 1439, 1),))}, "end at minute 1439"),
        ({"kind": "tou", "windows": Windows((Period(0, 700, 1), Period(600, 1440, 1)))}, "leave or share minute 600"),
        ({"kind": "tou", "windows": Windows((Period(0, 1440, 6),))}, "rate 6 of a period; rates are 1 sharp"),
    ],
)
def test_guard_g0_and_the_rules_name_what_is_wrong(changes, message):
    with pytest.raises(TariffError, match=message) as refused:
        tariff(version("2020-01-01"), version(**changes))
    assert str(refused.value).startswith("tariff 'gz', version 2: ")


def test_the_price_cap_itself_is_accepted():
    capped = version(rate_prices_nf_per_wh=(CAP - 30_000_000,) * 4)
    assert charge_exact(compile_row(capped, SUMMER), (10,), 0) == 10 * (CAP - 30_000_000)


def test_a_tariff_needs_ascending_versions_and_a_time_zone():
    with pytest.raises(TariffError, match="version 2 does not start after version 1"):
        tariff(version(), version())
    with pytest.raises(TariffError, match="unknown time zone 'Mars/Base'"):
        tariff(zone="Mars/Base")
    with pytest.raises(TariffError, match="it has no version"):
        Tariff("gz", "", "Asia/Shanghai", ())
