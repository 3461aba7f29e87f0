"""Cases: what the anomaly rules found, with evidence; a person acknowledges and closes them."""

import json
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query, Request
from pydantic import Field
from sqlalchemy import RowMapping
from starlette.responses import Response

from server.flows import cases as flows
from server.store import listing
from server.store.unit import Deed
from server.web.api.paging import Cursor, Limit, Page, answer, decode_cursor, encode_cursor
from server.web.api.shapes import Case, Shape
from server.web.deps import Reader, State, need
from server.web.principal import Principal

router = APIRouter(prefix="/api/v1", tags=["cases"])
CaseId = Annotated[str, Path(max_length=64)]
Handler = Annotated[Principal, Depends(need("case.handle"))]
OPEN = ("open", "acknowledged")


class Note(Shape):
    """What was seen, in a sentence."""

    note: str = Field("", max_length=1000, pattern=r"^[^\x00]*$")


class Resolution(Shape):
    """Why the case is closed."""

    resolution: str = Field(min_length=1, max_length=1000, pattern=r"^[^\x00]+$")


def case_of(row: RowMapping) -> Case:
    """The case with its evidence opened."""
    evidence: Any = json.loads(row["evidence"])
    names = Case.model_fields.keys() & row.keys()
    return Case(**{**{name: row[name] for name in names}, "evidence": evidence})


@router.get("/cases", response_model=Page[Case], summary="Cases, page by page")
def cases(
    request: Request,
    conn: Reader,
    who: Annotated[Principal, Depends(need("case.view"))],
    status: Annotated[str, Query(pattern="^(open|acknowledged|closed|)$", description="empty: all not closed")] = "",
    cursor: Cursor = "",
    limit: Limit = 50,
) -> Response:
    """Cases in the order of their ids."""
    statuses = (status,) if status else OPEN
    rows = listing.cases(conn, who.estate_id, statuses=statuses, after=decode_cursor(cursor), limit=limit + 1)
    following = encode_cursor(rows[limit - 1]["case_id"]) if len(rows) > limit else None
    return answer(request, Page[Case](items=[case_of(row) for row in rows[:limit]], next_cursor=following))


@router.post("/cases/{case_id}/acknowledge", status_code=204, summary="Take a case")
def acknowledge(state: State, who: Handler, case_id: CaseId, note: Note) -> None:
    """Say that somebody is looking into it; the principal becomes its owner."""
    now = state.clock.now()
    state.writer.run(Deed(flows.acknowledge, who.estate_id, case_id, actor=who.login, note=note.note, now=now))


@router.post("/cases/{case_id}/close", status_code=204, summary="Close a case")
def close(state: State, who: Handler, case_id: CaseId, resolution: Resolution) -> None:
    """Close it with a reason, which is required."""
    now = state.clock.now()
    state.writer.run(
        Deed(flows.close, who.estate_id, case_id, resolution=resolution.resolution, actor=who.login, now=now)
    )
