"""Reads a reply frame of 2007 into what it says, without knowing the request.

One class for each shape of answer: data, follow-up data, an address, a baud rate, a done, an execution word, a
refusal with its reasons in English and Chinese. `ValueFormatError` when the frame is no reply of the edition.
"""

from dataclasses import dataclass

from core.dlt645.commands import error_names, error_names_zh
from core.dlt645.frame import Frame
from core.dlt645.security import EXECUTION, EXECUTION_ERRORS, SERR, bit_names
from core.dlt645.values import address_from_bytes, bcd_to_int, decode_baud
from core.errors import ValueFormatError

Names = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Data:
    """Answer of 11H, 12H and 03H. `seq` is None except for 12H; `more` is the follow bit."""

    address: str
    di: int
    data: bytes
    seq: int | None = None
    more: bool = False


@dataclass(frozen=True, slots=True)
class Named:
    """Answer of 13H: the meter's address as it states it."""

    address: str
    meter_address: str


@dataclass(frozen=True, slots=True)
class Done:
    """Accepted: 08, 14, 15, 16, 18, 19, 1A, 1B, 1C. `execution` are the bits of 1CH's word, where one came."""

    address: str
    function: int
    execution: Names = ()


@dataclass(frozen=True, slots=True)
class Baud:
    """Answer of 17H: the rate that holds after this reply."""

    address: str
    baud: int


@dataclass(frozen=True, slots=True)
class Output:
    """Answer of 1DH."""

    address: str
    output: int


@dataclass(frozen=True, slots=True)
class Refused:
    """An abnormal reply: `err` of one byte, or the word of 03H (SERR) and of sealed 1CH, with what its bits mean."""

    address: str
    function: int
    err: int
    reasons: Names


Reply = Data | Named | Done | Baud | Output | Refused

_DONE_SIZES = {0x08: (0,), 0x14: (0,), 0x15: (0,), 0x16: (0,), 0x18: (4,), 0x19: (0,), 0x1A: (0,), 0x1B: (0,),
               0x1C: (0, 2)}  # fmt: skip
_FUNCTIONS = frozenset((*_DONE_SIZES, 0x03, 0x11, 0x12, 0x13, 0x17, 0x1D))
_LEAST = {0x03: 4, 0x11: 4, 0x12: 5}
_EXACT = {0x13: 6, 0x17: 1, 0x1D: 1}


def refusal_names(function: int, data: bytes) -> Names:
    """What the error byte or word of a refused function means, English and Chinese."""
    word = int.from_bytes(data, "little")
    if function == 0x03:
        return bit_names(SERR, word)
    if function == 0x1C and len(data) == 2:
        return bit_names(EXECUTION_ERRORS, word)
    return tuple(zip(error_names(word), error_names_zh(word), strict=True))


def parse_reply(frame: Frame) -> Reply:
    """What a reply frame says; `ValueFormatError` when it is none of the 2007 edition."""
    function, data, address = frame.function, frame.data, frame.address
    if not frame.is_reply or function not in _FUNCTIONS:
        raise ValueFormatError(f"control code {frame.control:02X}H is no reply of the 2007 edition")
    if frame.abnormal:
        if len(data) not in (1, 2):
            raise ValueFormatError(f"a refusal has 1 or 2 bytes, not {len(data)}")
        return Refused(address, function, int.from_bytes(data, "little"), refusal_names(function, data))
    _check_size(frame)
    if function in _LEAST:
        di, seq = int.from_bytes(data[:4], "little"), data[-1] if function == 0x12 else None
        return Data(address, di, data[4:-1] if seq is not None else data[4:], seq, frame.follow)
    if function == 0x13:
        bcd_to_int(data)
        return Named(address, address_from_bytes(data))
    if function == 0x17:
        return Baud(address, decode_baud(data[0]))
    if function == 0x1D:
        return Output(address, data[0])
    execution = bit_names(EXECUTION, int.from_bytes(data, "little")) if function == 0x1C else ()
    return Done(address, function, execution)


def _check_size(frame: Frame) -> None:
    size, function = len(frame.data), frame.function
    wrong = size not in _DONE_SIZES.get(function, (size,)) or size != _EXACT.get(function, size)
    if wrong or size < _LEAST.get(function, 0):
        raise ValueFormatError(f"a reply {frame.control:02X}H cannot have {size} bytes of data")
