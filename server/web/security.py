"""The outermost layer: limits on what comes in, headers on what goes out.

A plain ASGI wrapper, so that errors and static files pass through it too. Bodies are read whole before a handler
starts (at most 64 KiB, a bill file 4 MiB, at most 10 s); a browser's cross-site change is refused by Sec-Fetch-Site
or Origin before any cookie is looked at. The per-form CSRF token is checked with the access rule in `deps`.
"""

import asyncio
from collections.abc import Iterable
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from server.web.errors import answer_early

BODY_BYTES_MAX = 64 * 1024
FILE_BYTES_MAX = 4 * 1024 * 1024  # a bill file, from somebody who brings a session or a key
FILE_PATHS = ("/reconciliation", "/api/v1/reconciliation/")
BODY_TIMEOUT_S = 10
CHANGING = frozenset({"POST", "PUT", "PATCH", "DELETE"})
HSTS = "max-age=31536000"


def policy(pay_origins: Iterable[str]) -> str:
    """The Content-Security-Policy; forms may also lead to the payment pages, since a redirect counts as one."""
    forms = " ".join(["'self'", *sorted(set(filter(None, pay_origins)))])
    return (
        "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; connect-src 'self'; "
        f"font-src 'self'; base-uri 'none'; form-action {forms}; frame-ancestors 'none'"
    )


class TooLarge(Exception):
    """The body went over its limit, which it says."""


class Edge:
    """Wraps the whole application."""

    def __init__(self, app: ASGIApp, *, pay_origins: Iterable[str], secure: bool) -> None:
        self._app = app
        self._headers = {
            "Content-Security-Policy": policy(pay_origins),
            "X-Content-Type-Options": "nosniff",
            "Referrer-Policy": "same-origin",
            "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=()",
            "Cross-Origin-Opener-Policy": "same-origin",
            "Cross-Origin-Resource-Policy": "same-origin",
        }
        if secure:
            self._headers["Strict-Transport-Security"] = HSTS

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request; the lifespan passes through untouched."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def dressed(message: Message) -> None:
            if message["type"] == "http.response.start":
                self._dress(MutableHeaders(raw=message["headers"]), scope["path"])
            await send(message)

        try:
            refusal = _refusal(scope)
            body = b"" if refusal else await _read(scope, receive)
        except TooLarge as error:
            refusal = (413, f"the body is larger than {error} bytes")
        except TimeoutError:
            refusal = (408, f"the body did not arrive within {BODY_TIMEOUT_S} s")
        if refusal is not None:
            await answer_early(scope, *refusal)(scope, receive, dressed)
            return
        await self._app(scope, _replay(body, receive), dressed)

    def _dress(self, headers: MutableHeaders, path: str) -> None:
        for name, value in self._headers.items():
            headers[name] = value
        if "cache-control" not in headers and not path.startswith("/assets/"):
            headers["Cache-Control"] = "no-store"


def _refusal(scope: Scope) -> tuple[int, str] | None:
    """Status and reason when the request must not reach a handler."""
    if "\x00" in scope["path"] or b"%00" in scope["query_string"]:
        return 400, "the address contains a NUL character"
    if scope["http_version"] == "1.1" and len(Headers(scope=scope).getlist("host")) != 1:
        return 400, "a request names its host once (RFC 9112, section 3.2)"
    if scope["method"] in CHANGING and not scope["path"].startswith("/callbacks/"):
        headers = Headers(scope=scope)
        site = headers.get("sec-fetch-site")
        origin = headers.get("origin")
        if site is not None and site not in ("same-origin", "none"):
            return 403, "a change must come from a page of this site"
        if origin is not None and urlsplit(origin).netloc != headers.get("host", ""):
            return 403, "a change must come from a page of this site"
    return None


async def _read(scope: Scope, receive: Receive) -> bytes:
    """The whole body; raises TooLarge or TimeoutError. A client that leaves ends the body early."""
    if scope["method"] not in CHANGING:
        return b""
    headers = Headers(scope=scope)
    declared, most = headers.get("content-length", "0"), _most(scope["path"], headers)
    if declared.isdigit() and int(declared) > most:
        raise TooLarge(most)
    body = bytearray()
    async with asyncio.timeout(BODY_TIMEOUT_S):
        while True:
            message = await receive()
            body += message.get("body", b"")
            if len(body) > most:
                raise TooLarge(most)
            if not message.get("more_body", False):
                return bytes(body)


def _most(path: str, headers: Headers) -> int:
    """How many bytes a body may have: more only where bill files arrive, and not from strangers."""
    brings_file = path == FILE_PATHS[0] or path.startswith(FILE_PATHS[1])
    known = "cookie" in headers or "authorization" in headers
    return FILE_BYTES_MAX if brings_file and known else BODY_BYTES_MAX


def _replay(body: bytes, receive: Receive) -> Receive:
    """A receive that yields the body that was read, then the rest of the connection's events."""
    given = False

    async def replayed() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replayed
