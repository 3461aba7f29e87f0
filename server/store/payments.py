"""Reads and writes of payments: orders, what was paid, the inbox of callbacks, answers kept for repeats."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from sqlalchemy import Connection, RowMapping, bindparam, func, select

from server.domain.payments import Limits
from server.errors import NotFound
from server.store.bulk import Bundle
from server.store.direct import Among, Query, Statement, send
from server.store.partial import IS_OPEN
from server.store.schema import (
    account,
    callback_inbox,
    estate,
    idempotency,
    meter,
    payment,
    payment_order,
    supply,
)

Row = dict[str, Any]


def _of_estate(table: Any, *columns: Any, **keys: str) -> Query:
    """Rows of a table in an estate, each column of `keys` one of the texts of that parameter."""

    def build(among: Among) -> Any:
        conditions = [among(table.c[column], name) for column, name in keys.items()]
        return select(*(columns or (table,))).where(table.c.estate_id == bindparam("estate_id"), *conditions)

    return Query(build)


def _households(column: Any, name: str) -> Query:
    def build(among: Among) -> Any:
        return (
            select(account)
            .where(
                account.c.estate_id == bindparam("estate_id"),
                among(column, name),
                account.c.kind == "household",
                account.c.status != "closed",
            )
            .order_by(account.c.account_id)
        )

    return Query(build)


_BY_ACCOUNT = _households(account.c.account_id, "account_ids")
_BY_ROOM = _households(account.c.room_id, "room_ids")
_ORDERS = _of_estate(payment_order, order_no="order_nos")
_PAYMENTS = _of_estate(payment, provider="providers", transaction_id="transaction_ids")
_ANSWERS = _of_estate(idempotency, client_id="client_ids", idem_key="idem_keys")
_EVENTS = _of_estate(
    callback_inbox, callback_inbox.c.provider, callback_inbox.c.event_id, provider="providers", event_id="event_ids"
)
_SITE = _of_estate(estate)
_RELAYS = Query(
    lambda among: select(
        meter.c.account_id, meter.c.meter_id, meter.c.fee, supply.c.relay, supply.c.desired, supply.c.cause,
        supply.c.command,
    )
    .join(supply, (meter.c.estate_id == supply.c.estate_id) & (meter.c.meter_id == supply.c.meter_id))
    .where(meter.c.estate_id == bindparam("estate_id"), among(meter.c.account_id, "account_ids"))
)  # fmt: skip


def site(connection: Connection, estate_id: str) -> Row:
    """The estate's row; NotFound if there is none."""
    return _the_site(estate_id, _SITE.ask(connection, estate_id=estate_id))


def _the_site(estate_id: str, rows: Sequence[Row]) -> Row:
    if not rows:
        raise NotFound(f"there is no estate {estate_id!r}")
    return rows[0]


def household_account(
    connection: Connection, estate_id: str, account_id: str | None, room_id: str | None = None
) -> Row | None:
    """The open household account by its id, or by its room; None for all else, system accounts included."""
    if account_id is not None:
        return _first(_BY_ACCOUNT.ask(connection, estate_id=estate_id, account_ids=[account_id]))
    return _first(_BY_ROOM.ask(connection, estate_id=estate_id, room_ids=[room_id]))


def _first(rows: Sequence[Row]) -> Row | None:
    return rows[0] if rows else None


def get_order(connection: Connection, estate_id: str, order_no: str) -> Row | None:
    """One order."""
    return _first(_ORDERS.ask(connection, estate_id=estate_id, order_nos=[order_no]))


def add_orders(bundle: Bundle, rows: Sequence[Mapping[str, Any]]) -> None:
    """Insert orders, all with the same columns."""
    _insert(bundle, payment_order, rows)


def _insert(bundle: Bundle, table: Any, rows: Sequence[Mapping[str, Any]]) -> None:
    if rows:
        bundle.insert(table, tuple(rows[0]), [tuple(row.values()) for row in rows])


