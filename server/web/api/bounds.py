"""What bounds supply, as API: bulk cuts, power back for everybody, schemes and alerts."""

import json
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path
from pydantic import Field

from server.flows import approvals, bulk_edits, bulk_stop, schemes, supply
from server.store import bulk_cut as bulk_rows
from server.store import schemes as scheme_rows
from server.store.unit import Deed
from server.web.api.control import Asked
from server.web.api.shapes import Shape, shape_row
from server.web.deps import Reader, State, need
from server.web.principal import Principal

router = APIRouter(prefix="/api/v1", tags=["supply"])
Viewer = Annotated[Principal, Depends(need("supply.view"))]
Operator = Annotated[Principal, Depends(need("supply.mode"))]
Editor = Annotated[Principal, Depends(need("supply.rules"))]
Id = Annotated[str, Path(max_length=64)]
REASON = r"^[^\x00]+$"
NEWEST = 50


class Reason(Shape):
    """Why."""

    reason: str = Field(min_length=1, max_length=200, pattern=REASON)


class Restored(Shape):
    """How many households get their power back."""

    households: int


class BulkCutWish(Shape):
    """Whom to cut in waves, and why."""

    account_ids: list[Annotated[str, Field(max_length=64, pattern=REASON)]] = Field(min_length=1, max_length=5000)
    reason: str = Field(min_length=1, max_length=200, pattern=REASON)


class BulkCut(Shape):
    """A bulk cut and how far it is."""

    bulk_id: str
    approval_id: str
    status: str = Field(description="running, done or stopped")
    reason: str
    wave: int
    wave_at: int
    started_at: int
    households: dict[str, int] = Field(description="by outcome: waiting, cut, paid or left")


class BulkEditWish(Shape):
    """What to change for whom: the fields of the act that is named, the others are left out."""

    act: str = Field(pattern="^(scheme|protect|unprotect|keep_power|days)$")
    account_ids: list[Annotated[str, Field(max_length=64, pattern=REASON)]] = Field(default=[], max_length=5000)
    scheme_id: str | None = Field(default=None, max_length=64, description="scheme: its id, null for the estate's")
    until_at: int | None = Field(default=None, ge=0, le=2**40, description="protect: until which world time")
    policy: str = Field(default="", max_length=20, description="keep_power: protected, always, never; empty: no own")
    days: list[Annotated[str, Field(pattern=r"^\d{4}-\d\d-\d\d$")]] = Field(default=[], max_length=5000)
    kind: str = Field(default="off", pattern="^(off|work|drop)$", description="days: what they become")
    name: str = Field(default="", max_length=200, pattern=r"^[^\x00]*$", description="days: the occasion")
    reason: str = Field(min_length=1, max_length=200, pattern=REASON)


class BulkEdit(Shape):
    """A bulk change and how far it is."""

    bulk_id: str
    approval_id: str
    act: str
    status: str = Field(description="running, done or stopped")
    reason: str
    started_at: int
    entries: dict[str, int] = Field(description="by outcome: waiting, done or left")


class SchemeVersion(Shape):
    """One dated version of a scheme; it says only what it changes."""

    scheme_id: str
    version: int
    name: str
    valid_from: int
    rules: dict[str, Any]
    actor: str
    created_ms: int


class Alert(Shape):
    """Nobody is cut from begin to end."""

    alert_id: str
    kind: str = Field(description="heat, cold or order")
    from_at: int
    until_at: int
    reason: str
    actor: str


class AlertWish(Shape):
    """What kind, until which world time, and why."""

    kind: str = Field(pattern="^(heat|cold|order)$")
    until_at: int = Field(ge=0, le=2**40)
    reason: str = Field(default="", max_length=200, pattern=r"^[^\x00]*$")


class Raised(Shape):
    """The alert's id."""

    alert_id: str


@router.post("/supply/restore", response_model=Restored, summary="Give everybody the power back")
def restore(state: State, who: Annotated[Principal, Depends(need("supply.close"))], why: Reason) -> Restored:
    """One person; presses the red button too. Closes are spread over each bus, who pays goes first."""
    now = state.clock.now()
    count = state.writer.run(
        Deed(supply.restore_all, who.estate_id, actor=who.login, reason=why.reason, now=now), urgent=True
    )
    return Restored(households=count)


