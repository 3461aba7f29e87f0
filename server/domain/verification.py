"""Checking the books: every number again, by another road than the one that made it.

Charges are recomputed from registers and tariffs, never by the kernel. Each checker takes the lines in booking
order, keeps only where its account or meter stands, and notes what does not agree, under the number of the invariant
that is broken (1 sums, 2 chains of accounts, 3 chains of meters, 4 keys, 5 payments, 6 charges and residues, 7 seals,
8 closed periods, 16 physical limits). These are the exact checks, a line at a time; `verification_chains` screens lines
in bulk.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest
from typing import NamedTuple

from core.reading import plausible_wh
from core.tariff import TariffError
from core.tariff_order import charge_step
from core.units import NF_PER_FEN, REGISTER_MODULUS_WH, post_charge
from server.domain.ledger import Line
from server.domain.registers import NO_RATES
from server.domain.tariff_calendar import TariffCalendar, Terms

MISMATCHES_MAX = 10_000  # kept in memory; whoever has so many needs no more of them


@dataclass(frozen=True, slots=True)
class Mismatch:
    """One thing that does not agree: the invariant, what it is about, and the two values."""

    invariant: int
    subject: str
    detail: str


@dataclass(frozen=True, slots=True)
class VerifyReport:
    """What was counted and what does not agree; `unsealed` batches are newer than the last seal.

    `archived` lines lie in files that were not at hand: only their hashes were followed. So do `archived_readings`.
    `heads_missing` and `heads_late` say in words what signed heads do not vouch for though they should.
    """

    estate_id: str
    accounts: int
    meters: int
    batches: int
    lines: int
    charges: int
    estimated: int
    payments: int
    sealed: int
    unsealed: int
    settlements: int
    archived: int
    mismatches: tuple[Mismatch, ...]
    archived_readings: int = 0
    unchecked: tuple[str, ...] = ()  # what could not be looked at, in words
    headed: int = 0  # the newest batch that a signed head names; after it only the database vouches for itself
    heads_missing: str = ""
    heads_late: str = ""

    @property
    def is_whole(self) -> bool:
        """Whether all was at hand that the books say there is: archives, and signed heads if there are any."""
        return not (self.archived or self.archived_readings or self.heads_missing or self.heads_late)


class Findings:
    """Collects mismatches, the first MISMATCHES_MAX of them; `expect` notes one unless the two values are equal."""

    def __init__(self) -> None:
        self.mismatches: list[Mismatch] = []

    def note(self, invariant: int, subject: str, detail: str) -> None:
        """Something does not agree."""
        if len(self.mismatches) < MISMATCHES_MAX:
            self.mismatches.append(Mismatch(invariant, subject, detail))

    def expect(self, invariant: int, subject: str, what: str, stored: object, expected: object) -> None:
        """`stored` is in the database, `expected` follows from the rest."""
        if stored != expected:
            self.note(invariant, subject, f"{what} is {stored}, should be {expected}")


@dataclass(slots=True)
class AccountChain:
    """Where an account stands after the lines seen so far."""

    balance_fen: int = 0
    residue_nf: int = 0
    version: int = 0

    def take(self, found: Findings, line: Line, batch_seq: int) -> None:
        """Follow one line; a charge line must post what its exact charge asks for."""
        subject = f"account {line.account_id}, batch {batch_seq} line {line.line_no}"
        found.expect(2, subject, "version", line.account_version, self.version + 1)
        self.version = line.account_version
        amount_fen, residue_nf = line.amount_fen, self.residue_nf
        if line.meter_id is not None or line.charge_nf:
            posted_fen, residue_nf = post_charge(line.charge_nf, self.residue_nf)
            amount_fen = -posted_fen
            found.expect(6, subject, "amount", line.amount_fen, amount_fen)
        found.expect(6, subject, "residue", line.residue_after_nf, residue_nf)
        if abs(line.residue_after_nf) >= NF_PER_FEN:
            found.note(6, subject, f"residue {line.residue_after_nf} nf is a fen or more")
        found.expect(2, subject, "balance", line.balance_after_fen, self.balance_fen + line.amount_fen)
        self.balance_fen, self.residue_nf = line.balance_after_fen, line.residue_after_nf

    def close(self, found: Findings, account_id: str, balance_fen: int, residue_nf: int, version: int) -> None:
        """Compare with the account's row."""
        subject = f"account {account_id}"
        found.expect(2, subject, "stored balance", balance_fen, self.balance_fen)
        found.expect(6, subject, "stored residue", residue_nf, self.residue_nf)
        found.expect(2, subject, "stored version", version, self.version)


