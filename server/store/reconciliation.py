"""Reads and writes of bill files, their rows and differences, and of what is booked that they speak of."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, RowMapping, and_, case, func, or_, select

from server.domain.ledger import CASH
from server.domain.reconciliation import DONE, FAILED, PAYMENT, PENDING, REFUND, BillRow, Booked, Difference
from server.domain.refunds import REFUNDED, RELEASED
from server.store.bulk import insert_rows
from server.store.cases import LIVE
from server.store.schema import anomaly_case, bill_difference, bill_file, bill_row, payment, refund

KEYS_AT_ONCE = 500


def has_file(connection: Connection, estate_id: str, provider: str, day: str, sha256: str) -> bool:
    """Whether this very file is the newest of its day."""
    newest = newest_file(connection, estate_id, provider, day)
    return newest is not None and newest["sha256"] == sha256


def newest_file(connection: Connection, estate_id: str, provider: str, day: str) -> RowMapping | None:
    """The file of a day that counts."""
    query = select(bill_file).where(
        bill_file.c.estate_id == estate_id, bill_file.c.provider == provider, bill_file.c.day == day
    )
    return connection.execute(query.order_by(bill_file.c.created_ms.desc()).limit(1)).mappings().one_or_none()


def files(connection: Connection, estate_id: str, *, limit: int) -> Sequence[RowMapping]:
    """Files without their content, newest days first."""
    columns = [column for column in bill_file.c if column.name != "content"]
    query = select(*columns).where(bill_file.c.estate_id == estate_id)
    query = query.order_by(bill_file.c.day.desc(), bill_file.c.provider, bill_file.c.created_ms.desc())
    return connection.execute(query.limit(limit)).mappings().all()


def loaded_days(connection: Connection, estate_id: str, provider: str) -> set[str]:
    """Days of which there is a file."""
    query = select(bill_file.c.day).where(bill_file.c.estate_id == estate_id, bill_file.c.provider == provider)
    return set(connection.execute(query.distinct()).scalars())


def digests(connection: Connection, estate_id: str, provider: str, day: str) -> set[str]:
    """The hashes of all files of a day."""
    query = select(bill_file.c.sha256).where(
        bill_file.c.estate_id == estate_id, bill_file.c.provider == provider, bill_file.c.day == day
    )
    return set(connection.execute(query).scalars())


def first_booked_ms(connection: Connection, estate_id: str, provider: str) -> int | None:
    """When the first payment of a provider was booked; None before any was."""
    query = select(func.min(payment.c.created_ms)).where(
        payment.c.estate_id == estate_id, payment.c.provider == provider
    )
    found: int | None = connection.execute(query).scalar()
    return found


def add_file(connection: Connection, **values: Any) -> None:
    """Keep a file as it came."""
    connection.execute(bill_file.insert().values(**values))


def replace_rows(connection: Connection, estate_id: str, provider: str, day: str, rows: Sequence[BillRow]) -> None:
    """What the newest file of a day says."""
    where = (bill_row.c.estate_id == estate_id, bill_row.c.provider == provider, bill_row.c.day == day)
    connection.execute(bill_row.delete().where(*where))
    columns = ("estate_id", "provider", "day", "row_no", *BillRow._fields)
    insert_rows(connection, bill_row, columns, [(estate_id, provider, day, n, *row) for n, row in enumerate(rows, 1)])


def rows_of(connection: Connection, estate_id: str, provider: str, day: str) -> list[BillRow]:
    """The rows of a day in their order."""
    query = (
        select(*(bill_row.c[name] for name in BillRow._fields))
        .where(bill_row.c.estate_id == estate_id, bill_row.c.provider == provider, bill_row.c.day == day)
        .order_by(bill_row.c.row_no)
    )
    return [BillRow(*row) for row in connection.execute(query)]


def elsewhere(
    connection: Connection, estate_id: str, provider: str, day: str, ours: Sequence[Booked]
) -> dict[tuple[str, str], str]:
    """The day of another file in which each of these stands."""
    wanted = {(one.kind, one.key) for one in ours}
    keys = sorted({key for _, key in wanted})
    found: dict[tuple[str, str], str] = {}
    columns = (bill_row.c.kind, bill_row.c.transaction_id, bill_row.c.refund_no, bill_row.c.day)
    for start in range(0, len(keys), KEYS_AT_ONCE):
        some = keys[start : start + KEYS_AT_ONCE]
        query = select(*columns).where(
            bill_row.c.estate_id == estate_id,
            bill_row.c.provider == provider,
            bill_row.c.day != day,
            or_(bill_row.c.transaction_id.in_(some), bill_row.c.refund_no.in_(some)),
        )
        for kind, transaction_id, refund_no, other_day in connection.execute(query):
            found[kind, refund_no if kind == REFUND else transaction_id] = other_day
    return {place: other for place, other in found.items() if place in wanted}


def booked(
    connection: Connection, estate_id: str, provider: str, span_ms: tuple[int, int], theirs: Sequence[BillRow]
) -> list[Booked]:
    """What was booked of this provider in a span of machine time, and whatever else its rows name."""
    if provider == CASH:
        return []
    found: dict[tuple[str, str], Booked] = {}
    keys = {kind: sorted({row.key for row in theirs if row.kind == kind}) for kind in (PAYMENT, REFUND)}
    for select_some, kind in ((_payments, PAYMENT), (_refunds, REFUND)):
        some = select_some(connection, estate_id, provider, span_ms, ())
        for start in range(0, len(keys[kind]), KEYS_AT_ONCE):
            some += select_some(connection, estate_id, provider, None, keys[kind][start : start + KEYS_AT_ONCE])
        found |= {(one.kind, one.key): one for one in some}
    return list(found.values())


def _payments(
    connection: Connection, estate_id: str, provider: str, span_ms: tuple[int, int] | None, keys: Sequence[str]
) -> list[Booked]:
    at_ms = func.coalesce(payment.c.paid_ms, payment.c.created_ms)
    which = payment.c.transaction_id.in_(keys) if span_ms is None else and_(at_ms >= span_ms[0], at_ms < span_ms[1])
    query = select(payment.c.transaction_id, payment.c.order_no, payment.c.amount_fen, at_ms).where(
        payment.c.estate_id == estate_id, payment.c.provider == provider, which
    )
    return [
        Booked(PAYMENT, row[0], row[1] or "", row[2], DONE, row[3], row[0]) for row in connection.execute(query)
    ]  # fmt: skip


def _refunds(
    connection: Connection, estate_id: str, provider: str, span_ms: tuple[int, int] | None, keys: Sequence[str]
) -> list[Booked]:
    at_ms = func.coalesce(refund.c.decided_ms, refund.c.created_ms)
    which = refund.c.refund_no.in_(keys) if span_ms is None else and_(at_ms >= span_ms[0], at_ms < span_ms[1])
    state = case((refund.c.status == REFUNDED, DONE), (refund.c.status == RELEASED, FAILED), else_=PENDING)
    query = select(refund.c.refund_no, refund.c.order_no, refund.c.amount_fen, state, at_ms).where(
        refund.c.estate_id == estate_id, refund.c.provider == provider, which
    )
    return [Booked(REFUND, row[0], row[1] or "", row[2], row[3], row[4]) for row in connection.execute(query)]


def known_differences(
    connection: Connection, estate_id: str, provider: str, day: str
) -> dict[tuple[str, str, str], RowMapping]:
    """The differences of a day by (class, what, key), with the state of their case."""
    query = _differences(estate_id).where(bill_difference.c.provider == provider, bill_difference.c.day == day)
    return {(row["class"], row["what"], row["key"]): row for row in connection.execute(query).mappings()}


def differences(connection: Connection, estate_id: str, *, everything: bool, limit: int) -> Sequence[RowMapping]:
    """Differences that wait for somebody, or all; newest days first."""
    query = _differences(estate_id)
    if not everything:
        query = query.where(
            bill_difference.c.explained_ms.is_(None),
            anomaly_case.c.status.is_not(None),
            anomaly_case.c.status.in_(LIVE),
        )
    names = ("provider", "class", "what", "key")
    query = query.order_by(bill_difference.c.day.desc(), *(bill_difference.c[name] for name in names))
    return connection.execute(query.limit(limit)).mappings().all()


def difference_of_case(connection: Connection, estate_id: str, case_id: str) -> RowMapping | None:
    """The difference that a case is about."""
    query = _differences(estate_id).where(bill_difference.c.case_id == case_id)
    found: RowMapping | None = connection.execute(query).mappings().one_or_none()
    return found


def _differences(estate_id: str) -> Any:
    same = and_(
        anomaly_case.c.estate_id == bill_difference.c.estate_id, anomaly_case.c.case_id == bill_difference.c.case_id
    )
    columns = (anomaly_case.c.status, anomaly_case.c.owner, anomaly_case.c.resolution)
    return select(bill_difference, *columns).outerjoin(anomaly_case, same).where(
        bill_difference.c.estate_id == estate_id
    )  # fmt: skip


def add_difference(
    connection: Connection, estate_id: str, provider: str, day: str, one: Difference, case_id: str | None, ms: int
) -> None:
    """Keep a difference that was found for the first time."""
    values = {
        name: getattr(one, name) for name in ("what", "key", "order_no", "transaction_id", "here_fen", "there_fen")
    }
    states = {"here_state": one.here_state, "there_state": one.there_state}
    where = {"estate_id": estate_id, "provider": provider, "day": day, "class": str(one.kind)}
    connection.execute(
        bill_difference.insert().values({**where, **values, **states, "case_id": case_id, "created_ms": ms})
    )


def mark_explained(connection: Connection, estate_id: str, row: RowMapping, explained_ms: int | None) -> None:
    """A difference that is none any more, or (None) is one again."""
    names = ("provider", "day", "class", "what", "key")
    where = (bill_difference.c.estate_id == estate_id, *(bill_difference.c[name] == row[name] for name in names))
    connection.execute(bill_difference.update().where(*where).values(explained_ms=explained_ms))
