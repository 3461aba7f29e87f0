"""What the pages of cases read: cases by weight and age, and the steps of one."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, RowMapping, bindparam, select
from sqlalchemy import case as when

from server.store.cases import LIVE
from server.store.direct import Query
from server.store.schema import anomaly_case, case_event

LISTED_MAX = 200


_WEIGHT = when((anomaly_case.c.severity == "high", 0), (anomaly_case.c.severity == "medium", 1), else_=2)
_TURN = when((anomaly_case.c.status == "open", 0), (anomaly_case.c.status == "acknowledged", 1), else_=2)
_ALL = (
    select(anomaly_case)
    .where(anomaly_case.c.estate_id == bindparam("estate_id"))
    .order_by(_TURN, _WEIGHT, anomaly_case.c.opened_ms.desc(), anomaly_case.c.case_id)
    .limit(LISTED_MAX)
)
_WITH_CLOSED = Query(lambda _: _ALL)
_LIVE = Query(lambda _: _ALL.where(anomaly_case.c.status.in_(LIVE)))


def cases(connection: Connection, estate_id: str, *, with_closed: bool) -> Sequence[Mapping[str, Any]]:
    """Cases, open ones first, then by severity, newest first."""
    return (_WITH_CLOSED if with_closed else _LIVE).ask(connection, estate_id=estate_id)


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
