"""Tariffs as pages and as JSON: drafts, simulation, two people, re-ratings; who may look and who may change."""

import re

import pytest

from core.tariff import tariff_from_dict
from server.store import schema
from server.store.tariffs import save_tariff
from server.web.formats import Formats
from server.web.tariff_words import price_list
from tests.server.estates import SINGLE
from tests.server.test_tariff_drafts import NOVEMBER
from tests.server.web.conftest import _HASH, ESTATE, MACHINE_MS, WORLD_S
from tests.server.web.test_bills import billed

__all__ = ["billed"]
TAG = re.compile(r"<[^>]+>")
CHEAPER = NOVEMBER.replace("2026-11-01", "2021-01-01").replace("0.60", "0.50")


def plain(text):
    return " ".join(TAG.sub(" ", text).split())


@pytest.fixture
def second(billed):
    """Another operator."""
    billed.execute(
        schema.app_user.insert().values(
            estate_id=ESTATE, user_id="second", login="second", password_hash=_HASH, role="operator", name="second"
        )
    )
    return billed.signed_in("second")


def drafted(web, client, document=NOVEMBER):
    answer = client.post(
        "/api/v1/tariffs/drafts", json={"document": document, "note": "list of November"}, headers=web.csrf("operator")
    )
    assert answer.status_code == 201, answer.text
    return answer.json()["draft_id"]


def test_a_draft_goes_its_way_through_the_api(billed, second):
    client, headers = billed.signed_in("operator"), billed.csrf("operator")
    base = f"/api/v1/tariffs/drafts/{drafted(billed, client)}"
    simulated = client.post(f"{base}/simulate", json={}, headers=headers).json()
    [home] = simulated["households"]
    assert (home["account_id"], home["old_nf"], home["new_nf"]) == (
        "A1",
        str(2000 * 58_886_875),
        str(2000 * 60_000_000),
    )
    assert client.get(base).json()["simulation"] == simulated
    asked = client.post(f"{base}/publish", headers=headers).json()["approval_id"]
    [waiting] = [one for one in client.get("/api/v1/supply/approvals").json() if one["approval_id"] == asked]
    body = {"payload_sha256": waiting["payload_sha256"]}
    url = f"/api/v1/supply/approvals/{asked}/approve"
    assert client.post(url, json=body, headers=headers).status_code in (403, 409, 422)
    assert second.post(url, json=body, headers=billed.csrf("second")).status_code in (200, 204)
    [single] = client.get("/api/v1/tariffs").json()
    assert [one["rate_prices_nf_per_wh"][0] for one in single["versions"]] == [58_886_875, 60_000_000]
    assert client.get("/api/v1/tariffs/drafts").json()[0]["status"] == "published"


def test_a_draft_goes_its_way_through_the_pages(billed, second):
    client, token = billed.signed_in("operator"), billed.csrf("operator")["X-CSRF-Token"]
    client.cookies.set("estate645_language", "en")
    saved = client.post("/tariffs/editor/text", data={"csrf": token, "document": NOVEMBER, "note": "n"})
    page = saved.headers["location"]
    assert "Not simulated yet." in client.get(page).text
    assert client.post(f"{page}/simulate", data={"csrf": token}).status_code == 303
    text = client.get(page).text
    assert "+¥0.02" in text
    assert "Tier 2 200–400 kWh 0.6500 Tier 3 above 400 kWh 0.9000" in plain(text)
    assert client.post(f"{page}/publish", data={"csrf": token}).headers["location"] == page
    text = client.get(page).text
    assert "You asked for it; somebody else must approve." in text
    assert "Publish a tariff" not in client.get("/supply").text
    [row] = billed.rows(schema.approval.select())
    data = {"csrf": billed.csrf("second")["X-CSRF-Token"], "payload_sha256": row["payload_sha256"]}
    assert second.post(f"/tariffs/approve/{row['approval_id']}", data=data).status_code == 303
    assert "to come" in client.get("/tariffs").text
    other = drafted(billed, client, NOVEMBER.replace("0.60", "0.61"))
    assert client.post(f"/tariffs/drafts/{other}/discard", data={"csrf": token}).status_code == 303
    assert "put aside" in client.get("/tariffs").text


def test_a_re_rating_is_asked_for_with_what_it_comes_to(billed, second):
    client, headers = billed.signed_in("operator"), billed.csrf("operator")
    wish = {"document": CHEAPER, "from_at": WORLD_S - 3600, "until_at": WORLD_S - 60, "reason": "wrong list"}
    asked = client.post("/api/v1/tariffs/rerates", json=wish, headers=headers)
    assert asked.status_code == 202, asked.text
    client.cookies.set("estate645_language", "en")
    text = client.get("/tariffs").text
    for words in ("wrong list", "waits for approval", "¥1.18", "¥1.00"):
        assert words in text
    token = headers["X-CSRF-Token"]
    assert client.post(f"/tariffs/withdraw/{asked.json()['approval_id']}", data={"csrf": token}).status_code == 303
    assert client.get("/api/v1/tariffs/rerates").json()[0]["status"] == "withdrawn"
    form = {"csrf": token, "document": CHEAPER, "begin": "2026-10-13T08:00", "until": "2026-10-13T09:00", "reason": "r"}
    assert client.post("/tariffs/rerates", data=form).status_code == 303


