"""Reads that are asked for long before they are needed, by a thread of their own where the database can do that."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from typing import Protocol, TypeVar

from sqlalchemy import Connection

from server.store.engine import BEGIN_OPTION, same_state

T = TypeVar("T")


class Ask(Protocol):
    """Takes a read, and gives back how to get its answer."""

    def __call__(self, read: Callable[[Connection], T], /) -> Callable[[], T]:
        """The answer is there when it is called, or the error of the read is raised."""


@contextmanager
def aside(connection: Connection) -> Iterator[Ask]:
    """Take reads of what `connection` sees.

    On PostgreSQL they are read one after another through a connection of their own. What only the caller's connection
    sees (SQLite, a transaction that writes) is read when the answer is wanted.
    """
    with ExitStack() as stack:
        if connection.dialect.name != "postgresql" or BEGIN_OPTION in connection.get_execution_options():
            yield lambda read: lambda: read(connection)
            return
        other = stack.enter_context(same_state(connection))
        pool = stack.enter_context(ThreadPoolExecutor(1, "estate645-aside"))
        yield lambda read: pool.submit(read, other).result
