"""Judging of cumulative registers: is a new reading the honest continuation of the last accepted one?

A register counts Wh modulo `modulus_wh` and moves only forward, no faster than the meter's full power
allows. From that follows the verdict: a step forward is accepted, a step through the modulus is a roll-over
(R18: only when the forward step is plausible and the old value stood in the last tenth of the span), and
everything else is held with its reason for a person, never charged. A register that reads zero after it has counted
is most often a placeholder of a meter that has no value at the moment, so it is held even where a roll-over could have
brought it there: the next reading tells. A reading that comes late but lies between its neighbours fills a gap: it is
true and moves nothing. `core.plausibility` has the rules that need more than one register.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from core.units import REGISTER_MODULUS_WH, WH_PER_STEP

RULES_VERSION = 3  # kept with each reading, so that a verdict can be understood after the rules have changed
SECONDS_PER_HOUR = 3600
ROLL_OVER_TENTHS = 9


class Verdict(StrEnum):
    """What a reading is taken for; only those of `ADVANCING` move the register."""

    ACCEPTED = "accepted"
    ROLLED_OVER = "rolled_over"
    RELEASED = "released"
    FILLED = "filled"
    DUPLICATE = "duplicate"
    LATE = "late"
    BACKWARDS = "backwards"
    ZERO = "zero"
    JUMP = "jump"
    SPIKE = "spike"
    SUM_DIFFERS = "sum_differs"
    NOT_MULTIPLE = "not_multiple"
    VOIDED = "voided"
    REVOKED = "revoked"  # was charged, and a person took it back: what was charged up to it was counter-posted


ADVANCING = (Verdict.ACCEPTED, Verdict.ROLLED_OVER, Verdict.RELEASED)
TRUE = (*ADVANCING, Verdict.FILLED)
HELD = (Verdict.BACKWARDS, Verdict.ZERO, Verdict.JUMP, Verdict.SPIKE, Verdict.SUM_DIFFERS, Verdict.NOT_MULTIPLE)


@dataclass(frozen=True, slots=True)
class Judged:
    """A verdict: the step to charge (0 unless accepted), the new register, and the reason in words."""

    verdict: Verdict
    step_wh: int
    total_wh: int
    reason: str


def is_accepted(verdict: Verdict) -> bool:
    """Whether a reading with this verdict advances the register and is charged."""
    return verdict in ADVANCING


def plausible_wh(seconds: int, max_power_w: int, step_wh: int = WH_PER_STEP) -> int:
    """The most energy a meter can count in `seconds` at `max_power_w`, plus one step of its display."""
    return -(-max_power_w * seconds // SECONDS_PER_HOUR) + step_wh


def judge(
    prev_wh: int,
    prev_at_s: int,
    new_wh: int,
    new_at_s: int,
    *,
    modulus_wh: int = REGISTER_MODULUS_WH,
    max_power_w: int,
    step_wh: int = WH_PER_STEP,
) -> Judged:
    """Judge a new reading of one register against the last accepted one.

    prev_wh, new_wh : 0..modulus_wh - 1; *_at_s : epoch seconds at which the meter showed them;
    max_power_w : rated voltage x current x 1.2 of all phases; step_wh : the register's smallest count.
    `ValueError` when an argument cannot be a register of this modulus (the caller's mistake).
    """
    for name, value in (("prev_wh", prev_wh), ("new_wh", new_wh)):
        if not 0 <= value < modulus_wh:
            raise ValueError(f"{name} = {value} is not in 0..{modulus_wh - 1}")
    if max_power_w <= 0 or step_wh <= 0:
        raise ValueError(f"max_power_w = {max_power_w} and step_wh = {step_wh} must be positive")
    if new_at_s <= prev_at_s:
        return _judge_old(prev_wh, prev_at_s, new_wh, new_at_s)
    if new_wh % step_wh:
        return Judged(Verdict.NOT_MULTIPLE, 0, prev_wh, f"{new_wh} Wh is no multiple of {step_wh} Wh")
    limit_wh = plausible_wh(new_at_s - prev_at_s, max_power_w, step_wh)
    return _judge_step(prev_wh, new_wh, limit_wh, modulus_wh)


def _judge_step(prev_wh: int, new_wh: int, limit_wh: int, modulus_wh: int) -> Judged:
    """To zero, forward, through the modulus, or back."""
    if new_wh == 0 < prev_wh:
        said = f"reads 0 Wh after {prev_wh} Wh: a placeholder, a reset or a replacement"
        return Judged(Verdict.ZERO, 0, prev_wh, said)
    forward_wh = (new_wh - prev_wh) % modulus_wh
    if new_wh >= prev_wh:
        if forward_wh <= limit_wh:
            return Judged(Verdict.ACCEPTED, forward_wh, new_wh, "forward within the meter's power")
        return Judged(Verdict.JUMP, 0, prev_wh, f"{forward_wh} Wh forward, at most {limit_wh} Wh are plausible")
    if forward_wh <= limit_wh and prev_wh * 10 >= modulus_wh * ROLL_OVER_TENTHS:
        return Judged(Verdict.ROLLED_OVER, forward_wh, new_wh, f"through {modulus_wh} Wh, {forward_wh} Wh forward")
    return Judged(Verdict.BACKWARDS, 0, prev_wh, f"{prev_wh - new_wh} Wh backwards: reset or replacement suspected")


def _judge_old(prev_wh: int, prev_at_s: int, new_wh: int, new_at_s: int) -> Judged:
    if (new_wh, new_at_s) == (prev_wh, prev_at_s):
        return Judged(Verdict.DUPLICATE, 0, prev_wh, "the same reading again")
    return Judged(Verdict.LATE, 0, prev_wh, f"{prev_at_s - new_at_s} s older than the last accepted reading")


def judge_between(
    before_wh: int, after_wh: int, new_wh: int, *, modulus_wh: int = REGISTER_MODULUS_WH, step_wh: int = WH_PER_STEP
) -> Judged:
    """Judge a reading that comes after its time by the true registers before and after it.

    It is `FILLED` where the register passed through it on its way, else it stays `LATE`. `ValueError` as in `judge`.
    """
    for name, value in (("before_wh", before_wh), ("after_wh", after_wh), ("new_wh", new_wh)):
        if not 0 <= value < modulus_wh:
            raise ValueError(f"{name} = {value} is not in 0..{modulus_wh - 1}")
    part_wh, span_wh = (new_wh - before_wh) % modulus_wh, (after_wh - before_wh) % modulus_wh
    if part_wh <= span_wh and new_wh % step_wh == 0:
        return Judged(Verdict.FILLED, 0, after_wh, f"late, {part_wh} of the {span_wh} Wh between its neighbours")
    return Judged(Verdict.LATE, 0, after_wh, f"late, and not between its neighbours {before_wh} and {after_wh} Wh")


def worst(verdicts: Sequence[Verdict]) -> Verdict:
    """The verdict of a meter from those of its registers: one held register holds the whole meter."""
    order = (
        Verdict.BACKWARDS,
        Verdict.ZERO,
        Verdict.JUMP,
        Verdict.NOT_MULTIPLE,
        Verdict.LATE,
        Verdict.DUPLICATE,
        Verdict.FILLED,
        Verdict.ROLLED_OVER,
        Verdict.ACCEPTED,
    )
    return next(verdict for verdict in order if verdict in verdicts)
