"""The meter's side of the dummy scheme: the security module and the wallet of a simulated prepaid meter.

`DummyEsam.answer` takes what followed 03H in a frame and gives the data of the reply, or raises `SecurityRefused` with
the error word. Time and random numbers are arguments. A purchase with count n on a meter at count m is booked when
n = m + 1 and the hoarding limit allows; n = m is refused as repeated, everything else as a wrong count. Customer before
MAC, MAC before count. Only an authentication that has neither run out nor been ended lets money in.
"""

import hmac
from collections import deque
from dataclasses import dataclass, field

from core.dlt645 import prepaid
from core.dlt645.security import Serr
from core.dlt645.service import Authenticate
from core.errors import CoreError, ValueFormatError
from core.vending.dummy import credit_macs, factor_of, status_macs, tag

VALIDITY_S = 300.0
HOARD_LIMIT_FEN = 99_999_999  # what a limit of 0 means
MAC_FAILURES_MAX = 200
PAYLOAD_AT = 8  # behind identifier and operator


class SecurityRefused(CoreError):
    """The meter refuses with this error word; on the wire it is C3H with two bytes, low byte first."""

    def __init__(self, serr: Serr) -> None:
        super().__init__(f"refused with SERR {serr:04X}H: {serr!r}")
        self.serr = serr

    def __reduce__(self) -> tuple[type["SecurityRefused"], tuple[Serr]]:
        """Packed with its error word, from which the words follow."""
        return type(self), (self.serr,)


@dataclass(frozen=True, slots=True)
class Booking:
    """One purchase that the wallet has taken: what 03 33 shows of it, but for the time."""

    credit: prepaid.Credit
    before_fen: int
    after_fen: int
    total_fen: int


@dataclass(slots=True)
class Wallet:
    """Money, count and customer inside the meter; the meter itself lowers `remaining_fen` as energy flows."""

    customer: str = "0" * 12
    remaining_fen: int = 0
    overdraft_fen: int = 0
    count: int = 0
    hoard_limit_fen: int = 0
    total_fen: int = 0
    bookings: deque[Booking] = field(default_factory=lambda: deque(maxlen=prepaid.PURCHASES_KEPT))

    def book(self, credit: prepaid.Credit) -> None:
        """Take a purchase, or raise `SecurityRefused`."""
        if credit.count == self.count:
            raise SecurityRefused(Serr.REPEATED)
        if credit.count != self.count + 1:
            raise SecurityRefused(Serr.COUNT)
        left_fen = credit.amount_fen + self.remaining_fen - self.overdraft_fen
        if left_fen > (self.hoard_limit_fen or HOARD_LIMIT_FEN):
            raise SecurityRefused(Serr.HOARDING)
        before_fen = self.remaining_fen
        self.remaining_fen, self.overdraft_fen = max(left_fen, 0), max(-left_fen, 0)
        self.count = credit.count
        self.total_fen += credit.amount_fen
        self.bookings.appendleft(Booking(credit, before_fen, self.remaining_fen, self.total_fen))


@dataclass(slots=True)
class DummyEsam:
    """The security module of one simulated meter."""

    address: str
    wallet: Wallet
    serial: bytes = bytes(prepaid.SERIAL_BYTES)
    validity_s: float = VALIDITY_S
    mac_failures: int = 0
    _random: bytes | None = None
    _valid_until_s: float = 0.0

    def answer(self, data: bytes, now_s: float, random: bytes) -> bytes:
        """The data of the normal reply to a 03H with this data; `random` is four fresh bytes of the meter."""
        seen = Authenticate(self.address, int.from_bytes(data[:4], "little"), data[PAYLOAD_AT:])
        try:
            request = prepaid.read_request(seen)
        except ValueFormatError as error:
            raise SecurityRefused(Serr.OTHER) from error
        return data[:4] + self._said(request, now_s, random)

    def is_authenticated(self, now_s: float) -> bool:
        """Whether an authentication holds: bit 13 of status word 3."""
        return self._random is not None and now_s < self._valid_until_s

    def _said(self, request: prepaid.SecurityRequest, now_s: float, random: bytes) -> bytes:
        wallet = self.wallet
        if isinstance(request, prepaid.AuthenticateIdentity):
            return self._identify(request, now_s, random)
        if isinstance(request, prepaid.QueryStatus):
            macs = status_macs(factor_of(self.address), wallet.remaining_fen, wallet.count)
            return prepaid.Status(wallet.remaining_fen, macs[0], wallet.count, macs[1], wallet.customer).to_bytes()
        if isinstance(request, prepaid.EndAuthentication):
            self._random = None
            return prepaid.Account(wallet.customer, wallet.remaining_fen, wallet.count).to_bytes()
        if self._random is None or now_s >= self._valid_until_s:
            raise SecurityRefused(Serr.IDENTITY)
        if isinstance(request, prepaid.SetValidity):
            self._check(request.mac, tag(factor_of(self.address), "validity", self._random, request.payload()[:2]))
            self.validity_s = 60.0 * request.minutes
        if isinstance(request, prepaid.Recharge):
            self._credit(request, self._random)
        return b""

    def _identify(self, request: prepaid.AuthenticateIdentity, now_s: float, random: bytes) -> bytes:
        if self.mac_failures > MAC_FAILURES_MAX:
            raise SecurityRefused(Serr.SUSPENDED)
        factor = factor_of(self.address)
        right = tag(factor, "identity", request.random, size=prepaid.CIPHER_BYTES)
        if request.factor != factor or not hmac.compare_digest(right, request.cipher):
            raise SecurityRefused(Serr.IDENTITY)
        reply = prepaid.IdentityReply(random, self.serial).to_bytes()
        self._random, self._valid_until_s = random, now_s + self.validity_s
        return reply

    def _credit(self, request: prepaid.Recharge, random: bytes) -> None:
        """The dummy's own rule for opening an account: only a meter that has never booked takes one."""
        opening = isinstance(request, prepaid.OpenAccount)
        if opening and self.wallet.count:
            raise SecurityRefused(Serr.COUNT)
        if not opening and request.credit.customer != self.wallet.customer:
            raise SecurityRefused(Serr.CUSTOMER)
        right = credit_macs(factor_of(self.address), random, request.DI, request.credit)
        self._check(request.mac_1 + request.mac_2, right.mac_1 + right.mac_2)
        self.wallet.book(request.credit)
        if opening:
            self.wallet.customer = request.credit.customer

    def _check(self, stated: bytes, right: bytes) -> None:
        if not hmac.compare_digest(stated, right):
            self.mac_failures += 1
            raise SecurityRefused(Serr.ESAM)
