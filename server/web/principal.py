"""Who is asking: a person with a session cookie, or an API client with a key.

Tokens are opaque 256-bit values; only their SHA-256 is stored. A session is looked up on every request, so that a
revoked one ends at once. A resident is bound to one account, and everything else does not exist for them.
"""

import hashlib
import hmac
from dataclasses import dataclass, field

from fastapi import Request
from sqlalchemy import Connection

from server.domain.access import allows
from server.errors import EstateError, Forbidden, NotFound
from server.flows.moves import LEAVE
from server.store import listing, people
from server.web.state import WebState

BEARER = "bearer "
COOKIE = "estate645_session"
HOST_PREFIX = "__Host-"
MINUTE_MS = 60_000


class NotSignedIn(EstateError):
    """The route needs somebody who is signed in: pages send them to the login, the API answers 401."""


@dataclass(frozen=True, slots=True)
class Principal:
    """A signed-in person or client; `csrf` is the token that every form of the session carries."""

    estate_id: str
    user_id: str
    login: str
    name: str
    role: str
    account_id: str | None
    language: str
    csrf: str = field(default="", repr=False)
    scopes: frozenset[str] = frozenset()
    is_client: bool = False
    fresh: bool = True  # whether the password was given within `step_up_minutes`; a client proves itself each time

    def may(self, verb: str) -> bool:
        """Whether this principal has `verb`: by role, or by scope for an API client."""
        return verb in self.scopes if self.is_client else allows(self.role, verb)

    def may_settle(self, how: str) -> str:
        """`how` a balance is settled if this principal may: what moves money needs the right to book it; Forbidden."""
        if how != LEAVE and not self.may("account.book"):
            raise Forbidden(f"the role {self.role} lacks the right account.book: leave the balance for later")
        return how

    def own_account(self, account_id: str) -> str:
        """`account_id` if this principal may name it; raises NotFound, so that foreign accounts do not show."""
        if self.role == "resident" and account_id != self.account_id:
            raise NotFound(f"no household {account_id}")
        return account_id


def cookie_name(*, secure: bool) -> str:
    """`__Host-` binds the cookie to this host, and browsers accept that prefix only with TLS."""
    return f"{HOST_PREFIX}{COOKIE}" if secure else COOKIE


def token_sha256(token: str) -> str:
    """What is stored of a token."""
    return hashlib.sha256(token.encode()).hexdigest()


def names_somebody(request: Request, state: WebState) -> bool:
    """Whether the request carries anything that could say who is asking."""
    return bool(
        request.cookies.get(cookie_name(secure=state.config.secure_cookies))
        or request.headers.get("authorization", "").lower().startswith(BEARER)
    )


def principal_of(request: Request, conn: Connection, state: WebState) -> Principal | None:
    """The person of the session cookie, or the client of the Authorization header; None for strangers."""
    authorization = request.headers.get("authorization", "")
    if authorization.lower().startswith(BEARER):
        return _client(conn, state, authorization[len(BEARER) :].strip())
    token = request.cookies.get(cookie_name(secure=state.config.secure_cookies))
    if not token:
        return None
    now_ms = state.clock.now().machine_ms
    row = people.session_of(conn, token_sha256(token), now_ms)
    if row is None:
        return None
    names = ("estate_id", "user_id", "login", "name", "role", "account_id", "language", "csrf")
    fresh = now_ms - row["confirmed_ms"] <= state.config.step_up_minutes * MINUTE_MS
    return Principal(**{name: row[name] for name in names}, fresh=fresh)


def _client(conn: Connection, state: WebState, key: str) -> Principal | None:
    client_id, _, secret = key.partition(":")
    row = listing.client(conn, state.estate_id, client_id)
    expected = row["secret"] if row is not None else ""
    if not hmac.compare_digest(secret.encode(), expected.encode()) or row is None or not secret:
        return None
    scopes = frozenset(row["scopes"].replace(",", " ").split())
    login = f"client:{client_id}"
    return Principal(
        row["estate_id"], login, login, row["name"], "client", None, state.language, scopes=scopes, is_client=True
    )
