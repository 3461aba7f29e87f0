"""Headers of batches with their seals as columns of int64, for everything that is done to thousands of them at once.

Texts that repeat (kind, actor, memo) are numbers into lists; those that do not are where they begin in one long text
and how many bytes they have. A batch that is needed whole is made when it is asked for.
"""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, overload

import numpy as np

from server.domain.ledger import Link
from server.domain.line_words import ABSENT, Words

HEADER = {  # kinds of columns: q a number, t a text that repeats, b one that does not
    "batch_seq": "q", "kind": "t", "event_at": "q", "created_ms": "q", "idem_key": "b", "payload_sha256": "b",
    "lines": "q", "turnover_fen": "q", "actor": "t", "memo": "t",
}  # fmt: skip
SEAL = {"batch_seq": "q", "lines_sha256": "b", "previous_hash": "b", "hash": "b", "sealed_ms": "q", "form": "q"}
REPEATED = tuple(name for name, kind in HEADER.items() if kind == "t")


def kinds_of(columns: dict[str, str]) -> str:
    """The kinds of rows with these columns."""
    return "".join(columns.values())


def _offsets(columns: dict[str, str]) -> dict[str, int]:
    offsets, at = {}, 0
    for name, kind in columns.items():
        offsets[name] = at
        at += 2 if kind == "b" else 1
    return {**offsets, "odd": at}


_OF_HEADER, _OF_SEAL = _offsets(HEADER), _offsets(SEAL)


class Batch(NamedTuple):
    """A batch header in the order of the table's columns, and its seal if it has one."""

    header: tuple[Any, ...]
    link: Link | None


class WordRows(NamedTuple):
    """Rows as words, and the long text of what does not repeat in them."""

    words: Words
    blob: bytes

    def text(self, at: int, place: int) -> str | None:
        """The text whose words begin at `at`."""
        start, size = self.words[at : at + 2, place].tolist()
        return None if start == ABSENT else self.blob[start : start + size].decode("utf-8", "replace")


class BatchWords(Sequence[Batch]):
    """Batches as words; `names` are the texts that repeat, by column; the seal of each batch lies beside it.

    `right` : bool[n], the seal of a batch follows from its header, its lines and, but for the first one, the batch
    before; where it is False nothing is known. `strays` are numbers of batches that have a seal and do not exist.
    """

    def __init__(
        self, headers: WordRows, names: dict[str, list[str]], seals: WordRows, right: Any, strays: Sequence[int] = ()
    ) -> None:
        self.names, self.right, self.strays = names, right, strays
        self._headers, self._seals = headers, seals

    def __len__(self) -> int:
        return int(self._headers.words.shape[1])

    def __iter__(self) -> Iterator[Batch]:
        return map(self._one, range(len(self)))

    @overload
    def __getitem__(self, place: int) -> Batch: ...
    @overload
    def __getitem__(self, place: slice) -> list[Batch]: ...
    def __getitem__(self, place: int | slice) -> Batch | list[Batch]:
        """One batch, or some."""
        found = range(len(self))[place]
        return self._one(found) if isinstance(found, int) else [self._one(one) for one in found]

    def _one(self, place: int) -> Batch:
        header = tuple(self._value(name, place) for name in HEADER)
        if self._seals.words[1, place] == ABSENT:
            return Batch(header, None)
        words = self._seals.words[:, place].tolist()
        hashes = [self._seals.text(at, place) for at in (1, 3, 5)]
        return Batch(header, Link(header[0], *hashes, *words[7:9]))  # type: ignore[arg-type]  # absent: seen as wrong

    def column(self, name: str) -> Words:
        """The words of a column of headers that is a number or a text that repeats, or what is odd of a header."""
        column: Words = self._headers.words[_OF_HEADER[name]]
        return column

    def of_kind(self, *kinds: str) -> Any:
        """bool[n]: whether a batch is of one of these kinds."""
        return self._among("kind", kinds)

    def with_memo(self, *memos: str) -> Any:
        """bool[n]: whether a batch has one of these memos."""
        return self._among("memo", memos)

    def _among(self, name: str, texts: Sequence[str]) -> Any:
        numbers = [number for number, text in enumerate(self.names[name]) if text in texts]
        return np.isin(self.column(name), numbers)

    def sealed(self) -> Any:
        """bool[n]: whether a batch has a seal."""
        return self._seals.words[1] != ABSENT

    def hash_of(self, name: str, place: int) -> str | None:
        """A hash of the seal of one batch."""
        return self._seals.text(_OF_SEAL[name], place)

    def keys(self, places: Words) -> list[str | None]:
        """The keys of some batches."""
        at, (words, blob) = _OF_HEADER["idem_key"], self._headers
        if not blob.isascii():
            return [self._headers.text(at, place) for place in places.tolist()]
        whole, spans = (
            blob.decode("ascii"),
            zip(words[at, places].tolist(), words[at + 1, places].tolist(), strict=True),
        )
        return [None if start == ABSENT else whole[start : start + size] for start, size in spans]

    def _value(self, name: str, place: int) -> Any:
        if HEADER[name] == "b":
            return self._headers.text(_OF_HEADER[name], place)
        value = int(self.column(name)[place])
        if HEADER[name] == "t":
            return None if value < 0 else self.names[name][value]
        return None if value == ABSENT else value


def beside(numbers: Words, seals: Words) -> tuple[Words, list[int]]:
    """The words of the seal of each batch, absent where it has none, and the numbers of seals without a batch.

    numbers : int64[n], of batches in order; seals : the words of seals in any order, no number twice.
    """
    out = np.full((seals.shape[0], len(numbers)), ABSENT, np.int64)
    out[-1] = 0
    places = np.searchsorted(numbers, seals[0])
    known = places < len(numbers)
    known[known] = numbers[places[known]] == seals[0, known]
    out[:, places[known]] = seals[:, known]
    return out, sorted(seals[0, ~known].tolist())
