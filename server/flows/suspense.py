"""Money that fits no order: a person gives it to a household, with a reason. It can also go back, as any payment."""

from typing import TYPE_CHECKING

from server.domain.ledger import SUSPENSE, Entry
from server.errors import Conflict, NotFound, Refused
from server.flows import accounts, recharges, schemes, supply
from server.flows.ledger import post_entries
from server.flows.refunds import get_payment
from server.store import audit
from server.store import refunds as kept
from server.store.payments import household_account
from server.store.unit import Unit

if TYPE_CHECKING:
    from server.clock import Now


def assign(
    unit: Unit, estate_id: str, payment_id: str, account_id: str, *, reason: str, actor: str, now: "Now"
) -> int:  # fmt: skip
    """Give a payment in suspense to a household, whole; the fen of its balance afterwards.

    NotFound without payment or open household, Conflict when it is somebody's already or is on its way back, Refused
    without a reason. The power follows as after any payment.
    """
    row = get_payment(unit, estate_id, payment_id)
    if row["state"] != "suspense":
        raise Conflict("this payment has a household already")
    if kept.returned_fen(unit.connection, estate_id, [payment_id]):
        raise Conflict("this payment went back, or is on its way back; look at its refunds")
    if not reason.strip():
        raise Refused("say how it is known whose money this is")
    if household_account(unit.connection, estate_id, account_id) is None:
        raise NotFound(f"there is no open household {account_id!r} in this estate")
    amount_fen = row["amount_fen"]
    entries = (Entry(account_id, amount_fen), Entry(SUSPENSE, -amount_fen))
    posted = post_entries(
        unit, estate_id, "assignment", account_id, entries, f"assignment:{payment_id}", now.world_s, actor,
        reason.strip(), now,
    )  # fmt: skip
    kept.update_payment(unit.connection, estate_id, payment_id, state="assigned", account_id=account_id)
    schemes.on_topup(unit, estate_id, account_id, now)
    supply.on_balances(unit, estate_id, [account_id], now)
    recharges.on_topup(unit, estate_id, account_id, now)
    detail = f"{amount_fen} fen to {account_id}: {reason.strip()}"
    audit.record(unit.connection, estate_id, actor, "suspense.assigned", payment_id, now, detail)
    accounts.close_if_done(unit, estate_id, account_id, actor=actor, reason=reason, now=now)
    return posted.balance_fen
