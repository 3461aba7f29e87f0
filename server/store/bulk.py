"""Many rows at once; the only file with SQL that differs between the databases.

SQLite takes executemany with tuples, PostgreSQL one statement over arrays (unnest). Callers give tuples in the
order of the named columns, which come from our own schema and never from a request. Values of one call must not
repeat a key.
"""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Table, Text

from server.store import schema


def insert_rows(
    connection: Connection, table: Table, columns: Sequence[str], rows: Sequence[tuple[Any, ...]], conflict: str = ""
) -> int:
    """Insert `rows`; `conflict` is an ON CONFLICT clause that both databases know. Returns the rows written."""
    if not rows:
        return 0
    names = ", ".join(columns)
    if connection.dialect.name == "postgresql":
        statement = f"INSERT INTO {table.name} ({names}) SELECT * FROM {_arrays(table, columns)} {conflict}"  # noqa: S608
        return connection.exec_driver_sql(statement, _columns(rows)).rowcount
    marks = ", ".join("?" * len(columns))
    statement = f"INSERT INTO {table.name} ({names}) VALUES ({marks}) {conflict}"  # noqa: S608
    return connection.exec_driver_sql(statement, list(rows)).rowcount


def insert_lines(
    connection: Connection, columns: Sequence[str], rows: Sequence[tuple[Any, ...]], booked_ms: int | None = None
) -> None:
    """Insert lines of the journal, each into the month in which its batch was booked, `booked_ms` where it is known.

    Only PostgreSQL keeps them by months.
    """
    if connection.dialect.name != "postgresql":
        insert_rows(connection, schema.line, columns, rows)
        return
    names, given = ", ".join(columns), _arrays(schema.line, columns)
    if booked_ms is not None:
        statement = f"INSERT INTO line ({names}, booked_ms) SELECT given.*, %s::bigint FROM {given} AS given"  # noqa: S608
        connection.exec_driver_sql(statement, (booked_ms, *_columns(rows)))
        return
    statement = (
        f"INSERT INTO line ({names}, booked_ms) SELECT given.*, coalesce(batch.created_ms, 0) "  # noqa: S608
        f"FROM {given} AS given ({names}) LEFT JOIN batch USING (estate_id, batch_seq)"
    )
    connection.exec_driver_sql(statement, _columns(rows))


def update_rows(
    connection: Connection,
    table: Table,
    setting: Sequence[str],
    key: Sequence[str],
    rows: Sequence[tuple[Any, ...]],
    increment: Sequence[str] = (),
) -> int:
    """Set `setting` where `key` matches; each row is the new values, then the key. Returns the rows that matched.

    Columns of `increment` grow by one; named in `key`, they make the update a compare-and-set.
    """
    if not rows:
        return 0
    grown = [f"{name} = {table.name}.{name} + 1" for name in increment]
    if connection.dialect.name == "postgresql":
        given = [f"new_{name}" for name in setting] + [f"key_{name}" for name in key]
        changes = ", ".join([f"{name} = given.new_{name}" for name in setting] + grown)
        match = " AND ".join(f"{table.name}.{name} = given.key_{name}" for name in key)
        source = f"{_arrays(table, [*setting, *key])} AS given ({', '.join(given)})"
        statement = f"UPDATE {table.name} SET {changes} FROM {source} WHERE {match}"  # noqa: S608
        return connection.exec_driver_sql(statement, _columns(rows)).rowcount
    changes = ", ".join([f"{name} = ?" for name in setting] + grown)
    match = " AND ".join(f"{name} = ?" for name in key)
    statement = f"UPDATE {table.name} SET {changes} WHERE {match}"  # noqa: S608
    return connection.exec_driver_sql(statement, list(rows)).rowcount


def _arrays(table: Table, columns: Sequence[str]) -> str:
    kinds = ("text" if isinstance(table.c[name].type, Text) else "bigint" for name in columns)
    return f"unnest({', '.join(f'%s::{kind}[]' for kind in kinds)})"


def _columns(rows: Sequence[tuple[Any, ...]]) -> tuple[list[Any], ...]:
    return tuple(list(column) for column in zip(*rows, strict=True))
