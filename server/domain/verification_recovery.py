"""Checking the shares of top-ups that went to debts: each worked out again from the rule in force and the journal.

The journal says how the household's electricity stood and what it owed in its other ledgers at that moment; what the
share had to leave stands in the memo of its batch, under the seal, since limits of households move. Shares of before
that was kept are taken to have left what they left, which still says that they took no more than their rule allows,
in the ledgers and parts of the rule. All are part of invariant 5.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from server.domain.ledger import ledger_account
from server.domain.recovery import (
    DEBT_LEDGERS,
    TOLD_FORM,
    KeptRule,
    RecoveryRule,
    Standing,
    floor_of_memo,
    key_of_share,
    recovered,
)
from server.domain.verification import Findings
from server.domain.verification_bookings import CREDITED, Booked, PaymentRow

INVARIANT = 5
TOGETHER_S = 10  # payments that wait are credited together, by the rule of the first: world seconds
NO_RULE = KeptRule(RecoveryRule(), 0, TOLD_FORM)


@dataclass(slots=True)
class _Paid:
    """A top-up of a household with debts, whose share comes next; what its electricity has now."""

    payment_id: str
    account_id: str
    amount_fen: int
    rules: Sequence[KeptRule]
    debts: dict[str, int]
    balance_fen: int


class RecoveryBooks:
    """Takes the bookings in their order; `rules` are all that were ever set."""

    def __init__(self, found: Findings, rules: Iterable[KeptRule]) -> None:
        self.found = found
        self._rules = list(rules)
        self._balances: dict[str, int] = {}  # of ledgers beside electricity
        self._waiting: dict[str, _Paid] = {}  # by the key of the share

    @property
    def waiting(self) -> bool:
        """Whether shares of top-ups are to come next."""
        return bool(self._waiting)

    def stand(self, balances: Iterable[tuple[str, int]]) -> None:
        """Let all accounts stand there, whatever was seen so far: (account, fen)."""
        self._balances = {name: fen for name, fen in balances if name.partition(":")[2] in DEBT_LEDGERS}

    def take(self, booked: Booked, payments: Sequence[PaymentRow]) -> None:
        """One booking, and the payments that it credits."""
        if booked.kind == "recovery":
            self._share(booked)
        for name, _, after_fen in booked.lines:
            if name.partition(":")[2] in DEBT_LEDGERS:
                self._balances[name] = after_fen
            for paid in self._waiting.values():
                if paid.account_id == name:
                    paid.balance_fen = after_fen
        for payment in payments:
            self._await(booked, payment)

    def _await(self, booked: Booked, payment: PaymentRow) -> None:
        account_id = payment.account_id or ""
        debts = self._debts(account_id)
        if payment.state == CREDITED and debts:
            after_fen = next((fen for name, _, fen in booked.lines if name == account_id), 0)
            self._waiting[key_of_share(payment.payment_id)] = _Paid(
                payment.payment_id, account_id, payment.amount_fen, self._in_force(booked), debts, after_fen
            )

    def _debts(self, account_id: str) -> dict[str, int]:
        owed = {ledger: -self._balances.get(ledger_account(account_id, ledger), 0) for ledger in DEBT_LEDGERS}
        return {ledger: fen for ledger, fen in owed.items() if fen > 0}

    def _in_force(self, booked: Booked) -> list[KeptRule]:
        """The rules by which a top-up may have been credited: one, unless another began or was set just then."""
        found: list[KeptRule] = []
        for until_ms in (booked.created_ms, booked.created_ms - 1):
            for at in (booked.event_at - TOGETHER_S, booked.event_at, booked.event_at + TOGETHER_S):
                known = [one for one in self._rules if one.created_ms <= until_ms and one.rule.valid_from <= at]
                newest = max(known, key=lambda one: one.rule.valid_from, default=NO_RULE)
                if newest not in found:
                    found.append(newest)
        return found

    def _share(self, booked: Booked) -> None:
        subject = f"share of batch {booked.batch_seq}"
        paid = self._waiting.pop(booked.key, None)
        if paid is None:
            self.found.note(INVARIANT, subject, "is of no payment that was just credited to a household with debts")
            return
        amounts, names = booked.amounts, {ledger_account(paid.account_id, one): one for one in DEBT_LEDGERS}
        moved_fen = -amounts.pop(paid.account_id, 0)
        parts = {names.get(name, name): fen for name, fen in amounts.items()}
        left_fen = paid.balance_fen - moved_fen
        told_fen = floor_of_memo(booked.memo)
        floor_fen = left_fen if told_fen is None else told_fen
        standing = Standing(paid.balance_fen - paid.amount_fen, floor_fen - 1, floor_fen, self._debts(paid.account_id))
        expected = [recovered(one.rule, standing, paid.amount_fen) for one in paid.rules]
        if parts not in expected or (told_fen is None and not parts):
            self.found.note(INVARIANT, subject, f"books {parts} of {paid.amount_fen} fen, should book {expected[0]}")

    def close(self) -> None:
        """Payments of which a share had to be booked, or that nothing could be taken, and neither was."""
        for paid in self._waiting.values():
            due = all(
                one.form >= TOLD_FORM and one.rule.permille and any(name in paid.debts for name in one.rule.ledgers)
                for one in paid.rules
            )
            if due:
                self.found.note(
                    INVARIANT, f"payment {paid.payment_id}", "no share of it was booked, though debts were owed"
                )
