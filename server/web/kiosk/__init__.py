"""The kiosk in the hall: room, amount and code, slip. No name and no balance; back to the start after a minute.

The step from room to amount is the same for a room that exists and one that does not. Only the attempt to pay is
refused, since a code for nobody would take real money, and that refusal does not say whether room or amount was wrong.
"""

import re
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Form, Query, Request
from sqlalchemy import Connection
from starlette.concurrency import run_in_threadpool
from starlette.responses import HTMLResponse, RedirectResponse, Response

from server.errors import NotFound, Refused
from server.pay.provider import ProviderUnavailable
from server.store import payments as payment_rows
from server.store import wall
from server.store.engine import reader
from server.store.estates import get_estate
from server.store.recovery import rule_at
from server.web import i18n, pages
from server.web.deps import Reader, State, need
from server.web.money import parse_fen, within
from server.web.payments import begin
from server.web.principal import Principal
from server.web.qr import svg_path
from server.web.resident.progress import Token, progress_context
from server.web.state import WebState

__all__ = ["router"]

router = APIRouter(include_in_schema=False)
User = Annotated[Principal, Depends(need("kiosk.use"))]
AMOUNTS = (50, 100, 200, 300, 500)
IDLE_S = 60
ROOM = re.compile(r"[0-9A-Za-z]{1,8}(?:-[0-9A-Za-z]{1,8}){0,2}")


@router.get("/kiosk")
def start(request: Request, who: User) -> HTMLResponse:
    """Which room?"""
    return pages.render(request, "kiosk/room.html", step=1, wrong=False, idle=0)


@router.post("/kiosk/room")
def room(request: Request, who: User, room: Annotated[str, Form(max_length=24)]) -> Response:
    """On to the amount, whatever room it is; only what cannot be a room number is asked for again."""
    label = "-".join(room.replace("-", " ").split())
    if not ROOM.fullmatch(label):
        return pages.render(request, "kiosk/room.html", status_code=422, step=1, wrong=True, idle=IDLE_S)
    return RedirectResponse(f"/kiosk/amount?room={label}", 303)


@router.get("/kiosk/amount")
def amount(
    request: Request, state: State, conn: Reader, who: User, room: Annotated[str, Query(max_length=24)]
) -> Response:
    """How much? Whether this household owes anything is not said here, only that debts may get a part."""
    if not ROOM.fullmatch(room):
        return RedirectResponse("/kiosk", 303)
    return pages.render(request, "kiosk/amount.html", room=room, **_offers(state, conn, who.estate_id))


def _offers(state: WebState, conn: Connection, estate_id: str) -> dict[str, Any]:
    """What the page of the amount offers, within the limits of the estate."""
    limits = payment_rows.limits_of(get_estate(conn, estate_id))
    rule = rule_at(conn, estate_id, state.clock.now().world_s)
    return {
        "step": 2, "idle": IDLE_S, "ways": list(state.providers), "takes_debts": rule.permille > 0, "limits": limits,
        "amounts": within(AMOUNTS, limits),
    }  # fmt: skip


@router.post("/kiosk/pay")
async def pay(
    request: Request,
    state: State,
    who: Annotated[Principal, Depends(need("order.create"))],
    room: Annotated[str, Form(max_length=24)],
    amount: Annotated[str, Form(max_length=12)],
    provider: Annotated[str, Form(max_length=40)] = "",
) -> Response:
    """Open an order and show its code."""
    gettext = i18n.translations(pages.language_of(request)).gettext
    title = gettext("Electricity prepayment")
    try:
        account_id = await run_in_threadpool(_account_of, state, who.estate_id, room)
        begun = await begin(state, who, account_id, parse_fen(amount), title=title, provider=provider, channel="kiosk")
    except (Refused, NotFound):
        offers = await run_in_threadpool(_read_offers, state, who.estate_id)
        return pages.render(request, "kiosk/amount.html", status_code=422, room=room, wrong=True, **offers)
    except ProviderUnavailable:  # here as well the page goes back to the start by itself
        offers = await run_in_threadpool(_read_offers, state, who.estate_id)
        return pages.render(request, "kiosk/amount.html", status_code=503, room=room, away=True, **offers)
    size, path = svg_path(begun.pay_url)
    return pages.render(
        request, "kiosk/code.html", step=2, room=room, amount_fen=begun.amount_fen,
        pay_url=begun.pay_url if begun.is_page else "",
        order_no=begun.order_no, token=begun.token, qr_size=size, qr_path=path, idle=IDLE_S,
    )  # fmt: skip


def _read_offers(state: WebState, estate_id: str) -> dict[str, Any]:
    with reader(state.engine) as conn:
        return _offers(state, conn, estate_id)


def _account_of(state: WebState, estate_id: str, room: str) -> str:
    with reader(state.engine) as conn:
        row = wall.household_of_room(conn, estate_id, room)
        if row is None and len(called := wall.rooms_called(conn, estate_id, room)) == 1:
            row = wall.household_of_room(conn, estate_id, called[0])
    if row is None:
        raise NotFound(f"no household in room {room}")
    return row.account_id


@router.get("/kiosk/order/{order_no}")
def order(request: Request, state: State, conn: Reader, who: User, order_no: str, token: Token = "") -> HTMLResponse:
    """How the order fares: the part of the page that changes."""
    context = progress_context(conn, state, order_no, token, None)
    return pages.render(request, "kiosk/order.html", **context)
