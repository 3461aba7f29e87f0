"""A reading that moved a cursor without a charge, for nothing was used, is taken back like any other.

The measure is the twin estate of `test_voiding` again.
"""

import pytest
from sqlalchemy import Engine

from server.store.writer import Writer
from tests.server.books import HOUR, agrees, charge
from tests.server.estates import household, plant
from tests.server.test_voiding import DAY, FLAT, MONTH_END, approval_of, live, play, take_back

YEAR = 365 * DAY
IDLE = {
    "never used": [(HOUR, 0, None)],
    "idle since the last charge": [*FLAT[:2], (3 * HOUR, 1000, None)],
    "idle into another tier period": [*FLAT[:2], (MONTH_END + DAY, 1000, None)],
    "never used, in another tier period": [(YEAR, 0, None)],
    "a step of ten watt-hours over a year of boundaries": [*FLAT[:2], (YEAR, 1010, None)],
}

PASSED = {  # readings, and which of them is taken back; a later one moved the cursor without a line
    "a part of nothing": (
        [(MONTH_END - 10 * DAY, 190_000, None), (MONTH_END - 600, 191_000, None), (MONTH_END + 6, 191_010, None),
         (MONTH_END + 2 * DAY, 193_000, None)],
        MONTH_END - 600,
    ),
    "idle up to the end of a month": (
        [(MONTH_END - 10 * DAY, 190_000, None), (MONTH_END - 9 * DAY, 191_000, None),
         (MONTH_END - HOUR, 191_000, None), (MONTH_END + 2 * HOUR, 194_000, None)],
        MONTH_END - 9 * DAY,
    ),
    "idle since, and the end of a month after it": (
        [(HOUR, 500, None), (2 * HOUR, 500, None), (MONTH_END - 600, 500, None), (MONTH_END + 600, 900, None)],
        HOUR,
    ),
}  # fmt: skip


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


@pytest.mark.parametrize(("steps", "gone"), PASSED.values(), ids=PASSED)
def test_what_is_charged_again_stops_where_the_cursor_had_stood(engine: Engine, writer: Writer, steps, gone) -> None:
    """Else energy of one month is split by time into the other."""
    plant(writer, [household(number, opening_fen=50_000, max_power_w=100_000) for number in (1, 2)])
    play(writer, 1, steps)
    play(writer, 2, steps, without=gone)
    take_back(writer, gone, approved=approval_of(engine, 1, gone))
    charge(writer, 60 * DAY)
    assert live(writer, 1) == live(writer, 2)
    agrees(engine)
