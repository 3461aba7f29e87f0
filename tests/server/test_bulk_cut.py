"""Bulk cuts in waves that two people approve, and power back for everybody by one.

Each bound also has a probe that fails once the bound is taken away.
"""

import json

import pytest

from server.domain.bulk_cut import Progress, must_stop, next_wave, waves_of
from server.errors import Conflict, NotFound, Refused
from server.flows import approvals, bulk_cut, bulk_stop, relays, supply
from server.store import schema
from server.store.writer import Writer
from tests.server.estates import ESTATE, account_id, meter_id
from tests.server.supply_acts import ready
from tests.server.supply_stage import OPEN, Stage
from tests.server.test_supply_invariants import without_guard

MINUTE, HOUR, DAY = 60, 3600, 86_400

DAY = 86_400


@pytest.fixture
def stage(sqlite_engine):
    writer = Writer(sqlite_engine)
    yield Stage(writer, households=8)
    writer.stop()


@pytest.fixture
def both(writer):
    """On both databases in turn."""
    return Stage(writer, households=8)


def act(stage, flow, *args, actor="anna", **kwargs):
    return stage.writer.run(lambda unit: flow(unit, ESTATE, *args, actor=actor, now=stage.now, **kwargs))


# bulk cuts


def test_waves_are_1_percent_5_percent_and_the_rest():
    def sizes(count):
        return [waves_of(count).count(wave) for wave in (1, 2, 3)]

    assert sizes(1000) == [10, 50, 940]
    assert sizes(10) == [1, 1, 8]
    assert sizes(1) == [1, 0, 0]


def test_a_wave_follows_after_its_pause_and_the_last_ends():
    calm = Progress(wave=1, wave_size=100, paid=1, cut=90, waiting=9, wave_age_s=599, age_s=599)
    assert not must_stop(calm)
    assert must_stop(calm._replace(paid=2))
    assert [next_wave(calm), next_wave(calm._replace(wave_age_s=600))] == [1, 2]
    assert next_wave(calm._replace(wave_age_s=600, cut=0)) == 1  # nobody is dark yet: nothing is known
    assert next_wave(calm._replace(wave_age_s=600, cut=0, wave_size=0)) == 2
    last = calm._replace(wave=3, wave_age_s=601)
    assert [next_wave(last), next_wave(last._replace(waiting=0))] == [3, 0]
    assert next_wave(last._replace(age_s=DAY)) == 0


def ask(stage, *numbers, reason="three months"):
    return act(
        stage, approvals.request_bulk_cut, [account_id(n) for n in numbers], reason=reason, clock_sane=True
    )  # fmt: skip


def payload(stage, approval_id):
    [row] = stage.rows(schema.approval, schema.approval.c.approval_id == approval_id)
    return row, json.loads(row["payload"])


def approve(stage, approval_id, actor="bert", sha=None):
    row, _ = payload(stage, approval_id)
    return act(stage, approvals.approve, approval_id, sha or row["payload_sha256"], actor=actor)


def quarantine(stage, *numbers):
    """Households over the limit of the hour, which two people may cut in waves."""
    stage.set(schema.estate, trips_per_hour_max=0, trips_per_day_max=0)
    ready(stage, *numbers)
    stage.decide()
    assert stage.trips() == []


def refresh(stage, *numbers):
    """Read all; whoever is wanted open has got its frame and is read back open."""
    for number in numbers:
        stage.read(number)
        if stage.supply(number)["desired"] == "open":
            stage.attempt(number, "sent")
        stage.status(number, OPEN if stage.supply(number)["desired"] == "open" else 0)
    stage.charge()


def bulk(stage):
    [row] = stage.rows(schema.bulk_cut)
    return row


def test_the_dry_run_lists_who_is_cut_and_who_is_left_with_the_reason(both):
    quarantine(both, 1, 2)
    both.set_account(2, protected=1)
    row, asked = payload(both, ask(both, 1, 2, 3))
    assert [entry["account"] for entry in asked["cut"]] == [account_id(1)]
    assert [(entry["account"], entry["because"]) for entry in asked["left"]] == [
        (account_id(2), "not_protected"),
        (account_id(3), "overdrawn"),
    ]
    assert row["status"] == "waiting"
    assert both.trips() == []


def test_a_bulk_cut_needs_a_reason_a_candidate_and_the_very_list(stage):
    with pytest.raises(Refused, match="none of these"):
        ask(stage, 1)
    quarantine(stage, 1, 2)
    with pytest.raises(Refused, match="say why"):
        ask(stage, 1, reason=" ")
    asked = ask(stage, 1, 2)
    with pytest.raises(Refused, match="second person"):
        approve(stage, asked, actor="anna")
    with pytest.raises(Conflict, match="not what was asked for"):
        approve(stage, asked, sha="f" * 64)
    stage.set(schema.estate, mode="dry_run")
    with pytest.raises(Conflict, match="nothing was started"):
        approve(stage, asked)
    assert stage.rows(schema.bulk_cut) == []


