"""Reads and writes of people: who may sign in, and their open sessions.

A login is unique over all estates, so that the login page needs no estate. Of a session only the SHA-256 of its
token is stored.
"""

from typing import Any

from sqlalchemy import Connection, RowMapping, and_, bindparam, select

from server.store.direct import Query
from server.store.schema import api_client, app_user, login_session

RESIDENT = "resident"  # of whom there are thousands, and who books nothing on others


def user_by_login(connection: Connection, login: str) -> RowMapping | None:
    """The active person with this login, or None."""
    query = select(app_user).where(app_user.c.login == login, app_user.c.active == 1)
    return connection.execute(query).mappings().one_or_none()


def login_exists(connection: Connection, login: str) -> bool:
    """Whether anybody has this login, active or not."""
    return connection.execute(select(app_user.c.user_id).where(app_user.c.login == login)).first() is not None


def get_user(connection: Connection, estate_id: str, user_id: str) -> RowMapping | None:
    """One person of this estate, active or not."""
    query = select(app_user).where(app_user.c.estate_id == estate_id, app_user.c.user_id == user_id)
    return connection.execute(query).mappings().one_or_none()


def names(connection: Connection, estate_id: str) -> dict[str, str]:
    """Names by login of all people, and of the keys of the API as `client:ID`; those without a name are left out."""
    people = select(app_user.c.login, app_user.c.name).where(
        app_user.c.estate_id == estate_id, app_user.c.role != RESIDENT
    )
    clients = select(api_client.c.client_id, api_client.c.name).where(api_client.c.estate_id == estate_id)
    found = {login: name for login, name in connection.execute(people) if name}
    return found | {f"client:{client_id}": name for client_id, name in connection.execute(clients) if name}


_SESSION = Query(
    lambda _among: (
        select(app_user, login_session.c.csrf, login_session.c.expires_ms, login_session.c.confirmed_ms)
        .join(
            login_session,
            and_(login_session.c.estate_id == app_user.c.estate_id, login_session.c.user_id == app_user.c.user_id),
        )
        .where(
            login_session.c.token_sha256 == bindparam("token_sha256"),
            login_session.c.expires_ms > bindparam("now_ms"),
            app_user.c.active == 1,
        )
    )
)


def session_of(connection: Connection, token_sha256: str, now_ms: int) -> dict[str, Any] | None:
    """The active person of a session that has not expired, with the session's csrf token; None for strangers."""
    return next(iter(_SESSION.ask(connection, token_sha256=token_sha256, now_ms=now_ms)), None)


def add_user(connection: Connection, **values: Any) -> None:
    """Insert one person."""
    connection.execute(app_user.insert().values(**values))


def update_user(connection: Connection, estate_id: str, user_id: str, **values: Any) -> None:
    """Change one person."""
    where = (app_user.c.estate_id == estate_id, app_user.c.user_id == user_id)
    connection.execute(app_user.update().where(*where).values(**values))


def add_session(connection: Connection, **values: Any) -> None:
    """Insert one session."""
    connection.execute(login_session.insert().values(**values))


def confirm_session(connection: Connection, token_sha256: str, confirmed_ms: int) -> None:
    """Keep when the password of a session was given last."""
    where = login_session.c.token_sha256 == token_sha256
    connection.execute(login_session.update().where(where).values(confirmed_ms=confirmed_ms))


def drop_session(connection: Connection, token_sha256: str) -> None:
    """Forget one session."""
    connection.execute(login_session.delete().where(login_session.c.token_sha256 == token_sha256))


def drop_sessions_of(connection: Connection, estate_id: str, user_id: str) -> None:
    """Forget every session of one person."""
    where = (login_session.c.estate_id == estate_id, login_session.c.user_id == user_id)
    connection.execute(login_session.delete().where(*where))


def drop_expired_sessions(connection: Connection, now_ms: int) -> None:
    """Forget sessions that have ended by themselves."""
    connection.execute(login_session.delete().where(login_session.c.expires_ms <= now_ms))
