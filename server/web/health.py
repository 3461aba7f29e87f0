"""Is the process alive, and can it serve? For supervisors and load balancers; says nothing about households."""

import logging

from fastapi import APIRouter, Depends
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError
from starlette.responses import JSONResponse

from server.clock import EARLIEST_S
from server.errors import EstateError
from server.store.cases import live_evidence
from server.store.engine import reader
from server.store.unit import Deed, Unit
from server.web.deps import PUBLIC, State
from server.web.gateway_words import gateway_away
from server.web.state import WebState

log = logging.getLogger(__name__)
router = APIRouter(include_in_schema=False)
WRITER_S = 2.0  # a unit that changes nothing waits for the group before it
NOT_SET = "not set"


@router.get("/livez", dependencies=[Depends(PUBLIC)])
async def livez() -> dict[str, str]:
    """The event loop answers."""
    return {"status": "ok"}


@router.get("/readyz", dependencies=[Depends(PUBLIC)])
def readyz(state: State) -> JSONResponse:
    """The database answers with its schema version, the writer takes a unit, and the clock was set.

    A clock in doubt and a message gateway that is away leave the process ready: its pages say what to do, and payments
    are taken.
    """
    world_s = state.clock.now().world_s
    checks: dict[str, object] = {"clock": "ok" if world_s > EARLIEST_S else NOT_SET, "world_s": world_s}
    try:
        with reader(state.engine) as conn:
            if live_evidence(conn, state.estate_id) is not None:
                checks["clock"] = "in doubt"
            away = gateway_away(conn, state.estate_id, world_s)
            checks["message_gateway"] = _gateway_said(state) if away is None else "away"
            if away is not None:
                checks |= {"warnings_waiting": away.waiting, "waiting_since": away.since}
            checks["schema"] = conn.execute(text("SELECT version_num FROM alembic_version")).scalar_one()
        checks["database"] = "ok"
    except (SQLAlchemyError, EstateError):
        log.exception("the database does not answer")
        checks["database"] = "failed"
    checks["writer"] = "ok" if _writes(state) else "does not answer"
    ready = checks["clock"] != NOT_SET and all(checks[name] == "ok" for name in ("database", "writer"))
    doubts = {
        "clock in doubt": checks["clock"] != "ok",
        "message gateway away": checks.get("message_gateway") == "away",
    }
    said = ", ".join(words for words, holds in doubts.items() if holds) or "ok"
    return JSONResponse({"status": said if ready else "not ready", **checks}, 200 if ready else 503)


def _gateway_said(state: WebState) -> str:
    """Whether there is one; it is not asked here."""
    return "none" if state.message_channel == "none" else "ok"


def _writes(state: WebState) -> bool:
    """Whether the writer, which may be in another process, takes a unit and answers."""
    try:
        state.writer.submit(Deed(_change_nothing)).result(WRITER_S)
    except (EstateError, TimeoutError):
        log.exception("the writer does not answer")
        return False
    return True


def _change_nothing(_unit: Unit) -> None:
    """A unit that is only looked at for having been run."""
