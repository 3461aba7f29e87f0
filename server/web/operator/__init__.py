"""Pages of the staff: today, wall, households, accounts, counter, recharges, payments, supply with its rules,
statistics, closing, cases, readings, buses, commissioning.
"""

from fastapi import APIRouter

from server.web.operator import (
    accounts,
    bills,
    bookings,
    bulk,
    buses,
    cases,
    commission,
    counter,
    debt_plans,
    debts,
    exchanges,
    given,
    households,
    isolation,
    notices,
    payments,
    readings,
    recharges,
    reconciliation,
    rules,
    settlement,
    shared,
    statistics,
    supply,
    tariff_editor,
    tariffs,
    today,
    verdicts,
    wall,
)

__all__ = ["router"]

router = APIRouter(include_in_schema=False)
PARTS = (
    today, wall, households, isolation, given, notices, accounts, bookings, bills, counter, recharges, payments,
    reconciliation, verdicts, supply, rules, bulk, tariffs, tariff_editor, statistics, settlement, shared, debts,
    debt_plans, cases, readings, exchanges, buses, commission,
)  # fmt: skip
for part in PARTS:
    router.routes.extend(part.router.routes)
