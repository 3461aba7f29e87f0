"""From accepted registers to charges: steps, their split at tariff boundaries, and one pass of the kernel.

A step lies within one span of terms. Where a step of a meter crosses a boundary it is split at the reading taken on
the boundary, else by time in whole Wh by largest remainder, a tie to the earlier part (R22); the parts telescope, so
no energy is lost or charged twice. The kernel charges thousands of steps at once; a row too large for it, or a tariff
that has no row, goes the wide way in Python integers.
"""

from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from core import EVENT_NONE, EVENT_RANGE, FLAG_LEVEL_MASK, deduct, level_after
from core.tariff_order import charge_step
from core.units import NF_PER_FEN, REGISTER_MODULUS_WH, post_charge
from server.domain.ledger import Line
from server.domain.readings import Rates
from server.domain.registers import NO_RATES, Registers, all_rates, boundary_registers, rates_from, rates_text, step_wh
from server.domain.tariff_calendar import TariffCalendar, Terms

MAX_DELTA_WH = REGISTER_MODULUS_WH // 2 - 1
KERNEL_BALANCE_MAX_FEN = 4_611_686_017
KERNEL_PERIOD_MAX_WH = 2**53
LEVEL_BALANCE_MAX_NF = 2**62  # beyond it every alarm has the same answer


class DueRow(NamedTuple):
    """What the store knows of a meter to charge and of its account, before anything is made of it."""

    meter_id: str
    account_id: str
    tariff_id: str
    install_no: int
    seq: int
    ratio: int
    start_at: int
    start_wh: int
    start_rate1_wh: int | None
    start_rate2_wh: int | None
    start_rate3_wh: int | None
    start_rate4_wh: int | None
    end_at: int
    end_wh: int
    end_rate1_wh: int | None
    end_rate2_wh: int | None
    end_rate3_wh: int | None
    end_rate4_wh: int | None
    tier_period_start: int
    tier_period_wh: int
    order_start: int
    order_rates_wh: str | None
    balance_fen: int
    residue_nf: int
    version: int
    level: int
    alarm1_fen: int
    alarm2_fen: int
    overdraft_fen: int
    close_allowed_fen: int

    def due(self) -> "Due":
        """The meter to charge."""
        start = Registers(self.start_at, self.start_wh, all_rates(self[8:12]))
        end = Registers(self.end_at, self.end_wh, all_rates(self[14:18]))
        return Due(*self[:6], start, end, *self[18:21], rates_from(self.order_rates_wh))

    def account(self) -> "AccountState":
        """Its account."""
        return AccountState(self.account_id, *self[22:])


class Due(NamedTuple):
    """One meter to charge: from its cursor to its last accepted reading."""

    meter_id: str
    account_id: str
    tariff_id: str
    install_no: int
    seq: int
    ratio: int
    start: Registers
    end: Registers
    tier_period_start: int
    tier_period_wh: int
    order_start: int = 0
    order_rates_wh: Rates | None = None  # what each rate used since then, for a proportional order rule


class Step(NamedTuple):
    """A part of a meter's energy within one span of terms."""

    due: Due
    terms: Terms
    start: Registers
    end: Registers
    moved_wh: tuple[int, ...]  # forward steps of the priced registers: the total, or the four rates
    estimated: bool


class Crossing(NamedTuple):
    """An account whose level changed: `event` is EVENT_ALARM1 .. EVENT_CLOSE_ALLOWED of core."""

    account_id: str
    meter_id: str
    event: int


@dataclass(slots=True)
class AccountState:
    """An account while a batch is computed."""

    account_id: str
    balance_fen: int
    residue_nf: int
    version: int
    level: int
    alarm1_fen: int
    alarm2_fen: int
    overdraft_fen: int
    close_allowed_fen: int

    @property
    def balance_nf(self) -> int:
        """The exact balance: posted credit less what is charged but not yet posted."""
        return self.balance_fen * NF_PER_FEN - self.residue_nf


@dataclass(slots=True)
class TierState:
    """The counters of a meter while a batch is computed: the tier period's, and each rate's since `order_start`."""

    period_start: int
    wh: int
    order_start: int = 0
    rates_wh: Rates | None = None

    def enter(self, terms: Terms) -> None:
        """Begin anew what begins anew with these terms."""
        if self.period_start != terms.tier_period_start:
            self.period_start, self.wh = terms.tier_period_start, 0
        if self.order_start != terms.order_start:
            self.order_start, self.rates_wh = terms.order_start, None

    def count(self, moved_wh: Sequence[int], ratio: int) -> None:
        """Add a step that was charged."""
        self.wh += sum(moved_wh) * ratio
        if self.order_start:
            sharp, peak, flat, valley = (
                was + step * ratio for was, step in zip(self.rates_wh or NO_RATES, moved_wh, strict=True)
            )
            self.rates_wh = (sharp, peak, flat, valley)


