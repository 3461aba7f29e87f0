"""What ends an isolation: two people and nothing else, whatever pays, restores, switches, doubts or grows old.

Each guard has a probe that holds, and that fails once the guard is taken away.
"""

import pytest

from server.domain import supply as rules
from server.domain.anomalies import Finding
from server.domain.supply import SAFETY, TAMPER, TRIP_WISH_S
from server.errors import NotFound, Refused
from server.flows import accounts, approvals, cases, exchanges, keep_power, relays, supply
from server.store import isolation as kept
from server.store import schema
from server.store.writer import Writer
from tests.server.estates import ESTATE, account_id, meter_id
from tests.server.isolation_acts import (
    act,
    agree,
    ask,
    ask_release,
    by_day,
    carried_out,
    isolate,
    seen,
    state,
)  # fmt: skip
from tests.server.supply_acts import clears
from tests.server.supply_stage import CLOSED, OPEN, PERMITTED
from tests.server.test_supply_invariants import without_guard


@pytest.fixture
def stage(sqlite_engine):
    writer = Writer(sqlite_engine)
    yield by_day(writer)
    writer.stop()


def pays(stage):
    stage.pay(1, 100_000)


def restores_all(stage):
    act(stage, supply.restore_all, reason="the network is back")


def closes_by_hand(stage):
    with pytest.raises(Refused, match="two people"):
        act(stage, supply.close_by_hand, meter_id(1), reason="they asked")


def becomes_protected(stage):
    stage.set_account(1, protected=1)
    stage.writer.run(lambda unit: keep_power.settle(unit, ESTATE, stage.now, may_end=True))


def pays_afterwards(stage):
    act(stage, accounts.set_payment, account_id(1), "postpaid", reason="a contract")


def is_paused(stage):
    act(stage, accounts.pause, account_id(1), reason="away")


def opens_the_breaker(stage):
    stage.writer.run(lambda unit: supply.open_breaker(unit, ESTATE, "a doubt", stage.now))


def stops_all(stage):
    act(stage, supply.stop_all)


def lowers_the_mode(stage):
    act(stage, approvals.request_mode, "dry_run")


def doubts_the_clock(stage):
    stage.decide(clock_sane=False)


def is_exchanged(stage):
    new = exchanges.NewMeter(meter_id(77), 0)
    with pytest.raises(Refused, match="two people"):
        act(stage, exchanges.replace_meter, meter_id(1), new, final_wh=1_000_000, reason="burnt")


def is_closed_on_site(stage):
    stage.wait(5)
    stage.status(1, CLOSED)


def expires(stage):
    stage.wait(TRIP_WISH_S)
    stage.attempt(1, "expired")


ENDINGS = (
    pays, restores_all, closes_by_hand, becomes_protected, pays_afterwards, is_paused, opens_the_breaker, stops_all,
    lowers_the_mode, doubts_the_clock, is_exchanged, is_closed_on_site, expires,
)  # fmt: skip


@pytest.mark.parametrize("cause", [SAFETY, TAMPER])
@pytest.mark.parametrize("event", ENDINGS)
def test_nothing_but_two_people_ends_it(stage, event, cause):
    carried_out(stage, 1, cause)
    event(stage)
    row = stage.supply(1)
    assert (row["desired"], row["cause"], row["gen"]) == ("open", cause, 1)
    assert stage.orders() == []


def test_who_is_to_be_protected_then_is_told_so_after_the_release(stage):
    carried_out(stage)
    becomes_protected(stage)
    agree(stage, ask_release(stage))
    becomes_protected(stage)
    assert [order.action for order in stage.orders()] == ["allow", "keep"]


@pytest.mark.parametrize("event", [stops_all, opens_the_breaker, lowers_the_mode, doubts_the_clock, restores_all])
def test_a_frame_that_may_have_gone_out_is_not_undone_by_a_switch(stage, event):
    """It may be open by now: closing it again might put somebody at risk who was told that it is off."""
    seen(stage)
    isolate(stage)
    assert clears(stage, 1, sending=True)
    event(stage)
    assert stage.supply(1)["desired"] == "open"
    stage.wait(2)
    stage.status(1, OPEN)
    assert state(stage) == ("open", SAFETY, "confirmed", "open")


def test_a_pause_that_comes_before_the_frame_does_not_take_the_order_back(stage):
    """A pause is about charging; the danger is still there."""
    seen(stage)
    isolate(stage)
    is_paused(stage)
    assert stage.supply(1)["desired"] == "open"
    assert clears(stage, 1)


def probe_switch(stage):
    seen(stage)
    isolate(stage)
    assert clears(stage, 1, sending=True)
    stops_all(stage)
    assert stage.supply(1)["desired"] == "open"


def test_that_guard_is_needed(stage, monkeypatch):
    monkeypatch.setattr(kept, "may_be_open", lambda *_args: False)
    without_guard(probe_switch, stage)


@pytest.mark.parametrize("event", [stops_all, opens_the_breaker, lowers_the_mode, doubts_the_clock, restores_all])
def test_an_order_of_which_nothing_was_sent_is_taken_back(stage, event):
    seen(stage)
    isolate(stage)
    event(stage)
    assert stage.supply(1)["desired"] == "closed"


# old wishes


