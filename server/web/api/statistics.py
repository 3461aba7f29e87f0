"""Statistics: energy by day and by household, top-ups by day; the same figures as JSON and as CSV."""

from collections import defaultdict
from datetime import UTC, date, datetime, timedelta
from typing import Annotated
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Depends, Query
from sqlalchemy import Connection
from starlette.responses import Response

from server.store import statistics
from server.store.estates import get_estate
from server.web.api.csv_text import csv_answer
from server.web.api.shapes import Shape
from server.web.deps import Reader, State, need
from server.web.principal import Principal

router = APIRouter(prefix="/api/v1/statistics", tags=["statistics"])
DAYS = 31
DAYS_MAX = 366

Reporter = Annotated[Principal, Depends(need("statistics.view"))]
Days = Annotated[int, Query(ge=1, le=DAYS_MAX, description="how many local days, today included")]


class DayEnergy(Shape):
    """Energy of all households on one local day."""

    day: str
    energy_wh: int
    meters: int


class HouseholdEnergy(Shape):
    """Energy of one household in the asked days."""

    room_id: str
    account_id: str
    energy_wh: int
    days: int


class Usage(Shape):
    """Energy of the estate by day and by household."""

    first_day: str
    last_day: str
    by_day: list[DayEnergy]
    by_household: list[HouseholdEnergy]


class TopupDay(Shape):
    """Top-ups credited on one local day through one provider; `suspense` for money given out of it that day."""

    day: str
    provider: str
    count: int
    amount_fen: int


class Topups(Shape):
    """Top-ups by day and provider."""

    first_day: str
    last_day: str
    by_day: list[TopupDay]


def span(conn: Connection, state: State, who: Reporter, days: int) -> tuple[date, date, ZoneInfo]:
    """The asked local days, ending today in world time."""
    zone = ZoneInfo(get_estate(conn, who.estate_id)["time_zone"])
    last = datetime.fromtimestamp(state.clock.now().world_s, UTC).astimezone(zone).date()
    return last - timedelta(days=days - 1), last, zone


def _usage(conn: Connection, state: State, who: Reporter, days: int) -> Usage:
    first, last, _ = span(conn, state, who, days)
    by_day = statistics.energy_by_day(conn, who.estate_id, first.isoformat(), last.isoformat())
    by_household = statistics.energy_by_household(conn, who.estate_id, first.isoformat(), last.isoformat())
    return Usage(
        first_day=first.isoformat(),
        last_day=last.isoformat(),
        by_day=[DayEnergy.model_validate(day) for day in by_day],
        by_household=[HouseholdEnergy.model_validate(one) for one in by_household],
    )


def _topups(conn: Connection, state: State, who: Reporter, days: int) -> Topups:
    first, last, zone = span(conn, state, who, days)
    since = int(datetime(first.year, first.month, first.day, tzinfo=zone).timestamp())
    counts: dict[tuple[str, str], list[int]] = defaultdict(list)
    for paid in statistics.topups(conn, who.estate_id, since):
        day = datetime.fromtimestamp(paid.event_at, UTC).astimezone(zone).date().isoformat()
        counts[day, paid.provider].append(paid.amount_fen)
    by_day = [
        TopupDay(day=day, provider=provider, count=len(amounts), amount_fen=sum(amounts))
        for (day, provider), amounts in sorted(counts.items())
    ]
    return Topups(first_day=first.isoformat(), last_day=last.isoformat(), by_day=by_day)


@router.get("/usage", response_model=Usage, summary="Energy by day and household")
def usage(conn: Reader, state: State, who: Reporter, days: Days = DAYS) -> Usage:
    """Energy from accepted registers; a day without any reading is absent."""
    return _usage(conn, state, who, days)


@router.get("/usage.csv", summary="Energy as CSV", response_class=Response)
def usage_csv(
    conn: Reader,
    state: State,
    who: Reporter,
    days: Days = DAYS,
    by: Annotated[str, Query(pattern="^(day|household)$", description="day or household")] = "day",
) -> Response:
    """The same figures, a row a day or a row a household."""
    found = _usage(conn, state, who, days)
    if by == "day":
        return csv_answer(
            "usage-by-day.csv", ("day", "energy_wh", "meters"), [(d.day, d.energy_wh, d.meters) for d in found.by_day]
        )
    rows = [(one.room_id, one.account_id, one.energy_wh, one.days) for one in found.by_household]
    return csv_answer("usage-by-household.csv", ("room_id", "account_id", "energy_wh", "days"), rows)


@router.get("/topups", response_model=Topups, summary="Top-ups by day")
def topups(conn: Reader, state: State, who: Reporter, days: Days = DAYS) -> Topups:
    """Credited top-ups by local day and provider; money out of suspense on the day it was given, as `suspense`."""
    return _topups(conn, state, who, days)


@router.get("/topups.csv", summary="Top-ups as CSV", response_class=Response)
def topups_csv(conn: Reader, state: State, who: Reporter, days: Days = DAYS) -> Response:
    """The same figures, a row a day and provider."""
    found = _topups(conn, state, who, days)
    rows = [(one.day, one.provider, one.count, one.amount_fen) for one in found.by_day]
    return csv_answer("topups-by-day.csv", ("day", "provider", "count", "amount_fen"), rows)