FreezeAt = Callable[[str, int], Registers | None]


def plan_steps(due: Due, calendar: TariffCalendar, freeze_at: FreezeAt) -> list[Step] | None:
    """The steps of one meter in order; None holds the meter: rates are missing or a step is no forward step."""
    steps: list[Step] = []
    for terms, start, end, estimated in _spans(due, calendar, freeze_at):
        moved_wh = _moved(terms, start, end)
        if moved_wh is None or max(moved_wh) > MAX_DELTA_WH:
            return None
        steps.append(Step(due, terms, start, end, moved_wh, estimated))
    return steps


class WhyHeld(NamedTuple):
    """Why a meter is held: `reason` is one of the three names below, `at` the instant that it is about."""

    reason: str
    at: int


NO_RATES_BEFORE = "no_rates_before"  # prices by rate begin at a register of which only the total is known
NO_RATES_READ = "no_rates_read"  # a reading of prices by rate has its total alone
NO_FORWARD_STEP = "no_forward_step"


def why_held(due: Due, calendar: TariffCalendar, freeze_at: FreezeAt) -> WhyHeld | None:
    """What holds a meter that `plan_steps` has no steps for; None of one that it has."""
    for terms, start, end, _ in _spans(due, calendar, freeze_at):
        moved_wh = _moved(terms, start, end)
        if moved_wh is None:
            missing = start.rates_wh is None
            return WhyHeld(NO_RATES_BEFORE, start.at) if missing else WhyHeld(NO_RATES_READ, end.at)
        if max(moved_wh) > MAX_DELTA_WH:
            return WhyHeld(NO_FORWARD_STEP, end.at)
    return None


def _spans(
    due: Due, calendar: TariffCalendar, freeze_at: FreezeAt
) -> Iterator[tuple[Terms, Registers, Registers, bool]]:
    """Each span of terms with its registers at begin and end, and whether those at the end are estimated."""
    spans = [calendar.terms_at(due.start.at)]
    while (end_s := spans[-1].end_s) is not None and end_s < due.end.at:
        spans.append(calendar.terms_at(end_s))
    read = [freeze_at(due.meter_id, terms.end_s) if terms.end_s is not None else None for terms in spans[:-1]]
    ends = boundary_registers(spans, due.start, due.end, read) if read else []
    start = due.start
    for terms, end, seen in zip(spans, [*ends, due.end], [*read, due.end], strict=True):
        yield terms, start, end, end is not seen
        start = end


def _moved(terms: Terms, start: Registers, end: Registers) -> tuple[int, ...] | None:
    """Forward steps of the priced registers; None where rates are priced but were not read."""
    if not terms.by_rates:
        return ((end.total_wh - start.total_wh) % REGISTER_MODULUS_WH,)
    if start.rates_wh is None or end.rates_wh is None:
        return None
    return tuple(map(step_wh, start.rates_wh, end.rates_wh))


def rounds(steps: Iterable[Step]) -> list[list[Step]]:
    """Steps in passes: no account twice in a pass, each account's steps in order."""
    passes: list[list[Step]] = []
    count: dict[str, int] = {}
    for step in steps:
        number = count.get(step.due.account_id, 0)
        count[step.due.account_id] = number + 1
        if number == len(passes):
            passes.append([])
        passes[number].append(step)
    return passes


