"""Debts beside electricity at the console: the share of top-ups that goes to them, and who owes what."""

from typing import Annotated

from fastapi import APIRouter, Depends, Form, Request
from starlette.responses import HTMLResponse, RedirectResponse

from server.domain.debt_plans import next_due
from server.domain.recovery import DEBT_LEDGERS, SPLITS, RecoveryRule
from server.flows import recovery as flow
from server.store import debt_plans
from server.store import recovery as kept
from server.store.unit import Deed
from server.web.deps import Reader, State, need
from server.web.operator.shell import staff_page
from server.web.principal import Principal

router = APIRouter(include_in_schema=False)
Viewer = Annotated[Principal, Depends(need("settlement.view"))]
Ruler = Annotated[Principal, Depends(need("recovery.rule"))]
LISTED = 200
RULES = 12
PERMILLE_PER_PERCENT = 10


@router.get("/debts")
def debts_page(request: Request, state: State, conn: Reader, who: Viewer) -> HTMLResponse:
    """The rule in force and those before it, and who owes most."""
    now, plans = state.clock.now(), debt_plans.running(conn, who.estate_id)
    return staff_page(
        request,
        conn,
        "operator/debts.html",
        "closing",
        rule=kept.rule_at(conn, who.estate_id, now.world_s),
        rules=kept.rules(conn, who.estate_id)[:RULES],
        debtors=kept.debtors(conn, who.estate_id, limit=LISTED),
        plans=[(row, next_due(debt_plans.plan_of(row), row["last_day"] or "")) for row in plans],
        ledgers=DEBT_LEDGERS,
        splits=SPLITS,
    )


@router.post("/debts/rule")
def set_rule(
    state: State,
    who: Ruler,
    percent: Annotated[int, Form(ge=0, le=100)],
    first: Annotated[str, Form(max_length=20)],
    second: Annotated[str, Form(max_length=20)] = "",
    third: Annotated[str, Form(max_length=20)] = "",
    split: Annotated[str, Form(max_length=20)] = "order",
) -> RedirectResponse:
    """Let a rule hold from now on."""
    now = state.clock.now()
    ledgers = tuple(name for name in (first, second, third) if name)
    rule = RecoveryRule(now.world_s, percent * PERMILLE_PER_PERCENT, ledgers, split)
    state.writer.run(Deed(flow.set_rule, who.estate_id, rule, actor=who.login, now=now))
    return RedirectResponse("/debts", 303)
