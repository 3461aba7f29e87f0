"""Carrying pages from SQLite's log (the WAL) into its file beside the writer, so that no caller waits for it.

A commit is durable once its pages are synced in the log. SQLite by itself copies them into the file within the commit
after which a thousand are there: whoever is answered by that commit, a payer perhaps, waits for the copy and two more
syncs, and a page that every commit changes is copied every time. Here a thread with a connection of its own copies
them between commits (a passive checkpoint, which waits for nobody and for which nobody waits). The log starts over
when all of it is in the file; where the commits follow so closely that this never happens, it grows to LOG_PAGES_MAX
(`server.store.engine`), and one commit carries the rest itself, as SQLite does.
"""

import logging
from threading import Event, Thread
from typing import Any

import pysqlite3
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from server.errors import EstateError
from server.store.engine import leaves_checkpoints

PAUSE_S = 0.25  # at most so often: what several commits changed is copied once
PAGES_LEAST = 1000  # in the log and not yet in the file, before they are copied: what SQLite would wait for

_log = logging.getLogger(__name__)


class Checkpoints:
    """One thread for the database of one writer; it sleeps until something is committed."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._committed = Event()
        self._stopping = Event()
        self._thread = Thread(target=self._serve, name="estate645-checkpoints", daemon=True)
        self._thread.start()

    def wake(self) -> None:
        """Say that something was committed."""
        self._committed.set()

    def stop(self) -> None:
        """End the thread and close its connection; what the log still holds stays there, durable as it is."""
        self._stopping.set()
        self._committed.set()
        self._thread.join()

    def _serve(self) -> None:
        while self._committed.wait():
            self._committed.clear()  # before the look at `_stopping`, which `stop` sets first
            if self._stopping.wait(PAUSE_S):
                return
            try:
                self._carry()
            except (pysqlite3.Error, SQLAlchemyError, EstateError) as error:
                _log.warning("the log of the database was not copied into its file, which is tried again: %s", error)

    def _carry(self) -> None:
        """Copy what is in the log, if it is worth it; a connection lasts for one look, so that none goes stale."""
        pooled = self._engine.raw_connection()
        try:
            raw: Any = pooled.driver_connection
            _, pages, carried = raw.execute("PRAGMA wal_checkpoint(NOOP)").fetchone()
            if pages - carried >= PAGES_LEAST:
                raw.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        finally:
            pooled.close()


def beside(engine: Engine) -> Checkpoints | None:
    """Checkpoints beside the writer of `engine`, where the database is one that leaves them to us."""
    return Checkpoints(engine) if leaves_checkpoints(engine) else None
