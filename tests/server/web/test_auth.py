"""Signing in: cookies, lockout that survives a restart, no difference for unknown people, a bound on the cost."""

import asyncio

import pytest
from sqlalchemy import select, update

from server.store import schema
from server.web import devices
from server.web.auth import safe_next
from server.web.errors import TooManyRequests
from server.web.passwords import RUNNING_MAX, WAITING_MAX, PasswordDesk, hash_password
from server.web.principal import token_sha256
from server.web.site import create_site
from tests.server.web.browsing import ORIGIN, PASSWORD, Client, set_cookie_of
from tests.server.web.conftest import ESTATE


def test_the_cookie_is_for_this_site_alone(web):
    cookie = set_cookie_of(web.client().sign_in("operator"), "estate645_session")
    assert "httponly" in cookie
    assert "samesite=strict" in cookie
    assert "path=/" in cookie
    assert "domain" not in cookie


def test_behind_tls_the_cookie_is_secure_and_bound_to_the_host(make_web):
    web = make_web(secure_cookies=True)
    answer = web.client().sign_in("operator")
    cookie = set_cookie_of(answer, "__Host-estate645_session")
    assert "secure" in cookie
    assert "strict-transport-security" in answer.headers


def test_only_the_hash_of_the_token_is_stored(web):
    client = web.signed_in("operator")
    token = client.cookies["estate645_session"]
    [row] = web.rows(select(schema.login_session))
    assert row["token_sha256"] == token_sha256(token)
    assert token not in str(row)
    assert len(token) >= 43


def test_each_login_gets_a_new_token(web):
    tokens = {web.signed_in("operator").cookies["estate645_session"] for _ in range(3)}
    assert len(tokens) == 3


def test_signing_out_ends_the_session_at_once(web):
    client = web.signed_in("operator")
    token = client.cookies["estate645_session"]
    answer = client.post("/logout", data={"csrf": web.csrf("operator")["X-CSRF-Token"]})
    assert (answer.status_code, answer.headers["location"]) == (303, "/login")
    again = client.get("/api/v1/estate", headers={"Cookie": f"estate645_session={token}"})
    assert again.status_code == 401


def test_a_session_ends_by_itself(web):
    client = web.signed_in("operator")
    assert client.get("/api/v1/estate").status_code == 200
    web.clock.move(12 * 3600 + 1)
    assert client.get("/api/v1/estate").status_code == 401


def test_a_deactivated_person_is_out_at_once(web):
    client = web.signed_in("operator")
    web.execute(update(schema.app_user).where(schema.app_user.c.user_id == "operator").values(active=0))
    assert client.get("/api/v1/estate").status_code == 401
    assert web.client().sign_in("operator").status_code == 401


@pytest.mark.parametrize("token", ["", "x", "x" * 5000, "é"])
def test_a_made_up_token_is_nobody(web, token):
    answer = web.client().get("/api/v1/estate", headers={"Cookie": f"estate645_session={token}".encode()})
    assert answer.status_code == 401


def failures(web, login, count):
    client = web.client()
    return [client.sign_in(login, "wrong").status_code for _ in range(count)]


def test_five_failures_lock_and_the_right_password_does_not_open(web):
    assert failures(web, "operator", 5) == [401] * 5
    assert web.client().sign_in("operator").status_code == 401
    web.clock.move(15 * 60 + 1)
    assert web.client().sign_in("operator").status_code == 303


def test_the_lock_survives_a_restart(web):
    failures(web, "operator", 5)
    client = Client(create_site(web.site.state.web))  # on the same line, where the failures go ahead of it
    web.clients.append(client)
    assert client.sign_in("operator").status_code == 401


def test_a_success_forgets_earlier_failures(web):
    for _ in range(3):
        failures(web, "operator", 4)
        web.signed_in("operator")


def test_failures_of_one_do_not_lock_another(web):
    failures(web, "operator", 5)
    assert web.client().sign_in("cashier").status_code == 303


ELSEWHERE = "198.51.100.1"


def device_of(client):
    return client.cookies["estate645_device"]


def sign_in_with(web, cookie, login="operator", **kwargs):
    client = web.client(**kwargs)
    client.cookies.set("estate645_device", cookie)
    return client.sign_in(login).status_code


def test_guesses_from_one_address_leave_the_person_in_from_another(web):
    failures(web, "operator", 5)
    assert web.client().sign_in("operator").status_code == 401
    assert web.client(address=ELSEWHERE).sign_in("operator").status_code == 303


