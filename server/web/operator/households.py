"""One household from all sides: the drawer of the wall, its page, and a reading on demand."""

import logging
from concurrent.futures import CancelledError
from concurrent.futures import TimeoutError as Late
from dataclasses import dataclass, replace
from typing import Annotated

from fastapi import APIRouter, Depends, Request
from sqlalchemy import Connection
from starlette.responses import HTMLResponse, Response

from server.domain.local_fee import LOCAL
from server.domain.states import state_of
from server.errors import EstateError, NotFound
from server.store import household as reads
from server.store import wall
from server.store.archive import newest_end
from server.store.days import with_gaps
from server.store.direct import Row
from server.store.estates import get_estate
from server.store.gaps import gaps_of
from server.store.household import LedgerRow, RelayWish
from server.store.isolation import Isolation, isolations
from server.store.meters import meter_of_account
from server.store.reading_archive import archived_until
from server.store.settlement import months_of
from server.store.wall import HouseholdRow
from server.web import i18n, pages
from server.web.actors import Actors
from server.web.deps import Reader, State, need
from server.web.figures import bar_chart, line_chart
from server.web.operator.decisions import Check, checks_of
from server.web.operator.given import waiting_of
from server.web.operator.keep import keep_of
from server.web.operator.shell import staff_page
from server.web.operator.tiles import flags_of
from server.web.principal import Principal
from server.web.standing import Standing, is_late, standing_of
from server.web.state import WebState
from server.web.status_words import status_said

router = APIRouter(include_in_schema=False)
log = logging.getLogger(__name__)
Viewer = Annotated[Principal, Depends(need("households.list"))]
READ_TIMEOUT_S = 15
MONTHS = 12


@dataclass(frozen=True, slots=True)
class Drawer:
    """What the drawer shows; `said` is the outcome of what was asked last."""

    row: HouseholdRow
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
    isolation: Isolation | None
    by: Actors
    said: str = ""
    said_tone: str = ""


def drawer_of(request: Request, conn: Connection, state: WebState, row: HouseholdRow) -> Drawer:
    """Gather the drawer of one household."""
    estate = pages.facts_from(get_estate(conn, state.estate_id))
    f = pages.formats_of(request, estate)
    gettext = i18n.translations(pages.language_of(request)).gettext
    cursor = reads.cursor(conn, state.estate_id, row.meter_id)
    days = reads.days(conn, state.estate_id, row.meter_id, limit=1)
    question, checks = checks_of(
        conn, state.estate_id, row, state.clock.now(), f, gettext, clock_sane=state.clock_sane()
    )
    return Drawer(
        row,
        state_of(row, f.now_s, estate.reading_cycle_s),
        flags_of(row, wall.open_case_rooms(conn, state.estate_id)),
        None if cursor is None else int(cursor["read_at"]),
        days[-1].energy_wh if days and days[-1].day == f.iso_day(f.now_s) else None,
        question,
        checks,
        is_late(row.reading_at, f.now_s, estate.reading_cycle_s),
        reads.relay_history(conn, state.estate_id, row.meter_id),
        reads.ledger(conn, state.estate_id, row.account_id, limit=4),
        list(reads.notices(conn, state.estate_id, row.account_id, limit=3)),
        isolation_of(conn, state.estate_id, row),
        Actors(conn, state.estate_id, gettext),
    )


def isolation_of(conn: Connection, estate_id: str, row: HouseholdRow) -> Isolation | None:
    """What two people have decided about the household's relay, if it is open for safety or tampering."""
    return next(iter(isolations(conn, estate_id, row.meter_id)), None)


def household_row(conn: Connection, estate_id: str, account_id: str) -> HouseholdRow:
    """The household; raises NotFound."""
    row = wall.household(conn, estate_id, account_id)
    if row is None:
        raise NotFound(f"no household {account_id}")
    return row


@router.get("/households/{account_id}")
def household_page(request: Request, state: State, conn: Reader, who: Viewer, account_id: str) -> HTMLResponse:
    """The household's page: where it stands, its chart, ledger, supply, notices, readings, cases."""
    row = household_row(conn, who.estate_id, account_id)
    estate = pages.facts_from(get_estate(conn, who.estate_id))
    f = pages.formats_of(request, estate)
    gettext = i18n.translations(pages.language_of(request)).gettext
    standing = standing_of(conn, who.estate_id, row, f)
    ledger = reads.ledger(conn, who.estate_id, account_id)
    notices = reads.notices(conn, who.estate_id, account_id)
    question, checks = checks_of(conn, who.estate_id, row, state.clock.now(), f, gettext, clock_sane=state.clock_sane())
    return staff_page(
        request,
        conn,
        "operator/household.html",
        "wall",
        estate=estate,
        charts=True,
        row=row,
        state=state_of(row, f.now_s, estate.reading_cycle_s),
        flags=flags_of(row, wall.open_case_rooms(conn, who.estate_id)),
        standing=standing,
        variables_late=is_late(row.variables_at, f.now_s, estate.reading_cycle_s),
        ledger=ledger,
        archived_at=newest_end(conn, who.estate_id)[1],
        readings_archived_at=archived_until(conn, who.estate_id),
        question=question,
        checks=checks,
        wishes=reads.relay_history(conn, who.estate_id, row.meter_id),
        notices=notices,
        to_give=waiting_of(notices),
        readings=reads.readings(conn, who.estate_id, row.meter_id),
        payments=reads.payments(conn, who.estate_id, account_id),
        months=months_of(conn, who.estate_id, account_id, limit=MONTHS),
        cases=reads.cases_of_room(conn, who.estate_id, row.room_id),
        status=status_said(row.status3, pages.language_of(request)),
        local_fee=meter_of_account(conn, who.estate_id, account_id).fee == LOCAL,
        keep=keep_of(conn, who.estate_id, row),
        isolation=isolation_of(conn, who.estate_id, row),
        gaps=gaps_of(conn, who.estate_id, row.meter_id, f.now_s, estate.reading_cycle_s),
        use_chart=use_chart(standing, f.day_of, gettext("Energy")),
        balance_chart=balance_chart(ledger, row, f, gettext),
    )


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
    account_id: str,
) -> Response:
    """Read the meter ahead of the cycle and show the drawer with the outcome."""
    row = household_row(conn, who.estate_id, account_id)
    gettext = i18n.translations(pages.language_of(request)).gettext
    said, tone = gettext("The meter has answered; the figures above follow within seconds."), ""
    future = state.collector.read_now(row.meter_id)
    try:
        future.result(READ_TIMEOUT_S)
    except (Late, CancelledError):
        future.cancel()
        said, tone = gettext("The meter did not answer within 15 s. The last known figures stay."), "warn"
    except EstateError as error:
        log.info("reading %s on demand failed: %s", row.meter_id, error)
        said, tone = gettext("The meter could not be read. The last known figures stay."), "warn"
    drawer = drawer_of(request, conn, state, household_row(conn, who.estate_id, account_id))
    return pages.render(request, "operator/drawer.html", drawer=replace(drawer, said=said, said_tone=tone))
