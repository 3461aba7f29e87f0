"""Saying in the hash chain itself which of its ends were signed and exported."""

from typing import TYPE_CHECKING

from server.domain.heads import BATCH, Head
from server.flows.ledger import post_act
from server.store.ledger import kind_of
from server.store.unit import Unit

if TYPE_CHECKING:
    from server.clock import Now


def note_head(unit: Unit, head: Head, now: "Now") -> None:
    """Note that a head of a file was exported, unless nothing but such a note has come since the one before it."""
    if kind_of(unit.connection, head.estate_id, head.batch_seq) != BATCH:
        key, payload, memo = head.record
        post_act(unit, head.estate_id, BATCH, key, payload, actor="system", memo=memo, now=now)
