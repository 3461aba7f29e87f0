"""Reconciliation through page and API: files in, differences out, settled by who may."""

import json

import pytest

from server.domain.reconciliation import bounds_ms, day_of
from server.domain.verification_bookings import KINDS, OF_CHARGES, WITHOUT_LINES
from server.store import schema
from server.web.words import LEDGER
from tests.server.web.conftest import MACHINE_MS
from tests.server.web.test_callbacks import deliver, outcome

DAY = day_of(MACHINE_MS)


def row(**changes):
    one = {
        "kind": "payment", "order_no": "o1", "transaction_id": "tx9", "amount_fen": 5000, "state": "done",
        "at_ms": MACHINE_MS,
    }  # fmt: skip
    return {**one, **changes}


def load(web, *listed, day=DAY, provider="sandbox", role="operator"):
    content = json.dumps({"rows": listed}).encode()
    client = web.signed_in(role)
    headers = {**web.csrf(role), "Content-Type": "application/json"}
    return client.post(f"/api/v1/reconciliation/{provider}/{day}", content=content, headers=headers)


def signed_in(web, role="operator"):
    client = web.signed_in(role)
    client.cookies.set("estate645_language", "en")
    return client, {"csrf": web.csrf(role)["X-CSRF-Token"]}


def test_the_api_loads_a_file_once_and_lists_what_differs(web):
    first, again = load(web, row()), load(web, row())
    assert (first.status_code, first.json()["differences"], first.json()["repeated"]) == (201, 1, False), first.text
    assert again.json() == {**first.json(), "repeated": True}
    client = web.signed_in("reader")
    [file] = client.get("/api/v1/reconciliation/files").json()
    assert (file["day"], file["provider"], file["rows"], file["paid_fen"]) == (DAY, "sandbox", 1, 5000)
    [one] = client.get("/api/v1/reconciliation/differences").json()
    assert one["action"].startswith("ask the provider")
    assert (one["kind"], one["owner"], one["key"], one["here_fen"], one["there_fen"]) == (
        "missing_here", "operator", "tx9", None, 5000,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "status"),
    [({"day": "yesterday"}, 422), ({"day": "2020-01-01"}, 422), ({"provider": "nobody"}, 404)],
)
def test_a_file_of_nobody_or_of_no_day_is_refused(web, changes, status):
    assert load(web, row(), **changes).status_code == status
    assert web.rows(schema.bill_file.select()) == []


def test_a_payment_that_is_missing_here_is_booked_from_the_page(web):
    client = web.signed_in("resident")
    order_no = client.post(
        "/api/v1/households/A1/orders", json={"amount_fen": 5000}, headers=web.csrf("resident")
    ).json()["order_no"]
    load(web, row(order_no=order_no))
    client, token = signed_in(web)
    page = client.get("/reconciliation").text
    [case] = web.rows(schema.anomaly_case.select())
    assert f'formaction="/reconciliation/{case["case_id"]}/take-in"' in page
    assert "missing here" in page
    assert (
        client.post(f"/reconciliation/{case['case_id']}/take-in", data={"note": "seen there", **token}).status_code
        == 303
    )
    [account] = web.rows(schema.account.select().where(schema.account.c.account_id == "A1"))
    assert account["balance_fen"] == 5000
    assert "No difference waits" in client.get("/reconciliation").text
    assert "explained" in client.get("/reconciliation?status=all").text


def test_a_difference_is_settled_with_what_was_done(web):
    deliver(web, outcome(web, "unknown"))
    web.execute(schema.payment.update().values(paid_ms=MACHINE_MS))
    load(web)
    client, token = signed_in(web)
    headers = {"X-CSRF-Token": token["csrf"]}
    [case] = web.rows(schema.anomaly_case.select())
    page = client.get("/reconciliation").text
    assert "missing there" in page
    assert "/take-in" not in page
    assert "Settle it on the page of the reconciliation" in client.get(f"/cases/{case['case_id']}").text
    path = f"/api/v1/reconciliation/differences/{case['case_id']}"
    answer = client.post(f"{path}/take-in", json={"note": "x"}, headers=headers)
    assert answer.status_code == 422
    assert client.post(f"{path}/settle", json={"note": "taken back"}, headers=headers).status_code == 204
    assert client.post(f"{path}/settle", json={"note": "again"}, headers=headers).status_code == 409
    assert "taken back" in client.get("/reconciliation?status=all").text


def test_a_person_uploads_a_file_by_the_page(web):
    client, token = signed_in(web)
    file = {"file": ("bill.json", json.dumps({"rows": [row()]}).encode())}
    data = {"provider": "sandbox", "day": DAY, **token}
    assert client.post("/reconciliation", data=data, files=file).headers["location"] == "/reconciliation"
    page = client.get("/reconciliation").text
    assert "50.00" in page
    assert web.rows(schema.bill_file.select())[0]["actor"] == "operator"


def test_a_large_file_gets_in_only_with_a_session(web):
    client, _ = signed_in(web)
    start_ms, _ = bounds_ms(DAY)
    many = [row(transaction_id=f"t{n}", at_ms=start_ms + n) for n in range(1500)]
    assert len(json.dumps({"rows": many})) > 64 * 1024
    assert load(web, *many).status_code == 201
    path, content = f"/api/v1/reconciliation/sandbox/{DAY}", b"x" * 65_537
    assert web.client().post(path, content=content).status_code == 413
    assert client.post("/api/v1/counter/sales", content=content).status_code == 413
    assert client.post(path, content=b"x" * (4 * 1024 * 1024 + 1)).status_code == 413


def test_a_day_whose_file_is_missing_is_named(web):
    deliver(web, outcome(web, "unknown"))
    web.clock.move(2 * 86_400)
    assert "Missing:" in signed_in(web)[0].get("/reconciliation").text
    web.clock.move(18 * 86_400)
    named = signed_in(web)[0].get("/reconciliation").text.partition("Missing:")[2].partition("</p>")[0]
    assert named.count(",") >= 17, "also those that are not fetched any more"


def test_what_a_person_is_told_of_a_difference_has_words(web):
    """A state of ours is in the page's language, and nobody is told to book a refund that cannot be booked."""
    client = web.signed_in("resident")
    order_no = client.post(
        "/api/v1/households/A1/orders", json={"amount_fen": 5000}, headers=web.csrf("resident")
    ).json()["order_no"]
    load(web, row(order_no=order_no))
    client, token = signed_in(web)
    [case] = web.rows(schema.anomaly_case.select())
    client.post(f"/reconciliation/{case['case_id']}/take-in", data={"note": "seen there", **token})
    load(web, row(order_no=order_no, amount_fen=5001), row(order_no=order_no, kind="refund", refund_no="r1"))
    cases = {
        json.loads(one["evidence"])["class"]: one["case_id"]
        for one in web.rows(schema.anomaly_case.select().where(schema.anomaly_case.c.status != "closed"))
    }
    page = client.get("/reconciliation").text
    assert "Ask the provider who gave it back" in page
    assert "book it if the money is there" not in page
    client.cookies.set("estate645_language", "zh_CN")
    shown = client.get(f"/cases/{cases['amount']}").text
    assert "<span>done</span>" not in shown
    assert shown.count("<span>已完成</span>") == 2


def test_every_booking_of_a_closed_period_has_words():
    assert (KINDS | OF_CHARGES) - set(WITHOUT_LINES) - set(LEDGER) == set()
