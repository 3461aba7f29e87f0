"""Checking that somebody asked for what two people, or a payer, must have asked for: re-ratings and payments.

A re-rating has the agreement of a second person to exactly its terms. A payment that was credited has its order, paid
by just it; cash has the person at the till, and money of a provider the message of that provider, which is kept.
"""

import json
from collections.abc import Iterable
from hashlib import sha256
from typing import NamedTuple

from server.domain.ledger import CASH
from server.domain.rerating import KIND, Rerate
from server.domain.verification import Findings

CLIENT = "client:"  # money that third parties took comes with a key of theirs, and without a message


class Agreed(NamedTuple):
    """What was asked of a second person, and who that was."""

    kind: str
    payload: str
    payload_sha256: str
    requested_by: str
    approved_by: str | None
    status: str


class Paid(NamedTuple):
    """A credited payment beside its order; all of the order is None where there is none."""

    payment_id: str
    provider: str
    account_id: str | None
    amount_fen: int
    actor: str | None  # of its batch
    order_account: str | None
    order_fen: int | None
    order_provider: str | None
    order_status: str | None
    order_payment: str | None
    order_actor: str | None


def agreement_problem(rerate: Rerate, agreed: Agreed | None) -> str:
    """What is wrong with the agreement to a re-rating, or an empty text."""
    if agreed is None or agreed.kind != KIND or agreed.status != "approved":
        return "posts corrections, but nobody agreed to it"
    if agreed.approved_by in (None, "", agreed.requested_by):
        return "posts corrections without a second person"
    try:
        said = json.loads(agreed.payload)
        same = (said["rerate_id"], said["terms_sha256"]) == (rerate.rerate_id, rerate.terms_sha256)
    except (ValueError, KeyError, TypeError):
        same = False
    if not same or sha256(agreed.payload.encode()).hexdigest() != agreed.payload_sha256:
        return "posts corrections by other terms than two people agreed to"
    return ""


def note_payments(found: Findings, rows: Iterable[Paid]) -> None:
    """Note payments whose order is missing or says something else."""
    for row in rows:
        subject = f"payment {row.payment_id}"
        if row.order_status is None:
            found.note(5, subject, "was credited without an order")
            continue
        order = (row.order_account, row.order_fen, row.order_provider, row.order_status, row.order_payment)
        wanted = (row.account_id, row.amount_fen, row.provider, "paid", row.payment_id)
        found.expect(5, subject, "order", order, wanted)
        if row.provider == CASH:
            found.expect(5, subject, "who sold it", row.order_actor, row.actor or "somebody")


def note_messages(found: Findings, rows: Iterable[tuple[str, int, int, int]]) -> None:
    """Note money of providers at an instant (machine time) with fewer messages than payments."""
    for provider, at_ms, payments, messages in rows:
        found.note(5, f"provider {provider}", f"{payments} payments of {at_ms} ms rest on {messages} messages")
