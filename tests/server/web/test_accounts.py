"""Accounts by page and by API: a household moves out and another in, and what people book on the way."""

import json
import re

import pytest

from core.tariff import tariff_from_dict, tariff_to_dict
from server.clock import Now
from server.domain.money_rules import Standing
from server.flows import voiding
from server.flows.money_rules import keep_rules
from server.flows.verification import verify
from server.store import schema
from server.store.engine import reader
from server.store.money_rules import standing
from tests.server.estates import SINGLE
from tests.server.web.browsing import PASSWORD
from tests.server.web.conftest import ESTATE, MACHINE_MS, WORLD_S
from tests.server.web.test_refunds import second_operator

METER = "000000000001"
STALE_S = 601


@pytest.fixture
def served(web):
    """Households A1 and A2 with a tariff, a cursor and a reading of just now."""
    definition = json.dumps(tariff_to_dict(tariff_from_dict(SINGLE)))
    web.execute(
        schema.tariff.insert().values(
            estate_id=ESTATE, tariff_id="single", name="one price", definition=definition, created_ms=0
        )
    )
    web.execute(schema.account.update().values(tariff_id="single"))
    web.execute(schema.meter.update().values(start_wh=5000, installed_at=WORLD_S))
    for number in (1, 2):
        name = f"{number:012d}"
        web.execute(
            schema.meter_live.update().where(schema.meter_live.c.meter_id == name).values(
                reading_at=WORLD_S, reading_ms=MACHINE_MS
            )
        )  # fmt: skip
        web.execute(
            schema.reading.insert().values(
                estate_id=ESTATE, read_at=WORLD_S, meter_id=name, install_no=1, received_ms=MACHINE_MS, total_wh=5000,
                verdict="accepted",
            )
        )  # fmt: skip
        web.execute(
            schema.meter_cursor.insert().values(
                estate_id=ESTATE, meter_id=name, install_no=1, read_at=WORLD_S, total_wh=5000, tier_period_start=WORLD_S
            )
        )
    web.clock.move(900)
    return web


@pytest.fixture
def clerk(served):
    client = served.signed_in("operator")
    client.cookies.set("estate645_language", "en")
    return client


def status(web, name):
    [row] = web.rows(schema.account.select().where(schema.account.c.account_id == name))
    return row["status"]


def test_a_household_moves_out_and_another_in_on_the_pages(served, clerk):
    served.state.writer.run(
        lambda unit: keep_rules(
            unit, ESTATE, Standing(), standing(unit.connection, ESTATE), "import", Now(WORLD_S, MACHINE_MS)
        )
    )
    headers = served.csrf("operator")

    def post(path, **data):
        answer = clerk.post(path, data={"reason": "as they asked", **data}, headers=headers)
        assert answer.status_code == 303, answer.text
        return answer.headers["location"]

    assert "/accounts/A1" in clerk.get("/households/A1").text
    page = clerk.get("/accounts/A1").text
    assert "Move out" in page
    assert "Nothing is told of its life yet" in page
    post("/accounts/A1/adjust", ledger="electricity", direction="give", amount="12.34", key="key-00001")
    assert post("/accounts/A1/move-out", **{f"kwh-{METER}": "6.00", "settle": "cash"}) == "/accounts/A1"
    assert status(served, "A1") == "closed"
    page = clerk.get("/accounts/A1").text
    assert all(
        words in page for words in ("Moved out", "6.00 kWh", "¥0.59 charged", "Paid out", "−11.75", "Account closed")
    )
    assert "/households/A1" not in page
    assert post("/accounts/A1/reopen") == "/accounts/A1"
    post("/accounts/A1/close")
    page = clerk.get("/accounts").text
    assert "0000 0000 0001" in page
    assert "as they asked" in page
    post("/accounts", room_id="1-101", account_id="B1", holder="李四", tariff_id="single", payment="postpaid")
    assert "opened, not moved in" in clerk.get("/accounts/B1").text
    assert "No room is vacant" in clerk.get("/accounts").text
    served.clock.move(600)
    post("/accounts/B1/move-in", meter=METER, **{f"kwh-{METER}": "7.50"})
    page = clerk.get("/accounts/B1").text
    assert "1.50 kWh since the household before were charged to nobody; tiers begin anew" in page
    assert "never cut for money" in clerk.get("/households/B1").text
    for act in ("pause", "resume"):
        post(f"/accounts/B1/{act}")
    post("/accounts/B1/payment", payment="prepaid")
    post("/accounts/B1/fee", ledger="property", amount="80", key="key-00002")
    post("/accounts/B1/opening", direction="give", amount="100")
    post("/accounts/B1/transfer", source="electricity", target="property", amount="80", key="key-00003")
    page = clerk.get("/accounts/B1").text
    assert all(words in page for words in ("Way of paying changed", "Property fees", "Moved between ledgers", "Fee"))
    with reader(served.state.engine) as connection:
        wrong = [one.detail for one in verify(connection, ESTATE).mismatches]
    assert set(wrong) <= {"is needed but does not exist"}  # system accounts, which an import would make


