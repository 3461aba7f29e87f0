"""Reads and writes of tariffs, kept as the canonical JSON of `core.tariff.tariff_to_dict`."""

import json

from sqlalchemy import Connection, select

from core.tariff import Tariff, tariff_from_dict, tariff_to_dict
from server.errors import NotFound
from server.store.estates import upsert
from server.store.schema import tariff


def load_tariffs(connection: Connection, estate_id: str) -> dict[str, Tariff]:
    """All tariffs of an estate by id."""
    query = select(tariff.c.tariff_id, tariff.c.definition).where(tariff.c.estate_id == estate_id)
    return {tariff_id: tariff_from_dict(json.loads(text)) for tariff_id, text in connection.execute(query)}


def get_tariff(connection: Connection, estate_id: str, tariff_id: str) -> Tariff:
    """One tariff; NotFound if there is none in this estate."""
    query = select(tariff.c.definition).where(tariff.c.estate_id == estate_id, tariff.c.tariff_id == tariff_id)
    text = connection.execute(query).scalar_one_or_none()
    if text is None:
        raise NotFound(f"there is no tariff {tariff_id!r} in this estate")
    return tariff_from_dict(json.loads(text))


def save_tariff(connection: Connection, estate_id: str, value: Tariff, now_ms: int) -> None:
    """Insert or replace one tariff; its first `created_ms` stays."""
    definition = json.dumps(tariff_to_dict(value), ensure_ascii=False, sort_keys=True)
    row: dict[str, object] = {
        "estate_id": estate_id,
        "tariff_id": value.tariff_id,
        "name": value.name,
        "definition": definition,
    }
    query = select(tariff.c.created_ms).where(tariff.c.estate_id == estate_id, tariff.c.tariff_id == value.tariff_id)
    created_ms = connection.execute(query).scalar_one_or_none()
    upsert(connection, tariff, ("estate_id", "tariff_id"), {**row, "created_ms": created_ms or now_ms})
