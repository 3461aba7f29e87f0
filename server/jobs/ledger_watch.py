"""Verifies the whole journal now and then; one that does not verify opens the breaker: no cut rests on wrong books.

It remembers where the chain of seals stood when it looked, so that a chain which was made anew while the server runs is
found without any exported head. Where heads are exported, it reads them as well: a file of heads that was edited, or
from which heads were cut, opens the breaker too. Books that verify but are not those that were signed, as after a
restore beside the old file, have a reason of their own.
"""

import logging
import time
from collections.abc import Callable
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from sqlalchemy import Connection, Engine

from server.clock import Clock
from server.domain.heads import Head
from server.errors import ConfigError
from server.flows.supply import open_breaker
from server.flows.verification import verify
from server.jobs.heads import heads_in
from server.store.engine import reader
from server.store.ledger import last_seal
from server.store.unit import Writing

SEEN_MAX = 64  # looks that are remembered, some two weeks
log = logging.getLogger("estate645.ledger")
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
        heads: tuple[Path, Ed25519PublicKey] | None = None,
        steady_s: Callable[[], float] = time.monotonic,
    ) -> None:
        """`heads` are the file of exported heads and the key that they are checked by, None where none are exported."""
        self._file = heads
        self._last: Head | None = None  # of the file at the last look
        self._engine, self._writer, self._clock, self._estate_id = engine, writer, clock, estate_id
        self._steady_s = steady_s
        self._due_s = steady_s() + FIRST_AFTER_S
        self._seen: list[Head] = []  # where the chain of seals stood at each look

    def run_once(self) -> None:
        """Verify if it is time."""
        if self._steady_s() < self._due_s:
            return
        read_ms = self._clock.now().machine_ms
        heads, reason = self._exported()
        with reader(self._engine) as connection:
            found = verify(connection, self._estate_id, [*self._seen, *heads], read_ms=read_ms)
            is_sound = not found.mismatches or bool(
                heads and not verify(connection, self._estate_id, self._seen).mismatches
            )
            self._remember(connection)
        self._due_s = self._steady_s() + EVERY_S
        if found.mismatches:
            broken = f"the ledger does not verify: {len(found.mismatches)} mismatches"
            reason = "the journal is not the one that was signed" if is_sound else broken
        reason = reason or ("the file of signed heads was cut" if found.heads_missing else "")
        if reason:
            self._writer.run(lambda unit: open_breaker(unit, self._estate_id, reason, self._clock.now()))

    def _exported(self) -> tuple[list[Head], str]:
        """The heads of this estate in the file, and what is wrong with that file in words."""
        if self._file is None:
            return [], ""
        try:
            found, _ = heads_in(*self._file)
        except FileNotFoundError:
            return [], "the file of signed heads is gone" if self._last else ""
        except (OSError, ConfigError) as error:
            log.error("the signed heads cannot be followed: %s", error)
            return [], "" if isinstance(error, OSError) else "the file of signed heads was edited"
        own = [head for head in found if head.estate_id == self._estate_id]
        gone = self._last is not None and self._last not in own
        self._last = own[-1] if own else None
        return own, "the file of signed heads was cut" if gone else ""

    def _remember(self, connection: Connection) -> None:
        """The end of the chain, so that seals which are made anew afterwards no longer lead through it."""
        link = last_seal(connection, self._estate_id)
        if link is not None and all(head.batch_seq != link["batch_seq"] for head in self._seen):
            head = Head(self._estate_id, link["batch_seq"], link["hash"], self._clock.now().machine_ms)
            self._seen = [*self._seen, head][-SEEN_MAX:]
