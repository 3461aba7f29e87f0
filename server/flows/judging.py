"""Who would be cut at this moment, and what holds the others: decisions to look at, of which none is carried out."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from sqlalchemy import Connection

from server.domain.supply import Decision, decide_trip
from server.store import listing
from server.store import supply as kept
from server.store.supply import Candidate

if TYPE_CHECKING:
    from server.clock import Now

CHUNK = 2000  # households whose facts are read at once


def judged(
    conn: Connection, estate_id: str, now: "Now", *, clock_sane: bool, after: str = "", limit: int | None = None
) -> Iterator[tuple[Candidate, Decision]]:
    """Households in order of their accounts after `after`, each judged as `flows.supply.decide` judges it."""
    left = limit
    while left is None or left > 0:
        most = CHUNK if left is None else min(CHUNK, left)
        accounts = listing.household_ids(conn, estate_id, after=after, limit=most)
        if not accounts:
            return
        for one in kept.trip_candidates(conn, estate_id, accounts, now.world_s, clock_sane=clock_sane):
            yield one, decide_trip(one.facts, now.world_s, now.machine_ms)
        after, left = accounts[-1], None if left is None else left - len(accounts)
