"""Staff pages: what they show, who may see them, and that acting on them goes through the flows."""

import json
import re
from dataclasses import replace

import pytest
from sqlalchemy import event

from server.store import schema
from server.web import steady, words
from server.web.operator.today import newest_steps
from tests.server.web.conftest import ESTATE, MACHINE_MS, WORLD_S

STAFF_PAGES = ("/today", "/wall", "/wall?room=1-101", "/drawer/A1", "/households/A1", "/supply", "/supply?room=1-101",
               "/statistics", "/payments", "/reconciliation", "/cases", "/readings",
               "/households/A1/exchange", "/buses", "/counter", "/counter?room=1-101", "/find?q=1-10")  # fmt: skip


def put(web, table, **values):
    web.execute(table.insert().values(estate_id=ESTATE, **values))


def open_case(web):
    evidence = json.dumps({"loss_wh": 11140, "loss_permille": 61, "from_at": WORLD_S - 3600})
    put(
        web, schema.anomaly_case, case_id="C1", kind="gate_loss", subject="000000000001", room_id="1-101",
        severity="high", evidence=evidence, opened_at=WORLD_S, opened_ms=MACHINE_MS,
    )  # fmt: skip


def set_up_overdraft(web):
    web.execute(schema.account.update().where(schema.account.c.account_id == "A1").values(balance_fen=-1894, level=3))


@pytest.mark.parametrize("language", ["zh_CN", "en"])
@pytest.mark.parametrize("path", STAFF_PAGES)
def test_every_staff_page_renders_in_both_languages(web, path, language):
    set_up_overdraft(web)
    client = web.signed_in("operator")
    client.cookies.set("estate645_language", language)
    page = client.get(path)
    assert page.status_code == 200, page.text[:400]
    assert page.headers["content-language"] == {"zh_CN": "zh-CN", "en": "en"}[language]
    assert not re.search(r'\sstyle="|<script(?![^>]*(?:src=|application/json))', page.text)
    assert "style-src 'self'" in page.headers["content-security-policy"]
    if path == "/wall":
        assert ("房态墙" in page.text) == (language == "zh_CN")


def test_a_payment_through_anothers_program_is_said_in_words():
    def gettext(text):
        return text

    assert words.said_in(gettext)["sale_words"]["client:wallet"] == "Third party · wallet"


@pytest.mark.parametrize(
    ("path", "entry"),
    [
        ("/accounts", "/accounts"),
        ("/reconciliation", "/payments"),
        ("/recharges", "/payments"),
        ("/payments", "/payments"),
    ],
)
def test_the_navigation_marks_where_a_page_belongs(web, path, entry):
    page = web.signed_in("operator").get(path).text
    navigation = page[page.index('id="nav"') : page.index("</nav>")]
    assert re.findall(r'href="([^"]+)" aria-current="page"', navigation) == [entry]


def test_whoever_opens_the_menu_of_a_phone_can_sign_out_there(web):
    page = web.signed_in("operator").get("/today").text
    assert 'action="/logout"' in page[page.index('id="nav"') : page.index("</nav>")]


def test_the_newest_step_of_a_command_stands_for_it():
    steps = [{"meter_id": meter, "gen": gen, "step": step} for meter, gen, step in (
        ("1", 2, "read_back"), ("2", 1, "sent"), ("1", 2, "sent"), ("1", 1, "expired"),
    )]  # fmt: skip
    assert [row["step"] for row in newest_steps(steps)] == ["read_back", "sent", "expired"]


def test_strangers_are_sent_to_the_login_and_residents_are_refused(web):
    assert web.client().get("/wall").headers["location"].startswith("/login")
    resident = web.signed_in("resident")
    assert {path: resident.get(path).status_code for path in ("/today", "/wall", "/supply", "/counter", "/cases")} == {
        "/today": 403, "/wall": 403, "/supply": 403, "/counter": 403, "/cases": 403,
    }  # fmt: skip


