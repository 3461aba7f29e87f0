"""The life of a household's account: its states, the acts that lead from one to another, and the money they move.

An account begins initial, is normal once somebody moves in, may be paused, and is left once they have moved out; it is
closed only when nothing of it is open, and left once more when a correction finds money on it. Only a normal account is
charged, and only a normal one can be cut. What was paid in advance or is paid afterwards says `payment`: a postpaid
household is never cut for money.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from server.domain.ledger import ASSIGNMENT, CASH, ELECTRICITY, METER_CREDIT, REVENUE, SUSPENSE, ledger_account

INITIAL, NORMAL, PAUSED, LEFT, CLOSED = STATUSES = ("initial", "normal", "paused", "left", "closed")
ASSIGNED = "assigned"  # the act by which money in suspense became the household's
PREPAID, POSTPAID = PAYMENTS = ("prepaid", "postpaid")

FROM: Mapping[str, tuple[str, ...]] = {  # act of the account's life: the states in which it is possible
    "moved_in": (INITIAL, NORMAL),
    "paused": (NORMAL,),
    "resumed": (PAUSED,),
    "moved_out": (NORMAL, PAUSED),
    "final_corrected": (LEFT, CLOSED),
    "closed": (INITIAL, LEFT),
    "reopened": (CLOSED,),
    "payment": (INITIAL, NORMAL, PAUSED),
    "adjusted": (INITIAL, NORMAL, PAUSED, LEFT),
    "opening": (INITIAL, NORMAL, PAUSED),
    ASSIGNED: (INITIAL, NORMAL, PAUSED, LEFT),
    "paid_out": (INITIAL, LEFT),
    "carried": (INITIAL, LEFT),
}
TO: Mapping[str, str] = {
    "moved_in": NORMAL, "paused": PAUSED, "resumed": NORMAL, "moved_out": LEFT, "closed": CLOSED,
    "reopened": LEFT,
}  # fmt: skip

ADJUSTMENT, BANK = "adjustment", "bank"
HOW_PAID_OUT = {"cash": CASH, "bank": BANK}  # to the account that the money leaves
HOUSEHOLD_TIERS, PREMISES_TIERS = TIER_POLICIES = ("household", "premises")  # whose counters a new household has
KIND_OF_ACT = {
    "adjusted": "adjustment", "opening": "opening", "paid_out": "payout", "carried": "carry",
    "meter_settled": "meter_settled", "fee_booked": "fee", "transferred": "transfer", ASSIGNED: ASSIGNMENT,
}  # fmt: skip
LIMITED = ("adjusted", "opening", ASSIGNED, "paid_out")  # acts of which one person may book so much alone on an account
LIMITED_S = 86_400  # within so many seconds of world time, up and down together
ALONE = frozenset(("carried", "fee_booked", "transferred"))  # acts that need no second person, whatever the amount
ALWAYS_TOLD = frozenset(  # kinds of batches that no other part of the system books
    ("adjustment", "payout", "carry", "meter_settled", "fee", "transfer")
)
# accounts of the estate on the other side of those bookings
COUNTER_SIDES = (ADJUSTMENT, BANK, CASH, "opening", METER_CREDIT)

OPEN_WORDS = {
    "order": "a payment order is not decided",
    "recharge": "a recharge of the meter is not decided",
    "refund": "a refund is not decided",
    "command": "a relay command is not read back",
    "held_reading": "a held reading is not decided",
    "request": "a request waits for its second person",
    "meter": "a meter still feeds it",
    "balance": "a ledger is not at zero",
}


class OpenThing(NamedTuple):
    """Something that keeps an account from being closed: its kind, a key of OPEN_WORDS, and what it is about."""

    kind: str
    subject: str

    def __str__(self) -> str:
        """In words."""
        return f"{OPEN_WORDS[self.kind]} ({self.subject})"


@dataclass(frozen=True, slots=True)
class Told:
    """One event of an account's life that moved money, as `verify` compares it with the journal."""

    account_id: str
    event_no: int
    act: str
    ledger: str
    amount_fen: int
    limit_fen: int
    batch_seq: int
    actor: str
    approved_by: str | None
    world_at: int = 0
    created_ms: int = 0


def act_problem(act: str, status: str) -> str:
    """Why an account in this state does not allow the act, or an empty text."""
    if status in FROM[act]:
        return ""
    return f"the account is {status}; this needs it to be {' or '.join(FROM[act])}"


def needs_second_person(amount_fen: int, limit_fen: int) -> bool:
    """Whether an amount, up or down, is beyond what one person may book."""
    return abs(amount_fen) > limit_fen


def adjustment_account(ledger: str) -> str:
    """The other side of an adjustment of a ledger."""
    return ADJUSTMENT if ledger == ELECTRICITY else f"{ADJUSTMENT}:{ledger}"


def telling_problems(kind: str, amounts: Mapping[str, int], told: Sequence[Told]) -> list[str]:
    """What of a batch and of the events that tell of it does not agree.

    `amounts` are its lines by account. Each line of a household has its event with the same amount; what one person
    may not book alone has a second one.
    """
    if not told and kind not in ALWAYS_TOLD:
        return []
    said = {ledger_account(one.account_id, one.ledger): one.amount_fen for one in told}
    sides = {"fee": (REVENUE,), ASSIGNMENT: (SUSPENSE,)}.get(kind, COUNTER_SIDES)
    booked = {name: fen for name, fen in amounts.items() if name.partition(":")[0] not in sides}
    wrong = [] if said == booked else [f"the accounts' lives tell {said}, the batch books {booked}"]
    for one in told:
        if KIND_OF_ACT.get(one.act) != kind:
            wrong.append(f"event {one.event_no} of account {one.account_id} is told as {one.act}, booked as {kind}")
        second = one.approved_by not in (None, one.actor)
        if one.act not in ALONE and needs_second_person(one.amount_fen, one.limit_fen) and not second:
            wrong.append(f"{one.amount_fen} fen are beyond the {one.limit_fen} fen of one person, and nobody approved")
    return wrong
