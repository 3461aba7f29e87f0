"""Pages of residents, payers and the kiosk: what they are told, what they are not told, and paying."""

import json
import re
from types import SimpleNamespace

import pytest

from server.pay.provider import ProviderUnavailable
from server.store import schema
from server.web.resident.story import bill_story
from tests.server.web.conftest import ESTATE, MACHINE_MS, WORLD_S

RESIDENT_PAGES = ("/me", "/me/usage", "/me/bills", "/me/account", "/me/help")


def account(web, **values):
    web.execute(schema.account.update().where(schema.account.c.account_id == "A1").values(**values))


def relay(web, **values):
    web.execute(schema.supply.update().where(schema.supply.c.meter_id == "000000000001").values(**values))


def warn(web, notice_id="n1", created_ms=MACHINE_MS):
    arguments = {"balance_fen": -1462, "earliest_at": WORLD_S + 86_400, "pay_fen": 2000}
    web.execute(
        schema.notice.insert().values(
            estate_id=ESTATE,
            notice_id=notice_id,
            account_id="A1",
            kind="cut_warning",
            channel="page",
            arguments=json.dumps(arguments),
            event_at=WORLD_S,
            created_ms=created_ms,
        )
    )


@pytest.mark.parametrize("language", ["zh_CN", "en"])
@pytest.mark.parametrize("path", RESIDENT_PAGES)
def test_every_page_of_a_resident_renders_in_both_languages(web, path, language):
    client = web.signed_in("resident")
    client.cookies.set("estate645_language", language)
    page = client.get(path)
    assert page.status_code == 200, page.text[:400]
    assert f'<html lang="{ {"zh_CN": "zh-CN", "en": "en"}[language] }">' in page.text
    assert "1-102" not in page.text


@pytest.mark.parametrize(("language", "said"), [("zh_CN", "之前的明细已归档"), ("en", "are archived; ")])
def test_pages_say_that_older_lines_are_archived(web, language, said):
    """Nothing is left to list, and yet it must not look as if nobody had ever paid."""
    for role, pages in (("resident", ("/me", "/me/bills")), ("operator", ("/households/A1",))):
        client = web.signed_in(role)
        client.cookies.set("estate645_language", language)
        assert not any(said in client.get(page).text for page in pages)
    act = {"act": "moved", "first_seq": 1, "last_seq": 9, "until_seq": 9, "until_at": WORLD_S - 86_400, "lines": 9}
    texts = dict.fromkeys(("file", "file_sha256", "hash", "standing_sha256", "actor"), "")
    web.execute(schema.archive.insert().values(estate_id=ESTATE, archive_no=1, created_ms=0, **act, **texts))
    for role, pages in (("resident", ("/me", "/me/bills")), ("operator", ("/households/A1",))):
        client = web.signed_in(role)
        client.cookies.set("estate645_language", language)
        for page in pages:
            text = client.get(page).text
            assert said in text
            assert role == "operator" or not re.search("还没有充值记录|No top-ups yet", text)
    balance = client.get("/api/v1/households/A1/balance", params={"at": WORLD_S - 86_401})
    assert (balance.status_code, "are archived" in balance.json()["detail"]) == (422, True)
    assert client.get("/api/v1/households/A1/balance").status_code == 200


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        ({}, "供电正常"),
        ({"balance_fen": -320, "level": 3}, "已透支 ¥3.20；充 ¥10 即可避免停电"),
        ({"balance_fen": -320, "level": 3, "protected": 1}, "保电户，不会因欠费停电"),
    ],
)
def test_the_state_is_told_in_one_thought(web, facts, words):
    account(web, **{"balance_fen": 5000, **facts})
    relay(web, relay="closed", desired="closed", cause="none", relay_at=WORLD_S)
    client = web.signed_in("resident")
    client.cookies.set("estate645_language", "zh_CN")
    assert words in client.get("/me").text


def test_a_cut_household_is_told_why_and_what_helps(web):
    account(web, balance_fen=-1462, level=3)
    relay(web, relay="open", desired="open", cause="arrears", relay_at=WORLD_S)
    client = web.signed_in("resident")
    client.cookies.set("estate645_language", "en")
    assert (
        "Cut for arrears (13 Oct 09:05). Comes back after payment, usually in 10 s; ¥20 is enough."
        in client.get("/me").text
    )
    relay(web, relay="permitted", desired="closed", cause="none")
    assert "hold the meter" in client.get("/me").text


