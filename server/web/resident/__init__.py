"""Pages of residents, phone first: home, use, bills, account, help, and the progress of a payment."""

from fastapi import APIRouter

from server.web.resident import home, progress

__all__ = ["router"]

router = APIRouter(include_in_schema=False)
for part in (home, progress):
    router.routes.extend(part.router.routes)
