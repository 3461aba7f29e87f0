"""Isolation on the pages and at the API: asked by one, agreed by another, listed, told to the household, given back."""

import pytest

from server.store import schema
from tests.server.web.conftest import ESTATE, MACHINE_MS, WORLD_S

METER, FOUND = "000000000001", "a burnt neutral"
SAID = {
    ("en", "safety"): ("Switched off for your safety", "Call the office: 0571-1."),
    ("en", "tamper"): ("the meter or its wires were tampered with", "Call the office: 0571-1."),
    ("zh_CN", "safety"): ("为安全起见已断电", "请致电物业：0571-1。"),
    ("zh_CN", "tamper"): ("电表或接线被人动过", "请致电物业：0571-1。"),
}


@pytest.fixture
def two(web):
    """Two operators of an armed estate, whose first meter was just read."""
    web.execute(schema.estate.update().values(mode="armed", phone="0571-1"))
    web.execute(schema.meter_live.update().values(status3=0, status3_at=WORLD_S))
    [own] = web.rows(schema.app_user.select().where(schema.app_user.c.login == "operator"))
    other = {**own, "user_id": "second", "login": "second"}
    web.execute(schema.app_user.insert().values(**other))
    return web, web.signed_in("operator"), web.signed_in("second")


def waiting(web):
    return web.rows(schema.approval.select().where(schema.approval.c.status == "waiting"))[0]


def agree(web, person):
    row = waiting(web)
    path, form = f"/supply/approve/{row['approval_id']}", {"payload_sha256": row["payload_sha256"]}
    reply = person.post(path, data=form, headers=web.csrf("second"))
    assert reply.status_code == 303, reply.text


def isolate(web, one, other, cause="safety", **more):
    form = {"cause": cause, "reason": FOUND, **more}
    reply = one.post("/households/A1/isolate", data=form, headers=web.csrf("operator"))
    assert (reply.status_code, reply.headers["location"]) == (303, "/supply#approvals")
    agree(web, other)


def opened(web):
    where = schema.supply.c.meter_id == METER
    web.execute(schema.supply.update().where(where).values(relay="open", command="confirmed", relay_at=WORLD_S))


def relay(web):
    return web.rows(schema.supply.select().where(schema.supply.c.meter_id == METER))[0]


def test_one_asks_another_agrees_and_the_pages_say_so(two):
    web, one, other = two
    for person in (one, other):
        person.cookies.set("estate645_language", "en")
    assert "Open for safety…" in one.get("/households/A1").text
    isolate(web, one, other)
    assert (relay(web)["desired"], relay(web)["cause"]) == ("open", "safety")
    opened(web)
    for page in ("/supply", "/households/A1", "/drawer/A1"):
        assert FOUND in one.get(page).text, page
    page = one.get("/households/A1").text
    assert "Only two people give the power back." in page
    assert "Close relay…" not in page
    refused = one.post("/households/A1/close", data={"reason": "now"}, headers=web.csrf("operator"))
    assert refused.status_code == 422
    assert "opened for safety: two people give its power back" in refused.text
    form = {"reason": "renewed"}
    assert one.post("/households/A1/release", data=form, headers=web.csrf("operator")).status_code == 303
    assert "Give the power back" in other.get("/supply").text
    agree(web, other)
    assert relay(web)["desired"] == "closed"
    assert "Only two people give the power back." not in one.get("/households/A1").text


def test_a_refusal_names_the_check_in_words(two):
    web, one, _ = two
    web.execute(schema.estate.update().values(stopped=1))
    one.cookies.set("estate645_language", "zh_CN")
    form = {"cause": "safety", "reason": FOUND}
    refused = one.post("/households/A1/isolate", data=form, headers=web.csrf("operator"))
    assert refused.status_code == 422
    assert "现在不能从这里断开此表：已停止一切停电" in refused.text