def test_a_notice_says_when_it_was_written_and_never_that_a_debt_is_left(web):
    account(web, balance_fen=-57, level=2)
    arguments = json.dumps({"balance_fen": -13})
    put = {"estate_id": ESTATE, "account_id": "A1", "channel": "page", "created_ms": MACHINE_MS}
    web.execute(
        schema.notice.insert().values(notice_id="n9", kind="alarm2", arguments=arguments, event_at=WORLD_S - 300, **put)
    )
    client = web.signed_in("resident")
    client.cookies.set("estate645_language", "en")
    assert re.search(r"Overdrawn by ¥0\.13\. Please top up soon\. <span[^>]*>09:00</span>", client.get("/me").text)


def test_the_end_of_a_cut_is_told_without_an_or_once_the_relay_reads_closed(web):
    put = {"estate_id": ESTATE, "account_id": "A1", "channel": "page", "created_ms": MACHINE_MS, "arguments": "{}"}
    web.execute(schema.notice.insert().values(notice_id="n8", kind="restored", event_at=WORLD_S, **put))
    client = web.signed_in("resident")
    client.cookies.set("estate645_language", "en")
    assert "or the meter permits closing" in client.get("/me").text
    relay(web, relay="closed", desired="closed", cause="none")
    assert "The power is back on. <span" in client.get("/me").text


def test_a_bill_is_told_in_one_breath():
    def gettext(text):
        return text

    plain = SimpleNamespace(energy_wh=960, charged_fen=57, other_fen=3, balance_before_fen=0, balance_after_fen=-54)
    told = "You used 0.96 kWh, which cost ¥0.57. Top-ups and corrections: +¥0.03. "
    assert bill_story(plain, gettext) == f"{told}The balance went from ¥0.00 to −¥0.54."
    paid = SimpleNamespace(energy_wh=0, charged_fen=0, other_fen=5000, balance_before_fen=0, balance_after_fen=5000)
    assert bill_story(paid, gettext).startswith("Top-ups and corrections: +¥50.00. ")


def test_a_notice_of_the_page_counts_only_once_it_was_shown(web):
    warn(web)
    client = web.signed_in("resident")
    client.cookies.set("estate645_language", "zh_CN")
    page = client.get("/me").text
    assert "已透支 ¥14.62。若未充值，将于 10月14日 09:05 后停电；17:00 至次日 09:00 不停电。充 ¥20 即可避免。" in page
    assert web.rows(schema.notice.select())[0]["status"] == "queued"
    assert client.post("/me/notices/n1/seen").status_code == 403
    assert client.post("/me/notices/n1/seen", headers=web.csrf("resident")).status_code == 204
    assert web.rows(schema.notice.select())[0]["status"] == "delivered"
    assert client.post("/me/notices/other/seen", headers=web.csrf("resident")).status_code == 404


def test_every_notice_on_the_page_can_be_seen(web):
    for number in range(20):
        warn(web, f"n{number}", MACHINE_MS + number)
    client = web.signed_in("resident")
    shown = set(re.findall(r"/me/notices/(n\d+)/seen", client.get("/me").text))
    assert len(shown) == 20
    assert {client.post(f"/me/notices/{n}/seen", headers=web.csrf("resident")).status_code for n in shown} == {204}


def pay(web, amount="100"):
    client = web.signed_in("resident")
    answer = client.post("/me/pay", data={"amount": amount}, headers=web.csrf("resident"))
    assert answer.status_code == 303, answer.text
    return client, answer.headers["location"]


def test_paying_leads_to_the_provider_and_back_to_the_progress(web):
    client, location = pay(web)
    assert location.startswith("http://payer.test/")
    [order] = web.rows(schema.payment_order.select())
    assert (order["amount_fen"], order["channel"], order["status"]) == (10_000, "online", "created")
    client.cookies.set("estate645_language", "en")
    page = client.get(f"/pay/{order['order_no']}")
    assert page.status_code == 200
    assert 'data-phase="waiting"' in page.text
    assert web.client().get(f"/pay/{order['order_no']}?token=guess").status_code == 404
    assert web.client().get("/pay/unknown?token=guess").status_code == 404


