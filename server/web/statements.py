"""Statements of closed months and receipts of top-ups, as pages to print and as PDF; residents see their own."""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from html import unescape
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Request
from sqlalchemy import Connection
from starlette.responses import HTMLResponse, Response

from server.domain.ledger import ELECTRICITY, LEDGERS, ledger_account
from server.domain.settlement import MONTH, Settlement, Sums
from server.domain.settlement_sums import METERED
from server.errors import NotFound
from server.store import accounts
from server.store import settlement as closes
from server.store import statements as kept
from server.store.allocations import shares_of
from server.store.estates import get_estate
from server.store.ledger import accounts_by_id
from server.store.meters import meters_of_account
from server.store.recovery import balance_after_recovery, is_undone, recovered_of
from server.store.refunds import returned_fen
from server.store.statements import StatementLine
from server.web import i18n, pages
from server.web.deps import Reader, need
from server.web.details import detail_said, memo_said
from server.web.formats import Formats, amount, fen_exact, kwh_figure, meter_number, signed_amount, yuan
from server.web.pages import EstateFacts
from server.web.paper import Block, Column, Paper, pdf_answer
from server.web.principal import Principal
from server.web.shared_words import cost_said, share_said
from server.web.words import Words, said_in

FINALS = ("moved_out", "meter_settled", "final_corrected")  # acts that a statement tells of
router = APIRouter(include_in_schema=False)
Viewer = Annotated[Principal, Depends(need("household.view"))]
Account = Annotated[str, Path(max_length=64)]
Month = Annotated[str, Path(max_length=12)]
PaymentId = Annotated[str, Path(max_length=64)]
HASH_SHOWN = 16
ESTIMATED = "estimated: "  # so begins the detail of a final register that nobody read
SHARED, SHARES_MAX = "shared", 100


@dataclass(frozen=True, slots=True)
class Desk:
    """For whom a sheet is made, and in which words."""

    estate: EstateFacts
    row: Mapping[str, Any]
    f: Formats
    words: Mapping[str, Words]


def desk_of(request: Request, conn: Connection, who: Principal, account_id: str) -> Desk:
    """The household of the path, if the reader may see it, also one that has moved out; raises NotFound."""
    row = accounts_by_id(conn, who.estate_id, [who.own_account(account_id)]).get(account_id)
    if row is None or row["kind"] != "household":
        raise NotFound(f"no household {account_id}")
    estate = pages.facts_from(get_estate(conn, who.estate_id))
    gettext = i18n.translations(pages.language_of(request)).gettext
    return Desk(estate, row, pages.formats_of(request, estate), said_in(gettext))


def _month(conn: Connection, estate_id: str, period: str) -> Settlement:
    closed = closes.settlement_of(conn, estate_id, MONTH, period)
    if closed is None:
        raise NotFound(f"the month {period} is not closed, so there is no statement of it")
    return closed


def statement(conn: Connection, desk: Desk, period: str) -> Paper:
    """The statement of a household over a closed month; NotFound where there is none."""
    estate_id, home, _ = desk.estate.estate_id, desk.row["account_id"], desk.f.said
    closed = _month(conn, estate_id, period)
    names = {ledger: ledger_account(home, ledger) for ledger in LEDGERS}
    sums = closes.sums_of(conn, estate_id, MONTH, period, list(names.values()))
    if home not in sums:
        raise NotFound(f"there is no statement of {home} over {period}")
    lines = kept.lines_in(conn, estate_id, closed, list(names.values()))
    own = [line for line in lines if line.account_id == home]
    blocks = [_balance(desk, sums[home]), _energy(desk, sums[home]), _by_day(desk, own), _others(desk, own)]
    if sums[home].lines and not own:
        note = _("The single lines of this month are archived; the sums stay as they were closed.")
        blocks.append(Block(_("Charges by day"), note=note))
    for ledger in LEDGERS:
        if ledger != ELECTRICITY and names[ledger] in sums:
            its = [line for line in lines if line.account_id == names[ledger]]
            blocks += _ledger(desk, ledger, sums[names[ledger]], its)
    blocks.append(_finals(conn, desk, closed))
    blocks.append(_shared(conn, desk, [line.batch_seq for line in lines if line.account_id == names[SHARED]]))
    late = _("What was booked after the close of its month stands in the month that was open then, marked as late.")
    foot = (
        _("Closed at %(time)s through batch %(batch)d of the ledger; this statement does not change any more.")
        % {"time": desk.f.full(closed.world_at), "batch": closed.through_seq},
        late,
        _("Seal of the closed month: %(hash)s") % {"hash": closed.hash[:HASH_SHOWN]},
    )
    title = _("Electricity statement, %(month)s") % {"month": desk.f.period(period)}
    meters = dict.fromkeys(line.meter_id for line in own if line.meter_id)
    facts = (*_who(desk, meters), (_("Period"), _span(desk, closed)), (_("Explained as bill"), f"{home}:{period}"))
    return Paper(f"statement-{home}-{period}", title, desk.estate.name, facts, tuple(filter(None, blocks)), foot)


