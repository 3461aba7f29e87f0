"""Closes days by itself once nothing about them is in doubt; with doubts it waits for a person, who says why.

Months are closed by people. The first day is yesterday, unless the journal is younger; later ones follow without a
gap, some at a time after a pause. Nobody closes a day by a clock that is in doubt.
"""

import logging
from collections.abc import Callable

from sqlalchemy import Engine

from server.clock import Clock
from server.domain.settlement import DAY
from server.flows import settlement as flow
from server.store.engine import reader
from server.store.unit import Writing

DAYS_AT_ONCE = 7
ACTOR = "system"

log = logging.getLogger("estate645.jobs")


class DayClose:
    """Looks every five minutes whether the next day can be closed."""

    name = "settlement"
    interval_s = 300.0

    def __init__(
        self, engine: Engine, writer: Writing, clock: Clock, estate_id: str, *, clock_sane: Callable[[], bool]
    ) -> None:
        self._engine, self._writer, self._clock, self._estate_id = engine, writer, clock, estate_id
        self._clock_sane = clock_sane

    def run_once(self) -> None:
        """Close what can be closed, the oldest day first."""
        for _ in range(DAYS_AT_ONCE):
            if not self._clock_sane() or not self._close_one():
                return

    def _close_one(self) -> bool:
        now = self._clock.now()
        with reader(self._engine) as connection:
            due = flow.day_due(connection, self._estate_id, now)
            if due is None or due.doubts:
                return False
            drafted = flow.draft(connection, self._estate_id, DAY, due.period, now)
        if drafted.doubts:
            return False
        for step in flow.steps(self._estate_id, drafted, actor=ACTOR, now=now):
            self._writer.run(step)
        log.info("the day %s of %s is closed", due.period, self._estate_id)
        return True
