"""Links committed batches of the journal into the hash chain, within a second of their commit."""

from sqlalchemy import Engine

from server.clock import Clock
from server.flows import ledger
from server.store.unit import Writing


class SealingJob:
    """Seals what is not sealed yet."""

    name = "sealing"
    interval_s = 1.0

    def __init__(self, engine: Engine, writer: Writing, clock: Clock, estate_id: str) -> None:
        self._writer, self._clock, self._estate_id = writer, clock, estate_id

    def run_once(self) -> None:
        """Seal until nothing is left."""
        while self._writer.run(lambda unit: ledger.seal_batches(unit, self._estate_id, self._clock.now())):
            pass
