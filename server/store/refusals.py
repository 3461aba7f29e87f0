"""How often each meter has refused a password: rows that a new process goes on from."""

from typing import Any

from sqlalchemy import Connection, select

from server.store.estates import upsert
from server.store.schema import password_refusal

KEY = ("estate_id", "meter_id")


def all_of(connection: Connection, estate_id: str) -> list[Any]:
    """(meter, SHA-256 of what is stored, times of it, times of the day, world time of the last) of each meter."""
    columns = [password_refusal.c[name] for name in ("meter_id", "stored_sha256", "times", "day_times", "refused_at")]
    return list(connection.execute(select(*columns).where(password_refusal.c.estate_id == estate_id)))


def keep(
    connection: Connection, estate_id: str, meter_id: str, stored_sha256: str, times: int, day_times: int, at: int
) -> None:
    """Keep the count of a meter; `at` is world time."""
    values: dict[str, object] = {"stored_sha256": stored_sha256, "times": times, "day_times": day_times}
    upsert(
        connection, password_refusal, KEY, {"estate_id": estate_id, "meter_id": meter_id, "refused_at": at, **values}
    )


def forget(connection: Connection, estate_id: str, meter_id: str) -> None:
    """The meter took it."""
    where = (password_refusal.c.estate_id == estate_id, password_refusal.c.meter_id == meter_id)
    connection.execute(password_refusal.delete().where(*where))
