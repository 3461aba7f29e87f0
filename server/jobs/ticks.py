"""The tick of billing and supply: charge what is due, then judge who may be cut.

Two units: charging never waits for decisions. When the machine's wall clock has jumped against its monotonic clock,
or world time ran backwards, no cut is decided any more until the process is started again; charging goes on.
"""

import logging
import time
from collections.abc import Callable

from sqlalchemy import Engine

from server.clock import Clock
from server.flows import billing, supply
from server.store.unit import Writing

CLOCK_JUMP_MAX_S = 60.0

log = logging.getLogger("estate645.jobs")


class ClockGuard:
    """Compares the wall clock with the monotonic clock; once they part, it never trusts the clock again."""

    def __init__(self, wall_s: Callable[[], float] = time.time, steady_s: Callable[[], float] = time.monotonic) -> None:
        self._wall_s, self._steady_s = wall_s, steady_s
        self._difference_s = wall_s() - steady_s()
        self.sane = True

    def look(self) -> bool:
        """Whether the clock has been steady since the start."""
        drift_s = abs(self._wall_s() - self._steady_s() - self._difference_s)
        if self.sane and drift_s > CLOCK_JUMP_MAX_S:
            self.sane = False
            log.error("the wall clock jumped by %.0f s: nobody is cut until the server is started again", drift_s)
        return self.sane


class BillingTick:
    """Runs each second, and at once after readings came in."""

    name = "billing"
    interval_s = 1.0

    def __init__(
        self, engine: Engine, writer: Writing, clock: Clock, estate_id: str, *, guard: ClockGuard | None = None
    ) -> None:
        self._engine = engine
        self._writer = writer
        self._clock = clock
        self._estate_id = estate_id
        self._guard = guard or ClockGuard()

    def run_once(self) -> None:
        """Charge everything that is due, then decide once."""
        sane = self._guard.look()
        while True:
            outcome = self._writer.run(lambda unit: billing.charge_due(unit, self._estate_id, self._clock.now()))
            if outcome.meters < billing.CHARGE_METERS_MAX:
                break
        self._writer.run(lambda unit: supply.decide(unit, self._estate_id, self._clock.now(), clock_sane=sane))
