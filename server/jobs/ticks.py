"""The tick of billing and supply: charge what is due, then judge who may be cut.

Two units: charging never waits for decisions. While our clock is in doubt (`clock_guard`) nobody is cut; charging of
what was read before and giving power back go on. Nothing is decided while the meters' clocks are only awaited.
"""

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial

from sqlalchemy import Engine

from server.clock import Clock, Now
from server.flows import billing, supply
from server.jobs.boundaries import AwaitedFreezes
from server.jobs.clock_guard import ClockGuard
from server.store.billing import due_meters
from server.store.engine import reader
from server.store.estates import get_estate
from server.store.ledger import newest_event_at
from server.store.unit import Unit, Writing

BATCH_S = 0.02  # of the writer's time for one batch of charges: a payment waits for the one that runs
FIRST_METERS = 200  # of the first batch of a tick, before anything is known
METERS_LEAST = 50  # of a batch, however slow the machine: each has a line of the revenue and a commit of its own

log = logging.getLogger("estate645.jobs")


def charge_all(
    engine: Engine, writer: Writing, estate_id: str, now: Callable[[], Now], awaited: AwaitedFreezes
) -> int:  # fmt: skip
    """Charge what is due in batches between which payments go first; returns how many meters were charged.

    A reader looks for them, so that the writer only writes. Those that wait for a freeze (`awaited`) are left out.
    """
    with reader(engine) as connection:
        cycle_s, now_s = get_estate(connection, estate_id)["billing_cycle_s"], now().world_s
        due = due_meters(connection, estate_id, now_s, cycle_s)
        waiting = awaited.ready(connection, estate_id, due, now_s)
    charged, pace = 0, _Pace()

    def charge(unit: Unit, names: Sequence[str]) -> int:
        with pace.of(len(names)):
            return billing.charge_due(unit, estate_id, now(), meter_ids=names).meters

    start = 0
    while names := waiting[start : start + pace.meters]:
        charged += writer.run(partial(charge, names=names))
        start += len(names)
    return charged


class _Pace:
    """How many meters a batch has: as many as the last one shows to take BATCH_S on this machine and database."""

    def __init__(self) -> None:
        self.meters = min(FIRST_METERS, billing.CHARGE_METERS_MAX)

    @contextmanager
    def of(self, meters: int) -> Iterator[None]:
        """Time a batch of so many, from within: neither the wait for its turn nor the commit are its work."""
        begun = time.monotonic()
        yield
        possible = round(meters * BATCH_S / max(time.monotonic() - begun, 1e-6))
        self.meters = min(billing.CHARGE_METERS_MAX, max(METERS_LEAST, possible))


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
        self._awaited = AwaitedFreezes()

    def run_once(self) -> None:
        """Charge everything that is due, then decide once."""
        sane = self._look_at_clock()
        charge_all(self._engine, self._writer, self._estate_id, self._clock.now, self._awaited)
        if sane or self._guard.doubt() is not None:
            self._writer.run(lambda unit: supply.decide(unit, self._estate_id, self._clock.now(), clock_sane=sane))

    def _look_at_clock(self) -> bool:
        with reader(self._engine) as connection:
            booked_at = newest_event_at(connection, self._estate_id)
        if booked_at is not None:
            self._guard.look_at_journal((booked_at - self._clock.now().world_s) // self._clock.anchor.factor)
        return self._guard.look()
