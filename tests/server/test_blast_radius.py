"""What bounds a mistake of ours: the breaker and its reasons, and the limit over all estates.

Each bound also has a probe that fails once the bound is taken away.
"""

import json
from types import SimpleNamespace

import pytest

from server.domain.breaker import callbacks_silent, paying, plausible_candidates, system_trips_max, too_many
from server.flows import breaker, supply
from server.jobs.ledger_watch import EVERY_S, FIRST_AFTER_S, LedgerWatch
from server.store import breaker as breaker_rows
from server.store import schema
from server.store import supply as kept
from server.store.writer import Writer
from tests.server.estates import ESTATE, account_id
from tests.server.supply_acts import ready, wanted
from tests.server.supply_stage import Stage
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


def test_a_decision_counts_the_households_of_all_estates_once(stage, monkeypatch):
    ready(stage, 1)
    counted, count = [], kept.count_homes

    def counting(*arguments):
        counted.append(1)
        return count(*arguments)

    monkeypatch.setattr(kept, "count_homes", counting)
    stage.decide()
    assert len(counted) == 1
    stage.look(lambda connection: kept.trip_candidates(connection, ESTATE, [account_id(1)], 0, clock_sane=True))
    assert len(counted) == 2
    assert stage.look(lambda connection: count(connection, ESTATE)) == (8, 8)


def test_a_wish_that_is_held_back_again_and_again_keeps_one_step_of_it(stage):
    ready(stage, 1)
    stage.decide()
    for step in ("superseded", "superseded", "no_reply", "superseded", "superseded"):
        stage.attempt(1, step)
    steps = [row["step"] for row in sorted(stage.rows(schema.relay_attempt), key=lambda row: row["step_no"])]
    assert steps == ["superseded", "no_reply", "superseded"]
