"""What happens in an estate by itself: households that run out of money and pay, and faults that come and go.

[events] says how often, per 1000 households and 30 days. Every household draws for itself, from its own key and the
number of the period, so that one more household changes no other. A switching is a trip and, when somebody has paid,
the permission to close; the resident does the rest. It stands for a head-end and belongs into runs without one.
"""

from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from hashlib import blake2b
from typing import TYPE_CHECKING

import numpy as np

from sim.errors import SimError
from sim.estate import Events, FaultConfig
from sim.faults.fault import BUS, GATE, HOUSEHOLD
from sim.faults.registry import KINDS
from sim.kinds import SWITCHING_KINDS
from sim.loads.habits import draw_keys, uniform
from sim.meters import Meter
from sim.timing.spans import DAY_MS, HOUR_MS

if TYPE_CHECKING:
    from sim.world import World

PERIOD_MS = 30 * DAY_MS
SWITCHING = "switching"


class Life:
    """Draws the events of each period when it begins."""

    def __init__(self, world: "World", events: Events) -> None:
        self._world = world
        self._events = events
        self.switchings = 0
        self._keys = {HOUSEHOLD: world.fleet.loads.keys}
        for where, names in ((GATE, world.gates), (BUS, world.buses)):
            self._keys[where] = draw_keys(world.seed, names)
        self._names: dict[str, Sequence[str]] = {
            HOUSEHOLD: world.fleet.households.ids,
            GATE: list(world.gates),
            BUS: list(world.buses),
        }
        if events.switchings or events.faults:
            self._begin(world.origin_ms // PERIOD_MS)

    def _begin(self, period: int) -> None:
        """Put the period's events on the agenda, and the next period."""
        self._draw(SWITCHING, HOUSEHOLD, period, self._events.switchings, self._run_dry)
        for kind, rate in self._events.faults:
            where = KINDS[kind].where[0]
            self._draw(kind, where, period, rate, partial(self._break, kind, where))
        following_ms = (period + 1) * PERIOD_MS
        self._world.call_at_ms(following_ms, lambda _at_ms: self._begin(period + 1))

    def _draw(
        self, what: str, where: str, period: int, per_mille: int, happens: Callable[[int, float, int], None]
    ) -> None:
        """Three draws a household, main meter or bus: whether, when, and how long."""
        keys = self._keys[where]
        if not per_mille or not len(keys):
            return
        number = int.from_bytes(blake2b(f"{what}\x1f{period}".encode(), digest_size=7).digest(), "little")
        period_ms = period * PERIOD_MS
        struck = np.flatnonzero(uniform(keys, number) * 1000 < per_mille)
        when_ms = period_ms + (uniform(keys[struck], number + 1) * PERIOD_MS).astype(np.int64)
        lasts = uniform(keys[struck], number + 2)
        for index, at_ms, share in zip(struck.tolist(), when_ms.tolist(), lasts.tolist(), strict=True):
            if at_ms >= self._world.origin_ms:
                self._world.call_at_ms(at_ms, partial(happens, index, share))

    def _run_dry(self, index: int, share: float, at_ms: int) -> None:
        """Out of money: tripped now, allowed to close when somebody has paid."""
        meter = Meter(self._world.fleet, index)
        if meter.kind not in SWITCHING_KINDS or meter.relay.command_open or not meter.trip(at_ms):
            return
        self.switchings += 1
        paid_ms = at_ms + _between(self._events.paid_after_h, share)
        self._world.call_at_ms(paid_ms, lambda when_ms: Meter(self._world.fleet, index).restore(when_ms))

    def _break(self, kind: str, where: str, index: int, share: float, at_ms: int) -> None:
        """A fault with its end; a kind that cannot be there (one phase, no neighbour) does not happen."""
        until_ms = at_ms + _between(self._events.fault_h, share)
        with suppress(SimError):
            self._world.faults.start(FaultConfig(kind, at_ms, until_ms, where, self._names[where][index]), at_ms)


def _between(hours: tuple[int, int], share: float) -> int:
    """Milliseconds of a share of the way between two numbers of hours."""
    least, most = hours
    return least * HOUR_MS + int(share * (most - least) * HOUR_MS)
