"""Households without power for a hazard: who is, why, and whether a relay may have been opened for it already."""

import json
from dataclasses import dataclass

from sqlalchemy import Connection, RowMapping, and_, select

from server.domain.supply import HAZARDS, LATE_S
from server.store.schema import meter, relay_desired, supply
from server.store.supply import trip_sent_at


@dataclass(frozen=True, slots=True)
class Isolation:
    """What two people have decided about one household; `relay` and `command` say how far it has come."""

    meter_id: str
    account_id: str | None
    room_id: str | None
    gen: int
    cause: str
    reason: str
    asked_by: str
    agreed_by: str
    case_id: str
    decided_at: int
    relay: str
    command: str


def is_isolated(known: RowMapping) -> bool:
    """Whether a relay's row wants it open for a hazard."""
    return known["desired"] == "open" and known["cause"] in HAZARDS


def may_be_open(connection: Connection, estate_id: str, known: RowMapping, late_at: int | None = None) -> bool:
    """Whether an isolated relay may be open: so it was read, or a frame of this wish had leave to go out.

    With `late_at` (world time, of a sane clock) a frame that can no longer come does not count.
    """
    if known["relay"] in ("open", "unknown"):
        return True
    sent_at = trip_sent_at(connection, estate_id, known["meter_id"], known["gen"])
    return sent_at is not None and (late_at is None or late_at <= sent_at + LATE_S)


def isolations(connection: Connection, estate_id: str, meter_id: str | None = None) -> list[Isolation]:
    """All of an estate, or that of one meter, the newest first."""
    query = (
        select(
            meter.c.meter_id, meter.c.account_id, meter.c.room_id, supply.c.gen, supply.c.cause, supply.c.relay,
            supply.c.command, relay_desired.c.decided_at, relay_desired.c.evidence,
        )
        .join(supply, and_(supply.c.estate_id == meter.c.estate_id, supply.c.meter_id == meter.c.meter_id))
        .join(
            relay_desired,
            and_(
                relay_desired.c.estate_id == supply.c.estate_id,
                relay_desired.c.meter_id == supply.c.meter_id,
                relay_desired.c.gen == supply.c.gen,
            ),
        )
        .where(
            meter.c.estate_id == estate_id,
            supply.c.desired == "open",
            supply.c.cause.in_(HAZARDS),
            *(() if meter_id is None else (meter.c.meter_id == meter_id,)),
        )
        .order_by(relay_desired.c.decided_at.desc(), meter.c.meter_id)
    )  # fmt: skip
    return [_isolation(row) for row in connection.execute(query).mappings()]


def _isolation(row: RowMapping) -> Isolation:
    order = json.loads(row["evidence"]).get("order", {})
    told = {name: row[name] for name in Isolation.__slots__ if name in row}
    return Isolation(**told, **{name: order.get(name, "") for name in Isolation.__slots__ if name not in row})
