"""Buses: the state of every line, as the collector counts since the start of the process."""

from dataclasses import fields, is_dataclass
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from starlette.responses import HTMLResponse

from server.store.budgets import budgets_of
from server.store.estates import list_buses
from server.web.deps import Reader, State, need
from server.web.operator.shell import staff_page
from server.web.principal import Principal

router = APIRouter(include_in_schema=False)


def facts_of(status: object) -> dict[str, Any]:
    """The fields of one status value by name."""
    if is_dataclass(status):
        return {field.name: getattr(status, field.name) for field in fields(status)}
    return {}


@router.get("/buses")
def buses(
    request: Request, state: State, conn: Reader, who: Annotated[Principal, Depends(need("bus.view"))]
) -> HTMLResponse:
    """Every line with its settings and counters."""
    live = {str(facts.get("bus_id")): facts for facts in map(facts_of, state.collector.status())}
    replies_ms = {bus_id: facts.get("reply_p50_ms") for bus_id, facts in live.items()}
    found = budgets_of(conn, who.estate_id, factor=state.clock.anchor.factor, replies_ms=replies_ms)
    budgets = {one.bus_id: one for one in found}
    rows = [(bus, live.get(bus["bus_id"], {}), budgets[bus["bus_id"]]) for bus in list_buses(conn, who.estate_id)]
    return staff_page(request, conn, "operator/buses.html", "buses", rows=rows)