def _plain(said: str) -> str:
    """The words of a detail without the marks of its language."""
    return unescape(re.sub("<[^>]*>", "", said))


def _finals(conn: Connection, desk: Desk, closed: Settlement) -> Block | None:
    """What the final registers of the month rest on: read, estimated, said by the meter, or corrected since."""
    _, words = desk.f.said, desk.words["act_words"]
    told = [
        one
        for one in accounts.life(conn, desk.estate.estate_id, desk.row["account_id"])
        if one["act"] in FINALS and one["meter_id"] and closed.from_at <= one["world_at"] < closed.to_at
    ]
    if not told:
        return None
    columns = (Column(_("Time")), Column(_("What")), Column(_("Detail")))
    rows = tuple(
        (
            desk.f.full(one["world_at"]),
            f"{words[one['act']]} · {meter_number(one['meter_id'])}"
            + (f" · {kwh_figure(one['register_wh'])} kWh" if one["register_wh"] is not None else ""),
            _plain(detail_said(one["detail"], desk.f, desk.f.said)),
        )
        for one in reversed(told)
    )
    return Block(_("Final registers"), columns, rows)


def _who(desk: Desk, meters: Iterable[str]) -> tuple[tuple[str, str], ...]:
    _ = desk.f.said
    row = desk.row
    return (
        (_("Room"), desk.f.place(row["room_id"] or "") or "—"),
        (_("Account holder"), row["holder"] or "—"),
        (_("Account"), row["account_id"]),
        (_("Meter"), ", ".join(map(meter_number, meters)) or "—"),
    )


def _span(desk: Desk, closed: Settlement) -> str:
    return f"{desk.f.iso_day(closed.from_at)} – {desk.f.iso_day(closed.to_at - 1)}"


def _balance(desk: Desk, own: Sums) -> Block:
    """From the balance before to the balance afterwards, by kind of booking."""
    _ = desk.f.said
    words = desk.words["ledger_words"]
    rows = [(_("Balance at the beginning"), amount(own.opening_fen))]
    rows += [(words[kind], signed_amount(fen)) for kind, fen in own.kinds.items()]
    rows.append((_("Balance at the end"), amount(own.closing_fen)))
    return Block(_("Balance"), (Column(_("What")), Column(_("Yuan"), figures=True)), tuple(rows), sums=1)


def _energy(desk: Desk, own: Sums) -> Block:
    _ = desk.f.said
    names = (_("Sharp"), _("Peak"), _("Flat"), _("Valley"))
    rates = own.rates_wh
    rows = [(name, kwh_figure(wh)) for name, wh in zip(names, rates, strict=True) if wh]
    rows.append((_("Energy"), kwh_figure(own.energy_wh)))
    note = _("Charged exactly %(fen)s fen; posted in whole fen, the rest is carried on.") % {
        "fen": fen_exact(own.charge_nf)
    }
    return Block(_("Energy"), (Column(_("What")), Column(_("kWh"), figures=True)), tuple(rows), note, sums=1)


def _by_day(desk: Desk, own: list[StatementLine]) -> Block | None:
    """Energy and money of each day's charges."""
    _ = desk.f.said
    days: defaultdict[str, list[int]] = defaultdict(lambda: [0, 0])
    for line in own:
        if line.kind in METERED:
            day = days[desk.f.iso_day(line.at)]
            day[0] += line.energy_wh
            day[1] += line.amount_fen
    if not days:
        return None
    columns = (Column(_("Day")), Column(_("Energy, kWh"), figures=True), Column(_("Charged, yuan"), figures=True))
    rows = [(desk.f.local_day(day), kwh_figure(wh), amount(-fen)) for day, (wh, fen) in sorted(days.items())]
    sums = [sum(values) for values in zip(*days.values(), strict=True)]
    rows.append((_("Sum"), kwh_figure(sums[0]), amount(-sums[1])))
    return Block(_("Charges by day"), columns, tuple(rows), sums=1)


