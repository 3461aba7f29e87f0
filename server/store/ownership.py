"""One serving process for each database: a second one would send the same control frames and charge in a race.

The kernel or the database itself frees the claim when the process ends, however it ends: an exclusive lock on
`FILE.serving` beside an SQLite file, an advisory lock of a held connection on PostgreSQL. Commands that only read
need no claim; one that writes needs it on SQLite, whose file only one process may write.
"""

import fcntl
from collections.abc import Callable
from pathlib import Path

from sqlalchemy import Engine, text
from sqlalchemy.exc import DBAPIError

from server.errors import ConfigError, StorageUnavailable
from server.store.engine import unavailable

ADVISORY_KEY = 645_000_001


def claim(engine: Engine) -> Callable[[], None]:
    """Claim the database for this process; returns what gives it back. ConfigError when another process serves it."""
    return _claim_file(engine) if engine.dialect.name == "sqlite" else _claim_postgres(engine)


def claim_writing(engine: Engine) -> Callable[[], None]:
    """Claim an SQLite file for a command that writes; returns what gives it back. PostgreSQL takes many writers."""
    if engine.dialect.name != "sqlite":
        return _nothing
    try:
        return _claim_file(engine)
    except ConfigError as error:
        where = engine.url.render_as_string(hide_password=True)
        raise ConfigError(
            f"a server runs on the database {where}, and only one process may write an SQLite file; "
            "stop the server, run this again, then start it"
        ) from error


def _nothing() -> None:
    """Nothing was claimed."""


def _claim_file(engine: Engine) -> Callable[[], None]:
    path = Path(f"{engine.url.database}.serving")
    try:
        lock = path.open("w", encoding="utf-8")
    except OSError as error:
        raise StorageUnavailable(f"{path} cannot be written ({error.strerror}); check its folder") from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        lock.close()
        raise _taken(engine) from error
    return lock.close


def _claim_postgres(engine: Engine) -> Callable[[], None]:
    try:
        connection = engine.connect().execution_options(isolation_level="AUTOCOMMIT")
        if not connection.execute(text(f"SELECT pg_try_advisory_lock({ADVISORY_KEY})")).scalar():
            connection.close()
            raise _taken(engine)
    except DBAPIError as error:
        raise unavailable(engine, error) from error

    def give_back() -> None:
        try:
            connection.execute(text(f"SELECT pg_advisory_unlock({ADVISORY_KEY})"))
        except DBAPIError:
            connection.invalidate()  # the session is gone, and its lock with it
        connection.close()

    return give_back


def _taken(engine: Engine) -> ConfigError:
    where = engine.url.render_as_string(hide_password=True)
    return ConfigError(f"another server uses the database {where}; stop it first, or give this one its own database")
