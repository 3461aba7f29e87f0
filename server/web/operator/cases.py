"""Cases: what the rules found, with figures; somebody takes a case and closes it with a resolution.

Evidence is JSON of integers in project units; the names say the unit, so that each figure is shown with it.
"""

import json
from collections.abc import Callable, Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Form, Query, Request
from sqlalchemy import Connection, RowMapping
from starlette.responses import HTMLResponse, RedirectResponse

from server.domain.anomalies import SERVER_CLOCK
from server.errors import NotFound
from server.flows import cases as flows
from server.store import evidence, wall
from server.store.estates import get_estate
from server.store.household import days
from server.store.meters import find_meter
from server.store.unit import Deed
from server.store.wall import HouseholdRow
from server.web import i18n, pages
from server.web.clock_words import CLOCK_DOUBTS, clock_said
from server.web.deps import Reader, State, at_once_if, need
from server.web.details import detail_said
from server.web.figures import bar_chart
from server.web.formats import Formats, kw_figure, kwh, volts, yuan
from server.web.operator.meters import isolation_of
from server.web.operator.shell import looks_brief, staff_page
from server.web.principal import Principal
from server.web.supply_words import KEEPS
from server.web.words import BILL_OWNERS, BILL_STATES, DIFFERENCES, PAYMENTS, REFUNDS, RELAYS, SALES, STEPS

router = APIRouter(include_in_schema=False)
Viewer = Annotated[Principal, Depends(need("case.view"))]
Handler = Annotated[Principal, Depends(need("case.handle"))]
PERMILLE_PER_PERCENT = 10
WORDED = {
    "keep": KEEPS, "step": STEPS, "wanted": RELAYS, "class": DIFFERENCES, "owner": BILL_OWNERS, "provider": SALES,
    "doubt": CLOCK_DOUBTS, "status": {**PAYMENTS, **REFUNDS, **BILL_STATES}, "state": BILL_STATES,
}  # fmt: skip
TIMES = ("from", "to", "since", "until")


def figure(name: str, value: object, f: Formats) -> str:
    """One figure of the evidence with its unit, by the ending of its name."""
    if name == "reason":
        return detail_said(str(value), f, f.said)
    if isinstance(value, bool) or not isinstance(value, int):
        word = WORDED.get(name, {}).get(str(value))
        return str(value) if word is None else f.said(word)
    if name in TIMES:
        return f.full(value)
    said: dict[str, Callable[[int], str]] = {
        "wh": kwh,
        "fen": yuan,
        "mv": lambda mv: f"{volts(mv)} V",
        "mw": lambda mw: f"{kw_figure(mw)} kW",
        "w": lambda w: f"{kw_figure(w * 1000)} kW",
        "permille": lambda share: f"{share // PERMILLE_PER_PERCENT}.{share % PERMILLE_PER_PERCENT} %",
        "at": f.full,
        "s": f.span,
    }
    return said.get(name.rpartition("_")[2], str)(value)


def proof_of(text: str, f: Formats) -> list[tuple[str, str]]:
    """The evidence as rows of name and figure; lists are counted, not printed."""
    stored: Any = json.loads(text)
    if not isinstance(stored, Mapping):
        return []
    rows = []
    for name, value in stored.items():
        if isinstance(value, list):
            rows.append((name, str(len(value))))
        elif not isinstance(value, Mapping):
            rows.append((name, figure(name, value, f)))
    return rows


@router.get("/cases")
@at_once_if(looks_brief)
def cases_page(
    request: Request, conn: Reader, who: Viewer, status: Annotated[str, Query(pattern="^(all|)$")] = ""
) -> HTMLResponse:
    """Open and acknowledged cases; `status=all` with the closed ones."""
    f = pages.formats_of(request, pages.facts_from(get_estate(conn, who.estate_id)))
    rows = evidence.cases(conn, who.estate_id, with_closed=status == "all")
    listed = [(row, proof_of(row["evidence"], f)[:3]) for row in rows]
    return staff_page(request, conn, "operator/cases.html", "cases", rows=listed, everything=status == "all")


@router.get("/cases/{case_id}")
def case_page(request: Request, conn: Reader, who: Viewer, case_id: str) -> HTMLResponse:
    """One case: evidence, the meter's days, what was done, and the next act."""
    row = evidence.case(conn, who.estate_id, case_id)
    if row is None:
        raise NotFound(f"no case {case_id}")
    f = pages.formats_of(request, pages.facts_from(get_estate(conn, who.estate_id)))
    gettext = i18n.translations(pages.language_of(request)).gettext
    use = days(conn, who.estate_id, row["subject"])
    chart = bar_chart(
        [f.day_of(day.day) for day in use],
        [day.energy_wh for day in use],
        name=gettext("Energy"),
        unit="kWh",
        scale=1000,
        unfinished=len(use) - 1 if use and use[-1].day == f.iso_day(f.now_s) else None,
    )
    rows = _household(conn, who.estate_id, row)
    about = next((one for one in rows if one.meter_id == row["subject"]), None)
    return staff_page(
        request,
        conn,
        "operator/case.html",
        "cases",
        charts=True,
        row=row,
        proof=proof_of(row["evidence"], f),
        clock=clock_said(json.loads(row["evidence"]), f) if row["kind"] == SERVER_CLOCK else None,
        steps=evidence.steps(conn, who.estate_id, case_id),
        household=wall.whole(rows) if rows else None,
        about=about,
        several=len(rows) > 1,
        isolation=None if about is None else isolation_of(conn, who.estate_id, about),
        use_chart=chart if use else None,
    )


def _household(conn: Connection, estate_id: str, case: RowMapping) -> list[HouseholdRow]:
    """Each meter of the household that a case is about: of its room, or that its meter feeds from another room."""
    if not case["room_id"]:
        return []
    rows = wall.meters_of_room(conn, estate_id, case["room_id"])
    if any(one.meter_id == case["subject"] for one in rows):
        return rows
    meter = find_meter(conn, estate_id, case["subject"])
    own = wall.meters_of(conn, estate_id, meter.account_id) if meter is not None and meter.account_id else []
    return own or rows


@router.post("/cases/{case_id}/acknowledge")
def acknowledge(
    state: State, who: Handler, case_id: str, note: Annotated[str, Form(max_length=1000)] = ""
) -> RedirectResponse:
    """Take the case."""
    now = state.clock.now()
    state.writer.run(Deed(flows.acknowledge, who.estate_id, case_id, actor=who.login, note=note, now=now))
    return RedirectResponse(f"/cases/{case_id}", 303)


@router.post("/cases/{case_id}/close")
def close(
    state: State, who: Handler, case_id: str, resolution: Annotated[str, Form(min_length=1, max_length=1000)]
) -> RedirectResponse:
    """Close it, with what was found."""
    now = state.clock.now()
    state.writer.run(Deed(flows.close, who.estate_id, case_id, resolution=resolution, actor=who.login, now=now))
    return RedirectResponse(f"/cases/{case_id}", 303)
