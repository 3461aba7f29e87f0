"""Readings against what the meters showed: wrong ones with where their value comes from, and missing ones.

A reading is right when the meter showed its register within the tolerance around its time. A register that the memory
spoilt (a wrong bit) was never shown as truth, so a head-end that took it is told so. A gap is excused while a label
says that nothing could be read, and by a reading that was held for a good reason: the line or the meter was at fault.
"""

from collections.abc import Iterator

from sim.auditor.finding import MISSING_READING, WRONG_HOLD, WRONG_READING, Finding
from sim.auditor.truth_file import FULL_WH, MeterTruth, Truth
from sim.auditor.view_file import Reading, View

BEHIND_HOLDS = ("meter", "communication")


def audit_readings(truth: Truth, view: View) -> Iterator[Finding]:
    """All differences of the readings."""
    for reading in view.readings:
        meter = truth.meters.get(reading.meter)
        if meter is None:
            why = f"a reading of {reading.register_wh} Wh, but the estate has no such meter"
            yield Finding(WRONG_READING, reading.meter, reading.at_s, why)
        elif not _was_shown(meter, reading.register_wh, truth.ms(reading.at_s), view.tolerance_s * 1000):
            yield Finding(WRONG_READING, meter.address, reading.at_s, _why(truth, meter, reading))
    for reading in view.held:
        yield from _held_wrongly(truth, reading)
    if view.every_s is not None:
        yield from _gaps(truth, view, view.every_s)


def _held_wrongly(truth: Truth, reading: Reading) -> Iterator[Finding]:
    """A reading may be held when something was wrong with its meter or its line, or has been."""
    meter = truth.meters.get(reading.meter)
    begun_s = truth.estate["from_s"]
    labels = [] if meter is None else truth.labels_at(meter, begun_s, reading.at_s)
    if not any(label["class"] in BEHIND_HOLDS for label in labels):
        why = f"{reading.register_wh} Wh was not believed, and nothing was wrong with this meter"
        yield Finding(WRONG_HOLD, reading.meter, reading.at_s, why)


def _was_shown(meter: MeterTruth, shown_wh: int, at_ms: int, tolerance_ms: int) -> bool:
    """Whether a register stood on the display at any moment of a window."""
    first_ms, last_ms = at_ms - tolerance_ms, at_ms + tolerance_ms
    for from_ms, until_ms, lag_wh in meter.spans():
        low_ms, high_ms = max(first_ms, from_ms), min(last_ms, until_ms - 1)
        if low_ms <= high_ms or (from_ms == 0 and first_ms < 0):
            low_wh, high_wh = meter.total_wh(max(low_ms, 0)) - lag_wh, meter.total_wh(max(high_ms, 0)) - lag_wh
            if (shown_wh - low_wh) % FULL_WH <= high_wh - low_wh:
                return True
    return False


def _why(truth: Truth, meter: MeterTruth, reading: Reading) -> str:
    at_ms = truth.ms(reading.at_s)
    shown_wh = meter.shown_wh(at_ms)
    off_wh = reading.register_wh - shown_wh
    said = f"{reading.register_wh} Wh, but the meter showed {shown_wh} Wh: {abs(off_wh)} Wh too {_much(off_wh)}"
    return said + "; " + _source(truth, meter, reading, at_ms)


def _source(truth: Truth, meter: MeterTruth, reading: Reading, at_ms: int) -> str:
    """Where the value may come from."""
    labels = truth.labels_at(meter, reading.at_s, reading.at_s)
    flipped = [label for label in labels if label["kind"] == "bcd_bit_flip"]
    if flipped:
        return f"a wrong bit in its memory ({flipped[0]['id']}) that should not have been believed"
    located = meter.located(reading.register_wh, at_ms)
    if located is not None:
        apart_s = (at_ms - located[1]) / 1000
        when = f"{truth.said(truth.at_s(located[1]))}, {abs(apart_s):.0f} s {'earlier' if apart_s > 0 else 'later'}"
        return f"the meter showed that at {when}"
    others = [m.address for m in truth.meters.values() if m is not meter and m.shown_wh(at_ms) == reading.register_wh]
    if others:
        return f"that is what meter {others[0]} showed then: the answers were mixed up"
    return "the meter has never shown that"


def _gaps(truth: Truth, view: View, every_s: int) -> Iterator[Finding]:
    """Spans without a reading, neighbouring ones put together."""
    begin_s = truth.estate["from_s"] if view.from_s is None else view.from_s
    end_s = truth.estate["until_s"] if view.until_s is None else view.until_s
    seen = {(reading.meter, int((reading.at_s - begin_s) // every_s)) for reading in (*view.readings, *view.held)}
    for meter in truth.meters.values():
        slots = [n for n in range(int((end_s - begin_s) // every_s)) if (meter.address, n) not in seen]
        missing = [slot for slot in slots if _readable(truth, meter, begin_s + slot * every_s, every_s)]
        for first, length in _runs(missing):
            from_s, until_s = begin_s + first * every_s, begin_s + (first + length) * every_s
            span = f"from {truth.said(from_s)} to {truth.said(until_s)}"
            why = f"none {span}; {length} expected, and the meter could be read"
            yield Finding(MISSING_READING, meter.address, from_s, why)


def _runs(numbers: list[int]) -> Iterator[tuple[int, int]]:
    """First number and length of each run of neighbours."""
    while numbers:
        length = next((n for n, number in enumerate(numbers) if number != numbers[0] + n), len(numbers))
        yield numbers[0], length
        numbers = numbers[length:]


def _readable(truth: Truth, meter: MeterTruth, from_s: float, every_s: int) -> bool:
    """Whether nothing stood in the way for any moment of a span."""
    return not truth.unreadable_at(meter, from_s, from_s + every_s)


def _much(off_wh: int) -> str:
    return "much" if off_wh > 0 else "little"
