"""How much of a top-up goes to debts in other ledgers: a share that the household is shown before it pays.

The share is rounded down and never more than what is owed. It leaves the electricity account above the amount at
which power may come back and at or above its second alarm, so that nobody who pays stays dark, or is warned at once,
because of old debts. Debts are paid in the order of the rule, or in proportion, to the largest remainders first.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from server.domain.allocation import largest_remainder
from server.domain.ledger import ELECTRICITY, LEDGERS
from server.errors import Refused

PERMILLE = 1000
IN_ORDER, PRO_RATA = "order", "pro_rata"
SPLITS = (IN_ORDER, PRO_RATA)
RETURN = "recovery_return"  # the kind of batch by which a reversed sale takes its share back
TOLD_FORM = 2  # of rules set since each top-up that owes a share tells in a batch what had to be left, even all of it
_MEMO = re.compile(r"at least (-?\d{1,19}) fen stay for electricity")
DEBT_LEDGERS = tuple(ledger for ledger in LEDGERS if ledger != ELECTRICITY)


@dataclass(frozen=True, slots=True)
class RecoveryRule:
    """From `valid_from` on, `permille` of each top-up goes to debts in `ledgers`, in that order or in proportion."""

    valid_from: int = 0
    permille: int = 0
    ledgers: tuple[str, ...] = ("arrears",)
    split: str = IN_ORDER

    def check(self) -> None:
        """Refused unless the rule can be followed."""
        if not 0 <= self.permille <= PERMILLE:
            raise Refused(f"a share is 0 to {PERMILLE} permille, not {self.permille}")
        if not self.ledgers or len(set(self.ledgers)) != len(self.ledgers) or not set(self.ledgers) <= {*DEBT_LEDGERS}:
            raise Refused(f"name each ledger of debts once, of {', '.join(DEBT_LEDGERS)}")
        if self.split not in SPLITS:
            raise Refused(f"debts are paid by {' or '.join(SPLITS)}, not by {self.split!r}")


class KeptRule(NamedTuple):
    """A rule as it was set: when (machine time), and in which form its shares are told."""

    rule: RecoveryRule
    created_ms: int
    form: int


def key_of_share(payment_id: str) -> str:
    """The idempotency key of the batch that takes a payment's share."""
    return f"recovery:{payment_id}"


def memo_of_floor(floor_fen: int) -> str:
    """What the batch of a share says it had to leave."""
    return f"at least {floor_fen} fen stay for electricity"


def floor_of_memo(memo: str) -> int | None:
    """What a share had to leave, None where that was not kept."""
    found = _MEMO.fullmatch(memo)
    return int(found[1]) if found else None


@dataclass(frozen=True, slots=True)
class Standing:
    """An electricity account before a top-up, and its debts in other ledgers (positive fen)."""

    balance_fen: int
    close_allowed_fen: int
    alarm2_fen: int
    debts: dict[str, int]

    @property
    def floor_fen(self) -> int:
        """What a share leaves at least: power may come back, with a fen for the residue, and no second alarm."""
        return max(self.close_allowed_fen + 1, self.alarm2_fen)


def recovered(rule: RecoveryRule, standing: Standing, amount_fen: int) -> dict[str, int]:
    """Fen of a top-up that go to each ledger; those that get nothing are left out."""
    owed = [max(0, standing.debts.get(ledger, 0)) for ledger in rule.ledgers]
    room_fen = standing.balance_fen + amount_fen - standing.floor_fen
    share_fen = max(0, min(amount_fen * rule.permille // PERMILLE, sum(owed), room_fen))
    if not share_fen:
        return {}
    parts = _in_order(share_fen, owed) if rule.split == IN_ORDER else largest_remainder(share_fen, owed)
    return {ledger: fen for ledger, fen in zip(rule.ledgers, parts, strict=True) if fen}


def _in_order(share_fen: int, owed: Sequence[int]) -> list[int]:
    parts = []
    for fen in owed:
        parts.append(min(share_fen, fen))
        share_fen -= parts[-1]
    return parts
