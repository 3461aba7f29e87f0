"""Acts of two people: steps of the mode, starting again, the breaker; and what they release or take back."""

import json

import pytest

from server.errors import Conflict, NotFound, Refused, StaleLogin
from server.flows import approvals, supply
from server.flows.estate_switches import waiting_still
from server.flows.second_person import VALID_MS, ask
from server.store import schema
from tests.server.estates import ESTATE, account_id
from tests.server.supply_stage import Stage


@pytest.fixture
def stage(writer):
    stage = Stage(writer)
    stage.set(schema.estate, mode="observe")
    return stage


def ask_mode(stage, mode, actor="anna"):
    return stage.writer.run(lambda unit: approvals.request_mode(unit, ESTATE, mode, actor=actor, now=stage.now))


def request(stage, approval_id):
    [row] = stage.rows(schema.approval, schema.approval.c.approval_id == approval_id)
    return row


def approve(stage, approval_id, actor="bert", sha=None):
    sha = sha or request(stage, approval_id)["payload_sha256"]
    return stage.writer.run(lambda unit: approvals.approve(unit, ESTATE, approval_id, sha, actor=actor, now=stage.now))


def verbs(stage):
    return [row["verb"] for row in sorted(stage.rows(schema.audit), key=lambda row: row["created_ms"])]


def test_an_estate_is_armed_in_two_steps_by_two_people(stage):
    first = ask_mode(stage, "dry_run")
    assert stage.site()["mode"] == "observe"
    assert approve(stage, first) == "mode"
    assert stage.site()["mode"] == "dry_run"
    stage.wait(1)
    assert approve(stage, ask_mode(stage, "armed")) == "mode"
    assert stage.site()["mode"] == "armed"
    assert sorted(verbs(stage)) == ["mode.approved", "mode.approved", "mode.requested", "mode.requested"]


def test_a_key_of_the_api_is_no_second_person(stage):
    asked = ask_mode(stage, "dry_run")
    with pytest.raises(Refused, match="the second person signs in"):
        approve(stage, asked, actor="client:partner")
    assert request(stage, asked)["status"] == "waiting"
    assert approve(stage, asked) == "mode"


@pytest.mark.parametrize("kind", ["mode", "start_again", "breaker_reset", "bulk_cut", "bulk_edit"])
def test_what_takes_two_people_is_asked_for_by_one_not_by_a_key_of_the_api(stage, kind):
    """Its holder, who may be of the staff, could agree to it as a person, and that would be one person alone."""
    with pytest.raises(Refused, match="not a key of the API"):
        stage.writer.run(lambda unit: ask(unit, ESTATE, kind, {"kind": kind}, "client:partner", stage.now))
    assert stage.rows(schema.approval) == []


@pytest.mark.parametrize(
    "kind",
    ["refund", "refund_decision", "booking", "tariff", "rerate", "move_out", "void_reading", "final_corrected"],
)
def test_what_moves_money_is_asked_for_by_people_and_agreed_to_with_a_fresh_password(stage, kind):
    def run(actor, fresh):
        return stage.writer.run(lambda unit: ask(unit, ESTATE, kind, {"kind": kind}, actor, stage.now, fresh=fresh))

    with pytest.raises(Refused, match="not a key of the API"):
        run("client:partner", fresh=True)
    with pytest.raises(StaleLogin):
        run("anna", fresh=False)
    asked = run("anna", fresh=True)
    sha = request(stage, asked)["payload_sha256"]
    with pytest.raises(StaleLogin):
        stage.writer.run(
            lambda unit: approvals.approve(unit, ESTATE, asked, sha, actor="bert", now=stage.now, fresh=False)
        )


def test_no_step_is_skipped(stage):
    with pytest.raises(Refused, match="one step at a time"):
        ask_mode(stage, "armed")


@pytest.mark.parametrize(("mode", "error"), [("observe", Conflict), ("off", Refused), ("", Refused)])
def test_only_another_known_mode_can_be_asked_for(stage, mode, error):
    with pytest.raises(error):
        ask_mode(stage, mode)


