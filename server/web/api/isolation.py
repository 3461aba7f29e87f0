"""Households without power for safety or tampering: who is, asking for it, asking to give the power back.

Both requests wait among the approvals of supply; only people ask and agree, a key of the API does neither.
"""

from typing import Annotated

from fastapi import APIRouter, Depends, Path
from pydantic import Field

from server.flows import isolation as flows
from server.store import isolation as kept
from server.store.unit import Deed
from server.web.api.control import Asked
from server.web.api.shapes import Shape
from server.web.deps import Reader, State, need
from server.web.principal import Principal

router = APIRouter(prefix="/api/v1", tags=["supply"])
Asker = Annotated[Principal, Depends(need("supply.mode"))]
MeterId = Annotated[str, Path(max_length=12)]
TEXT = r"^[^\x00]+$"


class IsolationWish(Shape):
    """What was found, and the case that led to it, if there is one."""

    cause: str = Field(pattern="^(safety|tamper)$")
    reason: str = Field(min_length=1, max_length=200, pattern=TEXT)
    case_id: str = Field("", max_length=64, pattern=r"^[^\x00]*$")


class ReleaseWish(Shape):
    """Why the power may come back."""

    reason: str = Field(min_length=1, max_length=200, pattern=TEXT)


class Isolated(Shape):
    """One household that two people have isolated; `relay` is as read back, `command` how the order fares."""

    meter_id: str
    account_id: str | None
    room_id: str | None
    gen: int
    cause: str = Field(description="safety or tamper")
    reason: str
    asked_by: str
    agreed_by: str
    case_id: str
    decided_at: int
    relay: str
    command: str


@router.get("/supply/isolations", response_model=list[Isolated], summary="Open for safety or tampering")
def isolations(conn: Reader, who: Annotated[Principal, Depends(need("supply.view"))]) -> list[Isolated]:
    """Who is without power for it, the newest first; no payment and no restore ends it."""
    return [Isolated.model_validate(one) for one in kept.isolations(conn, who.estate_id)]


@router.post("/meters/{meter_id}/isolate", response_model=Asked, summary="Ask to open a relay for safety or tampering")
def isolate(state: State, who: Asker, meter_id: MeterId, wish: IsolationWish) -> Asked:
    """Waits for a second person; refused, with the check that says no, where a cut is not possible now."""
    deed = Deed(
        flows.request, who.estate_id, meter_id, wish.cause, actor=who.login, reason=wish.reason, now=state.clock.now(),
        clock_sane=state.clock_sane(), fresh=who.fresh, case_id=wish.case_id,
    )  # fmt: skip
    return Asked(approval_id=state.writer.run(deed, urgent=True))


@router.post("/meters/{meter_id}/release", response_model=Asked, summary="Ask to give the power back after it")
def release(state: State, who: Asker, meter_id: MeterId, wish: ReleaseWish) -> Asked:
    """Waits for a second person; afterwards the rules of money decide again."""
    deed = Deed(
        flows.request_release, who.estate_id, meter_id, actor=who.login, reason=wish.reason, now=state.clock.now(),
        fresh=who.fresh,
    )  # fmt: skip
    return Asked(approval_id=state.writer.run(deed, urgent=True))
