"""Statements straight to the driver, several of them in one round trip.

What payments and charging say all the time is put together once and then costs what the driver costs; on PostgreSQL
the statements of one `send` travel together. The connection, its transaction and its errors stay SQLAlchemy's: a
driver's error leaves as its DBAPIError, and a connection that is lost is marked as lost.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from sqlalchemy import (
    ARRAY,
    BigInteger,
    ColumnElement,
    Connection,
    RowMapping,
    Select,
    Text,
    bindparam,
    cast,
    func,
    select,
)
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg
from sqlalchemy.dialects.sqlite import pysqlite
from sqlalchemy.exc import DBAPIError

from server.domain.columns import Columns
from server.store.arrays import as_parameter
from server.store.sqlite_library import write

SAVEPOINT = "estate645_unit"
CHANGES = "estate645_changes"  # in the information of a connection: statements so far that changed rows
CHANGING = frozenset({"INSERT", "UPDATE", "DELETE"})
Row = Mapping[str, Any] | RowMapping  # by column name
Among = Callable[[ColumnElement[Any], str], ColumnElement[bool]]


class Statement(NamedTuple):
    """Text with the driver's own marks; `many`: parameters are a list of tuples, one an execution.

    Parameters in columns are executed row by row by SQLite, and are arrays for PostgreSQL, one for each column.
    """

    text: str
    parameters: Sequence[Any] | Columns = ()
    many: bool = False


class Answer(NamedTuple):
    """Rows of a statement that gives some, and how many rows it touched."""

    rows: Sequence[tuple[Any, ...]]
    touched: int


def send(connection: Connection, *statements: Statement) -> list[Answer]:
    """Run the statements in order within the connection's transaction; the first that fails raises DBAPIError."""
    if not connection.in_transaction():
        connection.begin()
    raw: Any = connection.connection.driver_connection
    try:
        answers = _sent(raw, statements, together=connection.dialect.name == "postgresql")
    except connection.dialect.loaded_dbapi.Error as error:
        raise _as_sqlalchemy(connection, raw, error) from error
    for statement, answer in zip(statements, answers, strict=True):
        note_change(connection, statement.text, answer.touched)
    return answers


def note_change(connection: Connection, text: str, touched: int) -> None:
    """Count a statement that changed rows."""
    if touched and text[:6] in CHANGING:
        connection.info[CHANGES] = connection.info.get(CHANGES, 0) + 1


def _sent(raw: Any, statements: Sequence[Statement], *, together: bool) -> list[Answer]:
    if not together:
        return [_written(raw, one) or _answer(_executed(raw.cursor(), one)) for one in statements]
    if len(statements) == 1:
        return [_answer(_executed(raw.cursor(), statements[0]))]
    try:
        with raw.pipeline():  # the server is at work on one statement while the arrays of the next one are made
            cursors = [_executed(raw.cursor(), one) for one in statements]
    except BaseException:
        raw._prepared.clear()  # what was skipped after an error is counted as prepared by the driver, and never was
        raise
    return [_answer(cursor) for cursor in cursors]


def _written(raw: Any, statement: Statement) -> Answer | None:
    """What SQLite answers to a statement with columns; None for any other statement."""
    given = statement.parameters
    return Answer((), write(raw, statement.text, given)) if isinstance(given, Columns) else None


def _executed(cursor: Any, statement: Statement) -> Any:
    if isinstance(statement.parameters, Columns):
        cursor.execute(statement.text, [as_parameter(column) for column in statement.parameters.columns])
    elif statement.many:
        cursor.executemany(statement.text, statement.parameters)
    elif statement.parameters:
        cursor.execute(statement.text, statement.parameters)
    else:
        cursor.execute(statement.text)
    return cursor


def _answer(cursor: Any) -> Answer:
    rows = cursor.fetchall() if cursor.description is not None else ()
    count = cursor.rowcount
    cursor.close()
    return Answer(rows, count)


def _as_sqlalchemy(connection: Connection, raw: Any, error: Exception) -> BaseException:
    base: Any = connection.dialect.loaded_dbapi.Error
    lost = connection.dialect.is_disconnect(error, raw, None)  # type: ignore[arg-type]
    if lost:
        connection.invalidate(error)
    return DBAPIError.instance(
        None, None, error, base, hide_parameters=True, connection_invalidated=lost, dialect=connection.dialect
    )  # fmt: skip


def begin_unit(connection: Connection) -> None:
    """Begin a savepoint; one at a time is open."""
    send(connection, Statement(f"SAVEPOINT {SAVEPOINT}"))