def test_what_is_wrong_is_said_and_kept_nowhere(billed):
    client, headers = billed.signed_in("operator"), billed.csrf("operator")
    answer = client.post("/api/v1/tariffs/drafts", json={"document": "price = 1"}, headers=headers)
    assert (answer.status_code, "has no id" in answer.json()["detail"]) == (422, True)
    billed.execute(schema.estate.update().values(price_cap_nf_per_wh=85_000_000))
    answer = client.post("/api/v1/tariffs/drafts", json={"document": NOVEMBER}, headers=headers)
    assert "over the estate's price cap of 0.8500" in answer.json()["detail"]
    assert billed.rows(schema.tariff_draft.select()) == []


def test_readers_look_and_change_nothing_and_residents_see_none(billed):
    reader = billed.signed_in("reader")
    assert reader.get("/tariffs").status_code == 200
    assert "data-once" not in reader.get("/tariffs").text.split('id="main"')[1]
    assert reader.post("/tariffs/editor/text", data={"csrf": "x", "document": "x"}).status_code == 403
    assert billed.signed_in("resident").get("/tariffs").status_code == 403


def test_an_approval_of_supply_is_none_of_tariffs(billed, second):
    client, token = billed.signed_in("operator"), billed.csrf("operator")["X-CSRF-Token"]
    client.post("/supply/mode", data={"csrf": token, "mode": "dry_run"})
    [row] = billed.rows(schema.approval.select())
    data = {"csrf": billed.csrf("second")["X-CSRF-Token"], "payload_sha256": row["payload_sha256"]}
    assert second.post(f"/tariffs/approve/{row['approval_id']}", data=data).status_code == 404


def test_a_tariff_by_rates_is_told_by_rate(web):
    tou = {
        "id": "tou", "valid_from": "2021-10-01", "base": "0.5802", "levies": "0.00866875",
        "tier_steps": ["0.05", "0.25"],
        "ratios": {"peak": "1.7", "flat": "1", "valley": "0.38"}, "tier_period": "month",
        "seasons": [{"months": [5, 6, 7, 8, 9, 10], "tier_limits_wh": [260_000, 600_000]},
                    {"months": [11, 12, 1, 2, 3, 4], "tier_limits_wh": [200_000, 400_000]}],
        "periods": [{"from": "00:00", "to": "08:00", "rate": "valley"},
                    {"from": "08:00", "to": "24:00", "rate": "flat"}],
    }  # fmt: skip
    web.state.writer.run(lambda unit: save_tariff(unit.connection, ESTATE, tariff_from_dict(tou), MACHINE_MS))
    web.state.writer.run(lambda unit: save_tariff(unit.connection, ESTATE, tariff_from_dict(SINGLE), MACHINE_MS))
    client = web.signed_in("operator")
    client.cookies.set("estate645_language", "en")
    text = plain(client.get("/tariffs").text)
    for words in (
        "months 5–10 Tier or rate Tier 1 up to 260 kWh Tier 2 260–600 kWh Tier 3 above 600 kWh Sharp",
        "Peak 0.99500875 1.04500875 1.29500875 no hours Flat",
        "Valley 0.22914475 0.27914475 0.52914475 00:00–08:00", "Levies, contained 0.00866875 yuan", "no price cap",
    ):  # fmt: skip
        assert words in text, words


def test_a_draft_may_begin_with_a_published_list_and_its_mark_is_said(billed):
    client = billed.signed_in("operator")
    client.cookies.set("estate645_language", "en")
    text = client.get("/tariffs/editor?list=guangzhou-tou").text
    assert "Compare it with the text of the price authority" in text
    assert "粤发改价格〔2021〕331号" in text
    assert "&#34;base&#34;: &#34;0.5802&#34;" in text or '"base": "0.5802"' in text
    assert "Not sure (example, not official)" in client.get("/tariffs/editor?list=changsha-month").text
    assert client.get("/tariffs?list=atlantis").status_code == 200
    found = {one["list_id"]: one for one in client.get("/api/v1/tariffs/published").json()}
    assert (found["guangzhou"]["is_sure"], found["jiangsu"]["quality"]) == (True, "weak")


def test_residents_see_the_prices_that_hold_and_will(billed, second):
    resident = billed.signed_in("resident")
    resident.cookies.set("estate645_language", "en")
    assert 'href="/me/prices"' in resident.get("/me").text
    assert "Tier 1 up to 200 kWh 0.58886875 Tier 2 200–400 kWh 0.63886875" in plain(resident.get("/me/prices").text)
    later = tariff_from_dict({**SINGLE, "versions": [*SINGLE["versions"], SINGLE["versions"][0] | {
        "valid_from": "2026-11-01", "price": "0.6"}]})  # fmt: skip
    billed.state.writer.run(lambda unit: save_tariff(unit.connection, ESTATE, later, MACHINE_MS))
    text = resident.get("/me/prices").text
    assert "to come" in text
    assert "Tier 2 200–400 kWh 0.6500 Tier 3 above 400 kWh 0.9000" in plain(text)
    billed.execute(schema.account.update().values(tariff_id=None))
    assert "No tariff is set" in resident.get("/me/prices").text


def test_a_free_quota_is_the_first_row_of_a_price_list_and_costs_nothing():
    terms = {"tier_period": "month", "free_quota_wh": 15_000, "tier_steps": ["0.05"], "tier_limits_wh": [200_000]}
    tariff = tariff_from_dict({"id": "x", "valid_from": "2026-01-01", "price": "0.5", **terms})
    [table] = price_list(tariff.versions[0], Formats(str, "Asia/Shanghai", WORLD_S), str).tables
    assert [(*row.head, *row.prices) for row in table.rows] == [
        ("Free quota", "up to 15 kWh", "0.0000"), ("Tier 1", "15–200 kWh", "0.5000"),
        ("Tier 2", "above 200 kWh", "0.5500"),
    ]  # fmt: skip
