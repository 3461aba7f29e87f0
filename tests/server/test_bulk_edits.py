"""Bulk changes of rules: a list that two people approve, worked off in small units, each entry as it was listed."""

import json

import pytest

from server.domain.bulk_edits import CHUNK
from server.errors import Conflict, NotFound, Refused
from server.flows import approvals, bulk_edits, schemes
from server.flows import bulk_cut as bulk_cuts
from server.jobs.schemes import SchemeJob
from server.store import schema
from server.store.writer import Writer
from tests.server.estates import ESTATE, account_id, meter_id
from tests.server.supply_stage import Stage
from tests.server.test_supply_invariants import without_guard

DAY = 86_400


@pytest.fixture
def stage(sqlite_engine):
    writer = Writer(sqlite_engine)
    yield planted(writer)
    writer.stop()


@pytest.fixture
def both(writer):
    """On both databases in turn."""
    return planted(writer)


def planted(writer):
    one = Stage(writer, households=4)
    act(one, schemes.save_version, "postpaid", "Postpaid", 0, {"overdraft_fen": 5000})
    return one


def act(stage, flow, *args, actor="anna", **kwargs):
    return stage.writer.run(lambda unit: flow(unit, ESTATE, *args, actor=actor, now=stage.now, **kwargs))


def ask(stage, what, *numbers, reason="the council's list", **terms):
    return act(
        stage, approvals.request_bulk_edit, what, [account_id(n) for n in numbers], terms, reason=reason
    )  # fmt: skip


def payload(stage, asked):
    [row] = stage.rows(schema.approval, schema.approval.c.approval_id == asked)
    return row, json.loads(str(row["payload"]))


def approve(stage, asked, actor="bert", sha=None):
    row, _ = payload(stage, asked)
    return act(stage, approvals.approve, asked, sha or row["payload_sha256"], actor=actor)


def work(stage):
    """As the job does, until nothing is left."""
    while stage.writer.run(lambda unit: bulk_edits.advance(unit, ESTATE, stage.now)):
        pass


def home(stage, number):
    [row] = stage.rows(schema.account, schema.account.c.account_id == account_id(number))
    return row


def outcome(stage):
    [row] = stage.rows(schema.bulk_cut)
    items = {item["account_id"]: item["outcome"] for item in stage.rows(schema.bulk_cut_item)}
    return row["status"], items


def test_a_scheme_for_many_is_listed_approved_and_worked_off(both):
    act(both, schemes.set_household, account_id(2), scheme_id="postpaid", own={})
    asked = ask(both, "scheme", 1, 2, 3, 99, scheme_id="postpaid")
    row, listed = payload(both, asked)
    assert [(one["account"], one["before"], one["after"]) for one in listed["change"]] == [
        (account_id(1), "", "postpaid"),
        (account_id(3), "", "postpaid"),
    ]
    assert [(one["account"], one["because"]) for one in listed["left"]] == [
        (account_id(2), "already so"),
        (account_id(99), "no open household"),
    ]
    work(both)
    assert (row["status"], home(both, 1)["scheme_id"]) == ("waiting", None)
    approve(both, asked)
    assert home(both, 1)["scheme_id"] is None
    work(both)
    assert [home(both, n)["scheme_id"] for n in (1, 2, 3, 4)] == ["postpaid"] * 3 + [None]
    assert home(both, 1)["overdraft_fen"] == 5000
    assert outcome(both) == ("done", {account_id(1): "done", account_id(3): "done"})


def test_protection_keep_power_and_their_end_for_many(both):
    until = both.now.world_s + 30 * DAY
    approve(both, ask(both, "protect", 1, 2, until_at=until))
    work(both)
    assert [home(both, n)["protected_until"] for n in (1, 2)] == [until, until]
    assert [order.action for order in both.orders()] == ["keep", "keep"]
    approve(both, ask(both, "keep_power", 1, 3, policy="never"))
    work(both)
    assert json.loads(str(home(both, 3)["own_rules"])) == {"keep_power": "never"}
    approve(both, ask(both, "keep_power", 3, policy=""))
    approve(both, ask(both, "unprotect", 1, 2))
    work(both)
    assert home(both, 3)["own_rules"] == "{}"
    assert [home(both, n)["protected"] for n in (1, 2)] == [0, 0]


def test_exception_dates_are_opened_and_closed(both):
    approve(both, ask(both, "days", days=["2026-12-31", "2026-12-30"], kind="off", name="year's end"))
    work(both)
    days = {row["day"]: row["kind"] for row in both.rows(schema.holiday)}
    assert days == {"2026-12-30": "off", "2026-12-31": "off"}
    approve(both, ask(both, "days", days=["2026-12-31", "2027-01-01"], kind="drop"))
    work(both)
    assert [row["day"] for row in both.rows(schema.holiday)] == ["2026-12-30"]


