"""`verify`: the books of an estate against its readings, tariffs and seals, in one consistent read.

The journal streams by in windows of whole batches, so memory does not grow with it.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import cached_property, partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from sqlalchemy import Connection

from server.domain.archive import Act, ArchiveFile, Standing, present, sealed_act
from server.domain.heads import BATCH as HEAD
from server.domain.heads import Head, chain_problems
from server.domain.money_rules import BATCH as RULES
from server.domain.registers import SplitRule, split_rule
from server.domain.tariff_calendar import TariffCalendar
from server.domain.verification import Findings, Installed, Mismatch, VerifyReport, note_rates
from server.domain.verification_accounts import AccountBooks
from server.domain.verification_chains import MeterBooks
from server.domain.verification_exchanges import check_exchanges, check_households, fed_others
from server.domain.verification_heads import GAP_MAX_MS, HeadBooks
from server.domain.verification_orders import check_tariffs, note_messages, note_payments, note_suspense
from server.domain.verification_rules import RuleBooks, TariffsHeld
from server.domain.verification_splits import SplitBooks
from server.domain.voiding import VOID
from server.errors import StorageUnavailable
from server.flows.clock_steps import stood_ahead
from server.flows.verification_batches import BatchBooks
from server.flows.verification_credits import CreditBooks
from server.flows.verification_readings import check_readings
from server.flows.verification_settlement import SettlementBooks
from server.store import archive as archives
from server.store import ledger as journal_rows
from server.store import money_rules
from server.store import verification as books
from server.store import verification_orders as orders
from server.store.append_only import unguarded
from server.store.aside import Ask, aside
from server.store.reading_archive import archived_until, is_archived
from server.store.schema import APPEND_ONLY, batch, line, seal
from server.store.tariff_drafts import published
from server.store.tariffs import load_tariffs
from server.store.verification_windows import Journal, Window


class AtHand(NamedTuple):
    """Signed heads, and when they were read (machine time)."""

    heads: Sequence[Head] = ()
    read_ms: int = 0


class _Books:
    """One pass over an estate's journal."""

    def __init__(
        self, connection: Connection, estate_id: str, ask: Ask, heads: AtHand, passed: tuple[int, int] | None
    ) -> None:
        """`ask` reads aside what is compared in the end, and the installations while the first window is read."""
        self.connection, self.estate_id = connection, estate_id
        self.found = Findings()
        self.heads = HeadBooks(heads.heads, heads.read_ms)
        self._installations = ask(partial(books.household_meters, estate_id=estate_id))
        self._accounts = ask(partial(books.accounts, estate_id=estate_id))
        self._cursors = ask(partial(books.cursors, estate_id=estate_id))
        self._missing = ask(partial(books.missing_accounts, estate_id=estate_id))
        self._repeated = ask(partial(books.repeated_keys, estate_id=estate_id))
        tariffs = load_tariffs(connection, estate_id)
        self._calendars = {key: TariffCalendar(value) for key, value in tariffs.items()}
        check_tariffs(self.found, tariffs, published(connection, estate_id))
        self.rules = RuleBooks(self.found, money_rules.rules(connection, estate_id))
        self.tariffs = TariffsHeld(self.found, self.rules)
        self.splits = SplitBooks(
            self.found,
            self._calendars,
            partial(books.registers_at, connection, estate_id),
            partial(books.showing, connection, estate_id),
            partial(books.without_rates, connection, estate_id),
            archived_until(connection, estate_id),
        )
        self._long_archived = 0
        for problem in chain_problems(heads.heads):
            self.found.note(7, "heads", f"{problem} among the signed heads")
        self.newest_head = max((head.batch_seq for head in heads.heads), default=0)
        self.batches = BatchBooks(self.found, heads.heads)
        self.accounts = AccountBooks(self.found)
        acts = {RULES: self.rules.take, HEAD: self.heads.take}
        self.credits = CreditBooks(connection, estate_id, self.found, self.rules, acts)
        self.settlements = SettlementBooks(connection, estate_id, self.found, passed)

    @cached_property
    def meters(self) -> MeterBooks:
        """The charges of all meters, from when the first of them comes by."""
        return MeterBooks(
            self.found,
            self._installations(),
            self._calendars,
            books.ended_installations(self.connection, self.estate_id),
            *books.judged_by_people(self.connection, self.estate_id),
            splits=self.splits,
            ahead=self._ahead,
        )

    def _ahead(self, meter: Installed, begun: int, ended: int) -> bool:
        """Whether a charge took longer than its stamps say; where readings are archived, that is not looked at."""
        if any(is_archived(self.connection, self.estate_id, at) for at in (begun, ended)):
            self._long_archived += 1
            return True
        return stood_ahead(self.connection, self.estate_id, meter, begun, ended)

    def take(self, window: Window) -> None:
        """Follow some batches with all their lines."""
        self._follow(window, passing=False)
        self.accounts.take(window.lines)
        batches, numbers = window.batches, window.batches.column("batch_seq")
        for rule in (SplitRule.NEAREST, SplitRule.DOWN):
            memos = [memo for memo in batches.names["memo"] if split_rule(memo) is rule]
            self.splits.named[rule] = frozenset(numbers[batches.with_memo(*memos)].tolist())
        self.meters.take(window.lines, numbers[batches.of_kind(VOID)].tolist())
        self.settlements.take(window)

    def pass_by(self, window: Window) -> None:
        """Follow some batches whose lines are archived in a file that is not at hand; some may still be here."""
        self._follow(window, passing=True)

    def stand(self, act: Act, *, followed: bool) -> None:
        """Let everything stand where it stood after an archive; what was `followed` must have come to just that."""
        subject = f"archive {act.archive_no}"
        kept = archives.standing(self.connection, self.estate_id, act.archive_no)
        self.found.expect(7, subject, "hash of where everything stood", act.standing_sha256, kept.sha256())
        self.found.expect(7, subject, "hash of its last batch", act.hash, self.batches.previous_hash)
        if followed:
            own = Standing(self.accounts.standing(), self.meters.standing())
            self.found.expect(2, subject, "hash of what its lines come to", own.sha256(), kept.sha256())
        self.accounts.stand(kept.accounts)
        self.credits.recoveries.stand((one.account_id, one.balance_fen) for one in kept.accounts)
        self.meters.stand(kept.meters)

    def _follow(self, window: Window, *, passing: bool) -> None:
        numbers, of_lines = window.batches.column("batch_seq"), window.lines["batch_seq"]
        starts, ends = (np.searchsorted(of_lines, numbers, side) for side in ("left", "right"))
        absent = (starts == ends) & passing
        self.batches.take(window, starts, ends, absent)
        self.credits.take(window, starts, ends, absent)
        self.tariffs.take(window.lines, numbers, numbers[window.batches.of_kind(VOID)].tolist())

    def unchecked(self, readings: int) -> Iterator[str]:
        """What nothing was compared with; `readings` are archived and not at hand."""
        if archived := self.batches.archived:
            yield (
                f"{archived} archived lines, of which only hashes were followed: name the folder with their files "
                "(--archives DIR); where a file is gone, nothing says that these lines were ever right"
            )
        if readings:
            yield f"{readings} archived readings, which lie in files that are not at hand (--archives DIR)"
        yield from self.credits.rerates.unchecked
        if self._long_archived:
            yield f"{self._long_archived} charges above their meter's power, whose readings may be archived"
        if self.splits.unchecked:
            yield f"{self.splits.unchecked} splits at boundaries of tariffs, whose readings may be archived"

    def heads_late(self) -> str:
        """What is wrong with the age of the newest signed head; empty for nothing."""
        newest = self.heads.newest_seq
        if not (newest and self.heads.are_exported):
            return ""
        return self.heads.late(books.unheaded_ms(self.connection, self.estate_id, newest, GAP_MAX_MS))

    def close(self) -> int:
        """Compare where everything ended with the rows that say so; returns the number of accounts."""
        last_seq = self.batches.last_seq
        for batch_seq in books.beyond(self.connection, self.estate_id, line, last_seq):
            self.found.note(7, f"batch {batch_seq}", "has lines but does not exist")
        for batch_seq in [one for one in books.beyond(self.connection, self.estate_id, batch, last_seq) if one <= 0]:
            self.found.note(7, f"batch {batch_seq}", "has a number that no batch ever has")
        accounts = self.accounts.close(*self._accounts())
        for account_id in self._missing():
            self.found.note(2, f"account {account_id}", "is needed but does not exist")
        if self.meters.by_rates:
            note_rates(self.found, books.rates_besides(self.connection, self.estate_id, self.splits.unread))
        self.meters.close(self._cursors())
        exchanges = books.exchanged(self.connection, self.estate_id)
        check_exchanges(self.found, self.meters.end_of, exchanges, self.meters.meters.carried)
        fed = fed_others(
            self.meters.meters, self.meters.charged_account, self.meters.account_names
        ) | books.households_fed(self.connection, self.estate_id)
        check_households(self.found, self.meters.end_of, fed)
        for batch_seq in books.beyond(self.connection, self.estate_id, seal, last_seq):
            self.found.note(7, f"seal {batch_seq}", "seals a batch that does not exist")
        for batch_seq in self.batches.heads:
            self.found.note(7, f"seal {batch_seq}", "is missing, but a signed head names it")
        for key in self._repeated():
            self.found.note(4, f"key {key}", "has more than one batch")
        for table in unguarded(self.connection, APPEND_ONLY):
            self.found.note(7, f"table {table}", "its append-only trigger is gone or another")
        self.credits.close()
        self.rules.close(money_rules.standing(self.connection, self.estate_id))
        note_payments(self.found, orders.unasked(self.connection, self.estate_id))
        note_messages(self.found, orders.unheard(self.connection, self.estate_id))
        note_suspense(self.found, orders.untold(self.connection, self.estate_id))
        self.settlements.close(last_seq)
        return accounts


