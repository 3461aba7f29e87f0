"""Meters that keep the credit: recharges and how they fare, and the limits and prices in each meter, read back."""

import secrets
from typing import Annotated

from fastapi import APIRouter, Depends, Form, Request
from starlette.responses import HTMLResponse, RedirectResponse

from core.units import parse_price, parse_yuan
from server.domain.local_fee import HAND_TRIES_MIN, LOCAL, SETTINGS, Setting
from server.errors import NotFound, Refused
from server.flows import recharges as flows
from server.store import recharges as kept
from server.store.meters import meter_of_account
from server.store.unit import Deed
from server.web.deps import Reader, State, need
from server.web.formats import yuan
from server.web.i18n import mark as _
from server.web.money import parse_fen
from server.web.operator.meters import household_row
from server.web.operator.rules import yuan_typed
from server.web.operator.shell import staff_page
from server.web.principal import Principal

router = APIRouter(include_in_schema=False)
Orderer = Annotated[Principal, Depends(need("recharge.order"))]
Decider = Annotated[Principal, Depends(need("recharge.decide"))]
Viewer = Annotated[Principal, Depends(need("households.list"))]
Setter = Annotated[Principal, Depends(need("meter.set"))]
Text = Annotated[str, Form(max_length=64, pattern=r"^[^\x00]*$")]
LISTED = 100
PRICE_DECIMALS = 8
SETTING_WORDS = {
    "alarm1_fen": _("First alarm below"),
    "alarm2_fen": _("Second alarm below"),
    "overdraft_fen": _("Overdraft, yuan"),
    "hoard_fen": _("Most that it holds, yuan"),
    "close_allowed_fen": _("Power back above, yuan"),
    "price_sharp_nf_per_wh": _("Price, sharp"),
    "price_peak_nf_per_wh": _("Price, peak"),
    "price_flat_nf_per_wh": _("Price, flat"),
    "price_valley_nf_per_wh": _("Price, valley"),
}


@router.get("/recharges")
def recharges_page(request: Request, state: State, conn: Reader, who: Viewer) -> HTMLResponse:
    """What is on its way into meters first, then the newest, and the households whose meters keep the credit."""
    now = state.clock.now()

    def ordered_at(created_ms: int) -> int:
        return now.world_s - (now.machine_ms - created_ms) * state.clock.anchor.factor // 1000

    rows = kept.recharges_listed(conn, who.estate_id, limit=LISTED)
    return staff_page(
        request,
        conn,
        "operator/recharges.html",
        "payments",
        rows=[(row, ordered_at(row["created_ms"])) for row in rows],
        homes=kept.local_homes(conn, who.estate_id),
        tries_min=HAND_TRIES_MIN,
        now_ms=now.machine_ms,
        order_key=secrets.token_hex(16),
    )


@router.post("/recharges")
def order(
    state: State, who: Orderer, account_id: Text, amount: Text, order_key: Annotated[str, Form(max_length=64)]
) -> RedirectResponse:
    """Take the money off the account and let it go into the meter; the same form twice orders once."""
    now = state.clock.now()
    state.writer.run(
        Deed(
            flows.order_recharge, who.estate_id, account_id, parse_fen(amount), key=order_key, actor=who.login, now=now
        ),
        urgent=True,
    )
    return RedirectResponse("/recharges", 303)


@router.post("/recharges/{recharge_id}/decide")
def decide(
    state: State, who: Decider, recharge_id: str, booked: Annotated[str, Form(pattern="^(yes|no)$")],
    reason: Annotated[str, Form(min_length=1, max_length=500, pattern=r"^[^\x00]+$")],
) -> RedirectResponse:  # fmt: skip
    """What the meter's display shows, where the meter itself could not be asked."""
    now = state.clock.now()
    state.writer.run(
        Deed(
            flows.decide_by_hand,
            who.estate_id,
            recharge_id,
            booked=booked == "yes",
            reason=reason,
            actor=who.login,
            now=now,
        )
    )
    return RedirectResponse("/recharges", 303)


@router.get("/households/{account_id}/meter-settings")
def settings_page(request: Request, conn: Reader, who: Viewer, account_id: str) -> HTMLResponse:
    """Limits and prices of the household's meter: wanted, and as it shows them."""
    row = household_row(conn, who.estate_id, account_id)
    meter = meter_of_account(conn, who.estate_id, account_id)
    if meter.fee != LOCAL:
        raise NotFound(f"meter {meter.meter_id} keeps no credit of its own, so nothing is set in it")
    known = {one["name"]: one for one in kept.settings_of(conn, who.estate_id, meter.meter_id)}
    return staff_page(
        request,
        conn,
        "operator/meter_settings.html",
        "payments",
        row=row,
        settings=[(one, SETTING_WORDS[one.name], known.get(one.name)) for one in SETTINGS.values()],
        said=figure_said,
        typed=figure_typed,
    )


@router.post("/households/{account_id}/meter-settings")
async def want(request: Request, state: State, who: Setter, account_id: str) -> RedirectResponse:
    """Wish what was filled in; a field that is left empty stays as it is."""
    form = await request.form()
    wanted: dict[str, int] = {}
    for name, setting in SETTINGS.items():
        text = str(form.get(name, "")).strip()[:64]
        if text:
            wanted[name] = figure_read(setting, text)
    now = state.clock.now()
    state.writer.run(Deed(flows.want_settings, who.estate_id, account_id, wanted, actor=who.login, now=now))
    return RedirectResponse(f"/households/{account_id}/meter-settings", 303)


def figure_read(setting: Setting, text: str) -> int:
    """A figure as it is typed: yuan, or yuan/kWh for a price; Refused for what is none."""
    try:
        return parse_price(text) if setting.is_price else parse_yuan(text)
    except ValueError as error:
        raise Refused(f"{SETTING_WORDS[setting.name]}: {text!r} cannot be read; write it like 12.34") from error


def figure_typed(setting: Setting, value: int | None) -> str:
    """A figure as it is typed; empty for none."""
    if value is None:
        return ""
    if setting.is_price:
        whole, rest = divmod(value, 10**PRICE_DECIMALS)
        return f"{whole}.{rest:08d}"[:-4]  # a meter's price has four digits behind the point
    return yuan_typed(value)


def figure_said(setting: Setting, value: int | None) -> str:
    """A figure with its unit; a dash for none."""
    if value is None:
        return "—"
    return f"¥{figure_typed(setting, value)}/kWh" if setting.is_price else yuan(value)
