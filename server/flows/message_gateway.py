"""What becomes of a message gateway that takes nothing: a case while it lasts, by which people and programs are told.

The messages themselves wait in their rows (`flows.notices.put_back`); nobody is cut on a warning that has not arrived.
"""

import json
from typing import TYPE_CHECKING

from server.domain.anomalies import MESSAGE_GATEWAY, Finding
from server.flows import cases
from server.store import cases as kept
from server.store.unit import Unit

if TYPE_CHECKING:
    from server.clock import Now

KEY = (MESSAGE_GATEWAY, "gateway")
BACK = "the message gateway takes messages again"
GONE = "no message gateway is set up any more"


def tell_away(unit: Unit, estate_id: str, why: str, since: int, now: "Now") -> None:
    """Open the case, or bring it up to date; `since` (world time) is when it was first found away."""
    case_id = kept.live_case(unit.connection, estate_id, *KEY)
    if case_id is None:
        cases.raise_case(unit, estate_id, Finding(*KEY, None, "high", {"since": since, "reason": why}), now)
        return
    known = json.loads(str(kept.live_evidence(unit.connection, estate_id, MESSAGE_GATEWAY)))
    if known["reason"] != why:
        kept.update(unit.connection, estate_id, case_id, evidence=json.dumps(known | {"reason": why}))
        unit.announce("case", case_id)


def tell_back(unit: Unit, estate_id: str, resolution: str, now: "Now") -> None:
    """Close the case by itself, if there is one."""
    cases.settle(unit, estate_id, KEY, resolution, now)
