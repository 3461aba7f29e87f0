"""Payment orders: create one, and watch it from paid to power back."""

import hashlib
import hmac
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query
from pydantic import ConfigDict, Field
from sqlalchemy import RowMapping

from server.errors import NotFound
from server.store import household as household_reads
from server.store import wall
from server.web.api.households import AccountId
from server.web.api.paging import INT64_MAX
from server.web.api.shapes import Shape
from server.web.deps import PUBLIC, Reader, State, need
from server.web.payments import begin
from server.web.principal import Principal

router = APIRouter(prefix="/api/v1", tags=["top-ups"])


class OrderWish(Shape):
    """How much to pay, and through whom."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"amount_fen": 5000}]})
    amount_fen: int = Field(gt=0, le=INT64_MAX, strict=True)
    provider: str = Field(
        "", max_length=40, description="wechat, alipay, hmac or sandbox; empty: the first that is set up"
    )


class OpenOrder(Shape):
    """Where to pay; the token lets its holder watch the order without a login."""

    order_no: str
    token: str
    amount_fen: int
    pay_url: str = Field(description="address of a payment page, or the text of a code to scan")
    is_page: bool = Field(description="whether a browser can open pay_url")


class OrderState(Shape):
    """From order to power: `paid_ms`, `confirmed_ms` (relay read back) and `button_ms` are machine time."""

    order_no: str
    status: str = Field(description="created, paid or closed")
    amount_fen: int
    provider: str
    channel: str
    created_ms: int
    paid_ms: int | None
    confirmed_ms: int | None
    button_ms: int | None
    pay_to_power_ms: int | None = Field(description="from payment to the relay's read-back, if power was off")
    relay: str | None = Field(description="closed, permitted, open or unknown: as read back")
    command: str | None


@router.post(
    "/households/{account_id}/orders", status_code=201, response_model=OpenOrder, summary="Open an order to pay"
)
async def create(
    state: State, wish: OrderWish, account_id: AccountId, who: Annotated[Principal, Depends(need("order.create"))]
) -> OpenOrder:
    """The order is committed, then its provider is asked where to pay; one that is away leaves an order unpaid.

    Send the payer to `pay_url`, or show it as a code where `is_page` is false, and watch the order until power is back.
    """
    channel = "kiosk" if who.role == "kiosk" else "online"
    begun = await begin(
        state,
        who,
        who.own_account(account_id),
        wish.amount_fen,
        title=account_id,
        provider=wish.provider,
        channel=channel,
    )
    return OpenOrder.model_validate(begun)


@router.get("/orders/{order_no}", response_model=OrderState, summary="What became of an order")
def order_state(
    state: State,
    conn: Reader,
    who: Annotated[Principal | None, Depends(PUBLIC)],
    order_no: Annotated[str, Path(max_length=64)],
    token: Annotated[str, Query(max_length=128, description="the order's token, instead of a login")] = "",
) -> OrderState:
    """From created to paid to power back, for whoever holds the token, the household itself, and the staff."""
    estate_id = state.estate_id
    row = household_reads.order(conn, estate_id, order_no)
    if row is None or not _may_watch(row, who, token):
        raise NotFound(f"no order {order_no}")
    household = wall.household(conn, estate_id, row["account_id"])
    measured = row["confirmed_ms"] is not None and row["paid_ms"] is not None
    names = OrderState.model_fields.keys() & row.keys()
    return OrderState(
        **{name: row[name] for name in names},
        pay_to_power_ms=row["confirmed_ms"] - row["paid_ms"] if measured else None,
        relay=household.relay if household is not None else None,
        command=household.command if household is not None else None,
    )


def _may_watch(row: RowMapping, who: Principal | None, token: str) -> bool:
    given = hashlib.sha256(token.encode()).hexdigest()
    if token and row["token_sha256"] and hmac.compare_digest(given, row["token_sha256"]):
        return True
    if who is None or not who.may("household.view"):
        return False
    return who.role != "resident" or who.account_id == row["account_id"]
