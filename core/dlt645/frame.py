"""The frame of DL/T 645: encode, parse one, or find them in a stream.

    [FE x n] 68 A0..A5 68 C L DATA[L] CS 16

Every data byte travels with 33H added mod 256; address, C and L do not. CS is the sum mod 256 from the
first 68H to the last data byte, so the waking FE bytes never count. 68H and 16H may occur anywhere inside a
frame: only the length says where it ends, and a candidate that turns out wrong costs exactly one byte.
The same frame carries the 1997 edition, whose control codes simply differ.
"""

from dataclasses import dataclass

from core._crc import dlt_sum
from core._frame import read_frame, write_frame
from core.dlt645.anatomy import END, HEADER, OFFSET, OVERHEAD, START, WAKE, anatomy, problems
from core.dlt645.values import address_from_bytes, address_to_bytes
from core.errors import FrameError, ProtocolMisuse

DATA_MAX = 255  # L is one byte; some security frames exceed the 200 and 50 of reads and writes
FRAME_MAX = OVERHEAD + DATA_MAX
PREAMBLE_MAX = 16  # four are usual; seven have been seen
BUFFER_MAX = 4096

REPLY_BIT = 0x80
ABNORMAL_BIT = 0x40
FOLLOW_BIT = 0x20
FUNCTION_MASK = 0x1F
FUNCTIONS_WITH_IDENTIFIER = frozenset((0x03, 0x11, 0x12, 0x14))
REPLY_PREAMBLE = 4  # FE bytes that a meter may send before its reply

