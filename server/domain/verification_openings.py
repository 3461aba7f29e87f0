"""Opening balances by the thousand: those that are booked just as an opening is, found by NumPy.

An import books one for each household. Like the other screens this one only says which batches are right in every
way; whatever else there is goes to the exact check of `verification_bookings`.
"""

from collections.abc import Collection
from typing import Any

import numpy as np

from server.domain.batch_words import BatchWords
from server.domain.ledger import OPENING
from server.domain.line_words import LineWords, Words
from server.domain.verification_accounts import HALF_MAX

KIND = "opening"
KEYS = f"{KIND}:"  # how their keys begin


def plain_openings(
    batches: BatchWords, lines: LineWords, starts: Words, ends: Words, told: Collection[int]
) -> Any:  # fmt: skip
    """bool[n]: which batches are openings of one household's electricity each, whole and under its key.

    starts, ends : int64[n], which lines are those of a batch; batches `told` of by a row are not looked at.
    """
    right = batches.of_kind(KIND) & (ends - starts == 2)
    if told and right.any():
        right &= ~np.isin(batches.column("batch_seq"), np.fromiter(told, np.int64, len(told)))
    places = np.flatnonzero(right)
    if not len(places):
        return right
    names = lines.names["account_id"]
    accounts, amounts = (lines[name][starts[places] + [[0], [1]]] for name in ("account_id", "amount_fen"))
    of_openings = accounts == names.number(OPENING)
    household = np.where(of_openings[0], accounts[1], accounts[0]).tolist()
    small = ((amounts > -HALF_MAX) & (amounts < HALF_MAX)).all(axis=0)
    moved = np.abs(np.where(small, amounts, 0)).sum(axis=0) // 2
    fits = (of_openings.sum(axis=0) == 1) & small & (moved == batches.column("turnover_fen")[places])
    keys = zip(batches.keys(places), [names.texts[one] for one in household], strict=True)
    right[places] = fits & np.array([key == KEYS + name and ":" not in name for key, name in keys], np.bool_)
    return right