class Charging:
    """Charges passes of steps against account states; collects lines and crossings."""

    def __init__(self, accounts: Mapping[str, AccountState], *, lines_before: int = 0) -> None:
        self.accounts = accounts
        self._lines_before = lines_before
        self.tiers: dict[str, TierState] = {}
        self.lines: list[Line] = []
        self.crossings: dict[str, Crossing] = {}
        self.charged_fen = 0
        self.estimated = 0
        self.wide = 0

    def run(self, steps: Iterable[Step]) -> None:
        """Charge all steps."""
        for batch in rounds(steps):
            for by_rates in (False, True):
                same = [step for step in batch if step.terms.by_rates == by_rates and step.terms.has_row]
                if same:
                    self._pass(same)
            for step in batch:
                if not step.terms.has_row:
                    state, tier = self.accounts[step.due.account_id], self._tier(step)
                    self._book(step, state, tier, *self._wide(step, state, tier))

    def _pass(self, steps: Sequence[Step]) -> None:
        """One call of the kernel for steps with the same number of registers."""
        states = [self.accounts[step.due.account_id] for step in steps]
        tiers = [self._tier(step) for step in steps]
        numbers, rows = _rows(steps, states)
        wide = [
            abs(state.balance_fen) > KERNEL_BALANCE_MAX_FEN or tier.wh > KERNEL_PERIOD_MAX_WH
            for state, tier in zip(states, tiers, strict=True)
        ]
        size = len(steps)
        charge_nf, event = array("q", bytes(8 * size)), array("B", bytes(size))
        flags = array("B", [state.level for state in states])
        new_wh = array(
            "i", [delta for register in zip(*[step.moved_wh for step in steps], strict=True) for delta in register]
        )
        deduct(
            array("i", bytes(4 * len(new_wh))),  # a step is a register that started at 0
            new_wh,
            array("i", [step.due.ratio for step in steps]),
            array("H", numbers),
            array("q", [0 if big else tier.wh for tier, big in zip(tiers, wide, strict=True)]),
            array("q", [0 if big else state.balance_nf for state, big in zip(states, wide, strict=True)]),
            array("i", [state.alarm1_fen for state in states]),
            array("i", [state.alarm2_fen for state in states]),
            array("i", [state.overdraft_fen for state in states]),
            flags,
            charge_nf,
            event,
            b"".join(rows),
            max_delta_wh=MAX_DELTA_WH,
        )
        for i, step in enumerate(steps):
            if wide[i] or event[i] == EVENT_RANGE:
                self._book(step, states[i], tiers[i], *self._wide(step, states[i], tiers[i]))
            else:
                self._book(step, states[i], tiers[i], charge_nf[i], flags[i], event[i])

    def _tier(self, step: Step) -> TierState:
        tier = self.tiers.get(step.due.meter_id)
        if tier is None:
            due = step.due
            tier = TierState(due.tier_period_start, due.tier_period_wh, due.order_start, due.order_rates_wh)
            self.tiers[due.meter_id] = tier
        tier.enter(step.terms)
        return tier

    def _wide(self, step: Step, state: AccountState, tier: TierState) -> tuple[int, int, int]:
        """The charge in Python integers, for a row beyond the kernel's ranges or a tariff without one."""
        self.wide += 1
        terms, settled_wh = step.terms, tier.rates_wh or NO_RATES
        charge_nf = charge_step(
            terms.version, terms.season, step.moved_wh, tier.wh, settled_wh=settled_wh, ratio=step.due.ratio
        )
        after_nf = max(-LEVEL_BALANCE_MAX_NF, min(LEVEL_BALANCE_MAX_NF, state.balance_nf - charge_nf))
        limits = (state.alarm1_fen, state.alarm2_fen, state.overdraft_fen, state.close_allowed_fen * NF_PER_FEN)
        return charge_nf, *level_after(after_nf, *limits, state.level)

    def _book(
        self,
        step: Step,
        state: AccountState,
        tier: TierState,
        charge_nf: int,
        flags: int,
        event: int,
    ) -> None:
        due, start, end = step.due, step.start, step.end
        tier_from_wh = tier.wh
        tier.count(step.moved_wh, due.ratio)
        state.level = flags & FLAG_LEVEL_MASK
        if event != EVENT_NONE:
            self.crossings[due.account_id] = Crossing(due.account_id, due.meter_id, event)
        if start.total_wh == end.total_wh and not any(step.moved_wh):
            return
        posted_fen, state.residue_nf = post_charge(charge_nf, state.residue_nf)
        state.balance_fen -= posted_fen
        state.version += 1
        self.charged_fen += posted_fen
        self.estimated += step.estimated
        by_rates = step.terms.by_rates
        self.lines.append(
            Line(
                self._lines_before + len(self.lines) + 1,
                due.account_id,
                -posted_fen,
                state.balance_fen,
                state.version,
                charge_nf,
                state.residue_nf,
                due.meter_id,
                due.install_no,
                step.terms.tariff_id,
                start.total_wh,
                end.total_wh,
                rates_text(start.rates_wh) if by_rates else None,
                rates_text(end.rates_wh) if by_rates else None,
                step.terms.tier_period_start,
                tier_from_wh,
                start.at,
                end.at,
            )
        )


def _rows(steps: Sequence[Step], states: Sequence[AccountState]) -> tuple[list[int], list[bytes]]:
    """The row number of each step, and the rows; steps with the same terms and closing limit share one."""
    known: dict[tuple[Terms, int], int] = {}
    rows: list[bytes] = []
    numbers: list[int] = []
    for step, state in zip(steps, states, strict=True):
        key = (step.terms, state.close_allowed_fen)
        number = known.get(key)
        if number is None:
            number = known[key] = len(rows)
            rows.append(step.terms.row(state.close_allowed_fen))
        numbers.append(number)
    return numbers, rows
