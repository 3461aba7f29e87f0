"""Isolating a household: its relay opened for safety or for tampering, and given back, each by two people.

Somebody was there and says what was found; somebody else agrees to exactly that. `domain.supply` has the checks that
hold for such a cut and says why; they are judged when it is asked for, when it is agreed to, and once more before the
frame, which takes the way of every other cut. What was decided so ends by two people only: no payment, no restore of
everybody and no hand of one person closes the relay again, nor does anything that comes up by itself. An order of
which no frame could go out within half an hour is void, since nobody expects the darkness any more.

Given back means permitted, or closed, as the estate does it after a payment. Who owes money has power again then and is
warned anew before a cut for it; the rules of money decide from there on.
"""

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from sqlalchemy import RowMapping

from server.domain.evidence import evidence_of
from server.domain.supply import HAZARDS, Decision, TripFacts, decide_trip
from server.errors import Conflict, NotFound, Refused
from server.flows import cases
from server.flows.second_person import ask
from server.flows.supply import want, want_closed
from server.store import approvals as requests
from server.store import audit
from server.store import isolation as kept
from server.store import supply as supply_rows
from server.store.books import books_of
from server.store.estates import get_estate
from server.store.meters import MeterRow, get_meter
from server.store.unit import Unit

if TYPE_CHECKING:
    from server.clock import Now

ISOLATE, RECONNECT = "isolate", "reconnect"
KINDS = (ISOLATE, RECONNECT)
RELEASED = "released"  # the reason of the wish that gives the power back
AGREED_LATER = frozenset({"two_people", "bus_limit"})  # what may still be missing when it is asked for


def request(
    unit: Unit, estate_id: str, meter_id: str, cause: str, *, actor: str, reason: str, now: "Now", clock_sane: bool,
    fresh: bool = True, case_id: str = "",
) -> str:  # fmt: skip
    """Ask to open the relay of a household for `cause`; the id of the request.

    Refused without a reason, for a meter that cannot be opened from here, and for what a check says no to; Conflict
    when it is isolated already or another request waits; StaleLogin unless the password is `fresh`.
    """
    if cause not in HAZARDS:
        raise Refused(f"cause {cause!r} is unknown; allowed: {', '.join(HAZARDS)}")
    if not reason.strip():
        raise Refused("say what was found: the reason is kept")
    meter = get_meter(unit.connection, estate_id, meter_id)
    _not_yet(unit, estate_id, meter_id)
    _none_waits(unit, estate_id, ISOLATE, meter_id, now)
    if case_id:
        cases.about(unit.connection, estate_id, case_id, meter_id)
    facts = _facts(unit, estate_id, meter, cause, actor, "", now, clock_sane=clock_sane)
    decision = decide_trip(facts, now.world_s, now.machine_ms)
    _refuse([name for name in decision.refusals if name not in AGREED_LATER])
    payload: dict[str, object] = {
        "kind": ISOLATE, "meter": meter_id, "account_id": meter.account_id, "room": meter.room_id or "",
        "cause": cause, "reason": reason.strip(), "case_id": case_id,
    }  # fmt: skip
    return ask(unit, estate_id, ISOLATE, payload, actor, now, fresh=fresh)


def _not_yet(unit: Unit, estate_id: str, meter_id: str) -> None:
    known = supply_rows.get_supply(unit.connection, estate_id, meter_id)
    if known is None:
        raise NotFound(f"meter {meter_id!r} has no relay in this estate")
    if kept.is_isolated(known):
        raise Conflict(f"this meter was opened for {known['cause']}: two people give its power back")


def _none_waits(unit: Unit, estate_id: str, kind: str, meter_id: str, now: "Now") -> None:
    for row in requests.waiting(unit.connection, estate_id, now.machine_ms):
        if row["kind"] == kind and json.loads(row["payload"])["meter"] == meter_id:
            raise Conflict(
                "this was asked for already and waits for its second person; withdraw that first to ask anew"
            )


def _facts(
    unit: Unit, estate_id: str, meter: MeterRow, cause: str, asked_by: str, agreed_by: str, now: "Now", *,
    clock_sane: bool,
) -> TripFacts:  # fmt: skip
    accounts = [] if meter.account_id is None else [meter.account_id]
    found = supply_rows.trip_candidates(unit.connection, estate_id, accounts, now.world_s, clock_sane=clock_sane)
    for one in found:
        if one.meter_id == meter.meter_id:
            return as_hazard(one.facts, cause, asked_by, agreed_by)
    raise Refused("this meter feeds no household, or keeps its credit itself: it is switched off on site")


def as_hazard(facts: TripFacts, cause: str, asked_by: str, agreed_by: str) -> TripFacts:
    """The facts of a household as a hazard is judged by; a quarantine is of its debt, and a wave of a bulk cut too."""
    return replace(facts, cause=cause, asked_by=asked_by, agreed_by=agreed_by, quarantined=False, released=False)


