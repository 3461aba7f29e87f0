"""Supply rules, the table of decisions, bulk cuts and the restore: pages and API, and who may use them."""

import csv
import io
import json

import pytest

from server.flows import approvals
from server.store import schema
from tests.server.web.conftest import ESTATE, WORLD_S

HOUR = 3600
LATER, LATER_S = "2026-10-14T09:05", WORLD_S + 24 * HOUR


def audit(web):
    return [row["verb"] for row in web.rows(schema.audit.select().order_by(schema.audit.c.created_ms))]


def post(web, client, path, role="operator", **fields):
    return client.post(path, data={**fields, "csrf": web.csrf(role)["X-CSRF-Token"]}, follow_redirects=False)


@pytest.fixture
def operator(web):
    client = web.signed_in("operator")
    client.cookies.set("estate645_language", "en")
    return client


def test_a_version_is_added_chosen_and_shown(web, operator):
    fields = {
        "scheme_id": "tenants", "name": "租户", "valid_from": LATER, "alarm1": "20%", "alarm2": "2 days",
        "overdraft_fen": "5.00", "grace_s": "36", "quiet_from_min": "22:00", "quiet_to_min": "8:00",
        "protect_weekends": "no", "spread_s": "10", "protected_from_min": "", "protected_to_min": "",
    }  # fmt: skip
    assert post(web, operator, "/rules/versions", **fields).status_code == 303
    assert post(web, operator, "/rules/choose", scheme_id="tenants").status_code == 303
    [row] = web.rows(schema.scheme.select())
    assert row["valid_from"] == LATER_S
    assert web.rows(schema.estate.select())[0]["scheme_id"] == "tenants"
    page = operator.get("/rules").text
    for words in ("租户", "20% of the last top-up", "2 days", "¥5.00", "22:00", "08:00", "to come", "tenants"):
        assert words in page, words
    [found] = operator.get("/api/v1/supply/schemes").json()
    assert found["rules"] == {
        "alarm1": ["percent", 20], "alarm2": ["days", 2], "overdraft_fen": 500, "grace_s": 36 * HOUR,
        "quiet_from_min": 1320, "quiet_to_min": 480, "protect_weekends": False, "spread_s": 600,
    }  # fmt: skip
    assert audit(web) == ["scheme.saved", "scheme.chosen"]


@pytest.mark.parametrize(
    ("field", "text"),
    [("alarm1", "a lot"), ("overdraft_fen", "1.234"), ("grace_s", "x"), ("quiet_from_min", "25:00"),
     ("protect_weekends", "maybe"), ("spread_s", "999"), ("valid_from", "soon"), ("quiet_to_min", "08:00")],
)  # fmt: skip
def test_what_cannot_be_read_is_refused_and_nothing_is_kept(web, operator, field, text):
    fields = {"scheme_id": "tenants", "name": "租户", "valid_from": LATER, field: text}
    assert post(web, operator, "/rules/versions", **fields).status_code in (400, 409, 422)
    assert web.rows(schema.scheme.select()) == []


def test_rules_with_few_answers_are_chosen_and_shown_as_chosen(web, operator):
    assert (
        post(web, operator, "/households/A1/rules", scheme_id="", keep_power="never", protect_alerts="no").status_code
        == 303
    )
    page = operator.get("/households/A1/rules").text
    assert '<option value="never" selected>' in page
    assert page.count('<option value="no" selected>') == 1
    assert "None" not in page


def test_a_households_rules_and_protection_are_set_shown_and_audited(web, operator):
    assert post(web, operator, "/households/A1/rules", scheme_id="", alarm1="40.00", grace_s="48").status_code == 303
    [row] = [one for one in web.rows(schema.account.select()) if one["account_id"] == "A1"]
    assert (row["alarm1_fen"], row["own_rules"]) == (4000, '{"alarm1": ["fixed", 4000], "grace_s": 172800}')
    page = operator.get("/households/A1/rules").text
    assert 'value="40.00"' in page
    assert 'value="48"' in page
    assert post(web, operator, "/households/A1/protect", until=LATER, reason="呼吸机").status_code == 303
    page = operator.get("/households/A1/rules").text
    assert "呼吸机" in page
    assert post(web, operator, "/households/A1/unprotect", reason="moved").status_code == 303
    assert audit(web) == ["household.rules", "household.protected", "household.unprotected"]
    assert post(web, operator, "/households/nobody/protect", until=LATER, reason="x").status_code == 404


