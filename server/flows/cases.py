"""Cases: what the anomaly rules find is opened once, looked at by a person, and closed with a resolution.

One case of a kind and subject is open at a time. What was read before a case was closed is no evidence for the next
one, so a closed case comes back only when the anomaly goes on.
"""

import json
from typing import TYPE_CHECKING
from uuid import uuid4

from sqlalchemy import Connection, RowMapping

from server.domain import anomalies as rules
from server.domain.anomalies import DISOBEYED, SILENT, SILENT_FAILURES, Finding
from server.errors import Conflict, NotFound, Refused
from server.store import anomalies as figures
from server.store import cases as kept
from server.store import conditions
from server.store.estates import get_estate
from server.store.meters import get_meter
from server.store.unit import Unit

if TYPE_CHECKING:
    from server.clock import Now

SYSTEM = "system"


def find(connection: Connection, estate_id: str, now: "Now") -> list[Finding]:
    """Apply every rule; findings that have no open case yet. Reads only."""
    cycle_s = get_estate(connection, estate_id)["reading_cycle_s"]
    since = kept.last_closings(connection, estate_id)
    found: list[Finding | None] = []
    found += [rules.open_relay_energy(one) for one in figures.open_relays(connection, estate_id, since)]
    found += [
        rules.relay_disobeys(one, since.get((DISOBEYED, one.meter_id), 0))
        for one in figures.disobediences(connection, estate_id)
    ]
    found += [rules.backwards(one) for one in figures.held_backwards(connection, estate_id, since, now.world_s)]
    zeros_s = max(figures.HELD_LOOKBACK_S, 2 * rules.JUMP_CYCLES * cycle_s)
    zeros = conditions.zeros(connection, estate_id, since, now.world_s - zeros_s)
    found += [rules.zeroed(one, now.world_s, cycle_s) for one in zeros]
    found += [
        rules.silent(one, since.get((SILENT, one.meter_id), one.contact_at), now.world_s, cycle_s)
        for one in figures.contacts(connection, estate_id, SILENT_FAILURES)
    ]
    found += [rules.clock(one) for one in conditions.clocks(connection, estate_id, since, rules.CLOCK_MAX_S)]
    found += [rules.jumped(one, now.world_s, cycle_s) for one in conditions.pending(connection, estate_id, since)]
    found += [rules.stuck(one) for one in conditions.unmoved(connection, estate_id, since, now.world_s)]
    found += [rules.gate_loss(one) for one in figures.gate_balances(connection, estate_id, since, now.world_s, cycle_s)]
    live = kept.live_keys(connection, estate_id)
    return [finding for finding in found if finding is not None and (finding.kind, finding.subject) not in live]


def detect(unit: Unit, estate_id: str, now: "Now") -> list[str]:
    """Open a case for each finding; the ids of the cases that were opened."""
    return [_open(unit, estate_id, finding, now) for finding in find(unit.connection, estate_id, now)]


def raise_case(unit: Unit, estate_id: str, finding: Finding, now: "Now") -> str:
    """Open a case for something that came up at once; an empty text when one of its kind and subject is open."""
    if (finding.kind, finding.subject) in kept.live_keys(unit.connection, estate_id):
        return ""
    return _open(unit, estate_id, finding, now)


def _open(unit: Unit, estate_id: str, finding: Finding, now: "Now") -> str:
    case_id = uuid4().hex
    kept.add(
        unit.connection,
        estate_id=estate_id,
        case_id=case_id,
        kind=finding.kind,
        subject=finding.subject,
        room_id=finding.room_id,
        severity=finding.severity,
        status="open",
        evidence=json.dumps(finding.evidence),
        opened_at=now.world_s,
        opened_ms=now.machine_ms,
    )
    _note(unit, estate_id, case_id, "opened", SYSTEM, "", now)
    return case_id


def acknowledge(unit: Unit, estate_id: str, case_id: str, *, actor: str, note: str, now: "Now") -> None:
    """Somebody looks into it and becomes its owner. NotFound, or Conflict when it is closed."""
    _get_live(unit, estate_id, case_id)
    kept.update(unit.connection, estate_id, case_id, status="acknowledged", owner=actor)
    _note(unit, estate_id, case_id, "acknowledged", actor, note.strip(), now)


def close(unit: Unit, estate_id: str, case_id: str, *, resolution: str, actor: str, now: "Now") -> None:
    """Close it; Refused without a resolution, NotFound, or Conflict when it is closed already."""
    said = resolution.strip()
    if not said:
        raise Refused("say what was found and done before the case is closed")
    _get_live(unit, estate_id, case_id)
    kept.update(unit.connection, estate_id, case_id, status="closed", resolution=said, closed_ms=now.machine_ms)
    _note(unit, estate_id, case_id, "closed", actor, said, now)


def settle(unit: Unit, estate_id: str, key: tuple[str, str], resolution: str, now: "Now") -> None:
    """What a case of this kind and subject was about has settled itself; nothing when none is open."""
    case_id = kept.live_case(unit.connection, estate_id, *key)
    if case_id is not None:
        close(unit, estate_id, case_id, resolution=resolution, actor=SYSTEM, now=now)


def about(connection: Connection, estate_id: str, case_id: str, meter_id: str) -> RowMapping:
    """The case, if it is one about this meter or its room; NotFound otherwise."""
    row = kept.get(connection, estate_id, case_id)
    room_id = get_meter(connection, estate_id, meter_id).room_id
    if row is None or (row["subject"] != meter_id and (room_id is None or row["room_id"] != room_id)):
        raise NotFound(f"there is no case {case_id!r} in this estate")
    return row


def note(unit: Unit, estate_id: str, case_id: str, verb: str, actor: str, said: str, now: "Now") -> None:
    """Write into a case what was done because of it; a closed one too, since its story goes on."""
    _note(unit, estate_id, case_id, verb, actor, said, now)


def _get_live(unit: Unit, estate_id: str, case_id: str) -> RowMapping:
    row = kept.get(unit.connection, estate_id, case_id)
    if row is None:
        raise NotFound(f"there is no case {case_id!r} in this estate")
    if row["status"] == "closed":
        raise Conflict("this case is closed already; look at its result")
    return row


def _note(unit: Unit, estate_id: str, case_id: str, verb: str, actor: str, note: str, now: "Now") -> None:
    kept.add_event(unit.connection, estate_id, case_id, verb, actor, note, now.world_s, now.machine_ms)
    unit.announce("case", case_id)