def _refuse(refusals: list[str]) -> None:
    if refusals:
        raise Refused(f"this meter cannot be opened from here now: {refusals[0]}")


def agreed(unit: Unit, estate_id: str, row: RowMapping, actor: str, now: "Now", *, clock_sane: bool) -> None:
    """Carry out what `actor` has agreed to as the second person."""
    payload = json.loads(row["payload"])
    if row["kind"] == ISOLATE:
        isolate(unit, estate_id, row, payload, actor, now, clock_sane=clock_sane)
    else:
        release(unit, estate_id, row, payload, now)


def isolate(
    unit: Unit, estate_id: str, row: RowMapping, payload: dict[str, Any], actor: str, now: "Now", *, clock_sane: bool
) -> int:  # fmt: skip
    """Want the relay open, with the evidence; the generation. Refused when a check says no now."""
    meter = get_meter(unit.connection, estate_id, payload["meter"])
    if meter.account_id != payload["account_id"]:
        raise Conflict("another household has this meter by now; ask again")
    _not_yet(unit, estate_id, meter.meter_id)
    facts = _facts(
        unit, estate_id, meter, payload["cause"], row["requested_by"], actor, now, clock_sane=clock_sane
    )  # fmt: skip
    decision = decide_trip(facts, now.world_s, now.machine_ms)
    _refuse(list(decision.refusals))
    gen = want(
        unit, estate_id, meter.meter_id, meter.bus_id, state="open", action="trip", reason=payload["cause"],
        actor=row["requested_by"], evidence=_evidence(unit, estate_id, meter, row, payload, facts, decision, now),
        now=now,
    )  # fmt: skip
    if payload["case_id"]:
        cases.note(unit, estate_id, payload["case_id"], "isolated", row["requested_by"], payload["reason"], now)
    audit.record(
        unit.connection, estate_id, row["requested_by"], "supply.isolate", meter.meter_id, now, payload["reason"]
    )
    return gen


def _evidence(
    unit: Unit, estate_id: str, meter: MeterRow, row: RowMapping, payload: dict[str, Any], facts: TripFacts,
    decision: Decision, now: "Now",
) -> dict[str, object]:  # fmt: skip
    books = books_of(unit.connection, estate_id, meter.account_id or "", meter.meter_id, now.world_s)
    order = {
        "approval_id": row["approval_id"], "payload_sha256": row["payload_sha256"], "asked_by": facts.asked_by,
        "agreed_by": facts.agreed_by, **{name: payload[name] for name in ("meter", "cause", "reason", "case_id")},
    }  # fmt: skip
    return evidence_of(facts, decision, now.world_s, now.machine_ms, books) | {"order": order}


def request_release(
    unit: Unit, estate_id: str, meter_id: str, *, actor: str, reason: str, now: "Now", fresh: bool = True
) -> str:
    """Ask to give an isolated household its power back; the id of the request. Errors as in `request`."""
    if not reason.strip():
        raise Refused("say why the power may come back: the reason is kept")
    meter = get_meter(unit.connection, estate_id, meter_id)
    known = _isolated(unit, estate_id, meter_id)
    _none_waits(unit, estate_id, RECONNECT, meter_id, now)
    payload: dict[str, object] = {
        "kind": RECONNECT, "meter": meter_id, "account_id": meter.account_id, "room": meter.room_id or "",
        "cause": known["cause"], "gen": known["gen"], "reason": reason.strip(),
    }  # fmt: skip
    return ask(unit, estate_id, RECONNECT, payload, actor, now, fresh=fresh)


def _isolated(unit: Unit, estate_id: str, meter_id: str) -> RowMapping:
    known = supply_rows.get_supply(unit.connection, estate_id, meter_id)
    if known is None or not kept.is_isolated(known):
        raise Conflict("this meter is not open for safety or tampering")
    return known


def release(unit: Unit, estate_id: str, row: RowMapping, payload: dict[str, Any], now: "Now") -> int:
    """Want the power back; the generation. No switch of the estate holds it back."""
    meter = get_meter(unit.connection, estate_id, payload["meter"])
    known = _isolated(unit, estate_id, meter.meter_id)
    if known["gen"] != payload["gen"]:
        raise Conflict("this meter was opened anew since this was asked; ask again")
    [one] = kept.isolations(unit.connection, estate_id, meter.meter_id)
    actor, reason = row["requested_by"], payload["reason"]
    gen = want_closed(
        unit, estate_id, get_estate(unit.connection, estate_id), meter.meter_id, meter.bus_id, RELEASED, actor, now
    )
    if one.case_id:
        cases.note(unit, estate_id, one.case_id, RELEASED, actor, reason, now)
    audit.record(unit.connection, estate_id, actor, "supply.release", meter.meter_id, now, reason)
    return gen
