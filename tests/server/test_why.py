"""`estate645 why`: stored evidence decides the same again, on both databases, and says so when it does not."""

import argparse
import json
from dataclasses import MISSING, fields, replace

import pytest

from server.cli import why
from server.domain.evidence import Replay, evidence_of, replay
from server.domain.supply import TAMPER, TripFacts, decide_trip
from server.errors import NotFound
from server.flows import notices
from server.store import schema
from server.store.engine import reader
from tests.server.estates import ESTATE, account_id, meter_id
from tests.server.isolation_acts import FOUND, by_day, isolate, seen
from tests.server.supply_stage import Stage


@pytest.fixture
def stage(writer):
    one = Stage(writer)
    one.cut(1)
    return one


def told(stage, gen=None):
    return stage.look(lambda connection: why.told_of(connection, ESTATE, meter_id(1), gen))


def facts_of(stage):
    return told(stage).replay.facts


def test_a_cut_is_decided_the_same_again_and_the_books_bear_it_out(stage):
    one = told(stage)
    assert one.replay.decision.allowed
    assert [check.name for check in one.replay.stored] == [check.name for check in one.replay.decision.checks]
    assert (one.replay.missing, one.replay.differences, one.disagreements) == ((), (), ())
    assert one.holds
    evidence = one.evidence
    assert evidence["ledger"]["balance_after_fen"] == evidence["balance_fen"]
    assert [row["total_wh"] for row in evidence["readings"]] == [
        one.replay.facts.total_wh,
        one.replay.facts.previous_wh,
    ]
    assert one.replay.facts.warned_at in [row["delivered_at"] for row in evidence["notices"]]


def test_later_events_do_not_change_what_was_known(stage):
    before = told(stage).evidence
    stage.pay(1, 5000)
    stage.wait(3600)
    stage.read(1, 500)
    stage.charge()
    assert told(stage, 1).holds
    assert told(stage, 1).evidence == before
    assert told(stage, 2).replay is None
    assert told(stage, 2).wish.action in ("allow", "close")


CHANGED = {
    "mode": "dry_run", "stopped": True, "breaker": "open", "clock_sane": False, "account_status": "paused",
    "postpaid": True,
    "balance_fen": 1, "protected": True, "warned_at": None, "reading_at": None, "previous_ms": None,
    "status3": 0x0010, "clock_offset_s": 400, "bus_trips": 2, "hour_trips": 99, "day_trips": 99, "held_readings": 1,
    "quarantined": True,
}  # fmt: skip


def test_a_fact_that_was_changed_afterwards_differs(stage):
    evidence = told(stage).evidence
    for name, value in CHANGED.items():
        again = replay(evidence | {"facts": evidence["facts"] | {name: value}})
        assert not again.same, name
        assert again.differences, name


def test_everything_that_the_rules_need_is_missed_when_it_is_not_there(stage):
    evidence = told(stage).evidence
    needed = [field.name for field in fields(TripFacts) if field.default is MISSING]
    assert len(needed) == 28
    for name in needed:
        again = replay(evidence | {"facts": {key: value for key, value in evidence["facts"].items() if key != name}})
        assert (again.decision, again.same, again.missing) == (None, False, (f"facts.{name}",))
    for part in ("now_s", "now_ms", "ledger", "readings", "notices", "approvals", "rules", "checks"):
        again = replay({key: value for key, value in evidence.items() if key != part})
        assert part in again.missing
        assert not again.same


def test_evidence_of_the_first_version_is_said_to_be_incomplete():
    again = replay({"checks": [], "balance_fen": -5})
    assert isinstance(again, Replay)
    assert not again.same
    assert {"facts.mode", "now_s", "ledger"} <= set(again.missing)


def test_evidence_of_when_everybody_paid_in_advance_still_replays(stage):
    evidence = told(stage).evidence
    facts = {name: value for name, value in evidence["facts"].items() if name != "postpaid"}
    checks = [check for check in evidence["checks"] if check["name"] not in ("prepaid", "final_notice")]
    before = evidence | {"facts": facts, "checks": checks}
    assert replay(before | {"version": 3}).same
    assert [one.name for one in replay(before).differences] == ["prepaid", "final_notice"]


