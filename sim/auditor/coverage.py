"""What was never charged: before a meter's first posting, after its last one, or in whole.

Charging is judged between two moments, a dwelling's meters only: a main meter pays nothing. Postings may begin and end
within the tolerance around them, and what lies in a time in which the meter could not be read is due with the next
reading, so it is only asked for when that time is over. What a head-end holds at the end is a person's to decide; until
then it is due up to the last reading before it.
"""

from collections.abc import Iterator, Sequence

from sim.auditor.charges import way_wh
from sim.auditor.finding import CHARGE, Finding
from sim.auditor.truth_file import MeterTruth, Truth
from sim.auditor.view_file import Charge, View

Span = tuple[float, float]


def audit_coverage(truth: Truth, view: View) -> Iterator[Finding]:
    """Energy that flowed while it was to be charged, and that no posting has."""
    if not view.charges and not view.is_bounded:
        return
    for meter in truth.meters.values():
        if meter.household is not None:
            span = _readable_span(truth, view, meter)
            charges = sorted((c for c in view.charges if c.meter == meter.address), key=lambda charge: charge.at_s)
            yield from _ends(truth, meter, charges, span) if charges else _whole(truth, meter, span)


def _readable_span(truth: Truth, view: View, meter: MeterTruth) -> Span:
    """From when until when a right head-end must have charged."""
    from_s = _given(view.charged_from_s, view.from_s, truth.estate["from_s"]) + view.tolerance_s
    until_s = _given(view.charged_until_s, view.until_s, truth.estate["until_s"]) - view.tolerance_s
    until_s = min(until_s, _undecided_s(view, meter) - view.tolerance_s)
    for label in sorted(truth.unreadable_at(meter, from_s, until_s), key=lambda label: -label["start_s"]):
        if label["start_s"] <= until_s and (label["end_s"] is None or label["end_s"] >= until_s):
            until_s = label["start_s"] - view.tolerance_s
    for label in sorted(truth.unreadable_at(meter, from_s, until_s), key=lambda label: label["start_s"]):
        if label["start_s"] <= from_s and label["end_s"] is not None and label["end_s"] >= from_s:
            from_s = label["end_s"] + view.tolerance_s
    return from_s, until_s


def _undecided_s(view: View, meter: MeterTruth) -> float:
    """The last reading before those that are held at the end; endless when none are."""
    believed_s = max((one.at_s for one in view.readings if one.meter == meter.address), default=0.0)
    return believed_s if any(h.meter == meter.address and h.at_s > believed_s for h in view.held) else float("inf")


def _whole(truth: Truth, meter: MeterTruth, span: Span) -> Iterator[Finding]:
    begun_wh, ended_wh = _totals_wh(truth, meter, span)
    if ended_wh > begun_wh:
        why = f"no posting at all, so {ended_wh - begun_wh} Wh {_said(truth, *span)} were never charged"
        yield Finding(CHARGE, meter.address, span[1], why)


def _ends(truth: Truth, meter: MeterTruth, charges: Sequence[Charge], span: Span) -> Iterator[Finding]:
    """Postings that no register explains are told of elsewhere."""
    first, last = (way_wh(truth, meter, charge) for charge in (charges[0], charges[-1]))
    begun_wh, ended_wh = _totals_wh(truth, meter, span)
    if first is not None and (hole_wh := min(first[0], ended_wh) - begun_wh) > 0:
        why = f"begins at {charges[0].from_wh} Wh, so {hole_wh} Wh since {truth.said(span[0])} were never charged"
        yield Finding(CHARGE, meter.address, charges[0].at_s, why)
    if last is not None and (hole_wh := ended_wh - max(last[1], begun_wh)) > 0:
        why = f"ends at {charges[-1].to_wh} Wh, so {hole_wh} Wh until {truth.said(span[1])} were never charged"
        yield Finding(CHARGE, meter.address, charges[-1].at_s, why)


def _totals_wh(truth: Truth, meter: MeterTruth, span: Span) -> tuple[int, int]:
    """True totals at both ends; nothing is due in a span that is turned round."""
    begun_wh, ended_wh = (meter.total_wh(truth.ms(at_s)) for at_s in span)
    return begun_wh, max(begun_wh, ended_wh) if span[0] < span[1] else begun_wh


def _said(truth: Truth, from_s: float, until_s: float) -> str:
    return f"from {truth.said(from_s)} to {truth.said(until_s)}"


def _given(*moments_s: float | None) -> float:
    return float(next(moment_s for moment_s in moments_s if moment_s is not None))
