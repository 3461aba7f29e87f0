"""Reconciliation: which bill files are there, day by provider, and every difference with its owner and next act."""

from typing import Annotated

from fastapi import APIRouter, Depends, File, Form, Query, Request, UploadFile
from starlette.concurrency import run_in_threadpool
from starlette.responses import HTMLResponse, RedirectResponse

from server.domain.reconciliation import DAYS_MISSED, OWNERS, due_days
from server.domain.refunds import REASON_LENGTH_MAX
from server.flows import reconciliation as flows
from server.store import reconciliation as kept
from server.store.unit import Deed
from server.web.bill_files import day_text, take_file
from server.web.deps import Reader, State, need
from server.web.operator.shell import staff_page
from server.web.principal import Principal

router = APIRouter(include_in_schema=False)
Viewer = Annotated[Principal, Depends(need("payment.view"))]
Settler = Annotated[Principal, Depends(need("reconciliation.settle"))]
Note = Annotated[str, Form(min_length=1, max_length=REASON_LENGTH_MAX)]
ROWS = 100
DAYS_SHOWN = 14


@router.get("/reconciliation")
def reconciliation_page(
    request: Request, state: State, conn: Reader, who: Viewer, status: Annotated[str, Query(pattern="^(all|)$")] = ""
) -> HTMLResponse:
    """The days with their files, those that are missing, and the differences; `status=all` with the settled ones."""
    now = state.clock.now()
    files = kept.files(conn, who.estate_id, limit=ROWS)
    newest: dict[str, dict[str, object]] = {}
    for row in reversed(files):
        newest.setdefault(row["day"], {})[row["provider"]] = row
    missing = []
    for name in state.providers:
        have = kept.loaded_days(conn, who.estate_id, name)
        begun = kept.first_booked_ms(conn, who.estate_id, name)
        missing += [(day, name) for day in due_days(now.machine_ms, have, begun, DAYS_MISSED)]
    return staff_page(
        request,
        conn,
        "operator/reconciliation.html",
        "payments",
        days=sorted(newest, reverse=True)[:DAYS_SHOWN],
        newest=newest,
        providers=sorted({row["provider"] for row in files} | set(state.providers)),
        missing=missing,
        rows=kept.differences(conn, who.estate_id, everything=status == "all", limit=ROWS),
        owners=OWNERS,
        everything=status == "all",
    )


@router.post("/reconciliation")
async def upload(
    state: State,
    who: Annotated[Principal, Depends(need("reconciliation.load"))],
    provider: Annotated[str, Form(max_length=40)],
    day: Annotated[str, Form(max_length=10)],
    file: Annotated[UploadFile, File()],
) -> RedirectResponse:
    """Take a file in that a person has fetched from the provider's platform."""
    content = await file.read()
    await run_in_threadpool(take_file, state, who, provider, day_text(day), content)
    return RedirectResponse("/reconciliation", 303)


@router.post("/reconciliation/{case_id}/settle")
def settle(state: State, who: Settler, case_id: str, note: Note) -> RedirectResponse:
    """Settle a difference with what was found out and done."""
    now = state.clock.now()
    state.writer.run(Deed(flows.settle, who.estate_id, case_id, resolution=note, actor=who.login, now=now))
    return RedirectResponse("/reconciliation", 303)


@router.post("/reconciliation/{case_id}/take-in")
def take_in(state: State, who: Settler, case_id: str, note: Note) -> RedirectResponse:
    """Book a payment that is missing here."""
    now = state.clock.now()
    state.writer.run(Deed(flows.take_in, who.estate_id, case_id, reason=note, actor=who.login, now=now), urgent=True)
    return RedirectResponse("/reconciliation", 303)
