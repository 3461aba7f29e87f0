"""Gaps of the past, filled from what meters kept: whenever the bus has nothing else to do, and now and then otherwise.

A full bus would never have time to heal, so one question about the past has its turn after so many of the present. What
fails is dropped; whoever looks for gaps finds it again.
"""

from collections import deque
from collections.abc import Callable, Mapping, Sequence

from core.errors import CoreError
from server.collect.delivery import Delivery
from server.collect.history import History, Recall
from server.collect.readout import MeterState

WAITING_MAX = 512
TURN_AFTER = 8


class RecallLane:
    """The questions about the past of one bus. All methods are of the collector's loop."""

    def __init__(self, history: History, delivery: Delivery) -> None:
        self._history = history
        self._delivery = delivery
        self._waiting: deque[Recall] = deque()
        self._since_turn = 0

    def put(self, wanted: Sequence[Recall]) -> None:
        """Queue what is not queued yet, as far as there is room."""
        known = set(self._waiting)
        for one in wanted:
            if one not in known and len(self._waiting) < WAITING_MAX:
                self._waiting.append(one)

    @property
    def waits(self) -> bool:
        """Whether anything is queued."""
        return bool(self._waiting)

    @property
    def has_turn(self) -> bool:
        """Whether the present has had its share since the last turn."""
        return self.waits and self._since_turn >= TURN_AFTER

    def give_turn(self) -> None:
        """Something of the present was read."""
        self._since_turn += 1

    async def serve(self, meters: Mapping[str, MeterState], attempts_of: Callable[[str], int]) -> None:
        """Ask the next one, unless its meter is gone or was silent when last asked; `PortError` ends the bus."""
        wanted, self._since_turn = self._waiting.popleft(), 0
        meter, attempts = meters.get(wanted.meter_id), attempts_of(wanted.meter_id)
        if meter is None or not attempts:
            return
        try:
            found = await self._history.recall(meter, wanted, attempts)
        except CoreError:
            return
        for reading in found:
            await self._delivery.put(reading)
