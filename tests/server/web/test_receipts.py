"""Receipts of the message gateway at our door: only signed, fresh ones about its own notices change anything."""

import json
from dataclasses import replace

import pytest

from server.flows import notices
from server.notify.gateway import GatewaySender
from server.signing.shared_secret import signed_headers
from server.store import schema
from tests.server.web.conftest import ESTATE, MACHINE_MS

SECRET = b"s" * 40
NOW_S = MACHINE_MS // 1000


@pytest.fixture
def office(web):
    """A site with a gateway that has taken the message of one warning of A1; the page waits."""
    gateway = GatewaySender("https://gateway.example/send", [SECRET], ESTATE)
    web.site.state.web = replace(web.site.state.web, message_gateway=gateway)
    now = web.clock.now()
    web.state.writer.run(lambda unit: notices.enqueue(unit, ESTATE, "A1", "cut_warning", {"balance_fen": -5}, now))
    name = ids(web)["message"]
    web.state.writer.run(lambda unit: notices.mark_sent(unit, ESTATE, name, now, channel="gateway"))
    return web


def ids(web):
    return {row["channel"]: row["notice_id"] for row in web.rows(schema.notice.select())}


def states(web):
    return {row["channel"]: row["status"] for row in web.rows(schema.notice.select())}


def post(web, *, secret=SECRET, at_s=NOW_S, sent=None, **changes):
    name = changes.pop("notice_id", None) or ids(web)["gateway"]
    fields = {"kind": "receipt", "estate": ESTATE, "notice_id": name, "state": "delivered", **changes}
    body = json.dumps(fields).encode()
    headers = signed_headers([secret], body, now_s=at_s)
    return web.client().post("/callbacks/receipts", content=sent or body, headers=headers)


def test_a_signed_receipt_delivers_once_however_often_it_comes(office):
    answers = [post(office), post(office), post(office, state="failed", reason="late")]
    assert [(one.status_code, one.json()) for one in answers] == [(200, {"result": "delivered"})] * 3
    assert states(office) == {"page": "queued", "gateway": "delivered"}


def test_a_receipt_of_failure_says_why(office):
    assert post(office, state="failed", reason="号码无效").json() == {"result": "failed"}
    [row] = office.rows(schema.notice.select().where(schema.notice.c.channel == "gateway"))
    assert (row["status"], row["failure"], row["delivered_at"]) == ("failed", "号码无效", None)


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"secret": b"x" * 40}, 400),
        ({"sent": b"{}"}, 400),
        ({"at_s": NOW_S - 301}, 400),
        ({"at_s": NOW_S + 301}, 400),
        ({"estate": "elsewhere"}, 400),
        ({"state": "seen"}, 400),
        ({"notice_id": "nobody"}, 404),
        ({"notice_id": "page"}, 422),
    ],
)
def test_any_other_receipt_changes_nothing_and_is_told_why(office, changes, status):
    if changes.get("notice_id") == "page":
        changes = {"notice_id": ids(office)["page"]}
    answer = post(office, **changes)
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
    assert answer.json()["detail"]
    assert states(office) == {"page": "queued", "gateway": "sent"}


def test_without_a_gateway_nobody_sends_receipts(web):
    answer = web.client().post("/callbacks/receipts", content=b"{}")
    assert (answer.status_code, answer.json()["detail"]) == (404, "no message gateway is set up here")
