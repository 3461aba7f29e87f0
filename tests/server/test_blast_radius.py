"""What bounds a mistake of ours: breaker, limits of the system, bulk cuts in waves, restore for everybody.

Each bound also has a probe that fails once the bound is taken away.
"""

import json
from types import SimpleNamespace

import pytest

from server.domain.breaker import callbacks_silent, paying, plausible_candidates, system_trips_max, too_many
from server.domain.bulk_cut import Progress, must_stop, next_wave, waves_of
from server.errors import Conflict, NotFound, Refused
from server.flows import approvals, breaker, bulk_cut, relays, supply
from server.jobs.ledger_watch import EVERY_S, FIRST_AFTER_S, LedgerWatch
from server.store import breaker as breaker_rows
from server.store import schema
from server.store.writer import Writer
from tests.server.estates import ESTATE, account_id, meter_id
from tests.server.supply_acts import ready, wanted
from tests.server.supply_stage import OPEN, Stage
from tests.server.test_supply_invariants import exceed_the_system, without_guard

MINUTE, HOUR, DAY = 60, 3600, 86_400


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


def order(stage, number, status="created", ms=0):
    values = {
        "estate_id": ESTATE, "order_no": f"o{number}", "account_id": account_id(number), "amount_fen": 100,
        "provider": "sandbox", "channel": "online", "status": status, "created_at": 0,
        "created_ms": stage.now.machine_ms - ms,
    }  # fmt: skip
    stage.writer.run(lambda unit: unit.connection.execute(schema.payment_order.insert().values(**values)) and None)


def inbox(stage, number, asked, ms=0):
    body = json.dumps({"event": number} | ({"asked": True} if asked else {}))
    values = {
        "estate_id": ESTATE, "provider": "sandbox", "event_id": f"e{number}{asked}", "body": body, "verdict": "ok",
        "received_ms": stage.now.machine_ms - ms,
    }  # fmt: skip
    stage.writer.run(lambda unit: unit.connection.execute(schema.callback_inbox.insert().values(**values)) and None)


# what opens the breaker


def test_candidates_are_plausible_up_to_15_percent_and_three_times_the_usual():
    assert plausible_candidates(20, []) == 5
    assert plausible_candidates(50_000, []) == 7500
    assert plausible_candidates(50_000, [100] * 6) == 7500
    assert plausible_candidates(50_000, [100] * 7) == 300
    assert plausible_candidates(50_000, [1] * 13 + [400]) == 1200  # the 95th percentile of 14 is the largest
    assert plausible_candidates(50_000, [0] * 14) == 5
    assert plausible_candidates(50_000, [9000] * 14) == 7500
    assert (too_many(5, 5), bool(too_many(6, 5))) == ("", True)


def test_other_reasons_begin_at_their_bounds():
    assert paying(10, 4) == ""
    assert paying(100, 5) == ""
    assert paying(99, 5).startswith("5 of 99")
    assert callbacks_silent(2, 0) == callbacks_silent(3, 1) == ""
    assert callbacks_silent(3, 0)
    assert (system_trips_max(100, []), system_trips_max(50_000, []), system_trips_max(100, [30])) == (5, 250, 30)


def probe_paying(stage):
    ready(stage, *range(1, 6))
    for number in range(1, 6):
        order(stage, number)
    stage.decide()
    assert stage.trips() == []
    assert stage.site()["breaker"] == "open"


def test_payments_under_way_open_the_breaker(both):
    probe_paying(both)


def test_without_the_look_at_payments_they_would_be_cut(stage, monkeypatch):
    monkeypatch.setattr(breaker, "paying", lambda *_: "")
    without_guard(probe_paying, stage)


def test_old_and_booked_orders_are_no_payments_under_way(stage):
    ready(stage, 1, 2)
    for number in range(1, 6):
        order(stage, number, ms=601_000)
    order(stage, 6, status="paid")
    stage.decide()
    assert len(stage.trips()) == 2


def probe_silence(stage):
    ready(stage, 1)
    for number in range(3):
        inbox(stage, number, asked=True)
    inbox(stage, 9, asked=False, ms=3_600_001)
    stage.decide()
    assert stage.trips() == []
    assert stage.site()["breaker"] == "open"


def test_callbacks_that_stay_away_open_the_breaker(both):
    probe_silence(both)


def test_without_the_look_at_callbacks_they_would_be_cut(stage, monkeypatch):
    monkeypatch.setattr(breaker, "callbacks_silent", lambda *_: "")
    without_guard(probe_silence, stage)


def test_a_callback_of_the_last_hour_keeps_it_closed(stage):
    ready(stage, 1)
    for number in range(3):
        inbox(stage, number, asked=True)
    inbox(stage, 9, asked=False)
    stage.decide()
    assert len(stage.trips()) == 1


def probe_history(stage):
    for day in range(1, 8):
        stage.writer.run(
            lambda unit, day=day: breaker_rows.note_candidates(unit.connection, ESTATE, f"2026-10-0{day}", 1)
        )
    stage.set(schema.estate, trips_per_hour_max=50, trips_per_day_max=50)
    ready(stage, *range(1, 7))
    stage.decide()
    assert stage.site()["breaker"] == "open"


