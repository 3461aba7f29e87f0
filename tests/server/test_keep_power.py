"""Keep-power of the meter: wanted where rules say, believed when read back, healed, and taken back with care.

Each guard has a probe that fails once the guard is taken away.
"""

import json

import pytest

from core.dlt645.identifiers import KEEP_POWER
from server.domain import keep_power as rules
from server.flows import keep_power, relays, schemes
from server.jobs.collecting import FlowOrders
from server.store import schema
from server.store.writer import Writer
from tests.server.estates import ESTATE, START_S, account_id, meter_id
from tests.server.supply_stage import PERMITTED, Stage
from tests.server.test_supply_invariants import without_guard

HOUR = 3600


@pytest.fixture
def stage(sqlite_engine):
    writer = Writer(sqlite_engine)
    yield Stage(writer, households=3)
    writer.stop()


@pytest.fixture
def both(writer):
    """On both databases in turn."""
    return Stage(writer, households=3)


def settle(stage, *, may_end=True):
    return stage.writer.run(lambda unit: keep_power.settle(unit, ESTATE, stage.now, may_end=may_end))


def protect(stage, number, hours=2):
    stage.writer.run(
        lambda unit: schemes.protect(
            unit, ESTATE, account_id(number), until_at=stage.now.world_s + hours * HOUR, reason="a respirator",
            actor="anna", now=stage.now,
        )
    )  # fmt: skip


def kept(stage, number=1):
    rows = stage.rows(schema.keep_power, schema.keep_power.c.meter_id == meter_id(number))
    return (rows[0]["state"], rows[0]["command"]) if rows else None


def step(stage, name, number=1):
    gen = stage.rows(schema.keep_power, schema.keep_power.c.meter_id == meter_id(number))[0]["gen"]
    stage.writer.run(
        lambda unit: keep_power.record_attempt(unit, ESTATE, meter_id(number), gen, name, "", stage.now)
    )  # fmt: skip


def confirm(stage, number=1, status3=KEEP_POWER):
    stage.wait(2)
    stage.status(number, status3)


def test_a_protection_is_written_to_the_meter_read_back_and_ends_with_it(both):
    protect(both, 1)
    assert [(order.action, order.gen) for order in both.orders()] == [("keep", 1)]
    for name in ("sent", "accepted"):
        step(both, name)
        assert kept(both) == ("on", name)
    confirm(both)
    assert (kept(both), both.orders()) == (("on", "confirmed"), [])
    assert settle(both) == 0
    both.wait(2 * HOUR)
    assert settle(both) == 1
    assert [(order.action, order.gen) for order in both.orders()] == [("free", 2)]
    confirm(both, status3=0)
    assert (kept(both), both.orders(), settle(both)) == (("off", "confirmed"), [], 0)
    reasons = [row["reason"] for row in both.rows(schema.keep_desired)]
    assert reasons == ["protected", "ended"]


def probe_accepted(stage):
    protect(stage, 1)
    step(stage, "accepted")
    assert kept(stage) == ("on", "accepted")
    stage.status(1, 0)
    assert kept(stage)[1] != "confirmed"


def test_only_the_read_back_confirms(stage):
    probe_accepted(stage)


def test_what_failed_is_tried_again_ever_more_rarely(stage):
    protect(stage, 1)
    waits = []
    for _ in range(3):
        step(stage, "no_reply")
        [row] = stage.rows(schema.keep_power)
        waits.append(row["next_ms"] - stage.now.machine_ms)
    assert waits == [30_000, 60_000, 120_000]
    assert stage.look(lambda connection: keep_orders(connection, stage.now.machine_ms)) == []
    assert len(stage.look(lambda connection: keep_orders(connection, stage.now.machine_ms + 120_000))) == 1


def keep_orders(connection, now_ms):
    return relays.next_orders(connection, ESTATE, "bus-1", now_ms)


def failing(stage):
    rows = stage.rows(schema.anomaly_case, schema.anomaly_case.c.kind == "keep_power_fails")
    return [(row["severity"], row["status"], json.loads(row["evidence"])) for row in rows]


