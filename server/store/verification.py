"""The reads of `verify`: everything once, in booking order, streamed."""

from collections.abc import Iterator
from itertools import groupby
from typing import Any

from sqlalchemy import Connection, and_, func, select

from server.domain.ledger import LINE_FIELDS, Line
from server.domain.verification import Installed, Reached
from server.store.ledger import BATCH_HEADER
from server.store.readings import ACCEPTED
from server.store.schema import account, batch, line, meter, meter_cursor, payment, reading, seal

ROWS_AT_ONCE = 5000
Header = tuple[Any, ...]


def batches(connection: Connection, estate_id: str) -> Iterator[tuple[Header, list[tuple[Line, int | None]]]]:
    """Every batch header with its lines and the accepted register at the end of each charge."""
    lines = _lines(connection, estate_id)
    waiting = next(lines, None)
    columns = [batch.c[name] for name in BATCH_HEADER]
    query = select(*columns).where(batch.c.estate_id == estate_id).order_by(batch.c.batch_seq)
    for header in connection.execute(query).all():
        own: list[tuple[Line, int | None]] = []
        while waiting is not None and waiting[0] < header[0]:
            waiting = next(lines, None)
        if waiting is not None and waiting[0] == header[0]:
            own, waiting = waiting[1], next(lines, None)
        yield tuple(header), own


def _lines(connection: Connection, estate_id: str) -> Iterator[tuple[int, list[tuple[Line, int | None]]]]:
    at_end = and_(
        reading.c.estate_id == line.c.estate_id,
        reading.c.read_at == line.c.event_to,
        reading.c.meter_id == line.c.meter_id,
        reading.c.verdict.in_(ACCEPTED),
    )
    query = (
        select(line.c.batch_seq, reading.c.total_wh, *(line.c[name] for name in LINE_FIELDS))
        .outerjoin(reading, at_end)
        .where(line.c.estate_id == estate_id)
        .order_by(line.c.batch_seq, line.c.line_no)
        .execution_options(yield_per=ROWS_AT_ONCE)
    )
    for batch_seq, rows in groupby(connection.execute(query), key=lambda row: row[0]):
        yield batch_seq, [(Line(*row[2:]), row[1]) for row in rows]


def accounts(connection: Connection, estate_id: str) -> list[tuple[str, int, int, int]]:
    """(account, balance, residue, version) of all accounts."""
    columns = (account.c.account_id, account.c.balance_fen, account.c.residue_nf, account.c.version)
    query = select(*columns).where(account.c.estate_id == estate_id).order_by(account.c.account_id)
    return [(row[0], row[1], row[2], row[3]) for row in connection.execute(query)]


def household_meters(connection: Connection, estate_id: str) -> list[Installed]:
    """All charged meters."""
    columns = (
        meter.c.meter_id, meter.c.install_no, meter.c.ratio, meter.c.max_power_w, meter.c.start_wh,
        meter.c.installed_at,
    )  # fmt: skip
    query = select(*columns).where(meter.c.estate_id == estate_id, meter.c.kind == "household")
    return [Installed(*row) for row in connection.execute(query.order_by(meter.c.meter_id))]


def cursors(connection: Connection, estate_id: str) -> dict[str, tuple[Reached, int | None]]:
    """Each meter's cursor with the accepted register at its instant."""
    own = meter_cursor.c
    at_cursor = and_(
        reading.c.estate_id == own.estate_id,
        reading.c.read_at == own.read_at,
        reading.c.meter_id == own.meter_id,
        reading.c.verdict.in_(ACCEPTED),
    )
    columns = (
        own.meter_id, reading.c.total_wh, own.install_no, own.read_at, own.total_wh, own.tier_period_start,
        own.tier_period_wh,
    )  # fmt: skip
    query = select(*columns).select_from(meter_cursor).outerjoin(reading, at_cursor).where(own.estate_id == estate_id)
    return {row[0]: (Reached(*row[2:]), row[1]) for row in connection.execute(query)}


def seals(connection: Connection, estate_id: str) -> dict[int, tuple[str, str, str]]:
    """(lines_sha256, previous_hash, hash) by batch."""
    columns = (seal.c.batch_seq, seal.c.lines_sha256, seal.c.previous_hash, seal.c.hash)
    query = select(*columns).where(seal.c.estate_id == estate_id)
    return {row[0]: (row[1], row[2], row[3]) for row in connection.execute(query)}


def payments(connection: Connection, estate_id: str) -> list[tuple[str, str, str | None, int, int, str]]:
    """(payment, provider, account, amount, batch, state) of all payments."""
    columns = (
        payment.c.payment_id, payment.c.provider, payment.c.account_id, payment.c.amount_fen, payment.c.batch_seq,
        payment.c.state,
    )  # fmt: skip
    query = select(*columns).where(payment.c.estate_id == estate_id).order_by(payment.c.payment_id)
    return [(row[0], row[1], row[2], row[3], row[4], row[5]) for row in connection.execute(query)]


def repeated_keys(connection: Connection, estate_id: str) -> list[str]:
    """Idempotency keys with more than one batch."""
    query = select(batch.c.idem_key).where(batch.c.estate_id == estate_id).group_by(batch.c.idem_key)
    return list(connection.execute(query.having(func.count() > 1)).scalars())
