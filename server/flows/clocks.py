"""Leave to tell the meters of a bus the time: once a local day, and never while our own clock is in doubt."""

from datetime import datetime
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from server.store import audit
from server.store.estates import get_estate
from server.store.unit import Unit

if TYPE_CHECKING:
    from server.clock import Now

VERB = "clock.broadcast"


def claim_broadcast(unit: Unit, estate_id: str, bus_id: str, now: "Now", *, clock_sane: bool) -> bool:
    """Whether this bus may be told the time today; a yes is kept in the audit, and there is one a day."""
    if not clock_sane:
        return False
    zone = ZoneInfo(get_estate(unit.connection, estate_id)["time_zone"])
    midnight = datetime.fromtimestamp(now.world_s, zone).replace(hour=0, minute=0, second=0, microsecond=0)
    if audit.seen_since(unit.connection, estate_id, VERB, bus_id, int(midnight.timestamp())):
        return False
    audit.record(unit.connection, estate_id, "system", VERB, bus_id, now)
    return True
