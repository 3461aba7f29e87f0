"""Checking that somebody asked for what two people, or a payer, must have asked for: tariffs, re-ratings, payments.

A version of a tariff that was published is what two people agreed to. A re-rating has the agreement of a second person
to exactly its terms, and so has a booking beyond what one person may book. A payment that was credited has its order,
paid by just it; cash has the person at the till, and money of a provider the message of that provider, which is kept.
Of money in suspense the trail says why, and who gave it to a household.
"""

import json
from collections.abc import Iterable, Mapping
from hashlib import sha256
from typing import NamedTuple

from core.errors import TariffError
from core.tariff import Tariff, tariff_from_dict
from core.tariff_terms import TariffVersion
from server.domain.ledger import CASH
from server.domain.rerating import KIND, Rerate
from server.domain.verification import Findings

CLIENT = "client:"  # money that third parties took comes with a key of theirs
Agreements = dict[tuple[object, ...], int]  # how often two people agreed to exactly this


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


class Published(NamedTuple):
    """A draft that became the tariff; `starts` is JSON, when its new versions begin."""

    draft_id: str
    tariff_id: str
    definition: str
    starts: str


def check_tariffs(
    found: Findings, tariffs: Mapping[str, Tariff], drafts: Iterable[tuple[Published, Agreed | None]]
) -> None:
    """Every version that two people published is in force, or planned, as they published it.

    A later draft replaces what was planned; versions that only an estate file has brought have nobody to compare with.
    """
    agreed: dict[str, dict[int, TariffVersion]] = {}
    for draft, agreement in drafts:
        subject = f"tariff {draft.tariff_id}"
        if problem := _publication_problem(draft, agreement):
            found.note(6, subject, f"draft {draft.draft_id} {problem}")
            continue
        try:
            said = {one.valid_from_s: one for one in tariff_from_dict(json.loads(draft.definition)).versions}
            own = {*agreed.get(draft.tariff_id, ()), *json.loads(draft.starts)}
        except (ValueError, TypeError, TariffError) as error:
            found.note(6, subject, f"draft {draft.draft_id} is none: {error}")
            continue
        agreed[draft.tariff_id] = {start: said[start] for start in own if start in said}
    for tariff_id, versions in agreed.items():
        tariff = tariffs.get(tariff_id)
        stored = {} if tariff is None else {one.valid_from_s: one for one in tariff.versions}
        for start, version in sorted(versions.items()):
            if stored.get(start) != version:
                found.note(6, f"tariff {tariff_id}", f"the version from {start} is not what two people published")


def _publication_problem(draft: Published, agreed: Agreed | None) -> str:
    if agreed is None or agreed.kind != "tariff" or agreed.status != "approved":
        return "became a tariff, but nobody agreed to it"
    if agreed.approved_by in (None, "", agreed.requested_by):
        return "became a tariff without a second person"
    try:
        said = json.loads(agreed.payload)
        same = (said["draft_id"], said["definition_sha256"]) == (draft.draft_id, _sha256(draft.definition))
    except (ValueError, KeyError, TypeError):
        same = False
    return "" if same and _sha256(agreed.payload) == agreed.payload_sha256 else "is not what two people agreed to"


def _sha256(text: str) -> str:
    return sha256(text.encode()).hexdigest()


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
    if not same or _sha256(agreed.payload) != agreed.payload_sha256:
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


def note_suspense(found: Findings, rows: Iterable[tuple[str, str]]) -> None:
    """Note money in suspense, or from it, of which nothing says where it came from or who gave it away."""
    for payment_id, problem in rows:
        found.note(5, f"payment {payment_id}", problem)


def agreements_of(rows: Iterable[tuple[int, Agreed]]) -> Agreements:
    """Bookings that two people agreed to, by all that their events say; one that was changed since is none."""
    counted: Agreements = {}
    for at_ms, one in rows:
        try:
            said = json.loads(one.payload)
            key = agreed_key(
                at_ms, one.requested_by, one.approved_by, said["account_id"], said["act"], said["ledger"],
                said["amount_fen"],
            )  # fmt: skip
        except (ValueError, KeyError, TypeError):
            continue
        if _sha256(one.payload) == one.payload_sha256 and one.approved_by not in (None, "", one.requested_by):
            counted[key] = counted.get(key, 0) + 1
    return counted


def agreed_key(
    at_ms: int, asked: str, agreed: str | None, account_id: str, act: str, ledger: str, amount_fen: int
) -> tuple[object, ...]:  # fmt: skip
    """What a booking and the agreement to it have in common: the moment (machine time), both people, what and where."""
    return (at_ms, asked, agreed, account_id, act, ledger, amount_fen)
