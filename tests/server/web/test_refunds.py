"""Money back through pages and API: who may, what is shown, and that acting goes through the flows."""

import re

import pytest

from server.domain.ledger import SUSPENSE
from server.store import schema
from tests.server.web.conftest import ESTATE, MACHINE_MS, WORLD_S
from tests.server.web.test_callbacks import deliver, outcome

KEY = "key-00000001"


@pytest.fixture
def paid(web):
    """A payment of A1 over 50 yuan through the sandbox; its id."""
    client = web.signed_in("resident")
    order_no = client.post(
        "/api/v1/households/A1/orders", json={"amount_fen": 5000}, headers=web.csrf("resident")
    ).json()["order_no"]
    deliver(web, outcome(web, order_no))
    [row] = web.rows(schema.payment.select())
    return row["payment_id"]


@pytest.fixture
def lost(web):
    """A payment in suspense; its id."""
    deliver(web, outcome(web, "unknown", event_id="ev9", transaction_id="tx9"))
    return next(row["payment_id"] for row in web.rows(schema.payment.select()) if row["state"] == "suspense")


def second_operator(web):
    [row] = web.rows(schema.app_user.select().where(schema.app_user.c.login == "operator"))
    web.execute(schema.app_user.insert().values(**{**row, "user_id": "wang", "login": "wang"}))
    return web.signed_in("wang")


def balances(web):
    return {row["account_id"]: row["balance_fen"] for row in web.rows(schema.account.select())}


def refund(web, payment_id, amount_fen=2000, key=KEY):
    wish = {"amount_fen": amount_fen, "reason": "moved out", "key": key}
    path = f"/api/v1/payments/{payment_id}/refunds"
    return web.signed_in("operator").post(path, json=wish, headers=web.csrf("operator"))