def test_a_large_booking_waits_on_the_page_of_supply(served, clerk):
    data = {
        "ledger": "electricity",
        "direction": "take",
        "amount": "500",
        "key": "key-00001",
        "reason": "a wrong ratio",
    }
    assert clerk.post("/accounts/A1/adjust", data=data, headers=served.csrf("operator")).status_code == 303
    page = clerk.get("/accounts/A1").text
    assert "a booking waits for its second person" in page
    page = clerk.get("/supply").text
    assert all(words in page for words in ("Booking on an account", "−¥500.00", "a wrong ratio"))
    assert served.rows(schema.batch.select()) == []


def test_a_register_or_sum_that_cannot_be_read_is_refused_by_its_name(served, clerk):
    headers = served.csrf("operator")
    answer = clerk.post("/accounts/A1/move-out", data={f"kwh-{METER}": "6.005", "reason": "r"}, headers=headers)
    assert answer.status_code == 422
    assert "write it like 1234.56" in answer.text
    data = {"ledger": "shared", "direction": "give", "amount": "-5", "key": "key-00001", "reason": "r"}
    assert clerk.post("/accounts/A1/adjust", data=data, headers=headers).status_code == 422
    for path in ("/accounts/nobody", "/accounts/cash"):
        assert clerk.get(path).status_code == 404


def test_each_meter_of_an_account_is_exchanged_by_its_own(served, clerk):
    served.execute(schema.meter.update().where(schema.meter.c.meter_id == "000000000002").values(account_id="A1"))
    served.execute(schema.account.update().where(schema.account.c.account_id == "A2").values(status="closed"))
    page = clerk.get("/accounts/A1").text
    assert "/households/A1/exchange?meter=000000000002" in page
    assert "0000 0000 0002" in clerk.get("/households/A1/exchange?meter=000000000002").text
    assert clerk.get("/households/A1/exchange?meter=000000000003").status_code == 404
    data = {"new_meter_id": "77", "final_kwh": "5.00", "start_kwh": "0", "reason": "worn out"}
    headers = served.csrf("operator")
    answer = clerk.post("/households/A1/replace", data={**data, "meter_id": "000000000009"}, headers=headers)
    assert answer.status_code == 404
    answer = clerk.post("/households/A1/replace", data={**data, "meter_id": "000000000002"}, headers=headers)
    assert answer.status_code == 303
    [done] = served.rows(schema.exchange.select())
    assert (done["old_meter_id"], done["new_meter_id"]) == ("000000000002", "000000000077")


def test_an_account_is_found_whatever_became_of_it(served, clerk):
    change = schema.account.update().where(schema.account.c.account_id == "A2")
    served.execute(change.values(status="closed", room_id=None, holder="100%_sure"))
    event = {"estate_id": ESTATE, "account_id": "A2", "event_no": 1, "act": "moved_out", "status": "left", "actor": "o"}
    event |= {"room_id": "1-102", "reason": "r", "world_at": WORLD_S, "created_ms": MACHINE_MS}
    served.execute(schema.account_event.insert().values(**event))
    for words, seen in (("A2", True), ("1-102", True), ("100%_s", True), ("0%x", False), ("1-101", False)):
        page = clerk.get("/accounts", params={"q": words}).text
        assert ("account closed" in page) == seen, words
    assert "No account is found." in clerk.get("/accounts?q=nobody").text