def test_alerts_and_days_are_set_and_ended(web, operator):
    assert post(web, operator, "/rules/alerts", kind="heat", until=LATER, reason="38 °C").status_code == 303
    assert post(web, operator, "/rules/holidays", day="2026-12-31", kind="off", name="跨年").status_code == 303
    page = operator.get("/rules").text
    assert "38 °C" in page
    assert "2026-12-31" in page
    [alert] = operator.get("/api/v1/supply/alerts").json()
    assert (alert["kind"], alert["until_at"]) == ("heat", LATER_S)
    assert post(web, operator, f"/rules/alerts/{alert['alert_id']}/end").status_code == 303
    assert post(web, operator, "/rules/holidays/2026-12-31/drop").status_code == 303
    raised = operator.post(
        "/api/v1/supply/alerts", json={"kind": "cold", "until_at": LATER_S}, headers=web.csrf("operator")
    )
    assert raised.status_code == 201
    ended = f"/api/v1/supply/alerts/{raised.json()['alert_id']}/end"
    assert operator.post(ended, headers=web.csrf("operator")).status_code == 204


@pytest.mark.parametrize("role", ["admin", "reader"])
def test_others_may_look_at_rules_but_not_change_them(web, role):
    client = web.signed_in(role)
    assert client.get("/rules").status_code == 200
    assert "Save version" not in client.get("/rules").text
    assert post(web, client, "/rules/choose", role, scheme_id="").status_code == 403
    assert post(web, client, "/households/A1/protect", role, until=LATER, reason="x").status_code == 403


def test_the_table_of_decisions_has_every_household_and_every_no(web, operator):
    web.execute(schema.account.update().where(schema.account.c.account_id == "A2").values(balance_fen=5000))
    page = operator.get("/supply/decisions/all").text
    assert "1-101" in page
    assert "1-102" in page
    assert "Within the overdraft limit" in page
    assert "Nothing to decide" in page
    assert "Cutting is not armed" in page
    web.execute(schema.account.update().where(schema.account.c.account_id == "A2").values(protected=1))
    only = operator.get("/supply/decisions/all?check=not_protected").text
    assert "1-102" in only
    assert "1-101" not in only
    found = operator.get("/api/v1/supply/verdicts?limit=1").json()
    assert [one["account_id"] for one in found["items"]] == ["A1"]
    following = operator.get(f"/api/v1/supply/verdicts?limit=1&cursor={found['next_cursor']}").json()
    [second] = following["items"]
    assert (second["account_id"], second["allowed"]) == ("A2", False)
    names = [one["name"] for one in second["refusals"]]
    assert {"overdrawn", "not_protected", "armed", "reading_fresh"} <= set(names)
    text = operator.get("/api/v1/supply/verdicts.csv").text.removeprefix("\ufeff")
    rows = list(csv.DictReader(io.StringIO(text)))
    assert [row["account_id"] for row in rows] == ["A1", "A2"]
    assert rows[1]["refusals"].split() == names


def test_the_table_decides_as_the_head_end_does(web, operator, monkeypatch):
    monkeypatch.setattr("server.domain.supply.RULES", ())
    assert [one["allowed"] for one in operator.get("/api/v1/supply/verdicts").json()["items"]] == [True, True]
    assert operator.get("/supply/decisions/all").text.count("may be cut") == 2


