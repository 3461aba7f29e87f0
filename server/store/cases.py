"""Reads and writes of cases and their steps. The figures that rules judge are read by `store.anomalies`."""

from typing import Any

from sqlalchemy import Connection, RowMapping, and_, bindparam, func, select

from server.domain.anomalies import SERVER_CLOCK
from server.store.direct import Query
from server.store.schema import anomaly_case, case_event

LIVE = ("open", "acknowledged")  # named one by one, since no index finds what is not closed
Key = tuple[str, str]


def live_keys(connection: Connection, estate_id: str) -> set[Key]:
    """(kind, subject) of every case that is not closed."""
    query = select(anomaly_case.c.kind, anomaly_case.c.subject).where(
        anomaly_case.c.estate_id == estate_id, anomaly_case.c.status.in_(LIVE)
    )
    return {(row[0], row[1]) for row in connection.execute(query)}


def live_case(connection: Connection, estate_id: str, kind: str, subject: str) -> str | None:
    """The case of this kind and subject that is not closed, or None."""
    query = select(anomaly_case.c.case_id).where(
        anomaly_case.c.estate_id == estate_id,
        anomaly_case.c.kind == kind,
        anomaly_case.c.subject == subject,
        anomaly_case.c.status.in_(LIVE),
    )
    found: str | None = connection.execute(query).scalar()
    return found


_EVIDENCE = Query(
    lambda _: select(anomaly_case.c.evidence).where(
        anomaly_case.c.estate_id == bindparam("estate_id"),
        anomaly_case.c.status.in_(LIVE),
        anomaly_case.c.kind == bindparam("kind"),
    )
)


def live_evidence(connection: Connection, estate_id: str, kind: str = SERVER_CLOCK) -> str | None:
    """The evidence (JSON) of the case of the server's own clock, or of another kind that has one case at a time.

    None while there is none.
    """
    found = _EVIDENCE.ask(connection, estate_id=estate_id, kind=kind)
    return str(found[0]["evidence"]) if found else None


def last_closings(connection: Connection, estate_id: str) -> dict[Key, int]:
    """World time at which a case of (kind, subject) was last closed."""
    query = (
        select(anomaly_case.c.kind, anomaly_case.c.subject, func.max(case_event.c.world_at))
        .join(
            case_event,
            and_(case_event.c.estate_id == anomaly_case.c.estate_id, case_event.c.case_id == anomaly_case.c.case_id),
        )
        .where(anomaly_case.c.estate_id == estate_id, case_event.c.verb == "closed")
        .group_by(anomaly_case.c.kind, anomaly_case.c.subject)
    )
    return {(row[0], row[1]): row[2] for row in connection.execute(query)}


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
