"""Supply: mode, red button, breaker, what waits for a second person, and every household with its checks."""

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Form, Request
from starlette.responses import HTMLResponse, RedirectResponse

from server.domain.supply import trips_allowed
from server.flows import approvals as approval_flows
from server.flows import bulk_stop
from server.flows import supply as supply_flows
from server.flows.estate_switches import outdated_because
from server.store import approvals, isolation, outages, statistics, wall
from server.store import bulk_cut as bulk_rows
from server.store import supply as kept
from server.store.commands import newest_commands
from server.store.direct import Row
from server.store.estates import get_estate
from server.store.unit import Deed
from server.web import i18n, pages
from server.web.check_words import LEFT_OUT
from server.web.deps import Reader, State, need
from server.web.figures import token_bar
from server.web.operator.bulk import entries_said
from server.web.operator.commands import ways_of
from server.web.operator.decisions import COLUMNS, told_once, verdicts_of
from server.web.operator.deeds import approved, done, withdrawn
from server.web.operator.meters import NamedInForm, meters_of_household
from server.web.operator.payments import KINDS as PAYMENT_KINDS
from server.web.operator.shell import households_of, staff_page
from server.web.operator.today import midnight_s
from server.web.principal import Principal

router = APIRouter(include_in_schema=False)
HOUR_S = 3600
HOUR_PERMILLE, DAY_PERMILLE = 10, 30
ROWS_MAX = 100
HERE = "/supply"
BULK_CUTS_SHOWN = 3
COMMANDS_SHOWN = 20
MODES = ("observe", "dry_run", "armed")
DAY_MINUTES = 1440
ELSEWHERE = ("tariff", "rerate", *PAYMENT_KINDS)  # approved on pages of their own

Changer = Annotated[Principal, Depends(need("supply.mode"))]
Reason = Annotated[str, Form(max_length=200)]


def _payload(request: Request, estate: pages.EstateFacts, row: Row, site: Row) -> dict[str, Any]:
    payload = json.loads(row["payload"])
    candidates = payload.get("candidates", [])
    return {
        "row": row,
        "payload": payload,
        "outdated": outdated_because(row, site),
        "entries": entries_said(request, estate, payload) if row["kind"] == "bulk_edit" else [],
        "left": _left_said(request, payload) if row["kind"] == "bulk_cut" else [],
        "candidates": len(candidates) if isinstance(candidates, list) else candidates,
    }


def _left_said(request: Request, payload: Mapping[str, Any]) -> list[tuple[str, str]]:
    """(room, why not) of the households that a bulk cut leaves out."""
    gettext = i18n.translations(pages.language_of(request)).gettext
    return [
        (entry["room"] or entry["account"], gettext(LEFT_OUT.get(entry["because"], entry["because"])))
        for entry in payload["left"]
    ]


@router.get("/supply")
def supply_page(
    request: Request,
    state: State,
    conn: Reader,
    who: Annotated[Principal, Depends(need("supply.view"))],
    room: str = "",
) -> HTMLResponse:
    """Who would be cut and who not, with the reason of each; `room` is shown with all its checks."""
    site = get_estate(conn, who.estate_id)
    estate = pages.facts_from(site)
    f = pages.formats_of(request, estate)
    now = state.clock.now()
    gettext = i18n.translations(pages.language_of(request)).gettext
    rows = {row.account_id: row for row in households_of(request).rows}
    accounts = kept.overdrawn_accounts(conn, who.estate_id)[:ROWS_MAX]
    holders = {account: rows[account].holder for account in accounts if account in rows}
    sane = state.clock_sane()
    verdicts = verdicts_of(conn, who.estate_id, accounts, now, f, gettext, holders, clock_sane=sane)
    chosen = next((one for one in rows.values() if one.room_id == room), None)
    listed = verdicts_of(conn, who.estate_id, [chosen.account_id], now, f, gettext, clock_sane=sane) if chosen else []
    asked = [
        _payload(request, estate, row, site)
        for row in approvals.waiting(conn, who.estate_id, now.machine_ms)
        if row["kind"] not in ELSEWHERE
    ]
    hour_max = trips_allowed(len(rows), estate.trips_per_hour_max, HOUR_PERMILLE)
    day_max = trips_allowed(len(rows), estate.trips_per_day_max, DAY_PERMILLE)
    hour = statistics.trips_since(conn, who.estate_id, now.world_s - HOUR_S)
    day = statistics.trips_since(conn, who.estate_id, now.world_s - 24 * HOUR_S)
    return staff_page(
        request,
        conn,
        "operator/supply.html",
        "supply",
        modes=MODES,
        heads=[gettext(head) for head, _ in COLUMNS],
        cuts=[one for one in verdicts if one.allowed],
        keeps=[one for one in verdicts if not one.allowed],
        proof=replace(listed[0], checks=tuple(told_once(listed))) if listed else None,
        approvals=asked,
        waits={one["row"]["kind"] for one in asked if not one["outdated"]},
        isolations=isolation.isolations(conn, who.estate_id),
        quarantined=len(outages.quarantined_accounts(conn, who.estate_id)),
        bulk_cuts=[
            (row, bulk_rows.counts(conn, who.estate_id, row["bulk_id"]))
            for row in bulk_rows.newest(conn, who.estate_id, limit=BULK_CUTS_SHOWN)
        ],
        off=[row for row in rows.values() if row.relay in ("open", "permitted")],
        commands=ways_of(newest_commands(conn, who.estate_id, limit=COMMANDS_SHOWN)),
        hour=hour,
        hour_max=hour_max,
        hour_bar=token_bar(hour, hour_max),
        day=day,
        day_max=day_max,
        day_bar=token_bar(day, day_max),
        minute=(now.world_s - midnight_s(now.world_s, estate.time_zone)) // 60,
        windows=windows_of(estate.protected_from_min, estate.protected_to_min),
    )