def test_a_step_down_acts_at_once_and_takes_back_what_was_not_read_back(stage):
    stage.set(schema.estate, mode="armed")
    stage.overdraw(1)
    stage.be_ready(1)
    stage.decide()
    assert ask_mode(stage, "dry_run") == ""
    assert stage.site()["mode"] == "dry_run"
    assert (stage.supply(1)["desired"], stage.wishes(1)[-1]["reason"]) == ("closed", "mode")
    assert verbs(stage)[-1] == "mode.lowered"


def test_a_step_down_leaves_the_dark_ones_dark(stage):
    stage.set(schema.estate, mode="armed")
    stage.cut(1)
    ask_mode(stage, "observe")
    assert stage.supply(1)["desired"] == "open"


def test_the_request_shows_whom_it_concerns_and_is_bound_to_it(stage):
    stage.set(schema.estate, mode="dry_run")
    stage.overdraw(1)
    row = request(stage, ask_mode(stage, "armed"))
    assert json.loads(row["payload"]) == {
        "kind": "mode", "from": "dry_run", "to": "armed", "households": 3, "candidates": [account_id(1)],
    }  # fmt: skip
    with pytest.raises(Conflict, match="not what was asked for"):
        approve(stage, row["approval_id"], sha="f" * 64)
    assert stage.site()["mode"] == "dry_run"


def test_the_one_who_asked_never_approves(stage):
    asked = ask_mode(stage, "dry_run")
    with pytest.raises(Refused, match="second person"):
        approve(stage, asked, actor="anna")
    assert request(stage, asked)["status"] == "waiting"


