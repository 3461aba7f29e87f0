"""Doubts that only show between the decision to cut and the dark room: each keeps the power on, or gives it back."""

import json
from datetime import datetime

import pytest

from core.dlt645.identifiers import KEEP_POWER
from server.domain.calendar import ProtectedTimes, allowed_until
from server.domain.readings import MeterReading
from server.flows import notices, readings
from server.store import schema
from server.store.writer import Writer
from tests.server.estates import ESTATE, START_S, account_id, meter_id
from tests.server.supply_acts import again, by_hand, clears, ready, wanted
from tests.server.supply_stage import GRACE_S, Stage

TIMES = ProtectedTimes("Asia/Shanghai")
UNTIL_17 = 8 * 3600 - 300  # from the stage's start at 09:05 to 17:00


@pytest.fixture
def writer(sqlite_engine):
    writer = Writer(sqlite_engine)
    yield writer
    writer.stop()


@pytest.fixture
def stage(writer):
    return Stage(writer, households=6)


# time


@pytest.mark.parametrize(
    ("moment", "expected"),
    [
        ("2026-10-13 16:00:07", "2026-10-13 16:30:07"),
        ("2026-10-13 16:45:07", "2026-10-13 17:00:00"),
        ("2026-10-13 16:59:59", "2026-10-13 17:00:00"),
        ("2026-10-13 17:00:00", "2026-10-13 17:00:00"),
        ("2026-10-17 12:00:00", "2026-10-17 12:00:00"),
    ],
)
def test_allowed_time_ends_where_the_next_protected_time_begins(moment, expected):
    start, end = (int(datetime.fromisoformat(f"{text}+08:00").timestamp()) for text in (moment, expected))
    assert allowed_until(TIMES, start, start + 1800) == end


def test_a_friday_night_without_protected_hours_ends_at_the_weekend():
    times = ProtectedTimes("Asia/Shanghai", 0, 0)
    start, end = (int(datetime.fromisoformat(f"2026-10-{text}+08:00").timestamp()) for text in ("16 23:50", "17 00:00"))
    assert allowed_until(times, start, start + 1800) == end


def test_a_wish_to_cut_ends_where_protected_time_begins(stage):
    stage.overdraw(1)
    stage.wait(UNTIL_17 - stage.passed_s - 600)
    stage.read(1)
    stage.status(1)
    stage.charge()
    stage.decide()
    [wish] = stage.trips()
    assert wish["expires_at"] - wish["decided_at"] == 600
    assert wish["expires_at"] == START_S + UNTIL_17


def test_a_cut_is_judged_again_in_protected_time_just_before_its_frame(stage):
    wanted(stage, 1)
    assert clears(stage, 1)
    stage.set(schema.estate, protected_from_min=0, protected_to_min=1440)
    assert not clears(stage, 1)


LATER = {
    "paused": ("account", {"status": "paused"}),
    "postpaid": ("account", {"payment": "postpaid"}),
    "protected": ("account", {"protected": 1}),
    "a higher limit": ("account", {"overdraft_fen": 100_000}),
    "a longer grace": ("estate", {"grace_s": 10 * GRACE_S}),
    "the red button": ("estate", {"stopped": 1}),
    "dry run": ("estate", {"mode": "dry_run"}),
    "the breaker": ("estate", {"breaker": "open"}),
}


@pytest.mark.parametrize("name", LATER)
def test_what_comes_up_after_the_decision_holds_the_frame_back(stage, name):
    wanted(stage, 1)
    assert clears(stage, 1)
    table, values = LATER[name]
    stage.set(schema.metadata.tables[table], **values)
    assert not clears(stage, 1)


def test_a_keep_power_bit_and_a_held_reading_after_the_decision_hold_the_frame_back(stage):
    wanted(stage, 1, 2)
    stage.wait(1)
    stage.status(1, KEEP_POWER)
    stage.read(2, -500)
    assert not clears(stage, 1)
    assert not clears(stage, 2)


def test_a_reading_that_has_grown_old_after_the_decision_holds_the_frame_back(stage):
    ready(stage, 1)
    stage.wait(1799)
    stage.decide()
    assert clears(stage, 1)
    stage.wait(2)
    stage.status(1)
    assert not clears(stage, 1)
    stage.read(1)
    assert clears(stage, 1)


def test_invariant_22_a_clock_in_doubt_holds_the_frame_back(stage):
    wanted(stage, 1)
    assert not clears(stage, 1, clock_sane=False)
    assert clears(stage, 1)


def test_a_used_limit_does_not_hold_back_the_cuts_that_used_it(writer):
    stage = Stage(writer, households=6, trips_per_hour_max=1, trips_per_day_max=1)
    wanted(stage, 1)
    assert clears(stage, 1)


def test_invariant_22_a_clock_in_doubt_takes_back_what_was_not_read_back(stage):
    stage.cut(1)
    ready(stage, 2)
    stage.decide()
    stage.decide(clock_sane=False)
    assert stage.supply(1)["desired"] == "open"
    assert stage.supply(2)["desired"] == "closed"
    assert [order.action for order in stage.orders()] == ["allow"]


# money


def test_a_top_up_that_ends_the_overdraft_takes_back_a_cut_that_was_not_read_back(stage):
    stage.set_account(1, overdraft_fen=50)
    wanted(stage, 1)
    stage.attempt(1, "sent")
    stage.pay(1, -stage.balance(1) - 40)
    assert (stage.balance(1), stage.supply(1)["desired"]) == (-40, "closed")