def test_addresses_of_one_ipv6_site_are_one_place(web):
    client = web.client(address="2001:db8:1:2::1")
    for _ in range(5):
        client.sign_in("operator", "wrong")
    assert web.client(address="2001:db8:1:2:ffff::9").sign_in("operator").status_code == 401
    assert web.client(address="2001:db8:1:3::1").sign_in("operator").status_code == 303


def test_a_known_device_stays_in_whatever_others_guess(web):
    cookie = device_of(web.signed_in("operator"))
    failures(web, "operator", 5)
    web.execute(update(schema.app_user).values(locked_until_ms=2**62))
    assert web.client(address=ELSEWHERE).sign_in("operator").status_code == 401
    assert sign_in_with(web, cookie) == 303


@pytest.mark.parametrize("change", ["another person", "tampered", "another password", "blind"])
def test_a_device_is_known_only_by_its_own_true_token(web, monkeypatch, change):
    cookie = device_of(web.signed_in("cashier" if change == "another person" else "operator"))
    if change == "tampered":
        cookie = ("0" if cookie[0] != "0" else "1") + cookie[1:]
    if change == "another password":
        web.execute(update(schema.app_user).values(password_hash=hash_password(PASSWORD)))
    if change == "blind":
        monkeypatch.setattr(devices, "_tokens", lambda *_args, **_kwargs: [])
    failures(web, "operator", 5)
    assert sign_in_with(web, cookie) == 401


def test_a_shared_device_knows_its_last_people(web):
    client = web.client()
    for login in ("operator", "cashier", "operator"):
        assert client.sign_in(login).status_code == 303
        client.cookies.delete("estate645_session")
    assert device_of(client).count(".") == 1
    failures(web, "operator", 5)
    failures(web, "cashier", 5)
    assert sign_in_with(web, device_of(client), "operator") == 303
    assert sign_in_with(web, device_of(client), "cashier") == 303


def test_a_devices_cookie_does_not_grow(web):
    client = web.client()
    client.cookies.set("estate645_device", ".".join(["0" * 32 + "-" + "0" * 64] * 9))
    assert set_cookie_of(client.sign_in("operator"), "estate645_device").count("-") == devices.PEOPLE_MAX + 1


@pytest.mark.parametrize("cookie", ["", "x", "." * 50, "é", "0" * 32 + "-" + "0" * 64])
def test_a_made_up_device_is_none(web, cookie):
    client = web.client()
    headers = {"Cookie": f"estate645_device={cookie}".encode()}
    answer = client.post("/login", data={"login": "operator", "password": PASSWORD}, headers=headers)
    assert answer.status_code == 303


def test_the_devices_cookie_is_bound_like_the_sessions(make_web):
    answer = make_web(secure_cookies=True).client().sign_in("operator")
    cookie = set_cookie_of(answer, "__Host-estate645_device")
    assert all(part in cookie for part in ("secure", "httponly", "samesite=strict", "path=/"))


def test_unknown_wrong_and_locked_read_the_same(web):
    failures(web, "cashier", 5)
    pages = [
        web.client().sign_in(login, password).text.replace(login, "LOGIN")
        for login, password in (("nobody", "x"), ("operator", "wrong"), ("cashier", "wrong"))
    ]
    assert pages[0] == pages[1] == pages[2]


def test_an_unknown_login_costs_a_hash_too(web, monkeypatch):
    verified = []
    original = PasswordDesk.verify

    async def counted(self, stored, password):
        verified.append(stored)
        return await original(self, stored, password)

    monkeypatch.setattr(PasswordDesk, "verify", counted)
    web.client().sign_in("nobody")
    assert verified == [None]


@pytest.mark.parametrize("processes", [1, 2])
def test_passwords_beyond_the_queue_are_refused_without_a_hash(processes):
    desk, room = PasswordDesk(processes), (RUNNING_MAX + WAITING_MAX) // processes
    stored = hash_password("right")

    async def rush():
        return await asyncio.gather(*(desk.verify(stored, "right") for _ in range(room + 5)), return_exceptions=True)

    found = asyncio.run(rush())
    desk.close()
    assert sum(isinstance(one, TooManyRequests) for one in found) == 5
    assert [one for one in found if one is True] == [True] * room
    assert desk.busy == 0


