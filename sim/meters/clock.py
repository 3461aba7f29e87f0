"""The clock of a meter: civil time of the estate, an offset, and a drift since it was last set.

Setting it begins a new span, so that what happened under the old setting stays where it was: midnight of the day
before yesterday is the instant at which this clock, as it went then, showed midnight. `marks_back` walks such instants
from the newest. A clock that is set forward over a mark passes it at once; one that is set back passes it again.
A broadcast moves it by at most five minutes, once a day, and never near midnight or a settlement instant.
"""

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple

from sim.meters.notes import ClockSpan
from sim.timing.spans import DAY_MS, DAY_S, HOUR_S, MINUTE_S

if TYPE_CHECKING:
    from sim.meters import Meter

SYNC_LIMIT_S = 300
"""How far a broadcast may move the clock, and how near to midnight or a settlement it is passed over."""


class Mark(NamedTuple):
    """The clock showed `civil` (or jumped over it) at world time `at_ms`."""

    at_ms: int
    civil: datetime


Floor = Callable[[datetime], datetime | None]
"""The last mark at or before a civil time; None when there is none."""


def spans(meter: "Meter") -> tuple[ClockSpan, ...]:
    """All settings of the clock, oldest first."""
    return meter.notes.clock or (ClockSpan(meter.origin_ms, 0, meter.drift_ms_per_day),)


def offset_ms(meter: "Meter", at_ms: int) -> int:
    """By how much the clock is ahead of civil time at an instant."""
    if not meter.notes.clock and not meter.drift_ms_per_day:
        return 0
    found = spans(meter)
    return _offset(next((span for span in reversed(found) if span.from_ms <= at_ms), found[0]), at_ms)


def set_clock(meter: "Meter", at_ms: int, civil: datetime) -> None:
    """Set the clock to a naive civil time; its drift stays."""
    drift = spans(meter)[-1].drift_ms_per_day
    shown = offset_ms(meter, at_ms) + round((civil - meter.civil(at_ms)).total_seconds() * 1000)
    _begin(meter, ClockSpan(at_ms, shown, drift))


def set_drift(meter: "Meter", at_ms: int, drift_ms_per_day: int) -> None:
    """From now on the clock gains so much a day."""
    _begin(meter, ClockSpan(at_ms, offset_ms(meter, at_ms), drift_ms_per_day))


def sync_clock(meter: "Meter", at_ms: int, civil: datetime) -> bool:
    """Follow a broadcast time if its guards allow it; whether it was followed."""
    mine = meter.civil(at_ms)
    too_far = abs((civil - mine).total_seconds()) > SYNC_LIMIT_S
    if too_far or meter.notes.synced_day == mine.date() or _near_boundary(meter, mine):
        return False
    meter.own().synced_day = mine.date()
    if civil != mine:
        set_clock(meter, at_ms, civil)
    return True


def world_ms(meter: "Meter", span: ClockSpan, civil: datetime) -> int:
    """The instant at which the clock showed, or would have shown, a civil time in a span."""
    wanted_ms = meter.calendar.civil_ms(civil)
    gone = wanted_ms - span.from_ms - span.offset_ms
    at_ms = span.from_ms + gone * DAY_MS // (DAY_MS + span.drift_ms_per_day)
    while at_ms + _offset(span, at_ms) < wanted_ms:
        at_ms += 1
    return at_ms


def marks_back(meter: "Meter", floor: Floor, at_ms: int, *, from_ms: int | None = None) -> Iterator[Mark]:
    """The marks that the clock has passed up to an instant, newest first, not before `from_ms` or its first setting."""
    oldest_ms = meter.began_ms if from_ms is None else from_ms
    history = [span for span in spans(meter) if span.from_ms <= at_ms]
    until_ms = at_ms
    for index in range(len(history) - 1, -1, -1):
        span = history[index]
        if until_ms < oldest_ms:
            return
        for mark in _marks_within(meter, span, floor, until_ms, first=index == 0):
            if mark.at_ms < oldest_ms:
                return
            yield mark
        if index and span.from_ms >= oldest_ms:
            yield from _jumped(meter, history[index - 1], span, floor)
        until_ms = span.from_ms - 1


def _marks_within(meter: "Meter", span: ClockSpan, floor: Floor, until_ms: int, *, first: bool) -> Iterator[Mark]:
    """Marks that the running clock passed in one span; the instant of setting belongs to the jump before it."""
    mark = floor(meter.calendar.civil(until_ms + _offset(span, until_ms)).replace(tzinfo=None))
    while mark is not None:
        at_ms = world_ms(meter, span, mark)
        if at_ms < span.from_ms or (at_ms == span.from_ms and not first):
            return
        yield Mark(at_ms, mark)
        mark = floor(mark - timedelta(seconds=1))


def _jumped(meter: "Meter", before: ClockSpan, after: ClockSpan, floor: Floor) -> Iterator[Mark]:
    """The last of the marks that setting the clock forward has passed over."""
    shown_ms = after.from_ms + after.offset_ms
    left_ms = after.from_ms + _offset(before, after.from_ms - 1)
    mark = floor(meter.calendar.civil(shown_ms).replace(tzinfo=None))
    if mark is not None and left_ms <= meter.calendar.civil_ms(mark) <= shown_ms:
        yield Mark(after.from_ms, mark)


def _offset(span: ClockSpan, at_ms: int) -> int:
    return span.offset_ms + (at_ms - span.from_ms) * span.drift_ms_per_day // DAY_MS


def _begin(meter: "Meter", span: ClockSpan) -> None:
    own = meter.own()
    own.clock = (*(old for old in spans(meter) if old.from_ms < span.from_ms), span)


def _near_boundary(meter: "Meter", civil: datetime) -> bool:
    """Within five minutes of midnight, or of the hour at which a settlement day begins."""
    since_s = civil.hour * HOUR_S + civil.minute * MINUTE_S + civil.second
    if since_s < SYNC_LIMIT_S or since_s > DAY_S - SYNC_LIMIT_S:
        return True
    return any(
        abs((civil - civil.replace(hour=hour, minute=0, second=0)).total_seconds()) < SYNC_LIMIT_S
        for day, hour in meter.settlement_days()
        if civil.day == day
    )