@router.post("/supply/bulk-cuts", response_model=Asked, summary="Ask to cut a list in waves")
def ask_bulk_cut(state: State, who: Operator, wish: BulkCutWish) -> Asked:
    """The dry run waits for a second person, who approves exactly its hash."""
    now, sane = state.clock.now(), state.clock_sane()
    found = state.writer.run(
        Deed(
            approvals.request_bulk_cut,
            who.estate_id,
            wish.account_ids,
            actor=who.login,
            reason=wish.reason,
            now=now,
            clock_sane=sane,
        )
    )
    return Asked(approval_id=found)


@router.get("/supply/bulk-cuts", response_model=list[BulkCut], summary="Bulk cuts, newest first")
def bulk_cuts(conn: Reader, who: Viewer) -> list[BulkCut]:
    """With the number of households by outcome."""
    return [
        shape_row(BulkCut, {**row, "households": bulk_rows.counts(conn, who.estate_id, row["bulk_id"])})
        for row in bulk_rows.newest(conn, who.estate_id, limit=NEWEST)
    ]


@router.post("/supply/bulk-cuts/{bulk_id}/stop", status_code=204, summary="Stop a bulk cut")
def stop_bulk_cut(
    state: State, who: Annotated[Principal, Depends(need("supply.stop"))], bulk_id: Id, why: Reason
) -> None:
    """One person, at once; who was not cut keeps the power."""
    now = state.clock.now()
    state.writer.run(
        Deed(bulk_stop.stop, who.estate_id, bulk_id, reason=why.reason, actor=who.login, now=now),
        urgent=True,
    )


@router.post("/supply/bulk-edits", response_model=Asked, summary="Ask to change many households or days at once")
def ask_bulk_edit(state: State, who: Editor, wish: BulkEditWish) -> Asked:
    """The dry run waits for a second person, who approves exactly its hash; then it is worked off in small units."""
    now = state.clock.now()
    terms = wish.model_dump(exclude={"act", "account_ids", "reason"})
    found = state.writer.run(
        Deed(
            approvals.request_bulk_edit,
            who.estate_id,
            wish.act,
            wish.account_ids,
            terms,
            actor=who.login,
            reason=wish.reason,
            now=now,
        )
    )
    return Asked(approval_id=found)


@router.get("/supply/bulk-edits", response_model=list[BulkEdit], summary="Bulk changes, newest first")
def bulk_edit_lists(conn: Reader, who: Viewer) -> list[BulkEdit]:
    """With the number of entries by outcome."""
    return [
        shape_row(BulkEdit, {**row, "entries": bulk_rows.counts(conn, who.estate_id, row["bulk_id"])})
        for row in bulk_rows.newest(conn, who.estate_id, limit=NEWEST, cuts=False)
    ]


@router.post("/supply/bulk-edits/{bulk_id}/stop", status_code=204, summary="Stop a bulk change")
def stop_bulk_edit(state: State, who: Editor, bulk_id: Id, why: Reason) -> None:
    """One person, at once; what was not changed stays as it is."""
    now = state.clock.now()
    state.writer.run(Deed(bulk_edits.stop, who.estate_id, bulk_id, reason=why.reason, actor=who.login, now=now))


@router.get("/supply/schemes", response_model=list[SchemeVersion], summary="Schemes with all versions")
def scheme_versions(conn: Reader, who: Viewer) -> list[SchemeVersion]:
    """By scheme and version."""
    return [
        shape_row(SchemeVersion, {**row, "rules": json.loads(row["definition"])})
        for row in scheme_rows.versions(conn, who.estate_id)
    ]


@router.get("/supply/alerts", response_model=list[Alert], summary="Alerts that run or ended lately")
def alerts(state: State, conn: Reader, who: Viewer) -> list[Alert]:
    """By their begin."""
    return [shape_row(Alert, row) for row in scheme_rows.alerts(conn, who.estate_id, state.clock.now().world_s)]


@router.post("/supply/alerts", response_model=Raised, status_code=201, summary="Raise an alert")
def raise_alert(state: State, who: Editor, wish: AlertWish) -> Raised:
    """Nobody is cut until it ends."""
    now = state.clock.now()
    found = state.writer.run(
        Deed(
            schemes.raise_alert,
            who.estate_id,
            wish.kind,
            until_at=wish.until_at,
            reason=wish.reason,
            actor=who.login,
            now=now,
        )
    )
    return Raised(alert_id=found)


@router.post("/supply/alerts/{alert_id}/end", status_code=204, summary="End an alert now")
def end_alert(state: State, who: Editor, alert_id: Id) -> None:
    """From now on it protects nobody."""
    now = state.clock.now()
    state.writer.run(Deed(schemes.end_alert, who.estate_id, alert_id, actor=who.login, now=now))
