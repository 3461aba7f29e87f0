"""A sealing scheme of our own for simulated meters. It is NOT that of any real meter, and its key is public.

Both sides compute tags with HMAC-SHA256, cut to the first bytes:

    factor    00 00 A0 A1 A2 A3 A4 A5                      (the address as it travels)
    meter key HMAC(PUBLIC_KEY, factor)
    tag       HMAC(meter key, label, 00, part, part, ...)  labels are ASCII, parts are joined as they travel
    cipher 1  tag "identity"  (random 1)                    8 bytes
    MAC 1     tag "credit"    (random 2, DI, amount, count)
    MAC 2     tag "customer"  (random 2, DI, amount, count, MAC 1, customer)
    validity  tag "validity"  (random 2, minutes)
    status    tag "remaining" (amount), tag "count" (count), 4 bytes each like all MACs

Random 2 is new in every authentication, so a recharge sealed for one is refused in the next.
"""

import hashlib
import hmac
from typing import ClassVar, Final

from core.dlt645.prepaid import CIPHER_BYTES, MAC_BYTES, Credit, Status
from core.dlt645.values import address_to_bytes, int_to_bcd
from core.errors import ProtocolMisuse
from core.vending.backend import NONCE_BYTES, CreditMacs, Identity, Session

PUBLIC_KEY: Final = b"estate645 simulator: this key is public and protects nothing"


def factor_of(address: str) -> bytes:
    """The dispersion factor of a meter in this scheme."""
    if not address.isdecimal():
        raise ProtocolMisuse(f"{address} is a wildcard; a purchase is for one meter")
    return bytes(2) + address_to_bytes(address)


def tag(factor: bytes, label: str, *parts: bytes, size: int = MAC_BYTES) -> bytes:
    """The first `size` bytes of the tag over `parts` under the key of the meter with this factor."""
    meter_key = hmac.digest(PUBLIC_KEY, factor, hashlib.sha256)
    return hmac.digest(meter_key, b"\0".join((label.encode("ascii"), b"".join(parts))), hashlib.sha256)[:size]


def credit_macs(factor: bytes, random: bytes, di: int, credit: Credit) -> CreditMacs:
    """Both MACs of a purchase, for the side that makes and the side that checks them."""
    bound = random + di.to_bytes(4, "little") + credit.money
    mac_1 = tag(factor, "credit", bound)
    return CreditMacs(mac_1, tag(factor, "customer", bound, mac_1, credit.owner))


def status_macs(factor: bytes, remaining_fen: int, count: int) -> tuple[bytes, bytes]:
    """The MACs of money left and of the count in a status."""
    money, number = remaining_fen.to_bytes(4, "little"), count.to_bytes(4, "little")
    return tag(factor, "remaining", money), tag(factor, "count", number)


class DummyVendingBackend:
    """The head-end's side of the scheme. `check_line` keeps it off every line that is not simulated."""

    only_for_simulation: ClassVar[bool] = True

    def identity(self, address: str, nonce: bytes) -> Identity:
        """Random number 1 is the nonce."""
        if len(nonce) != NONCE_BYTES:
            raise ProtocolMisuse(f"a nonce has {NONCE_BYTES} bytes, not {len(nonce)}")
        factor = factor_of(address)
        return Identity(tag(factor, "identity", nonce, size=CIPHER_BYTES), nonce, factor)

    def seal_credit(self, session: Session, di: int, credit: Credit) -> CreditMacs:
        """MACs bound to the meter's random number 2 and to the identifier."""
        return credit_macs(factor_of(session.address), session.random, di, credit)

    def seal_validity(self, session: Session, minutes: int) -> bytes:
        """One MAC, bound to the meter's random number 2."""
        return tag(factor_of(session.address), "validity", session.random, int_to_bcd(minutes, 2))

    def vouches_for(self, address: str, status: Status) -> bool:
        """Whether both MACs are those of this meter."""
        stated = status.remaining_mac, status.count_mac
        return stated == status_macs(factor_of(address), status.remaining_fen, status.count)
