"""Many rows at once, and several such writes in one round trip.

SQLite takes executemany with tuples, PostgreSQL one statement over arrays (unnest). Callers give tuples in the
order of the named columns, or columns in that order where there are very many rows; names come from our own schema and
never from a request. Values of one call must not repeat a key.
"""

from collections.abc import Sequence
from functools import lru_cache
from operator import itemgetter
from typing import Any, NamedTuple

from sqlalchemy import Connection, Table, Text

from server.domain.columns import Column, Columns
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
        if last is not None and last.texts == texts and not conflict and not isinstance(last.rows, Columns):
            self._writes[-1] = last._replace(rows=[*last.rows, *rows])
        else:
            self._writes.append(_Write(texts, rows))

    def insert_line_columns(self, names: Sequence[str], given: Columns, booked_ms: int) -> None:
        """Insert lines of one batch, given in columns, into the month in which it was booked."""
        if given.rows:
            same, other = _split(names, given.columns)
            texts = _insert_columns(schema.line, tuple(same), tuple(other))
            ordered = Columns((*same.values(), *other.values()), given.rows)
            self._writes.append(_Write(texts, ordered, booked_ms=(booked_ms,)))

    def update_columns(
        self, table: Table, setting: Sequence[str], key: Sequence[str], given: Columns, increment: Sequence[str] = (),
        *, otherwise: Exception,
    ) -> None:  # fmt: skip
        """Do what `update` does, with new values and then the key in columns."""
        if given.rows:
            new_same, new = _split(setting, given.columns[: len(setting)])
            key_same, by = _split(key, given.columns[len(setting) :])
            names = (tuple(new_same), tuple(new)), (tuple(key_same), tuple(by))
            texts = _update_columns(table, *names, tuple(increment))
            ordered = (*new_same.values(), *new.values(), *by.values(), *key_same.values())
            self._writes.append(_Write(texts, Columns(ordered, given.rows), otherwise))

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
            if one.otherwise is not None and count != one.size:
                raise one.otherwise
        return counts


class _Write(NamedTuple):
    """Rows with the statement for SQLite and that for PostgreSQL, which takes the months of lines besides."""

    texts: tuple[str, str]
    rows: Rows | Columns
    otherwise: Exception | None = None
    booked_ms: Sequence[int] = ()

    @property
    def size(self) -> int:
        """How many rows."""
        return self.rows.rows if isinstance(self.rows, Columns) else len(self.rows)

    def statement(self, *, arrays: bool) -> Statement:
        """What the driver gets."""
        if isinstance(self.rows, Columns):
            month = tuple(self.booked_ms) if arrays else ()
            return Statement(self.texts[arrays], Columns((*month, *self.rows.columns), self.rows.rows))
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
    return f"unnest({', '.join(f'%s::{_kind(table, name)}[]' for name in columns)})"


def _kind(table: Table, name: str) -> str:
    return "text" if isinstance(table.c[name].type, Text) else "bigint"


def _alike(column: Column) -> bool:
    """Whether one value stands in all rows."""
    return column is None or isinstance(column, (int, str))


def _split(names: Sequence[str], columns: Sequence[Column]) -> tuple[dict[str, Column], dict[str, Column]]:
    """The columns with one value for all rows, and the others."""
    named = dict(zip(names, columns, strict=True))
    same = {name: column for name, column in named.items() if _alike(column)}
    return same, {name: column for name, column in named.items() if name not in same}


@lru_cache(maxsize=100)
def _insert_columns(table: Table, same: tuple[str, ...], other: tuple[str, ...]) -> tuple[str, str]:
    """The statement for SQLite, and that for PostgreSQL, whose marks begin with the month of the lines."""
    values = ", ".join(("%s::bigint", *(f"%s::{_kind(table, name)}" for name in same), "given.*"))
    into = f"INSERT INTO {table.name} ({', '.join(('booked_ms', *same, *other))})"
    source = f"SELECT {values} FROM {_arrays(table, other)} AS given"  # noqa: S608
    return _insert(table, (*same, *other), "")[0], f"{into} {source}"


@lru_cache(maxsize=100)
def _update_columns(
    table: Table, setting: tuple[tuple[str, ...], tuple[str, ...]], key: tuple[tuple[str, ...], tuple[str, ...]],
    increment: tuple[str, ...],
) -> tuple[str, str]:  # fmt: skip
    """The same; `setting` and `key` are names whose values are the same in all rows, and others.

    Marks stand in the order of alike and other settings, other and alike keys.
    """
    grown = [f"{name} = {table.name}.{name} + 1" for name in increment]
    changes = [f"{name} = %s::{_kind(table, name)}" for name in setting[0]]
    changes += [f"{name} = given.new_{name}" for name in setting[1]]
    match = [f"{table.name}.{name} = given.key_{name}" for name in key[1]]
    match += [f"{table.name}.{name} = %s::{_kind(table, name)}" for name in key[0]]
    given = ", ".join([*(f"new_{name}" for name in setting[1]), *(f"key_{name}" for name in key[1])])
    source = f"{_arrays(table, setting[1] + key[1])} AS given ({given})"
    text = f"UPDATE {table.name} SET {', '.join(changes + grown)} FROM {source} WHERE {' AND '.join(match)}"  # noqa: S608
    return _update(table, setting[0] + setting[1], key[1] + key[0], increment)[0], text
