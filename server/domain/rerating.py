"""Re-rating: what a span of past energy should have cost by another tariff, as a correction of what was booked.

A correction is a difference of exact charges, in nanofen; it is posted like a charge, with the residue of the
account, so no nanofen is lost and nothing that was booked is edited. Two re-ratings of a tariff have the same span,
and then the later one corrects what the earlier ones left, or no moment in common.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256

KIND = "rerate"


@dataclass(frozen=True, slots=True)
class Rerate:
    """One re-rating as it was agreed to; `definition` is the tariff that should have held, as canonical JSON.

    `split_down` is 1 for those of the time when every odd Wh at a boundary was left to the later part.
    """

    rerate_id: str
    tariff_id: str
    definition: str
    from_at: int
    until_at: int
    until_batch: int
    reason: str
    status: str = "asked"
    done_account: str = ""
    split_down: int = 0

    @property
    def span(self) -> tuple[int, int]:
        """Begin and end in world time."""
        return self.from_at, self.until_at

    @property
    def terms_sha256(self) -> str:
        """What the batches of corrections are bound to, under their seals."""
        terms: tuple[object, ...] = (self.tariff_id, self.definition, *self.span, self.until_batch)
        if not self.split_down:
            terms = (*terms, "to the nearest Wh")
        return sha256(repr(terms).encode()).hexdigest()

    @property
    def memo(self) -> str:
        """The memo of its batches."""
        return f"{KIND} {self.rerate_id} {self.terms_sha256}"

    def key(self, last_account: str) -> str:
        """The idempotency key of the batch that ends with this account."""
        return f"{KIND}:{self.rerate_id}:{last_account}"


@dataclass(frozen=True, slots=True)
class Correction:
    """What one account owes more (or less, below zero) than it was charged."""

    account_id: str
    energy_wh: int
    old_nf: int
    new_nf: int
    corrected_nf: int  # by earlier re-ratings of the same span

    @property
    def owed_nf(self) -> int:
        """The correction."""
        return self.new_nf - self.old_nf - self.corrected_nf


def rerate_of_memo(memo: str) -> str:
    """The id of the re-rating that a batch belongs to; "" for a memo of another kind."""
    parts = memo.split(" ")
    return parts[1] if len(parts) == 3 and parts[0] == KIND else ""


def in_the_way(others: Iterable[Rerate], tariff_id: str, from_at: int, until_at: int) -> Rerate | None:
    """A re-rating of the tariff that shares time with the span without being of the same span."""
    for one in others:
        overlaps = one.tariff_id == tariff_id and one.from_at < until_at and from_at < one.until_at
        if overlaps and one.span != (from_at, until_at):
            return one
    return None