def windows_of(from_min: int, to_min: int) -> list[tuple[int, int, bool]]:
    """The day in pieces (start, end, protected), in minutes."""
    if from_min == to_min:
        return [(0, DAY_MINUTES, False)]
    if from_min < to_min:
        pieces = [(0, from_min, False), (from_min, to_min, True), (to_min, DAY_MINUTES, False)]
    else:
        pieces = [(0, to_min, True), (to_min, from_min, False), (from_min, DAY_MINUTES, True)]
    return [piece for piece in pieces if piece[1] > piece[0]]


@router.post("/supply/stop")
def stop(state: State, who: Annotated[Principal, Depends(need("supply.stop"))]) -> RedirectResponse:
    """The red button: at once, without a question."""
    now = state.clock.now()
    return done(state, Deed(supply_flows.stop_all, who.estate_id, actor=who.login, now=now), HERE, urgent=True)


@router.post("/supply/mode")
def mode(state: State, who: Changer, mode: Annotated[str, Form(max_length=20)]) -> RedirectResponse:
    """One step up is a request to a second person, a step down acts at once."""
    now = state.clock.now()
    return done(state, Deed(approval_flows.request_mode, who.estate_id, mode, actor=who.login, now=now), HERE)


@router.post("/supply/start-again")
def start_again(state: State, who: Changer) -> RedirectResponse:
    """Ask to end the stop."""
    now = state.clock.now()
    return done(state, Deed(approval_flows.request_start_again, who.estate_id, actor=who.login, now=now), HERE)


@router.post("/supply/breaker")
def breaker(state: State, who: Changer, reason: Reason) -> RedirectResponse:
    """Ask to close the breaker."""
    now = state.clock.now()
    return done(
        state, Deed(approval_flows.request_breaker_reset, who.estate_id, actor=who.login, reason=reason, now=now), HERE
    )


@router.post("/supply/approve/{approval_id}")
def approve(
    state: State, who: Changer, approval_id: str, payload_sha256: Annotated[str, Form(max_length=64)]
) -> RedirectResponse:
    """The second person agrees to exactly the hash that the page showed."""
    return approved(state, who, approval_id, payload_sha256, HERE)


@router.post("/supply/withdraw/{approval_id}")
def withdraw(state: State, who: Changer, approval_id: str) -> RedirectResponse:
    """Take a request back."""
    return withdrawn(state, who, approval_id, HERE)


@router.post("/supply/restore")
def restore(state: State, who: Annotated[Principal, Depends(need("supply.close"))], reason: Reason) -> RedirectResponse:
    """Power back for everybody who is dark for arrears, and the red button with it."""
    now = state.clock.now()
    return done(
        state, Deed(supply_flows.restore_all, who.estate_id, actor=who.login, reason=reason, now=now), HERE, urgent=True
    )


@router.post("/supply/bulk-cut")
def bulk_cut(state: State, conn: Reader, who: Changer, reason: Reason) -> RedirectResponse:
    """Ask to cut in waves whom a limit has quarantined."""
    accounts = outages.quarantined_accounts(conn, who.estate_id)
    now, sane = state.clock.now(), state.clock_sane()
    return done(
        state,
        Deed(
            approval_flows.request_bulk_cut,
            who.estate_id,
            accounts,
            actor=who.login,
            reason=reason,
            now=now,
            clock_sane=sane,
        ),
        HERE,
    )


@router.post("/supply/bulk-cut/{bulk_id}/stop")
def stop_bulk_cut(
    state: State, who: Annotated[Principal, Depends(need("supply.stop"))], bulk_id: str, reason: Reason = ""
) -> RedirectResponse:
    """Stop a bulk cut at once."""
    now = state.clock.now()
    return done(
        state, Deed(bulk_stop.stop, who.estate_id, bulk_id, reason=reason, actor=who.login, now=now), HERE, urgent=True
    )


@router.post("/households/{account_id}/close")
def close_relay(
    state: State,
    conn: Reader,
    who: Annotated[Principal, Depends(need("supply.close"))],
    account_id: str,
    reason: Reason,
    meter: NamedInForm = "",
) -> RedirectResponse:
    """Give one meter its power back by hand, with a reason."""
    row = wall.chosen(meters_of_household(conn, who.estate_id, account_id), meter)
    now = state.clock.now()
    state.writer.run(
        Deed(supply_flows.close_by_hand, who.estate_id, row.meter_id, actor=who.login, reason=reason, now=now),
        urgent=True,
    )
    return RedirectResponse(f"/households/{account_id}" + (f"?meter={meter}" if meter else ""), 303)
