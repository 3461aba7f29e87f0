"""Links committed batches of the journal into the hash chain, within a second of their commit."""

from sqlalchemy import Engine

from server.clock import Clock
from server.domain.ledger import Link
from server.flows import ledger
from server.store.engine import reader
from server.store.unit import Writing


class SealingJob:
    """Seals what is not sealed yet."""

    name = "sealing"
    interval_s = 1.0

    def __init__(self, engine: Engine, writer: Writing, clock: Clock, estate_id: str) -> None:
        self._engine, self._writer, self._clock, self._estate_id = engine, writer, clock, estate_id

    def run_once(self) -> None:
        """Seal until nothing is left; a reader hashes, so that the writer only appends what is short."""
        while links := self._links():
            self._writer.run(lambda unit, links=links: ledger.append_links(unit, self._estate_id, links))  # type: ignore[misc]

    def _links(self) -> list[Link]:
        with reader(self._engine) as connection:
            return ledger.next_links(connection, self._estate_id, self._clock.now())
