"""Reads and writes of accounts' lives: their events, what is still open of them, and meters that feed nobody."""

import json
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, RowMapping, and_, bindparam, func, or_, select

from server.domain.accounts import CLOSED, LEFT, LIMITED, NORMAL, PREPAID, OpenThing, Told
from server.domain.ledger import ASSIGNMENT, LEDGERS
from server.domain.refunds import OPEN as REFUND_OPEN
from server.store.direct import Query
from server.store.ledger import ledger_balances
from server.store.meters import MeterRow, list_meters, meters_of_account
from server.store.partial import UNFINISHED
from server.store.readings import HELD_VERDICTS
from server.store.schema import (
    account,
    account_event,
    app_user,
    approval,
    login_session,
    meter,
    meter_cursor,
    meter_live,
    payment,
    payment_order,
    reading,
    recharge,
    refund,
    room,
    supply,
)

LISTED_MAX = 200
FOUND_MAX = 50


def add_event(connection: Connection, estate_id: str, account_id: str, **values: Any) -> int:
    """Append one event to the account's life; its number."""
    own = (account_event.c.estate_id == estate_id, account_event.c.account_id == account_id)
    event_no = int(connection.execute(select(func.max(account_event.c.event_no)).where(*own)).scalar() or 0) + 1
    connection.execute(
        account_event.insert().values(estate_id=estate_id, account_id=account_id, event_no=event_no, **values)
    )
    return event_no


def begun(connection: Connection, estate_id: str) -> set[str]:
    """Accounts of whose life anything is told."""
    query = select(account_event.c.account_id).where(account_event.c.estate_id == estate_id).distinct()
    return set(connection.execute(query).scalars())


def gone(connection: Connection, estate_id: str) -> set[str]:
    """Household accounts that nobody lives by any more."""
    query = select(account.c.account_id).where(
        account.c.estate_id == estate_id, account.c.kind == "household", account.c.status.in_((LEFT, CLOSED))
    )
    return set(connection.execute(query).scalars())


def life(connection: Connection, estate_id: str, account_id: str, *, limit: int = LISTED_MAX) -> Sequence[RowMapping]:
    """The events of an account, newest first."""
    query = (
        select(account_event)
        .where(account_event.c.estate_id == estate_id, account_event.c.account_id == account_id)
        .order_by(account_event.c.event_no.desc())
        .limit(limit)
    )
    return connection.execute(query).mappings().all()


def told(connection: Connection, estate_id: str, after: int, last: int) -> list[Told]:
    """The events that moved money by batches after number `after` up to `last`, in the order of these."""
    own = account_event.c
    columns = (
        own.account_id, own.event_no, own.act, own.ledger, own.amount_fen, own.limit_fen, own.batch_seq, own.actor,
        own.approved_by, own.world_at, own.created_ms,
    )  # fmt: skip
    query = select(*columns).where(own.estate_id == estate_id, own.batch_seq > after, own.batch_seq <= last)
    return [Told(*row) for row in connection.execute(query.order_by(own.batch_seq, own.account_id))]


def booked_alone(connection: Connection, estate_id: str, account_id: str, actor: str, since: int) -> int:
    """Fen, up and down together, that a person booked on an account without a second one since an instant."""
    own = account_event.c
    query = select(func.coalesce(func.sum(func.abs(own.amount_fen)), 0)).where(
        own.estate_id == estate_id, own.account_id == account_id, own.actor == actor, own.approved_by.is_(None),
        own.world_at > since, own.act.in_(LIMITED),
    )  # fmt: skip
    return int(connection.execute(query).scalar_one())


def update_account(connection: Connection, estate_id: str, account_id: str, **values: Any) -> None:
    """Change an account's row."""
    own = (account.c.estate_id == estate_id, account.c.account_id == account_id)
    connection.execute(account.update().where(*own).values(**values))


def account_exists(connection: Connection, estate_id: str, account_id: str) -> bool:
    """Whether any account, of a household or not, has this id."""
    query = select(account.c.account_id).where(account.c.estate_id == estate_id, account.c.account_id == account_id)
    return connection.execute(query).first() is not None


def room_exists(connection: Connection, estate_id: str, room_id: str) -> bool:
    """Whether the estate has this room."""
    query = select(room.c.room_id).where(room.c.estate_id == estate_id, room.c.room_id == room_id)
    return connection.execute(query).first() is not None


