"""Following the charges of a meter for a bill: each is worked out from what was read and from the tariff alone."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby, pairwise

from core.tariff import TariffError
from core.tariff_order import charge_step
from core.units import post_charge
from server.domain.bill_parts import parts_of
from server.domain.billing import TierState
from server.domain.bills import BillLine, BookedLine, Derived, Difference, Shown, compare
from server.domain.ledger import Line
from server.domain.registers import (
    NO_RATES,
    Registers,
    SplitRule,
    boundary_registers,
    boundary_rounded_down,
    rates_from,
    split_rule,
    step_wh,
)
from server.domain.tariff_calendar import TariffCalendar, Terms


@dataclass(slots=True)
class Replay:
    """Works out the charges of one installation of a meter, line after line.

    `known` are its true registers by instant with the source of each; `tier` is where the counters stand before the
    first line, `was` where the registers do (None: nothing is known of before). `later` are readings of after a charge
    by the instant at which its last line ends, where nothing was read: the energy from there to them was nothing.
    """

    ratio: int
    calendars: Mapping[str, TariffCalendar]
    known: Mapping[int, Shown]
    tier: TierState
    was: Registers | None
    later: Mapping[int, Registers] = field(default_factory=dict)
    cuts: dict[int, dict[int, Registers]] = field(default_factory=dict)

    def follow(self, booked: Sequence[BookedLine], earlier: Sequence[BookedLine] = ()) -> list[BillLine]:
        """All lines in the order in which they were booked; `earlier` ones are not told, but begin their batches."""
        stood = self.was
        for batch_seq, batch in groupby((*earlier, *booked), key=lambda one: one.batch_seq):
            self.cuts[batch_seq] = {}
            for own in self._charges(list(batch)):
                self.cuts[batch_seq] |= self._cut(own, stood)
                stood = _end(own[-1].line)
        return [self._one(one) for one in booked]

    def _charges(self, batch: Sequence[BookedLine]) -> Iterator[list[BookedLine]]:
        """The lines of each charge from one reading to another: what goes on at a boundary belongs together."""
        own = [batch[0]]
        for before, one in pairwise(batch):
            if not self._goes_on(before.line, one.line):
                yield own
                own = []
            own.append(one)
        yield own

    def _goes_on(self, before: Line, after: Line) -> bool:
        calendar = self.calendars.get(before.tariff_id or "")
        try:
            return calendar is None or all(
                calendar.terms_at(at - 1).end_s == at for at in (before.event_to or 0, after.event_from or 0)
            )
        except TariffError:
            return True

    def _cut(self, own: Sequence[BookedLine], stood: Registers | None) -> dict[int, Registers]:
        """Registers at the boundaries that a charge goes over, by instant, as far as they are cut by time."""
        start, end = _start(own[0].line), _end(own[-1].line)
        whole = self.known[end.at].registers if end.at in self.known else self.later.get(end.at)
        calendar = self.calendars.get(own[0].line.tariff_id or "")
        if whole is None or calendar is None:
            return {}
        if stood is not None and stood.total_wh == start.total_wh and self._read(start.at, start) is None:
            start = start._replace(at=min(start.at, stood.at))  # its first part was nothing
        try:
            spans = [calendar.terms_at(start.at)]
            while (end_s := spans[-1].end_s) is not None and end_s < whole.at:
                spans.append(calendar.terms_at(end_s))
        except TariffError:
            return {}
        cut = boundary_rounded_down if split_rule(own[0].memo) is SplitRule.DOWN else boundary_registers
        read = [self._read(span.end_s or 0, _stood_at(own, span.end_s or 0)) for span in spans[:-1]]
        points = cut(spans, start, whole, read)
        return {point.at: point for point, seen in zip(points, read, strict=True) if point is not seen}

    def _read(self, at: int, charged: Registers) -> Registers | None:
        """What was read at an instant when it was charged to these registers."""
        shown = self.known.get(at)
        if shown is None:
            return None
        total_wh, rates_wh = shown.registers.total_wh, shown.registers.rates_wh
        differs = None not in (rates_wh, charged.rates_wh) and rates_wh != charged.rates_wh
        return None if shown.passing and (total_wh != charged.total_wh or differs) else shown.registers

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
            compare(found, "from_wh", start.total_wh, self.was.total_wh)
            if None not in (start.rates_wh, self.was.rates_wh):
                compare(found, "from_rates_wh", start.rates_wh, self.was.rates_wh)
            start = Registers(start.at, self.was.total_wh, self.was.rates_wh or start.rates_wh)
        true_end, source = self._true_end(booked)
        compare(found, "to_wh", end.total_wh, true_end.total_wh)
        if terms.by_rates and None not in (end.rates_wh, true_end.rates_wh):
            compare(found, "to_rates_wh", end.rates_wh, true_end.rates_wh)
        derived = self._derive(calendar, terms, booked, start, true_end, source)
        compare(found, "tier_period_start", line.tier_period_start, terms.tier_period_start)
        compare(found, "tier_from_wh", line.tier_from_wh, derived.tier_from_wh)
        compare(found, "charge_nf", line.charge_nf, derived.charge_nf)
        compare(found, "amount_fen", line.amount_fen, -derived.posted_fen)
        compare(found, "residue_after_nf", line.residue_after_nf, derived.residue_after_nf)
        self.was = true_end
        return BillLine(booked, derived, tuple(replace(one, at=str(line.account_version)) for one in found))

    def _true_end(self, booked: BookedLine) -> tuple[Registers, str]:
        """The registers at the end of a step: as they were read there, or cut by time at a boundary of the tariff."""
        end = _end(booked.line)
        if (cut := self.cuts[booked.batch_seq].get(end.at)) is not None:
            return cut, "split"
        read = self._read(end.at, end)
        return (Registers(end.at, -1, None), "") if read is None else (read, self.known[end.at].source)

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


def _stood_at(own: Sequence[BookedLine], at: int) -> Registers:
    """Up to where a charge had come at an instant; a part of nothing has no line."""
    ended = [one.line for one in own if (one.line.event_to or 0) <= at]
    return _end(ended[-1]) if ended else _start(own[0].line)


def _start(line: Line) -> Registers:
    return Registers(line.event_from or 0, line.from_wh or 0, rates_from(line.from_rates_wh))


def _end(line: Line) -> Registers:
    return Registers(line.event_to or 0, line.to_wh or 0, rates_from(line.to_rates_wh))
