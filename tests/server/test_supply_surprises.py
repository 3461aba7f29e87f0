"""Relays that move without a wish, and requests that a second person answers too late for the state of things."""

import json

import pytest

from core.dlt645.identifiers import COMMAND_OPEN
from server.domain.readings import StatusRead
from server.errors import Conflict
from server.flows import approvals, relays, supply
from server.jobs.collecting import FlowOrders
from server.store import schema
from server.store.supply import add_wish
from server.store.writer import Writer
from tests.server.estates import ESTATE, meter_id
from tests.server.supply_acts import again, by_hand, clears, ready, wanted
from tests.server.supply_stage import CLOSED, OPEN, PERMITTED, Stage
from tests.server.test_supply_invariants import without_guard
from tests.server.test_supply_invariants_of_doubt import StageClock


@pytest.fixture
def writer(sqlite_engine):
    writer = Writer(sqlite_engine)
    yield writer
    writer.stop()


@pytest.fixture
def stage(writer):
    return Stage(writer, households=6)


# relays that move without a wish


def paid(stage):
    stage.cut(1)
    stage.pay(1, 5000)
    stage.wait(2)
    stage.status(1, CLOSED)
    assert stage.supply(1)["command"] == "confirmed"


def test_a_frame_that_comes_late_after_the_payment_is_taken_back(stage):
    paid(stage)
    stage.wait(60)
    stage.status(1, OPEN)
    assert [(wish["gen"], wish["reason"]) for wish in stage.wishes(1)] == [
        (1, "arrears"), (2, "paid"), (3, "late_trip"),
    ]  # fmt: skip
    assert (stage.supply(1)["relay"], stage.supply(1)["desired"]) == ("open", "closed")
    assert [order.action for order in stage.orders()] == ["allow"]


def probe_elsewhere(stage):
    """The mains are off for somebody's safety, between the decision to cut and its frame."""
    stage.set(schema.estate, close_policy="direct")
    wanted(stage, 1)
    stage.wait(1)
    stage.status(1, OPEN)
    row = stage.supply(1)
    assert (row["desired"], row["command"], row["cause"], row["relay"]) == ("closed", "none", "none", "open")
    stage.pay(1, 5000)
    stage.wait(900)
    stage.status(1, OPEN)
    assert stage.orders() == []
    assert [(wish["action"], wish["reason"]) for wish in stage.wishes(1)][1:] == [("close", "opened_elsewhere")]


def test_a_relay_that_somebody_opened_before_our_frame_went_out_is_not_closed_by_a_payment(stage):
    probe_elsewhere(stage)


def test_without_asking_whose_frame_it_was_a_payment_closes_it(stage, monkeypatch):
    monkeypatch.setattr(relays, "_is_ours", lambda *_: True)
    without_guard(probe_elsewhere, stage)


def left_unsent(stage, take_back):
    """A cut is decided while its bus is away; others switch the mains off, and it is withdrawn."""
    wanted(stage, 1)
    stage.wait(300)
    take_back(stage)
    [order] = stage.orders()
    assert order.action == "allow"
    return order.gen


WITHDRAWN = {
    "paid": lambda stage: stage.pay(1, 5000),
    "expired": lambda stage: stage.attempt(1, "expired"),
    "stopped": lambda stage: press(stage),
}


def probe_unsent(stage, engine, why="paid"):
    gen = left_unsent(stage, WITHDRAWN[why])
    orders = FlowOrders(engine, stage.writer, StageClock(stage), ESTATE, clock_sane=lambda: True)
    assert orders.still_current(meter_id(1), gen)  # its relay is looked at
    assert not orders.still_current(meter_id(1), gen, sending=True)  # and was found open
    assert stage.orders() == []
    stage.wait(1)
    stage.status(1, OPEN)
    row = stage.supply(1)
    assert (row["desired"], row["command"], row["cause"], row["relay"]) == ("closed", "none", "none", "open")


@pytest.mark.parametrize("why", WITHDRAWN)
def test_a_cut_that_never_went_out_and_is_withdrawn_closes_no_relay_that_others_opened(stage, sqlite_engine, why):
    probe_unsent(stage, sqlite_engine, why)


