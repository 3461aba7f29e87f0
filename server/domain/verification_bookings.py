"""Checking bookings that are no charges: each moves money just as its kind does, and has the row that asked for it.

A top-up is a payment, whole: the household or suspense gains what the provider's account loses, and nobody else has
a line in it, cash of the counter included. A fee goes from a ledger of a household to that ledger's revenue, a
transfer from one ledger of a household to another that had it to its credit; an opening balance stands against the
account of openings. A kind that nothing books is told. All are part of invariant 5.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from server.domain.ledger import (
    ELECTRICITY,
    LEDGERS,
    OPENING,
    REVENUE,
    SUSPENSE,
    SYSTEM_ACCOUNTS,
    provider_account,
)
from server.domain.verification import Findings

INVARIANT = 5
CREDITED = "credited"  # the state of a payment that was a household's when it came
WITHOUT_LINES = ("archive", "rules", "head")  # acts that the hash chain has to tell of
KINDS = frozenset((  # what is booked beside charges
    "topup", "opening", "adjustment", "payout", "carry", "fee", "transfer", "recovery", "recovery_return",
    "instalment", "recharge", "recharge_return", "meter_settled",
    "refund", "refund_paid", "refund_return", "assignment", "allocation", "reversal", "rerate", "void", *WITHOUT_LINES,
))  # fmt: skip
OF_CHARGES = frozenset(("charge", "void", "rerate"))  # their lines without a charge are those of the revenue
SHARED_REVENUE = f"{REVENUE}:shared"


class PaymentRow(NamedTuple):
    """A payment, and the batch that should have credited it."""

    payment_id: str
    provider: str
    account_id: str | None
    amount_fen: int
    batch_seq: int
    state: str


class Booked(NamedTuple):
    """One batch that is no charge; its lines are (account, fen, fen of the account after it)."""

    batch_seq: int
    kind: str
    event_at: int
    created_ms: int
    key: str
    memo: str
    lines: Sequence[tuple[str, int, int]]

    @property
    def amounts(self) -> dict[str, int]:
        """Fen by account, of all its lines together."""
        found: dict[str, int] = {}
        for name, fen, _ in self.lines:
            found[name] = found.get(name, 0) + fen
        return found


class PaymentBooks:
    """Every payment has one batch that credits just it, and every top-up its payment."""

    def __init__(self, found: Findings) -> None:
        self.found, self.count = found, 0
        self._rows: dict[int, list[PaymentRow]] = {}

    def expect(self, rows: Iterable[PaymentRow]) -> None:
        """The payments of the batches that come by next."""
        for row in rows:
            self.count += 1
            self._rows.setdefault(row.batch_seq, []).append(row)

    def batches(self) -> Iterable[int]:
        """The batches of payments that have not come by."""
        return self._rows.keys()

    def take(self, booked: Booked) -> Sequence[PaymentRow]:
        """One batch that is no charge; its payments."""
        rows = self._rows.pop(booked.batch_seq, [])
        for row in rows[1:]:
            subject = f"payment {row.payment_id}"
            self.found.note(INVARIANT, subject, f"shares batch {booked.batch_seq} with payment {rows[0].payment_id}")
        for row in rows:
            self._one(row, booked.kind, booked.amounts)
        if booked.kind == "topup" and not rows:
            self.found.note(INVARIANT, f"batch {booked.batch_seq}", "credits money without a payment")
        return rows

    def pass_by(self, batch_seq: int, kind: str, turnover_fen: int) -> None:
        """One batch whose lines are archived: its turnover is what its payment brought."""
        rows = self._rows.pop(batch_seq, [])
        for row in rows:
            subject = f"payment {row.payment_id}"
            self.found.expect(INVARIANT, subject, "kind of its batch", kind, "topup")
            self.found.expect(INVARIANT, subject, "turnover of its batch", turnover_fen, row.amount_fen)
        if kind == "topup" and not rows:
            self.found.note(INVARIANT, f"batch {batch_seq}", "credits money without a payment")

    def _one(self, row: PaymentRow, kind: str, amounts: Mapping[str, int]) -> None:
        subject = f"payment {row.payment_id}"
        self.found.expect(INVARIANT, subject, "kind of its batch", kind, "topup")
        credited = row.account_id if row.state == CREDITED and row.account_id else SUSPENSE
        wanted = {credited: row.amount_fen, provider_account(row.provider): -row.amount_fen}
        self.found.expect(INVARIANT, subject, "booking", dict(amounts), wanted)

    def miss(self) -> None:
        """What is left of the payments that were expected has no batch."""
        for rows in self._rows.values():
            for row in rows:
                self._one(row, "missing", {})
        self._rows.clear()


def shape_problem(booked: Booked) -> str:
    """What of a batch its kind never does, or an empty text; what has a row of its own is compared with that."""
    amounts = booked.amounts
    if booked.kind not in KINDS:
        return f"is of the kind {booked.kind!r}, which nothing books"
    if booked.kind == "opening":
        right = _is_opening(booked, amounts)
    elif booked.kind == "fee":
        right = _is_fee(amounts)
    elif booked.kind == "transfer":
        right = _is_transfer(booked, amounts)
    elif booked.kind == "allocation":
        right = all(fen < 0 for name, fen in amounts.items() if name != SHARED_REVENUE)
    else:
        right = booked.kind not in WITHOUT_LINES or not booked.lines
    return "" if right else f"is booked as {booked.kind}, but moves {amounts}"


def _is_opening(booked: Booked, amounts: Mapping[str, int]) -> bool:
    """One household's, and by its key the only one that it ever has."""
    others = [name for name in amounts if name != OPENING]
    return OPENING in amounts and len(others) == 1 and booked.key == f"opening:{others[0]}"


def _is_of_the_estate(name: str) -> bool:
    return name.partition(":")[0] in (*SYSTEM_ACCOUNTS, "provider")


def _ledger(name: str) -> str:
    return name.partition(":")[2] or ELECTRICITY


def _is_fee(amounts: Mapping[str, int]) -> bool:
    """One ledger beside electricity owes it to its own revenue."""
    for name, fen in amounts.items():
        ledger = _ledger(name)
        if fen < 0:
            known = ledger in LEDGERS and ledger != ELECTRICITY and not _is_of_the_estate(name)
            return known and dict(amounts) == {name: fen, f"{REVENUE}:{ledger}": -fen}
    return False


def _is_transfer(booked: Booked, amounts: Mapping[str, int]) -> bool:
    """Two ledgers of one household, of which the one that loses it had that much."""
    homes = {name.partition(":")[0] for name in amounts}
    ledgers = {_ledger(name) for name in amounts}
    had = all(after_fen >= 0 for _, fen, after_fen in booked.lines if fen < 0)
    own = len(homes) == 1 and not any(map(_is_of_the_estate, amounts))
    return own and len(booked.lines) == len(ledgers) == 2 and ledgers <= set(LEDGERS) and had
