"""What the pages of cases read: cases by weight and age, and the steps of one."""

from collections.abc import Sequence

from sqlalchemy import Connection, RowMapping, select
from sqlalchemy import case as when

from server.store.cases import LIVE
from server.store.schema import anomaly_case, case_event

LISTED_MAX = 200


def cases(connection: Connection, estate_id: str, *, with_closed: bool) -> Sequence[RowMapping]:
    """Cases, open ones first, then by severity, newest first."""
    weight = when((anomaly_case.c.severity == "high", 0), (anomaly_case.c.severity == "medium", 1), else_=2)
    turn = when((anomaly_case.c.status == "open", 0), (anomaly_case.c.status == "acknowledged", 1), else_=2)
    query = select(anomaly_case).where(anomaly_case.c.estate_id == estate_id)
    if not with_closed:
        query = query.where(anomaly_case.c.status.in_(LIVE))
    query = query.order_by(turn, weight, anomaly_case.c.opened_ms.desc(), anomaly_case.c.case_id).limit(LISTED_MAX)
    return connection.execute(query).mappings().all()


def case(connection: Connection, estate_id: str, case_id: str) -> RowMapping | None:
    """One case, or None."""
    query = select(anomaly_case).where(anomaly_case.c.estate_id == estate_id, anomaly_case.c.case_id == case_id)
    return connection.execute(query).mappings().one_or_none()


def steps(connection: Connection, estate_id: str, case_id: str) -> Sequence[RowMapping]:
    """What happened to a case, newest first."""
    query = (
        select(case_event)
        .where(case_event.c.estate_id == estate_id, case_event.c.case_id == case_id)
        .order_by(case_event.c.event_no.desc())
    )
    return connection.execute(query).mappings().all()
