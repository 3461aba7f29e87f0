"""The password once more: which acts want it, how pages carry on, what the API says, and that wrong ones count."""

import re

import pytest

from server.store import schema
from tests.server.web.browsing import ORIGIN, PASSWORD
from tests.server.web.test_refunds import KEY, balances, paid, refund, second_operator

STALE_S = 601
__all__ = ["paid"]


def post(web, client, path, login="operator", **fields):
    return client.post(path, data={**fields, "csrf": web.csrf(login)["X-CSRF-Token"]})


def hidden(page):
    return dict(re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)">', page))


@pytest.mark.parametrize("language", ["zh_CN", "en"])
def test_a_stale_page_asks_for_the_password_and_then_does_what_was_asked(web, paid, language):
    client = web.signed_in("operator")
    client.cookies.set("estate645_language", language)
    web.clock.move(STALE_S)
    fields = {"amount": "12.50", "reason": 'moved "out" & away', "key": KEY}
    asked = post(web, client, f"/payments/{paid}/refund", **fields)
    assert (asked.status_code, balances(web)["A1"]) == (403, 5000)
    assert {"zh_CN": "再输一次密码", "en": "Your password once more"}[language] in asked.text
    assert f'action="/payments/{paid}/refund"' in asked.text
    carried = hidden(asked.text)
    assert {"amount", "reason", "key", "csrf"} <= carried.keys()
    wrong = client.post(f"/payments/{paid}/refund", data={**carried, "confirm_password": "wrong"})
    assert (wrong.status_code, balances(web)["A1"]) == (403, 5000)
    assert 'role="alert"' in wrong.text
    assert "confirm_password" not in hidden(wrong.text)
    done = client.post(f"/payments/{paid}/refund", data={**carried, "confirm_password": PASSWORD})
    assert (done.status_code, balances(web)["A1"]) == (303, 3750)
    web.clock.move(300)
    again = post(web, client, f"/payments/{paid}/refund", amount="1.00", reason="more", key="key-00000002")
    assert (again.status_code, balances(web)["A1"]) == (303, 3650), "the password counts for a while"


def back_of(page):
    return re.search(r'<a[^>]* href="([^"]*)" data-back>', page).group(1)


def test_the_way_back_from_the_password_is_the_page_of_the_form_without_scripts_too(web, paid):
    client = web.signed_in("operator")
    web.clock.move(STALE_S)
    act, page = f"/payments/{paid}/refund", f"/payments/{paid}?asked=1"
    fields = {"amount": "12.50", "reason": "moved out", "key": KEY, "csrf": web.csrf("operator")["X-CSRF-Token"]}
    asked = client.post(act, data=fields, headers={"Referer": f"{ORIGIN}{page}"})
    assert back_of(asked.text) == page
    there = {"Referer": f"{ORIGIN}{act}"}  # the password page stands at the address of the act, where nothing is to see
    wrong = client.post(act, data={**hidden(asked.text), "confirm_password": "wrong"}, headers=there)
    assert back_of(wrong.text) == page
    refused = {**hidden(wrong.text), "amount": "9999", "confirm_password": PASSWORD}
    refusal = client.post(act, data=refused, headers=there)
    assert (refusal.status_code, back_of(refusal.text)) == (422, page)


@pytest.mark.parametrize(
    "elsewhere", ["https://evil.test/x", "//evil.test/x", r"/\evil.test/x", "javascript:alert(1)", "x", ""]
)
def test_the_way_back_never_leads_elsewhere(web, paid, elsewhere):
    client = web.signed_in("operator")
    web.clock.move(STALE_S)
    fields = {"amount": "1.00", "reason": "x", "key": KEY, "confirm_back": elsewhere}
    assert back_of(post(web, client, f"/payments/{paid}/refund", **fields).text) == "/"


def test_wrong_passwords_in_a_session_count_as_at_the_login(web, paid):
    client = web.signed_in("operator")
    web.clock.move(STALE_S)
    fields = {"amount": "1.00", "reason": "x", "key": KEY}
    for _ in range(5):
        assert post(web, client, f"/payments/{paid}/refund", **fields, confirm_password="wrong").status_code == 403
    locked = post(web, client, f"/payments/{paid}/refund", **fields, confirm_password=PASSWORD)
    assert (locked.status_code, balances(web)["A1"]) == (403, 5000)


