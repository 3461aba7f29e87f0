"""Modbus RTU as a thin layer over a meter: what it answers to a request of a master, and when it says nothing.

A request has come as one burst with the right CRC (`sim.wire.rtu_ear`). Exceptions: 01 for a function that the model
does not have, 02 for a register that its map does not name or that cannot be written, and for half of a single, 03 for
more registers than it serves at once and for a value that a manual rules out. A relay that is written switches at
once, and only reading it tells what it did. Unit, rate and parity that are written are kept and would hold after a
restart.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from core.errors import ValueFormatError
from core.modbus.maps import RELAY_EN, Quantity
from core.modbus.rtu import (
    READ_HOLDING,
    READ_INPUT,
    WRITE_COUNT_MAX,
    WRITE_REGISTERS,
    RtuFrame,
    exception_reply,
    registers_reply,
    written_reply,
)
from sim.meters.modbus_values import PARAMETERS, layout_of, map_of, words_of
from sim.meters.refusal import RefusedError

if TYPE_CHECKING:
    from sim.meters import Meter

ILLEGAL_FUNCTION, ILLEGAL_ADDRESS, ILLEGAL_VALUE = 1, 2, 3
READ_BYTES, WRITE_HEAD_BYTES = 4, 5


class Request(NamedTuple):
    """What a master sent to one unit: the bytes behind the function, without the CRC."""

    unit: int
    function: int
    body: bytes

    @property
    def register(self) -> int:
        """The first register."""
        return int.from_bytes(self.body[:2], "big")

    @property
    def registers(self) -> int:
        """How many registers."""
        return int.from_bytes(self.body[2:4], "big")


def answer_rtu(meter: "Meter", request: Request, baud: int, at_ms: int) -> RtuFrame | None:
    """What the meter says at world time `at_ms` on a line of `baud`; None is silence."""
    if meter.silent or meter.notes.mains_off:
        return None
    frame = RtuFrame(request.unit, request.function, False, request.register, request.registers)
    try:
        handle = _HANDLERS.get(request.function)
        if handle is None:
            raise RefusedError(ILLEGAL_FUNCTION)
        return handle(meter, request, frame, baud, at_ms)
    except RefusedError as refused:
        return exception_reply(frame, refused.err)


def _read(meter: "Meter", request: Request, frame: RtuFrame, baud: int, at_ms: int) -> RtuFrame | None:
    if len(request.body) != READ_BYTES:
        return None
    owners, blanks = layout_of(meter.kind, request.function, meter.has_relay)
    if not owners:
        raise RefusedError(ILLEGAL_FUNCTION)
    if not 1 <= request.registers <= map_of(meter.kind).registers_max:
        raise RefusedError(ILLEGAL_VALUE)
    found: dict[Quantity, tuple[int, ...]] = {}
    words = []
    for register in range(request.register, request.register + request.registers):
        owner = owners.get(register)
        if owner is None and register not in blanks:
            raise RefusedError(ILLEGAL_ADDRESS)
        if owner is not None and owner not in found:
            _refuse_half(owner, request)
            found[owner] = words_of(meter, owner, baud, at_ms)
        words.append(0 if owner is None else found[owner][register - owner.register])
    return registers_reply(frame, words)


def _refuse_half(owner: Quantity, request: Request) -> None:
    """A single is read whole or not at all; halves of a count are plain registers."""
    end = request.register + request.registers
    if owner.kind == "f32" and not (request.register <= owner.register and owner.register + owner.count <= end):
        raise RefusedError(ILLEGAL_ADDRESS)


def _write(meter: "Meter", request: Request, frame: RtuFrame, _baud: int, at_ms: int) -> RtuFrame | None:
    """10H: one quantity a message."""
    if len(request.body) < WRITE_HEAD_BYTES:
        return None
    sent = request.body[WRITE_HEAD_BYTES:]
    if not 1 <= request.registers <= WRITE_COUNT_MAX:
        raise RefusedError(ILLEGAL_VALUE)
    owner = layout_of(meter.kind, READ_HOLDING, meter.has_relay).owners.get(request.register)
    writable = owner is not None and (owner.name_en == RELAY_EN or owner.name_en in PARAMETERS)
    if owner is None or not writable or (owner.register, owner.count) != (request.register, request.registers):
        raise RefusedError(ILLEGAL_ADDRESS)
    words = [int.from_bytes(sent[at : at + 2], "big") for at in range(0, len(sent), 2)]
    try:
        value = owner.decode(words)
    except ValueFormatError as bad:
        raise RefusedError(ILLEGAL_VALUE) from bad
    _set(meter, owner, value, at_ms)
    return written_reply(frame)


def _set(meter: "Meter", owner: Quantity, value: int, at_ms: int) -> None:
    if value not in PARAMETERS.get(owner.name_en, (0, 1)):
        raise RefusedError(ILLEGAL_VALUE)
    if owner.name_en != RELAY_EN:
        meter.own().registers = {**meter.notes.registers, owner.register: value}
    elif value:
        meter.close(at_ms)
    else:
        meter.trip(at_ms)


_HANDLERS: dict[int, Callable[["Meter", Request, RtuFrame, int, int], RtuFrame | None]] = {
    READ_HOLDING: _read,
    READ_INPUT: _read,
    WRITE_REGISTERS: _write,
}
