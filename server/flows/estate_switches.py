"""The estate's own switches that two people turn: its mode, starting again, the breaker.

A request fixes from what the switch is turned. Where the estate has moved since, it is outdated: nobody can agree to it
any more, so it is no work for anybody, and says why.
"""

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection

from server.domain.anomalies import BREAKER
from server.errors import Conflict
from server.flows import cases
from server.store import approvals as kept
from server.store.cases import live_case
from server.store.direct import Row
from server.store.estates import get_estate
from server.store.supply import release_quarantined, update_estate
from server.store.unit import Unit

if TYPE_CHECKING:
    from server.clock import Now


def outdated_because(row: Row, site: Row) -> str:
    """Why a waiting request about the estate's own switches can no longer be agreed to, or an empty text.

    The estate has moved since it was asked: who approves would get the same words as an error.
    """
    payload, kind = json.loads(row["payload"]), row["kind"]
    if kind == "mode" and site["mode"] != payload["from"]:
        return "the mode has changed since this was asked; ask again"
    if kind == "start_again" and not site["stopped"]:
        return "cutting has been started again already"
    is_closed = site["breaker"] == "closed" or site["breaker_reason"] != payload.get("opened_because")
    if kind == "breaker_reset" and is_closed:
        return "the breaker has changed since this was asked; ask again"
    return ""


def waiting_still(connection: Connection, estate_id: str, now: "Now") -> list[Row]:
    """What a second person can agree to now: neither expired nor outdated, newest first."""
    site = get_estate(connection, estate_id)
    return [row for row in kept.waiting(connection, estate_id, now.machine_ms) if not outdated_because(row, site)]


def refuse_twice(connection: Connection, estate_id: str, kind: str, now: "Now") -> None:
    """Conflict while a request to turn this switch waits: of two, one would be left over as nobody's work."""
    if any(row["kind"] == kind for row in waiting_still(connection, estate_id, now)):
        raise Conflict("this was asked for already and waits for its second person; withdraw that first to ask anew")


def switch(unit: Unit, estate_id: str, row: Row, payload: Mapping[str, Any], now: "Now") -> None:
    """Carry out what two people agreed to; Conflict for a request that is outdated.

    Who closes the breaker says why: that is the result of its case, so that the next opening has a case of its own.
    """
    kind = row["kind"]
    if problem := outdated_because(row, get_estate(unit.connection, estate_id)):
        raise Conflict(problem)
    if kind == "mode":
        update_estate(unit.connection, estate_id, mode=payload["to"])
        release_quarantined(unit.connection, estate_id)
    elif kind == "start_again":
        update_estate(unit.connection, estate_id, stopped=0)
    else:
        update_estate(unit.connection, estate_id, breaker="closed", breaker_reason="")
        if case_id := live_case(unit.connection, estate_id, BREAKER, estate_id):
            cases.close(unit, estate_id, case_id, resolution=payload["reason"], actor=row["requested_by"], now=now)
        release_quarantined(unit.connection, estate_id)
