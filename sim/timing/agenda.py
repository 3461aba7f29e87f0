"""What the world has to do and when, in world time, so that a change of speed moves all of it.

The environment knows only the next item: one event for the earliest, armed again when that changes. Items of one
instant keep the order in which they were noted. While the world stands still nothing is armed; a step carries out
what falls into it.
"""

import heapq
import math
from collections.abc import Callable, Iterator

from sim.timing.anchor import WorldClock
from sim.timing.clock import Environment

Item = Callable[[int], None]
BURST_ITEMS = 64
"""Items carried out before the wire is looked at again."""


class Agenda:
    """Calls at world epoch milliseconds."""

    def __init__(self, env: Environment, clock: WorldClock) -> None:
        self._env = env
        self._clock = clock
        self._heap: list[tuple[int, int, Item]] = []
        self._noted = 0
        self._armed_ms: int | None = None
        self._arming = 0
        self.done = 0

    def __len__(self) -> int:
        return len(self._heap)

    def call_at(self, world_ms: int, item: Item) -> None:
        """Call `item(world_ms)` when the world shows that time, or at once if it has."""
        self._noted += 1
        heapq.heappush(self._heap, (world_ms, self._noted, item))
        if self._armed_ms is None or world_ms < self._armed_ms:
            self._arm()

    def rearm(self) -> None:
        """The clock runs otherwise than before: wait for the next item anew."""
        self._arm()

    def run_until(self, world_ms: int) -> None:
        """Carry out everything up to a time, the clock showing each item's own, and end there."""
        for _ in self.leap(world_ms):
            pass

    def leap(self, world_ms: int) -> Iterator[None]:
        """The same in slices, between which the wire may be served and the clock goes on."""
        while True:
            for _ in range(BURST_ITEMS):
                if not self._heap or self._heap[0][0] > world_ms:
                    self._move_to(world_ms)
                    self._arm()
                    return
                self._move_to(self._heap[0][0])
                self._do_next()
            self._arm()
            yield

    def _move_to(self, world_ms: int) -> None:
        """Let the clock show a time, unless it has passed it."""
        now_s = self._env.time_s
        self._clock.move_to(now_s, max(world_ms, self._clock.world_ms(now_s)))

    def _arm(self) -> None:
        self._arming += 1
        self._armed_ms = None
        if not self._heap:
            return
        due_s = self._clock.now_s(self._heap[0][0])
        if due_s < math.inf:
            self._armed_ms = self._heap[0][0]
            arming = self._arming
            self._env.call_at(due_s, lambda: self._due(arming))

    def _due(self, arming: int) -> None:
        """The armed item is due, unless another arming has replaced this one."""
        if arming != self._arming or self._armed_ms is None:
            return
        until_ms = max(self._armed_ms, self._clock.world_ms(self._env.now))
        for _ in range(BURST_ITEMS):
            if not self._heap or self._heap[0][0] > until_ms:
                break
            self._do_next()
        self._arm()

    def _do_next(self) -> None:
        world_ms, _, item = heapq.heappop(self._heap)
        self.done += 1
        item(world_ms)
