"""What happens in an estate by itself: households that run out of money and pay, and faults that come and go.

[events] says how often, per 1000 households and 30 days. Every household draws for itself, from its own key and the
number of the period, so that one more household changes no other. A switching is a trip and, when somebody has paid,
the permission to close; the resident does the rest. It stands for a head-end and belongs into runs without one.
"""

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from sim.dwelling import Household
from sim.estate import Events, FaultConfig, FaultKind
from sim.habits import uniform
from sim.load import DAY_MS
from sim.meters import Meter

if TYPE_CHECKING:
    from sim.world import World

PERIOD_MS = 30 * DAY_MS
HOUR_MS = 3_600_000
DRAWS_PER_PERIOD = 32
FIRST_DRAW = 1000


class Life:
    """Draws the events of each period when it begins."""

    def __init__(self, world: "World", events: Events) -> None:
        self._world = world
        self._events = events
        self.switchings = 0
        if events.switchings or any(rate for _, rate in events.faults):
            self._begin(world.origin_ms // PERIOD_MS)

    def _begin(self, period: int) -> None:
        """Put the period's events on the agenda, and the next period."""
        draw = FIRST_DRAW + period * DRAWS_PER_PERIOD
        self._draw(draw, self._events.switchings, self._run_dry)
        for number, (kind, rate) in enumerate(self._events.faults, start=1):
            self._draw(draw + 3 * number, rate, partial(self._break, kind))
        following_ms = (period + 1) * PERIOD_MS
        self._world.call_at_ms(following_ms, lambda _at_ms: self._begin(period + 1))

    def _draw(self, number: int, per_mille: int, happens: Callable[[int, float, int], None]) -> None:
        """Three draws a household: whether, when, and how long."""
        if not per_mille:
            return
        keys = self._world.fleet.loads.keys
        period_ms = (number - FIRST_DRAW) // DRAWS_PER_PERIOD * PERIOD_MS
        struck = np.flatnonzero(uniform(keys, number) * 1000 < per_mille)
        when_ms = period_ms + (uniform(keys[struck], number + 1) * PERIOD_MS).astype(np.int64)
        lasts = uniform(keys[struck], number + 2)
        for index, at_ms, share in zip(struck.tolist(), when_ms.tolist(), lasts.tolist(), strict=True):
            if at_ms >= self._world.origin_ms:
                self._world.call_at_ms(at_ms, partial(happens, index, share))

    def _run_dry(self, index: int, share: float, at_ms: int) -> None:
        """Out of money: tripped now, allowed to close when somebody has paid."""
        meter = Meter(self._world.fleet, index)
        if meter.relay.command_open or not meter.trip(at_ms):
            return
        self.switchings += 1
        paid_ms = at_ms + _between(self._events.paid_after_h, share)
        self._world.call_at_ms(paid_ms, lambda when_ms: Meter(self._world.fleet, index).allow_close(when_ms))

    def _break(self, kind: FaultKind, index: int, share: float, at_ms: int) -> None:
        """A fault with its end."""
        until_ms = at_ms + _between(self._events.fault_h, share)
        household = Household(self._world.fleet, index)
        self._world.faults.start(household, FaultConfig(kind, at_ms, until_ms), at_ms)


def _between(hours: tuple[int, int], share: float) -> int:
    """Milliseconds of a share of the way between two numbers of hours."""
    least, most = hours
    return least * HOUR_MS + int(share * (most - least) * HOUR_MS)