def test_it_goes_wave_by_wave_beyond_the_limits_and_ends(both):
    numbers = (1, 2, 3)
    quarantine(both, *numbers)
    approve(both, ask(both, *numbers))
    both.decide()
    assert len(both.trips()) == 1  # the first wave is one household
    both.decide()
    refresh(both, *numbers)
    both.wait(599)
    refresh(both, *numbers)
    both.decide()
    assert len(both.trips()) == 1
    both.wait(1)
    both.decide()
    both.decide()
    assert len(both.trips()) == 2
    refresh(both, *numbers)
    both.decide()
    both.wait(600)
    refresh(both, *numbers)
    both.decide()
    assert len(both.trips()) == 3
    refresh(both, *numbers)
    both.decide()
    assert (bulk(both)["status"], {row["outcome"] for row in both.rows(schema.bulk_cut_item)}) == ("done", {"cut"})
    evidence = json.loads(both.trips()[0]["evidence"])
    assert evidence["facts"]["released"]
    assert "bulk_cut" in [one["kind"] for one in evidence["approvals"]]


def outcomes(stage):
    return sorted((row["wave"], row["outcome"]) for row in stage.rows(schema.bulk_cut_item))


def probe_dead_bus(stage):
    """The first household's bus dies with its frame on the way: nobody is dark, so nothing is known."""
    quarantine(stage, 1, 2, 3)
    approve(stage, ask(stage, 1, 2, 3))
    stage.decide()
    [first] = [n for n in (1, 2, 3) if stage.supply(n)["desired"] == "open"]
    stage.attempt(first, "sent")
    rest = [n for n in (1, 2, 3) if n != first]
    for _ in range(3):
        stage.wait(600)
        refresh(stage, *rest)
        stage.decide()
        stage.decide()
    assert len(stage.trips()) == 1
    assert (bulk(stage)["wave"], outcomes(stage)) == (1, [(1, "waiting"), (2, "waiting"), (3, "waiting")])
    return first, rest


def test_no_wave_follows_one_whose_cut_was_never_read_back(both):
    first, rest = probe_dead_bus(both)
    both.attempt(first, "expired")  # the bus is back, the wish is too old
    assert both.supply(first)["desired"] == "closed"
    both.status(first)
    both.read(first)
    both.decide()
    assert both.supply(first)["desired"] == "open", "its turn has come still, and all checks hold anew"
    refresh(both, first)
    both.decide()
    assert outcomes(both)[0] == (1, "cut")
    both.wait(599)
    refresh(both, *rest)
    both.decide()
    assert bulk(both)["wave"] == 1, "the pause runs from the cut, not from the begin of its wave"
    both.wait(1)
    both.decide()
    assert bulk(both)["wave"] == 2


def test_without_the_read_back_a_wave_would_follow(stage, monkeypatch):
    def became(_item, known):
        return "cut" if known["desired"] == "open" else "waiting"

    monkeypatch.setattr(bulk_cut, "_became", became)
    without_guard(lambda one: probe_dead_bus(one) and None, stage)


def probe_payer(stage):
    quarantine(stage, 1, 2, 3)
    approve(stage, ask(stage, 1, 2, 3))
    stage.decide()
    [first] = [n for n in (1, 2, 3) if stage.supply(n)["desired"] == "open"]
    stage.pay(first, 5000)
    stage.wait(600)
    refresh(stage, 1, 2, 3)
    stage.decide()
    stage.decide()
    assert bulk(stage)["status"] == "stopped"
    assert len(stage.trips()) == 1


def test_somebody_of_a_wave_who_pays_stops_the_rest(stage):
    probe_payer(stage)


def test_without_that_stop_the_next_wave_would_go(stage, monkeypatch):
    monkeypatch.setattr(bulk_cut, "must_stop", lambda _progress: False)
    without_guard(probe_payer, stage)


def red_button(stage):
    act(stage, supply.stop_all)


def open_breaker(stage):
    stage.writer.run(lambda unit: supply.open_breaker(unit, ESTATE, "ours", stage.now))


def lower_mode(stage):
    act(stage, approvals.request_mode, "dry_run")


def one_person(stage):
    act(stage, bulk_stop.stop, bulk(stage)["bulk_id"], reason="a call")


