"""Each check of a cut stands alone: flipping one fact forbids the trip, and names that check."""

from dataclasses import replace

import pytest

from core.dlt645.identifiers import COMMAND_OPEN, KEEP_POWER, RELAY_OPEN
from core.units import NF_PER_FEN
from server.domain.calendar import ProtectedTimes
from server.domain.supply import (
    FINAL_VALID_S,
    LIMITS,
    RULES,
    TripFacts,
    candidate_words,
    decide_trip,
    final_notice_due,
    is_candidate,
    is_overdrawn,
    may_close,
    trips_allowed,
)

NOW_S = 1_791_864_300  # Tuesday 2026-10-13 12:05 in Shanghai
NOW_MS = 1_700_000_000_000
GOOD = TripFacts(
    mode="armed",
    stopped=False,
    breaker="closed",
    clock_sane=True,
    account_status="normal",
    balance_fen=-500,
    residue_nf=0,
    overdraft_fen=0,
    protected=False,
    protected_until=None,
    warned_at=NOW_S - 86_400,
    grace_s=86_400,
    reading_at=NOW_S - 60,
    reading_ms=NOW_MS - 1000,
    previous_ms=NOW_MS - 3000,
    total_wh=1000,
    previous_wh=990,
    reading_fresh_s=1800,
    status3=0,
    status3_at=NOW_S - 60,
    clock_offset_s=5,
    command_ttl_s=120,
    bus_trips=1,
    hour_trips=4,
    hour_trips_max=5,
    day_trips=4,
    day_trips_max=5,
    times=ProtectedTimes("Asia/Shanghai"),
)
ORDER = (
    "overdrawn", "account_normal", "prepaid", "not_protected", "notice_delivered", "final_notice", "reading_fresh",
    "readings_agree", "relay_known_closed", "no_keep_power", "clock_sane", "allowed_time", "armed", "not_stopped",
    "breaker_closed", "bus_limit", "hour_limit", "day_limit", "system_limit",
)  # fmt: skip
FLIPS = [
    ("overdrawn", {"balance_fen": 1}),
    ("overdrawn", {"overdraft_fen": 501}),
    ("account_normal", {"account_status": "paused"}),
    ("account_normal", {"account_status": "initial"}),
    ("account_normal", {"account_status": "closed"}),
    ("account_normal", {"account_status": "left"}),
    ("prepaid", {"postpaid": True}),
    ("not_protected", {"protected": True}),
    ("not_protected", {"protected": True, "protected_until": NOW_S + 1}),
    ("notice_delivered", {"warned_at": None}),
    ("notice_delivered", {"warned_at": NOW_S - 86_399}),
    ("notice_delivered", {"warned_at": NOW_S + 1}),
    ("final_notice", {"final_notice_s": 1800}),
    ("final_notice", {"final_notice_s": 1800, "final_at": NOW_S - 1799}),
    ("final_notice", {"final_notice_s": 1800, "final_at": NOW_S - 1800 - FINAL_VALID_S - 1}),
    ("reading_fresh", {"reading_at": None}),
    ("reading_fresh", {"reading_at": NOW_S - 1801}),
    ("reading_fresh", {"reading_at": NOW_S + 1}),
    ("readings_agree", {"reading_ms": None}),
    ("readings_agree", {"previous_ms": None}),
    ("readings_agree", {"previous_wh": None}),
    ("readings_agree", {"total_wh": None}),
    ("readings_agree", {"previous_ms": NOW_MS - 2999}),
    ("readings_agree", {"held_readings": 1}),
    ("readings_agree", {"unconfirmed_fen": 501}),
    ("relay_known_closed", {"status3": RELAY_OPEN}),
    ("relay_known_closed", {"status3_at": None}),
    ("relay_known_closed", {"status3_at": NOW_S - 1801}),
    ("no_keep_power", {"status3": KEEP_POWER}),
    ("clock_sane", {"clock_sane": False}),
    ("clock_sane", {"clock_offset_s": 61}),
    ("clock_sane", {"clock_offset_s": -61}),
    ("allowed_time", {"times": ProtectedTimes("Asia/Shanghai", 12 * 60, 13 * 60)}),
    ("armed", {"mode": "dry_run"}),
    ("armed", {"mode": "observe"}),
    ("not_stopped", {"stopped": True}),
    ("breaker_closed", {"breaker": "open"}),
    ("bus_limit", {"bus_trips": 2}),
    ("hour_limit", {"hour_trips": 5}),
    ("day_limit", {"day_trips": 5}),
    ("day_limit", {"quarantined": True}),
    ("system_limit", {"system_trips": 5, "system_trips_max": 5}),
]


def decide(**changes: object):
    return decide_trip(replace(GOOD, **changes), NOW_S, NOW_MS)


def test_a_household_is_cut_only_when_every_check_has_passed():
    decision = decide()
    assert decision.allowed
    assert decision.refusal == ""
    assert tuple(check.name for check in decision.checks) == ORDER


def test_every_rule_has_a_flip():
    assert {name for name, _ in FLIPS} == set(ORDER)
    assert len(RULES) == len(ORDER)


@pytest.mark.parametrize(("name", "changes"), FLIPS)
def test_flipping_one_fact_alone_forbids_the_cut(name, changes):
    decision = decide(**changes)
    assert not decision.allowed
    assert decision.refusals == (name,)


def test_an_unknown_status_word_forbids_twice():
    assert decide(status3=None).refusals == ("relay_known_closed", "no_keep_power")


