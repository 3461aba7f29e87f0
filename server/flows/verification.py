"""`verify`: the books of an estate against its readings, tariffs and seals, in one consistent read.

The journal streams by in windows of whole batches, so memory does not grow with it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from sqlalchemy import Connection

from server.domain.accounts import Told, telling_problems
from server.domain.archive import Act, ArchiveFile, Standing, present, sealed_act
from server.domain.heads import Head, chain_problems
from server.domain.ledger import GENESIS, REVENUE, chain_hash, lines_sha256, sealed_header
from server.domain.line_words import LineWords, Words, hash_of_lines
from server.domain.registers import splits_down
from server.domain.rerating import KIND
from server.domain.tariff_calendar import TariffCalendar
from server.domain.verification import Findings, Mismatch, VerifyReport, note_rates
from server.domain.verification_accounts import AccountBooks
from server.domain.verification_bookings import OF_CHARGES, Booked, PaymentBooks, shape_problem
from server.domain.verification_chains import MeterBooks
from server.domain.verification_exchanges import check_exchanges, check_households
from server.domain.verification_orders import check_tariffs, note_messages, note_payments
from server.domain.verification_recovery import RecoveryBooks
from server.domain.verification_refunds import RefundBooks
from server.domain.verification_splits import SplitBooks
from server.domain.voiding import VOID
from server.errors import StorageUnavailable
from server.flows.verification_readings import check_readings
from server.flows.verification_rerates import RerateBooks
from server.flows.verification_settlement import SettlementBooks
from server.store import archive as archives
from server.store import ledger as journal_rows
from server.store import verification as books
from server.store import verification_orders as orders
from server.store.accounts import told
from server.store.append_only import unguarded
from server.store.debt_plans import batches_wanted
from server.store.reading_archive import archived_until
from server.store.recovery import kept_rules
from server.store.schema import APPEND_ONLY
from server.store.tariff_drafts import published
from server.store.tariffs import load_tariffs
from server.store.verification_windows import Batch, Journal, Window


class _Books:
    """One pass over an estate's journal."""

    def __init__(
        self, connection: Connection, estate_id: str, heads: Sequence[Head] = (), passed: tuple[int, int] | None = None
    ) -> None:
        self.connection, self.estate_id = connection, estate_id
        self.found = Findings()
        self.heads: dict[int, set[str]] = {}
        for problem in chain_problems(heads):
            self.found.note(7, "heads", f"{problem} among the signed heads")
        self.newest_head = max((head.batch_seq for head in heads), default=0)
        for head in heads:
            self.heads.setdefault(head.batch_seq, set()).add(head.hash)
        self.accounts = AccountBooks(self.found)
        tariffs = load_tariffs(connection, estate_id)
        calendars = {key: TariffCalendar(value) for key, value in tariffs.items()}
        check_tariffs(self.found, tariffs, published(connection, estate_id))
        self.splits = SplitBooks(
            self.found,
            calendars,
            partial(books.registers_at, connection, estate_id),
            partial(books.first_showing, connection, estate_id),
            archived_until(connection, estate_id),
        )
        self.meters = MeterBooks(
            self.found,
            books.household_meters(connection, estate_id),
            calendars,
            books.ended_installations(connection, estate_id),
            *books.judged_by_people(connection, estate_id),
            splits=self.splits,
        )
        self.rerates = RerateBooks(self.found, connection, estate_id)
        self.payments = PaymentBooks(self.found, books.payments(connection, estate_id))
        self.recoveries = RecoveryBooks(self.found, kept_rules(connection, estate_id))
        self.settlements = SettlementBooks(connection, estate_id, self.found, passed)
        self.refunds = RefundBooks(
            self.found, *books.refunds(connection, estate_id), batches_wanted(connection, estate_id)
        )
        self.lives = _Lives(self.found, told(connection, estate_id))
        self.previous_hash = GENESIS
        self.sealing = True
        self.sealed = self.batches = self.lines = self.last_seq = self.archived = 0

    def take(self, window: Window) -> None:
        """Follow some batches with all their lines."""
        self._follow(window, passing=False)
        self.accounts.take(window.lines)
        headers = [one.header for one in window.batches]
        self.meters.take(
            window.lines,
            [one[0] for one in headers if one[1] == VOID],
            [one[0] for one in headers if splits_down(one[9])],
        )
        self.settlements.take(window)

    def pass_by(self, window: Window) -> None:
        """Follow some batches whose lines are archived in a file that is not at hand; some may still be here."""
        self._follow(window, passing=True)

    def stand(self, act: Act, *, followed: bool) -> None:
        """Let everything stand where it stood after an archive; what was `followed` must have come to just that."""
        subject = f"archive {act.archive_no}"
        kept = archives.standing(self.connection, self.estate_id, act.archive_no)
        self.found.expect(7, subject, "hash of where everything stood", act.standing_sha256, kept.sha256())
        self.found.expect(7, subject, "hash of its last batch", act.hash, self.previous_hash)
        if followed:
            own = Standing(self.accounts.standing(), self.meters.standing())
            self.found.expect(2, subject, "hash of what its lines come to", own.sha256(), kept.sha256())
        self.accounts.stand(kept.accounts)
        self.recoveries.stand((one.account_id, one.balance_fen) for one in kept.accounts)
        self.meters.stand(kept.meters)

    def _follow(self, window: Window, *, passing: bool) -> None:
        lines = window.lines
        self.lines += len(lines)
        numbers = np.array([batch.header[0] for batch in window.batches], np.int64)
        starts = np.searchsorted(lines["batch_seq"], numbers, "left").tolist()
        ends = np.searchsorted(lines["batch_seq"], numbers, "right").tolist()
        self._strays(lines, numbers)
        meterless = (lines["meter_id"] < 0) & (lines["charge_nf"] != 0)
        corrected = set(lines["batch_seq"][meterless].tolist())
        canonical = lines.canonical()
        names, accounts, amounts = lines.names["account_id"].texts, lines["account_id"], lines["amount_fen"]
        afters, sums = lines["balance_after_fen"], np.concatenate([[0], np.cumsum(amounts)]).tolist()
        for batch, start, end in zip(window.batches, starts, ends, strict=True):
            absent = passing and start == end
            self._batch(batch, batch.header[6] if absent else end - start, sums[end] - sums[start])
            self._seal(batch, None if absent else lines, canonical, start, end)
            if absent:
                self.archived += batch.header[6]
                self.payments.pass_by(batch.header[0], batch.header[1], batch.header[7])
                self.refunds.pass_by(batch.header[1], batch.header[4], batch.header[7])
                self.lives.pass_by(batch.header[0])
                continue
            if batch.header[1] in OF_CHARGES:
                self._revenue_only(batch.header, lines, start, end)
            if batch.header[1] != "charge":
                booked = [names[number] for number in accounts[start:end].tolist()]
                moved = zip(booked, amounts[start:end].tolist(), afters[start:end].tolist(), strict=True)
                self._credit(batch.header, list(moved))
                if batch.header[1] == KIND:
                    charges = zip(booked, lines["charge_nf"][start:end].tolist(), strict=True)
                    self.rerates.take(batch.header[0], batch.header[9], [one for one in charges if one[1]])
                    corrected.discard(batch.header[0])
        for batch_seq in sorted(corrected):
            self.found.note(6, f"batch {batch_seq}", "charges energy without a meter")

    def _strays(self, lines: LineWords, numbers: Words) -> None:
        for row in np.flatnonzero(lines["odd"]):
            subject = f"batch {lines['batch_seq'][row]} line {lines['line_no'][row]}"
            self.found.note(7, subject, "holds a value that is never written so")
        for batch_seq in np.setdiff1d(lines["batch_seq"], numbers):
            self.found.note(7, f"batch {batch_seq}", "has lines but does not exist")

    def _batch(self, batch: Batch, count: int, sum_fen: int) -> None:
        batch_seq = batch.header[0]
        subject = f"batch {batch_seq}"
        self.batches += 1
        self.found.expect(7, subject, "number", batch_seq, self.last_seq + 1)
        self.found.expect(1, subject, "sum of its lines", sum_fen, 0)
        self.found.expect(7, subject, "count of lines", batch.header[6], count)
        self.last_seq = batch_seq

    def _revenue_only(self, header: tuple[Any, ...], lines: LineWords, start: int, end: int) -> None:
        """What a batch of charges books apart from them goes to the revenue, and to nobody else."""
        names, accounts = lines.names["account_id"].texts, lines["account_id"][start:end]
        apart = (lines["meter_id"][start:end] < 0) & (lines["charge_nf"][start:end] == 0)
        for number in np.unique(accounts[apart]).tolist():
            if names[number] != REVENUE:
                self.found.note(5, f"batch {header[0]}", f"is of charges, but books on {names[number]} without one")

    def _credit(self, header: tuple[Any, ...], lines: list[tuple[str, int, int]]) -> None:
        turnover_fen = sum(abs(fen) for _, fen, _ in lines) // 2
        self.found.expect(1, f"batch {header[0]}", "turnover", header[7], turnover_fen)
        booked = Booked(header[0], header[1], header[2], header[3], header[4], header[9], lines)
        if problem := shape_problem(booked):
            self.found.note(5, f"batch {header[0]}", problem)
        amounts = booked.amounts
        self.recoveries.take(booked, self.payments.take(booked))
        self.refunds.take(header[1], header[4], amounts)
        self.lives.take(header[0], header[1], amounts)

    def _seal(self, batch: Batch, lines: LineWords | None, canonical: Words, start: int, end: int) -> None:
        """Follow the hash chain; after the last seal comes the unsealed tail. No lines: the link has their hash."""
        link = batch.link
        if link is None:
            self.sealing = False
            return
        subject = f"seal {batch.header[0]}"
        if not self.sealing:
            self.found.note(7, subject, "follows a batch without a seal")
        if lines is None:
            lines_hash = link.lines_sha256
        elif link.form == 1:
            lines_hash = lines_sha256(lines.line(row) for row in range(start, end))
        else:
            lines_hash = hash_of_lines(canonical[start:end])
        own = chain_hash(self.previous_hash, sealed_header(batch.header, link.sealed_ms, link.form), lines_hash)
        self.found.expect(7, subject, "hash of the lines", link.lines_sha256, lines_hash)
        self.found.expect(7, subject, "previous hash", link.previous_hash, self.previous_hash)
        self.found.expect(7, subject, "hash", link.hash, own)
        for signed_hash in self.heads.pop(batch.header[0], ()):
            self.found.expect(7, subject, "hash that was signed as a head", signed_hash, link.hash)
        self.previous_hash = link.hash
        self.sealed += 1

    def unchecked(self, readings: int) -> Iterator[str]:
        """What nothing was compared with; `readings` are archived and not at hand."""
        if self.archived:
            yield f"{self.archived} archived lines: only their hashes were followed (--archives DIR checks them too)"
        if readings:
            yield f"{readings} archived readings, which lie in files that are not at hand"
        yield from self.rerates.unchecked
        if self.splits.unchecked:
            yield f"{self.splits.unchecked} splits at boundaries of tariffs, whose readings may be archived"

    def close(self) -> int:
        """Compare where everything ended with the rows that say so; returns the number of accounts."""
        for batch_seq in books.lines_after(self.connection, self.estate_id, self.last_seq):
            self.found.note(7, f"batch {batch_seq}", "has lines but does not exist")
        accounts = self.accounts.close(*books.accounts(self.connection, self.estate_id))
        for account_id in books.missing_accounts(self.connection, self.estate_id):
            self.found.note(2, f"account {account_id}", "is needed but does not exist")
        if self.meters.by_rates:
            note_rates(self.found, books.rates_besides(self.connection, self.estate_id, self.splits.unread))
        self.meters.close(books.cursors(self.connection, self.estate_id))
        exchanges = books.exchanged(self.connection, self.estate_id)
        check_exchanges(self.found, self.meters.end_of, exchanges, self.meters.meters.carried)
        check_households(self.found, self.meters.end_of, books.households_fed(self.connection, self.estate_id))
        for batch_seq in books.seals_of_nothing(self.connection, self.estate_id):
            self.found.note(7, f"seal {batch_seq}", "seals a batch that does not exist")
        for batch_seq in self.heads:
            self.found.note(7, f"seal {batch_seq}", "is missing, but a signed head names it")
        for key in books.repeated_keys(self.connection, self.estate_id):
            self.found.note(4, f"key {key}", "has more than one batch")
        for table in unguarded(self.connection, APPEND_ONLY):
            self.found.note(7, f"table {table}", "its append-only trigger is gone or another")
        self.payments.close()
        note_payments(self.found, orders.unasked(self.connection, self.estate_id))
        note_messages(self.found, orders.unheard(self.connection, self.estate_id))
        self.recoveries.close()
        self.settlements.close(self.last_seq)
        self.refunds.close()
        self.lives.close()
        self.rerates.close()
        return accounts


