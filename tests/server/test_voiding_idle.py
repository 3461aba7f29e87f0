"""A reading that moved a cursor without a charge, for nothing was used, is taken back like any other.

The measure is the twin estate of `test_voiding` again.
"""

import pytest
from sqlalchemy import Engine

from server.store.writer import Writer
from tests.server.books import HOUR, agrees
from tests.server.estates import plant
from tests.server.test_voiding import DAY, FLAT, MONTH_END, live, play, take_back

YEAR = 365 * DAY
IDLE = {
    "never used": [(HOUR, 0, None)],
    "idle since the last charge": [*FLAT[:2], (3 * HOUR, 1000, None)],
    "idle into another tier period": [*FLAT[:2], (MONTH_END + DAY, 1000, None)],
    "never used, in another tier period": [(YEAR, 0, None)],
    "a step of ten watt-hours over a year of boundaries": [*FLAT[:2], (YEAR, 1010, None)],
}


@pytest.mark.parametrize("steps", IDLE.values(), ids=IDLE)
def test_a_reading_that_moved_the_cursor_without_a_charge_gives_it_back(engine: Engine, writer: Writer, steps) -> None:
    """Else nothing is charged until its time has come, which may be a year."""
    plant(writer, 2)
    gone = steps[-1][0]
    play(writer, 1, steps)
    play(writer, 2, steps, without=gone)
    take_back(writer, gone)
    assert live(writer, 1) == live(writer, 2)
    agrees(engine)
    for number in (1, 2):
        play(writer, number, [(4 * HOUR, 2000, None)])
    assert live(writer, 1) == live(writer, 2)
    agrees(engine)