def open_things(connection: Connection, estate_id: str, account_id: str, now_ms: int) -> list[OpenThing]:
    """What is still open of an account: of its meters, of its payments, of its ledgers; `now_ms` is machine time."""
    own = [one.meter_id for one in meters_of(connection, estate_id, account_id)]
    found = open_of_meters(connection, estate_id, own) + open_recharges(connection, estate_id, account_id)
    query = select(payment_order.c.order_no).where(
        payment_order.c.estate_id == estate_id,
        payment_order.c.account_id == account_id,
        payment_order.c.status == "created",
    )
    found += [OpenThing("order", row[0]) for row in connection.execute(query)]
    query = select(refund.c.refund_no).where(
        refund.c.estate_id == estate_id, refund.c.account_id == account_id, refund.c.status.in_(REFUND_OPEN)
    )
    found += [OpenThing("refund", row[0]) for row in connection.execute(query)]
    found += [OpenThing("request", row["approval_id"]) for row in requests(connection, estate_id, account_id, now_ms)]
    found += [OpenThing("meter", meter_id) for meter_id in own]
    balances = ledger_balances(connection, estate_id, account_id)
    return [*found, *(OpenThing("balance", ledger) for ledger in LEDGERS if balances[ledger])]


def open_recharges(connection: Connection, estate_id: str, account_id: str) -> list[OpenThing]:
    """Recharges of the account that are on their way into a meter."""
    query = select(recharge.c.recharge_id).where(
        recharge.c.estate_id == estate_id,
        recharge.c.account_id == account_id,
        recharge.c.status.in_(("waiting", "running")),
    )
    return [OpenThing("recharge", row[0]) for row in connection.execute(query)]


def open_of_meters(connection: Connection, estate_id: str, meter_ids: Sequence[str]) -> list[OpenThing]:
    """Relay commands that are not read back, and readings after the accepted one that are held."""
    query = select(supply.c.meter_id).where(
        supply.c.estate_id == estate_id, supply.c.meter_id.in_(meter_ids), supply.c.command.in_(UNFINISHED)
    )
    found = [OpenThing("command", row[0]) for row in connection.execute(query.order_by(supply.c.meter_id))]
    query = (
        select(reading.c.meter_id)
        .join(meter, and_(meter.c.estate_id == reading.c.estate_id, meter.c.meter_id == reading.c.meter_id))
        .join(meter_live, and_(meter_live.c.estate_id == meter.c.estate_id, meter_live.c.meter_id == meter.c.meter_id))
        .where(
            reading.c.estate_id == estate_id,
            reading.c.meter_id.in_(meter_ids),
            reading.c.install_no == meter.c.install_no,
            reading.c.verdict.in_(HELD_VERDICTS),
            reading.c.read_at >= func.coalesce(meter_live.c.reading_at, meter.c.installed_at),
        )
        .distinct()
    )
    return found + [OpenThing("held_reading", row[0]) for row in connection.execute(query)]


def requests(connection: Connection, estate_id: str, account_id: str, now_ms: int) -> list[RowMapping]:
    """Bookings and moves of this account that wait for a second person and have not expired, oldest first."""
    query = (
        select(approval)
        .where(
            approval.c.estate_id == estate_id,
            approval.c.kind.in_(("booking", "move_out", ASSIGNMENT)),
            approval.c.status == "waiting",
            approval.c.expires_ms > now_ms,
        )
        .order_by(approval.c.requested_ms)
    )
    rows = connection.execute(query).mappings()
    return [row for row in rows if json.loads(row["payload"])["account_id"] == account_id]


def meters_of(connection: Connection, estate_id: str, account_id: str) -> list[MeterRow]:
    """The household meters that feed an account, by address."""
    found = meters_of_account(connection, estate_id, account_id)
    return [one for one in found if one.kind == "household"]


def vacant_meters(connection: Connection, estate_id: str) -> list[MeterRow]:
    """Household meters on a bus that feed nobody, by address: their households have moved out."""
    every = list_meters(connection, estate_id)
    return [one for one in every if one.kind == "household" and one.account_id is None and one.bus_id]


def former_account(connection: Connection, estate_id: str, meter_id: str) -> str | None:
    """The account whose household moved out from behind this meter last."""
    own = account_event.c
    query = (
        select(own.account_id)
        .where(own.estate_id == estate_id, own.meter_id == meter_id, own.act == "moved_out")
        .order_by(own.world_at.desc(), own.created_ms.desc())
        .limit(1)
    )
    found: str | None = connection.execute(query).scalar()
    return found


def registers(connection: Connection, estate_id: str, meter_ids: Sequence[str]) -> dict[str, tuple[int, int]]:
    """(register up to which it was charged, newest accepted register) of meters, in Wh before the ratio."""
    live = and_(meter_live.c.estate_id == meter_cursor.c.estate_id, meter_live.c.meter_id == meter_cursor.c.meter_id)
    newest = func.coalesce(meter_live.c.total_wh, meter_cursor.c.total_wh)
    query = (
        select(meter_cursor.c.meter_id, meter_cursor.c.total_wh, newest)
        .outerjoin(meter_live, live)
        .where(meter_cursor.c.estate_id == estate_id, meter_cursor.c.meter_id.in_(meter_ids))
    )
    return {row[0]: (row[1], row[2]) for row in connection.execute(query)}


