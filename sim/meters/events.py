"""What happened to a meter: counts, minutes and the last ten records of every kind of event.

A kind is DI2 and DI1 of its identifier (11 00 is 1100H); events of a phase carry the phase in DI1. Some begin and end
(voltage, covers, power), some only happen (programming, clearing). Logs are kept only where something happened. A new
event is also a report: with active reporting enabled, the meter sets the follow bit until somebody asks what it was.
"""

from typing import TYPE_CHECKING

from core.dlt645.values import encode_datetime
from sim.meters.notes import NOTHING, Event, EventLog
from sim.timing.spans import MINUTE_MS

if TYPE_CHECKING:
    from sim.meters import Meter

RECORDS_MAX = 10
COUNT_MAX = 999_999

VOLTAGE_LOSS, UNDERVOLTAGE, OVERVOLTAGE, PHASE_BREAK = 0x0100, 0x0200, 0x0300, 0x0400
ALL_PHASES_LOST = 0x0500
CURRENT_LOSS, OVERCURRENT, OPEN_CURRENT, REVERSE_FLOW, OVERLOAD = 0x0B00, 0x0C00, 0x0D00, 0x0E00, 0x0F00
AUXILIARY_LOST, VOLTAGE_SEQUENCE, CURRENT_SEQUENCE = 0x0600, 0x0700, 0x0800
VOLTAGE_UNBALANCE, CURRENT_UNBALANCE = 0x0900, 0x0A00
POWER_OFF, DEMAND_OVER = 0x1100, 0x1200
PROGRAMMING, METER_CLEAR, DEMAND_CLEAR, EVENT_CLEAR, CLOCK_SET = 0x3000, 0x3001, 0x3002, 0x3003, 0x3004
SLOT_TABLE, ZONE_TABLE, WEEKEND, HOLIDAY = 0x3005, 0x3006, 0x3007, 0x3008
ACTIVE_WORD, REACTIVE_WORD_1, REACTIVE_WORD_2, SETTLEMENT_DAY = 0x3009, 0x300A, 0x300B, 0x300C
METER_COVER, TERMINAL_COVER = 0x300D, 0x300E
PRICE_TABLE, TIER_TABLE, KEY_UPDATE, BAD_CARD, FOREIGN_CARD = 0x300F, 0x3010, 0x3012, 0x3013, 0x3014
MAGNET, RELAY_FAULT, SUPPLY_FAULT = 0x3500, 0x3600, 0x3700
BATTERY_LOW = 0x2200
TRIPPED, CLOSED = 0x1D00, 0x1E00

KEPT = (METER_CLEAR, EVENT_CLEAR)
"""Nobody may wipe the traces of wiping."""

WITHOUT_MEASURED = (REVERSE_FLOW, OVERLOAD, VOLTAGE_SEQUENCE, CURRENT_SEQUENCE)
"""Records of registers alone: what was measured when they began is not in them."""

BY_PHASE = (VOLTAGE_LOSS, UNDERVOLTAGE, OVERVOLTAGE, PHASE_BREAK, CURRENT_LOSS, OVERCURRENT, OPEN_CURRENT,
            REVERSE_FLOW, OVERLOAD)  # fmt: skip

THREE_PHASE = (AUXILIARY_LOST, VOLTAGE_SEQUENCE, CURRENT_SEQUENCE, VOLTAGE_UNBALANCE, CURRENT_UNBALANCE)
"""What only a three-phase meter can see."""

EXTENDED = {0x10: VOLTAGE_LOSS, 0x11: UNDERVOLTAGE, 0x12: OVERVOLTAGE, 0x13: PHASE_BREAK, 0x18: CURRENT_LOSS,
            0x14: VOLTAGE_SEQUENCE, 0x15: CURRENT_SEQUENCE, 0x16: VOLTAGE_UNBALANCE, 0x17: CURRENT_UNBALANCE,
            0x19: OVERCURRENT, 0x1A: OPEN_CURRENT, 0x1B: REVERSE_FLOW, 0x1C: OVERLOAD, 0x22: BATTERY_LOW}  # fmt: skip
"""DI3 of the extended records."""

REPORT_BITS = {
    RELAY_FAULT: 0, BATTERY_LOW: 3, METER_COVER: 10, TERMINAL_COVER: 11, MAGNET: 12, SUPPLY_FAULT: 13, TRIPPED: 14,
    CLOSED: 15, **{kind | phase: 16 + 8 * (phase - 1) + bit for phase in (1, 2, 3)
                   for bit, kind in enumerate((VOLTAGE_LOSS, UNDERVOLTAGE, OVERVOLTAGE, CURRENT_LOSS, OVERCURRENT,
                                               OVERLOAD, REVERSE_FLOW, PHASE_BREAK))},
    POWER_OFF: 45, METER_CLEAR: 48, DEMAND_CLEAR: 49, EVENT_CLEAR: 50, PROGRAMMING: 51, CLOCK_SET: 52,
}  # fmt: skip
"""Bit of a kind in the report status; from bit 16 on this is our own order, since sources differ."""


