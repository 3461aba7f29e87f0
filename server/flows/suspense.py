"""Money that fits no order: a person gives it to a household, with a reason. It can also go back, as any payment.

It is a top-up of that household then, like any other: limits, debts, notice and power follow. It is told in the
account's life; with what the person booked alone on the account within a day it is held to the estate's
`adjust_alone`, beyond which a second person agrees.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import RowMapping

from server.domain.accounts import ASSIGNED, LEFT, LIMITED_S, needs_second_person
from server.domain.ledger import ASSIGNMENT, ELECTRICITY, SUSPENSE, Entry
from server.errors import Conflict, NotFound, Refused
from server.flows import accounts, notices, recharges, recovery, schemes, supply
from server.flows.crediting import PAID_UP
from server.flows.ledger import post_entries
from server.flows.refunds import get_payment
from server.flows.second_person import ask
from server.store import accounts as lives
from server.store import approvals, audit
from server.store import refunds as kept
from server.store.estates import get_account, get_estate
from server.store.payments import household_account, limits_of
from server.store.unit import Unit

if TYPE_CHECKING:
    from server.clock import Now

REQUEST = ASSIGNMENT


@dataclass(frozen=True, slots=True)
class Assigned:
    """The household's balance, and the batch, or the request that waits for its second person (batch_seq None)."""

    balance_fen: int
    batch_seq: int | None = None
    approval_id: str = ""


def assign(
    unit: Unit, estate_id: str, payment_id: str, account_id: str, *, reason: str, actor: str, now: "Now",
    fresh: bool = True,
) -> Assigned:  # fmt: skip
    """Give a payment in suspense to a household, whole, or ask for the second person that it needs.

    NotFound without payment or open household, Conflict when it is somebody's already, waits for another household or
    is on its way back, Refused without a reason, StaleLogin where two people must agree and the password of who asks
    is not `fresh`.
    """
    row = _judged(unit, estate_id, payment_id, account_id, reason)
    balance_fen = get_account(unit.connection, estate_id, account_id)["balance_fen"]
    for approval_id, payload in approvals.payloads(unit.connection, estate_id, now.machine_ms, REQUEST).items():
        if payload["payment_id"] == payment_id and payload["account_id"] == account_id:
            return Assigned(balance_fen, approval_id=approval_id)
        if payload["payment_id"] == payment_id:
            raise Conflict("another household for it waits for a second person already; withdraw that first")
    alone_fen = lives.booked_alone(unit.connection, estate_id, account_id, actor, now.world_s - LIMITED_S)
    limit_fen = get_estate(unit.connection, estate_id)["adjust_alone_fen"]
    if not needs_second_person(row["amount_fen"] + alone_fen, limit_fen):
        return _post(unit, estate_id, row, account_id, reason, actor, None, now)
    payload = {
        "kind": REQUEST, "act": ASSIGNED, "payment_id": payment_id, "account_id": account_id, "ledger": ELECTRICITY,
        "amount_fen": row["amount_fen"], "provider": row["provider"], "reason": reason.strip(),
    }  # fmt: skip
    return Assigned(balance_fen, approval_id=ask(unit, estate_id, REQUEST, payload, actor, now, fresh=fresh))


def carry_out(
    unit: Unit, estate_id: str, payload: Mapping[str, Any], *, actor: str, approved_by: str, now: "Now"
) -> Assigned:
    """Give it as a second person agreed to; NotFound or Conflict where that is not possible any more."""
    payment_id, account_id, reason = payload["payment_id"], payload["account_id"], payload["reason"]
    row = _judged(unit, estate_id, payment_id, account_id, reason)
    return _post(unit, estate_id, row, account_id, reason, actor, approved_by, now)


def _judged(unit: Unit, estate_id: str, payment_id: str, account_id: str, reason: str) -> RowMapping:
    """The payment, if it can be given to this household."""
    row = get_payment(unit, estate_id, payment_id)
    if row["state"] != "suspense":
        raise Conflict("this payment has a household already")
    if kept.returned_fen(unit.connection, estate_id, [payment_id]):
        raise Conflict("this payment went back, or is on its way back; look at its refunds")
    if not reason.strip():
        raise Refused("say how it is known whose money this is")
    if household_account(unit.connection, estate_id, account_id) is None:
        raise NotFound(f"there is no open household {account_id!r} in this estate")
    return row


def _post(
    unit: Unit, estate_id: str, row: RowMapping, account_id: str, reason: str, actor: str, approved_by: str | None,
    now: "Now",
) -> Assigned:  # fmt: skip
    connection, payment_id, amount_fen = unit.connection, row["payment_id"], row["amount_fen"]
    site, before = get_estate(connection, estate_id), get_account(connection, estate_id, account_id)
    due = recovery.before_topups(connection, estate_id, [account_id], now).get(account_id)
    entries = (Entry(account_id, amount_fen), Entry(SUSPENSE, -amount_fen))
    posted = post_entries(
        unit, estate_id, ASSIGNMENT, account_id, entries, f"{ASSIGNMENT}:{payment_id}", now.world_s, actor,
        reason.strip(), now,
    )  # fmt: skip
    kept.update_payment(connection, estate_id, payment_id, state="assigned", account_id=account_id)
    accounts.tell(
        unit, estate_id, before, ASSIGNED, actor=actor, approved_by=approved_by, reason=reason, now=now,
        ledger=ELECTRICITY, amount_fen=amount_fen, limit_fen=site["adjust_alone_fen"], batch_seq=posted.batch_seq,
    )  # fmt: skip
    detail = f"{amount_fen} fen to {account_id}: {reason.strip()}"
    audit.record(connection, estate_id, actor, "suspense.assigned", payment_id, now, detail)
    if limits_of(site).is_hoard(posted.balance_fen):
        detail = f"the balance is {posted.balance_fen} fen after {amount_fen} fen of {row['provider']}"
        audit.record(connection, estate_id, actor, "topup.beyond_limit", payment_id, now, detail)
    balance_fen = _follow(unit, estate_id, row, before, due, posted.balance_fen, actor, now)
    return Assigned(balance_fen, posted.batch_seq)


def _follow(
    unit: Unit, estate_id: str, row: RowMapping, before: RowMapping, due: recovery.Due | None, balance_fen: int,
    actor: str, now: "Now",
) -> int:  # fmt: skip
    """What any top-up brings about: limits, debts, notice, power, the credit of a meter, a left account's end."""
    account_id, amount_fen = before["account_id"], row["amount_fen"]
    told: dict[str, int | str] = {"amount_fen": amount_fen, "room": before["room_id"] or ""}
    schemes.on_topup(unit, estate_id, account_id, now)
    if due is not None:
        moved_fen, balance_fen = recovery.on_topup(
            unit, estate_id, account_id, row["payment_id"], amount_fen, due, actor=actor, now=now
        )
        told |= {"recovered_fen": moved_fen} if moved_fen else {}
    notices.enqueue(unit, estate_id, account_id, "topup", {**told, "balance_fen": balance_fen}, now)
    supply.on_balances(unit, estate_id, [account_id], now)
    recharges.on_topup(unit, estate_id, account_id, now)
    if before["status"] == LEFT:
        accounts.close_if_done(unit, estate_id, account_id, actor=actor, reason=PAID_UP, now=now)
    return balance_fen