def test_who_has_paid_nothing_for_half_a_year_is_listed(served, clerk):
    def listed():
        page = clerk.get("/accounts").text
        part = page[page.index("Nothing paid for half a year") :] if "Nothing paid for half" in page else ""
        return [name for name in ("A1", "A2") if f"/accounts/{name}" in part]

    assert listed() == []
    served.execute(schema.meter.update().values(installed_at=WORLD_S - 200 * 86400))
    assert listed() == ["A1", "A2"]
    for days, expected in ((190, ["A1", "A2"]), (170, ["A1"])):
        paid = {"estate_id": ESTATE, "payment_id": str(days), "provider": "cash", "transaction_id": str(days)}
        paid |= {"account_id": "A2", "amount_fen": 5, "batch_seq": days, "state": "credited", "created_ms": 0}
        served.execute(schema.payment.insert().values(event_at=WORLD_S - days * 86400, **paid))
        assert listed() == expected
    served.execute(schema.account.update().values(payment="postpaid"))
    assert listed() == []


def test_others_look_and_find_no_form(served):
    for role in ("cashier", "reader", "admin"):
        client = served.signed_in(role)
        for path in ("/accounts", "/accounts/A1"):
            page = client.get(path)
            assert page.status_code == 200
            assert 'name="reason"' not in page.text


def test_the_api_leads_an_account_through_its_life(served):
    client, headers = served.signed_in("operator"), served.csrf("operator")

    def send(method, path, **body):
        return client.request(method, f"/api/v1/{path}", json=body, headers=headers)

    seen = client.get("/api/v1/accounts/A1").json()
    assert (seen["status"], seen["payment"], seen["ledgers_fen"]["electricity"]) == ("normal", "prepaid", 0)
    assert seen["meters"] == [
        {"meter_id": METER, "room_id": "1-101", "ratio": 1, "charged_wh": 5000, "total_wh": 5000}
    ]  # fmt: skip
    assert seen["open"] == [{"kind": "meter", "subject": METER}]
    assert (
        send("POST", "accounts/A1/adjustments", amount_fen=1234, key="key-00001", reason="r").json()["batch_seq"] == 1
    )
    done = send(
        "POST", "accounts/A1/move-out", finals=[{"meter_id": METER, "total_wh": 6000}], settle="leave", reason="r"
    )
    assert done.json() == {
        "charged_fen": 59, "closed": False, "approval_id": "",
        "balances_fen": {"electricity": 1175, "shared": 0, "property": 0, "arrears": 0},
    }  # fmt: skip
    assert send("POST", "accounts/A1/close", reason="r").status_code == 422
    assert send("POST", "accounts/A1/reopen", reason="r").status_code == 422
    assert client.get("/api/v1/vacancies").json() == [
        {"meter_id": METER, "room_id": "1-101", "bus_id": "bus1", "charged_wh": 6000, "total_wh": 6000}
    ]
    body = {"account_id": "B1", "room_id": "1-101", "holder": "next", "tariff_id": "single", "reason": "r"}
    assert send("POST", "accounts", **body).status_code == 201
    served.clock.move(600)
    moved = send("POST", "accounts/B1/move-in", bases=[{"meter_id": METER, "total_wh": 6500}], reason="r")
    assert moved.json() == {"vacant_wh": {METER: 500}}
    assert send("POST", "accounts/A1/carry", target_id="B1", reason="r").json() == {"moved_fen": {"electricity": 1175}}
    assert status(served, "A1") == "closed"
    assert send("POST", "accounts/A1/reopen", reason="r").status_code == 204
    assert send("POST", "accounts/A1/close", reason="r").status_code == 204
    assert send("PUT", "accounts/B1/payment", payment="postpaid", reason="r").status_code == 204
    assert send("POST", "accounts/B1/pause", reason="r").status_code == 204
    assert send("POST", "accounts/B1/resume", reason="r").status_code == 204
    fee = send("POST", "accounts/B1/fees", ledger="shared", amount_fen=100, memo="October", key="key-00002")
    assert fee.json()["balance_fen"] == -100
    move = {"source": "electricity", "target": "shared", "amount_fen": 100, "memo": "October", "key": "key-00003"}
    assert send("POST", "accounts/B1/transfers", **move).json()["balance_fen"] == 0
    assert send("POST", "accounts/B1/opening", amount_fen=-50, reason="r").json()["balance_fen"] == 1025
    life = client.get("/api/v1/accounts/B1/life").json()
    assert [one["act"] for one in reversed(life)] == [
        "opened", "moved_in", "carried", "payment", "paused", "resumed", "fee_booked", "transferred", "transferred",
        "opening",
    ]  # fmt: skip
    assert {one["actor"] for one in life} == {"operator"}
    large = send("POST", "accounts/A2/adjustments", amount_fen=10_001, key="key-00004", reason="r").json()
    [request] = client.get("/api/v1/supply/approvals").json()
    assert (large["batch_seq"], large["approval_id"]) == (None, request["approval_id"])
    assert send("POST", "accounts/A1/payouts", amount_fen=5, how="cash", key="key-00005", reason="r").status_code == 422