class _Lives:
    """What people booked and the lives of the accounts tell the same, and what one may not book alone two agreed to."""

    def __init__(self, found: Findings, events: Sequence[Told]) -> None:
        self.found = found
        self._events: dict[int, list[Told]] = {}
        for event in events:
            self._events.setdefault(event.batch_seq, []).append(event)

    def take(self, batch_seq: int, kind: str, amounts: dict[str, int]) -> None:
        """One batch that is no charge."""
        for problem in telling_problems(kind, amounts, self._events.pop(batch_seq, [])):
            self.found.note(5, f"batch {batch_seq}", problem)

    def pass_by(self, batch_seq: int) -> None:
        """One batch whose lines are archived."""
        self._events.pop(batch_seq, None)

    def close(self) -> None:
        """What is left has no batch."""
        for batch_seq in self._events:
            self.found.note(5, f"batch {batch_seq}", "is told in the life of an account but does not exist")


def verify(
    connection: Connection, estate_id: str, heads: Sequence[Head] = (), files: Sequence[ArchiveFile] = ()
) -> VerifyReport:
    """Recompute every balance from readings and tariffs and check invariants 1 to 8 and 16.

    The chain of seals must pass through `heads`, whose signatures the caller has checked. Lines that are archived come
    from those of `files` that are what was archived; without them only the chain is followed there, and everything
    goes on from where it stood. StorageUnavailable when lines were archived while this read them.
    """
    acts = archives.acts(connection, estate_id)
    kept = present(acts)
    at_hand = {one.sha256: one.path for one in files}
    named = {one.path.name: one for one in files}
    own = _Books(connection, estate_id, heads, _passed([act for act in kept if act.file_sha256 not in at_hand]))
    journal = Journal(connection, estate_id)
    if sum(act.last_seq - act.first_seq + 1 for act in kept) != (acts[-1].until_seq if acts else 0):
        own.found.note(7, "archives", "do not lead back to the first batch")
    for act in acts:
        key, payload = sealed_act(act)
        booked = journal_rows.batch_of_key(connection, estate_id, key)
        own.found.expect(
            7, f"archive {act.archive_no}", "hash of what was done", booked and booked["payload_sha256"], payload
        )
    for act in kept:
        file = at_hand.get(act.file_sha256)
        if file is None and act.file in named:
            own.found.expect(7, f"archive {act.file}", "SHA-256", named[act.file].sha256, act.file_sha256)
        for window in journal.windows(after=act.first_seq - 1, until=act.last_seq, file=file):
            own.pass_by(window) if file is None else own.take(window)
        own.stand(act, followed=file is not None)
    for window in journal.windows(after=kept[-1].last_seq if kept else 0):
        own.take(window)
    readings = check_readings(own.found, connection, estate_id, files, kept)
    return replace(_reported(own, acts), archived_readings=readings, unchecked=tuple(own.unchecked(readings)))


