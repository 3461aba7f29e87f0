"""Money in: orders, callbacks, cash and third parties, each exactly once.

A top-up is one unit: payment, double entry, order, desired relay state and notice commit together or not at all.
Verified money that fits no order is booked to suspense and audited; it is never lost and never a household's credit.
"""

import json
import secrets
from dataclasses import dataclass, field
from hashlib import sha256
from typing import TYPE_CHECKING
from uuid import uuid4
from zoneinfo import ZoneInfo

from sqlalchemy import RowMapping

from server.domain.healing import midnights
from server.domain.ledger import CASH, SUSPENSE, PostedTopup
from server.domain.payments import (
    COUNTER_MIN_FEN,
    ORDER_CHANNELS,
    CallbackResult,
    Limits,
    OrderFacts,
    Paid,
    suspense_reason,
)
from server.errors import Conflict, NotFound, Refused
from server.flows import inbox, notices, recharges, schemes, supply
from server.flows.ledger import ensure_account, key_reused, post_topup
from server.store import audit
from server.store import payments as kept
from server.store.estates import get_account, get_estate
from server.store.unit import Unit

if TYPE_CHECKING:
    from server.clock import Now

TOKEN_BYTES = 32
COUNTER = "counter"


@dataclass(frozen=True, slots=True)
class Order:
    """A committed order; the token lets its holder watch it without a login."""

    order_no: str
    token: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Sale:
    """A booked sale at the counter."""

    order_no: str
    batch_seq: int
    balance_fen: int


@dataclass(frozen=True, slots=True)
class _Money:
    """Verified money on its way into the books."""

    provider: str
    transaction_id: str
    amount_fen: int
    order_no: str | None
    actor: str
    paid_ms: int


def create_order(
    unit: Unit,
    estate_id: str,
    account_id: str,
    amount_fen: int,
    provider: str,
    channel: str,
    actor: str,
    now: "Now",
) -> Order:
    """Commit an order before any provider is asked. Refused for an amount out of range, NotFound without household."""
    if channel not in ORDER_CHANNELS:
        raise Refused(f"channel {channel!r} is unknown; allowed: {', '.join(ORDER_CHANNELS)}")
    row = _household(unit, estate_id, account_id)
    problem = _limits(unit, estate_id).problem(amount_fen, row["balance_fen"])
    if problem:
        raise Refused(problem)
    token = secrets.token_urlsafe(TOKEN_BYTES)
    order_no = _add_order(
        unit, estate_id, account_id, amount_fen, provider, channel, actor, now,
        token_sha256=sha256(token.encode()).hexdigest(),
    )  # fmt: skip
    return Order(order_no, token)


def close_order(unit: Unit, estate_id: str, order_no: str, now: "Now", *, reason: str) -> bool:
    """Close an order that nobody paid; False when it was decided meanwhile."""
    row = kept.get_order(unit.connection, estate_id, order_no)
    if row is None or row["status"] != "created":
        return False
    kept.update_order(unit.connection, estate_id, order_no, status="closed")
    audit.record(unit.connection, estate_id, "system", "order.closed", order_no, now, reason)
    unit.announce("order", order_no)
    return True


def record_callback(unit: Unit, estate_id: str, event: Paid, body: str, *, now: "Now") -> CallbackResult:
    """Take a verified message in: kept as it came, credited at most once.

    A repeat changes nothing. Unknown order, other amount, other provider, closed or paid order, closed account:
    suspense and audit.
    """
    known = kept.payment_of_transaction(unit.connection, estate_id, event.provider, event.transaction_id)
    if known is not None:
        return _repeat(unit, estate_id, event, body, known, now)
    if not event.paid or event.amount_fen <= 0:
        inbox.keep(unit, estate_id, event.provider, event.event_id, body, "failed", now)
        return CallbackResult.IGNORED
    row = kept.get_order(unit.connection, estate_id, event.order_no)
    order = OrderFacts(row["provider"], row["amount_fen"], row["status"]) if row is not None else None
    reason = suspense_reason(order, event)
    if row is not None and kept.household_account(unit.connection, estate_id, row["account_id"]) is None:
        reason = reason or f"the account {row['account_id']} is closed"
    money = _Money(
        event.provider, event.transaction_id, event.amount_fen, event.order_no, event.provider, event.paid_ms
    )
    if reason or row is None:
        inbox.keep(unit, estate_id, event.provider, event.event_id, body, "suspense", now)
        _suspend(unit, estate_id, money, reason, now)
        return CallbackResult.SUSPENSE
    inbox.keep(unit, estate_id, event.provider, event.event_id, body, "credited", now)
    _credit(unit, estate_id, row["account_id"], money, event.order_no, now)
    return CallbackResult.CREDITED


