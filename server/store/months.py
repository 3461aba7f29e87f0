"""The months of `line` and `reading` on PostgreSQL: added ahead, so that no row has to wait in the rest.

Months are those of UTC, of the machine's time for lines and of the world's for readings, as number year x 12 + month
- 1. On SQLite there are none, and nothing here does anything.
"""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime

from sqlalchemy import Connection, func, select, text

from server.store.schema import batch, reading

KINDS = ("line", "reading")
ADD_FUNCTION = "estate645_add_month(text, integer)"
MONTHS_MAX = 600  # of a restored past; what is older, or of a clock that ran away, lies in the rest

_ADD = text("SELECT estate645_add_month(:kind, :month)")
_PARTS = (
    "SELECT c.relname, parent.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid "
    "JOIN pg_class parent ON parent.oid = i.inhparent "
    "WHERE c.relnamespace = CAST(current_schema() AS regnamespace) AND c.relkind = 'r' ORDER BY c.relname"
)


def month_of(epoch_s: int) -> int:
    """The number of the month of an instant."""
    moment = datetime.fromtimestamp(epoch_s, UTC)
    return moment.year * 12 + moment.month - 1


def begin_of(month: int) -> int:
    """Epoch seconds at which a month begins."""
    return int(datetime(month // 12, month % 12 + 1, 1, tzinfo=UTC).timestamp())


def add_months(connection: Connection, kind: str, months: Iterable[int]) -> dict[int, str]:
    """Add months to a table; what became of each: there, added, covered by the time before, busy or full."""
    if connection.dialect.name != "postgresql":
        return {}
    return {month: connection.execute(_ADD, {"kind": kind, "month": month}).scalar_one() for month in months}


def add_months_of(source: Connection, target: Connection) -> None:
    """Add to the target every month of which the source has rows, as far back as MONTHS_MAX."""
    for kind, column, scale in (("line", batch.c.created_ms, 1000), ("reading", reading.c.read_at, 1)):
        newest = source.execute(select(func.max(column))).scalar_one()
        if newest is not None and newest < begin_of(9998 * 12) * scale:
            oldest = source.execute(select(func.min(column)).where(column >= 0)).scalar_one() or 0
            last = month_of(newest // scale)
            add_months(target, kind, range(max(month_of(oldest // scale), last - MONTHS_MAX), last + 1))


def waiting(connection: Connection) -> dict[str, int]:
    """How many rows of each kind, at most a few, wait in the rest because their month was not there in time."""
    if connection.dialect.name != "postgresql":
        return {}
    few = "SELECT count(*) FROM (SELECT FROM {}_rest LIMIT 1000) few"
    return {kind: connection.exec_driver_sql(few.format(kind)).scalar_one() for kind in KINDS}


def parts(connection: Connection) -> Iterator[tuple[str, str]]:
    """(partition, its table), by name."""
    if connection.dialect.name == "postgresql":
        yield from ((row[0], row[1]) for row in connection.exec_driver_sql(_PARTS))
