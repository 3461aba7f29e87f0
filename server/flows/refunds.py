"""Money on its way back, each step one unit of work: reserved, asked, then refunded or released.

The money leaves the balance when the refund is ordered, before anybody is asked, and comes back when the provider will
not take it. The number of a refund is made of its payment and the caller's key, so that a repeat is the same refund,
here and at the provider. Cash is reserved and given in one unit.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from sqlalchemy import RowMapping

from server.domain import refunds as rules
from server.domain.anomalies import REFUND_CONTRADICTED, REFUND_OPEN, REFUND_UNKNOWN, Finding
from server.domain.ledger import CASH, REFUNDS, SUSPENSE, Entry, payload_sha256, provider_account
from server.domain.refunds import (
    ASKED,
    BY_CASH,
    HAND_TRIES_MIN,
    OPEN,
    REFUNDED,
    RELEASED,
    RESERVED,
    SOURCE,
    Outcome,
    Returned,
    Wish,
)
from server.errors import Conflict, NotFound, Refused
from server.flows import billing, cases, inbox, notices, recovery, supply
from server.flows.accounts import close_if_done
from server.flows.ledger import ensure_account, post_entries
from server.store import audit
from server.store import refunds as kept
from server.store import schemes as accounts
from server.store.estates import get_account, get_estate
from server.store.meters import meters_of_account
from server.store.unit import Unit

if TYPE_CHECKING:
    from server.clock import Now

SYSTEM = "system"


def look_at(unit: Unit, estate_id: str, payment_id: str, amount_fen: int, *, actor: str, now: "Now") -> Wish:
    """What a refund of this payment would do now; what was used until the last accepted reading is charged first."""
    row = get_payment(unit, estate_id, payment_id)
    holder = _holder(row)
    if holder != SUSPENSE:
        meters = [one.meter_id for one in meters_of_account(unit.connection, estate_id, holder)]
        if meters:
            billing.charge_due(unit, estate_id, now, meter_ids=meters)
    balance = get_account(unit.connection, estate_id, holder)
    site = get_estate(unit.connection, estate_id)
    is_own = row["actor"] == actor and rules.same_day(site["time_zone"], row["created_at"] or 0, now.world_s)
    return Wish(
        amount_fen=amount_fen,
        paid_fen=row["amount_fen"],
        returned_fen=kept.returned_fen(unit.connection, estate_id, [payment_id]).get(payment_id, 0),
        available_fen=rules.available_fen(balance["balance_fen"], balance["residue_nf"]),
        way=way_of(row),
        is_own_sale=is_own,
        alone_max_fen=site["refund_alone_max_fen"],
    )


def as_approved(unit: Unit, estate_id: str, payload: Mapping[str, Any], *, actor: str, now: "Now") -> None:
    """Conflict where a refund would take money that the second person was not shown to be taken.

    That is the money of another household, or more consumed money than when it was asked for.
    """
    payment_id, amount_fen = payload["payment_id"], payload["amount_fen"]
    wish = look_at(unit, estate_id, payment_id, amount_fen, actor=actor, now=now)
    consumed_now = amount_fen > wish.available_fen and wish.available_fen < payload["available_fen"]
    if consumed_now or get_payment(unit, estate_id, payment_id)["account_id"] != payload["account_id"]:
        raise Conflict("this refund would take other money now than when it was asked for; withdraw it and ask again")


def order_refund(
    unit: Unit,
    estate_id: str,
    payment_id: str,
    amount_fen: int,
    *,
    key: str,
    reason: str,
    actor: str,
    now: "Now",
    approved_by: str = "",
) -> str:
    """Take the money out of the balance and let it go back; the number of the refund. The same key, the same one.

    Refused without a reason, for more than the payment has left, and where a second person must agree and none did;
    Conflict for a key that was used for another amount.
    """
    refund_no = number_of(payment_id, key)
    known = kept.get_refund(unit.connection, estate_id, refund_no)
    if known is not None:
        if known["amount_fen"] != amount_fen:
            raise Conflict(f"key {key!r} was used for a refund of {known['amount_fen']} fen; use a new key")
        return refund_no
    row = get_payment(unit, estate_id, payment_id)
    wish = look_at(unit, estate_id, payment_id, amount_fen, actor=actor, now=now)
    problem = reason_problem(reason) or rules.refusal(wish) or source_problem(row)
    if not problem and get_account(unit.connection, estate_id, _holder(row))["status"] == "closed":
        problem = f"the account {row['account_id']} is closed and settled; nothing is left to give back"
    if not problem and not approved_by and rules.second_person(wish):
        problem = f"a second person must agree: {rules.second_person(wish)}"
    if problem:
        raise Refused(problem)
    _reserve(unit, estate_id, row, refund_no, amount_fen, actor, now)
    kept.add_refund(
        unit.connection, estate_id=estate_id, refund_no=refund_no, payment_id=payment_id, provider=row["provider"],
        order_no=row["order_no"], account_id=None if _holder(row) == SUSPENSE else row["account_id"],
        amount_fen=amount_fen, way=wish.way, status=RESERVED, reason=reason.strip(), actor=actor,
        approved_by=approved_by or None, created_at=now.world_s, created_ms=now.machine_ms,
    )  # fmt: skip
    detail = f"{amount_fen} fen of payment {payment_id}: {reason.strip()}"
    audit.record(unit.connection, estate_id, actor, "refund.ordered", refund_no, now, detail)
    if wish.way == BY_CASH:
        settle_refunded(unit, estate_id, refund_no, "", now, actor=actor)
    unit.announce("refund", refund_no)
    return refund_no


def reverse_sale(unit: Unit, estate_id: str, order_no: str, *, reason: str, actor: str, now: "Now") -> str:
    """Take back a cashier's own last sale of today, whole; the number of the refund. A repeat gives the same one.

    What of it went to debts comes back from them first, in the same unit: the debts stand as before the sale.
    Refused when it was not the last one, not today, or part of it is consumed: then a refund is needed.
    """
    found = kept.find_payments(unit.connection, estate_id, order_no, limit=1)
    if not found or found[0]["order_no"] != order_no or found[0]["provider"] != CASH:
        raise NotFound("there is no such sale at the counter of this estate")
    key = f"reversal:{order_no}"
    if not is_known(unit, estate_id, found[0]["payment_id"], key):
        last = kept.newest_sale(unit.connection, estate_id, actor)
        if last is None or last["order_no"] != order_no:
            raise Refused("only your own last sale can be reversed; give the money back by a refund instead")
        if found[0]["state"] == "credited":
            recovery.undo(unit, estate_id, found[0]["account_id"], found[0]["payment_id"], actor=actor, now=now)
        wish = look_at(unit, estate_id, found[0]["payment_id"], found[0]["amount_fen"], actor=actor, now=now)
        if wish.amount_fen > wish.available_fen or not wish.is_own_sale:
            raise Refused("this sale is not of today, or part of it is consumed; give the money back by a refund")
    return order_refund(
        unit, estate_id, found[0]["payment_id"], found[0]["amount_fen"], key=key, reason=reason, actor=actor, now=now
    )


def mark_asked(unit: Unit, estate_id: str, refund_no: str, now: "Now") -> None:
    """Commit, before the provider hears of it, that it may have heard of it."""
    row = _open(unit, estate_id, refund_no)
    next_ms = rules.next_try_ms(row["tries"], now.machine_ms)
    kept.update_refund(unit.connection, estate_id, refund_no, status=ASKED, next_ms=next_ms)


def note_open(unit: Unit, estate_id: str, refund_no: str, detail: str, now: "Now") -> None:
    """Nobody can tell yet: it is asked for again later, and after a day somebody has to look after it."""
    row = _open(unit, estate_id, refund_no)
    tries = row["tries"] + 1
    next_ms = rules.next_try_ms(tries, now.machine_ms)
    kept.update_refund(unit.connection, estate_id, refund_no, detail=detail[:500], tries=tries, next_ms=next_ms)
    if rules.is_late(row["created_ms"], now.machine_ms):
        evidence: dict[str, object] = {"amount_fen": row["amount_fen"], "provider": row["provider"], "reason": detail}
        finding = Finding(REFUND_OPEN, refund_no, _room(unit, estate_id, row), "medium", evidence)
        cases.raise_case(unit, estate_id, finding, now)


def settle_refunded(
    unit: Unit, estate_id: str, refund_no: str, detail: str, now: "Now", *, actor: str = SYSTEM
) -> None:
    """The payer has the money: it is the provider's, or out of the till."""
    row = _open(unit, estate_id, refund_no)
    amount_fen, provider = row["amount_fen"], provider_account(row["provider"])
    entries = (Entry(REFUNDS, -amount_fen), Entry(provider, amount_fen))
    _post(unit, estate_id, "refund_paid", entries, refund_no, actor, now)
    _decide(unit, estate_id, row, REFUNDED, detail, actor, now)
    if row["account_id"] is not None:
        close_if_done(unit, estate_id, row["account_id"], actor=actor, reason=row["reason"], now=now)


