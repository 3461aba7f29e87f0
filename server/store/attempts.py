"""The steps of carrying out a wish for a relay: appended as they happen, never changed."""

from sqlalchemy import Connection, func, select

from server.store.schema import relay_attempt, relay_desired


def newest_step(connection: Connection, estate_id: str, meter_id: str, gen: int) -> str | None:
    """The last step that was kept of a generation; None where none was."""
    query = select(relay_attempt.c.step).where(
        relay_attempt.c.estate_id == estate_id, relay_attempt.c.meter_id == meter_id, relay_attempt.c.gen == gen
    )
    return connection.execute(query.order_by(relay_attempt.c.step_no.desc()).limit(1)).scalar()


def cut_before(connection: Connection, estate_id: str, meter_id: str, gen: int) -> tuple[int, int] | None:
    """Generation and world time of the newest decision to cut this meter before `gen`; None: there was none."""
    query = select(relay_desired.c.gen, relay_desired.c.decided_at).where(
        relay_desired.c.estate_id == estate_id,
        relay_desired.c.meter_id == meter_id,
        relay_desired.c.gen < gen,
        relay_desired.c.action == "trip",
    )
    row = connection.execute(query.order_by(relay_desired.c.gen.desc()).limit(1)).first()
    return None if row is None else (row[0], row[1])


def add_attempt(
    connection: Connection,
    estate_id: str,
    meter_id: str,
    gen: int,
    step: str,
    world_at: int,
    created_ms: int,
    detail: str,
) -> None:
    """Append one step of carrying out a generation."""
    last = connection.execute(
        select(func.max(relay_attempt.c.step_no)).where(
            relay_attempt.c.estate_id == estate_id,
            relay_attempt.c.meter_id == meter_id,
            relay_attempt.c.gen == gen,
        )
    ).scalar()
    connection.execute(
        relay_attempt.insert().values(
            estate_id=estate_id,
            meter_id=meter_id,
            gen=gen,
            step_no=(last or 0) + 1,
            step=step,
            world_at=world_at,
            created_ms=created_ms,
            detail=detail[:500],
        )
    )
