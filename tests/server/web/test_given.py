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