@contextmanager
def _opened(
    connection: Connection, estate_id: str, heads: AtHand, passed: tuple[int, int] | None = None
) -> Iterator[_Books]:
    """The books of an estate, before anything was followed."""
    with aside(connection) as ask:
        yield _Books(connection, estate_id, ask, heads, passed)


def verify(
    connection: Connection, estate_id: str, heads: Sequence[Head] = (), files: Sequence[ArchiveFile] = (), *,
    read_ms: int = 0,
) -> VerifyReport:  # fmt: skip
    """Recompute every balance from readings and tariffs and check invariants 1 to 8 and 16.

    The chain of seals must pass through `heads`, whose signatures the caller has checked and which were read at
    `read_ms` (machine time); heads that were exported before that and are none of them are told of. Lines that are
    archived come from those of `files` that are what was archived; without them only the chain is followed there, and
    everything goes on from where it stood. StorageUnavailable when lines were archived while this read them.
    """
    acts = archives.acts(connection, estate_id)
    kept = present(acts)
    at_hand = {one.sha256: one.path for one in files}
    passed = _passed([act for act in kept if act.file_sha256 not in at_hand])
    with _opened(connection, estate_id, AtHand(heads, read_ms), passed) as own:
        _check_acts(own, acts, kept)
        _follow_all(own, kept, files, at_hand)
        readings = check_readings(own.found, connection, estate_id, files, kept)
        return replace(_reported(own, acts), archived_readings=readings, unchecked=tuple(own.unchecked(readings)))


