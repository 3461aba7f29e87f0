"""What `verify` checks of batches: their numbers, sums and counts, the chain of their seals, and signed heads.

Arrays screen thousands at once: the lanes that read them have worked out their hashes (`BatchWords.right`). A batch
that is not right in every way is followed exactly, by itself and with the hashes of Python's library, which says what
is wrong with it, or that nothing is.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from server.domain.batch_words import Batch, BatchWords
from server.domain.heads import Head
from server.domain.ledger import GENESIS, chain_hash, lines_sha256, sealed_header
from server.domain.line_words import LineWords, Words, hash_of_lines
from server.domain.verification import Findings
from server.store.verification_windows import Window

AMOUNT_MAX_FEN = 2**42  # of which a window's lines can be summed in int64


class BatchBooks:
    """Where the batches and their seals stand."""

    def __init__(self, found: Findings, heads: Sequence[Head]) -> None:
        self.found = found
        self.heads: dict[int, set[str]] = {}
        for head in heads:
            self.heads.setdefault(head.batch_seq, set()).add(head.hash)
        self.previous_hash = GENESIS
        self.sealing = True
        self.sealed = self.count = self.lines = self.last_seq = self.archived = 0

    def take(self, window: Window, starts: Words, ends: Words, absent: Any) -> None:
        """Follow batches; the lines of those that are `absent` (bool[n]) are archived in a file that is not at hand."""
        batches, lines = window.batches, window.lines
        self.count += len(batches)
        self.lines += len(lines)
        self._strays(batches, lines)
        if not len(batches):
            return
        right = self._right(batches, lines, starts, ends) & ~absent
        self.sealed += int(right.sum())
        canonical: list[Words] = []
        for place in np.flatnonzero(~right).tolist():
            if place and right[place - 1]:
                self._stand(batches, place - 1)
            rows = slice(int(starts[place]), int(ends[place]))
            self._exactly(batches[place], lines, canonical, rows, bool(absent[place]))
        if right[-1]:
            self._stand(batches, len(batches) - 1)

    def _right(self, batches: BatchWords, lines: LineWords, starts: Words, ends: Words) -> Any:
        """Which batches are right in every way, as far as arrays can say."""
        numbers, amounts = batches.column("batch_seq"), lines["amount_fen"]
        if not self.sealing or not batches.sealed().all():
            return np.zeros(len(batches), np.bool_)
        small = ((amounts < AMOUNT_MAX_FEN) & (amounts > -AMOUNT_MAX_FEN)).all() and len(lines) < AMOUNT_MAX_FEN
        sums = np.concatenate([[0], np.cumsum(amounts)])
        right = batches.right & small & (sums[ends] == sums[starts]) & (batches.column("lines") == ends - starts)
        right &= np.diff(numbers, prepend=self.last_seq) == 1
        if self.heads:
            right &= ~np.isin(numbers, list(self.heads))
        right[0] &= batches.hash_of("previous_hash", 0) == self.previous_hash
        return right

    def _stand(self, batches: BatchWords, place: int) -> None:
        """Let everything stand after a batch that is right."""
        self.last_seq = int(batches.column("batch_seq")[place])
        self.previous_hash = batches.hash_of("hash", place) or ""

    def _strays(self, batches: BatchWords, lines: LineWords) -> None:
        numbers = batches.column("batch_seq")
        for place in np.flatnonzero(batches.column("odd")):
            self.found.note(7, f"batch {numbers[place]}", "holds a value that is never written so")
        for batch_seq in batches.strays:
            self.found.note(7, f"seal {batch_seq}", "seals a batch that does not exist")
        for row in np.flatnonzero(lines["odd"]):
            subject = f"batch {lines['batch_seq'][row]} line {lines['line_no'][row]}"
            self.found.note(7, subject, "holds a value that is never written so")
        for batch_seq in np.setdiff1d(lines["batch_seq"], numbers):
            self.found.note(7, f"batch {batch_seq}", "has lines but does not exist")

    def _exactly(self, batch: Batch, lines: LineWords, canonical: list[Words], rows: slice, absent: bool) -> None:
        """Follow one batch; `canonical` keeps the canonical form of all lines once it is needed."""
        batch_seq, count = batch.header[0], batch.header[6] if absent else rows.stop - rows.start
        subject = f"batch {batch_seq}"
        self.found.expect(7, subject, "number", batch_seq, self.last_seq + 1)
        self.found.expect(1, subject, "sum of its lines", sum(lines["amount_fen"][rows].tolist()), 0)
        self.found.expect(7, subject, "count of lines", batch.header[6], count)
        self.last_seq = batch_seq
        if absent:
            self.archived += batch.header[6]
        self._seal(batch, lines, canonical, rows, absent)

    def _seal(self, batch: Batch, lines: LineWords, canonical: list[Words], rows: slice, absent: bool) -> None:
        """Follow the hash chain; after the last seal comes the unsealed tail. Absent lines: the link has their hash."""
        link = batch.link
        if link is None:
            self.sealing = False
            return
        subject = f"seal {batch.header[0]}"
        if not self.sealing:
            self.found.note(7, subject, "follows a batch without a seal")
        if absent:
            lines_hash = link.lines_sha256
        elif link.form == 1:
            lines_hash = lines_sha256(map(lines.line, range(rows.start, rows.stop)))
        else:
            canonical[:] = canonical or [lines.canonical()]
            lines_hash = hash_of_lines(canonical[0][rows])
        own = chain_hash(self.previous_hash, sealed_header(batch.header, link.sealed_ms, link.form), lines_hash)
        self.found.expect(7, subject, "hash of the lines", link.lines_sha256, lines_hash)
        self.found.expect(7, subject, "previous hash", link.previous_hash, self.previous_hash)
        self.found.expect(7, subject, "hash", link.hash, own)
        for signed_hash in self.heads.pop(batch.header[0], ()):
            self.found.expect(7, subject, "hash that was signed as a head", signed_hash, link.hash)
        self.previous_hash = link.hash
        self.sealed += 1