def settle_released(
    unit: Unit, estate_id: str, refund_no: str, detail: str, now: "Now", *, actor: str = SYSTEM
) -> None:
    """The provider has not moved it and will not: the money is back in the balance that it came from."""
    row = _open(unit, estate_id, refund_no)
    amount_fen, holder = row["amount_fen"], row["account_id"] or SUSPENSE
    entries = (Entry(holder, amount_fen), Entry(REFUNDS, -amount_fen))
    _post(unit, estate_id, "refund_return", entries, refund_no, actor, now)
    _decide(unit, estate_id, row, RELEASED, detail, actor, now)
    if row["account_id"] is not None:
        supply.on_balances(unit, estate_id, [holder], now)
        _tell(unit, estate_id, holder, "refund_return", amount_fen, now)


def hear(unit: Unit, estate_id: str, refund_no: str, state: str, detail: str, now: "Now") -> None:
    """Take in what the provider says of a refund when it is asked: done, pending or failed."""
    row = kept.get_refund(unit.connection, estate_id, refund_no)
    said = {"done": REFUNDED, "failed": RELEASED}.get(state)
    if row is None or row["status"] == said:
        return
    if row["status"] not in OPEN:
        if said is not None:
            _contradict(unit, estate_id, row, f"{row['provider']} says {state}", {"state": state}, now)
    elif said == REFUNDED:
        settle_refunded(unit, estate_id, refund_no, detail, now)
    elif said == RELEASED:
        settle_released(unit, estate_id, refund_no, detail, now)
    else:
        note_open(unit, estate_id, refund_no, detail, now)


