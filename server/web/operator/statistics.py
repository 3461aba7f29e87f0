"""Statistics: energy by day and household, top-ups by day; each as chart, table and file (the files are the API's)."""

from collections import Counter, defaultdict
from datetime import UTC, date, datetime, timedelta
from typing import Annotated
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Depends, Query, Request
from starlette.responses import HTMLResponse

from server.store import statistics
from server.store.estates import get_estate
from server.web import i18n, pages
from server.web.deps import Reader, State, need
from server.web.figures import bar_chart
from server.web.operator.shell import staff_page
from server.web.principal import Principal

router = APIRouter(include_in_schema=False)
SPANS = (7, 31, 92)
HOUSEHOLDS_IN_CHART = 30


def _days(first: date, last: date) -> list[str]:
    return [(first + timedelta(days=n)).isoformat() for n in range((last - first).days + 1)]


@router.get("/statistics")
def statistics_page(
    request: Request,
    state: State,
    conn: Reader,
    who: Annotated[Principal, Depends(need("statistics.view"))],
    days: Annotated[int, Query(ge=1, le=366)] = 31,
) -> HTMLResponse:
    """The last `days` local days, today included."""
    estate = pages.facts_from(get_estate(conn, who.estate_id))
    zone = ZoneInfo(estate.time_zone)
    f = pages.formats_of(request, estate)
    gettext = i18n.translations(pages.language_of(request)).gettext
    last = datetime.fromtimestamp(f.now_s, UTC).astimezone(zone).date()
    first = last - timedelta(days=days - 1)
    calendar = _days(first, last)
    labels = [f.day_of(day) for day in calendar]
    by_day, by_household = statistics.energy(conn, who.estate_id, first.isoformat(), last.isoformat())
    energy = {one.day: one for one in by_day}
    paid = statistics.topups(
        conn, who.estate_id, int(datetime(first.year, first.month, first.day, tzinfo=zone).timestamp())
    )
    sums: Counter[str] = Counter()
    split: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for one in paid:
        sums[f.iso_day(one.event_at)] += one.amount_fen
        split[f.iso_day(one.event_at)][one.provider] += one.amount_fen
    energy_values = [energy[day].energy_wh if day in energy else None for day in calendar]
    top = by_household[:HOUSEHOLDS_IN_CHART]
    return staff_page(
        request,
        conn,
        "operator/statistics.html",
        "statistics",
        charts=True,
        days=days,
        spans=SPANS,
        calendar=list(zip(calendar, labels, strict=True)),
        energy=energy,
        by_household=by_household,
        sums=sums,
        split=split,
        providers=sorted({one.provider for one in paid}),
        energy_chart=bar_chart(
            labels, energy_values, name=gettext("Energy"), unit="kWh", scale=1000, unfinished=len(labels) - 1
        ),
        household_chart=bar_chart(
            [one.room_id for one in top], [one.energy_wh for one in top], name=gettext("Energy"), unit="kWh", scale=1000
        ),
        topup_chart=bar_chart(
            labels, [sums[day] for day in calendar], name=gettext("Top-ups"), unit="¥", scale=100,
            unfinished=len(labels) - 1,
        ),
    )  # fmt: skip
