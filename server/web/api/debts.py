"""Debts beside electricity as API: the share of top-ups that goes to them, and what it takes of an amount."""

import json
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query
from pydantic import Field

from server.domain.debt_plans import DebtPlan, next_due
from server.domain.payments import TOPUP_MAX_FEN
from server.domain.recovery import RecoveryRule, recovered
from server.flows import debt_plans as plans
from server.flows import recovery as flow
from server.store import debt_plans
from server.store import recovery as kept
from server.store.unit import Deed
from server.web.api.households import Own
from server.web.api.households import Viewer as HouseholdViewer
from server.web.api.shapes import Shape
from server.web.deps import Reader, State, need
from server.web.principal import Principal

router = APIRouter(prefix="/api/v1", tags=["settlement"])
Viewer = Annotated[Principal, Depends(need("settlement.view"))]
Ruler = Annotated[Principal, Depends(need("recovery.rule"))]
Clerk = Annotated[Principal, Depends(need("account.book"))]
AccountId = Annotated[str, Path(max_length=64)]
INSTALMENTS = 24
TEXT = r"^[^\x00]+$"
Ledger = Annotated[str, Field(max_length=20, pattern=TEXT)]


class RecoveryWish(Shape):
    """From when on which share of each top-up goes to debts, and to which in what order."""

    permille: int = Field(ge=0, le=1000)
    ledgers: list[Ledger] = Field(default=["arrears"], min_length=1, max_length=3)
    split: str = Field(default="order", max_length=10, pattern=TEXT, description="order or pro_rata")
    valid_from: int | None = Field(default=None, ge=0, le=2**40, description="world time; now, without one")


class RecoveryVersion(Shape):
    """One dated rule; in force is the one that began last."""

    rule_no: int
    valid_from: int
    permille: int
    ledgers: list[str]
    split: str
    actor: str
    created_ms: int


class Ruled(Shape):
    """The rule's number."""

    rule_no: int


class Foreseen(Shape):
    """What a top-up of `amount_fen` would pay to debts now, and what the household owes."""

    amount_fen: int
    electricity_fen: int
    debts_fen: dict[str, int] = Field(description="by ledger, what would go there")
    owed_fen: dict[str, int]
    permille: int


@router.get("/recovery-rules", response_model=list[RecoveryVersion], summary="Shares of top-ups that go to debts")
def rules(conn: Reader, who: Viewer) -> list[RecoveryVersion]:
    """All rules, newest first."""
    found = []
    for row in kept.rules(conn, who.estate_id):
        values = {name: row[name] for name in RecoveryVersion.model_fields}
        found.append(RecoveryVersion(**{**values, "ledgers": row["ledgers"].split(",")}))
    return found


@router.post("/recovery-rules", response_model=Ruled, status_code=201, summary="Set the share that goes to debts")
def set_rule(state: State, who: Ruler, wish: RecoveryWish) -> Ruled:
    """It holds from its begin on; what was booked before stays as it is."""
    now = state.clock.now()
    begin = now.world_s if wish.valid_from is None else wish.valid_from
    rule = RecoveryRule(begin, wish.permille, tuple(wish.ledgers), wish.split)
    number = state.writer.run(Deed(flow.set_rule, who.estate_id, rule, actor=who.login, now=now))
    return Ruled(rule_no=number)


@router.get("/households/{account_id}/recovery", response_model=Foreseen, summary="What a top-up would pay to debts")
def foreseen(
    state: State, conn: Reader, who: HouseholdViewer, own: Own,
    amount_fen: Annotated[int, Query(ge=1, le=TOPUP_MAX_FEN)],
) -> Foreseen:  # fmt: skip
    """As it would be booked now."""
    rule = kept.rule_at(conn, who.estate_id, state.clock.now().world_s)
    standing = kept.standing_of(conn, who.estate_id, own.account_id)
    parts = recovered(rule, standing, amount_fen)
    return Foreseen(
        amount_fen=amount_fen, electricity_fen=amount_fen - sum(parts.values()), debts_fen=parts,
        owed_fen=standing.debts, permille=rule.permille,
    )  # fmt: skip


class PlanWish(Shape):
    """A fixed instalment each week or month out of the electricity balance."""

    instalment_fen: int = Field(gt=0, le=1_000_000, strict=True)
    every: str = Field(pattern="^(week|month)$")
    day: int = Field(ge=1, le=28, description="1 Monday to 7 of a week, 1 to 28 of a month")
    begin_day: str = Field(pattern=r"^\d{4}-\d\d-\d\d$", description="local day; nothing is due before it")
    ledgers: list[Ledger] = Field(default=["arrears"], min_length=1, max_length=3)
    reason: str = Field(min_length=1, max_length=1000, pattern=TEXT)


class PlanSet(Shape):
    """The plan's number."""

    plan_no: int


class Instalment(Shape):
    """What a plan took on a day that was due."""

    due_day: str
    wanted_fen: int
    taken_fen: int
    parts: dict[str, int] = Field(description="fen by ledger")


class Plan(Shape):
    """The running plan of a household, and its newest instalments."""

    plan_no: int | None = Field(description="null: no plan runs")
    instalment_fen: int | None
    every: str | None
    day: int | None
    ledgers: list[str]
    next_day: str | None
    instalments: list[Instalment]


class PlanEnd(Shape):
    """Why it ends."""

    reason: str = Field(min_length=1, max_length=1000, pattern=TEXT)


@router.get("/households/{account_id}/debt-plan", response_model=Plan, summary="Its plan for debts")
def plan(conn: Reader, who: HouseholdViewer, own: Own) -> Plan:
    """With what the newest instalments took."""
    row = debt_plans.running_of(conn, who.estate_id, own.account_id)
    newest = [
        Instalment(**{**{name: one[name] for name in ("due_day", "wanted_fen", "taken_fen")},
                      "parts": json.loads(one["parts"])})
        for one in debt_plans.instalments_of(conn, who.estate_id, own.account_id, limit=INSTALMENTS)
    ]  # fmt: skip
    if row is None:
        return Plan(
            plan_no=None, instalment_fen=None, every=None, day=None, ledgers=[], next_day=None, instalments=newest
        )
    agreed = debt_plans.plan_of(row)
    return Plan(
        plan_no=row["plan_no"], instalment_fen=agreed.instalment_fen, every=agreed.every, day=agreed.day,
        ledgers=list(agreed.ledgers), next_day=next_due(agreed, row["last_day"] or ""), instalments=newest,
    )  # fmt: skip


@router.post(
    "/accounts/{account_id}/debt-plan", response_model=PlanSet, status_code=201, summary="Agree on a plan for debts"
)
def set_plan(state: State, who: Clerk, account_id: AccountId, wish: PlanWish) -> PlanSet:
    """One runs at a time; the household is told."""
    agreed = DebtPlan(wish.instalment_fen, wish.every, wish.day, wish.begin_day, tuple(wish.ledgers))
    now = state.clock.now()
    number = state.writer.run(
        Deed(plans.set_plan, who.estate_id, account_id, agreed, reason=wish.reason, actor=who.login, now=now)
    )
    return PlanSet(plan_no=number)


@router.post("/accounts/{account_id}/debt-plan/end", status_code=204, summary="End the plan for debts")
def end_plan(state: State, who: Clerk, account_id: AccountId, wish: PlanEnd) -> None:
    """What was taken stays."""
    now = state.clock.now()
    state.writer.run(
        Deed(plans.end_plan, who.estate_id, account_id, reason=wish.reason, actor=who.login, now=now)
    )  # fmt: skip
