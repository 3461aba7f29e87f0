"""What one household's pages read: its ledger, notices, commands to the relay, days of use, orders and cases."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from sqlalchemy import BindParameter, Connection, RowMapping, Select, and_, bindparam, select

from server.store.account_lines import NEWEST_FIRST, lines_of
from server.store.accounts import moved_in_at
from server.store.days import Day, daily
from server.store.direct import Query, Row
from server.store.schema import (
    anomaly_case,
    batch,
    exchange,
    line,
    meter,
    meter_cursor,
    notice,
    payment,
    payment_order,
    reading,
    register_day,
    relay_attempt,
    relay_desired,
    tariff,
)

LEDGER_ROWS = 30
ROWS = 12
DAYS = 31
FOREVER = 2**62
_ESTATE: BindParameter[str] = bindparam("estate_id")
_ACCOUNT: BindParameter[str] = bindparam("account_id")
_METER: BindParameter[str] = bindparam("meter_id")
_LIMIT: BindParameter[int] = bindparam("limit")


@dataclass(frozen=True, slots=True)
class LedgerRow:
    """One line of the account's ledger; energy in Wh where it was charged."""

    batch_seq: int
    kind: str
    memo: str
    actor: str
    event_at: int
    amount_fen: int
    balance_after_fen: int
    charge_nf: int
    energy_wh: int | None
    event_from: int | None
    event_to: int | None
    account_version: int  # with the account, the name of its bill
    meter_id: str | None


_LINES: Select[Any] = (
    select(
        line.c.batch_seq, batch.c.kind, batch.c.memo, batch.c.actor, batch.c.event_at, line.c.amount_fen,
        line.c.balance_after_fen, line.c.charge_nf, (line.c.to_wh - line.c.from_wh), line.c.event_from, line.c.event_to,
        line.c.account_version, line.c.meter_id,
    )
    .join(batch, and_(batch.c.estate_id == line.c.estate_id, batch.c.batch_seq == line.c.batch_seq))
    .order_by(*NEWEST_FIRST)
    .limit(_LIMIT)
)  # fmt: skip

_LINES_OF_ALL = Query(lambda _: _LINES.where(*lines_of(_ESTATE, _ACCOUNT, newest=_LIMIT)))
_LINES_OF = Query(lambda among: _LINES.where(*lines_of(_ESTATE, _ACCOUNT), among(batch.c.kind, "kinds")))


def ledger(
    connection: Connection, estate_id: str, account_id: str, *, limit: int = LEDGER_ROWS, kinds: Sequence[str] = ()
) -> list[LedgerRow]:
    """The newest lines of an account, newest first; `kinds` keeps only those batches."""
    query = _LINES_OF if kinds else _LINES_OF_ALL
    rows = query.rows(connection, estate_id=estate_id, account_id=account_id, limit=limit, kinds=list(kinds))
    return [LedgerRow(*row) for row in rows]


@dataclass(frozen=True, slots=True)
class RelayStep:
    """What was done for one wish: cleared, sent, accepted, refused, no_reply, read_back, expired or superseded."""

    step: str
    world_at: int
    created_ms: int
    detail: str


@dataclass(frozen=True, slots=True)
class RelayWish:
    """One generation of the desired state with its steps in order."""

    gen: int
    state: str
    action: str
    reason: str
    actor: str
    decided_at: int
    created_ms: int
    evidence: str
    steps: tuple[RelayStep, ...]

    @property
    def outcome(self) -> str:
        """The last step, or queued."""
        return self.steps[-1].step if self.steps else "queued"

    @property
    def took_ms(self) -> int | None:
        """Machine milliseconds from the wish to its read-back, None before it."""
        done = [step.created_ms for step in self.steps if step.step == "read_back"]
        return max(0, done[-1] - self.created_ms) if done else None


