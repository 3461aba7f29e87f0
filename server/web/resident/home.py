"""A resident's own pages: home, use, bills, account, help; paying from them, and notices that count once seen."""

import json
from typing import Annotated, Any, NamedTuple

from fastapi import APIRouter, Depends, Form, Request
from sqlalchemy import Connection
from starlette.responses import HTMLResponse, RedirectResponse, Response

from server.domain.debt_plans import next_due
from server.domain.states import state_of
from server.errors import NotFound, Refused
from server.flows import notices as notice_flows
from server.store import debt_plans, wall
from server.store import household as reads
from server.store import payments as payment_rows
from server.store.allocations import shares_of
from server.store.archive import newest_end
from server.store.days import with_gaps
from server.store.direct import Row
from server.store.estates import get_estate
from server.store.household import LedgerRow
from server.store.ledger import ledger_balances
from server.store.settlement import months_of
from server.store.statements import assigned_by
from server.store.unit import Deed
from server.store.wall import HouseholdRow, is_isolated
from server.web import i18n, pages
from server.web.api.bills import own_bill
from server.web.bill_words import bill_view
from server.web.debts import debts_of
from server.web.deps import Reader, State, at_once, need
from server.web.figures import bar_chart
from server.web.formats import Formats
from server.web.money import parse_fen, within
from server.web.notice_words import told
from server.web.payments import begin
from server.web.principal import Principal
from server.web.qr import svg_path
from server.web.resident.story import bill_story, bill_title, cut_since, own_meters, some_off, story_of
from server.web.shared_words import cost_said, share_said
from server.web.standing import Standing, is_late, standing_of
from server.web.state import WebState

router = APIRouter(include_in_schema=False)
Viewer = Annotated[Principal, Depends(need("household.view"))]
DAYS_ON_PHONE = 14
AMOUNTS = (50, 100, 200)
LINES = 60
NOTICES = 20
RECEIPTS = 200
SHARES = 24
MONTHS = 24
STAYS_MS = 600_000  # a notice stays on the page for ten minutes after it was seen


def own_meters_of(conn: Connection, who: Principal) -> list[HouseholdRow]:
    """The resident's own household once for each of its meters; NotFound for people without one."""
    rows = wall.meters_of(conn, who.estate_id, who.account_id) if who.account_id else []
    if not rows and who.account_id:
        raise NotFound("this account is closed; the office has its bills and receipts")
    if not rows:
        raise NotFound("this login has no household; staff find households on the room wall")
    return rows


def own_household(conn: Connection, who: Principal) -> HouseholdRow:
    """The resident's own household by all its meters; NotFound for people without one."""
    return wall.whole(own_meters_of(conn, who))


class Home(NamedTuple):
    """The resident's own household: by all its meters, and each of them."""

    row: HouseholdRow
    rows: list[HouseholdRow]

    @property
    def isolated(self) -> bool:
        """Whether all of it is without power for a hazard, so that no payment helps."""
        return all(map(is_isolated, self.rows))


def _facts(request: Request, conn: Connection, who: Principal) -> tuple[Home, pages.EstateFacts, Formats]:
    estate = pages.facts_from(get_estate(conn, who.estate_id))
    rows = own_meters_of(conn, who)
    return Home(wall.whole(rows), rows), estate, pages.formats_of(request, estate)


def use_chart(standing: Standing, f: Formats, name: str, limit: int) -> dict[str, Any]:
    """Energy of the latest days, few enough for a phone."""
    days = with_gaps(standing.days)[-limit:]
    labels = [f.day_of(day) for day, _ in days]
    unfinished = len(days) - 1 if standing.today_wh is not None else None
    return bar_chart(labels, [wh for _, wh in days], name=name, unit="kWh", scale=1000, unfinished=unfinished)


def still_true(kind: str, home: Home) -> bool:
    """Whether what a notice says still holds; a warning that a payment or the cut itself has settled is gone.

    Who is isolated is asked for no money, which would not help.
    """
    row = home.row
    owes = row.balance_fen <= row.close_allowed_fen
    return {
        "alarm1": row.level > 0 and not home.isolated,
        "alarm2": row.level > 0 and not home.isolated,
        "cut_warning": owes and row.relay not in ("open", "permitted"),
        "final_notice": owes and row.relay not in ("open", "permitted"),
        "cut": row.relay == "open",
    }.get(kind, True)


def messages(
    conn: Connection, estate: pages.EstateFacts, home: Home, f: Formats, gettext: Any, now_ms: int
) -> list[dict[str, Any]]:
    """In-page notices that wait to be seen or were seen just now, newest first, in words."""
    found = []
    for row in reads.notices(conn, estate.estate_id, home.row.account_id, limit=NOTICES):
        waiting = row["status"] in ("queued", "sent")
        lately = row["delivered_ms"] is not None and now_ms - row["delivered_ms"] < STAYS_MS
        if row["channel"] == "page" and (waiting or lately) and still_true(row["kind"], home):
            found.append(
                {
                    "id": row["notice_id"],
                    "kind": row["kind"],
                    "waiting": waiting,
                    "at": row["event_at"],
                    "text": _text(row, home.row, estate, f, gettext),
                }
            )
    return found


