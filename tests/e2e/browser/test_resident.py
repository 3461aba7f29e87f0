"""A resident on a phone: cut off, pays through the provider's page, presses the button, and the power is on."""

import re

import pytest
from playwright.sync_api import expect

from tests.e2e.pages import PHONE

CUT = "H10802"
STAFF_PATHS = (
    "/today", "/wall", "/wall/tiles", "/drawer/H10802", "/households/H10802", "/households/H20905", "/counter",
    "/supply", "/statistics", "/cases", "/buses", "/find?q=1", "/kiosk", "/api/v1/households",
    "/api/v1/households/H10802", "/api/v1/supply/approvals", "/api/v1/statistics/usage.csv",
)  # fmt: skip


def test_a_cut_resident_pays_and_follows_the_progress_until_the_power_is_on(visit, demo):
    demo.wait_for_relay(CUT, "open")
    window = visit("1-0802", viewport=PHONE, language="zh_CN")
    page = window.page
    window.go("/me")
    expect(page.locator(".hero")).to_contain_text("已停电")
    expect(page.locator(".hero")).to_contain_text("付款后自动恢复")
    expect(page.locator("#standing")).not_to_contain_text("若未充值")
    page.get_by_role("button", name="¥50", exact=True).click()
    page.locator("#payform .big").click()
    expect(page.get_by_text("¥50.00").first).to_be_visible()
    assert not page.url.startswith(demo.url), "the provider's page is another site"
    page.locator("button[value=pay]").click()
    page.wait_for_url(f"{demo.url}/pay/**")
    card = page.locator("#progress")
    phases = []

    def power_is_on():
        phase = card.get_attribute("data-phase")
        if phase not in phases[-1:]:
            phases.append(phase)
        return phase == "on"

    window.until(power_is_on, "the power is on", patience_ms=90_000)
    assert phases == sorted(set(phases), key=("waiting", "switching", "button", "on").index), phases
    expect(card).to_contain_text("已通电")
    expect(card.get_by_role("status")).to_contain_text(" s")
    assert demo.topups(CUT) == [5000]
    assert demo.household(CUT)["relay"] == "closed"
    page.get_by_role("link", name="完成").click()
    expect(page).to_have_url(f"{demo.url}/me")
    expect(page.locator(".hero")).to_contain_text("供电正常")
    expect(page.locator("#standing .note.bad")).to_have_count(0)


def test_a_payment_that_failed_is_never_shown_as_paid(visit, demo):
    window = visit("2-0905", viewport=PHONE)
    window.go("/me")
    window.page.locator("#payform .big").click()
    window.page.locator("button[value=fail]").click()
    window.page.wait_for_url(f"{demo.url}/pay/**")
    expect(window.page.locator("#progress")).to_have_attribute("data-phase", re.compile("waiting|closed"))
    expect(window.page.locator("#progress")).not_to_contain_text("balance")
    assert demo.topups("H20905") == []


@pytest.mark.parametrize("path", STAFF_PATHS)
def test_residents_do_not_get_staff_pages(visit, demo, path):
    window = visit("2-0905", viewport=PHONE)
    answer = window.context.request.get(f"{demo.url}{path}", max_redirects=0)
    assert answer.status in (303, 403, 404), answer.text()[:200]
    if answer.status == 303:
        assert answer.headers["location"].startswith(("/login", "/me"))


def test_a_household_without_anything_wrong_reads_calmly(visit):
    window = visit("2-0905", viewport=PHONE, language="zh_CN")
    window.go("/me")
    window.charts_drawn()
    expect(window.page.locator("#standing .note.bad")).to_have_count(0)
    for path, words in (
        ("/me/usage", "用电"),
        ("/me/bills", "期初余额"),
        ("/me/account", "电表"),
        ("/me/help", "没电"),
    ):
        window.go(path)
        expect(window.page.locator("main")).to_contain_text(words)
