"""Invariants 8 to 13, each with a probe that holds and that fails once its guard is taken away.

A probe plays a story on a stage and asserts. `without_guard` runs the same probe with the guard removed and demands
that it fails, so that no probe can be blind.
"""

import pytest
from sqlalchemy.exc import IntegrityError

from core.dlt645.identifiers import KEEP_POWER, RELAY_OPEN
from server.domain import supply as rules
from server.flows import billing, crediting, payments, relays
from server.store import schema
from server.store.writer import Writer
from tests.server.estates import ESTATE, account_id, meter_id
from tests.server.supply_stage import CLOSED, OPEN, Stage


@pytest.fixture
def writer(sqlite_engine):
    writer = Writer(sqlite_engine)
    yield writer
    writer.stop()


@pytest.fixture
def stage(writer):
    return Stage(writer, households=6)


def without_guard(probe, *args):
    with pytest.raises(AssertionError):
        probe(*args)


def ready(stage, *numbers):
    stage.overdraw(*numbers)
    stage.be_ready(*numbers)


# 8: a charge commits with its cursor, relay intent and notices, or not at all


def probe_08(stage):
    for number in (1, 2):
        stage.read(number)
    stage.wait(900)
    stage.read(1, 2000)
    before = [stage.rows(table) for table in (schema.meter_cursor, schema.line, schema.account, schema.notice)]
    with pytest.raises(ZeroDivisionError):
        stage.charge()
    after = [stage.rows(table) for table in (schema.meter_cursor, schema.line, schema.account, schema.notice)]
    assert after == before


def test_invariant_08_a_charge_and_its_consequences_commit_together(stage, monkeypatch):
    def fail(*_args):
        raise ZeroDivisionError

    monkeypatch.setattr(billing, "on_crossings", fail)
    probe_08(stage)


def test_invariant_08_fails_when_consequences_are_swallowed(stage, monkeypatch):
    monkeypatch.setattr(billing, "on_crossings", lambda *_: None)
    with pytest.raises(pytest.fail.Exception):
        probe_08(stage)


# 9: generations strictly increase, and no frame goes out for an old one


def probe_09(stage):
    stage.cut(1)
    stage.pay(1, 2000)
    assert [wish["gen"] for wish in stage.wishes(1)] == [1, 2]
    assert stage.is_current(1, 2)
    assert not stage.is_current(1, 1)
    assert not stage.is_current(1, 3)
    assert [order.gen for order in stage.orders()] == [2]


def test_invariant_09_generations_increase_and_only_the_newest_is_sent(stage):
    probe_09(stage)


def test_invariant_09_fails_when_any_generation_counts_as_current(stage, monkeypatch):
    monkeypatch.setattr(relays, "is_current", lambda *_: True)
    without_guard(probe_09, stage)


def test_invariant_09_the_database_refuses_a_generation_twice(stage):
    stage.cut(1)
    [wish] = stage.wishes(1)
    with pytest.raises(IntegrityError):
        stage.writer.run(lambda unit: unit.connection.execute(schema.relay_desired.insert().values(**wish)) and None)


# 10: no trip without every check, each broken here in the rows themselves


def keep_power(stage):
    stage.status(1, KEEP_POWER)


def relay_open_already(stage):
    stage.status(1, RELAY_OPEN)


def fresh_trips(stage, count, back_s):
    """Cuts of other households that count against the limits."""
    for gen in range(count):
        wish = {
            "estate_id": ESTATE, "meter_id": meter_id(2 + gen % 4), "gen": 100 + gen, "state": "open",
            "action": "trip", "reason": "arrears", "decided_at": stage.now.world_s - back_s, "created_ms": 0,
            "expires_at": 0,
        }  # fmt: skip
        stage.writer.run(
            lambda unit, wish=wish: unit.connection.execute(schema.relay_desired.insert().values(**wish)) and None
        )


def hold_a_reading(stage):
    stage.wait(60)
    stage.read(1, -5000)
    stage.registers[1] += 5000


def forget_the_receipts(stage):
    stage.set(schema.notice, delivered_at=None, status="sent")


def lose_contact(stage):
    """Only the reading is old: the status word is read again."""
    stage.wait(1801)
    stage.status(1)


def add_estate(stage, hour_max):
    """Another estate of the database; what it configures, the limit of the system bears."""
    values = {"estate_id": "other", "name": "other", "time_zone": "Asia/Shanghai", "trips_per_hour_max": hour_max}
    stage.writer.run(lambda unit: unit.connection.execute(schema.estate.insert().values(**values)) and None)


def exceed_the_hour(stage):
    add_estate(stage, 50)
    stage.set(schema.estate, schema.estate.c.estate_id == ESTATE, trips_per_day_max=50)
    fresh_trips(stage, 5, 1800)


def exceed_the_system(stage):
    for gen in range(5):
        wish = {
            "estate_id": "other", "meter_id": f"m{gen}", "gen": 1, "state": "open", "action": "trip",
            "reason": "arrears", "decided_at": stage.now.world_s - 1800, "created_ms": 0, "expires_at": 0,
        }  # fmt: skip
        stage.writer.run(
            lambda unit, wish=wish: unit.connection.execute(schema.relay_desired.insert().values(**wish)) and None
        )


