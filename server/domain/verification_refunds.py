"""Checking refunds and assignments of the books: each has exactly the bookings that its state says, and none more.

A refund that is open or decided took its amount from its account; a refunded one then left through its provider, a
released one went back. Of no payment more goes back than it brought. What of a payment went to debts comes back only
as it went, and only for a payment that goes back whole. A recharge took its amount from its household into the meter,
and gave it back when the meter refused it. All are part of invariant 5.
"""

from collections.abc import Iterable, Mapping, Set
from typing import NamedTuple

from server.domain.ledger import ASSIGNMENT, METER_CREDIT, REFUNDS, SUSPENSE, provider_account
from server.domain.recovery import RETURN
from server.domain.refunds import REFUNDED, RELEASED
from server.domain.verification import Findings

KINDS = ("refund", "refund_paid", "refund_return", "assignment", "instalment", "recharge", "recharge_return")
SHARE = "recovery"


class RefundRow(NamedTuple):
    """A refund as its row says."""

    refund_no: str
    payment_id: str
    provider: str
    account_id: str | None
    amount_fen: int
    status: str


class SomePayment(NamedTuple):
    """A payment that was given to a household out of suspense."""

    payment_id: str
    account_id: str | None
    amount_fen: int


class RechargeRow(NamedTuple):
    """Money for a meter that keeps the credit itself, as its row says."""

    recharge_id: str
    account_id: str
    amount_fen: int
    status: str


def recharged(row: RechargeRow) -> dict[str, dict[str, int]]:
    """What a recharge must have booked, by the key of the batch."""
    keys = {f"recharge:{row.recharge_id}": {row.account_id: -row.amount_fen, METER_CREDIT: row.amount_fen}}
    if row.status == "refused":
        back = {row.account_id: row.amount_fen, METER_CREDIT: -row.amount_fen}
        keys[f"recharge_return:{row.recharge_id}"] = back
    return keys


def assigned(row: SomePayment) -> dict[str, dict[str, int]]:
    """What giving a payment in suspense to a household must have booked, by the key of the batch."""
    return {f"{ASSIGNMENT}:{row.payment_id}": {SUSPENSE: -row.amount_fen, str(row.account_id): row.amount_fen}}


def refunded(row: RefundRow) -> dict[str, dict[str, int]]:
    """What a refund must have booked: amounts by account, by the key of the batch."""
    holder, amount_fen = row.account_id or SUSPENSE, row.amount_fen
    keys = {f"refund:{row.refund_no}": {holder: -amount_fen, REFUNDS: amount_fen}}
    if row.status == REFUNDED:
        keys[f"refund_paid:{row.refund_no}"] = {REFUNDS: -amount_fen, provider_account(row.provider): amount_fen}
    if row.status == RELEASED:
        keys[f"refund_return:{row.refund_no}"] = {REFUNDS: -amount_fen, holder: amount_fen}
    return keys


def _turnover(moved: Mapping[str, int] | int) -> int:
    return moved if isinstance(moved, int) else sum(map(abs, moved.values())) // 2


class RefundBooks:
    """Takes the batches in booking order, some at a time with the rows that asked for them."""

    def __init__(self, found: Findings) -> None:
        self.found = found
        self._wanted: dict[str, dict[str, int]] = {}
        self._shares: dict[str, dict[str, int] | int] = {}  # what went to debts, by payment; archived: the turnover
        self._undone: Set[str] = frozenset()
        self._gone: Set[str] = frozenset()

    def expect(self, wanted: Mapping[str, dict[str, int]]) -> None:
        """What batches that come by next must book, by their keys; rows are too many to be in memory at once."""
        self._wanted |= wanted

    def expect_shares(self, undone: Set[str], gone: Set[str]) -> None:
        """The payments that took their shares back, of shares that come by next; those gone whole, of such returns."""
        self._undone, self._gone = undone, gone

    def wants(self, beginning: str) -> bool:
        """Whether a batch is to come whose key begins so."""
        return any(key.startswith(beginning) for key in self._wanted)

    def take(self, kind: str, key: str, amounts: Mapping[str, int]) -> None:
        """One batch that is no charge."""
        if kind in (SHARE, RETURN):
            self._share(kind, key, dict(amounts))
        wanted = self._wanted.pop(key, None)
        if wanted is not None:
            self.found.expect(5, f"batch of {key}", "booking", (kind, dict(amounts)), (key.partition(":")[0], wanted))
        elif kind in KINDS:
            self.found.note(5, f"batch of {key}", f"is a {kind} that no row asks for")

    def _share(self, kind: str, key: str, amounts: Mapping[str, int] | int) -> None:
        """What went to debts, and what came back from them: the same lines with the other sign."""
        payment_id = key.partition(":")[2]
        if kind == SHARE and payment_id not in self._undone:
            return
        if kind == SHARE:
            self._shares[payment_id] = amounts if isinstance(amounts, int) else {k: -v for k, v in amounts.items()}
            return
        moved, should = amounts, self._shares.pop(payment_id, {})
        if isinstance(moved, int) or isinstance(should, int):
            moved, should = _turnover(moved), _turnover(should)
        self.found.expect(5, f"batch of {key}", "booking", moved, should)
        if payment_id not in self._gone:
            self.found.note(5, f"batch of {key}", "takes a share back of a payment that did not go back")

    def pass_by(self, kind: str, key: str, turnover_fen: int) -> None:
        """One batch whose lines are archived: only how much it moved is known."""
        if kind in (SHARE, RETURN):
            self._share(kind, key, turnover_fen)
        wanted = self._wanted.pop(key, None)
        if wanted is not None:
            moved = (kind, turnover_fen)
            should = (key.partition(":")[0], sum(map(abs, wanted.values())) // 2)
            self.found.expect(5, f"batch of {key}", "booking", moved, should)
        elif kind in KINDS:
            self.found.note(5, f"batch of {key}", f"is a {kind} that no row asks for")

    def close(self, unbooked: Iterable[str], overdrawn: Iterable[tuple[str, int]]) -> None:
        """Rows without their booking, by the key of its batch, and payments of which more fen went back than came."""
        for key in unbooked:
            self.found.note(5, f"batch of {key}", "is missing, but its row says that it was booked")
        for payment_id, more_fen in overdrawn:
            self.found.note(5, f"payment {payment_id}", f"gives back {more_fen} fen more than it brought")
