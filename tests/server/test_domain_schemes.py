"""Schemes as pure rules: definitions, levels in fen, limits that have fired, quiet hours, spreads and alerts."""

import json
from dataclasses import replace
from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from server.domain.calendar import earliest_allowed, protected_because, times_from
from server.domain.rulebook import RuleBook, SchemeVersion, delay_of
from server.domain.schemes import (
    HUNAN,
    PRESETS,
    Level,
    Limits,
    Rules,
    check_order,
    day_cost_of,
    definition_of,
    laid_over,
    level_from,
    limits_of,
    quiet_until,
    settled,
    times_of,
)

ESTATE = {
    "grace_s": 86_400, "protected_from_min": 1020, "protected_to_min": 540, "protect_weekends": 1,
    "protect_holidays": 1, "spread_s": 1800,
}  # fmt: skip
ZONE = "Asia/Shanghai"


def at(text):
    return int(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(ZONE)).timestamp())


def rules(**changes):
    return laid_over(ESTATE, definition_of(changes))


@pytest.mark.parametrize(
    ("text", "level"),
    [("30.00", ("fixed", 3000)), ("20%", ("percent", 20)), ("20 %", ("percent", 20)), ("7 days", ("days", 7)),
     ("1 day", ("days", 1)), ("3d", ("days", 3)), ("7天", ("days", 7)), ("0", ("fixed", 0))],
)  # fmt: skip
def test_levels_are_read_in_three_forms(text, level):
    assert level_from(text) == Level(*level)


@pytest.mark.parametrize("text", ["", "101%", "61 days", "7 weeks", "1.234", "-5%", "%", "1e3"])
def test_other_levels_are_refused(text):
    with pytest.raises(ValueError):  # noqa: PT011  # the caller says what is allowed
        level_from(text)


def test_a_definition_keeps_only_what_it_says_and_survives_json():
    values = {"alarm1": Level("percent", 20), "quiet_from_min": 1320, "quiet_to_min": 480}
    kept = definition_of(values)
    assert (
        json.loads(json.dumps(kept))
        == kept
        == {"alarm1": ["percent", 20], **{k: v for k, v in values.items() if "q" in k}}
    )
    assert definition_of(kept) == kept


@pytest.mark.parametrize(
    ("values", "named"),
    [({"moon": 1}, "moon: no such rule"), ({"grace_s": -1}, "grace_s"), ({"grace_s": True}, "grace_s"),
     ({"alarm1": ["weeks", 1]}, "alarm1"), ({"quiet_from_min": 0}, "belong together"),
     ({"spread_s": 14_401}, "spread_s"), ({"protect_alerts": 2}, "protect_alerts")],
)  # fmt: skip
def test_a_wrong_definition_names_its_key(values, named):
    with pytest.raises(ValueError, match=named):
        definition_of(values)


def test_the_household_lies_over_its_scheme_and_that_over_the_estate():
    book = RuleBook(
        {**ESTATE, "scheme_id": "base", "time_zone": ZONE},
        {
            "base": SchemeVersion("base", 1, "", 0, '{"grace_s": 7200, "overdraft_fen": 500}'),
            "shops": SchemeVersion("shops", 3, "", 0, '{"overdraft_fen": 900, "spread_s": 0}'),
        },
        {},
        (),
    )
    flat = {"account_id": "H1", "scheme_id": None, "own_rules": '{"overdraft_fen": 100}'}
    shop = {"account_id": "H2", "scheme_id": "shops", "own_rules": "{}"}
    assert (book.rules(flat).grace_s, book.rules(flat).overdraft_fen, book.rules(flat).spread_s) == (7200, 100, 1800)
    assert (book.rules(shop).grace_s, book.rules(shop).overdraft_fen, book.rules(shop).spread_s) == (86_400, 900, 0)
    gone = {"account_id": "H3", "scheme_id": "not begun", "own_rules": "{}"}
    assert book.rules(gone) == laid_over(ESTATE)


def test_percent_and_days_become_fen_and_fall_back_to_the_fixed_default():
    moving = rules(alarm1=["percent", 20], alarm2=["days", 2])
    assert limits_of(moving, 10_000, 450) == Limits(2000, 900, 0, 0)
    assert limits_of(moving, None, None) == Limits(3000, 1000, 0, 0)
    assert limits_of(moving, 3000, 450) == Limits(900, 900, 0, 0)  # alarm1 is never below alarm2
    assert limits_of(rules(alarm1=["days", 7], alarm2=["fixed", 0]), None, 0) == Limits(0, 0, 0, 0)
    assert limits_of(rules(alarm1=["percent", 0], overdraft_fen=2000), 100, None).alarm1_fen == 1000
    assert limits_of(rules(alarm1=["percent", 100]), 10**13, None).alarm1_fen == 2**31 - 1, "thresholds are int32"


def test_the_cost_of_a_day_needs_a_whole_day_and_is_rounded_up():
    assert day_cost_of(700, 86_399) is None
    assert day_cost_of(700, 86_400) == 700
    assert day_cost_of(701, 7 * 86_400) == 101
    assert day_cost_of(0, 7 * 86_400) == 0


