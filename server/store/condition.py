"""In what condition a database is: its revision and the newest one, how it keeps its journal, its newest entry."""

from dataclasses import dataclass

from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, func, select, text

from server.store.engine import MIGRATIONS
from server.store.schema import audit, batch, meter_live


@dataclass(frozen=True, slots=True)
class Condition:
    """What was found; `journal` is empty for PostgreSQL, `newest_ms` None where nothing was ever written."""

    revision: str | None
    newest_revision: str | None
    journal: str
    newest_ms: int | None


def condition(connection: Connection) -> Condition:
    """The condition of the database behind a reader's connection; its tables are asked only where they are there."""
    revision, newest_revision = revisions(connection)
    journal = ""
    if connection.dialect.name == "sqlite":
        journal = str(connection.execute(text("PRAGMA journal_mode")).scalar_one())
    return Condition(revision, newest_revision, journal, _newest_ms(connection) if revision else None)


def revisions(connection: Connection) -> tuple[str | None, str | None]:
    """Of the database, None without tables of ours, and the newest that this release knows."""
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    newest = ScriptDirectory.from_config(config).get_current_head()
    return MigrationContext.configure(connection).get_current_revision(), newest


def _newest_ms(connection: Connection) -> int | None:
    columns = (batch.c.created_ms, meter_live.c.contact_ms, audit.c.created_ms)
    found = [connection.execute(select(func.max(column))).scalar() for column in columns]
    return max((one for one in found if one is not None), default=None)
