"""The counter by keyboard: find, amount, take, receipt; the same sale sent twice is credited once; power comes back."""

import re

from playwright.sync_api import expect

CUT = "H20503"


def open_sale(window, room):
    window.go("/counter")
    window.page.keyboard.press("/")
    window.page.keyboard.type(room)
    window.page.keyboard.press("Enter")
    expect(window.page.locator("#sale")).to_be_visible()


def test_cash_brings_the_power_back(visit, demo):
    demo.wait_for_relay(CUT, "open")
    window = visit("lin", language="zh_CN")
    open_sale(window, "2-0503")
    page = window.page
    page.locator("h1").click()
    page.keyboard.press("1")
    expect(page.locator("[name=amount]")).to_have_value("50")
    expect(page.locator("[data-sum=total]")).to_have_text("¥50.00")
    page.keyboard.press("F8")
    receipt = page.locator(".rcpt")
    expect(receipt).to_contain_text("¥50.00")
    expect(receipt).to_contain_text("2 栋 0503")
    assert demo.topups(CUT) == [5000]
    page.locator("a.btn[href^='/pay/']").click()
    card = page.locator("#progress")
    expect(card).to_have_attribute("data-phase", "on", timeout=90_000)
    expect(card).to_contain_text("已通电")
    demo.wait_for_relay(CUT, "closed")


def test_one_sale_sent_twice_is_credited_once(visit, demo):
    window = visit("lin")
    open_sale(window, "3-0101")
    page = window.page
    before = demo.topups("H30101")
    page.keyboard.press("F2")
    page.keyboard.type("61.20")
    fields = page.evaluate("Object.fromEntries(new FormData(document.getElementById('sale')))")
    page.get_by_role("button", name=re.compile("Take payment")).dblclick()
    expect(page.locator(".rcpt")).to_contain_text("¥61.20")
    order_no = page.locator(".rcpt .mono").first.inner_text()
    again = window.context.request.post(
        f"{demo.url}/counter",
        form=fields,
        headers={"Origin": demo.url, "Sec-Fetch-Site": "same-origin"},
        max_redirects=0,
    )
    assert again.status == 303
    assert again.headers["location"] == f"/counter?sold={order_no}&again=1"
    assert demo.topups("H30101") == [6120, *before]
    page.go_back()
    assert demo.topups("H30101") == [6120, *before]


def test_a_sale_sent_from_the_page_before_is_the_same_sale_and_another_amount_another(visit, demo):
    window = visit("lin")
    open_sale(window, "3-0103")
    page = window.page
    before = demo.topups("H30103")
    page.fill("#sale [name=amount]", "33.30")
    page.keyboard.press("F8")
    expect(page.locator(".rcpt")).to_contain_text("¥33.30")
    order_no = page.locator(".rcpt .mono").first.inner_text()
    page.go_back()
    expect(page.locator("#sale")).to_be_visible()
    page.fill("#sale [name=amount]", "33.30")
    page.keyboard.press("F8")
    expect(page.locator(".note.warn")).to_contain_text("nothing was booked again")
    expect(page.locator(".rcpt .mono").first).to_have_text(order_no)
    assert demo.topups("H30103") == [3330, *before]
    page.go_back()
    expect(page.locator("#sale")).to_be_visible()
    page.fill("#sale [name=amount]", "44.40")
    page.keyboard.press("F8")
    expect(page.locator(".rcpt")).to_contain_text("¥44.40")
    assert demo.topups("H30103") == [4440, 3330, *before]


def test_what_is_typed_before_the_page_has_come_is_the_amount_there(visit, demo):
    """A quick cashier's keys went to the page before, and F8 then took the 100 yuan that nobody had chosen."""
    window = visit("lin")
    page = window.page
    before = demo.topups("H30104")
    window.go("/counter")
    slow = {"offline": False, "latency": 3_000, "downloadThroughput": -1, "uploadThroughput": -1}
    network = window.context.new_cdp_session(page)
    network.send("Network.enable")
    network.send("Network.emulateNetworkConditions", slow)
    page.keyboard.press("/")
    page.keyboard.type("3-0104")
    page.keyboard.press("Enter")
    page.keyboard.press("F2")
    page.keyboard.type("77")
    expect(page.locator("#sale [name=amount]")).to_have_value("77")
    network.send("Network.emulateNetworkConditions", slow | {"latency": 0})
    expect(page.locator("[data-sum=total]")).to_have_text("¥77.00")
    page.keyboard.press("Backspace")
    page.keyboard.type("６")
    expect(page.locator("[data-sum=total]")).to_have_text("¥76.00")
    assert demo.topups("H30104") == before
    page.keyboard.press("F8")
    expect(page.locator(".rcpt")).to_contain_text("¥76.00")
    assert demo.topups("H30104") == [7600, *before]


def test_an_amount_beyond_the_limits_is_refused_and_the_form_keeps_it(visit, demo):
    window = visit("lin")
    window.forgives = ("422",)
    page = window.page
    for amount in ("0", "12.345", "1e3", "5000.01"):
        open_sale(window, "3-0102")
        expect(page.locator("#sale [name=amount]")).to_have_value("100")
        page.fill("#sale [name=amount]", amount)
        page.keyboard.press("Enter")
        expect(page.get_by_role("alert")).to_contain_text("Nothing was changed")
    expect(page.get_by_role("alert")).to_contain_text("at most ¥5,000.00 can be paid at once, not ¥5,000.01")
    page.get_by_role("link", name="Back to what was filled in").click()
    expect(page.locator("#sale [name=amount]")).to_have_value("5000.01")
    expect(page.locator("[data-amount=own]")).to_have_attribute("aria-pressed", "true")
    assert demo.topups("H30102") == []


def test_the_last_sale_is_reversed_by_keyboard_with_a_reason(visit, demo):
    window = visit("lin")
    open_sale(window, "3-0101")
    page = window.page
    page.keyboard.press("F2")
    page.keyboard.type("12.30")
    page.keyboard.press("F8")
    expect(page.locator(".rcpt")).to_contain_text("¥12.30")
    page.locator("h2").first.click()
    page.keyboard.press("Control+Backspace")
    dialog = page.locator("#reverse-dialog")
    expect(dialog).to_be_visible()
    dialog.locator("[name=reason]").fill("wrong room")
    dialog.get_by_role("button", name="Reverse", exact=True).click()
    page.wait_for_url(lambda address: address.endswith("/counter"))
    expect(page.locator(".que").first).to_contain_text("¥12.30 given back")
