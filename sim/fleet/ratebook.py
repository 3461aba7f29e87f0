"""Where the rate registers of all meters stood when the rate last switched.

Every step of a total register belongs to the rate in force when the step completes. The instants at which the rate
may switch are the same for all meters and kept once. Each meter has a mark: the number of a switch that somebody has
asked it about, with its total and rates there; every 64th switch it passes is kept too, so that the past can be
asked for again at the price of a few steps.
"""

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence

from core.units import WH_PER_STEP
from sim.rates import RateCalendar

RATES = 4
ROW = RATES + 1
KEPT_EVERY = 64
START_SHARE_PERMILLE = (60, 320, 0, 240)
"""How a start register is spread over sharp, peak and valley; flat takes the rest."""


def split_start(start_wh: int) -> tuple[int, int, int, int]:
    """Spread a start register over the four rates in steps of 10 Wh, always in the same way."""
    steps = start_wh // WH_PER_STEP
    shares = [steps * permille // 1000 * WH_PER_STEP for permille in START_SHARE_PERMILLE]
    sharp, peak, _, valley = shares
    return sharp, peak, start_wh - sharp - peak - valley, valley


class RateBook:
    """Marks of `count` meters from world time `origin_ms` on."""

    def __init__(self, calendar: RateCalendar, origin_ms: int, count: int) -> None:
        self._calendar = calendar
        self._count = count
        self._switches_ms = [origin_ms]
        self._in_force = [calendar.rate_at(origin_ms)]
        self._next_ms = calendar.next_switch_ms(origin_ms)
        self._mark = array("i")
        self._row = array("q")
        self._kept: list[array[int]] = []

    def rates_wh(self, index: int, start_wh: int, at_ms: int, steps_wh: Callable[[int], int]) -> list[int]:
        """Rate registers of a meter at an instant; `steps_wh(t)` is its total in whole steps."""
        number = self._number(at_ms)
        if not self._mark:
            self._mark = array("i", [-1]) * self._count
            self._row = array("q", bytes(8 * ROW * self._count))
        if self._mark[index] < 0:
            self._pass(index, 0, [start_wh, *split_start(start_wh)])
        at, row = self._from(index, number)
        moved = at < number
        while at < number:
            at += 1
            row = self._advance(row, at - 1, steps_wh(self._switches_ms[at]))
            if at > self._mark[index]:
                self._pass(index, at, row, last=at == number)
        rates = row[1:] if not moved else list(row[1:])
        rates[self._in_force[number] - 1] += steps_wh(at_ms) - row[0]
        return rates

    def rate_at(self, at_ms: int) -> int:
        """The rate 1..4 in force at an instant."""
        return self._in_force[self._number(at_ms)]

    def switches_between(self, after_ms: int, before_ms: int) -> list[int]:
        """Instants at which the rate may switch, both ends left out."""
        self._number(before_ms)
        first, last = bisect_right(self._switches_ms, after_ms), bisect_left(self._switches_ms, before_ms)
        return [at_ms for at_ms in self._switches_ms[first:last] if at_ms > self._switches_ms[0]]

    def _number(self, at_ms: int) -> int:
        while self._next_ms is not None and self._next_ms <= at_ms:
            self._switches_ms.append(self._next_ms)
            self._in_force.append(self._calendar.rate_at(self._next_ms))
            self._next_ms = self._calendar.next_switch_ms(self._next_ms)
        return max(0, bisect_right(self._switches_ms, at_ms) - 1)

    def _from(self, index: int, number: int) -> tuple[int, list[int]]:
        """The nearest known switch up to `number`, and the registers there."""
        mark = self._mark[index]
        if mark <= number:
            return mark, self._row[index * ROW : index * ROW + ROW].tolist()
        kept = number // KEPT_EVERY
        return kept * KEPT_EVERY, self._kept[kept][index * ROW : index * ROW + ROW].tolist()

    def _advance(self, row: Sequence[int], number: int, total_wh: int) -> list[int]:
        """The registers at the switch after `number`."""
        following = [total_wh, *row[1:]]
        following[self._in_force[number]] += total_wh - row[0]
        return following

    def _pass(self, index: int, number: int, row: list[int], last: bool = True) -> None:
        """Put the mark (only the last of a walk needs to be) and keep every 64th."""
        if number % KEPT_EVERY == 0:
            kept = number // KEPT_EVERY
            while len(self._kept) <= kept:
                self._kept.append(array("q", bytes(8 * ROW * self._count)))
            self._kept[kept][index * ROW : index * ROW + ROW] = array("q", row)
        if last:
            self._mark[index] = number
            self._row[index * ROW : index * ROW + ROW] = array("q", row)
