"""What all staff pages share: the figures of the navigation, and the way they are rendered."""

from dataclasses import dataclass
from typing import Any

from fastapi import Request
from fastapi.responses import HTMLResponse
from sqlalchemy import Connection

from server.clock import Now
from server.store import statistics, wall
from server.store.estates import get_estate
from server.web import i18n
from server.web.actors import Actors
from server.web.formats import Formats
from server.web.i18n import mark as _
from server.web.overview import Households, Overview
from server.web.pages import EstateFacts, facts_from, language_of, render

MISSED_CYCLES = 2  # a reading counts as missed after so many cycles


@dataclass(frozen=True, slots=True)
class Shell:
    """Figures beside the pages: counts, meters that were read lately, the newest seal in world seconds."""

    counts: wall.ShellCounts
    fresh: int
    sealed_at: int | None

    def read_said(self, f: Formats) -> str:
        """How many meters were read lately."""
        return f.said(_("Read %(fresh)d / %(meters)d")) % {"fresh": self.fresh, "meters": self.counts.households}

    def sealed_said(self, f: Formats) -> str:
        """How old the newest seal of the ledger is."""
        if self.sealed_at is None:
            return f.said(_("Ledger not sealed yet"))
        return f.said(_("Ledger sealed %(age)s")) % {"age": f.age(self.sealed_at)}


def shell_of(connection: Connection, estate: EstateFacts, households: Households, now: Now, factor: int) -> Shell:
    """The figures as they are now; `factor` turns the age of the seal into world time."""
    sealed_ms = statistics.sealed_until_ms(connection, estate.estate_id)
    return Shell(
        wall.shell_counts(connection, estate.estate_id, len(households.rows), households.columns.off),
        households.columns.fresh(now.world_s - MISSED_CYCLES * estate.reading_cycle_s),
        None if sealed_ms is None else now.world_s - (now.machine_ms - sealed_ms) * factor // 1000,
    )


def households_of(request: Request) -> Households:
    """All households of the estate as they are now."""
    overview: Overview = request.app.state.overview
    return overview.look()


def looks_brief(request: Request) -> bool:
    """Whether a staff page's look at all households is brief: `at_once_if(looks_brief)`."""
    overview: Overview = request.app.state.overview
    return overview.brief()


def staff_page(
    request: Request, connection: Connection, name: str, section: str, *, status_code: int = 200, **context: Any
) -> HTMLResponse:
    """Render a staff page with the shell around it; `section` marks the entry of the navigation.

    A handler that has read the estate or looked at all households gives them as `estate` and `everybody`.
    """
    state = request.app.state.web
    now = state.clock.now()
    estate = context.pop("estate", None) or facts_from(get_estate(connection, state.estate_id))
    everybody = context.pop("everybody", None) or households_of(request)
    shell = shell_of(connection, estate, everybody, now, state.clock.anchor.factor)
    by = Actors(connection, state.estate_id, i18n.translations(language_of(request)).gettext)
    return render(
        request, name, status_code=status_code, estate=estate, now=now, shell=shell, section=section, by=by, **context
    )
