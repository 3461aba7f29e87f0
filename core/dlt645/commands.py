"""Requests of a master and how to know their replies.

A reply belongs to a request when address, control code and, where one travels, identifier (and sequence
number) match. A normal reply has the request's function with bit 7, an abnormal one bits 7 and 6 and the
error byte (or word of two). Broadcasts (address 99..99) are never answered. AA pairs in a request's address
stand for any digits; the reply then carries the meter's real address.

Passwords and operator codes are given as written, highest digits first; the wire takes the low byte first.
"""

from dataclasses import dataclass, field
from datetime import datetime
from enum import IntEnum
from typing import TypeAlias

from core.dlt645.frame import ABNORMAL_BIT, FOLLOW_BIT, REPLY_BIT, Frame
from core.dlt645.security import EXECUTION_ERRORS, SERR, bit_names
from core.dlt645.values import encode_datetime, encode_deadline, int_to_bcd
from core.errors import MeterRefused, ProtocolMisuse
from core.framing import Command as CommandOf

SECURITY = 0x03
BROADCAST_TIME = 0x08
READ = 0x11
READ_FOLLOW = 0x12
READ_ADDRESS = 0x13
WRITE = 0x14
WRITE_ADDRESS = 0x15
FREEZE = 0x16
CHANGE_BAUD = 0x17
CHANGE_PASSWORD = 0x18
CLEAR_DEMAND = 0x19
CLEAR_METER = 0x1A
CLEAR_EVENTS = 0x1B
RELAY = 0x1C
TERMINAL = 0x1D

BROADCAST_ADDRESS = "9" * 12
ANY_ADDRESS = "A" * 12
NO_OPERATOR = "0" * 8
SEQUENCE_MAX = 255
NO_SUCH_DATA = 0x02  # bit of ERR, in 1997 too; a busy meter refuses what it has with other bits
ACTIVE_REPORT = 0x04001501  # what 12H brings when the follow bit of a complete answer meant "events pending"

# Bit of the error byte: English, Chinese.
ERRORS = {
    0: ("other error", "其他错误"),
    1: ("no such data", "无请求数据"),
    2: ("wrong password or not authorised", "密码错或未授权"),
    3: ("baud rate cannot be changed", "通信速率不能更改"),
    4: ("too many zones of the year", "年时区数超"),
    5: ("too many slots of the day", "日时段数超"),
    6: ("too many rates", "费率数超"),
    7: ("reserved bit 7", "保留位7"),
}

Command: TypeAlias = CommandOf[Frame]
"""The requests of this module, of `service`, `edition1997` and `service1997`."""


class RelayAction(IntEnum):
    """N1 of command 1CH."""

    TRIP = 0x1A
    ALLOW_CLOSE = 0x1B
    CLOSE = 0x1C
    TRIP_AND_RESTORE = 0x1D
    TRIP_AND_RESTORE_1E = 0x1E
    ALARM_ON = 0x2A
    ALARM_OFF = 0x2B
    KEEP_POWER = 0x3A
    CANCEL_KEEP_POWER = 0x3B


_RELAY_ACTIONS = frozenset(RelayAction)


@dataclass(frozen=True, slots=True)
class Password:
    """Level (PA, 0 is the highest) and six digits as written; the digits never show in a repr."""

    level: int = 2
    code: str = field(default="000000", repr=False)

    def to_bytes(self) -> bytes:
        """PA P0 P1 P2."""
        return int_to_bcd(self.level, 1) + digits_to_bytes(self.code, 6, "a password")


@dataclass(frozen=True, slots=True)
class Read:
    """Command 11H: read one identifier."""

    address: str
    di: int

    @property
    def expects_reply(self) -> bool:
        """Whether any meter answers."""
        return _answered(self.address)

    def to_frame(self) -> Frame:
        """The request."""
        return Frame(self.address, READ, identifier_bytes(self.di))

    def match(self, reply: Frame) -> bool:
        """Whether `reply` answers this request, normally or not."""
        normal = _normal_follow(self.address, READ, reply)
        return _refused(self.address, READ, reply) or (normal and reply.identifier == self.di)


