"""The editor of tariffs: the preview follows what is typed, and a draft goes on to its simulation."""

from playwright.sync_api import expect

from tests.e2e.pages import DESK, PHONE


def test_the_preview_and_the_errors_follow_what_is_typed(visit):
    window = visit("zhou", viewport=DESK, language="en")
    window.go("/tariffs/editor?list=guangzhou-tou")
    page = window.page
    preview = page.locator("#preview")
    expect(preview).to_contain_text("¥117.48")
    page.fill('[name="s0-p2-0"]', "1,2")
    expect(page.locator("#e-s0-prices")).to_contain_text("1,2 is no price")
    page.fill('[name="s0-p2-0"]', "0.99500875")
    expect(page.locator("#e-s0-prices")).to_be_empty()
    expect(preview).to_contain_text("¥117.48")
    page.check('[name="kind"][value="single"]')
    expect(page.locator('[name="s0-p2-0"]')).to_be_hidden()
    expect(page.locator('[name="s0-p0-0"]')).to_be_visible()


def test_a_draft_is_kept_on_a_phone_and_simulated(visit):
    window = visit("zhou", viewport=PHONE, language="zh_CN")
    window.go("/tariffs/editor?tariff=gz")
    page = window.page
    page.click('button[name="act"][value="season"]')
    expect(page.locator("#s2")).to_be_visible()
    page.click('button[name="act"][value="drop-2"]')
    expect(page.locator("#s2")).to_have_count(0)
    page.fill('[name="s0-p0-0"]', "0.6")
    page.click('button.p[name="act"][value="keep"]')
    expect(page.locator(".flow [aria-current]")).to_have_text("试算")
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    page.locator("form[action$=simulate] button").click()
    expect(page.locator(".flow [aria-current]")).to_have_text("第二人批准")