def test_an_order_that_nothing_was_sent_for_in_half_an_hour_is_void(stage):
    seen(stage)
    isolate(stage)
    expires(stage)
    assert [(wish["state"], wish["reason"]) for wish in stage.wishes(1)] == [
        ("open", SAFETY), ("closed", "trip_expired"),
    ]  # fmt: skip
    stage.wait(5)
    stage.status(1)
    assert state(stage) == ("closed", "none", "confirmed", "closed")


def probe_expired(stage):
    seen(stage)
    isolate(stage)
    stage.wait(TRIP_WISH_S - 1)
    seen(stage)
    assert clears(stage, 1, sending=True)
    stage.attempt(1, "sent")
    stage.attempt(1, "no_reply")
    stage.wait(2)
    stage.attempt(1, "expired")
    stage.attempt(1, "expired")
    assert stage.supply(1)["desired"] == "open"
    steps = [row["step"] for row in stage.rows(schema.relay_attempt)]
    assert steps.count("expired") == 1


def test_an_old_order_whose_frame_was_sent_waits_for_what_is_read_back(stage):
    probe_expired(stage)
    stage.status(1, OPEN)
    assert state(stage) == ("open", SAFETY, "confirmed", "open")


def test_an_old_order_whose_frame_can_no_longer_come_is_void(stage):
    probe_expired(stage)
    stage.wait(rules.LATE_S + 1)
    stage.attempt(1, "expired")
    assert (stage.supply(1)["desired"], stage.wishes(1)[-1]["reason"]) == ("closed", "trip_expired")


def test_an_old_order_is_given_back_without_its_guard(stage, monkeypatch):
    monkeypatch.setattr(relays.isolation, "may_be_open", lambda *_args: False)
    without_guard(probe_expired, stage)


# who is dark already


def dark_and_isolated(stage):
    """The collector finds the relay open and sends nothing."""
    stage.cut(1)
    stage.wait(3 * 3600)
    stage.status(1, OPEN)
    isolate(stage)
    stage.wait(2)
    stage.attempt(1, "read_back")
    stage.status(1, OPEN)


def test_who_is_dark_for_arrears_can_be_isolated_and_no_payment_ends_it(stage):
    dark_and_isolated(stage)
    assert state(stage) == ("open", SAFETY, "confirmed", "open")
    pays(stage)
    assert stage.supply(1)["desired"] == "open"


def test_a_dark_household_is_not_given_back_because_its_isolation_was_not_sent(stage):
    stage.cut(1)
    isolate(stage)
    stops_all(stage)
    expires(stage)
    assert (stage.supply(1)["desired"], stage.supply(1)["cause"]) == ("open", SAFETY)


def test_two_people_give_back_a_relay_that_no_frame_of_the_isolation_opened(stage, monkeypatch):
    dark_and_isolated(stage)
    agree(stage, ask_release(stage))

    def closes_for_others():
        return stage.look(lambda connection: relays.closes_for_others(connection, ESTATE, meter_id(1), 3))

    assert not closes_for_others()
    monkeypatch.setattr(relays, "RELEASED", "nothing")
    assert closes_for_others()


def test_who_may_press_the_button_is_isolated_by_a_frame(stage):
    """The relay is open, but its button would close it: that is not isolated."""
    stage.cut(1)
    pays(stage)
    stage.wait(2)
    stage.status(1, PERMITTED)
    isolate(stage)
    stage.wait(2)
    stage.status(1, PERMITTED)
    assert state(stage) == ("open", SAFETY, "queued", "permitted")
    assert clears(stage, 1, sending=True)
    stage.wait(2)
    stage.status(1, OPEN)
    assert state(stage) == ("open", SAFETY, "confirmed", "open")


def test_a_relay_that_others_opened_meanwhile_is_isolated_all_the_same(stage):
    seen(stage)
    isolate(stage)
    stage.wait(60)
    stage.status(1, OPEN)
    assert state(stage) == ("open", SAFETY, "confirmed", "open")


def test_after_the_release_the_rules_of_money_decide(stage):
    """Who owes is not cut again at once: a new warning and its grace come first."""
    dark_and_isolated(stage)
    agree(stage, ask_release(stage))
    stage.wait(2)
    stage.status(1, PERMITTED)
    stage.wait(2)
    stage.status(1, CLOSED)
    for _ in range(2):
        stage.wait(600)
        stage.read(1)
    stage.status(1)
    stage.charge()
    stage.decide()
    assert stage.supply(1)["desired"] == "closed"
    assert stage.supply(1)["candidate"] == "notice_delivered"
    stage.receive(1)
    stage.be_ready(1)
    stage.decide()
    assert (stage.supply(1)["desired"], stage.supply(1)["cause"]) == ("open", "arrears")


# cases


def test_a_case_of_the_meter_tells_what_was_done_because_of_it(stage):
    finding = Finding("open_relay_energy", meter_id(1), None, "high", {})
    case_id = stage.writer.run(lambda unit: cases.raise_case(unit, ESTATE, finding, stage.now))
    seen(stage, 1, 2)
    with pytest.raises(NotFound):
        ask(stage, 2, TAMPER, case_id=case_id)
    agree(stage, ask(stage, 1, TAMPER, case_id=case_id))
    stage.status(1, OPEN)
    agree(stage, ask_release(stage))
    verbs = [(row["verb"], row["actor"]) for row in stage.rows(schema.case_event)]
    assert verbs == [("opened", "system"), ("isolated", "anna"), ("released", "anna")]
