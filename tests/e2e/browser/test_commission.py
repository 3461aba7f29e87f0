"""From an empty estate to read meters at the console: find, name, check, take in, against simulated meters on a pty."""

import os
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.e2e.hall import METERS, SCENARIO, STRANGER, estate, home, served, simulated
from tests.e2e.pages import CHROMIUM, DESK, PHONE, Visitor, browser
from tests.e2e.processes import estate645, wait_until
from tests.e2e.test_beside_server import status_of

OLD = "202600010199"
USER = '[[user]]\nlogin = "zhou"\npassword = "estate645"\nrole = "operator"\nname = "周敏"\n'
PICTURES = os.environ.get("COMMISSION_PICTURES")  # a folder, for somebody who wants to look


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """Four meters on a bus of a server that knows none of them."""
    if not Path(CHROMIUM).exists():
        pytest.skip(f"Chromium is not installed at {CHROMIUM}: apt-get install chromium, or set CHROMIUM")
    folder = tmp_path_factory.mktemp("site")
    homes = "".join(home(n, name) for n, name in enumerate([*METERS, STRANGER]))
    homes += home(9, OLD, more='protocol = "dlt645-1997"\nvendor = "dtsd22-1997"\n')
    with simulated(folder, SCENARIO + homes) as port:
        (folder / "estate.toml").write_text(estate(port, more=USER), "utf-8")
        answer = estate645("import", "estate.toml", cwd=folder)
        assert answer.returncode == 0, answer.stderr
        with served(folder) as said:
            yield folder, said["url"]


@pytest.fixture
def window(site):
    """Somebody at a desk and, with the same session, at a phone."""
    with browser() as running:
        visitor = Visitor(running, site[1], viewport=DESK, language="zh_CN")
        visitor.enter("zhou")
        yield visitor
        assert visitor.troubles == []
        visitor.close()


def look(window, name):
    """No page may be wider than its window; with a folder, it is also a picture. Answers to forms are not reloaded."""
    for viewport in (DESK, PHONE):
        for language in ("zh_CN", "en"):
            window.page.set_viewport_size(viewport)
            window.context.add_cookies([{"name": "estate645_language", "value": language, "url": window.url}])
            if window.page.url.endswith("/search"):
                window.page.reload()
            assert window.page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), (name, viewport)
            if PICTURES:
                path = Path(PICTURES) / f"{name}.{viewport['width']}.{language}.png"
                window.page.screenshot(path=str(path), full_page=True)
    window.page.set_viewport_size(DESK)


@pytest.mark.ci
@pytest.mark.timeout(240)
def test_meters_are_found_named_checked_and_taken_in(site, window):
    folder, _ = site
    window.go("/buses")
    window.page.get_by_role("link", name="查找电表").click()
    look(window, "before")
    window.page.locator("#search button").click()
    look(window, "searching")
    expect(window.page.locator("#named")).to_be_visible(timeout=120_000)
    look(window, "found")
    window.go("/buses/bus-1/search")
    for address in (*METERS, STRANGER):
        expect(window.page.locator(f'[name="room-2007-{address}"]')).to_be_visible()
    page = window.page
    for number, name in enumerate((f"2007-{METERS[0]}", f"1997-{OLD}"), 1):
        page.fill(f'[name="room-{name}"]', f"1-{number}01")
        page.fill(f'[name="floor-{name}"]', str(number))
        page.fill(f'[name="holder-{name}"]', "王伟")
    for address in (METERS[1], STRANGER):
        page.uncheck(f'[name="take-2007-{address}"]')
    page.fill(f'[name="floor-1997-{OLD}"]', "second")
    page.locator("#named button").first.click()
    expect(page.locator("#named .fail li")).to_have_count(1)
    look(window, "wrong")
    page.fill(f'[name="floor-1997-{OLD}"]', "2")
    page.locator("#named button").first.click()
    expect(page.locator('button[formaction="/buses/bus-1/install"]')).to_be_visible()
    look(window, "checked")
    page.locator('button[formaction="/buses/bus-1/install"]').click()
    expect(page.get_by_role("status").first).to_contain_text("2")
    look(window, "installed")
    wait_until(lambda: status_of(folder, METERS[0]) is not None, "the new meter is read")