def _text(row: Row, household: HouseholdRow, estate: pages.EstateFacts, f: Formats, gettext: Any) -> str:
    protected = (estate.protected_from_min, estate.protected_to_min)
    kind = "restored_on" if row["kind"] == "restored" and household.relay == "closed" else row["kind"]
    return told(kind, json.loads(row["arguments"]), f, gettext, protected, estate.phone)


def announced_cut_at(conn: Connection, estate_id: str, account_id: str) -> int | None:
    """The time from which the newest cut warning says that power may be cut."""
    for row in reads.notices(conn, estate_id, account_id, limit=NOTICES):
        if row["kind"] == "cut_warning":
            at = json.loads(row["arguments"]).get("earliest_at")
            return None if at is None else int(at)
    return None


@router.get("/me")
@at_once
def home(request: Request, state: State, conn: Reader, who: Viewer) -> HTMLResponse:
    """State, balance, days, pay, tier, chart, price, history, help."""
    own, estate, f = _facts(request, conn, who)
    row, gettext = own.row, i18n.translations(pages.language_of(request)).gettext
    standing = standing_of(conn, who.estate_id, own.rows, f)
    meters = own_meters(standing.meters, f, estate.reading_cycle_s, gettext)
    limits = payment_rows.limits_of(get_estate(conn, who.estate_id))
    shown = state_of(row, f.now_s, estate.reading_cycle_s)
    return pages.render(
        request,
        "resident/home.html",
        ways=list(state.providers),
        tab="home",
        estate=estate,
        row=row,
        state=shown,
        story=story_of(
            row,
            shown,
            standing.left,
            f,
            gettext,
            announced_cut_at(conn, who.estate_id, row.account_id),
            cut_since(reads.relay_history(conn, who.estate_id, row.meter_id)),
            estate.phone,
        ),
        isolated=own.isolated,
        meters=meters,
        some_off=some_off(meters, gettext),
        late=is_late(row.reading_at, f.now_s, estate.reading_cycle_s),
        standing=standing,
        messages=messages(conn, estate, own, f, gettext, state.clock.now().machine_ms),
        lines=daily_lines(reads.ledger(conn, who.estate_id, row.account_id, limit=LINES), f)[:5],
        archived_at=newest_end(conn, who.estate_id)[1],
        receipts=receipts_of(conn, who.estate_id, row.account_id),
        use_chart=use_chart(standing, f, gettext("Energy"), DAYS_ON_PHONE),
        amounts=within(AMOUNTS, limits),
        limits=limits,
        debts=debts_of(conn, who.estate_id, row.account_id, f.now_s),
    )


def daily_lines(lines: list[LedgerRow], f: Formats) -> list[dict[str, Any]]:
    """The ledger for residents: charges of a day together, payments one by one; newest first."""
    found: list[dict[str, Any]] = []
    for line in lines:
        day = f.iso_day(line.event_at if line.event_to is None else line.event_to - 1)
        last = found[-1] if found else None
        if line.kind == "charge" and last and last["kind"] == "charge" and last["day"] == day:
            last["amount_fen"] += line.amount_fen
            last["energy_wh"] += line.energy_wh or 0
            continue
        found.append(
            {
                "kind": line.kind, "day": day, "event_at": line.event_at, "amount_fen": line.amount_fen,
                "energy_wh": line.energy_wh or 0, "balance_after_fen": line.balance_after_fen, "memo": line.memo,
                "bill": day if line.kind == "charge" else line.account_version,
                "batch_seq": line.batch_seq,
            }
        )  # fmt: skip
    return found


def receipts_of(conn: Connection, estate_id: str, account_id: str) -> dict[int, str]:
    """The payment of each batch that credited one, for the links to receipts."""
    found = reads.payments(conn, estate_id, account_id, limit=RECEIPTS)
    assigned = assigned_by(conn, estate_id, [row["payment_id"] for row in found if row["state"] == "assigned"])
    return {
        assigned.get(row["payment_id"], (row["batch_seq"], 0))[0]: row["payment_id"] for row in found
    }  # fmt: skip


def shares_said(conn: Connection, estate_id: str, account_id: str, f: Formats) -> list[tuple[Row, str, str]]:
    """The newest parts of shared costs, each with its formula and where the cost comes from."""
    rows = shares_of(conn, estate_id, account_id, limit=SHARES)
    return [(row, share_said(row, f), cost_said(row, f)) for row in rows]