def sell_at_counter(
    unit: Unit, estate_id: str, account_id: str, amount_fen: int, *, actor: str, idem_key: str, now: "Now"
) -> Sale:
    """Book cash that a cashier has taken; the same key again gives the same answer and books nothing.

    Conflict when the key was used for another household, amount or cashier.
    """
    request = sha256(f"{account_id}\n{amount_fen}\n{actor}".encode()).hexdigest()
    before = _answer_before(unit, estate_id, COUNTER, idem_key, request, now)
    if before is not None:
        return Sale(str(before["order_no"]), int(str(before["batch_seq"])), int(str(before["balance_fen"])))
    row, limits = _household(unit, estate_id, account_id), _limits(unit, estate_id)
    problem = limits.problem(amount_fen, row["balance_fen"], minimum_fen=COUNTER_MIN_FEN)
    if not problem and limits.sales_day_max_fen is not None:
        zone = ZoneInfo(get_estate(unit.connection, estate_id)["time_zone"])
        since_s = midnights(now.world_s, zone, 1)[0]
        problem = limits.till_problem(amount_fen, kept.taken_by(unit.connection, estate_id, actor, since_s))
    if problem:
        raise Refused(problem)
    order_no = _add_order(unit, estate_id, account_id, amount_fen, CASH, COUNTER, actor, now)
    money = _Money(CASH, order_no, amount_fen, order_no, actor, now.machine_ms)
    posted = _credit(unit, estate_id, account_id, money, order_no, now)
    sale = {"order_no": order_no, "batch_seq": posted.batch_seq, "balance_fen": posted.balance_fen}
    _keep_answer(unit, estate_id, COUNTER, idem_key, request, sale, now)
    audit.record(unit.connection, estate_id, actor, "topup.sold", account_id, now, f"{amount_fen} fen, {order_no}")
    return Sale(order_no, posted.batch_seq, posted.balance_fen)


def accept_topup(
    unit: Unit,
    estate_id: str,
    *,
    client_id: str,
    idem_key: str,
    body_sha256: str,
    account_id: str | None,
    room_id: str | None,
    amount_fen: int,
    transaction_id: str,
    now: "Now",
) -> dict[str, object]:
    """Credit money that a third party has taken; the same key and body get the same answer.

    Conflict for the key with another body, or a transaction that came under another key. Money for a household
    that does not exist goes to suspense. The answer: result, transaction_id, amount_fen, batch_seq, balance_fen.
    """
    before = _answer_before(unit, estate_id, client_id, idem_key, body_sha256, now)
    if before is not None:
        return before
    provider, limits = f"client:{client_id}", _limits(unit, estate_id)
    if kept.payment_of_transaction(unit.connection, estate_id, provider, transaction_id) is not None:
        raise Conflict(f"transaction {transaction_id!r} was booked under another Idempotency-Key; nothing was credited")
    row = kept.household_account(unit.connection, estate_id, account_id, room_id)
    problem = limits.problem(amount_fen, row["balance_fen"] if row else 0, minimum_fen=COUNTER_MIN_FEN)
    if problem:
        raise Refused(f"{problem}; nothing was credited")
    if row is None:
        money = _Money(provider, transaction_id, amount_fen, None, provider, now.machine_ms)
        posted = _suspend(unit, estate_id, money, f"no household {account_id or room_id}", now)
        result, balance_fen = "suspense", None
    else:
        name = row["account_id"]
        order_no = _add_order(unit, estate_id, name, amount_fen, provider, "third_party", provider, now)
        money = _Money(provider, transaction_id, amount_fen, order_no, provider, now.machine_ms)
        posted = _credit(unit, estate_id, name, money, order_no, now)
        result, balance_fen = "credited", posted.balance_fen
    answer: dict[str, object] = {
        "result": result,
        "transaction_id": transaction_id,
        "amount_fen": amount_fen,
        "batch_seq": posted.batch_seq,
        "balance_fen": balance_fen,
    }
    _keep_answer(unit, estate_id, client_id, idem_key, body_sha256, answer, now)
    return answer


def _limits(unit: Unit, estate_id: str) -> Limits:
    return kept.limits_of(get_estate(unit.connection, estate_id))


def _household(unit: Unit, estate_id: str, account_id: str) -> RowMapping:
    row = kept.household_account(unit.connection, estate_id, account_id)
    if row is None:
        raise NotFound(f"there is no open household {account_id!r} in this estate")
    return row


def _add_order(
    unit: Unit,
    estate_id: str,
    account_id: str,
    amount_fen: int,
    provider: str,
    channel: str,
    actor: str,
    now: "Now",
    *,
    token_sha256: str = "",
) -> str:
    order_no = uuid4().hex
    kept.add_order(
        unit.connection,
        estate_id=estate_id,
        order_no=order_no,
        account_id=account_id,
        amount_fen=amount_fen,
        provider=provider,
        channel=channel,
        token_sha256=token_sha256,
        created_ms=now.machine_ms,
        created_at=now.world_s,
        actor=actor,
    )
    return order_no


