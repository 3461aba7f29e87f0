"""What one household's pages read: its ledger, notices, commands to the relay, days of use, orders and cases."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from sqlalchemy import Connection, RowMapping, Select, and_, select

from server.store.accounts import moved_in_at
from server.store.days import Day, daily
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


def ledger(
    connection: Connection, estate_id: str, account_id: str, *, limit: int = LEDGER_ROWS, kinds: Sequence[str] = ()
) -> list[LedgerRow]:
    """The newest lines of an account, newest first; `kinds` keeps only those batches."""
    query: Select[Any] = (
        select(
            line.c.batch_seq, batch.c.kind, batch.c.memo, batch.c.actor, batch.c.event_at, line.c.amount_fen,
            line.c.balance_after_fen, line.c.charge_nf, (line.c.to_wh - line.c.from_wh), line.c.event_from,
            line.c.event_to, line.c.account_version,
        )
        .join(batch, and_(batch.c.estate_id == line.c.estate_id, batch.c.batch_seq == line.c.batch_seq))
        .where(line.c.estate_id == estate_id, line.c.account_id == account_id)
        .order_by(line.c.account_version.desc())
        .limit(limit)
    )  # fmt: skip
    if kinds:
        query = query.where(batch.c.kind.in_(kinds))
    return [LedgerRow(*row) for row in connection.execute(query)]


@dataclass(frozen=True, slots=True)
class RelayStep:
    """What was done for one wish: sent, accepted, refused, no_reply, read_back, expired or superseded."""

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


def relay_history(
    connection: Connection, estate_id: str, meter_id: str, *, limit: int = 5, since: int = 0
) -> list[RelayWish]:
    """The newest wishes for a meter's relay since world time `since`, newest first, with all their steps."""
    wishes = connection.execute(
        select(relay_desired)
        .where(
            relay_desired.c.estate_id == estate_id,
            relay_desired.c.meter_id == meter_id,
            relay_desired.c.decided_at >= since,
        )
        .order_by(relay_desired.c.gen.desc())
        .limit(limit)
    ).mappings()
    found = list(wishes)
    if not found:
        return []
    steps: dict[int, list[RelayStep]] = {}
    rows = connection.execute(
        select(relay_attempt)
        .where(
            relay_attempt.c.estate_id == estate_id,
            relay_attempt.c.meter_id == meter_id,
            relay_attempt.c.gen >= found[-1]["gen"],
        )
        .order_by(relay_attempt.c.gen, relay_attempt.c.step_no)
    ).mappings()
    for row in rows:
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


def notices(connection: Connection, estate_id: str, account_id: str, *, limit: int = ROWS) -> Sequence[RowMapping]:
    """The newest notices of an account, newest first."""
    query = (
        select(notice)
        .where(notice.c.estate_id == estate_id, notice.c.account_id == account_id)
        .order_by(notice.c.created_ms.desc(), notice.c.notice_id)
        .limit(limit)
    )
    return connection.execute(query).mappings().all()


def days(connection: Connection, estate_id: str, meter_id: str, *, limit: int = DAYS) -> list[Day]:
    """Energy of the latest days of a household, oldest first, after the ratio; days without a reading are absent.

    Meters that this one replaced are counted up to their exchange.
    """
    found: dict[str, int] = {}
    for one in _installations(connection, estate_id, meter_id):
        query = (
            select(register_day.c.meter_id, register_day.c.day, register_day.c.first_wh, register_day.c.total_wh)
            .where(
                register_day.c.estate_id == estate_id,
                register_day.c.meter_id == one.meter_id,
                register_day.c.read_at.between(one.from_at, one.to_at),
            )
            .order_by(register_day.c.day.desc())
            .limit(limit + 1)
        )
        for day in daily(reversed(connection.execute(query).all())):
            found[day.day] = found.get(day.day, 0) + day.energy_wh * one.ratio
    return [Day(meter_id, day, found[day]) for day in sorted(found)][-limit:]


class _Installation(NamedTuple):
    """A meter with its ratio, from one exchange to the next."""

    meter_id: str
    ratio: int
    from_at: int
    to_at: int


def _installations(connection: Connection, estate_id: str, meter_id: str) -> list[_Installation]:
    """What measured this household, newest first; days that an import brought have no time and count as the oldest.

    What the meter counted before the household moved in is not its own.
    """
    now = select(meter.c.account_id, meter.c.ratio, meter.c.installed_at).where(
        meter.c.estate_id == estate_id, meter.c.meter_id == meter_id
    )
    row = connection.execute(now).one_or_none()
    if row is None:
        return []
    old = exchange.c
    query = (
        select(old.new_meter_id, old.old_meter_id, old.old_ratio, old.old_installed_at, old["at"])
        .where(old.estate_id == estate_id, old.account_id == row[0], old.kind != "move")
        .order_by(old["at"].desc(), old.created_ms.desc())
    )
    found, behind = [_Installation(meter_id, row[1], row[2], FOREVER)], meter_id
    for new_meter_id, *before in connection.execute(query):
        if new_meter_id == behind:
            found.append(_Installation(*before))
            behind = before[0]
    since = moved_in_at(connection, estate_id, row[0])
    if not since:
        return [*found[:-1], found[-1]._replace(from_at=0)]
    return [one._replace(from_at=max(one.from_at, since)) for one in found]


def cursor(connection: Connection, estate_id: str, meter_id: str) -> RowMapping | None:
    """Up to where the meter has been charged, and the energy of its tier period; None before the first charge."""
    query = select(meter_cursor).where(meter_cursor.c.estate_id == estate_id, meter_cursor.c.meter_id == meter_id)
    return connection.execute(query).mappings().one_or_none()


def tariff_definition(connection: Connection, estate_id: str, tariff_id: str) -> str | None:
    """The tariff's JSON definition, or None."""
    query = select(tariff.c.definition).where(tariff.c.estate_id == estate_id, tariff.c.tariff_id == tariff_id)
    return connection.execute(query).scalar_one_or_none()


def readings(connection: Connection, estate_id: str, meter_id: str, *, limit: int = ROWS) -> Sequence[RowMapping]:
    """The newest readings of a meter with their verdicts, newest first."""
    query = (
        select(reading)
        .where(reading.c.estate_id == estate_id, reading.c.meter_id == meter_id)
        .order_by(reading.c.read_at.desc())
        .limit(limit)
    )
    return connection.execute(query).mappings().all()


def order(connection: Connection, estate_id: str, order_no: str) -> RowMapping | None:
    """One payment order, or None."""
    query = select(payment_order).where(payment_order.c.estate_id == estate_id, payment_order.c.order_no == order_no)
    return connection.execute(query).mappings().one_or_none()


def payments(connection: Connection, estate_id: str, account_id: str, *, limit: int = ROWS) -> Sequence[RowMapping]:
    """The newest payments of an account, newest first."""
    query = (
        select(payment)
        .where(payment.c.estate_id == estate_id, payment.c.account_id == account_id)
        .order_by(payment.c.created_ms.desc())
        .limit(limit)
    )
    return connection.execute(query).mappings().all()


def cases_of_room(connection: Connection, estate_id: str, room_id: str) -> Sequence[RowMapping]:
    """Cases about a room, newest first."""
    query = (
        select(anomaly_case)
        .where(anomaly_case.c.estate_id == estate_id, anomaly_case.c.room_id == room_id)
        .order_by(anomaly_case.c.opened_ms.desc())
        .limit(ROWS)
    )
    return connection.execute(query).mappings().all()