def test_decisions_say_who_would_be_cut_what_holds_the_others_and_what_to_do(web, operator, monkeypatch):
    owes = schema.account.update().values(balance_fen=-100)
    web.execute(owes)
    web.execute(owes.where(schema.account.c.account_id == "A2").values(protected=1))
    page = operator.get("/supply/decisions").text
    assert "Nobody is cut: Cutting is not armed." in page
    assert page.index("Cut warning not delivered") < page.index("Protected household")
    assert "note it as given by hand" in page
    assert 'href="/notices"' in page
    assert "Nothing to do as long as the protection lasts." in page
    monkeypatch.setattr("server.domain.supply.RULES", ())
    page = operator.get("/supply/decisions").text
    assert page.count("Would be cut now") == 2
    assert "Nobody is cut" not in page
    web.execute(schema.account.update().values(balance_fen=100))
    assert "Nobody is overdrawn." in operator.get("/supply/decisions").text


def dark(web, account="A1"):
    meter_id = {"A1": "000000000001", "A2": "000000000002"}[account]
    where = (schema.supply.c.estate_id == ESTATE, schema.supply.c.meter_id == meter_id)
    values = {"relay": "open", "relay_at": WORLD_S, "desired": "open", "cause": "arrears", "command": "confirmed"}
    web.execute(schema.supply.update().where(*where).values(**values))


def test_one_person_restores_everybody_from_the_page_and_the_api(web, operator):
    dark(web, "A1")
    dark(web, "A2")
    assert "Power back for everybody" in operator.get("/supply").text
    assert post(web, operator, "/supply/restore", reason="a wrong tariff").status_code == 303
    assert {row["desired"] for row in web.rows(schema.supply.select())} == {"closed"}
    assert web.rows(schema.estate.select())[0]["stopped"] == 1
    dark(web, "A1")
    again = operator.post("/api/v1/supply/restore", json={"reason": "again"}, headers=web.csrf("operator"))
    assert again.json() == {"households": 1}
    reader = web.signed_in("reader")
    assert post(web, reader, "/supply/restore", "reader", reason="x").status_code == 403


def test_a_bulk_cut_that_would_cut_nobody_is_refused_and_a_running_one_is_shown_and_stopped(web, operator):
    asked = operator.post(
        "/api/v1/supply/bulk-cuts", json={"account_ids": ["A1"], "reason": "arrears"}, headers=web.csrf("operator")
    )
    assert asked.status_code in (400, 409, 422)
    web.execute(
        schema.bulk_cut.insert().values(
            estate_id=ESTATE, bulk_id="b1", approval_id="a1", status="running", wave=2, wave_at=0, started_at=WORLD_S,
            created_ms=1,
        )
    )  # fmt: skip
    item = {"estate_id": ESTATE, "bulk_id": "b1", "account_id": "A1", "meter_id": "000000000001", "wave": 1}
    web.execute(schema.bulk_cut_item.insert().values(**item))
    assert "wave 2 of 3" in operator.get("/supply").text
    [found] = operator.get("/api/v1/supply/bulk-cuts").json()
    assert (found["status"], found["households"]) == ("running", {"waiting": 1})
    assert post(web, operator, "/supply/bulk-cut/b1/stop").status_code == 303
    stopped = operator.post("/api/v1/supply/bulk-cuts/b1/stop", json={"reason": "x"}, headers=web.csrf("operator"))
    assert stopped.status_code == 404
    [found] = operator.get("/api/v1/supply/bulk-cuts").json()
    assert (found["status"], found["households"]) == ("stopped", {"left": 1})


def test_the_request_of_a_bulk_cut_shows_whom_it_concerns_and_why_not(web, operator):
    cut = [
        {"account": f"A{n}", "meter": f"{n:012}", "room": f"9-{n:04}", "balance_fen": -5} for n in range(1, 46)
    ]  # fmt: skip
    reasons = ("not_protected", "notice_delivered", "wanted_open")
    left = [{"account": f"B{n}", "meter": "", "room": f"8-{n}", "because": why} for n, why in enumerate(reasons)]
    payload = json.dumps({"kind": "bulk_cut", "reason": "three months", "cut": cut, "left": left})
    web.execute(
        schema.approval.insert().values(
            estate_id=ESTATE, approval_id="a1", kind="bulk_cut", payload=payload, payload_sha256="f" * 64,
            requested_by="somebody", requested_ms=1, expires_ms=2**50, status="waiting",
        )
    )  # fmt: skip
    page = operator.get("/supply").text
    assert "45 households are cut in waves" in page
    assert "three months" in page
    assert "<summary>5 more</summary>" in page
    assert all(entry["room"] in page for entry in cut), "who approves a list has to be able to read it"
    assert "8-0: Protected household" in page
    assert "8-1: No cut warning delivered with its grace over" in page
    assert "8-2: Its cut is wanted already" in page


