"""Malformed requests get a 4xx with a reason, never a 5xx, and reach no flow."""

import asyncio

import httpx
import pytest

from server.web.security import BODY_BYTES_MAX
from tests.server.web.browsing import ORIGIN

ORDERS = "/api/v1/households/A1/orders"
JSON = {"Content-Type": "application/json"}

BODIES = {
    "empty": b"",
    "broken": b'{"amount_fen": ',
    "a list": b"[1, 2]",
    "a number": b"5",
    "null": b"null",
    "not UTF-8": b'{"amount_fen": "\xff\xfe"}',
    "deep": b"[" * 30_000 + b"]" * 30_000,
    "deep objects": b'{"a":' * 10_000 + b"1" + b"}" * 10_000,
    "a lone surrogate": b'{"amount_fen": 5000, "provider": "\\ud800"}',
    "a NUL": b'{"amount_fen": 5000, "provider": "\\u0000"}',
    "a huge number": b'{"amount_fen": ' + b"9" * 5000 + b"}",
    "beyond int64": b'{"amount_fen": 9223372036854775808}',
    "a fraction": b'{"amount_fen": 50.5}',
    "infinity": b'{"amount_fen": Infinity}',
    "an amount in quotes": b'{"amount_fen": "5000"}',
    "a truth value as amount": b'{"amount_fen": true}',
    "negative": b'{"amount_fen": -5000}',
    "unknown field": b'{"amount_fen": 5000, "account_id": "A2"}',
}


@pytest.mark.parametrize("name", BODIES)
def test_a_malformed_body_is_the_senders_fault(web, name):
    client = web.signed_in("resident")
    answer = client.post(ORDERS, content=BODIES[name], headers={**JSON, **web.csrf("resident")})
    assert 400 <= answer.status_code < 500, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    content = answer.json()
    assert content["status"] == answer.status_code
    assert content["detail"]


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/xml", "multipart/form-data", "application/json; charset=x", ""]
)
def test_a_wrong_content_type_is_the_senders_fault(web, kind):
    client = web.signed_in("resident")
    headers = {**web.csrf("resident"), **({"Content-Type": kind} if kind else {})}
    answer = client.post(ORDERS, content=b"amount_fen=1", headers=headers)
    assert 400 <= answer.status_code < 500


@pytest.mark.parametrize(
    "kind", ["multipart/form-data", "multipart/form-data; boundary=x", "application/x-www-form-urlencoded"]
)
@pytest.mark.parametrize(
    "body", [b"", b"\xff\xfe\x00", b"--x\r\nContent-Disposition: form-data", b"login=%ff%00&password=%"]
)
def test_a_malformed_login_form_is_a_failed_login_or_refused(web, kind, body):
    answer = web.client().post("/login", content=body, headers={"Content-Type": kind})
    assert 400 <= answer.status_code < 500


@pytest.mark.parametrize("path", ["/login", "/api/v1/topups", ORDERS, "/callbacks/sandbox", "/nowhere"])
def test_a_body_over_the_limit_is_refused_whatever_it_is_for(web, path):
    answer = web.client().post(path, content=b"x" * (BODY_BYTES_MAX + 1))
    assert answer.status_code == 413


def test_a_body_at_the_limit_is_read(web):
    assert web.client().post("/login", content=b"x" * BODY_BYTES_MAX).status_code == 401


def test_a_streamed_body_without_a_length_is_counted(web):
    async def endless():
        while True:
            yield b"x" * 10_000

    async def send():
        transport = httpx.ASGITransport(web.site, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url=ORIGIN) as client:
            return (await client.post("/login", content=endless())).status_code

    assert asyncio.run(send()) == 413


@pytest.mark.parametrize(
    "path",
    [
        "/api/v1/households/%00",
        "/api/v1/households?cursor=%00",
        "/api/v1/households?cursor=!!!",
        "/api/v1/households?cursor=_w",
        "/api/v1/households?cursor=" + "A" * 300,
        "/api/v1/households?limit=0",
        "/api/v1/households?limit=1e9",
        "/api/v1/households?limit=99999999999999999999",
        "/api/v1/households/A1/ledger?cursor=MTIzNDU2Nzg5MDEyMzQ1Njc4OTA",
        "/api/v1/households/A1/readings?cursor=YWJj",
        "/api/v1/refunds?cursor=MTIz",
        "/api/v1/refunds?cursor=YTpi",
        "/api/v1/households/" + "x" * 500,
        "/api/v1/households/..%2f..%2fetc%2fpasswd",
        "/api/v1/statistics/usage?days=0",
        "/api/v1/statistics/usage?days=100000",
        "/api/v1/statistics/usage.csv?by=evil",
        "/api/v1/cases?status=evil",
        "/api/v1/nowhere",
        "/wall?room=%ff%fe",
        "/nowhere",
        "/%ff",
        "/assets/../site.py",
        "/assets/%2e%2e/site.py",
        "/assets/nothing.css",
    ],
)
def test_a_strange_address_is_the_askers_fault(web, path):
    answer = web.signed_in("operator").get(path)
    assert answer.status_code < 500, answer.text
    if path.startswith(("/api/", "/assets/", "/nowhere")):
        assert answer.status_code >= 400


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE", "TRACE", "OPTIONS", "BREW"])
def test_an_unknown_method_is_refused(web, method):
    client = web.signed_in("operator")
    assert client.request(method, "/api/v1/estate").status_code in (403, 405)


@pytest.mark.parametrize("name", ["Cookie", "Authorization", "If-None-Match", "Accept-Language", "X-CSRF-Token"])
def test_strange_headers_do_no_harm(web, name):
    value = b'\xff\xfe;=," ' + b"a" * 3000
    answer = web.client().get("/api/v1/estate", headers={name.encode(): value})
    assert answer.status_code == 401


def test_an_error_of_ours_says_nothing_and_is_500(web, monkeypatch):
    def broken(*_args, **_kwargs):
        raise RuntimeError("secret detail")

    monkeypatch.setattr("server.web.api.households.get_estate", broken)
    answer = web.signed_in("operator").get("/api/v1/estate")
    assert answer.status_code == 500
    assert "secret detail" not in answer.text
    assert answer.headers["content-type"] == "application/problem+json"


def test_a_storage_that_is_gone_is_503_with_a_time(web):
    client = web.signed_in("resident")
    headers = web.csrf("resident")
    web.state.writer.stop()
    answer = client.post(ORDERS, json={"amount_fen": 5000}, headers=headers)
    assert answer.status_code == 503
    assert int(answer.headers["retry-after"]) > 0
