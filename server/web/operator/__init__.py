"""Pages of the staff: today, room wall, household, counter, supply, statistics, cases, readings, buses,
commissioning.
"""

from fastapi import APIRouter

from server.web.operator import (
    buses,
    cases,
    commission,
    counter,
    exchanges,
    households,
    readings,
    statistics,
    supply,
    today,
    wall,
)

__all__ = ["router"]

router = APIRouter(include_in_schema=False)
for part in (today, wall, households, counter, supply, statistics, cases, readings, exchanges, buses, commission):
    router.routes.extend(part.router.routes)
