"""Notices that have reached nobody, warnings first: whom to call, why it has not arrived, and where it is given."""

from typing import Annotated

from fastapi import APIRouter, Depends, Request
from starlette.responses import HTMLResponse

from server.domain.notices import WARNINGS
from server.store import notices as kept
from server.store.estates import get_estate
from server.store.statistics import UNDELIVERED_MS
from server.web import pages
from server.web.deps import Reader, State, need
from server.web.gateway_words import gateway_away
from server.web.operator.shell import staff_page
from server.web.principal import Principal

router = APIRouter(include_in_schema=False)
ROWS_MAX = 200


@router.get("/notices")
def notices_page(
    request: Request, state: State, conn: Reader, who: Annotated[Principal, Depends(need("supply.view"))]
) -> HTMLResponse:
    """Those of a week; a warning is left out once its household owes nothing."""
    now = state.clock.now()
    rows = kept.undelivered(conn, who.estate_id, now.world_s, now.machine_ms - UNDELIVERED_MS, limit=ROWS_MAX + 1)
    return staff_page(
        request,
        conn,
        "operator/notices.html",
        "supply",
        estate=pages.facts_from(get_estate(conn, who.estate_id)),
        rows=rows[:ROWS_MAX],
        more=len(rows) > ROWS_MAX,
        later=kept.waiting_for_morning(conn, who.estate_id, now.world_s),
        warnings=WARNINGS,
        gateway=gateway_away(conn, who.estate_id, now.world_s),
        channel=state.message_channel,
    )
