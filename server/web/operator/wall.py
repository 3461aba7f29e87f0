"""The room wall: the page, its tiles as data for changes in place, and the drawer of a household."""

import json
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request
from sqlalchemy import Connection
from starlette.responses import HTMLResponse, RedirectResponse, Response

from server.store import wall
from server.store.estates import get_estate
from server.web import pages
from server.web.deps import Reader, State, at_once, at_once_if, need
from server.web.operator import tiles
from server.web.operator.board import Shown, board_of, draws_brief
from server.web.operator.households import drawer_of
from server.web.operator.meters import meters_of_household
from server.web.operator.shell import households_of, shell_of, staff_page
from server.web.overview import Households
from server.web.principal import Principal
from server.web.steady import Sane

router = APIRouter(include_in_schema=False)
Viewer = Annotated[Principal, Depends(need("households.list"))]


def _shown(request: Request, conn: Connection, estate: pages.EstateFacts, rows: Households, now_s: int) -> Shown:
    case_rooms = wall.open_case_rooms(conn, estate.estate_id)
    return board_of(request).shown(rows, case_rooms, now_s, estate.reading_cycle_s)


@router.get("/wall")
@at_once_if(draws_brief)
def room_wall(
    request: Request, state: State, conn: Reader, who: Viewer, sane: Sane, room: Annotated[str, Query()] = ""
) -> Response:
    """All households as tiles; `room` opens its drawer."""
    estate = pages.facts_from(get_estate(conn, who.estate_id))
    now_s = state.clock.now().world_s
    households = households_of(request)
    shown = _shown(request, conn, estate, households, now_s)
    ages = tiles.ages_of(households.columns, now_s, estate.reading_cycle_s, pages.formats_of(request, estate).span)
    chosen = next((row for row in households.rows if row.room_id == room), None) if room else None
    rows = wall.each_meter(conn, who.estate_id, chosen) if chosen else []
    return staff_page(
        request,
        conn,
        "operator/wall.html",
        "wall",
        estate=estate,
        everybody=households,
        counts=shown.counts,
        states=tiles.STATES,
        parts=shown.parts(households.columns.by_building(), room if chosen else ""),
        ages=ages,
        age_bar=tiles.age_bar(ages),
        drawer=drawer_of(request, conn, state, rows, sane=sane) if rows else None,
    )


@router.get("/wall/tiles")
def wall_tiles(request: Request, state: State, conn: Reader, who: Viewer) -> Response:
    """Tiles, counts and ages as they are now."""
    estate = pages.facts_from(get_estate(conn, who.estate_id))
    now = state.clock.now()
    households = households_of(request)
    shown = _shown(request, conn, estate, households, now.world_s)
    ages = tiles.ages_of(households.columns, now.world_s, estate.reading_cycle_s, str)
    shell = shell_of(conn, estate, households, now, state.clock.anchor.factor)
    f = pages.formats_of(request, estate)
    bar = [{"tone": piece.tone, "x": piece.x, "width": piece.width} for piece in tiles.age_bar(ages)]
    figures = {
        "counts": shown.counts,
        "ages": {age.name: age.count for age in ages},
        "bar": bar,
        "power": {name: power.figure for name, power in households.columns.by_building().items()},
        "nav": {
            "supply": shell.counts.cut,
            "cases": shell.counts.cases_open,
            "read": shell.read_said(f),
            "sealed": shell.sealed_said(f),
        },
    }
    text = f'{{"tiles":{shown.as_json()},{json.dumps(figures, ensure_ascii=False)[1:]}'
    return Response(text, media_type="application/json")


@router.get("/drawer/{account_id}")
@at_once
def drawer(request: Request, state: State, conn: Reader, who: Viewer, sane: Sane, account_id: str) -> HTMLResponse:
    """What the drawer shows of one household."""
    rows = meters_of_household(conn, who.estate_id, account_id)
    return pages.render(request, "operator/drawer.html", drawer=drawer_of(request, conn, state, rows, sane=sane))


@router.get("/find")
def find(request: Request, conn: Reader, who: Viewer, q: Annotated[str, Query(max_length=80)] = "") -> Response:
    """One hit opens its household; several are listed."""
    found = wall.find(conn, who.estate_id, q)
    if len(found) == 1:
        return RedirectResponse(f"/households/{found[0].account_id}", 303)
    return staff_page(request, conn, "operator/found.html", "wall", found=found, words_sought=q)
