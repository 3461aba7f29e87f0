"""The chains of all accounts, checked by NumPy: thousands of lines at once, and all rows of accounts at the end.

As in `verification_chains` the arrays only screen; what they do not find right goes to the exact check of an
`AccountChain`, in Python integers.
"""

from collections.abc import Iterable, Mapping, Sequence
from itertools import repeat

import numpy as np

from core.units import NF_PER_FEN
from server.domain.archive import AccountStanding
from server.domain.line_words import LineWords, Words
from server.domain.verification import AccountChain, Findings

HALF_MAX = 2**62  # sums of two such numbers stay in int64


class Grouped:
    """Rows sorted by a number each, in order within it, and where each group begins and ends."""

    def __init__(self, numbers: Words) -> None:
        self.order = np.argsort(numbers, kind="stable")
        self.numbers = numbers[self.order]
        self.first = np.ones(len(numbers), np.bool_)
        np.not_equal(self.numbers[1:], self.numbers[:-1], out=self.first[1:])
        self.last = np.roll(self.first, -1)
        self._alone = bool(self.first.all())  # no group has more than one row
        self._places = run_of(self.numbers if self._alone else self.numbers[self.last])

    def before(self, values: Words, standing: Words) -> Words:
        """What stood before each row: the value of the row before it, or `standing` of its group.

        Both may have several rows of values.
        """
        if self._alone:
            return standing[..., self._places].copy()
        return np.where(self.first, standing[..., self.numbers], np.roll(values, 1, axis=-1))

    def keep(self, values: Words, standing: Words) -> None:
        """Let each group stand at its last value."""
        standing[..., self._places] = values if self._alone else values[..., self.last]


def run_of(rows: Words) -> Words | slice:
    """The same rows as a slice, which copies nothing, where each is the one after the row before."""
    if len(rows) and rows[-1] - rows[0] == len(rows) - 1 and (np.diff(rows) == 1).all():
        return slice(int(rows[0]), int(rows[-1]) + 1)
    return rows


def places_of(names: Sequence[str], places: Mapping[str, int]) -> Words:
    """The place of each name, -1 where it has none."""
    return np.fromiter(map(places.get, names, repeat(-1)), np.int64, len(names))


def _grown(values: Words, size: int) -> Words:
    if size <= len(values):
        return values
    return np.concatenate([values, np.zeros(max(size, 2 * len(values)) - len(values), np.int64)])


class AccountBooks:
    """Where all accounts stand, by their number among the names."""

    def __init__(self, found: Findings) -> None:
        self.found = found
        self.names: list[str] = []
        self._balance = self._residue = self._version = np.zeros(0, np.int64)
        self._begun: dict[str, AccountStanding] = {}
        self._known = 0

    def stand(self, accounts: Iterable[AccountStanding]) -> None:
        """Let all accounts stand there, whatever was seen so far."""
        self._begun = {one.account_id: one for one in accounts}
        for values in (self._balance, self._residue, self._version):
            values[:] = 0
        self._known = 0
        self._begin()

    def standing(self) -> list[AccountStanding]:
        """Where the accounts with lines stand, by their ids."""
        rows = zip(self.names, self._balance.tolist(), self._residue.tolist(), self._version.tolist(), strict=False)
        return sorted([AccountStanding(*row) for row in rows] + self._unseen(set(self.names)))

    def _unseen(self, names: Iterable[str]) -> list[AccountStanding]:
        return [one for name, one in self._begun.items() if name not in names]

    def _begin(self) -> None:
        """Let accounts whose first line comes now stand where they were said to."""
        for number in range(self._known, len(self.names)) if self._begun else ():
            if was := self._begun.get(self.names[number]):
                self._balance[number], self._residue[number], self._version[number] = was[1:]
        self._known = len(self.names)

    def take(self, lines: LineWords) -> None:
        """Follow the lines of a window."""
        self.names = lines.names["account_id"].texts
        size = len(self.names)
        self._balance, self._residue = _grown(self._balance, size), _grown(self._residue, size)
        self._version = _grown(self._version, size)
        self._begin()
        groups = Grouped(lines["account_id"])
        order, run = groups.order, run_of(groups.order)
        amount, charge = lines["amount_fen"][run], lines["charge_nf"][run]
        balance, residue, version = (
            lines[name][run] for name in ("balance_after_fen", "residue_after_nf", "account_version")
        )
        standing = [
            groups.before(values, own)
            for values, own in ((balance, self._balance), (residue, self._residue), (version, self._version))
        ]
        charged = (lines["meter_id"][run] >= 0) | (charge != 0)
        owed = np.where(charged, charge + standing[1], 0)
        posted = (owed + NF_PER_FEN // 2) // NF_PER_FEN
        right = (
            (version == standing[2] + 1)
            & (balance == standing[0] + amount)
            & np.where(charged, (amount == -posted) & (residue == owed - posted * NF_PER_FEN), residue == standing[1])
            & (np.abs(charge) < HALF_MAX)
            & (np.abs(residue) < NF_PER_FEN)
            & (np.abs(amount) < HALF_MAX)
            & (np.abs(balance) < HALF_MAX)
            & (version < HALF_MAX)
        )
        for at in np.flatnonzero(~right):
            row = int(order[at])
            was = AccountChain(*(int(values[at]) for values in standing))
            was.take(self.found, lines.line(row), int(lines["batch_seq"][row]))
        for values, own in ((balance, self._balance), (residue, self._residue), (version, self._version)):
            groups.keep(values, own)

    def close(self, names: Sequence[str], rows: Words) -> int:
        """Compare with the accounts' own rows (balance, residue, version) in the order of `names`; how many they are.

        `rows` : int64[3 or more, n].
        """
        known = {name: number for number, name in enumerate(self.names)}
        numbers = places_of(names, known)
        size = len(self.names)
        standing = np.zeros((3, size + 1), np.int64)  # the last one stands for accounts without a line
        for own, values in zip(standing, (self._balance, self._residue, self._version), strict=True):
            own[:size] = values[:size]
        stands = standing[:, numbers]
        unseen = {one.account_id: one[1:] for one in self._unseen(known)}
        for at in np.flatnonzero((numbers < 0) | (stands != rows[:3]).any(axis=0)).tolist():
            was = stands[:, at].tolist() if numbers[at] >= 0 else unseen.pop(names[at], (0, 0, 0))
            AccountChain(*was).close(self.found, names[at], *rows[:3, at].tolist())
        lacking = np.ones(size, np.bool_)
        lacking[numbers[numbers >= 0]] = False
        for account_id in sorted([self.names[number] for number in np.flatnonzero(lacking)] + list(unseen)):
            self.found.note(2, f"account {account_id}", "has lines but does not exist")
        return len(names)
