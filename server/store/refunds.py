"""Reads and writes of refunds, and of payments as far as they can be given back."""

from collections.abc import Collection, Sequence
from typing import Any

from sqlalchemy import Connection, RowMapping, and_, bindparam, func, select, tuple_, union_all

from server.domain.refunds import OPEN, RELEASED, SOURCE
from server.store.direct import Query
from server.store.partial import IN_SUSPENSE
from server.store.schema import payment, payment_order, refund


def get_payment(connection: Connection, estate_id: str, payment_id: str) -> RowMapping | None:
    """One payment with channel, cashier and time of its order."""
    return connection.execute(_payments(estate_id).where(payment.c.payment_id == payment_id)).mappings().one_or_none()


def update_payment(connection: Connection, estate_id: str, payment_id: str, **values: Any) -> None:
    """Say anew whose a payment is."""
    where = (payment.c.estate_id == estate_id, payment.c.payment_id == payment_id)
    connection.execute(payment.update().where(*where).values(**values))


def find_payments(connection: Connection, estate_id: str, sought: str, *, limit: int) -> Sequence[RowMapping]:
    """Payments of this account, order, transaction or number, or the newest of all, newest first."""
    query = _payments(estate_id).order_by(payment.c.created_ms.desc(), payment.c.payment_id.desc()).limit(limit)
    if sought:
        numbers = list(connection.execute(_numbers(estate_id, sought)).scalars())
        query = query.where(payment.c.payment_id.in_(numbers) if numbers else payment.c.account_id == sought)
    return connection.execute(query).mappings().all()


def _numbers(estate_id: str, sought: str) -> Any:
    """Numbers of payments of this number, order or transaction, each through an index of its own."""
    here = select(payment.c.payment_id).where(payment.c.estate_id == estate_id)
    order = select(payment_order.c.payment_id).where(
        payment_order.c.estate_id == estate_id,
        payment_order.c.order_no == sought,
        payment_order.c.payment_id.is_not(None),
    )
    return union_all(order, *(here.where(payment.c[name] == sought) for name in ("payment_id", "transaction_id")))


def suspense(connection: Connection, estate_id: str, *, limit: int) -> Sequence[RowMapping]:
    """Payments that nobody has been given yet and that were not given back whole, oldest first."""
    gone = (
        select(func.coalesce(func.sum(refund.c.amount_fen), 0))
        .where(
            refund.c.estate_id == payment.c.estate_id,
            refund.c.payment_id == payment.c.payment_id,
            refund.c.status != RELEASED,
        )
        .correlate(payment)
        .scalar_subquery()
    )
    query = _payments(estate_id).where(IN_SUSPENSE, payment.c.amount_fen > gone)
    query = query.order_by(payment.c.created_ms, payment.c.payment_id).limit(limit)
    return connection.execute(query).mappings().all()


def _payments(estate_id: str) -> Any:
    columns = (payment_order.c.channel, payment_order.c.actor, payment_order.c.created_at)
    same = and_(payment_order.c.estate_id == payment.c.estate_id, payment_order.c.order_no == payment.c.order_no)
    return select(payment, *columns).outerjoin(payment_order, same).where(payment.c.estate_id == estate_id)


def get_refund(connection: Connection, estate_id: str, refund_no: str) -> RowMapping | None:
    """One refund."""
    query = select(refund).where(refund.c.estate_id == estate_id, refund.c.refund_no == refund_no)
    return connection.execute(query).mappings().one_or_none()


def add_refund(connection: Connection, **values: Any) -> None:
    """Insert one refund."""
    connection.execute(refund.insert().values(**values))


def update_refund(connection: Connection, estate_id: str, refund_no: str, **values: Any) -> None:
    """Change one refund."""
    where = (refund.c.estate_id == estate_id, refund.c.refund_no == refund_no)
    connection.execute(refund.update().where(*where).values(**values))


def refunds_of(connection: Connection, estate_id: str, payment_id: str) -> Sequence[RowMapping]:
    """All refunds of a payment, oldest first."""
    query = select(refund).where(refund.c.estate_id == estate_id, refund.c.payment_id == payment_id)
    return connection.execute(query.order_by(refund.c.created_ms, refund.c.refund_no)).mappings().all()


