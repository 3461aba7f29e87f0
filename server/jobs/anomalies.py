"""Looks for anomalies and opens cases."""

from sqlalchemy import Engine

from server.clock import Clock
from server.flows import cases
from server.store.unit import Writing


class AnomalyJob:
    """Runs every few seconds of machine time; each rule looks at world time."""

    name = "anomalies"
    interval_s = 5.0

    def __init__(self, engine: Engine, writer: Writing, clock: Clock, estate_id: str) -> None:
        self._writer, self._clock, self._estate_id = writer, clock, estate_id

    def run_once(self) -> None:
        """Detect once."""
        self._writer.run(lambda unit: cases.detect(unit, self._estate_id, self._clock.now()))
