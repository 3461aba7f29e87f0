"""Small drifts of the meters' clocks, corrected by one broadcast a bus and day, inside the meters' own limits.

A meter takes 08H once a day, for a difference of at most five minutes, and not around midnight or a settlement instant
(a full hour). So it goes out between ten and fifty minutes past, from one to eleven at night, never twice a day, and
only while the server's own clock is beyond doubt. Clocks that are all off by the same are no evidence against the
meters: then it is ours that is wrong, and nothing is sent. What a broadcast did only the next look at each clock tells.
"""

import logging
from collections.abc import Awaitable, Callable
from datetime import date

from core.dlt645.commands import BroadcastTime
from server.collect.line import BusLine
from server.collect.work import Clocks

DRIFT_S = 30
LIMIT_S = 300
HOURS = range(1, 23)
MINUTES = range(10, 50)
ALIKE_S = 20
ALIKE_MIN = 3
FRAME_BYTES = 22

log = logging.getLogger("estate645.collect")


class ClockMender:
    """The clocks of one bus. `may_set` asks for leave, which is given once a day."""

    def __init__(self, line: BusLine, clocks: Clocks, bus_id: str, may_set: Callable[[], Awaitable[bool]]) -> None:
        self._line = line
        self._clocks = clocks
        self._bus_id = bus_id
        self._may_set = may_set
        self._offsets: dict[str, int] = {}
        self._asked_on: date | None = None

    def note(self, meter_id: str, offset_s: int | None) -> None:
        """What was read of a meter's clock: its offset, or nothing."""
        if offset_s is None:
            self._offsets.pop(meter_id, None)
        else:
            self._offsets[meter_id] = offset_s

    async def mend(self) -> list[str]:
        """Send the time if a clock needs it and may have it; the meters whose clocks are to be read again."""
        drifting = [name for name, offset_s in self._offsets.items() if DRIFT_S < abs(offset_s) <= LIMIT_S]
        civil = self._clocks.civil(self._clocks.world_now())
        if not drifting or civil.hour not in HOURS or civil.minute not in MINUTES or self._asked_on == civil.date():
            return []
        self._asked_on = civil.date()
        if self._all_alike():
            log.warning("bus %s: all clocks are off by the same; ours is in doubt and is not sent", self._bus_id)
            return []
        if not await self._may_set():
            return []
        arrives_s = self._line.wire_time_s(FRAME_BYTES) * self._clocks.factor
        await self._line.ask(BroadcastTime(self._clocks.civil(self._clocks.world_now() + arrives_s + 0.5)))
        for name in drifting:
            del self._offsets[name]
        return drifting

    def _all_alike(self) -> bool:
        found = list(self._offsets.values())
        off = min(map(abs, found)) > DRIFT_S
        return len(found) >= ALIKE_MIN and off and max(found) - min(found) <= ALIKE_S
