"""Shared costs and debts at the console, by API, and as the household sees them before and after it pays."""

import pytest

from server.errors import Refused
from server.flows import settlement
from server.flows.fees import post_fee
from server.store import schema
from server.web.operator.shared import areas_typed, price_nf
from tests.server.web.conftest import ESTATE

DAYS = 86_400
MONTH = "2026-10"
COST = {"period": MONTH, "subject": "楼道 & 电梯", "basis": "area", "amount_fen": 10_000}


@pytest.fixture
def october(web):
    """October is closed, in November."""
    web.clock.move(20 * DAYS)
    now = web.clock.now()

    def unit_of(unit):
        drafted = settlement.draft(unit.connection, ESTATE, "month", MONTH, now)
        settlement.close(unit, ESTATE, drafted, actor="li", now=now)

    web.state.writer.run(unit_of)
    return web


def owe(web, amount_fen=30_000):
    now = web.clock.now()
    web.state.writer.run(
        lambda unit: post_fee(
            unit, ESTATE, "A1", "arrears", amount_fen, idem_key=f"old{amount_fen}", event_at=now.world_s, actor="c",
            memo="", now=now,
        )
    )  # fmt: skip


def test_the_console_shares_a_cost_after_a_preview_and_takes_it_back(october):
    web = october
    operator, headers = web.signed_in("operator"), web.csrf("operator")
    operator.cookies.set("estate645_language", "en")
    form = {"period": MONTH, "subject": "stairs", "basis": "area", "source": "amount", "amount": "100"}
    page = operator.post("/shared/draft", data=form, headers=headers).text
    assert "It cannot be shared like this." in page
    assert "1-101" in page  # its area is not known
    lines = "1-101 88.5\n\n1-102\t29.5\n"
    assert operator.post("/shared/areas", data={"lines": lines}, headers=headers).status_code == 303
    assert [row["area_cm2"] for row in web.rows(schema.room.select())] == [885_000, 295_000]
    page = operator.post("/shared/draft", data=form, headers=headers).text
    assert "Post ¥100.00 to the shared ledgers" in page
    assert "88.50 m²" in page
    assert web.rows(schema.allocation.select()) == []
    posted = operator.post("/shared", data=form, headers=headers)
    assert operator.post("/shared", data=form, headers=headers).headers["location"] == posted.headers["location"]
    cost = operator.get(posted.headers["location"]).text
    assert "¥100.00 × 88.50 m² ÷ 118.00 m² = ¥75.00" in cost
    path = posted.headers["location"] + "/reverse"
    assert operator.post(path, data={"reason": ""}, headers=headers).status_code == 422
    assert operator.post(path, data={"reason": "wrong month"}, headers=headers).status_code == 303
    assert "wrong month" in operator.get(posted.headers["location"]).text
    assert {row["amount_fen"] for row in web.rows(schema.line.select())} == {10_000, -7500, -2500, -10_000, 7500, 2500}


@pytest.mark.parametrize("text", ["1-101", "1-101 -5", "1-101 1e3", "1-101 88.555", "88.5"])
def test_a_line_that_is_no_area_is_named(text):
    with pytest.raises(Refused, match="line 2"):
        areas_typed(f"1-101 5\n{text}")


def test_prices_are_typed_exactly():
    assert price_nf("0.58886875") == 58_886_875
    assert price_nf("1") == 100_000_000
    for text in ("", "0.588868755", "-1", "1,5"):
        with pytest.raises(Refused):
            price_nf(text)


def test_the_api_shares_once_and_tells_each_household_its_formula(october):
    web = october
    operator, headers = web.signed_in("operator"), web.csrf("operator")
    areas = {"area_cm2": {"1-101": 885_000, "1-102": 295_000}}
    assert operator.request("PUT", "/api/v1/rooms/areas", json=areas, headers=headers).status_code == 204
    draft = operator.post("/api/v1/allocations/draft", json=COST, headers=headers).json()
    assert [(one["account_id"], one["amount_fen"]) for one in draft["shares"]] == [("A1", 7500), ("A2", 2500)]
    first = operator.post("/api/v1/allocations", json=COST, headers=headers)
    again = operator.post("/api/v1/allocations", json=COST, headers=headers).json()
    assert (first.status_code, again["repeated"], again["batch_seq"]) == (201, True, first.json()["batch_seq"])
    other = operator.post("/api/v1/allocations", json={**COST, "amount_fen": 1}, headers=headers)
    assert other.status_code == 409
    path = f"/api/v1/allocations/{first.json()['allocation_id']}"
    assert operator.get(path).json()["formula"] == {"accounts": 2, "weight_total": 1_180_000}
    assert sum(one["amount_fen"] for one in operator.get(f"{path}/shares").json()["items"]) == 10_000
    resident = web.signed_in("resident")
    [own] = resident.get("/api/v1/households/A1/shares").json()
    assert (own["share_fen"], own["weight"], own["weight_total"]) == (7500, 885_000, 1_180_000)
    assert resident.get("/api/v1/households/A2/shares").status_code == 404
    bills = resident.get("/me/bills").text
    assert "楼道 &amp; 电梯" in bills
    assert "¥100.00 × 88.50 m² ÷ 118.00 m² = ¥75.00" in bills
    assert operator.post(f"{path}/reverse", json={"reason": "x"}, headers=headers).status_code == 200