def unsettled(connection: Connection, estate_id: str) -> Sequence[RowMapping]:
    """Household accounts not in normal service, postpaid ones, and closed ones on which there is money again, by id."""
    own = account.c
    indebted = and_(own.status == CLOSED, own.balance_fen != 0)
    query = select(account).where(
        own.estate_id == estate_id,
        own.kind == "household",
        or_(own.status.not_in((NORMAL, CLOSED)), and_(own.status == NORMAL, own.payment != PREPAID), indebted),
    )
    return connection.execute(query.order_by(own.account_id).limit(LISTED_MAX)).mappings().all()


def found(connection: Connection, estate_id: str, words: str) -> Sequence[RowMapping]:
    """Household accounts of any state by id, name, or a room of their life; the newest first."""
    own = account.c
    pattern = "%" + words.replace("\\", "\\\\").replace("%", r"\%").replace("_", r"\_") + "%"
    lived = select(account_event.c.account_id).where(
        account_event.c.estate_id == estate_id, account_event.c.room_id == words
    )
    query = select(account).where(
        own.estate_id == estate_id,
        own.kind == "household",
        or_(
            own.account_id.like(pattern, escape="\\"), own.holder.like(pattern, escape="\\"), own.room_id == words,
            own.account_id.in_(lived),
        ),
    )  # fmt: skip
    return connection.execute(query.order_by(own.account_id.desc()).limit(FOUND_MAX)).mappings().all()


def dormant(connection: Connection, estate_id: str, before_at: int) -> list[tuple[RowMapping, int | None]]:
    """Prepaid accounts in service that have paid nothing since `before_at` (world time), each with its last payment.

    The longest silent first; not those whose meter came later than that.
    """
    paid = (
        select(payment.c.account_id, func.max(payment.c.event_at).label("paid_at"))
        .where(payment.c.estate_id == estate_id)
        .group_by(payment.c.account_id)
        .subquery()
    )
    here = and_(meter.c.estate_id == account.c.estate_id, meter.c.account_id == account.c.account_id)
    query = (
        select(account, paid.c.paid_at)
        .join(meter, here)
        .outerjoin(paid, paid.c.account_id == account.c.account_id)
        .where(
            account.c.estate_id == estate_id,
            account.c.kind == "household",
            account.c.status == NORMAL,
            account.c.payment == PREPAID,
            meter.c.installed_at < before_at,
            func.coalesce(paid.c.paid_at, 0) < before_at,
        )
        .order_by(func.coalesce(paid.c.paid_at, 0), account.c.account_id)
        .limit(FOUND_MAX)
    )
    rows = {row["account_id"]: (row, row["paid_at"]) for row in connection.execute(query).mappings()}
    return list(rows.values())


def last_moves(connection: Connection, estate_id: str, *, limit: int = 20) -> Sequence[RowMapping]:
    """The newest moves, closings, and openings by people, newest first."""
    own = account_event.c
    query = select(account_event).where(
        own.estate_id == estate_id,
        own.act.in_(("opened", "moved_in", "moved_out", "closed")),
        or_(own.act != "opened", own.actor != "import"),
    )
    return connection.execute(query.order_by(own.created_ms.desc()).limit(limit)).mappings().all()


_MOVED_IN = Query(
    lambda _: select(func.min(account_event.c.world_at)).where(
        account_event.c.estate_id == bindparam("estate_id"),
        account_event.c.account_id == bindparam("account_id"),
        account_event.c.act == "moved_in",
    )
)


def moved_in_at(connection: Connection, estate_id: str, account_id: str) -> int:
    """World time at which the household moved in; 0 where it was there from the start."""
    return int(_MOVED_IN.value(connection, estate_id=estate_id, account_id=account_id) or 0)


def end_logins(connection: Connection, estate_id: str, account_id: str) -> int:
    """Let nobody sign in any more who is bound to this account; returns how many that were."""
    bound = (app_user.c.estate_id == estate_id, app_user.c.account_id == account_id, app_user.c.active == 1)
    users = list(connection.execute(select(app_user.c.user_id).where(*bound)).scalars())
    connection.execute(app_user.update().where(*bound).values(active=0))
    own = (login_session.c.estate_id == estate_id, login_session.c.user_id.in_(users))
    connection.execute(login_session.delete().where(*own))
    return len(users)
