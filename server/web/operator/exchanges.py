"""Exchanging the meter of a household, or its ratio: the forms, and the registers as people type them."""

from typing import Annotated

from fastapi import APIRouter, Depends, Form, Query, Request
from sqlalchemy import Connection
from starlette.responses import HTMLResponse, RedirectResponse

from server.errors import NotFound, Refused
from server.flows import exchanges
from server.flows.exchanges import NewMeter
from server.store import acceptance as kept
from server.store import wall
from server.store.accounts import meters_of, registers
from server.store.meters import MeterRow
from server.store.unit import Deed
from server.web.deps import Reader, State, need
from server.web.operator.shell import staff_page
from server.web.principal import Principal

router = APIRouter(include_in_schema=False)
Fitter = Annotated[Principal, Depends(need("meter.exchange"))]
Reason = Annotated[str, Form(min_length=1, max_length=1000)]
Kwh = Annotated[str, Form(pattern=r"^\d{1,6}(\.\d{1,2})?$")]
NAMED = r"^\d{0,12}$"
WH_PER_KWH = 1000
HUNDREDTHS = 2


def wh_of(kwh: str) -> int:
    """Wh of a register as people type it: kWh with up to two decimals."""
    whole, _, part = kwh.partition(".")
    return int(whole) * WH_PER_KWH + int(part.ljust(HUNDREDTHS, "0") or "0") * 10


def rates_of(sharp: str, peak: str, flat: str, valley: str) -> tuple[int, int, int, int] | None:
    """Four registers in Wh, or None where none was typed; Refused where only some were."""
    typed = [sharp, peak, flat, valley]
    if not any(typed):
        return None
    if not all(typed):
        raise Refused("give the register of each rate, or of none")
    return wh_of(sharp), wh_of(peak), wh_of(flat), wh_of(valley)


def meter_of(conn: Connection, estate_id: str, account_id: str, meter_id: str) -> MeterRow:
    """The named meter of a household, or its first; NotFound for one that does not feed it."""
    own = meters_of(conn, estate_id, account_id)
    found = next((one for one in own if meter_id in ("", one.meter_id)), None)
    if found is None:
        raise NotFound(f"no meter {meter_id} of household {account_id}")
    return found


@router.get("/households/{account_id}/exchange")
def exchange_page(
    request: Request, conn: Reader, who: Fitter, account_id: str, meter: Annotated[str, Query(pattern=NAMED)] = ""
) -> HTMLResponse:
    """The forms for one of its meters, with the register that is known and the exchanges of before."""
    row = wall.household(conn, who.estate_id, account_id)
    if row is None:
        raise NotFound(f"no household {account_id}")
    return staff_page(
        request,
        conn,
        "operator/exchange.html",
        "readings",
        row=row,
        meter=(chosen := meter_of(conn, who.estate_id, account_id, meter)),
        total_wh=registers(conn, who.estate_id, [chosen.meter_id]).get(chosen.meter_id, (0, chosen.start_wh))[1],
        exchanges=kept.exchanges(conn, who.estate_id, account_id=account_id),
    )


Rate = Annotated[str, Form(pattern=r"^(\d{1,6}(\.\d{1,2})?)?$")]


@router.post("/households/{account_id}/replace")
def replace(
    state: State,
    conn: Reader,
    who: Fitter,
    account_id: str,
    new_meter_id: Annotated[str, Form(pattern=r"^\d{1,12}$")],
    final_kwh: Kwh,
    start_kwh: Kwh,
    reason: Reason,
    final_sharp: Rate = "",
    final_peak: Rate = "",
    final_flat: Rate = "",
    final_valley: Rate = "",
    start_sharp: Rate = "",
    start_peak: Rate = "",
    start_flat: Rate = "",
    start_valley: Rate = "",
    meter_id: Annotated[str, Form(pattern=NAMED)] = "",
) -> RedirectResponse:
    """Close the old meter, open the new one."""
    old = meter_of(conn, who.estate_id, account_id, meter_id)
    new = NewMeter(
        new_meter_id.zfill(12), wh_of(start_kwh), rates_of(start_sharp, start_peak, start_flat, start_valley)
    )
    final_rates_wh = rates_of(final_sharp, final_peak, final_flat, final_valley)
    now = state.clock.now()
    state.writer.run(
        Deed(
            exchanges.replace_meter,
            who.estate_id, old.meter_id, new, final_wh=wh_of(final_kwh), final_rates_wh=final_rates_wh,
            actor=who.login, reason=reason, now=now,
        )
    )  # fmt: skip
    return RedirectResponse(f"/households/{account_id}", 303)


@router.post("/households/{account_id}/ratio")
def ratio(
    state: State,
    conn: Reader,
    who: Fitter,
    account_id: str,
    new_ratio: Annotated[int, Form(ge=1, le=100_000)],
    reason: Reason,
    meter_id: Annotated[str, Form(pattern=NAMED)] = "",
) -> RedirectResponse:
    """Count with the new ratio from the last accepted register on."""
    old = meter_of(conn, who.estate_id, account_id, meter_id)
    now = state.clock.now()
    state.writer.run(
        Deed(exchanges.change_ratio, who.estate_id, old.meter_id, new_ratio, actor=who.login, reason=reason, now=now)
    )
    return RedirectResponse(f"/households/{account_id}", 303)