def test_progress_follows_the_read_back_and_never_the_wish(web):
    client, _ = pay(web)
    [order] = web.rows(schema.payment_order.select())
    path = f"/pay/{order['order_no']}/card"
    mine = schema.payment_order.c.order_no == order["order_no"]
    relay(web, relay="open", desired="closed", cause="arrears")
    web.execute(schema.payment_order.update().where(mine).values(status="paid", paid_ms=MACHINE_MS, powered_off=1))
    web.clock.move(4)
    assert 'data-phase="switching"' in client.get(path).text
    web.clock.move(120)
    assert "do not pay again" in client.get(path).text.lower() or "不用再付一次" in client.get(path).text
    relay(web, relay="permitted")
    assert 'data-phase="button"' in client.get(path).text
    relay(web, relay="closed")
    web.execute(
        schema.payment_order.update().where(mine).values(confirmed_ms=MACHINE_MS + 4000, button_ms=MACHINE_MS + 6200)
    )
    done = client.get(path).text
    assert 'data-phase="on"' in done
    assert "6.2 s" in done


def test_a_payer_with_the_link_sees_no_balance_and_no_name(web):
    account(web, balance_fen=123_456)
    kiosk = web.signed_in("kiosk")
    page = kiosk.post("/kiosk/pay", data={"room": "1-101", "amount": "50"}, headers=web.csrf("kiosk")).text
    order_no, token = re.search(r"/kiosk/order/([^?]+)\?token=([^\"]+)\"", page).groups()
    mine = schema.payment_order.c.order_no == order_no
    web.execute(schema.payment_order.update().where(mine).values(status="paid", paid_ms=MACHINE_MS))
    for text in (page, kiosk.get(f"/kiosk/order/{order_no}?token={token}").text,
                 web.client().get(f"/pay/{order_no}?token={token}").text):  # fmt: skip
        assert "1,234.56" not in text
        assert "张三" not in text
    assert "1,234.56" in web.signed_in("resident").get(f"/pay/{order_no}").text


def test_nobody_is_told_that_an_order_is_paid_before_it_is_and_the_code_goes_away_afterwards(web):
    kiosk = web.signed_in("kiosk")
    page = kiosk.post("/kiosk/pay", data={"room": "1-101", "amount": "50"}, headers=web.csrf("kiosk")).text
    order_no, token = re.search(r"/kiosk/order/([^?]+)\?token=([^\"]+)\"", page).groups()
    card = web.client().get(f"/pay/{order_no}?token={token}").text
    assert "应付 ¥50.00" in card
    assert "已支付" not in card
    waiting = kiosk.get(f"/kiosk/order/{order_no}?token={token}").text
    assert "kcode" not in waiting
    mine = schema.payment_order.c.order_no == order_no
    web.execute(schema.payment_order.update().where(mine).values(status="paid", paid_ms=MACHINE_MS))
    paid = kiosk.get(f"/kiosk/order/{order_no}?token={token}").text
    assert '<div id="kcode" hx-swap-oob="true" hidden></div>' in paid
    assert 'id="ksteps" hx-swap-oob="true"' in paid


def test_the_kiosk_answers_the_same_for_rooms_that_exist_and_rooms_that_do_not(web):
    kiosk = web.signed_in("kiosk")
    answers = []
    for room in ("1-101", "9-999"):
        step = kiosk.post("/kiosk/room", data={"room": room}, headers=web.csrf("kiosk"))
        shown = kiosk.get(step.headers["location"]).text.replace(room, "ROOM")
        shown = shown.replace(room.replace("-", " 栋 "), "SAID")
        answers.append((step.status_code, shown))
    assert answers[0] == answers[1]
    assert kiosk.post("/kiosk/room", data={"room": "<b>"}, headers=web.csrf("kiosk")).status_code == 422
    assert kiosk.get("/me").status_code in (403, 404)


