"""Load records (06): voltage, power, registers and demand at even distances of time, computed when asked for.

Six classes, each with an interval; the mode word selects the classes. A record is A0 A0, a length byte (from the time
to the last AA), YYMMDDhhmm, then the classes that are due, each ended by AA, a sum over all of that, and E5. What is
asked: the earliest, from a given time, or the latest, so many of them, over all classes or one. Meters keep forty days.
"""

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from itertools import islice
from typing import TYPE_CHECKING

from core.dlt645.values import bcd_to_int, decode_minute, encode_minute, int_to_bcd, signed_to_bcd
from core.errors import ValueFormatError
from sim.meters import electrical
from sim.meters.clock import Mark, marks_back, spans, world_ms
from sim.meters.demand import demand_now_mw
from sim.meters.refusal import ERR_OTHER, RefusedError
from sim.meters.reverse import reverse_wh
from sim.timing.spans import DAY_MS, MINUTE_MS

if TYPE_CHECKING:
    from sim.meters import Meter

EARLIEST, SINCE, LATEST = 0, 1, 2
CLASSES = range(1, 7)
MODE_WORD, START = 0x04000901, 0x04000A01
INTERVAL = 0x04000A01
DAYS_KEPT = 40
HEAD, TAIL, SEPARATOR = b"\xa0\xa0", b"\xe5", b"\xaa"
POWER_STEPS_MAX = 799_999
CURRENT_MAX_MA = 799_999


def load_records(meter: "Meter", di: int, request: bytes, at_ms: int) -> bytes | None:
    """The records that a request (N, or N and mm hh DD MM YY, or nothing for one) asks for; None if there are none."""
    which, wanted = di & 0xFF, di >> 16 & 0xFF
    if which not in (EARLIEST, SINCE, LATEST) or wanted not in (0, *CLASSES) or di >> 8 & 0xFF:
        return None
    count, since = _asked(request)
    if (which == SINCE) != (since is not None):
        raise RefusedError(ERR_OTHER)
    classes = [number for number in CLASSES if _selected(meter, number) and wanted in (0, number)]
    if not classes:
        return None
    if which == LATEST:
        chosen = list(islice(_marks(meter, classes, at_ms, None), count))[::-1]
    else:
        chosen = _oldest(meter, classes, since, count, at_ms)
    return b"".join(_record(meter, classes, mark) for mark in chosen) or None


def _asked(request: bytes) -> tuple[int, datetime | None]:
    try:
        count = bcd_to_int(request[:1]) if request else 1
        since = decode_minute(request[1:]) if len(request) > 1 else None
    except ValueFormatError as bad:
        raise RefusedError(ERR_OTHER) from bad
    if count == 0 or (len(request) > 1 and since is None):
        raise RefusedError(ERR_OTHER)
    return count, since


def _selected(meter: "Meter", number: int) -> bool:
    return bool(meter.parameter(MODE_WORD)[0] >> number - 1 & 1) and meter.whole_parameter(INTERVAL + number) > 0


def _due(meter: "Meter", number: int, civil: datetime) -> bool:
    """Whether a class is recorded at a minute: intervals count from midnight."""
    return (civil.hour * 60 + civil.minute) % meter.whole_parameter(INTERVAL + number) == 0


def _oldest(meter: "Meter", classes: list[int], since: datetime | None, count: int, at_ms: int) -> list[Mark]:
    """The first records from a time on (from the oldest kept one without a time), oldest first."""
    begins_ms = max(meter.began_ms, at_ms - DAYS_KEPT * DAY_MS)
    until_ms, history = at_ms, spans(meter)
    if len(history) == 1:
        # an even clock: nothing after the wanted number of the longest intervals matters
        begins_ms = begins_ms if since is None else max(begins_ms, world_ms(meter, history[0], since))
        longest = max(meter.whole_parameter(INTERVAL + number) for number in classes)
        until_ms = min(at_ms, begins_ms + (count + 2) * longest * MINUTE_MS + DAY_MS)
    found = [mark for mark in _marks(meter, classes, until_ms, begins_ms) if since is None or mark.civil >= since]
    return found[::-1][:count]


