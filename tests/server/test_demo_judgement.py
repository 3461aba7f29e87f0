"""What the check of the demo calls a wrong trip, and that it misses no case that it expects."""

from types import SimpleNamespace

import pytest

from server.cli.demo import judgement
from server.cli.demo.estate import STORY, households, meter_of
from server.cli.demo.faults import DOUBTFUL, EXPECTED_CASES, NEVER_CUT, TROUBLES, WITH_FAULTS
from server.store import schema
from sim.faults import KINDS
from tests.server.estates import ESTATE, START_S, meter_id
from tests.server.local_writer import rolled_back
from tests.server.supply_stage import GRACE_S, Stage


@pytest.fixture
def stage(sqlite_engine):
    with rolled_back(sqlite_engine) as writer:
        yield Stage(writer, 2)


def wrong(stage, *opened_s, meter=None):
    """Why the trips of household 1 at these times, as its simulated relay moved, were wrong."""
    events = [{"to": "open", "at_s": START_S + at_s + 0.5, "cause": "command"} for at_s in opened_s]
    events += [{"to": "closed", "at_s": START_S + 1, "cause": "button"}]
    truth = {"households": [{"meter": meter or meter_id(1), "relay_events": events}]}
    simulated = SimpleNamespace(truth=lambda _path: truth)
    found = stage.look(lambda connection: judgement._wrong_trips(simulated, connection, ESTATE))
    return [reason.rpartition(": ")[2] for reason in found]


def test_a_trip_of_an_overdrawn_and_warned_household_is_right(stage):
    stage.overdraw(1)
    assert wrong(stage, stage.passed_s + GRACE_S) == []


def test_a_trip_before_the_grace_is_over_or_without_a_delivered_warning_is_wrong(stage):
    stage.overdraw(1)
    assert wrong(stage, stage.passed_s + GRACE_S - 2) == ["it was not warned in time"]
    stage.set(schema.notice, delivered_at=None)
    assert wrong(stage, stage.passed_s + GRACE_S) == ["it was not warned in time"]


def test_a_trip_with_money_left_at_that_moment_is_wrong(stage):
    stage.overdraw(1)
    due_s = stage.passed_s + GRACE_S
    stage.wait(GRACE_S - 60)
    stage.pay(1, 3000)
    [reason] = wrong(stage, due_s)
    assert reason.endswith("fen were left")
    assert wrong(stage, due_s - 70) == ["it was not warned in time"]


def test_a_trip_of_a_protected_household_or_of_one_that_must_not_be_cut_is_wrong(stage, monkeypatch):
    stage.overdraw(1)
    stage.set_account(1, protected=1)
    at_s = stage.passed_s + GRACE_S
    assert wrong(stage, at_s) == ["it must never be cut"]
    stage.set_account(1, protected=0)
    monkeypatch.setattr(judgement, "NEVER_CUT", ("9-0101",))
    monkeypatch.setattr(judgement, "meter_of", lambda _room: meter_id(1))
    assert wrong(stage, at_s) == ["it must never be cut"]


def test_a_case_that_was_expected_and_not_opened_is_named(stage):
    missing = stage.look(lambda connection: judgement._missing_cases(connection, ESTATE))
    assert missing == [f"{subject}: no case {kind}" for kind, subject in EXPECTED_CASES]


def test_the_schedule_names_places_of_the_plan_and_kinds_of_the_simulator():
    plan = households(cast=WITH_FAULTS.cast)
    rooms = {home.room for home in plan}
    assert {one.name for one in WITH_FAULTS.troubles if one.place == "household"} <= rooms
    assert {one.kind for one in TROUBLES} <= KINDS.keys()
    assert {part.room for part in DOUBTFUL}.isdisjoint(part.room for part in STORY.cast)
    assert set(NEVER_CUT) <= {part.room for part in DOUBTFUL}
    assert {home.meter for home in plan} == {meter_of(room) for room in rooms}
    assert len({kind for kind, _ in EXPECTED_CASES}) >= 5
