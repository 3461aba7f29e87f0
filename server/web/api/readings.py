"""Held readings and what people decide about them; exchanges of meters and of ratios."""

from collections.abc import Sequence
from typing import Annotated

from fastapi import APIRouter, Depends, Path
from pydantic import Field
from sqlalchemy import RowMapping

from core.units import REGISTER_MODULUS_WH
from server.clock import Now
from server.flows import acceptance, approvals, exchanges
from server.flows.exchanges import NewMeter
from server.store import acceptance as kept
from server.store.acceptance import verdict_of
from server.store.unit import Deed, Unit
from server.web.api.shapes import Reading, Shape
from server.web.deps import Reader, State, need
from server.web.principal import Principal

router = APIRouter(prefix="/api/v1", tags=["readings"])
MeterId = Annotated[str, Path(pattern=r"^\d{12}$")]
Settler = Annotated[Principal, Depends(need("reading.settle"))]
Fitter = Annotated[Principal, Depends(need("meter.exchange"))]
Looker = Annotated[Principal, Depends(need("case.view"))]
Register = Annotated[int, Field(ge=0, lt=REGISTER_MODULUS_WH, strict=True)]
FourRates = tuple[Register, Register, Register, Register]
TEXT = r"^[^\x00]+$"
RATIO_MAX = 100_000


class HeldReading(Reading):
    """A reading that waits for a person, and the register that is accepted instead."""

    room_id: str | None
    account_id: str | None
    accepted_wh: int
    accepted_at: int


class Why(Shape):
    """The reason, which is kept."""

    reason: str = Field(min_length=1, max_length=1000, pattern=TEXT)


class Settled(Shape):
    """What the reading is taken for now; with an `approval_id` it waits for a second person."""

    verdict: str
    approval_id: str = ""


class ReplaceMeter(Why):
    """The registers of both meters at the exchange; what is left out is as it was."""

    final_wh: Register
    final_rates_wh: FourRates | None = None
    at: int | None = None
    new_meter_id: str = Field(pattern=r"^\d{12}$")
    start_wh: Register
    start_rates_wh: FourRates | None = None
    ratio: int | None = Field(None, ge=1, le=RATIO_MAX)
    max_power_w: int | None = Field(None, ge=1)


class ChangeRatio(Why):
    """The new ratio and, if it was read at the exchange, the register from which it counts."""

    ratio: int = Field(ge=1, le=RATIO_MAX)
    base_wh: Register | None = None
    base_rates_wh: FourRates | None = None
    max_power_w: int | None = Field(None, ge=1)


class Exchanged(Shape):
    """An exchange as it was kept."""

    exchange_id: str
    old_meter_id: str
    new_meter_id: str
    install_no: int
    final_wh: int
    start_wh: int
    charged_fen: int


class Exchange(Shape):
    """One exchange of the past."""

    exchange_id: str
    kind: str
    account_id: str
    at: int
    old_meter_id: str
    old_install_no: int
    old_ratio: int
    final_wh: int
    new_meter_id: str
    new_install_no: int
    new_ratio: int
    start_wh: int
    actor: str
    reason: str


def held_of(row: RowMapping) -> HeldReading:
    """The reading with what is accepted."""
    return HeldReading(**{name: row[name] for name in HeldReading.model_fields if name != "final_wh"})


@router.get("/readings/held", response_model=list[HeldReading], summary="Readings that wait for a person")
def held(conn: Reader, who: Looker) -> list[HeldReading]:
    """Held readings that no later accepted one has settled, newest first."""
    return [held_of(row) for row in kept.held(conn, who.estate_id)]


@router.post("/readings/{meter_id}/{read_at}/release", response_model=Settled, summary="Let a held reading count")
def release(state: State, who: Settler, meter_id: MeterId, read_at: int, why: Why) -> Settled:
    """It is charged with the next tick; refused for a register that ran backwards."""
    now = state.clock.now()
    verdict = state.writer.run(
        Deed(acceptance.release, who.estate_id, meter_id, read_at, actor=who.login, reason=why.reason, now=now)
    )
    return Settled(verdict=verdict.value)


@router.post("/readings/{meter_id}/{read_at}/void", response_model=Settled, summary="Say that a reading never counts")
def void(state: State, who: Settler, meter_id: MeterId, read_at: int, why: Why) -> Settled:
    """A held one is never charged; one that was charged is counter-posted, and its neighbours are charged instead."""
    now = state.clock.now()
    asked, verdict = state.writer.run(
        Deed(_void, who.estate_id, meter_id, read_at, actor=who.login, reason=why.reason, now=now, fresh=who.fresh)
    )
    return Settled(verdict=verdict, approval_id=asked)


def _void(
    unit: Unit, estate_id: str, meter_id: str, read_at: int, *, actor: str, reason: str, now: Now, fresh: bool
) -> tuple[str, str]:
    """The request for the second person if it needs one, and the verdict as it stands then."""
    asked = approvals.request_void(unit, estate_id, meter_id, read_at, actor=actor, reason=reason, now=now, fresh=fresh)
    return asked, verdict_of(unit.connection, estate_id, meter_id, read_at)


@router.post("/meters/{meter_id}/replace", response_model=Exchanged, summary="Replace a meter")
def replace(state: State, who: Fitter, meter_id: MeterId, body: ReplaceMeter) -> Exchanged:
    """Charge the old meter up to its final register and go on with the new one."""
    new = NewMeter(body.new_meter_id, body.start_wh, body.start_rates_wh, body.ratio, body.max_power_w)
    now = state.clock.now()
    done = state.writer.run(
        Deed(
            exchanges.replace_meter,
            who.estate_id, meter_id, new, final_wh=body.final_wh, final_rates_wh=body.final_rates_wh, at=body.at,
            actor=who.login, reason=body.reason, now=now,
        )
    )  # fmt: skip
    return Exchanged.model_validate(done)


@router.post("/meters/{meter_id}/ratio", response_model=Exchanged, summary="Change the ratio of a meter")
def ratio(state: State, who: Fitter, meter_id: MeterId, body: ChangeRatio) -> Exchanged:
    """Charge up to the base register with the old ratio and count with the new one from there."""
    now = state.clock.now()
    done = state.writer.run(
        Deed(
            exchanges.change_ratio,
            who.estate_id, meter_id, body.ratio, base_wh=body.base_wh, base_rates_wh=body.base_rates_wh,
            max_power_w=body.max_power_w, actor=who.login, reason=body.reason, now=now,
        )
    )  # fmt: skip
    return Exchanged.model_validate(done)


@router.get("/exchanges", response_model=list[Exchange], summary="Exchanges of meters and ratios")
def list_exchanges(conn: Reader, who: Looker) -> list[Exchange]:
    """All of the estate, oldest first."""
    rows: Sequence[RowMapping] = kept.exchanges(conn, who.estate_id)
    return [Exchange(**{name: row[name] for name in Exchange.model_fields}) for row in rows]
