"""People: who exists, who may enter, whose session is open.

Passwords are hashed and compared elsewhere (slow, outside of the unit); a flow only learns whether one fitted.
"""

from typing import TYPE_CHECKING
from uuid import uuid4

from sqlalchemy import RowMapping

from server.domain.access import ROLES
from server.errors import Conflict, NotFound, Refused
from server.flows import lockout
from server.flows.lockout import Place
from server.store import audit
from server.store import lockout as failed
from server.store import people as kept
from server.store.estates import get_account
from server.store.unit import Unit

if TYPE_CHECKING:
    from server.clock import Now

BOUND_ROLE = "resident"  # the only role with an account of its own


def authenticate(unit: Unit, login: str, password_fits: bool, *, place: Place, now: "Now") -> bool:
    """Count a success or failure of `login` at `place`; whether the person may enter.

    While too many wrong passwords count against them there, the right one does not open.
    """
    row = kept.user_by_login(unit.connection, login)
    if lockout.is_barred(unit, row, place, now):
        return False
    if row is None or not password_fits:
        lockout.note_failure(unit, row, place, now)
        return False
    lockout.note_success(unit, row, place)
    return True


def open_session(
    unit: Unit, estate_id: str, user_id: str, *, token_sha256: str, csrf: str, expires_ms: int, now: "Now"
) -> None:
    """Remember a session that has just been granted; sessions that ended by themselves are forgotten."""
    kept.drop_expired_sessions(unit.connection, now.machine_ms)
    kept.add_session(
        unit.connection,
        token_sha256=token_sha256,
        estate_id=estate_id,
        user_id=user_id,
        created_ms=now.machine_ms,
        expires_ms=expires_ms,
        csrf=csrf,
        confirmed_ms=now.machine_ms,
    )


def enter(
    unit: Unit,
    estate_id: str,
    user_id: str,
    login: str,
    *,
    place: Place,
    token_sha256: str,
    csrf: str,
    expires_ms: int,
    now: "Now",
) -> bool:
    """Open a session after the right password; False while wrong ones bar the person at this place."""
    if not authenticate(unit, login, True, place=place, now=now):
        return False
    open_session(unit, estate_id, user_id, token_sha256=token_sha256, csrf=csrf, expires_ms=expires_ms, now=now)
    return True


def confirm_session(
    unit: Unit, login: str, token_sha256: str, password_fits: bool, *, place: Place, now: "Now"
) -> bool:
    """Count the password that a person in a session gave again; whether it counts, and is kept as given now."""
    if not authenticate(unit, login, password_fits, place=place, now=now):
        return False
    kept.confirm_session(unit.connection, token_sha256, now.machine_ms)
    row = kept.user_by_login(unit.connection, login)
    if row is not None:
        audit.record(unit.connection, row["estate_id"], login, "person.confirmed", row["user_id"], now)
    return True


def close_session(unit: Unit, token_sha256: str, *, now: "Now") -> None:
    """End one session, at once; an unknown one is none."""
    kept.drop_expired_sessions(unit.connection, now.machine_ms)
    kept.drop_session(unit.connection, token_sha256)


def create_user(
    unit: Unit,
    estate_id: str,
    *,
    login: str,
    password_hash: str,
    role: str,
    name: str,
    account_id: str | None,
    actor: str,
    now: "Now",
    language: str = "zh_CN",
) -> str:
    """Add a person; returns the user's id. Refused for an unknown role or a resident without account."""
    if role not in ROLES:
        raise Refused(f"role {role!r} is unknown; allowed: {', '.join(ROLES)}")
    if (role == BOUND_ROLE) != (account_id is not None):
        raise Refused("a resident needs an account, and nobody else has one")
    if not login.strip() or not password_hash:
        raise Refused("login and password must not be empty")
    if account_id is not None and get_account(unit.connection, estate_id, account_id)["kind"] != "household":
        raise NotFound(f"there is no household {account_id!r} in this estate")
    if kept.login_exists(unit.connection, login):
        raise Conflict(f"the login {login!r} is taken; choose another")
    user_id = uuid4().hex
    kept.add_user(
        unit.connection,
        estate_id=estate_id,
        user_id=user_id,
        login=login,
        password_hash=password_hash,
        role=role,
        name=name,
        account_id=account_id,
        language=language,
    )
    audit.record(unit.connection, estate_id, actor, "person.created", user_id, now, f"{login} as {role}")
    return user_id


def set_password(unit: Unit, estate_id: str, user_id: str, password_hash: str, *, actor: str, now: "Now") -> None:
    """Give a person another password: all sessions end, the lock is lifted."""
    failed.forget(unit.connection, _get(unit, estate_id, user_id)["login"])
    kept.update_user(unit.connection, estate_id, user_id, password_hash=password_hash, failures=0, locked_until_ms=0)
    kept.drop_sessions_of(unit.connection, estate_id, user_id)
    audit.record(unit.connection, estate_id, actor, "person.password", user_id, now)


def set_active(unit: Unit, estate_id: str, user_id: str, *, active: bool, actor: str, now: "Now") -> None:
    """Let a person in or keep it out; keeping out ends every session at once. Nobody shuts himself out."""
    row = _get(unit, estate_id, user_id)
    if not active and row["login"] == actor:
        raise Refused("you cannot switch yourself off; ask another administrator")
    kept.update_user(unit.connection, estate_id, user_id, active=int(active))
    if not active:
        kept.drop_sessions_of(unit.connection, estate_id, user_id)
    audit.record(
        unit.connection, estate_id, actor, "person.enabled" if active else "person.disabled", user_id, now
    )  # fmt: skip


def _get(unit: Unit, estate_id: str, user_id: str) -> RowMapping:
    row = kept.get_user(unit.connection, estate_id, user_id)
    if row is None:
        raise NotFound("there is no such person in this estate")
    return row