@router.get("/me/usage")
@at_once
def usage(request: Request, conn: Reader, who: Viewer) -> HTMLResponse:
    """Energy by day."""
    own, estate, f = _facts(request, conn, who)
    gettext = i18n.translations(pages.language_of(request)).gettext
    standing = standing_of(conn, who.estate_id, own.rows, f)
    chart = use_chart(standing, f, gettext("Energy"), len(standing.days))
    return pages.render(
        request, "resident/usage.html", tab="usage", estate=estate, row=own.row, standing=standing, use_chart=chart
    )


@router.get("/me/bills")
@at_once
def bills(request: Request, conn: Reader, who: Viewer) -> HTMLResponse:
    """Statements of closed months, charges by day and every payment with its receipt."""
    (row, _), estate, f = _facts(request, conn, who)
    return pages.render(
        request,
        "resident/bills.html",
        tab="bills",
        estate=estate,
        row=row,
        lines=daily_lines(reads.ledger(conn, who.estate_id, row.account_id, limit=400), f),
        archived_at=newest_end(conn, who.estate_id)[1],
        receipts=receipts_of(conn, who.estate_id, row.account_id),
        months=months_of(conn, who.estate_id, row.account_id, limit=MONTHS),
        ledgers=ledger_balances(conn, who.estate_id, row.account_id),
        shares=shares_said(conn, who.estate_id, row.account_id, f),
    )


@router.get("/me/bills/{bill}")
def bill_page(request: Request, conn: Reader, who: Viewer, bill: str) -> HTMLResponse:
    """One line, a day or a month of the own account, worked out again."""
    (row, _), estate, f = _facts(request, conn, who)
    gettext = i18n.translations(pages.language_of(request)).gettext
    found = own_bill(conn, who, bill)
    return pages.render(
        request,
        "resident/bill.html",
        tab="bills",
        estate=estate,
        row=row,
        bill=bill_view(found, f),
        bill_title=bill_title(found, f, gettext),
        bill_story=bill_story(found, gettext),
    )


@router.get("/me/account")
@at_once
def account(request: Request, conn: Reader, who: Viewer) -> HTMLResponse:
    """Who is signed in, the meter, the reminders, signing out."""
    own, estate, f = _facts(request, conn, who)
    row, standing = own.row, standing_of(conn, who.estate_id, own.rows, f)
    plan = debt_plans.running_of(conn, who.estate_id, row.account_id)
    return pages.render(
        request, "resident/account.html", tab="account", estate=estate, row=row, rows=own.rows, standing=standing,
        plan=plan,
        plan_next=None if plan is None else next_due(debt_plans.plan_of(plan), plan["last_day"] or ""),
    )  # fmt: skip


@router.get("/me/help")
@at_once
def no_power(request: Request, conn: Reader, who: Viewer) -> HTMLResponse:
    """Three steps when it is dark: arrears, the button, or the breaker inside the flat; one for who is isolated."""
    own, estate, f = _facts(request, conn, who)
    row, gettext = own.row, i18n.translations(pages.language_of(request)).gettext
    shown = state_of(row, f.now_s, estate.reading_cycle_s)
    off_since = cut_since(reads.relay_history(conn, who.estate_id, row.meter_id))
    story = story_of(row, shown, None, f, gettext, off_since=off_since, phone=estate.phone)
    return pages.render(
        request, "resident/help.html", tab="home", estate=estate, row=row, state=shown, story=story,
        isolated=is_isolated(row), several=len(own.rows) > 1,
    )  # fmt: skip


@router.post("/me/pay")
async def pay(
    request: Request,
    state: State,
    who: Annotated[Principal, Depends(need("order.create"))],
    amount: Annotated[str, Form(max_length=12)],
    provider: Annotated[str, Form(max_length=40)] = "",
) -> Response:
    """Open an order for the own household and send the payer to the provider, or show the code to scan."""
    if not who.account_id:
        raise Refused("only residents pay here; the counter is for staff")
    gettext = i18n.translations(pages.language_of(request)).gettext
    begun = await begin(
        state, who, who.account_id, parse_fen(amount), title=gettext("Electricity prepayment"), provider=provider
    )
    if begun.is_page:
        return RedirectResponse(begun.pay_url, 303)
    size, path = svg_path(begun.pay_url)
    return pages.render(request, "payment/scan.html", begun=begun, qr_size=size, qr_path=path)


@router.post("/me/notices/{notice_id}/seen")
def seen(state: State, conn: Reader, who: Viewer, notice_id: str) -> Response:
    """The browser has shown a notice of the own household: only now it counts as delivered."""
    row = own_household(conn, who)
    shown = reads.notices(conn, who.estate_id, row.account_id, limit=NOTICES)
    if notice_id not in {notice["notice_id"] for notice in shown}:
        raise NotFound(f"no notice {notice_id}")
    _deliver(state, who.estate_id, notice_id)
    return Response(status_code=204)


def _deliver(state: WebState, estate_id: str, notice_id: str) -> None:
    now = state.clock.now()
    state.writer.run(Deed(notice_flows.mark_delivered, estate_id, notice_id, now))
