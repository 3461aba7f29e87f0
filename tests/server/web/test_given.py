"""Notices that the staff gives by hand: who may, what counts from when, and what stays in the record."""

import json

import pytest

from server.flows import notices
from server.store import schema
from server.store.notices import newest_deliveries
from tests.server.web.conftest import ESTATE

PATH = "/households/A1/notices/given"


@pytest.fixture
def office(web):
    """Two households with a warning each."""
    for name in ("A1", "A2"):
        web.state.writer.run(
            lambda unit, name=name: notices.enqueue(
                unit, ESTATE, name, "cut_warning", {"balance_fen": -5, "earliest_at": 0, "pay_fen": 1000}, web.clock.at
            )
        )
    return web


def page_notice(web, account_id="A1"):
    of = schema.notice.c
    [row] = web.rows(schema.notice.select().where(of.channel == "page", of.account_id == account_id))
    return row["notice_id"]


def give(web, *, role="operator", path=PATH, **changes):
    client = web.signed_in(role)
    form = {"notice_id": page_notice(web), "way": "telephone", "recipient": " 王\t女士 ", **changes}
    return client.post(path, data=form, headers=web.csrf(role))


def given_rows(web):
    return web.rows(schema.notice.select().where(schema.notice.c.channel == "hand"))


def delivered(web):
    with web.state.engine.connect() as conn:
        return newest_deliveries(conn, ESTATE, "cut_warning", ["A1", "A2"], {})


def test_what_an_operator_gave_is_delivered_now_with_who_how_and_to_whom(office):
    written_at = office.clock.at.world_s
    office.clock.move(600)
    assert give(office).status_code == 303
    [row] = given_rows(office)
    assert (row["status"], row["delivered_at"]) == ("delivered", written_at + 600)
    given = {"way": "telephone", "recipient": "王 女士", "given_by": "operator"}
    assert json.loads(row["arguments"]).items() >= given.items()
    assert delivered(office) == {"A1": (written_at, written_at + 600), "A2": (written_at, None)}
    [trail] = office.rows(schema.audit.select().where(schema.audit.c.verb == "notice.give"))
    assert (trail["actor"], trail["subject"], trail["world_at"]) == ("operator", "A1", written_at + 600)
    assert trail["detail"] == f"cut_warning {page_notice(office)} telephone: 王 女士"


@pytest.mark.parametrize("role", ["admin", "cashier", "reader", "resident", "kiosk"])
def test_nobody_else_may_say_that_a_household_was_told(office, role):
    assert give(office, role=role).status_code == 403
    assert given_rows(office) == []
    if role not in ("resident", "kiosk"):
        assert "give-dialog" not in office.signed_in(role).get("/households/A1").text


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"way": "rumour"}, 422), ({"recipient": " \t"}, 422), ({"recipient": "x" * 81}, 422),
        ({"notice_id": "nobody"}, 404), ({"path": "/households/A2/notices/given"}, 404),
    ],
)  # fmt: skip
def test_what_is_not_whole_or_not_of_the_household_is_refused(office, changes, status):
    assert give(office, **changes).status_code == status
    assert given_rows(office) == []


def test_a_notice_is_given_once_and_not_after_it_was_delivered_otherwise(office):
    client = office.signed_in("operator")
    assert "give-dialog" in client.get("/households/A1").text
    assert [give(office).status_code, give(office).status_code] == [303, 409]
    assert len(given_rows(office)) == 1
    assert "give-dialog" not in client.get("/households/A1").text
    office.state.writer.run(lambda unit: notices.mark_shown(unit, ESTATE, "A2", office.clock.at))
    answer = give(office, path="/households/A2/notices/given", notice_id=page_notice(office, "A2"))
    assert (answer.status_code, len(given_rows(office))) == (409, 1)


API = "/api/v1/households/A1/notices/given"
KEY = "call-0001"


@pytest.fixture
def program(office):
    """A program with the one scope that giving takes; sends what it is told."""
    office.execute(schema.api_client.update().values(scopes="notice.give"))
    headers = {"Authorization": "Bearer partner:third-party-secret"}
    client = office.client()

    def send(**changes):
        path = changes.pop("path", API)
        changes = changes if "notice_id" in changes else {"notice_id": page_notice(office), **changes}
        body = {"way": "telephone", "recipient": "王女士", "key": KEY, **changes}
        return client.post(path, json=body, headers=headers)

    return send


def test_a_program_gives_a_notice_and_a_repeat_gives_nothing_and_hears_the_same(office, program):
    written_at = office.clock.at.world_s
    office.clock.move(600)
    first = program()
    assert (first.status_code, first.json()["channel"], first.json()["status"]) == (201, "hand", "delivered")
    office.clock.move(600)
    assert (program().status_code, program().json()) == (201, first.json())
    [row] = given_rows(office)
    assert (row["notice_id"], row["delivered_at"]) == (first.json()["notice_id"], written_at + 600)
    assert json.loads(row["arguments"])["given_by"] == "client:partner"
    assert len(office.rows(schema.audit.select().where(schema.audit.c.verb == "notice.give"))) == 1
    assert delivered(office)["A1"] == (written_at, written_at + 600)


@pytest.mark.parametrize("changes", [{"recipient": "李先生"}, {"way": "letter"}, {"key": "call-0002"}])
def test_one_key_is_one_act_and_another_key_is_another_one(office, program, changes):
    assert [program().status_code, program(**changes).status_code] == [201, 409]
    assert len(given_rows(office)) == 1


def test_a_key_stands_for_one_notice_of_one_household(office, program):
    assert program().status_code == 201
    office.clock.move(60)
    office.state.writer.run(
        lambda unit: notices.enqueue(unit, ESTATE, "A1", "cut_warning", {"balance_fen": -9}, office.clock.at)
    )
    of = schema.notice.c
    [newer] = office.rows(
        schema.notice.select().where(of.channel == "page", of.created_ms == office.clock.at.machine_ms)
    )
    assert program(notice_id=newer["notice_id"]).status_code == 409
    assert program(notice_id=newer["notice_id"], key="call-0002").status_code == 201
    other = page_notice(office, "A2")
    assert program(path=API.replace("A1", "A2"), notice_id=other).status_code == 201


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"way": "rumour"}, 422), ({"recipient": " \t"}, 422), ({"recipient": "x" * 81}, 422), ({"key": "short"}, 422),
        ({"notice_id": "nobody"}, 404), ({"path": "/api/v1/households/A2/notices/given"}, 404),
    ],
)  # fmt: skip
def test_a_program_is_refused_what_a_person_is_refused(office, program, changes, status):
    assert program(**changes).status_code == status
    assert given_rows(office) == []


def test_a_program_without_the_scope_gives_nothing(office, program):
    office.execute(schema.api_client.update().values(scopes="households.list"))
    assert program().status_code == 403
    assert given_rows(office) == []
