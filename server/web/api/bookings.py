"""What people book on accounts: adjustments, opening balances, payouts, carrying over, fees, moves between ledgers.

`key` makes a repeat harmless. Beyond the estate's `adjust_alone` the answer is a request for a second person, who
approves it like any other.
"""

from typing import Annotated

from fastapi import APIRouter, Depends
from pydantic import Field

from server.flows import adjustments, fees
from server.flows.adjustments import Booking
from server.store.unit import Deed
from server.web.api.accounts import AccountId
from server.web.api.paging import INT64_MAX
from server.web.api.readings import TEXT, Why
from server.web.api.shapes import Shape
from server.web.deps import State, need
from server.web.principal import Principal

router = APIRouter(prefix="/api/v1", tags=["accounts"])
Clerk = Annotated[Principal, Depends(need("account.book"))]
LEDGER = "^(electricity|shared|property|arrears)$"
Key = Annotated[str, Field(min_length=8, max_length=64, pattern=r"^[!-~]+$")]
Amount = Annotated[int, Field(gt=0, le=INT64_MAX, strict=True)]
Signed = Annotated[int, Field(ge=-INT64_MAX, le=INT64_MAX, strict=True)]


class OpeningBalance(Why):
    """What a household brings along: credit, or debt below zero."""

    amount_fen: Signed


class Adjustment(Why):
    """What a ledger gains, or loses below zero."""

    ledger: str = Field("electricity", pattern=LEDGER)
    amount_fen: Signed
    key: Key


class Payout(Why):
    """What a household that has left gets back, and how."""

    ledger: str = Field("electricity", pattern=LEDGER)
    amount_fen: Amount
    how: str = Field(pattern="^(cash|bank)$")
    key: Key


class CarryOver(Why):
    """The household's other account."""

    target_id: str = Field(max_length=64, pattern=TEXT)


class Carried(Shape):
    """Fen that went over, by ledger."""

    moved_fen: dict[str, int]


class Fee(Shape):
    """What a household owes for something other than electricity."""

    ledger: str = Field(pattern="^(shared|property|arrears)$")
    amount_fen: Amount
    memo: str = Field(min_length=1, max_length=200, pattern=TEXT)
    key: Key


class Transfer(Shape):
    """Credit that moves from one ledger of a household to another."""

    source: str = Field(pattern=LEDGER)
    target: str = Field(pattern=LEDGER)
    amount_fen: Amount
    memo: str = Field(min_length=1, max_length=200, pattern=TEXT)
    key: Key


class Booked(Shape):
    """The batch, or the request that waits for its second person; the ledger's balance now."""

    balance_fen: int
    batch_seq: int | None
    approval_id: str


class Posted(Shape):
    """The batch and the ledger's balance after it."""

    balance_fen: int
    batch_seq: int


def _book(state: State, who: Principal, booking: Booking) -> Booked:
    now = state.clock.now()
    done = state.writer.run(Deed(adjustments.book, who.estate_id, booking, who.login, now, fresh=who.fresh))
    return Booked.model_validate(done)


@router.post("/accounts/{account_id}/opening", response_model=Booked, summary="Book an opening balance, once")
def opening(state: State, who: Clerk, account_id: AccountId, body: OpeningBalance) -> Booked:
    """An account has one."""
    return _book(state, who, Booking(account_id, "opening", body.amount_fen, body.reason, "opening"))


@router.post("/accounts/{account_id}/adjustments", response_model=Booked, summary="Adjust a ledger")
def adjust(state: State, who: Clerk, account_id: AccountId, body: Adjustment) -> Booked:
    """Up or down, with a reason."""
    return _book(state, who, Booking(account_id, "adjusted", body.amount_fen, body.reason, body.key, body.ledger))


@router.post("/accounts/{account_id}/payouts", response_model=Booked, summary="Pay out what is left")
def pay_out(state: State, who: Clerk, account_id: AccountId, body: Payout) -> Booked:
    """To a household that has moved out; at most what the ledger has to its credit."""
    return _book(
        state, who, Booking(account_id, "paid_out", -body.amount_fen, body.reason, body.key, body.ledger, body.how)
    )


@router.post("/accounts/{account_id}/carry", response_model=Carried, summary="Carry all ledgers to another account")
def carry(state: State, who: Clerk, account_id: AccountId, body: CarryOver) -> Carried:
    """Credit and debt, of a household that has moved out; its account is closed if nothing is open then."""
    now = state.clock.now()
    moved = state.writer.run(
        Deed(adjustments.carry, who.estate_id, account_id, body.target_id, reason=body.reason, actor=who.login, now=now)
    )
    return Carried(moved_fen=moved)


@router.post("/accounts/{account_id}/fees", response_model=Posted, summary="Let it owe a fee")
def fee(state: State, who: Clerk, account_id: AccountId, body: Fee) -> Posted:
    """In a ledger of its own, never in that of electricity."""
    now = state.clock.now()
    done = state.writer.run(
        Deed(
            fees.post_fee,
            who.estate_id, account_id, body.ledger, body.amount_fen, idem_key=f"fee:{account_id}:{body.key}",
            event_at=now.world_s, actor=who.login, memo=body.memo, now=now,
        )
    )  # fmt: skip
    return Posted(balance_fen=done.balance_fen, batch_seq=done.batch_seq)


@router.post("/accounts/{account_id}/transfers", response_model=Posted, summary="Move credit between its ledgers")
def transfer(state: State, who: Clerk, account_id: AccountId, body: Transfer) -> Posted:
    """What is there, and no more; the answer is about the ledger that gains it."""
    now = state.clock.now()
    done = state.writer.run(
        Deed(
            fees.move_between, who.estate_id, account_id, body.source, body.target, body.amount_fen,
            idem_key=f"transfer:{account_id}:{body.key}", event_at=now.world_s, actor=who.login, memo=body.memo,
            now=now,
        )
    )  # fmt: skip
    return Posted(balance_fen=done.balance_fen, batch_seq=done.batch_seq)
