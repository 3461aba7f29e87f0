"""What holds the keys of meters with local fee control: a security module, or the vendor's server in front of one.

Without it nobody can make the ciphertexts and MACs of command 03H, so this project defines the seam and ships no key.
A backend may be slow and may fail; nothing here calls it by itself. `RechargeRun` says what it needs, the caller asks.
All bytes are in the order of the wire.
"""

from dataclasses import dataclass, field
from typing import ClassVar, Protocol

from core.dlt645.prepaid import Credit, Status
from core.errors import CoreError, ProtocolMisuse

NONCE_BYTES = 8


class VendingUnavailable(CoreError):
    """The backend could not answer: no connection, no licence, an unknown meter (theirs)."""


@dataclass(frozen=True, slots=True)
class Identity:
    """What 070000FF sends: cipher 1, random number 1 and the dispersion factor, eight bytes each."""

    cipher: bytes = field(repr=False)
    random: bytes
    factor: bytes


@dataclass(frozen=True, slots=True)
class Session:
    """An authentication that a meter has accepted, with its random number 2 and serial number."""

    address: str
    identity: Identity
    random: bytes
    serial: bytes


@dataclass(frozen=True, slots=True)
class CreditMacs:
    """MAC 1 (behind amount and count) and MAC 2 (behind the customer number), four bytes each."""

    mac_1: bytes = field(repr=False)
    mac_2: bytes = field(repr=False)


class VendingBackend(Protocol):
    """Seals what goes to a meter and judges what comes back; every method may raise `VendingUnavailable`."""

    only_for_simulation: ClassVar[bool]

    def identity(self, address: str, nonce: bytes) -> Identity:
        """Begin an authentication. `nonce` is eight fresh bytes; a module that draws its own number ignores them."""

    def seal_credit(self, session: Session, di: int, credit: Credit) -> CreditMacs:
        """The MACs of a recharge (di 070102FF) or of opening an account (070101FF)."""

    def seal_validity(self, session: Session, minutes: int) -> bytes:
        """The MAC of 070001FF."""

    def vouches_for(self, address: str, status: Status) -> bool:
        """Whether the MACs of a status are right; a backend that cannot judge them says True."""


def check_line(backend: VendingBackend, *, is_simulated: bool) -> None:
    """Keep a backend without real keys off real lines; `ProtocolMisuse` if it would meet one."""
    if backend.only_for_simulation and not is_simulated:
        name = type(backend).__name__
        raise ProtocolMisuse(f"{name} is for simulated meters only: name a backend with real keys for this line")
