"""Dated rules that money goes by: who is on which tariff, what a tariff says, what one books alone, what is told.

Every change is a row that never changes again. The rows of one unit of work are sealed by a batch without lines, so
the hash chain says from when they hold: for the batches after their own, until the next rule about the same subject.
Estates from before this was kept have one rule for each subject from their upgrade on; what was booked before it is
held to none of them.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import NamedTuple

from server.domain.accounts import ASSIGNED
from server.domain.ledger import ASSIGNMENT

BATCH = "rules"  # the kind of the batch that seals rules
ACCOUNTS = "accounts"  # the accounts that are charged by a tariff; subject: the tariff, value: JSON list of accounts
TARIFF = "tariff"  # what a tariff says; value: its definition, JSON
ALONE = "adjust_alone"  # what one person may book alone; subject: "", value: fen
TOLD = "told"  # bookings that accounts' lives tell of; subject: the kind of their batches, value: the act
ACTS_TOLD = {ASSIGNMENT: ASSIGNED}  # of every estate, from its beginning or from revision 0034 on


class Rule(NamedTuple):
    """One rule, in the order of the table's columns after the estate; it was kept by the batch `batch_seq`."""

    rule_no: int
    kind: str
    subject: str
    value: str
    batch_seq: int
    actor: str
    world_at: int
    created_ms: int


@dataclass(slots=True)
class Standing:
    """What holds at some moment: tariffs by account, definitions by tariff, fen that one person may book alone.

    And the acts by which accounts' lives tell of bookings, by the kind of these.
    """

    tariff_of: dict[str, str] = field(default_factory=dict)
    definitions: dict[str, str] = field(default_factory=dict)
    alone_fen: int | None = None
    told: dict[str, str] = field(default_factory=dict)


def changes(before: Standing, after: Standing) -> list[tuple[str, str, list[str] | str]]:
    """(kind, subject, value) of what holds after and did not before; accounts of one tariff are one rule."""
    found: list[tuple[str, str, list[str] | str]] = []
    if after.alone_fen != before.alone_fen and after.alone_fen is not None:
        found.append((ALONE, "", str(after.alone_fen)))
    for tariff_id, definition in sorted(after.definitions.items()):
        if before.definitions.get(tariff_id) != definition:
            found.append((TARIFF, tariff_id, definition))
    told = [(TOLD, kind, act) for kind, act in sorted(after.told.items()) if before.told.get(kind) != act]
    return [*found, *_moved(before.tariff_of, after.tariff_of), *told]


def _moved(before: Mapping[str, str], after: Mapping[str, str]) -> list[tuple[str, str, list[str] | str]]:
    moved: dict[str, list[str]] = {}
    for account_id, tariff_id in sorted(after.items()):
        if before.get(account_id) != tariff_id:
            moved.setdefault(tariff_id, []).append(account_id)
    return [(ACCOUNTS, tariff_id, accounts) for tariff_id, accounts in sorted(moved.items())]


def sealed(rules: Iterable[Rule]) -> tuple[str, str]:
    """Idempotency key and payload hash of the batch that seals these rules, which are one at least."""
    digest, first = sha256(), None
    for rule in rules:
        first = rule.rule_no if first is None else first
        digest.update(f"{tuple(rule)!r}\n".encode())
    return f"{BATCH}:{first}", digest.hexdigest()
