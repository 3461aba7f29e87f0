"""A case through the pages: found by the rules, taken by an operator, closed with what was found."""

from playwright.sync_api import expect


def test_a_case_is_taken_and_closed_with_a_result(visit, demo):
    window = visit("zhou", language="zh_CN")
    rows = window.page.locator("table.cand tbody tr")

    def some_case():
        window.go("/cases")
        return rows.count()

    window.until(some_case, "the planted faults become cases", patience_ms=90_000)
    rows.first.locator("a.b").click()
    page = window.page
    address = page.url
    expect(page.locator(".evi li").first).to_be_visible()
    page.fill("input[name=note]", "已派电工现场查看")
    page.get_by_role("button", name="接手").click()
    expect(page).to_have_url(address)
    expect(page.locator(".cmds")).to_contain_text("已派电工现场查看")
    expect(page.locator("input[name=note]")).to_have_count(0)
    page.locator("form[action$='/close'] button").click()
    expect(page.locator("input[name=resolution]"), "a case is not closed without a result").to_be_visible()
    page.fill("input[name=resolution]", "表计通信模块故障，已更换")
    page.locator("form[action$='/close'] button").click()
    expect(page.locator("input[name=resolution]")).to_have_count(0)
    expect(page.locator("main")).to_contain_text("表计通信模块故障，已更换")
    window.go("/cases?status=all")
    expect(page.locator(f"a[href='{address.removeprefix(demo.url)}']")).to_be_visible()


def test_cashiers_do_not_see_cases(visit, demo):
    window = visit("lin")
    assert window.context.request.get(f"{demo.url}/cases", max_redirects=0).status == 403
    window.go("/counter")
    expect(window.page.locator("#nav a[href='/cases']")).to_have_count(0)