def test_a_fact_of_a_later_version_is_not_passed_over(stage):
    evidence = json.loads(json.dumps(told(stage).evidence))
    evidence["facts"]["moon"] = "full"
    assert "rule of moon" in replay(evidence).missing


def test_evidence_survives_its_way_through_json(stage):
    facts = facts_of(stage)
    books = {name: [] for name in ("ledger", "readings", "notices", "approvals", "rules")}
    for other in (facts, replace(facts, balance_fen=99, protected_until=None)):
        evidence = evidence_of(other, decide_trip(other, 1, 2), 1, 2, books)
        again = replay(json.loads(json.dumps(evidence)))
        assert again.same
        assert again.facts == other


def change(stage, table, **values):
    stage.set(table, **values)


def test_books_that_say_something_else_are_named(stage):
    change(stage, schema.reading, total_wh=5)
    change(stage, schema.notice, delivered_at=77)
    one = told(stage)
    assert not one.holds
    assert one.replay.same
    assert sum("reading" in wrong for wrong in one.disagreements) == 2
    assert any("notice" in wrong for wrong in one.disagreements)


def test_evidence_that_names_another_line_or_balance_disagrees(stage):
    one = told(stage)
    evidence = json.loads(json.dumps(one.evidence))
    evidence["ledger"]["batch_seq"] += 1000
    facts = replace(one.replay.facts, balance_fen=-1)

    def against(noted, known):
        return stage.look(
            lambda connection: why.against_books(connection, ESTATE, one.account_id, one.meter_id, noted, known)
        )

    assert against(one.evidence, one.replay.facts) == []
    assert any("not as it was noted" in wrong for wrong in against(evidence, one.replay.facts))
    assert any("does not end at the balance" in wrong for wrong in against(one.evidence, facts))


def test_the_command_says_it_in_both_languages_and_in_json(stage, engine, capsys):
    database = engine.url.render_as_string(hide_password=False)
    parser = why_parser()
    assert run(parser, meter_id(1), "--database", database) == 0
    shown = capsys.readouterr().out
    assert "the same decision, and the books bear it out" in shown
    assert "决定相同" in shown
    assert "Two readings agree / " in shown
    assert "sent" in shown
    assert run(parser, f"{meter_id(1)}:1", "--database", database, "--lang", "zh") == 0
    shown = capsys.readouterr().out
    assert "Two readings" not in shown
    assert "原因欠费" in shown
    assert not any(word in shown for word in ("arrears", "(live)", "page", "sandbox"))
    assert run(parser, f"{meter_id(1)}:1", "--database", database, "--json") == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["holds"], document["action"], len(document["replayed"])) == (True, "trip", 19)


def test_a_warning_that_was_given_by_hand_is_shown_with_who_how_and_to_whom(writer, engine, capsys):
    stage = Stage(writer)
    stage.read(1)
    stage.wait(900)
    stage.read(1, 3000)
    stage.charge()
    [page] = [row for row in stage.notices(1, "cut_warning") if row["channel"] == "page"]
    own = (ESTATE, account_id(1), page["notice_id"], "in_person", "王女士")
    stage.writer.run(lambda unit: notices.give(unit, *own, actor="zhou", now=stage.now))
    stage.be_ready(1)
    stage.decide()
    one = told(stage)
    [given] = [row for row in one.evidence["notices"] if row["delivered_at"] is not None]
    assert given["given"] == {"way": "in_person", "recipient": "王女士", "given_by": "zhou"}
    assert (one.holds, one.replay.facts.warned_at) == (True, given["delivered_at"])
    database = engine.url.render_as_string(hide_password=False)
    assert run(why_parser(), meter_id(1), "--database", database) == 0
    shown = capsys.readouterr().out
    assert "given by zhou to 王女士 (in person" in shown
    assert "由zhou交给王女士" in shown


