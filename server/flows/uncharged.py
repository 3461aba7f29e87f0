"""Meters whose energy waits: they are read, but what was read does not tell what to charge, so nothing is charged.

Nobody loses anything by it: the cursor stays where it is, and goes on by itself from the first reading that fits.
"""

from typing import NamedTuple

from sqlalchemy import Connection

from server.domain.billing import why_held
from server.flows.billing import CHARGE_METERS_MAX, calendars_of, freezes
from server.store.billing import load_due
from server.store.estates import get_estate


class Uncharged(NamedTuple):
    """A meter that waits: charged up to `since` (world seconds); `reason` and `at` as in `domain.billing.why_held`."""

    meter_id: str
    account_id: str
    since: int
    reason: str
    at: int


def uncharged(connection: Connection, estate_id: str, world_s: int) -> list[Uncharged]:
    """The meters that are due and held, the longest waiting first; at most those that one batch would look at."""
    cycle_s = get_estate(connection, estate_id)["billing_cycle_s"]
    calendars = calendars_of(connection, estate_id)
    due = [row.due() for row in load_due(connection, estate_id, world_s, cycle_s, CHARGE_METERS_MAX).rows()]
    freeze_at = freezes(connection, estate_id, due, calendars)
    found = []
    for one in due:
        why = why_held(one, calendars[one.tariff_id], freeze_at)
        if why is not None:
            found.append(Uncharged(one.meter_id, one.account_id, one.start.at, *why))
    return found
