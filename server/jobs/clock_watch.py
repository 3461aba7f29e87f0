"""Lets the meters be asked for the time when ours is in doubt, tells people of it, and mends what came of it."""

import logging
from collections.abc import Callable
from functools import partial

from sqlalchemy import Engine

from server.clock import Clock
from server.domain.anomalies import CLOCK_MAX_S
from server.domain.clock_doubt import ClockDoubt
from server.errors import EstateError
from server.flows import clock_doubt
from server.jobs.clock_guard import ClockGuard
from server.store.engine import reader
from server.store.readings import stamped_after
from server.store.unit import Writing

AT_ONCE = 200  # readings in one run, each a unit of its own: payments go between them

log = logging.getLogger("estate645.jobs")


class ClockWatch:
    """Looks every second of machine time, which costs nothing while there is no doubt."""

    name = "clock"
    interval_s = 1.0

    def __init__(
        self, engine: Engine, writer: Writing, clock: Clock, estate_id: str, *, guard: ClockGuard,
        ask_clocks: Callable[[], None],
    ) -> None:  # fmt: skip
        """`ask_clocks` lets the collector ask meters for the time."""
        self._engine, self._writer, self._clock, self._estate_id = engine, writer, clock, estate_id
        self._guard, self._ask_clocks = guard, ask_clocks
        self._told: tuple[str, int] | None = None
        self._was_vouched_for = False
        self._stuck: set[tuple[str, int]] = set()

    def run_once(self) -> None:
        """Ask, mend, tell."""
        if self._guard.wants_clocks():
            self._ask_clocks()
        vouched = self._guard.is_vouched_for
        if vouched and not self._was_vouched_for:
            vouched = self._mended()
        self._was_vouched_for = vouched
        self._tell(self._guard.doubt())

    def _mended(self) -> bool:
        """Take back readings, and answers, whose time is still to come; whether all that can be are."""
        until_s = self._clock.now().world_s + CLOCK_MAX_S
        with reader(self._engine) as connection:
            found = stamped_after(connection, self._estate_id, until_s, AT_ONCE + len(self._stuck))
        for meter_id, read_at in found:
            if (meter_id, read_at) not in self._stuck:
                self._take_back(meter_id, read_at)
        done = len(found) < AT_ONCE + len(self._stuck)
        if done:
            now = self._clock.now()
            self._writer.run(
                lambda unit: clock_doubt.believe_no_contact_ahead(unit, self._estate_id, until_s, now)
            )  # fmt: skip
        return done

    def _take_back(self, meter_id: str, read_at: int) -> None:
        try:
            self._writer.run(
                lambda unit: clock_doubt.take_back_ahead(unit, self._estate_id, meter_id, read_at, self._clock.now())
            )
        except EstateError as error:
            log.error("the reading of meter %s at %d is ahead of time and stays: %s", meter_id, read_at, error)
            self._stuck.add((meter_id, read_at))

    def _tell(self, doubt: ClockDoubt | None) -> None:
        """Only what has changed, and at the start."""
        if doubt is None and self._stuck:
            doubt = ClockDoubt("ahead", meters=len({meter_id for meter_id, _ in self._stuck}))
        news = ("", 0) if doubt is None else (doubt.reason, doubt.meters)
        if news != self._told:
            self._writer.run(partial(clock_doubt.tell, estate_id=self._estate_id, doubt=doubt, now=self._clock.now()))
            self._told = news
