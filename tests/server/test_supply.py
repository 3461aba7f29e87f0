"""Supply on both databases: who is cut, who is not, what takes a wish back, what a read-back does."""

import json

import pytest

from server.domain.supply import TRIP_WISH_S
from server.errors import Conflict, NotFound, Refused
from server.flows import supply
from server.store import schema
from tests.server.estates import ESTATE, account_id, meter_id
from tests.server.supply_stage import CLOSED, GRACE_S, OPEN, PERMITTED, Stage


@pytest.fixture
def stage(writer):
    return Stage(writer)


def test_the_whole_way_from_credit_to_darkness_and_back(stage):
    stage.overdraw(1)
    assert stage.balance(1) < 0
    assert len(stage.notices(1, "cut_warning")) == 2
    assert stage.decide()[0][1].refusal == "notice_delivered"
    stage.be_ready(1)
    [(candidate, decision)] = stage.decide()
    assert decision.allowed
    assert candidate.account_id == account_id(1)
    row = stage.supply(1)
    assert (row["gen"], row["desired"], row["command"], row["cause"]) == (1, "open", "queued", "arrears")
    assert row["relay"] == "closed"
    [order] = stage.orders()
    assert (order.meter_id, order.gen, order.action) == (meter_id(1), 1, "trip")
    stage.attempt(1, "sent")
    stage.attempt(1, "accepted")
    stage.wait(2)
    stage.status(1, OPEN)
    assert (stage.supply(1)["relay"], stage.supply(1)["command"]) == ("open", "confirmed")
    assert len(stage.notices(1, "cut")) == 2
    assert stage.orders() == []
    stage.pay(1, 2000)
    row = stage.supply(1)
    assert (row["gen"], row["desired"], row["command"]) == (2, "closed", "queued")
    [order] = stage.orders()
    assert (order.gen, order.action) == (2, "allow")
    stage.wait(3)
    stage.status(1, PERMITTED)
    assert (stage.supply(1)["relay"], stage.supply(1)["command"]) == ("permitted", "confirmed")
    stage.wait(5)
    stage.status(1, CLOSED)
    assert (stage.supply(1)["relay"], stage.supply(1)["cause"]) == ("closed", "none")
    assert len(stage.notices(1, "restored")) == 2


def test_the_evidence_of_a_cut_holds_every_check_as_it_stood(stage):
    stage.overdraw(1)
    stage.be_ready(1)
    stage.decide()
    [wish] = stage.wishes(1)
    evidence = json.loads(str(wish["evidence"]))
    assert len(evidence["checks"]) == 19
    assert all(check["passed"] for check in evidence["checks"])
    assert evidence["balance_fen"] == stage.balance(1)
    assert wish["expires_at"] == stage.now.world_s + TRIP_WISH_S
    assert (wish["reason"], wish["actor"]) == ("arrears", "system")


def test_observe_judges_nobody(stage):
    stage.overdraw(1)
    stage.be_ready(1)
    stage.set(schema.estate, mode="observe")
    assert stage.decide() == []
    assert stage.supply(1)["candidate"] == ""
    assert stage.trips() == []


def test_dry_run_says_who_would_be_cut_and_cuts_nobody(stage):
    stage.overdraw(1)
    stage.be_ready(1)
    stage.set(schema.estate, mode="dry_run")
    stage.decide()
    assert stage.supply(1)["candidate"] == "would_trip"
    assert stage.trips() == []


def test_a_candidate_shows_the_check_that_says_no_until_it_is_none(stage):
    stage.overdraw(1)
    stage.decide()
    assert stage.supply(1)["candidate"] == "notice_delivered"
    stage.pay(1, 2000)
    stage.decide()
    assert stage.supply(1)["candidate"] == ""


def test_one_reading_alone_cuts_nobody(stage):
    stage.overdraw(1)
    stage.wait(GRACE_S)
    stage.status(1)
    stage.read(1, 500)
    stage.set_account(1, balance_fen=1, alarm2_fen=0)  # only the charge of the newest reading makes the debt
    stage.charge()
    assert stage.balance(1) < 0
    assert stage.decide()[0][1].refusals == ("readings_agree",)
    stage.wait(60)
    stage.read(1)
    stage.charge()
    assert stage.decide()[0][1].allowed


def test_a_household_is_cut_once(stage):
    stage.cut(1)
    stage.wait(60)
    stage.read(1)
    stage.decide()
    assert len(stage.trips()) == 1


