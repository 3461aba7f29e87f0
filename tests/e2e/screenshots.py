"""Takes the pictures of the README from the running demo: `make screenshots`.

Starts a demo, waits for the telling moments (somebody cut off, a payment on its way, the room wall in colour) and
writes `docs/pictures/NAME.LANGUAGE.png`. Without a Chinese font the pictures would show boxes, so it refuses.
"""

import subprocess
import sys
import tempfile
import traceback
from pathlib import Path

from playwright.sync_api import Browser, expect

from server.errors import EstateError
from tests.e2e.pages import CHROMIUM, DESK, PHONE, Visitor, browser
from tests.e2e.staging import Playing, playing

PICTURES = Path(__file__).resolve().parents[2] / "docs" / "pictures"
BYTES_MAX = 400_000
LANGUAGES = ("en", "zh_CN")
SHORT = {"en": "en", "zh_CN": "zh"}
CUT_ROOM, CUT = "1-0802", "H10802"
KIOSK_CUT = "H20706"
ACTS_LATER = ("visitor", "online", "kiosk")  # these stay dark until their picture is taken


class NoPicture(Exception):
    """A picture could not be taken; the message says why."""


def missing() -> str:
    """What this machine lacks, in words; empty when nothing."""
    if not Path(CHROMIUM).exists():
        return f"Chromium is not installed at {CHROMIUM}: apt-get install chromium, or set CHROMIUM"
    try:
        fonts = subprocess.run(["fc-list", ":lang=zh-cn"], capture_output=True, text=True, check=True, timeout=60)
    except (OSError, subprocess.SubprocessError):
        return "fc-list is needed to look for a Chinese font: apt-get install fontconfig fonts-noto-cjk"
    if not fonts.stdout.strip():
        return "no font has Chinese characters, pictures would show boxes: apt-get install fonts-noto-cjk"
    return ""


def save(window: Visitor, name: str) -> Path:
    """Write one picture; NoPicture when something went wrong unseen or the file is too large."""
    path = PICTURES / f"{name}.{SHORT[window.language]}.png"
    window.picture(path)
    if window.troubles:
        raise NoPicture(f"{path.name}: {window.troubles}")
    if path.stat().st_size > BYTES_MAX:
        raise NoPicture(f"{path.name} has {path.stat().st_size} bytes, more than {BYTES_MAX}")
    print(f"{path.relative_to(PICTURES.parents[1])}  {path.stat().st_size // 1024} KiB", flush=True)
    return path


def staff_pictures(running: Browser, demo: Playing, language: str) -> None:
    """Room wall with the drawer of a dark household, supply, today."""
    window = Visitor(running, demo.url, viewport=DESK, language=language)
    window.enter("zhou")
    window.go("/wall")
    window.page.locator(f'[data-room="{CUT_ROOM}"]').click()
    expect(window.page.locator("#drawer > [data-drawer]")).to_be_visible()
    window.page.mouse.move(700, 700)
    save(window, "wall")
    window.go("/supply")
    expect(window.page.locator("#decisions")).to_be_visible()
    save(window, "supply")
    window.go("/today")
    window.charts_drawn()
    save(window, "today")
    window.close()


def resident_picture(running: Browser, demo: Playing, language: str) -> None:
    """The phone of a resident without power."""
    window = Visitor(running, demo.url, viewport=PHONE, language=language, scale=2)
    window.enter(CUT_ROOM)
    window.go("/me")
    window.charts_drawn()
    expect(window.page.locator("#standing .note.bad")).to_have_count(1)
    save(window, "resident")
    window.close()


def payment_pictures(running: Browser, demo: Playing) -> None:
    """The same payment in both languages: paid, and the meter waits for its button or is on."""
    windows = {name: Visitor(running, demo.url, viewport=PHONE, language=name, scale=2) for name in LANGUAGES}
    for window in windows.values():
        window.enter(CUT_ROOM)
    payer, other = windows.values()
    payer.go("/me")
    payer.page.locator("#payform .big").click()
    payer.page.locator("button[value=pay]").click()
    payer.page.wait_for_url(f"{demo.url}/pay/**")
    other.page.goto(payer.page.url)
    for window in windows.values():
        expect(window.page.locator("#progress")).to_have_attribute("data-phase", "on", timeout=90_000)
    for window in windows.values():
        window.page.reload()
        save(window, "payment")
        window.close()


def take_all() -> None:
    """Play the demo and take every picture at its moment."""
    PICTURES.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory(prefix="estate645-") as folder,
        playing(Path(folder) / "demo", leave_alone=ACTS_LATER) as demo,
        browser() as running,
    ):
        demo.wait_for_relay(CUT, "open")
        for language in LANGUAGES:
            resident_picture(running, demo, language)
        demo.wait_for_relay(KIOSK_CUT, "open")
        for language in LANGUAGES:
            staff_pictures(running, demo, language)
        payment_pictures(running, demo)


def main() -> int:
    """0 with ten pictures, 1 when one could not be taken, 2 when this machine cannot take any."""
    lacks = missing()
    if lacks:
        print(f"no pictures: {lacks}", file=sys.stderr)
        return 2
    try:
        take_all()
    except (NoPicture, EstateError) as problem:
        print(f"no pictures: {problem}", file=sys.stderr)
        return 1
    except Exception:
        traceback.print_exc()
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
