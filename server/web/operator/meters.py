"""The meters of one household: which of them a page shows or a form acts on, and what is said of each.

A page of one meter says nothing of this; where there are several it names the meter of everything that is of one alone.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Annotated

from fastapi import Form, Query
from sqlalchemy import Connection

from server.domain.supply import HAZARDS
from server.errors import NotFound
from server.store import wall
from server.store.isolation import Isolation, isolations
from server.store.wall import HouseholdRow
from server.web.formats import Formats
from server.web.standing import MeterStanding, energy_today, is_late, meter_state

NUMBER = r"^\d{0,12}$"
Named = Annotated[str, Query(pattern=NUMBER)]
NamedInForm = Annotated[str, Form(pattern=NUMBER)]


@dataclass(frozen=True, slots=True)
class MeterLine:
    """One meter in the list of a household's; `room_id` where it hangs in a room other than the household's own."""

    row: HouseholdRow
    standing: MeterStanding
    today_wh: int | None
    state: str
    late: bool
    room_id: str
    isolation: Isolation | None

    @property
    def relay(self) -> str:
        """As it was read back last."""
        return self.row.relay or "unknown"

    @property
    def may_close(self) -> bool:
        """Whether a hand may close its relay: it was not read as closed, and no hazard keeps it open."""
        return self.row.relay != "closed" and self.isolation is None


def meters_of_household(conn: Connection, estate_id: str, account_id: str) -> list[HouseholdRow]:
    """The household once for each of its meters; raises NotFound."""
    rows = wall.meters_of(conn, estate_id, account_id)
    if not rows:
        raise NotFound(f"no household {account_id}")
    return rows


def household_row(conn: Connection, estate_id: str, account_id: str) -> HouseholdRow:
    """The household by all its meters; raises NotFound."""
    return wall.whole(meters_of_household(conn, estate_id, account_id))


def isolation_of(conn: Connection, estate_id: str, row: HouseholdRow) -> Isolation | None:
    """What two people have decided about a meter's relay, if it is open for safety or tampering."""
    if row.desired != "open" or row.cause not in HAZARDS:
        return None
    return next(iter(isolations(conn, estate_id, row.meter_id)), None)


def lines_of(
    conn: Connection, estate_id: str, meters: Sequence[MeterStanding], f: Formats, cycle_s: int,
    rooms: Mapping[str, str | None] = MappingProxyType({}),
) -> list[MeterLine]:  # fmt: skip
    """One line a meter; `rooms` says in which room each hangs."""
    return [
        MeterLine(
            one.row,
            one,
            energy_today(one.days, f),
            meter_state(one.row, f.now_s, cycle_s),
            is_late(one.row.reading_at, f.now_s, cycle_s),
            _elsewhere(one.row, rooms),
            isolation_of(conn, estate_id, one.row),
        )
        for one in meters
    ]


def _elsewhere(row: HouseholdRow, rooms: Mapping[str, str | None]) -> str:
    room_id = rooms.get(row.meter_id) or ""
    return "" if room_id == row.room_id else room_id
