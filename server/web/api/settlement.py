"""Closed days and months: what comes next, closing it, and the sums of every account as JSON and CSV."""

import json
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Request
from pydantic import Field
from starlette.responses import Response

from server.domain.settlement import KINDS, Settlement
from server.errors import NotFound
from server.flows import settlement as flow
from server.store import settlement as kept
from server.web.api.csv_text import csv_answer
from server.web.api.paging import PAGE_ROWS, Cursor, Limit, Page, answer, decode_cursor, encode_cursor
from server.web.api.shapes import Nanofen, Shape, shape_row
from server.web.deps import Reader, State, need
from server.web.principal import Principal

router = APIRouter(prefix="/api/v1/settlements", tags=["settlement"])
Viewer = Annotated[Principal, Depends(need("settlement.view"))]
Closer = Annotated[Principal, Depends(need("settlement.close"))]
Kind = Annotated[str, Path(max_length=10, description="day or month")]
Period = Annotated[str, Path(max_length=10, description="2026-10-13 or 2026-10")]
LISTED_MAX = 400
CSV_ROWS = 1_000_000
COLUMNS = (
    "account_id", "room_id", "opening_fen", "closing_fen", "by_kind", "late_lines", "late_fen", "charge_nf",
    "energy_wh", "rate1_wh", "rate2_wh", "rate3_wh", "rate4_wh",
)  # fmt: skip


class Doubts(Shape):
    """What is not known at the end of a period; meters are named up to a limit, counts are whole."""

    held: int = Field(description="readings that wait for a person")
    missing: int = Field(description="meters that are not charged up to the end")
    held_meters: list[str]
    missing_meters: list[str]


class NextPeriod(Shape):
    """The period that is closed next."""

    kind: str
    period: str
    from_at: int
    to_at: int
    over: bool
    doubts: Doubts


class ClosedPeriod(Shape):
    """A closed period; batches after `through_seq` belong to later ones."""

    kind: str
    period: str
    from_at: int
    to_at: int
    through_seq: int
    accounts: int
    energy_wh: int
    turnover: dict[str, int] = Field(description="fen by kind of batch")
    override: str = Field(description="why it was closed in spite of doubts")
    doubts: Doubts
    actor: str
    world_at: int
    created_ms: int
    hash: str


class Periods(Shape):
    """What comes next, and what is closed, newest first."""

    next: NextPeriod
    closed: list[ClosedPeriod]


class AccountSums(Shape):
    """One account in a closed period; opening balance and the sum over all kinds make the closing balance."""

    account_id: str
    room_id: str | None
    opening_fen: int
    closing_fen: int
    by_kind: dict[str, int]
    lines: int
    late_lines: int = Field(description="lines of events before the period")
    late_fen: int
    charge_nf: Nanofen
    energy_wh: int
    rate1_wh: int
    rate2_wh: int
    rate3_wh: int
    rate4_wh: int


class Override(Shape):
    """Why a period is closed although something about it is not known; empty where nothing is in doubt."""

    reason: str = Field(default="", max_length=1000, pattern=r"^[^\x00]*$")


def closed_period(closed: Settlement) -> ClosedPeriod:
    """A closed period as the API says it."""
    own = {name: getattr(closed, name) for name in ClosedPeriod.model_fields}
    return ClosedPeriod(**{**own, "turnover": kept.turnover(closed), "doubts": json.loads(closed.doubts)})


def closed_or_lost(conn: Reader, who: Viewer, kind: Kind, period: Period) -> Settlement:
    """The closed period of the path; raises NotFound."""
    found = kept.settlement_of(conn, who.estate_id, kind, period)
    if found is None:
        raise NotFound(f"the {kind} {period} is not closed" if kind in KINDS else f"there is no kind {kind!r}")
    return found


Closed = Annotated[Settlement, Depends(closed_or_lost)]


@router.get("/{kind}", response_model=Periods, summary="Closed days or months, and what comes next")
def periods(state: State, conn: Reader, who: Viewer, kind: Kind) -> Periods:
    """`next.doubts` says what keeps it from being closed without a reason."""
    if kind not in KINDS:
        raise NotFound(f"there is no kind {kind!r}; there are {', '.join(KINDS)}")
    following = flow.following(conn, who.estate_id, kind, state.clock.now())
    closed = kept.settlements(conn, who.estate_id, kind, limit=LISTED_MAX, newest_first=True)
    return Periods(next=NextPeriod.model_validate(following), closed=[closed_period(one) for one in closed])


@router.post("/{kind}/{period}", response_model=ClosedPeriod, summary="Close a day or month")
def close(state: State, conn: Reader, who: Closer, kind: Kind, period: Period, why: Override) -> ClosedPeriod:
    """Once; the same again gives the same answer. Refused while readings are held or missing without a reason."""
    known = kept.settlement_of(conn, who.estate_id, kind, period)
    if known is not None:
        return closed_period(known)
    now = state.clock.now()
    drafted = flow.draft(conn, who.estate_id, kind, period, now)
    found = None
    for step in flow.steps(who.estate_id, drafted, actor=who.login, override=why.reason, now=now):
        found = state.writer.run(step)
    if found is None:
        raise NotFound(f"the {kind} {period} is not closed")
    return closed_period(found)


@router.get("/{kind}/{period}", response_model=ClosedPeriod, summary="One closed day or month")
def one_period(closed: Closed) -> ClosedPeriod:
    """Its totals, and who closed it."""
    return closed_period(closed)


def _account(row: Any) -> AccountSums:
    found: AccountSums = shape_row(AccountSums, {**row, "by_kind": json.loads(row["by_kind"])})
    return found


@router.get("/{kind}/{period}/accounts", response_model=Page[AccountSums], summary="Its sums by account")
def accounts(
    request: Request, conn: Reader, who: Viewer, closed: Closed, cursor: Cursor = "", limit: Limit = PAGE_ROWS
) -> Response:
    """Every account that ever had a line, in the order of ids."""
    rows = kept.page_of_sums(conn, who.estate_id, closed, after=decode_cursor(cursor), limit=limit + 1)
    following = encode_cursor(rows[limit - 1]["account_id"]) if len(rows) > limit else None
    items = [_account(row) for row in rows[:limit]]
    return answer(request, Page[AccountSums](items=items, next_cursor=following))


@router.get("/{kind}/{period}/accounts.csv", summary="The same as CSV", response_class=Response)
def accounts_csv(conn: Reader, who: Viewer, closed: Closed) -> Response:
    """A row an account; `by_kind` is JSON."""
    rows = kept.page_of_sums(conn, who.estate_id, closed, after="", limit=CSV_ROWS)
    return csv_answer(f"{closed.kind}-{closed.period}.csv", COLUMNS, [[row[name] for name in COLUMNS] for row in rows])
