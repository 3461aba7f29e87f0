"""Reads and writes of meter passwords as they are stored, locked."""

from collections.abc import Mapping

from sqlalchemy import Connection, select

from server.store.bulk import update_rows
from server.store.schema import meter


def stored_passwords(connection: Connection, estate_id: str) -> dict[str, str]:
    """What is stored for each meter of an estate."""
    query = select(meter.c.meter_id, meter.c.password).where(meter.c.estate_id == estate_id).order_by(meter.c.meter_id)
    return {row[0]: row[1] for row in connection.execute(query)}


def replace_passwords(connection: Connection, estate_id: str, stored: Mapping[str, str]) -> int:
    """Store these instead; how many rows that was."""
    rows = [(text, estate_id, meter_id) for meter_id, text in stored.items()]
    return update_rows(connection, meter, ("password",), ("estate_id", "meter_id"), rows)
