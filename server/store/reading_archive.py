"""Reads and writes of archived readings; readings leave the database here and nowhere else.

On PostgreSQL a month is detached as a whole: what of it stays is put back in the same transaction, the rest is
compared with the file at leisure, while nobody waits, and dropped. What differs from the file is never lost: it comes
back. Elsewhere rows are deleted by their keys, each only if it still says what the file says.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from sqlalchemy import Connection, Select, TableClause, and_, bindparam, column, func, or_, select, table
from sqlalchemy.exc import OperationalError

from core.reading import Verdict
from server.domain.reading_archive import ReadingAct, present
from server.store.bulk import insert_rows
from server.store.direct import Query
from server.store.file_tables import streamed
from server.store.months import add_months, parts
from server.store.reading_file import COLUMNS, KEY
from server.store.schema import line, meter, meter_cursor, meter_live, reading, reading_archive

ANSWERED = (Verdict.RELEASED.value, Verdict.REVOKED.value)  # a person answers for them, and verify asks for whom
STAYING_MAX = 20_000  # rows of a month that stay; where there are more, it goes row by row
DETACH_WAIT = "300ms"  # for those who read; after that the month goes row by row, or another time


_ACTS = Query(
    lambda _: (
        select(*(reading_archive.c[name] for name in ReadingAct._fields))
        .where(reading_archive.c.estate_id == bindparam("estate_id"))
        .order_by(reading_archive.c.archive_no)
    )
)


def acts(connection: Connection, estate_id: str) -> list[ReadingAct]:
    """All acts about readings, in order."""
    return [ReadingAct(*row) for row in _ACTS.rows(connection, estate_id=estate_id)]


def add_act(connection: Connection, estate_id: str, act: ReadingAct) -> None:
    """Keep an act."""
    insert_rows(connection, reading_archive, ("estate_id", *ReadingAct._fields), [(estate_id, *act)])


def archived_until(connection: Connection, estate_id: str) -> int:
    """The instant before which months of readings are archived; 0 for none."""
    return max((act.to_at for act in present(acts(connection, estate_id))), default=0)


def is_archived(connection: Connection, estate_id: str, at_s: int) -> bool:
    """Whether readings of that instant's month were archived."""
    return any(act.from_at <= at_s < act.to_at for act in present(acts(connection, estate_id)))


def oldest(connection: Connection, estate_id: str) -> int | None:
    """When the oldest reading that is here was taken; None when there is none."""
    query = select(func.min(reading.c.read_at)).where(reading.c.estate_id == estate_id)
    found: int | None = connection.execute(query).scalar_one()
    return found


def movable(estate_id: str, from_at: int, to_at: int) -> "Select[Any]":
    """The readings of a span that may leave, COLUMNS in the order of their key."""
    query = _movable(estate_id, *(reading.c[name] for name in COLUMNS))
    return query.where(*_within(from_at, to_at)).order_by(reading.c.read_at, reading.c.meter_id)


def count_movable(connection: Connection, estate_id: str, from_at: int, to_at: int) -> int:
    """How many those are."""
    query = _movable(estate_id, func.count()).where(*_within(from_at, to_at))
    return int(connection.execute(query).scalar_one())


def _within(from_at: int, to_at: int) -> tuple[Any, Any]:
    return reading.c.read_at >= from_at, reading.c.read_at < to_at


def _movable(estate_id: str, *columns: Any) -> "Select[Any]":
    return _joined(columns).where(reading.c.estate_id == estate_id, _may_leave())


def _joined(columns: Sequence[Any]) -> "Select[Any]":
    query = select(*columns).select_from(reading)
    for other in (meter, meter_live, meter_cursor):
        same = and_(other.c.estate_id == reading.c.estate_id, other.c.meter_id == reading.c.meter_id)
        query = query.outerjoin(other, same)
    return query


def _may_leave() -> Any:
    """Older than the newest of its meter that counts, and than what is not charged yet; nobody answers for it."""
    charged = or_(
        meter.c.meter_id.is_(None),
        meter.c.kind != "household",
        reading.c.read_at < func.coalesce(meter_cursor.c.read_at, 0),
    )
    older = or_(meter_live.c.meter_id.is_(None), reading.c.read_at < func.coalesce(meter_live.c.reading_at, 0))
    return and_(reading.c.verdict.not_in(ANSWERED), charged, older)