_WISHES = Query(
    lambda _: (
        select(relay_desired)
        .where(
            relay_desired.c.estate_id == _ESTATE,
            relay_desired.c.meter_id == _METER,
            relay_desired.c.decided_at >= bindparam("since"),
        )
        .order_by(relay_desired.c.gen.desc())
        .limit(_LIMIT)
    )
)
_STEPS = Query(
    lambda _: (
        select(relay_attempt)
        .where(
            relay_attempt.c.estate_id == _ESTATE,
            relay_attempt.c.meter_id == _METER,
            relay_attempt.c.gen >= bindparam("since_gen"),
        )
        .order_by(relay_attempt.c.gen, relay_attempt.c.step_no)
    )
)


def relay_history(
    connection: Connection, estate_id: str, meter_id: str, *, limit: int = 5, since: int = 0
) -> list[RelayWish]:
    """The newest wishes for a meter's relay since world time `since`, newest first, with all their steps."""
    found = _WISHES.ask(connection, estate_id=estate_id, meter_id=meter_id, limit=limit, since=since)
    if not found:
        return []
    steps: dict[int, list[RelayStep]] = {}
    for row in _STEPS.ask(connection, estate_id=estate_id, meter_id=meter_id, since_gen=found[-1]["gen"]):
        step = RelayStep(row["step"], row["world_at"], row["created_ms"], row["detail"])
        steps.setdefault(row["gen"], []).append(step)
    return [
        RelayWish(
            gen=row["gen"],
            state=row["state"],
            action=row["action"],
            reason=row["reason"],
            actor=row["actor"],
            decided_at=row["decided_at"],
            created_ms=row["created_ms"],
            evidence=row["evidence"],
            steps=tuple(steps.get(row["gen"], ())),
        )
        for row in found
    ]


_NOTICES = Query(
    lambda _: (
        select(notice)
        .where(notice.c.estate_id == _ESTATE, notice.c.account_id == _ACCOUNT)
        .order_by(notice.c.created_ms.desc(), notice.c.notice_id)
        .limit(_LIMIT)
    )
)


def notices(connection: Connection, estate_id: str, account_id: str, *, limit: int = ROWS) -> Sequence[Row]:
    """The newest notices of an account, newest first."""
    return _NOTICES.ask(connection, estate_id=estate_id, account_id=account_id, limit=limit)


_DAYS = Query(
    lambda _: (
        select(register_day.c.meter_id, register_day.c.day, register_day.c.first_wh, register_day.c.total_wh)
        .where(
            register_day.c.estate_id == _ESTATE,
            register_day.c.meter_id == _METER,
            register_day.c.read_at.between(bindparam("from_at"), bindparam("to_at")),
        )
        .order_by(register_day.c.day.desc())
        .limit(_LIMIT)
    )
)


def days(connection: Connection, estate_id: str, meter_id: str, *, limit: int = DAYS) -> list[Day]:
    """Energy of the latest days of a household, oldest first, after the ratio; days without a reading are absent.

    Meters that this one replaced are counted up to their exchange.
    """
    found: dict[str, int] = {}
    for one in _installations(connection, estate_id, meter_id):
        rows = _DAYS.rows(
            connection, estate_id=estate_id, meter_id=one.meter_id, from_at=one.from_at, to_at=one.to_at,
            limit=limit + 1,
        )  # fmt: skip
        for day in daily(reversed(rows)):
            found[day.day] = found.get(day.day, 0) + day.energy_wh * one.ratio
    return [Day(meter_id, day, found[day]) for day in sorted(found)][-limit:]


class _Installation(NamedTuple):
    """A meter with its ratio, from one exchange to the next."""

    meter_id: str
    ratio: int
    from_at: int
    to_at: int


_OWNER = Query(
    lambda _: select(meter.c.account_id, meter.c.ratio, meter.c.installed_at).where(
        meter.c.estate_id == _ESTATE, meter.c.meter_id == _METER
    )
)
_OLD = Query(
    lambda _: (
        select(
            exchange.c.new_meter_id, exchange.c.old_meter_id, exchange.c.old_ratio, exchange.c.old_installed_at,
            exchange.c["at"],
        )
        .where(exchange.c.estate_id == _ESTATE, exchange.c.account_id == _ACCOUNT, exchange.c.kind != "move")
        .order_by(exchange.c["at"].desc(), exchange.c.created_ms.desc())
    )
)  # fmt: skip