def settle_orders(bundle: Bundle, estate_id: str, rows: Sequence[tuple[str, int, str]]) -> None:
    """Orders that are paid: (order, when in machine time, payment)."""
    changes = [("paid", paid_ms, payment_id, estate_id, order_no) for order_no, paid_ms, payment_id in rows]
    bundle.update(payment_order, ("status", "paid_ms", "payment_id"), ("estate_id", "order_no"), changes)


def update_order(connection: Connection, estate_id: str, order_no: str, **values: Any) -> None:
    """Change one order."""
    where = (payment_order.c.estate_id == estate_id, payment_order.c.order_no == order_no)
    connection.execute(payment_order.update().where(*where).values(**values))


def open_orders(connection: Connection, estate_id: str, *, limit: int) -> Sequence[RowMapping]:
    """Orders that are neither paid nor closed, oldest first."""
    query = (
        select(payment_order)
        .where(payment_order.c.estate_id == estate_id, IS_OPEN)
        .order_by(payment_order.c.created_ms, payment_order.c.order_no)
        .limit(limit)
    )
    return connection.execute(query).mappings().all()


def limits_of(site: Mapping[str, Any] | RowMapping) -> Limits:
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


def payment_of_transaction(connection: Connection, estate_id: str, provider: str, transaction_id: str) -> Row | None:
    """What was booked for a provider's transaction."""
    return _first(
        _PAYMENTS.ask(connection, estate_id=estate_id, providers=[provider], transaction_ids=[transaction_id])
    )


def add_payments(bundle: Bundle, rows: Sequence[Mapping[str, Any]]) -> None:
    """Insert payments, all with the same columns; the key (provider, transaction) refuses a second one."""
    _insert(bundle, payment, rows)


def inbox_has(connection: Connection, estate_id: str, provider: str, event_id: str) -> bool:
    """Whether this event of the provider was received before."""
    return bool(_EVENTS.ask(connection, estate_id=estate_id, providers=[provider], event_ids=[event_id]))


def add_to_inbox(bundle: Bundle, **values: Any) -> None:
    """Keep a message as it came, with what was made of it."""
    _insert(bundle, callback_inbox, [values])


def kept_answer(connection: Connection, estate_id: str, client_id: str, idem_key: str) -> Row | None:
    """The answer that this key got before."""
    return _first(_ANSWERS.ask(connection, estate_id=estate_id, client_ids=[client_id], idem_keys=[idem_key]))


def keep_answers(bundle: Bundle, rows: Sequence[Mapping[str, Any]]) -> None:
    """Keep answers for repeats of their keys, all with the same columns."""
    _insert(bundle, idempotency, rows)


class Told(NamedTuple):
    """What is known before messages of providers are taken in."""

    payments: dict[tuple[str, str], Row]  # by provider and transaction
    orders: dict[str, Row]
    events: set[tuple[str, str]]  # provider and event
    homes: dict[str, Row]  # open households of the orders


def before_callbacks(
    connection: Connection,
    estate_id: str,
    *,
    transactions: Sequence[tuple[str, str]],
    events: Sequence[tuple[str, str]],
    order_nos: Sequence[str],
) -> Told:
    """Payments of (provider, transaction), events of (provider, id), orders and their households."""
    providers, transaction_ids = _apart(transactions)
    payments, orders, seen = send(
        connection,
        _PAYMENTS.of(connection, estate_id=estate_id, providers=providers, transaction_ids=transaction_ids),
        _ORDERS.of(connection, estate_id=estate_id, order_nos=list(order_nos)),
        _EVENTS.of(
            connection, estate_id=estate_id, providers=providers, event_ids=[event_id for _, event_id in events]
        ),
    )
    found = {row["order_no"]: row for row in _ORDERS.named(connection, orders)}
    account_ids = sorted({row["account_id"] for row in found.values()})
    homes = _BY_ACCOUNT.ask(connection, estate_id=estate_id, account_ids=account_ids) if account_ids else []
    return Told(
        {(row["provider"], row["transaction_id"]): row for row in _PAYMENTS.named(connection, payments)},
        found,
        {(row["provider"], row["event_id"]) for row in _EVENTS.named(connection, seen)},
        {row["account_id"]: row for row in homes},
    )


