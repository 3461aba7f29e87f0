"""The kiosk: three questions, no name, no balance, the same answer for every room number, and back to the start."""

import re

from playwright.sync_api import expect

from tests.e2e.pages import HALL, PHONE


def press(window, text):
    for key in text:
        window.page.locator(f'.kpad [data-key="{key}"]').first.click()


def ask(window, room):
    window.go("/kiosk")
    press(window, room)
    expect(window.page.locator("[name=room]")).to_have_value(room)
    window.page.get_by_role("button", name="下一步").click()
    expect(window.page.locator("#payform")).to_be_visible()


def test_a_room_that_exists_and_one_that_does_not_get_the_same_answer(visit):
    window = visit("kiosk", viewport=HALL, language="zh_CN")
    answers = []
    for room in ("2-0706", "2-9999"):
        ask(window, room)
        answers.append(window.page.locator("main").inner_text().replace(room[2:], "ROOM"))
    assert answers[0] == answers[1]
    assert not re.search(r"余额 ?[−-]?¥", answers[0])


def test_what_cannot_be_a_room_number_is_asked_for_again(visit):
    window = visit("kiosk", viewport=HALL, language="zh_CN")
    window.forgives = ("422",)
    window.go("/kiosk")
    press(window, "--")
    window.page.get_by_role("button", name="下一步").click()
    expect(window.page.get_by_role("alert")).to_be_visible()


def test_the_kiosk_takes_a_payment_by_code_and_tells_when_it_has_come(visit, demo):
    account = "H20706"
    window = visit("kiosk", viewport=HALL, language="zh_CN")
    ask(window, "2-0706")
    window.page.locator('[data-amount="50"]').click()
    expect(window.page.locator("[data-shows=amount]")).to_have_text("50")
    window.page.locator("#payform .go2").click()
    expect(window.page.locator(".qr svg path")).to_be_visible()
    pay_url = window.page.locator(".kpay a.kbtn").get_attribute("href")
    holder = demo.household(account).get("holder") or "no name in the API"
    assert holder not in window.page.locator("body").inner_text()
    phone = visit(viewport=PHONE, language="zh_CN")
    phone.page.goto(pay_url)
    phone.page.locator("button[value=pay]").click()
    phone.page.wait_for_url(f"{demo.url}/pay/**")
    expect(phone.page.locator("#progress")).to_contain_text("¥50.00")
    state = window.page.locator("#korder .kstate")
    expect(state).to_have_class(re.compile("credited|switching|button|on"))
    expect(window.page.locator("#korder")).to_contain_text("¥50.00")
    assert demo.topups(account) == [5000]
    window.page.locator("footer a.kbtn").last.click()
    expect(window.page).to_have_url(f"{demo.url}/kiosk")
    expect(window.page.locator("[name=room]")).to_have_value("")


def test_it_goes_back_to_the_start_after_a_minute_without_a_touch(visit, demo):
    window = visit("kiosk", viewport=HALL, language="zh_CN")
    window.page.clock.install()
    ask(window, "1-0101")
    window.page.clock.run_for(50_000)
    assert "/kiosk/amount" in window.page.url
    window.page.clock.run_for(12_000)
    expect(window.page).to_have_url(f"{demo.url}/kiosk")
