"""Supply: deciding who is cut, wanting it with a generation, and believing only what was read back.

Each change of mind is a new generation; a collector sends only the newest, re-checked just before the frame goes
out. An acknowledgement never changes the state of a relay: `record_status` does, from status word 3, and nothing else.
"""

import json
import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from sqlalchemy import RowMapping

from server.domain.accounts import POSTPAID
from server.domain.anomalies import BREAKER, Finding
from server.domain.calendar import allowed_until
from server.domain.evidence import evidence_of
from server.domain.supply import (
    FINAL_VALID_S,
    HAZARDS,
    SAFETY,
    TRIP_WISH_S,
    WOULD_TRIP,
    Decision,
    TripFacts,
    candidate_words,
    decide_trip,
    final_notice_due,
    is_candidate,
    is_overdrawn,
    may_close,
)
from server.errors import Conflict, NotFound, Refused
from server.flows import breaker, bulk_cut, cases, notices
from server.store import audit, isolation, outages
from server.store import supply as kept
from server.store.approvals import withdraw_waiting
from server.store.books import books_of
from server.store.direct import Row
from server.store.estates import get_account, get_estate
from server.store.meters import get_meter, meters_of_account
from server.store.schemes import rule_book
from server.store.supply import Candidate
from server.store.unit import Unit

if TYPE_CHECKING:
    from server.clock import Now

BY_HAND = "by_hand"  # the reason of a wish that a person gave
CLOSE_NEVER_EXPIRES_S = 10**10  # nor does keep-power
log = logging.getLogger("estate645.supply")

RESTORE_STEP_MS = 1000  # one close a second on each bus


def decide(unit: Unit, estate_id: str, now: "Now", *, clock_sane: bool = True) -> list[tuple[Candidate, Decision]]:
    """Judge every overdrawn household that still has power; cut those that every check allows.

    All facts are of one consistent read; each cut of this run counts against the limits of the next household.
    In mode observe nobody is judged. What looks like our own mistake opens the breaker, which takes back the cuts that
    were not read back; what exceeds a limit is quarantined. Who owes and was never warned of it is warned, and whom
    only time protects gets the final notice that a scheme asks for, as many as the limits would let be cut.
    """
    connection = unit.connection
    if not clock_sane:
        take_back_trips(unit, estate_id, "clock", "system", now)
    if get_estate(connection, estate_id)["mode"] == "observe":
        kept.set_candidates(connection, estate_id, {}, now.world_s)
        return []
    if bulk_cut.advance(unit, estate_id, now):
        take_back_trips(unit, estate_id, "bulk_stopped", "system", now)
    accounts = kept.overdrawn_accounts(connection, estate_id)
    homes = kept.count_homes(connection, estate_id)
    supplied = kept.trip_candidates(connection, estate_id, accounts, now.world_s, clock_sane=clock_sane, homes=homes)
    found = [one for one in supplied if one.desired == "closed"]
    reason = breaker.doubt(unit, estate_id, found, now, homes.own, clock_sane=clock_sane)
    if reason:
        open_breaker(unit, estate_id, reason, now)
        found = [replace(one, facts=replace(one.facts, breaker="open")) for one in found]
    _warn(unit, estate_id, found, now)
    judged: list[tuple[Candidate, Decision]] = []
    words: dict[str, str] = {}
    cuts: Counter[str] = Counter()
    announced: set[str] = set()  # accounts whose final notice runs: each is a cut that comes
    for one in found:
        candidate = replace(one, facts=_after(one.facts, cuts[one.bus_id], cuts.total() + len(announced)))
        decision = decide_trip(candidate.facts, now.world_s, now.machine_ms)
        word = candidate_words(candidate.facts, decision)
        cuts[one.bus_id] += word in ("", WOULD_TRIP)
        if _is_announced(unit, estate_id, candidate, decision, now):
            announced.add(one.account_id)
        if decision.allowed:
            _cut(unit, estate_id, candidate, decision, now)
        else:
            words[one.meter_id] = word
        judged.append((candidate, decision))
    kept.set_candidates(connection, estate_id, words, now.world_s)
    return judged


def _warn(unit: Unit, estate_id: str, found: Sequence[Candidate], now: "Now") -> None:
    """Write the cut warning that no crossing wrote: the debt was brought along, or its protection has ended."""
    missing = [
        one.account_id
        for one in found
        if not one.is_warned and is_candidate(one.facts, now.world_s)
        and one.facts.breaker == "closed" and one.facts.clock_sane
    ]  # fmt: skip
    book = rule_book(unit.connection, estate_id, now.world_s) if missing else None
    for account_id in dict.fromkeys(missing):
        notices.warn(unit, estate_id, account_id, now, book)


def _is_announced(unit: Unit, estate_id: str, one: Candidate, decision: Decision, now: "Now") -> bool:
    """Whether the final notice of a cut that comes is under way; it is written here when its time has come."""
    facts, written_at = one.facts, one.final_written_at
    if decision.allowed or not facts.final_notice_s:
        return False
    if written_at is not None and now.world_s - written_at <= facts.final_notice_s + FINAL_VALID_S:
        return True
    if not final_notice_due(facts, decision, now.world_s):
        return False
    book = rule_book(unit.connection, estate_id, now.world_s)
    return notices.warn_finally(unit, estate_id, one.account_id, now, book)


