"""The stream that the deduction is measured against moves every array in every tier and refuses what does not fit."""

import numpy as np
import pytest

from core import _isa
from core._roofline import RATES, stream


def columns(n=37):
    random = np.random.default_rng(n)
    whole = (np.int32, np.uint16, np.int64, np.int64, np.int32, np.int32, np.int32, np.uint8, np.int64, np.uint8)
    prev, new = (random.integers(0, 10**9, (RATES, n)).astype(np.int32) for _ in range(2))
    return [prev, new, *(random.integers(0, 200, n).astype(kind) for kind in whole)]


def test_every_tier_moves_the_same_bytes_as_plain_arithmetic():
    before = columns()
    prev, new, ratio, tariff, period, balance, alarm1, alarm2, overdraft, flags, _, _ = before
    moved = (prev ^ new).astype(np.uint32).sum(axis=0, dtype=np.uint32)
    moved = (moved + (ratio ^ alarm1 ^ alarm2 ^ overdraft).astype(np.uint32) + tariff).astype(np.int64)
    chosen = _isa.isa()
    try:
        for tier in _isa.available():
            _isa.use(tier)
            after = [column.copy() for column in before]
            stream(*after)
            wanted = {4: period ^ moved, 5: balance ^ moved, 9: flags ^ 3, 10: moved, 11: flags}
            assert all((after[k] == wanted.get(k, before[k])).all() for k in range(12)), tier
    finally:
        _isa.use(chosen)


@pytest.mark.parametrize(("which", "complaint"), [(0, "four reg"), (1, "four reg"), (8, "37 meters, not 36")])
def test_arrays_that_do_not_fit_are_refused(which, complaint):
    arrays = columns()
    arrays[which] = np.ascontiguousarray(arrays[which][:-1])
    with pytest.raises(ValueError, match=complaint):
        stream(*arrays)
