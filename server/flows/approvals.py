"""Acts that need two people: mode, starting again, the breaker, isolating a household, bulk acts, tariffs, some
refunds and corrections.

The request fixes a payload and its hash; the second person approves exactly that hash, within 30 minutes, and is
never the one who asked. Steps down need nobody else. What two people approved also releases the households that a
limit had quarantined.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, RowMapping

from server.domain import refunds as refund_rules
from server.domain.accounts import act_problem
from server.domain.readings import Rates
from server.domain.rerating import KIND, Rerate
from server.errors import Conflict, NotFound, Refused, StaleLogin
from server.flows import (
    acceptance,
    adjustments,
    bulk_cut,
    bulk_edits,
    final_registers,
    isolation,
    moves,
    refunds,
    rerating,
    suspense,
    tariffs,
    voiding,
)
from server.flows.breaker import count_candidates
from server.flows.estate_switches import refuse_twice, switch
from server.flows.final_registers import CORRECTED, UNSAID, Corrected
from server.flows.moves import MovedOut, Register, Settlement
from server.flows.second_person import CLIENT, STEP_UP, ask
from server.flows.supply import take_back_trips
from server.store import approvals as kept
from server.store import audit
from server.store.acceptance import get_reading
from server.store.estates import get_account, get_estate
from server.store.ledger import ledger_balances
from server.store.readings import HELD_VERDICTS
from server.store.supply import households, overdrawn_accounts, trip_candidates, update_estate
from server.store.unit import Unit

if TYPE_CHECKING:
    from server.clock import Now

MODES = ("observe", "dry_run", "armed")
REFUND = "refund"
DECISION = "refund_decision"
MOVE_OUT = "move_out"


def request_mode(unit: Unit, estate_id: str, mode: str, *, actor: str, now: "Now") -> str:
    """Ask for one step up (observe -> dry_run -> armed); returns the approval's id. Steps down act at once: ""."""
    site = get_estate(unit.connection, estate_id)
    if mode not in MODES:
        raise Refused(f"mode {mode!r} is unknown; allowed: {', '.join(MODES)}")
    step = MODES.index(mode) - MODES.index(site["mode"])
    if step == 0:
        raise Conflict(f"the estate is in mode {mode} already")
    if step > 1:
        raise Refused(
            f"from {site['mode']} the next mode is {MODES[MODES.index(site['mode']) + 1]}: one step at a time"
        )
    if step < 0:
        update_estate(unit.connection, estate_id, mode=mode)
        audit.record(unit.connection, estate_id, actor, "mode.lowered", mode, now)
        take_back_trips(unit, estate_id, "mode", actor, now)
        return ""
    refuse_twice(unit.connection, estate_id, "mode", now)
    candidates = overdrawn_accounts(unit.connection, estate_id)
    payload = {
        "kind": "mode",
        "from": site["mode"],
        "to": mode,
        "households": households(unit.connection, estate_id),
        "candidates": candidates,
    }
    return ask(unit, estate_id, "mode", payload, actor, now)


def request_start_again(unit: Unit, estate_id: str, *, actor: str, now: "Now") -> str:
    """Ask to end the stop of the red button."""
    if not get_estate(unit.connection, estate_id)["stopped"]:
        raise Conflict("cutting is not stopped")
    refuse_twice(unit.connection, estate_id, "start_again", now)
    return ask(unit, estate_id, "start_again", {"kind": "start_again"}, actor, now)


def request_breaker_reset(unit: Unit, estate_id: str, *, actor: str, reason: str, now: "Now") -> str:
    """Ask to close the breaker; the reason and the number of candidates are what the second person approves."""
    site = get_estate(unit.connection, estate_id)
    if site["breaker"] == "closed":
        raise Conflict("the breaker is closed already")
    if not reason.strip():
        raise Refused("say why the breaker may be closed")
    refuse_twice(unit.connection, estate_id, "breaker_reset", now)
    overdrawn = overdrawn_accounts(unit.connection, estate_id)
    # The clock is asked again before each cut; what two people accept is the number that money and rules allow.
    found = trip_candidates(unit.connection, estate_id, overdrawn, now.world_s, clock_sane=True)
    payload = {
        "kind": "breaker_reset",
        "reason": reason,
        "opened_because": site["breaker_reason"],
        "candidates": count_candidates(found, now),
    }
    return ask(unit, estate_id, "breaker_reset", payload, actor, now)