@pytest.mark.parametrize("role", ["admin", "cashier", "reader", "resident"])
def test_only_operators_share_costs_and_rule_debts(october, role):
    client, headers = october.signed_in(role), october.csrf(role)
    for path, body in (("/api/v1/allocations", COST), ("/api/v1/recovery-rules", {"permille": 1}),
                       ("/api/v1/allocations/draft", COST)):  # fmt: skip
        assert client.post(path, json=body, headers=headers).status_code == 403


def test_a_share_of_each_top_up_goes_to_debts_and_is_said_before_and_after(web):
    owe(web)
    operator, headers = web.signed_in("operator"), web.csrf("operator")
    resident = web.signed_in("resident")
    resident.cookies.set("estate645_language", "en")
    assert "data-debts" not in resident.get("/me").text
    rule = {"percent": "20", "first": "arrears", "second": "shared", "third": "", "split": "order"}
    assert operator.post("/debts/rule", data=rule, headers=headers).status_code == 303
    assert "20 % of each top-up" in _english(operator).get("/debts").text
    home = resident.get("/me").text
    assert 'data-permille="200" data-owed="30000"' in home
    assert "20 % of each top-up goes to debts of ¥300.00" in home
    foreseen = resident.get("/api/v1/households/A1/recovery?amount_fen=10000").json()
    assert (foreseen["debts_fen"], foreseen["electricity_fen"]) == ({"arrears": 2000}, 8000)
    counter = _english(web.signed_in("cashier"))
    assert "goes to debts" in counter.get("/counter?room=1-101").text
    sold = counter.post(
        "/counter", data={"account_id": "A1", "amount": "100", "sale_key": "12345678"}, headers=web.csrf("cashier")
    )
    slip = counter.get(sold.headers["location"]).text
    assert "of it to Arrears" in slip
    assert "¥20.00" in slip
    payment_id = web.rows(schema.payment.select())[0]["payment_id"]
    receipt = resident.get(f"/receipts/A1/{payment_id}").text
    for words in ("of it to Arrears", "¥20.00", "of it for electricity", "¥80.00"):
        assert words in receipt
    assert "of which ¥20.00 went to debts" in resident.get("/me").text
    assert "¥20.00 of it went to debts" in resident.get(f"/pay/{sold.headers['location'].partition('=')[2]}").text


def _english(client):
    client.cookies.set("estate645_language", "en")
    return client


def test_the_kiosk_says_that_debts_get_a_part_but_not_whose(web):
    kiosk = _english(web.signed_in("kiosk"))
    assert "has debts" not in kiosk.get("/kiosk/amount?room=1-101").text
    operator = web.signed_in("operator")
    operator.post("/api/v1/recovery-rules", json={"permille": 100}, headers=web.csrf("operator"))
    for room in ("1-101", "9-999"):  # the same for rooms with and without debts, or none at all
        assert "If this household has debts" in kiosk.get(f"/kiosk/amount?room={room}").text


def test_debts_are_listed_and_rules_are_dated(web):
    owe(web, 12_000)
    operator, headers = web.signed_in("operator"), web.csrf("operator")
    assert "120.00" in operator.get("/debts").text
    begin = web.clock.now().world_s + 3600
    rule = {"permille": 125, "ledgers": ["property", "arrears"], "split": "pro_rata", "valid_from": begin}
    assert operator.post("/api/v1/recovery-rules", json=rule, headers=headers).json() == {"rule_no": 1}
    [known] = operator.get("/api/v1/recovery-rules").json()
    assert (known["ledgers"], known["valid_from"]) == (["property", "arrears"], begin)
    past = {**rule, "valid_from": begin - 7200}
    assert operator.post("/api/v1/recovery-rules", json=past, headers=headers).status_code == 422
    wrong = {"percent": "20", "first": "electricity", "split": "order"}
    assert operator.post("/debts/rule", data=wrong, headers=headers).status_code == 422
