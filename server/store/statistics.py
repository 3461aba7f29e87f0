"""What the statistics and today's page read: energy by day and household, top-ups by day, reading success, the till.

Days are local dates of the estate. Energy comes from `register_day` (the accepted registers), money from batches of
kind topup; nothing here is stored twice.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from operator import itemgetter
from typing import Any, NamedTuple

from sqlalchemy import (
    ColumnElement,
    Connection,
    FromClause,
    Label,
    RowMapping,
    and_,
    bindparam,
    func,
    literal,
    select,
    union_all,
)

from server.domain.ledger import ASSIGNMENT, SUSPENSE
from server.store.cases import LIVE
from server.store.days import Day, daily
from server.store.direct import Query
from server.store.partial import HAS_FAILED, IS_LOST
from server.store.schema import (
    account,
    anomaly_case,
    approval,
    audit,
    batch,
    line,
    meter,
    notice,
    payment,
    payment_order,
    register_day,
    relay_attempt,
    relay_desired,
    seal,
    supply,
)

RECENT = 12
UNDELIVERED_MS = 7 * 86_400_000  # older ones are not for anybody to mend


@dataclass(frozen=True, slots=True)
class DayEnergy:
    """Energy of all household meters on one local day, Wh, from `meters` meters."""

    day: str
    energy_wh: int
    meters: int


def _days(connection: Connection, estate_id: str, first_day: str, last_day: str) -> list[Day]:
    """Days of all household meters; the day before `first_day` is read too, since it says where the first began."""
    query = (
        select(register_day.c.meter_id, register_day.c.day, register_day.c.first_wh, register_day.c.total_wh)
        .join(meter, and_(meter.c.estate_id == register_day.c.estate_id, meter.c.meter_id == register_day.c.meter_id))
        .where(
            register_day.c.estate_id == estate_id,
            register_day.c.day >= (date.fromisoformat(first_day) - timedelta(days=1)).isoformat(),
            register_day.c.day <= last_day,
            meter.c.kind == "household",
        )
        .order_by(register_day.c.day)
    )
    return [one for one in daily(connection.execute(query)) if one.day >= first_day]


@dataclass(frozen=True, slots=True)
class HouseholdEnergy:
    """Energy of one household between two days, Wh."""

    room_id: str
    account_id: str
    energy_wh: int
    days: int


def energy(
    connection: Connection, estate_id: str, first_day: str, last_day: str
) -> tuple[list[DayEnergy], list[HouseholdEnergy]]:
    """Energy by local day (oldest first) and by household (most first), both ends inclusive, in one pass.

    Days without readings are absent.
    """
    by_day: Counter[str] = Counter()
    meters: Counter[str] = Counter()
    by_meter: Counter[str] = Counter()
    days: Counter[str] = Counter()
    for one in _days(connection, estate_id, first_day, last_day):
        by_day[one.day] += one.energy_wh
        meters[one.day] += 1
        by_meter[one.meter_id] += one.energy_wh
        days[one.meter_id] += 1
    owners = connection.execute(
        select(meter.c.meter_id, account.c.room_id, account.c.account_id)
        .join(account, and_(account.c.estate_id == meter.c.estate_id, account.c.account_id == meter.c.account_id))
        .where(meter.c.estate_id == estate_id, account.c.kind == "household")
    )
    found = [HouseholdEnergy(str(r), str(a), by_meter[m], days[m]) for m, r, a in owners if m in days]
    ordered = sorted(found, key=lambda one: (-one.energy_wh, one.room_id))
    return [DayEnergy(day, by_day[day], meters[day]) for day in sorted(meters)], ordered


def energy_by_day(connection: Connection, estate_id: str, first_day: str, last_day: str) -> list[DayEnergy]:
    """Energy of the estate's households by local day (both inclusive), oldest first; days without readings lack."""
    return energy(connection, estate_id, first_day, last_day)[0]


def energy_by_household(connection: Connection, estate_id: str, first_day: str, last_day: str) -> list[HouseholdEnergy]:
    """Energy of each household between two local dates (inclusive), most first."""
    return energy(connection, estate_id, first_day, last_day)[1]


@dataclass(frozen=True, slots=True)
class Topup:
    """One top-up: when (world seconds), who got it, through whom (`SUSPENSE`: out of it), how much."""

    event_at: int
    account_id: str
    amount_fen: int
    provider: str


_PAYMENT_GIVEN = func.substr(batch.c.idem_key, len(f"{ASSIGNMENT}:") + 1)


def _given(estate_id: ColumnElement[Any], since: ColumnElement[Any]) -> tuple[ColumnElement[bool], ...]:
    """Batches that gave money in suspense to households from `since` on, found by their keys: these are indexed.

    The next letter ends the span, and no sign, since databases order signs each in their way.
    """
    begin, end = ASSIGNMENT, ASSIGNMENT[:-1] + chr(ord(ASSIGNMENT[-1]) + 1)
    keys = (batch.c.idem_key >= literal(begin), batch.c.idem_key < literal(end))
    return batch.c.estate_id == estate_id, *keys, batch.c.kind == ASSIGNMENT, batch.c.event_at >= since


