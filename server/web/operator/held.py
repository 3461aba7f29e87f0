"""How many meters have readings that wait for a decision, counted again now and then, since it asks every meter."""

from threading import Lock

from fastapi import Request
from sqlalchemy import Connection

from server.store import acceptance

AGAIN_MS = 10_000  # so old may the count be; who decides a reading sees the list itself, which is never old


class HeldReadings:
    """The count of one estate; may be asked from any thread."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._count = 0
        self._counted_ms: int | None = None

    def at(self, connection: Connection, estate_id: str, now_ms: int) -> int:
        """The count as it was at most AGAIN_MS before the machine time `now_ms`."""
        with self._lock:
            if self._counted_ms is None or not 0 <= now_ms - self._counted_ms < AGAIN_MS:
                self._count, self._counted_ms = acceptance.holding_meters(connection, estate_id), now_ms
            return self._count


def held_of(request: Request) -> HeldReadings:
    """The count of the estate that is served."""
    found: HeldReadings = request.app.state.held
    return found
