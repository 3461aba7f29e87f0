"""The final notice: its own notice ahead of a cut, which waits for its delivery and its time; in the evidence of it."""

import json

import pytest

from server.cli import why
from server.domain import supply as rules
from server.domain.evidence import replay
from server.store import schema
from server.store.writer import Writer
from tests.server.estates import ESTATE, START_S, account_id, meter_id
from tests.server.supply_acts import by_hand, ready
from tests.server.supply_stage import Stage
from tests.server.test_supply_invariants import without_guard

LEAD_S = 1800
OWN = json.dumps({"final_notice_s": LEAD_S})
MORNING_S = 24 * 3600 - 300  # from the stage's start at 09:05 to the next day's 09:00


@pytest.fixture
def stage(sqlite_engine):
    writer = Writer(sqlite_engine)
    yield planted(writer)
    writer.stop()


@pytest.fixture
def both(writer):
    """On both databases in turn."""
    return planted(writer)


def planted(writer, **site):
    one = Stage(writer, households=6, **site)
    one.set(schema.account, schema.account.c.kind == "household", own_rules=OWN)
    return one


def finals(stage, number=1):
    return stage.notices(number, "final_notice")


def look(stage, *numbers):
    for number in numbers:
        stage.read(number)
        stage.status(number)
    stage.charge()
    stage.decide()


def test_the_cut_waits_for_the_notice_its_delivery_and_its_time_and_can_be_replayed(both):
    ready(both, 1)
    both.decide()
    both.decide()
    assert (both.trips(), len(finals(both))) == ([], 2)  # one notice, on both channels
    assert json.loads(str(finals(both)[0]["arguments"]))["earliest_at"] == both.now.world_s + LEAD_S
    both.wait(60)
    both.receive(1, "final_notice")
    both.wait(LEAD_S - 5)
    look(both, 1)
    assert (both.trips(), both.supply(1)["candidate"]) == ([], "final_notice")
    both.wait(5)
    look(both, 1)
    assert len(both.trips()) == 1
    told = both.look(lambda connection: why.told_of(connection, ESTATE, meter_id(1), None))
    assert told.holds
    assert {one["kind"] for one in told.evidence["notices"]} == {"cut_warning", "final_notice"}
    again = replay(told.evidence | {"facts": told.evidence["facts"] | {"final_at": told.evidence["now_s"] - 60}})
    assert [one.name for one in again.differences] == ["final_notice"]


def test_evidence_that_names_no_final_notice_is_not_borne_out(stage):
    ready(stage, 1)
    stage.decide()
    stage.receive(1, "final_notice")
    stage.wait(LEAD_S)
    look(stage, 1)
    told = stage.look(lambda connection: why.told_of(connection, ESTATE, meter_id(1), None))
    noted = [one for one in told.evidence["notices"] if one["kind"] != "final_notice"]
    wrong = stage.look(
        lambda connection: why.against_books(
            connection, ESTATE, account_id(1), meter_id(1), told.evidence | {"notices": noted}, told.replay.facts
        )
    )
    assert wrong == ["no final notice was noted as delivered when the decision says so"]


def test_evidence_of_before_there_was_one_still_replays(stage):
    ready(stage, 1)
    stage.set_account(1, own_rules="{}")
    stage.decide()
    evidence = json.loads(str(stage.trips()[0]["evidence"]))
    evidence["version"] = 4
    evidence["checks"] = [one for one in evidence["checks"] if one["name"] != "final_notice"]
    for name in ("final_notice_s", "final_at"):
        del evidence["facts"][name]
    assert replay(evidence).same
    refused = evidence | {"facts": evidence["facts"] | {"status3": 0x1000}}
    assert {one.name for one in replay(refused).differences} == {"relay_known_closed", "no_keep_power"}
    refused["checks"] = [  # as version 4 stored it, without a word about keep-power
        one | {"passed": one["name"] != "no_keep_power", "detail": one["detail"].replace("status 0000", "status 1000")}
        for one in evidence["checks"]
    ]
    assert replay(refused).same


def probe_undelivered(stage):
    ready(stage, 1)
    for _ in range(3):
        stage.decide()
        stage.wait(LEAD_S)
        look(stage, 1)
    assert stage.trips() == []
    assert len(finals(stage)) == 2


def test_a_notice_that_nobody_received_cuts_nobody(stage):
    probe_undelivered(stage)


def test_without_the_check_it_would(stage, monkeypatch):
    monkeypatch.setattr(rules, "RULES", tuple(one for one in rules.RULES if one.__name__ != "_final_notice"))
    without_guard(probe_undelivered, stage)


def test_a_notice_of_yesterday_is_followed_by_another(stage):
    stage.set(schema.estate, spread_s=0)
    ready(stage, 1)
    stage.decide()
    stage.receive(1, "final_notice")
    stage.wait(MORNING_S + 3600 - stage.passed_s)
    look(stage, 1)
    assert (stage.trips(), len(finals(stage))) == ([], 4)


def test_it_comes_ahead_of_the_end_of_a_protected_time_and_never_in_quiet_hours(stage):
    stage.set(schema.estate, spread_s=0)
    ready(stage, 1)
    stage.set_account(1, own_rules=json.dumps({"final_notice_s": LEAD_S, "quiet_from_min": 1320, "quiet_to_min": 510}))
    for minute, written in ((-31, 0), (-30, 2)):
        stage.wait(MORNING_S + minute * 60 - stage.passed_s)
        look(stage, 1)
        assert len(finals(stage)) == written, minute
    stage.set_account(2, own_rules=json.dumps({"final_notice_s": LEAD_S, "quiet_from_min": 1320, "quiet_to_min": 570}))
    ready(stage, 2)
    stage.wait(MORNING_S + 86_400 - 60 - stage.passed_s)
    look(stage, 2)
    assert finals(stage, 2) == []


def test_a_protected_hour_right_after_its_time_brings_none(stage):
    ready(stage, 1)
    stage.wait(8 * 3600 - 300 - LEAD_S + 1 - stage.passed_s)  # half an hour later it is past 17:00
    look(stage, 1)
    assert finals(stage) == []


def test_only_as_many_are_told_as_the_limits_would_cut(stage):
    stage.set(schema.estate, trips_per_hour_max=2, trips_per_day_max=2)
    numbers = (1, 2, 3, 4)
    ready(stage, *numbers)
    stage.decide()
    told = [number for number in numbers if finals(stage, number)]
    assert len(told) == 2
    rest = [number for number in numbers if number not in told]
    assert {stage.supply(number)["candidate"] for number in rest} == {"quarantined"}


def test_power_given_back_by_hand_brings_a_new_warning_and_a_new_final_notice(stage):
    ready(stage, 1)
    stage.decide()
    stage.receive(1, "final_notice")
    stage.wait(LEAD_S)
    look(stage, 1)
    assert len(stage.trips()) == 1
    stage.status(1, 0x0050)
    by_hand(stage, 1)
    stage.wait(1)
    look(stage, 1)
    assert len(stage.trips()) == 1
    assert len(finals(stage)) == 2
    assert stage.now.world_s > START_S


def test_a_payment_between_notice_and_cut_keeps_the_power(stage):
    ready(stage, 1)
    stage.decide()
    stage.receive(1, "final_notice")
    stage.pay(1, 5000)
    stage.wait(LEAD_S)
    look(stage, 1)
    assert stage.trips() == []
