"""Fetches the providers' bill files of the days before, from ten in the morning on, and compares them with the books.

A file that is not there yet is asked for again an hour later, up to a week back; the newest week is compared anew each
hour, since what was late may explain a difference.
"""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from functools import partial

from sqlalchemy import Engine

from server.clock import Clock
from server.domain.reconciliation import BillRow, due_days
from server.errors import EstateError
from server.flows import reconciliation as flows
from server.pay.provider import Provider
from server.store import reconciliation as kept
from server.store.engine import reader
from server.store.unit import Unit, Writing

log = logging.getLogger("estate645.jobs")
SYSTEM = "system"
DAYS_AGAIN = 7


class ReconciliationJob:
    """Looks every hour."""

    name = "reconciliation"
    interval_s = 3600.0

    def __init__(
        self, engine: Engine, writer: Writing, clock: Clock, estate_id: str, *, providers: Mapping[str, Provider]
    ) -> None:
        self._engine, self._writer, self._clock, self._estate_id = engine, writer, clock, estate_id
        self._providers = providers

    def run_once(self) -> None:
        """Every provider and every day by itself: a file that cannot be had, or read, holds up no other."""
        for provider in self._providers.values():
            for day in self._due(provider):
                try:
                    self._fetch(provider, day)
                except EstateError as error:
                    log.warning("the bill file of %s of %s cannot be had: %s", provider.name, day, error)

    def _due(self, provider: Provider) -> list[str]:
        """The days whose files are missing, after those of the newest week were compared anew."""
        now = self._clock.now()
        with reader(self._engine) as connection:
            have = kept.loaded_days(connection, self._estate_id, provider.name)
            begun = kept.first_booked_ms(connection, self._estate_id, provider.name)
        for day in sorted(have)[-DAYS_AGAIN:]:
            self._writer.run(partial(self._judge, provider.name, day))
        return due_days(now.machine_ms, have, begun)

    def _fetch(self, provider: Provider, day: str) -> None:
        content = asyncio.run(provider.bill(day))
        rows = provider.read_bill(content)
        loaded = self._writer.run(partial(self._load, provider.name, day, content, rows))
        log.info("bill file of %s, %s: %d rows, %d differences", provider.name, day, loaded.rows, loaded.differences)

    def _judge(self, provider: str, day: str, unit: Unit) -> int:
        return flows.judge(unit, self._estate_id, provider, day, self._clock.now())

    def _load(self, provider: str, day: str, content: bytes, rows: Sequence[BillRow], unit: Unit) -> flows.Loaded:
        now = self._clock.now()
        return flows.load(
            unit, self._estate_id, provider, day, content, rows, source=flows.FETCHED, actor=SYSTEM, now=now
        )
