"""Keeps the limits of households in step with their schemes, each hour of world time and when a version begins.

Bulk changes of rules that two people approved are carried out here.
"""

from sqlalchemy import Engine

from server.clock import Clock
from server.flows import bulk_edits, schemes
from server.store.unit import Writing


class SchemeJob:
    """Looks every few seconds of machine time; most looks find nothing to do."""

    name = "schemes"
    interval_s = 5.0

    def __init__(self, _engine: Engine, writer: Writing, clock: Clock, estate_id: str) -> None:
        self._writer, self._clock, self._estate_id = writer, clock, estate_id

    def run_once(self) -> None:
        """Work out what is due, and a bulk change to its end, in small units."""
        self._writer.run(lambda unit: schemes.settle_due(unit, self._estate_id, self._clock.now()))
        while self._writer.run(lambda unit: bulk_edits.advance(unit, self._estate_id, self._clock.now())):
            continue
