"""Reads and appends of shared-area allocations: who takes part, what the gates saw, what was posted and reversed."""

from collections.abc import Mapping, Sequence
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import Connection, RowMapping, Select, and_, bindparam, case, func, or_, select

from core.units import REGISTER_MODULUS_WH
from server.domain.allocation import Share
from server.domain.occupancy import Stay
from server.domain.settlement import DAY, period_at
from server.store.bulk import insert_rows, update_rows
from server.store.direct import Query, Row
from server.store.schema import (
    account,
    account_event,
    allocation,
    allocation_reversal,
    allocation_share,
    batch,
    meter,
    register_day,
    room,
    settlement_sum,
)

LIVED_IN = ("normal", "paused")
_OF_ALLOCATION = and_(
    allocation_reversal.c.estate_id == allocation.c.estate_id,
    allocation_reversal.c.allocation_id == allocation.c.allocation_id,
)
_WITH_REVERSAL = (
    select(
        allocation,
        allocation_reversal.c.reason.label("reversed_because"),
        allocation_reversal.c.actor.label("reversed_by"),
        allocation_reversal.c.world_at.label("reversed_at"),
        allocation_reversal.c.batch_seq.label("reversal_seq"),
    )
    .select_from(allocation)
    .outerjoin(allocation_reversal, _OF_ALLOCATION)
)  # fmt: skip


def rooms(connection: Connection, estate_id: str) -> Sequence[RowMapping]:
    """Every room with its area and the household that lives there, if any."""
    own = and_(
        account.c.estate_id == room.c.estate_id,
        account.c.room_id == room.c.room_id,
        account.c.kind == "household",
        account.c.status.in_(LIVED_IN),
    )
    query = (
        select(room.c.room_id, room.c.area_cm2, account.c.account_id)
        .outerjoin(account, own)
        .where(room.c.estate_id == estate_id)
        .order_by(room.c.room_id)
    )
    return connection.execute(query).mappings().all()


def stays(connection: Connection, estate_id: str, zone: ZoneInfo) -> list[Stay]:
    """Every household that lives or lived in a room, with its local days there; who never moved in is left out.

    Households that were taken in before lives were kept have no first day.
    """
    moves = (
        select(
            account_event.c.account_id,
            func.min(case((account_event.c.act == "moved_in", account_event.c.world_at))).label("in_at"),
            func.min(case((account_event.c.act == "moved_out", account_event.c.world_at))).label("out_at"),
            func.min(case((account_event.c.act == "moved_out", account_event.c.room_id))).label("left_room"),
        )
        .where(account_event.c.estate_id == estate_id, account_event.c.act.in_(("moved_in", "moved_out")))
        .group_by(account_event.c.account_id)
        .subquery()
    )
    room_id = func.coalesce(moves.c.left_room, account.c.room_id)
    query = (
        select(account.c.account_id, room_id, moves.c.in_at, moves.c.out_at)
        .outerjoin(moves, moves.c.account_id == account.c.account_id)
        .where(
            account.c.estate_id == estate_id, account.c.kind == "household", room_id.is_not(None),
            or_(account.c.status.in_(LIVED_IN), moves.c.out_at.is_not(None)),
        )
    )  # fmt: skip

    def day(at_s: int | None) -> str:
        return "" if at_s is None else period_at(DAY, at_s, zone)

    return [Stay(row[0], row[1], day(row[2]), day(row[3])) for row in connection.execute(query)]


def those_in(connection: Connection, estate_id: str, account_ids: Sequence[str], status: str) -> list[str]:
    """Those of these households whose accounts are in this state."""
    query = select(account.c.account_id).where(
        account.c.estate_id == estate_id, account.c.account_id.in_(account_ids), account.c.status == status
    )
    return list(connection.execute(query.order_by(account.c.account_id)).scalars())


def set_areas(connection: Connection, estate_id: str, areas: Mapping[str, int]) -> int:
    """Set the areas of rooms, cm2 by room; returns how many rooms there are of these."""
    rows = [(area_cm2, estate_id, room_id) for room_id, area_cm2 in areas.items()]
    return update_rows(connection, room, ("area_cm2",), ("estate_id", "room_id"), rows)


def energy_of_month(connection: Connection, estate_id: str, period: str) -> dict[str, int]:
    """Wh of every account in a closed month."""
    query = select(settlement_sum.c.account_id, settlement_sum.c.energy_wh).where(
        settlement_sum.c.estate_id == estate_id, settlement_sum.c.kind == "month", settlement_sum.c.period == period
    )
    return {row[0]: row[1] for row in connection.execute(query)}


def gates_wh(connection: Connection, estate_id: str, first_day: str, last_day: str) -> tuple[int, list[str]]:
    """What the gate meters without one above them saw between two local days (inclusive), and those never read then.

    From the register that the days before ended with, else from the first one within; both from accepted readings.
    """
    query = select(meter.c.meter_id, meter.c.ratio).where(
        meter.c.estate_id == estate_id, meter.c.kind == "gate", meter.c.gate_id.is_(None)
    )
    total, unread = 0, []
    for meter_id, ratio in connection.execute(query.order_by(meter.c.meter_id)).all():
        days = select(register_day.c.first_wh, register_day.c.total_wh).where(
            register_day.c.estate_id == estate_id, register_day.c.meter_id == meter_id
        )
        before = connection.execute(days.where(register_day.c.day < first_day).order_by(register_day.c.day.desc()))
        within = connection.execute(
            days.where(register_day.c.day.between(first_day, last_day)).order_by(register_day.c.day)
        ).all()
        last = before.first()
        if not within:
            unread.append(str(meter_id))
            continue
        start_wh = within[0][0] if last is None else last[1]
        total += (within[-1][1] - start_wh) % REGISTER_MODULUS_WH * ratio
    return total, unread


