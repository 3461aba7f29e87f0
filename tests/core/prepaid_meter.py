"""A prepaid meter on paper: hex in, hex out, its bookings in a dictionary. It judges `core.vending`.

It imports nothing of the project but the test's own frame oracle: layouts, the count rule and the sealing scheme are
written down here a second time, from the tables. A count is booked at most once, and only under an authentication.
"""

import hashlib
import hmac

from tests.core.frame_oracle import Seen, build, frames_in

KEY = "estate645 simulator: this key is public and protects nothing"
VALID_S = 300


def turned(digits: str) -> str:
    """Hex pairs in the other order."""
    return "".join(reversed([digits[i : i + 2] for i in range(0, len(digits), 2)]))


def binary(number: int) -> str:
    """Four bytes, low byte first."""
    return turned(format(number, "08x"))


def number(digits: str) -> int:
    """The number of binary bytes, low byte first."""
    return int(turned(digits), 16)


def bcd(value: int, size: int) -> str:
    """Decimal digits in pairs, lowest pair first."""
    return turned(format(value, f"0{2 * size}d"))


def wire(address: str, control: int, data: str) -> bytes:
    """A frame as it travels."""
    return build(Seen(address, control, data))


def seal(address: str, label: str, joined: str, size: int = 4) -> str:
    """The dummy scheme's tag over bytes given in hex."""
    own = hmac.new(KEY.encode(), bytes.fromhex("0000" + turned(address)), hashlib.sha256).digest()
    return hmac.new(own, label.encode() + b"\x00" + bytes.fromhex(joined), hashlib.sha256).hexdigest()[: 2 * size]


class PaperMeter:
    """`books` is count -> amount; `log` every booking in order, so that a double one would show."""

    def __init__(self, address: str = "201412345678", customer: str = "000000123456", count: int = 0) -> None:
        self.address, self.customer, self.count, self.left_fen = address, customer, count, 0
        self.hoard_fen = 99_999_999
        self.keeps_records = self.speaks_status = self.can_end = True
        self.refuses_identity = self.lies = False
        self.books: dict[int, int] = {}
        self.log: list[tuple[int, int]] = []
        self.records: list[str] = []
        self.random, self.valid_until, self.draws = "", 0.0, 0

    def hear(self, request: bytes, now_s: float) -> bytes:
        """The reply to the one frame in `request`."""
        (seen,) = frames_in(request)
        assert seen.address == self.address
        di = turned(seen.data[:8])
        if seen.control == 0x11:
            return self._read(di)
        assert seen.control == 3
        said = self._secured(di, seen.data[16:], now_s)
        if isinstance(said, int):
            return wire(self.address, 0xC3, turned(format(said, "04x")))
        return wire(self.address, 0x83, seen.data[:8] + said)

    def _read(self, di: str) -> bytes:
        back = int(di[6:], 16)
        if di == "00900200":
            return wire(self.address, 0x91, turned(di) + bcd(self.left_fen, 4))
        if di[:6] == "0333ff" and self.keeps_records and 1 <= back <= min(10, len(self.records)):
            return wire(self.address, 0x91, turned(di) + self.records[-back])
        return wire(self.address, 0xD1, "02")

    def _secured(self, di: str, rest: str, now_s: float) -> str | int:
        if di == "070000ff":
            return self._identify(rest, now_s)
        if di == "078102ff":
            if not self.speaks_status:
                return 1
            left, count = binary(self.left_fen), binary(self.count)
            macs = seal(self.address, "remaining", left), seal(self.address, "count", count)
            return left + macs[0] + count + ("00000000" if self.lies else macs[1]) + turned(self.customer) + "00000000"
        if di == "070002ff":
            if not self.can_end:
                return 1
            self.random = ""
            return turned(self.customer) + binary(self.left_fen) + binary(self.count) + "00000000"
        assert di == "070102ff"
        if not self.random or now_s >= self.valid_until:
            return 0x0008
        return self._book(di, rest)

    def _identify(self, rest: str, now_s: float) -> str | int:
        cipher, random, factor = rest[:16], rest[16:32], rest[32:]
        right = seal(self.address, "identity", random, 8)
        if self.refuses_identity or cipher != right or factor != "0000" + turned(self.address):
            return 0x0008
        self.draws += 1
        self.random, self.valid_until = binary(0x5EED0000 + self.draws), now_s + VALID_S
        return self.random + "1122334455667788"

    def _book(self, di: str, rest: str) -> str | int:
        money, mac_1, customer, mac_2 = rest[:16], rest[16:24], rest[24:36], rest[36:44]
        if turned(customer) != self.customer:
            return 0x0010
        seed = self.random + turned(di) + money
        if (mac_1, mac_2) != (
            seal(self.address, "credit", seed),
            seal(self.address, "customer", seed + mac_1 + customer),
        ):
            return 0x0004
        return self.purchase(number(money[8:]), number(money[:8]))

    def purchase(self, count: int, amount_fen: int) -> str | int:
        """Book by the count rule; "" when done, else the error word."""
        if count != self.count + 1:
            return 0x0002 if count == self.count else 0x0020
        if amount_fen + self.left_fen > self.hoard_fen:
            return 0x0040
        before, self.left_fen, self.count = self.left_fen, self.left_fen + amount_fen, count
        self.books[count] = amount_fen
        self.log.append((count, amount_fen))
        total = sum(amount for _, amount in self.log)
        money = "".join(bcd(fen, 4) for fen in (amount_fen, before, self.left_fen, total))
        self.records.append("3012241126" + bcd(count % 10_000, 2) + money)
        return ""
