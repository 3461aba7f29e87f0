"""What was charged since midnight, kept in memory: batches are never changed, so each is summed up once."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from threading import Lock
from time import monotonic

from fastapi import Request
from sqlalchemy import Connection

from server.store import statistics

HOUR_S = 3600
LAST_HOUR = 23
RECENT_S = 600.0


@dataclass(frozen=True, slots=True)
class Charged:
    """Fen and Wh since a local midnight, and Wh by the hour of the day."""

    fen: int
    energy_wh: int
    by_hour: Mapping[int, int]


class ChargedToday:
    """The sums of one estate; may be asked from any thread."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._since: int | None = None
        self._asked_s = float("-inf")  # of the monotonic clock
        self._seq = self._fen = 0
        self._by_hour: Counter[int] = Counter()

    @property
    def is_recent(self) -> bool:
        """Whether it was asked in the last RECENT_S, so that little is left to sum up."""
        return monotonic() - self._asked_s < RECENT_S

    def at(self, connection: Connection, estate_id: str, since: int) -> Charged:
        """What is known since the local midnight `since`."""
        with self._lock:
            self._asked_s = monotonic()
            if since != self._since:
                self._since, self._seq, self._fen, self._by_hour = since, 0, 0, Counter()
            for one in statistics.charges(connection, estate_id, since, after_seq=self._seq):
                self._seq, self._fen = one.batch_seq, self._fen + one.fen
                self._by_hour[min(LAST_HOUR, (one.event_at - since) // HOUR_S)] += one.energy_wh
            return Charged(self._fen, self._by_hour.total(), dict(self._by_hour))


def charged_of(request: Request) -> ChargedToday:
    """The sums of the estate that is served."""
    found: ChargedToday = request.app.state.charged
    return found
