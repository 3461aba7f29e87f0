"""The arrays of `verify` pass no batch that the exact check would tell, whatever else of it is right."""

from collections.abc import Callable
from functools import partial
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from server.domain.batch_words import HEADER, REPEATED, SEAL, BatchWords, WordRows, beside, kinds_of
from server.domain.heads import Head
from server.domain.ledger import GENESIS, Line, chain_hash, sealed_header
from server.domain.line_words import COLUMNS, KINDS, NAMES, LineWords, Names, hash_of_lines
from server.domain.verification import Findings
from server.domain.verification_accounts import Grouped, run_of
from server.domain.verification_openings import plain_openings
from server.flows.verification_batches import AMOUNT_MAX_FEN, BatchBooks
from server.flows.verification_credits import CreditBooks
from server.store._rows import Rows
from server.store.verification_windows import Window

BATCHES = 3
HUGE = 2**63 - 1


class Estate:
    """Openings of three households as rows; a test changes some before it makes them a window of right seals."""

    def __init__(self) -> None:
        self.headers = [
            [seq, "opening", 5, 6, f"opening:H{seq}", "", 2, 700, "system", ""] for seq in range(1, BATCHES + 1)
        ]
        self.lines = [
            [seq, *line]
            for seq in range(1, BATCHES + 1)
            for line in (Line(1, f"H{seq}", 700, 700, 1), Line(2, "opening", -700, -700 * seq, seq))
        ]
        self.unsealed: set[int] = set()

    def window(self) -> Window:
        """All of it, with seals that follow from it, which the lanes would have found right."""
        rows, heads, links = Rows(KINDS), Rows(kinds_of(HEADER)), Rows(kinds_of(SEAL))
        words, headers = np.empty((27, len(self.lines)), np.int64), np.empty((13, BATCHES), np.int64)
        rows.fill([(*line, None) for line in self.lines], words)
        heads.fill([tuple(header) for header in self.headers], headers)
        names = {name: Names() for name in NAMES}
        for name, own in names.items():
            own.extend(rows.names(COLUMNS.index(name)))
        lines, sealed, previous = LineWords(words, names), [], GENESIS
        for seq, *rest in self.headers:
            lines_hash = hash_of_lines(lines.canonical()[words[0] == seq])
            own_hash = chain_hash(previous, sealed_header((seq, *rest), 77, 2), lines_hash)
            sealed.append((seq, lines_hash, previous, own_hash, 77, 2))
            previous = own_hash
        sealed = [link for link in sealed if link[0] not in self.unsealed]
        seals = np.empty((10, len(sealed)), np.int64)
        links.fill(sealed, seals)
        texts = {name: [text.decode() for text in heads.names(list(HEADER).index(name))] for name in REPEATED}
        own_seals = WordRows(beside(headers[0], seals)[0], links.blob())
        batches = BatchWords(WordRows(headers, heads.blob()), texts, own_seals, np.ones(BATCHES, np.bool_))
        return Window(batches, lines)

    def spans(self, window: Window) -> tuple[Any, Any]:
        """Which lines are those of a batch."""
        numbers, own = window.batches.column("batch_seq"), window.lines["batch_seq"]
        return np.searchsorted(own, numbers, "left"), np.searchsorted(own, numbers, "right")

    def told(self, heads: list[Head] | None = None, last_seq: int = 0, previous_hash: str = GENESIS) -> list[str]:
        """What is told of the batches and their seals."""
        window, found = self.window(), Findings()
        own = BatchBooks(found, heads or [])
        own.last_seq, own.previous_hash = last_seq, previous_hash
        own.take(window, *self.spans(window), np.zeros(BATCHES, np.bool_))
        assert own.sealed == BATCHES - len(self.unsealed)
        return [f"{one.subject}: {one.detail}" for one in found.mismatches]

    def plain(self, told: set[int] = frozenset()) -> list[bool]:
        """Which batches are openings of which nothing else has to be known."""
        window = self.window()
        return plain_openings(window.batches, window.lines, *self.spans(window), told).tolist()


def test_what_is_right_is_passed() -> None:
    estate = Estate()
    assert estate.told() == []
    assert estate.plain() == [True] * BATCHES


def test_numbers_counts_and_sums_are_told_though_the_seal_is_right() -> None:
    estate = Estate()
    estate.headers[2][0] = estate.lines[4][0] = estate.lines[5][0] = 9
    assert estate.told() == ["batch 9: number is 9, should be 3"]
    estate = Estate()
    estate.headers[1][6] = 3
    assert estate.told() == ["batch 2: count of lines is 3, should be 2"]
    estate = Estate()
    estate.lines[2][3] = 701
    assert estate.told() == ["batch 2: sum of its lines is 1, should be 0"]
    assert Estate().told(last_seq=1)[0] == "batch 1: number is 1, should be 2"