def test_a_case_of_the_breaker_is_shown_without_a_meter(web, operator):
    web.execute(
        schema.anomaly_case.insert().values(
            estate_id=ESTATE, case_id="c1", kind="breaker", subject=ESTATE, severity="high", status="open",
            evidence='{"reason": "7 households are candidates at once, 5 are plausible", "at": 1791853500}',
            opened_at=WORLD_S, opened_ms=1,
        )
    )  # fmt: skip
    assert "The breaker has stopped all cuts" in operator.get("/cases").text
    case = operator.get("/cases/c1").text
    assert "The breaker has stopped all cuts" in case
    assert "two people close the breaker on the page of supply" in case
    assert "It must be checked on site" not in case


def test_the_button_is_timed_apart_from_pay_to_power(web, operator):
    web.execute(
        schema.payment_order.insert().values(
            estate_id=ESTATE, order_no="o1", account_id="A1", amount_fen=100, provider="cash", channel="counter",
            status="paid", created_ms=1000, created_at=WORLD_S, paid_ms=1000, powered_off=1, confirmed_ms=5200,
            button_ms=35_200,
        )
    )  # fmt: skip
    page = operator.get("/today").text
    assert "p95 4.2 s" in page
    assert "from permission to closed: p50 30.0 s" in page


def test_a_bulk_change_is_asked_on_the_page_and_shown_to_the_second_person(web):
    client = web.signed_in("operator")
    client.cookies.set("estate645_language", "en")
    assert "New list" in client.get("/rules/bulk").text
    form = {"act": "keep_power", "rooms": "1-101, 1-102", "policy": "always", "reason": "shops pay afterwards"}
    answer = client.post("/rules/bulk", data=form, headers=web.csrf("operator"))
    assert (answer.status_code, answer.headers["location"]) == (303, "/supply#approvals")
    page = client.get("/supply").text
    assert "2 entries change" in page
    assert "1-101 as its scheme → always" in page
    strange = client.post("/rules/bulk", data=form | {"rooms": "9-999"}, headers=web.csrf("operator"))
    assert strange.status_code == 422
    assert "9-999" in strange.text
    days = {"act": "days", "days": "2026-12-31", "kind": "off", "name": "x", "reason": "new year"}
    assert client.post("/rules/bulk", data=days, headers=web.csrf("operator")).status_code == 303
    everybody = {"act": "protect", "until": "2027-01-01T00:00", "reason": "cold wave", "having": ""}
    assert client.post("/rules/bulk", data=everybody, headers=web.csrf("operator")).status_code == 303
    assert len(web.rows(schema.approval.select())) == 3


def test_a_bulk_change_is_asked_watched_and_stopped_by_the_api(web):
    client = web.signed_in("operator")
    wish = {"act": "keep_power", "account_ids": ["A1"], "policy": "always", "reason": "shops"}
    asked = client.post("/api/v1/supply/bulk-edits", json=wish, headers=web.csrf("operator"))
    assert asked.json()["approval_id"]
    [row] = web.rows(schema.approval.select())
    now = web.clock.now()
    web.state.writer.run(
        lambda unit: approvals.approve(
            unit, ESTATE, row["approval_id"], row["payload_sha256"], actor="another", now=now
        )
    )
    [listed] = client.get("/api/v1/supply/bulk-edits").json()
    assert (listed["act"], listed["status"], listed["entries"]) == ("keep_power", "running", {"waiting": 1})
    stop = f"/api/v1/supply/bulk-edits/{listed['bulk_id']}/stop"
    assert client.post(stop, json={"reason": "a wrong list"}, headers=web.csrf("operator")).status_code == 204
    assert client.post(stop, json={"reason": "again"}, headers=web.csrf("operator")).status_code == 404
    assert client.get("/api/v1/supply/bulk-cuts").json() == []
