"""The reads of `verify` about who asked: agreements of second people, orders of payments, messages, the trail."""

from collections.abc import Iterator
from itertools import islice
from typing import Any

from sqlalchemy import Connection, and_, func, literal, or_, select, union_all

from server.domain.ledger import ASSIGNMENT, CASH
from server.domain.payments import CallbackResult
from server.domain.verification_orders import CLIENT, Agreed, Paid
from server.store.schema import (
    approval,
    audit,
    batch,
    callback_inbox,
    idempotency,
    payment,
    payment_order,
    rerate,
)

STRAYS_MAX = 100  # rows of one kind that nobody asked for; more of them say no more


def agreements(connection: Connection, estate_id: str) -> dict[str, Agreed]:
    """What second people agreed to, by re-rating."""
    same = and_(approval.c.estate_id == rerate.c.estate_id, approval.c.approval_id == rerate.c.approval_id)
    query = select(rerate.c.rerate_id, *(approval.c[name] for name in Agreed._fields)).join(approval, same)
    return {row[0]: Agreed(*row[1:]) for row in connection.execute(query.where(rerate.c.estate_id == estate_id))}


def unasked(connection: Connection, estate_id: str) -> Iterator[Paid]:
    """Credited payments whose order is missing or says something else, as far as this shows which."""
    own, order = payment.c, payment_order.c
    of_order = and_(order.estate_id == own.estate_id, order.order_no == own.order_no)
    of_batch = and_(batch.c.estate_id == own.estate_id, batch.c.batch_seq == own.batch_seq)
    query = (
        select(
            own.payment_id, own.provider, own.account_id, own.amount_fen, batch.c.actor, order.account_id,
            order.amount_fen, order.provider, order.status, order.payment_id, order.actor,
        )
        .select_from(payment)
        .outerjoin(payment_order, of_order)
        .outerjoin(batch, of_batch)
        .where(
            own.estate_id == estate_id,
            own.state == "credited",
            or_(
                order.order_no.is_(None), order.account_id != own.account_id, order.amount_fen != own.amount_fen,
                order.provider != own.provider, order.status != "paid", order.payment_id.is_(None),
                order.payment_id != own.payment_id,
                and_(own.provider == CASH, or_(order.actor == "", order.actor != func.coalesce(batch.c.actor, ""))),
            ),
        )
        .order_by(own.payment_id)
    )  # fmt: skip
    return islice((Paid(*row) for row in connection.execute(query)), STRAYS_MAX)


def unheard(connection: Connection, estate_id: str) -> list[tuple[str, int, int, int]]:
    """(provider, machine time, payments, messages) where there are more payments than messages that brought them.

    The message of a third party is the answer that is kept under its key.
    """
    own, kept, answered = payment.c, callback_inbox.c, idempotency.c
    paid = (
        select(own.provider, own.created_ms, func.count().label("payments"))
        .where(own.estate_id == estate_id, own.provider != CASH)
        .group_by(own.provider, own.created_ms)
        .subquery()
    )
    came = union_all(
        select(kept.provider.label("provider"), kept.received_ms.label("at_ms")).where(
            kept.estate_id == estate_id,
            kept.verdict.in_((CallbackResult.CREDITED.value, CallbackResult.SUSPENSE.value)),
        ),
        select(literal(CLIENT).concat(answered.client_id), answered.created_ms).where(answered.estate_id == estate_id),
    ).subquery()
    heard = (
        select(came.c.provider, came.c.at_ms, func.count().label("messages"))
        .group_by(came.c.provider, came.c.at_ms)
        .subquery()
    )
    same = and_(heard.c.provider == paid.c.provider, heard.c.at_ms == paid.c.created_ms)
    messages = func.coalesce(heard.c.messages, 0)
    query = select(paid.c.provider, paid.c.created_ms, paid.c.payments, messages).outerjoin(heard, same)
    found = query.where(paid.c.payments > messages).order_by(paid.c.created_ms).limit(STRAYS_MAX)
    return [(row[0], row[1], row[2], row[3]) for row in connection.execute(found)]


def untold(connection: Connection, estate_id: str) -> list[tuple[str, str]]:
    """(payment, what is wrong) of money in suspense, or given to a household from there, that the trail does not tell.

    The trail says why a payment fitted no order, and who gave it to whom: the person of the batch that moved it.
    """
    own = payment.c
    waits = own.state.in_(("suspense", "assigned"))
    came = _told(own.estate_id, own.created_ms, "payment.suspense", own.payment_id)
    of_cash = select(own.payment_id, literal("is cash, which somebody paid for a household")).where(
        own.estate_id == estate_id, waits, own.provider == CASH
    )
    lost = select(own.payment_id, literal("is in suspense, and nothing says why")).where(
        own.estate_id == estate_id, waits, own.provider != CASH, ~came
    )
    moved = and_(batch.c.estate_id == own.estate_id, batch.c.idem_key == literal("assignment:").concat(own.payment_id))
    by = _told(own.estate_id, batch.c.created_ms, "suspense.assigned", own.payment_id, batch.c.actor)
    given = (
        select(own.payment_id, literal("was given to a household, and nothing says by whom"))
        .join(batch, moved)
        .where(own.estate_id == estate_id, own.state == "assigned", ~by)
    )
    queries = (query.order_by(own.payment_id).limit(STRAYS_MAX) for query in (of_cash, lost, given))
    return [(row[0], row[1]) for query in queries for row in connection.execute(query)]


def _told(estate_id: Any, at_ms: Any, verb: str, subject: Any, actor: Any = None) -> Any:
    """Whether the trail has this act at that moment."""
    own = audit.c
    where = [own.estate_id == estate_id, own.created_ms == at_ms, own.verb == verb, own.subject == subject]
    return select(own.audit_id).where(*where, *([] if actor is None else [own.actor == actor])).exists()


def agreed_bookings(connection: Connection, estate_id: str) -> Iterator[tuple[int, Agreed]]:
    """What second people agreed to book on accounts, each with the moment."""
    own = approval.c
    query = select(own.approved_ms, *(own[name] for name in Agreed._fields)).where(
        own.estate_id == estate_id, own.kind.in_(("booking", ASSIGNMENT)), own.status == "approved"
    )
    return ((row[0], Agreed(*row[1:])) for row in connection.execute(query))