def test_without_asking_what_went_out_the_withdrawal_closes_it(stage, sqlite_engine, monkeypatch):
    monkeypatch.setattr(relays, "closes_for_others", lambda *_: False)
    without_guard(probe_unsent, stage, sqlite_engine)


GIVEN = {
    "it had leave to go out": lambda stage: clears(stage, 1, sending=True),
    "it was reported as sent": lambda stage: stage.attempt(1, "sent"),
}


@pytest.mark.parametrize("how", GIVEN)
def test_a_cut_that_may_have_gone_out_is_given_back(stage, sqlite_engine, how):
    def take_back(stage):
        assert GIVEN[how](stage) is not False
        stage.pay(1, 5000)

    gen = left_unsent(stage, take_back)
    orders = FlowOrders(sqlite_engine, stage.writer, StageClock(stage), ESTATE, clock_sane=lambda: True)
    assert orders.still_current(meter_id(1), gen, sending=True)


def test_power_that_a_person_gives_back_is_that_persons_to_judge(stage, sqlite_engine):
    gen = left_unsent(stage, lambda stage: by_hand(stage, 1))
    orders = FlowOrders(sqlite_engine, stage.writer, StageClock(stage), ESTATE, clock_sane=lambda: True)
    assert orders.still_current(meter_id(1), gen, sending=True)


def test_a_frame_of_an_older_cut_may_have_opened_it(stage, sqlite_engine):
    paid(stage)
    stage.set(schema.supply, gen=3, desired="open", command="queued", cause="arrears")
    wish = {**stage.wishes(1)[0], "gen": 3, "decided_at": stage.now.world_s}
    stage.writer.run(lambda unit: add_wish(unit.connection, **wish))
    stage.pay(1, 100, key="sale-0002")
    orders = FlowOrders(sqlite_engine, stage.writer, StageClock(stage), ESTATE, clock_sane=lambda: True)
    assert orders.still_current(meter_id(1), 4, sending=True)


def test_what_may_be_sent_is_kept_before_the_frame_so_a_server_that_dies_knows_its_own_cut(stage):
    wanted(stage, 1)
    assert clears(stage, 1)
    assert stage.rows(schema.relay_attempt) == []
    assert clears(stage, 1, sending=True)
    assert [row["step"] for row in stage.rows(schema.relay_attempt)] == ["cleared"]
    stage.wait(1)
    stage.status(1, OPEN)
    assert (stage.supply(1)["desired"], stage.supply(1)["command"]) == ("open", "confirmed")


def test_a_relay_that_others_opened_is_left_alone(stage):
    paid(stage)
    for _ in range(3):
        stage.wait(700)
        stage.status(1, CLOSED)
    stage.wait(1)
    stage.status(1, OPEN)
    stage.status(2, OPEN)
    assert len(stage.wishes(1)) == 2
    assert stage.wishes(2) == []


def test_a_relay_closed_on_site_is_wanted_closed_and_warned_anew(stage):
    stage.cut(1)
    stage.wait(600)
    stage.status(1, CLOSED)
    assert [wish["reason"] for wish in stage.wishes(1)] == ["arrears", "closed_on_site"]
    stage.wait(1)
    again(stage, 1)
    stage.decide()
    assert len(stage.trips()) == 1
    assert stage.supply(1)["candidate"] == "notice_delivered"


def test_a_pending_trip_delay_is_no_open_relay_and_keeps_its_cause(stage):
    wanted(stage, 1)
    stage.attempt(1, "accepted")
    stage.wait(2)
    stage.status(1, COMMAND_OPEN)
    assert (stage.supply(1)["relay"], stage.supply(1)["command"]) == ("closed", "accepted")
    stage.pay(1, 5000)
    stage.wait(2)
    stage.status(1, COMMAND_OPEN)
    assert (stage.supply(1)["command"], stage.supply(1)["cause"]) == ("queued", "arrears")
    stage.wait(2)
    stage.status(1, OPEN)
    stage.wait(2)
    stage.status(1, PERMITTED)
    assert (stage.supply(1)["relay"], stage.supply(1)["command"]) == ("permitted", "confirmed")