@dataclass(frozen=True, slots=True)
class ReadFollow:
    """Command 12H: read what follows; `seq` runs 1..255 and comes back as the last data byte."""

    address: str
    di: int
    seq: int

    @property
    def expects_reply(self) -> bool:
        """Whether any meter answers."""
        return _answered(self.address)

    def to_frame(self) -> Frame:
        """The request."""
        if not 1 <= self.seq <= SEQUENCE_MAX:
            raise ProtocolMisuse(f"sequence number {self.seq} is not within 1..{SEQUENCE_MAX}")
        return Frame(self.address, READ_FOLLOW, identifier_bytes(self.di) + bytes((self.seq,)))

    def match(self, reply: Frame) -> bool:
        """Whether `reply` answers this request, normally or not."""
        if _refused(self.address, READ_FOLLOW, reply):
            return True
        normal = _normal_follow(self.address, READ_FOLLOW, reply)
        asked = reply.identifier in (self.di, ACTIVE_REPORT)  # the second: the follow bit meant "events pending"
        return normal and len(reply.data) > 4 and asked and reply.data[-1] == self.seq


@dataclass(frozen=True, slots=True)
class ReadAddress:
    """Command 13H: ask the only meter on the line (or the one that fits the AA pattern) for its address."""

    address: str = ANY_ADDRESS

    @property
    def expects_reply(self) -> bool:
        """Whether any meter answers."""
        return _answered(self.address)

    def to_frame(self) -> Frame:
        """The request."""
        return Frame(self.address, READ_ADDRESS)

    def match(self, reply: Frame) -> bool:
        """Whether `reply` answers this request; refusal is silence, by the standard."""
        return _normal(self.address, READ_ADDRESS, reply) and len(reply.data) == 6


@dataclass(frozen=True, slots=True)
class Write:
    """Command 14H: write one identifier; `data` is the encoded value."""

    address: str
    di: int
    data: bytes
    password: Password
    operator: str = NO_OPERATOR

    @property
    def expects_reply(self) -> bool:
        """Whether any meter answers."""
        return _answered(self.address)

    def to_frame(self) -> Frame:
        """The request."""
        who = self.password.to_bytes() + operator_bytes(self.operator)
        return Frame(self.address, WRITE, identifier_bytes(self.di) + who + self.data)

    def match(self, reply: Frame) -> bool:
        """Whether `reply` answers a write to this meter (the reply names no identifier)."""
        return _normal(self.address, WRITE, reply) or _refused(self.address, WRITE, reply)


@dataclass(frozen=True, slots=True)
class BroadcastTime:
    """Command 08H: set the clocks that differ by at most five minutes; `when` is naive civil time."""

    when: datetime
    address: str = BROADCAST_ADDRESS

    @property
    def expects_reply(self) -> bool:
        """False for the broadcast address; a meter addressed by itself may answer."""
        return _answered(self.address)

    def to_frame(self) -> Frame:
        """The request."""
        return Frame(self.address, BROADCAST_TIME, encode_datetime(self.when))

    def match(self, reply: Frame) -> bool:
        """Whether `reply` answers this request; a broadcast has none."""
        if not self.expects_reply:
            return False
        return _normal(self.address, BROADCAST_TIME, reply) or _refused(self.address, BROADCAST_TIME, reply)


@dataclass(frozen=True, slots=True)
class RelayControl:
    """Command 1CH. The meter acts only if its clock is not past `deadline` (naive civil time, its own clock).

    The reply means "accepted", never "the relay has moved": only status word 3 tells that.
    """

    address: str
    action: RelayAction
    deadline: datetime
    password: Password
    operator: str = NO_OPERATOR
    restore_steps: int = 0

    @property
    def expects_reply(self) -> bool:
        """Whether any meter answers."""
        return _answered(self.address)

    def to_frame(self) -> Frame:
        """The request: PA P0..P2, operator, N1, N2 (steps of five minutes until a restore), deadline."""
        who = self.password.to_bytes() + operator_bytes(self.operator)
        if not 0 <= self.restore_steps <= 0xFF:
            raise ProtocolMisuse(f"{self.restore_steps} steps of five minutes do not fit into a byte")
        if self.action not in _RELAY_ACTIONS:
            raise ProtocolMisuse(f"relay action {self.action!r} is not known; use one of RelayAction")
        what = bytes((self.action, self.restore_steps))
        return Frame(self.address, RELAY, who + what + encode_deadline(self.deadline))

    def match(self, reply: Frame) -> bool:
        """Whether `reply` answers a relay command to this meter (the reply does not name the action)."""
        return _normal(self.address, RELAY, reply) or _refused(self.address, RELAY, reply)


