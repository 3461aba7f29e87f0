"""Pages that hold more than the demo has: a long name, many buildings, and paper behind a dark screen."""

from tests.e2e.browser.test_every_page import WIDTH
from tests.e2e.pages import PHONE, SMALL_DESK

MANY = """() => {
  const wall = document.querySelector(".wall");
  const [building] = wall.children;
  for (let n = 0; n < 9; n++) wall.append(building.cloneNode(true));
  return [wall.scrollWidth, wall.clientWidth];
}"""


def test_a_long_name_of_an_estate_ends_early_and_the_bar_fits(visit):
    for viewport in (PHONE, SMALL_DESK):
        window = visit("zhou", viewport=viewport)
        window.go("/today")
        window.page.evaluate("() => { document.querySelector('.estate .name').textContent = '长'.repeat(60); }")
        wide_px, room_px = window.page.evaluate(WIDTH)
        assert wide_px <= room_px
        assert window.page.locator(".find" if viewport is SMALL_DESK else ".menu").bounding_box()["width"] >= 44


def test_many_buildings_stand_below_each_other(visit):
    window = visit("zhou", viewport=SMALL_DESK)
    window.go("/wall")
    wide_px, room_px = window.page.evaluate(MANY)
    assert wide_px <= room_px


def test_paper_gets_ink_whatever_the_screen_is(visit):
    window = visit()
    window.page.emulate_media(media="print", color_scheme="dark")
    window.go("/login")
    ink = "() => getComputedStyle(document.documentElement).getPropertyValue('--ink')"
    assert window.page.evaluate(ink) == "#10181a"
    window.page.emulate_media(media="screen", color_scheme="dark")
    assert window.page.evaluate(ink) == "#e8eeef"
