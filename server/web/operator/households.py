"""One household from all sides: the drawer of the wall, its page, and a reading on demand."""

import logging
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import CancelledError
from concurrent.futures import TimeoutError as Late
from dataclasses import dataclass, replace
from time import monotonic
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from sqlalchemy import Connection
from starlette.responses import HTMLResponse, Response

from server.domain.local_fee import LOCAL
from server.domain.states import state_of
from server.errors import EstateError
from server.store import household as reads
from server.store import wall
from server.store.archive import newest_end
from server.store.days import with_gaps
from server.store.direct import Row
from server.store.estates import get_estate
from server.store.gaps import gaps_of
from server.store.household import LedgerRow, RelayWish
from server.store.meters import meters_of_account
from server.store.reading_archive import archived_until
from server.store.settlement import months_of
from server.store.wall import HouseholdRow
from server.web import i18n, pages
from server.web.actors import Actors
from server.web.deps import Reader, State, at_once_if, need
from server.web.figures import bar_chart, line_chart
from server.web.formats import Formats, meter_number
from server.web.operator.decisions import Check, checks_of
from server.web.operator.given import waiting_of
from server.web.operator.keep import keep_of
from server.web.operator.meters import MeterLine, Named, lines_of, meters_of_household
from server.web.operator.shell import looks_brief, staff_page
from server.web.operator.tiles import flags_of
from server.web.principal import Principal
from server.web.standing import Standing, charged_of, is_late, meter_today, standing_of, today_of
from server.web.state import WebState
from server.web.status_words import status_said
from server.web.steady import Sane

router = APIRouter(include_in_schema=False)
log = logging.getLogger(__name__)
Viewer = Annotated[Principal, Depends(need("households.list"))]
READ_TIMEOUT_S = 15
SILENT, FAILED = "silent", "failed"
MONTHS = 12


@dataclass(frozen=True, slots=True)
class Drawer:
    """What the drawer shows; `said` is the outcome of what was asked last."""

    row: HouseholdRow
    meters: list[MeterLine]
    state: str
    flags: tuple[str, ...]
    charged_at: int | None
    today_wh: int | None
    question: str
    checks: tuple[Check, ...]
    late: bool
    wishes: list[RelayWish]
    ledger: list[LedgerRow]
    notices: list[Row]
    by: Actors
    said: str = ""
    said_tone: str = ""


def drawer_of(
    request: Request, conn: Connection, state: WebState, rows: Sequence[HouseholdRow], *, sane: bool
) -> Drawer:
    """Gather the drawer of one household; `rows` has each of its meters, `sane`: the clock is steady."""
    row, estate_id = wall.whole(rows), state.estate_id
    estate = pages.facts_from(get_estate(conn, estate_id))
    f = pages.formats_of(request, estate)
    gettext = i18n.translations(pages.language_of(request)).gettext
    meters = [meter_today(conn, estate_id, one) for one in rows]
    question, checks = checks_of(conn, estate_id, row, state.clock.now(), f, gettext, clock_sane=sane)
    return Drawer(
        row,
        lines_of(conn, estate_id, meters, f, estate.reading_cycle_s),
        state_of(row, f.now_s, estate.reading_cycle_s),
        flags_of(row, wall.open_case_rooms(conn, estate_id)),
        charged_of(meters),
        today_of(meters, f),
        question,
        checks,
        is_late(row.reading_at, f.now_s, estate.reading_cycle_s),
        reads.relay_history(conn, estate_id, row.meter_id),
        reads.ledger(conn, estate_id, row.account_id, limit=4),
        list(reads.notices(conn, estate_id, row.account_id, limit=3)),
        Actors(conn, estate_id, gettext),
    )


@router.get("/households/{account_id}")
@at_once_if(looks_brief)
def household_page(
    request: Request, state: State, conn: Reader, who: Viewer, sane: Sane, account_id: str, meter: Named = ""
) -> HTMLResponse:
    """The household's page: where it stands, its chart, ledger, supply, notices, readings, cases.

    Of several meters all are listed, and readings, commands, gaps and keep-power are those of one: `meter`, or the one
    by which the wall shows the household.
    """
    rows = meters_of_household(conn, who.estate_id, account_id)
    row, chosen = wall.whole(rows), wall.chosen(rows, meter)
    estate = pages.facts_from(get_estate(conn, who.estate_id))
    f = pages.formats_of(request, estate)
    gettext = i18n.translations(pages.language_of(request)).gettext
    standing = standing_of(conn, who.estate_id, rows, f)
    ledger = reads.ledger(conn, who.estate_id, account_id)
    notices = reads.notices(conn, who.estate_id, account_id)
    installed = meters_of_account(conn, who.estate_id, account_id)
    rooms = {one.meter_id: one.room_id for one in installed}
    return staff_page(
        request,
        conn,
        "operator/household.html",
        "wall",
        estate=estate,
        charts=True,
        row=row,
        meters=lines_of(conn, who.estate_id, standing.meters, f, estate.reading_cycle_s, rooms),
        named=bool(meter),
        state=state_of(row, f.now_s, estate.reading_cycle_s),
        flags=flags_of(row, wall.open_case_rooms(conn, who.estate_id)),
        standing=standing,
        variables_late=is_late(row.variables_at, f.now_s, estate.reading_cycle_s),
        ledger=ledger,
        archived_at=newest_end(conn, who.estate_id)[1],
        readings_archived_at=archived_until(conn, who.estate_id),
        notices=notices,
        to_give=waiting_of(notices),
        payments=reads.payments(conn, who.estate_id, account_id),
        months=months_of(conn, who.estate_id, account_id, limit=MONTHS),
        cases=_cases(conn, who.estate_id, {row.room_id, *filter(None, rooms.values())}),
        local_fee=installed[0].fee == LOCAL,
        use_chart=use_chart(standing, f.day_of, gettext("Energy")),
        balance_chart=balance_chart(ledger, row, f, gettext),
        **_of_meter(request, conn, state, chosen, f, estate.reading_cycle_s, sane=sane, alone=len(rows) > 1),
    )