def test_the_bus_takes_two_cuts_a_minute_and_the_rest_waits(writer):
    stage = Stage(writer, households=5)
    stage.overdraw(1, 2, 3)
    stage.be_ready(1, 2, 3)
    stage.decide()
    assert len(stage.trips()) == 2
    [waiting] = [n for n in (1, 2, 3) if stage.supply(n)["desired"] == "closed"]
    assert stage.supply(waiting)["candidate"] == "bus_limit"
    stage.wait(60)
    stage.decide()
    assert len(stage.trips()) == 3


def test_what_exceeds_the_hour_is_quarantined_until_two_people_arm_again(writer):
    stage = Stage(writer, households=5, trips_per_hour_max=1)
    stage.overdraw(1, 2)
    stage.be_ready(1, 2)
    stage.decide()
    assert len(stage.trips()) == 1
    [held] = [n for n in (1, 2) if stage.supply(n)["desired"] == "closed"]
    assert stage.supply(held)["candidate"] == "quarantined"
    assert stage.site()["breaker"] == "closed"
    stage.wait(3 * 3600)
    for number in (1, 2):
        stage.read(number)
        stage.status(number)
    stage.decide()
    assert len(stage.trips()) == 1
    assert stage.supply(held)["candidate"] == "quarantined"


def test_a_payment_ends_a_quarantine(writer):
    stage = Stage(writer, trips_per_hour_max=0)
    stage.overdraw(1)
    stage.be_ready(1)
    stage.decide()
    assert stage.supply(1)["candidate"] == "quarantined"
    stage.pay(1, 2000)
    stage.decide()
    assert stage.supply(1)["candidate"] == ""


def test_a_mass_event_opens_the_breaker_and_takes_back_what_was_not_read_back(writer):
    stage = Stage(writer, households=8)
    stage.overdraw(1)
    stage.be_ready(1)
    stage.decide()
    assert stage.supply(1)["desired"] == "open"
    everybody = tuple(range(2, 9))
    stage.overdraw(*everybody)
    stage.be_ready(*everybody)
    stage.decide()
    assert stage.site()["breaker"] == "open"
    assert "7 households are candidates at once, 5 are plausible" in stage.site()["breaker_reason"]
    assert len(stage.trips()) == 1
    assert (stage.supply(1)["desired"], stage.wishes(1)[-1]["reason"]) == ("closed", "breaker")
    assert {stage.supply(n)["candidate"] for n in everybody} == {"breaker_closed"}
    assert [row["verb"] for row in stage.rows(schema.audit)] == ["breaker.opened"]
    stage.decide()
    assert len(stage.rows(schema.audit)) == 1


def test_protected_households_do_not_make_a_mass_event(writer):
    stage = Stage(writer, households=8)
    everybody = tuple(range(1, 9))
    stage.overdraw(*everybody)
    stage.set(schema.account, schema.account.c.kind == "household", protected=1)
    stage.decide()
    assert stage.site()["breaker"] == "closed"
    assert {stage.supply(n)["candidate"] for n in everybody} == {"not_protected"}


def test_the_red_button_stops_at_once_and_takes_back_open_wishes(stage):
    stage.overdraw(1, 2)
    stage.be_ready(1, 2)
    stage.decide()
    stage.attempt(1, "sent")
    taken_back = stage.writer.run(lambda unit: supply.stop_all(unit, ESTATE, actor="anna", now=stage.now))
    assert taken_back == 2
    assert stage.site()["stopped"] == 1
    assert {order.action for order in stage.orders()} == {"allow"}
    assert not stage.is_current(1, 1)
    stage.decide()
    assert len(stage.trips()) == 2
    assert [row["verb"] for row in stage.rows(schema.audit)] == ["supply.stop"]


@pytest.mark.parametrize("site", [{"stopped": 1}, {"breaker": "open"}, {"mode": "dry_run"}, {"mode": "observe"}])
def test_a_switch_that_is_thrown_after_the_decision_still_stops_the_frame(stage, site):
    stage.overdraw(1)
    stage.be_ready(1)
    stage.decide()
    assert stage.is_current(1, 1)
    stage.set(schema.estate, **site)
    assert stage.orders() == []
    assert not stage.is_current(1, 1)


def test_switches_never_hold_back_a_close(stage):
    stage.cut(1)
    stage.pay(1, 2000)
    stage.set(schema.estate, stopped=1, breaker="open", mode="observe")
    assert [order.action for order in stage.orders()] == ["allow"]
    assert stage.is_current(1, 2)


