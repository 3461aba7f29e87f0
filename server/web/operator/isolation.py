"""Forms that ask to open one household's relay for safety or tampering, and to give its power back.

Both wait on the page of supply for the second person; who is isolated is listed there too.
"""

from typing import Annotated

from fastapi import APIRouter, Depends, Form
from starlette.responses import RedirectResponse

from server.flows import isolation
from server.store import wall
from server.store.unit import Deed
from server.web.deps import Reader, State, need
from server.web.operator.deeds import done
from server.web.operator.meters import NamedInForm, meters_of_household
from server.web.principal import Principal

router = APIRouter(include_in_schema=False)
Asker = Annotated[Principal, Depends(need("supply.mode"))]
Reason = Annotated[str, Form(max_length=200)]
WAITS_AT = "/supply#approvals"


@router.post("/households/{account_id}/isolate")
def isolate(
    state: State,
    conn: Reader,
    who: Asker,
    account_id: str,
    cause: Annotated[str, Form(max_length=20)],
    reason: Reason,
    case_id: Annotated[str, Form(max_length=64)] = "",
    meter: NamedInForm = "",
) -> RedirectResponse:
    """Ask to open the relay of one meter; the case that led to it may be named."""
    row = wall.chosen(meters_of_household(conn, who.estate_id, account_id), meter)
    deed = Deed(
        isolation.request, who.estate_id, row.meter_id, cause, actor=who.login, reason=reason, now=state.clock.now(),
        clock_sane=state.clock_sane(), fresh=who.fresh, case_id=case_id,
    )  # fmt: skip
    return done(state, deed, WAITS_AT, urgent=True)


@router.post("/households/{account_id}/release")
def release(
    state: State, conn: Reader, who: Asker, account_id: str, reason: Reason, meter: NamedInForm = ""
) -> RedirectResponse:
    """Ask to give one meter its power back."""
    row = wall.chosen(meters_of_household(conn, who.estate_id, account_id), meter)
    deed = Deed(
        isolation.request_release, who.estate_id, row.meter_id, actor=who.login, reason=reason,
        now=state.clock.now(), fresh=who.fresh,
    )  # fmt: skip
    return done(state, deed, WAITS_AT, urgent=True)
