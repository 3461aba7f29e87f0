"""Debt plans at the console: agreed and ended on the page of the account."""

from typing import Annotated

from fastapi import APIRouter, Depends, Form
from starlette.responses import RedirectResponse

from server.domain.debt_plans import DebtPlan
from server.flows import debt_plans as flows
from server.store.unit import Deed
from server.web.deps import State, need
from server.web.money import parse_fen
from server.web.operator.accounts import Reason, act
from server.web.principal import Principal

router = APIRouter(include_in_schema=False)
Clerk = Annotated[Principal, Depends(need("account.book"))]
Name = Annotated[str, Form(max_length=20)]


@router.post("/accounts/{account_id}/plan")
def set_plan(
    state: State, who: Clerk, account_id: str, amount: Annotated[str, Form(max_length=12)],
    when: Annotated[str, Form(pattern=r"^(week|month):\d{1,2}$")],
    begin_day: Annotated[str, Form(pattern=r"^\d{4}-\d\d-\d\d$")], reason: Reason, first: Name, second: Name = "",
    third: Name = "",
) -> RedirectResponse:  # fmt: skip
    """Agree on instalments."""
    every, _, day = when.partition(":")
    ledgers = tuple(name for name in (first, second, third) if name)
    plan = DebtPlan(parse_fen(amount), every, int(day), begin_day, ledgers)
    now = state.clock.now()
    return act(
        state,
        account_id,
        Deed(flows.set_plan, who.estate_id, account_id, plan, reason=reason, actor=who.login, now=now),
    )


@router.post("/accounts/{account_id}/plan/end")
def end_plan(state: State, who: Clerk, account_id: str, reason: Reason) -> RedirectResponse:
    """End it; what was taken stays."""
    now = state.clock.now()
    return act(
        state, account_id, Deed(flows.end_plan, who.estate_id, account_id, reason=reason, actor=who.login, now=now)
    )
