"""What becomes of a doubt about our clock: a case while it lasts, and readings with times to come taken back after it.

Such a reading got its time from a clock that stood ahead. Its register is true, but days, tariffs and settlement
periods went by its time, so it is taken back like any other wrong reading; the next one, with a sound time, is charged
from the last one before it. So nothing is charged twice, and nothing is lost.
"""

import json
from typing import TYPE_CHECKING

from server.domain.anomalies import SERVER_CLOCK, Finding
from server.domain.clock_doubt import ClockDoubt
from server.flows import cases
from server.flows.voiding import plan_of, take_back
from server.store import cases as kept
from server.store.readings import contacts_until
from server.store.unit import Unit

if TYPE_CHECKING:
    from server.clock import Now

KEY = (SERVER_CLOCK, "server")
RIGHT_AGAIN = "the server's clock is right again"
STOOD_AHEAD = "the server's clock had stood ahead when this was read"


def tell(unit: Unit, estate_id: str, doubt: ClockDoubt | None, now: "Now") -> None:
    """Open the case of our clock, bring it up to date, or close it by itself."""
    if doubt is None:
        cases.settle(unit, estate_id, KEY, RIGHT_AGAIN, now)
        return
    case_id = kept.live_case(unit.connection, estate_id, *KEY)
    if case_id is None:
        cases.raise_case(unit, estate_id, Finding(*KEY, None, "high", doubt.evidence()), now)
        return
    kept.update(unit.connection, estate_id, case_id, evidence=json.dumps(doubt.evidence()))
    unit.announce("case", case_id)


def take_back_ahead(unit: Unit, estate_id: str, meter_id: str, read_at: int, now: "Now") -> None:
    """Take back a reading whose time is still to come; errors of `voiding.take_back`."""
    approved = plan_of(unit.connection, estate_id, meter_id, read_at).as_json()
    take_back(
        unit, estate_id, meter_id, read_at, actor=cases.SYSTEM, reason=STOOD_AHEAD, now=now, approved=approved
    )  # fmt: skip


def believe_no_contact_ahead(unit: Unit, estate_id: str, until_s: int, now: "Now") -> None:
    """Who has answered after `until_s`, by a clock that stood ahead, has answered now at the latest.

    Else a meter that is dead since would count as heard for all that time, and each start as one before its answer.
    """
    contacts_until(unit.connection, estate_id, until_s, now.world_s, now.machine_ms)
