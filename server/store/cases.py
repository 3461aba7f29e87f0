"""Reads of the figures that anomaly rules look at, and reads and writes of cases."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, RowMapping, and_, func, select

from server.domain.anomalies import Contact, GateBalance, OpenRelay
from server.store.readings import ACCEPTED
from server.store.schema import anomaly_case, case_event, meter, meter_live, reading, supply


def _same(left: Any, right: Any) -> Any:
    return and_(left.c.estate_id == right.c.estate_id, left.c.meter_id == right.c.meter_id)


def open_relays(connection: Connection, estate_id: str) -> list[OpenRelay]:
    """Meters whose relay is read back open, with the first accepted register since then and the newest one."""
    first = (
        select(reading.c.meter_id, func.min(reading.c.total_wh).label("from_wh"))
        .join(supply, _same(supply, reading))
        .where(
            reading.c.estate_id == estate_id,
            supply.c.relay == "open",
            reading.c.read_at >= supply.c.opened_at,
            reading.c.verdict.in_(ACCEPTED),
        )
        .group_by(reading.c.meter_id)
        .subquery()
    )
    query = (
        select(
            meter.c.meter_id, meter.c.room_id, supply.c.opened_at, first.c.from_wh, meter_live.c.total_wh,
            meter_live.c.reading_at,
        )
        .join(supply, _same(supply, meter))
        .join(meter_live, _same(meter_live, meter))
        .join(first, first.c.meter_id == meter.c.meter_id)
        .where(meter.c.estate_id == estate_id, supply.c.relay == "open", meter_live.c.total_wh.is_not(None))
    )  # fmt: skip
    return [OpenRelay(*row) for row in connection.execute(query)]


def held_backwards(connection: Connection, estate_id: str) -> Sequence[RowMapping]:
    """The newest reading of each meter that was held as backwards and is not older than the accepted one."""
    newest = (
        select(reading.c.meter_id, func.max(reading.c.read_at).label("read_at"))
        .where(reading.c.estate_id == estate_id, reading.c.verdict == "backwards")
        .group_by(reading.c.meter_id)
        .subquery()
    )
    query = (
        select(
            reading.c.meter_id, reading.c.total_wh, reading.c.read_at, meter.c.room_id,
            meter_live.c.total_wh.label("accepted_wh"), meter_live.c.reading_at.label("accepted_at"),
        )
        .join(newest, and_(newest.c.meter_id == reading.c.meter_id, newest.c.read_at == reading.c.read_at))
        .join(meter, _same(meter, reading))
        .join(meter_live, _same(meter_live, reading))
        .where(reading.c.estate_id == estate_id, meter_live.c.reading_at <= reading.c.read_at)
    )  # fmt: skip
    return connection.execute(query).mappings().all()


def contacts(connection: Connection, estate_id: str, failures_min: int) -> list[Contact]:
    """Meters with at least so many unanswered items; one that never answered counts from its installation."""
    query = (
        select(
            meter.c.meter_id,
            meter.c.room_id,
            func.coalesce(meter_live.c.contact_at, meter.c.installed_at),
            meter_live.c.failures,
        )
        .join(meter_live, _same(meter_live, meter))
        .where(meter.c.estate_id == estate_id, meter_live.c.failures >= failures_min)
    )
    return [Contact(*row) for row in connection.execute(query)]


def gate_balances(connection: Connection, estate_id: str, from_s: int, to_s: int) -> list[GateBalance]:
    """Steps of each gate and of its meters between the accepted readings nearest after `from_s` and before `to_s`.

    A gate counts only when every meter below it has been read in the span.
    """
    steps: dict[str, int] = {}
    spans: dict[str, tuple[int, int]] = {}
    query = (
        select(
            reading.c.meter_id,
            func.min(reading.c.total_wh),
            func.max(reading.c.total_wh),
            func.min(reading.c.read_at),
            func.max(reading.c.read_at),
        )
        .where(
            reading.c.estate_id == estate_id,
            reading.c.read_at.between(from_s, to_s),
            reading.c.verdict.in_(ACCEPTED),
        )
        .group_by(reading.c.meter_id)
    )
    for meter_id, low_wh, high_wh, first_at, last_at in connection.execute(query):
        steps[meter_id] = high_wh - low_wh
        spans[meter_id] = (first_at, last_at)
    members: dict[str, list[tuple[str, int]]] = {}
    rows = select(meter.c.meter_id, meter.c.gate_id, meter.c.ratio).where(meter.c.estate_id == estate_id)
    ratios = {}
    for meter_id, gate_id, ratio in connection.execute(rows):
        ratios[meter_id] = ratio
        if gate_id is not None:
            members.setdefault(gate_id, []).append((meter_id, ratio))
    found = []
    for gate_id, below in members.items():
        if gate_id not in steps or any(meter_id not in steps for meter_id, _ in below):
            continue
        total_wh = sum(steps[meter_id] * ratio for meter_id, ratio in below)
        gate_wh = steps[gate_id] * ratios[gate_id]
        found.append(GateBalance(gate_id, *spans[gate_id], gate_wh, total_wh, len(below)))
    return found


def live_case(connection: Connection, estate_id: str, kind: str, subject: str) -> RowMapping | None:
    """The case of this kind and subject that is not closed."""
    query = select(anomaly_case).where(
        anomaly_case.c.estate_id == estate_id,
        anomaly_case.c.kind == kind,
        anomaly_case.c.subject == subject,
        anomaly_case.c.status != "closed",
    )
    return connection.execute(query).mappings().first()


def last_closed_ms(connection: Connection, estate_id: str, kind: str, subject: str) -> int | None:
    """When a case of this kind and subject was last closed."""
    query = select(func.max(anomaly_case.c.closed_ms)).where(
        anomaly_case.c.estate_id == estate_id, anomaly_case.c.kind == kind, anomaly_case.c.subject == subject
    )
    return connection.execute(query).scalar_one_or_none()


def get(connection: Connection, estate_id: str, case_id: str) -> RowMapping | None:
    """One case."""
    query = select(anomaly_case).where(anomaly_case.c.estate_id == estate_id, anomaly_case.c.case_id == case_id)
    return connection.execute(query).mappings().one_or_none()


def add(connection: Connection, **values: Any) -> None:
    """Insert a case."""
    connection.execute(anomaly_case.insert().values(**values))


def update(connection: Connection, estate_id: str, case_id: str, **values: Any) -> None:
    """Change a case."""
    connection.execute(
        anomaly_case.update()
        .where(anomaly_case.c.estate_id == estate_id, anomaly_case.c.case_id == case_id)
        .values(**values)
    )


def add_event(
    connection: Connection, estate_id: str, case_id: str, verb: str, actor: str, note: str, world_at: int, ms: int
) -> None:
    """Append one step to a case."""
    last = connection.execute(
        select(func.max(case_event.c.event_no)).where(
            case_event.c.estate_id == estate_id, case_event.c.case_id == case_id
        )
    ).scalar()
    connection.execute(
        case_event.insert().values(
            estate_id=estate_id,
            case_id=case_id,
            event_no=(last or 0) + 1,
            verb=verb,
            actor=actor,
            note=note,
            world_at=world_at,
            created_ms=ms,
        )
    )
