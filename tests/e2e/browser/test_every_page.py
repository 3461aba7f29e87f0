"""Every page at desk and phone width in both languages: whole, translated, quiet, never wider than the window, and
usable by somebody who hears it or has only keys.
"""

import re

import pytest
from babel.messages.pofile import read_po
from playwright.sync_api import expect

from server.web.i18n import LOCALE
from tests.e2e.accessible import FAULTS, NARROWEST_PX, TARGETS_PX
from tests.e2e.pages import PHONE, SMALL_DESK, TAGS

STAFF = (
    "/today", "/wall", "/wall?room=1-0405", "/households/H10802", "/households/H20905", "/counter",
    "/counter?room=1-0101", "/supply", "/supply?room=1-0405", "/payments", "/reconciliation", "/statistics",
    "/closing", "/shared", "/debts", "/cases?status=all", "/buses",
    "/find?q=0101", "/notices", "/supply/decisions", "/supply/decisions/all", "/rules", "/rules/bulk",
    "/recharges", "/readings", "/households/H10802/rules",
    "/households/H10802/exchange", "/accounts", "/accounts/H10802", "/bills/H10802:1", "/bills/H10802:2026-10",
    "/tariffs", "/tariffs/editor?list=guangzhou-tou",
    "/buses/bus-1/search", "/no-such-page",
)  # fmt: skip
RESIDENT = (
    "/me",
    "/me/usage",
    "/me/bills",
    "/me/account",
    "/me/help",
    "/me/bills/H20905:1",
    "/me/prices",
    "/me/bills/H20905:2026-10",
    "/no-such-page",
)
CASHIER = ("/today", "/counter?room=1-0101")
KIOSK = ("/kiosk", "/kiosk/amount?room=1-0101")
PAGES = {"zhou": STAFF, "lin": CASHIER, "2-0905": RESIDENT, "kiosk": KIOSK, None: ("/login", "/login?next=/me&ended=1")}
WORDS = """() => {
  const found = [];
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walk.nextNode()) {
    const place = walk.currentNode.parentElement;
    if (place.closest("script, style, [lang]:not(html)")) continue;
    found.push(walk.currentNode.textContent);
  }
  for (const place of document.querySelectorAll("[aria-label], [title], [placeholder]")) {
    for (const name of ["aria-label", "title", "placeholder"]) found.push(place.getAttribute(name) ?? "");
  }
  return [document.title, ...found].map((text) => text.trim().replace(/\\s+/g, " ")).filter(Boolean);
}"""
PROSE = re.compile(r"[A-Za-z']{3,} (?:[A-Za-z']+ )*[A-Za-z']{2,}")  # two English words in a row
WIDTH = "() => [document.documentElement.scrollWidth, window.innerWidth]"


@pytest.fixture(scope="module")
def catalogue():
    """English message to Chinese message, where they differ."""
    with (LOCALE / "zh_CN" / "LC_MESSAGES" / "messages.po").open("rb") as file:
        return {
            message.id: message.string
            for message in read_po(file, locale="zh_CN")
            if isinstance(message.id, str) and message.id and message.id != message.string
        }


def not_translated(texts, language, catalogue):
    """Texts of a page that stand in the other language."""
    if language == "en":
        other = {chinese for chinese in catalogue.values() if not chinese.isascii()}
        return [text for text in texts if text in other]
    return [text for text in texts if text in catalogue or PROSE.search(text)]


def faults_of(window, path, catalogue):
    """Open the page; a sentence for each thing that is wrong with it."""
    wrong, language = [], window.language
    answer = window.go(path)
    if answer.status != (404 if "no-such" in path else 200):
        wrong.append(f"answers {answer.status}")
    if "content-security-policy" not in answer.headers:
        wrong.append("no page policy")
    if "charts" in (window.page.locator("body").get_attribute("data-charts") or ""):
        window.charts_drawn()
    if window.page.locator("html").get_attribute("lang") != TAGS[language]:
        wrong.append(f"lang is not {TAGS[language]}")
    wide_px, room_px = window.page.evaluate(WIDTH)
    if wide_px > room_px:
        wrong.append(f"{wide_px} px wide in a window of {room_px}")
    wrong += window.page.evaluate(FAULTS, [TARGETS_PX["phone" if room_px <= PHONE["width"] else "desk"], NARROWEST_PX])
    wrong += [f"“{text}”" for text in not_translated(window.page.evaluate(WORDS), language, catalogue)]
    return [f"{path}: {fault}" for fault in wrong]


@pytest.mark.parametrize("viewport", [SMALL_DESK, PHONE], ids=["desk", "phone"])
@pytest.mark.parametrize("language", ["zh_CN", "en"])
@pytest.mark.parametrize("login", PAGES, ids=str)
def test_every_page_is_whole_translated_and_fits(visit, catalogue, login, language, viewport):
    window = visit(login, viewport=viewport, language=language)
    window.forgives = ("404",)
    assert [fault for path in PAGES[login] for fault in faults_of(window, path, catalogue)] == []


@pytest.mark.ci
@pytest.mark.parametrize("language", ["zh_CN", "en"])
@pytest.mark.parametrize(
    ("path", "link"),
    [
        ("/payments", "main td a[href^='/payments/']"),
        ("/cases?status=all", "main td a[href^='/cases/']"),
        ("/households/H30604", "a[href^='/receipts/']"),
    ],
)
def test_pages_that_only_a_link_names_are_whole_too(visit, catalogue, path, link, language):
    window = visit("zhou", viewport=PHONE, language=language)

    def address():
        window.go(path)
        return window.page.locator(link).first.get_attribute("href") if window.page.locator(link).count() else None

    assert faults_of(window, window.until(address, f"{path} leads on", patience_ms=90_000), catalogue) == []


@pytest.mark.parametrize("login", PAGES, ids=str)
def test_the_language_switch_stays_on_the_page(visit, demo, login):
    window = visit(login, language="zh_CN")
    window.forgives = ("404",)
    switch = window.page.locator("form[action='/language'] button")
    for path in PAGES[login]:
        for button, tag in (("English", "en"), ("中文", "zh-CN")):
            if button == "English":
                window.go(path)
            switch.click()
            expect(window.page.locator("html")).to_have_attribute("lang", tag)
        if login == "kiosk":
            continue  # the kiosk begins anew, so that nobody is left in the middle of a sale
        assert window.page.url.removeprefix(demo.url).split("?")[0] == path.split("?")[0]


def test_the_look_for_faults_can_fail(visit):
    window = visit()
    window.page.set_content(
        "<h1>One</h1><h1>Two</h1><h3>Deep</h3><input><a href='/x' style='display:block;width:9px'>x</a>"
        "<p id='a'></p><p id='a'></p><table><tr><td>1</td></tr></table><div role='img' id='b'>o</div>"
    )
    found = [fault.split(":")[0] for fault in window.page.evaluate(FAULTS, [TARGETS_PX["desk"], NARROWEST_PX])]
    assert sorted(found) == [
        "2 titles", "a control without a name", "a heading below none of its kind", "a picture without a name",
        "a small target", "a small target", "a table without heads", "two elements are called a",
    ]  # fmt: skip


def test_the_heuristic_for_missing_translations_can_fail(catalogue):
    assert not_translated(["Room wall", "SHA-256", "bus-1", "p50, ms"], "zh_CN", catalogue) == ["Room wall"]
    assert not_translated(["the meter has accepted"], "zh_CN", catalogue) == ["the meter has accepted"]
    assert not_translated([catalogue["Room wall"], "翠湖苑"], "en", catalogue) == [catalogue["Room wall"]]
