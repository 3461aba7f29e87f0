"""Today: what was sold and used, how complete the readings are, how quickly power comes back, and what to do next."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Annotated, Any
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Depends, Request
from markupsafe import Markup
from starlette.responses import HTMLResponse

from server.clock import Now
from server.flows.estate_switches import waiting_still
from server.store import statistics, wall
from server.store.direct import Row
from server.store.estates import get_estate
from server.web import i18n, pages
from server.web.clock_words import clock_of
from server.web.columns import Columns, Power
from server.web.deps import Reader, State, at_once_if, need
from server.web.figures import bar_chart, share_bar, strip
from server.web.formats import percent
from server.web.gateway_words import gateway_away
from server.web.operator import tiles
from server.web.operator.board import board_of, draws_brief
from server.web.operator.charged import Charged, charged_of
from server.web.operator.held import held_of
from server.web.operator.shell import MISSED_CYCLES, households_of, staff_page
from server.web.principal import Principal

router = APIRouter(include_in_schema=False)
STRIP_ORDER = ("normal", "low", "vlow", "over", "cut", "allow", "lost")
AXIS_S = 30  # the scale of pay-to-power: its goal
PERMILLE = 1000
HALF = PERMILLE // 2
DAY_S = 86_400
HOURS = 24
STEPS = 32  # of the newest commands; one has up to four


@dataclass(frozen=True, slots=True)
class PayToPower:
    """Times from credit to read-back, ms: every one as a dot on the axis, the median and the 95th percentile."""

    count: int
    p50_ms: int
    p95_ms: int
    dots: tuple[str, ...]

    def at(self, ms: int) -> str:
        """Where a time stands on the axis, of its length: 12.3%; beyond its end it stands at the end."""
        place = permille(ms)
        return f"{place // 10}.{place % 10}%"

    def anchor(self, ms: int) -> str:
        """On which side of its mark the word of a time has room."""
        return "end" if permille(ms) > HALF else "start"


def permille(ms: int) -> int:
    """The part of the axis that lies before a time."""
    return min(PERMILLE, ms * PERMILLE // (AXIS_S * 1000))


def pay_to_power(times_ms: list[int]) -> PayToPower | None:
    """Summary of sorted times; None where nobody without power paid."""
    if not times_ms:
        return None

    def rank(percent: int) -> int:
        return times_ms[min(len(times_ms) - 1, (len(times_ms) * percent + 99) // 100 - 1)]

    found = PayToPower(len(times_ms), rank(50), rank(95), ())
    return PayToPower(found.count, found.p50_ms, found.p95_ms, tuple(found.at(ms) for ms in times_ms))


@dataclass(frozen=True, slots=True)
class Figures:
    """The key figures since local midnight: fen, Wh, counts."""

    sold_fen: int
    sales: int
    charged_fen: int
    charged_wh: int
    fresh: int
    meters: int
    power: Power
    cases: int

    @property
    def success(self) -> str:
        """Reading success in per cent with one decimal."""
        return percent(self.fresh, self.meters)


def midnight_s(now_s: int, time_zone: str) -> int:
    """World second at which the local day of `now_s` began."""
    local = datetime.fromtimestamp(now_s, UTC).astimezone(ZoneInfo(time_zone))
    return int(local.replace(hour=0, minute=0, second=0, microsecond=0).timestamp())


def figures_of(
    sold: tuple[int, int],
    charged: Charged,
    estate: pages.EstateFacts,
    columns: Columns,
    now: Now,
    cases: int,
) -> Figures:
    """Gather the key figures."""
    return Figures(
        sold[1],
        sold[0],
        charged.fen,
        charged.energy_wh,
        columns.fresh(now.world_s - MISSED_CYCLES * estate.reading_cycle_s),
        columns.power.households,
        columns.power,
        cases,
    )


@lru_cache(maxsize=16_384)
def _line(bus_id: str, fresh: int, meters: int) -> str:
    """How complete the readings of one bus are, in any language; a bus has few of them, and is looked at often."""
    return str(_marks().bus_line(bus_id, fresh, meters, _bar(fresh, meters)))


@lru_cache(maxsize=4096)
def _bar(fresh: int, meters: int) -> Markup:
    """The part that was not read is red."""
    return Markup(_marks().bar(share_bar((("f1s", fresh), ("fo", meters - fresh)), 400), 400))  # noqa: S704


def _marks() -> Any:
    return pages.environment("en").get_template("marks.html").module


def lines_of(columns: Columns, since: int) -> Markup:
    """Households' meters by bus, and how many of them were read from `since` on."""
    return Markup("".join([_line(*one) for one in columns.by_bus(since)]))  # noqa: S704  # as the template drew them


