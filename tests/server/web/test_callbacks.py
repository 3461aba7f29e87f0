"""Payers' callbacks: honest ones credit once; forged, replayed, old, post-dated and tampered ones never."""

import json

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import select

from server.pay.sandbox import stamp_headers
from server.signing.ed25519 import serial_of, sign
from server.store import schema
from tests.server.web.conftest import MACHINE_MS

NOW_S = MACHINE_MS // 1000
PATH = "/callbacks/sandbox"


@pytest.fixture
def order_no(web):
    """An order of A1 over 50 yuan, opened by its resident through the API."""
    client = web.signed_in("resident")
    body = {"amount_fen": 5000}
    answer = client.post("/api/v1/households/A1/orders", json=body, headers=web.csrf("resident"))
    assert answer.status_code == 201, answer.text
    return answer.json()["order_no"]


def outcome(web, order_no, **changes):
    fields = {
        "merchant": serial_of(web.merchant_key.public_key()),
        "order_no": order_no,
        "amount_fen": 5000,
        "currency": "CNY",
        "result": "paid",
        "event_id": "ev1",
        "transaction_id": "tx1",
        "paid_ms": MACHINE_MS,
    }
    return json.dumps({**fields, **changes}).encode()


def deliver(web, body, *, key=None, at_s=NOW_S, path=PATH, sent=None, **headers):
    stamp = sign(key or web.provider_key, "POST", path, at_s, "nonce1", body)
    return web.client().post(PATH, content=sent or body, headers={**stamp_headers(stamp), **headers})


def balance(web):
    [row] = web.rows(select(schema.account).where(schema.account.c.account_id == "A1"))
    return row["balance_fen"]


def test_an_honest_callback_credits_once_however_often_it_comes(web, order_no):
    body = outcome(web, order_no)
    answers = [deliver(web, body) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200] * 3
    assert answers[0].json()["result"] == "credited"
    assert {answer.json()["result"] for answer in answers[1:]} == {"repeat"}
    assert balance(web) == 5000


def test_simultaneous_callbacks_credit_once(web, order_no):
    body = outcome(web, order_no)
    headers = stamp_headers(sign(web.provider_key, "POST", PATH, NOW_S, "nonce1", body))
    answers = web.client().together(*[("POST", PATH, {"content": body, "headers": headers})] * 8)
    assert {answer.status_code for answer in answers} == {200}
    assert sum(answer.json()["result"] == "credited" for answer in answers) == 1
    assert balance(web) == 5000


def test_a_new_event_of_the_same_transaction_credits_nothing(web, order_no):
    deliver(web, outcome(web, order_no))
    assert deliver(web, outcome(web, order_no, event_id="ev2")).status_code == 200
    assert balance(web) == 5000


@pytest.mark.parametrize("at_s", [NOW_S - 301, NOW_S + 301, NOW_S - 365 * 86_400, NOW_S + 86_400])
def test_old_and_post_dated_callbacks_are_refused(web, order_no, at_s):
    answer = deliver(web, outcome(web, order_no), at_s=at_s)
    assert (answer.status_code, balance(web)) == (400, 0)


def test_a_capture_cannot_be_played_again_later(web, order_no):
    body = outcome(web, order_no)
    assert deliver(web, body).status_code == 200
    web.clock.move(301)
    assert deliver(web, body).status_code == 400
    assert balance(web) == 5000


def test_a_forged_callback_is_refused(web, order_no):
    answer = deliver(web, outcome(web, order_no), key=Ed25519PrivateKey.generate())
    assert (answer.status_code, balance(web)) == (400, 0)
    assert answer.headers["content-type"] == "application/problem+json"


def test_our_own_key_does_not_sign_for_the_provider(web, order_no):
    answer = deliver(web, outcome(web, order_no), key=web.merchant_key)
    assert (answer.status_code, balance(web)) == (400, 0)


def test_a_tampered_callback_is_refused(web, order_no):
    body = outcome(web, order_no)
    answer = deliver(web, body, sent=body.replace(b"5000", b"9000"))
    assert (answer.status_code, balance(web)) == (400, 0)


def test_a_signature_for_another_path_is_refused(web, order_no):
    answer = deliver(web, outcome(web, order_no), path="/callbacks/other")
    assert (answer.status_code, balance(web)) == (400, 0)


def test_an_unsigned_callback_is_refused_even_from_a_signed_in_admin(web, order_no):
    answer = web.signed_in("admin").post(PATH, content=outcome(web, order_no))
    assert (answer.status_code, balance(web)) == (400, 0)


def test_a_wrong_amount_is_never_the_households_credit(web, order_no):
    answer = deliver(web, outcome(web, order_no, amount_fen=5001))
    assert answer.status_code in (200, 400)
    assert answer.status_code == 400 or answer.json()["result"] == "suspense"
    assert balance(web) == 0


def test_a_failed_payment_credits_nothing(web, order_no):
    answer = deliver(web, outcome(web, order_no, result="failed"))
    assert answer.status_code == 200
    assert balance(web) == 0


def test_an_unknown_provider_is_not_found(web):
    assert web.client().post("/callbacks/nobody", content=b"{}").status_code == 404


def test_a_huge_callback_is_cut_off(web):
    assert deliver(web, b"x" * (64 * 1024 + 1)).status_code == 413


def test_the_answer_says_nothing_secret(web, order_no):
    text = deliver(web, outcome(web, order_no), key=Ed25519PrivateKey.generate()).text
    assert "Traceback" not in text
    assert serial_of(web.provider_key.public_key()) not in text


def test_a_browsers_cross_site_headers_do_not_matter_to_payers(web, order_no):
    answer = deliver(web, outcome(web, order_no), Origin="https://payer.example")
    assert answer.status_code == 200
