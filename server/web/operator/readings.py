"""The reading centre: readings that wait for a person, what people decided, and exchanges of meters and ratios."""

from typing import Annotated

from fastapi import APIRouter, Depends, Form, Request
from starlette.responses import HTMLResponse, RedirectResponse

from server.flows import acceptance
from server.store import acceptance as kept
from server.web.deps import Reader, State, need
from server.web.operator.shell import staff_page
from server.web.principal import Principal

router = APIRouter(include_in_schema=False)
Viewer = Annotated[Principal, Depends(need("case.view"))]
Settler = Annotated[Principal, Depends(need("reading.settle"))]
Reason = Annotated[str, Form(min_length=1, max_length=1000)]


@router.get("/readings")
def readings_page(request: Request, conn: Reader, who: Viewer) -> HTMLResponse:
    """Held readings with the two ways out, and the record of both."""
    return staff_page(
        request,
        conn,
        "operator/readings.html",
        "readings",
        held=kept.held(conn, who.estate_id),
        acts=kept.acts(conn, who.estate_id),
        exchanges=list(reversed(kept.exchanges(conn, who.estate_id))),
    )


@router.post("/readings/{meter_id}/{read_at}/release")
def release(state: State, who: Settler, meter_id: str, read_at: int, reason: Reason) -> RedirectResponse:
    """Let it count."""
    now = state.clock.now()
    state.writer.run(
        lambda unit: acceptance.release(unit, who.estate_id, meter_id, read_at, actor=who.login, reason=reason, now=now)
    )
    return RedirectResponse("/readings", 303)


@router.post("/readings/{meter_id}/{read_at}/void")
def void(state: State, who: Settler, meter_id: str, read_at: int, reason: Reason) -> RedirectResponse:
    """Say that it never counts."""
    now = state.clock.now()
    state.writer.run(
        lambda unit: acceptance.void(unit, who.estate_id, meter_id, read_at, actor=who.login, reason=reason, now=now)
    )
    return RedirectResponse("/readings", 303)
