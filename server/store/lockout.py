"""Reads and writes of wrong passwords, counted by the place that they come from; only that place's own rows count."""

from sqlalchemy import Connection, RowMapping, select

from server.store.schema import login_failure


def failures_of(connection: Connection, place: str, login: str, now_ms: int) -> int:
    """How many wrong passwords count against `login` at `place` now."""
    return int(row["failures"]) if (row := _row(connection, place, login)) and row["until_ms"] > now_ms else 0


def set_failures(connection: Connection, place: str, login: str, failures: int, until_ms: int) -> None:
    """Keep the count until `until_ms`."""
    values = {"failures": failures, "until_ms": until_ms}
    if _row(connection, place, login) is None:
        connection.execute(login_failure.insert().values(place=place, login=login, **values))
    else:
        where = (login_failure.c.place == place, login_failure.c.login == login)
        connection.execute(login_failure.update().where(*where).values(**values))


def forget(connection: Connection, login: str, place: str | None = None) -> None:
    """Forget what counted against `login`, at one place or everywhere."""
    where = [login_failure.c.login == login]
    if place is not None:
        where.append(login_failure.c.place == place)
    connection.execute(login_failure.delete().where(*where))


def forget_past(connection: Connection, now_ms: int) -> None:
    """Forget what no longer counts."""
    connection.execute(login_failure.delete().where(login_failure.c.until_ms <= now_ms))


def _row(connection: Connection, place: str, login: str) -> RowMapping | None:
    query = select(login_failure).where(login_failure.c.place == place, login_failure.c.login == login)
    return connection.execute(query).mappings().one_or_none()
