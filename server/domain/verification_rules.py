"""Checking the rules that money goes by: they are sealed, tables say what they say, and charges went by them.

A rule holds for the batches after its own. A charge is by the tariff that its account was on then; what is charged
again at once after a void goes by the tariff of what was taken back. What was booked before the first rule about a
subject is held to none. All are part of invariant 6, the seals of 7.
"""

import json
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby, islice, takewhile
from typing import Any

import numpy as np

from core.errors import TariffError
from core.tariff import Tariff, tariff_from_dict
from server.domain.line_words import LineWords, Words
from server.domain.money_rules import ACCOUNTS, ALONE, TARIFF, TOLD, Rule, Standing, sealed
from server.domain.tariff_drafts import begun
from server.domain.verification import Findings

NEVER = 2**62  # from when the tariff of an account is known that has no rule
NOTED_MAX = 100  # of one kind; more of them say no more


class RuleBooks:
    """All rules of an estate, and the batches that seal them."""

    def __init__(self, found: Findings, rules: Iterable[Rule]) -> None:
        self.found = found
        self._seals: dict[int, tuple[str, str]] = {}
        self._alone: list[tuple[int, int]] = []  # (batch, fen)
        self._told: dict[str, Rule] = {}  # by the kind of bookings
        self._definitions: dict[str, list[Rule]] = {}
        self.tariffs: list[str] = []
        self._tariffs: dict[str, int] = {}
        self._changes: dict[str, list[tuple[int, int]]] = {}  # as `first`, by account the later ones
        self.first: dict[str, tuple[int, int]] = {}  # by account: since which batch, and by which tariff
        self.later: list[tuple[int, str, int]] = []  # (batch, account, tariff), in order
        for batch_seq, own in groupby(rules, key=lambda rule: rule.batch_seq):
            together = list(own)
            self._seals[batch_seq] = sealed(together)
            for rule in together:
                self._keep(rule)

    def _keep(self, rule: Rule) -> None:
        subject = f"rule {rule.rule_no}"
        try:
            if rule.kind == ACCOUNTS:
                self._assign(rule, json.loads(rule.value))
            elif rule.kind == ALONE:
                self._alone.append((rule.batch_seq, int(rule.value)))
            elif rule.kind == TOLD:
                self._told.setdefault(rule.subject, rule)
            elif rule.kind == TARIFF:
                self._definitions.setdefault(rule.subject, []).append(rule)
            else:
                self.found.note(6, subject, f"is of the kind {rule.kind!r}, which nothing keeps")
        except (ValueError, TypeError):
            self.found.note(6, subject, f"says {rule.value[:100]!r}, which is no value of {rule.kind}")

    def _assign(self, rule: Rule, accounts: list[str]) -> None:
        number = self._tariffs.setdefault(rule.subject, len(self.tariffs))
        self.tariffs += [rule.subject] * (number == len(self.tariffs))
        begins = (rule.batch_seq, number)
        known = self.first.keys() & set(accounts)
        for account_id in known:
            self._changes.setdefault(account_id, []).append(begins)
        self.later += [(rule.batch_seq, account_id, number) for account_id in known]
        self.first |= dict.fromkeys((one for one in accounts if one not in known), begins)

    def take(self, header: tuple[Any, ...]) -> None:
        """One batch that seals rules."""
        own = (header[4], header[5])
        self.found.expect(7, f"batch {header[0]}", "sealed rules", own, self._seals.pop(header[0], None))

    def number_of(self, tariff_id: str) -> int:
        """The place of a tariff in `tariffs`; -1 where nobody was ever on it."""
        return self._tariffs.get(tariff_id, -1)

    def tariff_of(self, account_id: str, batch_seq: int) -> str:
        """The tariff of an account when this batch was booked; it has a rule from before."""
        own: list[tuple[int, int]] = [self.first[account_id], *self._changes.get(account_id, ())]
        _, number = own[bisect_left(own, (batch_seq, -1)) - 1]
        return self.tariffs[number]

    def alone_fen(self, batch_seq: int) -> int | None:
        """What one person could book alone when this batch was booked; None where no rule says it."""
        place = bisect_left(self._alone, (batch_seq, -NEVER))
        return self._alone[place - 1][1] if place else None

    def is_told(self, kind: str, batch_seq: int) -> bool:
        """Whether accounts' lives had to tell of bookings of this kind when this batch was booked."""
        return kind in self._told and self._told[kind].batch_seq < batch_seq

    def close(self, now: Standing) -> None:
        """Compare the newest rules with what the rows of estate, tariffs and accounts say."""
        for batch_seq in self._seals:
            self.found.note(7, f"batch {batch_seq}", "is missing, but rules say that they are sealed by it")
        self.found.expect(6, "estate", "adjust_alone_fen", now.alone_fen, self.alone_fen(NEVER))
        told = {kind: rule.value for kind, rule in self._told.items()}
        self.found.expect(6, "estate", "bookings that are told", now.told, told)
        for tariff_id in sorted(now.definitions.keys() | self._definitions.keys()):
            self._compare(tariff_id, now.definitions.get(tariff_id))
        said = {account_id: self.tariffs[number] for account_id, (_, number) in self.first.items()}
        said |= {account_id: self.tariffs[number] for _, account_id, number in self.later}
        if said != now.tariff_of:
            names = sorted(said.keys() | now.tariff_of.keys())
            differing = (one for one in names if said.get(one) != now.tariff_of.get(one))
            for account_id in islice(differing, NOTED_MAX):
                stored, right = now.tariff_of.get(account_id), said.get(account_id)
                self.found.expect(6, f"account {account_id}", "tariff", stored, right)

    def _compare(self, tariff_id: str, definition: str | None) -> None:
        """A tariff says what its last rule says, and no rule has changed a version that was in force by then."""
        own, subject = self._definitions.get(tariff_id, []), f"tariff {tariff_id}"
        if not own or definition != own[-1].value:
            self.found.note(6, subject, "does not say what was sealed when it was taken in or published")
        before: Tariff | None = None
        for rule in own:
            try:
                after = tariff_from_dict(json.loads(rule.value))
            except (ValueError, TypeError, KeyError, TariffError) as error:
                self.found.note(6, f"rule {rule.rule_no}", f"is no tariff: {error}")
                return
            if before is not None and begun(before, rule.world_at) != begun(after, rule.world_at):
                self.found.note(6, subject, f"rule {rule.rule_no} changes a version that was in force already")
            before = after


