"""Bills: what a household was charged, worked out again from registers and tariff, beside what was booked.

A bill is named `ACCOUNT:N`, the N-th line of that account's ledger, or `ACCOUNT:YYYY-MM-DD` or `ACCOUNT:YYYY-MM` for
all lines of a local day or month. Lines are never edited or renumbered, so a name stands for the same lines for ever;
only lines that come to be known later join a day. A line belongs to the day in which the energy was used or the money
paid: to the day that contains, or ends with, its last instant.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from itertools import groupby
from zoneinfo import ZoneInfo

from core.tariff import TariffError
from core.tariff_order import charge_step
from core.units import post_charge
from server.domain.bill_parts import Part, parts_of
from server.domain.billing import TierState
from server.domain.ledger import Line
from server.domain.registers import NO_RATES, Registers, boundary_registers, rates_from, step_wh
from server.domain.rerating import Correction, Rerate
from server.domain.tariff_calendar import TariffCalendar, Terms
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


@dataclass(slots=True)
class Replay:
    """Works out the charges of one installation of a meter, line after line.

    `known` are its true registers by instant with the source of each; `tier` is where the counters stand before the
    first line, `was` where the registers do (None: nothing is known of before).
    """

    ratio: int
    calendars: Mapping[str, TariffCalendar]
    known: Mapping[int, tuple[Registers, str]]
    tier: TierState
    was: Registers | None
    batch_ends: dict[int, Registers] = field(default_factory=dict)

    def follow(self, booked: Sequence[BookedLine]) -> list[BillLine]:
        """All lines in the order in which they were booked."""
        for batch_seq, own in groupby(booked, key=lambda one: one.batch_seq):
            self.batch_ends[batch_seq] = _end(list(own)[-1].line)
        return [self._one(one) for one in booked]

    def _one(self, booked: BookedLine) -> BillLine:
        line = booked.line
        calendar = self.calendars.get(line.tariff_id or "")
        try:
            terms = None if calendar is None else calendar.terms_at(line.event_from or 0)
        except TariffError:
            terms = None
        if calendar is None or terms is None:
            return BillLine(booked, None, (Difference("tariff_id", line.tariff_id, None, str(line.account_version)),))
        found: list[Difference] = []
        start, end = _start(line), _end(line)
        if self.was is not None:
            _compare(found, "from_wh", start.total_wh, self.was.total_wh)
            if None not in (start.rates_wh, self.was.rates_wh):
                _compare(found, "from_rates_wh", start.rates_wh, self.was.rates_wh)
            start = Registers(start.at, self.was.total_wh, self.was.rates_wh or start.rates_wh)
        true_end, source = self._true_end(booked, terms, start)
        _compare(found, "to_wh", end.total_wh, true_end.total_wh)
        if terms.by_rates and None not in (end.rates_wh, true_end.rates_wh):
            _compare(found, "to_rates_wh", end.rates_wh, true_end.rates_wh)
        derived = self._derive(calendar, terms, booked, start, true_end, source)
        _compare(found, "tier_period_start", line.tier_period_start, terms.tier_period_start)
        _compare(found, "tier_from_wh", line.tier_from_wh, derived.tier_from_wh)
        _compare(found, "charge_nf", line.charge_nf, derived.charge_nf)
        _compare(found, "amount_fen", line.amount_fen, -derived.posted_fen)
        _compare(found, "residue_after_nf", line.residue_after_nf, derived.residue_after_nf)
        self.was = true_end
        return BillLine(booked, derived, tuple(replace(one, at=str(line.account_version)) for one in found))

    def _true_end(self, booked: BookedLine, terms: Terms, start: Registers) -> tuple[Registers, str]:
        """The registers at the end of a step: as they were read there, or cut by time at a boundary of the tariff."""
        end = _end(booked.line)
        read = self.known.get(end.at)
        if read is not None and read[1] == REVOKED and read[0].total_wh != end.total_wh:
            read = None
        whole = self.batch_ends[booked.batch_seq]
        if end.at == terms.end_s and whole.at in self.known and whole.at > end.at:
            cut = boundary_registers(terms, start, self.known[whole.at][0], None if read is None else read[0])
            return read if read is not None and cut is read[0] else (cut, "split")
        return (Registers(end.at, -1, None), "") if read is None else read

    def _derive(
        self,
        calendar: TariffCalendar,
        terms: Terms,
        booked: BookedLine,
        start: Registers,
        end: Registers,
        source: str,
    ) -> Derived:
        registers = (
            end if source else _end(booked.line)
        )  # a register that nobody read is said, and then taken as booked
        before, after = (start.total_wh,), (registers.total_wh,)
        if terms.by_rates:
            before, after = start.rates_wh or NO_RATES, registers.rates_wh or NO_RATES  # type: ignore[assignment]
        moved = tuple(step_wh(one, other) for one, other in zip(before, after, strict=True))
        self.tier.enter(terms)
        settled, tier_from_wh = self.tier.rates_wh or NO_RATES, self.tier.wh
        charge_nf = charge_step(terms.version, terms.season, moved, tier_from_wh, settled_wh=settled, ratio=self.ratio)
        self.tier.count(moved, self.ratio)
        posted_fen, residue_nf = post_charge(charge_nf, booked.residue_before_nf)
        energies = tuple(one * self.ratio for one in moved)
        return Derived(
            terms, calendar.tariff.name, start, registers, source, moved, self.ratio, tier_from_wh,
            parts_of(terms.version, terms.season, energies, tier_from_wh, settled), charge_nf, posted_fen, residue_nf,
        )  # fmt: skip


def _start(line: Line) -> Registers:
    return Registers(line.event_from or 0, line.from_wh or 0, rates_from(line.from_rates_wh))


def _end(line: Line) -> Registers:
    return Registers(line.event_to or 0, line.to_wh or 0, rates_from(line.to_rates_wh))


def _compare(found: list[Difference], what: str, booked: object, derived: object) -> None:
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
    _compare(differences, "charge_nf", booked.line.charge_nf, own.owed_nf)
    _compare(differences, "amount_fen", booked.line.amount_fen, -posted_fen)
    _compare(differences, "residue_after_nf", booked.line.residue_after_nf, residue_nf)
    return BillLine(booked, None, tuple(replace(one, at=str(booked.line.account_version)) for one in differences), own)


def chain_differences(booked: BookedLine) -> tuple[Difference, ...]:
    """What is wrong with the balance of one line: it must follow from the line before."""
    found: list[Difference] = []
    _compare(
        found, "balance_after_fen", booked.line.balance_after_fen, booked.balance_before_fen + booked.line.amount_fen
    )
    if booked.line.meter_id is None and not booked.line.charge_nf:
        _compare(found, "residue_after_nf", booked.line.residue_after_nf, booked.residue_before_nf)
    return tuple(replace(one, at=str(booked.line.account_version)) for one in found)
