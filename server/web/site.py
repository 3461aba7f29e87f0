"""Puts the web together: routers, errors, the outer layer. `app.py` calls `create_site` and runs what it returns.

API (`/api/v1`), pages, payer callbacks, live events and health share one FastAPI application. Interactive
documentation pages are off, since they would need scripts of other sites; the OpenAPI document itself is served.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from fastapi import APIRouter, FastAPI
from starlette.middleware import Middleware
from starlette.responses import Response
from starlette.routing import BaseRoute
from starlette.staticfiles import StaticFiles

from server.web import auth, callbacks, errors, events, health, kiosk, operator, receipts, resident, statements
from server.web.api import DESCRIPTION, TAGS
from server.web.api import ROUTERS as API_ROUTERS
from server.web.deps import CHANGERS_MAX, READERS_MAX
from server.web.operator.charged import ChargedToday
from server.web.operator.held import HeldReadings
from server.web.overview import Overview
from server.web.pages import DIST, sources
from server.web.passwords import PasswordDesk
from server.web.security import Edge
from server.web.state import WebState
from server.web.steady import SteadyClock

KEEP = "public, max-age=31536000, immutable"
VERSION = "0.1.0"
# What is asked for most is tried first. No route outside of a group fits what its group is asked for.
FREQUENT = (
    "/me", "/livez", "/today", "/wall", "/counter", "/api/v1/households", "/households", "/cases", "/events", "/assets",
)  # fmt: skip
ROUTERS: tuple[APIRouter, ...] = (
    auth.router,
    receipts.router,  # before the payers, whose names are any
    callbacks.router,
    events.router,
    health.router,
    *API_ROUTERS,
    operator.router,
    resident.router,
    statements.router,
    kiosk.router,
)


def create_site(state: WebState) -> FastAPI:
    """The whole web application around `state`."""
    site = FastAPI(
        title="estate645",
        version=VERSION,
        description=DESCRIPTION,
        openapi_tags=[dict(tag) for tag in TAGS],
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        lifespan=_lifespan,
        middleware=[
            Middleware(
                Edge,
                pay_origins=[provider.pay_origin for provider in state.providers.values()],
                secure=state.config.secure_cookies,
            )
        ],
    )
    sources()
    site.state.web = state
    site.state.passwords = PasswordDesk(state.config.web_processes)
    site.state.live = events.LiveHub()
    site.state.admission = asyncio.Semaphore(READERS_MAX)
    site.state.admission_to_change = asyncio.Semaphore(CHANGERS_MAX)
    site.state.boards = {}
    site.state.charged = ChargedToday()
    site.state.held = HeldReadings()
    site.state.steady = SteadyClock(state.clock_sane)
    site.state.overview = Overview(state.engine, state.estate_id, state.bell)
    errors.install(site)
    for router in ROUTERS:
        site.router.routes.extend(router.routes)
    site.mount("/assets", BuiltFiles(directory=DIST, check_dir=False), name="assets")
    site.router.routes.sort(key=_rank)
    return site


def _rank(route: BaseRoute) -> int:
    """Where a route is tried: one after the other they are compared with what was asked for."""
    path = getattr(route, "path", "")
    groups = (number for number, start in enumerate(FREQUENT) if path == start or path.startswith(f"{start}/"))
    return next(groups, len(FREQUENT))


class BuiltFiles(StaticFiles):
    """Built assets: their names carry a hash of the content, so browsers may keep them for good."""

    def file_response(self, *args: Any, **kwargs: Any) -> Response:
        """The file, or 304."""
        reply = super().file_response(*args, **kwargs)
        reply.headers["Cache-Control"] = KEEP
        return reply


@asynccontextmanager
async def _lifespan(site: FastAPI) -> AsyncIterator[None]:
    """Connect the bell to the event loop while it runs; end open event streams at shutdown."""
    stop = site.state.live.start(site.state.web.bell)
    try:
        yield
    finally:
        stop()
        site.state.passwords.close()


def routes_of(routes: Sequence[BaseRoute]) -> Iterator[BaseRoute]:
    """All routes, those of nested routers included."""
    for route in routes:
        nested = getattr(route, "original_router", None)
        if nested is None:
            yield route
        else:
            yield from routes_of(nested.routes)
