"""Meters that are due, in columns: what the store knows of each and of its account, before anything is made of it."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from server.domain.billing import DueRow
from server.domain.columns import Int64s, Texts
from server.domain.line_words import ABSENT

TEXT_FIELDS = ("meter_id", "account_id", "tariff_id", "order_rates_wh")
_PLACES = {name: place for place, name in enumerate(DueRow._fields)}


@dataclass(frozen=True, slots=True)
class DueColumns:
    """Rows of `DueRow`: its fields by meters; those of `texts` are places in these lists, -1 for none."""

    words: Int64s
    texts: Mapping[str, Sequence[str]]

    @classmethod
    def of(cls, rows: Sequence[DueRow]) -> "DueColumns":
        """Columns of some rows."""
        words = np.full((len(_PLACES), len(rows)), ABSENT, np.int64)
        texts = {name: list(dict.fromkeys(getattr(row, name) for row in rows)) for name in TEXT_FIELDS}
        known = {name: {text: place for place, text in enumerate(texts[name])} | {None: -1} for name in TEXT_FIELDS}
        for at, row in enumerate(rows):
            for name, value in zip(DueRow._fields, row, strict=True):
                if name in TEXT_FIELDS:
                    words[_PLACES[name], at] = known[name][value]
                elif value is not None:
                    words[_PLACES[name], at] = value
        return cls(words, {name: [text or "" for text in found] for name, found in texts.items()})

    def __len__(self) -> int:
        return int(self.words.shape[1])

    def __getitem__(self, name: str) -> Int64s:
        """The numbers of a field, or the places of its texts."""
        words: Int64s = self.words[_PLACES[name]]
        return words

    def named(self, name: str) -> Texts:
        """A field of texts."""
        return Texts(self[name], self.texts[name])

    def taken(self, mask: NDArray[np.bool_]) -> "DueColumns":
        """Only the meters that the mask names."""
        return self if mask.all() else DueColumns(np.ascontiguousarray(self.words[:, mask]), self.texts)

    def rows(self, mask: NDArray[np.bool_] | None = None) -> list[DueRow]:
        """The meters that the mask names, or all, each as a row."""
        words = self.words if mask is None else self.words[:, mask]
        return [DueRow._make(self._values(one)) for one in words.T.tolist()]

    def _values(self, words: Iterable[int]) -> Iterable[str | int | None]:
        for name, word in zip(DueRow._fields, words, strict=True):
            if name in TEXT_FIELDS:
                yield None if word < 0 else self.texts[name][word]
            else:
                yield None if word == ABSENT else word