def test_a_dark_room_gets_power_back_only_above_the_close_allowed_amount(stage):
    stage.set_account(1, overdraft_fen=50)
    stage.cut(1)
    stage.pay(1, -stage.balance(1) - 40)
    assert stage.supply(1)["desired"] == "open"
    stage.pay(1, 39, "sale-0002")
    assert (stage.balance(1), stage.supply(1)["desired"]) == (-1, "open")
    stage.pay(1, 2, "sale-0003")
    assert stage.supply(1)["desired"] == "closed"


def second_meter(stage, number, owner):
    """Household `number`'s meter now also belongs to the account of `owner`."""
    stage.set(schema.meter, schema.meter.c.meter_id == meter_id(number), account_id=account_id(owner))


def test_both_meters_of_an_account_are_cut_once_each_and_given_back_together(stage):
    second_meter(stage, 2, 1)
    ready(stage, 1)
    again(stage, 2)
    again(stage, 1)
    stage.set(schema.meter_live, schema.meter_live.c.meter_id == meter_id(2), status3_at=None)
    stage.decide()
    stage.decide()
    assert [(wish["meter_id"], wish["gen"]) for wish in stage.trips()] == [(meter_id(1), 1)]
    stage.status(2)
    stage.decide()
    stage.decide()
    assert [(wish["meter_id"], wish["gen"]) for wish in stage.trips()] == [(meter_id(1), 1), (meter_id(2), 1)]
    stage.pay(1, 5000)
    assert {stage.supply(number)["desired"] for number in (1, 2)} == {"closed"}


def test_one_unconfirmed_charge_of_either_meter_keeps_both_on(stage):
    second_meter(stage, 2, 1)
    for number in (1, 2):
        stage.read(number)
    stage.wait(GRACE_S)
    stage.read(2, 3000)
    for number in (1, 2):
        stage.status(number)
    stage.charge()
    stage.receive(1)
    stage.wait(GRACE_S)
    stage.read(1)
    stage.charge()
    stage.status(1)
    decided = stage.decide()
    assert {one.meter_id for one, _ in decided} == {meter_id(1), meter_id(2)}
    assert all("readings_agree" in decision.refusals for _, decision in decided)
    assert stage.trips() == []


# warnings


def test_a_warning_of_an_old_debt_warns_of_no_new_one(stage):
    ready(stage, 1)
    stage.pay(1, 5000)
    stage.set_account(1, protected=1)
    stage.wait(86_400)
    stage.read(1, 95_000)
    stage.charge()
    assert stage.balance(1) < 0
    stage.set_account(1, protected=0)
    again(stage, 1)
    again(stage, 1)
    stage.decide()
    assert stage.trips() == []
    assert stage.supply(1)["candidate"] == "notice_delivered"
    assert len(stage.notices(1, "cut_warning")) == 4
    stage.decide()
    assert len(stage.notices(1, "cut_warning")) == 4
    stage.receive(1)
    again(stage, 1)
    again(stage, 1)
    stage.decide()
    assert len(stage.trips()) == 1


def test_a_newer_warning_that_nobody_received_outdates_the_older_one(stage):
    ready(stage, 1)
    stage.writer.run(lambda unit: notices.warn(unit, ESTATE, account_id(1), stage.now))
    stage.decide()
    assert stage.trips() == []
    assert stage.supply(1)["candidate"] == "notice_delivered"


def test_the_end_of_a_protection_brings_the_warning_that_was_not_written(stage):
    stage.set_account(1, protected=1, protected_until=START_S + 7200)
    stage.overdraw(1)
    stage.decide()
    assert (stage.notices(1, "cut_warning"), len(stage.notices(1, "alarm2"))) == ([], 2)
    stage.wait(7200)
    stage.decide()
    assert len(stage.notices(1, "cut_warning")) == 2
    arguments = json.loads(str(stage.notices(1, "cut_warning")[0]["arguments"]))
    assert arguments["earliest_at"] == stage.now.world_s + GRACE_S


def test_a_debt_that_was_brought_along_is_warned_of_before_anything(writer):
    stage = Stage(writer, households=2, opening_fen=-100)
    stage.decide()
    assert [len(stage.notices(number, "cut_warning")) for number in (1, 2)] == [2, 2]
    assert stage.trips() == []


@pytest.mark.parametrize("site", [{"breaker": "open"}, {"mode": "observe"}])
def test_no_missing_warning_is_written_while_decisions_are_in_doubt(writer, site):
    stage = Stage(writer, households=2, opening_fen=-100)
    stage.set(schema.estate, **site)
    stage.decide()
    assert stage.notices(1, "cut_warning") == []


def test_power_given_back_by_hand_lasts_until_a_new_warning_and_its_grace(stage):
    stage.cut(1)
    stage.wait(60)
    by_hand(stage, 1)
    stage.wait(1)
    again(stage, 1)
    stage.decide()
    assert len(stage.trips()) == 1
    assert len(stage.notices(1, "cut_warning")) == 4
    stage.receive(1)
    again(stage, 1)
    again(stage, 1)
    stage.decide()
    assert len(stage.trips()) == 2


# readings


def test_two_readings_in_one_machine_moment_are_one_reading(stage):
    stage.overdraw(1)
    stage.wait(GRACE_S)
    stage.status(1)
    now = stage.now
    pair = [
        MeterReading(meter_id(1), now.world_s - 5, now.machine_ms - 1999, stage.registers[1]),
        MeterReading(meter_id(1), now.world_s, now.machine_ms, stage.registers[1]),
    ]
    stage.writer.run(lambda unit: readings.record(unit, ESTATE, pair, now))
    stage.charge()
    stage.decide()
    assert stage.trips() == []
    assert stage.supply(1)["candidate"] == "readings_agree"