def test_a_full_queue_answers_429_with_a_time(web):
    web.site.state.passwords.busy = RUNNING_MAX + WAITING_MAX
    answer = web.client().sign_in("operator")
    web.site.state.passwords.busy = 0
    assert answer.status_code == 429
    assert int(answer.headers["retry-after"]) > 0


def test_the_hash_has_the_decided_parameters():
    assert hash_password("x").startswith("$argon2id$v=19$m=19456,t=2,p=1$")


def test_a_change_without_the_forms_token_is_refused(web):
    client = web.signed_in("operator")
    for headers in ({}, {"X-CSRF-Token": "wrong"}, {"X-CSRF-Token": ""}):
        assert client.post("/logout", headers=headers).status_code == 403
    assert client.post("/logout", data={"csrf": "wrong"}).status_code == 403
    assert client.get("/api/v1/estate").status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": "http://evil.test"},
        {"Origin": "null"},
        {"Origin": "http://estate.test.evil.test"},
    ],
)
def test_a_change_from_another_site_is_refused_even_with_the_token(web, headers):
    client = web.signed_in("operator")
    assert client.post("/logout", headers={**web.csrf("operator"), **headers}).status_code == 403
    assert web.client().post("/login", data={"login": "operator"}, headers=headers).status_code == 403


@pytest.mark.parametrize("headers", [{"Sec-Fetch-Site": "same-origin", "Origin": "http://estate.test"}, {}])
def test_a_change_from_our_own_page_is_accepted(web, headers):
    client = web.signed_in("operator")
    assert client.post("/logout", headers={**web.csrf("operator"), **headers}).status_code == 303


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("/wall?room=1-101", "/wall?room=1-101"),
        ("//evil.test", "/"),
        ("/\\evil.test", "/"),
        ("https://evil.test", "/"),
        ("", "/"),
        ("/a\r\nSet-Cookie: x=1", "/"),
        ("/login?next=/", "/"),
    ],
)
def test_after_the_login_nobody_is_sent_to_another_site(target, expected):
    assert safe_next(target) == expected


@pytest.mark.parametrize(("role", "path"), [("resident", "/me"), ("kiosk", "/kiosk"), ("operator", "/today")])
def test_each_role_starts_at_its_own_page(web, role, path):
    client = web.signed_in(role)
    assert client.get("/").headers["location"] == path
    assert client.get("/login").status_code == 303


def test_a_page_for_signed_in_people_leads_to_the_login_and_back(web):
    answer = web.client().get("/wall")
    assert (answer.status_code, answer.headers["location"]) == (303, "/login?next=/wall")


def test_whose_session_has_ended_is_told_and_comes_back_to_the_page(web):
    client = web.signed_in("operator")
    client.cookies.set("estate645_language", "en")
    web.execute(schema.login_session.delete())
    wanted = "/login?next=/supply&ended=1"
    assert client.get("/supply").headers["location"] == wanted
    assert "nothing was changed" in client.get(wanted).text
    csrf = {"X-CSRF-Token": "gone"}
    stood = {"Referer": f"{ORIGIN}/supply?room=1-101"}
    back = "/login?next=/supply%3Froom%3D1-101&ended=1"
    assert client.post("/supply/stop", headers={**csrf, **stood}).headers["location"] == back
    part = {"HX-Request": "true", "HX-Current-URL": f"{ORIGIN}/supply"}
    assert client.get("/wall/tiles", headers=part).headers["hx-redirect"] == wanted
    elsewhere = {**csrf, "Referer": "http://evil.test/supply"}
    assert client.post("/supply/stop", headers=elsewhere).headers["location"] == "/login?next=/&ended=1"


def test_the_session_belongs_to_the_estate_of_the_person(web):
    web.signed_in("operator")
    assert [row["estate_id"] for row in web.rows(select(schema.login_session))] == [ESTATE]


def test_the_language_is_kept_in_a_cookie(web):
    client = web.client()
    answer = client.post("/language", data={"language": "en", "next": "/login"})
    assert (answer.status_code, answer.headers["location"]) == (303, "/login")
    assert 'lang="en"' in client.get("/login").text
    client.post("/language", data={"language": "zh_CN", "next": "/login"})
    assert 'lang="zh-CN"' in client.get("/login").text
    assert client.post("/language", data={"language": "tlh", "next": "/"}).status_code in (404, 422)