def test_the_api_says_what_is_missing_and_takes_the_password(web, paid):
    client = web.signed_in("operator")
    web.clock.move(STALE_S)
    wish, path = {"amount_fen": 100, "reason": "moved out", "key": KEY}, f"/api/v1/payments/{paid}/refunds"
    answer = client.post(path, json=wish, headers=web.csrf("operator"))
    assert (answer.status_code, answer.json()["reason"]) == (403, "stale_login")
    assert answer.json()["confirm"] == "/api/v1/session/confirm"
    for password, status in (("wrong", 403), (PASSWORD, 204)):
        given = client.post(answer.json()["confirm"], json={"password": password}, headers=web.csrf("operator"))
        assert given.status_code == status
    assert client.post(path, json=wish, headers=web.csrf("operator")).status_code == 201


def test_a_sale_is_reversed_and_a_tariff_published_only_with_a_fresh_password(web):
    cashier, operator = web.signed_in("cashier"), web.signed_in("operator")
    sale = {"account_id": "A1", "amount_fen": 3000, "sale_id": "sale-0001"}
    order_no = cashier.post("/api/v1/counter/sales", json=sale, headers=web.csrf("cashier")).json()["order_no"]
    web.clock.move(STALE_S)
    for client, login, path in (
        (cashier, "cashier", f"/counter/{order_no}/reverse"), (operator, "operator", "/tariffs/drafts/d1/publish"),
        (operator, "operator", "/tariffs/rerates"),
    ):  # fmt: skip
        fields = {"reason": "r", "document": "d", "begin": "2026-10-13T08:00", "until": "2026-10-13T09:00"}
        assert "confirm_password" in post(web, client, path, login, **fields).text
    for client, login, path in (
        (cashier, "cashier", f"/api/v1/counter/sales/{order_no}/reverse"),
        (operator, "operator", "/api/v1/tariffs/drafts/d1/publish"),
        (operator, "operator", "/api/v1/tariffs/rerates"),
    ):
        wish = {"reason": "wrong room", "document": "d", "from_at": 1, "until_at": 2}
        wish = wish if path.endswith("rerates") else {"reason": "wrong room"}
        answer = client.post(path, json=wish, headers=web.csrf(login))
        assert (answer.status_code, answer.json().get("reason")) == (403, "stale_login")
    assert balances(web)["A1"] == 3000


def test_an_adjustment_wants_a_fresh_password_only_beyond_the_limit(web):
    web.execute(schema.estate.update().values(adjust_alone_fen=1000))
    client = web.signed_in("operator")
    web.clock.move(STALE_S)
    fields = {"direction": "give", "reason": "goodwill", "ledger": "electricity"}
    small = post(web, client, "/accounts/A1/adjust", amount="5", key="key-0001", **fields)
    assert (small.status_code, balances(web)["A1"]) == (303, 500)
    large = post(web, client, "/accounts/A1/adjust", amount="50", key="key-0002", **fields)
    assert (large.status_code, web.rows(schema.approval.select())) == (403, [])
    done = client.post("/accounts/A1/adjust", data={**hidden(large.text), "confirm_password": PASSWORD})
    assert done.status_code == 303
    [row] = web.rows(schema.approval.select())
    other = second_operator(web)
    web.clock.move(STALE_S)
    path = f"/supply/approve/{row['approval_id']}"
    agreed = post(web, other, path, "wang", payload_sha256=row["payload_sha256"])
    assert (agreed.status_code, balances(web)["A1"]) == (403, 500), "who agrees gives the password too"
    done = client_post(other, path, agreed)
    assert (done.status_code, balances(web)["A1"]) == (303, 5500)


def client_post(client, path, page):
    return client.post(path, data={**hidden(page.text), "confirm_password": PASSWORD})


def test_a_key_of_the_api_needs_no_password(web, paid):
    [row] = web.rows(schema.api_client.select())
    web.execute(schema.api_client.update().values(scopes="refund.order"))
    key = {"Authorization": f"Bearer {row['client_id']}:{row['secret']}"}
    web.clock.move(STALE_S)
    wish = {"amount_fen": 100, "reason": "moved out", "key": KEY}
    assert web.client().post(f"/api/v1/payments/{paid}/refunds", json=wish, headers=key).status_code == 201
    assert refund(web, paid, 100, key="key-00000009").status_code == 201, "who has just signed in is fresh"
