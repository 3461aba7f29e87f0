"""Posts re-ratings that two people agreed to, portion by portion; payments and charges go on between them."""

import logging

from sqlalchemy import Engine

from server.clock import Clock
from server.domain.rerating import Rerate
from server.flows import rerating
from server.flows.rerating import Portion
from server.store import rerating as kept
from server.store.engine import reader
from server.store.unit import Writing

log = logging.getLogger("estate645.jobs")


class ReratingJob:
    """Looks every few seconds of machine time; what was interrupted goes on where it was."""

    name = "rerating"
    interval_s = 5.0

    def __init__(self, engine: Engine, writer: Writing, clock: Clock, estate_id: str) -> None:
        self._engine, self._writer, self._clock, self._estate_id = engine, writer, clock, estate_id

    def run_once(self) -> None:
        """Bring every running re-rating to its end; one that fails does not hold up the others."""
        with reader(self._engine) as connection:
            running = kept.with_status(connection, self._estate_id, "running")
        for one in running:
            try:
                while self._portion(one.rerate_id):
                    pass
            except Exception:
                log.exception("re-rating %s could not go on, the others do", one.rerate_id)

    def _portion(self, rerate_id: str) -> bool:
        """Prepare and post one portion; False when it was the last."""
        with reader(self._engine) as connection:
            rerate = kept.get(connection, self._estate_id, rerate_id)
            if rerate is None or rerate.status != "running":
                return False
            portion = rerating.next_portion(connection, self._estate_id, rerate)
        self._post(rerate, portion)
        return bool(portion.last)

    def _post(self, rerate: Rerate, portion: Portion) -> None:
        now = self._clock.now()
        self._writer.run(
            lambda unit: rerating.post(
                unit, self._estate_id, rerate.rerate_id, portion, after=rerate.done_account, now=now
            )
        )
