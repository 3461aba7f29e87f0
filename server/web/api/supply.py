"""Lines, meters on demand, and decisions about supply with the checks as they stood."""

import json
from concurrent.futures import CancelledError
from concurrent.futures import TimeoutError as Late
from dataclasses import replace
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query
from pydantic import Field
from sqlalchemy import RowMapping

from core.dlt645.identifiers import KEEP_POWER as KEEP_BIT
from server.domain.budget import TYPICAL_REPLY_MS, Cycles, budget_of, wire_of
from server.domain.keep_power import PROTOCOL
from server.errors import Refused
from server.store import keep_power as kept
from server.store import listing, wall
from server.store.budgets import budgets_of
from server.store.meters import get_meter
from server.web.api.households import Named, OwnMeters, Viewer
from server.web.api.shapes import Budget, Bus, Decision, Shape
from server.web.deps import Reader, State, need
from server.web.principal import Principal

router = APIRouter(prefix="/api/v1", tags=["supply"])
READ_TIMEOUT_S = 30
Span = Annotated[int, Query(ge=1, le=86_400)]
ROWS_MAX = 200


class MeterRead(Shape):
    """A reading that was taken on demand."""

    meter_id: str
    read_at: int
    received_ms: int
    total_wh: int
    rates_wh: tuple[int, int, int, int] | None
    reverse_wh: int | None


class KeepPower(Shape):
    """Keep-power of one meter: it refuses every cut while it is on."""

    meter_id: str
    possible: bool = Field(description="only the protocol of 2007 has the command; else this server alone does not cut")
    state: str | None = Field(description="on or off, as wanted")
    command: str | None = Field(description="queued, sent, accepted, confirmed (read back) or failed (tried again)")
    gen: int | None
    read_at: int | None
    shown: bool | None
    shown_at: int | None


@router.get("/buses", response_model=list[Bus], summary="Lines and their state")
def buses(state: State, conn: Reader, who: Annotated[Principal, Depends(need("bus.view"))]) -> list[Bus]:
    """Every line with its counters since the start of the process, and the budget of its cycle."""
    live = state.collector.status()
    replies_ms = {bus.bus_id: bus.reply_p50_ms for bus in live}
    budgets = budgets_of(conn, who.estate_id, factor=state.clock.anchor.factor, replies_ms=replies_ms)
    known = {budget.bus_id: Budget.model_validate(budget) for budget in budgets}
    found = [Bus.model_validate(bus) for bus in live]
    return [bus.model_copy(update={"budget": known.get(bus.bus_id)}) for bus in found]


@router.get("/buses/budget", response_model=Budget, summary="What a bus would need of its cycle")
def budget(
    who: Annotated[Principal, Depends(need("bus.view"))],
    meters: Annotated[int, Query(ge=1, le=1024)],
    baud: Annotated[int, Query(ge=300, le=115_200)] = 2400,
    parity: Annotated[str, Query(pattern="^[NEO]$")] = "E",
    stop_bits: Annotated[int, Query(ge=1, le=2)] = 1,
    protocol: Annotated[str, Query(pattern="^(2007|1997|modbus)$")] = "2007",
    reading_cycle_s: Span = 900,
    status_cycle_s: Span = 900,
    variables_cycle_s: Span = 3600,
    clock_cycle_s: Span = 21_600,
    reply_ms: Annotated[int, Query(ge=0, le=10_000, description="what the meters take to answer")] = TYPICAL_REPLY_MS,
) -> Budget:
    """Before it is built: so many household meters on a line, read so often."""
    wire = wire_of(baud, parity, stop_bits, reply_ms, 30)
    cycles = Cycles(reading_cycle_s, status_cycle_s, variables_cycle_s, clock_cycle_s)
    return Budget.model_validate(
        budget_of("", replace(wire, reply_ms=reply_ms), cycles, [(protocol, "household")] * meters)
    )


@router.get("/supply/decisions", response_model=list[Decision], summary="Decisions with their evidence")
def decisions(
    conn: Reader,
    who: Annotated[Principal, Depends(need("supply.view"))],
    limit: Annotated[int, Query(ge=1, le=ROWS_MAX)] = 50,
) -> list[Decision]:
    """The newest wishes for relays, newest first."""
    return [_decision(row) for row in listing.supply_decisions(conn, who.estate_id, limit=limit)]


@router.get("/households/{account_id}/keep-power", response_model=KeepPower, summary="Keep-power of its meter")
def keep_power(conn: Reader, who: Viewer, meters: OwnMeters, meter: Named = "") -> KeepPower:
    """What is wanted of one of its meters, and what its status word says.

    Null where nothing is wanted, or was never read.
    """
    own = wall.chosen(meters, meter)
    row = kept.get(conn, who.estate_id, own.meter_id)
    wanted = {name: None if row is None else row[name] for name in ("state", "command", "gen", "read_at")}
    shown = None if own.status3 is None else bool(own.status3 & KEEP_BIT)
    possible = own.protocol == PROTOCOL
    return KeepPower(meter_id=own.meter_id, possible=possible, shown=shown, shown_at=own.status3_at, **wanted)


def _decision(row: RowMapping) -> Decision:
    evidence: Any = json.loads(row["evidence"])
    names = Decision.model_fields.keys() & row.keys()
    return Decision(**{**{name: row[name] for name in names}, "evidence": evidence})


@router.post("/meters/{meter_id}/read", response_model=MeterRead, summary="Read a meter now")
def read_now(
    state: State,
    conn: Reader,
    who: Annotated[Principal, Depends(need("meter.read"))],
    meter_id: Annotated[str, Path(max_length=12)],
) -> MeterRead:
    """Ahead of the cycle; answers when the meter did, or why it did not."""
    meter = get_meter(conn, who.estate_id, meter_id)
    future = state.collector.read_now(meter.meter_id)
    try:
        return MeterRead.model_validate(future.result(READ_TIMEOUT_S))
    except (Late, CancelledError) as error:
        future.cancel()
        raise Refused(f"meter {meter_id} did not answer within {READ_TIMEOUT_S} s; see the state of its bus") from error
