"""Many rows at once, and several such writes in one round trip.

SQLite takes executemany with tuples, PostgreSQL one statement over arrays (unnest). Callers give tuples in the
order of the named columns, which come from our own schema and never from a request. Values of one call must not
repeat a key.
"""

from collections.abc import Sequence
from functools import lru_cache
from operator import itemgetter
from typing import Any, NamedTuple

from sqlalchemy import Connection, Table, Text

from server.store import schema
from server.store.direct import Statement, array_text, send

Rows = Sequence[tuple[Any, ...]]


class Bundle:
    """Writes that go to the database together, in order, when `send` is called; nothing is written before."""

    def __init__(self) -> None:
        self._writes: list[_Write] = []

    def insert(self, table: Table, columns: Sequence[str], rows: Rows, conflict: str = "") -> None:
        """Insert `rows`, as `insert_rows` does; one statement with those that were inserted alike just before."""
        if not rows:
            return
        texts, last = _insert(table, tuple(columns), conflict), self._writes[-1] if self._writes else None
        if last is not None and last.texts == texts and not conflict:
            self._writes[-1] = last._replace(rows=[*last.rows, *rows])
        else:
            self._writes.append(_Write(texts, rows))

    def insert_lines(self, columns: Sequence[str], rows: Rows, booked_ms: Sequence[int]) -> None:
        """Insert lines of the journal, each into the month in which its batch was booked.

        Only PostgreSQL keeps them by months.
        """
        if rows:
            self._writes.append(_Write(_insert_booked(tuple(columns)), rows, booked_ms=booked_ms))

    def update(
        self,
        table: Table,
        setting: Sequence[str],
        key: Sequence[str],
        rows: Rows,
        increment: Sequence[str] = (),
        *,
        otherwise: Exception | None = None,
    ) -> None:
        """Set `setting` where `key` matches, as `update_rows` does; `otherwise` is raised when a row has no match."""
        if rows:
            texts = _update(table, tuple(setting), tuple(key), tuple(increment))
            self._writes.append(_Write(texts, rows, otherwise))

    def send(self, connection: Connection) -> list[int]:
        """Write; returns how many rows each write touched. After an error nothing of it may be kept."""
        writes, self._writes = self._writes, []
        if not writes:
            return []
        arrays = connection.dialect.name == "postgresql"
        counts = [answer.touched for answer in send(connection, *(one.statement(arrays=arrays) for one in writes))]
        for one, count in zip(writes, counts, strict=True):
            if one.otherwise is not None and count != len(one.rows):
                raise one.otherwise
        return counts


class _Write(NamedTuple):
    """Rows with the statement for SQLite and that for PostgreSQL, which takes the months of lines besides."""

    texts: tuple[str, str]
    rows: Rows
    otherwise: Exception | None = None
    booked_ms: Sequence[int] = ()

    def statement(self, *, arrays: bool) -> Statement:
        """What the driver gets."""
        if not arrays:
            return _bound(self.texts[0], self.rows)
        columns = [array_text(column) for column in zip(*self.rows, strict=True)]
        return Statement(self.texts[1], [*columns, array_text(self.booked_ms)] if self.booked_ms else columns)


def _bound(text: str, rows: Rows) -> Statement:
    """What is None in all rows is said in the text: SQLite's driver binds None ten times slower than a number."""
    first = rows[0]
    maybe = [place for place, value in enumerate(first) if value is None]
    empty = {place for place in maybe if [*map(itemgetter(place), rows)].count(None) == len(rows)}
    kept = [place for place in range(len(first)) if place not in empty]
    if not empty or len(kept) < 2:  # one place alone would come as a value, not as a tuple
        return Statement(text, rows, many=True)
    return Statement(_said(text, frozenset(empty)), list(map(itemgetter(*kept), rows)), many=True)


@lru_cache(maxsize=1000)
def _said(text: str, empty: frozenset[int]) -> str:
    head, *tails = text.split("?")
    return head + "".join(("NULL" if place in empty else "?") + tail for place, tail in enumerate(tails))


