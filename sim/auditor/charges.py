"""Charges against what the ways between their registers cost: postings that do not join, and sums that are off.

Each posting is priced from the true totals behind its two registers. Fen are rounded and what is left over is carried,
so the sum of a meter's postings may be less than one fen away from the exact sum; a posting that moves it further is
off by so many fen, and a reason is looked for. Exact nanofen have to be exact, and the fen beside them still add up.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise

from sim.auditor.finding import CHARGE, Finding
from sim.auditor.pricing import NF_PER_FEN, Pricing
from sim.auditor.truth_file import FULL_WH, MeterTruth, Truth
from sim.auditor.view_file import Charge, View


def audit_charges(truth: Truth, view: View) -> Iterator[Finding]:
    """All differences of the charges."""
    pricing = Pricing(truth)
    by_meter: dict[str, list[Charge]] = {}
    for charge in view.charges:
        by_meter.setdefault(charge.meter, []).append(charge)
    for address, charges in sorted(by_meter.items()):
        meter = truth.meters.get(address)
        if meter is None:
            yield Finding(CHARGE, address, charges[0].at_s, "charged, but the estate has no such meter")
            continue
        charges.sort(key=lambda charge: charge.at_s)
        yield from _joins(truth, meter, charges)
        yield from _sums(truth, pricing, meter, charges)


def _joins(truth: Truth, meter: MeterTruth, charges: Sequence[Charge]) -> Iterator[Finding]:
    """Each posting begins where the one before it ended: by what truly flowed, so that steps and roll-overs count."""
    for before, after in pairwise(charges):
        hole_wh = _hole_wh(truth, meter, before, after)
        if hole_wh == 0:
            continue
        if (before.from_wh, before.to_wh) == (after.from_wh, after.to_wh):
            why = f"{after.from_wh} to {after.to_wh} Wh was charged twice, {after.charge_fen} fen the second time"
        elif hole_wh < 0:
            why = f"begins at {after.from_wh} Wh, {-hole_wh} Wh of which are charged already"
        else:
            why = f"begins at {after.from_wh} Wh, so {hole_wh} Wh before it were never charged"
        yield Finding(CHARGE, meter.address, after.at_s, why)


def _hole_wh(truth: Truth, meter: MeterTruth, before: Charge, after: Charge) -> int:
    """Energy between two postings, negative where they overlap; by what was shown where that tells nothing."""
    ended = meter.located(before.to_wh, truth.ms(before.at_s))
    begun = None if ended is None else meter.located(after.from_wh, ended[1])
    if ended is None or begun is None:
        return after.from_wh - before.to_wh
    return begun[0] - ended[0]


def _sums(truth: Truth, pricing: Pricing, meter: MeterTruth, charges: Sequence[Charge]) -> Iterator[Finding]:
    off_fen = Fraction(0)
    known_fen = 0
    for charge in charges:
        way = way_wh(truth, meter, charge)
        if way is None:
            which = f"{charge.from_wh} or {charge.to_wh} Wh"
            yield Finding(CHARGE, meter.address, charge.at_s, f"the meter never showed {which}; nothing to charge by")
            continue
        exact_nf = pricing.way_nf(meter, *way)
        if charge.charge_nf is not None and charge.charge_nf != exact_nf:
            by_fen = Fraction(charge.charge_nf - exact_nf, NF_PER_FEN)
            yield _off(truth, pricing, meter, charge, way, exact_nf, by_fen)
            continue
        off_fen += charge.charge_fen - exact_nf / NF_PER_FEN
        if abs(off_fen - known_fen) >= 1:
            by_fen = off_fen - known_fen
            known_fen += round(by_fen)
            yield _off(truth, pricing, meter, replace(charge, charge_nf=None), way, exact_nf, by_fen)


def way_wh(truth: Truth, meter: MeterTruth, charge: Charge) -> tuple[int, int] | None:
    """The true totals behind a posting's registers, the end first: its beginning lies before that."""
    end = meter.located(charge.to_wh, truth.ms(charge.at_s))
    if end is None:
        return None
    begin = meter.located(charge.from_wh, end[1])
    if begin is None or begin[0] > end[0]:
        begin = meter.located(charge.from_wh, 0)
    return None if begin is None or begin[0] > end[0] else (begin[0], end[0])


def _off(
    truth: Truth, pricing: Pricing, meter: MeterTruth, charge: Charge, way: tuple[int, int], exact_nf: Fraction,
    by_fen: Fraction,
) -> Finding:  # fmt: skip
    exact_fen = float(exact_nf / NF_PER_FEN)
    amount = f"{abs(float(by_fen)):.9g}" if charge.charge_nf is not None else str(abs(round(by_fen)))
    why = (
        f"{charge.from_wh} to {charge.to_wh} Wh: off by {amount} fen, too {'much' if by_fen > 0 else 'little'}: "
        f"{charge.charge_fen} fen for what costs {exact_fen:.2f}, because {_reason(truth, pricing, meter, charge, way)}"
    )
    return Finding(CHARGE, meter.address, charge.at_s, why)


def _reason(truth: Truth, pricing: Pricing, meter: MeterTruth, charge: Charge, way: tuple[int, int]) -> str:
    """The first way of counting wrongly that gives this amount."""

    charged, nf_per_unit = (charge.charge_fen, NF_PER_FEN) if charge.charge_nf is None else (charge.charge_nf, 1)

    def gives(amount_nf: Fraction) -> bool:
        return abs(charged - amount_nf / nf_per_unit) < 1

    exact_nf = pricing.way_nf(meter, *way)
    if charged == 0:
        return "it was not charged at all"
    if gives(2 * exact_nf):
        return "it was charged twice over"
    shown_wh = (charge.to_wh - charge.from_wh) % FULL_WH
    if shown_wh != way[1] - way[0]:
        flowed = f"{shown_wh} Wh were charged by the registers where {way[1] - way[0]} Wh flowed"
        if way[1] > way[0] and gives(exact_nf * shown_wh / (way[1] - way[0])):
            return flowed
    for variant in pricing.variants(meter, *way):
        if gives(pricing.way_nf(meter, *way, variant)):
            return variant.said
    return f"of no reason that is known here ({way[1] - way[0]} Wh flowed)"
