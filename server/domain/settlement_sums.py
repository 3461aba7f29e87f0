"""The sums of settlement periods from the lines of the journal, a window of whole batches at a time.

Periods are places in a row: 0 is everything before the first, the last place is what is still open. A batch of charges
has one counter-line for all of them; each charge takes its own part of it along into the period where it belongs, so
that the sums of every period balance. All other batches belong as a whole to the period of their event.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from core.units import REGISTER_MODULUS_WH
from server.domain.batch_words import BatchWords
from server.domain.line_words import ABSENT, LineWords, Words
from server.domain.settlement import Sums, kinds_text
from server.domain.voiding import VOID

CHARGE = "charge"
METERED = (CHARGE, VOID)  # a void mirrors charges, in the periods of what it mirrors
FEN, LINES, LATE_LINES, LATE_FEN = range(4)  # rows of a place's words, followed by charge, energy and the rates
WIDTH = 10
INSTALL_MAX = 2**20  # more installations than a meter ever has
Ratios = Mapping[tuple[str, int], int]


class _Place:
    """The sums of one place, by the number of the account."""

    def __init__(self) -> None:
        self.words: Words = np.zeros((WIDTH, 0), np.int64)
        self.kinds: dict[str, Words] = {}

    def add(self, kind: str, size: int, accounts: Words, rows: Words) -> None:
        """Add `rows`, one column a line, to their accounts; there are `size` accounts."""
        if size > self.words.shape[1]:
            self.words = _grown(self.words, size)
        for own, values in zip(self.words, rows, strict=True):
            np.add.at(own, accounts, values)
        fen = self.kinds.get(kind)
        if fen is None or size > len(fen):
            fen = _grown(np.zeros((1, 0), np.int64) if fen is None else fen[np.newaxis], size)[0]
            self.kinds[kind] = fen
        np.add.at(fen, accounts, rows[FEN])


def _grown(words: Words, size: int) -> Words:
    grown = np.zeros((words.shape[0], 2 * size), np.int64)
    grown[:, : words.shape[1]] = words
    return grown


class PeriodSums:
    """Sums of periods whose ends are `ends` and which were closed through the batches `throughs`, both in order.

    The first of each stands for what lies before. With `opening` (fen by account) those lines are left out, since
    the opening balances hold them.
    """

    def __init__(
        self, ends: Sequence[int], throughs: Sequence[int], ratios: Ratios, opening: Mapping[str, int] | None = None
    ) -> None:
        self._ends, self._throughs = np.array(ends, np.int64), np.array(throughs, np.int64)
        self._ratios = ratios
        self._left_out = -1 if opening is None else 0
        self._balance: dict[str, int] = dict(opening or {})
        self._places: dict[int, _Place] = {}
        self._names: list[str] = []
        self._next = 0

    def take(self, batches: BatchWords, lines: LineWords) -> None:
        """Add the lines of some batches, in order."""
        self._names = lines.names["account_id"].texts
        numbers, kind_of, at = (batches.column(name) for name in ("batch_seq", "kind", "event_at"))
        kinds = batches.names["kind"]
        batch = np.minimum(np.searchsorted(numbers, lines["batch_seq"]), len(numbers) - 1)
        known = numbers[batch] == lines["batch_seq"]
        metered = lines["meter_id"] >= 0
        is_charge = np.array([kind in METERED for kind in kinds])[kind_of]
        counter = known & is_charge[batch] & ~metered
        shared = is_charge & (np.bincount(batch[counter], minlength=len(numbers)) == 1)
        counter_account = np.zeros(len(numbers), np.int64)
        counter_account[batch[counter]] = lines["account_id"][counter]
        ends_itself = known & shared[batch] & metered & (lines["event_to"] != ABSENT)
        events = np.where(ends_itself, lines["event_to"] - 1, at[batch])
        by_event = np.searchsorted(self._ends, events, side="right")
        places = np.maximum(by_event, np.searchsorted(self._throughs, lines["batch_seq"], side="left"))
        back = np.array([kind == VOID for kind in kinds])[kind_of][batch]
        rows = self._rows(lines, metered & is_charge[batch], places > by_event, back)
        own = np.flatnonzero(known & ~(shared[batch] & ~metered))
        self._add(places[own], kind_of[batch[own]], kinds, lines["account_id"][own], rows[:, own])
        taken = np.flatnonzero(known & shared[batch] & metered)
        mirrored = np.zeros((WIDTH, len(taken)), np.int64)
        mirrored[[FEN, LATE_FEN]] = -rows[[FEN, LATE_FEN]][:, taken]
        mirrored[[LINES, LATE_LINES]] = rows[[LINES, LATE_LINES]][:, taken]
        self._add(places[taken], kind_of[batch[taken]], kinds, counter_account[batch[taken]], mirrored)

    def _rows(self, lines: LineWords, charged: Any, late: Any, back: Any) -> Words:
        """One column a line: fen, 1, late, late fen, charge, energy, four rates; `back` takes energy off."""
        rows = np.zeros((WIDTH, len(lines)), np.int64)
        rows[FEN], rows[LINES], rows[LATE_LINES] = lines["amount_fen"], 1, late
        rows[LATE_FEN] = np.where(late, rows[FEN], 0)
        some = np.flatnonzero(charged)
        if not len(some):
            return rows
        rows[4, some] = lines["charge_nf"][some]
        ratio = self._ratio(lines, some)
        way = np.where(back[some], -1, 1)
        rows[5, some] = (lines["to_wh"][some] - lines["from_wh"][some]) * way % REGISTER_MODULUS_WH * ratio * way
        before, after = lines.rates("from_rates_wh")[:, some], lines.rates("to_rates_wh")[:, some]
        moved = (after - before) * way % REGISTER_MODULUS_WH * ratio * way
        rows[6:, some] = np.where((before[0] != ABSENT) & (after[0] != ABSENT), moved, 0)
        return rows

    def _ratio(self, lines: LineWords, some: Words) -> Words:
        keys = lines["meter_id"][some] * INSTALL_MAX + lines["install_no"][some] % INSTALL_MAX
        distinct, inverse = np.unique(keys, return_inverse=True)
        names = lines.names["meter_id"].texts
        found = [
            self._ratios.get((names[int(key) // INSTALL_MAX], int(key) % INSTALL_MAX), 1) for key in distinct.tolist()
        ]
        ratios: Words = np.array(found, np.int64)[inverse]
        return ratios

    def _add(self, places: Words, kinds: Words, names: Sequence[str], accounts: Words, rows: Words) -> None:
        for place in np.unique(places).tolist():
            if place == self._left_out:
                continue
            for kind in np.unique(kinds[places == place]).tolist():
                some = np.flatnonzero((places == place) & (kinds == kind))
                own = self._places.setdefault(place, _Place())
                own.add(names[kind], len(self._names), accounts[some], rows[:, some])

    def complete(self, last_seq: int) -> Iterator[tuple[int, list[Sums]]]:
        """Periods of which all batches through `last_seq` say everything, by their index from 0, with their sums."""
        while self._next < len(self._ends) and self._throughs[self._next] <= last_seq:
            place, self._next = self._next, self._next + 1
            rows = self._close(place)
            if place:
                yield place - 1, rows

    def _close(self, place: int) -> list[Sums]:
        words, kinds = self._of(place)
        if not place:
            for name, values in words.items():
                self._balance[name] = self._balance.get(name, 0) + values[FEN]
            return []
        rows = []
        nothing = [0] * WIDTH
        for name in sorted({*self._balance, *words}):
            values = words.get(name, nothing)
            opening_fen = self._balance.get(name, 0)
            self._balance[name] = closing_fen = opening_fen + values[FEN]
            rows.append(Sums(name, opening_fen, closing_fen, kinds_text(kinds.get(name, {})), *values[LINES:]))
        return rows

    def _of(self, place: int) -> tuple[dict[str, list[int]], dict[str, dict[str, int]]]:
        """The words of each account with a line in this place, and its fen by kind; the place is forgotten."""
        own = self._places.pop(place, _Place())
        touched = np.flatnonzero(own.words[LINES])
        names = [self._names[number] for number in touched.tolist()]
        words = dict(zip(names, own.words[:, touched].T.tolist(), strict=True))
        kinds: dict[str, dict[str, int]] = {name: {} for name in names}
        for kind, fen in own.kinds.items():
            for name, value in zip(names, fen[touched[touched < len(fen)]].tolist(), strict=False):
                kinds[name][kind] = value
        return words, kinds

    def still_open(self) -> dict[str, int]:
        """Fen of what belongs to no period yet, by account."""
        words, _ = self._of(len(self._ends))
        return {name: values[FEN] for name, values in words.items()}