def request_bulk_cut(
    unit: Unit, estate_id: str, account_ids: Sequence[str], *, actor: str, reason: str, now: "Now", clock_sane: bool
) -> str:
    """Ask to cut a list in waves; the dry run with every household of it is what the second person approves."""
    payload = bulk_cut.dry_run(unit, estate_id, account_ids, reason, now, clock_sane=clock_sane)
    return ask(unit, estate_id, "bulk_cut", payload, actor, now)


def request_refund(
    unit: Unit, estate_id: str, payment_id: str, amount_fen: int, *, key: str, reason: str, actor: str, now: "Now"
) -> tuple[str, str]:
    """Give money back, or ask for the second person that it needs: (number of the refund, id of the approval).

    One of the two is empty, and a key has the refund that it got. Refused as `flows.refunds.order_refund` refuses.
    """
    wish = refunds.look_at(unit, estate_id, payment_id, amount_fen, actor=actor, now=now)
    row = refunds.get_payment(unit, estate_id, payment_id)
    problem = refunds.reason_problem(reason) or refund_rules.refusal(wish) or refunds.source_problem(row)
    because = refund_rules.second_person(wish)
    if not because or problem or refunds.is_known(unit, estate_id, payment_id, key):
        refund_no = refunds.order_refund(
            unit, estate_id, payment_id, amount_fen, key=key, reason=reason, actor=actor, now=now
        )
        return refund_no, ""
    payload: dict[str, object] = {
        "kind": REFUND,
        "payment_id": payment_id,
        "amount_fen": amount_fen,
        "account_id": row["account_id"],
        "available_fen": wish.available_fen,
        "because": because,
        "reason": reason.strip(),
        "key": key,
    }
    return "", ask(unit, estate_id, REFUND, payload, actor, now)


def request_decision(
    unit: Unit, estate_id: str, refund_no: str, *, refunded: bool, reason: str, actor: str, now: "Now"
) -> str:
    """Ask to decide what a provider did with a refund that it does not tell of; the id of the request.

    Refused as `flows.refunds.may_decide` refuses; Conflict while another decision on it waits.
    """
    row = refunds.may_decide(unit, estate_id, refund_no, reason)
    if any(one["refund_no"] == refund_no for one in decisions_waiting(unit.connection, estate_id, now).values()):
        raise Conflict("a decision on this refund waits for its second person already; withdraw that first")
    payload: dict[str, object] = {
        "kind": DECISION,
        "refund_no": refund_no,
        "payment_id": row["payment_id"],
        "provider": row["provider"],
        "account_id": row["account_id"],
        "amount_fen": row["amount_fen"],
        "refunded": refunded,
        "reason": reason.strip(),
    }
    return ask(unit, estate_id, DECISION, payload, actor, now)


def request_move_out(
    unit: Unit, estate_id: str, account_id: str, finals: Sequence[Register], settlement: Settlement, *, actor: str,
    reason: str, now: "Now", fresh: bool = True,
) -> MovedOut:  # fmt: skip
    """Move a household out, or ask for the second person that an estimate or a decided amount needs.

    Then nothing is done yet, and the answer has the id of the request. Errors as in `flows.moves.move_out`, and
    StaleLogin for what needs a second person, unless the password is `fresh`.
    """
    made = moves.worked_out(unit.connection, estate_id, account_id, finals, now)
    if not any(final.needs_second for final in made):
        return moves.move_out(
            unit, estate_id, account_id, made, settlement, actor=actor, reason=reason, now=now, fresh=fresh
        )
    row = get_account(unit.connection, estate_id, account_id)
    problem = act_problem("moved_out", row["status"]) or ("" if reason.strip() else "say why: the reason is kept")
    if problem:
        raise Refused(problem)
    payload: dict[str, object] = {
        "kind": MOVE_OUT,
        "account_id": account_id,
        "finals": [asdict(final) for final in made],
        "settlement": asdict(settlement),
        "reason": reason.strip(),
    }
    approval_id = ask(unit, estate_id, MOVE_OUT, payload, actor, now, fresh=fresh)
    return MovedOut(0, ledger_balances(unit.connection, estate_id, account_id), False, approval_id)


def _move_out(unit: Unit, estate_id: str, payload: Mapping[str, Any], asked_by: str, actor: str, now: "Now") -> None:
    finals = [
        Register(**{**one, "rates_wh": None if one["rates_wh"] is None else tuple(one["rates_wh"])})
        for one in payload["finals"]
    ]
    moves.move_out(
        unit, estate_id, payload["account_id"], finals, Settlement(**payload["settlement"]), actor=asked_by,
        reason=payload["reason"], now=now, approved_by=actor,
    )  # fmt: skip


