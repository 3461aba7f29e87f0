"""A bill of a household for the staff: every charge worked out again, in words, with what does not agree."""

from typing import Annotated

from fastapi import APIRouter, Depends, Request
from starlette.responses import HTMLResponse

from server.store.estates import get_estate
from server.web import pages
from server.web.api.bills import own_bill
from server.web.bill_words import bill_view
from server.web.deps import Reader, need
from server.web.operator.shell import staff_page
from server.web.principal import Principal

router = APIRouter(include_in_schema=False)


@router.get("/bills/{bill}")
def bill_page(
    request: Request, conn: Reader, who: Annotated[Principal, Depends(need("households.list"))], bill: str
) -> HTMLResponse:
    """One line, a day or a month."""
    f = pages.formats_of(request, pages.facts_from(get_estate(conn, who.estate_id)))
    return staff_page(request, conn, "operator/bill.html", "wall", bill=bill_view(own_bill(conn, who, bill), f))