def reply_value(command: Command, reply: Frame) -> bytes:
    """The payload of a reply without identifier and sequence number.

    `MeterRefused` for an abnormal reply, `ProtocolMisuse` for a reply that belongs to another request.
    """
    if not command.match(reply):
        raise ProtocolMisuse(f"reply {reply.control:02X}H of {reply.address} does not answer {command!r}")
    if reply.abnormal:
        err = int.from_bytes(reply.data, "little")
        names = ", ".join(name for name, _ in refusal_names(reply.function, reply.data)) or "no reason given"
        label = "SERR" if reply.function == SECURITY else "ERR"
        shown = f"{label} {err:0{2 * len(reply.data)}X}H"
        raise MeterRefused(err, f"meter {reply.address} refused with {shown}: {names}")
    if reply.function == READ_FOLLOW:
        return reply.data[4:-1]
    return reply.data[4:] if reply.identifier is not None else reply.data


def refusal_names(function: int, data: bytes) -> tuple[tuple[str, str], ...]:
    """What the error byte or word of a refused function means, English and Chinese."""
    word = int.from_bytes(data, "little")
    if function == SECURITY:
        return bit_names(SERR, word)
    if function == RELAY and len(data) == 2:
        return bit_names(EXECUTION_ERRORS, word)
    return error_names(word)


def error_names(err: int) -> tuple[tuple[str, str], ...]:
    """English and Chinese names of the bits set in an ERR byte."""
    return bit_names(ERRORS, err & 0xFF)


def address_matches(pattern: str, address: str) -> bool:
    """Whether a reply's address fits a request's; AA pairs of the request stand for any two digits."""
    if pattern == address:
        return "A" not in pattern  # a wildcard that comes back unchanged names no meter
    if "A" not in pattern or len(address) != len(pattern) or not address.isdecimal():
        return False
    pairs = range(0, len(pattern), 2)
    return all(pattern[i : i + 2] in ("AA", address[i : i + 2]) for i in pairs)


def shortened_address(digits: str) -> str:
    """The pattern for meters whose address ends in `digits`: AA in all bytes above them, as meters want it."""
    if len(digits) % 2 or len(digits) > 12 or (digits and not (digits.isascii() and digits.isdecimal())):
        raise ProtocolMisuse(f"{digits!r} is not 0 to 12 digits in pairs, the last ones of an address")
    return digits.rjust(12, "A")


def _answered(address: str) -> bool:
    return address != BROADCAST_ADDRESS


def identifier_bytes(di: int) -> bytes:
    """Four bytes, low byte first; `ProtocolMisuse` when it has more."""
    if not 0 <= di <= 0xFFFFFFFF:
        raise ProtocolMisuse(f"identifier {di:X} is not four bytes")
    return di.to_bytes(4, "little")


def operator_bytes(digits: str) -> bytes:
    """Four bytes, low byte first; `ProtocolMisuse` unless there are eight digits."""
    return digits_to_bytes(digits, 8, "an operator code")


def digits_to_bytes(text: str, count: int, what: str) -> bytes:
    """Digits as written to BCD bytes, low byte first; the text itself may be secret and is not shown."""
    if len(text) != count or not (text.isascii() and text.isdecimal()):
        raise ProtocolMisuse(f"{what} has {count} digits")
    return bytes.fromhex(text)[::-1]


def _normal(address: str, function: int, reply: Frame) -> bool:
    return reply.control == function | REPLY_BIT and address_matches(address, reply.address)


def _normal_follow(address: str, function: int, reply: Frame) -> bool:
    plain = reply.control & ~FOLLOW_BIT
    return plain == function | REPLY_BIT and address_matches(address, reply.address)


def _refused(address: str, function: int, reply: Frame) -> bool:
    abnormal = function | REPLY_BIT | ABNORMAL_BIT
    return reply.control == abnormal and len(reply.data) in (1, 2) and address_matches(address, reply.address)
