"""The room wall: every household once, figures that add up, keys, the drawer, and changes without a reload."""

import re

from playwright.sync_api import expect

from server.cli.demo import people

STATES = ("normal", "low", "vlow", "over", "cut", "allow", "lost")
SEEN = """() => ({
  tiles: [...document.querySelectorAll("[role=gridcell][data-room]")].map((t) => [t.dataset.room, t.dataset.state]),
  counts: Object.fromEntries([...document.querySelectorAll("[data-count]")].map((c) => [c.dataset.count, +c.textContent])),
})"""  # noqa: E501


def tile(page, room):
    return page.locator(f'[role=gridcell][data-room="{room}"]')


def test_two_hundred_households_each_once_and_the_counts_add_up(visit):
    window = visit("zhou")
    window.go("/wall")
    seen = window.page.evaluate(SEEN)
    rooms = [room for room, _ in seen["tiles"]]
    assert len(rooms) == len(set(rooms)) == 200
    assert seen["counts"]["all"] == 200
    assert sum(seen["counts"][state] for state in STATES) == 200
    shown = [state for _, state in seen["tiles"]]
    assert {state: shown.count(state) for state in STATES} == {state: seen["counts"][state] for state in STATES}
    assert seen["counts"]["keep"] == 1


def test_arrows_move_enter_opens_the_drawer_and_escape_returns_to_the_tile(visit):
    window = visit("zhou", language="zh_CN")
    window.go("/wall")
    page = window.page
    first = page.locator("[role=gridcell][data-room][tabindex='0']")
    expect(first).to_have_count(1)
    first.focus()
    start = first.get_attribute("data-room")
    for key in ("ArrowRight", "ArrowDown", "ArrowRight"):
        page.keyboard.press(key)
    room = page.evaluate("document.activeElement.dataset.room")
    assert room not in (None, start)
    for key in ("ArrowLeft", "ArrowUp", "ArrowLeft"):
        page.keyboard.press(key)
    assert page.evaluate("document.activeElement.dataset.room") == start
    for key in ("ArrowRight", "ArrowDown", "ArrowRight"):
        page.keyboard.press(key)
    page.keyboard.press("Enter")
    drawer = page.locator("#drawer > [data-drawer]")
    expect(drawer).to_have_attribute("data-drawer", f"/drawer/H{room.replace('-', '')}")
    assert f"room={room}" in page.url
    page.keyboard.press("Escape")
    expect(drawer).to_have_count(0)
    expect(tile(page, room)).to_be_focused()
    assert "room=" not in page.url


def test_a_drawer_that_was_shut_stays_shut_when_its_answer_comes_late(visit):
    window = visit("zhou")
    window.go("/wall")
    page = window.page
    held = []
    page.route("**/drawer/*", lambda route: held.append(route))
    page.locator("[role=gridcell][data-room][tabindex='0']").press("Enter")
    window.until(lambda: held, "the drawer is asked for")
    page.keyboard.press("Escape")
    with page.expect_response("**/drawer/*"):
        held[0].continue_()
    page.evaluate("() => new Promise((done) => setTimeout(done, 200))")
    expect(page.locator("#drawer > [data-drawer]")).to_have_count(0)
    assert "room=" not in page.url


def test_the_drawer_says_what_is_known_and_why(visit, demo):
    window = visit("zhou")
    window.go("/wall?room=1-0405")
    drawer = window.page.locator("#drawer")
    expect(drawer.get_by_role("heading", level=2)).to_have_text("1-0405")
    for words in ("Protected", "Power", "Voltage", "Current", "Relay", "Register", "Ledger"):
        expect(drawer).to_contain_text(words)
    expect(drawer).to_contain_text(re.compile(r"\d+\.\d V"))
    expect(drawer).to_contain_text(re.compile(r"[−]?¥\d+\.\d\d"))
    expect(drawer.get_by_role("link", name="Household page")).to_have_attribute("href", "/households/H10405")


def test_read_now_reads_the_meter_over_the_wire(visit):
    window = visit("zhou")
    window.go("/wall?room=2-0905")
    window.page.get_by_role("button", name="Read now").click()
    expect(window.page.locator("#drawer").get_by_role("status")).to_be_visible()
    expect(window.page.locator("#drawer .note")).not_to_have_class(re.compile("bad"))
    refresh = "() => { document.activeElement.blur(); document.body.dispatchEvent(new CustomEvent('live')); }"
    for _ in range(3):  # other households change meanwhile
        window.page.evaluate(refresh)
        window.page.wait_for_timeout(600)
    expect(window.page.locator("#drawer").get_by_role("status")).to_be_visible(timeout=1)


def test_a_filter_leaves_only_its_tiles(visit):
    window = visit("zhou")
    window.go("/wall")
    chip = window.page.locator("[data-filter=low]")
    chip.click()
    expect(chip).to_have_attribute("aria-pressed", "true")
    faint = "(t) => getComputedStyle(t).opacity < 1 || getComputedStyle(t).visibility === 'hidden'"
    assert tile(window.page, "1-0101").count() == 1
    normal = window.page.locator("[role=gridcell][data-state=normal]").first
    low = window.page.locator("[role=gridcell][data-state=low]").first
    assert normal.evaluate(faint)
    assert not low.evaluate(faint)
    chip.click()
    assert not normal.evaluate(faint)


def test_a_change_arrives_without_a_reload(visit, demo):
    window = visit("zhou")
    window.go("/wall?room=1-0101")
    window.page.evaluate("window.untouched = true")
    figure = tile(window.page, "1-0101")
    before = int(figure.inner_text())
    people.pay_at_counter(demo.url, "H10101", 123_400)
    window.until(lambda: int(figure.inner_text()) > before + 1000, "the tile shows the new balance")
    assert abs(int(figure.inner_text()) - before - 1234) <= 1, "what was charged meanwhile is some fen"
    expect(window.page.locator("#drawer")).to_contain_text("+1,234.00")
    assert window.page.evaluate("window.untouched") is True