def lines_resting_on(connection: Connection, estate_id: str, from_at: int, to_at: int) -> int:
    """How many lines of the database, at most a few, charge energy that was read within a span."""
    few = select(line.c.line_no).where(
        line.c.estate_id == estate_id, line.c.meter_id.is_not(None), line.c.event_from < to_at,
        line.c.event_to >= from_at,
    ).limit(1000)  # fmt: skip
    return int(connection.execute(select(func.count()).select_from(few.subquery())).scalar_one())


def delete_rows(connection: Connection, estate_id: str, rows: Sequence[tuple[Any, ...]]) -> int:
    """Delete readings that still say what these rows (COLUMNS) say; how many."""
    mark = "%s" if connection.dialect.name == "postgresql" else "?"
    told = [f"{name} = {mark}" if name in KEY else f"{name} IS NOT DISTINCT FROM {mark}" for name in COLUMNS]
    where = " AND ".join((f"estate_id = {mark}", *told))
    values = [(estate_id, *row) for row in rows]
    return connection.exec_driver_sql(f"DELETE FROM reading WHERE {where}", values).rowcount  # noqa: S608


def put_back(connection: Connection, estate_id: str, rows: Sequence[tuple[Any, ...]]) -> None:
    """Insert readings of a file that are not here."""
    values = [(estate_id, *row) for row in rows]
    insert_rows(connection, reading, ("estate_id", *COLUMNS), values, "ON CONFLICT DO NOTHING")


def count_within(connection: Connection, estate_id: str, from_at: int, to_at: int) -> int:
    """All readings of a span that are here."""
    query = select(func.count()).where(reading.c.estate_id == estate_id, *_within(from_at, to_at))
    return int(connection.execute(query).scalar_one())


def part_of(connection: Connection, act: ReadingAct) -> TableClause | None:
    """On PostgreSQL the partition of an act's month, attached or already detached; None where there is none."""
    if connection.dialect.name != "postgresql":
        return None
    name = f"reading_{act.month.replace('-', '_')}"
    if connection.exec_driver_sql("SELECT to_regclass(%s)", (name,)).scalar_one() is None:
        return None
    return table(name, column("estate_id"), *(column(one) for one in COLUMNS))


def is_attached(connection: Connection, part: TableClause) -> bool:
    """Whether it is a part of `reading` still."""
    return part.name in {name for name, _ in parts(connection)}


def staying(connection: Connection, estate_id: str, act: ReadingAct) -> list[tuple[Any, ...]] | None:
    """The rows of a month that stay; None when those are too many, or of other estates too: then rows go by keys."""
    own = part_of(connection, act)
    if own is None:
        return None
    estates = connection.execute(select(func.min(own.c.estate_id), func.max(own.c.estate_id))).one()
    if tuple(estates) != (estate_id, estate_id):
        return None
    query = _joined([reading.c[name] for name in COLUMNS]).where(
        reading.c.estate_id == estate_id, *_within(act.from_at, act.to_at), ~func.coalesce(_may_leave(), False)
    )
    rows = [tuple(row) for row in connection.execute(query.limit(STAYING_MAX + 1))]
    return rows if len(rows) <= STAYING_MAX else None


def detach(connection: Connection, estate_id: str, part: TableClause, rows: Sequence[tuple[Any, ...]]) -> bool:
    """Take a month out of `reading` but for these rows; False when somebody reads for long."""
    savepoint = connection.begin_nested()
    try:
        connection.exec_driver_sql(f"SET LOCAL lock_timeout = '{DETACH_WAIT}'")
        connection.exec_driver_sql(f"ALTER TABLE reading DETACH PARTITION {part.name}")
        connection.exec_driver_sql("SET LOCAL lock_timeout = 0")
    except OperationalError:
        savepoint.rollback()
        return False
    savepoint.commit()
    put_back(connection, estate_id, rows)
    return True


def rows_of(connection: Connection, part: TableClause) -> Iterator[list[tuple[Any, ...]]]:
    """All rows of a detached month, COLUMNS in the order of their key."""
    query = select(*(part.c[name] for name in COLUMNS)).order_by(part.c.read_at, part.c.meter_id)
    return streamed(connection, query)


def drop(connection: Connection, estate_id: str, part: TableClause, act: ReadingAct, rows: Sequence[Any]) -> int:
    """Drop a detached month; what of it the file does not say comes back first. How many rows went."""
    put_back(connection, estate_id, rows)
    count = int(connection.execute(select(func.count()).select_from(part)).scalar_one())
    connection.exec_driver_sql(f"DROP TABLE {part.name}")
    if count_within(connection, estate_id, act.from_at, act.to_at):
        year, month = map(int, act.month.split("-"))
        add_months(connection, "reading", [year * 12 + month - 1])
    return count
