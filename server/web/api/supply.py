"""Lines, meters on demand, and decisions about supply with the checks as they stood."""

import json
from concurrent.futures import CancelledError
from concurrent.futures import TimeoutError as Late
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query
from sqlalchemy import RowMapping

from server.errors import EstateError, Refused
from server.store import listing
from server.store.meters import get_meter
from server.web.api.shapes import Bus, Decision, Shape
from server.web.deps import Reader, State, need
from server.web.principal import Principal

router = APIRouter(prefix="/api/v1", tags=["supply"])
READ_TIMEOUT_S = 30
ROWS_MAX = 200


class MeterRead(Shape):
    """A reading that was taken on demand."""

    meter_id: str
    read_at: int
    received_ms: int
    total_wh: int
    rates_wh: tuple[int, int, int, int] | None
    reverse_wh: int | None


@router.get("/buses", response_model=list[Bus], summary="Lines and their state")
def buses(state: State, who: Annotated[Principal, Depends(need("bus.view"))]) -> list[Bus]:
    """Every line with its counters since the start of the process."""
    return [Bus.model_validate(bus) for bus in state.collector.status()]


@router.get("/supply/decisions", response_model=list[Decision], summary="Decisions with their evidence")
def decisions(
    conn: Reader,
    who: Annotated[Principal, Depends(need("supply.view"))],
    limit: Annotated[int, Query(ge=1, le=ROWS_MAX)] = 50,
) -> list[Decision]:
    """The newest wishes for relays, newest first."""
    return [_decision(row) for row in listing.supply_decisions(conn, who.estate_id, limit=limit)]


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
    except EstateError:
        raise
