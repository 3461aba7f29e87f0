"""Signing in and out, and where each role starts.

The token of a session is 256 random bits in a cookie that scripts cannot read and other sites cannot send; the
database keeps its SHA-256. Every failure reads the same, whether the login is unknown, the password wrong or the
account locked, and costs the same. Wrong passwords count where they come from: see `devices` and `flows.lockout`.
"""

import secrets
from typing import Annotated

from fastapi import APIRouter, Depends, Form, Query, Request
from sqlalchemy import RowMapping
from starlette.concurrency import run_in_threadpool
from starlette.responses import RedirectResponse, Response

from server.errors import NotFound
from server.flows import people as flows
from server.flows.lockout import Place
from server.store import people
from server.store.engine import reader
from server.store.unit import Deed
from server.web import devices, i18n
from server.web.deps import PUBLIC, SIGNED_IN, State
from server.web.errors import RETRY_AFTER_S, TooManyRequests
from server.web.pages import render
from server.web.passwords import PasswordDesk
from server.web.principal import Principal, cookie_name, token_sha256
from server.web.state import WebState

router = APIRouter(include_in_schema=False)

FIELDS = ("login", "password", "next")
LOGIN_LENGTH_MAX = 64
PASSWORD_LENGTH_MAX = 256
TOKEN_BYTES = 32
SESSION_S = {"resident": 30 * 86_400, "kiosk": 30 * 86_400}
STAFF_SESSION_S = 12 * 3600
HOMES = {"resident": "/me", "kiosk": "/kiosk"}
STAFF_HOME = "/today"

Anybody = Annotated[Principal | None, Depends(PUBLIC)]


def safe_next(target: str) -> str:
    """`target` if it is a path of this site, else the start page."""
    inside = target.startswith("/") and not target.startswith(("//", "/\\", "/login"))
    return target if inside and target.isprintable() else "/"


@router.get("/")
def home(who: Anybody) -> Response:
    """Where each role starts; strangers to the login."""
    if who is None:
        return RedirectResponse("/login", 303)
    return RedirectResponse(HOMES.get(who.role, STAFF_HOME), 303)


@router.get("/login")
def login_page(
    request: Request, who: Anybody, target: Annotated[str, Query(alias="next")] = "/", ended: bool = False
) -> Response:
    """The form; whoever is signed in already goes on. `ended` says that a session was over before it was used."""
    if who is not None:
        return RedirectResponse(safe_next(target), 303)
    return render(request, "login.html", error="ended" if ended else None, login="", next_path=safe_next(target))


@router.post("/login")
async def login(request: Request, state: State, _who: Anybody) -> Response:
    """Check the password, open a session, set the cookie. A new token each time, so none can be fixed beforehand."""
    form = await request.form()
    given = {name: value if isinstance(value := form.get(name, ""), str) else "" for name in FIELDS}
    name, target = given["login"].strip()[:LOGIN_LENGTH_MAX].replace("\x00", ""), safe_next(given["next"])
    desk: PasswordDesk = request.app.state.passwords
    user = await run_in_threadpool(_user, state, name)
    place = devices.place_of(request, user, secure=state.config.secure_cookies)
    try:
        fits = await desk.verify(user["password_hash"] if user else None, given["password"][:PASSWORD_LENGTH_MAX])
    except TooManyRequests:
        page = render(request, "login.html", status_code=429, error="busy", login=name, next_path=target)
        page.headers["Retry-After"] = RETRY_AFTER_S
        return page
    token = await run_in_threadpool(_enter, state, user, place) if user is not None and fits else None
    if user is None or token is None:
        if not fits:
            _note_failure(state, name, place)
        return render(request, "login.html", status_code=401, error="wrong", login=name, next_path=target)
    reply = RedirectResponse(target, 303)
    secure = state.config.secure_cookies
    _set_cookie(reply, state, cookie_name(secure=secure), token, session_s(user["role"]))
    known = devices.remember(request, user, place, secure=secure)
    _set_cookie(reply, state, devices.cookie_name(secure=secure), known, devices.AGE_S)
    return reply


def session_s(role: str) -> int:
    """How long a session of `role` lasts at most, machine seconds."""
    return SESSION_S.get(role, STAFF_SESSION_S)


def _user(state: WebState, name: str) -> RowMapping | None:
    with reader(state.engine) as conn:
        return people.user_by_login(conn, name)


def _note_failure(state: WebState, login: str, place: Place) -> None:
    """Count a wrong password without waiting for the disk, so that the answer for unknown people is not quicker.

    Units run in order: whoever tries again meets the count.
    """
    now = state.clock.now()
    state.writer.submit(Deed(flows.authenticate, login, False, place=place, now=now))


def _enter(state: WebState, user: RowMapping, place: Place) -> str | None:
    """Open the session after the right password; the token, or None when the person is locked or not active."""
    token, csrf, now = secrets.token_urlsafe(TOKEN_BYTES), secrets.token_urlsafe(TOKEN_BYTES), state.clock.now()

    entering = Deed(
        flows.enter,
        user["estate_id"],
        user["user_id"],
        user["login"],
        place=place,
        token_sha256=token_sha256(token),
        csrf=csrf,
        expires_ms=now.machine_ms + session_s(user["role"]) * 1000,
        now=now,
    )
    return token if state.writer.run(entering) else None


def _set_cookie(reply: Response, state: WebState, name: str, token: str, age_s: int) -> None:
    secure = state.config.secure_cookies
    reply.set_cookie(name, token, max_age=age_s, path="/", secure=secure, httponly=True, samesite="strict")


@router.post("/logout")
def logout(request: Request, state: State, _who: Annotated[Principal, Depends(SIGNED_IN)]) -> Response:
    """End the session everywhere it counts: in the database, then in the browser."""
    name = cookie_name(secure=state.config.secure_cookies)
    token = request.cookies.get(name, "")
    now = state.clock.now()
    state.writer.run(Deed(flows.close_session, token_sha256(token), now=now))
    reply = RedirectResponse("/login", 303)
    reply.delete_cookie(name, path="/", secure=state.config.secure_cookies, httponly=True, samesite="strict")
    return reply


@router.post("/language", dependencies=[Depends(PUBLIC)])
def language(
    state: State,
    chosen: Annotated[str, Form(alias="language", max_length=16)],
    target: Annotated[str, Form(alias="next")] = "/",
) -> Response:
    """Choose the language of the pages, then go back to the page."""
    if chosen not in i18n.TAGS:
        raise NotFound(f"no language {chosen}; there are {', '.join(i18n.TAGS)}")
    reply = RedirectResponse("/login" if target.startswith("/login") else safe_next(target), 303)
    secure = state.config.secure_cookies
    reply.set_cookie(i18n.COOKIE, chosen, max_age=i18n.COOKIE_AGE_S, path="/", secure=secure, samesite="lax")
    return reply
