"""What people book on an account's page: adjustments, the opening balance, payouts, fees, moves between ledgers."""

from typing import Annotated

from fastapi import APIRouter, Depends, Form
from starlette.responses import RedirectResponse

from server.flows import adjustments, fees
from server.flows.adjustments import Booking
from server.store.unit import Deed
from server.web.deps import State, need
from server.web.money import parse_fen
from server.web.operator.accounts import Reason, act
from server.web.principal import Principal

router = APIRouter(include_in_schema=False)
Clerk = Annotated[Principal, Depends(need("account.book"))]
Amount = Annotated[str, Form(max_length=12)]
Key = Annotated[str, Form(min_length=8, max_length=64, pattern=r"^[!-~]+$")]
Ledger = Annotated[str, Form(max_length=20)]
Direction = Annotated[str, Form(pattern="^(give|take)$")]


def _signed(amount: str, direction: str) -> int:
    return parse_fen(amount) if direction == "give" else -parse_fen(amount)


@router.post("/accounts/{account_id}/adjust")
def adjust(
    state: State, who: Clerk, account_id: str, amount: Amount, direction: Direction, reason: Reason, key: Key,
    ledger: Ledger = "electricity",
) -> RedirectResponse:  # fmt: skip
    """Correct a ledger, or ask a second person to."""
    booking = Booking(account_id, "adjusted", _signed(amount, direction), reason, key, ledger)
    now = state.clock.now()
    return act(state, account_id, Deed(adjustments.book, who.estate_id, booking, who.login, now, fresh=who.fresh))


@router.post("/accounts/{account_id}/opening")
def opening(
    state: State, who: Clerk, account_id: str, amount: Amount, direction: Direction, reason: Reason
) -> RedirectResponse:
    """Book what the household brings along, once."""
    booking = Booking(account_id, "opening", _signed(amount, direction), reason, "opening")
    now = state.clock.now()
    return act(state, account_id, Deed(adjustments.book, who.estate_id, booking, who.login, now, fresh=who.fresh))


@router.post("/accounts/{account_id}/pay-out")
def pay_out(
    state: State, who: Clerk, account_id: str, amount: Amount, how: Annotated[str, Form(max_length=10)], reason: Reason,
    key: Key, ledger: Ledger = "electricity",
) -> RedirectResponse:  # fmt: skip
    """Give money back to a household that has left, or ask a second person to."""
    booking = Booking(account_id, "paid_out", -parse_fen(amount), reason, key, ledger, how)
    now = state.clock.now()
    return act(state, account_id, Deed(adjustments.book, who.estate_id, booking, who.login, now, fresh=who.fresh))


@router.post("/accounts/{account_id}/fee")
def fee(
    state: State, who: Clerk, account_id: str, amount: Amount, ledger: Ledger, reason: Reason, key: Key
) -> RedirectResponse:
    """Let it owe a fee in one of its other ledgers."""
    amount_fen, now = parse_fen(amount), state.clock.now()
    return act(
        state,
        account_id,
        Deed(
            fees.post_fee, who.estate_id, account_id, ledger, amount_fen, idem_key=f"fee:{account_id}:{key}",
            event_at=now.world_s, actor=who.login, memo=reason, now=now,
        ),
    )  # fmt: skip


@router.post("/accounts/{account_id}/transfer")
def transfer(
    state: State, who: Clerk, account_id: str, amount: Amount, source: Ledger, target: Ledger, reason: Reason, key: Key
) -> RedirectResponse:
    """Move credit from one ledger to another."""
    amount_fen, now = parse_fen(amount), state.clock.now()
    return act(
        state,
        account_id,
        Deed(
            fees.move_between,
            who.estate_id, account_id, source, target, amount_fen, idem_key=f"transfer:{account_id}:{key}",
            event_at=now.world_s, actor=who.login, memo=reason, now=now,
        ),
    )  # fmt: skip