def request_correction(
    unit: Unit, estate_id: str, account_id: str, meter_id: str, total_wh: int, rates_wh: Rates | None, *, actor: str,
    reason: str, now: "Now", fresh: bool = True,
) -> Corrected:  # fmt: skip
    """Correct an estimated final register, or ask for the second person where more was charged by it than one may move.

    Errors as in `flows.final_registers.correct_final`, Conflict while another correction of it waits, and StaleLogin
    for a request, unless the password is `fresh`.
    """
    plan = final_registers.correction_of(unit, estate_id, account_id, meter_id)
    if not plan.needs_second:
        more_fen = final_registers.correct_final(
            unit, estate_id, account_id, meter_id, total_wh, rates_wh, actor=actor, reason=reason, now=now
        )
        return Corrected(more_fen)
    if not reason.strip():
        raise Refused(UNSAID)
    waiting = decisions_waiting(unit.connection, estate_id, now, CORRECTED).values()
    if any((one["account_id"], one["meter"]) == (account_id, meter_id) for one in waiting):
        raise Conflict("a correction of this register waits for its second person already; withdraw that first")
    payload = {
        "kind": CORRECTED, "account_id": account_id, "true_wh": total_wh, "true_rates_wh": rates_wh,
        "reason": reason.strip(), **plan.as_json(),
    }  # fmt: skip
    return Corrected(0, ask(unit, estate_id, CORRECTED, payload, actor, now, fresh=fresh))


def decisions_waiting(
    connection: Connection, estate_id: str, now: "Now", kind: str = DECISION
) -> dict[str, dict[str, Any]]:
    """What waits about refunds that providers do not tell of, or of another kind, by the id of the request."""
    return kept.payloads(connection, estate_id, now.machine_ms, kind)


def request_bulk_edit(
    unit: Unit, estate_id: str, act: str, account_ids: Sequence[str], terms: Mapping[str, Any], *, actor: str,
    reason: str, now: "Now",
) -> str:  # fmt: skip
    """Ask to change a list of households or days; the dry run with every entry is what the second person approves."""
    payload = bulk_edits.dry_run(unit, estate_id, act, account_ids, terms, reason, now)
    return ask(unit, estate_id, "bulk_edit", payload, actor, now)


def request_void(
    unit: Unit, estate_id: str, meter_id: str, read_at: int, *, actor: str, reason: str, now: "Now", fresh: bool = True
) -> str:
    """Void a held reading, or take back one that counted; "" when it is done.

    Where that is more than one person may do, it is asked for, and the id of the request comes back; StaleLogin then,
    unless the password is `fresh`.
    """
    row = get_reading(unit.connection, estate_id, meter_id, read_at)
    if row is not None and row["verdict"] in HELD_VERDICTS:
        acceptance.void(unit, estate_id, meter_id, read_at, actor=actor, reason=reason, now=now)
        return ""
    plan = voiding.plan_of(unit.connection, estate_id, meter_id, read_at)
    if not plan.needs_second:
        voiding.take_back(unit, estate_id, meter_id, read_at, actor=actor, reason=reason, now=now)
        return ""
    if not reason.strip():
        raise Refused("say why: the reason is kept with the reading")
    payload = {"kind": "void_reading", "reason": reason.strip(), **plan.as_json()}
    return ask(unit, estate_id, "void_reading", payload, actor, now, fresh=fresh)


def request_publication(unit: Unit, estate_id: str, draft_id: str, *, actor: str, now: "Now") -> str:
    """Ask to publish a draft of a tariff, as it was simulated."""
    payload = tariffs.publication(unit.connection, estate_id, draft_id, now)
    return ask(unit, estate_id, "tariff", payload, actor, now)


def request_rerate(unit: Unit, estate_id: str, rerate: Rerate, found: dict[str, Any], *, actor: str, now: "Now") -> str:
    """Ask to charge a span of the past again, as it was planned and previewed."""
    payload = rerating.ask(unit, estate_id, rerate, found, actor=actor, now=now)
    return ask(unit, estate_id, KIND, payload, actor, now)