@pytest.mark.parametrize("language", ["en", "zh_CN"])
@pytest.mark.parametrize("cause", ["safety", "tamper"])
def test_the_resident_is_told_why_and_whom_to_call_and_nothing_of_paying(two, language, cause):
    web, one, other = two
    web.execute(schema.estate.update().values(protected_from_min=0, protected_to_min=0))
    isolate(web, one, other, cause)
    opened(web)
    web.execute(schema.account.update().values(level=2))
    owed = {"notice_id": "n1", "account_id": "A1", "channel": "page", "kind": "alarm2", "arguments": "{}"}
    web.execute(schema.notice.insert().values(estate_id=ESTATE, event_at=WORLD_S, created_ms=MACHINE_MS, **owed))
    resident = web.signed_in("resident")
    resident.cookies.set("estate645_language", language)
    for page in ("/me", "/me/help"):
        text = resident.get(page).text
        assert all(words in text for words in SAID[language, cause]), page
        for never in ("/me/pay", "Pay now", "立即支付", "hold the meter", "button?", "按钮", "top up", "请尽快充值"):
            assert never not in text.split("<main", 1)[-1], (page, never)


def test_a_payment_meanwhile_is_told_as_paid_and_not_as_power_that_comes(two):
    web, one, other = two
    isolate(web, one, other)
    opened(web)
    cashier = web.signed_in("cashier")
    sale = {"account_id": "A1", "amount_fen": 50_000, "sale_id": "12345678"}
    sold = cashier.post("/api/v1/counter/sales", json=sale, headers=web.csrf("cashier"))
    assert sold.status_code == 201
    assert (relay(web)["desired"], relay(web)["gen"]) == ("open", 1)
    cashier.cookies.set("estate645_language", "en")
    page = cashier.get(f"/pay/{sold.json()['order_no']}/card").text
    assert "The power stays off for another reason; please call the office." in page
    assert "Switching on" not in page


def test_a_case_of_the_meter_offers_it_and_tells_of_it(two):
    web, one, other = two
    row = {
        "case_id": "C1", "kind": "open_relay_energy", "subject": METER, "room_id": "1-101", "severity": "high",
        "evidence": "{}", "opened_at": WORLD_S, "opened_ms": MACHINE_MS,
    }  # fmt: skip
    web.execute(schema.anomaly_case.insert().values(estate_id=ESTATE, status="open", **row))
    one.cookies.set("estate645_language", "en")
    assert 'data-open="isolate-dialog"' in one.get("/cases/C1").text
    isolate(web, one, other, "safety", case_id="C1")
    page = one.get("/cases/C1").text
    assert "Power cut because of it: a burnt neutral" in page
    assert 'data-open="release-dialog"' in page


def test_the_api_asks_lists_and_asks_for_the_release(two):
    web, one, other = two
    headers = web.csrf("operator")
    for wish in ({"cause": "arrears", "reason": FOUND}, {"cause": "safety", "reason": ""}, {"reason": FOUND}):
        assert one.post(f"/api/v1/meters/{METER}/isolate", json=wish, headers=headers).status_code == 422
    wish = {"cause": "safety", "reason": FOUND}
    asked = one.post(f"/api/v1/meters/{METER}/isolate", json=wish, headers=headers)
    assert asked.json()["approval_id"] == waiting(web)["approval_id"]
    again = one.post(f"/api/v1/meters/{METER}/isolate", json=wish, headers=headers)
    assert again.status_code == 409
    agreement = {"payload_sha256": waiting(web)["payload_sha256"]}
    path = f"/api/v1/supply/approvals/{waiting(web)['approval_id']}/approve"
    assert one.post(path, json=agreement, headers=headers).status_code == 422
    assert other.post(path, json=agreement, headers=web.csrf("second")).status_code == 204
    [listed] = one.get("/api/v1/supply/isolations").json()
    assert {name: listed[name] for name in ("meter_id", "cause", "reason", "asked_by", "agreed_by", "gen")} == {
        "meter_id": METER, "cause": "safety", "reason": FOUND, "asked_by": "operator", "agreed_by": "second", "gen": 1,
    }  # fmt: skip
    asked = one.post(f"/api/v1/meters/{METER}/release", json={"reason": "renewed"}, headers=headers)
    assert asked.status_code == 200
    agree(web, other)
    assert one.get("/api/v1/supply/isolations").json() == []


def test_a_clock_in_doubt_keeps_the_power_on(two):
    web, one, other = two
    form = {"cause": "safety", "reason": FOUND}
    assert one.post("/households/A1/isolate", data=form, headers=web.csrf("operator")).status_code == 303
    web.clock.sane = False
    row = waiting(web)
    path, hashed = f"/supply/approve/{row['approval_id']}", {"payload_sha256": row["payload_sha256"]}
    assert other.post(path, data=hashed, headers=web.csrf("second")).status_code == 422
    assert relay(web)["desired"] == "closed"
