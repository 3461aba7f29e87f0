"""A headless Chromium that looks at the running demo: any page, both languages, phone, desk and hall.

`Visitor` is somebody at a browser. It notes every trouble that a person would not see at once: console errors,
breaches of the page policy, answers of 500 and above, scripts that fail.
"""

import contextlib
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, ConsoleMessage, Page, Response, expect, sync_playwright

from server.cli.demo.files import PASSWORD

CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or "/usr/bin/chromium"
ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
DESK = {"width": 1440, "height": 900}
SMALL_DESK = {"width": 1280, "height": 800}
PHONE = {"width": 390, "height": 844}
HALL = {"width": 1080, "height": 1920}
PATIENCE_MS = 30_000  # tests share two cores with whatever else runs
LOOK_MS = 100
TAGS = {"zh_CN": "zh-CN", "en": "en"}


@contextlib.contextmanager
def browser() -> Iterator[Browser]:
    """Chromium of the system, closed at the end."""
    expect.set_options(timeout=PATIENCE_MS)
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=CHROMIUM, args=list(ARGUMENTS))
        try:
            yield running
        finally:
            running.close()


class Visitor:
    """Somebody at a browser; `troubles` collects what went wrong unseen, save what `forgives` names."""

    def __init__(self, running: Browser, url: str, *, viewport: dict[str, int], language: str, scale: int = 1) -> None:
        self.url = url
        self.language = language
        self.context = running.new_context(
            viewport=viewport,
            locale=TAGS[language],
            color_scheme="light",
            device_scale_factor=scale,
        )
        self.context.set_default_timeout(PATIENCE_MS)
        self.context.add_cookies([{"name": "estate645_language", "value": language, "url": url}])
        self.page: Page = self.context.new_page()
        self.forgives: tuple[str, ...] = ()
        self._heard: list[str] = []
        self.page.on("console", self._console)
        self.page.on("pageerror", lambda error: self._heard.append(f"script: {error}"))
        self.page.on("response", self._answered)

    @property
    def troubles(self) -> list[str]:
        """What was heard and is not forgiven."""
        return [one for one in self._heard if not any(word in one for word in self.forgives)]

    def _console(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning") and "net::ERR_ABORTED" not in message.text:
            self._heard.append(f"console at {self.page.url}: {message.text}")

    def _answered(self, response: Response) -> None:
        if response.status >= 500:
            self._heard.append(f"answer {response.status}: {response.url}")

    def enter(self, login: str, password: str = PASSWORD) -> None:
        """Sign in through the form."""
        self.go("/login")
        self.page.fill("input[name=login]", login)
        self.page.fill("input[name=password]", password)
        self.page.click('form[action="/login"] button')
        self.page.wait_for_url(lambda address: "/login" not in address)

    def go(self, path: str) -> Response:
        """Open a page of the head-end and wait until it has loaded."""
        answer = self.page.goto(f"{self.url}{path}")
        assert answer is not None
        return answer

    def until(self, condition: Callable[[], Any], what: str, patience_ms: int = PATIENCE_MS) -> Any:
        """Wait until `condition` holds while the page lives on; AssertionError naming `what`."""
        for _ in range(max(1, patience_ms // LOOK_MS)):
            found = condition()
            if found:
                return found
            self.page.wait_for_timeout(LOOK_MS)
        raise AssertionError(f"not within {patience_ms / 1000:.0f} s at {self.page.url}: {what}")

    def charts_drawn(self) -> None:
        """Wait until every chart of the page has its canvas."""
        places = self.page.locator("[data-chart]").count()
        expect(self.page.locator("[data-chart] canvas")).to_have_count(places)

    def picture(self, path: Path) -> None:
        """Save what is seen."""
        self.page.screenshot(path=str(path), animations="disabled")

    def close(self) -> None:
        """Close the window."""
        self.context.close()
