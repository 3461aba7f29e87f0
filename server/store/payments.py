"""Reads and writes of payments: orders, what was paid, the inbox of callbacks, answers kept for repeats."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, RowMapping, func, select

from server.domain.payments import Limits
from server.store.schema import account, callback_inbox, idempotency, meter, payment, payment_order, supply


def household_account(
    connection: Connection, estate_id: str, account_id: str | None, room_id: str | None = None
) -> RowMapping | None:
    """The open household account by its id, or by its room; None for all else, system accounts included."""
    query = select(account).where(
        account.c.estate_id == estate_id, account.c.kind == "household", account.c.status != "closed"
    )
    key = account.c.account_id == account_id if account_id is not None else account.c.room_id == room_id
    return connection.execute(query.where(key).order_by(account.c.account_id)).mappings().first()


def get_order(connection: Connection, estate_id: str, order_no: str) -> RowMapping | None:
    """One order."""
    query = select(payment_order).where(payment_order.c.estate_id == estate_id, payment_order.c.order_no == order_no)
    return connection.execute(query).mappings().one_or_none()


def add_order(connection: Connection, **values: Any) -> None:
    """Insert one order."""
    connection.execute(payment_order.insert().values(**values))


def update_order(connection: Connection, estate_id: str, order_no: str, **values: Any) -> None:
    """Change one order."""
    where = (payment_order.c.estate_id == estate_id, payment_order.c.order_no == order_no)
    connection.execute(payment_order.update().where(*where).values(**values))


def open_orders(connection: Connection, estate_id: str, *, limit: int) -> Sequence[RowMapping]:
    """Orders that are neither paid nor closed, oldest first."""
    query = (
        select(payment_order)
        .where(payment_order.c.estate_id == estate_id, payment_order.c.status == "created")
        .order_by(payment_order.c.created_ms, payment_order.c.order_no)
        .limit(limit)
    )
    return connection.execute(query).mappings().all()


def limits_of(site: RowMapping) -> Limits:
    """The limits of top-ups in an estate's row."""
    return Limits(**{name: site[name] for name in Limits.__slots__})


def taken_by(connection: Connection, estate_id: str, actor: str, since: int) -> int:
    """Fen that a cashier took at the counter from `since` (world seconds) on."""
    query = select(func.coalesce(func.sum(payment_order.c.amount_fen), 0)).where(
        payment_order.c.estate_id == estate_id,
        payment_order.c.channel == "counter",
        payment_order.c.actor == actor,
        payment_order.c.created_at >= since,
    )
    return int(connection.execute(query).scalar_one())


def payment_of_transaction(
    connection: Connection, estate_id: str, provider: str, transaction_id: str
) -> RowMapping | None:
    """What was booked for a provider's transaction."""
    query = select(payment).where(
        payment.c.estate_id == estate_id,
        payment.c.provider == provider,
        payment.c.transaction_id == transaction_id,
    )
    return connection.execute(query).mappings().one_or_none()


def add_payment(connection: Connection, **values: Any) -> None:
    """Insert one payment; the key (provider, transaction) refuses a second one."""
    connection.execute(payment.insert().values(**values))


def inbox_has(connection: Connection, estate_id: str, provider: str, event_id: str) -> bool:
    """Whether this event of the provider was received before."""
    query = select(callback_inbox.c.event_id).where(
        callback_inbox.c.estate_id == estate_id,
        callback_inbox.c.provider == provider,
        callback_inbox.c.event_id == event_id,
    )
    return connection.execute(query).first() is not None


def add_to_inbox(connection: Connection, **values: Any) -> None:
    """Keep a message as it came, with what was made of it."""
    connection.execute(callback_inbox.insert().values(**values))


def kept_answer(connection: Connection, estate_id: str, client_id: str, idem_key: str) -> RowMapping | None:
    """The answer that this key got before."""
    query = select(idempotency).where(
        idempotency.c.estate_id == estate_id,
        idempotency.c.client_id == client_id,
        idempotency.c.idem_key == idem_key,
    )
    return connection.execute(query).mappings().one_or_none()


def keep_answer(connection: Connection, **values: Any) -> None:
    """Keep the answer for repeats of the key."""
    connection.execute(idempotency.insert().values(**values))


def relays_of_account(connection: Connection, estate_id: str, account_id: str) -> list[tuple[str, str, str]]:
    """(meter, relay as read back, desired) of each of the account's meters."""
    query = (
        select(supply.c.meter_id, supply.c.relay, supply.c.desired)
        .join(meter, (meter.c.estate_id == supply.c.estate_id) & (meter.c.meter_id == supply.c.meter_id))
        .where(supply.c.estate_id == estate_id, meter.c.account_id == account_id)
    )
    return [(row[0], row[1], row[2]) for row in connection.execute(query)]