def test_amounts_that_would_sum_to_nothing_in_64_bits_are_summed_exactly() -> None:
    estate = Estate()
    estate.lines[2][3] = estate.lines[3][3] = -(2**63) + 1
    estate.lines.insert(4, [2, *Line(3, "H2", -2, 0, 2)])
    estate.headers[1][6] = 3
    assert sum(line[3] for line in estate.lines[2:5]) == -(2**64)
    assert estate.told() == [f"batch 2: sum of its lines is {-(2**64)}, should be 0"]
    assert abs(estate.lines[2][3]) > AMOUNT_MAX_FEN


def test_a_seal_after_one_that_lacks_or_that_follows_another_is_told() -> None:
    estate = Estate()
    estate.unsealed = {2}
    assert "seal 3: follows a batch without a seal" in estate.told()
    assert f"seal 1: previous hash is {GENESIS}, should be {'1' * 64}" in Estate().told(previous_hash="1" * 64)


def test_a_head_that_names_another_hash_is_told() -> None:
    [said] = Estate().told([Head("one", 2, "1" * 64, 0)])
    assert said.startswith("seal 2: hash that was signed as a head is 1111")


@pytest.mark.parametrize("most", [1, 3, 12], ids="rows of at most {} a group".format)
def test_groups_follow_what_one_after_another_would_say(most: int) -> None:
    random = np.random.default_rng(645 + most)
    for _ in range(200):
        groups, offset = int(random.integers(1, 9)), int(random.integers(3))
        numbers = np.repeat(np.arange(groups), random.integers(most > 1, most + 1, groups)) + offset
        if random.integers(2):
            random.shuffle(numbers)
        values, standing = random.integers(0, 99, (2, len(numbers))), random.integers(100, 199, (2, 12))
        one_by_one, expected = standing.copy(), []
        for number, value in zip(numbers.tolist(), values.T, strict=True):
            expected.append(one_by_one[:, number].copy())
            one_by_one[:, number] = value
        own = Grouped(numbers)
        before, alone = own.before(values[:, own.order], standing), own.before(values[0, own.order], standing[0])
        own.keep(values[:, own.order], standing)  # what stood before stays what it was
        assert before.T.tolist() == [expected[row].tolist() for row in own.order]
        assert alone.tolist() == before[0].tolist()
        assert (standing == one_by_one).all()
        run = run_of(own.order)
        assert (numbers[run] == own.numbers).all()
        assert isinstance(run, slice) == (len(numbers) > 0 and (own.order == np.arange(len(numbers))).all())


def other_key(estate: Estate) -> None:
    estate.headers[1][4] = "opening:H1"


def two_households(estate: Estate) -> None:
    estate.lines[3][2] = "H3"


def opening_twice(estate: Estate) -> None:
    estate.lines[2][2] = "opening"


def other_turnover(estate: Estate) -> None:
    estate.headers[1][7] = 701


def three_lines(estate: Estate) -> None:
    estate.lines.insert(4, [2, *Line(3, "H2", 0, 700, 2)])


def ledger(estate: Estate) -> None:
    estate.lines[2][2], estate.headers[1][4] = "H2:shared", "opening:H2:shared"


def other_kind(estate: Estate) -> None:
    estate.headers[1][1] = "topup"


def huge(estate: Estate) -> None:
    estate.lines[2][3], estate.lines[3][3], estate.headers[1][7] = HUGE, HUGE, 0


@pytest.mark.parametrize(
    "change",
    [other_key, two_households, opening_twice, other_turnover, three_lines, ledger, other_kind, huge],
    ids=lambda change: change.__name__,
)
def test_an_opening_that_is_another_thing_is_looked_at(change: Callable[[Estate], None]) -> None:
    estate = Estate()
    change(estate)
    assert estate.plain() == [True, False, True]


def test_an_opening_that_a_row_tells_of_is_looked_at() -> None:
    assert Estate().plain({2, 7}) == [True, False, True]


@pytest.mark.parametrize(
    ("waiting", "wanted", "other", "looked_at"),
    [(False, (), False, []), (True, (), False, [1, 2, 3]), (False, ("opening:H1",), False, [1, 2, 3]),
     (False, (), True, [1, 2, 3])],
)  # fmt: skip
def test_openings_are_looked_at_when_anything_else_may_ask_for_them(
    waiting: bool, wanted: tuple[str, ...], other: bool, looked_at: list[int]
) -> None:
    """A share that is to come, a row that wants their key, or another booking in the same window."""
    estate, seen = Estate(), []
    if other:
        other_kind(estate)
    window, own = estate.window(), CreditBooks.__new__(CreditBooks)
    own.found, own.acts, own.rules = Findings(), {}, SimpleNamespace(is_told=lambda *_: False)
    own.payments = SimpleNamespace(batches=tuple, take=lambda booked: seen.append(booked.batch_seq) or [])
    own.lives = SimpleNamespace(batches=tuple, take=lambda *_: None)
    own.recoveries = SimpleNamespace(waiting=waiting, take=lambda *_: None)
    wants = partial(any_begins, wanted)
    own.refunds = SimpleNamespace(wants=wants, take=lambda *_: None)
    own._take(window, *estate.spans(window), np.zeros(BATCHES, np.bool_))
    assert seen == looked_at


def any_begins(keys: tuple[str, ...], beginning: str) -> bool:
    return any(key.startswith(beginning) for key in keys)
