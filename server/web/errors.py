"""Errors as answers: problem+json (RFC 9457) under /api and /callbacks, a page elsewhere.

Only errors raised on purpose carry their text to the outside. Anything unexpected is logged with its traceback
and answered with 500 and no detail.
"""

import logging
from http import HTTPStatus
from typing import Any, cast
from urllib.parse import quote, urlsplit

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.types import Scope

from server.errors import (
    CallbackRejected,
    Conflict,
    EstateError,
    Forbidden,
    NoAnswer,
    NotFound,
    NotRead,
    Refused,
    StaleLogin,
    StorageUnavailable,
    WrongPassword,
)
from server.pay.provider import ProviderUnavailable
from server.web import i18n, stepup
from server.web.invalid_words import wrong_fields
from server.web.pages import EstateFacts, language_of, render
from server.web.principal import NotSignedIn, names_somebody

log = logging.getLogger(__name__)

PROBLEM = "application/problem+json"
MACHINE_PATHS = ("/api/", "/callbacks/", "/events", "/livez", "/readyz")
RETRY_AFTER_S = "5"
FIELDS_SHOWN_MAX = 10


class TooManyRequests(EstateError):
    """A limit of this server is reached; asking again later is welcome."""


class BadMessage(EstateError):
    """A signed message whose signature or time is wrong; the sender must sign anew."""


STATUS: dict[type[EstateError], int] = {
    NotFound: 404,
    Conflict: 409,
    Refused: 422,
    NotRead: 422,
    Forbidden: 403,
    CallbackRejected: 400,
    BadMessage: 401,
    StorageUnavailable: 503,
    NoAnswer: 503,
    ProviderUnavailable: 503,
    TooManyRequests: 429,
}
PAGES: dict[type, str] = {ProviderUnavailable: "provider", NoAnswer: "no answer"}


def install(app: FastAPI) -> None:
    """Register the handlers."""
    app.add_exception_handler(EstateError, _estate_error)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(Exception, _unexpected)


def is_machine(path: str) -> bool:
    """Whether the asker at `path` is a program, which gets problem+json."""
    return path.startswith(MACHINE_PATHS)


def problem(status: int, detail: str, *, path: str = "", **extra: object) -> JSONResponse:
    """A problem document; `detail` is plain English for the developer who reads it."""
    content = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        "instance": path,
        **extra,
    }
    headers = {"Retry-After": RETRY_AFTER_S} if status in (429, 503) else None
    return JSONResponse(content, status, headers, media_type=PROBLEM)


def answer_early(scope: Scope, status: int, detail: str) -> Response:
    """The answer of the outermost layer: nothing is read for it, not even the name of the estate."""
    path = scope["path"]
    if is_machine(path):
        return problem(status, detail, path=path)
    return _page(Request(scope), status, detail, "", status, estate=EstateFacts())


def answer(request: Request, status: int, detail: str, *, kind: str = "", **extra: object) -> Response:
    """Problem document or error page, by who is asking; `kind` names what a page says, where the status is too wide."""
    path = request.url.path
    if is_machine(path):
        return problem(status, detail, path=path, **extra)
    back = stepup.came_from(request) if request.method == "POST" else ""
    return _page(request, status, "" if detail == HTTPStatus(status).phrase else detail, back, kind or status, **extra)


def _page(request: Request, status: int, detail: str, back: str, kind: str | int, **context: Any) -> Response:
    page = render(
        request, "error.html", status_code=status, status=status, detail=detail, back=back, kind=kind, **context
    )
    if status in (429, 503):
        page.headers["Retry-After"] = RETRY_AFTER_S
    return page


def _estate_error(request: Request, error: Exception) -> Response:
    if isinstance(error, NotSignedIn):
        return _not_signed_in(request)
    if isinstance(error, StaleLogin):
        return _stale(request, error)
    status = next((STATUS[kind] for kind in type(error).__mro__ if kind in STATUS), 500)
    if status == 500:
        return _unexpected(request, error)
    if isinstance(error, StorageUnavailable):
        log.error("storage unavailable: %s", error)
    kind = next((PAGES[kind] for kind in type(error).__mro__ if kind in PAGES), "")
    return answer(request, status, str(error), kind=kind)


def _stale(request: Request, error: StaleLogin) -> Response:
    """Ask for the password on a page that carries the form on; programs are told where to give it."""
    path, minutes = request.url.path, request.app.state.web.config.step_up_minutes
    if is_machine(path):
        return problem(403, str(error), path=path, reason="stale_login", confirm=stepup.CONFIRM_PATH)
    fields, back = stepup.fields_of(request), stepup.came_from(request)
    wrong = isinstance(error, WrongPassword)
    return render(request, "confirm.html", status_code=403, fields=fields, wrong=wrong, back=back, minutes=minutes)


def _not_signed_in(request: Request) -> Response:
    if is_machine(request.url.path):
        reply = problem(401, "sign in, or send an API key as Authorization: Bearer", path=request.url.path)
        reply.headers["WWW-Authenticate"] = "Bearer"
        return reply
    address = f"/login?next={quote(_wanted(request))}"
    if request.method != "GET" or names_somebody(request, request.app.state.web):
        address += "&ended=1"
    if "hx-request" in request.headers:
        return Response(status_code=401, headers={"HX-Redirect": address})
    return RedirectResponse(address, 303)


def _wanted(request: Request) -> str:
    """The page to come back to: the one that was asked for, or that on which a form or a part of it stood."""
    asked = request.method == "GET" and "hx-request" not in request.headers
    shown = request.headers.get("hx-current-url") or request.headers.get("referer", "")
    stood = urlsplit(str(request.url) if asked else shown)
    if not stood.path or not (asked or stood.netloc == request.headers.get("host")):
        return "/"
    return stood.path + (f"?{stood.query}" if stood.query else "")


def _http_error(request: Request, error: Exception) -> Response:
    http = cast("HTTPException", error)
    reply = answer(request, http.status_code, str(http.detail))
    for name, value in (http.headers or {}).items():
        reply.headers[name] = value
    return reply


def _invalid(request: Request, error: Exception) -> Response:
    """The fields that are wrong and why, without their values, which may be secret or unprintable."""
    found = cast("RequestValidationError", error).errors()[:FIELDS_SHOWN_MAX]
    wrong = [{"field": ".".join(str(part) for part in item["loc"]), "reason": str(item["msg"])} for item in found]
    untyped = is_machine(request.url.path) and "json" not in request.headers.get("content-type", "")
    if untyped and any(item["field"] == "body" for item in wrong):
        wrong = [{"field": "body", "reason": "send JSON, with the header Content-Type: application/json"}]
    detail = "; ".join(f"{item['field']}: {item['reason']}" for item in wrong)
    if not is_machine(request.url.path):
        return answer(request, 422, "", wrong=wrong_fields(found, i18n.translations(language_of(request))))
    return answer(request, 422, detail, errors=wrong)


def _unexpected(request: Request, error: Exception) -> Response:
    log.error("unexpected error at %s %s", request.method, request.url.path, exc_info=error)
    return answer(request, 500, "the server failed; the fault is logged")
