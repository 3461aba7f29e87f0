"""Reads and writes of what was archived; lines leave the database here and nowhere else.

Lines leave by whole batches, a few thousand at a time, after the act that archives them is durable; on PostgreSQL a
month of which nothing is left goes as a whole. The append-only triggers are out of the way only for that deletion, in
its own transaction, and PostgreSQL lets only the owner of the tables do it.
"""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, ScalarSelect, TableClause, bindparam, column, func, select, table
from sqlalchemy.exc import OperationalError

from server.domain.archive import MOVED, AccountStanding, Act, Archived, MeterStanding, Standing
from server.domain.ledger import LINE_FIELDS
from server.store.append_only import deleting
from server.store.bulk import insert_lines, insert_rows
from server.store.direct import Query
from server.store.months import parts
from server.store.schema import archive, archive_account, archive_meter, batch, line, seal

HEADERS_AT_ONCE = 2_000
KEPT = ("line", "line_rest")  # what new lines come into
DROP_WAIT = "300ms"  # for those who read the month that goes; after that its rows are deleted one by one


def acts(connection: Connection, estate_id: str) -> list[Act]:
    """All acts of archiving, in order."""
    query = select(*(archive.c[name] for name in Act._fields)).where(archive.c.estate_id == estate_id)
    return [Act(*row) for row in connection.execute(query.order_by(archive.c.archive_no))]


def standing(connection: Connection, estate_id: str, archive_no: int) -> Standing:
    """Where everything stood after an act that moved lines."""
    own, charged = archive_account.c, archive_meter.c
    accounts = select(*(own[name] for name in AccountStanding._fields)).where(
        own.estate_id == estate_id, own.archive_no == archive_no
    )
    meters = select(*(charged[name] for name in MeterStanding._fields)).where(
        charged.estate_id == estate_id, charged.archive_no == archive_no
    )
    return Standing(
        sorted(AccountStanding(*row) for row in connection.execute(accounts)),
        sorted(MeterStanding(*row) for row in connection.execute(meters)),
    )


_NEWEST = Query(
    lambda _: (
        select(archive.c.until_seq, archive.c.until_at)
        .where(archive.c.estate_id == bindparam("estate_id"))
        .order_by(archive.c.archive_no.desc())
        .limit(1)
    )
)


def newest_end(connection: Connection, estate_id: str) -> tuple[int, int]:
    """(batch, instant): lines up to this batch are archived, all of before the instant; (0, 0) for none."""
    rows = _NEWEST.rows(connection, estate_id=estate_id)
    return (rows[0][0], rows[0][1]) if rows else (0, 0)


def _newest_moved(estate_id: str, until_seq: int) -> ScalarSelect[Any]:
    moved = select(func.max(archive.c.archive_no)).where(
        archive.c.estate_id == estate_id, archive.c.act == MOVED, archive.c.last_seq == until_seq
    )
    return moved.scalar_subquery()


def account_standing(connection: Connection, estate_id: str, account_id: str) -> AccountStanding | None:
    """Where an account stood after the last archived batch; None when nothing of it is archived."""
    own = archive_account.c
    seq, _ = newest_end(connection, estate_id)
    query = select(*(own[name] for name in AccountStanding._fields)).where(
        own.estate_id == estate_id, own.account_id == account_id, own.archive_no == _newest_moved(estate_id, seq)
    )
    row = connection.execute(query).one_or_none() if seq else None
    return None if row is None else AccountStanding(*row)


def meter_standing(connection: Connection, estate_id: str, meter_id: str, install_no: int) -> MeterStanding | None:
    """Where the charges of an installation stood after the last archived batch."""
    own = archive_meter.c
    seq, _ = newest_end(connection, estate_id)
    query = select(*(own[name] for name in MeterStanding._fields)).where(
        own.estate_id == estate_id, own.meter_id == meter_id, own.install_no == install_no,
        own.archive_no == _newest_moved(estate_id, seq),
    )  # fmt: skip
    row = connection.execute(query).one_or_none() if seq else None
    return None if row is None else MeterStanding(*row)


def archived_balance(connection: Connection, estate_id: str, account_id: str, at_s: int) -> tuple[int, int]:
    """(fen, residue) of an account in what is archived; Archived for an instant of which not all is at hand."""
    seq, until_at = newest_end(connection, estate_id)
    if not seq:
        return 0, 0
    if at_s < until_at:
        raise Archived(
            f"the lines from before {until_at} (epoch seconds) are archived; "
            "ask for a later instant, or put the archive back (estate645 archive --restore FILE)"
        )
    stood = account_standing(connection, estate_id, account_id)
    return (0, 0) if stood is None else (stood.balance_fen, stood.residue_nf)


def add_act(connection: Connection, estate_id: str, act: Act, stood: Standing | None = None) -> None:
    """Keep an act, with where everything stood if it moved lines."""
    insert_rows(connection, archive, ("estate_id", *Act._fields), [(estate_id, *act)])
    if stood is not None:
        key = (estate_id, act.archive_no)
        insert_rows(
            connection, archive_account, ("estate_id", "archive_no", *AccountStanding._fields),
            [(*key, *one) for one in stood.accounts],
        )  # fmt: skip
        insert_rows(
            connection, archive_meter, ("estate_id", "archive_no", *MeterStanding._fields),
            [(*key, *one) for one in stood.meters],
        )  # fmt: skip