def test_a_tile_says_room_state_balance_and_flags(web):
    set_up_overdraft(web)
    web.execute(schema.account.update().where(schema.account.c.account_id == "A1").values(protected=1))
    client = web.signed_in("operator")
    client.cookies.set("estate645_language", "zh_CN")
    news = client.get("/wall/tiles").json()
    tile = next(tile for tile in news["tiles"] if tile["room"] == "1-101")
    assert tile["label"] == "1-101，已透支，−¥18.94，保电"
    assert (tile["state"], tile["figure"], tile["flags"]) == ("over", "−19", ["keep"])
    assert (news["counts"]["all"], news["counts"]["over"], news["counts"]["keep"]) == (2, 1, 1)


def test_the_first_state_of_the_order_is_shown(web):
    client = web.signed_in("operator")

    def state():
        return next(t["state"] for t in client.get("/wall/tiles").json()["tiles"] if t["room"] == "1-101")

    assert state() == "normal"
    set_up_overdraft(web)
    assert state() == "over"
    mine = schema.meter_live.c.meter_id == "000000000001"
    web.execute(schema.meter_live.update().where(mine).values(contact_at=WORLD_S - 100_000))
    assert state() == "lost"
    web.execute(schema.supply.update().where(schema.supply.c.meter_id == "000000000001").values(relay="permitted"))
    assert state() == "allow"
    web.execute(schema.supply.update().where(schema.supply.c.meter_id == "000000000001").values(relay="open"))
    assert state() == "cut"


