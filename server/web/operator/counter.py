"""The cashier's counter: find a household, take cash, hand over a receipt; by keyboard as well as by mouse.

Who has moved out with a debt pays here, too, as does who has not moved in yet: such an account has no meter, and so
neither room nor relay to show.
"""

import secrets
from typing import Annotated

from fastapi import APIRouter, Depends, Form, Query, Request
from sqlalchemy import Connection, RowMapping
from starlette.responses import HTMLResponse, RedirectResponse, Response

from server.domain.accounts import INITIAL, LEFT
from server.domain.states import state_of
from server.flows import payments as flows
from server.store import accounts, refunds, statistics, wall
from server.store import household as reads
from server.store import payments as payment_rows
from server.store.estates import get_account, get_estate
from server.store.recovery import is_undone, recovered_of
from server.store.unit import Deed
from server.web import pages
from server.web.debts import debts_of
from server.web.deps import Reader, State, at_once_if, need
from server.web.money import parse_fen
from server.web.operator.shell import looks_brief, staff_page
from server.web.operator.today import midnight_s
from server.web.principal import Principal
from server.web.standing import standing_of

router = APIRouter(include_in_schema=False)
Cashier = Annotated[Principal, Depends(need("topup.sell"))]
AMOUNTS = (50, 100, 200, 300)
SALES_SHOWN = 12


@router.get("/counter")
@at_once_if(looks_brief)
def counter(
    request: Request,
    state: State,
    conn: Reader,
    who: Cashier,
    room: Annotated[str, Query(max_length=80)] = "",
    account: Annotated[str, Query(max_length=64)] = "",
    sold: Annotated[str, Query(max_length=64)] = "",
    again: Annotated[str, Query(max_length=1)] = "",
) -> HTMLResponse:
    """Without `room` the search; with one hit the sale; `account` is one without a meter, `sold` shows a receipt.

    `again` says that this sale was booked before, when it was sent once more.
    """
    estate = pages.facts_from(get_estate(conn, who.estate_id))
    f = pages.formats_of(request, estate)
    found = wall.find(conn, who.estate_id, room) if room else []
    exact = [row for row in found if row.room_id == room]
    away = _without_meter(conn, who.estate_id, account or room) if not exact else []
    row = exact[0] if exact else (found[0] if len(found) == 1 and not away else None)
    rows = wall.each_meter(conn, who.estate_id, row) if row else []
    payer = next((one for one in away if one["account_id"] == account), None)
    buyer = row.account_id if row else payer["account_id"] if payer else ""
    order = reads.order(conn, who.estate_id, sold) if sold else None
    paid_for = wall.household(conn, who.estate_id, order["account_id"]) if order is not None else None
    holder = get_account(conn, who.estate_id, order["account_id"]) if order is not None else None
    since = midnight_s(f.now_s, estate.time_zone)
    till = statistics.till(conn, who.estate_id, who.login, since)
    back = refunds.cash_back(conn, who.estate_id, who.login, since)
    buyers = wall.households_of(conn, who.estate_id, [one["account_id"] for one in till[:SALES_SHOWN]])
    rooms = {one.account_id: one.room_id for one in buyers}
    return staff_page(
        request,
        conn,
        "operator/counter.html",
        "counter",
        estate=estate,
        sales=till[:SALES_SHOWN],
        sought=room,
        found=found if row is None and payer is None else [],
        away=away if payer is None else [],
        payer=payer,
        row=row,
        state=state_of(row, f.now_s, estate.reading_cycle_s) if row else "",
        standing=standing_of(conn, who.estate_id, rows, f) if rows else None,
        meters=rows,
        last=next(iter(reads.payments(conn, who.estate_id, row.account_id, limit=1)), None) if row else None,
        amounts=AMOUNTS,
        order=order,
        again=again,
        recovered=recovered_of(conn, who.estate_id, order["payment_id"] or "") if order is not None else {},
        undone=order is not None and is_undone(conn, who.estate_id, order["payment_id"] or ""),
        debts=debts_of(conn, who.estate_id, buyer, f.now_s) if buyer else None,
        paid_for=paid_for,
        fed_by=wall.each_meter(conn, who.estate_id, paid_for) if paid_for else [],
        holder=holder,
        till=till,
        till_fen=sum(one["amount_fen"] for one in till) - sum(back.values()),
        back=back,
        limits=payment_rows.limits_of(get_estate(conn, who.estate_id)),
        reversible=order is not None and _is_reversible(conn, who, order, back),
        rooms=rooms,
        sale_key=secrets.token_urlsafe(16),
    )


def _without_meter(conn: Connection, estate_id: str, words: str) -> list[RowMapping]:
    """Accounts that nobody lives behind a meter of: opened, or moved out and not settled."""
    if not words.strip():
        return []
    found = accounts.found(conn, estate_id, words.strip())
    waiting = [row for row in found if row["status"] in (INITIAL, LEFT)]
    fed = {one.account_id for one in wall.households_of(conn, estate_id, [row["account_id"] for row in waiting])}
    return [row for row in waiting if row["account_id"] not in fed]


def _is_reversible(conn: Connection, who: Principal, order: RowMapping, back: dict[str, int]) -> bool:
    """Whether an order looks like the cashier's last sale; the flow decides."""
    last = refunds.newest_sale(conn, who.estate_id, who.login)
    return last is not None and last["order_no"] == order["order_no"] and order["order_no"] not in back


@router.post("/counter")
def sell(
    state: State,
    conn: Reader,
    who: Cashier,
    account_id: Annotated[str, Form(max_length=64)],
    amount: Annotated[str, Form(max_length=12)],
    sale_key: Annotated[str, Form(min_length=8, max_length=64)],
) -> Response:
    """Credit the cash; the same sale sent twice is credited once, and the cashier is told so."""
    amount_fen = parse_fen(amount)
    now = state.clock.now()
    known = payment_rows.kept_answer(conn, who.estate_id, flows.COUNTER, sale_key)
    sale = state.writer.run(
        Deed(flows.sell_at_counter, who.estate_id, account_id, amount_fen, idem_key=sale_key, actor=who.login, now=now),
        urgent=True,
    )
    return RedirectResponse(f"/counter?sold={sale.order_no}{'&again=1' if known else ''}", 303)
