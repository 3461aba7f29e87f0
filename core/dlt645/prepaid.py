"""Local fee control: the typed requests and replies of command 03H for credit that the meter itself keeps.

    identity authentication -> recharge (or open account) -> status query -> end of authentication

Amounts and counts are binary, low byte first, amounts in fen, unlike everywhere else. Ciphers, MACs and random numbers
are bytes in the order of the wire: a vending backend makes and judges them (`core.vending`). The requests go through a
session like those of `service`; `read_request` turns the generic `Authenticate` that a listener sees into one of them.
"""

from dataclasses import dataclass, field
from typing import ClassVar, Self

from core.dlt645.commands import NO_OPERATOR
from core.dlt645.service import Authenticate, Service
from core.dlt645.values import address_from_bytes, address_to_bytes, bcd_to_int, int_to_bcd
from core.errors import ProtocolMisuse, ValueFormatError

IDENTITY = 0x070000FF
VALIDITY = 0x070001FF
END = 0x070002FF
OPEN_ACCOUNT = 0x070101FF
RECHARGE = 0x070102FF
STATUS = 0x078102FF
PURCHASE_BLOCK = 0x0333FF00  # DI0 = n: the n-th last purchase of money, whole record

MAC_BYTES = 4
CIPHER_BYTES = 8
RANDOM_1_BYTES = 8
FACTOR_BYTES = 8
RANDOM_2_BYTES = 4
SERIAL_BYTES = 8
KEYS_BYTES = 4
CREDIT_BYTES = 22
PURCHASE_BYTES = 23
BINARY_MAX = 0xFFFFFFFF
PURCHASES_KEPT = 10


@dataclass(frozen=True, slots=True)
class Credit:
    """What a purchase says: money in fen, the purchase count that it makes, the customer (12 digits)."""

    amount_fen: int
    count: int
    customer: str

    def __post_init__(self) -> None:
        for what, number in (("amount", self.amount_fen), ("purchase count", self.count)):
            if not 0 <= number <= BINARY_MAX:
                raise ProtocolMisuse(f"{what} {number} does not fit into four bytes")
        if not self.customer.isdecimal():
            raise ProtocolMisuse(f"customer number {self.customer!r} is not 12 digits")
        address_to_bytes(self.customer)

    @property
    def money(self) -> bytes:
        """Amount and count as they travel."""
        return _binary(self.amount_fen) + _binary(self.count)

    @property
    def owner(self) -> bytes:
        """The customer number as it travels."""
        return address_to_bytes(self.customer)


@dataclass(frozen=True, slots=True)
class SecurityRequest(Service):
    """What the requests of this module share: an identifier and a normal reply of fixed length."""

    FUNCTION: ClassVar[int] = 0x03
    DI: ClassVar[int]
    PAYLOAD_BYTES: ClassVar[int] = 0
    REPLY_BYTES: ClassVar[int] = 0
    operator: str = field(default=NO_OPERATOR, kw_only=True)

    def payload(self) -> bytes:
        """What follows identifier and operator."""
        return b""

    def body(self) -> bytes:
        """DI, operator, payload."""
        return Authenticate(self.address, self.DI, self.payload(), self.operator).body()

    def fits(self, data: bytes) -> bool:
        """The identifier comes back, and what the meter has to say."""
        return data[:4] == self.DI.to_bytes(4, "little") and len(data) == 4 + self.REPLY_BYTES

    @classmethod
    def read(cls, address: str, payload: bytes, operator: str) -> Self:
        """The request with a payload of `PAYLOAD_BYTES`."""
        return cls(address, operator=operator)


