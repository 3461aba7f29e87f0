"""Takes the instalments of debt plans that are due, each plan in a unit of its own; one that fails stops no other.

Nothing is taken by a clock that is in doubt.
"""

import logging
from collections.abc import Callable

from sqlalchemy import Engine

from server.clock import Clock
from server.flows import debt_plans as flows
from server.store.engine import reader
from server.store.unit import Unit, Writing

log = logging.getLogger("estate645.jobs")


class DebtPlanJob:
    """Looks once a minute; a plan has something to do once a week or month."""

    name = "debt_plans"
    interval_s = 60.0

    def __init__(
        self, engine: Engine, writer: Writing, clock: Clock, estate_id: str, *, clock_sane: Callable[[], bool]
    ) -> None:
        self._engine, self._writer, self._clock, self._estate_id = engine, writer, clock, estate_id
        self._clock_sane = clock_sane

    def run_once(self) -> None:
        """Take what is due of every running plan."""
        if not self._clock_sane():
            return
        with reader(self._engine) as connection:
            due = flows.due_plans(connection, self._estate_id, self._clock.now())
        for plan_no in due:
            try:
                self._writer.run(lambda unit, plan_no=plan_no: self._take(unit, plan_no))  # type: ignore[misc]
            except Exception:
                log.exception("debt plan %d could not be carried on, the others are", plan_no)

    def _take(self, unit: Unit, plan_no: int) -> None:
        flows.take_due(unit, self._estate_id, plan_no, self._clock.now())