def test_the_api_gives_money_back_once_a_key(web, paid):
    answers = [refund(web, paid) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [201, 201], answers[0].text
    assert answers[0].json() == answers[1].json()
    refund_no = answers[0].json()["refund_no"]
    client = web.signed_in("reader")
    one = client.get(f"/api/v1/refunds/{refund_no}").json()
    assert (one["status"], one["amount_fen"], one["account_id"], one["way"]) == ("reserved", 2000, "A1", "source")
    assert client.get("/api/v1/refunds?status=open").json()["items"] == [one]
    assert client.get("/api/v1/refunds?status=refunded").json() == {"items": [], "next_cursor": None}
    [row] = client.get("/api/v1/payments?q=A1").json()
    assert (row["payment_id"], row["returned_fen"], row["paid_ms"]) == (paid, 2000, MACHINE_MS)
    assert balances(web)["A1"] == 3000
    assert client.get("/api/v1/refunds/none").status_code == 404


def test_refunds_of_one_millisecond_come_once_each_over_all_pages(web, paid):
    ordered = [refund(web, paid, 100, f"{KEY}{number}").json()["refund_no"] for number in range(5)]
    assert {row["created_ms"] for row in web.rows(schema.refund.select())} == {MACHINE_MS}
    client, seen, cursor = web.signed_in("reader"), [], ""
    while cursor is not None:
        page = client.get("/api/v1/refunds", params={"limit": 2, "cursor": cursor}).json()
        seen += [row["refund_no"] for row in page["items"]]
        cursor = page["next_cursor"]
    assert seen == sorted(ordered, reverse=True)


def test_more_than_was_paid_is_refused_by_the_api(web, paid):
    answer = refund(web, paid, 5001)
    assert (answer.status_code, "5000 fen" in answer.json()["detail"]) == (422, True)


def test_what_needs_two_people_gets_an_approval_and_the_second_person_sends_its_hash(web, paid):
    web.execute(schema.estate.update().values(refund_alone_max_fen=100))
    asked = refund(web, paid).json()
    assert asked["refund_no"] == ""
    first, second = web.signed_in("operator"), second_operator(web)
    page = second.get("/payments").text
    [digest] = set(re.findall(r"SHA-256 ([0-9a-f]{64})", page))
    assert "¥20.00" in page
    assert digest not in second.get("/supply").text, "it is no act of supply"
    assert 'href="/payments"' in second.get("/today").text
    path = f"/refunds/approve/{asked['approval_id']}"
    for client, login, expected in ((first, "operator", 422), (second, "wang", 303)):
        fields = {"payload_sha256": digest, "csrf": web.csrf(login)["X-CSRF-Token"]}
        assert client.post(path, data=fields).status_code == expected
    [row] = web.rows(schema.refund.select())
    assert (row["actor"], row["approved_by"], row["amount_fen"]) == ("operator", "wang", 2000)


def test_a_callback_about_a_refund_settles_it(web, paid):
    refund_no = refund(web, paid).json()["refund_no"]
    web.execute(schema.refund.update().values(status="asked"))
    [row] = web.rows(schema.refund.select())
    body = outcome(
        web, row["order_no"], refund_no=refund_no, amount_fen=2000, result="done", event_id="rf1"
    )  # fmt: skip
    assert deliver(web, body).json()["result"] == "refunded"
    assert deliver(web, body).json()["result"] == "repeat"
    assert web.rows(schema.refund.select())[0]["status"] == "refunded"
    assert balances(web)["provider:sandbox"] == -3000


@pytest.mark.parametrize("language", ["zh_CN", "en"])
def test_the_pages_show_what_waits_and_what_went(web, paid, lost, language):
    client = web.signed_in("operator")
    client.cookies.set("estate645_language", language)
    refund(web, paid)
    page = client.get("/payments").text
    assert page.count(f'href="/payments/{paid}"') == 2
    assert f'href="/payments/{lost}"' in page
    assert {"zh_CN": "挂账待查", "en": "Money in suspense"}[language] in page
    one = client.get(f"/payments/{paid}").text
    assert f'action="/payments/{paid}/refund"' in one
    assert 'value="30.00"' in one
    other = client.get(f"/payments/{lost}").text
    assert f'action="/payments/{lost}/assign"' in other
    assert client.get("/payments?q=1-101").text.count(f'href="/payments/{paid}"') == 2
    assert client.get("/payments/none").status_code == 404


def test_who_can_do_nothing_about_a_payment_sees_no_empty_column_beside_it(web, paid):
    def columns(login):
        page = web.signed_in(login).get(f"/payments/{paid}").text
        return page[page.index('<div class="cols cas">') :]

    assert "<div></div>" in columns("cashier")
    assert "<div></div>" not in columns("operator")


def test_the_page_gives_money_back_and_assigns_it(web, paid, lost):
    client, token = web.signed_in("operator"), {"csrf": web.csrf("operator")["X-CSRF-Token"]}
    fields = {"amount": "12.50", "reason": "moved out", "key": KEY, **token}
    for _ in range(2):
        assert client.post(f"/payments/{paid}/refund", data=fields).headers["location"] == f"/payments/{paid}"
    assert balances(web)["A1"] == 3750
    fields = {"room": "1-102", "reason": "bank slip", **token}
    assert client.post(f"/payments/{lost}/assign", data=fields).status_code == 303
    assert (balances(web)["A2"], balances(web)[SUSPENSE]) == (5000, 0)
    assert client.post(f"/payments/{lost}/assign", data={**fields, "room": "9-999"}).status_code == 404


def test_a_refund_without_an_answer_is_decided_on_the_page(web, paid):
    refund_no = refund(web, paid).json()["refund_no"]
    client, token = web.signed_in("operator"), {"csrf": web.csrf("operator")["X-CSRF-Token"]}
    form = f'action="/refunds/{refund_no}/decide"'
    assert form not in client.get("/payments").text
    web.execute(schema.refund.update().values(status="asked", tries=3, detail="no answer"))
    assert form in client.get("/payments").text
    fields = {"outcome": "released", "reason": "the platform shows none", **token}
    assert client.post(f"/refunds/{refund_no}/decide", data=fields).status_code == 303
    assert balances(web)["A1"] == 3000, "one person decides nothing"
    page = client.get("/payments").text
    assert form not in page
    wish = {"refunded": True, "reason": "again"}
    again = client.post(f"/api/v1/refunds/{refund_no}/decide", json=wish, headers=web.csrf("operator"))
    assert again.status_code == 409
    [row] = web.rows(schema.approval.select())
    assert row["payload_sha256"] in page
    other, path = second_operator(web), f"/refunds/approve/{row['approval_id']}"
    for who, login, expected in ((client, "operator", 422), (other, "wang", 303)):
        agreed = {"payload_sha256": row["payload_sha256"], "csrf": web.csrf(login)["X-CSRF-Token"]}
        assert who.post(path, data=agreed).status_code == expected
    assert balances(web)["A1"] == 5000
    again = client.post(f"/api/v1/refunds/{refund_no}/decide", json=wish, headers=web.csrf("operator"))
    assert again.status_code == 409


def test_money_of_a_provider_that_is_not_set_up_is_not_promised_back(web, paid):
    web.execute(schema.payment.update().values(provider="wechat"))
    answer = refund(web, paid)
    assert (answer.status_code, "not set up" in answer.json()["detail"]) == (422, True)
    assert web.rows(schema.refund.select()) == []


def test_a_cashier_reverses_the_last_sale_at_the_counter(web):
    client = web.signed_in("cashier")
    client.cookies.set("estate645_language", "en")
    sale = {"account_id": "A1", "amount_fen": 3000, "sale_id": "sale-0001"}
    order_no = client.post("/api/v1/counter/sales", json=sale, headers=web.csrf("cashier")).json()["order_no"]
    page = client.get(f"/counter?sold={order_no}").text
    assert f'action="/counter/{order_no}/reverse"' in page
    fields = {"reason": "wrong room", "csrf": web.csrf("cashier")["X-CSRF-Token"]}
    assert client.post(f"/counter/{order_no}/reverse", data=fields).headers["location"] == "/counter"
    page = client.get(f"/counter?sold={order_no}").text
    assert "¥30.00 given back" in page
    assert "reverse-dialog" not in page
    assert "cash today ¥0.00" in page
    answer = client.post(
        f"/api/v1/counter/sales/{order_no}/reverse", json={"reason": "again"}, headers=web.csrf("cashier")
    )
    assert answer.json()["refund_no"] == web.rows(schema.refund.select())[0]["refund_no"]


def test_the_api_assigns_money_in_suspense(web, lost):
    client = web.signed_in("operator")
    assert [row["payment_id"] for row in client.get("/api/v1/suspense").json()] == [lost]
    wish = {"account_id": "A2", "reason": "bank slip"}
    answer = client.post(f"/api/v1/suspense/{lost}/assign", json=wish, headers=web.csrf("operator"))
    given = answer.json()
    assert (given["balance_fen"], given["approval_id"]) == (5000, "")
    assert client.get("/api/v1/suspense").json() == []
    page = client.get(f"/receipts/A2/{lost}").text
    assert f" {given['batch_seq']} " in page
    assert "50.00" in page
    assert client.get(f"/receipts/A2/{lost}.pdf").content.startswith(b"%PDF")
    days = client.get("/api/v1/statistics/topups").json()["by_day"]
    assert [(one["count"], one["amount_fen"]) for one in days if one["provider"] == "suspense"] == [(1, 5000)]
    client.cookies.set("estate645_language", "en")
    assert "Out of suspense</th>" in client.get("/statistics").text


@pytest.mark.parametrize("language", ["zh_CN", "en"])
def test_money_in_suspense_beyond_the_limit_waits_on_the_page_for_a_second_person(web, lost, language):
    web.execute(schema.estate.update().values(adjust_alone_fen=4999))
    client = web.signed_in("operator")
    client.cookies.set("estate645_language", language)
    fields = {"room": "1-102", "reason": "bank slip", "csrf": web.csrf("operator")["X-CSRF-Token"]}
    answer = client.post(f"/payments/{lost}/assign", data=fields)
    assert (answer.status_code, answer.headers["location"]) == (303, f"/payments/{lost}?asked=1")
    page = client.get(f"/payments/{lost}").text
    assert f'action="/payments/{lost}/assign"' not in page, "it waits"
    waiting = client.get("/payments").text
    assert {"zh_CN": "挂账款项认领到住户", "en": "Give money in suspense to a household"}[language] in waiting
    assert {"zh_CN": "挂账认领", "en": "Money in suspense for a household"}[language] in client.get("/today").text
    [row] = web.rows(schema.approval.select())
    second = second_operator(web)
    token = re.search(r'name="csrf" value="([^"]+)"', second.get("/payments").text).group(1)
    agreed = {"csrf": token, "payload_sha256": row["payload_sha256"]}
    assert second.post(f"/refunds/approve/{row['approval_id']}", data=agreed).status_code == 303
    assert balances(web)["A2"] == 5000
    assert f"/receipts/A2/{lost}" in client.get(f"/payments/{lost}").text


def test_money_in_suspense_is_a_thing_to_do(web, lost):
    client = web.signed_in("operator")
    client.cookies.set("estate645_language", "en")
    assert "¥50.00 is in suspense" in client.get("/today").text
    web.execute(schema.account.update().where(schema.account.c.account_id == SUSPENSE).values(balance_fen=0))
    assert "is in suspense" not in client.get("/today").text


@pytest.mark.parametrize("kind", ["refund_open", "refund_unknown", "refund_contradicted"])
def test_a_case_about_a_refund_says_what_to_do(web, kind):
    web.execute(
        schema.anomaly_case.insert().values(
            estate_id=ESTATE, case_id="C9", kind=kind, subject="f" * 32, severity="high",
            evidence='{"amount_fen": 2000, "provider": "sandbox", "state": "done"}', opened_at=WORLD_S,
            opened_ms=MACHINE_MS,
        )
    )  # fmt: skip
    client = web.signed_in("operator")
    client.cookies.set("estate645_language", "en")
    page = client.get("/cases/C9").text
    assert "¥20.00" in page
    assert "f" * 32 in page
    assert "on site" not in page
    assert "f" * 32 in client.get("/cases").text