def log_of(meter: "Meter", kind: int) -> EventLog:
    """The log of one kind, an empty one where nothing happened."""
    return meter.notes.events.get(kind, EventLog())


def running(meter: "Meter", kind: int) -> bool:
    """Whether an event of this kind has begun and not ended."""
    records = log_of(meter, kind).records
    return bool(records) and records[0].end_ms is None


def begin(meter: "Meter", kind: int, at_ms: int, *, operator: str = "00000000", detail: bytes = b"") -> None:
    """An event begins now; one of its kind that still runs is left alone."""
    if not running(meter, kind):
        _add(meter, kind, Event(at_ms, None, operator, detail))


def end(meter: "Meter", kind: int, at_ms: int) -> None:
    """The running event of a kind ends now, if there is one."""
    if not running(meter, kind):
        return
    log = log_of(meter, kind)
    ended = log.records[0]._replace(end_ms=at_ms)
    minutes = log.minutes + (at_ms - ended.begin_ms) // MINUTE_MS
    _keep(meter, kind, EventLog(log.total, minutes, (ended, *log.records[1:])))


def note(meter: "Meter", kind: int, at_ms: int, *, operator: str = "00000000", detail: bytes = b"") -> None:
    """Something happened at once."""
    _add(meter, kind, Event(at_ms, at_ms, operator, detail))


def note_programming(meter: "Meter", di: int, at_ms: int, operator: str) -> None:
    """A parameter was written: writes of the same minute by the same operator make one record of up to ten items."""
    log, item = log_of(meter, PROGRAMMING), di.to_bytes(4, "little")
    last = log.records[0] if log.records else None
    together = last is not None and at_ms - last.begin_ms < MINUTE_MS and last.operator == operator
    if last is None or not together or len(last.detail) == 40:
        note(meter, PROGRAMMING, at_ms, operator=operator, detail=item)
    elif item not in (last.detail[at : at + 4] for at in range(0, len(last.detail), 4)):
        _keep(meter, PROGRAMMING, log._replace(records=(last._replace(detail=last.detail + item), *log.records[1:])))


def note_clock(meter: "Meter", before: bytes, at_ms: int, operator: str) -> None:
    """The clock was set by a write: what it showed before and what it shows now."""
    note(meter, CLOCK_SET, at_ms, operator=operator, detail=before + encode_datetime(meter.civil(at_ms)))


def note_relay(meter: "Meter") -> None:
    """Record the movements of the contacts that are not recorded yet."""
    for moved in meter.relay.events[meter.notes.relay_noted :]:
        operator = "00000000" if moved.cause == "button" else meter.notes.operator
        note(meter, TRIPPED if moved.to == "open" else CLOSED, moved.at_ms, operator=operator)
    if len(meter.relay.events) > meter.notes.relay_noted:
        meter.own().relay_noted = len(meter.relay.events)


def clear(meter: "Meter", di: int, at_ms: int, operator: str) -> None:
    """1BH: forget all events, or those of one kind; that this was done is itself recorded, for good."""
    wiped = {kind for kind in meter.notes.events if kind not in KEPT and _within(kind, di)}
    own = meter.own()
    own.events = {kind: log for kind, log in own.events.items() if kind not in wiped}
    note(meter, EVENT_CLEAR, at_ms, operator=operator, detail=di.to_bytes(4, "little"))


def take_reports(meter: "Meter") -> bytes:
    """Status of 12 bytes and one count for each set bit, lowest first; asking takes them."""
    reports = meter.notes.reports
    status = sum(1 << bit for bit in reports).to_bytes(12, "little")
    counts = bytes(min(reports[bit], 99) // 10 * 16 + min(reports[bit], 99) % 10 for bit in sorted(reports))
    if reports:
        meter.own().reports = NOTHING
    return status + counts


def _add(meter: "Meter", kind: int, event: Event) -> None:
    log = log_of(meter, kind)
    records = (event, *log.records[: RECORDS_MAX - 1])
    _keep(meter, kind, EventLog(min(log.total + 1, COUNT_MAX), log.minutes, records))
    bit = REPORT_BITS.get(kind)
    if bit is not None and meter.report_mode() >> bit & 1:
        own = meter.own()
        own.reports = {**own.reports, bit: own.reports.get(bit, 0) + 1}


def _keep(meter: "Meter", kind: int, log: EventLog) -> None:
    own = meter.own()
    own.events = {**own.events, kind: log}


def _within(kind: int, di: int) -> bool:
    """Whether a clearing of DI3 DI2 DI1 FF (or FF FF FF FF) covers a kind."""
    if di == 0xFFFFFFFF:
        return True
    group = di >> 24
    if group == 0x03:
        every = (0x00, 0xFF) if kind & 0xFF00 in BY_PHASE else (0xFF,)
        return kind >> 8 == di >> 16 & 0xFF and di >> 8 & 0xFF in (kind & 0xFF, *every)
    return EXTENDED.get(group, group << 8) & 0xFF00 == kind & 0xFF00
