"""The tick of billing and supply: charge what is due, then judge who may be cut.

Two units: charging never waits for decisions. Once the machine's wall clock has jumped against its monotonic clock,
or world time lies before what the journal has booked, nobody is cut until the process is started again; charging
and giving power back go on.
"""

import logging
import time
from collections.abc import Callable, Sequence
from functools import partial

from sqlalchemy import Engine

from server.clock import Clock, Now
from server.flows import billing, supply
from server.store.billing import due_meters
from server.store.engine import reader
from server.store.estates import get_estate
from server.store.ledger import newest_event_at
from server.store.unit import Unit, Writing

CLOCK_JUMP_MAX_S = 60.0

log = logging.getLogger("estate645.jobs")


def charge_all(engine: Engine, writer: Writing, estate_id: str, now: Callable[[], Now]) -> int:
    """Charge what is due in batches between which payments go first; returns how many meters were charged.

    A reader looks for them, so that the writer only writes.
    """
    with reader(engine) as connection:
        cycle_s = get_estate(connection, estate_id)["billing_cycle_s"]
        waiting = due_meters(connection, estate_id, now().world_s, cycle_s)
    size, charged = billing.CHARGE_METERS_MAX, 0

    def charge(unit: Unit, names: Sequence[str]) -> int:
        return billing.charge_due(unit, estate_id, now(), meter_ids=names).meters

    for start in range(0, len(waiting), size):
        charged += writer.run(partial(charge, names=waiting[start : start + size]))
    return charged


class ClockGuard:
    """Compares the wall clock with the monotonic clock; once they part, it never trusts the clock again."""

    def __init__(self, wall_s: Callable[[], float] = time.time, steady_s: Callable[[], float] = time.monotonic) -> None:
        self._wall_s, self._steady_s = wall_s, steady_s
        self._difference_s = wall_s() - steady_s()
        self.sane = True

    def look(self) -> bool:
        """Whether the clock has been steady since the start."""
        drift_s = self._wall_s() - self._steady_s() - self._difference_s
        if abs(drift_s) > CLOCK_JUMP_MAX_S:
            self.distrust(f"the wall clock jumped by {drift_s:.0f} s")
        return self.sane

    def distrust(self, reason: str) -> None:
        """Stop trusting the clock, for a reason that is logged once."""
        if self.sane:
            log.error("%s: nobody is cut until the server is started again", reason)
        self.sane = False


class BillingTick:
    """Runs each second, and at once after readings came in."""

    name = "billing"
    interval_s = 1.0

    def __init__(self, engine: Engine, writer: Writing, clock: Clock, estate_id: str, *, guard: ClockGuard) -> None:
        """`guard` is the one that the collector asks before it sends a cut."""
        self._engine = engine
        self._writer = writer
        self._clock = clock
        self._estate_id = estate_id
        self._guard = guard

    def run_once(self) -> None:
        """Charge everything that is due, then decide once."""
        sane = self._look_at_clock()
        charge_all(self._engine, self._writer, self._estate_id, self._clock.now)
        self._writer.run(lambda unit: supply.decide(unit, self._estate_id, self._clock.now(), clock_sane=sane))

    def _look_at_clock(self) -> bool:
        with reader(self._engine) as connection:
            booked_at = newest_event_at(connection, self._estate_id)
        behind_s = 0 if booked_at is None else booked_at - self._clock.now().world_s
        if behind_s > CLOCK_JUMP_MAX_S * self._clock.anchor.factor:
            self._guard.distrust(f"world time is {behind_s} s before the journal's newest batch")
        return self._guard.look()
