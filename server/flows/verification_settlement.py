"""Closed settlement periods and shared costs against the journal, as part of `verify`.

The sums of every closed day and month are derived again from the lines that stream by; each is compared with the hash
that its close kept, and forgotten. What was kept is compared with the same hash afterwards, and the headers with each
other. Without any closed period nothing is done. Parts of a shared cost must follow from its weights, make its amount,
and stand in its batch.
"""

from collections.abc import Sequence
from zoneinfo import ZoneInfo

from sqlalchemy import Connection

from server.domain.allocation import largest_remainder, posted_to
from server.domain.ledger import GENESIS, Line
from server.domain.settlement import KINDS, Settlement, Sums, span_of, sums_sha256, turnover_of
from server.domain.settlement_sums import PeriodSums, Ratios
from server.domain.verification import Findings
from server.errors import NotFound
from server.store import allocations
from server.store import archive as archives
from server.store import ledger as journal
from server.store import settlement as kept
from server.store.estates import get_estate
from server.store.verification import ratios
from server.store.verification_windows import Window

INVARIANT = 8
NAMED_MAX = 20  # accounts of one period that are told; more of them say no more
HELD_MAX = 3  # periods whose derived sums are kept for telling


class SettlementBooks:
    """The closed periods of an estate while its journal streams by."""

    def __init__(
        self, connection: Connection, estate_id: str, found: Findings, passed: tuple[int, int] | None = None
    ) -> None:
        """`passed`: lines up to this batch, which are of before this instant, will not stream by."""
        self._connection, self._estate_id, self._found = connection, estate_id, found
        self._rows: list[tuple[list[Settlement], PeriodSums]] = []
        self._closed: list[list[Settlement]] = []
        self._wrong: dict[tuple[str, str], list[Sums]] = {}
        self.count = 0
        known: dict[tuple[str, int], int] | None = None
        for kind in KINDS:
            closed = kept.settlements(connection, estate_id, kind)
            if closed:
                known = ratios(connection, estate_id) if known is None else known
                self._derive(closed, known, passed)
                self._closed.append(closed)
                self.count += len(closed)
                self._headers(closed)

    def _derive(self, closed: list[Settlement], known: Ratios, passed: tuple[int, int] | None) -> None:
        first, opening = 0, None
        if passed is not None:
            first = next((at for at in range(1, len(closed)) if _follows(closed[at - 1], closed[at], passed)), 0)
            if not first:
                return
            before = closed[first - 1]
            rows = kept.sums(self._connection, self._estate_id, before.kind, before.period)
            opening = {row.account_id: row.closing_fen for row in rows}
        derived = closed[first:]
        ends = [derived[0].from_at, *(one.to_at for one in derived)]
        throughs = [closed[max(0, first - 1)].through_seq, *(one.through_seq for one in derived)]
        self._rows.append((derived, PeriodSums(ends, throughs, known, opening)))

    def take(self, window: Window) -> None:
        """Follow some batches."""
        for closed, own in self._rows:
            own.take(window.batches, window.lines)
            self._compare(closed, own, int(window.batches.column("batch_seq")[-1]))

    def _compare(self, closed: list[Settlement], own: PeriodSums, last_seq: int) -> None:
        for index, rows in own.complete(last_seq):
            header = closed[index]
            same = sums_sha256(rows) == header.sums_sha256
            self._totals(header, rows)
            if not same and len(self._wrong) < HELD_MAX:
                self._wrong[header.kind, header.period] = rows
            elif not same:
                self._note(header, "its sums do not follow from the journal")

    def _totals(self, header: Settlement, rows: list[Sums]) -> None:
        subject = _subject(header)
        self._found.expect(INVARIANT, subject, "number of accounts", header.accounts, len(rows))
        self._found.expect(INVARIANT, subject, "energy", header.energy_wh, sum(row.energy_wh for row in rows))
        turnover = kept.turnover(header)
        self._found.expect(INVARIANT, subject, "turnover", turnover, turnover_of(rows))

    def _headers(self, closed: list[Settlement]) -> None:
        """Spans without a gap, batches in order, hashes that follow from each other."""
        zone = ZoneInfo(get_estate(self._connection, self._estate_id)["time_zone"])
        previous = GENESIS
        for number, header in enumerate(closed):
            subject = _subject(header)
            try:
                span: tuple[int, int] | None = span_of(header.kind, header.period, zone)
            except NotFound:
                span = None
            self._found.expect(INVARIANT, subject, "span", (header.from_at, header.to_at), span)
            if number and header.from_at != closed[number - 1].to_at:
                self._note(header, f"does not begin where {closed[number - 1].period} ends")
            if number and header.through_seq < closed[number - 1].through_seq:
                self._note(header, "was closed through an older batch than the period before")
            self._found.expect(INVARIANT, subject, "previous hash", header.previous_hash, previous)
            self._found.expect(INVARIANT, subject, "hash", header.hash, header.chained().hash)
            previous = header.hash

    def close(self, last_seq: int) -> None:
        """Compare what was kept; the journal ended with batch `last_seq`."""
        for derived, own in self._rows:
            self._compare(derived, own, max(header.through_seq for header in derived))
        for closed in self._closed:
            for header in closed:
                if header.through_seq > last_seq:
                    self._note(header, f"was closed through batch {header.through_seq}, which does not exist")
                self._kept(header)
        self._allocations()
        for kind, period in kept.strays(self._connection, self._estate_id):
            self._found.note(INVARIANT, f"{kind} {period}", "has sums but was not closed")

    def _allocations(self) -> None:
        """The parts of every shared cost, worked out again from their weights, and the lines that post them."""
        acts = archives.acts(self._connection, self._estate_id)
        archived_seq = max((act.until_seq for act in acts), default=0)
        for row in allocations.allocations(self._connection, self._estate_id):
            subject = f"shared cost {row['allocation_id']}"
            parts = allocations.shares(self._connection, self._estate_id, row["allocation_id"])
            ordered = sorted(parts, key=lambda part: str(part["account_id"]))
            stored = [part["amount_fen"] for part in ordered]
            weights = [part["weight"] for part in ordered]
            derived = largest_remainder(row["amount_fen"], weights) if any(weights) else []
            self._found.expect(INVARIANT, subject, "parts", stored, derived)
            lines = journal.lines_of_batch(self._connection, self._estate_id, row["batch_seq"])
            self._reversal(subject, row["reversal_seq"], lines, archived_seq)
            if not lines and row["batch_seq"] <= archived_seq:
                continue  # the seals have followed them
            booked = {line.account_id: -line.amount_fen for line in lines if line.amount_fen < 0}
            owed = {posted_to(part["account_id"]): part["amount_fen"] for part in ordered if part["amount_fen"]}
            self._found.expect(INVARIANT, subject, "lines", booked, owed)

        for batch_seq in allocations.batches_of_nothing(self._connection, self._estate_id):
            self._found.note(INVARIANT, f"batch {batch_seq}", "shares a cost or takes one back that no row asks for")

    def _reversal(self, subject: str, reversal_seq: int | None, lines: Sequence[Line], archived_seq: int) -> None:
        """What takes a shared cost back mirrors what posted it; archived lines were followed by the seals."""
        if reversal_seq is None or not lines:
            return
        back = journal.lines_of_batch(self._connection, self._estate_id, reversal_seq)
        if back or reversal_seq > archived_seq:
            booked = {line.account_id: line.amount_fen for line in back}
            self._found.expect(
                INVARIANT, subject, "reversal", booked, {line.account_id: -line.amount_fen for line in lines}
            )

    def _kept(self, header: Settlement) -> None:
        stored = kept.sums(self._connection, self._estate_id, header.kind, header.period)
        derived = self._wrong.pop((header.kind, header.period), None)
        if derived is not None:
            self._differences(header, stored, derived)
        elif sums_sha256(stored) != header.sums_sha256:
            self._note(header, "its sums are not those that were closed")

    def _differences(self, header: Settlement, stored: list[Sums], derived: list[Sums]) -> None:
        have, should = ({row.account_id: row for row in rows} for rows in (stored, derived))
        wrong = sorted(name for name in {*have, *should} if have.get(name) != should.get(name))
        for name in wrong[:NAMED_MAX]:
            self._note(header, f"account {name}: {_told(have.get(name))} is kept, {_told(should.get(name))} follows")
        if not wrong:
            self._note(header, "the hash of its sums is not that of the sums, which follow from the journal")

    def _note(self, header: Settlement, detail: str) -> None:
        self._found.note(INVARIANT, _subject(header), detail)


def _follows(before: Settlement, period: Settlement, passed: tuple[int, int]) -> bool:
    """Whether no line of a period, nor of a later one, is among those that were passed by."""
    seq, at = passed
    return period.from_at >= at and before.through_seq >= seq


def _subject(header: Settlement) -> str:
    return f"{header.kind} {header.period}"


def _told(row: Sums | None) -> str:
    if row is None:
        return "nothing"
    return f"{row.opening_fen} to {row.closing_fen} fen by {row.by_kind}, {row.energy_wh} Wh"