def _after(facts: TripFacts, bus_cuts: int, cuts: int) -> TripFacts:
    """The facts after the cuts that this run has decided already."""
    return replace(
        facts,
        bus_trips=facts.bus_trips + bus_cuts,
        hour_trips=facts.hour_trips + cuts,
        day_trips=facts.day_trips + cuts,
        system_trips=facts.system_trips + cuts,
    )


def open_breaker(unit: Unit, estate_id: str, reason: str, now: "Now") -> bool:
    """Stop all cuts until two people close the breaker: what was not read back is taken back, and the staff is paged.

    False when it is open already; the first reason stays.
    """
    if get_estate(unit.connection, estate_id)["breaker"] == "open":
        return False
    kept.update_estate(unit.connection, estate_id, breaker="open", breaker_reason=reason)
    audit.record(unit.connection, estate_id, "system", "breaker.opened", estate_id, now, reason)
    take_back_trips(unit, estate_id, "breaker", "system", now)
    evidence: dict[str, object] = {"reason": reason, "at": now.world_s}
    cases.raise_case(unit, estate_id, Finding(BREAKER, estate_id, None, "high", evidence), now)
    log.error("the breaker of %s has opened: %s; nobody is cut until two people close it", estate_id, reason)
    return True


def _cut(unit: Unit, estate_id: str, candidate: Candidate, decision: Decision, now: "Now") -> None:
    books = books_of(unit.connection, estate_id, candidate.account_id, candidate.meter_id, now.world_s)
    evidence = evidence_of(candidate.facts, decision, now.world_s, now.machine_ms, books)
    want(
        unit, estate_id, candidate.meter_id, candidate.bus_id,
        state="open", action="trip", reason="arrears", actor="system", evidence=evidence, now=now,
    )  # fmt: skip


def want(
    unit: Unit,
    estate_id: str,
    meter_id: str,
    bus_id: str,
    *,
    state: str,
    action: str,
    reason: str,
    actor: str,
    now: "Now",
    evidence: dict[str, object] | None = None,
    not_before_ms: int = 0,
) -> int:
    """Write the next generation of a relay's desired state; returns its number.

    It is not sent before machine time `not_before_ms`.
    """
    row = kept.get_supply(unit.connection, estate_id, meter_id)
    if row is None:
        raise NotFound(f"meter {meter_id!r} has no relay in this estate")
    gen = int(row["gen"]) + 1
    expires_at = now.world_s + CLOSE_NEVER_EXPIRES_S
    if action == "trip" and reason == SAFETY:
        expires_at = now.world_s + TRIP_WISH_S  # a danger waits for no protected time, nor does its wish end at one
    elif action == "trip":
        account_id = get_meter(unit.connection, estate_id, meter_id).account_id or ""
        times = rule_book(unit.connection, estate_id, now.world_s).times(
            get_account(unit.connection, estate_id, account_id)
        )
        expires_at = allowed_until(times, now.world_s, now.world_s + TRIP_WISH_S)
    kept.add_wish(
        unit.connection,
        estate_id=estate_id,
        meter_id=meter_id,
        gen=gen,
        state=state,
        action=action,
        reason=reason,
        actor=actor,
        decided_at=now.world_s,
        created_ms=now.machine_ms,
        expires_at=expires_at,
        evidence=json.dumps(evidence or {}),
        not_before_ms=not_before_ms,
    )
    kept.update_supply(
        unit.connection,
        estate_id,
        meter_id,
        gen=gen,
        desired=state,
        command="queued",
        cause=reason if state == "open" else row["cause"],
        candidate="",
    )
    unit.announce("supply", bus_id)
    return gen


def on_balances(unit: Unit, estate_id: str, account_ids: Sequence[str], now: "Now") -> None:
    """After balances moved: whoever was cut for arrears and may have power again is wanted closed at once.

    A cut that no read-back has confirmed is taken back already when the household is no longer overdrawn; once it
    is dark, the power returns above the close-allowed amount.
    """
    site = get_estate(unit.connection, estate_id)
    for account_id in outages.accounts_to_close(unit.connection, estate_id, account_ids):
        row = get_account(unit.connection, estate_id, account_id)
        if row["kind"] != "household":
            continue
        lifted = row["payment"] == POSTPAID or may_close(
            row["balance_fen"], row["residue_nf"], row["close_allowed_fen"]
        )
        overdrawn = is_overdrawn(row["balance_fen"], row["residue_nf"], row["overdraft_fen"])
        if overdrawn and not lifted:
            continue
        for meter in meters_of_account(unit.connection, estate_id, account_id):
            known = kept.get_supply(unit.connection, estate_id, meter.meter_id)
            waits = known is not None and lifted and _waits_for_its_turn(unit, estate_id, known, now)
            if not waits and (known is None or known["desired"] != "open" or known["cause"] != "arrears"):
                continue
            if waits or lifted or (known is not None and known["command"] != "confirmed"):
                want_closed(unit, estate_id, site, meter.meter_id, meter.bus_id, "paid", "system", now)


