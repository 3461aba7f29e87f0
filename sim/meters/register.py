"""Energy registers: a total and four rates that count in steps of 10 Wh.

The exact energy comes from a source (a household's supply or a gate meter's sum) as a function of time. The
total register is its floor to 10 Wh; every step belongs to the rate that is in force when the step completes,
as in meters that count pulses. So the rates always add up to the total exactly. Readings at any past instant
can be asked for again: the rate book remembers the rate switches, and the source answers for the past.

What a meter shows may be set back (a fault, labelled as such): the shown registers then lag behind the true
ones by an offset from some instant on. A register is a view: its state lies in the fleet.
"""

from bisect import bisect_right
from collections.abc import Sequence
from typing import Protocol

from core.units import REGISTER_MODULUS_WH, WH_PER_STEP
from sim.fleet.fleet import Fleet, Shown
from sim.fleet.ratebook import RATES, split_start
from sim.loads.load import MWMS_PER_WH

__all__ = ["RATES", "EnergySource", "Register", "Shown", "split_start"]


class EnergySource(Protocol):
    """Exact energy through a meter since the world began, and when it was reached."""

    def energy(self, at_ms: int) -> int:
        """mW x ms since the start; `at_ms` must not be after what the source knows."""

    def reached_ms(self, energy: int, until_ms: int) -> int | None:
        """First millisecond up to `until_ms` with that much energy, or None."""


class Register:
    """Total and rate registers of one meter from world time `origin_ms` on."""

    def __init__(self, fleet: Fleet, index: int, source: EnergySource) -> None:
        self.source = source
        self.start_wh = fleet.start_wh[index]
        self.origin_ms = fleet.origin_ms
        self._fleet = fleet
        self._index = index

    @property
    def shown(self) -> Sequence[Shown]:
        """Spans of what the meter shows, the first one from the origin on without any lag."""
        memory = self._fleet.recall(self._index)
        return [Shown(self.origin_ms, (0,) * RATES), *(memory.shown if memory is not None else ())]

    def total_wh(self, at_ms: int) -> int:
        """True total at an instant, to the Wh and without roll-over."""
        at_ms = at_ms if at_ms > self.origin_ms else self.origin_ms
        return self.start_wh + self.source.energy(at_ms) // MWMS_PER_WH

    def steps_wh(self, at_ms: int) -> int:
        """True total register in whole steps, without roll-over."""
        return self.total_wh(at_ms) // WH_PER_STEP * WH_PER_STEP

    def rates_wh(self, at_ms: int) -> tuple[int, ...]:
        """True rate registers in whole steps, without roll-over; they add up to `steps_wh`."""
        at_ms = max(at_ms, self.origin_ms)
        return tuple(self._fleet.rates.rates_wh(self._index, self.start_wh, at_ms, self.steps_wh))

    def rates_at_total(self, total_wh: int, reached_ms: int) -> tuple[int, ...]:
        """True rate registers while the total showed `total_wh`, which it reached at `reached_ms`."""
        rates = self.rates_wh(reached_ms)
        surplus_wh = sum(rates) - total_wh
        rate = self._fleet.rates.rate_at(reached_ms) - 1
        return tuple(wh - surplus_wh if number == rate else wh for number, wh in enumerate(rates))

    def offset_wh(self, at_ms: int) -> int:
        """By how much the shown registers lag at an instant."""
        memory = self._fleet.recall(self._index)
        return self._span(at_ms).offset_wh if memory is not None and memory.shown else 0

    def set_back(self, at_ms: int, drop_wh: int) -> None:
        """From `at_ms` on show `drop_wh` less than is true (0 undoes it), never below zero; rate 4 falls first."""
        offsets = []
        for rate_wh in reversed(self.rates_wh(at_ms)):
            offsets.append(min(drop_wh, rate_wh))
            drop_wh -= offsets[-1]
        self._fleet.remember(self._index).shown.append(Shown(at_ms, tuple(reversed(offsets))))

    def shift(self, at_ms: int, by_wh: int) -> tuple[int, ...]:
        """From `at_ms` on show so much more, in rate 3, or less, never below zero and rate 4 first; what `lag` got."""
        added = [0, 0, -by_wh if by_wh > 0 else 0, 0]
        drop_wh = max(0, -by_wh)
        lags = self._span(at_ms).offsets_wh
        for number in reversed(range(RATES)):
            added[number] += min(drop_wh, self.rates_wh(at_ms)[number] - lags[number])
            drop_wh -= max(0, added[number])
        self.lag(at_ms, added)
        return tuple(added)

    def lag(self, at_ms: int, added_wh: Sequence[int]) -> None:
        """From `at_ms` on the shown rate registers lag by so much more."""
        lags = [lag + more for lag, more in zip(self._span(at_ms).offsets_wh, added_wh, strict=True)]
        self._fleet.remember(self._index).shown.append(Shown(at_ms, tuple(lags)))

    def shown_wh(self, at_ms: int) -> tuple[int, ...]:
        """Total and the four rates as the meter shows them, rolled over at 10^9 Wh."""
        offsets = self._span(at_ms).offsets_wh
        rates = [wh - offset for wh, offset in zip(self.rates_wh(at_ms), offsets, strict=True)]
        return tuple(wh % REGISTER_MODULUS_WH for wh in (sum(rates), *rates))

    def shown_total_wh(self, at_ms: int) -> int:
        """The total as the meter shows it, without the work for the rates."""
        total_wh = self.total_wh(at_ms)
        return (total_wh - total_wh % WH_PER_STEP - self.offset_wh(at_ms)) % REGISTER_MODULUS_WH

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
        shown = self.shown
        return shown[max(0, bisect_right(shown, at_ms, key=lambda span: span.from_ms) - 1)]
