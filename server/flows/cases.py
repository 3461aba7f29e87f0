"""Cases: what the anomaly rules find is opened once, looked at by a person, and closed with a resolution."""

import json
from typing import TYPE_CHECKING
from uuid import uuid4

from sqlalchemy import RowMapping

from server.domain.anomalies import (
    SILENT_FAILURES,
    Finding,
    backwards,
    gate_loss,
    open_relay_energy,
    silent,
)
from server.errors import Conflict, NotFound, Refused
from server.store import cases as kept
from server.store.estates import get_estate
from server.store.unit import Unit

if TYPE_CHECKING:
    from server.clock import Now

GATE_SPAN_S = 3600  # a gate is weighed over the last hour of world time
CLOSED_QUIET_MS = 10 * 60 * 1000  # a case that a person closed does not come back at once


def detect(unit: Unit, estate_id: str, now: "Now") -> list[str]:
    """Apply every rule; the ids of cases that were opened."""
    connection = unit.connection
    cycle_s = get_estate(connection, estate_id)["reading_cycle_s"]
    found: list[Finding | None] = [open_relay_energy(one) for one in kept.open_relays(connection, estate_id)]
    found += [
        backwards(
            row["meter_id"], row["room_id"], row["accepted_wh"], row["accepted_at"], row["total_wh"], row["read_at"]
        )
        for row in kept.held_backwards(connection, estate_id)
        if row["accepted_wh"] is not None and row["total_wh"] < row["accepted_wh"]
    ]
    found += [silent(one, now.world_s, cycle_s) for one in kept.contacts(connection, estate_id, SILENT_FAILURES)]
    balances = kept.gate_balances(connection, estate_id, now.world_s - GATE_SPAN_S, now.world_s)
    found += [gate_loss(one) for one in balances if one.to_at - one.from_at >= GATE_SPAN_S // 2]
    opened = [_open(unit, estate_id, finding, now) for finding in found if finding is not None]
    return [case_id for case_id in opened if case_id]


def _open(unit: Unit, estate_id: str, finding: Finding, now: "Now") -> str:
    """Open a case unless one of the same kind and subject is open or was closed just now; its id or ""."""
    connection = unit.connection
    if kept.live_case(connection, estate_id, finding.kind, finding.subject) is not None:
        return ""
    closed_ms = kept.last_closed_ms(connection, estate_id, finding.kind, finding.subject)
    if closed_ms is not None and now.machine_ms - closed_ms < CLOSED_QUIET_MS:
        return ""
    case_id = uuid4().hex[:12]
    kept.add(
        connection,
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
    _note(unit, estate_id, case_id, "opened", "system", "", now)
    return case_id


def acknowledge(unit: Unit, estate_id: str, case_id: str, *, actor: str, note: str, now: "Now") -> None:
    """Somebody looks into it and becomes its owner."""
    row = _get(unit, estate_id, case_id)
    if row["status"] == "closed":
        raise Conflict("this case is closed already")
    kept.update(unit.connection, estate_id, case_id, status="acknowledged", owner=actor)
    _note(unit, estate_id, case_id, "acknowledged", actor, note, now)


def close(unit: Unit, estate_id: str, case_id: str, *, resolution: str, actor: str, now: "Now") -> None:
    """Close it; what was found and done is required."""
    row = _get(unit, estate_id, case_id)
    if row["status"] == "closed":
        raise Conflict("this case is closed already")
    if not resolution.strip():
        raise Refused("say what was found and done before the case is closed")
    kept.update(
        unit.connection, estate_id, case_id, status="closed", resolution=resolution.strip(), closed_ms=now.machine_ms
    )
    _note(unit, estate_id, case_id, "closed", actor, resolution.strip(), now)


def _get(unit: Unit, estate_id: str, case_id: str) -> RowMapping:
    row = kept.get(unit.connection, estate_id, case_id)
    if row is None:
        raise NotFound(f"there is no case {case_id!r} in this estate")
    return row


def _note(unit: Unit, estate_id: str, case_id: str, verb: str, actor: str, note: str, now: "Now") -> None:
    kept.add_event(unit.connection, estate_id, case_id, verb, actor, note, now.world_s, now.machine_ms)
    unit.announce("case", case_id)
