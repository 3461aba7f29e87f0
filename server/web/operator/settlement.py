"""Closing days and months: what comes next and what keeps it open, what is closed, and the sums of each period."""

import json
from typing import Annotated

from fastapi import APIRouter, Depends, Form, Query, Request
from starlette.responses import HTMLResponse, RedirectResponse

from server.domain.settlement import KINDS
from server.errors import NotFound
from server.flows import settlement as flow
from server.store import settlement as kept
from server.web.deps import Reader, State, need
from server.web.operator.shell import staff_page
from server.web.principal import Principal

router = APIRouter(include_in_schema=False)
Viewer = Annotated[Principal, Depends(need("settlement.view"))]
Closer = Annotated[Principal, Depends(need("settlement.close"))]
SHOWN = {"day": 31, "month": 24}
PAGE_ROWS = 100


@router.get("/closing")
def closing_page(request: Request, state: State, conn: Reader, who: Viewer) -> HTMLResponse:
    """Days and months, each with the next one and those that are closed."""
    now = state.clock.now()
    rows = [
        (
            flow.following(conn, who.estate_id, kind, now),
            [
                (one, kept.turnover(one), json.loads(one.doubts))
                for one in kept.settlements(conn, who.estate_id, kind, limit=SHOWN[kind], newest_first=True)
            ],
        )
        for kind in KINDS
    ]
    return staff_page(request, conn, "operator/closing.html", "closing", rows=rows)


@router.post("/closing/{kind}/{period}")
def close(
    state: State,
    conn: Reader,
    who: Closer,
    kind: str,
    period: str,
    reason: Annotated[str, Form(max_length=1000)] = "",
) -> RedirectResponse:
    """Close one period; the reason counts only where something is not known."""
    now = state.clock.now()
    if kept.settlement_of(conn, who.estate_id, kind, period) is None:
        drafted = flow.draft(conn, who.estate_id, kind, period, now)
        for step in flow.steps(who.estate_id, drafted, actor=who.login, override=reason, now=now):
            state.writer.run(step)
    return RedirectResponse(f"/closing/{kind}/{period}", 303)


@router.get("/closing/{kind}/{period}")
def period_page(
    request: Request,
    conn: Reader,
    who: Viewer,
    kind: str,
    period: str,
    after: Annotated[str, Query(max_length=200, pattern=r"^[^\x00]*$")] = "",
) -> HTMLResponse:
    """One closed period: totals, and a page of households."""
    closed = kept.settlement_of(conn, who.estate_id, kind, period)
    if closed is None:
        raise NotFound(f"the {kind} {period} is not closed")
    found = kept.page_of_sums(conn, who.estate_id, closed, after=after, limit=PAGE_ROWS + 1, households=True)
    households = [(row, json.loads(row["by_kind"])) for row in found[:PAGE_ROWS]]
    return staff_page(
        request,
        conn,
        "operator/closed.html",
        "closing",
        closed=closed,
        turnover=kept.turnover(closed),
        doubts=json.loads(closed.doubts),
        households=households,
        following=found[PAGE_ROWS - 1]["account_id"] if len(found) > PAGE_ROWS else "",
    )
