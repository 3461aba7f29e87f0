"""Debts beside electricity as API: the share of top-ups that goes to them, and what it takes of an amount."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query
from pydantic import Field

from server.domain.payments import TOPUP_MAX_FEN
from server.domain.recovery import RecoveryRule, recovered
from server.flows import recovery as flow
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