@dataclass(frozen=True, slots=True)
class Carried:
    """Counters of the household that go on when its meter or ratio is exchanged."""

    tier_period_start: int
    tier_period_wh: int
    order_start: int
    order_rates_wh: str | None

    @property
    def settled_wh(self) -> tuple[int, ...]:
        """What each rate has used."""
        return tuple(_rates(self.order_rates_wh)) or NO_RATES


@dataclass(frozen=True, slots=True)
class Installed:
    """One installation of a meter, and the counters that it took over from the one before."""

    meter_id: str
    install_no: int
    ratio: int
    max_power_w: int
    start_wh: int
    installed_at: int
    carried: Carried | None = None
    start_rates_wh: str | None = None  # None: not known


@dataclass(frozen=True, slots=True)
class Ended:
    """The register and the time at which an exchange ended an installation."""

    at: int
    total_wh: int
    rates_wh: str | None = None


@dataclass(frozen=True, slots=True)
class Reached:
    """Where a meter's cursor stands."""

    install_no: int
    read_at: int
    total_wh: int
    tier_period_start: int
    tier_period_wh: int


class RatesBeside(NamedTuple):
    """A charge by rates that does not end at the rate registers of its reading, both in Wh as a line has them.

    `read_wh` is None for a reading of the total alone.
    """

    meter_id: str
    batch_seq: int
    line_no: int
    line_wh: str
    read_wh: str | None


