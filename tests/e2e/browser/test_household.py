"""The household page: facts with units, charts, the ledger that adds up, and the dialog that asks for a reason."""

import re
from itertools import pairwise

from playwright.sync_api import expect

LEDGER = """() => [...document.querySelectorAll("#ledger tbody tr")].map((row) =>
  [...row.querySelectorAll("td.r")].map((cell) => cell.textContent.replace("\\u2212", "-").replaceAll(",", "")))"""
DARK = "H10601"  # owes, and nobody pays for it here


def fen(text):
    sign = -1 if text.startswith("-") else 1
    yuan, rest = text.lstrip("+-").split(".")
    return sign * (int(yuan) * 100 + int(rest))


def test_the_page_shows_facts_charts_and_a_ledger_that_adds_up(visit):
    window = visit("zhou")
    window.go("/households/H30604")
    page = window.page
    expect(page.get_by_role("heading", level=1)).to_have_text("3-0604")
    window.charts_drawn()
    assert page.locator("[data-chart] canvas").count() == 2
    expect(page.locator(".facts")).to_contain_text("kW")
    lines = window.until(lambda: found if len(found := page.evaluate(LEDGER)) >= 2 else None, "two lines, live")
    rows = [(fen(amount), fen(after)) for amount, after in lines]
    for (amount_fen, after_fen), (_, before_fen) in pairwise(rows):
        assert before_fen + amount_fen == after_fen
    expect(page.locator(".facts")).to_contain_text(re.compile(r"¥\d+\.\d\d"))


def test_closing_by_hand_is_offered_where_it_is_dark_asks_for_a_reason_and_can_be_left(visit, demo):
    window = visit("zhou")
    window.go("/households/H10405")
    page = window.page
    expect(page.get_by_role("button", name="Close relay…"), "its relay reads closed").to_have_count(0)
    demo.wait_for_relay(DARK, "open")
    window.go(f"/households/{DARK}")
    page.get_by_role("button", name="Close relay…").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_be_visible()
    dialog.get_by_role("button", name="Close relay").click()
    expect(dialog, "without a reason nothing is sent").to_be_visible()
    dialog.get_by_role("button", name="Cancel").click()
    expect(dialog).to_be_hidden()


def test_the_search_finds_by_room_and_opens_the_only_hit(visit, demo):
    window = visit("zhou")
    window.go("/today")
    window.page.keyboard.press("/")
    expect(window.page.get_by_role("searchbox").or_(window.page.locator("input[name=q]"))).to_be_focused()
    window.page.keyboard.type("2-0808")
    window.page.keyboard.press("Enter")
    expect(window.page).to_have_url(f"{demo.url}/households/H20808")
