"""From an empty estate to read meters at the console: find, name, check, take in, against simulated meters on a pty."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.e2e.pages import CHROMIUM, DESK, PHONE, Visitor, browser
from tests.e2e.processes import estate645, start, wait_until
from tests.e2e.test_beside_server import ESTATE, METERS, STRANGER, status_of
from tests.server.test_commission import SCENARIO, home

OLD = "202600010199"
USER = '[[user]]\nlogin = "zhou"\npassword = "estate645"\nrole = "operator"\nname = "周敏"\n'
PICTURES = os.environ.get("COMMISSION_PICTURES")  # a folder, for somebody who wants to look


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """Four meters on a bus of a server that knows none of them."""
    if not Path(CHROMIUM).exists():
        pytest.skip(f"Chromium is not installed at {CHROMIUM}: apt-get install chromium, or set CHROMIUM")
    folder = tmp_path_factory.mktemp("site")
    text = SCENARIO + "".join(home(n, name) for n, name in enumerate([*METERS, STRANGER]))
    (folder / "sim.toml").write_text(
        text + home(9, OLD, more='protocol = "dlt645-1997"\nvendor = "dtsd22-1997"\n'), "utf-8"
    )
    simulator = subprocess.Popen(
        [sys.executable, "-P", "-m", "sim", "sim.toml", "--run-dir", "run", "--ready", "sim.json"], cwd=folder
    )
    wait_until((folder / "sim.json").exists, "the simulator is ready")
    port = folder / json.loads((folder / "sim.json").read_text("utf-8"))["ports"]["bus-1"]
    (folder / "estate.toml").write_text(ESTATE.replace("URL", str(port)) + USER, "utf-8")
    answer = estate645("import", "estate.toml", cwd=folder)
    assert answer.returncode == 0, answer.stderr
    server = start("serve", "--port", "0", "--ready", "server.json", cwd=folder)
    wait_until((folder / "server.json").exists, "the server is ready")
    yield folder, json.loads((folder / "server.json").read_text("utf-8"))["url"]
    server.send_signal(signal.SIGINT)
    server.communicate(timeout=60)
    simulator.terminate()
    assert simulator.wait(30) == 0


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
