"""Lines of the journal as columns of int64, for everything that is done to thousands of them at once.

A window is a run of whole batches. The words of a line are its batch number, its fields (texts that repeat as
numbers into a list of names, rate registers as four numbers) and the accepted register at the end of its charge.
The canonical form of a sealed line (form 2) is 27 words of int64, little-endian: numbers as they are, names as the
first 16 bytes of their SHA-256, rate registers as four numbers; what is absent is the smallest int64, or zeros for
a name.
"""

from collections.abc import Sequence
from hashlib import sha256
from typing import Any

import numpy as np
from numpy.typing import NDArray

from server.domain.ledger import LINE_FIELDS, Line

ABSENT = -(2**63)
NAMES = ("account_id", "meter_id", "tariff_id")
RATES = ("from_rates_wh", "to_rates_wh")
RATE_COUNT = 4
COLUMNS = ("batch_seq", *LINE_FIELDS, "read_wh")
KINDS = "".join("t" if name in NAMES else "r" if name in RATES else "q" for name in COLUMNS)
CANONICAL_WORDS = 27
Words = NDArray[np.int64]


def _offsets() -> dict[str, int]:
    offsets, at = {}, 0
    for name in COLUMNS:
        offsets[name] = at
        at += RATE_COUNT if name in RATES else 1
    return {**offsets, "odd": at}


OFFSETS = _offsets()
WIDTH = OFFSETS["odd"] + 1


class Names:
    """The texts behind the numbers of one column, with the words of their digests."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self._stored: list[bytes] = []
        self._sought: dict[str, tuple[int, int]] = {}  # where a text was sought, and its number
        self._digests = np.zeros((2, 1), np.int64)  # the first column is for no text

    def extend(self, texts: Sequence[bytes]) -> None:
        """Give the next numbers to texts, as they were stored."""
        self.texts += [text.decode("utf-8", "replace") for text in texts]
        self._stored += texts

    def number(self, text: str) -> int:
        """The number of a text; -1 where it has none so far."""
        sought, number = self._sought.get(text, (0, -1))
        if number < 0:
            number = self.texts.index(text, sought) if text in self.texts[sought:] else -1
            self._sought[text] = (len(self.texts), number)
        return number

    def digests(self, numbers: Words) -> Words:
        """Two words for each number; zeros for -1. Worked out when they are first asked for."""
        if self._stored:
            fresh = b"".join(sha256(text).digest()[:16] for text in self._stored)
            self._digests = np.concatenate([self._digests, np.frombuffer(fresh, "<i8").reshape(-1, 2).T], axis=1)
            self._stored = []
        found: Words = self._digests[:, numbers + 1]
        return found

    def text(self, number: int) -> str | None:
        """The text of a number; None for -1."""
        return None if number < 0 else self.texts[number]


class LineWords:
    """Lines as words, with the names that their numbers stand for."""

    def __init__(self, words: Words, names: dict[str, Names]) -> None:
        self.words, self.names = words, names

    def __len__(self) -> int:
        return int(self.words.shape[1])

    def __getitem__(self, name: str) -> Words:
        """One column; of rate registers the first."""
        column: Words = self.words[OFFSETS[name]]
        return column

    def rates(self, name: str) -> Words:
        """Four rows of rate registers."""
        at = OFFSETS[name]
        columns: Words = self.words[at : at + RATE_COUNT]
        return columns

    def line(self, row: int) -> Line:
        """One line as it is booked."""
        fields: list[Any] = []
        for name in LINE_FIELDS:
            value = int(self[name][row])
            if name in NAMES:
                fields.append(self.names[name].text(value))
            elif value == ABSENT:
                fields.append(None)
            else:
                fields.append(",".join(map(str, self.rates(name)[:, row])) if name in RATES else value)
        return Line(*fields)

    def read_wh(self, row: int) -> int | None:
        """The accepted register at the end of a charge, None where none was read."""
        value = int(self["read_wh"][row])
        return None if value == ABSENT else value

    def canonical(self) -> Words:
        """The canonical form 2, one row a line."""
        out = np.empty((len(self), CANONICAL_WORDS), "<i8")
        at = 0
        for name in LINE_FIELDS:
            if name in NAMES:
                values = self.names[name].digests(self[name])
            elif name in RATES:
                values = self.rates(name)
            else:
                values = self[name][np.newaxis]
            out[:, at : at + len(values)] = values.T
            at += len(values)
        return out


def hash_of_lines(canonical: Words) -> str:
    """Hash of consecutive rows of the canonical form, as hex."""
    return sha256(canonical.data).hexdigest()
