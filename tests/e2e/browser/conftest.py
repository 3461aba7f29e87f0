"""One running demo and one Chromium for all browser tests; nothing unseen may go wrong in any window."""

from pathlib import Path

import pytest

from tests.e2e.pages import CHROMIUM, DESK, Visitor, browser
from tests.e2e.staging import playing

LEFT_ALONE = ("visitor", "online", "counter", "kiosk")  # the tests act for these residents


def pytest_collection_modifyitems(items):
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.browser)
            item.add_marker(pytest.mark.timeout(240))


@pytest.fixture(scope="package")
def demo(tmp_path_factory):
    if not Path(CHROMIUM).exists():
        pytest.skip(f"Chromium is not installed at {CHROMIUM}: apt-get install chromium, or set CHROMIUM")
    with playing(tmp_path_factory.mktemp("browser") / "demo", leave_alone=LEFT_ALONE) as shown:
        yield shown


@pytest.fixture(scope="package")
def chromium(demo):
    with browser() as running:
        yield running


@pytest.fixture(scope="package")
def cookies():
    """Sessions by login, so that each person signs in once."""
    return {}


@pytest.fixture
def visit(chromium, demo, cookies):
    """Open a window as somebody (or as nobody); at the end no window may have had unseen troubles."""
    windows = []

    def opened(login=None, *, viewport=DESK, language="en"):
        window = Visitor(chromium, demo.url, viewport=viewport, language=language)
        windows.append(window)
        if login in cookies:
            window.context.add_cookies(cookies[login])
        elif login:
            window.enter(login)
            cookies[login] = [one for one in window.context.cookies() if one["name"] != "estate645_language"]
        return window

    yield opened
    troubles = [trouble for window in windows for trouble in window.troubles]
    for window in windows:
        window.close()
    assert troubles == []
