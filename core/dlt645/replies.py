"""The replies of 2007 as values: read from a frame without knowing the request, and written as a meter sends them.

One class for each shape of answer: data, follow-up data, an address, a baud rate, a done, an execution word, a
refusal with its reasons in English and Chinese. `parse_reply` and `to_frame` are each other's reverse: what is read
is written again bit for bit, and a frame of which that would not hold is refused.
`ValueFormatError` when a frame is no reply of the edition, `ProtocolMisuse` for what no meter can send.
"""

from dataclasses import dataclass, field

from core.dlt645.commands import READ, READ_FOLLOW, SEQUENCE_MAX, refusal_names
from core.dlt645.frame import ABNORMAL_BIT, FOLLOW_BIT, REPLY_BIT, Frame
from core.dlt645.security import EXECUTION, bit_names
from core.dlt645.values import address_from_bytes, address_to_bytes, bcd_to_int, decode_baud, encode_baud
from core.errors import ProtocolMisuse, ValueFormatError

Names = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Data:
    """Answer of 11H, 12H and 03H. `seq` is None except for 12H; `more` is the follow bit."""

    address: str
    di: int
    data: bytes
    seq: int | None = None
    more: bool = False
    function: int = READ

    def to_frame(self) -> Frame:
        """The reply; 12H carries its sequence number as the last byte."""
        if (self.seq is None) == (self.function == READ_FOLLOW) or self.function not in _LEAST:
            raise ProtocolMisuse(f"function {self.function:02X}H with sequence number {self.seq} is no data reply")
        if self.seq is not None and not 1 <= self.seq <= SEQUENCE_MAX:
            raise ProtocolMisuse(f"sequence number {self.seq} is not within 1..{SEQUENCE_MAX}")
        tail = b"" if self.seq is None else bytes((self.seq,))
        control = self.function | REPLY_BIT | (FOLLOW_BIT if self.more else 0)
        return Frame(self.address, control, self.di.to_bytes(4, "little") + self.data + tail)


@dataclass(frozen=True, slots=True)
class Named:
    """Answer of 13H: the meter's address as it states it."""

    address: str
    meter_address: str

    def to_frame(self) -> Frame:
        """The reply."""
        return Frame(self.address, 0x13 | REPLY_BIT, address_to_bytes(self.meter_address))


@dataclass(frozen=True, slots=True)
class Done:
    """Accepted: 08, 14, 15, 16, 18, 19, 1A, 1B, 1C. `data` is the new password of 18H or the word of a sealed 1CH."""

    address: str
    function: int
    data: bytes = field(default=b"", repr=False)

    @property
    def execution(self) -> Names:
        """What the execution word of 1CH says, where one came."""
        return bit_names(EXECUTION, int.from_bytes(self.data, "little")) if self.function == 0x1C else ()

    def to_frame(self) -> Frame:
        """The reply; that of 15H comes from the new address, which `address` then is."""
        if len(self.data) not in _DONE_SIZES.get(self.function, ()):
            raise ProtocolMisuse(f"{self.function:02X}H is not accepted with {len(self.data)} bytes")
        return Frame(self.address, self.function | REPLY_BIT, self.data)


@dataclass(frozen=True, slots=True)
class Baud:
    """Answer of 17H: the rate that holds after this reply."""

    address: str
    baud: int

    def to_frame(self) -> Frame:
        """The reply, to be sent at the old rate."""
        return Frame(self.address, 0x17 | REPLY_BIT, bytes((encode_baud(self.baud),)))


@dataclass(frozen=True, slots=True)
class Output:
    """Answer of 1DH."""

    address: str
    output: int

    def to_frame(self) -> Frame:
        """The reply."""
        return Frame(self.address, 0x1D | REPLY_BIT, bytes((self.output,)))


@dataclass(frozen=True, slots=True)
class Refused:
    """An abnormal reply: `err` of `size` bytes, two for 03H (SERR) and for sealed 1CH."""

    address: str
    function: int
    err: int
    size: int = 1

    @property
    def reasons(self) -> Names:
        """What the bits of `err` mean, English and Chinese."""
        return refusal_names(self.function, self.err.to_bytes(self.size, "little"))

    def to_frame(self) -> Frame:
        """The reply. 13H and 15H have none: these commands are refused by silence."""
        if self.function not in _FUNCTIONS - _SILENT or self.size not in _ERROR_SIZES.get(self.function, (1,)):
            raise ProtocolMisuse(f"{self.function:02X}H is not refused with {self.size} bytes")
        control = self.function | REPLY_BIT | ABNORMAL_BIT
        return Frame(self.address, control, self.err.to_bytes(self.size, "little"))


Reply = Data | Named | Done | Baud | Output | Refused

_DONE_SIZES = {0x08: (0,), 0x14: (0,), 0x15: (0,), 0x16: (0,), 0x18: (4,), 0x19: (0,), 0x1A: (0,), 0x1B: (0,),
               0x1C: (0, 2)}  # fmt: skip
_FUNCTIONS = frozenset((*_DONE_SIZES, 0x03, 0x11, 0x12, 0x13, 0x17, 0x1D))
_SILENT = frozenset((0x13, 0x15))
_ERROR_SIZES = {0x03: (2,), 0x1C: (1, 2)}
_LEAST = {0x03: 4, 0x11: 4, 0x12: 5}
_EXACT = {0x13: 6, 0x17: 1, 0x1D: 1}


def parse_reply(frame: Frame) -> Reply:
    """What a reply frame says; `ValueFormatError` when it is none of the 2007 edition."""
    function, data, address = frame.function, frame.data, frame.address
    if not frame.is_reply or function not in _FUNCTIONS:
        raise ValueFormatError(f"control code {frame.control:02X}H is no reply of the 2007 edition")
    if frame.follow and (frame.abnormal or function not in _LEAST):
        raise ValueFormatError(
            f"control code {frame.control:02X}H promises more data of a reply that has none to follow"
        )
    if frame.abnormal:
        _check_refusal(frame)
        return Refused(address, function, int.from_bytes(data, "little"), len(data))
    _check_size(frame)
    if function in _LEAST:
        di, seq = int.from_bytes(data[:4], "little"), data[-1] if function == 0x12 else None
        return Data(address, di, data[4:-1] if seq is not None else data[4:], seq, frame.follow, function)
    if function == 0x13:
        bcd_to_int(data)
        return Named(address, address_from_bytes(data))
    if function == 0x17:
        return Baud(address, decode_baud(data[0]))
    if function == 0x1D:
        return Output(address, data[0])
    return Done(address, function, data)


def _check_refusal(frame: Frame) -> None:
    sizes = _ERROR_SIZES.get(frame.function, (1,))
    if frame.function in _SILENT:
        raise ValueFormatError(f"{frame.function:02X}H is refused by silence, not by a reply")
    if len(frame.data) not in sizes:
        allowed = " or ".join(map(str, sizes))
        raise ValueFormatError(f"a refusal of {frame.function:02X}H has {allowed} bytes, not {len(frame.data)}")


def _check_size(frame: Frame) -> None:
    size, function = len(frame.data), frame.function
    wrong = size not in _DONE_SIZES.get(function, (size,)) or size != _EXACT.get(function, size)
    if wrong or size < _LEAST.get(function, 0):
        raise ValueFormatError(f"a reply {frame.control:02X}H cannot have {size} bytes of data")
    if function == READ_FOLLOW and not frame.data[-1]:
        raise ValueFormatError("a sequence number begins at 1")
