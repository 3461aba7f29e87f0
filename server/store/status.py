"""The newest status word 3 of each meter, and its clock's offset when that was read with it."""

from collections.abc import Sequence

from sqlalchemy import Connection

from server.domain.readings import StatusRead
from server.store.bulk import update_rows
from server.store.schema import meter_live

KEY = ("estate_id", "meter_id")


def save_status(connection: Connection, estate_id: str, rows: Sequence[StatusRead]) -> None:
    """Keep these status words; each meter at most once."""
    words = [(item.status3, item.at, item.ms, estate_id, item.meter_id) for item in rows]
    update_rows(connection, meter_live, ("status3", "status3_at", "status3_ms"), KEY, words)
    offsets = [(item.clock_offset_s, estate_id, item.meter_id) for item in rows if item.clock_offset_s is not None]
    update_rows(connection, meter_live, ("clock_offset_s",), KEY, offsets)
