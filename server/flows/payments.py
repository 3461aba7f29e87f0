"""Money in: orders, callbacks and cash, each exactly once.

A top-up is one unit: payment, double entry, order, desired relay state and notice commit together or not at all.
Verified money that fits no order is booked to suspense and audited; it is never lost and never a household's credit.
"""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from server.domain.healing import midnights
from server.domain.ledger import CASH
from server.domain.payments import (
    COUNTER_MIN_FEN,
    ORDER_CHANNELS,
    CallbackResult,
    OrderFacts,
    Paid,
    suspense_reason,
)
from server.errors import Conflict, EstateError, NotFound, Refused
from server.flows import inbox
from server.flows.answers import Answer, answer_before, answer_row
from server.flows.crediting import Credit, Money, credit, credit_all, new_order, rounds
from server.store import audit
from server.store import payments as kept
from server.store.bulk import Bundle
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
    row, site = _household(unit, estate_id, account_id), kept.site(unit.connection, estate_id)
    problem = kept.limits_of(site).problem(amount_fen, row["balance_fen"])
    if problem:
        raise Refused(problem)
    token = secrets.token_urlsafe(TOKEN_BYTES)
    digest = sha256(token.encode()).hexdigest()
    order = new_order(estate_id, account_id, amount_fen, provider, channel, actor, now, digest)
    bundle = Bundle()
    kept.add_orders(bundle, [order])
    bundle.send(unit.connection)
    return Order(str(order["order_no"]), token)


def close_order(unit: Unit, estate_id: str, order_no: str, now: "Now", *, reason: str) -> bool:
    """Close an order that nobody paid; False when it was decided meanwhile."""
    row = kept.get_order(unit.connection, estate_id, order_no)
    if row is None or row["status"] != "created":
        return False
    kept.update_order(unit.connection, estate_id, order_no, status="closed")
    audit.record(unit.connection, estate_id, "system", "order.closed", order_no, now, reason)
    unit.announce("order", order_no)
    return True


@dataclass(frozen=True, slots=True)
class Message:
    """A verified message of a provider: what it says, its raw body, and when it came."""

    event: Paid
    body: str = field(repr=False)
    now: "Now"

    @property
    def transaction(self) -> tuple[str, str]:
        """Provider and transaction."""
        return self.event.provider, self.event.transaction_id

    @property
    def event_key(self) -> tuple[str, str]:
        """Provider and event, as the inbox keeps it."""
        return self.event.provider, self.event.event_id[: inbox.EVENT_ID_LENGTH_MAX]


def record_callback(unit: Unit, estate_id: str, event: Paid, body: str, *, now: "Now") -> CallbackResult:
    """Take a verified message in: kept as it came, credited at most once.

    A repeat changes nothing. Unknown order, other amount, other provider, closed or paid order, closed account:
    suspense and audit.
    """
    (result,) = record_callbacks([unit], estate_id, [Message(event, body, now)])
    return result


def record_callbacks(units: Sequence[Unit], estate_id: str, messages: Sequence[Message]) -> list[CallbackResult]:
    """`record_callback` for several units: each is decided alone, all are written together."""
    results: dict[int, CallbackResult] = {}
    names = [
        (("transaction", one.transaction), ("event", one.event_key), ("order", one.event.order_no)) for one in messages
    ]
    for places in rounds(names):
        found = _recorded([units[place] for place in places], estate_id, [messages[place] for place in places])
        results.update(zip(places, found, strict=True))
    return [results[place] for place in range(len(messages))]