def probe_case(stage):
    protect(stage, 1)
    for name in ("no_reply", "refused"):
        step(stage, name)
    assert failing(stage) == []
    step(stage, "accepted")
    stage.wait(2)
    stage.status(1, 0)  # taken, and not done
    evidence = {"keep": "on", "tries": 3, "step": "read_back"}
    assert failing(stage) == [("high", "open", evidence)]
    step(stage, "no_reply")
    confirm(stage)
    assert failing(stage) == [("high", "closed", evidence)]


def test_three_failed_tries_open_a_case_which_the_read_back_closes(both):
    probe_case(both)


def test_without_the_case_nobody_hears_of_the_failure(stage, monkeypatch):
    monkeypatch.setattr(keep_power.cases, "raise_case", lambda *_: "")
    without_guard(probe_case, stage)


def test_what_the_meter_has_lost_is_wanted_again_and_what_was_set_on_site_stays(stage):
    protect(stage, 1)
    confirm(stage)
    confirm(stage, status3=0)
    assert (kept(stage), [order.gen for order in stage.orders()]) == (("on", "queued"), [2])
    confirm(stage, 2)  # somebody has set it on site: never wanted here, never taken away
    settle(stage)
    assert kept(stage, 2) is None


def probe_dark(stage):
    stage.cut(1)
    protect(stage, 1)
    assert stage.supply(1)["desired"] == "closed"
    assert [order.action for order in stage.orders()] == ["allow", "keep"]


def test_who_is_protected_is_not_left_in_the_dark(both):
    probe_dark(both)


UNKEPT = {
    "a scheme that keeps no power": lambda stage: stage.set_account(1, own_rules=json.dumps({"keep_power": "never"})),
    "a meter without the command": lambda stage: stage.set(
        schema.meter, schema.meter.c.meter_id == meter_id(1), protocol="modbus", model="x", unit=1
    ),
}


@pytest.mark.parametrize("why", UNKEPT)
def test_who_is_protected_is_not_left_in_the_dark_though_its_meter_is_told_nothing(stage, why):
    stage.cut(1)
    UNKEPT[why](stage)
    protect(stage, 1, hours=2)
    assert [(order.action, order.gen) for order in stage.orders()] == [("allow", 2)]
    assert stage.wishes(1)[-1]["reason"] == "kept"


def test_a_protection_that_has_ended_gives_nothing_back(stage):
    stage.cut(1)
    stage.set_account(1, protected=1, protected_until=stage.now.world_s)
    settle(stage)
    assert stage.supply(1)["desired"] == "open"


def test_without_giving_back_the_protected_stay_dark(stage, monkeypatch):
    monkeypatch.setattr(keep_power, "want_closed", lambda *_: None)
    without_guard(probe_dark, stage)


def test_after_the_protection_nobody_is_cut_without_a_new_warning(stage):
    stage.cut(1)
    protect(stage, 1)
    confirm(stage, status3=PERMITTED | KEEP_POWER)
    confirm(stage)
    stage.wait(2 * HOUR)
    settle(stage)
    for _ in range(2):
        stage.wait(600)
        stage.read(1)
        stage.status(1)
    stage.charge()
    stage.decide()
    assert len(stage.trips()) == 1
    assert stage.supply(1)["candidate"] == "notice_delivered"


def test_a_meter_that_keeps_the_power_is_not_tripped_until_it_is_read_back_free(stage):
    protect(stage, 1)
    confirm(stage)
    stage.overdraw(1)
    stage.wait(2 * HOUR)
    stage.decide()
    stage.receive(1)
    stage.be_ready(1)
    stage.status(1, KEEP_POWER)
    stage.decide()
    assert (stage.trips(), stage.supply(1)["candidate"]) == ([], "no_keep_power")
    confirm(stage, status3=0)
    stage.decide()
    assert len(stage.trips()) == 1


DOUBTS = {
    "the clock": lambda _stage: {"may_end": False},
    "the red button": lambda stage: stage.set(schema.estate, stopped=1) or {},
    "the breaker": lambda stage: stage.set(schema.estate, breaker="open") or {},
    "a protected hour": lambda stage: stage.set(schema.estate, protected_from_min=0, protected_to_min=1440) or {},
    "observe": lambda stage: stage.set(schema.estate, mode="observe") or {},
}


