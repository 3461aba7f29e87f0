"""Sharing costs of shared areas among households, by head, by area or by use, so that every fen and Wh finds a place.

Parts are in proportion to weights and whole; what is left over goes to the largest remainders, of equal ones to the
earlier account. The same weights share the energy and the money, each by itself.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from core.units import NF_PER_FEN
from server.domain.ledger import ledger_account
from server.errors import Refused

EQUAL, AREA, USAGE = "equal", "area", "usage"
BASES = (EQUAL, AREA, USAGE)
SPREAD, ESTATE = "spread", "estate"  # who bears the part of rooms without a household
VACANT_RULES = (SPREAD, ESTATE)
SHARED = "shared"  # the ledger of parts
VACANT_ROOMS = "vacant_rooms"  # the account that bears it, where the estate does
AMOUNT_MAX_FEN = 10**11
ENERGY_MAX_WH = 10**13
PRICE_MAX_NF_PER_WH = 10**10
SUBJECT_LENGTH_MAX = 100


class Participant(NamedTuple):
    """An account that takes part, and what it counts for."""

    account_id: str
    weight: int


class Share(NamedTuple):
    """The part of one account."""

    account_id: str
    weight: int
    energy_wh: int
    amount_fen: int


@dataclass(frozen=True, slots=True)
class Wish:
    """What is to be shared: an amount, or energy at a price; energy is given, or is what the gate meters lost."""

    period: str
    subject: str
    basis: str
    amount_fen: int | None = None
    energy_wh: int | None = None
    price_nf_per_wh: int | None = None
    from_gates: bool = False
    known_wh: int = 0  # of public meters that others pay for, taken off what the gates lost
    vacant: str = SPREAD

    def check(self) -> None:
        """Refused unless this can be shared at all."""
        if not self.subject.strip() or len(self.subject) > SUBJECT_LENGTH_MAX:
            raise Refused(f"name what is shared, in at most {SUBJECT_LENGTH_MAX} characters")
        if self.subject != self.subject.strip():
            raise Refused("a subject has no space before or after it: it would be shared beside itself")
        if self.basis not in BASES:
            raise Refused(f"there is no way {self.basis!r} to share; there are {', '.join(BASES)}")
        if self.vacant not in VACANT_RULES:
            raise Refused(f"vacant rooms are borne by {' or '.join(VACANT_RULES)}, not by {self.vacant!r}")
        by_energy = self.price_nf_per_wh is not None and (self.from_gates or self.energy_wh is not None)
        if by_energy == (self.amount_fen is not None):
            raise Refused("give either an amount, or energy and its price")
        if self.from_gates and self.energy_wh is not None:
            raise Refused("energy is either given or what the gate meters lost, not both")
        limits = (
            (self.amount_fen, AMOUNT_MAX_FEN), (self.energy_wh, ENERGY_MAX_WH),
            (self.price_nf_per_wh, PRICE_MAX_NF_PER_WH), (self.known_wh, ENERGY_MAX_WH),
        )  # fmt: skip
        if any(value is not None and not 0 <= value <= most for value, most in limits):
            raise Refused("an amount, energy or price is out of range")


@dataclass(frozen=True, slots=True)
class Plan:
    """What would be posted: all shares, and the numbers that they follow from."""

    amount_fen: int
    energy_wh: int | None
    weight_total: int
    shares: tuple[Share, ...]
    formula: str  # JSON of integers
    by_days: bool = False  # weights are times the days that each lived there


def largest_remainder(total: int, weights: Sequence[int]) -> list[int]:
    """Whole parts of `total` in proportion to `weights` that make exactly `total`; ValueError without any weight."""
    whole = sum(weights)
    if total < 0 or whole <= 0 or min(weights) < 0:
        raise ValueError("parts need a total of at least 0 and weights of at least 0 that are not all 0")
    parts = [total * weight // whole for weight in weights]
    by_remainder = sorted(range(len(weights)), key=lambda at: (-(total * weights[at] % whole), at))
    for at in by_remainder[: total - sum(parts)]:
        parts[at] += 1
    return parts


def plan(wish: Wish, participants: Sequence[Participant], energy: dict[str, int], days: int = 0) -> Plan:
    """All shares of a wish; `days` of the period where weights are times the days that each lived there, else 0.

    `energy` has `energy_wh` and the numbers that it follows from, where energy is shared.

    Refused when nobody has any weight.
    """
    wish.check()
    ordered = sorted(participants)
    weights = [one.weight for one in ordered]
    if not sum(weights):
        raise Refused(f"nobody takes part: no household has any weight by {wish.basis}")
    energy_wh = energy.get("energy_wh")
    if wish.amount_fen is None:
        exact_nf = (energy_wh or 0) * (wish.price_nf_per_wh or 0)
        amount_fen = (2 * exact_nf + NF_PER_FEN) // (2 * NF_PER_FEN)
    else:
        amount_fen = wish.amount_fen
    if amount_fen <= 0:
        raise Refused("there is nothing to share")
    fen = largest_remainder(amount_fen, weights)
    wh = largest_remainder(energy_wh, weights) if energy_wh is not None else [0] * len(weights)
    shares = tuple(Share(*one, *parts) for one, *parts in zip(ordered, wh, fen, strict=True))
    numbers: dict[str, Any] = {**energy, "accounts": len(ordered), "weight_total": sum(weights)}
    if days:
        numbers["days"] = days
    if wish.price_nf_per_wh is not None:
        numbers["price_nf_per_wh"] = wish.price_nf_per_wh
    return Plan(amount_fen, energy_wh, sum(weights), shares, json.dumps(numbers, sort_keys=True), days > 0)


def posted_to(account_id: str) -> str:
    """The account that owes a part: a household's shared ledger, or the one of vacant rooms."""
    return account_id if account_id == VACANT_ROOMS else ledger_account(account_id, SHARED)


def gate_energy(gate_wh: int, meters_wh: int, known_wh: int) -> dict[str, int]:
    """What the gate meters saw and no meter behind them; Refused when those saw more."""
    energy_wh = gate_wh - meters_wh - known_wh
    if energy_wh < 0:
        raise Refused(
            f"the gate meters saw {gate_wh} Wh, the meters behind them {meters_wh} Wh and known public meters "
            f"{known_wh} Wh: there is nothing left to share; look at the readings"
        )
    return {"energy_wh": energy_wh, "gate_wh": gate_wh, "meters_wh": meters_wh, "known_wh": known_wh}
