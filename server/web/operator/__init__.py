"""Pages of the staff: today, room wall, household, accounts, counter, payments, supply, statistics, cases, readings,
buses, commissioning.
"""

from fastapi import APIRouter

from server.web.operator import (
    accounts,
    bills,
    bookings,
    buses,
    cases,
    commission,
    counter,
    debts,
    exchanges,
    households,
    payments,
    readings,
    reconciliation,
    rules,
    settlement,
    shared,
    statistics,
    supply,
    tariffs,
    today,
    verdicts,
    wall,
)

__all__ = ["router"]

router = APIRouter(include_in_schema=False)
PARTS = (
    today, wall, households, accounts, bookings, bills, counter, payments, reconciliation, verdicts, supply, rules,
    tariffs, statistics, settlement, shared, debts, cases, readings, exchanges, buses, commission,
)  # fmt: skip
for part in PARTS:
    router.routes.extend(part.router.routes)
