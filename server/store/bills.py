"""What a bill is made of: lines of an account with how it stood before each, and what its meters really showed."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, RowMapping, Select, and_, case, func, select

from core.reading import Verdict
from server.domain.archive import AccountStanding
from server.domain.bills import REVOKED, BookedLine, Shown
from server.domain.ledger import LINE_FIELDS, Line
from server.domain.registers import Registers
from server.domain.verification import Carried, Installed
from server.store.account_lines import NEWEST_FIRST, OLDEST_FIRST, lines_of, numbered
from server.store.archive import account_standing
from server.store.readings import KNOWN, rates_of
from server.store.schema import account, batch, exchange, line, meter, reading

INSTANTS_AT_ONCE = 500
_before = line.alias("before")
HAPPENED = func.coalesce(line.c.event_to, batch.c.event_at)


def _booked(*where: ColumnElement[bool]) -> Select[Any]:
    own = (
        *(line.c[name] for name in LINE_FIELDS), line.c.batch_seq, batch.c.kind, batch.c.event_at, batch.c.actor,
        batch.c.memo, _before.c.balance_after_fen, _before.c.residue_after_nf,
    )  # fmt: skip
    same_batch = and_(batch.c.estate_id == line.c.estate_id, batch.c.batch_seq == line.c.batch_seq)
    one_before = numbered(_before, line.c.estate_id, line.c.account_id, line.c.account_version - 1)
    return (
        select(*own)
        .select_from(line)
        .join(batch, same_batch)
        .outerjoin(_before, one_before)
        .where(*where)
        .order_by(*OLDEST_FIRST)
    )


def _lines(connection: Connection, query: Select[Any], estate_id: str, account_id: str) -> list[BookedLine]:
    found = [tuple(row) for row in connection.execute(query)]
    stood = account_standing(connection, estate_id, account_id) if any(row[-1] is None for row in found) else None
    return [_line(row, stood) for row in found]


def _line(row: Any, stood: AccountStanding | None) -> BookedLine:
    """A line; the one before the first at hand may be the last that is archived."""
    width = len(LINE_FIELDS)
    batch_seq, kind, event_at, actor, memo, before_fen, residue_nf = row[width:]
    if stood is not None and before_fen is None and row[LINE_FIELDS.index("account_version")] == stood.version + 1:
        before_fen, residue_nf = stood.balance_fen, stood.residue_nf
    own = (batch_seq, kind, event_at, actor, memo, before_fen or 0, residue_nf or 0)
    return BookedLine(Line(*row[:width]), *own)


def numbered_line(connection: Connection, estate_id: str, account_id: str, number: int) -> list[BookedLine]:
    """The line of this number, if there is one."""
    query = _booked(numbered(line, estate_id, account_id, number))
    return _lines(connection, query, estate_id, account_id)


def lines_between(
    connection: Connection, estate_id: str, account_id: str, after_s: int, until_s: int
) -> list[BookedLine]:
    """The lines of what happened after `after_s` and not later than `until_s`, in the order of booking."""
    query = _booked(*lines_of(estate_id, account_id), after_s < HAPPENED, until_s >= HAPPENED)
    return _lines(connection, query, estate_id, account_id)


def charges_of(
    connection: Connection,
    estate_id: str,
    account_id: str,
    installation: tuple[str, int],
    since_s: int,
    until_batch: int,
) -> list[BookedLine]:
    """Charges of one installation of a meter from `since_s` on up to a batch, with those of the last batch before."""
    meter_id, install_no = installation
    own = _booked(
        *lines_of(estate_id, account_id), line.c.meter_id == meter_id, line.c.install_no == install_no,
        line.c.batch_seq <= until_batch,
    )  # fmt: skip
    found = _lines(connection, own.where(line.c.event_from >= since_s), estate_id, account_id)
    earlier = own.where(line.c.event_from < since_s)
    newest = _lines(connection, earlier.order_by(None).order_by(*NEWEST_FIRST).limit(1), estate_id, account_id)
    before = earlier.where(line.c.batch_seq == newest[0].batch_seq) if newest else None
    return [*([] if before is None else _lines(connection, before, estate_id, account_id)), *found]


def newest_charge(connection: Connection, estate_id: str, account_id: str) -> tuple[int, int] | None:
    """(number, when it ends) of the newest charge of an account."""
    query = (
        select(line.c.account_version, line.c.event_to)
        .where(*lines_of(estate_id, account_id), line.c.meter_id.is_not(None), line.c.charge_nf >= 0)
        .order_by(*NEWEST_FIRST)
        .limit(1)
    )
    row = connection.execute(query).one_or_none()
    return None if row is None else (row[0], row[1])


def find_account(connection: Connection, estate_id: str, account_id: str) -> RowMapping | None:
    """One account's row, or None."""
    query = select(account).where(account.c.estate_id == estate_id, account.c.account_id == account_id)
    return connection.execute(query).mappings().one_or_none()


def installation_of(connection: Connection, estate_id: str, meter_id: str, install_no: int) -> Installed | None:
    """One installation of a meter, the present one or one that an exchange ended, with what it took over."""
    new = exchange.c
    taken = select(new.tier_period_start, new.tier_period_wh, new.order_start, new.order_rates_wh).where(
        new.estate_id == estate_id, new.new_meter_id == meter_id, new.new_install_no == install_no
    )
    row = connection.execute(taken).one_or_none()
    carried = None if row is None else Carried(*row)
    names = ("meter_id", "install_no", "ratio", "max_power_w", "start_wh", "installed_at")
    present: Select[Any] = select(*(meter.c[name] for name in names)).where(
        meter.c.estate_id == estate_id, meter.c.meter_id == meter_id, meter.c.install_no == install_no
    )
    ended: Select[Any] = select(*(exchange.c[f"old_{name}"] for name in names)).where(
        exchange.c.estate_id == estate_id, exchange.c.old_meter_id == meter_id, exchange.c.old_install_no == install_no
    )
    for query in (present, ended):
        found = connection.execute(query).first()
        if found is not None:
            return Installed(found[0], found[1], found[2], found[3], found[4], found[5], carried)
    return None


def registers_at(connection: Connection, estate_id: str, meter_id: str, instants: Sequence[int]) -> dict[int, Shown]:
    """The true registers of a meter at exactly these instants, with where each came from.

    Those that were taken back later (`REVOKED`) are among them, since charges have gone by them; those that came late
    (`filled`) may be younger than a charge over their instant.
    """
    columns = [reading.c[f"rate{number}_wh"] for number in range(1, 5)]
    source = case((reading.c.verdict == REVOKED, REVOKED), else_=reading.c.source)
    passing = reading.c.verdict.in_((REVOKED, Verdict.FILLED.value))
    found: dict[int, Shown] = {}
    wanted = sorted(set(instants))
    for start in range(0, len(wanted), INSTANTS_AT_ONCE):
        query = select(reading.c.read_at, reading.c.total_wh, source, *columns, passing).where(
            reading.c.estate_id == estate_id,
            reading.c.meter_id == meter_id,
            reading.c.read_at.in_(wanted[start : start + INSTANTS_AT_ONCE]),
            reading.c.verdict.in_((*KNOWN, REVOKED)),
        )
        for row in connection.execute(query):
            found[row[0]] = Shown(Registers(row[0], row[1], rates_of(row[3:7])), row[2], bool(row[7]))
    return found