def _installations(connection: Connection, estate_id: str, meter_id: str) -> list[_Installation]:
    """What measured this household, newest first; days that an import brought have no time and count as the oldest.

    What the meter counted before the household moved in is not its own.
    """
    row = next(iter(_OWNER.rows(connection, estate_id=estate_id, meter_id=meter_id)), None)
    if row is None:
        return []
    found, behind = [_Installation(meter_id, row[1], row[2], FOREVER)], meter_id
    for new_meter_id, *before in _OLD.rows(connection, estate_id=estate_id, account_id=row[0]):
        if new_meter_id == behind:
            found.append(_Installation(*before))
            behind = before[0]
    since = moved_in_at(connection, estate_id, row[0])
    if not since:
        return [*found[:-1], found[-1]._replace(from_at=0)]
    return [one._replace(from_at=max(one.from_at, since)) for one in found]


_CURSOR = Query(
    lambda _: select(meter_cursor).where(meter_cursor.c.estate_id == _ESTATE, meter_cursor.c.meter_id == _METER)
)


def cursor(connection: Connection, estate_id: str, meter_id: str) -> Row | None:
    """Up to where the meter has been charged, and the energy of its tier period; None before the first charge."""
    return _CURSOR.first(connection, estate_id=estate_id, meter_id=meter_id)


_DEFINITION = Query(
    lambda _: select(tariff.c.definition).where(
        tariff.c.estate_id == _ESTATE, tariff.c.tariff_id == bindparam("tariff_id")
    )
)


def tariff_definition(connection: Connection, estate_id: str, tariff_id: str) -> str | None:
    """The tariff's JSON definition, or None."""
    found: str | None = _DEFINITION.value(connection, estate_id=estate_id, tariff_id=tariff_id)
    return found


_READINGS = Query(
    lambda _: (
        select(reading)
        .where(reading.c.estate_id == _ESTATE, reading.c.meter_id == _METER)
        .order_by(reading.c.read_at.desc())
        .limit(_LIMIT)
    )
)


def readings(connection: Connection, estate_id: str, meter_id: str, *, limit: int = ROWS) -> Sequence[Row]:
    """The newest readings of a meter with their verdicts, newest first."""
    return _READINGS.ask(connection, estate_id=estate_id, meter_id=meter_id, limit=limit)


def order(connection: Connection, estate_id: str, order_no: str) -> RowMapping | None:
    """One payment order, or None."""
    query = select(payment_order).where(payment_order.c.estate_id == estate_id, payment_order.c.order_no == order_no)
    return connection.execute(query).mappings().one_or_none()


_PAYMENTS = Query(
    lambda _: (
        select(payment)
        .where(payment.c.estate_id == _ESTATE, payment.c.account_id == _ACCOUNT)
        .order_by(payment.c.created_ms.desc())
        .limit(_LIMIT)
    )
)


def payments(connection: Connection, estate_id: str, account_id: str, *, limit: int = ROWS) -> Sequence[Row]:
    """The newest payments of an account, newest first."""
    return _PAYMENTS.ask(connection, estate_id=estate_id, account_id=account_id, limit=limit)


_CASES = Query(
    lambda _: (
        select(anomaly_case)
        .where(anomaly_case.c.estate_id == _ESTATE, anomaly_case.c.room_id == bindparam("room_id"))
        .order_by(anomaly_case.c.opened_ms.desc())
        .limit(_LIMIT)
    )
)


def cases_of_room(connection: Connection, estate_id: str, room_id: str) -> Sequence[Row]:
    """Cases about a room, newest first."""
    return _CASES.ask(connection, estate_id=estate_id, room_id=room_id, limit=ROWS)