def topups(connection: Connection, estate_id: str, since: int) -> list[Topup]:
    """Credited payments with `event_at` from `since` on, oldest first.

    Money out of suspense counts when it became a household's, beside what the providers brought that day.
    """
    query = (
        select(payment.c.event_at, payment.c.account_id, payment.c.amount_fen, payment.c.provider)
        .where(payment.c.estate_id == estate_id, payment.c.event_at >= since, payment.c.state == "credited")
        .order_by(payment.c.event_at)
    )
    given = select(batch.c.event_at, payment.c.account_id, payment.c.amount_fen, literal(SUSPENSE)).join(
        payment, and_(payment.c.estate_id == batch.c.estate_id, payment.c.payment_id == _PAYMENT_GIVEN)
    )
    found = [
        *connection.execute(query),
        *connection.execute(given.where(*_given(literal(estate_id), literal(since)))),
    ]
    return [Topup(int(at), str(acc), int(fen), str(name)) for at, acc, fen, name in sorted(found, key=itemgetter(0))]


_COUNT_AND_FEN: tuple[Any, ...] = (func.count().label("count"), func.sum(payment.c.amount_fen).label("fen"))
_both = union_all(
    select(*_COUNT_AND_FEN)
    .select_from(payment)
    .where(
        payment.c.estate_id == bindparam("estate_id"),
        payment.c.event_at >= bindparam("since"),
        payment.c.state == "credited",
    ),
    select(func.count(), func.sum(batch.c.turnover_fen)).where(*_given(bindparam("estate_id"), bindparam("since"))),
).subquery("both")
_SOLD = Query(lambda _: select(_both.c.count, _both.c.fen))


def sold(connection: Connection, estate_id: str, since: int) -> tuple[int, int]:
    """How many top-ups with `event_at` from `since` on were credited, and their fen; out of suspense, too."""
    rows = _SOLD.rows(connection, estate_id=estate_id, since=since)
    return sum(int(count) for count, _ in rows), sum(int(fen or 0) for _, fen in rows)


class Charge(NamedTuple):
    """One batch of charges: when (world seconds), the fen it took from households, the energy it charged."""

    batch_seq: int
    event_at: int
    fen: int
    energy_wh: int


_CHARGES = Query(
    lambda _: (
        select(batch.c.batch_seq, batch.c.event_at, batch.c.turnover_fen, func.sum(line.c.to_wh - line.c.from_wh))
        .join(line, and_(batch.c.estate_id == line.c.estate_id, batch.c.batch_seq == line.c.batch_seq))
        .where(
            batch.c.estate_id == bindparam("estate_id"),
            batch.c.kind == "charge",
            batch.c.event_at >= bindparam("since"),
            batch.c.batch_seq > bindparam("after_seq"),
        )
        .group_by(batch.c.batch_seq, batch.c.event_at, batch.c.turnover_fen)
        .order_by(batch.c.batch_seq)
    )
)


def charges(connection: Connection, estate_id: str, since: int, *, after_seq: int = 0) -> list[Charge]:
    """Batches of charges with `event_at` from `since` on that came after batch `after_seq`, in their order."""
    rows = _CHARGES.rows(connection, estate_id=estate_id, since=since, after_seq=after_seq)
    return [Charge(row[0], row[1], row[2], int(row[3] or 0)) for row in rows]


_POWERED = Query(
    lambda _: select((payment_order.c.confirmed_ms - payment_order.c.paid_ms).label("ms")).where(
        payment_order.c.estate_id == bindparam("estate_id"),
        payment_order.c.created_at >= bindparam("since"),
        payment_order.c.confirmed_ms.is_not(None),
        payment_order.c.paid_ms.is_not(None),
    )
)


def pay_to_power_ms(connection: Connection, estate_id: str, since: int) -> list[int]:
    """From credit to read-back for orders created from `since` on whose household had no power, sorted, ms."""
    return sorted(ms for (ms,) in _POWERED.rows(connection, estate_id=estate_id, since=since))


_PRESSED = Query(
    lambda _: select((payment_order.c.button_ms - payment_order.c.confirmed_ms).label("ms")).where(
        payment_order.c.estate_id == bindparam("estate_id"),
        payment_order.c.created_at >= bindparam("since"),
        payment_order.c.button_ms.is_not(None),
        payment_order.c.confirmed_ms.is_not(None),
    )
)


def button_ms(connection: Connection, estate_id: str, since: int) -> list[int]:
    """From the permission read back to the relay read back closed, for orders from `since` on, sorted, ms.

    What a resident needs for the button; no part of pay-to-power.
    """
    return sorted(ms for (ms,) in _PRESSED.rows(connection, estate_id=estate_id, since=since))


