"""Demand: the mean power of a window of fifteen minutes, its maximum since settlement or clearing, and when.

Windows end on every slip of the meter's clock (as made every period, which is interval mode) and are read off the
energy curve, so nothing runs while nobody asks. Windows of whole periods come first; a sliding window lies within two
of them, so only pairs that together could beat the best are looked at slip by slip: the result is exact. A window
counts for a rate when the rate did not change inside it. What was found is kept, and the next question goes on from
there.
"""

from collections.abc import Callable, Iterator
from datetime import datetime
from functools import cache
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

from core.dlt645.identifiers import Value, encode_value
from sim.meters import electrical
from sim.meters.settlement import DAYS_KEPT, settlement
from sim.timing.spans import MINUTE_MS

if TYPE_CHECKING:
    from sim.meters import Meter

RATES = 4
BLOCK = 0xFF
PERIOD_DI, SLIP_DI = 0x04000103, 0x04000104
FORWARD, REVERSE, APPARENT, REVERSE_APPARENT = 0x01, 0x02, 0x09, 0x0A
KINDS_MAX = 0x0A
PHASE_FIRST, PHASE_STEP = 0x15, 0x14
STEP_MW = 100


Energy = Callable[[int], int]
"""mW x ms up to an instant."""


class Peak(NamedTuple):
    """The highest window so far: energy in mW x ms, and when it ended (0: none)."""

    energy: int = 0
    end_ms: int = 0


class Found(NamedTuple):
    """The peaks of total and rates over windows that begin at `from_ms` or later and end by `until_ms`."""

    from_ms: int
    until_ms: int
    peaks: tuple[Peak, ...]


def period_ms(meter: "Meter") -> int:
    """Length of a window."""
    return max(1, meter.whole_parameter(PERIOD_DI)) * MINUTE_MS


def slip_ms(meter: "Meter") -> int:
    """Distance of two windows; at most a window."""
    return min(max(1, meter.whole_parameter(SLIP_DI)) * MINUTE_MS, period_ms(meter))


def demand_now_mw(meter: "Meter", at_ms: int) -> int:
    """The window that ended last."""
    end_ms = _aligned(meter, at_ms, slip_ms(meter))
    return electrical.mean_power_mw(meter, end_ms - period_ms(meter), end_ms)


def demand_item(meter: "Meter", di: int, at_ms: int) -> bytes | None:
    """An identifier of group 01; None if this meter has no such item."""
    kind, rate, day = di >> 16 & 0xFF, di >> 8 & 0xFF, di & 0xFF
    if kind >= PHASE_FIRST:
        return _phase_demand(meter, di, at_ms)
    known = 1 <= kind <= KINDS_MAX and (rate <= RATES or rate == BLOCK) and (day <= DAYS_KEPT or day == BLOCK)
    if not known or rate == day == BLOCK or (BLOCK in (rate, day) and not meter.profile.energy_blocks):
        return None
    if day == BLOCK:
        days = [demand_row(meter, kind, back, at_ms)[2 * rate : 2 * rate + 2] for back in range(DAYS_KEPT + 1)]
        return encode_value(di, [value for pair in days for value in pair])
    row = demand_row(meter, kind, day, at_ms)
    return encode_value(di, row if rate == BLOCK else row[2 * rate : 2 * rate + 2])


