"""The table of decisions as JSON by pages and as one CSV: every household with every check that says no."""

from typing import Annotated

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from server.domain.supply import Decision
from server.flows.judging import judged
from server.store.supply import Candidate
from server.web.api.csv_text import csv_answer
from server.web.api.paging import PAGE_ROWS, Cursor, Limit, Page, answer, decode_cursor, encode_cursor
from server.web.api.shapes import Shape
from server.web.deps import Reader, State, need
from server.web.principal import Principal

router = APIRouter(prefix="/api/v1", tags=["supply"])
Viewer = Annotated[Principal, Depends(need("supply.view"))]
COLUMNS = ("account_id", "room_id", "meter_id", "balance_fen", "overdraft_fen", "allowed", "refusals", "details")


class Refusal(Shape):
    """One check that says no; `waiting` says that time alone may mend it."""

    name: str
    detail: str
    waiting: bool


class Verdict(Shape):
    """One household as it is judged now; it may be cut when nothing refuses."""

    account_id: str
    room_id: str | None
    meter_id: str
    balance_fen: int
    overdraft_fen: int
    allowed: bool
    refusals: list[Refusal]


def _verdict(one: Candidate, decision: Decision) -> Verdict:
    return Verdict(
        account_id=one.account_id,
        room_id=one.room_id,
        meter_id=one.meter_id,
        balance_fen=one.facts.balance_fen,
        overdraft_fen=one.facts.overdraft_fen,
        allowed=decision.allowed,
        refusals=[
            Refusal(name=check.name, detail=check.detail, waiting=check.waiting)
            for check in decision.checks
            if not check.passed
        ],
    )


@router.get("/supply/verdicts", response_model=Page[Verdict], summary="Every household as it is judged now")
def verdicts(
    request: Request, state: State, conn: Reader, who: Viewer, limit: Limit = PAGE_ROWS, cursor: Cursor = ""
) -> Response:
    """By account; the same rules that cut, with every check that says no."""
    now = state.clock.now()
    after = decode_cursor(cursor)
    found = list(judged(conn, who.estate_id, now, clock_sane=state.clock_sane(), after=after, limit=limit))
    last = found[-1][0].account_id if len({one.account_id for one, _ in found}) == limit else None
    items = [_verdict(one, decision) for one, decision in found]
    return answer(request, Page[Verdict](items=items, next_cursor=encode_cursor(last) if last else None))


@router.get("/supply/verdicts.csv", summary="The same as CSV", response_class=Response)
def verdicts_csv(state: State, conn: Reader, who: Viewer) -> Response:
    """A row a meter; refusals are names of checks in their order, details stand in the same order."""
    rows = [
        (
            one.account_id, one.room_id, one.meter_id, one.facts.balance_fen, one.facts.overdraft_fen,
            int(decision.allowed), " ".join(decision.refusals),
            "; ".join(check.detail for check in decision.checks if not check.passed),
        )
        for one, decision in judged(conn, who.estate_id, state.clock.now(), clock_sane=state.clock_sane())
    ]  # fmt: skip
    return csv_answer("decisions.csv", COLUMNS, rows)
