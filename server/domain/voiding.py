"""Taking back a reading that was charged: which lines are counter-posted, and the cursor that they lead back to.

Charges of a meter are a chain, so they are taken back from the newest on, each by a line that mirrors it, down to the
last instant before the reading at which a true reading was charged; then the meter is charged again up to the true
readings that are left. What an estimate at a tariff boundary made of the reading goes with it.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from core.units import post_charge
from server.domain.billing import TierState
from server.domain.ledger import Line
from server.domain.readings import Rates
from server.domain.registers import NO_RATES, Registers, rates_from, step_wh
from server.domain.tariff_calendar import TariffCalendar

ALONE_MAX_FEN = 5000  # counter-posting more than that takes a second person
LINES_MAX = 2000  # in one unit; a week charged every quarter of an hour has 700
VOID = "void"  # kind of a batch whose lines mirror earlier charges


class CannotVoid(ValueError):
    """Why a reading cannot be taken back; the message is for people."""


@dataclass(frozen=True, slots=True)
class BackTo:
    """Where a meter's cursor stands once the lines are taken back."""

    at: int
    total_wh: int
    rates_wh: Rates | None
    tier: TierState


def standing(lines: Sequence[tuple[Line, bool]]) -> list[Line]:
    """The charges that still stand, newest first; each comes with whether its batch mirrors earlier ones."""
    found: list[Line] = []
    mirrored = 0
    for line, is_mirror in lines:
        if is_mirror:
            mirrored += 1
        elif mirrored:
            mirrored -= 1
        else:
            found.append(line)
    return found


def lines_to_void(
    charges: Sequence[Line], read_at: int, true_at: Collection[int], *, stands: bool = False
) -> list[Line]:  # fmt: skip
    """The newest charges down to what the reading at `read_at` decided, newest first; none where it decided nothing.

    `true_at` are the instants of other readings that count, and of the installation: only there a cursor can stand.
    Where it `stands` at the reading, its last part may have had no line, for want of energy, and the newest line end at
    an estimate.
    """
    estimated = stands and bool(charges) and charges[0].event_to not in true_at
    if not estimated and not any(line.event_to == read_at for line in charges):
        return []
    taken: list[Line] = []
    for line in charges:
        taken.append(line)
        begun = line.event_from or 0
        if begun < read_at and begun in true_at:
            return taken
    raise CannotVoid("the charges before it reach back too far; correct the bill by hand instead")


def stops(taken: Sequence[Line], stood_at: int) -> set[int]:
    """Where the cursor stood while these charges were made, from the oldest on; at last at `stood_at`.

    Where one begins after the end of the one before it, a step had no energy, or its last part had none, and no line.
    """
    return {at for line in taken for at in (line.event_from, line.event_to) if at is not None} | {stood_at}


def back_to_idle(
    at: Registers, now: TierState, newest: Line | None, calendar: TariffCalendar, ratio: int, *, is_first: bool
) -> BackTo:
    """The cursor at a true reading since which nothing was charged, for the register has not moved.

    `newest` is the newest charge that stands, `is_first` whether the meter is its household's first: then its counters
    began at zero. CannotVoid where they cannot be told, or another settlement period holds.
    """
    terms = calendar.terms_at(at.at)
    if terms.order_start != now.order_start:
        raise CannotVoid("it was charged in a settlement period that has ended; correct the bill by hand instead")
    tier = TierState(terms.tier_period_start, now.wh, now.order_start, now.rates_wh)
    if now.period_start != terms.tier_period_start:
        same = newest is not None and newest.tier_period_start == terms.tier_period_start
        if newest is None and not is_first:
            raise CannotVoid("what its tiers had counted before is not known; correct the bill by hand instead")
        tier.wh = _counted(newest, ratio) if newest is not None and same else 0
    return BackTo(at.at, at.total_wh, at.rates_wh, tier)


def _counted(line: Line, ratio: int) -> int:
    """The tier counter after a charge, Wh."""
    before, after = rates_from(line.from_rates_wh), rates_from(line.to_rates_wh)
    if before is None or after is None:
        moved_wh = step_wh(line.from_wh or 0, line.to_wh or 0)
    else:
        moved_wh = sum(map(step_wh, before, after))
    return (line.tier_from_wh or 0) + moved_wh * ratio


def mirror(line: Line, line_no: int, balance_fen: int, residue_nf: int, version: int) -> Line:
    """The line that takes another back, for an account that stands at these figures before it."""
    posted_fen, residue_nf = post_charge(-line.charge_nf, residue_nf)
    return line._replace(
        line_no=line_no, amount_fen=-posted_fen, balance_after_fen=balance_fen - posted_fen,
        account_version=version + 1, charge_nf=-line.charge_nf, residue_after_nf=residue_nf,
        from_wh=line.to_wh, to_wh=line.from_wh, from_rates_wh=line.to_rates_wh, to_rates_wh=line.from_rates_wh,
    )  # fmt: skip


def back_to(
    taken: Sequence[Line], now: TierState, rates_wh: Rates | None, calendars: Mapping[str, TariffCalendar], ratio: int
) -> BackTo:
    """The cursor before the oldest of these lines; `rates_wh` are the rates read there, `now` the counters of today.

    CannotVoid when counters of a settlement period that has ended would have to come back, or another tariff held.
    """
    first = taken[-1]
    calendar = calendars.get(first.tariff_id or "")
    if calendar is None or any(line.tariff_id != first.tariff_id for line in taken):
        raise CannotVoid("the tariff of the household has changed since; correct the bill by hand instead")
    rates = now.rates_wh or NO_RATES
    for line in taken:
        terms = calendar.terms_at(line.event_from or 0)
        if terms.order_start != now.order_start:
            raise CannotVoid("it was charged in a settlement period that has ended; correct the bill by hand instead")
        if now.order_start:
            before, after = rates_from(line.from_rates_wh), rates_from(line.to_rates_wh)
            steps = [0] * 4 if before is None or after is None else list(map(step_wh, before, after))
            sharp, peak, flat, valley = (was - step * ratio for was, step in zip(rates, steps, strict=True))
            rates = (sharp, peak, flat, valley)
    tier = TierState(first.tier_period_start or 0, first.tier_from_wh or 0, now.order_start, rates)
    if not now.order_start:
        tier.rates_wh = now.rates_wh
    return BackTo(first.event_from or 0, first.from_wh or 0, rates_from(first.from_rates_wh) or rates_wh, tier)