def insert_rows(connection: Connection, table: Table, columns: Sequence[str], rows: Rows, conflict: str = "") -> int:
    """Insert `rows`; `conflict` is an ON CONFLICT clause that both databases know. Returns the rows written."""
    bundle = Bundle()
    bundle.insert(table, columns, rows, conflict)
    return sum(bundle.send(connection))


def insert_lines(connection: Connection, columns: Sequence[str], rows: Rows) -> None:
    """Insert lines of batches that are there already, each into the month in which its batch was booked.

    Only PostgreSQL keeps them by months.
    """
    if connection.dialect.name != "postgresql" or not rows:
        insert_rows(connection, schema.line, columns, rows)
    elif rows:
        names, given = ", ".join(columns), _arrays(schema.line, columns)
        text = (
            f"INSERT INTO line ({names}, booked_ms) SELECT given.*, coalesce(batch.created_ms, 0) "  # noqa: S608
            f"FROM {given} AS given ({names}) LEFT JOIN batch USING (estate_id, batch_seq)"
        )
        send(connection, Statement(text, [array_text(column) for column in zip(*rows, strict=True)]))


def update_rows(
    connection: Connection,
    table: Table,
    setting: Sequence[str],
    key: Sequence[str],
    rows: Rows,
    increment: Sequence[str] = (),
) -> int:
    """Set `setting` where `key` matches; each row is the new values, then the key. Returns the rows that matched.

    Columns of `increment` grow by one; named in `key`, they make the update a compare-and-set.
    """
    bundle = Bundle()
    bundle.update(table, setting, key, rows, increment)
    return sum(bundle.send(connection))


@lru_cache(maxsize=1000)
def _insert(table: Table, columns: tuple[str, ...], conflict: str) -> tuple[str, str]:
    """The statement for SQLite, and that for PostgreSQL."""
    into = f"INSERT INTO {table.name} ({', '.join(columns)})"
    marks = ", ".join("?" * len(columns))
    return (
        f"{into} VALUES ({marks}) {conflict}",
        f"{into} SELECT * FROM {_arrays(table, columns)} {conflict}",  # noqa: S608
    )


@lru_cache(maxsize=10)
def _insert_booked(columns: tuple[str, ...]) -> tuple[str, str]:
    arrays = _arrays(schema.line, columns).removesuffix(")")
    return (
        _insert(schema.line, columns, "")[0],
        f"INSERT INTO line ({', '.join(columns)}, booked_ms) SELECT * FROM {arrays}, %s::bigint[])",  # noqa: S608
    )


@lru_cache(maxsize=1000)
def _update(
    table: Table, setting: tuple[str, ...], key: tuple[str, ...], increment: tuple[str, ...]
) -> tuple[str, str]:
    """The statement for SQLite, and that for PostgreSQL."""
    grown = [f"{name} = {table.name}.{name} + 1" for name in increment]
    changes = ", ".join([f"{name} = ?" for name in setting] + grown)
    match = " AND ".join(f"{name} = ?" for name in key)
    given = [f"new_{name}" for name in setting] + [f"key_{name}" for name in key]
    from_given = ", ".join([f"{name} = given.new_{name}" for name in setting] + grown)
    same = " AND ".join(f"{table.name}.{name} = given.key_{name}" for name in key)
    source = f"{_arrays(table, [*setting, *key])} AS given ({', '.join(given)})"
    return (
        f"UPDATE {table.name} SET {changes} WHERE {match}",  # noqa: S608
        f"UPDATE {table.name} SET {from_given} FROM {source} WHERE {same}",  # noqa: S608
    )


def _arrays(table: Table, columns: Sequence[str]) -> str:
    kinds = ("text" if isinstance(table.c[name].type, Text) else "bigint" for name in columns)
    return f"unnest({', '.join(f'%s::{kind}[]' for kind in kinds)})"
