"""Relay states against what the meters showed, and against where the contacts were.

A state is right when the meter showed it, or the contacts stood so, within the tolerance around its time: a head-end
cannot know of welded contacts what the meter does not say; that is what the alarm is for. The last state of each meter
has to hold at the end.
"""

from collections.abc import Iterator, Sequence

from sim.auditor.finding import RELAY, Finding
from sim.auditor.truth_file import MeterTruth, Truth
from sim.auditor.view_file import RelayState, View


def audit_relays(truth: Truth, view: View) -> Iterator[Finding]:
    """All differences of the relay states."""
    last: dict[str, RelayState] = {}
    for state in sorted(view.relays, key=lambda state: state.at_s):
        meter = truth.meters.get(state.meter)
        if meter is None:
            yield Finding(RELAY, state.meter, state.at_s, f"{state.state}, but the estate has no such meter")
            continue
        last[state.meter] = state
        at_ms, tolerance_ms = truth.ms(state.at_s), view.tolerance_s * 1000
        if not _was(truth, meter, state.state, at_ms - tolerance_ms, at_ms + tolerance_ms):
            last.pop(state.meter)
            yield Finding(RELAY, meter.address, state.at_s, f"{state.state}, but {_so(truth, meter, at_ms)}")
    end_s = truth.estate["until_s"] if view.until_s is None else view.until_s
    if view.relays or view.is_bounded:
        yield from _never_told(truth, view, end_s)
    for address, state in sorted(last.items()):
        meter, end_ms = truth.meters[address], truth.ms(end_s)
        if not _was(truth, meter, state.state, end_ms - view.tolerance_s * 1000, end_ms):
            why = f"still {state.state} at the end, since {truth.said(state.at_s)}, but {_so(truth, meter, end_ms)}"
            yield Finding(RELAY, address, end_s, why)


def _never_told(truth: Truth, view: View, end_s: float) -> Iterator[Finding]:
    """Meters whose relay moved while the head-end watched, and of which it says nothing."""
    told = {state.meter for state in view.relays}
    from_ms = 0 if view.from_s is None else truth.ms(view.from_s)
    until_ms = truth.ms(end_s) - view.tolerance_s * 1000
    for address, meter in truth.meters.items():
        moves = [move for move in meter.relay if from_ms < move[0] <= until_ms]
        if moves and address not in told:
            why = f"no state at all, but {_so(truth, meter, moves[0][0])}"
            yield Finding(RELAY, address, truth.at_s(moves[0][0]), why)


def _was(truth: Truth, meter: MeterTruth, state: str, from_ms: int, until_ms: int) -> bool:
    shown = [(at_ms, to) for at_ms, to, _ in meter.relay]
    if _within(shown, state, from_ms, until_ms) or _within(meter.contacts, state, from_ms, until_ms):
        return True
    labels = truth.labels_at(meter, truth.at_s(from_ms), truth.at_s(until_ms))
    return state == "open" and any(label["kind"] == "false_tripped" for label in labels)


def _within(moves: Sequence[tuple[int, str]], state: str, from_ms: int, until_ms: int) -> bool:
    """Whether it was so at any moment of a span; everything begins closed."""
    before = [to for at_ms, to in moves if at_ms <= from_ms]
    return (before[-1] if before else "closed") == state or any(
        to == state for at_ms, to in moves if from_ms < at_ms <= until_ms
    )


def _so(truth: Truth, meter: MeterTruth, at_ms: int) -> str:
    before = [move for move in meter.relay if move[0] <= at_ms]
    if not before:
        return "the meter has shown closed since the start"
    moved_ms, to, cause = before[-1]
    return f"the meter has shown {to} since {truth.said(truth.at_s(moved_ms))} ({cause})"