def _credit(unit: Unit, estate_id: str, account_id: str, money: _Money, order_no: str, now: "Now") -> PostedTopup:
    """Book to the household, settle the order, wish the power back, tell the household."""
    dark = {
        name for name, relay, _ in kept.relays_of_account(unit.connection, estate_id, account_id) if relay == "open"
    }
    payment_id, posted = _book(unit, estate_id, account_id, money, "credited", now)
    supply.on_balances(unit, estate_id, [account_id], now)
    recharges.on_topup(unit, estate_id, account_id, now)
    wanted = {
        name
        for name, _, desired in kept.relays_of_account(unit.connection, estate_id, account_id)
        if desired == "closed"
    }
    kept.update_order(
        unit.connection,
        estate_id,
        order_no,
        status="paid",
        paid_ms=now.machine_ms,
        payment_id=payment_id,
        powered_off=int(bool(dark & wanted)),
    )
    room = get_account(unit.connection, estate_id, account_id)["room_id"] or ""
    arguments: dict[str, int | str] = {
        "amount_fen": money.amount_fen,
        "balance_fen": posted.balance_fen,
        "room": room,
    }
    notices.enqueue(unit, estate_id, account_id, "topup", arguments, now)
    unit.announce("order", order_no)
    return posted


def _suspend(unit: Unit, estate_id: str, money: _Money, reason: str, now: "Now") -> PostedTopup:
    ensure_account(unit, estate_id, SUSPENSE)
    payment_id, posted = _book(unit, estate_id, SUSPENSE, money, "suspense", now)
    detail = f"{money.amount_fen} fen of {money.provider}, transaction {money.transaction_id}: {reason}"
    audit.record(unit.connection, estate_id, money.actor, "payment.suspense", payment_id, now, detail)
    return posted


def _book(
    unit: Unit, estate_id: str, account_id: str, money: _Money, state: str, now: "Now"
) -> tuple[str, PostedTopup]:
    posted = post_topup(
        unit,
        estate_id,
        account_id,
        money.amount_fen,
        provider=money.provider,
        idem_key=f"topup:{money.provider}:{money.transaction_id}",
        event_at=now.world_s,
        actor=money.actor,
        now=now,
    )
    payment_id = uuid4().hex
    kept.add_payment(
        unit.connection,
        estate_id=estate_id,
        payment_id=payment_id,
        provider=money.provider,
        transaction_id=money.transaction_id,
        order_no=money.order_no,
        account_id=None if account_id == SUSPENSE else account_id,
        amount_fen=money.amount_fen,
        batch_seq=posted.batch_seq,
        event_at=now.world_s,
        created_ms=now.machine_ms,
        state=state,
        paid_ms=money.paid_ms or None,
    )
    if state == "credited":
        schemes.on_topup(unit, estate_id, account_id, now)
        if _limits(unit, estate_id).is_hoard(posted.balance_fen):
            detail = f"the balance is {posted.balance_fen} fen after {money.amount_fen} fen of {money.provider}"
            audit.record(unit.connection, estate_id, money.actor, "topup.beyond_limit", payment_id, now, detail)
    return payment_id, posted


def _repeat(unit: Unit, estate_id: str, event: Paid, body: str, known: RowMapping, now: "Now") -> CallbackResult:
    """A transaction that is booked stays booked as it is; a message that contradicts it is audited."""
    same = event.paid and known["amount_fen"] == event.amount_fen and known["order_no"] == event.order_no
    if not same:
        detail = f"booked {known['amount_fen']} fen for {known['order_no']}; now {event.amount_fen} fen for "
        detail += f"{event.order_no}, paid {event.paid}"
        audit.record(
            unit.connection, estate_id, event.provider, "payment.contradicted", known["payment_id"], now, detail
        )  # fmt: skip
    if not same or not kept.inbox_has(unit.connection, estate_id, event.provider, event.event_id):
        verdict = "repeat" if same else "contradicted"
        inbox.keep(unit, estate_id, event.provider, event.event_id, body, verdict, now)
    return CallbackResult.REPEAT


def _answer_before(
    unit: Unit, estate_id: str, client_id: str, idem_key: str, request: str, now: "Now"
) -> dict[str, object] | None:
    row = kept.kept_answer(unit.connection, estate_id, client_id, idem_key)
    if row is None:
        return None
    if row["body_sha256"] != request:
        key_reused(unit, estate_id, client_id, idem_key, now)
        raise Conflict("this key came before with another request; nothing was booked, use a new key")
    answer: dict[str, object] = json.loads(row["answer"])
    return answer


def _keep_answer(
    unit: Unit, estate_id: str, client_id: str, idem_key: str, request: str, answer: dict[str, object], now: "Now"
) -> None:
    kept.keep_answer(
        unit.connection,
        estate_id=estate_id,
        client_id=client_id,
        idem_key=idem_key,
        body_sha256=request,
        status=200,
        answer=json.dumps(answer),
        created_ms=now.machine_ms,
    )
