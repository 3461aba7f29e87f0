"""Asks providers what became of open orders whose callback has not come, and closes those that nobody paid.

The questions come at growing delays. An answer is taken in exactly as a callback is, so that an order is credited
once however the news arrives. An order is closed only on the provider's word that it is not paid and cannot be paid
any more, or that it is paid and the money is not this order's: over another amount it waits in suspense. While the
provider cannot be asked, it stays open for a day. Those that a provider could not tell of come after the others, the
oftener the later: the fault may be their own.
"""

import asyncio
import json
import logging
from collections.abc import Mapping
from dataclasses import asdict

from sqlalchemy import Engine, RowMapping

from server.clock import Clock
from server.domain.payments import CallbackResult, is_overdue, poll_is_due
from server.errors import EstateError
from server.flows import payments
from server.pay.provider import PaidEvent, Provider
from server.store import payments as kept
from server.store.engine import reader
from server.store.unit import Unit, Writing

ORDERS_MAX = 500
GIVE_UP_MS = 25 * 3600 * 1000  # providers repeat their callbacks for about a day
BOOKED = (CallbackResult.CREDITED, CallbackResult.SUSPENSE, CallbackResult.REPEAT)

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
        self._untold: dict[str, int] = {}  # how often the provider of an order could not tell of it

    def run_once(self) -> None:
        """Ask for every order whose next question is due; a provider that does not answer is asked once a run."""
        with reader(self._engine) as connection:
            orders = kept.open_orders(connection, self._estate_id, limit=ORDERS_MAX)
        self._asked = {row["order_no"]: self._asked.get(row["order_no"], 0) for row in orders}
        self._untold = {row["order_no"]: self._untold.get(row["order_no"], 0) for row in orders}
        unreachable: set[str] = set()
        for row in sorted(orders, key=lambda one: self._untold[one["order_no"]]):
            now_ms = self._clock.now().machine_ms
            if not poll_is_due(row["created_ms"], self._asked[row["order_no"]], now_ms):
                continue
            try:
                self._look(row, unreachable, now_ms)
            except Exception:
                log.exception("order %s could not be looked after, the others go on", row["order_no"])

    def _look(self, row: RowMapping, unreachable: set[str], now_ms: int) -> None:
        order_no, name = row["order_no"], row["provider"]
        provider = None if name in unreachable else self._providers.get(name)
        known, result = (False, None) if provider is None else self._ask(provider, order_no)
        if known:
            self._asked[order_no] += 1
        elif name not in unreachable:
            unreachable.add(name)
            self._untold[order_no] += 1
        overdue = known and is_overdue(row["created_ms"], now_ms)
        if overdue and result in BOOKED:  # an order that was credited is not open any more
            self._close(order_no, "it was paid, and the money is not booked to it: see suspense")
        elif overdue and provider is not None and self._shut(provider, order_no):
            self._close(order_no, "not paid in time")
        elif now_ms - row["created_ms"] >= GIVE_UP_MS:
            self._close(order_no, "the provider could not be asked for a day")

    def _ask(self, provider: Provider, order_no: str) -> tuple[bool, CallbackResult | None]:
        """Take in what the provider says of an order, if anything; False when it could not be asked."""
        try:
            event = asyncio.run(provider.query(order_no))
        except EstateError as error:
            log.warning("order %s: the provider %s cannot be asked: %s", order_no, provider.name, error)
            return False, None
        if event is None:
            return True, None
        return True, self._writer.run(lambda unit: self._take(unit, event), urgent=True)

    def _shut(self, provider: Provider, order_no: str) -> bool:
        """Close the order at the provider first; False when it was paid meanwhile or that is not known."""
        try:
            return asyncio.run(provider.close(order_no))
        except EstateError as error:
            log.warning("order %s: the provider %s has not closed it: %s", order_no, provider.name, error)
            return False

    def _take(self, unit: Unit, event: PaidEvent) -> CallbackResult:
        body = json.dumps(asdict(event) | {"asked": True})
        result = payments.record_callback(unit, self._estate_id, event, body, now=self._clock.now())
        log.info("order %s was asked for: %s", event.order_no, result)
        return result

    def _close(self, order_no: str, reason: str) -> None:
        """Close it unless it was paid meanwhile, which the flow looks at."""
        self._writer.run(
            lambda unit: payments.close_order(unit, self._estate_id, order_no, self._clock.now(), reason=reason)
        )
