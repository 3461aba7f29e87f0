"""Stopping a bulk cut by hand: no household of its list is cut any more, not by a frame that is still wanted either."""

from typing import TYPE_CHECKING

from server.domain.supply import ARREARS
from server.flows import bulk_cut
from server.flows.supply import want_closed
from server.store.estates import get_estate
from server.store.supply import unfinished_orders
from server.store.unit import Unit

if TYPE_CHECKING:
    from server.clock import Now


def stop(unit: Unit, estate_id: str, bulk_id: str, *, reason: str, actor: str, now: "Now") -> None:
    """One person stops it at once; whose cut was not read back keeps the power, or gets it back."""
    listed = set(bulk_cut.stop(unit, estate_id, bulk_id, reason=reason, actor=actor, now=now))
    site = get_estate(unit.connection, estate_id)
    for order in unfinished_orders(unit.connection, estate_id):
        if order["meter_id"] in listed and (order["action"], order["reason"]) == ("trip", ARREARS):
            want_closed(unit, estate_id, site, order["meter_id"], order["bus_id"], "bulk_stopped", actor, now)