@pytest.mark.parametrize(
    "changes",
    [
        {"balance_fen": 0},
        {"warned_at": NOW_S - 86_400},
        {"final_notice_s": 1800, "final_at": NOW_S - 1800},
        {"final_notice_s": 1800, "final_at": NOW_S - 1800 - FINAL_VALID_S},
        {"reading_at": NOW_S - 1800},
        {"reading_at": NOW_S},
        {"previous_ms": NOW_MS - 3000},
        {"unconfirmed_fen": 500},
        {"clock_offset_s": 60},
        {"clock_offset_s": None},
        {"protected": True, "protected_until": NOW_S},
        {"status3": COMMAND_OPEN},
        {"bus_trips": 0},
    ],
)
def test_the_edge_of_each_rule_still_allows(changes):
    assert decide(**changes).allowed


def test_the_table_of_decisions_tells_unread_from_set():
    def detail(status3):
        [check] = [one for one in decide(status3=status3).checks if one.name == "no_keep_power"]
        return check.detail, check.waiting

    assert detail(None) == ("keep-power was never read", True)
    assert detail(KEEP_POWER) == ("status 1000 keeps the power on", False)
    assert detail(0) == ("", False)


FINAL = {"final_notice_s": 1800}


@pytest.mark.parametrize(
    ("changes", "due"),
    [
        ({}, True),
        ({"warned_at": NOW_S - 86_400 + 1800}, True),  # the grace ends with the lead
        ({"warned_at": NOW_S - 86_400 + 1801}, False),
        ({"warned_at": None}, False),
        ({"times": ProtectedTimes("Asia/Shanghai", 0, 12 * 60 + 35)}, True),  # protected now, and not in half an hour
        ({"times": ProtectedTimes("Asia/Shanghai", 12 * 60 + 35, 13 * 60)}, False),
        ({"final_notice_s": 0}, False),
        ({"final_at": NOW_S - 1800}, False),
        ({"mode": "dry_run"}, False),
        ({"balance_fen": 1}, False),
        ({"reading_at": None}, False),
        ({"hour_trips": 5}, False),
        ({"bus_trips": 2}, True),
        ({"breaker": "open"}, False),
        ({"status3": KEEP_POWER}, False),
    ],
)
def test_a_final_notice_is_due_only_when_nothing_but_time_stands_against_the_cut(changes, due):
    facts = replace(GOOD, **{**FINAL, **changes})
    assert final_notice_due(facts, decide_trip(facts, NOW_S, NOW_MS), NOW_S) is due


def test_a_long_command_lifetime_does_not_excuse_a_bad_clock():
    assert decide(command_ttl_s=600, clock_offset_s=300).allowed
    assert decide(command_ttl_s=6000, clock_offset_s=301).refusals == ("clock_sane",)


def test_the_limit_counts_to_the_nanofen():
    assert is_overdrawn(0, 0, 0)
    assert is_overdrawn(1, NF_PER_FEN - 1, 1) is False
    assert is_overdrawn(0, 1, 0)
    assert not is_overdrawn(0, -1, 0)
    assert is_overdrawn(-500, 0, 500)
    assert not is_overdrawn(-499, 0, 500)


def test_power_comes_back_only_above_the_close_allowed_amount():
    assert not may_close(0, 0, 0)
    assert may_close(0, -1, 0)
    assert may_close(1, 0, 0)
    assert not may_close(1, NF_PER_FEN, 0)
    assert not may_close(200, 0, 200)


def test_limits_follow_the_share_of_households_but_never_fall_under_five():
    assert trips_allowed(200, None, 10) == 5
    assert trips_allowed(50_000, None, 10) == 500
    assert trips_allowed(50_000, 0, 10) == 0


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({}, ""),
        ({"mode": "dry_run"}, "would_trip"),
        ({"mode": "dry_run", "hour_trips": 9}, "quarantined"),
        ({"hour_trips": 9, "day_trips": 9}, "quarantined"),
        ({"quarantined": True, "warned_at": None}, "quarantined"),
        ({"hour_trips": 9, "warned_at": None}, "notice_delivered"),
        ({"hour_trips": 9, "final_notice_s": 1800}, "quarantined"),
        ({"final_notice_s": 1800}, "final_notice"),
        ({"mode": "dry_run", "final_notice_s": 1800}, "would_trip"),
        ({"bus_trips": 9}, "bus_limit"),
        ({"bus_trips": 9, "mode": "dry_run"}, "bus_limit"),
        ({"mode": "observe"}, "armed"),
        ({"mode": "dry_run", "stopped": True}, "not_stopped"),
    ],
)
def test_the_decision_in_one_word(changes, word):
    facts = replace(GOOD, **changes)
    assert candidate_words(facts, decide_trip(facts, NOW_S, NOW_MS)) == word


def test_the_bus_limit_is_a_queue_and_no_quarantine():
    assert sorted(LIMITS) == ["day_limit", "hour_limit", "system_limit"]


def test_who_counts_towards_a_mass_event():
    assert is_candidate(replace(GOOD, warned_at=None, mode="observe"), NOW_S)
    for changes in ({"balance_fen": 1}, {"account_status": "paused"}, {"postpaid": True}, {"protected": True}):
        assert not is_candidate(replace(GOOD, **changes), NOW_S)


def test_a_check_tells_its_figures():
    [check] = [one for one in decide(warned_at=NOW_S - 10).checks if one.name == "notice_delivered"]
    assert check.as_json() == {
        "name": "notice_delivered", "passed": False, "detail": "10 of 86400 s of grace", "waiting": True,
    }  # fmt: skip