def test_a_top_up_that_leaves_the_debt_leaves_the_relay_open(stage):
    stage.cut(1)
    stage.pay(1, -stage.balance(1) // 2)
    assert stage.supply(1)["desired"] == "open"
    assert len(stage.wishes(1)) == 1


@pytest.mark.parametrize("cause", ["safety", "tamper", "order"])
def test_a_top_up_never_closes_what_was_opened_for_another_reason(stage, cause):
    stage.cut(1)
    stage.set(schema.supply, schema.supply.c.meter_id == meter_id(1), cause=cause)
    stage.pay(1, 2000)
    assert stage.supply(1)["desired"] == "open"


def test_an_estate_may_choose_the_direct_close(writer):
    stage = Stage(writer, close_policy="direct")
    stage.cut(1)
    stage.pay(1, 2000)
    assert [order.action for order in stage.orders()] == ["close"]
    stage.wait(1)
    stage.status(1, PERMITTED)
    assert stage.supply(1)["command"] == "queued"
    stage.status(1, CLOSED)
    assert stage.supply(1)["command"] == "confirmed"


def test_an_expired_wish_is_wished_closed_and_decided_anew(stage):
    stage.overdraw(1)
    stage.be_ready(1)
    stage.decide()
    stage.attempt(1, "expired")
    assert [(w["gen"], w["action"], w["reason"]) for w in stage.wishes(1)] == [
        (1, "trip", "arrears"), (2, "allow", "trip_expired"),
    ]  # fmt: skip
    stage.wait(5)
    stage.status(1)
    stage.wait(120)
    stage.read(1)
    stage.status(1)
    stage.decide()
    assert stage.wishes(1)[-1]["gen"] == 3
    assert stage.wishes(1)[-1]["action"] == "trip"


def test_steps_of_an_old_generation_change_nothing(stage):
    stage.overdraw(1)
    stage.be_ready(1)
    stage.decide()
    stage.pay(1, 2000)
    before = stage.supply(1)
    for step in ("sent", "accepted", "refused", "expired", "no_reply"):
        stage.attempt(1, step, gen=1)
    assert stage.supply(1) == before


def test_an_old_status_does_not_overrule_a_newer_one(stage):
    stage.cut(1)
    stage.wait(-60)
    stage.status(1, CLOSED)
    assert stage.supply(1)["relay"] == "open"


def test_a_status_from_before_the_wish_does_not_confirm_it(stage):
    stage.cut(1)
    stage.wait(10)
    stage.pay(1, 2000)
    stage.wait(-5)
    stage.status(1, PERMITTED)
    assert stage.supply(1)["command"] == "queued"
    stage.wait(6)
    stage.status(1, PERMITTED)
    assert stage.supply(1)["command"] == "confirmed"


def test_a_clock_that_was_set_back_does_not_hide_that_the_power_is_on_again(stage):
    stage.cut(1)
    stage.pay(1, 2000)
    stage.wait(-3600)
    stage.status(1, PERMITTED)
    assert (stage.supply(1)["relay"], stage.supply(1)["command"]) == ("permitted", "confirmed")
    stage.wait(5)
    stage.status(1, CLOSED)
    assert (stage.supply(1)["relay"], stage.supply(1)["cause"]) == ("closed", "none")


def test_power_by_hand_needs_a_reason_and_an_open_relay(stage):
    def close(number, reason="the family has a sick child", actor="anna"):
        return stage.writer.run(
            lambda unit: supply.close_by_hand(unit, ESTATE, meter_id(number), actor=actor, reason=reason, now=stage.now)
        )

    stage.cut(1)
    with pytest.raises(Refused, match="say why"):
        close(1, reason="  ")
    stage.status(2)
    with pytest.raises(Conflict):
        close(2)
    with pytest.raises(NotFound):
        close(99)
    assert close(1) == 2
    assert stage.wishes(1)[-1]["reason"] == "by_hand"
    assert [row["detail"] for row in stage.rows(schema.audit)] == ["the family has a sick child"]
    stage.set(schema.supply, schema.supply.c.meter_id == meter_id(1), cause="tamper", desired="open")
    with pytest.raises(Refused, match="two people"):
        close(1)


def test_orders_carry_the_password_but_never_show_it(stage):
    stage.overdraw(1)
    stage.be_ready(1)
    stage.decide()
    [order] = stage.orders()
    assert order.password == "000000"
    assert "000000" not in repr(order).replace(meter_id(1), "")
