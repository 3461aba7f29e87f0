"""Where the refusals of meter passwords are kept: rows, written beside whoever asks a meter.

A refusal is rare, and the next try comes two seconds after it at the soonest, so nobody waits for the commit.
"""

import logging
from collections.abc import Mapping
from concurrent.futures import Future
from datetime import datetime
from functools import partial
from zoneinfo import ZoneInfo

from sqlalchemy import Engine

from server.collect.passwords import Refused
from server.errors import StorageUnavailable
from server.store import refusals
from server.store.engine import reader
from server.store.unit import Unit, Writing

log = logging.getLogger("estate645.jobs")


class KeptRefusals:
    """Implements `server.collect.passwords.Kept`."""

    def __init__(self, engine: Engine, writer: Writing, estate_id: str, zone: ZoneInfo) -> None:
        self._engine, self._writer, self._estate_id, self._zone = engine, writer, estate_id, zone

    def load(self) -> Mapping[str, Refused]:
        """What the processes before have counted."""
        with reader(self._engine) as connection:
            rows = refusals.all_of(connection, self._estate_id)
        return {
            row[0]: Refused(row[1], row[2], row[3], datetime.fromtimestamp(row[4], self._zone)) for row in rows
        }  # fmt: skip

    def save(self, meter_id: str, refused: Refused | None) -> None:
        """Keep it with the next commit; a store that takes nothing now holds up no command to a meter."""
        try:
            self._writer.submit(partial(self._put, meter_id, refused)).add_done_callback(_looked_at)
        except StorageUnavailable as error:
            log.error("a refused password was not kept: %s", error)

    def _put(self, meter_id: str, refused: Refused | None, unit: Unit) -> None:
        if refused is None:
            refusals.forget(unit.connection, self._estate_id, meter_id)
            return
        figures = (refused.stored_sha256, refused.times, refused.day_times, int(refused.at.timestamp()))
        refusals.keep(unit.connection, self._estate_id, meter_id, *figures)


def _looked_at(done: "Future[None]") -> None:
    if not done.cancelled() and (error := done.exception()) is not None:
        log.error("a refused password was not kept: %s", error)