def _marks(meter: "Meter", classes: list[int], until_ms: int, from_ms: int | None) -> Iterator[Mark]:
    """Minutes with a record, newest first."""
    intervals = [meter.whole_parameter(INTERVAL + number) for number in classes]
    start = _start(meter, until_ms)

    def floor(civil: datetime) -> datetime | None:
        minute = civil.hour * 60 + civil.minute
        midnight = civil.replace(hour=0, minute=0, second=0, microsecond=0)
        mark = midnight + timedelta(minutes=max(minute // interval * interval for interval in intervals))
        return mark if start is None or mark >= start else None

    oldest_ms = until_ms - DAYS_KEPT * DAY_MS if from_ms is None else from_ms
    return marks_back(meter, floor, until_ms, from_ms=max(meter.began_ms, oldest_ms))


def _start(meter: "Meter", at_ms: int) -> datetime | None:
    """When recording began: MMDDhhmm of this year, or of the last if that is still to come; zero is always."""
    minute, hour, day, month = (int(f"{byte:02x}") for byte in meter.parameter(START))
    now = meter.civil(at_ms)
    if not month:
        return None
    start = datetime(now.year, month, day, hour, minute)  # noqa: DTZ001 (a meter's clock is civil)
    return start if start <= now else start.replace(year=now.year - 1)


def _record(meter: "Meter", classes: list[int], mark: Mark) -> bytes:
    body = encode_minute(mark.civil)
    for number in CLASSES:
        due = number in classes and _due(meter, number, mark.civil)
        body += (_CONTENTS[number](meter, mark.at_ms) if due else b"") + SEPARATOR
    record = HEAD + bytes((len(body),)) + body
    return record + bytes((sum(record) & 0xFF,)) + TAIL


def _by_phase(meter: "Meter", length: int, value: Callable[[int], int]) -> bytes:
    present = electrical.phases(meter)
    return b"".join(
        signed_to_bcd(value(phase), length) if phase in present else b"\xff" * length for phase in (1, 2, 3)
    )


def _milliamps(meter: "Meter", phase: int, at_ms: int) -> int:
    return max(-CURRENT_MAX_MA, min(electrical.current_at_ma(meter, phase, at_ms), CURRENT_MAX_MA))


def _steps(power_mw: int) -> int:
    return max(-POWER_STEPS_MAX, min(power_mw // 100, POWER_STEPS_MAX))


def _voltages(meter: "Meter", at_ms: int) -> bytes:
    """Three voltages, three currents, frequency."""
    voltages = _by_phase(meter, 2, lambda phase: electrical.voltage_mv(meter, phase, at_ms) // 100)
    currents = _by_phase(meter, 3, lambda phase: _milliamps(meter, phase, at_ms))
    return voltages + currents + int_to_bcd(5000, 2)


def _powers(meter: "Meter", at_ms: int) -> bytes:
    """Active and then reactive power, total and phases."""
    total = signed_to_bcd(_steps(electrical.power_at_mw(meter, 0, at_ms)), 3)
    active = _by_phase(meter, 3, lambda phase: _steps(electrical.power_at_mw(meter, phase, at_ms)))
    return total + active + bytes(3) + _by_phase(meter, 3, lambda _phase: 0)


def _power_factors(meter: "Meter", _at_ms: int) -> bytes:
    return int_to_bcd(1000, 2) + _by_phase(meter, 2, lambda _phase: 1000)


def _energies(meter: "Meter", at_ms: int) -> bytes:
    """Forward, reverse, and the two combined reactive registers."""
    forward, reverse = meter.register.shown_total_wh(at_ms), reverse_wh(meter, at_ms)[0]
    return int_to_bcd(forward // 10, 4) + int_to_bcd(reverse // 10, 4) + bytes(8)


def _quadrants(_meter: "Meter", _at_ms: int) -> bytes:
    return bytes(16)


def _demand(meter: "Meter", at_ms: int) -> bytes:
    """Active and reactive demand."""
    return signed_to_bcd(_steps(demand_now_mw(meter, at_ms)), 3) + bytes(3)


_CONTENTS: dict[int, Callable[["Meter", int], bytes]] = {
    1: _voltages, 2: _powers, 3: _power_factors, 4: _energies, 5: _quadrants, 6: _demand,
}  # fmt: skip
