"""Money on its way back, as API: payments, refunds with their second person, money in suspense, reversed sales."""

from collections.abc import Sequence
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query
from pydantic import Field
from sqlalchemy import Connection, RowMapping

from server.domain.refunds import OPEN, REASON_LENGTH_MAX, REFUNDED, RELEASED
from server.errors import NotFound
from server.flows import approvals, refunds, suspense
from server.store import refunds as kept
from server.store.unit import Deed
from server.web.api.paging import INT64_MAX, Cursor, Limit, Page, decode_dated, encode_dated
from server.web.api.shapes import Shape, shape_row
from server.web.deps import Reader, State, need
from server.web.payments import ask_of
from server.web.principal import Principal

router = APIRouter(prefix="/api/v1", tags=["refunds"])
Viewer = Annotated[Principal, Depends(need("payment.view"))]
Orderer = Annotated[Principal, Depends(need("refund.order"))]
Mover = Annotated[Principal, Depends(need("refund.order", fresh=True))]
Id = Annotated[str, Path(max_length=64)]
TEXT = r"^[^\x00]+$"


class Paid(Shape):
    """One payment: what came in, and whose it is."""

    payment_id: str
    provider: str
    transaction_id: str
    order_no: str | None
    account_id: str | None
    amount_fen: int
    returned_fen: int = Field(description="went back already, or is on its way")
    state: str = Field(description="credited, suspense, or assigned: from suspense to a household")
    event_at: int
    created_ms: int
    paid_ms: int | None = Field(description="when the provider says that it was paid")


class RefundWish(Shape):
    """How much to give back, and why; `key` makes a repeat the same refund."""

    amount_fen: int = Field(gt=0, le=INT64_MAX, strict=True)
    reason: str = Field(min_length=1, max_length=REASON_LENGTH_MAX, pattern=TEXT)
    key: str = Field(min_length=8, max_length=64, pattern=r"^[!-~]+$")


class RefundAsked(Shape):
    """The refund, or the approval that a second person has to give first; the other one is empty."""

    refund_no: str
    approval_id: str


class Refund(Shape):
    """One refund and how far it is."""

    refund_no: str
    payment_id: str
    provider: str
    order_no: str | None
    account_id: str | None = Field(description="null: from suspense")
    amount_fen: int
    way: str = Field(description="source (through the provider) or cash")
    status: str = Field(description="reserved, asked, refunded or released (the money is back in the balance)")
    reason: str
    actor: str
    approved_by: str | None
    detail: str
    tries: int
    created_at: int
    created_ms: int
    decided_ms: int | None


class Decision(Shape):
    """What the provider says of a refund that it would not tell by itself."""

    refunded: bool = Field(description="true: the payer has the money; false: it goes back to the balance")
    reason: str = Field(min_length=1, max_length=REASON_LENGTH_MAX, pattern=TEXT)


class DecisionAsked(Shape):
    """The request that waits for its second person."""

    approval_id: str


class Assignment(Shape):
    """Whose money it is, and how that is known."""

    account_id: str = Field(max_length=64, pattern=TEXT)
    reason: str = Field(min_length=1, max_length=REASON_LENGTH_MAX, pattern=TEXT)


class Assigned(Shape):
    """The household's balance now, and the batch, or the request that waits for its second person."""

    balance_fen: int
    batch_seq: int | None
    approval_id: str


class Why(Shape):
    """The reason, for the record."""

    reason: str = Field(min_length=1, max_length=REASON_LENGTH_MAX, pattern=TEXT)


class Reversed(Shape):
    """The refund that stands for the reversed sale."""

    refund_no: str


@router.get("/payments", response_model=list[Paid], summary="Payments, newest first")
def payments(
    conn: Reader,
    who: Viewer,
    q: Annotated[str, Query(max_length=64, description="an account, order, transaction or payment; empty: all")] = "",
    limit: Limit = 50,
) -> list[Paid]:
    """With what went back of each."""
    return _paid(conn, who.estate_id, kept.find_payments(conn, who.estate_id, q, limit=limit))


@router.get("/suspense", response_model=list[Paid], summary="Money that fits no order, oldest first")
def in_suspense(conn: Reader, who: Viewer, limit: Limit = 50) -> list[Paid]:
    """Nobody's yet: give it to a household, or back."""
    return _paid(conn, who.estate_id, kept.suspense(conn, who.estate_id, limit=limit))


