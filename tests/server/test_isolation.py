"""Isolation for safety or tampering: two people open one household's relay, and only two people give it back.

Each guard has a probe that holds, and that fails once the guard is taken away.
"""

import json

import pytest

from server.domain import supply as rules
from server.domain.supply import HAZARD_RULES, SAFETY, TAMPER, TRIP_WISH_S
from server.errors import Conflict, NotFound, Refused, StaleLogin
from server.flows import approvals, isolation
from server.store import isolation as kept
from server.store import schema
from server.store.writer import Writer
from tests.server.estates import ESTATE, account_id, meter_id
from tests.server.isolation_acts import (
    FOUND,
    act,
    agree,
    ask,
    ask_release,
    by_day,
    carried_out,
    isolate,
    seen,
    state,
    without,
)  # fmt: skip
from tests.server.supply_acts import clears
from tests.server.supply_stage import CLOSED, OPEN, PERMITTED
from tests.server.test_ledger import tamper
from tests.server.test_supply_invariants import BREAKS, without_guard

NIGHT = {"protected_from_min": 0, "protected_to_min": 1440}


@pytest.fixture
def both(writer):
    """On both databases in turn."""
    return by_day(writer)


@pytest.fixture
def stage(sqlite_engine):
    writer = Writer(sqlite_engine)
    yield by_day(writer)
    writer.stop()


# the whole way


@pytest.mark.parametrize("cause", [SAFETY, TAMPER])
def test_the_whole_way_from_danger_to_power(both, cause):
    seen(both)
    asked = ask(both, 1, cause)
    assert both.wishes(1) == []
    agree(both, asked)
    [wish] = both.wishes(1)
    assert (wish["state"], wish["action"], wish["reason"], wish["actor"]) == ("open", "trip", cause, "anna")
    assert wish["expires_at"] == both.now.world_s + TRIP_WISH_S
    assert [(order.meter_id, order.action, order.gen) for order in both.orders()] == [(meter_id(1), "trip", 1)]
    both.wait(1)
    assert clears(both, 1, sending=True)
    both.attempt(1, "sent")
    both.attempt(1, "accepted")
    assert state(both) == ("open", cause, "accepted", "closed")
    both.wait(2)
    both.status(1, OPEN)
    assert state(both) == ("open", cause, "confirmed", "open")
    told = [json.loads(row["arguments"]) for row in both.notices(1, "cut")]
    assert [one["cause"] for one in told] == [cause] * 2
    assert not any("pay_fen" in one for one in told)
    agree(both, ask_release(both), actor="carl")
    wish = both.wishes(1)[-1]
    assert (wish["gen"], wish["state"], wish["action"], wish["reason"]) == (2, "closed", "allow", "released")
    both.wait(2)
    both.status(1, PERMITTED)
    both.wait(2)
    both.status(1, CLOSED)
    assert state(both) == ("closed", "none", "confirmed", "closed")
    assert len(both.notices(1, "restored")) == 2
    verbs = [row["verb"] for row in both.rows(schema.audit)]
    assert verbs == [
        "isolate.requested", "supply.isolate", "isolate.approved",
        "reconnect.requested", "supply.release", "reconnect.approved",
    ]  # fmt: skip


def test_what_stands_in_the_books_about_it(both):
    carried_out(both, 2, TAMPER)
    [one] = both.look(lambda connection: kept.isolations(connection, ESTATE))
    assert (one.meter_id, one.account_id, one.cause, one.reason) == (meter_id(2), account_id(2), TAMPER, FOUND)
    assert (one.asked_by, one.agreed_by, one.relay, one.command) == ("anna", "bert", "open", "confirmed")
    assert both.look(lambda connection: kept.isolations(connection, ESTATE, meter_id(1))) == []


# two people


def test_a_request_needs_a_reason_a_cause_and_a_fresh_password(stage):
    seen(stage)
    with pytest.raises(Refused, match="what was found"):
        ask(stage, reason="  ")
    with pytest.raises(Refused, match="allowed: safety, tamper"):
        ask(stage, cause="arrears")
    with pytest.raises(StaleLogin):
        ask(stage, fresh=False)
    with pytest.raises(NotFound):
        ask(stage, 99)
    with pytest.raises(NotFound):
        ask(stage, case_id="0" * 32)


