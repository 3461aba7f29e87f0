"""Reads and writes of keep-power: what is wanted of meters, what was tried, and what was read back."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, RowMapping, Select, and_, bindparam, func, or_, select

from server.domain.keep_power import PROTOCOL
from server.store.direct import Query
from server.store.estates import upsert
from server.store.schema import account, estate, keep_attempt, keep_desired, keep_power, meter, supply

UNFINISHED = ("queued", "sent", "accepted", "failed")


@dataclass(frozen=True, slots=True)
class KeepState:
    """What is wanted of one meter, as far as a status word may change it."""

    gen: int
    state: str
    command: str
    tries: int
    created_ms: int


def _same_meter(left: Any, right: Any) -> Any:
    return and_(left.c.estate_id == right.c.estate_id, left.c.meter_id == right.c.meter_id)


def concerned(
    connection: Connection, estate_id: str, schemes: Sequence[str], *, by_default: bool,
    account_ids: Sequence[str] | None = None,
) -> Sequence[RowMapping]:  # fmt: skip
    """Households whose meters may have to keep the power on, or do: their accounts with meter and what is wanted.

    Those that are protected, that say something of it themselves, whose scheme is among `schemes` (`by_default`: the
    scheme of those that name none is), or of whose meter it is wanted.
    """
    own = account.c
    named = own.scheme_id.in_(schemes)
    rules = or_(named, own.scheme_id.is_(None)) if by_default else named
    query = (
        select(
            account, meter.c.meter_id, meter.c.bus_id, keep_power.c.gen.label("keep_gen"),
            keep_power.c.state.label("keep_state"), supply.c.desired, supply.c.cause,
        )
        .join(meter, and_(meter.c.estate_id == own.estate_id, meter.c.account_id == own.account_id))
        .outerjoin(keep_power, _same_meter(keep_power, meter))
        .outerjoin(supply, _same_meter(supply, meter))
        .where(
            own.estate_id == estate_id, own.kind == "household", own.status != "closed", meter.c.kind == "household",
            meter.c.protocol == PROTOCOL,
            or_(own.protected == 1, own.own_rules.like("%keep_power%"), keep_power.c.state == "on", rules),
        )
        .order_by(meter.c.meter_id)
    )  # fmt: skip
    if account_ids is not None:
        query = query.where(own.account_id.in_(account_ids))
    return connection.execute(query).mappings().all()


def add_wish(connection: Connection, values: Mapping[str, object]) -> None:
    """Append one generation and make it the current one."""
    connection.execute(keep_desired.insert().values(**values))
    current = {name: values[name] for name in ("estate_id", "meter_id", "gen", "state", "created_ms")}
    upsert(
        connection, keep_power, ("estate_id", "meter_id"),
        current | {"command": "queued", "tries": 0, "next_ms": 0, "read_at": None},
    )  # fmt: skip


_STATES = Query(
    lambda among: select(
        keep_power.c.meter_id, keep_power.c.gen, keep_power.c.state, keep_power.c.command, keep_power.c.tries,
        keep_power.c.created_ms,
    ).where(keep_power.c.estate_id == bindparam("estate_id"), among(keep_power.c.meter_id, "meter_ids"))
)  # fmt: skip


def states(connection: Connection, estate_id: str, meter_ids: Sequence[str]) -> dict[str, KeepState]:
    """What is wanted of these meters; those never asked are absent."""
    found = _STATES.rows(connection, estate_id=estate_id, meter_ids=meter_ids)
    return {row[0]: KeepState(*row[1:]) for row in found}


_WANTED = Query(
    lambda _: select(keep_power).where(
        keep_power.c.estate_id == bindparam("estate_id"), keep_power.c.meter_id == bindparam("meter_id")
    )
)


def get(connection: Connection, estate_id: str, meter_id: str) -> Mapping[str, Any] | None:
    """What is wanted of one meter."""
    return _WANTED.first(connection, estate_id=estate_id, meter_id=meter_id)


def update(connection: Connection, estate_id: str, meter_id: str, **values: Any) -> None:
    """Change how the current wish fares."""
    where = (keep_power.c.estate_id == estate_id, keep_power.c.meter_id == meter_id)
    connection.execute(keep_power.update().where(*where).values(**values))


def newest_step(connection: Connection, estate_id: str, meter_id: str, gen: int) -> str | None:
    """The last step that was kept of a generation; None where none was."""
    query = select(keep_attempt.c.step).where(
        keep_attempt.c.estate_id == estate_id, keep_attempt.c.meter_id == meter_id, keep_attempt.c.gen == gen
    )
    return connection.execute(query.order_by(keep_attempt.c.step_no.desc()).limit(1)).scalar()


def add_attempt(connection: Connection, values: Mapping[str, object]) -> None:
    """Append one step of carrying out a generation; its number follows."""
    key = [keep_attempt.c[name] == values[name] for name in ("estate_id", "meter_id", "gen")]
    last = connection.execute(select(func.max(keep_attempt.c.step_no)).where(*key)).scalar()
    connection.execute(keep_attempt.insert().values(step_no=(last or 0) + 1, **values))


def unfinished_orders(
    connection: Connection, estate_id: str, bus_id: str | None = None, now_ms: int | None = None
) -> Sequence[RowMapping]:
    """Wishes of a bus, or of all, that no read-back has confirmed and whose turn it is, oldest first."""
    query: Select[Any] = (
        select(keep_power, meter.c.bus_id, meter.c.password, meter.c.password_level, estate.c.command_ttl_s)
        .join(meter, _same_meter(meter, keep_power))
        .join(estate, estate.c.estate_id == keep_power.c.estate_id)
        .where(
            keep_power.c.estate_id == estate_id,
            keep_power.c.command.in_(UNFINISHED),
            meter.c.account_id.is_not(None),
            *(() if bus_id is None else (meter.c.bus_id == bus_id,)),
            *(() if now_ms is None else (keep_power.c.next_ms <= now_ms,)),
        )
        .order_by(keep_power.c.created_ms, keep_power.c.meter_id)
    )
    return connection.execute(query).mappings().all()


_WISHES = Query(
    lambda _: (
        select(keep_desired)
        .where(keep_desired.c.estate_id == bindparam("estate_id"), keep_desired.c.meter_id == bindparam("meter_id"))
        .order_by(keep_desired.c.gen.desc())
        .limit(bindparam("limit"))
    )
)
_STEPS = Query(
    lambda _: (
        select(keep_attempt.c.gen, keep_attempt.c.step)
        .where(
            keep_attempt.c.estate_id == bindparam("estate_id"),
            keep_attempt.c.meter_id == bindparam("meter_id"),
            keep_attempt.c.gen >= bindparam("since_gen"),
        )
        .order_by(keep_attempt.c.gen, keep_attempt.c.step_no)
    )
)


def history(
    connection: Connection, estate_id: str, meter_id: str, *, limit: int
) -> Sequence[tuple[Mapping[str, Any], str]]:
    """The newest wishes of a meter with the last step of each (queued before the first), newest first."""
    wishes = _WISHES.ask(connection, estate_id=estate_id, meter_id=meter_id, limit=limit)
    if not wishes:
        return []
    steps = _STEPS.rows(connection, estate_id=estate_id, meter_id=meter_id, since_gen=wishes[-1]["gen"])
    last = {row[0]: row[1] for row in steps}
    return [(row, last.get(row["gen"], "queued")) for row in wishes]