@pytest.mark.parametrize("wish", ["000000000099", f"{meter_id(1)}:77", f"{meter_id(1)}:x", meter_id(2)])
def test_a_command_that_does_not_exist_is_said(stage, engine, wish):
    with pytest.raises(NotFound):
        run(why_parser(), wish, "--database", engine.url.render_as_string(hide_password=False))


@pytest.fixture
def isolated(writer):
    """Isolated without a reading, let alone a warning."""
    one = by_day(writer)
    seen(one, 2)
    isolate(one, 2, TAMPER)
    return one


def of_isolation(stage):
    return stage.look(lambda connection: why.told_of(connection, ESTATE, meter_id(2), 1))


def test_an_isolation_replays_to_the_same_decision_and_names_its_two_people(isolated, engine, capsys):
    one = of_isolation(isolated)
    assert one.replay.decision.allowed
    assert [check.name for check in one.replay.stored] == [check.name for check in one.replay.decision.checks]
    assert len(one.replay.stored) == 13
    assert one.holds
    assert one.disagreements == ()
    isolated.wait(3600)
    for number in (1, 2, 3):
        isolated.read(number, 500)
    isolated.pay(2, 5000)
    assert of_isolation(isolated).holds
    assert run(why_parser(), meter_id(2), "--database", engine.url.render_as_string(hide_password=False)) == 0
    said = capsys.readouterr().out
    assert f"{FOUND} (asked by anna, agreed by bert)" in said
    assert "Two people agree: anna + bert" in said


FORGED = {
    "agreed by who asked": ("order", {"agreed_by": "anna"}),
    "another reason": ("order", {"reason": "noise"}),
    "another meter": ("order", {"meter": meter_id(1)}),
    "another cause": ("order", {"cause": "safety"}),
    "another request": ("order", {"approval_id": "0" * 32}),
    "another hash": ("order", {"payload_sha256": "f" * 64}),
    "another second person": ("facts", {"agreed_by": "zoe"}),
}


@pytest.mark.parametrize("name", FORGED)
def test_an_isolation_whose_order_was_forged_disagrees_with_the_books(isolated, name):
    part, change_of = FORGED[name]
    evidence = json.loads(json.dumps(of_isolation(isolated).evidence))
    evidence[part] |= change_of
    facts = replay(evidence).facts
    wrong = isolated.look(
        lambda connection: why.against_books(connection, ESTATE, account_id(2), meter_id(2), evidence, facts)
    )
    assert [one for one in wrong if "order of two people" in one], wrong


def test_an_isolation_without_its_order_or_judged_as_a_debt_does_not_hold(isolated):
    evidence = of_isolation(isolated).evidence
    facts = replay(evidence).facts
    without = {name: value for name, value in evidence.items() if name != "order"}
    wrong = isolated.look(
        lambda connection: why.against_books(connection, ESTATE, account_id(2), meter_id(2), without, facts)
    )
    assert wrong == ["the order of two people is not noted"]
    again = replay(evidence | {"facts": evidence["facts"] | {"cause": "arrears"}})
    assert not again.same
    assert not again.decision.allowed


def test_old_evidence_ends_with_exit_code_1(stage, engine, writer, capsys):
    old = {"checks": [], "balance_fen": -5}
    values = stage.wishes(1)[0] | {"gen": 9, "evidence": json.dumps(old)}
    writer.run(lambda unit: unit.connection.execute(schema.relay_desired.insert().values(**values)) and None)
    assert run(why_parser(), meter_id(1), "--database", engine.url.render_as_string(hide_password=False)) == 1
    assert "cannot be replayed" in capsys.readouterr().out
    with reader(engine) as connection:
        assert why.told_of(connection, ESTATE, meter_id(1), 9).replay.missing


def why_parser():
    parser = argparse.ArgumentParser()
    why.add_parser(parser.add_subparsers())
    return parser


def run(parser, *arguments):
    parsed = parser.parse_args(["why", *arguments])
    return parsed.run(parsed)