def _others(desk: Desk, own: list[StatementLine]) -> Block | None:
    """Every booking that is no charge."""
    _ = desk.f.said
    columns = (Column(_("Time")), Column(_("What")), Column(_("Amount, yuan"), figures=True))
    rows = tuple(_booking(desk, line) for line in own if line.kind not in METERED)
    return Block(_("Top-ups and other bookings"), columns, rows) if rows else None


def _booking(desk: Desk, line: StatementLine) -> tuple[str, str, str]:
    _ = desk.f.said
    what = desk.words["ledger_words"][line.kind]
    if line.memo:
        what = f"{what} · {memo_said(line.memo, desk.f, _)}"
    if line.late:
        what = _("%(what)s (late)") % {"what": what}
    return desk.f.full(line.at), what, signed_amount(line.amount_fen)


def _ledger(desk: Desk, ledger: str, own: Sums, lines: list[StatementLine]) -> list[Block]:
    """A ledger beside electricity: what was owed and paid there."""
    _ = desk.f.said
    if not own.lines and not own.closing_fen:
        return []
    columns = (Column(_("Time")), Column(_("What")), Column(_("Amount, yuan"), figures=True))
    rows = [
        ("", _("Balance at the beginning"), amount(own.opening_fen)),
        *(_booking(desk, line) for line in lines),
        ("", _("Balance at the end"), amount(own.closing_fen)),
    ]
    note = _("A ledger of its own: only electricity has to do with the power.")
    return [Block(desk.words["ledger_name_words"][ledger], columns, tuple(rows), note, sums=1)]


def _shared(conn: Connection, desk: Desk, batches: list[int]) -> Block | None:
    """How the parts of shared costs that were booked in the month came about."""
    _ = desk.f.said
    rows = shares_of(conn, desk.estate.estate_id, desk.row["account_id"], limit=SHARES_MAX, batches=batches)
    if not rows:
        return None
    columns = (Column(_("What")), Column(_("How")), Column(_("Share, yuan"), figures=True))
    said = [
        (
            f"{row['subject']}, {desk.f.period(row['period'])}"
            + (f" · {_('taken back')}" if row["reversed_at"] else ""),
            "; ".join(filter(None, (cost_said(row, desk.f), share_said(row, desk.f)))),
            amount(row["share_fen"]),
        )
        for row in rows
    ]
    note = _("What is left over goes to the largest remainders, so that the shares of all households make the amount.")
    return Block(_("How shared costs were shared"), columns, tuple(said), note)


def receipt(conn: Connection, desk: Desk, payment_id: str) -> Paper:
    """The receipt of a top-up, also of one that waited in suspense; NotFound where there is none."""
    estate_id, home, _ = desk.estate.estate_id, desk.row["account_id"], desk.f.said
    paid = kept.payment_of(conn, estate_id, home, payment_id)
    if paid is None:
        raise NotFound(f"no payment {payment_id} of this household")
    came = (paid["batch_seq"], paid["event_at"])
    batch_seq, at = kept.assigned_by(conn, estate_id, [payment_id]).get(payment_id, came)
    after_fen = balance_after_recovery(conn, estate_id, payment_id)
    if after_fen is None:
        after_fen = kept.balance_after(conn, estate_id, batch_seq, home)
    words = desk.words["ledger_name_words"]
    parts = recovered_of(conn, estate_id, payment_id)
    rows = [(_("Top-up"), yuan(paid["amount_fen"]))]
    rows += [(_("of it to %(ledger)s") % {"ledger": words[ledger]}, yuan(fen)) for ledger, fen in parts.items()]
    if parts:
        rows.append((_("of it for electricity"), yuan(paid["amount_fen"] - sum(parts.values()))))
    estimate = _estimate(conn, desk, at)
    afterwards = _("Balance afterwards (est.)") if estimate else _("Balance afterwards")
    rows.append((afterwards, "—" if after_fen is None else yuan(after_fen)))
    rows += _went_back(conn, desk, payment_id, parts)
    meters = [one.meter_id for one in meters_of_account(conn, estate_id, home)]
    times = [(_("Time"), paid["event_at"])]
    times += [(_("Out of suspense"), at)] if batch_seq != paid["batch_seq"] else []
    facts = (
        *_who(desk, meters),
        (_("Number"), payment_id),
        *((name, f"{desk.f.iso_day(when)} {desk.f.clock(when)}") for name, when in times),
        (_("Paid by"), desk.words["sale_words"][paid["provider"]]),
        (_("Transaction"), paid["transaction_id"]),
        (_("Explained as bill"), kept.bill_of(conn, estate_id, batch_seq, home)),
    )
    block = Block(_("Top-up"), (Column(_("What")), Column(_("Amount"), figures=True)), tuple(rows), estimate, sums=1)
    foot = (
        _("Batch %(batch)d of the ledger. A prepayment for electricity; this is no tax invoice.")
        % {"batch": batch_seq},
    )
    return Paper(f"receipt-{payment_id}", _("Prepayment receipt"), desk.estate.name, facts, (block,), foot)


