"""The rarer requests of a 2007 master: security, addresses, freezes, baud, passwords, clearing, terminal.

Same shape as the requests of `commands`. Broadcasts are never answered. The reply to a new address comes from the
new address; the reply to a new baud rate comes at the old one, and only then the meter switches. Clearing and
security at levels 98 and 96 carry ciphertext and MAC that only a key holder can make: here they are bytes.
"""

from dataclasses import dataclass, field
from datetime import datetime
from typing import ClassVar

from core.dlt645.commands import (
    BROADCAST_ADDRESS,
    CHANGE_BAUD,
    CHANGE_PASSWORD,
    CLEAR_DEMAND,
    CLEAR_EVENTS,
    CLEAR_METER,
    FREEZE,
    NO_OPERATOR,
    READ,
    RELAY,
    SECURITY,
    TERMINAL,
    WRITE_ADDRESS,
    Password,
    address_matches,
    identifier_bytes,
    operator_bytes,
)
from core.dlt645.frame import ABNORMAL_BIT, FOLLOW_BIT, REPLY_BIT, Frame
from core.dlt645.values import address_to_bytes, encode_baud, encode_minute, int_to_bcd
from core.errors import ProtocolMisuse

ALL_EVENTS = 0xFFFFFFFF
PASSWORD_DI = 0x04000C00
EVERY = 99  # a field of a freeze time that fits every month, day or hour
FREEZE_DAY_MAX = 28
BLOCKS_MAX = 99
SEALED_BYTES = 20  # ciphertext that replaces action and deadline at password levels 98 and 96


@dataclass(frozen=True, slots=True)
class Service:
    """What the requests of this module share: an address, one function code, an empty normal reply."""

    FUNCTION: ClassVar[int]
    address: str

    @property
    def expects_reply(self) -> bool:
        """Whether any meter answers."""
        return self.address != BROADCAST_ADDRESS

    def body(self) -> bytes:
        """The data field of the request, without the offset."""
        return b""

    def to_frame(self) -> Frame:
        """The request."""
        return Frame(self.address, self.FUNCTION, self.body())

    def match(self, reply: Frame) -> bool:
        """Whether `reply` answers this request, normally or not."""
        if not self.expects_reply or not address_matches(self.address, reply.address):
            return False
        refusal = self.FUNCTION | REPLY_BIT | ABNORMAL_BIT
        if reply.control == refusal:
            return len(reply.data) in (1, 2)
        return reply.control == self.FUNCTION | REPLY_BIT and self.fits(reply.data)

    def fits(self, data: bytes) -> bool:
        """Whether the data of a normal reply is one that this request can have."""
        return not data


@dataclass(frozen=True, slots=True)
class ReadRecords(Service):
    """Command 11H with a number of blocks, and from when: load records. The rest comes by `ReadFollow`."""

    FUNCTION: ClassVar[int] = READ
    di: int
    blocks: int
    since: datetime | None = None

    def body(self) -> bytes:
        """DI, N in BCD and, if given, mm hh DD MM YY."""
        if not 1 <= self.blocks <= BLOCKS_MAX:
            raise ProtocolMisuse(f"{self.blocks} blocks are not within 1..{BLOCKS_MAX}")
        since = b"" if self.since is None else encode_minute(self.since)
        return identifier_bytes(self.di) + int_to_bcd(self.blocks, 1) + since

    def match(self, reply: Frame) -> bool:
        """Whether `reply` answers; more may follow."""
        plain = Frame(reply.address, reply.control & ~FOLLOW_BIT, reply.data)
        return Service.match(self, reply if reply.abnormal else plain)

    def fits(self, data: bytes) -> bool:
        """The identifier comes back."""
        return data[:4] == identifier_bytes(self.di)


@dataclass(frozen=True, slots=True)
class Authenticate(Service):
    """Command 03H: one step of authentication or of a recharge; `payload` is what the vending backend made."""

    FUNCTION: ClassVar[int] = SECURITY
    di: int
    payload: bytes = b""
    operator: str = NO_OPERATOR

    def body(self) -> bytes:
        """DI, operator, payload."""
        return identifier_bytes(self.di) + operator_bytes(self.operator) + self.payload

    def fits(self, data: bytes) -> bool:
        """The identifier comes back."""
        return data[:4] == identifier_bytes(self.di)


@dataclass(frozen=True, slots=True)
class WriteAddress(Service):
    """Command 15H, to the only meter on the line (AA..AA), its program key pressed; refusal is silence."""

    FUNCTION: ClassVar[int] = WRITE_ADDRESS
    new_address: str

    def body(self) -> bytes:
        """A0..A5."""
        return address_to_bytes(self.new_address)

    def match(self, reply: Frame) -> bool:
        """The answer comes from the new address."""
        return reply.control == self.FUNCTION | REPLY_BIT and reply.address == self.new_address


