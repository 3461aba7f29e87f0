"""A writer for random histories: units run in savepoints of one transaction, which is rolled back at the end.

Hundreds of histories need no file and no disk this way; what commits and when is tested with the real writer.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, Engine

from server.store.engine import begin_writing
from server.store.unit import Unit


class LocalWriter:
    """Runs each unit at once; a unit that fails leaves nothing behind."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.rung: list[tuple[str, str]] = []

    def run(self, work, *, urgent: bool = False):
        unit = Unit(self._connection)
        with self._connection.begin_nested():
            result = work(unit)
        self.rung += unit.announcements
        return result


@contextmanager
def rolled_back(engine: Engine) -> Iterator[LocalWriter]:
    """A writer whose work disappears when the block ends."""
    with begin_writing(engine) as connection:
        transaction = connection.begin()
        try:
            yield LocalWriter(connection)
        finally:
            transaction.rollback()
