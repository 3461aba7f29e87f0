"""The progress of a payment: paid, switching on or press the button, on; for the payer, with seconds.

Whoever holds the order's token sees the steps and the room, but neither name nor balance; the household's own
resident and staff see the balance too. Times of the steps count from the credit, on machine time.
"""

import hashlib
import hmac
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request
from sqlalchemy import Connection, RowMapping
from starlette.responses import HTMLResponse

from server.domain.supply import ARREARS
from server.errors import NotFound
from server.store import household as reads
from server.store import wall
from server.store.household import RelayWish
from server.store.recovery import recovered_of
from server.store.wall import HouseholdRow, is_isolated
from server.web import pages
from server.web.deps import PUBLIC, Reader, State
from server.web.principal import Principal
from server.web.resident.story import helpful_fen
from server.web.state import WebState

router = APIRouter(include_in_schema=False)
Anybody = Annotated[Principal | None, Depends(PUBLIC)]
Token = Annotated[str, Query(max_length=200)]
SLOW_MS = 120_000  # after so long the office is told, and the page says so


@dataclass(frozen=True, slots=True)
class Progress:
    """One order on its way: phase is waiting, closed, credited, held, short, switching, button or on.

    Held is paid, while the power stays off for a hazard; short is paid, while more money is needed for it, of which
    `missing_fen` is enough. Times are since the credit.
    """

    order_no: str
    phase: str
    amount_fen: int
    was_off: bool
    elapsed_ms: int
    took_ms: int | None
    sent_ms: int | None
    permitted_ms: int | None
    closed_ms: int | None
    slow: bool
    missing_fen: int

    @property
    def final(self) -> bool:
        """Whether nothing will change any more."""
        return self.phase in ("credited", "held", "short", "on", "closed")


def progress_of(order: RowMapping, row: HouseholdRow, wishes: list[RelayWish], now_ms: int) -> Progress:
    """Where the order stands, from the order, the relay's read-back and the commands since the payment."""
    paid_ms = order["paid_ms"]
    since = [
        wish for wish in wishes if paid_ms is not None and wish.created_ms >= paid_ms - 1000 and wish.state == "closed"
    ]
    was_off = bool(order["powered_off"]) or bool(since) or order["confirmed_ms"] is not None
    if order["status"] == "created":
        phase = "waiting"
    elif order["status"] != "paid" or paid_ms is None:
        phase = "closed"
    elif is_isolated(row):
        phase = "held"
    elif row.relay == "permitted":
        phase = "button"
    elif row.relay == "open" and row.desired == "open" and row.cause == ARREARS:
        phase = "short"
    elif row.relay == "open":
        phase = "switching"
    else:
        phase = "on" if was_off else "credited"
    elapsed = max(0, now_ms - paid_ms) if paid_ms is not None else 0
    steps = [step for wish in since for step in wish.steps]

    def after(instant: int | None) -> int | None:
        return None if instant is None or paid_ms is None else max(0, instant - paid_ms)

    sent = next((step.created_ms for step in steps if step.step == "sent"), None)
    confirmed, button = order["confirmed_ms"], order["button_ms"]
    return Progress(
        order["order_no"], phase, order["amount_fen"], was_off or phase in ("button", "short", "switching"), elapsed,
        after(button if button is not None else confirmed), after(sent), after(confirmed), after(button),
        phase == "switching" and elapsed > SLOW_MS, helpful_fen(row) if phase == "short" else 0,
    )  # fmt: skip


def may_see(order: RowMapping, token: str, who: Principal | None) -> bool:
    """The token's holder, the household's resident, and staff."""
    given = hashlib.sha256(token.encode()).hexdigest()
    if order["token_sha256"] and hmac.compare_digest(given, order["token_sha256"]):
        return True
    if who is None:
        return False
    return who.may("households.list") or (who.may("household.view") and who.account_id == order["account_id"])


def progress_context(
    conn: Connection, state: WebState, order_no: str, token: str, who: Principal | None
) -> dict[str, Any]:
    """Everything that the card shows; NotFound for unknown orders and for strangers alike."""
    order = reads.order(conn, state.estate_id, order_no)
    if order is None or not may_see(order, token, who):
        raise NotFound("no such order, or this link is not complete")
    rows = wall.meters_of(conn, state.estate_id, order["account_id"])
    if not rows:
        raise NotFound("no such order, or this link is not complete")
    row = wall.whole([one for one in rows if not is_isolated(one)] or rows)
    wishes = reads.relay_history(conn, state.estate_id, row.meter_id)
    own = who is not None and (who.may("households.list") or who.account_id == row.account_id)
    return {
        "row": row,
        "meters": len(rows),
        "recovered_fen": sum(recovered_of(conn, state.estate_id, order["payment_id"] or "").values()),
        "progress": progress_of(order, row, wishes, state.clock.now().machine_ms),
        "token": token,
        "own": own,
        "back": "/me" if who is not None and who.role == "resident" else "/",
    }


@router.get("/pay/{order_no}")
def payment_page(
    request: Request, state: State, conn: Reader, who: Anybody, order_no: str, token: Token = ""
) -> HTMLResponse:
    """The page to which the provider sends the payer back."""
    context = progress_context(conn, state, order_no, token, who)
    return pages.render(request, "payment/page.html", **context)


@router.get("/pay/{order_no}/card")
def payment_card(
    request: Request, state: State, conn: Reader, who: Anybody, order_no: str, token: Token = ""
) -> HTMLResponse:
    """The card alone, for changes in place."""
    context = progress_context(conn, state, order_no, token, who)
    return pages.render(request, "payment/card.html", **context)