def hours_chart(by_hour: Mapping[int, int], name: str) -> dict[str, object]:
    """Energy charged in each hour of today; hours to come are gaps."""
    values: list[int | None] = [by_hour.get(hour) for hour in range(HOURS)]
    labels = [f"{hour:02d}:00" for hour in range(HOURS)]
    last = max(by_hour, default=None)
    return bar_chart(labels, values, name=name, unit="kWh", scale=1000, unfinished=last)


def newest_steps(rows: Sequence[Row]) -> list[Row]:
    """One row a command, that of its newest step; `rows` are steps, newest first."""
    found: dict[tuple[str, int], Row] = {}
    for row in rows:
        found.setdefault((row["meter_id"], row["gen"]), row)
    return list(found.values())


def _is_brief(request: Request) -> bool:
    return draws_brief(request) and charged_of(request).is_recent


@router.get("/today")
@at_once_if(_is_brief)
def today(
    request: Request, state: State, conn: Reader, who: Annotated[Principal, Depends(need("households.list"))]
) -> HTMLResponse:
    """The staff's home."""
    estate = pages.facts_from(get_estate(conn, who.estate_id))
    now = state.clock.now()
    since = midnight_s(now.world_s, estate.time_zone)
    households = households_of(request)
    columns = households.columns
    gettext = i18n.translations(pages.language_of(request)).gettext
    case_rooms = wall.open_case_rooms(conn, who.estate_id)
    shown = board_of(request).shown(households, case_rooms, now.world_s, estate.reading_cycle_s)
    counts, oldest_at = shown.counts, columns.oldest_at
    charged = charged_of(request).at(conn, who.estate_id, since)
    queue = statistics.queue(conn, who.estate_id, now.machine_ms)
    paid = statistics.pay_to_power_ms(conn, who.estate_id, since - DAY_S)
    return staff_page(
        request,
        conn,
        "operator/today.html",
        "today",
        charts=True,
        estate=estate,
        everybody=households,
        figures=figures_of(statistics.sold(conn, who.estate_id, since), charged, estate, columns, now, queue.cases),
        counts=counts,
        states=tiles.STATES,
        strip=strip(counts, STRIP_ORDER),
        power=pay_to_power(paid),
        button=pay_to_power(statistics.button_ms(conn, who.estate_id, since - DAY_S)),
        queue=queue,
        clock=clock_of(conn, who.estate_id, pages.formats_of(request, estate)),
        gateway=gateway_away(conn, who.estate_id, now.world_s),
        held=held_of(request).at(conn, who.estate_id, now.machine_ms),
        approvals=waiting_still(conn, who.estate_id, now),
        oldest_at=oldest_at,
        oldest_late=oldest_at is None or oldest_at < now.world_s - MISSED_CYCLES * estate.reading_cycle_s,
        commands=newest_steps(statistics.recent_commands(conn, who.estate_id, limit=STEPS)),
        lines=lines_of(columns, now.world_s - MISSED_CYCLES * estate.reading_cycle_s),
        hours=hours_chart(charged.by_hour, gettext("Energy")),
    )