BREAKS = {
    "overdrawn": lambda stage: stage.set_account(1, overdraft_fen=100_000),
    "account_normal": lambda stage: stage.set_account(1, status="paused"),
    "prepaid": lambda stage: stage.set_account(1, payment="postpaid"),
    "not_protected": lambda stage: stage.set_account(1, protected=1),
    "notice_delivered": forget_the_receipts,
    "final_notice": lambda stage: stage.set_account(1, own_rules='{"final_notice_s": 1800}'),
    "reading_fresh": lose_contact,
    "readings_agree": hold_a_reading,
    "relay_known_closed": relay_open_already,
    "no_keep_power": keep_power,
    "clock_sane": lambda stage: stage.status(1, CLOSED, offset_s=100),
    "allowed_time": lambda stage: stage.set(schema.estate, protected_from_min=0, protected_to_min=1440),
    "armed": lambda stage: stage.set(schema.estate, mode="dry_run"),
    "not_stopped": lambda stage: stage.set(schema.estate, stopped=1),
    "breaker_closed": lambda stage: stage.set(schema.estate, breaker="open"),
    "bus_limit": lambda stage: fresh_trips(stage, 2, 30),
    "hour_limit": exceed_the_hour,
    "day_limit": lambda stage: fresh_trips(stage, 5, 80_000),
    "system_limit": exceed_the_system,
}


def probe_10(stage, name):
    ready(stage, 1)
    BREAKS[name](stage)
    stage.decide()
    assert stage.wishes(1) == []
    assert stage.orders() == []


@pytest.mark.parametrize("name", BREAKS)
def test_invariant_10_no_trip_when_one_check_fails(stage, name):
    probe_10(stage, name)


@pytest.mark.parametrize(("name", "rule"), list(zip(BREAKS, rules.RULES, strict=True)))
def test_invariant_10_each_check_is_needed(stage, monkeypatch, name, rule):
    monkeypatch.setattr(rules, "RULES", tuple(one for one in rules.RULES if one is not rule))
    if name == "overdrawn":  # the query that looks for candidates is a guard of its own
        monkeypatch.setattr("server.store.supply.overdrawn_accounts", lambda *_: [account_id(1)])
    ready(stage, 1)
    BREAKS[name](stage)
    stage.decide()
    assert [wish["action"] for wish in stage.wishes(1)] == ["trip"]


# 11: cuts in any sliding hour and day stay within the limits; the excess is quarantined


def probe_11(stage):
    stage.set(schema.estate, trips_per_hour_max=2, trips_per_day_max=3)
    ready(stage, 1, 2, 3, 4, 5)
    for _ in range(12):
        stage.decide()
        stage.wait(300)
        for number in range(1, 6):
            stage.read(number)
            stage.status(number)
        times = sorted(int(row["decided_at"]) for row in stage.trips())
        assert all(sum(t - 3600 < other <= t for other in times) <= 2 for t in times)
        assert len(times) <= 3
    words = [stage.supply(number)["candidate"] for number in range(1, 6)]
    assert words.count("quarantined") == 3


def test_invariant_11_limits_hold_and_excess_is_quarantined(stage):
    probe_11(stage)


def test_invariant_11_fails_without_the_limits(stage, monkeypatch):
    monkeypatch.setattr(rules, "RULES", rules.RULES[:-3])
    without_guard(probe_11, stage)


# 12: a top-up that lifts the balance wants the relay closed in its own unit, and no older trip is sent


def probe_12(stage):
    stage.cut(1)

    def pay_and_look(unit):
        payments.sell_at_counter(
            unit, ESTATE, account_id(1), 2000, actor="cashier", idem_key="sale-0001", now=stage.now
        )
        return stage_supply(unit), relays.next_orders(unit.connection, ESTATE, "bus-1")

    row, orders = stage.writer.run(pay_and_look)
    assert (row["desired"], row["gen"]) == ("closed", 2)
    assert [order.action for order in orders] == ["allow"]


def stage_supply(unit):
    query = schema.supply.select().where(schema.supply.c.meter_id == meter_id(1))
    return unit.connection.execute(query).mappings().one()


def test_invariant_12_a_lifting_top_up_wants_the_power_back_in_the_same_unit(stage):
    probe_12(stage)


def test_invariant_12_fails_when_the_top_up_leaves_the_relay_to_others(stage, monkeypatch):
    monkeypatch.setattr(crediting.supply, "on_balances", lambda *_: None)
    without_guard(probe_12, stage)


def test_invariant_12_a_top_up_that_cannot_want_the_power_back_is_not_booked(stage, monkeypatch):
    stage.cut(1)
    before = stage.balance(1)

    def fail(*_args):
        raise ZeroDivisionError

    monkeypatch.setattr(crediting.supply, "on_balances", fail)
    with pytest.raises(ZeroDivisionError):
        stage.pay(1, 2000)
    assert stage.balance(1) == before
    assert stage.rows(schema.payment) == []
    assert stage.rows(schema.payment_order) == []


# 13: an acknowledgement says nothing about the relay


def probe_13(stage):
    ready(stage, 1)
    stage.decide()
    for step in ("sent", "accepted"):
        stage.attempt(1, step)
        assert (stage.supply(1)["relay"], stage.supply(1)["command"]) == ("closed", step)
    assert stage.notices(1, "cut") == []
    stage.wait(2)
    stage.status(1, OPEN)
    assert (stage.supply(1)["relay"], stage.supply(1)["command"]) == ("open", "confirmed")


def test_invariant_13_only_a_read_back_says_what_the_relay_does(stage):
    probe_13(stage)


def test_invariant_13_fails_when_an_acknowledgement_confirms(stage, monkeypatch):
    monkeypatch.setitem(relays.COMMAND_OF_STEP, "accepted", "confirmed")
    without_guard(probe_13, stage)


def test_invariant_13_unknown_stays_unknown(stage):
    stage.overdraw(1)
    for step in ("sent", "accepted", "refused", "no_reply", "read_back"):
        stage.attempt(1, step, gen=0)
    assert stage.supply(1)["relay"] == "unknown"
