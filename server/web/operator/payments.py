"""Payments: what came in, what goes back, what is nobody's yet, and what waits for a second person."""

import json
import secrets
from typing import Annotated

from fastapi import APIRouter, Depends, Form, Query, Request
from sqlalchemy import Connection
from starlette.responses import HTMLResponse, RedirectResponse

from server.domain.refunds import HAND_TRIES_MIN, OPEN, REASON_LENGTH_MAX, REFUNDED, RELEASED
from server.errors import NotFound
from server.flows import approvals as approval_flows
from server.flows import refunds as flows
from server.flows import suspense
from server.store import approvals, wall
from server.store import refunds as kept
from server.store.unit import Deed
from server.web.deps import Reader, State, need
from server.web.money import parse_fen
from server.web.operator.deeds import approved, done, withdrawn
from server.web.operator.shell import households_of, staff_page
from server.web.payments import ask_of
from server.web.principal import Principal

router = APIRouter(include_in_schema=False)
Viewer = Annotated[Principal, Depends(need("payment.view"))]
Orderer = Annotated[Principal, Depends(need("refund.order"))]
Mover = Annotated[Principal, Depends(need("refund.order", fresh=True))]
Reason = Annotated[str, Form(min_length=1, max_length=REASON_LENGTH_MAX)]
ROWS = 40
KINDS = {  # of requests that wait on this page, each with what one must be allowed to agree to it
    approval_flows.REFUND: "refund.order",
    approval_flows.DECISION: "refund.decide",
    suspense.REQUEST: "suspense.assign",
}


@router.get("/payments")
def payments_page(
    request: Request, state: State, conn: Reader, who: Viewer, q: Annotated[str, Query(max_length=80)] = ""
) -> HTMLResponse:
    """The newest payments, or those of a room, order or transaction; before them what waits for somebody."""
    rooms = {one.account_id: one.room_id for one in households_of(request).rows}
    sought = next((name for name, room in rooms.items() if room == q.strip()), q.strip())
    found = kept.find_payments(conn, who.estate_id, sought, limit=ROWS)
    now = state.clock.now()
    return staff_page(
        request,
        conn,
        "operator/payments.html",
        "payments",
        sought=q,
        rooms=rooms,
        found=found,
        back=kept.returned_fen(conn, who.estate_id, [row["payment_id"] for row in found]),
        waiting=[
            (row, json.loads(row["payload"]))
            for row in approvals.waiting(conn, who.estate_id, now.machine_ms)
            if row["kind"] in KINDS
        ],
        suspense=kept.suspense(conn, who.estate_id, limit=ROWS),
        open_refunds=kept.newest_refunds(conn, who.estate_id, statuses=OPEN, limit=ROWS),
        decided=kept.newest_refunds(conn, who.estate_id, statuses=(REFUNDED, RELEASED), limit=ROWS),
        hand_tries=HAND_TRIES_MIN,
        verbs=KINDS,
        deciding={one["refund_no"] for one in approval_flows.decisions_waiting(conn, who.estate_id, now).values()},
    )


@router.get("/payments/{payment_id}")
def payment_page(
    request: Request, state: State, conn: Reader, who: Viewer, payment_id: str,
    asked: Annotated[str, Query(max_length=1)] = "",
) -> HTMLResponse:  # fmt: skip
    """One payment with its refunds, and the ways to give it back or to somebody."""
    row = kept.get_payment(conn, who.estate_id, payment_id)
    if row is None:
        raise NotFound(f"no payment {payment_id}")
    refunds = kept.refunds_of(conn, who.estate_id, payment_id)
    back_fen = sum(one["amount_fen"] for one in refunds if one["status"] != RELEASED)
    return staff_page(
        request,
        conn,
        "operator/payment.html",
        "payments",
        row=row,
        household=_household(conn, who.estate_id, row["account_id"]),
        refunds=refunds,
        back_fen=back_fen,
        left_fen=row["amount_fen"] - back_fen,
        problem=flows.source_problem(row),
        receipt=row["account_id"] is not None,
        waits=any(
            one["payment_id"] == payment_id
            for one in approvals.payloads(conn, who.estate_id, state.clock.now().machine_ms, suspense.REQUEST).values()
        ),
        asked=asked,
        key=secrets.token_urlsafe(16),
    )


