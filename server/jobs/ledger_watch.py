"""Verifies the whole journal now and then; one that does not verify opens the breaker: no cut rests on wrong books.

It remembers where the chain of seals stood when it looked, so that a chain which was made anew while the server runs is
found without any exported head.
"""

import time
from collections.abc import Callable

from sqlalchemy import Connection, Engine

from server.clock import Clock
from server.domain.heads import Head
from server.flows.supply import open_breaker
from server.flows.verification import verify
from server.store.engine import reader
from server.store.ledger import last_seal
from server.store.unit import Writing

SEEN_MAX = 64  # looks that are remembered, some two weeks
FIRST_AFTER_S, EVERY_S = 600.0, 21_600.0  # not while the server starts, then four times a day


class LedgerWatch:
    """Looks at the time every minute and at the books when it is due; reads beside the writer."""

    name = "ledger"
    interval_s = 60.0

    def __init__(
        self,
        engine: Engine,
        writer: Writing,
        clock: Clock,
        estate_id: str,
        *,
        steady_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._engine, self._writer, self._clock, self._estate_id = engine, writer, clock, estate_id
        self._steady_s = steady_s
        self._due_s = steady_s() + FIRST_AFTER_S
        self._seen: list[Head] = []  # where the chain of seals stood at each look

    def run_once(self) -> None:
        """Verify if it is time."""
        if self._steady_s() < self._due_s:
            return
        with reader(self._engine) as connection:
            wrong = len(verify(connection, self._estate_id, self._seen).mismatches)
            self._remember(connection)
        self._due_s = self._steady_s() + EVERY_S
        if wrong:
            reason = f"the ledger does not verify: {wrong} mismatches"
            self._writer.run(lambda unit: open_breaker(unit, self._estate_id, reason, self._clock.now()))

    def _remember(self, connection: Connection) -> None:
        """The end of the chain, so that seals which are made anew afterwards no longer lead through it."""
        link = last_seal(connection, self._estate_id)
        if link is not None and all(head.batch_seq != link["batch_seq"] for head in self._seen):
            head = Head(self._estate_id, link["batch_seq"], link["hash"], self._clock.now().machine_ms)
            self._seen = [*self._seen, head][-SEEN_MAX:]
