"""Bills: what a household was charged, worked out again from registers and tariff, beside what was booked.

A bill is named `ACCOUNT:N`, the N-th line of that account's ledger, or `ACCOUNT:YYYY-MM-DD` or `ACCOUNT:YYYY-MM` for
all lines of a local day or month. Lines are never edited or renumbered, so a name stands for the same lines for ever;
only lines that come to be known later join a day. A line belongs to the day in which the energy was used or the money
paid: to the day that contains, or ends with, its last instant.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import NamedTuple
from zoneinfo import ZoneInfo

from core.units import post_charge
from server.domain.bill_parts import Part
from server.domain.ledger import Line
from server.domain.registers import Registers
from server.domain.rerating import Correction, Rerate
from server.domain.tariff_calendar import Terms
from server.domain.voiding import VOID

_NAME = re.compile(r"(?P<account>.+?):(?:(?P<number>[1-9]\d{0,17})|(?P<year>\d{4})-(?P<month>\d\d)(?:-(?P<day>\d\d))?)")
DECEMBER = 12


@dataclass(frozen=True, slots=True)
class BillName:
    """What a bill is called: one line of an account by its number, or the first day of a span of days."""

    account_id: str
    number: int | None = None
    first: date | None = None
    last: date | None = None  # the first day after the span

    def __str__(self) -> str:
        """The name as it is written everywhere."""
        if self.first is None or self.last is None:
            return f"{self.account_id}:{self.number}"
        text = f"{self.account_id}:{self.first.isoformat()}"
        return text if (self.last - self.first).days == 1 else text[:-3]

    def span_s(self, time_zone: str) -> tuple[int, int]:
        """Begin and end of the days in world time; lines after the begin, up to the end, belong to them."""
        zone = ZoneInfo(time_zone)
        found = [datetime(day.year, day.month, day.day, tzinfo=zone) for day in (self.first, self.last) if day]
        return int(found[0].timestamp()), int(found[1].timestamp())


def bill_name(text: str) -> BillName:
    """Read a name; `ValueError` says how to write one."""
    found = _NAME.fullmatch(text)
    if found is None:
        raise ValueError(f"{text!r} names no bill; write ACCOUNT:57, ACCOUNT:2026-10-13 or ACCOUNT:2026-10")
    if found["number"]:
        return BillName(found["account"], int(found["number"]))
    try:
        first = date(int(found["year"]), int(found["month"]), int(found["day"] or 1))
        if found["day"]:
            return BillName(found["account"], None, first, date.fromordinal(first.toordinal() + 1))
        last = date(first.year + first.month // DECEMBER, first.month % DECEMBER + 1, 1)
        return BillName(found["account"], None, first, last)
    except (ValueError, OverflowError) as error:
        raise ValueError(f"{text!r} names no bill: there is no such day") from error


REVOKED = "revoked"  # where a register came from that was taken back later, and what was charged by it


class Shown(NamedTuple):
    """What a meter showed, and where that came from; `passing` where it may be younger than a charge that needed it,
    or is not believed any more: then the charge may have been worked out without it.
    """

    registers: Registers
    source: str
    passing: bool = False


@dataclass(frozen=True, slots=True)
class BookedLine:
    """One line of an account with its batch, and how the account stood before it."""

    line: Line
    batch_seq: int
    kind: str
    event_at: int
    actor: str
    memo: str
    balance_before_fen: int
    residue_before_nf: int


@dataclass(frozen=True, slots=True)
class Difference:
    """A figure that was booked otherwise than it is worked out; `at` places it where several lines are told."""

    what: str
    booked: object
    derived: object
    at: str = ""


@dataclass(frozen=True, slots=True)
class Derived:
    """A charge, worked out from registers and tariff alone."""

    terms: Terms
    tariff_name: str
    start: Registers
    end: Registers
    end_source: str  # live, freeze, ...; split: cut by time at a boundary of the tariff; "": never read
    moved_wh: tuple[int, ...]
    ratio: int
    tier_from_wh: int
    parts: tuple[Part, ...]
    charge_nf: int
    posted_fen: int
    residue_after_nf: int

    @property
    def energy_wh(self) -> int:
        """After the ratio."""
        return sum(self.moved_wh) * self.ratio

    @property
    def levies_nf(self) -> int:
        """What of the charge is levies; what a free quota gives has none."""
        paid_wh = sum(part.energy_wh for part in self.parts if part.what in ("tier", "rate", "cell"))
        return paid_wh * self.terms.version.levies_nf_per_wh


@dataclass(frozen=True, slots=True)
class Corrected:
    """A correction by a re-rating, worked out anew, and the tariff that should have held."""

    rerate: Rerate
    tariff_name: str
    energy_wh: int
    old_nf: int
    new_nf: int
    corrected_nf: int
    posted_fen: int
    residue_after_nf: int

    @property
    def owed_nf(self) -> int:
        """The correction."""
        return self.new_nf - self.old_nf - self.corrected_nf


@dataclass(frozen=True, slots=True)
class BillLine:
    """One line of a bill: as it was booked, and as it is worked out where it is a charge or its correction."""

    booked: BookedLine
    derived: Derived | None
    differences: tuple[Difference, ...] = ()
    correction: Corrected | None = None


@dataclass(frozen=True, slots=True)
class PartSum:
    """Energy at one price of one tariff version, over all lines of a bill."""

    tariff_id: str
    tariff_name: str
    valid_from_s: int
    part: Part
    charge_nf: int


@dataclass(frozen=True, slots=True)
class Bill:
    """A bill with all its lines; balances by when things happened."""

    name: BillName
    room_id: str | None
    time_zone: str
    lines: tuple[BillLine, ...]
    balance_before_fen: int
    balance_after_fen: int
    parts: tuple[PartSum, ...]

    @property
    def differences(self) -> tuple[Difference, ...]:
        """Everything that does not agree."""
        return tuple(one for line in self.lines for one in line.differences)

    @property
    def charge_nf(self) -> int:
        """What all charges come to, exactly, as worked out."""
        return sum(line.derived.charge_nf for line in self.lines if line.derived is not None)

    @property
    def energy_wh(self) -> int:
        """Energy of all charges."""
        return sum(line.derived.energy_wh for line in self.lines if line.derived is not None)

    @property
    def charged_fen(self) -> int:
        """What was booked for energy."""
        return -sum(line.booked.line.amount_fen for line in self.lines if line.booked.line.meter_id is not None)

    @property
    def other_fen(self) -> int:
        """What was booked beside: money paid in, corrections."""
        return sum(line.booked.line.amount_fen for line in self.lines if line.booked.line.meter_id is None)

    @property
    def levies_nf(self) -> int:
        """What of the charges is levies."""
        return sum(line.derived.levies_nf for line in self.lines if line.derived is not None)


def sums_of(lines: Iterable[BillLine]) -> tuple[PartSum, ...]:
    """The parts of all lines, those of the same tariff, version, kind, tier, rate and price together."""
    found: dict[tuple[object, ...], PartSum] = {}
    for line in lines:
        derived = line.derived
        for part in derived.parts if derived is not None else ():
            assert derived is not None
            version = derived.terms.version
            key = (derived.terms.tariff_id, version.valid_from_s, part._replace(energy_wh=0))
            was = found.get(key)
            energy_wh = part.energy_wh + (was.part.energy_wh if was else 0)
            whole = part._replace(energy_wh=energy_wh)
            found[key] = PartSum(
                derived.terms.tariff_id, derived.tariff_name, version.valid_from_s, whole, whole.charge_nf
            )
    return tuple(one for one in found.values() if one.part.energy_wh)


def compare(found: list[Difference], what: str, booked: object, derived: object) -> None:
    """Note a figure that was booked otherwise than it is worked out."""
    if booked != derived:
        found.append(Difference(what, booked, derived))


def standing_lines(booked: Sequence[BookedLine]) -> list[BookedLine]:
    """The charges of an installation that were not taken back, in the order of booking."""
    found: list[BookedLine] = []
    for one in booked:
        if one.kind != VOID:
            found.append(one)
        elif found:
            found.pop()
    return found


def correction_of(booked: BookedLine, rerate: Rerate, tariff_name: str, found: Correction | None) -> BillLine:
    """A line of a re-rating beside what it should be; `found` is None where the account should have none."""
    energy_wh, old_nf, new_nf, before_nf = (
        (0, 0, 0, 0) if found is None else (found.energy_wh, found.old_nf, found.new_nf, found.corrected_nf)
    )
    posted_fen, residue_nf = post_charge(new_nf - old_nf - before_nf, booked.residue_before_nf)
    own = Corrected(rerate, tariff_name, energy_wh, old_nf, new_nf, before_nf, posted_fen, residue_nf)
    differences: list[Difference] = []
    compare(differences, "charge_nf", booked.line.charge_nf, own.owed_nf)
    compare(differences, "amount_fen", booked.line.amount_fen, -posted_fen)
    compare(differences, "residue_after_nf", booked.line.residue_after_nf, residue_nf)
    return BillLine(booked, None, tuple(replace(one, at=str(booked.line.account_version)) for one in differences), own)


def chain_differences(booked: BookedLine) -> tuple[Difference, ...]:
    """What is wrong with the balance of one line: it must follow from the line before."""
    found: list[Difference] = []
    compare(
        found, "balance_after_fen", booked.line.balance_after_fen, booked.balance_before_fen + booked.line.amount_fen
    )
    if booked.line.meter_id is None and not booked.line.charge_nf:
        compare(found, "residue_after_nf", booked.line.residue_after_nf, booked.residue_before_nf)
    return tuple(replace(one, at=str(booked.line.account_version)) for one in found)
