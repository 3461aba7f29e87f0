"""What handlers ask for: the state, a reader connection, who is asking, and whether they may.

Every route carries exactly one access rule as a dependency: `Depends(need("verb"))`, `Depends(SIGNED_IN)` or
`Depends(PUBLIC)`. The rule checks the session (or API client), the verb by `domain.access`, and for a session that
changes something the CSRF token (form field `csrf` or header `X-CSRF-Token`). A test refuses a route without one.
"""

import hmac
from collections.abc import Awaitable, Callable, Iterator
from typing import Annotated

from fastapi import Depends, Request
from fastapi.dependencies.models import Dependant
from sqlalchemy import Connection

from server.errors import Forbidden
from server.store.engine import reader
from server.web.principal import NotSignedIn, Principal, principal_of
from server.web.state import WebState

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
CSRF_FIELD = "csrf"
CSRF_HEADER = "x-csrf-token"


def web_state(request: Request) -> WebState:
    """The state that `create_site` was given."""
    state: WebState = request.app.state.web
    return state


State = Annotated[WebState, Depends(web_state)]


def connection(state: State) -> Iterator[Connection]:
    """A reader connection for this request."""
    with reader(state.engine) as conn:
        yield conn


Reader = Annotated[Connection, Depends(connection)]


def current(request: Request, state: State) -> Principal | None:
    """Who is asking, or None; never raises. The answer is kept on the request for the pages."""
    with reader(state.engine) as conn:
        principal = principal_of(request, conn, state)
    request.state.principal = principal
    return principal


MaybePrincipal = Annotated[Principal | None, Depends(current)]


async def _csrf(request: Request, principal: Principal) -> None:
    """Refuse a change by session without the session's token; API clients send no cookie and need none."""
    if request.method in SAFE_METHODS or principal.is_client:
        return
    given = request.headers.get(CSRF_HEADER, "")
    if not given and "form" in request.headers.get("content-type", ""):
        value = (await request.form()).get(CSRF_FIELD, "")
        given = value if isinstance(value, str) else ""
    if not hmac.compare_digest(given.encode(), principal.csrf.encode()):
        raise Forbidden("the page is out of date (CSRF token missing or wrong); load it again")


Rule = Callable[..., Awaitable[Principal]]


def need(verb: str) -> Rule:
    """Access rule: a principal whose role (or API scope) has `verb`; yields the principal."""

    async def rule(request: Request, principal: MaybePrincipal) -> Principal:
        if principal is None:
            raise NotSignedIn
        if verb and not principal.may(verb):
            raise Forbidden(f"the role {principal.role} lacks the right {verb}")
        await _csrf(request, principal)
        return principal

    rule.access = verb or "signed_in"  # type: ignore[attr-defined]
    return rule


SIGNED_IN = need("")


async def PUBLIC(principal: MaybePrincipal) -> Principal | None:  # noqa: N802
    """Access rule: anybody; yields the principal if there is one."""
    return principal


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
