"""Reads of the figures that the anomaly rules judge; only accepted registers, found by index.

Each read takes `since`: for (kind, subject) the world time of the last closing, before which nothing is evidence.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, and_, case, func, or_, select

from core.units import WH_PER_STEP
from server.domain.anomalies import (
    BACKWARDS,
    GATE_LOSS,
    OPEN_RELAY,
    Contact,
    Disobedience,
    GateBalance,
    HeldReading,
    OpenRelay,
    Register,
    step_wh,
)
from server.store.partial import IS_HELD, UNFINISHED
from server.store.readings import ACCEPTED
from server.store.schema import meter, meter_live, reading, relay_attempt, relay_desired, supply

HELD_LOOKBACK_S = 6 * 3600  # detection runs far more often, in any scaled world too
REGISTERS_MAX = 500
GATE_SPAN_S = 24 * 3600
GATE_SPAN_MIN_S = 3600
CONTACTS_OPEN = ("open", "permitted")
BRACKET_CYCLES = 4  # a meter must have been read so close before and after the gate

Since = Mapping[tuple[str, str], int]
ROOM = case((meter.c.kind == "household", meter.c.room_id), else_=None)  # of a gate it is only a name


def _same(left: Any, right: Any) -> Any:
    return and_(left.c.estate_id == right.c.estate_id, left.c.meter_id == right.c.meter_id)


def open_relays(connection: Connection, estate_id: str, since: Since) -> list[OpenRelay]:
    """Meters whose contacts were read back open at least twice, with their registers between first and last time.

    Contacts that permit to be closed by hand are open too, until the button is pressed.
    """
    query = (
        select(supply.c.meter_id, ROOM, supply.c.opened_at, supply.c.relay_at)
        .join(meter, _same(meter, supply))
        .where(
            supply.c.estate_id == estate_id, supply.c.relay.in_(CONTACTS_OPEN), supply.c.opened_at < supply.c.relay_at
        )
    )
    found = []
    for meter_id, room_id, opened_at, relay_at in connection.execute(query).all():
        from_s = max(opened_at, since.get((OPEN_RELAY, meter_id), opened_at))
        registers = _registers(connection, estate_id, meter_id, from_s, relay_at)
        found.append(OpenRelay(meter_id, room_id, opened_at, tuple(registers)))
    return found


def _registers(connection: Connection, estate_id: str, meter_id: str, from_s: int, to_s: int) -> list[Register]:
    """Accepted registers of a meter, oldest first, no more than a page of evidence needs; both ends are exact."""
    where = (
        reading.c.estate_id == estate_id,
        reading.c.meter_id == meter_id,
        reading.c.read_at.between(from_s, to_s),
        reading.c.verdict.in_(ACCEPTED),
    )
    columns = select(reading.c.read_at, reading.c.total_wh).where(*where)
    first = connection.execute(columns.order_by(reading.c.read_at).limit(1)).first()
    newest = connection.execute(columns.order_by(reading.c.read_at.desc()).limit(REGISTERS_MAX)).all()
    return [Register(*row) for row in sorted({*newest, *([first] if first else [])})]


def disobediences(connection: Connection, estate_id: str) -> list[Disobedience]:
    """Relays whose newest wish is not confirmed, with all read-backs that did not confirm it.

    A cut that expired and was decided anew is one wish here: all since the relay was last open.
    """
    steps, wish = relay_attempt.c, relay_desired.c
    again = and_(
        supply.c.desired == "open", wish.action == "trip", wish.decided_at > func.coalesce(supply.c.opened_at, 0)
    )
    query = (
        select(
            supply.c.meter_id, ROOM, supply.c.desired, supply.c.gen, func.count(), func.min(steps.world_at),
            func.max(steps.world_at),
        )
        .join(meter, _same(meter, supply))
        .join(relay_desired, _same(relay_desired, supply))
        .join(relay_attempt, and_(_same(relay_attempt, supply), steps.gen == wish.gen))
        .where(
            supply.c.estate_id == estate_id,
            supply.c.command.in_(UNFINISHED),
            steps.step == "read_back",
            or_(wish.gen == supply.c.gen, again),
        )
        .group_by(supply.c.meter_id, meter.c.kind, meter.c.room_id, supply.c.desired, supply.c.gen)
    )  # fmt: skip
    return [Disobedience(*row) for row in connection.execute(query)]


def held_backwards(connection: Connection, estate_id: str, since: Since, now_s: int) -> list[HeldReading]:
    """The newest reading of each meter that was held as backwards, with the accepted register before it."""
    query = (
        select(
            reading.c.meter_id, reading.c.read_at, reading.c.total_wh, reading.c.reason, ROOM.label("room_id"),
            meter.c.installed_at, meter.c.start_wh,
        )
        .join(meter, _same(meter, reading))
        .where(
            reading.c.estate_id == estate_id,
            reading.c.read_at > now_s - HELD_LOOKBACK_S,
            IS_HELD,
            reading.c.verdict == "backwards",
        )
        .order_by(reading.c.read_at)
    )  # fmt: skip
    newest = {row.meter_id: row for row in connection.execute(query)}
    found = []
    for meter_id, row in newest.items():
        if row.read_at <= since.get((BACKWARDS, meter_id), row.read_at - 1):
            continue
        before = _before(connection, estate_id, meter_id, row.read_at) or Register(row.installed_at, row.start_wh)
        found.append(HeldReading(meter_id, row.room_id, before, Register(row.read_at, row.total_wh), row.reason))
    return found


def _before(connection: Connection, estate_id: str, meter_id: str, at: int) -> Register | None:
    query = (
        select(reading.c.read_at, reading.c.total_wh)
        .where(
            reading.c.estate_id == estate_id,
            reading.c.meter_id == meter_id,
            reading.c.read_at <= at,
            reading.c.verdict.in_(ACCEPTED),
        )
        .order_by(reading.c.read_at.desc())
        .limit(1)
    )
    row = connection.execute(query).first()
    return None if row is None else Register(*row)


def contacts(connection: Connection, estate_id: str, failures_min: int) -> list[Contact]:
    """Meters with at least so many unanswered items; one that never answered counts from its installation."""
    query = (
        select(
            meter.c.meter_id,
            ROOM,
            func.coalesce(meter_live.c.contact_at, meter.c.installed_at),
            meter_live.c.failures,
        )
        .join(meter_live, _same(meter_live, meter))
        .where(meter.c.estate_id == estate_id, meter_live.c.failures >= failures_min)
    )
    return [Contact(*row) for row in connection.execute(query)]


@dataclass(frozen=True, slots=True)
class _Metered:
    """A gate or one of its meters."""

    meter_id: str
    gate_id: str | None
    kind: str
    ratio: int
    install_no: int
    installed_at: int
    start_wh: int
    reading_at: int | None


def gate_balances(connection: Connection, estate_id: str, since: Since, now_s: int, cycle_s: int) -> list[GateBalance]:
    """Each gate that can be judged over the last day: every meter below it was read close before and after."""
    columns = (
        meter.c.meter_id, meter.c.gate_id, meter.c.kind, meter.c.ratio, meter.c.install_no,
        meter.c.installed_at, meter.c.start_wh, meter_live.c.reading_at,
    )  # fmt: skip
    query = (
        select(*columns)
        .join(meter_live, _same(meter_live, meter))
        .where(meter.c.estate_id == estate_id, or_(meter.c.kind == "gate", meter.c.gate_id.is_not(None)))
    )
    metered = [_Metered(*row) for row in connection.execute(query)]
    balances = []
    for gate in (one for one in metered if one.kind == "gate"):
        below = [one for one in metered if one.gate_id == gate.meter_id]
        from_s = max(now_s - GATE_SPAN_S, since.get((GATE_LOSS, gate.meter_id), 0))
        balance = _balance(connection, estate_id, gate, below, from_s, BRACKET_CYCLES * cycle_s) if below else None
        if balance is not None:
            balances.append(balance)
    return balances


def _balance(
    connection: Connection, estate_id: str, gate: _Metered, below: Sequence[_Metered], from_s: int, bracket_s: int
) -> GateBalance | None:
    known = [one.reading_at for one in (gate, *below)]
    read = [at for at in known if at is not None]
    if len(read) < len(known):
        return None
    own = _registers(connection, estate_id, gate.meter_id, max(from_s, gate.installed_at), min(read))
    if len(own) < 2 or own[-1].at - own[0].at < GATE_SPAN_MIN_S:
        return None
    first, last = own[0], own[-1]
    names = [one.meter_id for one in below]
    early = _around(connection, estate_id, names, first.at - bracket_s, first.at)
    late = _around(connection, estate_id, names, last.at, last.at + bracket_s)
    steps: list[tuple[str, int]] = []
    for one in below:
        before, after = max(early.get(one.meter_id, []), default=None), min(late.get(one.meter_id, []), default=None)
        if before is None and one.installed_at <= first.at:
            before = Register(one.installed_at, one.start_wh)
        if before is None or after is None or before.at < one.installed_at:
            return None
        steps.append((one.meter_id, step_wh(before, after) * one.ratio))
    coarse_wh = WH_PER_STEP * sum(one.ratio for one in (gate, *below))
    energy_wh = step_wh(first, last) * gate.ratio
    return GateBalance(gate.meter_id, first.at, last.at, energy_wh, tuple(steps), coarse_wh)


def _around(
    connection: Connection, estate_id: str, meter_ids: Sequence[str], from_s: int, to_s: int
) -> dict[str, list[Register]]:
    """Accepted registers of these meters in a short span."""
    query = select(reading.c.meter_id, reading.c.read_at, reading.c.total_wh).where(
        reading.c.estate_id == estate_id,
        reading.c.read_at.between(from_s, to_s),
        reading.c.meter_id.in_(meter_ids),
        reading.c.verdict.in_(ACCEPTED),
    )
    found: dict[str, list[Register]] = {}
    for meter_id, at, wh in connection.execute(query):
        found.setdefault(meter_id, []).append(Register(at, wh))
    return found
