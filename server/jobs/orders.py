"""Asks providers what became of open orders whose callback has not come, and closes those that nobody paid.

The questions come at growing delays. An answer is taken in exactly as a callback is, so that an order is credited
once however the news arrives.
"""

import asyncio
import json
import logging
from collections.abc import Mapping
from dataclasses import asdict

from sqlalchemy import Engine, RowMapping

from server.clock import Clock
from server.errors import EstateError
from server.flows import payments
from server.pay.provider import PaidEvent, Provider
from server.store import payments as kept
from server.store.engine import reader
from server.store.unit import Unit, Writing

ASK_AFTER_MS = (30_000, 120_000, 600_000, 1_500_000)
LIFETIME_MS = 30 * 60 * 1000
ORDERS_MAX = 500

log = logging.getLogger("estate645.jobs")


class OrderJob:
    """Looks at open orders every few seconds."""

    name = "orders"
    interval_s = 5.0

    def __init__(
        self, engine: Engine, writer: Writing, clock: Clock, estate_id: str, *, providers: Mapping[str, Provider]
    ) -> None:
        self._engine, self._writer, self._clock, self._estate_id = engine, writer, clock, estate_id
        self._providers = providers
        self._asked: dict[str, int] = {}

    def run_once(self) -> None:
        """Ask for every order whose next question is due."""
        with reader(self._engine) as connection:
            orders = kept.open_orders(connection, self._estate_id, limit=ORDERS_MAX)
        self._asked = {row["order_no"]: self._asked.get(row["order_no"], 0) for row in orders}
        for row in orders:
            self._look(row)

    def _look(self, row: RowMapping) -> None:
        order_no, provider = row["order_no"], self._providers.get(row["provider"])
        age_ms = self._clock.now().machine_ms - row["created_ms"]
        asked = self._asked[order_no]
        if provider is not None and asked < len(ASK_AFTER_MS) and age_ms >= ASK_AFTER_MS[asked]:
            self._asked[order_no] = asked + 1
            self._ask(provider, order_no)
        if age_ms >= LIFETIME_MS:
            self._writer.run(
                lambda unit: payments.close_order(
                    unit, self._estate_id, order_no, self._clock.now(), reason="not paid within 30 minutes"
                )
            )

    def _ask(self, provider: Provider, order_no: str) -> None:
        try:
            event = asyncio.run(provider.query(order_no))
        except EstateError as error:
            log.warning("order %s: the provider %s cannot be asked: %s", order_no, provider.name, error)
            return
        if event is not None and event.paid:
            self._writer.run(lambda unit: self._take(unit, event), urgent=True)

    def _take(self, unit: Unit, event: PaidEvent) -> None:
        body = json.dumps(asdict(event) | {"asked": True})
        result = payments.record_callback(unit, self._estate_id, event, body, now=self._clock.now())
        log.info("order %s was asked for: %s", event.order_no, result)
