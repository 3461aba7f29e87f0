"""When nobody may be cut: protected hours over midnight, weekends, statutory holidays, years nobody knows."""

from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.domain.calendar import ProtectedTimes, day_kind, earliest_allowed, protected_because

ZONE = ZoneInfo("Asia/Shanghai")
TIMES = ProtectedTimes("Asia/Shanghai")


def at(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=ZONE).timestamp())


@pytest.mark.parametrize(
    ("moment", "reason"),
    [
        ("2026-10-13 08:59:59", "hours"),
        ("2026-10-13 09:00:00", None),
        ("2026-10-13 16:59:59", None),
        ("2026-10-13 17:00:00", "hours"),
        ("2026-10-13 23:59:59", "hours"),
        ("2026-10-14 00:00:00", "hours"),
        ("2026-10-17 12:00:00", "weekend"),
        ("2026-10-18 12:00:00", "weekend"),
        ("2026-10-10 12:00:00", "weekend"),  # a Saturday on which people work to make up for the holiday
        ("2026-10-01 12:00:00", "holiday"),
        ("2026-02-17 12:00:00", "holiday"),
        ("2026-01-01 12:00:00", "holiday"),
        ("2050-10-13 12:00:00", "unknown_year"),
        ("2003-10-14 12:00:00", "unknown_year"),
    ],
)
def test_why_a_moment_is_protected(moment, reason):
    assert protected_because(TIMES, at(moment)) == reason


def test_the_hours_are_those_of_the_estates_civil_time():
    noon_utc = int(datetime(2026, 10, 13, 12, tzinfo=UTC).timestamp())
    assert protected_because(TIMES, noon_utc) == "hours"
    assert protected_because(ProtectedTimes("UTC"), noon_utc) is None


def test_hours_within_one_day_do_not_wrap():
    times = ProtectedTimes("Asia/Shanghai", 12 * 60, 13 * 60)
    found = [protected_because(times, at(f"2026-10-13 {clock}")) for clock in ("11:59", "12:00", "12:59", "13:00")]
    assert found == [None, "hours", "hours", None]


def test_equal_ends_protect_no_hour():
    times = ProtectedTimes("Asia/Shanghai", 0, 0)
    assert protected_because(times, at("2026-10-13 03:00")) is None


def test_switched_off_weekends_and_holidays_protect_nobody():
    times = ProtectedTimes("Asia/Shanghai", weekends=False, holidays=False)
    assert protected_because(times, at("2026-10-17 12:00")) is None
    assert protected_because(times, at("2026-10-01 12:00")) is None
    assert protected_because(times, at("2050-10-13 12:00")) is None


def test_without_weekends_a_working_saturday_is_an_ordinary_day_and_a_free_one_is_no_holiday():
    times = ProtectedTimes("Asia/Shanghai", weekends=False)
    assert protected_because(times, at("2026-10-10 12:00")) is None
    assert protected_because(times, at("2026-10-17 12:00")) is None
    assert protected_because(times, at("2026-10-03 12:00")) == "holiday"


@pytest.mark.parametrize(
    ("moment", "expected"),
    [
        ("2026-10-13 10:07:13", "2026-10-13 10:07:13"),
        ("2026-10-13 17:20:05", "2026-10-14 09:00:00"),
        ("2026-10-16 17:00:00", "2026-10-19 09:00:00"),
        ("2026-09-30 18:00:00", "2026-10-08 09:00:00"),
        ("2026-10-13 08:59:59", "2026-10-13 09:00:00"),
    ],
)
def test_the_first_moment_in_which_a_cut_is_allowed(moment, expected):
    assert earliest_allowed(TIMES, at(moment)) == at(expected)


def test_there_may_be_no_such_moment():
    assert earliest_allowed(ProtectedTimes("Asia/Shanghai", 0, 24 * 60), at("2026-10-13 12:00")) is None
    assert earliest_allowed(TIMES, at("2050-10-13 12:00")) is None


@given(st.integers(at("2026-01-01 00:00"), at("2026-12-10 00:00")), st.integers(0, 1439), st.integers(0, 1439))
def test_the_earliest_moment_is_allowed_and_not_before(from_s, from_min, to_min):
    times = ProtectedTimes("Asia/Shanghai", from_min, to_min)
    found = earliest_allowed(times, from_s)
    if found is not None:
        assert found >= from_s
        assert protected_because(times, found) is None


@pytest.mark.parametrize(
    ("day", "own", "kind"),
    [
        ("2026-10-13", {}, "workday"),
        ("2026-10-17", {}, "weekend"),
        ("2026-10-01", {}, "holiday"),
        ("2026-10-03", {}, "holiday"),  # a Saturday of the holiday
        ("2026-10-10", {}, "workday"),  # a Saturday on which people work to make up for it
        ("2026-10-13", {"2026-10-13": "off"}, "holiday"),
        ("2026-10-01", {"2026-10-01": "work"}, "workday"),
        ("2026-10-03", {"2026-10-03": "work"}, "weekend"),
        ("2050-10-01", {}, "weekend"),  # its holidays are not known: only the day of the week
        ("2050-10-03", {}, "workday"),
    ],
)
def test_which_windows_hold_on_a_day(day, own, kind):
    assert day_kind(date.fromisoformat(day), own) == kind
