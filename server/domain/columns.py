"""Many rows at once as columns: numbers as int64, texts as places in a list of them, one value for all rows as itself.

A column costs a hundredth of a Python object for each of its values, and the databases take it as it is
(`server.store.bulk`).
"""

from collections.abc import Iterator, Sequence
from itertools import repeat
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from server.domain.line_words import ABSENT

Int64s = NDArray[np.int64]


class Texts(NamedTuple):
    """A column of texts: the place of each row's text in `texts`, -1 for none."""

    places: Int64s
    texts: Sequence[str]

    def values(self) -> list[str | None]:
        """The text of each row."""
        known = [*self.texts, None]  # the last one is at -1
        return [known[place] for place in self.places.tolist()]


Column = Int64s | Texts | int | str | None


class Columns(NamedTuple):
    """So many `rows`, in columns of that length; ABSENT is no number, and None none in all rows."""

    columns: tuple[Column, ...]
    rows: int

    def taken(self, mask: NDArray[np.bool_]) -> "Columns":
        """Only the rows that the mask names."""
        return Columns(tuple(_taken(column, mask) for column in self.columns), int(mask.sum()))

    def tuples(self) -> Iterator[tuple[Any, ...]]:
        """The rows, one after the other."""
        return zip(*(_values(column, self.rows) for column in self.columns), strict=True)


def _taken(column: Column, mask: NDArray[np.bool_]) -> Column:
    if isinstance(column, Texts):
        return Texts(column.places[mask], column.texts)
    return column[mask] if isinstance(column, np.ndarray) else column


def _values(column: Column, rows: int) -> list[Any]:
    if isinstance(column, Texts):
        return column.values()
    if isinstance(column, np.ndarray):
        return [None if value == ABSENT else value for value in column.tolist()]
    return list(repeat(column, rows))