WRONG = [
    ({"what": "burn"}, "one of"),
    ({"what": "scheme", "reason": " ", "scheme_id": "postpaid"}, "say why"),
    ({"what": "protect"}, "needs an end"),
    ({"what": "protect", "until_at": 5}, "after now"),
    ({"what": "keep_power", "policy": "maybe"}, "keep_power is one of"),
    ({"what": "days", "days": ["31 December"], "kind": "off"}, "31 December"),
    ({"what": "days", "days": ["2026-12-31"], "kind": "half"}, "a day is one of"),
    ({"what": "unprotect"}, "nothing would change"),
    ({"what": "scheme", "scheme_id": None}, "nothing would change"),
]


@pytest.mark.parametrize(("wish", "words"), WRONG)
def test_what_makes_no_sense_is_refused_before_anybody_is_asked(stage, wish, words):
    with pytest.raises(Refused, match=words):
        ask(stage, wish["what"], 1, **{key: value for key, value in wish.items() if key != "what"})
    assert stage.rows(schema.approval) == []


def test_a_strange_scheme_and_too_long_a_list_are_refused(stage, monkeypatch):
    with pytest.raises(NotFound, match="known: postpaid"):
        ask(stage, "scheme", 1, scheme_id="nobody's")
    monkeypatch.setattr(bulk_cuts, "LIST_MAX", 2)
    with pytest.raises(Refused, match="at most 2"):
        ask(stage, "scheme", 1, 2, 3, scheme_id="postpaid")


def test_one_person_or_another_list_is_not_enough(stage):
    asked = ask(stage, "scheme", 1, scheme_id="postpaid")
    with pytest.raises(Refused, match="second person"):
        approve(stage, asked, actor="anna")
    with pytest.raises(Conflict, match="not what was asked for"):
        approve(stage, asked, sha="f" * 64)
    work(stage)
    assert (stage.rows(schema.bulk_cut), home(stage, 1)["scheme_id"]) == ([], None)


def probe_changed(stage):
    asked = ask(stage, "scheme", 1, 2, scheme_id="postpaid")
    act(stage, schemes.save_version, "other", "Other", 0, {})
    act(stage, schemes.set_household, account_id(1), scheme_id="other", own={})
    approve(stage, asked)
    work(stage)
    assert home(stage, 1)["scheme_id"] == "other"
    assert outcome(stage) == ("done", {account_id(1): "left", account_id(2): "done"})


def test_an_entry_that_has_changed_since_is_left_alone(stage):
    probe_changed(stage)


def test_without_that_look_it_would_be_overwritten(stage, monkeypatch):
    monkeypatch.setattr(bulk_edits, "has", lambda _act, _row: "")
    without_guard(probe_changed, stage)


def test_one_person_stops_it_and_what_was_not_changed_stays(stage, monkeypatch):
    monkeypatch.setattr(bulk_edits, "CHUNK", 1)
    approve(stage, ask(stage, "scheme", 1, 2, 3, scheme_id="postpaid"))
    stage.writer.run(lambda unit: bulk_edits.advance(unit, ESTATE, stage.now))
    [row] = stage.rows(schema.bulk_cut)
    act(stage, bulk_edits.stop, row["bulk_id"], reason="a wrong list")
    work(stage)
    assert [home(stage, n)["scheme_id"] for n in (1, 2, 3)] == ["postpaid", None, None]
    assert outcome(stage)[0] == "stopped"
    with pytest.raises(NotFound):
        act(stage, bulk_edits.stop, row["bulk_id"], reason="again")


def test_the_job_works_it_off_in_small_units_and_cuts_nobody(stage, sqlite_engine):
    class Clock:
        def now(self):
            return stage.now

    approve(stage, ask(stage, "scheme", 1, 2, scheme_id="postpaid"))
    stage.decide()  # a bulk cut would move here
    assert outcome(stage)[0] == "running"
    SchemeJob(sqlite_engine, stage.writer, Clock(), ESTATE).run_once()
    assert outcome(stage) == ("done", {account_id(1): "done", account_id(2): "done"})
    assert stage.trips() == []
    assert CHUNK * 3 < 100  # a payment waits for one unit
    assert stage.rows(schema.bulk_cut_item, schema.bulk_cut_item.c.meter_id == meter_id(1)) == []
