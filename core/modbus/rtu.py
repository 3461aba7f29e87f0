"""The frame of Modbus RTU, over pymodbus' framer and PDUs: encode, parse one, or find them in a stream.

    unit function data CRC-lo CRC-hi          3.5 characters of silence on both sides

A frame has no start mark, and a request and its reply carry the same function code, so where a frame ends depends on
who speaks. A master knows: what it hears are replies, and the echo of the very bytes that it sent. A meter hears
requests. pymodbus' own search drops everything behind a frame or a bad CRC, hence the decoder here: whatever a
candidate turns out not to be costs one byte. Only functions 03, 04 and 10H are spoken; no map needs another.

What cannot be told apart: a reply to a read names neither register nor count of registers beyond its length.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from pymodbus.framer import FramerRTU
from pymodbus.pdu import DecodePDU, ExceptionResponse, ModbusPDU

from core._crc import crc16_modbus
from core.errors import FrameError, ProtocolMisuse

READ_HOLDING = 0x03
READ_INPUT = 0x04
WRITE_REGISTERS = 0x10
SPOKEN = frozenset((READ_HOLDING, READ_INPUT, WRITE_REGISTERS))
EXCEPTION_BIT = 0x80

UNIT_MAX = 247  # unit 0 is the broadcast, 248..255 are reserved
READ_COUNT_MAX = 125
WRITE_COUNT_MAX = 123
FRAME_MAX = 256
SHORTEST = 5  # an exception
FIXED = 8  # a read request, a write reply
QUIET_CHARACTERS = 3.5
QUIET_MIN_S = 0.00175  # above 19200 baud the specification fixes it

# What a frame may begin with: whatever may be a unit, and a function, also a refused one.
_FUNCTIONS = bytes(function | bit for function in sorted(SPOKEN) for bit in (0, EXCEPTION_BIT))
_BEGINNING = re.compile(b".[" + re.escape(_FUNCTIONS) + b"]", re.DOTALL)

_REPLIES, _REQUESTS = DecodePDU(False), DecodePDU(True)
_FRAMER = FramerRTU(_REPLIES)


@dataclass(frozen=True, slots=True)
class RtuFrame:
    """One frame. A read reply knows only `registers`; `exception` is the code of a refusal, 0 if there is none."""

    unit: int
    function: int
    is_reply: bool = False
    register: int = 0
    count: int = 0
    registers: tuple[int, ...] = ()
    exception: int = 0

    @property
    def address(self) -> str:
        """The unit as text."""
        return str(self.unit)

    @property
    def abnormal(self) -> bool:
        """Whether the meter refused."""
        return self.exception != 0

    @property
    def err(self) -> int:
        """The exception code."""
        return self.exception

    @property
    def reply_sizes(self) -> tuple[int, int]:
        """Bytes of the shortest and of the longest reply to this request."""
        return SHORTEST, FIXED if self.function == WRITE_REGISTERS else SHORTEST + 2 * self.count

    def to_wire(self, preamble: int) -> bytes:
        """The wire bytes, see `encode`."""
        return encode(self)

    def reply_decoder(self) -> "RtuDecoder":
        """What reads the line after this request: its replies, and its echo."""
        return RtuDecoder(sent=encode(self))

    def quiet_s(self, byte_s: float) -> float:
        """Silence that separates frames: 3.5 characters."""
        return max(QUIET_CHARACTERS * byte_s, QUIET_MIN_S)


def encode(frame: RtuFrame) -> bytes:
    """The wire bytes of a frame; `ProtocolMisuse` for what cannot travel. Any function can be refused."""
    _require(1 <= frame.unit <= UNIT_MAX, f"unit {frame.unit} is not within 1..{UNIT_MAX}")
    if frame.exception:
        _require(0 < frame.function < EXCEPTION_BIT, f"{frame.function:02X}H is no function")
        _require(0 < frame.exception <= 0xFF, f"exception {frame.exception} is not a byte")
        return _FRAMER.buildFrame(ExceptionResponse(frame.function, frame.exception, device_id=frame.unit))
    _require(frame.function in SPOKEN, f"function {frame.function:02X}H is not spoken here")
    writes = frame.function == WRITE_REGISTERS
    carried = len(frame.registers) if writes != frame.is_reply else frame.count
    most = WRITE_COUNT_MAX if writes else READ_COUNT_MAX
    _require(1 <= carried <= most, f"{carried} registers: function {frame.function:02X}H carries 1 to {most}")
    _require(0 <= frame.register <= 0x10000 - carried, f"register {frame.register:04X}H and {carried} are beyond FFFFH")
    _require(all(0 <= one <= 0xFFFF for one in frame.registers), "a register holds 0 to FFFFH")
    made = _pdu_class(frame.function, is_reply=frame.is_reply)(
        dev_id=frame.unit, address=frame.register, count=carried, registers=list(frame.registers)
    )
    return _FRAMER.buildFrame(made)


def is_sound(frame: bytes) -> bool:
    """Whether the CRC at the end fits what stands before it."""
    return crc16_modbus(frame[:-2]) == int.from_bytes(frame[-2:], "little")


def parse(wire: bytes) -> RtuFrame:
    """Read exactly one frame, request or reply as its length says; `FrameError` names what is wrong."""
    if len(wire) < SHORTEST:
        raise FrameError(f"short: {len(wire)} bytes, a Modbus frame has at least {SHORTEST}")
    carried, expected = int.from_bytes(wire[-2:], "little"), crc16_modbus(wire[:-2])
    if carried != expected:
        raise FrameError(f"CRC: expected {expected:04X}H, got {carried:04X}H")
    unit, function = wire[0], wire[1] & ~EXCEPTION_BIT
    if not 1 <= unit <= UNIT_MAX:
        raise FrameError(f"unit {unit} is not within 1..{UNIT_MAX}")
    if function not in SPOKEN:
        raise FrameError(f"function {function:02X}H is not spoken here")
    sizes = []
    for is_reply in (False, True):
        size = _size(wire, is_reply=is_reply)
        if size == len(wire) and (frame := _frame_from(wire, is_reply=is_reply)) is not None:
            return frame
        sizes.append(size or 0)
    raise FrameError(f"length: {len(wire)} bytes are neither a request ({sizes[0]}) nor a reply ({sizes[1]})")


class RtuDecoder:
    """Finds replies and the echo of `sent` in a stream; with `requests`, finds requests as a meter hears them.

    Less than a frame's length is held however much is fed. `flush` when the line has fallen silent: a frame that
    stopped in the middle, or a false start that promised more than came, then gives up its place.
    """

    __slots__ = ("_buffer", "_requests", "_sent", "bad_sums", "frames", "garbage_bytes")

    def __init__(self, *, sent: bytes = b"", requests: bool = False) -> None:
        self._buffer = bytearray()
        self._sent = sent
        self._requests = requests
        self.frames = 0
        self.bad_sums = 0
        self.garbage_bytes = 0

    @property
    def pending(self) -> int:
        """Bytes held that may still become a frame."""
        return len(self._buffer)

    def feed(self, data: bytes | bytearray | memoryview) -> list[RtuFrame]:
        """Take bytes as they come and return the frames that are now whole, in order."""
        found: list[RtuFrame] = []
        self._buffer += data
        self._scan(found, final=False)
        return found

    def flush(self) -> list[RtuFrame]:
        """Stop waiting for the rest of a candidate and return what hid behind it."""
        found: list[RtuFrame] = []
        self._scan(found, final=True)
        return found

    def _scan(self, found: list[RtuFrame], *, final: bool) -> None:
        """Move all whole frames from the buffer to `found`; with `final`, give up on unfinished ones."""
        position = 0
        while position < len(self._buffer):
            skipped = self._next_beginning(position, final=final) - position
            self.garbage_bytes += skipped
            position += skipped
            head = bytes(self._buffer[position : position + FRAME_MAX])
            if not head:
                break
            frame, size = self._at(head)
            if frame is not None:
                found.append(frame)
                self.frames += 1
                position += size
            elif size > len(head) and not final:
                break
            else:
                self.garbage_bytes += 1
                position += 1
        del self._buffer[:position]

    def _next_beginning(self, position: int, *, final: bool) -> int:
        """Where a frame may begin; the last byte may be a unit whose function is still to come."""
        found = _BEGINNING.search(self._buffer, position)
        return found.start() if found is not None else len(self._buffer) - (not final)

    def _at(self, head: bytes) -> tuple[RtuFrame | None, int]:
        """The frame at the beginning of `head` with its size; else None and the size that must be there to tell."""
        echo = len(self._sent)
        if echo and head[:echo] == self._sent:
            return _frame_from(head[:echo], is_reply=False), echo
        size = _size(head, is_reply=not self._requests)
        if size and len(head) >= size:
            if (frame := self._sound(head[:size])) is not None:
                return frame, size
            size = 0
        if echo > len(head) and self._sent.startswith(head):
            size = max(size or 0, echo)
        return None, len(head) + 1 if size is None else size

    def _sound(self, body: bytes) -> RtuFrame | None:
        if crc16_modbus(body[:-2]) != int.from_bytes(body[-2:], "little"):
            self.bad_sums += 1
            return None
        return _frame_from(body, is_reply=not self._requests)


def _size(head: bytes, *, is_reply: bool) -> int | None:
    """Bytes of the frame that begins like this: 0 if none can, None if more bytes must tell."""
    if not 1 <= head[0] <= UNIT_MAX or (len(head) > 1 and head[1] & ~EXCEPTION_BIT not in SPOKEN):
        return 0
    if len(head) < 3:
        return None
    if head[1] & EXCEPTION_BIT:
        return SHORTEST if is_reply and head[2] else 0
    if not _plausible(head, is_reply=is_reply):
        return 0
    return _pdu_class(head[1], is_reply=is_reply).calculateRtuFrameSize(head) or None


def _plausible(head: bytes, *, is_reply: bool) -> bool:
    """Whether the counts that have arrived are such as a frame may have."""
    writes = head[1] == WRITE_REGISTERS
    if is_reply and not writes:
        return head[2] % 2 == 0 and 1 <= head[2] // 2 <= READ_COUNT_MAX
    if len(head) < 6:
        return True
    register, count = int.from_bytes(head[2:4], "big"), int.from_bytes(head[4:6], "big")
    if not 1 <= count <= (WRITE_COUNT_MAX if writes else READ_COUNT_MAX) or register + count > 0x10000:
        return False
    return is_reply or not writes or len(head) < 7 or head[6] == 2 * count


def _frame_from(body: bytes, *, is_reply: bool) -> RtuFrame | None:
    """What pymodbus reads in a frame with the right CRC and plausible counts."""
    made = (_REPLIES if is_reply else _REQUESTS).decode(body[1:-2])
    if made is None:
        return None
    unit, function = body[0], body[1] & ~EXCEPTION_BIT
    if body[1] & EXCEPTION_BIT:
        return RtuFrame(unit, function, True, exception=made.exception_code)
    registers = tuple(made.registers)
    return RtuFrame(unit, function, is_reply, made.address, len(registers) or made.count, registers)


def _pdu_class(function: int, *, is_reply: bool) -> type[ModbusPDU]:
    found = (_REPLIES if is_reply else _REQUESTS).lookupPduClass(bytes((0, function)))
    if found is None:
        raise ProtocolMisuse(f"pymodbus does not know function {function:02X}H")
    return found


def _require(condition: bool, what: str) -> None:
    if not condition:
        raise ProtocolMisuse(what)


def registers_reply(request: RtuFrame, registers: Sequence[int]) -> RtuFrame:
    """A meter's answer to a read."""
    return RtuFrame(request.unit, request.function, True, 0, len(registers), tuple(registers))


def written_reply(request: RtuFrame) -> RtuFrame:
    """A meter's answer to a write."""
    return RtuFrame(request.unit, request.function, True, request.register, request.count)


def exception_reply(request: RtuFrame, code: int) -> RtuFrame:
    """A meter's refusal."""
    return RtuFrame(request.unit, request.function, True, exception=code)