@pytest.mark.parametrize("stop", [red_button, open_breaker, lower_mode, one_person])
def test_red_button_breaker_mode_and_one_person_stop_it_for_good(stage, stop):
    quarantine(stage, 1, 2, 3)
    approve(stage, ask(stage, 1, 2, 3))
    stop(stage)
    stage.decide()
    assert stage.trips() == []
    stage.set(schema.estate, mode="armed", stopped=0, breaker="closed")
    stage.wait(1300)
    refresh(stage, 1, 2, 3)
    stage.decide()
    assert stage.trips() == []
    assert bulk(stage)["status"] == "stopped"
    with pytest.raises(NotFound):
        one_person(stage)


@pytest.mark.parametrize("stop", [red_button, open_breaker, lower_mode, one_person])
def test_a_cut_that_is_on_its_way_is_taken_back_by_each_of_them(both, stop):
    quarantine(both, 1, 2, 3)
    approve(both, ask(both, 1, 2, 3))
    both.decide()
    [first] = [n for n in (1, 2, 3) if both.supply(n)["desired"] == "open"]
    gen = both.supply(first)["gen"]
    stop(both)
    assert both.supply(first)["desired"] == "closed"
    assert not both.is_current(first, gen)
    both.decide()
    assert (bulk(both)["status"], {outcome for _, outcome in outcomes(both)}) == ("stopped", {"left"})


@pytest.mark.parametrize("stop", [red_button, open_breaker, lower_mode, one_person])
def test_who_was_dark_when_it_was_stopped_is_said_to_be_cut(both, stop):
    quarantine(both, 1, 2, 3)
    approve(both, ask(both, 1, 2, 3))
    both.decide()
    refresh(both, 1, 2, 3)
    stop(both)
    both.decide()
    assert (bulk(both)["status"], outcomes(both)) == ("stopped", [(1, "cut"), (2, "left"), (3, "left")])


def test_every_other_check_holds_for_a_household_on_the_list(stage):
    quarantine(stage, 1, 2, 3)
    asked = ask(stage, 1, 2, 3)
    first = payload(stage, asked)[1]["cut"][0]["account"]
    stage.set(schema.account, schema.account.c.account_id == first, protected=1)
    approve(stage, asked)
    stage.decide()
    assert stage.trips() == []


# restore for everybody


def orders_at(stage, ms):
    return stage.look(lambda connection: relays.next_orders(connection, ESTATE, "bus-1", ms))


def probe_restore(stage):
    stage.cut(1, 2)
    stage.wait(61)
    assert act(stage, supply.restore_all, reason="a wrong tariff") == 2
    now_ms = stage.now.machine_ms
    assert [len(orders_at(stage, now_ms + ms)) for ms in (0, 999, 1000)] == [1, 1, 2]
    assert [stage.wishes(n)[-1]["reason"] for n in (1, 2)] == ["restore_all", "restore_all"]
    assert stage.site()["stopped"] == 1


def test_one_person_restores_everybody_one_a_second_on_a_bus_and_stops_the_cuts(both):
    probe_restore(both)


def test_without_its_turn_every_close_would_go_at_once(stage, monkeypatch):
    monkeypatch.setattr(supply, "RESTORE_STEP_MS", 0)
    without_guard(probe_restore, stage)


def test_who_pays_does_not_wait_for_the_turn_and_goes_first(stage):
    stage.cut(1, 2)
    act(stage, supply.restore_all, reason="a wrong tariff")
    last = next(n for n in (1, 2) if stage.wishes(n)[-1]["not_before_ms"] > stage.now.machine_ms)
    stage.pay(last, 5000)
    assert (stage.wishes(last)[-1]["reason"], stage.wishes(last)[-1]["not_before_ms"]) == ("paid", 0)
    assert orders_at(stage, stage.now.machine_ms)[0].meter_id == meter_id(last)


def test_what_was_opened_for_safety_stays_open_and_a_reason_is_needed(stage):
    stage.cut(1, 2)
    stage.set(schema.supply, schema.supply.c.meter_id == meter_id(1), cause="safety")
    with pytest.raises(Refused):
        act(stage, supply.restore_all, reason=" ")
    assert stage.site()["stopped"] == 0
    assert act(stage, supply.restore_all, reason="a wrong tariff") == 1
    assert stage.supply(1)["desired"] == "open"


def test_after_a_restore_everybody_is_warned_anew_before_a_cut(stage):
    stage.cut(1)
    act(stage, supply.restore_all, reason="a wrong tariff")
    stage.status(1)
    stage.set(schema.estate, stopped=0)
    stage.wait(600)
    refresh(stage, 1)
    stage.wait(600)
    refresh(stage, 1)
    stage.decide()
    assert stage.supply(1)["desired"] == "closed"
    assert len(stage.notices(1, "cut_warning")) == 4