def _check_acts(own: _Books, acts: Sequence[Act], kept: Sequence[Act]) -> None:
    """Archives lead back to the first batch, and each was done as its batch says."""
    if sum(act.last_seq - act.first_seq + 1 for act in kept) != (acts[-1].until_seq if acts else 0):
        own.found.note(7, "archives", "do not lead back to the first batch")
    for act in acts:
        key, payload = sealed_act(act)
        booked = journal_rows.batch_of_key(own.connection, own.estate_id, key)
        own.found.expect(
            7, f"archive {act.archive_no}", "hash of what was done", booked and booked["payload_sha256"], payload
        )


def _follow_all(own: _Books, kept: Sequence[Act], files: Sequence[ArchiveFile], at_hand: Mapping[str, Path]) -> None:
    """Follow the journal, of what is archived the lines in the files at hand."""
    journal = Journal(own.connection, own.estate_id)
    named = {one.path.name: one for one in files}
    for act in kept:
        file = at_hand.get(act.file_sha256)
        if file is None and act.file in named:
            own.found.expect(7, f"archive {act.file}", "SHA-256", named[act.file].sha256, act.file_sha256)
        for window in journal.windows(after=act.first_seq - 1, until=act.last_seq, file=file):
            own.pass_by(window) if file is None else own.take(window)
        own.stand(act, followed=file is not None)
    for window in journal.windows(after=kept[-1].last_seq if kept else 0):
        own.take(window)


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
        batches=own.batches.count,
        lines=own.batches.lines,
        charges=own.meters.charges,
        estimated=own.meters.estimated,
        payments=own.credits.payments.count,
        sealed=own.batches.sealed,
        unsealed=own.batches.count - own.batches.sealed,
        headed=own.newest_head,
        heads_missing=own.heads.missing(),
        heads_late=own.heads_late(),
        settlements=own.settlements.count,
        archived=own.batches.archived,
        mismatches=tuple(own.found.mismatches),
    )


def followed(connection: Connection, estate_id: str, last: int, file: Path) -> tuple[Standing, list[Mismatch]]:
    """Where everything stands after batch `last`, by a new archive `file` in place of the database's own lines.

    The whole journal is followed, so that what the file says must lead to every balance of now.
    """
    kept = present(archives.acts(connection, estate_id))
    with _opened(connection, estate_id, AtHand(), _passed(kept)) as own:
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
