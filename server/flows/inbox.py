"""The inbox: every verified message of a provider is kept as it came, with what was made of it."""

from hashlib import sha256
from typing import TYPE_CHECKING

from server.store import payments as kept
from server.store.bulk import Bundle
from server.store.unit import Unit

if TYPE_CHECKING:
    from server.clock import Now

EVENT_ID_LENGTH_MAX = 200


def keep(unit: Unit, estate_id: str, provider: str, event_id: str, body: str, verdict: str, now: "Now") -> None:
    """Keep the raw message; an event id that came before with other content gets a key of its own."""
    event_id = event_id[:EVENT_ID_LENGTH_MAX]
    if kept.inbox_has(unit.connection, estate_id, provider, event_id):
        event_id = f"{event_id}:{sha256(body.encode()).hexdigest()[:16]}"
        if kept.inbox_has(unit.connection, estate_id, provider, event_id):
            return
    bundle = Bundle()
    add(bundle, estate_id, provider, event_id, body, verdict, now)
    bundle.send(unit.connection)


def add(bundle: Bundle, estate_id: str, provider: str, event_id: str, body: str, verdict: str, now: "Now") -> None:
    """Keep the raw message of an event that did not come before, together with other writes."""
    kept.add_to_inbox(
        bundle,
        estate_id=estate_id,
        provider=provider,
        event_id=event_id,
        body=body.replace("\x00", ""),
        verdict=verdict,
        received_ms=now.machine_ms,
    )
