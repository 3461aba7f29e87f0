"""The rarer requests of a 1997 master, its requests read back, and its replies both ways.

Same shape as in 2007: a command has `to_frame`, `match` and `expects_reply`. There is no sequence number: 02H asks for
the next part, 03H for the same frame again. The word of 0CH and what goes with 10H are given as bytes, because no
source of ours confirms more than their control codes.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import ClassVar

from core.dlt645 import edition1997 as old
from core.dlt645 import values
from core.dlt645.commands import BROADCAST_TIME, BroadcastTime, Command
from core.dlt645.edition1997 import REREAD_97, Read97, Write97, error_names_97, reply_value_97
from core.dlt645.follow import LongRead
from core.dlt645.frame import ABNORMAL_BIT, FOLLOW_BIT, REPLY_BIT, Frame
from core.dlt645.service import Service
from core.errors import ProtocolMisuse, ValueFormatError


@dataclass(frozen=True, slots=True)
class Service97(Service):
    """A request of 1997: one error byte, and any wildcard fits the meter's own address or its echo."""

    @property
    def expects_reply(self) -> bool:
        """True even for 99..99: meters of this edition answer it."""
        return True

    def match(self, reply: Frame) -> bool:
        """Whether `reply` answers this request, normally or not."""
        if not old.answers(self.address, reply):
            return False
        if reply.control == self.FUNCTION | REPLY_BIT | ABNORMAL_BIT:
            return len(reply.data) == 1
        return self.accepts(reply.control) and self.fits(reply.data)

    def accepts(self, control: int) -> bool:
        """Whether a control code is that of a normal reply."""
        return control == self.FUNCTION | REPLY_BIT


@dataclass(frozen=True, slots=True)
class ReadFollow97(Service97):
    """Command 02H: the next part of an answer whose follow bit was set."""

    FUNCTION: ClassVar[int] = old.READ_FOLLOW_97
    di: int

    def body(self) -> bytes:
        """The identifier."""
        return old.identifier_bytes(self.di)

    def accepts(self, control: int) -> bool:
        """More may follow."""
        return control & ~FOLLOW_BIT == self.FUNCTION | REPLY_BIT

    def fits(self, data: bytes) -> bool:
        """The identifier comes back."""
        return data[:2] == old.identifier_bytes(self.di)


@dataclass(frozen=True, slots=True)
class Reread97(Service97):
    """Command 03H: the last answer once more."""

    FUNCTION: ClassVar[int] = REREAD_97

    def accepts(self, control: int) -> bool:
        """More may follow."""
        return control & ~FOLLOW_BIT == self.FUNCTION | REPLY_BIT

    def fits(self, data: bytes) -> bool:
        """An identifier comes first."""
        return len(data) >= 2


@dataclass(frozen=True, slots=True)
class WriteAddress97(Service97):
    """Command 0AH, to the only meter on the line; it may answer from either address."""

    FUNCTION: ClassVar[int] = old.WRITE_ADDRESS_97
    new_address: str

    def body(self) -> bytes:
        """A0..A5."""
        return values.address_to_bytes(self.new_address)

    def match(self, reply: Frame) -> bool:
        """The answer may come from the new address."""
        moved = reply.control == self.FUNCTION | REPLY_BIT and reply.address == self.new_address
        return moved or Service97.match(self, reply)


@dataclass(frozen=True, slots=True)
class ChangeBaud97(Service97):
    """Command 0CH; `word` is the meter's own word of the rate. When the answer is lost, try both rates."""

    FUNCTION: ClassVar[int] = old.CHANGE_BAUD_97
    word: int

    def body(self) -> bytes:
        """The word."""
        if not 0 <= self.word <= 0xFF:
            raise ProtocolMisuse(f"the word of a baud rate is a byte, not {self.word}")
        return bytes((self.word,))

    def fits(self, data: bytes) -> bool:
        """The word comes back."""
        return data == self.body()


@dataclass(frozen=True, slots=True)
class ChangePassword97(Service97):
    """Command 0FH: old and new password, eight digits each as written; they show in no repr."""

    FUNCTION: ClassVar[int] = old.CHANGE_PASSWORD_97
    old_password: str = field(repr=False)
    new_password: str = field(repr=False)

    def body(self) -> bytes:
        """Both passwords."""
        return old.password_bytes(self.old_password) + old.password_bytes(self.new_password)

    def fits(self, data: bytes) -> bool:
        """The new password comes back, or nothing."""
        return data in (b"", old.password_bytes(self.new_password))


@dataclass(frozen=True, slots=True)
class ClearDemand97(Service97):
    """Command 10H; `password`, eight digits, for meters that want one."""

    FUNCTION: ClassVar[int] = old.CLEAR_DEMAND_97
    password: str | None = field(default=None, repr=False)

    def body(self) -> bytes:
        """The password, if any."""
        return b"" if self.password is None else old.password_bytes(self.password)


