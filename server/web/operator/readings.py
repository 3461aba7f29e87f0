"""The reading centre: readings that wait for a person, what people decided, and exchanges of meters and ratios."""

from collections.abc import Sequence
from typing import Annotated

from fastapi import APIRouter, Depends, Form, Request
from sqlalchemy import RowMapping
from starlette.responses import HTMLResponse, RedirectResponse

from server.domain.registers import may_release
from server.domain.voiding import ALONE_MAX_FEN
from server.flows import acceptance, approvals, voiding
from server.flows.uncharged import uncharged
from server.store import acceptance as kept
from server.store.unit import Deed
from server.web.deps import Reader, State, need
from server.web.operator.shell import households_of, staff_page
from server.web.principal import Principal

router = APIRouter(include_in_schema=False)
Viewer = Annotated[Principal, Depends(need("case.view"))]
Settler = Annotated[Principal, Depends(need("reading.settle"))]
Reason = Annotated[str, Form(min_length=1, max_length=1000)]


def by_meter(rows: Sequence[RowMapping]) -> tuple[list[RowMapping], list[RowMapping]]:
    """The newest reading of each meter, and all others; `rows` come newest first."""
    seen: set[str] = set()
    newest: list[RowMapping] = []
    older: list[RowMapping] = []
    for row in rows:
        (older if row["meter_id"] in seen else newest).append(row)
        seen.add(row["meter_id"])
    return newest, older


@router.get("/readings")
def readings_page(request: Request, state: State, conn: Reader, who: Viewer) -> HTMLResponse:
    """Held readings with the two ways out, the newest of each meter first, both on record, and energy that waits."""
    rooms = {one.account_id: one.room_id for one in households_of(request).rows}
    newest, older = by_meter(kept.held(conn, who.estate_id))
    return staff_page(
        request,
        conn,
        "operator/readings.html",
        "readings",
        held=newest,
        older=older,
        may_release=may_release,
        acts=kept.acts(conn, who.estate_id),
        exchanges=list(reversed(kept.exchanges(conn, who.estate_id))),
        uncharged=[
            (one, rooms.get(one.account_id)) for one in uncharged(conn, who.estate_id, state.clock.now().world_s)
        ],
    )


@router.post("/readings/{meter_id}/{read_at}/release")
def release(state: State, who: Settler, meter_id: str, read_at: int, reason: Reason) -> RedirectResponse:
    """Let it count."""
    now = state.clock.now()
    state.writer.run(
        Deed(acceptance.release, who.estate_id, meter_id, read_at, actor=who.login, reason=reason, now=now)
    )
    return RedirectResponse("/readings", 303)


@router.get("/readings/{meter_id}/{read_at}")
def reading_page(request: Request, conn: Reader, who: Settler, meter_id: str, read_at: int) -> HTMLResponse:
    """One reading that counts, and what taking it back would do."""
    plan = voiding.plan_of(conn, who.estate_id, meter_id, read_at)
    return staff_page(
        request,
        conn,
        "operator/reading.html",
        "readings",
        plan=plan,
        one=plan.row,
        alone_max_fen=ALONE_MAX_FEN,
        begun_at=plan.taken[-1].event_from if plan.taken else None,
    )


@router.post("/readings/{meter_id}/{read_at}/void")
def void(state: State, who: Settler, meter_id: str, read_at: int, reason: Reason) -> RedirectResponse:
    """Say that it never counts; one that was charged is counter-posted, above a limit after a second person."""
    now = state.clock.now()
    asked = state.writer.run(
        Deed(
            approvals.request_void, who.estate_id, meter_id, read_at, actor=who.login, reason=reason, now=now,
            fresh=who.fresh,
        )
    )  # fmt: skip
    return RedirectResponse("/supply#approvals" if asked else "/readings", 303)