def decide_by_hand(
    unit: Unit, estate_id: str, refund_no: str, *, refunded: bool, reason: str, actor: str, approved_by: str, now: "Now"
) -> None:
    """Two people know from the provider what became of it: who looked there, and who has agreed.

    Refused without a reason, before it was asked for often enough, and without a second person.
    """
    may_decide(unit, estate_id, refund_no, reason)
    if not approved_by or approved_by == actor:
        raise Refused("a second person must agree: what a provider did is decided by people here")
    settle = settle_refunded if refunded else settle_released
    settle(unit, estate_id, refund_no, f"{reason.strip()} ({actor}, {approved_by})", now, actor=actor)


def may_decide(unit: Unit, estate_id: str, refund_no: str, reason: str) -> RowMapping:
    """The open refund of which people may decide; Refused without a reason, or before it was asked for enough."""
    row = _open(unit, estate_id, refund_no)
    problem = reason_problem(reason)
    if not problem and row["tries"] < HAND_TRIES_MIN:
        problem = f"it was asked for {row['tries']} times only; after {HAND_TRIES_MIN} people may decide"
    if problem:
        raise Refused(problem)
    return row


def record_callback(unit: Unit, estate_id: str, event: Returned, body: str, *, now: "Now") -> Outcome:
    """Take a verified message about a refund in: kept as it came, settled at most once.

    What names another amount or order, or takes back what was decided, changes nothing: it becomes a case.
    """
    row = kept.get_refund(unit.connection, estate_id, event.refund_no)
    outcome = _outcome(row, event)
    inbox.keep(unit, estate_id, event.provider, event.event_id, body, f"refund:{outcome}", now)
    if outcome is Outcome.REFUNDED:
        settle_refunded(unit, estate_id, event.refund_no, "told by the provider", now)
    elif outcome is Outcome.RELEASED:
        settle_released(unit, estate_id, event.refund_no, "refused by the provider", now)
    elif outcome is Outcome.NOTED:
        kept.update_refund(unit.connection, estate_id, event.refund_no, next_ms=0)
        unit.announce("refund", event.refund_no)
    elif outcome in (Outcome.UNKNOWN, Outcome.CONTRADICTED):
        _raise(unit, estate_id, row, event, outcome, now)
    return outcome


def _outcome(row: RowMapping | None, event: Returned) -> Outcome:
    if row is None:
        return Outcome.UNKNOWN
    order_no = row["order_no"] or event.order_no  # of a payment without an order only the provider knows one
    same = (row["provider"], order_no) == (event.provider, event.order_no)
    if not same or event.amount_fen not in (None, row["amount_fen"]):
        return Outcome.CONTRADICTED
    said = {"done": REFUNDED, "failed": RELEASED}.get(event.state)
    if row["status"] in OPEN:
        if said is None or event.amount_fen is None or row["status"] == RESERVED:
            return Outcome.NOTED
        return Outcome.REFUNDED if said == REFUNDED else Outcome.RELEASED
    return Outcome.REPEAT if said in (None, row["status"]) else Outcome.CONTRADICTED


def _raise(unit: Unit, estate_id: str, row: RowMapping | None, event: Returned, outcome: Outcome, now: "Now") -> None:
    """Somebody else sent money back, or the provider says otherwise than before: a person must look."""
    detail = f"{event.provider} says {event.state} of refund {event.refund_no}, order {event.order_no}"
    said: dict[str, object] = {"order_no": event.order_no, "state": event.state}
    if event.amount_fen is not None:
        said["amount_fen"] = event.amount_fen
    if row is not None:
        _contradict(unit, estate_id, row, detail, said, now)
        return
    audit.record(unit.connection, estate_id, event.provider, f"refund.{outcome}", event.refund_no, now, detail)
    finding = Finding(REFUND_UNKNOWN, event.refund_no, None, "high", {"provider": event.provider, **said})
    cases.raise_case(unit, estate_id, finding, now)