def keep_unit(connection: Connection) -> None:
    """Let what was done since the savepoint be part of the transaction."""
    send(connection, Statement(f"RELEASE SAVEPOINT {SAVEPOINT}"))


def undo_unit(connection: Connection) -> None:
    """Take back what was done since the savepoint."""
    send(connection, Statement(f"ROLLBACK TO SAVEPOINT {SAVEPOINT}"), Statement(f"RELEASE SAVEPOINT {SAVEPOINT}"))


class Query:
    """A SELECT with named parameters, put together once for each database.

    `build` gets `among(column, name)`, the condition that a column is one of the texts or numbers of parameter `name`.
    """

    def __init__(self, build: Callable[[Among], "Select[Any]"]) -> None:
        self._build = build
        self._known: dict[str, _Text] = {}

    def of(self, connection: Connection, **values: Any) -> Statement:
        """The statement with these values; a list is for `among`."""
        kind = connection.dialect.name
        known = self._known.get(kind) or self._compile(kind)
        return Statement(
            known.text, [_value(kind, values[name]) if name in values else given for name, given in known.marks]
        )

    def named(self, connection: Connection, answer: Answer) -> list[dict[str, Any]]:
        """The rows of an answer by column name."""
        columns = self._known[connection.dialect.name].columns
        return [dict(zip(columns, row, strict=True)) for row in answer.rows]

    def ask(self, connection: Connection, **values: Any) -> list[dict[str, Any]]:
        """The rows by column name, in a round trip of their own."""
        return self.named(connection, send(connection, self.of(connection, **values))[0])

    def rows(self, connection: Connection, **values: Any) -> Sequence[tuple[Any, ...]]:
        """The rows as they come."""
        return send(connection, self.of(connection, **values))[0].rows

    def first(self, connection: Connection, **values: Any) -> dict[str, Any] | None:
        """The first row by column name; None where there is no row."""
        return next(iter(self.ask(connection, **values)), None)

    def value(self, connection: Connection, **values: Any) -> Any:
        """The first column of the first row; None where there is no row."""
        rows = self.rows(connection, **values)
        return rows[0][0] if rows else None

    def _compile(self, kind: str) -> "_Text":
        postgresql = kind == "postgresql"
        dialect = PGDialect_psycopg(paramstyle="format") if postgresql else pysqlite.dialect(paramstyle="qmark")  # type: ignore[no-untyped-call]
        query = self._build(_among_array if postgresql else _among_json)
        compiled: Any = query.compile(dialect=dialect)
        given = {name: None for name, bind in compiled.binds.items() if bind.required}
        written = compiled.construct_expanded_state(given)  # lists of constants have a mark for each of them
        marks = tuple((name, written.parameters[name]) for name in written.positiontup or ())
        found = self._known[kind] = _Text(written.statement, marks, tuple(query.selected_columns.keys()))
        return found


class _Text(NamedTuple):
    """A query for one database: its text, the name and value of each mark, the names of its columns."""

    text: str
    marks: tuple[tuple[str, Any], ...]
    columns: tuple[str, ...]


def _among_json(column: ColumnElement[Any], name: str) -> ColumnElement[bool]:
    return column.in_(select(func.json_each(bindparam(name, type_=Text)).table_valued("value").c.value))


def _among_array(column: ColumnElement[Any], name: str) -> ColumnElement[bool]:
    """Not `= ANY`, which looks through an array that is given as a parameter once for each row of a large table."""
    kind = Text if isinstance(column.type, Text) else BigInteger
    return column.in_(select(func.unnest(cast(bindparam(name, type_=Text), ARRAY(kind)))))


def _value(kind: str, value: Any) -> Any:
    if not isinstance(value, (list, tuple)):
        return value
    return array_text(value) if kind == "postgresql" else json.dumps(value)


def array_text(values: Sequence[Any]) -> str:
    """A list as PostgreSQL reads an array: numbers, texts and None; a fifth of the time of the driver's own way."""
    if None in values:
        return "{" + ",".join(map(_element, values)) + "}"
    if not values or isinstance(values[0], int):
        return "{" + ",".join(map(str, values)) + "}"
    joined = '","'.join(values)
    if "\\" in joined or joined.count('"') != 2 * (len(values) - 1):
        return "{" + ",".join(map(_element, values)) + "}"
    return f'{{"{joined}"}}'


def _element(value: Any) -> str:
    if value is None:
        return "NULL"
    if isinstance(value, int):
        return str(value)
    return '"' + str(value).replace("\\", "\\\\").replace('"', '\\"') + '"'
