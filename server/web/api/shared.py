"""Costs of shared areas as API: areas, dry run, posting, taking back, and the parts of one household."""

import json
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query, Request
from pydantic import Field
from starlette.responses import Response

from server.domain.allocation import ENERGY_MAX_WH, Wish
from server.errors import NotFound
from server.flows import allocations as flow
from server.store import allocations as kept
from server.store.unit import Deed
from server.web.api.households import Own
from server.web.api.households import Viewer as HouseholdViewer
from server.web.api.paging import PAGE_ROWS, Cursor, Limit, Page, answer, decode_cursor, encode_cursor
from server.web.api.shapes import Shape, shape_row
from server.web.deps import Reader, State, need
from server.web.principal import Principal

router = APIRouter(prefix="/api/v1", tags=["settlement"])
Viewer = Annotated[Principal, Depends(need("settlement.view"))]
Sharer = Annotated[Principal, Depends(need("allocation.post"))]
Id = Annotated[str, Path(max_length=64)]
TEXT = r"^[^\x00]+$"
NEWEST = 100


class Areas(Shape):
    """Areas of rooms in cm2 (10,000 are a square metre)."""

    area_cm2: dict[str, int] = Field(min_length=1, max_length=20_000)


class SharedCost(Shape):
    """What is to be shared over a closed month: an amount, or energy (given, or lost behind the gates) at a price."""

    period: str = Field(max_length=7, pattern=TEXT, description="a closed month, 2026-10")
    subject: str = Field(min_length=1, max_length=100, pattern=TEXT)
    basis: str = Field(max_length=10, pattern=TEXT, description="equal, area or usage")
    amount_fen: int | None = Field(default=None, ge=0, le=10**11)
    energy_wh: int | None = Field(default=None, ge=0, le=ENERGY_MAX_WH)
    price_nf_per_wh: int | None = Field(default=None, ge=0, le=10**10)
    from_gates: bool = False
    known_wh: int = Field(default=0, ge=0, le=ENERGY_MAX_WH)
    vacant: str = Field(default="spread", max_length=10, pattern=TEXT, description="spread or estate")

    def wish(self) -> Wish:
        """The same for the flow."""
        return Wish(**self.model_dump())


class SharePart(Shape):
    """The part of one account."""

    account_id: str
    weight: int
    energy_wh: int
    amount_fen: int


class SharePlan(Shape):
    """What would be posted."""

    amount_fen: int
    energy_wh: int | None
    weight_total: int
    formula: dict[str, int]
    shares: list[SharePart]


class Allocation(Shape):
    """A posted cost; taken back where `reversed_at` says so."""

    allocation_id: str
    period: str
    subject: str
    basis: str
    vacant: str
    energy_wh: int | None
    price_nf_per_wh: int | None
    amount_fen: int
    weight_total: int
    formula: dict[str, int] = Field(description="the numbers that it follows from")
    batch_seq: int
    event_at: int
    actor: str
    reversed_at: int | None
    reversed_because: str | None


class HouseholdShare(Allocation):
    """The part of one household in a posted cost: amount_fen x weight / weight_total."""

    weight: int
    share_wh: int
    share_fen: int


class Posted(Shape):
    """Where it stands in the books; `repeated` where it stood there before."""

    allocation_id: str
    batch_seq: int
    repeated: bool


class Why(Shape):
    """Why."""

    reason: str = Field(min_length=1, max_length=1000, pattern=TEXT)


class Reversed(Shape):
    """The batch with the other sign."""

    batch_seq: int


def _allocation(row: Any, kind: type[Any] = Allocation) -> Any:
    return shape_row(kind, {**row, "formula": json.loads(row["formula"])})


@router.put("/rooms/areas", status_code=204, summary="Set areas of rooms")
def set_areas(state: State, who: Sharer, areas: Areas) -> None:
    """All of them or none; an unknown room is not found."""
    now = state.clock.now()
    state.writer.run(Deed(flow.set_areas, who.estate_id, areas.area_cm2, actor=who.login, now=now))


@router.get("/allocations", response_model=list[Allocation], summary="Shared costs, newest first")
def allocations(conn: Reader, who: Viewer) -> list[Allocation]:
    """The newest hundred, those taken back included."""
    return [_allocation(row) for row in kept.allocations(conn, who.estate_id, limit=NEWEST)]


@router.post("/allocations/draft", response_model=SharePlan, summary="What sharing a cost would post")
def draft(conn: Reader, who: Sharer, cost: SharedCost) -> SharePlan:
    """A dry run; nothing is written."""
    found = flow.draft(conn, who.estate_id, cost.wish())
    shares = [SharePart(**share._asdict()) for share in found.shares]
    return SharePlan(
        amount_fen=found.amount_fen, energy_wh=found.energy_wh, weight_total=found.weight_total,
        formula=json.loads(found.formula), shares=shares,
    )  # fmt: skip


@router.post("/allocations", response_model=Posted, status_code=201, summary="Share a cost")
def post(state: State, who: Sharer, cost: SharedCost) -> Posted:
    """Once a month and subject; the same again gives the same answer, another one 409 until that is taken back."""
    now, wish = state.clock.now(), cost.wish()
    found = state.writer.run(Deed(flow.post, who.estate_id, wish, actor=who.login, now=now))
    return Posted.model_validate(found)


@router.get("/allocations/{allocation_id}", response_model=Allocation, summary="One shared cost")
def one(conn: Reader, who: Viewer, allocation_id: Id) -> Allocation:
    """With the numbers that it follows from."""
    row = kept.get_allocation(conn, who.estate_id, allocation_id)
    if row is None:
        raise NotFound(f"no allocation {allocation_id}")
    found: Allocation = _allocation(row)
    return found


@router.get("/allocations/{allocation_id}/shares", response_model=Page[SharePart], summary="Its parts")
def shares(
    request: Request, conn: Reader, who: Viewer, allocation_id: Id, cursor: Cursor = "", limit: Limit = PAGE_ROWS
) -> Response:
    """By account."""
    rows = kept.shares(conn, who.estate_id, allocation_id, after=decode_cursor(cursor), limit=limit + 1)
    following = encode_cursor(rows[limit - 1]["account_id"]) if len(rows) > limit else None
    items = [shape_row(SharePart, row) for row in rows[:limit]]
    return answer(request, Page[SharePart](items=items, next_cursor=following))


@router.post("/allocations/{allocation_id}/reverse", response_model=Reversed, summary="Take a shared cost back")
def reverse(state: State, who: Sharer, allocation_id: Id, why: Why) -> Reversed:
    """By the same lines with the other sign; its subject may be shared anew afterwards."""
    now = state.clock.now()
    batch_seq = state.writer.run(
        Deed(flow.reverse, who.estate_id, allocation_id, reason=why.reason, actor=who.login, now=now)
    )
    return Reversed(batch_seq=batch_seq)


@router.get("/households/{account_id}/shares", response_model=list[HouseholdShare], summary="Its parts of shared costs")
def household_shares(
    conn: Reader, who: HouseholdViewer, own: Own, limit: Annotated[int, Query(ge=1, le=NEWEST)] = 24
) -> list[HouseholdShare]:
    """Newest first, with the numbers that each follows from."""
    rows = kept.shares_of(conn, who.estate_id, own.account_id, limit=limit)
    return [_allocation(row, HouseholdShare) for row in rows]
