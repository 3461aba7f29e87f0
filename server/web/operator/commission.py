"""Commissioning at the console: find the meters of a bus, name their rooms, check, take them in.

    found (a search beside the schedule) -> named (one form) -> checked (read again, nothing written) -> installed

What is checked is read again at the moment of installing, and that register is where charging begins.
"""

from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from fastapi import Form as Written
from starlette.datastructures import FormData
from starlette.responses import HTMLResponse, RedirectResponse, Response

from server.domain.nameplates import CHARS_MAX, addresses_in
from server.errors import NotFound, Refused
from server.flows.estates import install_meters
from server.store.estates import list_buildings, list_buses
from server.store.meters import list_meters
from server.store.tariffs import load_tariffs
from server.store.unit import Deed
from server.web.deps import Reader, State, need
from server.web.operator.shell import staff_page
from server.web.operator.wanted import Wanted, problems_of, wanted_in
from server.web.principal import Principal
from server.web.state import FoundView, SearchesView, SearchView, WebState

router = APIRouter(include_in_schema=False)
Installer = Annotated[Principal, Depends(need("meter.install"))]


async def form_of(request: Request) -> FormData:
    """The form with its fields by meter."""
    return await request.form()


Form = Annotated[FormData, Depends(form_of)]


@dataclass(frozen=True, slots=True)
class Row:
    """One meter that was found: what it is, where it is installed already, and what a person wants of it."""

    meter: FoundView
    installed: str
    wanted: Wanted | None = None
    register_wh: int | None = None
    rates_wh: tuple[int, ...] = ()
    problems: tuple[str, ...] = ()


@router.get("/buses/{bus_id}/search")
def search_page(request: Request, state: State, conn: Reader, who: Installer, bus_id: str) -> HTMLResponse:
    """The search of a bus as it stands, with a form for every new meter."""
    return _page(request, state, conn, who, bus_id, None)


@router.post("/buses/{bus_id}/search")
def start(
    request: Request,
    state: State,
    conn: Reader,
    who: Installer,
    bus_id: str,
    addresses: Annotated[str, Written(max_length=CHARS_MAX)] = "",
) -> Response:
    """Begin a search; `addresses` of nameplates are asked first, and what is no such number is said at its field."""
    _bus(conn, who, bus_id)
    try:
        numbers = addresses_in(addresses)
    except Refused as problem:
        return _page(request, state, conn, who, bus_id, None, wrote=addresses, problem=str(problem))
    _searches(state).start(bus_id, numbers)
    return RedirectResponse(f"/buses/{bus_id}/search", 303)


@router.post("/buses/{bus_id}/search/end")
def end(state: State, conn: Reader, who: Installer, bus_id: str) -> RedirectResponse:
    """End it; what was found is kept."""
    _bus(conn, who, bus_id)
    _searches(state).end(bus_id)
    return RedirectResponse(f"/buses/{bus_id}/search", 303)


@router.post("/buses/{bus_id}/install/check")
def check(request: Request, state: State, conn: Reader, who: Installer, bus_id: str, form: Form) -> HTMLResponse:
    """Read every meter that was named again and say what is wrong; nothing is written."""
    return _page(request, state, conn, who, bus_id, form)


@router.post("/buses/{bus_id}/install")
def install(state: State, conn: Reader, who: Installer, bus_id: str, form: Form) -> RedirectResponse:
    """Take in what was checked; all of it or nothing."""
    rows = [row for row in _rows(state, conn, who, bus_id, form) if row.wanted is not None]
    wrong = [problem for row in rows for problem in row.problems]
    if wrong or not rows:
        raise Refused("; ".join(wrong) or "no meter was named")
    homes = [
        row.wanted.household(row.meter, bus_id, row.register_wh, row.rates_wh) for row in rows if row.wanted is not None
    ]
    rooms = [row.wanted.room() for row in rows if row.wanted is not None]
    now = state.clock.now()
    state.writer.run(Deed(install_meters, who.estate_id, rooms, homes, actor=who.login, now=now), urgent=True)
    return RedirectResponse(f"/buses/{bus_id}/search?installed={len(homes)}", 303)


def _page(
    request: Request, state: WebState, conn: Any, who: Principal, bus_id: str, form: FormData | None, *,
    wrote: str = "", problem: str = "",
) -> HTMLResponse:  # fmt: skip
    bus = _bus(conn, who, bus_id)
    search = _searches(state).of(bus_id)
    rows = _rows(state, conn, who, bus_id, form)
    chosen = [row for row in rows if row.wanted is not None]
    return staff_page(
        request, conn, "operator/search.html", "buses", bus=bus, search=search, rows=rows, checked=form is not None,
        chosen=len(chosen), ready=bool(chosen) and not any(row.problems for row in rows),
        buildings=list_buildings(conn, who.estate_id), tariffs=sorted(load_tariffs(conn, who.estate_id).values(),
                                                                       key=lambda one: one.tariff_id),
        installed=request.query_params.get("installed", ""), problem=problem,
        wrote=wrote or " ".join(search.addresses if search is not None else ()), status_code=422 if problem else 200,
    )  # fmt: skip


def _rows(state: WebState, conn: Any, who: Principal, bus_id: str, form: FormData | None) -> list[Row]:
    """Every meter that was found; with a form, what is wanted of it, its register now, and what is wrong."""
    search = _searches(state).of(bus_id)
    known = {row.meter_id: row.room_id or row.kind for row in list_meters(conn, who.estate_id)}
    units = {row.unit: row.room_id or row.kind for row in list_meters(conn, who.estate_id) if row.bus_id == bus_id}
    rows: list[Row] = []
    taken: set[str] = set()
    for meter in search.meters if search is not None else ():
        is_unit = meter.protocol == "modbus"
        installed = (units.get(int(meter.address)) if is_unit else known.get(meter.address)) or ""
        wanted = wanted_in(form, meter) if form is not None and not installed else None
        if wanted is None:
            rows.append(Row(meter, installed))
            continue
        register_wh, rates_wh = _searches(state).registers_wh(bus_id, meter)
        problems = problems_of(conn, who.estate_id, wanted, meter, register_wh, rates_wh, taken)
        taken |= {wanted.room_id, wanted.meter_id}
        rows.append(Row(meter, "", wanted, register_wh, rates_wh, tuple(problems)))
    return rows


def _bus(conn: Any, who: Principal, bus_id: str) -> Any:
    bus = next((one for one in list_buses(conn, who.estate_id) if one["bus_id"] == bus_id), None)
    if bus is None:
        raise NotFound(f"there is no bus {bus_id!r} in this estate")
    return bus


def _searches(state: WebState) -> SearchesView:
    if state.searches is None:
        raise Refused("this server does not read meters; ask the one with collect = true")
    return state.searches


__all__ = ["SearchView", "router"]