@dataclass(frozen=True, slots=True)
class Freeze(Service):
    """Command 16H: freeze each time the given fields come; `EVERY` from the month down leaves them open."""

    FUNCTION: ClassVar[int] = FREEZE
    month: int = EVERY
    day: int = EVERY
    hour: int = EVERY
    minute: int = EVERY

    def body(self) -> bytes:
        """mm hh DD MM."""
        row = (self.month, self.day, self.hour, self.minute)
        closed = [value != EVERY for value in row]
        limits = ((EVERY, EVERY), (1, FREEZE_DAY_MAX), (0, 23), (0, 59))
        inside = all(value == EVERY or low <= value <= high for value, (low, high) in zip(row, limits, strict=True))
        if closed != sorted(closed) or not inside:
            raise ProtocolMisuse(f"freeze time {row}: leave month, then day, hour and minute open")
        return b"".join(int_to_bcd(value, 1) for value in reversed(row))


@dataclass(frozen=True, slots=True)
class ChangeBaud(Service):
    """Command 17H. When the answer is lost, the rate is not known: try both."""

    FUNCTION: ClassVar[int] = CHANGE_BAUD
    baud: int

    def body(self) -> bytes:
        """The baud word, one bit set."""
        return bytes((encode_baud(self.baud),))

    def fits(self, data: bytes) -> bool:
        """The word comes back."""
        return data == self.body()


@dataclass(frozen=True, slots=True)
class ChangePassword(Service):
    """Command 18H: the password of `new`'s level, authorised by `old` of the same or a higher level."""

    FUNCTION: ClassVar[int] = CHANGE_PASSWORD
    old: Password
    new: Password

    def body(self) -> bytes:
        """DI of the level, old and new password with their levels."""
        if not 0 <= self.new.level <= 9 or self.old.level > self.new.level:
            raise ProtocolMisuse(f"a password of level {self.old.level} does not change one of level {self.new.level}")
        return identifier_bytes(PASSWORD_DI + self.new.level + 1) + self.old.to_bytes() + self.new.to_bytes()

    def fits(self, data: bytes) -> bool:
        """The new password comes back."""
        return data == self.new.to_bytes()


@dataclass(frozen=True, slots=True)
class ClearDemand(Service):
    """Command 19H: set the maximum demands to zero."""

    FUNCTION: ClassVar[int] = CLEAR_DEMAND
    password: Password
    operator: str = NO_OPERATOR

    def body(self) -> bytes:
        """PA P0..P2, operator."""
        return self.password.to_bytes() + operator_bytes(self.operator)


@dataclass(frozen=True, slots=True)
class ClearMeter(Service):
    """Command 1AH: set all registers to zero; at level 98 with ciphertext."""

    FUNCTION: ClassVar[int] = CLEAR_METER
    password: Password
    operator: str = NO_OPERATOR
    cipher: bytes = field(default=b"", repr=False)

    def body(self) -> bytes:
        """PA P0..P2, operator, ciphertext."""
        if len(self.cipher) not in (0, SEALED_BYTES):
            raise ProtocolMisuse(f"the ciphertext has {SEALED_BYTES} bytes or none, not {len(self.cipher)}")
        return self.password.to_bytes() + operator_bytes(self.operator) + self.cipher


@dataclass(frozen=True, slots=True)
class ClearEvents(Service):
    """Command 1BH: forget all events, or those of one kind (DI0 = FF)."""

    FUNCTION: ClassVar[int] = CLEAR_EVENTS
    password: Password
    operator: str = NO_OPERATOR
    di: int = ALL_EVENTS

    def body(self) -> bytes:
        """PA P0..P2, operator, DI."""
        if self.di & 0xFF != 0xFF:
            raise ProtocolMisuse(f"events are cleared by kind: the last byte of {self.di:08X} must be FF")
        return self.password.to_bytes() + operator_bytes(self.operator) + identifier_bytes(self.di)


@dataclass(frozen=True, slots=True)
class SealedControl(Service):
    """Command 1CH at level 98 or 96: action and deadline are inside the ciphertext."""

    FUNCTION: ClassVar[int] = RELAY
    password: Password
    cipher: bytes = field(repr=False)
    operator: str = NO_OPERATOR

    def body(self) -> bytes:
        """PA P0..P2, operator, ciphertext."""
        if len(self.cipher) != SEALED_BYTES:
            raise ProtocolMisuse(f"the ciphertext has {SEALED_BYTES} bytes, not {len(self.cipher)}")
        return self.password.to_bytes() + operator_bytes(self.operator) + self.cipher

    def fits(self, data: bytes) -> bool:
        """Nothing, or the execution word."""
        return len(data) in (0, 2)


@dataclass(frozen=True, slots=True)
class Terminal(Service):
    """Command 1DH: what the multi-function terminal gives out (0 second pulse, 1 demand period, 2 slot switch)."""

    FUNCTION: ClassVar[int] = TERMINAL
    output: int

    def body(self) -> bytes:
        """N."""
        if self.output not in (0, 1, 2):
            raise ProtocolMisuse(f"output {self.output} is not 0, 1 or 2")
        return bytes((self.output,))

    def fits(self, data: bytes) -> bool:
        """N comes back."""
        return data == self.body()
