"""The newest commands of an estate to its relays, each with all that was done for it."""

from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import Connection, RowMapping, and_, select, tuple_

from server.store.household import RelayStep, RelayWish
from server.store.schema import meter, relay_attempt, relay_desired

ACTIONS = ("trip", "allow", "close")
_NEWEST = (
    select(relay_desired, meter.c.room_id)
    .join(meter, and_(meter.c.estate_id == relay_desired.c.estate_id, meter.c.meter_id == relay_desired.c.meter_id))
    .order_by(relay_desired.c.decided_at.desc())
)


class Command(NamedTuple):
    """A wish for a relay with its steps, and where the meter is; `room_id` is None of a meter without a room."""

    meter_id: str
    room_id: str | None
    wish: RelayWish


def newest_commands(connection: Connection, estate_id: str, *, limit: int) -> list[Command]:
    """The newest wishes, newest first, those that nothing was done for yet included."""
    found: list[RowMapping] = []
    for action in ACTIONS:  # each through the index of its own, for there may be years of them
        query = _NEWEST.where(relay_desired.c.estate_id == estate_id, relay_desired.c.action == action).limit(limit)
        found += connection.execute(query).mappings()
    found.sort(key=lambda row: (row["decided_at"], row["created_ms"], row["gen"]), reverse=True)
    found = found[:limit]
    steps = _steps(connection, estate_id, [(row["meter_id"], row["gen"]) for row in found])
    return [
        Command(
            row["meter_id"],
            row["room_id"],
            RelayWish(
                gen=row["gen"], state=row["state"], action=row["action"], reason=row["reason"], actor=row["actor"],
                decided_at=row["decided_at"], created_ms=row["created_ms"], evidence=row["evidence"],
                steps=tuple(steps.get((row["meter_id"], row["gen"]), ())),
            ),
        )
        for row in found
    ]  # fmt: skip


def _steps(
    connection: Connection, estate_id: str, wishes: Sequence[tuple[str, int]]
) -> dict[tuple[str, int], list[RelayStep]]:
    """The steps of these wishes in order, by meter and generation."""
    of_wish = tuple_(relay_attempt.c.meter_id, relay_attempt.c.gen)
    query = (
        select(relay_attempt)
        .where(relay_attempt.c.estate_id == estate_id, of_wish.in_(wishes))
        .order_by(relay_attempt.c.meter_id, relay_attempt.c.gen, relay_attempt.c.step_no)
    )
    found: dict[tuple[str, int], list[RelayStep]] = {}
    for row in connection.execute(query).mappings() if wishes else ():
        step = RelayStep(row["step"], row["world_at"], row["created_ms"], row["detail"])
        found.setdefault((row["meter_id"], row["gen"]), []).append(step)
    return found