def _passed(absent: Sequence[Act]) -> tuple[int, int] | None:
    return (absent[-1].last_seq, absent[-1].until_at) if absent else None


def _reported(own: _Books, acts: Sequence[Act]) -> VerifyReport:
    accounts = own.close()
    if own.found.mismatches and archives.moved_since(own.connection, own.estate_id, acts):
        raise StorageUnavailable("lines were archived while the books were read; nothing is known, verify again")
    if own.found.mismatches and books.judged_since(own.connection, own.estate_id):
        raise StorageUnavailable("readings were judged while the books were read; nothing is known, verify again")
    return VerifyReport(
        estate_id=own.estate_id,
        accounts=accounts,
        meters=own.meters.count,
        batches=own.batches,
        lines=own.lines,
        charges=own.meters.charges,
        estimated=own.meters.estimated,
        payments=own.payments.count,
        sealed=own.sealed,
        unsealed=own.batches - own.sealed,
        headed=own.newest_head,
        settlements=own.settlements.count,
        archived=own.archived,
        mismatches=tuple(own.found.mismatches),
    )


def followed(connection: Connection, estate_id: str, last: int, file: Path) -> tuple[Standing, list[Mismatch]]:
    """Where everything stands after batch `last`, by a new archive `file` in place of the database's own lines.

    The whole journal is followed, so that what the file says must lead to every balance of now.
    """
    kept = present(archives.acts(connection, estate_id))
    own = _Books(connection, estate_id, passed=_passed(kept))
    journal = Journal(connection, estate_id)
    for act in kept:
        for window in journal.windows(after=act.first_seq - 1, until=act.last_seq):
            own.pass_by(window)
        own.stand(act, followed=False)
    for window in journal.windows(after=kept[-1].last_seq if kept else 0, until=last, file=file):
        own.take(window)
    stood = Standing(own.accounts.standing(), own.meters.standing())
    for window in journal.windows(after=last):
        own.take(window)
    own.close()
    return stood, own.found.mismatches