@dataclass(slots=True)
class MeterChain:
    """Where the charges of one meter stand."""

    meter: Installed
    total_wh: int = field(init=False)
    at: int = field(init=False)
    rates: str | None = None
    tier_period_start: int | None = None
    tier_wh: int = 0
    order_start: int = 0
    settled_wh: tuple[int, ...] = NO_RATES
    charged_wh: int = 0
    lines: int = 0
    estimated: int = 0
    taken_back_at: int | None = None  # the end of a charge that has to be taken back again

    def __post_init__(self) -> None:
        """Begin at the registers of the installation."""
        self.total_wh, self.at = self.meter.start_wh, self.meter.installed_at

    def take(
        self,
        found: Findings,
        line: Line,
        batch_seq: int,
        calendars: Mapping[str, TariffCalendar],
        read_wh: int | None,
        *,
        released: bool = False,
        revoked_wh: int | None = None,
    ) -> None:
        """Follow one charge; `read_wh` is the accepted register at its end, None where none was read.

        `released`: a person answers for a step that is longer than the meter's power explains, or readings show that it
        took longer than its stamps say. `revoked_wh` is a reading at its end that a person took back later, and this
        charge with it.
        """
        subject = f"meter {self.meter.meter_id}, batch {batch_seq} line {line.line_no}"
        to_wh, event_from, event_to = line.to_wh or 0, line.event_from or 0, line.event_to or 0
        found.expect(3, subject, "from_wh", line.from_wh or 0, self.total_wh)
        if event_from < self.at or event_to <= event_from:
            found.note(3, subject, f"charges {event_from}..{event_to}, but {self.at} was reached already")
        if self.rates is not None and line.from_rates_wh is not None:
            found.expect(3, subject, "from_rates_wh", line.from_rates_wh, self.rates)
        terms = self._terms(found, subject, line, calendars)
        if terms is not None:
            self._charge(found, subject, line, terms)
            if read_wh is None and revoked_wh is not None and to_wh == revoked_wh:
                self.taken_back_at = event_to
            elif read_wh is None and event_to == terms.end_s:
                self.estimated += 1
            else:
                found.expect(3, subject, "to_wh", to_wh, read_wh)
        step_wh, most_wh = self.step_of(line)
        if step_wh > most_wh and not released:
            found.note(16, subject, f"{step_wh} Wh charged, at most {most_wh} Wh are possible in that time")
        self.total_wh, self.at, self.rates = to_wh, event_to, line.to_rates_wh
        self.charged_wh += step_wh
        self.lines += 1

    def step_of(self, line: Line) -> tuple[int, int]:
        """The step of a charge and the most that the meter's power explains, in Wh."""
        span_s = (line.event_to or 0) - (line.event_from or 0)
        step_wh = ((line.to_wh or 0) - (line.from_wh or 0)) % REGISTER_MODULUS_WH
        return step_wh, plausible_wh(max(0, span_s), self.meter.max_power_w)

    def take_back(
        self, found: Findings, line: Line, batch_seq: int, calendars: Mapping[str, TariffCalendar], *, on: bool = False
    ) -> None:  # fmt: skip
        """Follow a line that mirrors the newest charge that still stands: all of it, and nothing else.

        Where it goes `on` taking back, the charge before may have ended sooner: time without energy has no line.
        """
        subject = f"meter {self.meter.meter_id}, batch {batch_seq} line {line.line_no}"
        found.expect(3, subject, "from_wh", line.from_wh, self.total_wh)
        if not on or (line.event_to or 0) > self.at:
            found.expect(3, subject, "end of what is taken back", line.event_to, self.at)
        if self.rates is not None and line.from_rates_wh is not None:
            found.expect(3, subject, "from_rates_wh", line.from_rates_wh, self.rates)
        terms = self._terms(found, subject, line, calendars)
        if terms is not None:
            self._uncharge(found, subject, line, terms)
        self.total_wh, self.at, self.rates = line.to_wh or 0, line.event_from or 0, line.to_rates_wh
        self.charged_wh += (self.total_wh - (line.from_wh or 0)) % REGISTER_MODULUS_WH
        self.lines += 1

    def _uncharge(self, found: Findings, subject: str, line: Line, terms: Terms) -> None:
        """The charge that is taken back once more, and the counters as they were before it."""
        steps = _steps(terms, line, back=True)
        if not steps:
            found.note(6, subject, "rate registers are missing")
            return
        before_wh, moved_wh = line.tier_from_wh or 0, sum(steps) * self.meter.ratio
        if self.tier_period_start == terms.tier_period_start:
            found.expect(6, subject, "tier_from_wh", before_wh, self.tier_wh - moved_wh)
        found.expect(6, subject, "order period", terms.order_start, self.order_start)
        settled_wh = self.settled_wh
        if self.order_start:
            settled_wh = tuple(was - step * self.meter.ratio for was, step in zip(settled_wh, steps, strict=True))
        if before_wh < 0 or min(settled_wh) < 0:
            found.note(6, subject, "more is taken back than was counted")
            return
        if self._is_priced(found, subject, line, terms, steps, before_wh, settled_wh, back=True):
            self.tier_period_start, self.tier_wh, self.settled_wh = terms.tier_period_start, before_wh, settled_wh

    def _is_priced(
        self, found: Findings, subject: str, line: Line, terms: Terms, steps: Sequence[int], tier_wh: int,
        settled_wh: Sequence[int], *, back: bool = False,
    ) -> bool:  # fmt: skip
        """Compare a charge, or one taken `back`, with what its steps cost; False where they cannot be priced."""
        try:
            exact_nf = charge_step(
                terms.version, terms.season, steps, tier_wh, settled_wh=settled_wh, ratio=self.meter.ratio
            )
        except ValueError as error:  # rates that were edited are more than the counter
            found.note(6, subject, str(error))
            return False
        found.expect(6, subject, "charge in nanofen", line.charge_nf, -exact_nf if back else exact_nf)
        return True

    def _terms(
        self, found: Findings, subject: str, line: Line, calendars: Mapping[str, TariffCalendar]
    ) -> Terms | None:
        calendar = calendars.get(line.tariff_id or "")
        if calendar is None:
            found.note(6, subject, f"tariff {line.tariff_id!r} does not exist")
            return None
        try:
            terms = calendar.terms_at(line.event_from or 0)
        except (TariffError, ValueError, OverflowError, OSError) as error:  # no calendar knows every int64
            found.note(6, subject, str(error))
            return None
        if terms.end_s is not None and (line.event_to or 0) > terms.end_s:
            found.note(6, subject, f"crosses the tariff boundary at {terms.end_s} unsplit")
        return terms

    def _charge(self, found: Findings, subject: str, line: Line, terms: Terms) -> None:
        """The charge again, with the tier counter carried from line to line."""
        steps = _steps(terms, line)
        if not steps:
            found.note(6, subject, "rate registers are missing")
            return
        if self.tier_period_start != terms.tier_period_start:
            self.tier_period_start, self.tier_wh = terms.tier_period_start, 0
        found.expect(6, subject, "tier_period_start", line.tier_period_start, terms.tier_period_start)
        found.expect(6, subject, "tier_from_wh", line.tier_from_wh, self.tier_wh)
        if self.order_start != terms.order_start:
            self.order_start, self.settled_wh = terms.order_start, NO_RATES
        ratio, settled_wh = self.meter.ratio, self.settled_wh
        if self.tier_wh < 0:
            found.note(6, subject, f"the tier counter before it is {self.tier_wh} Wh")
            return
        if not self._is_priced(found, subject, line, terms, steps, self.tier_wh, settled_wh):
            return
        self.tier_wh += sum(steps) * ratio
        if self.order_start:
            self.settled_wh = tuple(was + step * ratio for was, step in zip(settled_wh, steps, strict=True))

    def end(self, found: Findings, ended: Ended) -> None:
        """Compare an installation that an exchange ended with its final register."""
        subject = f"meter {self.meter.meter_id}, installation {self.meter.install_no}"
        found.expect(3, subject, "final register", ended.total_wh, self.total_wh)
        if self.rates is not None and ended.rates_wh is not None:
            found.expect(3, subject, "final rates", ended.rates_wh, self.rates)
        if ended.at < self.at:
            found.note(3, subject, f"ended at {ended.at}, before its last charge at {self.at}")

    def close(self, found: Findings, cursor: Reached | None, read_wh: int | None, begins: Collection[int] = ()) -> None:
        """Compare with the cursor; `read_wh` is the accepted register at its instant, None where none was read.

        `begins` are the tier periods, of any tariff, in which the cursor may stand since.
        """
        subject = f"meter {self.meter.meter_id}"
        if cursor is None:
            found.note(3, subject, "has no cursor")
            return
        found.expect(3, subject, "install_no of the cursor", cursor.install_no, self.meter.install_no)
        found.expect(3, subject, "register of the cursor", cursor.total_wh, self.total_wh)
        span_wh = (cursor.total_wh - self.meter.start_wh) % REGISTER_MODULUS_WH
        found.expect(3, subject, "energy charged", self.charged_wh % REGISTER_MODULUS_WH, span_wh)
        if cursor.read_at < self.at:
            found.note(3, subject, f"cursor at {cursor.read_at} is behind its last charge at {self.at}")
        if cursor.read_at != self.meter.installed_at:
            found.expect(3, subject, "register of the cursor", cursor.total_wh, read_wh)
        if cursor.tier_period_start == self.tier_period_start:
            found.expect(6, subject, "tier counter of the cursor", cursor.tier_period_wh, self.tier_wh)
        elif self.lines:
            found.expect(6, subject, "tier counter of the cursor in a new period", cursor.tier_period_wh, 0)
            if cursor.tier_period_start not in begins or cursor.read_at <= self.at:
                found.note(6, subject, f"stands in a tier period from {cursor.tier_period_start}, which is none")


