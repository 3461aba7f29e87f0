"""Tariffs: versions in force and planned, drafts with their simulation, publishing by two people, re-ratings."""

import json
from collections.abc import Callable
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Form, Request
from sqlalchemy import Connection, RowMapping
from starlette.responses import HTMLResponse, RedirectResponse

from core.tariff import Tariff, TariffVersion, tariff_from_dict
from server.clock import Now
from server.errors import NotFound
from server.flows import approvals as approval_flows
from server.flows import rerating
from server.flows import tariffs as flows
from server.price_lists import price_lists
from server.store import approvals
from server.store import rerating as rerates
from server.store import tariff_drafts as kept
from server.store.comparison import accounts_on
from server.store.estates import get_estate
from server.store.tariffs import load_tariffs
from server.store.unit import Deed
from server.web import i18n, pages
from server.web.api.tariffs import simulation_of
from server.web.deps import Reader, State, need
from server.web.operator.deeds import approved, done, withdrawn
from server.web.operator.rules import instant
from server.web.operator.shell import staff_page
from server.web.operator.tariff_editor import plots_of
from server.web.principal import Principal
from server.web.tariff_words import PriceList, price_list

router = APIRouter(include_in_schema=False)
Viewer = Annotated[Principal, Depends(need("tariff.view"))]
Publisher = Annotated[Principal, Depends(need("tariff.edit", fresh=True))]
Editor = Annotated[Principal, Depends(need("tariff.edit"))]
Document = Annotated[str, Form(max_length=100_000, pattern=r"^[^\x00]+$")]
Text = Annotated[str, Form(max_length=500, pattern=r"^[^\x00]*$")]
DraftId = Annotated[str, Form(max_length=64, pattern=r"^[0-9a-f]*$")]
KINDS = ("tariff", "rerate")
HERE = "/tariffs"
HOUSEHOLDS_SHOWN = 200
Row = tuple[TariffVersion, str, PriceList]


def versions_of(tariff: Tariff, now_s: int, tell: Callable[[TariffVersion], PriceList]) -> list[Row]:
    """Each version with its state: over, in force or to come."""
    begun = [version for version in tariff.versions if version.valid_from_s <= now_s]
    found = []
    for version in tariff.versions:
        state = "to_come" if version not in begun else ("in_force" if version == begun[-1] else "over")
        found.append((version, state, tell(version)))
    return found


def _teller(request: Request, conn: Connection, estate_id: str) -> Callable[[TariffVersion], PriceList]:
    f = pages.formats_of(request, pages.facts_from(get_estate(conn, estate_id)))
    gettext = i18n.translations(pages.language_of(request)).gettext
    return lambda version: price_list(version, f, gettext)


def _all_waiting(conn: Connection, who: Principal, now: Now) -> list[dict[str, Any]]:
    """What waits for a second person, with its payload."""
    found = approvals.waiting(conn, who.estate_id, now.machine_ms)
    return [{"row": row, "payload": json.loads(row["payload"])} for row in found if row["kind"] in KINDS]


def _step(row: RowMapping, now_s: int, waits: list[dict[str, Any]]) -> int:
    """How far a draft is: 2 to be simulated, 3 to be approved, 4 published and still to begin, 5 in force."""
    if row["status"] == "published":
        return 5 if min(json.loads(row["starts"]), default=0) <= now_s else 4
    return 3 if waits or row["simulation"] else 2


@router.get("/tariffs")
def tariffs_page(request: Request, state: State, conn: Reader, who: Viewer) -> HTMLResponse:
    """Everything about prices on one page."""
    now, tell = state.clock.now(), _teller(request, conn, who.estate_id)
    tariffs = sorted(load_tariffs(conn, who.estate_id).items())
    return staff_page(
        request,
        conn,
        "operator/tariffs.html",
        "tariffs",
        tariffs=[
            (one, len(accounts_on(conn, who.estate_id, name)), versions_of(one, now.world_s, tell))
            for name, one in tariffs
        ],
        drafts=kept.newest(conn, who.estate_id),
        rerates=rerates.newest(conn, who.estate_id),
        lists=price_lists(),
        cap=get_estate(conn, who.estate_id)["price_cap_nf_per_wh"],
        approvals=_all_waiting(conn, who, now),
    )


