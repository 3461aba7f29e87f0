"""Rules of acceptance that look at more than one register or one step: the sum of the rates, and the spike.

The total and its rates are truncated each for itself, so their steps may differ by one count a rate and no more. A
spike is a step that the meter's power allows and its history does not: far above the highest mean power that the meter
has shown. It waits for the next reading, which confirms it or shows that it was none.
"""

from collections.abc import Sequence

from core.units import WH_PER_STEP

SECONDS_PER_HOUR = 3600
USUAL_SPAN_S = 900  # shorter steps say little of a mean power: one count of 10 Wh in a second is 36 kW
USUAL_FADES_S = 30 * 86400  # the peak of the past fades, so that a flat that stands empty is known as such
SPIKE_TIMES = 3
SPIKE_FLOOR_WH = 1000


def rates_agree(total_step_wh: int, rate_steps_wh: Sequence[int], *, step_wh: int = WH_PER_STEP) -> bool:
    """Whether the rates' forward steps add up to the total's, within one count for each rate (R16)."""
    return abs(total_step_wh - sum(rate_steps_wh)) <= len(rate_steps_wh) * step_wh


def usual_after(usual_w: int | None, step_wh: int, seconds: int) -> int:
    """The highest mean power seen, in W, after one more step: what is higher replaces it, time makes it fade."""
    seen_w = step_wh * SECONDS_PER_HOUR // max(seconds, USUAL_SPAN_S)
    if usual_w is None:
        return seen_w
    faded_w = usual_w - usual_w * min(seconds, USUAL_FADES_S) // USUAL_FADES_S
    return max(seen_w, faded_w)


def spike_limit_wh(usual_w: int, seconds: int) -> int:
    """The longest step that is believed at once of a meter with this highest mean power."""
    return SPIKE_TIMES * usual_w * max(seconds, USUAL_SPAN_S) // SECONDS_PER_HOUR + SPIKE_FLOOR_WH
