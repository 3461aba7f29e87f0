"""The replies of 2007 as values: read from a frame without knowing the request, and written as a meter sends them.

One class for each shape of answer: data, follow-up data, an address, a baud rate, a done, an execution word, a
refusal with its reasons in English and Chinese. `parse_reply` and `to_frame` are each other's reverse: what is read
is written again bit for bit, and a frame of which that would not hold is refused.
`ValueFormatError` when a frame is no reply of the edition, `ProtocolMisuse` for what no meter can send.
"""

from dataclasses import dataclass, field

from core.dlt645.commands import (
    BROADCAST_TIME,
    CHANGE_BAUD,
    CHANGE_PASSWORD,
    CLEAR_DEMAND,
    CLEAR_EVENTS,
    CLEAR_METER,
    FREEZE,
    READ,
    READ_ADDRESS,
    READ_FOLLOW,
    RELAY,
    SECURITY,
    SEQUENCE_MAX,
    TERMINAL,
    WRITE,
    WRITE_ADDRESS,
    refusal_names,
)
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
        return Frame(self.address, READ_ADDRESS | REPLY_BIT, address_to_bytes(self.meter_address))


@dataclass(frozen=True, slots=True)
class Done:
    """Accepted: 08, 14, 15, 16, 18, 19, 1A, 1B, 1C. `data` is the new password of 18H or the word of a sealed 1CH."""

    address: str
    function: int
    data: bytes = field(default=b"", repr=False)

    @property
    def execution(self) -> Names:
        """What the execution word of 1CH says, where one came."""
        return bit_names(EXECUTION, int.from_bytes(self.data, "little")) if self.function == RELAY else ()

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
        return Frame(self.address, CHANGE_BAUD | REPLY_BIT, bytes((encode_baud(self.baud),)))


@dataclass(frozen=True, slots=True)
class Output:
    """Answer of 1DH."""

    address: str
    output: int

    def to_frame(self) -> Frame:
        """The reply."""
        return Frame(self.address, TERMINAL | REPLY_BIT, bytes((self.output,)))


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

_DONE_SIZES = {
    **dict.fromkeys((BROADCAST_TIME, WRITE, WRITE_ADDRESS, FREEZE, CLEAR_DEMAND, CLEAR_METER, CLEAR_EVENTS), (0,)),
    CHANGE_PASSWORD: (4,),
    RELAY: (0, 2),
}
_SILENT = frozenset((READ_ADDRESS, WRITE_ADDRESS))
_ERROR_SIZES = {SECURITY: (2,), RELAY: (1, 2)}
_LEAST = {SECURITY: 4, READ: 4, READ_FOLLOW: 5}
_EXACT = {READ_ADDRESS: 6, CHANGE_BAUD: 1, TERMINAL: 1}
_FUNCTIONS = frozenset((*_DONE_SIZES, *_LEAST, *_EXACT))


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
        di, seq = int.from_bytes(data[:4], "little"), data[-1] if function == READ_FOLLOW else None
        return Data(address, di, data[4:-1] if seq is not None else data[4:], seq, frame.follow, function)
    if function == READ_ADDRESS:
        bcd_to_int(data)
        return Named(address, address_from_bytes(data))
    if function == CHANGE_BAUD:
        return Baud(address, decode_baud(data[0]))
    if function == TERMINAL:
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
