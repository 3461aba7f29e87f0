"""The reads of `verify` about what refunds, assignments, recharges and instalments asked for, by keys of batches."""

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, Text, and_, cast, func, literal, select

from server.domain.ledger import ASSIGNMENT
from server.domain.recovery import RETURN
from server.domain.refunds import REFUNDED, RELEASED
from server.domain.verification_refunds import RechargeRow, RefundRow, SomePayment
from server.store.schema import batch, debt_instalment, payment, recharge, refund

KEYS_AT_ONCE = 400
STRAYS_MAX = 100  # rows of one kind that belong nowhere; more of them say no more


def refunds(connection: Connection, estate_id: str, refund_nos: Sequence[str]) -> list[RefundRow]:
    """These refunds, as far as there are any."""
    query = select(*(refund.c[name] for name in RefundRow._fields)).where(refund.c.estate_id == estate_id)
    return [RefundRow(*row) for row in _some(connection, query, refund.c.refund_no, refund_nos)]


def assigned(connection: Connection, estate_id: str, payment_ids: Sequence[str]) -> list[SomePayment]:
    """Those of these payments that somebody gave to a household out of suspense."""
    query = select(*(payment.c[name] for name in SomePayment._fields)).where(
        payment.c.estate_id == estate_id, payment.c.state == "assigned"
    )
    return [SomePayment(*row) for row in _some(connection, query, payment.c.payment_id, payment_ids)]


def recharges(connection: Connection, estate_id: str, recharge_ids: Sequence[str]) -> list[RechargeRow]:
    """These recharges of meters, as far as there are any."""
    query = select(*(recharge.c[name] for name in RechargeRow._fields)).where(recharge.c.estate_id == estate_id)
    return [RechargeRow(*row) for row in _some(connection, query, recharge.c.recharge_id, recharge_ids)]


def gone(connection: Connection, estate_id: str, payment_ids: Sequence[str]) -> set[str]:
    """Those of these payments that went back whole, or are on their way."""
    query = _left(estate_id).having(func.sum(refund.c.amount_fen) >= payment.c.amount_fen)
    return {row[0] for row in _some(connection, query, payment.c.payment_id, payment_ids)}


def undone(connection: Connection, estate_id: str, payment_ids: Sequence[str]) -> set[str]:
    """Those of these payments of which a batch took back what went to debts."""
    query = select(batch.c.idem_key).where(batch.c.estate_id == estate_id)
    keys = [f"{RETURN}:{payment_id}" for payment_id in payment_ids]
    return {row[0].partition(":")[2] for row in _some(connection, query, batch.c.idem_key, keys)}


def overdrawn(connection: Connection, estate_id: str) -> list[tuple[str, int]]:
    """Payments of which more goes back than they brought, and how much more; not all where they are many."""
    back = func.sum(refund.c.amount_fen)
    query = (
        _left(estate_id, of_all=True)
        .having(back > func.coalesce(payment.c.amount_fen, 0))
        .order_by(refund.c.payment_id)
        .limit(STRAYS_MAX)
    )
    return [
        (payment_id, int(back_fen) - (paid_fen or 0)) for payment_id, back_fen, paid_fen in connection.execute(query)
    ]


def _left(estate_id: str, *, of_all: bool = False) -> "Select[Any]":
    """Payments with the fen of their refunds that were not released; `of_all`: of payments that there are not, too."""
    same = and_(payment.c.estate_id == refund.c.estate_id, payment.c.payment_id == refund.c.payment_id)
    return (
        select(refund.c.payment_id, func.sum(refund.c.amount_fen), payment.c.amount_fen)
        .select_from(refund.join(payment, same, isouter=of_all))
        .where(refund.c.estate_id == estate_id, refund.c.status != RELEASED)
        .group_by(refund.c.payment_id, payment.c.amount_fen)
    )


def _some(
    connection: Connection, query: "Select[Any]", column: "ColumnElement[str]", keys: Sequence[str]
) -> Iterator[Any]:
    for start in range(0, len(keys), KEYS_AT_ONCE):
        yield from connection.execute(query.where(column.in_(keys[start : start + KEYS_AT_ONCE])))


def unbooked(connection: Connection, estate_id: str) -> list[str]:
    """Keys of batches that refunds, assignments, recharges and instalments ask for and that there are not."""
    own, part, back = recharge.c, debt_instalment.c, refund.c
    due = literal("instalment:").concat(cast(part.plan_no, Text)).concat(":").concat(part.due_day)
    given = and_(payment.c.estate_id == estate_id, payment.c.state == "assigned")
    wanted = (
        (_key("refund", back.refund_no), back.estate_id == estate_id),
        (_key("refund_paid", back.refund_no), and_(back.estate_id == estate_id, back.status == REFUNDED)),
        (_key("refund_return", back.refund_no), and_(back.estate_id == estate_id, back.status == RELEASED)),
        (_key(ASSIGNMENT, payment.c.payment_id), given),
        (_key("recharge", own.recharge_id), own.estate_id == estate_id),
        (_key("recharge_return", own.recharge_id), and_(own.estate_id == estate_id, own.status == "refused")),
        (due, and_(part.estate_id == estate_id, part.taken_fen > 0)),
    )
    queries = (select(key).where(rows, ~_booked(estate_id, key)).limit(STRAYS_MAX) for key, rows in wanted)
    return list(islice((key for query in queries for key in connection.execute(query).scalars()), STRAYS_MAX))


def _key(kind: str, name: "ColumnElement[str]") -> "ColumnElement[str]":
    return literal(f"{kind}:").concat(name)


def _booked(estate_id: str, key: "ColumnElement[str]") -> "ColumnElement[bool]":
    return select(batch.c.batch_seq).where(batch.c.estate_id == estate_id, batch.c.idem_key == key).exists()