def last_movable(connection: Connection, estate_id: str, after: int, until_at: int) -> int:
    """The last batch after `after` up to which all is sealed and of before `until_at`; `after` if there is none."""
    sealed = connection.execute(select(func.max(seal.c.batch_seq)).where(seal.c.estate_id == estate_id)).scalar_one()
    later = select(func.min(batch.c.batch_seq)).where(
        batch.c.estate_id == estate_id, batch.c.batch_seq > after, batch.c.event_at >= until_at
    )
    first = connection.execute(later).scalar_one()
    last = min(sealed or 0, (first or 2**62) - 1)
    ends = select(func.min(line.c.batch_seq)).where(
        line.c.estate_id == estate_id, line.c.batch_seq > after, line.c.batch_seq <= last, line.c.event_to >= until_at
    )
    first = connection.execute(ends).scalar_one()
    return max(after, last if first is None else first - 1)


def moved_since(connection: Connection, estate_id: str, known: Sequence[Act]) -> bool:
    """Whether an act was added to those that this connection's transaction sees."""
    query = select(func.max(archive.c.archive_no)).where(archive.c.estate_id == estate_id)
    with connection.engine.connect() as other:
        newest = other.execute(query).scalar_one()
    return bool(newest is not None and newest > (known[-1].archive_no if known else 0))


def clear(connection: Connection, estate_id: str, lines_max: int) -> int:
    """Delete some lines that are archived, whole batches, about `lines_max`; how many, 0 when none is left."""
    last, _ = newest_end(connection, estate_id)
    for name in [name for name, parent in parts(connection) if parent == "line"] or ["line"]:
        part = table(name, column("estate_id"), column("batch_seq"))
        numbers = select(func.min(part.c.batch_seq), func.max(part.c.batch_seq)).where(part.c.estate_id == estate_id)
        first, newest = connection.execute(numbers).one()
        if first is None or first > last:
            continue
        if newest <= last and name not in KEPT and (gone := _drop(connection, part)):
            return gone
        with deleting(connection, name):
            upper = _whole_batches(connection, estate_id, first, last, lines_max)
            deleted = connection.execute(part.delete().where(part.c.estate_id == estate_id, part.c.batch_seq <= upper))
        return deleted.rowcount
    return 0


def _whole_batches(connection: Connection, estate_id: str, first: int, last: int, lines_max: int) -> int:
    """The last batch of a run from `first` on with about `lines_max` lines."""
    query = select(batch.c.batch_seq, batch.c.lines).where(
        batch.c.estate_id == estate_id, batch.c.batch_seq.between(first, last)
    )
    upper, left = first, lines_max
    for seq, lines in connection.execute(query.order_by(batch.c.batch_seq).limit(HEADERS_AT_ONCE)):
        left -= lines
        if left < 0 and seq > first:
            break
        upper = seq
    return upper


def _drop(connection: Connection, part: TableClause) -> int:
    """Let a whole month go, which has no lines of other estates; 0 when it has, or when somebody reads it for long."""
    estates = connection.execute(select(func.min(part.c.estate_id), func.max(part.c.estate_id))).one()
    if estates[0] != estates[1]:
        return 0
    count: int = connection.execute(select(func.count()).select_from(part)).scalar_one()
    savepoint = connection.begin_nested()
    try:
        connection.exec_driver_sql(f"SET LOCAL lock_timeout = '{DROP_WAIT}'")
        connection.exec_driver_sql(f"ALTER TABLE line DETACH PARTITION {part.name}")
        connection.exec_driver_sql(f"DROP TABLE {part.name}")
        connection.exec_driver_sql("SET LOCAL lock_timeout = 0")
    except OperationalError:
        savepoint.rollback()
        return 0
    savepoint.commit()
    return count


def batches_with_lines(connection: Connection, estate_id: str, first: int, last: int) -> set[int]:
    """Which of these batches have lines in the database."""
    query = select(line.c.batch_seq).where(line.c.estate_id == estate_id, line.c.batch_seq.between(first, last))
    return set(connection.execute(query.distinct()).scalars())


def put_back(connection: Connection, estate_id: str, rows: Sequence[tuple[Any, ...]]) -> None:
    """Insert lines of an archive; rows are batch number and LINE_FIELDS."""
    insert_lines(connection, ("estate_id", "batch_seq", *LINE_FIELDS), [(estate_id, *row) for row in rows])


def headers(connection: Connection, estate_id: str, first: int, last: int) -> list[tuple[int, int, int]]:
    """(number, lines, created_ms) of these batches, in order."""
    query = select(batch.c.batch_seq, batch.c.lines, batch.c.created_ms).where(
        batch.c.estate_id == estate_id, batch.c.batch_seq.between(first, last)
    )
    return [(row[0], row[1], row[2]) for row in connection.execute(query.order_by(batch.c.batch_seq))]
