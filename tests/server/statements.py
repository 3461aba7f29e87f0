"""One cache of compiled statements for all engines of a test run.

SQLAlchemy compiles a statement anew for each engine, and nearly every test has an engine of its own, SQLite two.
"""

from typing import Any

from sqlalchemy import Connection, Engine, event
from sqlalchemy.util import LRUCache

STATEMENTS_MAX = 4_000


class _Statements(LRUCache[Any, Any]):
    """Compiled statements by kind of database, where SQLAlchemy's own cache has them by engine."""

    def get(self, key: Any, default: Any = None) -> Any:
        return super().get((key[0].name, *key[1:]), default)

    def __setitem__(self, key: Any, compiled: Any) -> None:
        super().__setitem__((key[0].name, *key[1:]), compiled)


_shared = _Statements(STATEMENTS_MAX)


@event.listens_for(Engine, "engine_connect")
def _share(connection: Connection) -> None:
    connection.engine._compiled_cache = _shared
