"""Checking that the signed heads at hand are all that were exported, and that the newest is as young as it should be.

A server that exports heads puts each into the hash chain as well, so heads that it signed say that there were others.
Heads of before the first one at hand are not missed: a file may begin anew.
"""

from collections.abc import Sequence
from typing import Any

from server.domain.heads import Head

ON_THEIR_WAY_MS = 600_000  # heads exported so shortly before the others were read may not have been in that file
LATE_MS = 3 * 3_600_000  # of a server that runs: it exports when it starts, and then every hour
GAP_MAX_MS = 3_600_000  # more than that between two seals does not count: the server may have stood still


class HeadBooks:
    """The heads at hand, and what the journal says of those that were exported; `read_ms` is when they were read."""

    def __init__(self, heads: Sequence[Head], read_ms: int) -> None:
        own = [head for head in heads if head.number]
        self._digests = {head.digest for head in own}
        self._from_seq = min((head.batch_seq for head in own), default=0)
        self._from_ms = min((head.signed_ms for head in own), default=read_ms)
        self._until_ms = read_ms - ON_THEIR_WAY_MS
        self._missing: list[str] = []
        self.newest_seq = max((head.batch_seq for head in own), default=0)
        self.are_exported = False

    def take(self, header: tuple[Any, ...]) -> None:
        """One batch that says that a head was exported."""
        self.are_exported = True
        is_later = header[0] > self._from_seq and self._from_ms < header[3] <= self._until_ms
        if is_later and header[5] not in self._digests:
            self._missing.append(header[9])

    def missing(self) -> str:
        """Which exported heads are not at hand, in words; empty for none."""
        if not self._missing:
            return ""
        first, last = self._missing[0], self._missing[-1]
        which = first if first == last else f"{len(self._missing)} heads, from {first} to {last},"
        return (
            f"{which} was exported but is not among the signed heads: this is an older copy of the file, or heads were "
            "cut from it; take the newest copy"
        )

    def late(self, unheaded_ms: int) -> str:
        """What is wrong when batches were sealed for so long (milliseconds) after the newest head; empty for nothing.

        Nothing is known of a server that exports none, or of heads that were signed by hand.
        """
        if not self.are_exported or not self._digests or self._missing or unheaded_ms <= LATE_MS:
            return ""
        return (
            f"batches were sealed for {unheaded_ms // 3_600_000} hours after the newest signed head, and a head is due "
            "every hour: the export has failed, or the newest heads were cut off together with what the journal said "
            "of them"
        )
