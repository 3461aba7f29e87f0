"""What handlers ask for: the state, a reader connection, who is asking, and whether they may.

Every route carries exactly one access rule as a dependency: `Depends(need("verb"))`, `Depends(SIGNED_IN)` or
`Depends(PUBLIC)`. The rule checks the session (or API client), the verb by `domain.access`, and for a session that
changes something the CSRF token (form field `csrf` or header `X-CSRF-Token`). A test refuses a route without one.
"""

import asyncio
import hmac
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractContextManager
from functools import wraps
from typing import Annotated, ParamSpec, TypeVar, cast

from fastapi import Depends, Request
from fastapi.dependencies.models import Dependant
from sqlalchemy import Connection
from starlette.concurrency import run_in_threadpool

from server.errors import Forbidden
from server.store.engine import reader
from server.web import stepup
from server.web.principal import NotSignedIn, Principal, names_somebody, principal_of
from server.web.state import WebState

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
CSRF_FIELD = "csrf"
CSRF_HEADER = "x-csrf-token"
READERS_MAX = 6  # requests that only read, at once: more of them hinder each other and the collector
CHANGERS_MAX = 26  # requests that change something: they wait for the disk, or for a meter

P = ParamSpec("P")
T = TypeVar("T")


async def web_state(request: Request) -> WebState:
    """The state that `create_site` was given."""
    state: WebState = request.app.state.web
    return state


State = Annotated[WebState, Depends(web_state)]


class Look:
    """What one request reads through: a connection that is opened when somebody first asks, and closed before the
    answer leaves, so that a slow client holds nothing. All reads of a request see one state of the database.

    A look at SQLite takes microseconds and is done at once; where the database is a server, a thread waits for it.
    """

    def __init__(self, state: WebState, admission: asyncio.Semaphore) -> None:
        self._state, self._admission = state, admission
        self._waits = state.engine.dialect.name != "sqlite"
        self._opened: AbstractContextManager[Connection] | None = None
        self._connection: Connection | None = None

    async def connection(self) -> Connection:
        """The connection of this request; waits while too many others read."""
        if self._connection is None:
            await self._admission.acquire()
            opened = reader(self._state.engine)
            try:
                self._connection = await self.call(opened.__enter__)
            except BaseException:
                self._admission.release()
                raise
            self._opened = opened
        return self._connection

    async def call(self, work: Callable[..., T], *args: object) -> T:
        """A short read."""
        return await run_in_threadpool(work, *args) if self._waits else work(*args)

    async def close(self) -> None:
        """Give the connection back."""
        if self._opened is None:
            return
        try:
            await self.call(self._opened.__exit__, None, None, None)
        finally:
            self._opened = self._connection = None
            self._admission.release()


async def look(request: Request) -> AsyncIterator[Look]:
    """What this request reads through."""
    gates = request.app.state
    found = Look(gates.web, gates.admission if request.method in SAFE_METHODS else gates.admission_to_change)
    try:
        yield found
    finally:
        await found.close()


Looking = Annotated[Look, Depends(look, scope="function")]


async def connection(looking: Looking) -> Connection:
    """A reader connection for this request."""
    return await looking.connection()


Reader = Annotated[Connection, Depends(connection)]


def at_once_if(brief: Callable[[Request], bool]) -> Callable[[Callable[P, T]], Callable[P, Awaitable[T]]]:
    """`at_once` for a handler that now and then has much to do, as `brief` tells beforehand: then a thread does it.

    The handler has the `request`, too.
    """

    def decorated(handler: Callable[P, T]) -> Callable[P, Awaitable[T]]:
        @wraps(handler)
        async def handled(*args: P.args, **kwargs: P.kwargs) -> T:
            conn = cast("Connection", kwargs["conn"])
            if conn.dialect.name == "sqlite" and brief(cast("Request", kwargs.get("request"))):
                return handler(*args, **kwargs)
            return await run_in_threadpool(handler, *args, **kwargs)

        handled.at_once = True  # type: ignore[attr-defined]
        return handled

    return decorated


def at_once(handler: Callable[P, T]) -> Callable[P, Awaitable[T]]:
    """A handler of few short reads: done at once on SQLite, as a look is; where a server has the data a thread waits.

    A thread costs more than such reads, and takes turns with everybody else's page at each of them. What asks another
    process, or always reads much, keeps a thread of its own. The handler has a reader connection `conn`.
    """
    return at_once_if(lambda _: True)(handler)


async def current(request: Request, looking: Looking) -> Principal | None:
    """Who is asking, or None; never raises. The answer is kept on the request for the pages."""
    principal, state = None, request.app.state.web
    if names_somebody(request, state):
        conn = await looking.connection()
        principal = await looking.call(principal_of, request, conn, state)
        if request.method not in SAFE_METHODS:
            await looking.call(conn.rollback)  # what is read after the change begins with the change
    request.state.principal = principal
    return principal


async def _csrf(request: Request, principal: Principal) -> None:
    """Refuse a change by session without the session's token; API clients send no cookie and need none."""
    if request.method in SAFE_METHODS or principal.is_client:
        return
    given = request.headers.get(CSRF_HEADER, "")
    if "form" in request.headers.get("content-type", ""):
        form = await request.form()
        request.state.fields = form.multi_items()
        value = form.get(CSRF_FIELD, "")
        given = given or (value if isinstance(value, str) else "")
    if not hmac.compare_digest(given.encode(), principal.csrf.encode()):
        raise Forbidden("the page is out of date (CSRF token missing or wrong); load it again")


Rule = Callable[..., Awaitable[Principal]]


def need(verb: str, *, fresh: bool = False) -> Rule:
    """Access rule: a principal whose role (or API scope) has `verb`; yields the principal.

    `fresh` wants a password that was given lately. One that comes with a form is checked whatever the act.
    """

    async def rule(request: Request, looking: Looking) -> Principal:
        principal = await current(request, looking)
        if principal is None:
            raise NotSignedIn
        if verb and not principal.may(verb):
            raise Forbidden(_lacks(principal, verb))
        await _csrf(request, principal)
        given = dict(getattr(request.state, "fields", ())).get(stepup.FIELD)
        if isinstance(given, str) and given and not principal.fresh:
            principal = request.state.principal = await stepup.confirm(request, request.app.state.web, principal, given)
        return stepup.require(principal) if fresh else principal

    rule.access = verb or "signed_in"  # type: ignore[attr-defined]
    return rule


def _lacks(principal: Principal, verb: str) -> str:
    if principal.is_client:
        return f"{principal.login} lacks the scope {verb}; write it into its [[api_client]] and import the file again"
    return f"the role {principal.role} lacks the right {verb}"


SIGNED_IN = need("")


async def PUBLIC(request: Request, looking: Looking) -> Principal | None:  # noqa: N802
    """Access rule: anybody; yields the principal if there is one."""
    return await current(request, looking)


PUBLIC.access = "public"  # type: ignore[attr-defined]


async def SIGNED_MESSAGE() -> None:  # noqa: N802
    """Access rule: the message itself carries a signature that the handler verifies; cookies are not looked at."""


SIGNED_MESSAGE.access = "signed_message"  # type: ignore[attr-defined]


def access_rules(route: object) -> set[str]:
    """The access rules of a FastAPI route at any depth, for the test that demands exactly one."""
    return _rules(getattr(route, "dependant", None))


def _rules(dependant: Dependant | None) -> set[str]:
    if dependant is None:
        return set()
    found = {rule for rule in [getattr(dependant.call, "access", None)] if rule is not None}
    return found.union(*(_rules(inner) for inner in dependant.dependencies))
