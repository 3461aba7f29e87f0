"""Charges over the midnight at which a tariff changes wait for the meter's own freeze of it, which splits them exactly.

    reading before midnight ---- midnight: version, season or tier period ends ---- reading after it, due to be charged
                                   freeze is asked for within two hours, after an outage once the past is

Without it the energy between the two readings would be shared by time, and a freeze that comes later splits nothing any
more. So such a meter is not charged meanwhile, but no longer than `PATIENCE_S`: it may have kept nothing. Nobody is cut
by what is not charged, and who asks for a charge by name (an exchange, a move) does not wait.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, time
from zoneinfo import ZoneInfo

from sqlalchemy import Connection

from core.dlt645.profiles import EDITION_1997, EDITION_2007
from server.domain.healing import is_first_of_month
from server.domain.tariff_calendar import TariffCalendar
from server.flows.billing import calendars_of
from server.store.billing import DueMeter
from server.store.estates import get_estate
from server.store.readings import accepted_at

PATIENCE_S = 3 * 3600  # freezes are read within two hours of midnight, and the past is looked at each quarter
LOOK_EVERY_S = 60


class AwaitedFreezes:
    """Which meters wait, since when, and when they are looked at again; times are world seconds."""

    def __init__(self) -> None:
        self._since: dict[str, int] = {}
        self._waiting: frozenset[str] = frozenset()
        self._looked_at = 0

    def ready(self, connection: Connection, estate_id: str, due: Sequence[DueMeter], now_s: int) -> list[str]:
        """Those of the meters that are charged now, in their order."""
        if not 0 <= now_s - self._looked_at < LOOK_EVERY_S:
            self._waiting, self._looked_at = frozenset(), now_s
        fresh = [one for one in due if one.meter_id not in self._waiting]
        if fresh and get_estate(connection, estate_id)["daily_freeze"]:
            self._waiting |= self._awaiting(connection, estate_id, fresh, now_s)
        names = [one.meter_id for one in due]
        self._since = {name: self._since[name] for name in names if name in self._since}
        return [name for name in names if name not in self._waiting]

    def _awaiting(self, connection: Connection, estate_id: str, due: Sequence[DueMeter], now_s: int) -> frozenset[str]:
        zone = ZoneInfo(get_estate(connection, estate_id)["time_zone"])
        crossed = _crossed(due, calendars_of(connection, estate_id), zone)
        if not crossed:
            return frozenset()
        known = accepted_at(connection, estate_id, [(name, at) for name, found in crossed.items() for at in found])
        waiting = {name for name, found in crossed.items() if any((name, at) not in known for at in found)}
        for name in waiting:  # who has waited since a time to come began by a clock that has been set right
            self._since[name] = min(self._since.get(name, now_s), now_s)
        return frozenset(name for name in waiting if now_s - self._since[name] < PATIENCE_S)


def _crossed(
    due: Sequence[DueMeter], calendars: Mapping[str, TariffCalendar], zone: ZoneInfo
) -> dict[str, list[int]]:  # fmt: skip
    """The midnights at which terms change within the charges of these meters, as far as their meters keep them."""
    found: dict[str, list[int]] = {}
    for one in due:
        end_s = calendars[one.tariff_id].terms_at(one.start_at).end_s
        while end_s is not None and end_s < one.end_at:
            if _is_kept(one.protocol, end_s, zone):
                found.setdefault(one.meter_id, []).append(end_s)
            end_s = calendars[one.tariff_id].terms_at(end_s).end_s
    return found


def _is_kept(protocol: str, at: int, zone: ZoneInfo) -> bool:
    """Whether a meter of this protocol may know its register of this instant."""
    if datetime.fromtimestamp(at, zone).time() != time.min:
        return False
    return protocol == EDITION_2007 or (protocol == EDITION_1997 and is_first_of_month(at, zone))