def note_rates(found: Findings, ends: Iterable[RatesBeside]) -> None:
    """Note charges that do not end at the rate registers that were read there, and by which of them."""
    for one in ends:
        subject = f"meter {one.meter_id}, batch {one.batch_seq} line {one.line_no}"
        if one.read_wh is None:
            found.note(3, subject, f"to_rates_wh is {one.line_wh}, but the reading there has no rates")
            continue
        pairs = zip_longest(one.line_wh.split(","), one.read_wh.split(","))
        wrong = ", ".join(f"T{number}" for number, (own, read) in enumerate(pairs, 1) if own != read)
        found.expect(3, subject, f"to_rates_wh ({wrong})", one.line_wh, one.read_wh)


def _steps(terms: Terms, line: Line, *, back: bool = False) -> list[int]:
    """Forward steps of the priced registers, of a mirrored line those that it takes back; empty where rates lack."""
    if terms.by_rates:
        before, after = _rates(line.from_rates_wh), _rates(line.to_rates_wh)
    else:
        before, after = [line.from_wh or 0], [line.to_wh or 0]
    if len(before) != len(after):
        return []
    if back:
        before, after = after, before
    return [(b - a) % REGISTER_MODULUS_WH for a, b in zip(before, after, strict=True)]


def _rates(text: str | None) -> list[int]:
    return [] if text is None else [int(part) for part in text.split(",")]
