"""A password once more before money moves: how fresh it must be, and how a person gives it again.

A session remembers when its password was given last. Acts that move money back, beyond limits or by a new tariff want
it given within `step_up_minutes`. A page whose form came too late is answered with a form that asks for the password
and carries what was filled in, so that the act goes on where it stopped; wrong passwords count as at the login. A key
of the API proves itself with each request, so its acts are always fresh.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

from fastapi import Request
from sqlalchemy import RowMapping
from starlette.concurrency import run_in_threadpool

from server.errors import StaleLogin, WrongPassword
from server.flows import people as flows
from server.flows.lockout import Place
from server.store import people
from server.store.engine import reader
from server.store.unit import Deed
from server.web import devices
from server.web.principal import Principal, cookie_name, token_sha256
from server.web.state import WebState

FIELD = "confirm_password"
BACK_FIELD = "confirm_back"  # the page on which the act was asked for, which the Referer of the password page is not
OWN_FIELDS = ("csrf", FIELD, BACK_FIELD)
CONFIRM_PATH = "/api/v1/session/confirm"
PASSWORD_LENGTH_MAX = 256
FIELDS_MAX = 200


def require(principal: Principal) -> Principal:
    """The principal, if the password was given lately; StaleLogin otherwise."""
    if not principal.fresh:
        raise StaleLogin
    return principal


async def confirm(request: Request, state: WebState, principal: Principal, password: str) -> Principal:
    """The principal, fresh, after the right password; WrongPassword after another one, or while locked."""
    row = await run_in_threadpool(_user, state, principal)
    place = devices.place_of(request, row, secure=state.config.secure_cookies)
    fits = await request.app.state.passwords.verify(row["password_hash"], password[:PASSWORD_LENGTH_MAX])
    token = request.cookies.get(cookie_name(secure=state.config.secure_cookies), "")
    if not await run_in_threadpool(_keep, state, principal, place, token, fits):
        raise WrongPassword
    return replace(principal, fresh=True)


def _user(state: WebState, principal: Principal) -> RowMapping:
    with reader(state.engine) as conn:
        row = people.get_user(conn, principal.estate_id, principal.user_id)
    if row is None:
        raise WrongPassword
    return row


def _keep(state: WebState, principal: Principal, place: Place, token: str, fits: bool) -> bool:
    given = Deed(flows.confirm_session, principal.login, token_sha256(token), fits, place=place, now=state.clock.now())
    return state.writer.run(given)


def fields_of(request: Request) -> Sequence[tuple[str, str]]:
    """What the form of this request was filled in with, but for its token and any password."""
    found: Sequence[tuple[str, Any]] = getattr(request.state, "fields", ())
    kept = [(name, value) for name, value in found if isinstance(value, str) and name not in OWN_FIELDS]
    return kept[:FIELDS_MAX]


def came_from(request: Request) -> str:
    """The path of the page whose form this was, to go back to it; the start page where that is not said."""
    found: Sequence[tuple[str, Any]] = getattr(request.state, "fields", ())
    carried = [value for name, value in found if name == BACK_FIELD and isinstance(value, str)]
    given = urlsplit(carried[0] if carried else request.headers.get("referer", ""))
    away = given.scheme or given.netloc if carried else given.netloc != request.url.netloc
    if away or not given.path.startswith("/") or given.path.startswith("//") or "\\" in given.path:
        return "/"
    return given.path + (f"?{given.query}" if given.query else "")
