"""Pages of residents, phone first: home, use, bills, prices, account, help, and the progress of a payment."""

from fastapi import APIRouter

from server.web.resident import home, prices, progress

__all__ = ["router"]

router = APIRouter(include_in_schema=False)
for part in (home, prices, progress):
    router.routes.extend(part.router.routes)
