"""Keep-power of a household's meter as its pages show it: what is wanted, what the meter shows, what was done."""

from dataclasses import dataclass

from sqlalchemy import Connection, RowMapping

from core.dlt645.identifiers import KEEP_POWER
from server.store import keep_power as kept

WISHES_SHOWN = 3


@dataclass(frozen=True, slots=True)
class Keep:
    """`shown` is None where status word 3 was never read; `history` are wishes with their last step, newest first."""

    row: RowMapping | None
    shown: bool | None
    shown_at: int | None
    history: list[tuple[RowMapping, str]]


def keep_of(conn: Connection, estate_id: str, meter_id: str, status3: int | None, status3_at: int | None) -> Keep:
    """Of a meter whose status word 3 was last read as `status3`."""
    return Keep(
        kept.get(conn, estate_id, meter_id),
        None if status3 is None else bool(status3 & KEEP_POWER),
        status3_at,
        kept.history(conn, estate_id, meter_id, limit=WISHES_SHOWN),
    )
