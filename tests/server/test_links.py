"""Seals that are worked out without the interpreter are those of Python's library, bit for bit, and only those."""

from hashlib import sha256 as known_sha256
from random import Random
from typing import Any

import numpy as np
import pytest

from server.domain import line_words
from server.domain.batch_words import HEADER, SEAL, beside, kinds_of
from server.domain.ledger import GENESIS, Line, chain_hash, sealed_header
from server.domain.line_words import ABSENT, LineWords, Names, hash_of_lines
from server.store._links import links_right, sha256
from server.store._rows import Rows

VECTORS = {  # FIPS 180-4, examples of NIST
    b"abc": "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
    b"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq":
        "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1",
}  # fmt: skip


@pytest.mark.parametrize("portable", [False, True])
def test_the_hash_is_sha256(portable: bool) -> None:
    for data, digest in VECTORS.items():
        assert sha256(data, portable).hex() == digest
    random = Random(645)
    for size in (*range(200), 1000, 4095, 4096, 100_001):
        data = random.randbytes(size)
        assert sha256(data, portable) == known_sha256(data).digest()


LINES = [
    Line(1, "H1", -5, 95, 2, 5_000_000_000, -7, "000000000001", 1, "tou", 10, 20, "1,2,3,4", "5,6,7,8", 0, 9, 5, 6),
    Line(2, "revenue", 5, 5, 1),
    Line(1, "梅", 7, 7, 1, -1, 0, None, None, None, None, 2**62),
    Line(2, "opening", -7, -(2**63) + 1, 1),
]
HEADERS = [
    (1, "charge", 0, -(2**63) + 1, "charge:1", "ab" * 32, 2, 5, "system", ""),
    (2, "opening", 5, 6, 'opening:"H1"', "", 0, 0, "system", "a plain reason"),
    (3, "opening", 2**63 - 1, -10, "opening:H2", "", 2, 7, "system", "a plain reason"),
]
SPANS = [(0, 2), (2, 2), (2, 4)]


class Books:
    """Three sealed batches as words; each test changes what it likes before it asks."""

    def __init__(self, headers: Any = HEADERS, form: int = 2) -> None:
        self.rows, self.headers = Rows(line_words.KINDS), list(headers)
        self.lines = np.empty((self.rows.width, len(LINES)), np.int64)
        self.rows.fill([(1 + number // 2, *line, None) for number, line in enumerate(LINES)], self.lines)
        names = {name: Names() for name in line_words.NAMES}
        for name, own in names.items():
            own.extend(self.rows.names(line_words.COLUMNS.index(name)))
        canonical, previous = LineWords(self.lines, names).canonical(), GENESIS
        self.seals: list[tuple[Any, ...]] = []
        for header, (start, end) in zip(headers, SPANS, strict=True):
            lines_hash = hash_of_lines(canonical[start:end])
            own_hash = chain_hash(previous, sealed_header(header, 77, form), lines_hash)
            self.seals.append((header[0], lines_hash, previous, own_hash, 77, form))
            previous = own_hash

    def right(self) -> list[bool]:
        """What the compiled check says of them."""
        found, words = np.zeros(len(SPANS), np.uint8), []
        for columns, values in ((SEAL, self.seals), (HEADER, self.headers)):
            rows = Rows(kinds_of(columns))
            words += [rows, np.empty((rows.width, len(values)), np.int64)]
            rows.fill(values, words[-1])
        starts, ends = np.array(SPANS, np.int64).T.copy()
        links_right(*words, self.rows, self.lines, starts, ends, found)
        return [bool(one) for one in found]


def test_seals_that_follow_are_right() -> None:
    assert Books().right() == [True, True, True]
    assert Books(form=1).right() == [False, False, False]  # only form 2 is known here


@pytest.mark.parametrize(("part", "columns", "hash_of_it"), [("headers", 10, None), ("seals", 6, 3)])
def test_any_other_value_of_a_header_or_seal_is_not_right(part: str, columns: int, hash_of_it: int | None) -> None:
    for column in range(part == "seals", columns):
        books = Books()
        row = list(getattr(books, part)[1])
        row[column] = row[column] + 1 if isinstance(row[column], int) else f"{row[column]}0"
        getattr(books, part)[1] = tuple(row)
        assert books.right() == [True, False, column != hash_of_it], column
        row[column] = None
        getattr(books, part)[1] = tuple(row)
        assert books.right()[:2] == [True, False], column


def test_any_other_word_of_a_line_is_not_right() -> None:
    for word in range(1, 25):
        for value in (1, -1, 10**6):
            books = Books()
            books.lines[word, 0] = value if books.lines[word, 0] != value else 2
            assert books.right() == [False, True, True], (word, value)


def test_a_text_that_python_would_show_in_another_way_is_left_to_python() -> None:
    for memo in ("it's", "a\\b", "梅", "a\nb", "\x7f"):
        books = Books([HEADERS[0], (*HEADERS[1][:9], memo), HEADERS[2]])
        assert books.right() == [True, False, True], memo


def test_words_of_another_kind_are_refused() -> None:
    books, none = Books(), np.zeros(0, np.int64)
    links, heads, found = Rows(kinds_of(SEAL)), Rows(kinds_of(HEADER)), np.zeros(0, np.uint8)
    whole = (
        links, np.empty((10, 0), np.int64), heads, np.empty((13, 0), np.int64), books.rows, books.lines, none, none,
        found,
    )  # fmt: skip
    links_right(*whole)
    for at, wrong in ((0, heads), (1, whole[1][:9]), (2, links), (3, whole[3][:12]), (4, heads), (5, books.lines[:26])):
        with pytest.raises(ValueError, match="these are no"):
            links_right(*whole[:at], wrong, *whole[at + 1 :])
    for at, wrong in ((1, np.empty((10, 1), np.int64)), (3, np.empty((13, 1), np.int64)), (6, none + 1), (8, found)):
        longer = np.zeros((*wrong.shape[:-1], 1), wrong.dtype)
        with pytest.raises(ValueError, match="each batch"):
            links_right(*whole[:at], longer, *whole[at + 1 :])
    one = [(rows, np.zeros((rows.width, 1), np.int64)) for rows in (links, heads)]
    with pytest.raises(ValueError, match="3 to 5 are not there"):
        links_right(*one[0], *one[1], books.rows, books.lines, *np.array([[3], [5]], np.int64), np.zeros(1, np.uint8))


def test_seals_lie_beside_their_batches_or_are_strays() -> None:
    seals = np.arange(20).reshape(2, 10)[:, [7, 2, 9, 1]]
    words, strays = beside(np.array([1, 3, 7, 8], np.int64), np.vstack([seals, np.ones((1, 4), np.int64)]))
    assert words[0].tolist() == [1, ABSENT, 7, ABSENT]
    assert words[1:].tolist() == [[11, ABSENT, 17, ABSENT], [1, 0, 1, 0]]
    assert strays == [2, 9]
