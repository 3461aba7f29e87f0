"""The reverse registers: what a roof behind the meter has given back, in total and by rate.

As with the forward registers, every step of 10 Wh belongs to the rate in force when it completes. Few meters have a
roof, so nothing is kept but the registers at the last rate switch that somebody asked about.
"""

from typing import TYPE_CHECKING, NamedTuple

from core.units import REGISTER_MODULUS_WH, WH_PER_STEP
from sim.loads.load import MWMS_PER_WH

if TYPE_CHECKING:
    from sim.meters import Meter

RATES = 4
NOTHING = (0,) * (RATES + 1)


class Mark(NamedTuple):
    """Registers in Wh at a rate switch, total first."""

    at_ms: int
    row: tuple[int, ...]


def reverse_wh(meter: "Meter", at_ms: int) -> tuple[int, ...]:
    """Total and the four rates as shown at an instant since the meter was last cleared, rolled over at 10^9 Wh."""
    if not meter.has_roof or at_ms < meter.began_ms:
        return NOTHING
    mark = meter.notes.reverse_mark
    if mark is None or not meter.began_ms <= mark.at_ms <= at_ms:
        mark = Mark(meter.began_ms, NOTHING)
    while True:
        following = meter.calendar.next_switch_ms(mark.at_ms)
        if following is None or following > at_ms:
            break
        mark = Mark(following, _add(meter, mark, following))
    kept = meter.notes.reverse_mark
    if kept is None or mark.at_ms > kept.at_ms:
        meter.own().reverse_mark = mark
    return tuple(wh % REGISTER_MODULUS_WH for wh in _add(meter, mark, at_ms))


def _add(meter: "Meter", mark: Mark, at_ms: int) -> tuple[int, ...]:
    """The registers at an instant not after the next switch."""
    since = meter.given_back(at_ms) - meter.given_back(meter.began_ms)
    total_wh = since // MWMS_PER_WH // WH_PER_STEP * WH_PER_STEP
    rate = meter.calendar.rate_at(mark.at_ms)
    more_wh = total_wh - mark.row[0]
    return tuple(wh + more_wh if number in (0, rate) else wh for number, wh in enumerate(mark.row))
