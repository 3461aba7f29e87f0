"""Hides passwords in what goes by on a line, byte by byte, so that a trace can be shown and kept.

Every sound or broken frame whose control code carries a password has those bytes replaced by zeros and its checksum
mended by the same difference, so that it still reads as the frame that it was; nothing else changes. A header in the
middle of other bytes counts as one, and a request whose length was damaged hides its password where it belongs, since
hiding too much does no harm.
"""

from core.dlt645.frame import REPLY_BIT

HEADER_BYTES = 10
OFFSET = 0x33
_START = 0x68
_PASSWORDS = 0x04000C00  # the meter's own passwords: nobody should read them, and some meters tell them
_FIXED: dict[int, range | tuple[int, ...]] = {  # control code -> where in DATA a password lies
    0x04: range(2, 6),  # write of 1997: behind the identifier
    0x0F: range(200),  # change of the password, 1997: the whole of it, and the new one in the answer
    0x0F | REPLY_BIT: range(200),
    0x10: range(200),  # clearing of the demand, 1997: nothing, or a password
    0x14: range(5, 8),
    0x18: (5, 6, 7, 9, 10, 11),
    0x18 | REPLY_BIT: range(1, 4),
    0x19: range(1, 4),
    0x1A: range(1, 4),
    0x1B: range(1, 4),
    0x1C: range(1, 4),
}
_WHOLE = {0x04: 6, 0x14: 8, 0x18: 12, 0x19: 4, 0x1A: 4, 0x1B: 4, 0x1C: 4}  # bytes until a request's password is over
_BEHIND = {0x11 | REPLY_BIT: 4, 0x12 | REPLY_BIT: 4, 0x14: 12, 0x03: 8}  # ... or all of it from here on, by identifier
_FUNCTION = 0x1F | REPLY_BIT


class _Open:
    """A frame that is going by: what of its DATA has come, and how much the mask has changed."""

    def __init__(self, control: int, length: int) -> None:
        self.function = control & _FUNCTION
        self.length = max(length, _WHOLE.get(self.function, 0))
        self.data = bytearray()
        self.changed = 0

    def show(self, byte: int) -> int:
        """What is shown in place of the next byte."""
        at = len(self.data)
        self.data.append(byte)
        if at >= self.length:
            return (byte + self.changed) & 0xFF
        if not self._is_secret(at):
            return byte
        self.changed += OFFSET - byte
        return OFFSET

    @property
    def is_over(self) -> bool:
        """Whether the checksum has gone by."""
        return len(self.data) > self.length

    def _is_secret(self, at: int) -> bool:
        if at in _FIXED.get(self.function, ()):
            return True
        return at >= _BEHIND.get(self.function, self.length) and self._names_secrets()

    def _names_secrets(self) -> bool:
        di = int.from_bytes(bytes((byte - OFFSET) & 0xFF for byte in self.data[:4]), "little")
        return di & 0xFFFFFF00 == _PASSWORDS or di >> 16 in (0x0702, 0x0703)


class Masker:
    """One direction of one line."""

    def __init__(self) -> None:
        self._last = bytearray()
        self._open: list[_Open] = []
        self.hidden = 0

    def feed(self, data: bytes) -> bytes:
        """The same bytes without passwords; `hidden` counts the bytes that were replaced so far."""
        return bytes(map(self._one, data))

    def _one(self, byte: int) -> int:
        shown = byte
        for frame in self._open:
            now = frame.show(byte)
            shown = now if now != byte else shown
        self.hidden += shown != byte
        self._open = [frame for frame in self._open if not frame.is_over]
        self._last = (self._last + bytes((byte,)))[-HEADER_BYTES:]
        if len(self._last) == HEADER_BYTES and self._last[0] == self._last[7] == _START:
            self._open.append(_Open(self._last[8], self._last[9]))
        return shown
