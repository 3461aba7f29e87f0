"""Energy registers: a total and four rates that count in steps of 10 Wh.

The exact energy comes from a source (a household's supply or a gate meter's sum) as a function of time. The
total register is its floor to 10 Wh; every step belongs to the rate that is in force when the step completes,
as in meters that count pulses. So the rates always add up to the total exactly. Readings at any past instant
can be asked for again: the registers at each rate switch are remembered, and the source answers for the past.

What a meter shows may be set back (a fault, labelled as such): the shown registers then lag behind the true
ones by an offset from some instant on.
"""

from bisect import bisect_right
from typing import NamedTuple, Protocol

from core.units import REGISTER_MODULUS_WH, WH_PER_STEP
from sim.load import MWMS_PER_WH
from sim.rates import RateCalendar

RATES = 4
START_SHARE_PERMILLE = (60, 320, 0, 240)
"""How a start register is spread over sharp, peak and valley; flat takes the rest."""


class EnergySource(Protocol):
    """Exact energy through a meter since the world began, and when it was reached."""

    def energy(self, at_ms: int) -> int:
        """mW x ms since the start; `at_ms` must not be after what the source knows."""

    def reached_ms(self, energy: int, until_ms: int) -> int | None:
        """First millisecond up to `until_ms` with that much energy, or None."""


class Shown(NamedTuple):
    """From `from_ms` on the shown rate registers lag by `offsets_wh`, and the total by their sum."""

    from_ms: int
    offsets_wh: tuple[int, ...]

    @property
    def offset_wh(self) -> int:
        """By how much the shown total lags."""
        return sum(self.offsets_wh)


def split_start(start_wh: int) -> tuple[int, int, int, int]:
    """Spread a start register over the four rates in steps of 10 Wh, always in the same way."""
    steps = start_wh // WH_PER_STEP
    shares = [steps * permille // 1000 * WH_PER_STEP for permille in START_SHARE_PERMILLE]
    sharp, peak, _, valley = shares
    return sharp, peak, start_wh - sharp - peak - valley, valley


class Register:
    """Total and rate registers of one meter from world time `origin_ms` on."""

    def __init__(self, source: EnergySource, calendar: RateCalendar, start_wh: int, origin_ms: int) -> None:
        self.source = source
        self.start_wh = start_wh
        self.origin_ms = origin_ms
        self._calendar = calendar
        self._marks_ms = [origin_ms]
        self._marks: list[tuple[int, tuple[int, ...]]] = [(start_wh, split_start(start_wh))]
        self._next_ms = calendar.next_switch_ms(origin_ms)
        self.shown = [Shown(origin_ms, (0,) * RATES)]

    def total_wh(self, at_ms: int) -> int:
        """True total at an instant, to the Wh and without roll-over."""
        return self.start_wh + self.source.energy(max(at_ms, self.origin_ms)) // MWMS_PER_WH

    def steps_wh(self, at_ms: int) -> int:
        """True total register in whole steps, without roll-over."""
        return self.total_wh(at_ms) // WH_PER_STEP * WH_PER_STEP

    def rates_wh(self, at_ms: int) -> tuple[int, ...]:
        """True rate registers in whole steps, without roll-over; they add up to `steps_wh`."""
        at_ms = max(at_ms, self.origin_ms)
        self._advance(at_ms)
        index = bisect_right(self._marks_ms, at_ms) - 1
        total_wh, rates = self._marks[index]
        return self._add(rates, self._marks_ms[index], self.steps_wh(at_ms) - total_wh)

    def rates_at_total(self, total_wh: int, reached_ms: int) -> tuple[int, ...]:
        """True rate registers while the total showed `total_wh`, which it reached at `reached_ms`."""
        rates = self.rates_wh(reached_ms)
        surplus_wh = sum(rates) - total_wh
        return self._add(rates, reached_ms, -surplus_wh)

    def offset_wh(self, at_ms: int) -> int:
        """By how much the shown registers lag at an instant."""
        return self._span(at_ms).offset_wh

    def set_back(self, at_ms: int, drop_wh: int) -> None:
        """From `at_ms` on show `drop_wh` less than is true (0 undoes it), never below zero; rate 4 falls first."""
        offsets = []
        for rate_wh in reversed(self.rates_wh(at_ms)):
            offsets.append(min(drop_wh, rate_wh))
            drop_wh -= offsets[-1]
        self.shown.append(Shown(at_ms, tuple(reversed(offsets))))

    def shown_wh(self, at_ms: int) -> tuple[int, ...]:
        """Total and the four rates as the meter shows them, rolled over at 10^9 Wh."""
        offsets = self._span(at_ms).offsets_wh
        rates = [wh - offset for wh, offset in zip(self.rates_wh(at_ms), offsets, strict=True)]
        return tuple(wh % REGISTER_MODULUS_WH for wh in (sum(rates), *rates))

    def shown_total_wh(self, at_ms: int) -> int:
        """The total as the meter shows it, without the work for the rates."""
        return (self.steps_wh(at_ms) - self.offset_wh(at_ms)) % REGISTER_MODULUS_WH

    def window_ms(self, total_wh: int, now_ms: int) -> tuple[int, int | None] | None:
        """World times at which the true total showed `total_wh`: first, and first no longer (None: still)."""
        needed_wh = total_wh - self.start_wh
        if needed_wh < 0 or total_wh % WH_PER_STEP:
            return None
        entered_ms = self.source.reached_ms(needed_wh * MWMS_PER_WH, now_ms)
        if entered_ms is None:
            return None
        return entered_ms, self.source.reached_ms((needed_wh + WH_PER_STEP) * MWMS_PER_WH, now_ms)

    def _span(self, at_ms: int) -> Shown:
        return self.shown[max(0, bisect_right(self.shown, at_ms, key=lambda span: span.from_ms) - 1)]

    def _advance(self, at_ms: int) -> None:
        while self._next_ms is not None and self._next_ms <= at_ms:
            total_wh, rates = self._marks[-1]
            steps_wh = self.steps_wh(self._next_ms)
            self._marks.append((steps_wh, self._add(rates, self._marks_ms[-1], steps_wh - total_wh)))
            self._marks_ms.append(self._next_ms)
            self._next_ms = self._calendar.next_switch_ms(self._next_ms)

    def _add(self, rates: tuple[int, ...], at_ms: int, wh: int) -> tuple[int, ...]:
        rate = self._calendar.rate_at(at_ms) - 1
        return tuple(value + wh if index == rate else value for index, value in enumerate(rates))