@router.get("/tariffs/drafts/{draft_id}")
def draft_page(request: Request, state: State, conn: Reader, who: Viewer, draft_id: str) -> HTMLResponse:
    """One draft: its document, what it says, what it would have cost."""
    row = kept.get(conn, who.estate_id, draft_id)
    if row is None:
        raise NotFound(f"no draft {draft_id}")
    tariff = tariff_from_dict(json.loads(row["definition"]))
    starts = set(json.loads(row["starts"]))
    rows = versions_of(tariff, state.clock.now().world_s, _teller(request, conn, who.estate_id))
    simulation = simulation_of(row["simulation"])
    homes = [] if simulation is None else simulation.households
    now = state.clock.now()
    waits = [one for one in _all_waiting(conn, who, now) if one["payload"].get("draft_id") == draft_id]
    fresh = [one for one in rows if one[0].valid_from_s in starts]
    known = sorted((one for one in homes if one.known), key=lambda one: -abs(int(one.new_nf) - int(one.old_nf)))
    return staff_page(
        request,
        conn,
        "operator/draft.html",
        "tariffs",
        row=row,
        tariff=tariff,
        versions=fresh,
        plots={one[0]: plots_of(one[0]) for one in fresh},
        approvals=waits,
        step=_step(row, now.world_s, waits),
        simulation=simulation,
        households=known[:HOUSEHOLDS_SHOWN],
        more=max(0, len(known) - HOUSEHOLDS_SHOWN),
        on_it=len(accounts_on(conn, who.estate_id, row["tariff_id"])),
        others=sorted(load_tariffs(conn, who.estate_id)),
    )


def _draft_path(draft_id: str) -> str:
    """The page of a draft; that of all tariffs where none is named."""
    return f"/tariffs/drafts/{draft_id}" if draft_id else HERE


@router.post("/tariffs/drafts/{draft_id}/simulate")
def simulate(state: State, conn: Reader, who: Editor, draft_id: str, of: Text = "") -> RedirectResponse:
    """The last year by the version in force and by the draft."""
    found = flows.simulate(conn, who.estate_id, draft_id, state.clock.now(), of=of or None)
    return done(state, Deed(flows.keep_simulation, who.estate_id, draft_id, found), f"/tariffs/drafts/{draft_id}")


@router.post("/tariffs/drafts/{draft_id}/publish")
def publish(state: State, who: Publisher, draft_id: str) -> RedirectResponse:
    """Ask a second person to publish it."""
    now = state.clock.now()
    return done(
        state,
        Deed(approval_flows.request_publication, who.estate_id, draft_id, actor=who.login, now=now),
        _draft_path(draft_id),
    )


@router.post("/tariffs/drafts/{draft_id}/discard")
def discard(state: State, who: Editor, draft_id: str) -> RedirectResponse:
    """Put it aside."""
    now = state.clock.now()
    return done(state, Deed(flows.discard, who.estate_id, draft_id, actor=who.login, now=now), HERE)


@router.post("/tariffs/rerates")
def rerate(
    state: State, conn: Reader, who: Publisher, document: Document, begin: Text, until: Text, reason: Text
) -> RedirectResponse:
    """Ask a second person to let a span be charged again."""
    zone = get_estate(conn, who.estate_id)["time_zone"]
    now = state.clock.now()
    span = (instant(begin, zone), instant(until, zone))
    planned, found = rerating.plan(conn, who.estate_id, document, *span, reason, now)
    return done(
        state, Deed(approval_flows.request_rerate, who.estate_id, planned, found, actor=who.login, now=now), HERE
    )


@router.post("/tariffs/approve/{approval_id}")
def approve(
    state: State,
    who: Editor,
    approval_id: str,
    payload_sha256: Annotated[str, Form(max_length=64)],
    draft_id: DraftId = "",
) -> RedirectResponse:
    """The second person agrees to exactly the hash that the page showed."""
    return approved(state, who, approval_id, payload_sha256, _draft_path(draft_id), kinds=KINDS)


@router.post("/tariffs/withdraw/{approval_id}")
def withdraw(state: State, who: Editor, approval_id: str, draft_id: DraftId = "") -> RedirectResponse:
    """Take a request back."""
    return withdrawn(state, who, approval_id, _draft_path(draft_id))
