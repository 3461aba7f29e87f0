"""Reads and writes of bulk acts, cuts among them: the approved list, its waves, and what became of each entry."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, RowMapping, bindparam, func, select

from server.store.bulk import insert_rows
from server.store.direct import Query
from server.store.schema import account, bulk_cut, bulk_cut_item

RUNNING = "running"
CUT = "cut"


def add(connection: Connection, estate_id: str, items: Sequence[tuple[str, str, int]], **values: Any) -> None:
    """Insert a bulk cut with its (account, meter, wave)."""
    connection.execute(bulk_cut.insert().values(estate_id=estate_id, **values))
    rows = [(estate_id, values["bulk_id"], account_id, meter_id, wave) for account_id, meter_id, wave in items]
    insert_rows(connection, bulk_cut_item, ("estate_id", "bulk_id", "account_id", "meter_id", "wave"), rows)


def running(connection: Connection, estate_id: str, *, cuts: bool = True) -> Sequence[RowMapping]:
    """Bulk cuts under way, or the other acts, oldest first."""
    query = (
        select(bulk_cut)
        .where(bulk_cut.c.estate_id == estate_id, bulk_cut.c.status == RUNNING, _is_cut(cuts))
        .order_by(bulk_cut.c.created_ms)
    )
    return connection.execute(query).mappings().all()


def _is_cut(cuts: bool) -> Any:
    return bulk_cut.c.act == CUT if cuts else bulk_cut.c.act != CUT


def newest(connection: Connection, estate_id: str, *, limit: int, cuts: bool = True) -> Sequence[RowMapping]:
    """The newest bulk cuts, or the other acts."""
    query = (
        select(bulk_cut)
        .where(bulk_cut.c.estate_id == estate_id, _is_cut(cuts))
        .order_by(bulk_cut.c.created_ms.desc())
        .limit(limit)
    )  # fmt: skip
    return connection.execute(query).mappings().all()


def get(connection: Connection, estate_id: str, bulk_id: str) -> RowMapping | None:
    """One bulk cut."""
    query = select(bulk_cut).where(bulk_cut.c.estate_id == estate_id, bulk_cut.c.bulk_id == bulk_id)
    return connection.execute(query).mappings().one_or_none()


def items(connection: Connection, estate_id: str, bulk_id: str) -> Sequence[RowMapping]:
    """The households of a bulk cut with room and present balance, by wave and account."""
    query = (
        select(bulk_cut_item, account.c.room_id, account.c.balance_fen, account.c.residue_nf, account.c.overdraft_fen)
        .join(
            account,
            (account.c.estate_id == bulk_cut_item.c.estate_id) & (account.c.account_id == bulk_cut_item.c.account_id),
        )
        .where(bulk_cut_item.c.estate_id == estate_id, bulk_cut_item.c.bulk_id == bulk_id)
        .order_by(bulk_cut_item.c.wave, bulk_cut_item.c.account_id)
    )
    return connection.execute(query).mappings().all()


_RELEASED = Query(
    lambda _: (
        select(bulk_cut_item.c.meter_id)
        .join(
            bulk_cut,
            (bulk_cut.c.estate_id == bulk_cut_item.c.estate_id) & (bulk_cut.c.bulk_id == bulk_cut_item.c.bulk_id),
        )
        .where(
            bulk_cut.c.estate_id == bindparam("estate_id"),
            bulk_cut.c.status == RUNNING,
            bulk_cut.c.act == CUT,
            bulk_cut_item.c.wave <= bulk_cut.c.wave,
            bulk_cut_item.c.outcome == "waiting",
        )
    )
)


def released(connection: Connection, estate_id: str) -> set[str]:
    """Meters of running bulk cuts whose wave has come and that wait for their cut."""
    return {meter_id for (meter_id,) in _RELEASED.rows(connection, estate_id=estate_id)}


def counts(connection: Connection, estate_id: str, bulk_id: str) -> dict[str, int]:
    """How many households of a bulk cut have each outcome."""
    query = (
        select(bulk_cut_item.c.outcome, func.count())
        .where(bulk_cut_item.c.estate_id == estate_id, bulk_cut_item.c.bulk_id == bulk_id)
        .group_by(bulk_cut_item.c.outcome)
    )
    return {row[0]: row[1] for row in connection.execute(query)}


def waiting(connection: Connection, estate_id: str, bulk_id: str, *, limit: int | None = None) -> list[str]:
    """Entries (households or days) that nothing was done about yet, in order."""
    item = bulk_cut_item.c
    query = select(item.account_id).where(
        item.estate_id == estate_id, item.bulk_id == bulk_id, item.outcome == "waiting"
    )
    return list(connection.execute(query.order_by(item.account_id).limit(limit)).scalars())


def set_outcome_of(
    connection: Connection, estate_id: str, bulk_id: str, account_ids: Sequence[str], outcome: str
) -> None:  # fmt: skip
    """What became of these entries."""
    item = bulk_cut_item.c
    where = (item.estate_id == estate_id, item.bulk_id == bulk_id, item.account_id.in_(account_ids))
    connection.execute(bulk_cut_item.update().where(*where).values(outcome=outcome))


def update(connection: Connection, estate_id: str, bulk_id: str, **values: Any) -> None:
    """Change the state of a bulk cut."""
    where = (bulk_cut.c.estate_id == estate_id, bulk_cut.c.bulk_id == bulk_id)
    connection.execute(bulk_cut.update().where(*where).values(**values))


def set_outcome(connection: Connection, estate_id: str, bulk_id: str, meter_ids: Sequence[str], outcome: str) -> None:
    """What became of these meters."""
    where = (
        bulk_cut_item.c.estate_id == estate_id,
        bulk_cut_item.c.bulk_id == bulk_id,
        bulk_cut_item.c.meter_id.in_(meter_ids),
    )
    connection.execute(bulk_cut_item.update().where(*where).values(outcome=outcome))