_TILL = Query(
    lambda _: (
        select(payment_order)
        .where(
            payment_order.c.estate_id == bindparam("estate_id"),
            payment_order.c.channel == "counter",
            payment_order.c.actor == bindparam("actor"),
            payment_order.c.created_at >= bindparam("since"),
            payment_order.c.status == "paid",
        )
        .order_by(payment_order.c.created_ms.desc())
    )
)


def till(connection: Connection, estate_id: str, actor: str, since: int) -> Sequence[Mapping[str, Any]]:
    """What a cashier took at the counter from `since` on, newest first."""
    return _TILL.ask(connection, estate_id=estate_id, actor=actor, since=since)


@dataclass(frozen=True, slots=True)
class Queue:
    """What waits for somebody, in counts."""

    approvals: int
    cases: int
    undelivered: int
    failed_commands: int
    silent: int
    suspense_fen: int


def _count(table: FromClause, name: str, *where: ColumnElement[bool]) -> Label[int]:
    counted = select(func.count()).select_from(table).where(table.c.estate_id == bindparam("estate_id"), *where)
    return counted.scalar_subquery().label(name)


_other = notice.alias("other")
_reached = (
    select(_other.c.notice_id)
    .where(
        *(_other.c[name] == notice.c[name] for name in ("estate_id", "account_id", "created_ms", "kind")),
        _other.c.status == "delivered",
    )
    .correlate(notice)
    .exists()
)

_QUEUE = Query(
    lambda _: select(
        _count(approval, "approvals", approval.c.status == "waiting", approval.c.expires_ms > bindparam("now_ms")),
        _count(anomaly_case, "cases", anomaly_case.c.status == "open"),
        _count(
            notice, "undelivered", HAS_FAILED, notice.c.created_ms > bindparam("now_ms") - UNDELIVERED_MS, ~_reached
        ),
        _count(supply, "failed_commands", IS_LOST),
        _count(anomaly_case, "silent", anomaly_case.c.status.in_(LIVE), anomaly_case.c.kind == "silent"),
        select(account.c.balance_fen)
        .where(account.c.estate_id == bindparam("estate_id"), account.c.account_id == SUSPENSE)
        .scalar_subquery()
        .label("suspense_fen"),
    )
)


def queue(connection: Connection, estate_id: str, now_ms: int) -> Queue:
    """Approvals that wait, open cases, failed commands, silent meters, and money that fits no order.

    Notices are those of a week that failed on one channel and have arrived by no other.
    """
    found = _QUEUE.ask(connection, estate_id=estate_id, now_ms=now_ms)[0]
    return Queue(**found | {"suspense_fen": found["suspense_fen"] or 0})


_NEWEST_SEAL = Query(
    lambda _: (
        select(seal.c.sealed_ms)
        .where(seal.c.estate_id == bindparam("estate_id"))
        .order_by(seal.c.batch_seq.desc())
        .limit(1)
    )
)


def sealed_until_ms(connection: Connection, estate_id: str) -> int | None:
    """Machine time of the newest seal of the journal, or None."""
    value = _NEWEST_SEAL.value(connection, estate_id=estate_id)
    return None if value is None else int(value)


_COMMANDS = Query(
    lambda _: (
        select(
            relay_attempt.c.step, relay_attempt.c.world_at, relay_attempt.c.detail, relay_attempt.c.gen,
            relay_desired.c.action, relay_desired.c.reason, meter.c.room_id, meter.c.account_id, meter.c.meter_id,
        )
        .join(
            relay_desired,
            and_(
                relay_desired.c.estate_id == relay_attempt.c.estate_id,
                relay_desired.c.meter_id == relay_attempt.c.meter_id,
                relay_desired.c.gen == relay_attempt.c.gen,
            ),
        )
        .join(meter, and_(meter.c.estate_id == relay_attempt.c.estate_id, meter.c.meter_id == relay_attempt.c.meter_id))
        .where(relay_attempt.c.estate_id == bindparam("estate_id"))
        .order_by(relay_attempt.c.created_ms.desc(), relay_attempt.c.step_no.desc())
        .limit(bindparam("limit"))
    )
)  # fmt: skip


def recent_commands(connection: Connection, estate_id: str, *, limit: int = RECENT) -> Sequence[Mapping[str, Any]]:
    """The newest steps of commands with the wish they belong to and the room, newest first."""
    return _COMMANDS.ask(connection, estate_id=estate_id, limit=limit)


def trips_since(connection: Connection, estate_id: str, since: int) -> int:
    """Cuts that were decided from `since` (world seconds) on."""
    query = select(func.count()).where(
        relay_desired.c.estate_id == estate_id, relay_desired.c.action == "trip", relay_desired.c.decided_at >= since
    )
    return int(connection.execute(query).scalar_one())


def recent_audit(connection: Connection, estate_id: str, *, limit: int = RECENT) -> Sequence[RowMapping]:
    """The newest acts of people, newest first."""
    query = select(audit).where(audit.c.estate_id == estate_id).order_by(audit.c.created_ms.desc()).limit(limit)
    return connection.execute(query).mappings().all()