def test_nobody_agrees_to_their_own_and_no_key_of_the_api_is_a_person(stage):
    seen(stage)
    with pytest.raises(Refused, match="not a key of the API"):
        act(
            stage, isolation.request, meter_id(1), SAFETY, reason=FOUND, clock_sane=True, actor="client:hand"
        )  # fmt: skip
    asked = ask(stage)
    with pytest.raises(Refused, match="second person"):
        agree(stage, asked, actor="anna")
    with pytest.raises(Refused, match="key of the API"):
        agree(stage, asked, actor="client:hand")
    with pytest.raises(StaleLogin):
        agree(stage, asked, fresh=False)
    with pytest.raises(Conflict, match="waits for its second person"):
        ask(stage)
    assert stage.wishes(1) == []
    agree(stage, asked)
    with pytest.raises(Conflict, match="was opened for safety"):
        ask(stage)


def probe_two_people(stage):
    """Even if the request is agreed to by who asked, the rules refuse."""
    seen(stage)
    [row] = stage.rows(schema.approval, schema.approval.c.approval_id == ask(stage))
    with pytest.raises(Refused, match="two_people"):
        stage.writer.run(
            lambda unit: isolation.isolate(
                unit, ESTATE, row, json.loads(row["payload"]), "anna", stage.now, clock_sane=True
            )
        )
    assert stage.wishes(1) == []


def test_the_rules_count_to_two_themselves(stage):
    probe_two_people(stage)


def test_the_rules_are_needed_to_count(stage, monkeypatch):
    monkeypatch.setitem(HAZARD_RULES, SAFETY, without("_two_people", SAFETY))
    with pytest.raises(pytest.fail.Exception):
        probe_two_people(stage)


def test_the_release_needs_two_people_and_a_reason(stage):
    with pytest.raises(Conflict, match="not open"):
        ask_release(stage)
    carried_out(stage)
    with pytest.raises(Refused, match="why"):
        ask_release(stage, reason=" ")
    with pytest.raises(StaleLogin):
        ask_release(stage, fresh=False)
    asked = ask_release(stage)
    with pytest.raises(Conflict, match="waits"):
        ask_release(stage)
    with pytest.raises(Refused, match="second person"):
        agree(stage, asked, actor="anna")
    agree(stage, asked)
    with pytest.raises(Conflict):
        ask_release(stage)


def test_a_release_that_was_asked_for_another_opening_is_outdated(stage):
    carried_out(stage)
    old, new = ask_release(stage), None
    stage.set(schema.approval, schema.approval.c.approval_id == old, requested_by="zoe")
    act(stage, approvals.withdraw, old)
    new = ask_release(stage)
    agree(stage, new)
    stage.status(1, CLOSED)
    stage.set(schema.approval, schema.approval.c.approval_id == old, status="waiting")
    carried_out(stage)
    with pytest.raises(Conflict, match="opened anew"):
        agree(stage, old)
    assert state(stage) == ("open", SAFETY, "confirmed", "open")


# what holds of the checks of a cut, and what does not


HOLDS = {
    "not_protected": "_unprotected", "no_keep_power": "_keep_power", "clock_sane": "_clock", "armed": "_armed",
    "not_stopped": "_not_stopped", "breaker_closed": "_breaker", "hour_limit": "_hour_limit",
    "day_limit": "_day_limit", "system_limit": "_system_limit",
}  # fmt: skip


def probe_check(stage, name, cause=SAFETY):
    seen(stage)
    asked = ask(stage, 1, cause)
    BREAKS[name](stage)
    with pytest.raises(Refused, match=name):
        agree(stage, asked)
    assert stage.wishes(1) == []
    act(stage, approvals.withdraw, asked)
    with pytest.raises(Refused, match=name):
        ask(stage, 1, cause)


@pytest.mark.parametrize("cause", [SAFETY, TAMPER])
@pytest.mark.parametrize("name", HOLDS)
def test_a_check_that_says_no_keeps_the_power_on(stage, name, cause):
    probe_check(stage, name, cause)


@pytest.mark.parametrize("name", HOLDS)
def test_each_check_is_needed(stage, monkeypatch, name):
    monkeypatch.setitem(HAZARD_RULES, SAFETY, without(HOLDS[name], SAFETY))
    with pytest.raises(pytest.fail.Exception):
        probe_check(stage, name)


def probe_status(stage):
    seen(stage)
    stage.wait(1801)
    with pytest.raises(Refused, match="relay_known"):
        ask(stage)


def test_a_relay_that_nobody_has_seen_lately_is_not_opened(stage, monkeypatch):
    with pytest.raises(Refused, match="relay_known"):
        ask(stage)
    probe_status(stage)
    monkeypatch.setitem(HAZARD_RULES, SAFETY, without("_relay_known", SAFETY))
    with pytest.raises(pytest.fail.Exception):
        probe_status(stage)


