"""Random histories of supply: every cut is one that the model of `supply_model` agrees with.

Each obstacle is also led to directly, with the check that sees it taken away: then the model must object.
"""

import pytest
from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test

from server.domain import supply as rules
from server.flows import breaker
from tests.server.supply_model import TALLY, SupplyMachine

STORY_STEPS = 25
CHECKS_AND_OBSTACLES = [
    ("_account", "paused"), ("_unprotected", "protected"), ("_warned", "notice"), ("_warned", "grace"),
    ("_fresh", "reading"), ("_agreeing", "confirmation"), ("_agreeing", "held"), ("_status", "status"),
    ("_status", "open"), ("_keep_power", "keep"), ("_clock", "clock"), ("_clock", "jump"), ("_allowed_time", "night"),
    ("_armed", "mode"), ("_not_stopped", "stop"), ("_breaker", "breaker"),
]  # fmt: skip


@pytest.mark.parametrize(("check", "missing"), CHECKS_AND_OBSTACLES)
def test_the_model_objects_once_a_check_is_taken_away(sqlite_engine, monkeypatch, check, missing):
    machine = SupplyMachine(sqlite_engine)
    machine.a_debt_takes_its_course(1, missing, sends=True, pays=True)
    machine.teardown()
    monkeypatch.setattr(rules, "RULES", tuple(one for one in rules.RULES if one.__name__ != check))
    if missing == "jump":  # the breaker opens for the same reason
        monkeypatch.setattr(breaker, "doubt", lambda *_facts, **_clock: "")
    machine = SupplyMachine(sqlite_engine)
    with pytest.raises(AssertionError):
        machine.a_debt_takes_its_course(1, missing, sends=True, pays=True)
    machine.teardown()


def test_the_model_agrees_with_a_cut_that_nothing_stands_against(sqlite_engine):
    machine = SupplyMachine(sqlite_engine)
    machine.a_debt_takes_its_course(1, None, sends=True, pays=False)
    assert machine.stage.supply(1)["desired"] == "open"
    machine.teardown()


def play(engine, histories):
    TALLY.clear()
    run_state_machine_as_test(
        lambda: SupplyMachine(engine), settings=settings(max_examples=histories, stateful_step_count=STORY_STEPS)
    )
    assert TALLY["trips"] >= histories, TALLY
    assert TALLY["sent"] >= histories // 4, TALLY
    assert TALLY["restores"] >= histories // 4, TALLY


def test_no_history_leads_to_a_cut_that_the_model_forbids(sqlite_engine):
    play(sqlite_engine, 20)


@pytest.mark.ci
@pytest.mark.timeout(600)
def test_no_history_of_many_leads_to_a_cut_that_the_model_forbids(sqlite_engine):
    play(sqlite_engine, 200)