def test_a_request_ends_after_half_an_hour(stage):
    asked = ask_mode(stage, "dry_run")
    stage.wait(VALID_MS // 1000 - 1)
    approve(stage, asked)
    late = ask_mode(stage, "armed")
    stage.wait(VALID_MS // 1000)
    with pytest.raises(Refused, match="expired"):
        approve(stage, late)


def test_a_request_is_decided_once(stage):
    asked = ask_mode(stage, "dry_run")
    approve(stage, asked)
    with pytest.raises(Conflict):
        approve(stage, asked, actor="carl")
    with pytest.raises(NotFound):
        approve(stage, "nobody", sha="f" * 64)


def test_what_waits_for_its_second_person_is_not_asked_for_twice(stage):
    asked = ask_mode(stage, "dry_run")
    with pytest.raises(Conflict, match="asked for already"):
        ask_mode(stage, "dry_run", actor="bert")
    stage.writer.run(lambda unit: approvals.withdraw(unit, ESTATE, asked, actor="anna", now=stage.now))
    approve(stage, ask_mode(stage, "dry_run"))
    stage.set(schema.estate, stopped=1, breaker="open", breaker_reason="clock")
    for ask_for in (
        lambda unit: approvals.request_start_again(unit, ESTATE, actor="anna", now=stage.now),
        lambda unit: approvals.request_breaker_reset(unit, ESTATE, actor="anna", reason="set", now=stage.now),
    ):
        stage.writer.run(ask_for)
        with pytest.raises(Conflict, match="asked for already"):
            stage.writer.run(ask_for)
    stage.set(schema.estate, breaker_reason="limits")  # the request about the clock is outdated
    stage.writer.run(ask_for)


def test_a_mode_that_changed_meanwhile_is_not_overridden(stage):
    stage.set(schema.estate, mode="dry_run")
    asked = ask_mode(stage, "armed")
    ask_mode(stage, "observe")
    with pytest.raises(Conflict, match="has changed"):
        approve(stage, asked)
    assert stage.site()["mode"] == "observe"


def test_a_withdrawn_request_cannot_be_approved(stage):
    asked = ask_mode(stage, "dry_run")
    stage.writer.run(lambda unit: approvals.withdraw(unit, ESTATE, asked, actor="anna", now=stage.now))
    with pytest.raises(Conflict):
        approve(stage, asked)
    with pytest.raises(NotFound):
        stage.writer.run(lambda unit: approvals.withdraw(unit, ESTATE, asked, actor="anna", now=stage.now))


def test_starting_again_after_the_red_button_takes_two(stage):
    def ask():
        return stage.writer.run(lambda unit: approvals.request_start_again(unit, ESTATE, actor="anna", now=stage.now))

    with pytest.raises(Conflict):
        ask()
    stage.writer.run(lambda unit: supply.stop_all(unit, ESTATE, actor="anna", now=stage.now))
    asked = ask()
    with pytest.raises(Refused):
        approve(stage, asked, actor="anna")
    assert stage.site()["stopped"] == 1
    assert approve(stage, asked) == "start_again"
    assert stage.site()["stopped"] == 0


def test_the_breaker_is_closed_by_two_with_a_reason(stage):
    def ask(reason):
        return stage.writer.run(
            lambda unit: approvals.request_breaker_reset(unit, ESTATE, actor="anna", reason=reason, now=stage.now)
        )

    with pytest.raises(Conflict):
        ask("nothing happened")
    stage.set(schema.estate, breaker="open", breaker_reason="7 households at once")
    with pytest.raises(Refused):
        ask("  ")
    asked = ask("the tariff was wrong and is mended")
    payload = json.loads(request(stage, asked)["payload"])
    assert payload["opened_because"] == "7 households at once"
    assert approve(stage, asked) == "breaker_reset"
    assert (stage.site()["breaker"], stage.site()["breaker_reason"]) == ("closed", "")


def test_closing_the_breaker_ends_its_case_and_another_opening_has_another(stage):
    def opened(reason):
        stage.writer.run(lambda unit: supply.open_breaker(unit, ESTATE, reason, stage.now))
        return [(row["status"], json.loads(row["evidence"])["reason"]) for row in stage.rows(schema.anomaly_case)]

    assert opened("7 households at once") == [("open", "7 households at once")]
    asked = stage.writer.run(
        lambda unit: approvals.request_breaker_reset(unit, ESTATE, actor="anna", reason="they owe", now=stage.now)
    )
    approve(stage, asked)
    [row] = stage.rows(schema.anomaly_case)
    assert (row["status"], row["resolution"]) == ("closed", "they owe")
    [closed] = stage.rows(schema.case_event, schema.case_event.c.verb == "closed")
    assert closed["actor"] == "anna"
    assert sorted(opened("9 households at once")) == [
        ("closed", "7 households at once"),
        ("open", "9 households at once"),
    ]


def test_two_people_release_the_quarantine_by_arming_again(writer):
    stage = Stage(writer, trips_per_hour_max=0)
    stage.overdraw(1)
    stage.be_ready(1)
    stage.decide()
    assert stage.supply(1)["candidate"] == "quarantined"
    stage.set(schema.estate, trips_per_hour_max=5)
    stage.decide()
    assert stage.trips() == []
    ask_mode(stage, "dry_run")
    stage.decide()
    assert stage.supply(1)["candidate"] == "quarantined"
    approve(stage, ask_mode(stage, "armed"))
    stage.decide()
    assert len(stage.trips()) == 1


def waiting(stage):
    return stage.writer.run(lambda unit: [one["kind"] for one in waiting_still(unit.connection, ESTATE, stage.now)])


def test_a_request_that_the_estate_has_outrun_waits_for_nobody(stage):
    stage.set(schema.estate, mode="dry_run", stopped=1)
    asked = ask_mode(stage, "armed")
    stage.writer.run(lambda unit: approvals.request_start_again(unit, ESTATE, actor="anna", now=stage.now))
    assert sorted(waiting(stage)) == ["mode", "start_again"]
    ask_mode(stage, "observe")  # down at once
    assert waiting(stage) == ["start_again"]
    stage.set(schema.estate, stopped=0)
    assert waiting(stage) == []
    with pytest.raises(Conflict, match="the mode has changed since this was asked"):
        approve(stage, asked)
    stage.writer.run(lambda unit: approvals.withdraw(unit, ESTATE, asked, actor="anna", now=stage.now))
    assert request(stage, asked)["status"] == "withdrawn"