_ADD_OFFSET = bytes((byte + OFFSET) & 0xFF for byte in range(256))
_REMOVE_OFFSET = bytes((byte - OFFSET) & 0xFF for byte in range(256))


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame. `address` is 12 displayed digits (AA pairs are wildcards), `data` is without the offset."""

    address: str
    control: int
    data: bytes = b""

    @property
    def is_reply(self) -> bool:
        """Whether a meter speaks (bit 7)."""
        return bool(self.control & REPLY_BIT)

    @property
    def abnormal(self) -> bool:
        """Whether the meter refused (bit 6)."""
        return bool(self.control & ABNORMAL_BIT)

    @property
    def follow(self) -> bool:
        """Whether more data waits for command 12H (bit 5)."""
        return bool(self.control & FOLLOW_BIT)

    @property
    def function(self) -> int:
        """The function code, bits 4..0."""
        return self.control & FUNCTION_MASK

    @property
    def identifier(self) -> int | None:
        """The data identifier, for functions that carry one in their first four data bytes; else None."""
        if self.abnormal or len(self.data) < 4 or self.function not in FUNCTIONS_WITH_IDENTIFIER:
            return None
        return int.from_bytes(self.data[:4], "little")

    @property
    def err(self) -> int:
        """The error byte of an abnormal reply, or its word of two."""
        return int.from_bytes(self.data, "little")

    @property
    def reply_sizes(self) -> tuple[int, int]:
        """Bytes of the shortest and of the longest reply, waking bytes included."""
        return REPLY_PREAMBLE + OVERHEAD, REPLY_PREAMBLE + FRAME_MAX

    def to_wire(self, preamble: int) -> bytes:
        """The wire bytes, see `encode`."""
        return encode(self, preamble)

    def reply_decoder(self) -> "FrameDecoder":
        """What reads the line after this request."""
        return FrameDecoder()

    def quiet_s(self, byte_s: float) -> float:
        """No silence is asked for: a frame has its own start and end marks."""
        return 0.0


def encode(frame: Frame, preamble: int = 4) -> bytes:
    """Turn a frame into wire bytes, led by `preamble` FE bytes; `ProtocolMisuse` for what cannot travel."""
    wire = write_frame(frame.address, frame.control, frame.data, preamble)
    return _encode_slowly(frame, preamble) if wire is None else wire


def _encode_slowly(frame: Frame, preamble: int) -> bytes:
    """The long way, which also takes wildcards and says what is wrong."""
    if len(frame.data) > DATA_MAX:
        raise ProtocolMisuse(f"{len(frame.data)} data bytes do not fit into a frame of at most {DATA_MAX}")
    if not 0 <= frame.control <= 0xFF:
        raise ProtocolMisuse(f"control code {frame.control} is not a byte")
    if not 0 <= preamble <= PREAMBLE_MAX:
        raise ProtocolMisuse(f"a preamble has 0 to {PREAMBLE_MAX} bytes, not {preamble}")
    head = b"\x68" + address_to_bytes(frame.address) + b"\x68"
    body = head + bytes((frame.control, len(frame.data))) + frame.data.translate(_ADD_OFFSET)
    return b"\xfe" * preamble + body + bytes((dlt_sum(body), END))


def parse(wire: bytes) -> Frame:
    """Read exactly one frame, waking bytes allowed in front; `FrameError` names what is wrong."""
    frame = read_frame(Frame, wire)
    return _parse_slowly(wire) if frame is None else frame


def _parse_slowly(wire: bytes) -> Frame:
    """The long way, which also takes other buffers and says what is wrong."""
    parts = anatomy(bytes(wire))
    if wrong := problems(parts):
        raise FrameError("; ".join(en for en, _ in wrong))
    return _frame_from(parts.body)


def _frame_from(body: bytes) -> Frame:
    """Build the frame of a body that has passed every check."""
    return Frame(address_from_bytes(body[1:7]), body[8], body[HEADER:-2].translate(_REMOVE_OFFSET))


class FrameDecoder:
    """Finds frames in a stream that may be split, merged, preceded by waking bytes or damaged anywhere.

    Whatever a candidate turns out not to be, only its first byte is dropped and the search goes on with the
    next one, so a good frame behind or inside a false start is never lost. Waking bytes between frames are
    not garbage. At most `max_buffer` bytes are held however much is fed.
    """

    __slots__ = ("_buffer", "_max_buffer", "bad_sums", "frames", "garbage_bytes")

    def __init__(self, *, max_buffer: int = BUFFER_MAX) -> None:
        if max_buffer < FRAME_MAX:
            raise ProtocolMisuse(f"max_buffer {max_buffer} cannot hold a frame of {FRAME_MAX} bytes")
        self._buffer = bytearray()
        self._max_buffer = max_buffer
        self.frames = 0
        self.bad_sums = 0
        self.garbage_bytes = 0

    @property
    def pending(self) -> int:
        """Bytes held that may still become a frame."""
        return len(self._buffer)

    def feed(self, data: bytes | bytearray | memoryview) -> list[Frame]:
        """Take bytes as they come and return the frames that are now whole, in order."""
        # most reads bring exactly one sound frame
        whole = None if self._buffer else read_frame(Frame, data)
        if whole is not None:
            self.frames += 1
            return [whole]
        found: list[Frame] = []
        start = 0
        while start < len(data):
            room = self._max_buffer - len(self._buffer)
            self._buffer += data[start : start + room]
            start += room
            self._scan(found, final=False)
        return found

    def flush(self) -> list[Frame]:
        """Stop waiting for the rest of a candidate (the line fell silent) and return what hid behind it."""
        found: list[Frame] = []
        self._scan(found, final=True)
        return found

    def reset(self) -> bytes:
        """Drop everything held and return it."""
        dropped = bytes(self._buffer)
        self._buffer.clear()
        self._count_garbage(dropped)
        return dropped

    def _scan(self, found: list[Frame], *, final: bool) -> None:
        """Move all whole frames from the buffer to `found`; with `final`, give up on unfinished ones."""
        buffer = self._buffer
        position = 0
        while True:
            start = buffer.find(START, position)
            if start < 0:
                start = len(buffer)
            self._count_garbage(buffer[position:start])
            position = start
            size = self._candidate_size(start)
            if size is None and not final:
                break
            if size is None and start >= len(buffer):
                break
            body = bytes(buffer[start : start + size]) if size else b""
            frame = self._sound_frame(body) if body else None
            if frame is not None:
                found.append(frame)
                self.frames += 1
                position = start + len(body)
            else:
                self.garbage_bytes += 1
                position = start + 1
        del buffer[:position]

    def _candidate_size(self, start: int) -> int | None:
        """Size of the frame that begins at `start`: 0 if it cannot be one, None if more bytes must tell."""
        held = len(self._buffer) - start
        if held >= 8 and self._buffer[start + 7] != START:
            return 0
        if held < OVERHEAD:
            return None
        size = OVERHEAD + self._buffer[start + 9]
        return size if held >= size else None

    def _sound_frame(self, body: bytes) -> Frame | None:
        """The frame of a candidate whose marks and length fit; None if its end mark or sum does not."""
        frame = read_frame(Frame, body)
        return _frame_from(body) if frame is None and self._is_sound(body) else frame

    def _is_sound(self, body: bytes) -> bool:
        """Check end mark and sum of a candidate whose marks and length fit."""
        if body[-1] != END:
            return False
        if dlt_sum(body[:-2]) != body[-2]:
            self.bad_sums += 1
            return False
        return True

    def _count_garbage(self, dropped: bytes | bytearray) -> None:
        self.garbage_bytes += len(dropped) - dropped.count(WAKE)