def _estimate(conn: Connection, desk: Desk, at: int) -> str:
    """What of the balance at that instant rests on a final register that was estimated; "" where all were read."""
    estimated = dict[str, str]()
    for one in reversed(accounts.life(conn, desk.estate.estate_id, desk.row["account_id"])):
        if one["world_at"] > at or not one["meter_id"] or one["act"] not in FINALS:
            continue
        if one["act"] == "moved_out" and one["detail"].startswith(ESTIMATED):
            estimated[one["meter_id"]] = _plain(detail_said(one["detail"], desk.f, desk.f.said))
        elif one["act"] == "final_corrected":
            estimated.pop(one["meter_id"], None)
    _ = desk.f.said
    said = [f"{meter_number(meter)} · {how}" for meter, how in estimated.items()]
    return (
        _("The balance rests on a final register that was estimated: %(how)s") % {"how": "; ".join(said)}
        if said
        else ""
    )


def _went_back(conn: Connection, desk: Desk, payment_id: str, parts: Mapping[str, int]) -> list[tuple[str, str]]:
    """What of a payment was given back since, and what debts gave back for it."""
    _, estate_id = desk.f.said, desk.estate.estate_id
    back_fen = returned_fen(conn, estate_id, [payment_id]).get(payment_id, 0)
    if not back_fen:
        return []
    rows = [(_("given back since"), yuan(-back_fen))]
    if is_undone(conn, estate_id, payment_id):
        words = desk.words["ledger_name_words"]
        rows += [(_("owed again in %(ledger)s") % {"ledger": words[name]}, yuan(fen)) for name, fen in parts.items()]
    return rows


def _page(request: Request, desk: Desk, paper: Paper, who: Principal) -> HTMLResponse:
    back = "/me/bills" if who.role == "resident" else f"/accounts/{desk.row['account_id']}"
    return pages.render(request, "paper.html", estate=desk.estate, paper=paper, back=back)


@router.get("/statements/{account_id}/{period}.pdf")
def statement_pdf(request: Request, conn: Reader, who: Viewer, account_id: Account, period: Month) -> Response:
    """The statement as a file."""
    return pdf_answer(statement(conn, desk_of(request, conn, who, account_id), period))


@router.get("/statements/{account_id}/{period}")
def statement_page(request: Request, conn: Reader, who: Viewer, account_id: Account, period: Month) -> HTMLResponse:
    """The statement as a page to print."""
    desk = desk_of(request, conn, who, account_id)
    return _page(request, desk, statement(conn, desk, period), who)


@router.get("/receipts/{account_id}/{payment_id}.pdf")
def receipt_pdf(request: Request, conn: Reader, who: Viewer, account_id: Account, payment_id: PaymentId) -> Response:
    """The receipt as a file."""
    return pdf_answer(receipt(conn, desk_of(request, conn, who, account_id), payment_id))


@router.get("/receipts/{account_id}/{payment_id}")
def receipt_page(
    request: Request, conn: Reader, who: Viewer, account_id: Account, payment_id: PaymentId
) -> HTMLResponse:
    """The receipt as a page to print."""
    desk = desk_of(request, conn, who, account_id)
    return _page(request, desk, receipt(conn, desk, payment_id), who)
