"""Adds the coming months of the big tables on PostgreSQL, long before their first row."""

import logging

from sqlalchemy import Engine

from server.clock import Clock
from server.store.months import KINDS, add_months, month_of
from server.store.unit import Writing

AHEAD = 2  # months, so that some tries may meet somebody who reads

log = logging.getLogger("estate645.jobs")


class MonthsJob:
    """Asks once an hour; through the writer, whose transaction is short, and a month that is there costs nothing."""

    name = "months"
    interval_s = 3600.0

    def __init__(self, engine: Engine, writer: Writing, clock: Clock) -> None:
        self._engine, self._writer, self._clock = engine, writer, clock

    def run_once(self) -> None:
        """Add what is not there yet."""
        if self._engine.dialect.name != "postgresql":
            return
        now = self._clock.now()
        for kind, epoch_s in zip(KINDS, (now.machine_ms // 1000, now.world_s), strict=True):
            first = month_of(epoch_s)
            for month in range(first, first + AHEAD + 1):
                outcome = self._writer.run(
                    lambda unit, kind=kind, month=month: add_months(unit.connection, kind, [month])[month]  # type: ignore[misc]
                )
                if outcome in ("busy", "full"):
                    log.warning("month %04d-%02d of %s was not added (%s); its rows wait in %s_rest",
                                month // 12, month % 12 + 1, kind, outcome, kind)  # fmt: skip