def test_more_than_three_times_the_usual_number_opens_it(sqlite_engine):
    writer = Writer(sqlite_engine)
    probe_history(Stage(writer, households=60))
    writer.stop()


def test_without_the_history_60_households_would_bear_six(sqlite_engine, monkeypatch):
    monkeypatch.setattr(breaker_rows, "history", lambda *_: [])
    writer = Writer(sqlite_engine)
    without_guard(probe_history, Stage(writer, households=60))
    writer.stop()


def test_the_day_keeps_its_most_candidates_unless_they_are_implausible(stage):
    ready(stage, 1, 2)
    stage.decide()
    [row] = stage.rows(schema.candidate_day)
    assert (row["day"], row["candidates"]) == ("2026-10-13", 2)
    ready(stage, *range(3, 9))
    stage.decide()
    assert stage.rows(schema.candidate_day) == [row]


def test_the_clock_opens_it_and_a_restart_does_not_close_it(stage):
    wanted(stage, 1)
    stage.decide(clock_sane=False)
    assert (stage.site()["breaker"], stage.site()["breaker_reason"]) == ("open", "the clock is in doubt")
    assert stage.supply(1)["desired"] == "closed"
    stage.be_ready(1)
    stage.decide()
    assert len(stage.trips()) == 1


def test_opening_pages_the_staff_once_and_keeps_the_first_reason(stage):
    def opened(reason):
        return stage.writer.run(lambda unit: supply.open_breaker(unit, ESTATE, reason, stage.now))

    wanted(stage, 1)
    assert opened("the ledger does not verify: 2 mismatches")
    assert not opened("another")
    [case] = stage.rows(schema.anomaly_case, schema.anomaly_case.c.kind == "breaker")
    assert (case["severity"], case["status"], case["subject"]) == ("high", "open", ESTATE)
    assert json.loads(case["evidence"])["reason"] == stage.site()["breaker_reason"]
    assert stage.supply(1)["desired"] == "closed"


def test_books_that_do_not_verify_open_it_when_it_is_time(stage, sqlite_engine):
    steady_s = [0.0]
    clock = SimpleNamespace(now=lambda: stage.now)
    watch = LedgerWatch(sqlite_engine, stage.writer, clock, ESTATE, steady_s=lambda: steady_s[0])
    steady_s[0] = FIRST_AFTER_S
    watch.run_once()
    assert stage.site()["breaker"] == "closed"
    stage.set_account(1, balance_fen=7)  # no line says so
    steady_s[0] += EVERY_S - 1
    watch.run_once()
    assert stage.site()["breaker"] == "closed"
    steady_s[0] += 1
    watch.run_once()
    assert stage.site()["breaker"] == "open"
    assert stage.site()["breaker_reason"].startswith("the ledger does not verify: ")


# the limit over all estates


def probe_system(stage):
    stage.set(schema.estate, trips_per_hour_max=None, trips_per_day_max=100)
    ready(stage, 1)
    exceed_the_system(stage)
    [(_, decision)] = stage.decide()
    assert decision.refusals == ("system_limit",)
    assert stage.supply(1)["candidate"] == "quarantined"


def test_cuts_of_other_estates_count_against_the_limit_of_the_system(both):
    probe_system(both)


def test_without_the_limit_of_the_system_it_would_be_cut(stage, monkeypatch):
    monkeypatch.setattr("server.store.supply.system_limit", lambda *_: (0, 5))
    without_guard(probe_system, stage)


# bulk cuts


def test_waves_are_1_percent_5_percent_and_the_rest():
    def sizes(count):
        return [waves_of(count).count(wave) for wave in (1, 2, 3)]

    assert sizes(1000) == [10, 50, 940]
    assert sizes(10) == [1, 1, 8]
    assert sizes(1) == [1, 0, 0]


def test_a_wave_follows_after_its_pause_and_the_last_ends():
    calm = Progress(wave=1, wave_size=100, paid=1, waiting=9, wave_age_s=599, age_s=599)
    assert not must_stop(calm)
    assert must_stop(calm._replace(paid=2))
    assert [next_wave(calm), next_wave(calm._replace(wave_age_s=600))] == [1, 2]
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
    for number in numbers:
        stage.read(number)
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
    both.wait(599)
    refresh(both, *numbers)
    both.decide()
    assert len(both.trips()) == 1
    both.wait(1)
    both.decide()
    both.decide()
    assert len(both.trips()) == 2
    both.wait(600)
    refresh(both, *numbers)
    both.decide()
    assert len(both.trips()) == 3
    both.decide()
    assert (bulk(both)["status"], {row["outcome"] for row in both.rows(schema.bulk_cut_item)}) == ("done", {"cut"})
    evidence = json.loads(both.trips()[0]["evidence"])
    assert evidence["facts"]["released"]
    assert "bulk_cut" in [one["kind"] for one in evidence["approvals"]]


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
    act(stage, bulk_cut.stop, bulk(stage)["bulk_id"], reason="a call")


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
