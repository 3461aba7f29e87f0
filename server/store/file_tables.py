"""Tables of archive files: SQLite databases that are written once, in one go, and then only read.

The caller gives a file its name when it is whole and durable, so nothing here keeps a journal.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pysqlite3
from sqlalchemy import Connection, Table, Text

from server.errors import ConfigError

ROWS_AT_ONCE = 5_000


def kind_of(table: Table, name: str) -> str:
    """The SQLite type of a column of the database."""
    return "TEXT" if isinstance(table.c[name].type, Text) else "INTEGER"


def uri_of(path: Path) -> str:
    """The name under which SQLite opens the file as it is, without a lock or a journal beside it."""
    return f"file:{quote(str(path))}?mode=ro&immutable=1"


@contextmanager
def written(path: Path) -> Iterator[Any]:
    """The file, in one transaction."""
    file = pysqlite3.connect(str(path), isolation_level=None)
    try:
        file.execute("PRAGMA journal_mode=OFF")  # the file has its name only when it is whole
        file.execute("PRAGMA synchronous=OFF")
        file.execute("BEGIN")
        yield file
        file.execute("COMMIT")
    finally:
        file.close()


def make(file: Any, name: str, kinds: Mapping[str, str], key: str) -> None:
    """A table with these columns and this primary key."""
    columns = ", ".join(f"{column} {kind}" for column, kind in kinds.items())
    file.execute(f"CREATE TABLE {name} ({columns}, PRIMARY KEY ({key})) STRICT, WITHOUT ROWID")


def fill(file: Any, name: str, rows: list[tuple[Any, ...]]) -> None:
    """Add rows."""
    marks = ", ".join("?" * len(rows[0]))
    file.executemany(f"INSERT INTO {name} VALUES ({marks})", rows)  # noqa: S608


def streamed(connection: Connection, query: Any) -> Iterator[list[tuple[Any, ...]]]:
    """The rows of a query in handy portions."""
    found = connection.execute(query, execution_options={"yield_per": ROWS_AT_ONCE})
    for rows in found.partitions():
        yield [tuple(row) for row in rows]


@contextmanager
def opened(path: Path) -> Iterator[Any]:
    """The file to read; ConfigError for what is no archive."""
    if not path.is_file():
        raise ConfigError(f"there is no archive {path}; name a file that `estate645 archive` wrote")
    try:
        file = pysqlite3.connect(uri_of(path), uri=True)
        try:
            yield file
        finally:
            file.close()
    except pysqlite3.Error as error:
        raise ConfigError(f"{path} is no archive of this program ({error}), or it was changed") from error
