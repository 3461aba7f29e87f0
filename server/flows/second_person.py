"""Asking for a second person: the request fixes a payload and its hash, and is void after 30 minutes."""

import json
from hashlib import sha256
from typing import TYPE_CHECKING
from uuid import uuid4

from server.domain.ledger import ASSIGNMENT
from server.errors import Refused, StaleLogin
from server.store import approvals as kept
from server.store import audit
from server.store.unit import Unit

if TYPE_CHECKING:
    from server.clock import Now

VALID_MS = 30 * 60 * 1000
CLIENT = "client:"  # how keys of the API are named as actors
STEP_UP = (  # asked for, like the agreeing to it, with a password that was given lately: money, one household's relay
    "refund", "refund_decision", ASSIGNMENT, "booking", "tariff", "rerate", "move_out", "void_reading",
    "final_corrected", "isolate", "reconnect",
)  # fmt: skip


def ask(
    unit: Unit, estate_id: str, kind: str, payload: dict[str, object], actor: str, now: "Now", *, fresh: bool = True
) -> str:
    """Fix the payload of an act that waits for its second person, with its hash; the id of the request.

    Refused for a key of the API, whose holder could agree to it as a person. For an act of `STEP_UP`: StaleLogin unless
    the password of who asks is `fresh`.
    """
    if actor.startswith(CLIENT):
        raise Refused("two people agree to this: somebody who signs in asks for it, not a key of the API")
    if kind in STEP_UP and not fresh:
        raise StaleLogin
    approval_id = uuid4().hex
    text = json.dumps(payload, sort_keys=True, ensure_ascii=False)
    kept.add(
        unit.connection,
        estate_id=estate_id,
        approval_id=approval_id,
        kind=kind,
        payload=text,
        payload_sha256=sha256(text.encode()).hexdigest(),
        requested_by=actor,
        requested_ms=now.machine_ms,
        expires_ms=now.machine_ms + VALID_MS,
    )
    audit.record(unit.connection, estate_id, actor, f"{kind}.requested", approval_id, now, text[:500])
    return approval_id
