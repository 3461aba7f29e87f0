"""What people are told while the message gateway is away: how many warnings wait, since when, and why."""

import json
from typing import NamedTuple

from sqlalchemy import Connection

from server.domain.anomalies import MESSAGE_GATEWAY
from server.store.cases import live_evidence
from server.store.notices import waiting_warnings


class GatewayAway(NamedTuple):
    """`waiting` warnings (of a cut) wait, the first one since `since` (world time); `reason` as it was noted down."""

    waiting: int
    since: int
    reason: str


def gateway_away(connection: Connection, estate_id: str, now_s: int) -> GatewayAway | None:
    """What is to be said now; None while the gateway takes messages, or none is asked."""
    found = live_evidence(connection, estate_id, MESSAGE_GATEWAY)
    if found is None:
        return None
    evidence = json.loads(found)
    waiting, first_at = waiting_warnings(connection, estate_id, now_s)
    return GatewayAway(waiting, first_at or evidence["since"], evidence["reason"])