def test_a_resident_sees_only_what_was_read_since_it_moved_in(served):
    event = {
        "estate_id": ESTATE, "account_id": "A1", "event_no": 1, "act": "moved_in", "status": "normal", "actor": "o",
        "reason": "r", "created_ms": MACHINE_MS,
    }  # fmt: skip
    client = served.signed_in("resident")
    assert len(client.get("/api/v1/households/A1/readings").json()["items"]) == 1
    wish = {
        "estate_id": ESTATE, "meter_id": METER, "gen": 1, "state": "open", "action": "trip", "reason": "arrears",
        "decided_at": WORLD_S, "created_ms": MACHINE_MS, "expires_at": WORLD_S,
    }  # fmt: skip
    served.execute(schema.relay_desired.insert().values(**wish))
    assert len(client.get("/api/v1/households/A1/relay").json()) == 1
    served.execute(schema.account_event.insert().values(world_at=WORLD_S + 1, **event))
    assert client.get("/api/v1/households/A1/readings").json()["items"] == []
    assert client.get("/api/v1/households/A1/relay").json() == []


def test_who_may_not_book_moves_no_money_with_a_move(served):
    served.execute(schema.api_client.update().values(scopes="account.manage"))
    headers = {"Authorization": "Bearer partner:third-party-secret"}
    body = {"finals": [{"meter_id": METER, "total_wh": 6000}], "reason": "r", "target_id": "A2"}
    for settle, code in (("cash", 403), ("carry", 403), ("leave", 200)):
        answer = served.client().post("/api/v1/accounts/A1/move-out", json={**body, "settle": settle}, headers=headers)
        assert answer.status_code == code, settle


FORM = re.compile(r'<form class="gap" method="post" action="/accounts/A1/([a-z-]+)"')


def test_the_page_of_an_account_shows_the_one_form_that_is_wanted(served, clerk):
    page = clerk.get("/accounts/A1").text
    assert FORM.findall(page) == []
    offered = re.findall(r'href="/accounts/A1\?do=([a-z-]+)"', page)
    assert offered == ["adjust", "fee", "transfer", "opening", "move-out", "pause", "payment"]
    assert re.findall(r'data-hotkey="(\d)"', page) == [str(number) for number in range(1, 8)]
    for name in offered:
        assert FORM.findall(clerk.get(f"/accounts/A1?do={name}").text) == [name]
    assert FORM.findall(clerk.get("/accounts/A1?do=close").text) == [], "its state does not allow that"
    assert "?do=" not in served.signed_in("reader").get("/accounts/A1?do=adjust").text


def test_people_are_shown_by_their_names(served, clerk):
    served.execute(schema.app_user.update().where(schema.app_user.c.login == "operator").values(name="周敏"))
    data = {"ledger": "electricity", "direction": "give", "amount": "1", "key": "key-00001", "reason": "r"}
    clerk.post("/accounts/A1/adjust", data=data, headers=served.csrf("operator"))
    page = clerk.get("/accounts/A1").text
    assert '<td class="nw"><span lang="zh-CN">周敏</span></td>' in page
    assert '<td class="nw">operator</td>' not in page