@dataclass(frozen=True, slots=True)
class AuthenticateIdentity(SecurityRequest):
    """070000FF. The reply is an `IdentityReply`."""

    DI: ClassVar[int] = IDENTITY
    PAYLOAD_BYTES: ClassVar[int] = CIPHER_BYTES + RANDOM_1_BYTES + FACTOR_BYTES
    REPLY_BYTES: ClassVar[int] = RANDOM_2_BYTES + SERIAL_BYTES
    cipher: bytes = field(repr=False)
    random: bytes
    factor: bytes

    def payload(self) -> bytes:
        """Cipher 1, random number 1, dispersion factor."""
        return (
            _exact(self.cipher, CIPHER_BYTES, "cipher")
            + _exact(self.random, RANDOM_1_BYTES, "random number")
            + _exact(self.factor, FACTOR_BYTES, "factor")
        )

    @classmethod
    def read(cls, address: str, payload: bytes, operator: str) -> Self:
        """The request with these 24 bytes."""
        return cls(address, payload[:8], payload[8:16], payload[16:], operator=operator)


@dataclass(frozen=True, slots=True)
class SetValidity(SecurityRequest):
    """070001FF: how many minutes an authentication holds (five as delivered)."""

    DI: ClassVar[int] = VALIDITY
    PAYLOAD_BYTES: ClassVar[int] = 2 + MAC_BYTES
    minutes: int
    mac: bytes = field(repr=False)

    def payload(self) -> bytes:
        """Minutes in BCD, MAC."""
        return int_to_bcd(self.minutes, 2) + _exact(self.mac, MAC_BYTES, "MAC")

    @classmethod
    def read(cls, address: str, payload: bytes, operator: str) -> Self:
        """The request with these six bytes."""
        return cls(address, bcd_to_int(payload[:2]), payload[2:], operator=operator)


@dataclass(frozen=True, slots=True)
class EndAuthentication(SecurityRequest):
    """070002FF. The reply is an `Account`."""

    DI: ClassVar[int] = END
    REPLY_BYTES: ClassVar[int] = 6 + 4 + 4 + KEYS_BYTES


@dataclass(frozen=True, slots=True)
class Recharge(SecurityRequest):
    """070102FF: book a purchase. The meter books a count once; the same request may be sent again after a silence."""

    DI: ClassVar[int] = RECHARGE
    PAYLOAD_BYTES: ClassVar[int] = CREDIT_BYTES
    credit: Credit
    mac_1: bytes = field(repr=False)
    mac_2: bytes = field(repr=False)

    def payload(self) -> bytes:
        """Amount, count, MAC 1, customer, MAC 2."""
        macs = _exact(self.mac_1, MAC_BYTES, "MAC 1"), _exact(self.mac_2, MAC_BYTES, "MAC 2")
        return self.credit.money + macs[0] + self.credit.owner + macs[1]

    @classmethod
    def read(cls, address: str, payload: bytes, operator: str) -> Self:
        """The request with these 22 bytes."""
        credit = Credit(_number(payload[:4]), _number(payload[4:8]), _customer(payload[12:18]))
        return cls(address, credit, payload[8:12], payload[18:], operator=operator)


@dataclass(frozen=True, slots=True)
class OpenAccount(Recharge):
    """070101FF: the first purchase, which also gives the meter its customer."""

    DI: ClassVar[int] = OPEN_ACCOUNT


@dataclass(frozen=True, slots=True)
class QueryStatus(SecurityRequest):
    """078102FF. The reply is a `Status`."""

    DI: ClassVar[int] = STATUS
    REPLY_BYTES: ClassVar[int] = 4 + MAC_BYTES + 4 + MAC_BYTES + 6 + KEYS_BYTES


REQUESTS: dict[int, type[SecurityRequest]] = {
    kind.DI: kind for kind in (AuthenticateIdentity, SetValidity, EndAuthentication, OpenAccount, Recharge, QueryStatus)
}


def read_request(seen: Authenticate) -> SecurityRequest:
    """The typed request that a 03H carries; `ValueFormatError` for another identifier or a wrong length."""
    kind = REQUESTS.get(seen.di)
    if kind is None:
        raise ValueFormatError(f"{seen.di:08X} is no request of local fee control")
    if len(seen.payload) != kind.PAYLOAD_BYTES:
        raise ValueFormatError(f"{seen.di:08X} has {kind.PAYLOAD_BYTES} bytes of payload, not {len(seen.payload)}")
    return kind.read(seen.address, seen.payload, seen.operator)


