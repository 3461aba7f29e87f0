"""Looks for anomalies and opens cases."""

from collections.abc import Callable

from sqlalchemy import Engine

from server.clock import Clock
from server.flows import cases
from server.store.engine import reader
from server.store.unit import Writing


class AnomalyJob:
    """Looks every few seconds of machine time; the rules themselves speak of world time."""

    name = "anomalies"
    interval_s = 5.0

    def __init__(
        self, engine: Engine, writer: Writing, clock: Clock, estate_id: str, *,
        may_time: Callable[[], bool] = lambda: True,
    ) -> None:  # fmt: skip
        """While our clock may time nothing (`may_time`), it tells neither what is old nor whose clock is wrong."""
        self._engine, self._writer, self._clock, self._estate_id = engine, writer, clock, estate_id
        self._may_time = may_time

    def run_once(self) -> None:
        """Look beside the writer; only a finding takes the writer's time, and is checked again there."""
        if not self._may_time():
            return
        with reader(self._engine) as connection:
            found = cases.find(connection, self._estate_id, self._clock.now())
        if found:
            self._writer.run(lambda unit: cases.detect(unit, self._estate_id, self._clock.now()))