def test_the_wall_asks_the_database_the_same_few_questions_for_any_number_of_households(web):
    for number in range(200):
        room, account, meter = f"1-{number + 200}", f"B{number}", f"{number + 500:012d}"
        put(web, schema.room, room_id=room, building_id="1", floor=2 + number // 8, door=f"{number % 8:02d}")
        put(web, schema.account, account_id=account, kind="household", room_id=room)
        put(web, schema.meter, meter_id=meter, bus_id="bus1", account_id=account, room_id=room, start_wh=0,
            installed_at=0)  # fmt: skip
    client = web.signed_in("operator")
    asked = []
    event.listen(web.state.engine, "before_cursor_execute", lambda *args: asked.append(args[2]))
    page = client.get("/wall")
    assert page.text.count('role="gridcell" class="t ') >= 202
    assert len([statement for statement in asked if statement.startswith("SELECT")]) <= 16


def test_the_drawer_shows_the_check_that_keeps_the_power_on(web):
    set_up_overdraft(web)
    client = web.signed_in("operator")
    client.cookies.set("estate645_language", "en")
    drawer = client.get("/drawer/A1").text
    assert "Why it is not cut now" in drawer
    assert "Cutting is not armed" in client.get("/supply?room=1-101").text
    assert "Cut warning not delivered" in drawer


def test_reading_now_shows_the_outcome(web):
    client = web.signed_in("operator")
    client.cookies.set("estate645_language", "en")
    answer = client.post("/households/A1/read", headers=web.csrf("operator"))
    assert "The meter has answered" in answer.text


def test_the_counter_takes_cash_once_and_gives_a_receipt(web):
    client = web.signed_in("cashier")
    client.cookies.set("estate645_language", "en")
    sale_key = re.search(r'name="sale_key" value="([^"]+)"', client.get("/counter?room=1-101").text)[1]
    form = {"account_id": "A1", "amount": "100.50", "sale_key": sale_key}
    first = client.post("/counter", data=form, headers=web.csrf("cashier"))
    again = client.post("/counter", data=form, headers=web.csrf("cashier"))
    assert first.status_code == again.status_code == 303
    assert again.headers["location"] == first.headers["location"] + "&again=1"
    assert "nothing was booked again" in client.get(again.headers["location"]).text
    receipt = client.get(first.headers["location"]).text
    assert "nothing was booked again" not in receipt
    assert "¥100.50" in receipt
    assert 'href="/pay/' in receipt
    assert web.rows(schema.account.select().where(schema.account.c.account_id == "A1"))[0]["balance_fen"] == 10_050


def test_who_has_moved_out_with_a_debt_pays_at_the_counter(web):
    put(
        web, schema.account, account_id="A3", kind="household", holder="李四", status="left", balance_fen=-5050,
        version=1,
    )  # fmt: skip
    client = web.signed_in("cashier")
    client.cookies.set("estate645_language", "en")
    assert 'href="/counter?account=A3"' in client.get("/accounts/A3").text
    for sought in ("李四", "A3"):
        assert 'href="/counter?account=A3"' in client.get("/counter", params={"room": sought}).text
    page = client.get("/counter?account=A3").text
    assert 'name="amount" value="50.50"' in page
    form = {"account_id": "A3", "amount": "50.50", "sale_key": re.search(r'name="sale_key" value="([^"]+)"', page)[1]}
    receipt = client.get(client.post("/counter", data=form, headers=web.csrf("cashier")).headers["location"]).text
    assert re.search(r"<dt>Household</dt><dd>A3 ", receipt)
    assert "/pay/" not in receipt  # no meter, so no power whose progress could be shown
    assert web.rows(schema.account.select().where(schema.account.c.account_id == "A3"))[0]["balance_fen"] == 0
    closed = {"account_id": "A9", "amount": "1", "sale_key": "12345678"}
    assert client.post("/counter", data=closed, headers=web.csrf("cashier")).status_code == 404


def test_a_room_with_words_in_its_id_is_found_by_it_and_by_its_numbers_and_pays_at_the_kiosk(web):
    for number, room_id in enumerate(("3栋2单元501", "3栋2单元502", "3座2单元502"), 5):
        put(web, schema.room, room_id=room_id, building_id="1", floor=5, door=room_id[-2:])
        put(
            web,
            schema.account,
            account_id=f"A{number}",
            kind="household",
            room_id=room_id,
            holder="王五",
            status="normal",
        )
        put(
            web, schema.meter, meter_id=f"{number:012d}", bus_id="bus1", account_id=f"A{number}", room_id=room_id,
            start_wh=0, installed_at=WORLD_S,
        )  # fmt: skip
    cashier, kiosk = web.signed_in("cashier"), web.signed_in("kiosk")
    for sought in ("3栋2单元501", "3-2-501", "3 2 501"):
        page = cashier.get("/counter", params={"room": sought}).text
        assert 'name="account_id" value="A5"' in page, sought
    pays = {"amount": "50", "room": "3-2-501"}
    assert kiosk.post("/kiosk/pay", data=pays, headers=web.csrf("kiosk")).status_code == 200
    assert kiosk.post("/kiosk/pay", data=pays | {"room": "3-2-502"}, headers=web.csrf("kiosk")).status_code == 422
    assert [row["account_id"] for row in web.rows(schema.payment_order.select())] == ["A5"]


def test_a_wrong_sum_is_refused_and_nothing_is_booked(web):
    client = web.signed_in("cashier")
    for amount in ("", "-5", "1e3", "1.005", "abc", "99999999"):
        form = {"account_id": "A1", "amount": amount, "sale_key": "12345678"}
        assert client.post("/counter", data=form, headers=web.csrf("cashier")).status_code == 422
    assert web.rows(schema.batch.select()) == []


def test_the_red_button_stops_at_once_and_two_people_start_again(web):
    put(web, schema.app_user, user_id="second", login="second", password_hash=_hash_of(web), role="operator")
    first, second = web.signed_in("operator"), web.signed_in("second")
    assert first.post("/supply/stop", headers=web.csrf("operator")).status_code == 303
    assert web.rows(schema.estate.select())[0]["stopped"] == 1
    assert first.post("/supply/start-again", headers=web.csrf("operator")).status_code == 303
    [asked] = web.rows(schema.approval.select())
    path, form = f"/supply/approve/{asked['approval_id']}", {"payload_sha256": asked["payload_sha256"]}
    assert first.post(path, data=form, headers=web.csrf("operator")).status_code == 422
    assert second.post(path, data={"payload_sha256": "0" * 64}, headers=web.csrf("second")).status_code == 409
    assert asked["payload_sha256"] in second.get("/supply").text
    assert second.post(path, data=form, headers=web.csrf("second")).status_code == 303
    assert web.rows(schema.estate.select())[0]["stopped"] == 0


def test_a_request_that_is_outdated_says_so_and_offers_no_agreement(web):
    put(web, schema.app_user, user_id="second", login="second", password_hash=_hash_of(web), role="operator")
    first, second = web.signed_in("operator"), web.signed_in("second")
    assert first.post("/supply/mode", data={"mode": "dry_run"}, headers=web.csrf("operator")).status_code == 303
    [asked] = web.rows(schema.approval.select())
    assert f'action="/supply/approve/{asked["approval_id"]}"' in second.get("/supply").text
    assert "等待第二人" in second.get("/today").text
    web.execute(schema.estate.update().values(mode="armed"))
    page = second.get("/supply").text
    assert f'action="/supply/approve/{asked["approval_id"]}"' not in page
    assert "申请之后模式已变" in page
    assert "等待第二人" not in second.get("/today").text
    away = f"/supply/withdraw/{asked['approval_id']}"
    assert second.post(away, headers=web.csrf("second")).status_code == 303
    assert "申请之后模式已变" not in second.get("/supply").text


def test_a_budget_that_is_overrun_looks_like_one_in_a_fast_world_too(web):
    fast = replace(web.clock.anchor, factor=120)
    web.execute(schema.estate.update().values(reading_cycle_s=120, status_cycle_s=120))
    quiet = english(web, "operator", "/buses")
    assert "too many for this line" not in quiet
    web.clock.anchor = fast
    assert '<td class="fail">2 meters' in english(web, "operator", "/buses")
    assert "too many for this line" in english(web, "operator", "/buses")


def _hash_of(web):
    return web.rows(schema.app_user.select().where(schema.app_user.c.login == "operator"))[0]["password_hash"]


def test_a_case_is_taken_and_closed_with_a_result(web):
    open_case(web)
    client = web.signed_in("operator")
    client.cookies.set("estate645_language", "en")
    page = client.get("/cases/C1").text
    assert "11.14 kWh" in page
    assert "6.1 %" in page
    assert (
        client.post("/cases/C1/acknowledge", data={"note": "on my way"}, headers=web.csrf("operator")).status_code
        == 303
    )
    assert client.post("/cases/C1/close", data={"resolution": ""}, headers=web.csrf("operator")).status_code == 422
    assert (
        client.post("/cases/C1/close", data={"resolution": "loose wire"}, headers=web.csrf("operator")).status_code
        == 303
    )
    assert "loose wire" in client.get("/cases/C1").text
    assert web.rows(schema.anomaly_case.select())[0]["status"] == "closed"


def test_search_finds_by_room_name_and_meter(web):
    client = web.signed_in("operator")
    assert client.get("/find?q=1-101").headers["location"] == "/households/A1"
    assert client.get("/find?q=1%20101").headers["location"] == "/households/A1"
    assert client.get("/find?q=000000000002").headers["location"] == "/households/A2"
    assert client.get("/find?q=%25").status_code == 200


def test_names_are_escaped(web):
    web.execute(schema.account.update().values(holder="<script>alert(1)</script>"))
    client = web.signed_in("operator")
    for path in ("/wall?room=1-101", "/households/A1", "/counter?room=1-101", "/find?q=script"):
        assert "<script>alert" not in client.get(path).text


def test_unknown_things_are_a_page_in_the_language_of_the_person(web):
    client = web.signed_in("operator")
    client.cookies.set("estate645_language", "zh_CN")
    for path in ("/households/NOBODY", "/drawer/NOBODY", "/cases/C9", "/nowhere"):
        answer = client.get(path)
        assert answer.status_code == 404
        assert "没有找到" in answer.text


def english(web, role, path):
    client = web.signed_in(role)
    client.cookies.set("estate645_language", "en")
    return client.get(path).text


def test_unknown_power_is_a_dash_and_not_zero(web):
    web.execute(schema.meter_live.update().values(power_mw=None, variables_at=None))
    assert '<span data-power="1">—</span> kW' in english(web, "operator", "/wall")
    assert "0 of 2 known" in english(web, "operator", "/today")
    assert "Power, not read yet" in english(web, "operator", "/households/A1")
    web.execute(schema.meter_live.update().where(schema.meter_live.c.meter_id == "000000000001").values(power_mw=0))
    assert "1 of 2 known" in english(web, "operator", "/today")
    assert web.signed_in("operator").get("/wall/tiles").json()["power"] == {"1": "0.00"}


@pytest.mark.parametrize("role", ["cashier", "reader", "operator", "admin"])
def test_no_link_of_a_page_leads_its_reader_to_a_refusal(web, role):
    set_up_overdraft(web)
    open_case(web)
    web.execute(schema.estate.update().values(stopped=1))
    client = web.signed_in(role)
    refused = {}
    for path in ("/today", "/wall", "/drawer/A1", "/households/A1"):
        for link in set(re.findall(r'href="(/[^"#]*)"', client.get(path).text)):
            status = client.get(link, follow_redirects=False).status_code
            if status >= 400:
                refused[path, link] = status
    assert refused == {}


def test_every_live_part_of_a_household_page_is_refreshed_with_its_facts(web):
    page = english(web, "operator", "/households/A1")
    (parts,) = re.findall(r'hx-select-oob="([^"]*)"', page)
    wanted = {"state", "acts", "isolation", "ledger", "readings", "supply", "notices", "topups", "cases"}
    assert {part.removeprefix("#") for part in parts.split(",")} == wanted
    assert [name for name in wanted if page.count(f'id="{name}"') != 1] == []


@pytest.mark.parametrize(("relay", "offered"), [("closed", False), ("open", True), ("unknown", True)])
def test_closing_is_offered_unless_the_relay_reads_closed(web, relay, offered):
    web.execute(schema.supply.update().values(relay=relay))
    assert ("Close relay…" in english(web, "operator", "/households/A1")) is offered


def test_a_clock_that_is_not_trusted_shows_among_the_reasons(web, monkeypatch):
    monkeypatch.setattr(steady, "SANE_FOR_S", 0.0)  # a page tells it a second later at the most
    set_up_overdraft(web)
    web.execute(schema.estate.update().values(mode="armed"))
    assert "Clocks do not agree" not in english(web, "operator", "/households/A1")
    web.clock.sane = False
    assert "Clocks do not agree" in english(web, "operator", "/households/A1")
    assert "Clocks do not agree" in english(web, "operator", "/supply?room=1-101")


def test_the_drawer_says_when_the_power_was_read(web):
    web.execute(schema.meter_live.update().values(power_mw=900_000, variables_at=WORLD_S - 3900))
    when = english(web, "operator", "/drawer/A1").split("0.90 kW")[1].split("</dd>")[0]
    assert re.fullmatch(r' <span class="q">\d\d:\d\d</span>', when), when


@pytest.mark.parametrize("breaker", ["closed", "open"])
def test_a_bulk_cut_is_offered_only_while_the_breaker_lets_one_begin(web, breaker):
    web.execute(schema.supply.update().values(candidate="quarantined", candidate_at=WORLD_S))
    web.execute(schema.estate.update().values(mode="armed", breaker=breaker, breaker_reason="limits"))
    client = web.signed_in("operator")
    client.cookies.set("estate645_language", "en")
    page = client.get("/supply").text
    assert ('action="/supply/bulk-cut"' in page) == (breaker == "closed")
    assert ("no bulk cut can be asked for" in page) == (breaker == "open")
