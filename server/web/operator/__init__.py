"""Pages of the staff: today, room wall, household, counter, supply, statistics, cases, readings, buses."""

from fastapi import APIRouter

from server.web.operator import buses, cases, counter, exchanges, households, readings, statistics, supply, today, wall

__all__ = ["router"]

router = APIRouter(include_in_schema=False)
for part in (today, wall, households, counter, supply, statistics, cases, readings, exchanges, buses):
    router.routes.extend(part.router.routes)