@dataclass(frozen=True, slots=True)
class IdentityReply:
    """What a meter answers to 070000FF: its own random number and the serial number of its security module."""

    random: bytes
    serial: bytes

    @classmethod
    def read(cls, data: bytes) -> Self:
        """From the data behind the identifier."""
        _sized(data, RANDOM_2_BYTES + SERIAL_BYTES, IDENTITY)
        return cls(data[:RANDOM_2_BYTES], data[RANDOM_2_BYTES:])

    def to_bytes(self) -> bytes:
        """As a meter sends it."""
        return _exact(self.random, RANDOM_2_BYTES, "random number") + _exact(self.serial, SERIAL_BYTES, "serial number")


@dataclass(frozen=True, slots=True)
class Account:
    """What a meter answers to 070002FF; nothing vouches for it."""

    customer: str
    remaining_fen: int
    count: int
    keys: bytes = bytes(KEYS_BYTES)

    @classmethod
    def read(cls, data: bytes) -> Self:
        """From the data behind the identifier."""
        _sized(data, EndAuthentication.REPLY_BYTES, END)
        return cls(_customer(data[:6]), _number(data[6:10]), _number(data[10:14]), data[14:])

    def to_bytes(self) -> bytes:
        """As a meter sends it."""
        customer = address_to_bytes(self.customer)
        return customer + _binary(self.remaining_fen) + _binary(self.count) + _exact(self.keys, KEYS_BYTES, "key state")


@dataclass(frozen=True, slots=True)
class Status:
    """What a meter answers to 078102FF: money and count, each with its MAC."""

    remaining_fen: int
    remaining_mac: bytes
    count: int
    count_mac: bytes
    customer: str
    keys: bytes = bytes(KEYS_BYTES)

    @classmethod
    def read(cls, data: bytes) -> Self:
        """From the data behind the identifier."""
        _sized(data, QueryStatus.REPLY_BYTES, STATUS)
        count, customer = _number(data[8:12]), _customer(data[16:22])
        return cls(_number(data[:4]), data[4:8], count, data[12:16], customer, data[22:])

    def to_bytes(self) -> bytes:
        """As a meter sends it."""
        money = _binary(self.remaining_fen) + _exact(self.remaining_mac, MAC_BYTES, "MAC")
        count = _binary(self.count) + _exact(self.count_mac, MAC_BYTES, "MAC")
        return money + count + address_to_bytes(self.customer) + _exact(self.keys, KEYS_BYTES, "key state")


@dataclass(frozen=True, slots=True)
class Purchase:
    """One record of 03 33 FF nn. The count travels in two bytes, and no two sources say how: both ways are accepted."""

    count_wire: bytes
    amount_fen: int
    before_fen: int
    after_fen: int

    @classmethod
    def read(cls, data: bytes) -> Self:
        """From the data behind the identifier; `ValueFormatError` when it is no record."""
        _sized(data, PURCHASE_BYTES, PURCHASE_BLOCK)
        amount, before, after = (bcd_to_int(data[at : at + 4]) for at in (7, 11, 15))
        return cls(data[5:7], amount, before, after)

    def is_of(self, count: int) -> bool:
        """Whether the record can be that of purchase `count`, in BCD (its last four digits) or in binary."""
        return self.count_wire in (int_to_bcd(count % 10_000, 2), (count & 0xFFFF).to_bytes(2, "little"))


def _exact(data: bytes, size: int, what: str) -> bytes:
    if len(data) != size:
        raise ProtocolMisuse(f"{what}: {size} bytes are needed, not {len(data)}")
    return data


def _sized(data: bytes, size: int, di: int) -> None:
    if len(data) != size:
        raise ValueFormatError(f"{di:08X} is answered with {size} bytes, not {len(data)}")


def _binary(number: int) -> bytes:
    return number.to_bytes(4, "little")


def _number(data: bytes) -> int:
    return int.from_bytes(data, "little")


def _customer(data: bytes) -> str:
    bcd_to_int(data)
    return address_from_bytes(data)
