"""A running simulator, seen from another process: by the address of its control API or by its ready file."""

import json
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sim.errors import SimError

ANSWER_WITHIN_S = 30.0
STEP_WITHIN_S = 660.0
"""Longer than the simulator itself waits for the end of a step."""


class Unreachable(SimError):
    """No simulator answers there."""


class Refused(SimError):
    """The simulator said no; the message is its own."""


class Remote:
    """Asks one simulator; `where` is http://HOST:PORT or the path of a ready file."""

    def __init__(self, where: str) -> None:
        self.url = where.rstrip("/") if where.startswith(("http://", "https://")) else _url_of(Path(where))

    def get(self, path: str) -> Any:
        """The answer to a GET."""
        return self._ask(path, None, ANSWER_WITHIN_S)

    def post(self, path: str, body: Mapping[str, Any], within_s: float = ANSWER_WITHIN_S) -> Any:
        """The answer to a POST."""
        return self._ask(path, json.dumps(body).encode(), within_s)

    def _ask(self, path: str, data: bytes | None, within_s: float) -> Any:
        request = urllib.request.Request(self.url + path, data=data)  # noqa: S310  http or https, see above
        try:
            with urllib.request.urlopen(request, timeout=within_s) as answer:  # noqa: S310
                return json.load(answer)
        except urllib.error.HTTPError as error:
            with error:
                raise Refused(_message(error, self.url)) from None
        except (OSError, ValueError) as error:
            reason = getattr(error, "reason", error)
            raise Unreachable(f"{self.url}: no simulator answers ({reason}); is it running?") from error


def _url_of(ready: Path) -> str:
    try:
        return str(json.loads(ready.read_text("utf-8"))["control_url"])
    except OSError as error:
        raise Unreachable(
            f"{ready}: cannot be read: {error.strerror}; allowed: http://HOST:PORT of the control API, which the "
            "simulator prints when it starts, or the file of its --ready, which is there while it runs"
        ) from error
    except (ValueError, KeyError, TypeError) as error:
        raise Unreachable(f"{ready}: not a ready file; start the simulator with --ready {ready}") from error


def _message(error: urllib.error.HTTPError, url: str) -> str:
    try:
        text = str(json.load(error)["error"])
        return text.partition("Error: ")[2] or text
    except (ValueError, KeyError, TypeError):
        return f"{url}: HTTP {error.code}; is this the control API of a simulator?"