def _household(conn: Connection, estate_id: str, account_id: str | None) -> wall.HouseholdRow | None:
    return None if account_id is None else wall.household(conn, estate_id, account_id)


@router.post("/payments/{payment_id}/refund")
def refund(
    state: State,
    conn: Reader,
    who: Mover,
    payment_id: str,
    amount: Annotated[str, Form(max_length=12)],
    reason: Reason,
    key: Annotated[str, Form(min_length=8, max_length=64)],
) -> RedirectResponse:
    """Give money back, or ask for the second person that it needs."""
    amount_fen, now = parse_fen(amount), state.clock.now()
    ask_of(state, conn, who.estate_id, payment_id)
    _, approval_id = state.writer.run(
        Deed(
            approval_flows.request_refund,
            who.estate_id,
            payment_id,
            amount_fen,
            key=key,
            reason=reason,
            actor=who.login,
            now=now,
        )
    )
    return RedirectResponse(f"/payments/{payment_id}{'?asked=1' if approval_id else ''}", 303)


@router.post("/payments/{payment_id}/assign")
def assign(
    state: State,
    conn: Reader,
    who: Annotated[Principal, Depends(need("suspense.assign"))],
    payment_id: str,
    room: Annotated[str, Form(min_length=1, max_length=80)],
    reason: Reason,
) -> RedirectResponse:
    """Give money in suspense to the household of a room, or ask for the second person that it needs."""
    found = wall.household_of_room(conn, who.estate_id, room.strip())
    if found is None:
        raise NotFound(f"no household in {room}")
    account_id, now = found.account_id, state.clock.now()
    given = state.writer.run(
        Deed(
            suspense.assign,
            who.estate_id,
            payment_id,
            account_id,
            reason=reason,
            actor=who.login,
            now=now,
            fresh=who.fresh,
        ),
        urgent=True,
    )
    return RedirectResponse(f"/payments/{payment_id}{'?asked=1' if given.approval_id else ''}", 303)


@router.post("/refunds/{refund_no}/decide")
def decide(
    state: State,
    who: Annotated[Principal, Depends(need("refund.decide", fresh=True))],
    refund_no: str,
    outcome: Annotated[str, Form(pattern="^(refunded|released)$")],
    reason: Reason,
) -> RedirectResponse:
    """Say what the provider's own platform shows of a refund that nobody can tell of; a second person agrees."""
    now = state.clock.now()
    return done(
        state,
        Deed(
            approval_flows.request_decision,
            who.estate_id,
            refund_no,
            refunded=outcome == REFUNDED,
            reason=reason,
            actor=who.login,
            now=now,
        ),
        "/payments",
    )


@router.post("/refunds/approve/{approval_id}")
def approve(
    state: State, who: Orderer, approval_id: str, payload_sha256: Annotated[str, Form(max_length=64)]
) -> RedirectResponse:
    """The second person agrees to exactly the hash that the page showed."""
    return approved(state, who, approval_id, payload_sha256, "/payments", kinds=_kinds(who))


def _kinds(who: Principal) -> tuple[str, ...]:
    """What somebody may agree to."""
    return tuple(kind for kind, verb in KINDS.items() if who.may(verb))


@router.post("/refunds/withdraw/{approval_id}")
def withdraw(state: State, who: Orderer, approval_id: str) -> RedirectResponse:
    """Take a request back."""
    return withdrawn(state, who, approval_id, "/payments")


@router.post("/counter/{order_no}/reverse")
def reverse(
    state: State, who: Annotated[Principal, Depends(need("topup.reverse", fresh=True))], order_no: str, reason: Reason
) -> RedirectResponse:
    """Reverse one's own last sale of today."""
    now = state.clock.now()
    return done(
        state,
        Deed(flows.reverse_sale, who.estate_id, order_no, reason=reason, actor=who.login, now=now),
        "/counter",
    )