def allocations(connection: Connection, estate_id: str, *, limit: int | None = None) -> Sequence[RowMapping]:
    """The newest allocations with what reversed them, newest first; all of them without `limit`."""
    query = _WITH_REVERSAL.where(allocation.c.estate_id == estate_id)
    return connection.execute(query.order_by(allocation.c.created_ms.desc()).limit(limit)).mappings().all()


def batches_of_nothing(connection: Connection, estate_id: str) -> list[int]:
    """Batches that share a cost, or take one back, of which no row tells."""
    told = select(allocation.c.batch_seq).where(allocation.c.estate_id == estate_id)
    back = select(allocation_reversal.c.batch_seq).where(allocation_reversal.c.estate_id == estate_id)
    query = select(batch.c.batch_seq).where(
        batch.c.estate_id == estate_id,
        or_(
            and_(batch.c.kind == "allocation", batch.c.batch_seq.not_in(told)),
            and_(batch.c.kind == "reversal", batch.c.batch_seq.not_in(back)),
        ),
    )
    return list(connection.execute(query.order_by(batch.c.batch_seq)).scalars())


def get_allocation(connection: Connection, estate_id: str, allocation_id: str) -> RowMapping | None:
    """One allocation with what reversed it, or None."""
    query = _WITH_REVERSAL.where(allocation.c.estate_id == estate_id, allocation.c.allocation_id == allocation_id)
    return connection.execute(query).mappings().one_or_none()


def of_subject(connection: Connection, estate_id: str, period: str, subject: str) -> Sequence[RowMapping]:
    """Allocations of one subject over one month with what reversed them."""
    query = _WITH_REVERSAL.where(
        allocation.c.estate_id == estate_id, allocation.c.period == period, allocation.c.subject == subject
    )
    return connection.execute(query.order_by(allocation.c.created_ms)).mappings().all()


def add(connection: Connection, shares: Sequence[Share], **values: Any) -> None:
    """Keep an allocation with all its shares."""
    connection.execute(allocation.insert().values(**values))
    key = (values["estate_id"], values["allocation_id"])
    columns = ("estate_id", "allocation_id", *Share._fields)
    insert_rows(connection, allocation_share, columns, [(*key, *share) for share in shares])


def add_reversal(connection: Connection, **values: Any) -> None:
    """Keep that an allocation was reversed; a second one is refused by the key."""
    connection.execute(allocation_reversal.insert().values(**values))


def shares(
    connection: Connection, estate_id: str, allocation_id: str, *, after: str = "", limit: int | None = None
) -> Sequence[RowMapping]:
    """Shares of an allocation by account, with the room."""
    own = and_(
        account.c.estate_id == allocation_share.c.estate_id, account.c.account_id == allocation_share.c.account_id
    )
    query = (
        select(allocation_share, account.c.room_id)
        .outerjoin(account, own)
        .where(
            allocation_share.c.estate_id == estate_id,
            allocation_share.c.allocation_id == allocation_id,
            allocation_share.c.account_id > after,
        )
        .order_by(allocation_share.c.account_id)
        .limit(limit)
    )
    return connection.execute(query).mappings().all()


def _shares() -> Select[Any]:
    its = and_(
        allocation_share.c.estate_id == allocation.c.estate_id,
        allocation_share.c.allocation_id == allocation.c.allocation_id,
    )
    return (
        _WITH_REVERSAL.join(allocation_share, its)
        .add_columns(
            allocation_share.c.weight,
            allocation_share.c.energy_wh.label("share_wh"),
            allocation_share.c.amount_fen.label("share_fen"),
        )
        .where(
            allocation.c.estate_id == bindparam("estate_id"), allocation_share.c.account_id == bindparam("account_id")
        )
        .order_by(allocation.c.created_ms.desc())
        .limit(bindparam("limit"))
    )


_SHARES = Query(lambda _: _shares())


def shares_of(
    connection: Connection, estate_id: str, account_id: str, *, limit: int, batches: Sequence[int] | None = None
) -> Sequence[Row]:
    """The newest shares of a household with their allocations, newest first; only those of `batches`, if given.

    A batch that reversed an allocation counts as one of it.
    """
    if batches is None:
        return _SHARES.ask(connection, estate_id=estate_id, account_id=account_id, limit=limit)
    query = _shares().where(allocation.c.batch_seq.in_(batches) | allocation_reversal.c.batch_seq.in_(batches))
    asked = {"estate_id": estate_id, "account_id": account_id, "limit": limit}
    return connection.execute(query, asked).mappings().all()


def counts(connection: Connection, estate_id: str) -> dict[str, int]:
    """How many accounts take part in each allocation."""
    query = select(allocation_share.c.allocation_id, func.count()).where(allocation_share.c.estate_id == estate_id)
    return {row[0]: row[1] for row in connection.execute(query.group_by(allocation_share.c.allocation_id))}
