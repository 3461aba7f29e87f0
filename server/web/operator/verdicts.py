"""Decisions: who would be cut at this moment and what holds the others, and the list of all with every no."""

from collections.abc import Sequence
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request
from sqlalchemy import Connection
from starlette.responses import HTMLResponse

from server.store import listing
from server.store import supply as kept
from server.store.estates import get_estate
from server.web import i18n, pages
from server.web.check_words import CHECKS
from server.web.deps import Reader, State, need
from server.web.operator.decisions import COLUMNS, Verdict, verdicts_of
from server.web.operator.holds import JUDGED_MAX, SHOWN, holds_of
from server.web.operator.shell import households_of, staff_page
from server.web.principal import Principal
from server.web.state import WebState

router = APIRouter(include_in_schema=False)
PAGE_ROWS = 200


@router.get("/supply/decisions")
def decisions_page(
    request: Request, state: State, conn: Reader, who: Annotated[Principal, Depends(need("supply.view"))]
) -> HTMLResponse:
    """Who owes: those who would be cut now, and the others under what holds their power."""
    rows = households_of(request).rows
    accounts = kept.overdrawn_accounts(conn, who.estate_id)
    verdicts = _verdicts(request, state, conn, who, accounts[:JUDGED_MAX])
    holds = holds_of(verdicts, i18n.translations(pages.language_of(request)).gettext)
    off = households_of(request).columns.off
    return staff_page(
        request,
        conn,
        "operator/holds.html",
        "supply",
        holds=holds,
        shown=SHOWN,
        owing=len(accounts),
        judged=len(verdicts),
        off=off,
        fine=max(0, len(rows) - off - len(accounts)),
    )


def _verdicts(
    request: Request, state: WebState, conn: Connection, who: Principal, accounts: Sequence[str]
) -> list[Verdict]:
    f = pages.formats_of(request, pages.facts_from(get_estate(conn, who.estate_id)))
    gettext = i18n.translations(pages.language_of(request)).gettext
    holders = {row.account_id: row.holder for row in households_of(request).rows}
    now, sane = state.clock.now(), state.clock_sane()
    return verdicts_of(conn, who.estate_id, accounts, now, f, gettext, holders, clock_sane=sane)


@router.get("/supply/decisions/all")
def all_decisions_page(
    request: Request,
    state: State,
    conn: Reader,
    who: Annotated[Principal, Depends(need("supply.view"))],
    after: Annotated[str, Query(max_length=64, pattern=r"^[^\x00]*$")] = "",
    check: Annotated[str, Query(max_length=40)] = "",
) -> HTMLResponse:
    """Every household, or only those to whom one check says no; 200 a page."""
    gettext = i18n.translations(pages.language_of(request)).gettext
    accounts = listing.household_ids(conn, who.estate_id, after=after, limit=PAGE_ROWS)
    verdicts = _verdicts(request, state, conn, who, accounts)
    chosen = check if check in CHECKS else ""
    if chosen:
        verdicts = [one for one in verdicts if any(c.name == chosen and not c.passed for c in one.checks)]
    return staff_page(
        request,
        conn,
        "operator/decisions.html",
        "supply",
        heads=[gettext(head) for head, _ in COLUMNS],
        verdicts=verdicts,
        checks=[(name, gettext(fails)) for name, (_holds, fails) in CHECKS.items()],
        chosen=chosen,
        following=accounts[-1] if len(accounts) == PAGE_ROWS else "",
    )
