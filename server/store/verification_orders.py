"""The reads of `verify` about who asked: agreements to re-ratings, orders of payments, messages of providers."""

from collections.abc import Iterator
from itertools import islice

from sqlalchemy import Connection, and_, func, or_, select

from server.domain.ledger import CASH
from server.domain.payments import CallbackResult
from server.domain.verification_orders import CLIENT, Agreed, Paid
from server.store.schema import approval, batch, callback_inbox, payment, payment_order, rerate

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
    """(provider, machine time, payments, messages) where there are more payments than messages that brought them."""
    own, kept = payment.c, callback_inbox.c
    paid = (
        select(own.provider, own.created_ms, func.count().label("payments"))
        .where(own.estate_id == estate_id, own.provider != CASH, own.provider.not_like(f"{CLIENT}%"))
        .group_by(own.provider, own.created_ms)
        .subquery()
    )
    heard = (
        select(kept.provider, kept.received_ms, func.count().label("messages"))
        .where(
            kept.estate_id == estate_id,
            kept.verdict.in_((CallbackResult.CREDITED.value, CallbackResult.SUSPENSE.value)),
        )
        .group_by(kept.provider, kept.received_ms)
        .subquery()
    )
    same = and_(heard.c.provider == paid.c.provider, heard.c.received_ms == paid.c.created_ms)
    messages = func.coalesce(heard.c.messages, 0)
    query = select(paid.c.provider, paid.c.created_ms, paid.c.payments, messages).outerjoin(heard, same)
    found = query.where(paid.c.payments > messages).order_by(paid.c.created_ms).limit(STRAYS_MAX)
    return [(row[0], row[1], row[2], row[3]) for row in connection.execute(found)]
