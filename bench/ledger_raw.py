"""The peer of the top-ups: the very statements that they made, sent again by the bare driver to a copy of the database.

Statements, parameters and the ends of transactions are noted while the product books; what is left out is
everything above the driver: threads, queues, units, the flow. The bare driver sends one statement after another, also
to PostgreSQL, where the product lets several travel together.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

import pysqlite3
from sqlalchemy import Engine, event

from server.domain.columns import Columns
from server.store import direct, rows
from server.store.arrays import as_parameter

COMMIT = ("COMMIT", None, False)
Statement = tuple[str, Any, bool]


@contextmanager
def noted(engine: Engine) -> Iterator[list[Statement]]:
    """All statements of `engine` within the block."""
    statements: list[Statement] = []

    def note(_connection: Any, _cursor: Any, text: str, parameters: Any, _context: Any, many: bool) -> None:
        statements.append((text, parameters, many))

    def committed(_connection: Any) -> None:
        statements.append(COMMIT)

    def sent(raw: Any, said: Sequence[direct.Statement], *, together: bool) -> list[direct.Answer]:
        statements.extend((one.text, one.parameters, one.many) for one in said)
        return send(raw, said, together=together)

    def asked(connection: Any, statement: direct.Statement, kinds: Any) -> Any:
        statements.append((statement.text, statement.parameters, statement.many))
        return ask(connection, statement, kinds)

    send, ask = direct._sent, rows.statement_rows
    event.listen(engine, "before_cursor_execute", note)
    event.listen(engine, "commit", committed)
    try:
        with patch("server.store.direct._sent", sent), patch("server.store.billing.statement_rows", asked):
            yield statements
    finally:
        event.remove(engine, "before_cursor_execute", note)
        event.remove(engine, "commit", committed)


def replayed(connect: Callable[[], Any], statements: list[Statement]) -> float:
    """Seconds that a bare connection takes for these statements; results are fetched, as the product fetches them."""
    connection = connect()
    cursor = connection.cursor()
    by_rows = isinstance(connection, pysqlite3.Connection)
    said = [_as_the_driver_takes(statement, by_rows=by_rows) for statement in statements]
    start = time.perf_counter()
    for text, parameters, many in said:
        if many:
            cursor.executemany(text, parameters)
        elif parameters:
            cursor.execute(text, parameters)
        else:
            cursor.execute(text)
        if cursor.description is not None:
            cursor.fetchall()
    spent = time.perf_counter() - start
    connection.close()
    return spent


def _as_the_driver_takes(statement: Statement, *, by_rows: bool) -> Statement:
    """Columns as rows for SQLite's executemany, and as arrays for PostgreSQL."""
    text, given, many = statement
    if not isinstance(given, Columns):
        return statement
    if by_rows:
        return text, list(given.tuples()), True
    return text, [as_parameter(column) for column in given.columns], many
