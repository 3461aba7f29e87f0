"""Answers that are longer than a frame: 11H brings the first part with the follow bit, 12H the parts after it.

A frame holds 200 bytes: an identifier and 196 bytes first, then an identifier, 195 bytes and the sequence number. 12H
must name the identifier and a sequence number that the answer has; the one before may be asked again when its frame was
lost. A meter with active reporting sets the follow bit on a complete answer to say "I have events": the next 12H then
brings the report status (04 00 15 01) instead of more data.
"""

from typing import TYPE_CHECKING

from sim.meters.events import take_reports
from sim.meters.parameters import REPORT_STATUS
from sim.meters.refusal import ERR_NO_DATA, RefusedError

if TYPE_CHECKING:
    from sim.meters import Meter

READ_BYTES_MAX = 200
IDENTIFIER_BYTES = 4
FIRST_BYTES = READ_BYTES_MAX - IDENTIFIER_BYTES
NEXT_BYTES = FIRST_BYTES - 1
SEQUENCE_MAX = 255


def first_part(meter: "Meter", di: bytes, data: bytes) -> tuple[bytes, bool]:
    """The data field of the answer to 11H, and whether its follow bit is set."""
    notes = meter.notes
    first = FIRST_BYTES if notes.part_bytes is None else notes.part_bytes
    if len(data) > first:
        meter.own().pages = (int.from_bytes(di, "little"), data[: first + SEQUENCE_MAX * _next_bytes(meter)])
        return di + data[:first], True
    if notes.pages is not None:
        meter.own().pages = None
    return di + data, bool(notes.reports) and di != REPORT_STATUS.to_bytes(4, "little")


def next_part(meter: "Meter", request: bytes) -> tuple[bytes, bool]:
    """The data field of the answer to 12H, and whether more follows; ERR 02 when nothing does."""
    di, sequence = request[:IDENTIFIER_BYTES], request[IDENTIFIER_BYTES]
    pages = meter.notes.pages
    if pages is None and meter.notes.reports and sequence == 1:
        return REPORT_STATUS.to_bytes(4, "little") + take_reports(meter) + bytes((sequence,)), False
    if pages is None or pages[0] != int.from_bytes(di, "little") or sequence == 0:
        raise RefusedError(ERR_NO_DATA)
    length = _next_bytes(meter)
    start = (FIRST_BYTES if meter.notes.part_bytes is None else length) + (sequence - 1) * length
    part = pages[1][start : start + length]
    if not part:
        raise RefusedError(ERR_NO_DATA)
    return di + part + bytes((sequence,)), start + length < len(pages[1])


def _next_bytes(meter: "Meter") -> int:
    """What a later part holds: all that fits, or the length of a meter that sends less."""
    return NEXT_BYTES if meter.notes.part_bytes is None else meter.notes.part_bytes