def test_a_late_status_changes_neither_relay_nor_live_values(stage):
    stage.wait(10)
    stage.status(1, OPEN)
    now = stage.now
    old = StatusRead(meter_id(1), now.world_s - 5, now.machine_ms - 5000, CLOSED)
    stage.writer.run(lambda unit: relays.record_status(unit, ESTATE, [old], now))
    [live] = stage.rows(schema.meter_live, schema.meter_live.c.meter_id == meter_id(1))
    assert (stage.supply(1)["relay"], live["status3"], live["status3_at"]) == ("open", OPEN, now.world_s)


def test_an_expired_cut_is_given_back_in_the_way_of_the_estate(stage):
    stage.set(schema.estate, close_policy="direct")
    wanted(stage, 1)
    stage.attempt(1, "expired")
    assert [(wish["action"], wish["reason"]) for wish in stage.wishes(1)] == [
        ("trip", "arrears"), ("close", "trip_expired"),
    ]  # fmt: skip


# two people


def decide_approval(stage, asked, actor="boris"):
    [row] = stage.rows(schema.approval, schema.approval.c.approval_id == asked)
    sha = str(row["payload_sha256"])
    stage.writer.run(lambda unit: approvals.approve(unit, ESTATE, asked, sha, actor=actor, now=stage.now))


@pytest.fixture
def asked_twice(monkeypatch):
    """Requests of which two wait, as an older release let them."""
    monkeypatch.setattr(approvals, "refuse_twice", lambda *_: None)


def ask_again(stage):
    return stage.writer.run(lambda unit: approvals.request_start_again(unit, ESTATE, actor="anna", now=stage.now))


def press(stage):
    stage.writer.run(lambda unit: supply.stop_all(unit, ESTATE, actor="anna", now=stage.now))


@pytest.mark.usefixtures("asked_twice")
def test_invariant_17_the_red_button_ends_older_requests_to_start_again(stage):
    press(stage)
    first, second = ask_again(stage), ask_again(stage)
    decide_approval(stage, first)
    assert stage.site()["stopped"] == 0
    press(stage)
    with pytest.raises(Conflict):
        decide_approval(stage, second)
    assert stage.site()["stopped"] == 1


@pytest.mark.usefixtures("asked_twice")
def test_invariant_17_what_is_started_already_is_not_started_by_an_older_request(stage):
    press(stage)
    first, second = ask_again(stage), ask_again(stage)
    decide_approval(stage, first)
    with pytest.raises(Conflict, match="already"):
        decide_approval(stage, second)


def test_a_switch_that_waits_for_its_second_person_is_not_asked_for_twice(stage):
    press(stage)
    asked = ask_again(stage)
    with pytest.raises(Conflict, match="asked for already"):
        ask_again(stage)
    press(stage)
    with pytest.raises(Conflict):
        decide_approval(stage, asked)
    decide_approval(stage, ask_again(stage))
    assert stage.site()["stopped"] == 0


def reset(stage, reason="a cold night"):
    return stage.writer.run(
        lambda unit: approvals.request_breaker_reset(unit, ESTATE, actor="anna", reason=reason, now=stage.now)
    )


def test_two_people_who_close_the_breaker_accept_its_candidates_and_no_more(writer):
    stage = Stage(writer, households=8)
    ready(stage, 1, 2, 3, 4, 5, 6)
    stage.decide()
    assert stage.site()["breaker"] == "open"
    asked = reset(stage)
    [row] = stage.rows(schema.approval)
    assert json.loads(str(row["payload"]))["candidates"] == 6
    decide_approval(stage, asked)
    stage.decide()
    assert stage.site()["breaker"] == "closed"
    assert len(stage.trips()) == 2
    ready(stage, 7, 8)
    stage.pay(7, 5000)
    stage.decide()
    assert stage.site()["breaker"] == "closed"


def test_a_breaker_that_opened_anew_is_not_closed_by_an_older_request(writer):
    stage = Stage(writer, households=8)
    ready(stage, 1, 2, 3, 4, 5, 6)
    stage.decide()
    asked = reset(stage)
    stage.set(schema.estate, breaker_reason="something else")
    with pytest.raises(Conflict, match="breaker"):
        decide_approval(stage, asked)
    assert stage.site()["breaker"] == "open"
