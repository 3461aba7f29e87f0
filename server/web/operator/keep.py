"""Keep-power of a household's meter as its pages show it: what is wanted, what the meter shows, what was done."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection

from core.dlt645.identifiers import KEEP_POWER
from server.domain.keep_power import PROTOCOL
from server.store import keep_power as kept
from server.store.direct import Row
from server.store.wall import HouseholdRow

WISHES_SHOWN = 3


@dataclass(frozen=True, slots=True)
class Keep:
    """`possible`: its protocol has the command. `shown` is None where status word 3 was never read; `history` are
    wishes with their last step, newest first."""

    row: Row | None
    shown: bool | None
    shown_at: int | None
    possible: bool
    history: Sequence[tuple[Row, str]]


def keep_of(conn: Connection, estate_id: str, home: HouseholdRow) -> Keep:
    """Of a household's meter."""
    status3 = home.status3
    return Keep(
        kept.get(conn, estate_id, home.meter_id),
        None if status3 is None else bool(status3 & KEEP_POWER),
        home.status3_at,
        home.protocol == PROTOCOL,
        kept.history(conn, estate_id, home.meter_id, limit=WISHES_SHOWN),
    )