def _waits_for_its_turn(unit: Unit, estate_id: str, known: RowMapping, now: "Now") -> bool:
    """Whether the close of a meter is spread over time; a payment does not wait for that."""
    if known["desired"] != "closed" or known["command"] != "queued":
        return False
    wish = kept.get_wish(unit.connection, estate_id, known["meter_id"], known["gen"])
    return wish is not None and wish["not_before_ms"] > now.machine_ms


def want_closed(
    unit: Unit, estate_id: str, site: Row, meter_id: str, bus_id: str, reason: str, actor: str, now: "Now",
    not_before_ms: int = 0,
) -> int:  # fmt: skip
    """Wish the power back in the way of the estate: the resident presses the button, or the relay closes itself."""
    action = "close" if site["close_policy"] == "direct" else "allow"
    return want(
        unit, estate_id, meter_id, bus_id, state="closed", action=action, reason=reason, actor=actor, now=now,
        not_before_ms=not_before_ms,
    )  # fmt: skip


def close_by_hand(unit: Unit, estate_id: str, meter_id: str, *, actor: str, reason: str, now: "Now") -> int:
    """An operator gives the power back; refused for who is isolated. Returns the generation."""
    if not reason.strip():
        raise Refused("say why the power is given back")
    meter = get_meter(unit.connection, estate_id, meter_id)
    row = kept.get_supply(unit.connection, estate_id, meter_id)
    if row is None:
        raise NotFound(f"meter {meter_id!r} has no relay in this estate")
    if isolation.is_isolated(row):
        raise Refused(f"this meter was opened for {row['cause']}: two people give its power back")
    if row["desired"] == "closed" and row["relay"] != "open":
        raise Conflict("the relay is closed, or permitted to close, already")
    site = get_estate(unit.connection, estate_id)
    audit.record(unit.connection, estate_id, actor, "supply.close", meter_id, now, reason)
    return want_closed(unit, estate_id, site, meter_id, meter.bus_id, BY_HAND, actor, now)


def stop_all(unit: Unit, estate_id: str, *, actor: str, now: "Now") -> int:
    """The red button: no trip is sent from now on, and wishes to cut that are still open are taken back.

    Whoever asked to start again before it was pressed has to ask anew.
    """
    kept.update_estate(unit.connection, estate_id, stopped=1)
    withdraw_waiting(unit.connection, estate_id, "start_again")
    audit.record(unit.connection, estate_id, actor, "supply.stop", estate_id, now)
    return take_back_trips(unit, estate_id, "stopped", actor, now)


def restore_all(unit: Unit, estate_id: str, *, actor: str, reason: str, now: "Now") -> int:
    """One person gives everybody the power back who is dark for arrears, one a second on each bus; returns how many.

    It presses the red button too, since something must be wrong. What was opened for safety or tamper stays open.
    """
    if not reason.strip():
        raise Refused("say why everybody gets the power back")
    if not get_estate(unit.connection, estate_id)["stopped"]:
        stop_all(unit, estate_id, actor=actor, now=now)
    site = get_estate(unit.connection, estate_id)
    turns: Counter[str] = Counter()
    for row in outages.dark_for_arrears(unit.connection, estate_id):
        not_before_ms = now.machine_ms + turns[row["bus_id"]] * RESTORE_STEP_MS
        turns[row["bus_id"]] += 1
        want_closed(
            unit, estate_id, site, row["meter_id"], row["bus_id"], "restore_all", actor, now, not_before_ms
        )  # fmt: skip
    detail = f"{turns.total()} households: {reason.strip()}"
    audit.record(unit.connection, estate_id, actor, "supply.restore_all", estate_id, now, detail)
    return turns.total()


def take_back_trips(unit: Unit, estate_id: str, reason: str, actor: str, now: "Now") -> int:
    """Wish every household closed whose cut has not been read back; returns how many.

    Not one whose relay may be open for a hazard by now: its frame had leave to go out, or it was dark before. No frame
    of it is sent any more while the switches say no, and what they cannot undo only two people do.
    """
    site = get_estate(unit.connection, estate_id)
    taken_back = 0
    for bus_id in kept.bus_ids(unit.connection, estate_id):
        for order in kept.unfinished_orders(unit.connection, estate_id, bus_id):
            if order["action"] == "trip" and not _may_be_isolated(unit, estate_id, order):
                want_closed(unit, estate_id, site, order["meter_id"], bus_id, reason, actor, now)
                taken_back += 1
    return taken_back


def _may_be_isolated(unit: Unit, estate_id: str, order: RowMapping) -> bool:
    if order["reason"] not in HAZARDS:
        return False
    known = kept.get_supply(unit.connection, estate_id, order["meter_id"])
    return known is not None and isolation.may_be_open(unit.connection, estate_id, known)
