"""`verify`: the books of an estate against its readings, tariffs and seals, in one consistent read."""

from collections import defaultdict
from typing import Any

from sqlalchemy import Connection

from server.domain.ledger import CASH, GENESIS, SUSPENSE, Line, chain_hash, lines_sha256, provider_account
from server.domain.tariff_calendar import TariffCalendar
from server.domain.verification import AccountChain, Findings, MeterChain, VerifyReport
from server.store import verification as books
from server.store.append_only import unguarded
from server.store.schema import APPEND_ONLY
from server.store.tariffs import load_tariffs


class _Books:
    """One pass over an estate's journal."""

    def __init__(self, connection: Connection, estate_id: str) -> None:
        self.connection, self.estate_id = connection, estate_id
        self.found = Findings()
        self.accounts: dict[str, AccountChain] = defaultdict(AccountChain)
        self.meters = {item.meter_id: MeterChain(item) for item in books.household_meters(connection, estate_id)}
        self.calendars = {key: TariffCalendar(value) for key, value in load_tariffs(connection, estate_id).items()}
        self.seals = books.seals(connection, estate_id)
        self.previous_hash = GENESIS
        self.sealing = True
        self.sealed = self.batches = self.lines = 0
        self.credits: dict[int, tuple[str, dict[str, int]]] = {}

    def take_batch(self, header: tuple[Any, ...], lines: list[tuple[Line, int | None]]) -> None:
        """Follow one batch."""
        batch_seq, kind = header[0], header[1]
        subject = f"batch {batch_seq}"
        self.batches += 1
        self.lines += len(lines)
        self.found.expect(7, subject, "number", batch_seq, self.batches)
        self.batches = batch_seq
        self.found.expect(1, subject, "sum of its lines", sum(line.amount_fen for line, _ in lines), 0)
        self.found.expect(7, subject, "count of lines", header[6], len(lines))
        turnover_fen = sum(abs(line.amount_fen) for line, _ in lines) // 2
        if kind != "charge":
            self.found.expect(1, subject, "turnover", header[7], turnover_fen)
            self.credits[batch_seq] = (kind, {line.account_id: line.amount_fen for line, _ in lines})
        for line, read_wh in lines:
            self.accounts[line.account_id].take(self.found, line, batch_seq)
            if line.meter_id is not None:
                chain = self.meters.get(line.meter_id)
                if chain is None:
                    self.found.note(3, f"{subject} line {line.line_no}", f"meter {line.meter_id} is not installed")
                else:
                    chain.take(self.found, line, batch_seq, self.calendars, read_wh)
        self._seal(header, [line for line, _ in lines])

    def _seal(self, header: tuple[Any, ...], lines: list[Line]) -> None:
        """Follow the hash chain; after the last seal comes the unsealed tail."""
        own = self.seals.pop(header[0], None)
        if own is None:
            self.sealing = False
            return
        subject = f"seal {header[0]}"
        if not self.sealing:
            self.found.note(7, subject, "follows a batch without a seal")
        lines_hash = lines_sha256(lines)
        self.found.expect(7, subject, "hash of the lines", own[0], lines_hash)
        self.found.expect(7, subject, "previous hash", own[1], self.previous_hash)
        self.found.expect(7, subject, "hash", own[2], chain_hash(self.previous_hash, header, lines_hash))
        self.previous_hash = own[2]
        self.sealed += 1

    def close(self) -> None:
        """Compare where everything ended with the rows that say so."""
        for account_id, *stored in books.accounts(self.connection, self.estate_id):
            self.accounts.pop(account_id, AccountChain()).close(self.found, account_id, *stored)
        for account_id in self.accounts:
            self.found.note(2, f"account {account_id}", "has lines but does not exist")
        cursors = books.cursors(self.connection, self.estate_id)
        for meter_id, chain in self.meters.items():
            cursor, read_wh = cursors.get(meter_id, (None, None))
            chain.close(self.found, cursor, read_wh)
        for batch_seq in self.seals:
            self.found.note(7, f"seal {batch_seq}", "seals a batch that does not exist")
        for key in books.repeated_keys(self.connection, self.estate_id):
            self.found.note(4, f"key {key}", "has more than one batch")
        for table in unguarded(self.connection, APPEND_ONLY):
            self.found.note(7, f"table {table}", "its append-only trigger is gone")

    def take_payments(self) -> int:
        """Every payment has one credit of its amount, and every credit against a provider has its payment."""
        rows = books.payments(self.connection, self.estate_id)
        paid: dict[int, str] = {}
        for payment_id, provider, account_id, amount_fen, batch_seq, state in rows:
            subject = f"payment {payment_id}"
            if batch_seq in paid:
                self.found.note(5, subject, f"shares batch {batch_seq} with payment {paid[batch_seq]}")
            paid[batch_seq] = payment_id
            kind, amounts = self.credits.get(batch_seq, ("missing", {}))
            self.found.expect(5, subject, "kind of its batch", kind, "topup")
            credited = account_id if state == "credited" and account_id else SUSPENSE
            self.found.expect(5, subject, f"credit of {credited}", amounts.get(credited), amount_fen)
            self.found.expect(5, subject, "debit of its provider", amounts.get(provider_account(provider)), -amount_fen)
        for batch_seq, (kind, amounts) in self.credits.items():
            by_provider = any(name.startswith("provider:") for name in amounts)
            if kind == "topup" and by_provider and batch_seq not in paid and CASH not in amounts:
                self.found.note(5, f"batch {batch_seq}", "credits money of a provider without a payment")
        return len(rows)


def verify(connection: Connection, estate_id: str) -> VerifyReport:
    """Recompute every balance from readings and tariffs and check invariants 1 to 7 and 16."""
    own = _Books(connection, estate_id)
    for header, lines in books.batches(connection, estate_id):
        own.take_batch(header, lines)
    accounts = books.accounts(connection, estate_id)
    payments = own.take_payments()
    own.close()
    return VerifyReport(
        estate_id=estate_id,
        accounts=len(accounts),
        meters=len(own.meters),
        batches=own.batches,
        lines=own.lines,
        charges=sum(chain.lines for chain in own.meters.values()),
        estimated=sum(chain.estimated for chain in own.meters.values()),
        payments=payments,
        sealed=own.sealed,
        unsealed=own.batches - own.sealed,
        mismatches=tuple(own.found.mismatches),
    )
