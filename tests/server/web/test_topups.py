"""Signed top-ups by third parties: signature, time, idempotency, subject."""

import hmac
import json

import pytest
from sqlalchemy import select, update

from server.store import schema
from server.web.api.topups import signature
from tests.server.web.conftest import MACHINE_MS, SECRET

PATH = "/api/v1/topups"
NOW_S = MACHINE_MS // 1000


def wish(**changes):
    fields = {"account_id": "A1", "amount_fen": 5000, "transaction_id": "tx1"}
    fields = {name: value for name, value in {**fields, **changes}.items() if value is not None}
    return json.dumps(fields).encode()


def send(web, body=None, *, key="key-1", at_s=NOW_S, secret=SECRET, client="partner", signed=None, given=None):
    body = wish() if body is None else body
    headers = {
        "X-Estate645-Client": client,
        "X-Estate645-Timestamp": str(at_s),
        "X-Estate645-Signature": given or signature(secret, str(at_s), signed or body),
        "Idempotency-Key": key,
        "Content-Type": "application/json",
    }
    return web.client().post(PATH, content=body, headers={n: v for n, v in headers.items() if v != ""})


def balances(web):
    rows = web.rows(select(schema.account).where(schema.account.c.kind == "household"))
    return {row["account_id"]: row["balance_fen"] for row in rows}


def test_the_signature_is_the_documented_one():
    assert signature("secret", "1790000000", b'{"a":1}') == (
        hmac.new(b"secret", b"1790000000." + b'{"a":1}', "sha256").hexdigest()
    )


def test_a_signed_topup_is_credited(web):
    answer = send(web)
    assert answer.status_code == 200, answer.text
    content = answer.json()
    assert (content["result"], content["amount_fen"], content["balance_fen"]) == ("credited", 5000, 5000)
    assert balances(web) == {"A1": 5000, "A2": 0}


def test_a_room_may_be_named_instead_of_the_account(web):
    assert send(web, wish(account_id=None, room_id="1-102")).status_code == 200
    assert balances(web) == {"A1": 0, "A2": 5000}


def test_a_repeat_gets_the_same_answer_and_credits_nothing(web):
    answers = [send(web) for _ in range(3)]
    assert {(answer.status_code, answer.text) for answer in answers} == {(200, answers[0].text)}
    assert balances(web)["A1"] == 5000


def test_the_same_key_with_another_body_is_a_conflict(web):
    send(web)
    answer = send(web, wish(amount_fen=6000))
    assert answer.status_code == 409
    assert answer.headers["content-type"] == "application/problem+json"
    assert balances(web)["A1"] == 5000


def test_the_same_transaction_under_a_new_key_is_not_credited_again(web):
    send(web)
    send(web, key="key-2")
    assert balances(web)["A1"] == 5000


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"at_s": NOW_S + 300}, 200),
        ({"at_s": NOW_S - 300}, 200),
        ({"at_s": NOW_S + 301}, 401),
        ({"at_s": NOW_S - 301}, 401),
        ({"at_s": NOW_S + 86_400}, 401),
        ({"at_s": "now"}, 401),
        ({"at_s": -NOW_S}, 401),
        ({"at_s": "１７９"}, 422),
        ({"secret": "wrong"}, 401),
        ({"client": "nobody"}, 401),
        ({"given": "0" * 64}, 401),
        ({"given": "zz"}, 401),
        ({"given": "x" * 65}, 422),
        ({"signed": b"another body"}, 401),
        ({"client": ""}, 422),
        ({"key": ""}, 422),
        ({"key": "k" * 65}, 422),
        ({"key": "with space"}, 422),
    ],
)
def test_only_a_fresh_message_of_a_known_client_counts(web, changes, status):
    if changes.get("at_s") == "１７９":
        changes = {"at_s": "9" * 13}
    answer = send(web, **changes)
    assert answer.status_code == status, answer.text
    assert (balances(web)["A1"] == 5000) == (status == 200)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b"{",
        b"\xff\xfe\x00",
        b'{"amount_fen": 1}',
        b"[" * 30_000,
        wish(amount_fen=0),
        wish(amount_fen=-1),
        wish(amount_fen="5000"),
        wish(amount_fen=50.0),
        wish(amount_fen=True),
        wish(amount_fen=2**63),
        wish(amount_fen=10**40),
        wish(room_id="1-101"),
        wish(account_id=None),
        wish(account_id="A\x001"),
        wish(transaction_id=""),
        wish(transaction_id="x" * 65),
        wish(transaction_id="中文"),
        wish(extra=1),
        b'{"account_id": "\\ud800", "amount_fen": 1, "transaction_id": "t"}',
    ],
)
def test_a_signed_message_of_nonsense_is_refused(web, body):
    answer = send(web, body, signed=body)
    assert answer.status_code == 422, answer.text
    assert balances(web) == {"A1": 0, "A2": 0}


def test_a_client_without_the_scope_may_not_topup(web):
    web.execute(update(schema.api_client).values(scopes="household.view"))
    assert send(web).status_code == 403


def test_a_switched_off_client_is_unknown(web):
    web.execute(update(schema.api_client).values(active=0))
    assert send(web).status_code == 401


def test_a_subject_that_does_not_exist_credits_nobody(web):
    answer = send(web, wish(account_id="A9"))
    assert answer.status_code in (200, 404, 422)
    assert answer.status_code != 200 or answer.json()["result"] == "suspense"
    assert balances(web) == {"A1": 0, "A2": 0}


def test_a_cookie_does_not_replace_the_signature(web):
    client = web.signed_in("admin")
    assert client.post(PATH, content=wish(), headers=web.csrf("admin")).status_code == 422
    assert balances(web)["A1"] == 0