def test_two_a_minute_on_a_bus_and_the_third_is_agreed_to_later(stage):
    seen(stage, 1, 2, 3)
    isolate(stage, 1)
    isolate(stage, 2)
    third = ask(stage, 3)
    with pytest.raises(Refused, match="bus_limit"):
        agree(stage, third)
    stage.wait(61)
    agree(stage, third)
    assert stage.supply(3)["desired"] == "open"


def test_a_clock_in_doubt_stops_it_at_each_step(stage):
    seen(stage)
    with pytest.raises(Refused, match="clock_sane"):
        ask(stage, clock_sane=False)
    asked = ask(stage)
    with pytest.raises(Refused, match="clock_sane"):
        agree(stage, asked, clock_sane=False)
    [row] = stage.rows(schema.approval, schema.approval.c.approval_id == asked)
    with pytest.raises(Refused, match="clock_sane"):  # who approves says nothing of a clock: that is a doubt
        act(stage, approvals.approve, asked, row["payload_sha256"], actor="bert")
    agree(stage, asked)
    assert not clears(stage, 1, clock_sane=False)
    assert clears(stage, 1)


def test_money_and_readings_are_no_part_of_it(stage):
    """Never read, in credit, paying afterwards, paused, unwarned, and quarantined for a debt."""
    seen(stage)
    stage.set_account(1, status="paused", payment="postpaid")
    stage.set(schema.supply, schema.supply.c.meter_id == meter_id(1), candidate="quarantined")
    isolate(stage)
    assert stage.balance(1) == 100
    assert clears(stage, 1)


def test_a_danger_waits_for_no_hour_but_tampering_does(stage, monkeypatch):
    seen(stage, 1, 2)
    stage.set(schema.estate, **NIGHT)
    isolate(stage)
    assert clears(stage, 1)
    assert stage.wishes(1)[0]["expires_at"] == stage.now.world_s + TRIP_WISH_S
    with pytest.raises(Refused, match="allowed_time"):
        ask(stage, 2, TAMPER)
    monkeypatch.setitem(HAZARD_RULES, TAMPER, without("_allowed_time", TAMPER))
    ask(stage, 2, TAMPER)


def probe_resending(stage, change):
    seen(stage)
    isolate(stage)
    assert clears(stage, 1)
    change(stage)
    assert not clears(stage, 1)


@pytest.mark.parametrize("name", ["not_protected", "no_keep_power", "clock_sane"])
def test_what_comes_up_before_the_frame_stops_it(stage, monkeypatch, name):
    probe_resending(stage, BREAKS[name])


def test_the_look_before_the_frame_is_needed(stage, monkeypatch):
    monkeypatch.setattr(rules, "RECHECKED", rules.RECHECKED - {"not_protected"})
    without_guard(probe_resending, stage, BREAKS["not_protected"])


def test_a_wish_whose_evidence_has_lost_its_second_person_is_not_sent(stage, sqlite_engine):
    seen(stage)
    isolate(stage)
    tamper(sqlite_engine, "relay_desired", "UPDATE relay_desired SET evidence = replace(evidence, 'bert', 'anna')")
    assert not clears(stage, 1)


@pytest.mark.parametrize("site", [{"stopped": 1}, {"breaker": "open"}, {"mode": "dry_run"}])
def test_a_switch_that_is_thrown_stops_the_frame(stage, site):
    seen(stage)
    isolate(stage)
    stage.set(schema.estate, **site)
    assert stage.orders() == []
    assert not clears(stage, 1)


def test_isolations_count_against_the_limits_of_cuts(stage):
    stage.set(schema.estate, trips_per_hour_max=1, trips_per_day_max=1)
    carried_out(stage, 1)
    stage.overdraw(2)
    stage.be_ready(2)
    stage.decide()
    assert stage.supply(2)["candidate"] == "quarantined"


def test_a_meter_that_keeps_its_own_credit_or_feeds_nobody_is_not_opened_from_here(stage):
    seen(stage, 1, 2)
    stage.set(schema.meter, schema.meter.c.meter_id == meter_id(1), fee="local")
    stage.set(schema.meter, schema.meter.c.meter_id == meter_id(2), account_id=None)
    for number in (1, 2):
        with pytest.raises(Refused, match="on site"):
            ask(stage, number)


def test_another_household_by_then_is_not_isolated(stage):
    seen(stage)
    asked = ask(stage)
    stage.set(schema.meter, schema.meter.c.meter_id == meter_id(1), account_id=account_id(2))
    with pytest.raises(Conflict, match="another household"):
        agree(stage, asked)
    assert stage.wishes(1) == []
