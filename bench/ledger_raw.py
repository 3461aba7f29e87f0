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

from sqlalchemy import Engine, event

from server.store import direct

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

    send = direct._sent
    event.listen(engine, "before_cursor_execute", note)
    event.listen(engine, "commit", committed)
    try:
        with patch("server.store.direct._sent", sent):
            yield statements
    finally:
        event.remove(engine, "before_cursor_execute", note)
        event.remove(engine, "commit", committed)


def replayed(connect: Callable[[], Any], statements: list[Statement]) -> float:
    """Seconds that a bare connection takes for these statements; results are fetched, as the product fetches them."""
    connection = connect()
    cursor = connection.cursor()
    start = time.perf_counter()
    for text, parameters, many in statements:
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
