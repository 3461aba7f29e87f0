"""Costs of shared areas at the console: areas of rooms, a dry run, posting, and taking back."""

import re
from dataclasses import dataclass
from typing import Annotated, Any
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Depends, Form, Query, Request
from starlette.responses import HTMLResponse, RedirectResponse

from server.domain.allocation import BASES, EQUAL, SPREAD, VACANT_RULES, Plan, Wish
from server.errors import NotFound, Refused
from server.flows import allocations as flow
from server.store import allocations as kept
from server.store import settlement as closes
from server.store.estates import get_estate
from server.store.unit import Deed
from server.web import pages
from server.web.deps import Reader, State, need
from server.web.money import parse_fen
from server.web.operator.exchanges import wh_of
from server.web.operator.shell import staff_page
from server.web.principal import Principal
from server.web.shared_words import cost_said, share_said, weight_said
from server.web.state import WebState

router = APIRouter(include_in_schema=False)
Viewer = Annotated[Principal, Depends(need("settlement.view"))]
Sharer = Annotated[Principal, Depends(need("allocation.post"))]
LISTED = 60
SHOWN = 100
MONTHS = 24
AREA = re.compile(r"(\S{1,60})[\s,;]+(\d{1,6})(?:\.(\d{1,2}))?")
CM2_PER_M2, CM2_PER_HUNDREDTH = 10_000, 100
PRICE = re.compile(r"(\d{1,2})(?:\.(\d{1,8}))?")
NANOFEN_DIGITS = 8


@dataclass(frozen=True, slots=True)
class Typed:
    """What stands in the form, as people type it; it becomes a wish."""

    period: str = ""
    subject: str = ""
    basis: str = EQUAL
    source: str = "amount"  # amount | energy | gates
    amount: str = ""
    energy: str = ""
    known: str = ""
    price: str = ""
    vacant: str = SPREAD

    def wish(self) -> Wish:
        """Refused for what cannot be read."""
        if self.source == "amount":
            return Wish(
                self.period, self.subject.strip(), self.basis, amount_fen=parse_fen(self.amount), vacant=self.vacant
            )
        price = price_nf(self.price)
        if self.source == "energy":
            energy_wh = kwh_typed(self.energy)
            return Wish(self.period, self.subject.strip(), self.basis, None, energy_wh, price, vacant=self.vacant)
        known_wh = kwh_typed(self.known or "0")
        return Wish(self.period, self.subject.strip(), self.basis, None, None, price, True, known_wh, self.vacant)


Text = Annotated[str, Form(max_length=100)]


def typed(
    period: Text, subject: Text, basis: Text = EQUAL, source: Text = "amount", amount: Text = "", energy: Text = "",
    known: Text = "", price: Text = "", vacant: Text = SPREAD,
) -> Typed:  # fmt: skip
    """The fields of the form."""
    return Typed(period, subject, basis, source, amount, energy, known, price, vacant)


Fields = Annotated[Typed, Depends(typed)]


def kwh_typed(text: str) -> int:
    """Wh of an energy as people type it; Refused otherwise."""
    if not re.fullmatch(r"\d{1,9}(\.\d{1,2})?", text.strip()):
        raise Refused(f"{text!r} is no energy; write kWh with up to two decimals")
    return wh_of(text.strip())


def price_nf(text: str) -> int:
    """A price in nanofen per Wh from yuan per kWh; Refused otherwise."""
    found = PRICE.fullmatch(text.strip())
    if not found:
        raise Refused(f"{text!r} is no price; write yuan per kWh with up to eight decimals")
    return int(found[1] + (found[2] or "").ljust(NANOFEN_DIGITS, "0"))


def areas_typed(text: str) -> dict[str, int]:
    """Areas in cm2 by room from lines of room and m2; Refused naming the line that is none."""
    found: dict[str, int] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        parts = AREA.fullmatch(line.strip())
        if not parts:
            raise Refused(f"line {number}: write a room and its area in m2, such as 1-0101 88.5")
        found[parts[1]] = int(parts[2]) * CM2_PER_M2 + int((parts[3] or "").ljust(2, "0")) * CM2_PER_HUNDREDTH
    return found


