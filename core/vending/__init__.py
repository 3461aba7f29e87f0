"""Selling credit that a meter itself keeps (local fee control): who seals a purchase, and how one is carried through.

`backend` says what a security module or a vendor's server must be able to do. `recharge` carries one purchase through
silence and restarts without I/O. `dummy` and `dummy_meter` are the two sides of a scheme with a public key, for the
simulator only. The frames are those of `core.dlt645.prepaid`.
"""

from core.vending.backend import CreditMacs, Identity, Session, VendingBackend, VendingUnavailable, check_line
from core.vending.dummy import DummyVendingBackend
from core.vending.dummy_meter import DummyEsam, SecurityRefused, Wallet
from core.vending.outcomes import Booked, Doubt, Order, Outcome, Proof, Reason, Refused, Unknown, Verdict, judge
from core.vending.recharge import CreditWanted, IdentityWanted, RechargeRun, StatusWanted

__all__ = [
    "Booked",
    "CreditMacs",
    "CreditWanted",
    "Doubt",
    "DummyEsam",
    "DummyVendingBackend",
    "Identity",
    "IdentityWanted",
    "Order",
    "Outcome",
    "Proof",
    "Reason",
    "RechargeRun",
    "Refused",
    "SecurityRefused",
    "Session",
    "StatusWanted",
    "Unknown",
    "VendingBackend",
    "VendingUnavailable",
    "Verdict",
    "Wallet",
    "check_line",
    "judge",
]