def returned_fen(connection: Connection, estate_id: str, payment_ids: Sequence[str]) -> dict[str, int]:
    """What of each of these payments went back or is on its way."""
    query = (
        select(refund.c.payment_id, func.sum(refund.c.amount_fen))
        .where(
            refund.c.estate_id == estate_id, refund.c.payment_id.in_(payment_ids), refund.c.status != RELEASED
        )
        .group_by(refund.c.payment_id)
    )  # fmt: skip
    return {row[0]: int(row[1]) for row in connection.execute(query)}


_IN_FLIGHT = Query(
    lambda among: (
        select(refund.c.account_id, func.sum(refund.c.amount_fen).label("fen"))
        .where(
            refund.c.estate_id == bindparam("estate_id"),
            among(refund.c.account_id, "account_ids"),
            refund.c.status.in_(OPEN),
        )
        .group_by(refund.c.account_id)
    )
)


def in_flight(connection: Connection, estate_id: str, account_ids: Sequence[str]) -> dict[str, int]:
    """Fen by account that have left the balance for a refund which nobody has confirmed yet."""
    rows = _IN_FLIGHT.rows(connection, estate_id=estate_id, account_ids=account_ids)
    return {row[0]: int(row[1]) for row in rows}


def due_refunds(
    connection: Connection, estate_id: str, now_ms: int, *, limit: int, besides: Collection[str] = ()
) -> Sequence[RowMapping]:
    """Open refunds to providers but those `besides`, whose turn has come, each with what its payment brought.

    Those that were tried least come first, of them the oldest.
    """
    query = (
        select(refund, payment.c.amount_fen.label("paid_fen"), payment.c.transaction_id)
        .join(payment, and_(payment.c.estate_id == refund.c.estate_id, payment.c.payment_id == refund.c.payment_id))
        .where(
            refund.c.estate_id == estate_id,
            refund.c.way == SOURCE,
            refund.c.status.in_(OPEN),
            refund.c.next_ms <= now_ms,
            refund.c.provider.not_in(besides),
        )
        .order_by(refund.c.tries, refund.c.created_ms, refund.c.refund_no)
        .limit(limit)
    )
    return connection.execute(query).mappings().all()


def newest_refunds(
    connection: Connection, estate_id: str, *, statuses: Sequence[str], limit: int,
    before: tuple[int, str] | None = None,
) -> Sequence[RowMapping]:  # fmt: skip
    """Refunds in one of these states, newest first; in this order after `before` (machine time, number)."""
    order = (refund.c.created_ms, refund.c.refund_no)
    query = select(refund).where(refund.c.estate_id == estate_id, refund.c.status.in_(statuses))
    if before is not None:
        query = query.where(tuple_(*order) < tuple_(*before))
    query = query.order_by(*(column.desc() for column in order)).limit(limit)
    return connection.execute(query).mappings().all()


_CASH_BACK = Query(
    lambda _: (
        select(refund.c.order_no, func.sum(refund.c.amount_fen).label("fen"))
        .where(
            refund.c.estate_id == bindparam("estate_id"),
            refund.c.actor == bindparam("actor"),
            refund.c.way == "cash",
            refund.c.status != RELEASED,
            refund.c.created_at >= bindparam("since"),
        )
        .group_by(refund.c.order_no)
    )
)


def cash_back(connection: Connection, estate_id: str, actor: str, since: int) -> dict[str, int]:
    """Fen by order that a cashier gave back in cash from `since` (world seconds) on."""
    rows = _CASH_BACK.rows(connection, estate_id=estate_id, actor=actor, since=since)
    return {row[0]: int(row[1]) for row in rows}


def newest_sale(connection: Connection, estate_id: str, actor: str) -> RowMapping | None:
    """The last sale of a cashier at the counter, refunded or not."""
    query = (
        select(payment_order)
        .where(
            payment_order.c.estate_id == estate_id,
            payment_order.c.channel == "counter",
            payment_order.c.actor == actor,
        )
        .order_by(payment_order.c.created_at.desc(), payment_order.c.created_ms.desc(), payment_order.c.order_no.desc())
        .limit(1)
    )
    return connection.execute(query).mappings().one_or_none()