def _page(
    request: Request, state: WebState, conn: Reader, who: Principal, form: Typed, plan: Plan | None, refusal: str = ""
) -> HTMLResponse:
    months = closes.settlements(conn, who.estate_id, "month", limit=MONTHS, newest_first=True)
    rooms = kept.rooms(conn, who.estate_id)
    stays = kept.stays(conn, who.estate_id, ZoneInfo(get_estate(conn, who.estate_id)["time_zone"]))
    return staff_page(
        request,
        conn,
        "operator/shared.html",
        "closing",
        months=[one.period for one in months],
        allocations=kept.allocations(conn, who.estate_id, limit=LISTED),
        counts=kept.counts(conn, who.estate_id),
        bases=BASES,
        vacant_rules=VACANT_RULES,
        form=form,
        plan=plan,
        shares=[] if plan is None else plan.shares[:SHOWN],
        room_of={one.account_id: one.room_id for one in stays},
        weight_said=weight_said,
        known_areas=sum(1 for row in rooms if row["area_cm2"] is not None),
        rooms=len(rooms),
        refusal=refusal,
    )


@router.get("/shared")
def shared_page(request: Request, state: State, conn: Reader, who: Viewer) -> HTMLResponse:
    """What was shared, and the form for more."""
    return _page(request, state, conn, who, Typed(), None)


@router.post("/shared/draft")
def draft(request: Request, state: State, conn: Reader, who: Sharer, form: Fields) -> HTMLResponse:
    """The dry run: every share as it would be posted, or why it cannot be."""
    try:
        return _page(request, state, conn, who, form, flow.draft(conn, who.estate_id, form.wish()))
    except Refused as error:
        return _page(request, state, conn, who, form, None, str(error))


@router.post("/shared")
def post(state: State, who: Sharer, form: Fields) -> RedirectResponse:
    """Post it to the households' shared ledgers."""
    now, wish = state.clock.now(), form.wish()
    found = state.writer.run(Deed(flow.post, who.estate_id, wish, actor=who.login, now=now))
    return RedirectResponse(f"/shared/{found.allocation_id}", 303)


@router.post("/shared/areas")
def areas(state: State, who: Sharer, lines: Annotated[str, Form(max_length=60_000)]) -> RedirectResponse:
    """Set the areas of rooms from lines of a table."""
    now, found = state.clock.now(), areas_typed(lines)
    state.writer.run(Deed(flow.set_areas, who.estate_id, found, actor=who.login, now=now))
    return RedirectResponse("/shared", 303)


@router.get("/shared/{allocation_id}")
def one_page(
    request: Request,
    conn: Reader,
    who: Viewer,
    allocation_id: str,
    after: Annotated[str, Query(max_length=200, pattern=r"^[^\x00]*$")] = "",
) -> HTMLResponse:
    """One posted cost with all shares, page by page."""
    row = kept.get_allocation(conn, who.estate_id, allocation_id)
    if row is None:
        raise NotFound(f"no allocation {allocation_id}")
    found = kept.shares(conn, who.estate_id, allocation_id, after=after, limit=SHOWN + 1)
    f = pages.formats_of(request, pages.facts_from(get_estate(conn, who.estate_id)))
    shares = [(share, share_said(_joined(row, share), f)) for share in found[:SHOWN]]
    following = found[SHOWN - 1]["account_id"] if len(found) > SHOWN else ""
    return staff_page(
        request, conn, "operator/shared_cost.html", "closing", row=row, shares=shares, following=following,
        cost_said=cost_said,
    )  # fmt: skip


def _joined(row: Any, share: Any) -> dict[str, Any]:
    return {**row, "weight": share["weight"], "share_fen": share["amount_fen"]}


@router.post("/shared/{allocation_id}/reverse")
def reverse(
    state: State, who: Sharer, allocation_id: str, reason: Annotated[str, Form(min_length=1, max_length=1000)]
) -> RedirectResponse:
    """Post the same lines with the other sign."""
    now = state.clock.now()
    state.writer.run(Deed(flow.reverse, who.estate_id, allocation_id, reason=reason, actor=who.login, now=now))
    return RedirectResponse(f"/shared/{allocation_id}", 303)