class Before:
    """What is known before money of third parties is taken in."""

    def __init__(
        self, site: Row, answers: list[Row], payments: list[Row], by_account: list[Row], by_room: list[Row]
    ) -> None:
        self.limits = limits_of(site)
        self._answers = {(row["client_id"], row["idem_key"]): row for row in answers}
        self._payments = {(row["provider"], row["transaction_id"]) for row in payments}
        self.homes: dict[str, Row] = {row["account_id"]: row for row in (*by_room, *by_account)}
        self._accounts = {row["account_id"] for row in by_account}
        self._rooms: dict[str, str] = {row["room_id"]: row["account_id"] for row in reversed(by_room)}

    def answer(self, client_id: str, idem_key: str) -> Row | None:
        """The answer that this key got."""
        return self._answers.get((client_id, idem_key))

    def is_booked(self, provider: str, transaction_id: str) -> bool:
        """Whether the transaction was booked."""
        return (provider, transaction_id) in self._payments

    def home(self, account_id: str | None, room_id: str | None) -> str | None:
        """The open household account of that id or room."""
        if account_id is not None:
            return account_id if account_id in self._accounts else None
        return self._rooms.get(room_id or "")


def before_topups(
    connection: Connection,
    estate_id: str,
    *,
    keys: Sequence[tuple[str, str]],
    transactions: Sequence[tuple[str, str]],
    account_ids: Sequence[str],
    room_ids: Sequence[str],
) -> Before:
    """Answers of (client, key), payments of (provider, transaction) and households, in one round trip."""
    client_ids, idem_keys = _apart(keys)
    providers, transaction_ids = _apart(transactions)
    statements: dict[Query, Statement] = {
        _SITE: _SITE.of(connection, estate_id=estate_id),
        _ANSWERS: _ANSWERS.of(connection, estate_id=estate_id, client_ids=client_ids, idem_keys=idem_keys),
        _PAYMENTS: _PAYMENTS.of(connection, estate_id=estate_id, providers=providers, transaction_ids=transaction_ids),
        _BY_ACCOUNT: _BY_ACCOUNT.of(connection, estate_id=estate_id, account_ids=list(account_ids)),
        _BY_ROOM: _BY_ROOM.of(connection, estate_id=estate_id, room_ids=list(room_ids)),
    }
    answers = send(connection, *statements.values())
    sites, *rest = (query.named(connection, one) for query, one in zip(statements, answers, strict=True))
    return Before(_the_site(estate_id, sites), *rest)


def _apart(pairs: Sequence[tuple[str, str]]) -> tuple[list[str], list[str]]:
    return sorted({first for first, _ in pairs}), [second for _, second in pairs]


def surroundings(
    connection: Connection, estate_id: str, account_ids: Sequence[str]
) -> tuple[Row, dict[str, list[Row]]]:
    """The estate's row, and the meters of each of these accounts with fee, relay and what is wanted of it."""
    sites, found = send(
        connection,
        _SITE.of(connection, estate_id=estate_id),
        _RELAYS.of(connection, estate_id=estate_id, account_ids=list(account_ids)),
    )
    relays: dict[str, list[Row]] = {account_id: [] for account_id in account_ids}
    for row in _RELAYS.named(connection, found):
        relays[row["account_id"]].append(row)
    return _the_site(estate_id, _SITE.named(connection, sites)), relays


def relays_of_account(connection: Connection, estate_id: str, account_id: str) -> list[tuple[str, str, str]]:
    """(meter, relay as read back, desired) of each of the account's meters."""
    rows = _RELAYS.ask(connection, estate_id=estate_id, account_ids=[account_id])
    return [(row["meter_id"], row["relay"], row["desired"]) for row in rows]
