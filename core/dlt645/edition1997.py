"""DL/T 645-1997: the same frame with identifiers of two bytes, other control codes and other errors.

Identifiers travel low byte first; a low nibble F is a block. A meter may end a block with AAH. There is no operator
code: a write is identifier, password of four bytes and value. Meters of this edition answer reads to 99..99, with
their own address, and some echo AA..AA instead of naming themselves.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from core.dlt645.catalogue_1997 import TABLE_97
from core.dlt645.commands import ANY_ADDRESS, BROADCAST_ADDRESS, Command, address_matches, digits_to_bytes
from core.dlt645.entry import Identifier
from core.dlt645.frame import ABNORMAL_BIT, FOLLOW_BIT, REPLY_BIT, Frame
from core.dlt645.identifiers import Value, decode_entry
from core.errors import MeterRefused, ProtocolMisuse, ValueFormatError

READ_97 = 0x01
READ_FOLLOW_97 = 0x02
REREAD_97 = 0x03
WRITE_97 = 0x04
WRITE_ADDRESS_97 = 0x0A
CHANGE_BAUD_97 = 0x0C
CHANGE_PASSWORD_97 = 0x0F
CLEAR_DEMAND_97 = 0x10
BLOCK_END = 0xAA
PASSWORD_BYTES = 4
_WITH_IDENTIFIER = frozenset((READ_97, READ_FOLLOW_97, WRITE_97))
_WITH_DATA = frozenset((READ_97, READ_FOLLOW_97, REREAD_97))

ENERGY_TOTAL_97 = 0x9010
ENERGY_BLOCK_97 = 0x901F
METER_NUMBER_97 = 0xC032

# Bit of the error byte: English, Chinese. Bits 0 and 1 mean something else than in 2007.
ERRORS_97 = {
    0: ("illegal data", "非法数据"),
    1: ("identifier error", "数据标识错"),
    2: ("wrong password", "密码错"),
    4: ("too many zones of the year", "年时区数超"),
    5: ("too many slots of the day", "日时段数超"),
    6: ("too many rates", "费率数超"),
}

# The 2007 identifier that holds the same quantity. D113, D120 and D130 are what one concentrator calls status word 3,
# the last closing and the last trip: no meter of 1997 is known to have them.
TO_2007: Mapping[int, int] = MappingProxyType(
    {
        0x9010: 0x00010000,
        0x901F: 0x0001FF00,
        0xB611: 0x02010100,
        0xB621: 0x02020100,
        0xB630: 0x02030000,
        0xC011: 0x04000102,
        0xD113: 0x04000503,
        0xD120: 0x1E000101,
        0xD130: 0x1D000101,
    }
)


def lookup_97(di: int) -> Identifier | None:
    """The entry of a two-byte identifier, or None for one that the table does not hold."""
    return TABLE_97.get(di)


def decode_value_97(di: int, data: bytes) -> tuple[Value, ...]:
    """Read the data behind a two-byte identifier, as `identifiers.decode_value` does for 2007."""
    entry = TABLE_97.get(di)
    if entry is None:
        raise ValueFormatError(f"identifier {di:04X} is not in the 1997 table; its data is {data.hex().upper()}")
    if len(data) > 1 and len(data) % entry.item_length == 1 and data[-1] == BLOCK_END:
        data = data[:-1]
    return decode_entry(entry, data)


def identifier_97(frame: Frame) -> int | None:
    """The two-byte identifier of a 1997 frame, or None where none travels."""
    if frame.abnormal or len(frame.data) < 2 or frame.function not in _WITH_IDENTIFIER:
        return None
    return int.from_bytes(frame.data[:2], "little")


def error_names_97(err: int) -> tuple[tuple[str, str], ...]:
    """English and Chinese names of the bits set in an error byte of 1997."""
    return tuple(names for bit, names in ERRORS_97.items() if err >> bit & 1)


@dataclass(frozen=True, slots=True)
class Read97:
    """Command 01H: read one identifier. A wildcard address fits a point-to-point line only."""

    address: str
    di: int

    @property
    def expects_reply(self) -> bool:
        """True even for 99..99: meters of this edition answer it."""
        return True

    def to_frame(self) -> Frame:
        """The request."""
        return Frame(self.address, READ_97, identifier_bytes(self.di))

    def match(self, reply: Frame) -> bool:
        """Whether `reply` answers this request, normally or not."""
        if not answers(self.address, reply):
            return False
        normal = reply.control & ~FOLLOW_BIT == READ_97 | REPLY_BIT
        return _refused(READ_97, reply) or (normal and identifier_97(reply) == self.di)


@dataclass(frozen=True, slots=True)
class Write97:
    """Command 04H: write one identifier; `password` is eight digits as written and shows in no repr."""

    address: str
    di: int
    data: bytes
    password: str = field(default="00000000", repr=False)

    @property
    def expects_reply(self) -> bool:
        """Whether a meter answers; nobody should count on the answer to a broadcast write."""
        return self.address != BROADCAST_ADDRESS

    def to_frame(self) -> Frame:
        """The request: identifier, password, value."""
        secret = password_bytes(self.password)
        return Frame(self.address, WRITE_97, identifier_bytes(self.di) + secret + self.data)

    def match(self, reply: Frame) -> bool:
        """Whether `reply` answers a write to this meter (the reply names no identifier)."""
        normal = reply.control == WRITE_97 | REPLY_BIT
        return answers(self.address, reply) and (normal or _refused(WRITE_97, reply))


def reply_value_97(command: Command, reply: Frame) -> bytes:
    """The payload of a reply without identifier; `MeterRefused` or `ProtocolMisuse` like in 2007."""
    if not command.match(reply):
        raise ProtocolMisuse(f"reply {reply.control:02X}H of {reply.address} does not answer {command!r}")
    if reply.abnormal:
        err = reply.data[0]
        names = ", ".join(en for en, _ in error_names_97(err)) or "no reason given"
        raise MeterRefused(err, f"meter {reply.address} refused with ERR {err:02X}H: {names}")
    return reply.data[2:] if reply.function in _WITH_DATA else reply.data


def answers(pattern: str, reply: Frame) -> bool:
    """Whether the reply's address fits; 99..99 and AA..AA also fit any meter and their own echo."""
    if pattern in (BROADCAST_ADDRESS, ANY_ADDRESS):
        return reply.is_reply
    return address_matches(pattern, reply.address)


def _refused(function: int, reply: Frame) -> bool:
    return reply.control == function | REPLY_BIT | ABNORMAL_BIT and len(reply.data) == 1


def password_bytes(digits: str) -> bytes:
    """Eight digits as written, low byte first; `ProtocolMisuse` for anything else, which is not shown."""
    return digits_to_bytes(digits, 2 * PASSWORD_BYTES, "a password of 1997")


def identifier_bytes(di: int) -> bytes:
    """Two bytes, low byte first."""
    if not 0 <= di <= 0xFFFF:
        raise ProtocolMisuse(f"identifier {di:X} is not two bytes")
    return di.to_bytes(2, "little")