def approve(
    unit: Unit,
    estate_id: str,
    approval_id: str,
    payload_sha256: str,
    *,
    actor: str,
    now: "Now",
    kinds: Sequence[str] = (),
    fresh: bool = True,
    clock_sane: bool = False,
) -> str:
    """The second person agrees to exactly this payload; it is carried out at once. Returns its kind.

    `kinds` are those that this person may agree to; without any, all. A key of the API is no person and agrees to none.
    StaleLogin for what moves money or one household's relay, unless the password is `fresh`. Only the opening of a
    relay asks for `clock_sane`; doubt keeps the power on.
    """
    if actor.startswith(CLIENT):
        raise Refused("the second person signs in: a key of the API cannot agree to anything")
    row = kept.get(unit.connection, estate_id, approval_id)
    if row is None or (kinds and row["kind"] not in kinds):
        raise NotFound("there is no such request in this estate")
    if row["kind"] in STEP_UP and not fresh:
        raise StaleLogin
    if row["status"] != "waiting":
        raise Conflict("this request has been decided already")
    if row["requested_by"] == actor:
        raise Refused("a second person must approve; you asked for it yourself")
    if row["expires_ms"] <= now.machine_ms:
        raise Refused("this request has expired; ask again")
    if row["payload_sha256"] != payload_sha256:
        raise Conflict("what you approve is not what was asked for; load the page again")
    kept.update(
        unit.connection,
        estate_id,
        approval_id,
        status="approved",
        approved_by=actor,
        approved_ms=now.machine_ms,
    )
    if row["kind"] in isolation.KINDS:
        isolation.agreed(unit, estate_id, row, actor, now, clock_sane=clock_sane)
    else:
        _carry_out(unit, estate_id, row, actor, now)
    audit.record(unit.connection, estate_id, actor, f"{row['kind']}.approved", approval_id, now)
    return str(row["kind"])


def _carry_out(unit: Unit, estate_id: str, row: RowMapping, actor: str, now: "Now") -> None:
    payload, kind = json.loads(row["payload"]), row["kind"]
    if kind == "bulk_edit":
        bulk_edits.start(unit, estate_id, row, payload, now)
    elif kind == "bulk_cut":
        bulk_cut.start(unit, estate_id, row, payload, now)
    elif kind == "void_reading":
        voiding.take_back(
            unit, estate_id, payload["meter"], payload["read_at"], actor=row["requested_by"], reason=payload["reason"],
            now=now, approved=payload,
        )  # fmt: skip
    elif kind == REFUND:
        refunds.as_approved(unit, estate_id, payload, actor=row["requested_by"], now=now)
        refunds.order_refund(
            unit, estate_id, payload["payment_id"], payload["amount_fen"], key=payload["key"],
            reason=payload["reason"], actor=row["requested_by"], approved_by=actor, now=now,
        )  # fmt: skip
    elif kind == DECISION:
        refunds.decide_by_hand(
            unit, estate_id, payload["refund_no"], refunded=payload["refunded"], reason=payload["reason"],
            actor=row["requested_by"], approved_by=actor, now=now,
        )  # fmt: skip
    elif kind == MOVE_OUT:
        _move_out(unit, estate_id, payload, row["requested_by"], actor, now)
    elif kind == CORRECTED:
        rates_wh = payload["true_rates_wh"]
        final_registers.correct_final(
            unit, estate_id, payload["account_id"], payload["meter"], payload["true_wh"],
            None if rates_wh is None else tuple(rates_wh), actor=row["requested_by"], reason=payload["reason"],
            now=now, approved=payload, approved_by=actor,
        )  # fmt: skip
    elif kind == adjustments.REQUEST:
        adjustments.carry_out(unit, estate_id, payload, actor=row["requested_by"], approved_by=actor, now=now)
    elif kind == suspense.REQUEST:
        suspense.carry_out(unit, estate_id, payload, actor=row["requested_by"], approved_by=actor, now=now)
    elif kind == "tariff":
        tariffs.publish(unit, estate_id, payload, row["approval_id"], now)
    elif kind == KIND:
        rerating.start(unit, estate_id, payload, row["approval_id"])
    else:
        switch(unit, estate_id, row, payload, now)


def withdraw(unit: Unit, estate_id: str, approval_id: str, *, actor: str, now: "Now") -> None:
    """Take a request back; anybody of the staff may."""
    row = kept.get(unit.connection, estate_id, approval_id)
    if row is None or row["status"] != "waiting":
        raise NotFound("there is no such request waiting in this estate")
    kept.update(unit.connection, estate_id, approval_id, status="withdrawn")
    if row["kind"] == KIND:
        rerating.withdraw(unit, estate_id, json.loads(row["payload"])["rerate_id"])
    audit.record(unit.connection, estate_id, actor, f"{row['kind']}.withdrawn", approval_id, now)