def _contradict(unit: Unit, estate_id: str, row: RowMapping, detail: str, said: dict[str, object], now: "Now") -> None:
    audit.record(unit.connection, estate_id, row["provider"], "refund.contradicted", row["refund_no"], now, detail)
    evidence = {"provider": row["provider"], "status": row["status"], **said}
    finding = Finding(REFUND_CONTRADICTED, row["refund_no"], _room(unit, estate_id, row), "high", evidence)
    cases.raise_case(unit, estate_id, finding, now)


def number_of(payment_id: str, key: str) -> str:
    """The number under which the provider hears of a refund."""
    return payload_sha256("refund", payment_id, key)[:32]


def is_known(unit: Unit, estate_id: str, payment_id: str, key: str) -> bool:
    """Whether a refund was ordered under this key."""
    return kept.get_refund(unit.connection, estate_id, number_of(payment_id, key)) is not None


def reason_problem(reason: str) -> str:
    """Why this is no reason, or an empty text."""
    return "" if reason.strip() else "say why the money goes back"


def get_payment(unit: Unit, estate_id: str, payment_id: str) -> RowMapping:
    """The payment; NotFound."""
    row = kept.get_payment(unit.connection, estate_id, payment_id)
    if row is None:
        raise NotFound("there is no such payment in this estate")
    return row


def source_problem(row: RowMapping) -> str:
    """Why a payment cannot go back the way it came, or an empty text."""
    if way_of(row) == BY_CASH:
        return ""
    return rules.source_problem(row["provider"], row["order_no"], row["transaction_id"])


def way_of(row: RowMapping) -> str:
    """How this payment goes back: the way it came."""
    return BY_CASH if row["provider"] == CASH else SOURCE


def _holder(row: RowMapping) -> str:
    """The account that has the money of a payment."""
    return SUSPENSE if row["state"] == "suspense" else str(row["account_id"])


def _reserve(
    unit: Unit, estate_id: str, row: RowMapping, refund_no: str, amount_fen: int, actor: str, now: "Now"
) -> None:
    """Money out of the balance; the alarm level of the household rises at the next charge, which tells it."""
    holder = _holder(row)
    level = get_account(unit.connection, estate_id, holder)["level"]
    ensure_account(unit, estate_id, REFUNDS)
    entries = (Entry(holder, -amount_fen), Entry(REFUNDS, amount_fen))
    posted = _post(unit, estate_id, "refund", entries, refund_no, actor, now)
    if holder == SUSPENSE:
        return
    if posted > level:
        accounts.update_account(unit.connection, estate_id, holder, level=level)
    _tell(unit, estate_id, holder, "refund", amount_fen, now)


def _post(
    unit: Unit, estate_id: str, kind: str, entries: tuple[Entry, Entry], refund_no: str, actor: str, now: "Now"
) -> int:
    posted = post_entries(
        unit, estate_id, kind, entries[0].account_id, entries, f"{kind}:{refund_no}", now.world_s, actor, "", now
    )
    return posted.level


def _decide(unit: Unit, estate_id: str, row: RowMapping, status: str, detail: str, actor: str, now: "Now") -> None:
    refund_no = row["refund_no"]
    kept.update_refund(
        unit.connection, estate_id, refund_no, status=status, detail=detail[:500], decided_ms=now.machine_ms
    )
    audit.record(unit.connection, estate_id, actor, f"refund.{status}", refund_no, now, detail)
    cases.settle(unit, estate_id, (REFUND_OPEN, refund_no), f"{status} by {actor}", now)
    if row["order_no"]:
        unit.announce("order", row["order_no"])


def _tell(unit: Unit, estate_id: str, account_id: str, kind: str, amount_fen: int, now: "Now") -> None:
    row = get_account(unit.connection, estate_id, account_id)
    arguments: dict[str, int | str] = {
        "amount_fen": amount_fen,
        "balance_fen": row["balance_fen"],
        "room": row["room_id"] or "",
    }
    notices.enqueue(unit, estate_id, account_id, kind, arguments, now)


def _room(unit: Unit, estate_id: str, row: RowMapping) -> str | None:
    if row["account_id"] is None:
        return None
    room_id: str | None = get_account(unit.connection, estate_id, row["account_id"])["room_id"]
    return room_id


def _open(unit: Unit, estate_id: str, refund_no: str) -> RowMapping:
    row = kept.get_refund(unit.connection, estate_id, refund_no)
    if row is None:
        raise NotFound("there is no such refund in this estate")
    if row["status"] not in OPEN:
        raise Conflict(f"this refund has been decided already: {row['status']}")
    return row
