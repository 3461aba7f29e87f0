"""The price list of a resident's own tariff: what is in force, and what is to come, as it was published."""

from typing import Annotated

from fastapi import APIRouter, Depends, Request
from starlette.responses import HTMLResponse

from server.store.estates import get_estate
from server.store.tariffs import load_tariffs
from server.web import i18n, pages
from server.web.deps import Reader, need
from server.web.operator.tariffs import versions_of
from server.web.principal import Principal
from server.web.resident.home import own_household
from server.web.tariff_words import price_list

router = APIRouter(include_in_schema=False)


@router.get("/me/prices")
def prices_page(
    request: Request, conn: Reader, who: Annotated[Principal, Depends(need("household.view"))]
) -> HTMLResponse:
    """Every version that counts or will; those that are over are left out."""
    row = own_household(conn, who)
    estate = pages.facts_from(get_estate(conn, who.estate_id))
    f = pages.formats_of(request, estate)
    gettext = i18n.translations(pages.language_of(request)).gettext
    tariff = load_tariffs(conn, who.estate_id).get(row.tariff_id or "")
    found = [] if tariff is None else versions_of(tariff, f.now_s, lambda version: price_list(version, f, gettext))
    return pages.render(
        request,
        "resident/prices.html",
        tab="home",
        estate=estate,
        row=row,
        tariff=tariff,
        versions=[one for one in found if one[1] != "over"],
    )
