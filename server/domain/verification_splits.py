"""Checking charges that a boundary of a tariff divides, and where a charge begins that does not go on from the last.

What was read on a boundary stands. Where nothing was read the energy between two readings is split by time in whole
Wh, by largest remainder with ties to the earlier part (R22); rates that were not read with a total have gone the same
part of their way as it. A part of nothing has no line, so a charge may begin at a later instant than the last one
ended: at a reading of just that register, or at a boundary that the split explains. All of it is worked out again here
from the readings, in Python integers. Batches of before the present rule say so in their memo, but one that booked no
estimated line says nothing: it may be of before as long as no batch has named the present rule.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from itertools import chain, compress, islice, pairwise, product
from typing import NamedTuple

from core.errors import TariffError
from core.units import REGISTER_MODULUS_WH
from server.domain.ledger import Line
from server.domain.readings import Rates
from server.domain.registers import Registers, SplitRule, rates_from, rates_text
from server.domain.tariff_calendar import TariffCalendar, Terms
from server.domain.verification import Findings

FILLED_MAX = 4  # boundaries of one charge whose readings may have come after it, tried with and without each
SPANS_MAX = 400  # of terms in one charge: more than a year of days


class Seen(NamedTuple):
    """A reading that counts; a `filled` one was taken between others, perhaps after they were charged."""

    total_wh: int
    rates_wh: Rates | None
    filled: bool


Key = tuple[str, int]  # meter and instant
Look = Callable[[Sequence[Key]], Mapping[Key, Seen]]
Rule = Callable[[Sequence[Terms], Registers, Registers, Sequence[Seen | None]], list[Registers]]
Later = Callable[[str, int, int], Sequence[Registers]]  # the first readings of a meter after an instant of this total
Unrated = Callable[[Sequence[int]], Set[Key]]  # accepted readings of the total alone at some instants
Part = Callable[[int], int]  # of an energy in Wh
Piece = tuple[int, int, int, int, str | None, str | None]  # of a line: instants, registers, rates


@dataclass(frozen=True, slots=True)
class Divided:
    """The lines of one meter in one batch, and where its charges stood before them.

    `open_end` where nothing was read at the end of the last line, or not its rates though they are priced.
    """

    meter_id: str
    batch_seq: int
    stood: Registers
    lines: Sequence[Line]
    open_end: bool

    @property
    def pieces(self) -> list[Piece]:
        """What the lines say."""
        own = ((one, one.event_from or 0, one.event_to or 0) for one in self.lines)
        return [
            (begun, ended, one.from_wh or 0, one.to_wh or 0, one.from_rates_wh, one.to_rates_wh)
            for one, begun, ended in own
        ]


class SplitBooks:
    """Works out divided charges again; `look`, `later` and `unrated` ask for readings.

    `named` are batches of the present window whose memo names a rule. Readings of before `from_at` may lie in files:
    a charge that needs one and does not find it is counted, not noted.
    """

    def __init__(
        self, found: Findings, calendars: Mapping[str, TariffCalendar], look: Look, later: Later, unrated: Unrated,
        from_at: int = 0,
    ) -> None:  # fmt: skip
        self.found, self._calendars, self._look, self._later, self._from_at = found, calendars, look, later, from_at
        self.unread: set[tuple[int, int]] = set()  # (batch, line): its rates at the end follow from the total
        self.unchecked = 0
        self.named: dict[SplitRule, Set[int]] = {}
        self.without_rates = unrated
        self._nearest_seq: int | None = None

    def take(self, charges: Sequence[Divided]) -> None:
        """Check some charges, in the order of their batches."""
        keys = {(one.meter_id, at) for one in charges for at in self._instants(one)}
        seen = self._look(sorted(keys)) if keys else {}
        for one in charges:
            self._check(one, seen, self._rules(one))

    def _rules(self, one: Divided) -> Sequence[Rule]:
        """The rules that a charge may have been split by, the likely one first."""
        if one.batch_seq in self.named.get(SplitRule.DOWN, ()):
            if self._nearest_seq is not None:
                self._note(one, f"splits by a rule that batch {self._nearest_seq} had left behind")
            return (_down,)
        if self._nearest_seq is None and one.batch_seq in self.named.get(SplitRule.NEAREST, ()):
            self._nearest_seq = one.batch_seq
        return (_nearest, _down) if self._nearest_seq is None else (_nearest,)

    def _instants(self, one: Divided) -> list[int]:
        first, last = one.lines[0], one.lines[-1]
        spans = self._spans(one, one.stood.at, last.event_to or 0)
        return [one.stood.at, first.event_from or 0, *(span.end_s for span in spans if span.end_s is not None)]

    def _spans(self, one: Divided, from_s: int, until_s: int) -> list[Terms]:
        """The terms from one instant to another; none for a tariff that is not there, which is noted elsewhere."""
        calendar = self._calendars.get(one.lines[0].tariff_id or "")
        if calendar is None:
            return []
        try:
            spans = [calendar.terms_at(from_s)]
            while (end_s := spans[-1].end_s) is not None and end_s < until_s and len(spans) < SPANS_MAX:
                spans.append(calendar.terms_at(end_s))
        except (TariffError, ValueError, OverflowError, OSError):
            return []
        return spans

    def _check(self, one: Divided, seen: Mapping[Key, Seen], rules: Sequence[Rule]) -> None:
        if len({line.tariff_id for line in one.lines}) > 1:
            self._note(one, "is charged by two tariffs in one batch")
            return
        start, ends = self._start(one, seen), self._ends(one)
        details = []
        for end in ends:
            detail = self._problem(one, start, end, seen, rules)
            if detail is None:
                return
            details.append(detail)
        self._differs(one, details[0] if ends else "ends at a boundary, and no later reading shows its register")

    def _problem(
        self, one: Divided, start: Registers, end: Registers, seen: Mapping[Key, Seen], rules: Sequence[Rule]
    ) -> str | None:
        """What is wrong with a charge that goes from `start` to `end`; None for nothing that is told here."""
        spans = self._spans(one, start.at, end.at)
        if not spans:
            return None
        ats = [span.end_s for span in spans[:-1] if span.end_s is not None]
        missing = [(one.meter_id, at) for at in ats if at > (one.lines[-1].event_to or 0)]
        known = [({**seen, **self._look(missing)} if missing else seen).get((one.meter_id, at)) for at in ats]
        pieces = list(_pieces(spans, rules[0](spans, start, end, known)))
        for rule, read in product(rules, _with_and_without(known)):
            if one.pieces == list(_pieces(spans, rule(spans, start, end, read))):
                self._remember(one, seen)
                return None
        for own, right in zip(one.pieces, pieces, strict=False):
            if own != right:
                return f"is split as {_said(own)}, should be {_said(right)}"
        return f"is split into {len(one.lines)} parts, should be {len(pieces)}"

    def _start(self, one: Divided, seen: Mapping[Key, Seen]) -> Registers:
        """Where the energy of a charge began: at a reading of the register that its first line begins at, or before."""
        first = one.lines[0]
        at, total_wh = first.event_from or 0, first.from_wh or 0
        read = seen.get((one.meter_id, at))
        begun = one.stood
        if at > begun.at and read is not None and read.total_wh == total_wh:
            begun = Registers(at, total_wh, begun.rates_wh)
        if begun.rates_wh is None:
            there = seen.get((one.meter_id, begun.at))
            begun = begun._replace(rates_wh=(there and there.rates_wh) or rates_from(first.from_rates_wh))
        return begun

    def _ends(self, one: Divided) -> list[Registers]:
        """Where it may have ended: at the end of its last line, or at a reading whose part of the energy was nothing.

        Readings of the same register that came later, between others, may lie before that one.
        """
        last = one.lines[-1]
        at, total_wh, rates_wh = last.event_to or 0, last.to_wh or 0, rates_from(last.to_rates_wh)
        if not one.open_end:
            return [Registers(at, total_wh, rates_wh)]
        later = self._later(one.meter_id, at, total_wh)
        return [end if end.rates_wh is not None else end._replace(rates_wh=rates_wh) for end in later]

    def _remember(self, one: Divided, seen: Mapping[Key, Seen]) -> None:
        for line in one.lines:
            read = seen.get((one.meter_id, line.event_to or 0))
            if read is not None and read.rates_wh is None and line.to_rates_wh is not None:
                self.unread.add((one.batch_seq, line.line_no))

    def _differs(self, one: Divided, detail: str) -> None:
        if min(one.stood.at, one.lines[0].event_from or 0) < self._from_at:
            self.unchecked += 1
        else:
            self._note(one, detail)

    def _note(self, one: Divided, detail: str) -> None:
        self.found.note(3, f"meter {one.meter_id}, batch {one.batch_seq} line {one.lines[0].line_no}", detail)


def _said(piece: Piece) -> str:
    from_at, to_at, from_wh, to_wh, from_rates_wh, to_rates_wh = piece
    rates = "" if from_rates_wh is None else f" ({from_rates_wh} to {to_rates_wh})"
    return f"{from_wh} to {to_wh} Wh{rates} from {from_at} to {to_at}"


def _with_and_without(known: Sequence[Seen | None]) -> Iterator[list[Seen | None]]:
    """What may have been known at the boundaries when they were charged, likely things first: all of it, none of it."""
    filled = [place for place, one in enumerate(known) if one is not None and one.filled]
    some = ([*compress(filled[:FILLED_MAX], gone)] for gone in product((0, 1), repeat=len(filled[:FILLED_MAX])))
    for gone in chain([[]], [filled] if filled else [], islice(some, 1, None)):
        yield [None if place in gone else one for place, one in enumerate(known)]


def _step(before_wh: int, after_wh: int) -> int:
    return (after_wh - before_wh) % REGISTER_MODULUS_WH


def _parts(weights: Sequence[int], amount_wh: int) -> list[int]:
    """Whole Wh in proportion, by largest remainder, ties to the first."""
    whole = sum(weights)
    if not whole:
        return [0] * len(weights)
    exact = [divmod(amount_wh * weight, whole) for weight in weights]
    parts = [quotient for quotient, _ in exact]
    for place in sorted(range(len(parts)), key=lambda place: exact[place][1], reverse=True)[: amount_wh - sum(parts)]:
        parts[place] += 1
    return parts


def _first(weights: Sequence[int], count: int) -> Part:
    return lambda energy_wh: sum(_parts(weights, energy_wh)[:count])


def _rounded_down(past: int, whole: int) -> Part:
    return lambda energy_wh: energy_wh * past // max(1, whole)


def _moved(before: Registers, after: Registers, at: int, part: Part) -> Registers:
    """Each register moved on from `before` by a part of its way to `after`."""
    rates: Rates | None = None
    if before.rates_wh is not None and after.rates_wh is not None:
        sharp, peak, flat, valley = (
            (was + part(_step(was, now))) % REGISTER_MODULUS_WH
            for was, now in zip(before.rates_wh, after.rates_wh, strict=True)
        )
        rates = (sharp, peak, flat, valley)
    total_wh = (before.total_wh + part(_step(before.total_wh, after.total_wh))) % REGISTER_MODULUS_WH
    return Registers(at, total_wh, rates)


def _nearest(spans: Sequence[Terms], start: Registers, end: Registers, read: Sequence[Seen | None]) -> list[Registers]:
    """All points of a charge by the present rule; boundaries without a reading lie between those with one."""
    ats = [span.end_s or 0 for span in spans[:-1]]
    points = [start]
    for place in [place for place, seen in enumerate(read) if seen is not None] + [len(ats)]:
        before, done = points[-1], len(points) - 1
        after = end if place == len(ats) else _read_there(spans[done:], before, end, ats[place], read[place:])
        weights = [later - earlier for earlier, later in pairwise((before.at, *ats[done:place], after.at))]
        points += [_moved(before, after, at, _first(weights, n)) for n, at in enumerate(ats[done:place], 1)]
        points.append(after)
    return points


def _read_there(
    spans: Sequence[Terms], before: Registers, end: Registers, at: int, read: Sequence[Seen | None]
) -> Registers:
    """The first of `read` as a point, with rates by its total where they are priced and were not read."""
    seen = read[0]
    if seen is None:
        raise ValueError("nothing was read there")
    there = Registers(at, seen.total_wh, seen.rates_wh)
    if there.rates_wh is not None or not any(span.by_rates for span in spans):
        return there
    rated = (Registers(0, one.total_wh, one.rates_wh) for one in read[1:] if one is not None and one.rates_wh)
    goal = next(rated, end)
    past_wh, whole_wh = _step(before.total_wh, there.total_wh), _step(before.total_wh, goal.total_wh)
    split = _moved(before, goal, at, _first((past_wh, whole_wh - past_wh), 1))
    return there if past_wh > whole_wh else there._replace(rates_wh=split.rates_wh)


def _down(spans: Sequence[Terms], start: Registers, end: Registers, read: Sequence[Seen | None]) -> list[Registers]:
    """All points of a charge by the rule of before: one boundary after another towards the end, rounded down."""
    points = [start]
    for span, seen in zip(spans, read, strict=False):
        before, at = points[-1], span.end_s or 0
        past, whole = at - before.at, end.at - before.at
        if seen is not None:
            past, whole = _step(before.total_wh, seen.total_wh), _step(before.total_wh, end.total_wh)
        split = _moved(before, end, at, _rounded_down(past, whole))
        if seen is not None:
            estimated = span.by_rates and seen.rates_wh is None and past <= whole
            split = Registers(at, seen.total_wh, split.rates_wh if estimated else seen.rates_wh)
        points.append(split)
    return [*points, end]


def _pieces(spans: Sequence[Terms], points: Sequence[Registers]) -> Iterator[Piece]:
    """The lines that these points ask for: one for each span in which anything was used."""
    for span, (before, after) in zip(spans, pairwise(points), strict=True):
        rates = (before.rates_wh, after.rates_wh) if span.by_rates else (None, None)
        if before.total_wh != after.total_wh or rates[0] != rates[1]:
            yield (before.at, after.at, before.total_wh, after.total_wh, rates_text(rates[0]), rates_text(rates[1]))