def test_an_alarm_that_has_fired_does_not_sink_before_the_next_topup():
    before, wanted = Limits(2000, 900, 0, 0), Limits(1500, 700, 0, 0)
    assert settled(before, wanted, 0, paid=False) == wanted
    assert settled(before, wanted, 1, paid=False) == Limits(2000, 700, 0, 0)
    assert settled(before, wanted, 2, paid=False) == before
    assert settled(before, wanted, 2, paid=True) == wanted
    assert settled(before, Limits(2500, 950, 0, 0), 2, paid=False) == Limits(2500, 950, 0, 0)


@pytest.mark.parametrize(
    "changes",
    [{"alarm1": ["fixed", 100], "alarm2": ["fixed", 200]}, {"alarm2": ["fixed", -1]},
     {"close_allowed_fen": -1}, {"alarm1": ["days", 2], "alarm2": ["days", 3]}],
)  # fmt: skip
def test_limits_out_of_order_are_refused(changes):
    with pytest.raises(ValueError, match=r"alarm|close_allowed"):
        check_order(rules(**changes))


def test_the_preset_warns_at_the_amount_and_below_zero():
    preset = laid_over(ESTATE, PRESETS[HUNAN].definition)
    check_order(preset)
    assert limits_of(preset, None, None) == Limits(3000, 0, 0, 0)
    assert (preset.quiet_from_min, preset.quiet_to_min, preset.grace_s) == (1320, 480, 86_400)
    assert definition_of(PRESETS[HUNAN].definition) == PRESETS[HUNAN].definition


def test_quiet_hours_end_on_their_minute_and_go_over_midnight():
    quiet = rules(quiet_from_min=1320, quiet_to_min=480)
    morning = at("2026-10-14 08:00")
    assert quiet_until(quiet, ZONE, at("2026-10-13 22:00")) == morning
    assert quiet_until(quiet, ZONE, at("2026-10-14 07:59:30")) == morning
    assert quiet_until(quiet, ZONE, morning) == morning
    noon = at("2026-10-13 12:00:07")
    assert quiet_until(quiet, ZONE, noon) == noon
    assert quiet_until(rules(), ZONE, at("2026-10-13 23:00")) == at("2026-10-13 23:00")


def times(days=None, alerts=(), delay_s=0, **changes):
    return times_of(rules(**changes), ZONE, days or {}, alerts, delay_s)


def test_an_alert_protects_from_its_begin_to_its_end_unless_the_scheme_does_not_heed_it():
    heat = (at("2026-10-13 10:00"), at("2026-10-13 12:00"), "heat")
    assert protected_because(times(alerts=[heat]), at("2026-10-13 09:59:59")) is None
    assert protected_because(times(alerts=[heat]), heat[0]) == "heat"
    assert protected_because(times(alerts=[heat]), heat[1] - 1) == "heat"
    assert protected_because(times(alerts=[heat]), heat[1]) is None
    assert protected_because(times(alerts=[heat], protect_alerts=0), heat[0]) is None
    assert earliest_allowed(times(alerts=[heat]), heat[0]) == heat[1]


def test_the_estate_adds_days_off_and_takes_holidays_away_but_no_weekend():
    tuesday, national = at("2026-10-13 11:00"), at("2026-10-01 11:00")
    assert protected_because(times({"2026-10-13": "off"}), tuesday) == "day_off"
    assert protected_because(times(), tuesday) is None
    assert protected_because(times(), national) == "holiday"
    assert protected_because(times({"2026-10-01": "work"}), national) is None
    saturday = at("2026-10-17 11:00")
    assert protected_because(times({"2026-10-17": "work"}), saturday) == "weekend"


def test_after_a_protected_time_a_household_waits_its_share_and_not_longer():
    late = times(delay_s=1200)
    assert protected_because(late, at("2026-10-13 09:00")) == "spread"
    assert protected_because(late, at("2026-10-13 09:19:59")) == "spread"
    assert protected_because(late, at("2026-10-13 09:20")) is None
    assert protected_because(times(), at("2026-10-13 09:00")) is None
    assert earliest_allowed(late, at("2026-10-13 03:00")) == at("2026-10-13 09:30")  # in quarters of an hour


def test_the_share_is_the_households_own_always_the_same_and_spreads_an_estate_evenly():
    shares = [delay_of(f"H{number:05d}", 1800) for number in range(6000)]
    assert shares == [delay_of(f"H{number:05d}", 1800) for number in range(6000)]
    assert (min(shares), max(shares) <= 1800) == (0, True)
    in_minutes = [sum(start * 60 <= one < (start + 1) * 60 for one in shares) for start in range(30)]
    assert max(in_minutes) < 2 * 6000 // 30
    assert delay_of("H1", 0) == 0


def test_times_survive_json_and_an_unknown_field_is_refused():
    one = times({"2026-10-13": "off"}, [(1, 2, "cold")], 77)
    stored = json.loads(json.dumps({name: getattr(one, name) for name in one.__slots__}))
    assert times_from(stored) == one
    with pytest.raises(TypeError):
        times_from({**stored, "moon": 1})


def test_rules_move_only_with_moving_levels():
    assert not rules().moves
    assert rules(alarm2=["days", 1]).moves
    assert replace(rules(), alarm1=Level("percent", 1)).moves
    assert isinstance(rules(), Rules)