def _recorded(units: Sequence[Unit], estate_id: str, messages: Sequence[Message]) -> list[CallbackResult]:
    """One round."""
    told = kept.before_callbacks(
        units[0].connection,
        estate_id,
        transactions=[one.transaction for one in messages],
        events=[one.event_key for one in messages],
        order_nos=[one.event.order_no for one in messages],
    )
    results: list[CallbackResult] = []
    taken: list[tuple[Unit, Credit]] = []
    bundle = Bundle()
    for unit, one in zip(units, messages, strict=True):
        known, event = told.payments.get(one.transaction), one.event
        if known is not None:
            results.append(_repeat(unit, estate_id, event, one.body, known, one.now))
        elif not event.paid or event.amount_fen <= 0:
            inbox.keep(unit, estate_id, event.provider, event.event_id, one.body, "failed", one.now)
            results.append(CallbackResult.IGNORED)
        else:
            credited = _to_credit(one, told)
            results.append(CallbackResult.CREDITED if credited.home is not None else CallbackResult.SUSPENSE)
            if one.event_key in told.events:
                inbox.keep(unit, estate_id, event.provider, event.event_id, one.body, str(results[-1]), one.now)
            else:
                inbox.add(bundle, estate_id, *one.event_key, one.body, str(results[-1]), one.now)
            taken.append((unit, credited))
    if taken:
        answers = credit_all([unit for unit, _ in taken], estate_id, [one for _, one in taken], bundle)
        for answer in answers:
            if isinstance(answer, EstateError):
                raise answer
    return results


def _to_credit(message: Message, told: kept.Told) -> Credit:
    """Whom the money of a message belongs to; nobody, for a reason, when it fits no open order."""
    event, row = message.event, told.orders.get(message.event.order_no)
    order = OrderFacts(row["provider"], row["amount_fen"], row["status"]) if row is not None else None
    reason = suspense_reason(order, event)
    home = None if row is None else told.homes.get(row["account_id"])
    if row is not None and home is None:
        reason = reason or f"the account {row['account_id']} is closed"
    money = Money(event.provider, event.transaction_id, event.amount_fen, event.order_no, event.provider, event.paid_ms)
    return Credit(money, message.now, None if reason else home, reason)


def sell_at_counter(
    unit: Unit, estate_id: str, account_id: str, amount_fen: int, *, actor: str, idem_key: str, now: "Now"
) -> Sale:
    """Book cash that a cashier has taken; the same key again gives the same answer and books nothing.

    Conflict when the key was used for another household, amount or cashier.
    """
    request = sha256(f"{account_id}\n{amount_fen}\n{actor}".encode()).hexdigest()
    row = kept.kept_answer(unit.connection, estate_id, COUNTER, idem_key)
    before = answer_before(unit, estate_id, row, request, now)
    if isinstance(before, Conflict):
        raise before
    if before is not None:
        return Sale(str(before["order_no"]), int(str(before["batch_seq"])), int(str(before["balance_fen"])))
    home, site = _household(unit, estate_id, account_id), kept.site(unit.connection, estate_id)
    limits = kept.limits_of(site)
    problem = limits.problem(amount_fen, home["balance_fen"], minimum_fen=COUNTER_MIN_FEN)
    if not problem and limits.sales_day_max_fen is not None:
        since_s = midnights(now.world_s, ZoneInfo(site["time_zone"]), 1)[0]
        problem = limits.till_problem(amount_fen, kept.taken_by(unit.connection, estate_id, actor, since_s))
    if problem:
        raise Refused(problem)
    order = new_order(estate_id, account_id, amount_fen, CASH, COUNTER, actor, now)
    order_no = str(order["order_no"])
    money = Money(CASH, order_no, amount_fen, order_no, actor, now.machine_ms)
    bundle = Bundle()
    audit.add(bundle, estate_id, actor, "topup.sold", account_id, now, f"{amount_fen} fen, {order_no}")
    posted = credit(unit, estate_id, Credit(money, now, home, new_order=order), bundle)
    sale: Answer = {"order_no": order_no, "batch_seq": posted.batch_seq, "balance_fen": posted.balance_fen}
    kept.keep_answers(bundle, [answer_row(estate_id, COUNTER, idem_key, request, sale, now)])
    bundle.send(unit.connection)
    return Sale(order_no, posted.batch_seq, posted.balance_fen)


def _household(unit: Unit, estate_id: str, account_id: str) -> dict[str, Any]:
    row = kept.household_account(unit.connection, estate_id, account_id)
    if row is None:
        raise NotFound(f"there is no open household {account_id!r} in this estate")
    return row


def _repeat(unit: Unit, estate_id: str, event: Paid, body: str, known: dict[str, Any], now: "Now") -> CallbackResult:
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