def _cases(conn: Connection, estate_id: str, rooms: set[str]) -> list[Row]:
    """Cases about the rooms in which its meters hang, newest first."""
    found = [case for room_id in sorted(rooms) for case in reads.cases_of_room(conn, estate_id, room_id)]
    return sorted(found, key=lambda case: int(case["opened_ms"]), reverse=True)


def _of_meter(
    request: Request, conn: Connection, state: WebState, row: HouseholdRow, f: Formats, cycle_s: int, *,
    sane: bool, alone: bool,
) -> dict[str, Any]:  # fmt: skip
    """What the page shows of one meter; `sane`: the clock is steady; `alone`: no checks of its others."""
    estate_id, gettext = state.estate_id, i18n.translations(pages.language_of(request)).gettext
    question, checks = checks_of(conn, estate_id, row, state.clock.now(), f, gettext, clock_sane=sane, alone=alone)
    return {
        "chosen": row,
        "question": question,
        "checks": checks,
        "wishes": reads.relay_history(conn, estate_id, row.meter_id),
        "readings": reads.readings(conn, estate_id, row.meter_id),
        "status": status_said(row.status3, pages.language_of(request)),
        "keep": keep_of(conn, estate_id, row),
        "gaps": gaps_of(conn, estate_id, row.meter_id, f.now_s, cycle_s),
    }


def use_chart(standing: Standing, day_of: object, name: str) -> dict[str, object]:
    """Energy by day; today's unfinished bar is pale, and a day that no reading tells has none."""
    days = with_gaps(standing.days)
    labels = [day_of(day) for day, _ in days]  # type: ignore[operator]
    unfinished = len(labels) - 1 if standing.today_wh is not None else None
    return bar_chart(labels, [wh for _, wh in days], name=name, unit="kWh", scale=1000, unfinished=unfinished)


def balance_chart(ledger: list[LedgerRow], row: HouseholdRow, f: object, gettext: object) -> dict[str, object]:
    """The balance after each line, oldest first, with the lines at which something happens."""
    lines = list(reversed(ledger))
    marks = [(row.alarm2_fen, gettext("Very low")), (-row.overdraft_fen, gettext("Cut at"))]  # type: ignore[operator]
    return line_chart(
        [f.moment(line.event_at) for line in lines],  # type: ignore[attr-defined]
        [line.balance_after_fen for line in lines],
        name=gettext("Balance"),  # type: ignore[operator]
        unit="¥",
        scale=100,
        lines=marks,
        step=True,
    )


@router.post("/households/{account_id}/read")
def read_now(
    request: Request,
    state: State,
    conn: Reader,
    who: Annotated[Principal, Depends(need("meter.read"))],
    sane: Sane,
    account_id: str,
) -> Response:
    """Read its meters ahead of the cycle and show the drawer with the outcome."""
    rows = meters_of_household(conn, who.estate_id, account_id)
    gettext = i18n.translations(pages.language_of(request)).gettext
    said, tone = read_said(read_together(state, rows), len(rows), gettext)
    drawer = drawer_of(request, conn, state, meters_of_household(conn, who.estate_id, account_id), sane=sane)
    return pages.render(request, "operator/drawer.html", drawer=replace(drawer, said=said, said_tone=tone))


def read_together(state: WebState, rows: Sequence[HouseholdRow]) -> dict[str, str]:
    """Read these meters at once; which of them gave nothing: silent, or failed."""
    asked = {row.meter_id: state.collector.read_now(row.meter_id) for row in rows}
    ends_s, without = monotonic() + READ_TIMEOUT_S, dict[str, str]()
    for meter_id, future in asked.items():
        try:
            future.result(max(0.0, ends_s - monotonic()))
        except (Late, CancelledError):
            future.cancel()
            without[meter_id] = SILENT
        except EstateError as error:
            log.info("reading %s on demand failed: %s", meter_id, error)
            without[meter_id] = FAILED
    return without


def read_said(without: Mapping[str, str], meters: int, gettext: Callable[[str], str]) -> tuple[str, str]:
    """The outcome of a reading on demand in words, and its tone; of several meters those are named that gave none."""
    if not without and meters == 1:
        return gettext("The meter has answered; the figures above follow within seconds."), ""
    if not without:
        return gettext("All meters have answered; the figures above follow within seconds."), ""
    if meters == 1 and SILENT in without.values():
        return gettext("The meter did not answer within 15 s. The last known figures stay."), "warn"
    if meters == 1:
        return gettext("The meter could not be read. The last known figures stay."), "warn"
    numbers = ", ".join(map(meter_number, without))
    return gettext("Not read: %(numbers)s. Their last known figures stay.") % {"numbers": numbers}, "warn"
