"""Answers that are kept for repeats: the same key with the same request hears again what it heard first."""

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from server.errors import Conflict
from server.flows.ledger import key_reused
from server.store.unit import Unit

if TYPE_CHECKING:
    from server.clock import Now

Answer = dict[str, object]


def answer_before(
    unit: Unit, estate_id: str, row: Mapping[str, Any] | None, request_sha256: str, now: "Now"
) -> Answer | Conflict | None:
    """What a key heard before, from its row; Conflict, and an alarm, when it came with another request."""
    if row is None:
        return None
    if row["body_sha256"] != request_sha256:
        key_reused(unit, estate_id, row["client_id"], row["idem_key"], now)
        return Conflict("this key came before with another request; nothing was booked, use a new key")
    answer: Answer = json.loads(row["answer"])
    return answer


def answer_row(
    estate_id: str, client_id: str, idem_key: str, request_sha256: str, answer: Answer, now: "Now"
) -> dict[str, object]:
    """The row that keeps an answer."""
    return {
        "estate_id": estate_id,
        "client_id": client_id,
        "idem_key": idem_key,
        "body_sha256": request_sha256,
        "status": 200,
        "answer": json.dumps(answer),
        "created_ms": now.machine_ms,
    }