def _paid(conn: Connection, estate_id: str, rows: Sequence[RowMapping]) -> list[Paid]:
    found = [dict(row) for row in rows]
    back = kept.returned_fen(conn, estate_id, [row["payment_id"] for row in found])
    return [shape_row(Paid, {**row, "returned_fen": back.get(row["payment_id"], 0)}) for row in found]


@router.post("/suspense/{payment_id}/assign", response_model=Assigned, summary="Give money in suspense to a household")
def assign(
    state: State,
    who: Annotated[Principal, Depends(need("suspense.assign"))],
    payment_id: Id,
    wish: Assignment,
) -> Assigned:
    """Whole and once; limits, debts, notice and power follow as after any payment. Beyond the estate's `adjust_alone`
    a second person agrees."""
    now = state.clock.now()
    done = state.writer.run(
        Deed(
            suspense.assign,
            who.estate_id,
            payment_id,
            wish.account_id,
            reason=wish.reason,
            actor=who.login,
            now=now,
            fresh=who.fresh,
        ),
        urgent=True,
    )
    return Assigned.model_validate(done)


@router.post(
    "/payments/{payment_id}/refunds", response_model=RefundAsked, status_code=201, summary="Give a payment back"
)
def refund(state: State, conn: Reader, who: Mover, payment_id: Id, wish: RefundWish) -> RefundAsked:
    """Out of the balance at once, then through the provider; or an approval, where two people must agree."""
    now = state.clock.now()
    ask_of(state, conn, who.estate_id, payment_id)
    refund_no, approval_id = state.writer.run(
        Deed(
            approvals.request_refund,
            who.estate_id,
            payment_id,
            wish.amount_fen,
            key=wish.key,
            reason=wish.reason,
            actor=who.login,
            now=now,
        )
    )
    return RefundAsked(refund_no=refund_no, approval_id=approval_id)


@router.get("/refunds", response_model=Page[Refund], summary="Refunds, newest first")
def listed(
    conn: Reader,
    who: Viewer,
    status: Annotated[str, Query(pattern="^(open|refunded|released|)$", description="empty: all")] = "",
    cursor: Cursor = "",
    limit: Limit = 50,
) -> Page[Refund]:
    """Page by page."""
    statuses = {"open": OPEN, "": (*OPEN, REFUNDED, RELEASED)}.get(status, (status,))
    rows = kept.newest_refunds(
        conn, who.estate_id, statuses=statuses, limit=limit + 1, before=decode_dated(cursor)
    )  # fmt: skip
    following = encode_dated(rows[limit - 1], "refund_no") if len(rows) > limit else None
    return Page[Refund](items=[shape_row(Refund, row) for row in rows[:limit]], next_cursor=following)


@router.get("/refunds/{refund_no}", response_model=Refund, summary="One refund")
def one(conn: Reader, who: Viewer, refund_no: Id) -> Refund:
    """How far it is."""
    row = kept.get_refund(conn, who.estate_id, refund_no)
    if row is None:
        raise NotFound(f"no refund {refund_no}")
    found: Refund = shape_row(Refund, row)
    return found


@router.post(
    "/refunds/{refund_no}/decide", response_model=DecisionAsked, status_code=202,
    summary="Ask to decide a refund that nobody can tell of",
)  # fmt: skip
def decide(
    state: State, who: Annotated[Principal, Depends(need("refund.decide", fresh=True))], refund_no: Id, wish: Decision
) -> DecisionAsked:
    """By what the provider's own platform shows; a second person agrees. Refused until it was asked three times."""
    now = state.clock.now()
    approval_id = state.writer.run(
        Deed(
            approvals.request_decision,
            who.estate_id,
            refund_no,
            refunded=wish.refunded,
            reason=wish.reason,
            actor=who.login,
            now=now,
        )
    )
    return DecisionAsked(approval_id=approval_id)


@router.post("/counter/sales/{order_no}/reverse", response_model=Reversed, summary="Reverse one's own last sale")
def reverse(
    state: State, who: Annotated[Principal, Depends(need("topup.reverse", fresh=True))], order_no: Id, why: Why
) -> Reversed:
    """Of today, whole, and not consumed; a repeat gives the same answer."""
    now = state.clock.now()
    refund_no = state.writer.run(
        Deed(
            refunds.reverse_sale, who.estate_id, order_no, reason=why.reason, actor=who.login, now=now
        )
    )  # fmt: skip
    return Reversed(refund_no=refund_no)
