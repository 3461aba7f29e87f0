"""Acts of the staff on supply and money: the mode with its second person, the red button, cash at the counter.

Every change runs one flow. A request returns the payload with its hash; the second person sends that hash back.
"""

import json
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path
from fastapi import Request as HttpRequest
from pydantic import Field

from server.flows import approvals as approval_flows
from server.flows import payments, supply
from server.flows.estate_switches import waiting_still
from server.store.direct import Row
from server.store.unit import Deed
from server.web import stepup
from server.web.api.paging import INT64_MAX
from server.web.api.shapes import Shape
from server.web.deps import SIGNED_IN, Reader, State, need
from server.web.principal import Principal

router = APIRouter(prefix="/api/v1")
Operator = Annotated[Principal, Depends(need("supply.mode"))]
Stopper = Annotated[Principal, Depends(need("supply.stop"))]
Seller = Annotated[Principal, Depends(need("topup.sell"))]


class Session(Shape):
    """Who is signed in; `csrf` goes into the header X-CSRF-Token of every change."""

    login: str
    role: str
    account_id: str | None
    csrf: str


class Password(Shape):
    """The password of who is signed in."""

    password: str = Field(min_length=1, max_length=256)


class ModeWish(Shape):
    """The next mode: one step up needs a second person, any step down acts at once."""

    mode: str = Field(pattern="^(observe|dry_run|armed)$")


class Request(Shape):
    """An act that waits for its second person."""

    approval_id: str
    kind: str
    payload: dict[str, Any]
    payload_sha256: str
    requested_by: str
    expires_ms: int


class Asked(Shape):
    """The request's id; empty when the act needed nobody else and is done."""

    approval_id: str


class Agreement(Shape):
    """The hash of exactly what is approved."""

    payload_sha256: str = Field(min_length=64, max_length=64)


class CloseWish(Shape):
    """Why the power is given back."""

    reason: str = Field(min_length=1, max_length=200, pattern=r"^[^\x00]+$")


class Sale(Shape):
    """Cash taken at the counter; `sale_id` makes a repeat harmless."""

    account_id: str = Field(max_length=64, pattern=r"^[^\x00]+$")
    amount_fen: int = Field(gt=0, le=INT64_MAX, strict=True)
    sale_id: str = Field(min_length=8, max_length=64, pattern=r"^[!-~]+$")


class Sold(Shape):
    """The order that stands for the sale."""

    order_no: str
    balance_fen: int


@router.get("/session", response_model=Session, tags=["estate"], summary="Who is signed in")
def session(who: Annotated[Principal, Depends(SIGNED_IN)]) -> Session:
    """Login, role and the token that changes need."""
    return Session(login=who.login, role=who.role, account_id=who.account_id, csrf=who.csrf)


@router.post("/session/confirm", status_code=204, tags=["estate"], summary="Give the password once more")
async def confirm(
    request: HttpRequest, state: State, who: Annotated[Principal, Depends(SIGNED_IN)], given: Password
) -> None:
    """For acts that move money and were refused with the reason stale_login; a key of the API needs none."""
    if not who.is_client:
        await stepup.confirm(request, state, who, given.password)


@router.post("/supply/mode", response_model=Asked, tags=["supply"], summary="Ask for another mode")
def ask_mode(state: State, who: Operator, wish: ModeWish) -> Asked:
    """A step up waits for a second person; a step down acts at once."""
    now = state.clock.now()
    found = state.writer.run(Deed(approval_flows.request_mode, who.estate_id, wish.mode, actor=who.login, now=now))
    return Asked(approval_id=found)


@router.get(
    "/supply/approvals", response_model=list[Request], tags=["supply"], summary="What waits for a second person"
)
def waiting(state: State, conn: Reader, who: Operator) -> list[Request]:
    """Requests that have neither expired nor been outdated by another act, newest first."""
    rows = waiting_still(conn, who.estate_id, state.clock.now())
    return [_request(row) for row in rows]


def _request(row: Row) -> Request:
    names = Request.model_fields.keys() - {"payload"}
    return Request(**{name: row[name] for name in names}, payload=json.loads(row["payload"]))


@router.post(
    "/supply/approvals/{approval_id}/approve", status_code=204, tags=["supply"], summary="Approve as the second person"
)
def approve(
    state: State, who: Operator, approval_id: Annotated[str, Path(max_length=64)], agreement: Agreement
) -> None:
    """Carry out exactly what the hash stands for."""
    now = state.clock.now()
    state.writer.run(
        Deed(
            approval_flows.approve,
            who.estate_id,
            approval_id,
            agreement.payload_sha256,
            actor=who.login,
            now=now,
            fresh=who.fresh,
            clock_sane=state.clock_sane(),
        )
    )


@router.post("/supply/stop", status_code=204, tags=["supply"], summary="The red button: stop all cutting at once")
def stop(state: State, who: Stopper) -> None:
    """Acts at once and asks nothing; starting again takes two people."""
    now = state.clock.now()
    state.writer.run(Deed(supply.stop_all, who.estate_id, actor=who.login, now=now), urgent=True)


@router.post("/supply/start", response_model=Asked, tags=["supply"], summary="Ask to end the stop")
def start_again(state: State, who: Operator) -> Asked:
    """Waits for a second person."""
    now = state.clock.now()
    found = state.writer.run(Deed(approval_flows.request_start_again, who.estate_id, actor=who.login, now=now))
    return Asked(approval_id=found)


@router.post("/meters/{meter_id}/close", status_code=204, tags=["supply"], summary="Give the power back by hand")
def close(
    state: State,
    who: Annotated[Principal, Depends(need("supply.close"))],
    meter_id: Annotated[str, Path(max_length=12)],
    wish: CloseWish,
) -> None:
    """The next generation of the relay's desired state; refused for who is isolated for safety or tampering."""
    now = state.clock.now()
    state.writer.run(Deed(supply.close_by_hand, who.estate_id, meter_id, actor=who.login, reason=wish.reason, now=now))


@router.post(
    "/counter/sales", response_model=Sold, status_code=201, tags=["top-ups"], summary="Book cash at the counter"
)
def sell(state: State, who: Seller, sale: Sale) -> Sold:
    """Booked at once; the same `sale_id` again books nothing and gives the same answer."""
    now = state.clock.now()
    sold = state.writer.run(
        Deed(
            payments.sell_at_counter,
            who.estate_id,
            sale.account_id,
            sale.amount_fen,
            actor=who.login,
            idem_key=sale.sale_id,
            now=now,
        ),
        urgent=True,
    )
    return Sold(order_no=sold.order_no, balance_fen=sold.balance_fen)
