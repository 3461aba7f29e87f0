"""What follows for a household when people have booked something on its account."""

from typing import TYPE_CHECKING

from sqlalchemy import RowMapping

from core import EVENT_ALARM1, EVENT_ALARM2, EVENT_TRIP
from server.domain.billing import Crossing
from server.flows import notices, supply
from server.store.estates import get_account
from server.store.unit import Unit

if TYPE_CHECKING:
    from server.clock import Now

EVENT_OF_LEVEL = {1: EVENT_ALARM1, 2: EVENT_ALARM2, 3: EVENT_TRIP}


def on_booking(unit: Unit, estate_id: str, before: RowMapping, now: "Now") -> None:
    """A reminder or warning, once, where the balance fell through a level; the power back where it rose enough.

    `before` is the row of the electricity account as it was.
    """
    account_id = before["account_id"]
    level = get_account(unit.connection, estate_id, account_id)["level"]
    if level > before["level"]:
        notices.on_crossings(unit, estate_id, [Crossing(account_id, "", EVENT_OF_LEVEL[level])], now)
    supply.on_balances(unit, estate_id, [account_id], now)
