"""The room wall: the page, its tiles as data for changes in place, and the drawer of a household."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response

from server.errors import NotFound
from server.store import wall
from server.store.estates import get_estate
from server.web import i18n, pages
from server.web.deps import Reader, State, need
from server.web.operator import tiles
from server.web.operator.households import drawer_of
from server.web.operator.shell import shell_of, staff_page
from server.web.principal import Principal
from server.web.words import said_in

router = APIRouter(include_in_schema=False)
Viewer = Annotated[Principal, Depends(need("households.list"))]


def _words(request: Request) -> dict[str, str]:
    translations = i18n.translations(pages.language_of(request))
    comma = "，" if pages.language_of(request) == "zh_CN" else ", "
    return {**said_in(translations.gettext)["state_words"], "comma": comma}


@router.get("/wall")
def room_wall(
    request: Request, state: State, conn: Reader, who: Viewer, room: Annotated[str, Query()] = ""
) -> Response:
    """All households as tiles; `room` opens its drawer."""
    estate = pages.facts_from(get_estate(conn, who.estate_id))
    now_s = state.clock.now().world_s
    rows = wall.households(conn, who.estate_id)
    shown = tiles.tiles_of(
        rows, wall.open_case_rooms(conn, who.estate_id), _words(request), now_s, estate.reading_cycle_s
    )
    ages = tiles.ages_of(rows, now_s, estate.reading_cycle_s, pages.formats_of(request, estate).span)
    chosen = next((row for row in rows if row.room_id == room), None)
    return staff_page(
        request,
        conn,
        "operator/wall.html",
        "wall",
        counts=tiles.counts_of(shown),
        states=tiles.STATES,
        buildings=tiles.buildings_of(rows, {tile.account_id: tile for tile in shown}),
        ages=ages,
        age_bar=tiles.age_bar(ages),
        selected=room if chosen else "",
        drawer=drawer_of(request, conn, state, chosen) if chosen else None,
    )


@router.get("/wall/tiles")
def wall_tiles(request: Request, state: State, conn: Reader, who: Viewer) -> JSONResponse:
    """Tiles, counts and ages as they are now."""
    estate = pages.facts_from(get_estate(conn, who.estate_id))
    now_s = state.clock.now().world_s
    rows = wall.households(conn, who.estate_id)
    shown = tiles.tiles_of(
        rows, wall.open_case_rooms(conn, who.estate_id), _words(request), now_s, estate.reading_cycle_s
    )
    ages = tiles.ages_of(rows, now_s, estate.reading_cycle_s, str)
    shell = shell_of(conn, estate, state.clock.now(), state.clock.anchor.factor)
    f = pages.formats_of(request, estate)
    bar = [{"tone": piece.tone, "x": piece.x, "width": piece.width} for piece in tiles.age_bar(ages)]
    return JSONResponse(
        {
            "tiles": [tile.as_json() for tile in shown],
            "counts": tiles.counts_of(shown),
            "ages": {age.name: age.count for age in ages},
            "bar": bar,
            "power": {name: power.figure for name, power in tiles.power_by_building(rows).items()},
            "nav": {
                "supply": shell.counts.cut,
                "cases": shell.counts.cases_open,
                "read": shell.read_said(f),
                "sealed": shell.sealed_said(f),
            },
        }
    )


@router.get("/drawer/{account_id}")
def drawer(request: Request, state: State, conn: Reader, who: Viewer, account_id: str) -> HTMLResponse:
    """What the drawer shows of one household."""
    row = wall.household(conn, who.estate_id, account_id)
    if row is None:
        raise NotFound(f"no household {account_id}")
    return pages.render(request, "operator/drawer.html", drawer=drawer_of(request, conn, state, row))


@router.get("/find")
def find(request: Request, conn: Reader, who: Viewer, q: Annotated[str, Query(max_length=80)] = "") -> Response:
    """One hit opens its household; several are listed."""
    found = wall.find(conn, who.estate_id, q)
    if len(found) == 1:
        return RedirectResponse(f"/households/{found[0].account_id}", 303)
    return staff_page(request, conn, "operator/found.html", "wall", found=found, words_sought=q)