def _phase_demand(meter: "Meter", di: int, at_ms: int) -> bytes | None:
    """Total only; a phase's maximum is its share of the whole, since shares are constant."""
    phase, kind = divmod((di >> 16 & 0xFF) - PHASE_FIRST, PHASE_STEP)
    day = di & 0xFF
    if di >> 8 & 0xFF or kind >= KINDS_MAX or day > DAYS_KEPT or phase + 1 not in electrical.phases(meter):
        return None
    power, when = demand_row(meter, kind + 1, day, at_ms)[:2]
    assert isinstance(power, int)
    return encode_value(di, [electrical.share(meter, phase + 1, power // STEP_MW) * STEP_MW, when])


def demand_row(meter: "Meter", kind: int, day: int, at_ms: int) -> list[Value]:
    """Power and minute of total and rates; day 0 is the running settlement period."""
    peaks = (Peak(),) * (RATES + 1)
    energy = _energy_of(meter, kind)
    if energy is not None:
        span = _period(meter, day, at_ms)
        peaks = peaks if span is None else _peaks(meter, kind, energy, *span)
    row: list[Value] = []
    for peak in peaks:
        row += [peak.energy // period_ms(meter), _minute(meter, peak)]
    return row


def _energy_of(meter: "Meter", kind: int) -> Energy | None:
    """What flows in the direction of a kind of demand; None where nothing ever does."""
    if kind in (FORWARD, APPARENT):
        return meter.register.source.energy
    return meter.given_back if kind in (REVERSE, REVERSE_APPARENT) and meter.has_roof else None


def clear_demand(meter: "Meter", at_ms: int) -> None:
    """19H: the maxima of the running period begin anew."""
    own = meter.own()
    own.demand_cleared_ms, own.demand_found = at_ms, {}


def _minute(meter: "Meter", peak: Peak) -> datetime | None:
    return meter.civil(peak.end_ms).replace(second=0) if peak.energy else None


def _period(meter: "Meter", day: int, at_ms: int) -> tuple[int, int] | None:
    """From when to when the maximum of a settlement period counts."""
    begins = settlement(meter, day + 1, at_ms)
    from_ms = meter.began_ms if begins is None else begins.at_ms
    ends = settlement(meter, day, at_ms) if day else None
    if day and ends is None:
        return None
    cleared_ms = meter.notes.demand_cleared_ms
    until_ms = at_ms if ends is None else ends.at_ms
    if cleared_ms is not None and from_ms < cleared_ms <= until_ms:
        from_ms = cleared_ms
    return from_ms, until_ms


def _aligned(meter: "Meter", at_ms: int, step_ms: int) -> int:
    """The last multiple of a step on the meter's clock."""
    shift_ms = meter.calendar.standard_offset_ms + meter.clock_offset_ms(at_ms)
    return (at_ms + shift_ms) // step_ms * step_ms - shift_ms


def _peaks(meter: "Meter", kind: int, energy: Energy, from_ms: int, until_ms: int) -> tuple[Peak, ...]:
    window = period_ms(meter), slip_ms(meter)
    key = (kind, from_ms, window)
    last_ms = _aligned(meter, until_ms, window[0])
    found = meter.notes.demand_found.get(key)
    if found is None or found.until_ms > last_ms:
        found = Found(from_ms, from_ms, (Peak(),) * (RATES + 1))
    if found.until_ms < last_ms:
        found = _go_on(meter, energy, found, last_ms, window)
        _remember(meter, key, found)
    return _fine(meter, energy, found, until_ms, window)


def _go_on(meter: "Meter", energy: Energy, found: Found, last_ms: int, window: tuple[int, int]) -> Found:
    """Look at the windows that have ended since; total and rates share what the curve says."""
    energy = cache(energy)
    peaks, start_ms = list(found.peaks), max(found.from_ms, found.until_ms - 2 * window[0])
    for begin_ms, end_ms, rate in _stretches(meter, start_ms, last_ms):
        _scan(meter, energy, peaks, (begin_ms, end_ms), window, rate)
    _scan(meter, energy, peaks, (start_ms, last_ms), window, 0)
    return Found(found.from_ms, last_ms, tuple(peaks))


def _remember(meter: "Meter", key: tuple[int, int, tuple[int, int]], found: Found) -> None:
    """Keep the furthest search of the newest period of each kind."""
    kept = meter.notes.demand_found
    known = next((one for one in kept if one[0] == key[0]), None)
    if known is None or (known[1] <= key[1] and (known != key or kept[known].until_ms < found.until_ms)):
        meter.own().demand_found = {one: value for one, value in kept.items() if one != known} | {key: found}


def _fine(meter: "Meter", energy: Energy, found: Found, until_ms: int, window: tuple[int, int]) -> tuple[Peak, ...]:
    """The windows that ended since the last whole period, which are not kept yet."""
    peaks = list(found.peaks)
    start_ms = max(found.from_ms, found.until_ms - window[0])
    end_ms = _aligned(meter, until_ms, window[1])
    _slide(meter, energy, peaks, (start_ms, end_ms), window, 0)
    for begin_ms, stop_ms, rate in _stretches(meter, start_ms, end_ms):
        _slide(meter, energy, peaks, (begin_ms, stop_ms), window, rate)
    return tuple(peaks)


def _stretches(meter: "Meter", from_ms: int, until_ms: int) -> Iterator[tuple[int, int, int]]:
    """Begin, end and rate of the stretches between rate switches."""
    begin_ms = from_ms
    while begin_ms < until_ms:
        following = meter.calendar.next_switch_ms(begin_ms)
        end_ms = until_ms if following is None else min(following, until_ms)
        yield begin_ms, end_ms, meter.calendar.rate_at(begin_ms)
        begin_ms = end_ms


def _scan(
    meter: "Meter", energy: Energy, peaks: list[Peak], span: tuple[int, int], window: tuple[int, int], rate: int
) -> None:
    """Whole periods first; then slide within pairs of them that might hold more."""
    period, slip = window
    first_ms = _aligned(meter, span[0] + period - 1, period)
    ends = range(first_ms + period, span[1] + 1, period)
    marks = [energy(at) for at in (first_ms, *ends)] if ends else []
    drawn = [after - before for before, after in pairwise(marks)]
    for end_ms, flowed in zip(ends, drawn, strict=True):
        if flowed > peaks[rate].energy:
            peaks[rate] = Peak(flowed, end_ms)
    if slip == period:
        return
    for number in range(1, len(drawn)):
        if drawn[number - 1] + drawn[number] > peaks[rate].energy and max(drawn[number - 1 : number + 1]) > 0:
            _slide(meter, energy, peaks, (ends[number] - 2 * period, ends[number]), window, rate)
    _slide(meter, energy, peaks, (span[0], min(first_ms + period, span[1])), window, rate)
    _slide(meter, energy, peaks, (max(span[0], span[1] - 2 * period), span[1]), window, rate)


def _slide(
    meter: "Meter", energy: Energy, peaks: list[Peak], span: tuple[int, int], window: tuple[int, int], rate: int
) -> None:
    """Every window inside a span."""
    period, slip = window
    first_ms = _aligned(meter, span[0] + slip - 1, slip)
    for end_ms in range(first_ms + period, span[1] + 1, slip):
        flowed = energy(end_ms) - energy(end_ms - period)
        if flowed > peaks[rate].energy:
            peaks[rate] = Peak(flowed, end_ms)
