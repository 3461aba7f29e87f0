"""The final register of a dead meter, estimated: as much as in the same time before, for want of anything better.

Nothing is invented quietly: an estimate is asked for with a reason, agreed to by a second person, and says how it came
about wherever it is shown. It is rounded down. Nobody is cut by it, since it is only taken where somebody moves out.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from core.units import REGISTER_MODULUS_WH
from server.domain.readings import Rates
from server.domain.registers import Registers
from server.errors import Refused

SPAN_MIN_S = 86_400  # of known use, below which nothing can be said
ESTIMATE = "estimate"  # the source of such a reading


@dataclass(frozen=True, slots=True)
class Estimate:
    """The registers, and how they came about (`said`, for the record)."""

    total_wh: int
    rates_wh: Rates | None
    said: str


def estimate(known: Mapping[int, Registers], now_s: int) -> Estimate:
    """From the readings that count, by instant: what was used since the last one as in the same time before it.

    Refused where less than a day of use is known.
    """
    times = sorted(known)
    if not times:
        raise Refused("no reading of this meter counts, so nothing can be estimated")
    last = known[times[-1]]
    elapsed_s = max(0, now_s - times[-1])
    reach_s = max(elapsed_s, SPAN_MIN_S)
    before_at = max((at for at in times if at <= times[-1] - reach_s), default=times[0])
    span_s = times[-1] - before_at
    if span_s < SPAN_MIN_S:
        raise Refused("less than a day of this meter's use is known; nothing can be estimated from that")
    before = known[before_at]

    def more(now_wh: int, then_wh: int) -> int:
        return (now_wh - then_wh) % REGISTER_MODULUS_WH * elapsed_s // span_s

    rates = None
    add_wh = more(last.total_wh, before.total_wh)
    if last.rates_wh is not None and before.rates_wh is not None:
        steps = [more(now, then) for now, then in zip(last.rates_wh, before.rates_wh, strict=True)]
        sharp, peak, flat, valley = (
            (now + step) % REGISTER_MODULUS_WH for now, step in zip(last.rates_wh, steps, strict=True)
        )
        rates, add_wh = (sharp, peak, flat, valley), sum(steps)
    used_wh = (last.total_wh - before.total_wh) % REGISTER_MODULUS_WH
    said = f"estimated: {add_wh} Wh in {elapsed_s} s without readings, as {used_wh} Wh in the {span_s} s before"
    return Estimate((last.total_wh + add_wh) % REGISTER_MODULUS_WH, rates, said)