def test_the_kiosk_refuses_an_unknown_room_as_it_refuses_a_wrong_amount(web):
    """Only who could pay learns that a room exists; a refusal does not say what was wrong."""
    kiosk = web.signed_in("kiosk")
    forms = ({"room": "9-999", "amount": "50"}, {"room": "1-101", "amount": "0"})
    answers = [kiosk.post("/kiosk/pay", data=form, headers=web.csrf("kiosk")) for form in forms]
    shown = [
        answer.text.replace(room.replace("-", " 栋 "), "SAID").replace(room, "ROOM")
        for answer, room in zip(answers, ("9-999", "1-101"), strict=True)
    ]
    assert (answers[0].status_code, shown[0]) == (answers[1].status_code, shown[1])


@pytest.mark.parametrize(
    "form", [{"room": "9-999", "amount": "50"}, {"room": "1-101", "amount": "x"}, {"room": "1-101", "amount": "0"}]
)
def test_the_kiosk_takes_no_money_for_nobody_or_nothing(web, form):
    kiosk = web.signed_in("kiosk")
    assert kiosk.post("/kiosk/pay", data=form, headers=web.csrf("kiosk")).status_code == 422
    assert web.rows(schema.payment_order.select()) == []


def test_payers_are_offered_and_told_the_limits_of_their_estate(web):
    web.execute(schema.estate.update().values(topup_min_fen=6_000, topup_max_fen=20_000))
    kiosk, resident = web.signed_in("kiosk"), web.signed_in("resident")
    kiosk.cookies.set("estate645_language", "en")
    resident.cookies.set("estate645_language", "en")
    shown = kiosk.get("/kiosk/amount?room=1-101").text
    assert re.findall(r'data-amount="(\d+)"', shown) == ["100", "200"]
    refused = kiosk.post("/kiosk/pay", data={"room": "1-101", "amount": "300"}, headers=web.csrf("kiosk")).text
    assert "(¥60.00 to ¥200.00)" in refused
    home = resident.get("/me").text
    assert re.findall(r'data-amount="(\d+)"', home) == ["100", "200"]
    assert "Amount in yuan, ¥60.00 to ¥200.00" in home
    web.execute(schema.estate.update().values(topup_min_fen=1_000, topup_max_fen=4_000))
    for page in (kiosk.get("/kiosk/amount?room=1-101").text, resident.get("/me").text):
        assert re.findall(r'data-amount="(\d+)"', page) == ["40"]
        assert re.search(r'name="amount"[^>]* value="40"', page)


def test_the_kiosk_goes_on_when_the_provider_does_not_answer(web, monkeypatch):
    """Nobody stands there to leave a page of errors, which does not go back to the start by itself."""

    async def away(*_, **__):
        raise ProviderUnavailable("no answer from the sandbox provider (ConnectTimeout)")

    monkeypatch.setattr("server.web.kiosk.begin", away)
    kiosk = web.signed_in("kiosk")
    kiosk.cookies.set("estate645_language", "en")
    answer = kiosk.post("/kiosk/pay", data={"room": "1-101", "amount": "50"}, headers=web.csrf("kiosk"))
    assert answer.status_code == 503
    assert "The payment service does not answer" in answer.text
    assert 'data-idle="60"' in answer.text
    assert 'action="/kiosk/pay"' in answer.text


def test_days_left_come_from_complete_days(web):
    web.execute(
        schema.tariff.insert().values(
            estate_id=ESTATE,
            tariff_id="t",
            name="Plain",
            created_ms=0,
            definition=json.dumps(
                {
                    "id": "t",
                    "valid_from": "2020-01-01T00:00:00+08:00",
                    "kind": "single",
                    "price": "0.50",
                    "tier_period": "none",
                }
            ),
        )
    )
    account(web, tariff_id="t", balance_fen=3500)
    for day in range(4, 13):
        web.execute(
            schema.register_day.insert().values(
                estate_id=ESTATE,
                meter_id="000000000001",
                day=f"2026-10-{day:02d}",
                first_wh=day * 10_000,
                total_wh=(day + 1) * 10_000,
                read_at=WORLD_S,
            )
        )
    client = web.signed_in("resident")
    client.cookies.set("estate645_language", "zh_CN")
    page = client.get("/me").text
    assert "<b>7 天</b>" in page
    assert "¥0.5000" in page