def test_a_plan_for_debts_is_agreed_on_and_ended_on_the_page(served, clerk):
    headers = served.csrf("operator")
    fee = {"ledger": "property", "amount": "80", "key": "key-00002", "reason": "fee"}
    clerk.post("/accounts/A1/fee", data=fee, headers=headers)
    assert FORM.findall(clerk.get("/accounts/A1?do=plan").text) == ["plan"]
    wish = {"amount": "20", "when": "week:5", "begin_day": "2026-10-13", "first": "property", "reason": "agreed"}
    assert clerk.post("/accounts/A1/plan", data=wish, headers=headers).status_code == 303
    page = clerk.get("/accounts/A1?do=plan").text
    assert "¥20.00 each Friday, next on" in page
    assert 'action="/accounts/A1/plan/end"' in page
    assert "each Friday" in clerk.get("/debts").text
    seen = served.signed_in("resident")
    assert "每周五 ¥20.00" in seen.get("/me/account").text
    answer = seen.get("/api/v1/households/A1/debt-plan").json()
    assert (answer["instalment_fen"], answer["next_day"], answer["ledgers"]) == (2000, "2026-10-16", ["property"])
    assert clerk.post("/api/v1/accounts/A1/debt-plan/end", json={"reason": "paid"}, headers=headers).status_code == 204
    assert seen.get("/api/v1/households/A1/debt-plan").json()["plan_no"] is None
    again = {"instalment_fen": 100, "every": "month", "day": 15, "begin_day": "2026-10-13", "ledgers": ["property"],
             "reason": "anew"}  # fmt: skip
    assert clerk.post("/api/v1/accounts/A1/debt-plan", json=again, headers=headers).json() == {"plan_no": 2}


def test_an_estimate_waits_for_a_second_person_and_is_shown_everywhere(served, clerk, monkeypatch):
    headers = served.csrf("operator")
    data = {f"estimate-{METER}": "1", "reason": "the meter is dead"}
    served.execute(schema.meter.update().values(installed_at=WORLD_S - 86_400 * 3))
    served.clock.move(STALE_S)
    assert clerk.post("/accounts/A1/move-out", data=data, headers=headers).status_code == 403
    data["confirm_password"] = PASSWORD
    answer = clerk.post("/accounts/A1/move-out", data=data, headers=headers)
    assert answer.status_code == 303, answer.text
    assert status(served, "A1") == "normal"
    assert "estimated:" in clerk.get("/supply").text
    [row] = served.rows(schema.approval.select())
    assert row["kind"] == "move_out"
    second = second_operator(served)
    path, fields = f"/supply/approve/{row['approval_id']}", {"payload_sha256": row["payload_sha256"]}
    assert second.post(path, data=fields, headers=served.csrf("wang")).status_code == 303
    assert status(served, "A1") == "closed", "nothing was used and nothing is owed"
    page = clerk.get("/accounts/A1?do=true-register").text
    assert "estimated:" in page
    assert FORM.findall(page) == ["true-register"]
    monkeypatch.setattr(voiding, "ALONE_MAX_FEN", -1)
    served.clock.move(STALE_S)
    wish = {"meter_id": METER, "total_wh": 6000, "reason": "read at the workshop"}
    late = clerk.post("/api/v1/accounts/A1/true-register", json=wish, headers=headers)
    assert (late.status_code, late.json()["reason"]) == (403, "stale_login")
    form = {"meter_id": METER, f"kwh-{METER}": "6.00", "reason": "read at the workshop"}
    assert clerk.post("/accounts/A1/true-register", data=form, headers=headers).status_code == 403
    form["confirm_password"] = PASSWORD
    asked = clerk.post("/accounts/A1/true-register", data=form, headers=headers)
    assert asked.headers["location"] == "/supply#approvals"
    shown = clerk.get("/supply").text
    assert "Correct a final register" in shown
    assert "read at the workshop" in shown


def test_a_meter_that_keeps_the_credit_is_asked_from_the_form_of_the_move(served, clerk):
    headers = served.csrf("operator")
    refused = clerk.post("/accounts/A1/credit", data={"reason": "moves"}, headers=headers)
    assert refused.status_code == 422
    served.execute(schema.meter.update().where(schema.meter.c.meter_id == METER).values(fee="local"))
    assert "not asked yet" in clerk.get("/accounts/A1?do=move-out").text
    assert clerk.post("/accounts/A1/credit", data={"reason": "moves"}, headers=headers).status_code == 303
    assert "is being asked" in clerk.get("/accounts/A1?do=move-out").text
    served.execute(
        schema.meter_credit.update().values(status="read", remaining_fen=1234, overdraft_fen=0, read_at=WORLD_S)
    )
    assert "¥12.34 left" in clerk.get("/accounts/A1?do=move-out").text
    assert clerk.post("/accounts/A1/move-out", data={"reason": "moves"}, headers=headers).status_code == 303
    assert status(served, "A1") == "left"
    assert "Credit of the meter" in clerk.get("/accounts/A1").text
