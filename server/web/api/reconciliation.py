"""Reconciliation as API: bill files in, differences out, each settled by a person or taken in."""

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query, Request
from pydantic import Field
from starlette.concurrency import run_in_threadpool

from server.domain.reconciliation import ACTIONS, OWNERS
from server.domain.refunds import REASON_LENGTH_MAX
from server.flows import reconciliation as flows
from server.store import reconciliation as kept
from server.store.unit import Deed
from server.web.api.shapes import Shape, shape_row
from server.web.bill_files import day_text, take_file
from server.web.deps import Reader, State, need
from server.web.principal import Principal

router = APIRouter(prefix="/api/v1/reconciliation", tags=["reconciliation"])
Viewer = Annotated[Principal, Depends(need("payment.view"))]
Settler = Annotated[Principal, Depends(need("reconciliation.settle"))]
CaseId = Annotated[str, Path(max_length=64)]
ROWS = 200


class BillFile(Shape):
    """One bill file of a provider, as it was kept; of a day the newest counts."""

    provider: str
    day: str
    sha256: str
    rows: int
    paid_fen: int
    returned_fen: int
    source: str = Field(description="fetched or uploaded")
    actor: str
    created_ms: int


class BillDifference(Shape):
    """Where a bill file and the books differ."""

    provider: str
    day: str
    kind: str = Field(description="missing_here, missing_there, amount, state, duplicate or day_boundary")
    what: str = Field(description="payment or refund")
    key: str = Field(description="the provider's transaction, or the number of the refund")
    order_no: str
    transaction_id: str
    here_fen: int | None
    there_fen: int | None
    here_state: str
    there_state: str
    owner: str = Field(description="whose turn it is: operator, provider or nobody")
    action: str = Field(description="what they do")
    case_id: str | None
    status: str | None = Field(description="of its case: open, acknowledged or closed")
    resolution: str | None
    explained_ms: int | None = Field(description="since then it is no difference any more")


class Loaded(Shape):
    """What was loaded; `repeated` when this very file was there already."""

    sha256: str
    rows: int
    differences: int
    repeated: bool


class Note(Shape):
    """What was found out and done."""

    note: str = Field(min_length=1, max_length=REASON_LENGTH_MAX, pattern=r"^[^\x00]+$")


class TakenIn(Shape):
    """What became of the money: credited or suspense."""

    result: str


@router.get("/files", response_model=list[BillFile], summary="Bill files, newest days first")
def files(conn: Reader, who: Viewer) -> list[BillFile]:
    """Without their content."""
    return [shape_row(BillFile, row) for row in kept.files(conn, who.estate_id, limit=ROWS)]


@router.get("/differences", response_model=list[BillDifference], summary="Differences that wait for somebody")
def differences(
    conn: Reader, who: Viewer, status: Annotated[str, Query(pattern="^(all|)$")] = ""
) -> list[BillDifference]:
    """`status=all` with settled and explained ones, and those of the day boundary."""
    rows = kept.differences(conn, who.estate_id, everything=status == "all", limit=ROWS)
    return [
        shape_row(
            BillDifference,
            {**row, "kind": row["class"], "owner": OWNERS[row["class"]], "action": ACTIONS[row["class"]]},
        )
        for row in rows
    ]


@router.post("/{provider}/{day}", response_model=Loaded, status_code=201, summary="Load the bill file of a day")
async def load(
    request: Request,
    state: State,
    who: Annotated[Principal, Depends(need("reconciliation.load"))],
    provider: Annotated[str, Path(max_length=40)],
    day: Annotated[str, Path(max_length=10)],
) -> Loaded:
    """The body is the file as the provider gives it; the same file again changes nothing."""
    content = await request.body()
    done = await run_in_threadpool(take_file, state, who, provider, day_text(day), content)
    return Loaded.model_validate(done)


@router.post("/differences/{case_id}/settle", status_code=204, summary="Settle a difference")
def settle(state: State, who: Settler, case_id: CaseId, note: Note) -> None:
    """Say what was found out and done; its case is closed with it."""
    now = state.clock.now()
    state.writer.run(Deed(flows.settle, who.estate_id, case_id, resolution=note.note, actor=who.login, now=now))


@router.post("/differences/{case_id}/take-in", response_model=TakenIn, summary="Book a payment that is missing here")
def take_in(state: State, who: Settler, case_id: CaseId, note: Note) -> TakenIn:
    """Credited to its order if it fits, else to suspense."""
    now = state.clock.now()
    result = state.writer.run(
        Deed(flows.take_in, who.estate_id, case_id, reason=note.note, actor=who.login, now=now),
        urgent=True,
    )
    return TakenIn(result=result)
