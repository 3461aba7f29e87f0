"""JSON API v1: thin handlers over flows and store reads; the OpenAPI document is made from their signatures."""

from fastapi import APIRouter, Depends, Request
from starlette.responses import JSONResponse

from server.web.api import (
    accounts,
    bills,
    bookings,
    bounds,
    cases,
    control,
    debts,
    households,
    isolation,
    local_fee,
    notices,
    orders,
    readings,
    reconciliation,
    refunds,
    settlement,
    shared,
    statements,
    statistics,
    supply,
    tariffs,
    topups,
    verdicts,
)
from server.web.api.contract import described
from server.web.deps import PUBLIC

DESCRIPTION = """Prepaid electricity of a residential estate on DL/T 645 meters.

Field names carry units: `*_fen` and `*_wh` are integers, `*_nf` (nanofen) decimal strings, `*_at` world time in epoch
seconds, `*_ms` machine time in epoch milliseconds. Errors are problem documents (RFC 9457). Lists page by `cursor`.
Sign in with the session cookie, or send `Authorization: Bearer CLIENT:SECRET`; third-party top-ups are signed.
Each operation names the right that it takes: people have rights by their role, programs by their scopes.
"""
TAGS = (
    {"name": "estate", "description": "The estate and its clocks."},
    {"name": "households", "description": "Balance, live meter, readings, ledger, messages, relay, energy by day."},
    {"name": "accounts", "description": "The life of accounts, moves, vacancies, and what people book."},
    {"name": "top-ups", "description": "Orders to pay, and signed top-ups by third parties."},
    {"name": "refunds", "description": "Payments, money on its way back, money in suspense."},
    {"name": "reconciliation", "description": "Bill files of payment providers, and where they differ from the books."},
    {"name": "local fee", "description": "Meters that keep the credit: recharges, limits and prices in the meter."},
    {"name": "tariffs", "description": "Versions in force and planned, drafts with simulation, re-ratings."},
    {"name": "statistics", "description": "Energy and top-ups by day, as JSON and CSV."},
    {"name": "settlement", "description": "Closed days and months, statements, shared costs and debts."},
    {"name": "readings", "description": "Held readings, and exchanges of meters and ratios."},
    {"name": "cases", "description": "Anomalies with evidence."},
    {"name": "supply", "description": "Lines, meters on demand, decisions to cut and to restore."},
)

document = APIRouter(prefix="/api/v1")


@document.get("/openapi.json", include_in_schema=False, dependencies=[Depends(PUBLIC)])
def openapi(request: Request) -> JSONResponse:
    """The OpenAPI document."""
    site = request.app
    if not hasattr(site.state, "openapi"):
        site.state.openapi = described(site.openapi(), site.routes)
    return JSONResponse(site.state.openapi)


ROUTERS = (
    document,
    households.router,
    accounts.router,
    bookings.router,
    bills.router,
    orders.router,
    topups.router,
    refunds.router,
    reconciliation.router,
    statistics.router,
    settlement.router,
    statements.router,
    shared.router,
    debts.router,
    tariffs.router,
    cases.router,
    readings.router,
    supply.router,
    verdicts.router,
    control.router,
    isolation.router,
    local_fee.router,
    notices.router,
    bounds.router,
)