def long_read_97(address: str, di: int) -> LongRead:
    """A reading of 1997 that may take several frames: 01H, then 02H while the follow bit is set."""
    return LongRead(
        address, di, Read97(address, di), follow=lambda meter, what, _seq: ReadFollow97(meter, what),
        value=reply_value_97,
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Data97:
    """Answer of 01H, 02H and 03H; `more` is the follow bit."""

    address: str
    di: int
    data: bytes
    more: bool = False
    function: int = old.READ_97

    def to_frame(self) -> Frame:
        """The reply as a meter sends it."""
        control = self.function | REPLY_BIT | (FOLLOW_BIT if self.more else 0)
        return Frame(self.address, control, old.identifier_bytes(self.di) + self.data)


@dataclass(frozen=True, slots=True)
class Done97:
    """Accepted: 04, 0A, 0C (with its word), 0F (with the new password), 10."""

    address: str
    function: int
    data: bytes = field(default=b"", repr=False)

    def to_frame(self) -> Frame:
        """The reply as a meter sends it."""
        return Frame(self.address, self.function | REPLY_BIT, self.data)


@dataclass(frozen=True, slots=True)
class Refused97:
    """An abnormal reply with its error byte."""

    address: str
    function: int
    err: int

    @property
    def reasons(self) -> tuple[tuple[str, str], ...]:
        """What the bits of `err` mean, English and Chinese."""
        return error_names_97(self.err)

    def to_frame(self) -> Frame:
        """The reply as a meter sends it."""
        return Frame(self.address, self.function | REPLY_BIT | ABNORMAL_BIT, bytes((self.err,)))


_DATA = frozenset((old.READ_97, old.READ_FOLLOW_97, REREAD_97))
_DONE_SIZES = {old.WRITE_97: (0,), old.WRITE_ADDRESS_97: (0,), old.CHANGE_BAUD_97: (1,), old.CHANGE_PASSWORD_97: (0, 4),
               old.CLEAR_DEMAND_97: (0,)}  # fmt: skip


def parse_reply_97(frame: Frame) -> Data97 | Done97 | Refused97:
    """What a reply frame of 1997 says; `ValueFormatError` when it is none."""
    function, data = frame.function, frame.data
    if not frame.is_reply or function not in (*_DATA, *_DONE_SIZES):
        raise ValueFormatError(f"control code {frame.control:02X}H is no reply of the 1997 edition")
    if frame.abnormal:
        if len(data) != 1:
            raise ValueFormatError(f"a refusal of 1997 has one byte, not {len(data)}")
        return Refused97(frame.address, function, data[0])
    if function in _DATA:
        if len(data) < 2:
            raise ValueFormatError(f"{frame.control:02X}H has an identifier of two bytes, got {len(data)}")
        return Data97(frame.address, int.from_bytes(data[:2], "little"), data[2:], frame.follow, function)
    if frame.follow or len(data) not in _DONE_SIZES[function]:
        raise ValueFormatError(f"a reply {frame.control:02X}H cannot have {len(data)} bytes of data")
    return Done97(frame.address, function, data)


def parse_request_97(frame: Frame) -> Command:
    """The command that a request frame of 1997 carries; `ValueFormatError` when it carries none."""
    parse, sizes = _PARSERS.get(frame.control, (None, ()))
    if parse is None:
        raise ValueFormatError(f"control code {frame.control:02X}H is no request of the 1997 edition")
    if len(frame.data) not in sizes:
        raise ValueFormatError(f"{frame.control:02X}H cannot have {len(frame.data)} bytes of data")
    return parse(frame.address, frame.data)


def _di(data: bytes) -> int:
    return int.from_bytes(data[:2], "little")


def _password(data: bytes) -> str:
    return f"{values.bcd_to_int(data[:4]):08d}"


def _new_address(address: str, data: bytes) -> Command:
    values.bcd_to_int(data)
    return WriteAddress97(address, values.address_from_bytes(data))


def _clear(address: str, data: bytes) -> Command:
    return ClearDemand97(address, _password(data) if data else None)


_PARSERS: Mapping[int, tuple[Callable[[str, bytes], Command], range | tuple[int, ...]]] = {
    old.READ_97: (lambda address, data: Read97(address, _di(data)), (2,)),
    old.READ_FOLLOW_97: (lambda address, data: ReadFollow97(address, _di(data)), (2,)),
    REREAD_97: (lambda address, _data: Reread97(address), (0,)),
    old.WRITE_97: (
        lambda address, data: Write97(address, _di(data), data[6:], _password(data[2:6])), range(6, 256),
    ),
    BROADCAST_TIME: (lambda address, data: BroadcastTime(values.decode_datetime(data), address), (6,)),
    old.WRITE_ADDRESS_97: (_new_address, (6,)),
    old.CHANGE_BAUD_97: (lambda address, data: ChangeBaud97(address, data[0]), (1,)),
    old.CHANGE_PASSWORD_97: (
        lambda address, data: ChangePassword97(address, _password(data), _password(data[4:])), (8,),
    ),
    old.CLEAR_DEMAND_97: (_clear, (0, 4)),
}  # fmt: skip
