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


HAZARD_CHECKS_AND_OBSTACLES = [
    ("_unprotected", "protected"), ("_relay_known", "status"), ("_keep_power", "keep"), ("_clock", "clock"),
    ("_clock", "jump"), ("_armed", "mode"), ("_not_stopped", "stop"), ("_breaker", "breaker"),
    ("_allowed_time", "night"),
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


@pytest.mark.parametrize(("check", "missing"), HAZARD_CHECKS_AND_OBSTACLES)
def test_the_model_objects_once_a_check_of_a_hazard_is_taken_away(sqlite_engine, monkeypatch, check, missing):
    def story():
        machine = SupplyMachine(sqlite_engine)
        try:
            machine.somebody_finds_a_hazard(1, "tamper", missing, sends=True)
            machine.only_two_people_end_an_isolation()
            return machine.stage.supply(1)["desired"]
        finally:
            machine.teardown()

    assert story() == "closed"
    few = tuple(one for one in rules.HAZARD_RULES["tamper"] if one.__name__ != check)
    monkeypatch.setitem(rules.HAZARD_RULES, "tamper", few)
    with pytest.raises(AssertionError):
        story()


def test_the_model_agrees_with_an_isolation_that_nothing_stands_against(sqlite_engine):
    machine = SupplyMachine(sqlite_engine)
    machine.somebody_finds_a_hazard(1, "tamper", None, sends=True)
    assert machine.stage.supply(1)["desired"] == "open"
    machine.household_pays(1, 5000)
    machine.only_two_people_end_an_isolation()
    assert machine.isolated == {1: ("tamper", 1)}
    machine.two_people_release(1)
    assert machine.stage.supply(1)["desired"] == "closed"
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
    assert TALLY["isolations"] >= histories // 4, TALLY
    assert TALLY["releases"] >= histories // 8, TALLY


def test_no_history_leads_to_a_cut_that_the_model_forbids(sqlite_engine):
    play(sqlite_engine, 20)


@pytest.mark.ci
@pytest.mark.timeout(600)
def test_no_history_of_many_leads_to_a_cut_that_the_model_forbids(sqlite_engine):
    play(sqlite_engine, 200)