class TariffsHeld:
    """Which tariff each account is on while the journal goes by."""

    def __init__(self, found: Findings, rules: RuleBooks) -> None:
        self.found, self._rules = found, rules
        self._since = self._tariff = np.zeros(0, np.int64)
        self._now = dict(rules.first)
        self._numbers: dict[str, int] = {}  # of the accounts among the names of lines
        self._done = 0  # of the later rules
        self._voided: dict[int, tuple[int, int] | None] = {}  # meter and tariff of each void; None: its lines are away

    def take(self, lines: LineWords, numbers: Words, voids: Sequence[int]) -> None:
        """Follow the charges of a window with batches `numbers`, of which `voids` take charges back."""
        if not len(numbers):
            return
        self._go_on(lines, int(numbers[0]))
        self._remember(lines, voids)
        rows = np.flatnonzero(lines["meter_id"] >= 0)
        accounts, batches = lines["account_id"][rows], lines["batch_seq"][rows]
        own = [self._rules.number_of(one) for one in lines.names["tariff_id"].texts]
        charged = np.array([*own, -1], np.int64)[lines["tariff_id"][rows]]  # the last one is that of no tariff
        changing = np.zeros(len(self._tariff), np.bool_)
        changing[[self._numbers[one] for one, _ in self._until(int(numbers[-1])) if one in self._numbers]] = True
        wrong = ((charged != self._tariff[accounts]) | changing[accounts]) & (batches > self._since[accounts])
        for row in rows[wrong].tolist():
            self._exactly(lines, row)

    def _go_on(self, lines: LineWords, batch_seq: int) -> None:
        """Let each account stand where it stood before this batch."""
        texts = lines.names["account_id"].texts
        fresh = texts[len(self._tariff) :]
        if self._rules.later:
            self._numbers.update(zip(fresh, range(len(self._tariff), len(texts)), strict=True))
        if fresh:
            since, tariff_of = np.array([self._now.get(name, (NEVER, -1)) for name in fresh], np.int64).T
            self._since = np.concatenate([self._since, since])
            self._tariff = np.concatenate([self._tariff, tariff_of])
        for account_id, tariff in self._until(batch_seq - 1):
            self._now[account_id] = (self._now[account_id][0], tariff)
            if account_id in self._numbers:
                self._tariff[self._numbers[account_id]] = tariff
            self._done += 1

    def _until(self, batch_seq: int) -> Iterator[tuple[str, int]]:
        """The accounts, each with its tariff, of the next rules up to those of this batch."""
        own = takewhile(lambda change: change[0] <= batch_seq, islice(self._rules.later, self._done, None))
        return ((account_id, tariff) for _, account_id, tariff in own)

    def _remember(self, lines: LineWords, voids: Sequence[int]) -> None:
        """By which tariff was charged what voids took back: that of their first line."""
        for batch_seq in voids:
            row = int(np.searchsorted(lines["batch_seq"], batch_seq))
            here = row < len(lines) and lines["batch_seq"][row] == batch_seq
            self._voided[batch_seq] = (int(lines["meter_id"][row]), int(lines["tariff_id"][row])) if here else None

    def _exactly(self, lines: LineWords, row: int) -> None:
        batch_seq, account = int(lines["batch_seq"][row]), lines.names["account_id"].texts[lines["account_id"][row]]
        right = self._rules.tariff_of(account, batch_seq)
        charged = lines.names["tariff_id"].text(int(lines["tariff_id"][row]))
        if charged == right or batch_seq in self._voided or self._is_again(lines, row, batch_seq - 1):
            return
        subject = f"account {account}, batch {batch_seq} line {lines['line_no'][row]}"
        self.found.expect(6, subject, "tariff", charged, right)

    def _is_again(self, lines: LineWords, row: int, before: int) -> bool:
        """Whether a charge follows at once on a void, by the tariff of what that took back."""
        if before not in self._voided:
            return False
        told = self._voided[before]
        return told is None or told == (int(lines["meter_id"][row]), int(lines["tariff_id"][row]))
