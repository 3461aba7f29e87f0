"""What a decision to cut must doubt: readings that are held, charges that nothing confirmed, warnings of old debts.

Each is looked up for the accounts at hand only, through the indexes of their meters and lines, since the decision is
taken every second.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

from sqlalchemy import BindParameter, Connection, and_, bindparam, func, select

from server.store.account_lines import NEWEST_FIRST, of_account_beside
from server.store.direct import Query
from server.store.notices import newest_deliveries
from server.store.readings import HELD_VERDICTS
from server.store.schema import account, archive, batch, line, meter, meter_live, reading, relay_desired

# wishes after which a household is warned anew
GIVEN_BACK = ("by_hand", "closed_on_site", "restore_all", "kept", "released")
LAST_LINES = 16  # a charge has few lines even over several tariff boundaries


class Doubts(NamedTuple):
    """Held readings by meter; by account: fen that no later reading has confirmed, delivery of the cut warning.

    `finals` are final notices by account: when the newest was written and when it was delivered.
    """

    held: dict[str, int]
    unconfirmed_fen: dict[str, int]
    warned_at: dict[str, int | None]
    finals: dict[str, tuple[int, int | None]]


def load_doubts(connection: Connection, estate_id: str, account_ids: Sequence[str]) -> Doubts:
    """The doubts about these accounts."""
    since_ms = _owing_since_ms(connection, estate_id, account_ids)
    warnings = newest_deliveries(connection, estate_id, "cut_warning", account_ids, since_ms)
    return Doubts(
        _held(connection, estate_id, account_ids),
        _unconfirmed(connection, estate_id, account_ids),
        {name: at for name, (_, at) in warnings.items()},
        newest_deliveries(connection, estate_id, "final_notice", list(warnings), since_ms) if warnings else {},
    )


def _same_meter(left: Any, right: Any) -> Any:
    return and_(left.c.estate_id == right.c.estate_id, left.c.meter_id == right.c.meter_id)


_ESTATE: BindParameter[str] = bindparam("estate_id")
_HELD_OF_METER = (  # a subquery, since a join may walk through all readings of the newest hours
    select(func.count())
    .where(
        reading.c.estate_id == meter.c.estate_id,
        reading.c.meter_id == meter.c.meter_id,
        reading.c.verdict.in_(HELD_VERDICTS),
        reading.c.read_at >= func.coalesce(meter_live.c.reading_at, 0),
    )
    .correlate(meter, meter_live)
    .scalar_subquery()
)
_HELD = Query(
    lambda among: (
        select(meter.c.meter_id, _HELD_OF_METER)
        .select_from(meter)
        .join(meter_live, _same_meter(meter_live, meter))
        .where(meter.c.estate_id == _ESTATE, among(meter.c.account_id, "account_ids"))
    )
)
_UNCONFIRMED = Query(
    lambda among: (
        select(line.c.account_id, func.sum(-line.c.amount_fen))
        .select_from(line)
        .join(account, of_account_beside(LAST_LINES))
        .join(meter_live, _same_meter(meter_live, line))
        .where(
            account.c.estate_id == _ESTATE,
            among(account.c.account_id, "account_ids"),
            line.c.account_version > account.c.version - LAST_LINES,
            line.c.event_to >= meter_live.c.reading_at,
        )
        .group_by(line.c.account_id)
    )
)
_ARCHIVED = (
    select(archive.c.until_seq)
    .where(archive.c.estate_id == _ESTATE)
    .order_by(archive.c.archive_no.desc())
    .limit(1)
    .scalar_subquery()
)
_LAST_ABOVE = (
    select(line.c.batch_seq)
    .where(of_account_beside(), line.c.balance_after_fen > -account.c.overdraft_fen)
    .order_by(*NEWEST_FIRST)
    .limit(1)
    .correlate(account)
    .scalar_subquery()
)
_ABOVE = Query(
    lambda among: (
        select(account.c.account_id, batch.c.created_ms)
        .select_from(account)
        .join(
            batch,
            and_(batch.c.estate_id == account.c.estate_id, batch.c.batch_seq == func.coalesce(_LAST_ABOVE, _ARCHIVED)),
        )
        .where(account.c.estate_id == _ESTATE, among(account.c.account_id, "account_ids"))
    )
)
_GIVEN_BACK_TO_METER = (  # a subquery, since a join may walk through the wishes of all meters
    select(func.max(relay_desired.c.created_ms))
    .where(
        relay_desired.c.estate_id == meter.c.estate_id,
        relay_desired.c.meter_id == meter.c.meter_id,
        relay_desired.c.reason.in_(GIVEN_BACK),
    )
    .correlate(meter)
    .scalar_subquery()
)
_GIVEN_BACK = Query(
    lambda among: select(meter.c.account_id, _GIVEN_BACK_TO_METER).where(
        meter.c.estate_id == _ESTATE, among(meter.c.account_id, "account_ids")
    )
)


def _held(connection: Connection, estate_id: str, account_ids: Sequence[str]) -> dict[str, int]:
    """Meters whose newest readings are held: how many after the last accepted one."""
    rows = _HELD.rows(connection, estate_id=estate_id, account_ids=account_ids)
    return {row[0]: row[1] for row in rows if row[1]}


def _unconfirmed(connection: Connection, estate_id: str, account_ids: Sequence[str]) -> dict[str, int]:
    """Fen charged up to the newest accepted readings of an account's meters: later ones have yet to confirm them."""
    rows = _UNCONFIRMED.rows(connection, estate_id=estate_id, account_ids=account_ids)
    return {row[0]: int(row[1]) for row in rows}


def _owing_since_ms(connection: Connection, estate_id: str, account_ids: Sequence[str]) -> dict[str, int]:
    """Machine time from which a cut warning is about the present debt.

    Warnings of before the balance was last above its limit, or of before somebody gave the power back by hand or on
    site, were about another one. Looked up backwards from the newest line, so that it ends after the present debt; it
    counts from the end of what is archived where all lines at hand are of the present debt.
    """
    since_ms: dict[str, int] = {}
    for query in (_ABOVE, _GIVEN_BACK):
        for name, created_ms in query.rows(connection, estate_id=estate_id, account_ids=account_ids):
            if created_ms is not None:
                since_ms[name] = max(created_ms, since_ms.get(name, created_ms))
    return since_ms
