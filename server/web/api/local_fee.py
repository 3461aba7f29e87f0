"""Meters that keep the credit themselves: recharges, and the limits and prices in the meter.

A recharge takes money from the household's account; `status` says whether the meter has it. Settings are wishes until
they are read back.
"""

from typing import Annotated

from fastapi import APIRouter, Depends, Path
from pydantic import Field

from server.flows import recharges as flows
from server.store import recharges as kept
from server.store.unit import Deed
from server.web.api.households import AccountId, Own, Viewer
from server.web.api.paging import INT64_MAX
from server.web.api.shapes import Shape, shape_row
from server.web.deps import Reader, State, need
from server.web.principal import Principal

router = APIRouter(prefix="/api/v1", tags=["local fee"])
RECHARGES_MAX = 50
Orderer = Annotated[Principal, Depends(need("recharge.order"))]
Setter = Annotated[Principal, Depends(need("meter.set"))]
Decider = Annotated[Principal, Depends(need("recharge.decide"))]
RechargeId = Annotated[str, Path(max_length=64, pattern=r"^[!-~]+$")]


class RechargeWish(Shape):
    """How much goes into the meter; `key` makes a repeat harmless."""

    amount_fen: int = Field(gt=0, le=INT64_MAX, strict=True)
    key: str = Field(min_length=8, max_length=64, pattern=r"^[!-~]+$")


class Recharge(Shape):
    """One recharge; the purchase count is null until it is issued, the rest in the meter until it is booked."""

    recharge_id: str
    meter_id: str
    amount_fen: int
    purchase_count: int | None
    status: str = Field(description="waiting, running (the meter decides), booked or refused (the money is back)")
    detail: str
    remaining_fen: int | None
    tries: int
    created_ms: int
    decided_ms: int | None


class Ordered(Shape):
    """The recharge that stands for the wish."""

    recharge_id: str


class Decision(Shape):
    """What a person has read on the meter."""

    booked: bool
    reason: str = Field(min_length=1, max_length=500, pattern=r"^[^\x00]+$")


class MeterSetting(Shape):
    """One figure: wanted, and as the meter shows it; null where it was not read."""

    name: str
    wanted: int
    shown: int | None
    status: str = Field(description="waiting, confirmed (read back) or failed")
    detail: str
    tries: int
    read_ms: int | None


@router.get("/households/{account_id}/recharges", response_model=list[Recharge], summary="Recharges of its meter")
def recharges(conn: Reader, who: Viewer, own: Own) -> list[Recharge]:
    """The newest fifty."""
    rows = kept.recharges_of(conn, who.estate_id, own.account_id, limit=RECHARGES_MAX)
    return [shape_row(Recharge, row) for row in rows]


@router.post(
    "/households/{account_id}/recharges", response_model=Ordered, status_code=202, summary="Let money go into the meter"
)
def order(state: State, who: Orderer, account_id: AccountId, wish: RechargeWish) -> Ordered:
    """The money leaves the account at once; it comes back if the meter does not take it."""
    now = state.clock.now()
    found = state.writer.run(
        Deed(flows.order_recharge, who.estate_id, account_id, wish.amount_fen, key=wish.key, actor=who.login, now=now),
        urgent=True,
    )
    return Ordered(recharge_id=found)


@router.post("/recharges/{recharge_id}/decide", status_code=204, summary="Decide a recharge that nobody could tell")
def decide(state: State, who: Decider, recharge_id: RechargeId, decision: Decision) -> None:
    """After the meter was asked three times in vain, by what its display shows."""
    now = state.clock.now()
    state.writer.run(
        Deed(
            flows.decide_by_hand,
            who.estate_id,
            recharge_id,
            booked=decision.booked,
            reason=decision.reason,
            actor=who.login,
            now=now,
        )
    )


@router.get(
    "/households/{account_id}/meter-settings", response_model=list[MeterSetting], summary="Limits and prices in it"
)
def settings(conn: Reader, who: Viewer, own: Own) -> list[MeterSetting]:
    """What is wanted and what was read back."""
    return [shape_row(MeterSetting, row) for row in kept.settings_of(conn, who.estate_id, own.meter_id)]


@router.put("/households/{account_id}/meter-settings", status_code=202, summary="Wish limits and prices into the meter")
def want(state: State, who: Setter, account_id: AccountId, wanted: dict[str, int]) -> None:
    """By name: `alarm1_fen`, `alarm2_fen`, `overdraft_fen`, `hoard_fen`, `close_allowed_fen`, `price_*_nf_per_wh`."""
    now = state.clock.now()
    state.writer.run(Deed(flows.want_settings, who.estate_id, account_id, wanted, actor=who.login, now=now))