def probe_doubt(stage, doubt):
    protect(stage, 1)
    confirm(stage)
    stage.wait(2 * HOUR)
    settle(stage, **DOUBTS[doubt](stage))
    assert kept(stage) == ("on", "confirmed")


@pytest.mark.parametrize("doubt", DOUBTS)
def test_doubt_leaves_the_power_kept(stage, doubt):
    probe_doubt(stage, doubt)


@pytest.mark.parametrize("doubt", ["the red button", "the breaker", "a protected hour"])
def test_without_that_rule_it_is_taken_back(stage, monkeypatch, doubt):
    monkeypatch.setattr(keep_power, "may_be_taken_back", lambda *_a, **_k: True)
    without_guard(probe_doubt, stage, doubt)


def test_a_frame_that_takes_it_back_is_asked_about_once_more(stage, sqlite_engine):
    class Clock:
        def now(self):
            return stage.now

    sane = [True]
    orders = FlowOrders(sqlite_engine, stage.writer, Clock(), ESTATE, clock_sane=lambda: sane[0])
    protect(stage, 1)
    assert orders.still_current(meter_id(1), 1, "keep")
    confirm(stage)
    stage.wait(2 * HOUR)
    settle(stage)
    assert not orders.still_current(meter_id(1), 1, "keep")
    assert orders.still_current(meter_id(1), 2, "keep")
    sane[0] = False
    assert not orders.still_current(meter_id(1), 2, "keep")
    sane[0] = True
    stage.set(schema.estate, stopped=1)
    assert not orders.still_current(meter_id(1), 2, "keep")
    orders.report(meter_id(1), 2, "sent", "", "keep")
    assert [row["gen"] for row in stage.rows(schema.keep_attempt)] == [2]
    assert stage.rows(schema.relay_attempt) == []


def test_a_scheme_keeps_all_its_households_or_none(both):
    both.set_account(1, own_rules=json.dumps({"keep_power": "always"}))
    both.set_account(2, own_rules=json.dumps({"keep_power": "never"}), protected=1)
    assert settle(both) == 1
    assert (kept(both, 1), kept(both, 2)) == (("on", "queued"), None)
    both.writer.run(
        lambda unit: schemes.save_version(
            unit, ESTATE, "postpaid", "Postpaid", 0, {"keep_power": "always"}, actor="anna", now=both.now
        )
    )
    both.writer.run(lambda unit: schemes.choose(unit, ESTATE, "postpaid", actor="anna", now=both.now))
    assert settle(both) == 1
    assert (kept(both, 2), kept(both, 3)) == (None, ("on", "queued"))


def test_a_household_whose_scheme_keeps_the_power_is_neither_warned_nor_cut(stage):
    stage.set_account(1, own_rules=json.dumps({"keep_power": "always"}))
    stage.overdraw(1)
    stage.be_ready(1)
    stage.decide()
    assert (stage.notices(1, "cut_warning"), stage.trips()) == ([], [])
    assert stage.supply(1)["candidate"] == "not_protected"


def test_meters_of_other_protocols_are_told_nothing(stage):
    stage.set(schema.meter, schema.meter.c.meter_id == meter_id(1), protocol="modbus", model="x", unit=1)
    protect(stage, 1)
    assert (kept(stage), settle(stage)) == (None, 0)


def test_power_comes_first_and_what_ends_a_protection_last(stage):
    stage.set(schema.estate, trips_per_hour_max=9)
    protect(stage, 2)
    confirm(stage, 2)
    stage.cut(1)
    stage.overdraw(3)
    stage.be_ready(3)
    stage.decide()
    stage.pay(1, 5000)
    protect(stage, 1)
    stage.wait(2 * HOUR)
    stage.set(schema.account, schema.account.c.account_id == account_id(1), protected_until=START_S + 10**6)
    settle(stage)
    assert [order.action for order in stage.orders()] == ["allow", "keep", "trip", "free"]


def test_retries_grow_to_an_hour():
    assert [rules.next_try_ms(tries, 0) for tries in (0, 1, 30)] == [30_000, 60_000, 3_600_000]
