"""Reads and writes of readings that are taken back after they were charged."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, RowMapping, and_, case, select

from server.domain.ledger import LINE_FIELDS, Line
from server.domain.registers import Registers
from server.domain.voiding import LINES_MAX, VOID
from server.store.account_lines import NEWEST_FIRST, lines_of
from server.store.readings import ACCEPTED, KNOWN, rates_of
from server.store.schema import batch, exchange, line, meter_cursor, reading, register_day


def meter_lines(
    connection: Connection, estate_id: str, account_id: str, meter_id: str, install_no: int
) -> list[tuple[Line, bool]]:
    """The newest charges of a meter, newest first, each with whether its batch takes earlier ones back."""
    query = (
        select(*(line.c[name] for name in LINE_FIELDS), batch.c.kind)
        .join(batch, and_(batch.c.estate_id == line.c.estate_id, batch.c.batch_seq == line.c.batch_seq))
        .where(*lines_of(estate_id, account_id), line.c.meter_id == meter_id, line.c.install_no == install_no)
        .order_by(*NEWEST_FIRST)
        .limit(LINES_MAX)
    )
    return [(Line(*row[:-1]), row[-1] == VOID) for row in connection.execute(query)]


def counted_from(connection: Connection, estate_id: str, meter_id: str, since: int) -> dict[int, Registers]:
    """The readings of a meter that count from `since` on, by instant, in their order."""
    columns = [reading.c[f"rate{number}_wh"] for number in range(1, 5)]
    query = (
        select(reading.c.read_at, reading.c.total_wh, *columns)
        .where(
            reading.c.estate_id == estate_id, reading.c.meter_id == meter_id, reading.c.read_at >= since,
            reading.c.verdict.in_(ACCEPTED),
        )
        .order_by(reading.c.read_at)
    )  # fmt: skip
    return {row[0]: Registers(row[0], row[1], rates_of(row[2:6])) for row in connection.execute(query)}


def last_two(connection: Connection, estate_id: str, meter_id: str, install_no: int) -> Sequence[RowMapping]:
    """The newest readings that count, newest first."""
    query = (
        select(reading)
        .where(
            reading.c.estate_id == estate_id, reading.c.meter_id == meter_id, reading.c.install_no == install_no,
            reading.c.verdict.in_(ACCEPTED),
        )
        .order_by(reading.c.read_at.desc())
        .limit(2)
    )  # fmt: skip
    return connection.execute(query).mappings().all()


def ends_an_installation(connection: Connection, estate_id: str, meter_id: str, read_at: int) -> bool:
    """Whether an exchange goes by this reading."""
    old = exchange.c
    query = select(old.exchange_id).where(
        old.estate_id == estate_id,
        old["at"] == read_at,
        (old.old_meter_id == meter_id) | (old.new_meter_id == meter_id),
    )
    return connection.execute(query).first() is not None


def set_back_cursor(connection: Connection, estate_id: str, meter_id: str, seq: int, **values: Any) -> bool:
    """Move a cursor back, if it still has its number (CAS), which rises; False when somebody else moved it."""
    own = meter_cursor.c
    where = (own.estate_id == estate_id, own.meter_id == meter_id, own.seq == seq)
    return bool(connection.execute(meter_cursor.update().where(*where).values(seq=seq + 1, **values)).rowcount)


def rebuild_day(
    connection: Connection, estate_id: str, meter_id: str, day: str, from_s: int, until_s: int, gone_wh: int
) -> None:  # fmt: skip
    """The registers of a local day once more from the readings that count; a midnight's belongs to both days.

    Where the day began it began, unless that was the register `gone_wh` which counts no longer.
    """
    query = (
        select(reading.c.total_wh, reading.c.read_at, reading.c.source)
        .where(
            reading.c.estate_id == estate_id, reading.c.meter_id == meter_id,
            reading.c.read_at.between(from_s, until_s), reading.c.verdict.in_(KNOWN),
        )
        .order_by(reading.c.read_at)
    )  # fmt: skip
    rows = connection.execute(query).all()
    own = register_day.c
    where = (own.estate_id == estate_id, own.meter_id == meter_id, own.day == day)
    if not rows:
        connection.execute(register_day.delete().where(*where))
        return
    first = case((own.first_wh == gone_wh, rows[0][0]), else_=own.first_wh)
    values = {"first_wh": first, "total_wh": rows[-1][0], "read_at": rows[-1][1], "source": rows[-1][2]}
    connection.execute(register_day.update().where(*where).values(**values))
