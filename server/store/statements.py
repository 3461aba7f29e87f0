"""What a household's statement and receipts are made of: the lines of a closed month, and what a payment booked."""

from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import Connection, RowMapping, and_, case, or_, select

from core.units import REGISTER_MODULUS_WH
from server.domain.archive import Archived
from server.domain.ledger import ASSIGNMENT
from server.domain.settlement import Settlement
from server.domain.settlement_sums import CHARGE, METERED
from server.store.account_lines import lines_of_accounts
from server.store.archive import newest_end
from server.store.schema import batch, exchange, line, meter, payment
from server.store.settlement import before


class StatementLine(NamedTuple):
    """One line of a household in a closed period; energy after the ratio, 0 where none was charged."""

    account_id: str
    batch_seq: int
    kind: str
    at: int  # when it happened; of a charge its last second
    booked_ms: int
    amount_fen: int
    charge_nf: int
    energy_wh: int
    meter_id: str | None
    memo: str
    late: bool


def lines_in(
    connection: Connection, estate_id: str, closed: Settlement, account_ids: Sequence[str]
) -> list[StatementLine]:
    """The lines of some accounts of one household that belong to a closed period, by event; all lines of revenue no.

    Archived when some may lie in an archive.
    """
    last = before(connection, estate_id, closed)
    earlier_seq = closed.through_seq if last is None else last.through_seq
    archived_seq, archived_at = newest_end(connection, estate_id)
    if closed.from_at < archived_at or earlier_seq < archived_seq:
        raise Archived(f"lines of {closed.period} are archived; its sums are at hand, the lines need the archive back")
    ends_itself = and_(batch.c.kind.in_(METERED), line.c.event_to.is_not(None))
    at = case((ends_itself, line.c.event_to - 1), else_=batch.c.event_at)
    query = (
        select(
            line.c.account_id, line.c.batch_seq, batch.c.kind, at, batch.c.created_ms, line.c.amount_fen,
            line.c.charge_nf, line.c.from_wh, line.c.to_wh, line.c.meter_id, line.c.install_no, batch.c.memo,
        )
        .join(batch, and_(batch.c.estate_id == line.c.estate_id, batch.c.batch_seq == line.c.batch_seq))
        .where(
            *lines_of_accounts(estate_id, account_ids),
            line.c.batch_seq <= closed.through_seq,
            at < closed.to_at,
            or_(at >= closed.from_at, line.c.batch_seq > earlier_seq),
        )
        .order_by(at, line.c.batch_seq, line.c.line_no)
    )  # fmt: skip
    rows = connection.execute(query).all()
    ratios = _ratios(connection, estate_id, {row[9] for row in rows if row[9] is not None})
    found = []
    for row in rows:
        energy_wh = 0
        if row[2] in METERED and row[9] is not None:
            way = 1 if row[2] == CHARGE else -1  # a void takes energy off
            energy_wh = (row[8] - row[7]) * way % REGISTER_MODULUS_WH * ratios.get((row[9], row[10]), 1) * way
        found.append(StatementLine(*row[:7], energy_wh, row[9], row[11], row[3] < closed.from_at))
    return found


def _ratios(connection: Connection, estate_id: str, meter_ids: set[str]) -> dict[tuple[str, int], int]:
    now = select(meter.c.meter_id, meter.c.install_no, meter.c.ratio).where(
        meter.c.estate_id == estate_id, meter.c.meter_id.in_(meter_ids)
    )
    old = select(exchange.c.old_meter_id, exchange.c.old_install_no, exchange.c.old_ratio).where(
        exchange.c.estate_id == estate_id, exchange.c.old_meter_id.in_(meter_ids)
    )
    return {(row[0], row[1]): row[2] for query in (old, now) for row in connection.execute(query)}


def payment_of(connection: Connection, estate_id: str, account_id: str, payment_id: str) -> RowMapping | None:
    """One payment of a household, also one that waited in suspense first."""
    query = select(payment).where(
        payment.c.estate_id == estate_id,
        payment.c.payment_id == payment_id,
        payment.c.account_id == account_id,
        payment.c.state.in_(("credited", "assigned")),
    )
    return connection.execute(query).mappings().one_or_none()


def assigned_by(connection: Connection, estate_id: str, payment_ids: Sequence[str]) -> dict[str, tuple[int, int]]:
    """Batch and world time at which payments became a household's out of suspense, by payment."""
    keys = {f"{ASSIGNMENT}:{payment_id}": payment_id for payment_id in payment_ids}
    if not keys:
        return {}
    query = select(batch.c.idem_key, batch.c.batch_seq, batch.c.event_at)
    query = query.where(batch.c.estate_id == estate_id, batch.c.idem_key.in_(list(keys)))
    return {keys[key]: (seq, at) for key, seq, at in connection.execute(query)}


def balance_after(connection: Connection, estate_id: str, batch_seq: int, account_id: str) -> int | None:
    """The balance of an account after its line in a batch."""
    query = select(line.c.balance_after_fen).where(
        line.c.estate_id == estate_id, line.c.batch_seq == batch_seq, line.c.account_id == account_id
    )
    return connection.execute(query.order_by(line.c.line_no.desc())).scalars().first()


def bill_of(connection: Connection, estate_id: str, batch_seq: int, account_id: str) -> str:
    """The name of the bill that explains an account's line in a batch; a dash for no line."""
    query = select(line.c.account_version).where(
        line.c.estate_id == estate_id, line.c.batch_seq == batch_seq, line.c.account_id == account_id
    )
    number = connection.execute(query.order_by(line.c.line_no)).scalars().first()
    return "—" if number is None else f"{account_id}:{number}"
