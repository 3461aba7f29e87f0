"""What `verify` checks of what batches book beside charges: their shape, and the rows that asked for them."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from sqlalchemy import Connection

from server.domain.batch_words import BatchWords
from server.domain.ledger import ASSIGNMENT, REVENUE, SUSPENSE
from server.domain.line_words import LineWords, Words
from server.domain.recovery import RETURN
from server.domain.rerating import KIND
from server.domain.verification import Findings
from server.domain.verification_bookings import (
    CREDITED,
    OF_CHARGES,
    WITHOUT_LINES,
    Booked,
    PaymentBooks,
    PaymentRow,
    shape_problem,
)
from server.domain.verification_lives import LifeBooks
from server.domain.verification_openings import KEYS, plain_openings
from server.domain.verification_openings import KIND as OPENING
from server.domain.verification_orders import agreements_of
from server.domain.verification_recovery import RecoveryBooks
from server.domain.verification_refunds import SHARE, RefundBooks, assigned, recharged, refunded
from server.domain.verification_rules import RuleBooks
from server.flows.verification_rerates import RerateBooks
from server.store import verification as books
from server.store import verification_refunds as asked_for
from server.store.accounts import told
from server.store.debt_plans import batches_wanted
from server.store.recovery import kept_rules
from server.store.verification_orders import agreed_bookings
from server.store.verification_windows import Window

CHARGE = "charge"
BATCH_MAX = 2**62  # beyond any batch


def _keys(batches: BatchWords, *kinds: str) -> list[str]:
    places = np.flatnonzero(batches.of_kind(*kinds))
    return [key for key in batches.keys(places) if key is not None] if len(places) else []


def _ids(keys: Sequence[str]) -> list[str]:
    """What keys name, each once."""
    return sorted({key.partition(":")[2] for key in keys})


def _named(keys: Sequence[str], found: Iterable[dict[str, dict[str, int]]]) -> dict[str, dict[str, int]]:
    """What of all that rows asked for has one of these keys; the other batches of a row come by at another time."""
    wanted = {key: amounts for one in found for key, amounts in one.items()}
    return {key: wanted[key] for key in keys if key in wanted}


class CreditBooks:
    """Payments, shares of debts, refunds, lives of accounts and re-ratings against the bookings of a journal."""

    def __init__(
        self, connection: Connection, estate_id: str, found: Findings, rules: RuleBooks,
        acts: Mapping[str, Callable[[tuple[Any, ...]], None]],
    ) -> None:  # fmt: skip
        """`acts` take the headers of batches without lines, by their kind."""
        self.connection, self.estate_id, self.found, self.acts = connection, estate_id, found, acts
        self.rules = rules
        self.rerates = RerateBooks(found, connection, estate_id)
        self.payments = PaymentBooks(found)
        self.recoveries = RecoveryBooks(found, kept_rules(connection, estate_id))
        self.refunds = RefundBooks(found)
        self.lives = LifeBooks(found, rules, agreements_of(agreed_bookings(connection, estate_id)))
        self._last_seq = 0

    def take(self, window: Window, starts: Words, ends: Words, absent: Any) -> None:
        """Follow batches; the lines of those that are `absent` (bool[n]) are archived in a file that is not at hand."""
        if len(window.batches):
            last_seq = int(window.batches.column("batch_seq")[-1])
            self._expect(self._last_seq, last_seq)
            self._ask(window.batches)
            self._take(window, starts, ends, absent)
            self._miss()
            self._last_seq = last_seq

    def _expect(self, after: int, last: int) -> None:
        """Read payments and events of batches after number `after` up to `last`."""
        self.payments.expect(books.payments(self.connection, self.estate_id, after, last))
        self.lives.expect(told(self.connection, self.estate_id, after, last))

    def _ask(self, batches: BatchWords) -> None:
        """Read the rows that asked for refunds, assignments, recharges and instalments of these batches."""
        asked: tuple[tuple[tuple[str, ...], Callable[[list[str]], dict[str, dict[str, int]]]], ...] = (
            (("refund", "refund_paid", "refund_return"), self._refunds),
            ((ASSIGNMENT,), self._assignments),
            (("recharge", "recharge_return"), self._recharges),
            (("instalment",), self._instalments),
        )
        for kinds, rows in asked:
            if keys := _keys(batches, *kinds):
                self.refunds.expect(rows(keys))
        shares, returns = (_ids(_keys(batches, kind)) for kind in (SHARE, RETURN))
        of_estate = (self.connection, self.estate_id)
        self.refunds.expect_shares(asked_for.undone(*of_estate, shares), asked_for.gone(*of_estate, returns))

    def _refunds(self, keys: Sequence[str]) -> dict[str, dict[str, int]]:
        rows = asked_for.refunds(self.connection, self.estate_id, _ids(keys))
        return _named(keys, map(refunded, rows))

    def _assignments(self, keys: Sequence[str]) -> dict[str, dict[str, int]]:
        return _named(keys, map(assigned, asked_for.assigned(self.connection, self.estate_id, _ids(keys))))

    def _recharges(self, keys: Sequence[str]) -> dict[str, dict[str, int]]:
        return _named(keys, map(recharged, asked_for.recharges(self.connection, self.estate_id, _ids(keys))))

    def _instalments(self, keys: Sequence[str]) -> dict[str, dict[str, int]]:
        return batches_wanted(self.connection, self.estate_id, keys)

    def _miss(self) -> None:
        self.payments.miss()
        self.lives.miss()

    def _take(self, window: Window, starts: Words, ends: Words, absent: Any) -> None:
        batches, lines = window.batches, window.lines
        meterless = (lines["meter_id"] < 0) & (lines["charge_nf"] != 0)
        corrected = set(lines["batch_seq"][meterless].tolist())
        apart = self._apart(batches, lines)
        credited = ~batches.of_kind(CHARGE)
        credited &= ~self._plain(batches, lines, starts, ends, credited)
        for place in np.flatnonzero(absent | credited | apart).tolist():
            header = batches[place].header
            if act := self.acts.get(header[1]):
                act(header)
            if absent[place]:
                self._pass_by(header)
                continue
            rows = slice(starts[place], ends[place])
            if apart[place]:
                self._revenue_only(header, lines, rows)
            if credited[place]:
                self._credit(header, lines, rows)
        of_rerates = set(batches.column("batch_seq")[batches.of_kind(KIND) & ~absent].tolist())
        for batch_seq in sorted(corrected - of_rerates):
            self.found.note(6, f"batch {batch_seq}", "charges energy without a meter")

    def _plain(self, batches: BatchWords, lines: LineWords, starts: Words, ends: Words, credited: Any) -> Any:
        """Opening balances that are right and of which nothing else has to be known."""
        others = credited & ~batches.of_kind(OPENING, *WITHOUT_LINES)
        if others.any() or self.recoveries.waiting or self.refunds.wants(KEYS):
            return np.zeros(len(batches), np.bool_)
        return plain_openings(batches, lines, starts, ends, {*self.payments.batches(), *self.lives.batches()})

    def _apart(self, batches: BatchWords, lines: LineWords) -> Any:
        """Batches of charges that book on others than the revenue without a charge."""
        found = batches.of_kind(*OF_CHARGES)
        rows = (lines["meter_id"] < 0) & (lines["charge_nf"] == 0)
        rows &= lines["account_id"] != lines.names["account_id"].number(REVENUE)
        return found & np.isin(batches.column("batch_seq"), lines["batch_seq"][rows])

    def _pass_by(self, header: tuple[Any, ...]) -> None:
        self.payments.pass_by(header[0], header[1], header[7])
        self.refunds.pass_by(header[1], header[4], header[7])
        self.lives.pass_by(header[0])

    def _revenue_only(self, header: tuple[Any, ...], lines: LineWords, rows: slice) -> None:
        """What a batch of charges books apart from them goes to the revenue, and to nobody else."""
        names, accounts = lines.names["account_id"].texts, lines["account_id"][rows]
        apart = (lines["meter_id"][rows] < 0) & (lines["charge_nf"][rows] == 0)
        for number in np.unique(accounts[apart]).tolist():
            if names[number] != REVENUE:
                self.found.note(5, f"batch {header[0]}", f"is of charges, but books on {names[number]} without one")

    def _credit(self, header: tuple[Any, ...], lines: LineWords, rows: slice) -> None:
        names = lines.names["account_id"].texts
        amounts, afters = (lines[name][rows].tolist() for name in ("amount_fen", "balance_after_fen"))
        accounts = [names[number] for number in lines["account_id"][rows].tolist()]
        turnover_fen = sum(map(abs, amounts)) // 2
        self.found.expect(1, f"batch {header[0]}", "turnover", header[7], turnover_fen)
        moved = list(zip(accounts, amounts, afters, strict=True))
        booked = Booked(header[0], header[1], header[2], header[3], header[4], header[9], moved)
        if problem := shape_problem(booked):
            self.found.note(5, f"batch {header[0]}", problem)
        summed = booked.amounts
        self.recoveries.take(booked, [*self.payments.take(booked), *self._assigned(booked)])
        self.refunds.take(header[1], header[4], summed)
        self.lives.take(header[0], header[1], summed)
        if header[1] == KIND:
            charges = zip(accounts, lines["charge_nf"][rows].tolist(), strict=True)
            self.rerates.take(header[0], header[9], [one for one in charges if one[1]])

    def _assigned(self, booked: Booked) -> list[PaymentRow]:
        """The payment that became a household's out of suspense, from when that counts as a top-up."""
        if not self.rules.is_told(booked.kind, booked.batch_seq):
            return []
        payment_id = booked.key.partition(":")[2]
        homes = ((name, fen) for name, fen in booked.amounts.items() if name != SUSPENSE)
        return [PaymentRow(payment_id, "", name, fen, booked.batch_seq, CREDITED) for name, fen in homes]

    def close(self) -> None:
        """What is left asks for a booking that is missing."""
        for span in ((-BATCH_MAX, 0), (self._last_seq, BATCH_MAX)):
            self._expect(*span)
            self._miss()
        self.recoveries.close()
        of_estate = (self.connection, self.estate_id)
        self.refunds.close(asked_for.unbooked(*of_estate), asked_for.overdrawn(*of_estate))
        self.rerates.close()
