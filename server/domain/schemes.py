"""Schemes: named sets of supply rules with dated versions, laid over the estate's own rules, household rules on top.

A definition says only what it changes: what it leaves out, the estate's rules hold. Alarm levels are a fixed amount,
a percentage of the last top-up, or days of the mean cost of the last seven days; `limits_of` turns all three
into fen, so that crossings are judged in one way. The preset `state-grid-hunan` carries the levels and notices of
State Grid Hunan's prepayment: a reminder below the warning amount, the notice of a cut below zero, and our final
notice 40 minutes before it.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from core.units import parse_yuan
from server.domain.calendar import DAY_MINUTES, ProtectedTimes, inside_hours

FIXED, PERCENT, DAYS = "fixed", "percent", "days"
AMOUNT_MAX_FEN = 2**31 - 1  # thresholds are int32 in the deduction kernel
PERCENT_MAX, LEVEL_DAYS_MAX = 100, 60
GRACE_MAX_S, SPREAD_MAX_S, FINAL_NOTICE_MAX_S = 2_592_000, 14_400, 7200
KEEP_PROTECTED, KEEP_ALWAYS, KEEP_NEVER = "protected", "always", "never"
KEEP_POLICIES = (KEEP_PROTECTED, KEEP_ALWAYS, KEEP_NEVER)
DAY_S, MEAN_DAYS = 86400, 7
_LEVEL = re.compile(r"(\d{1,3}) ?(%|d|days?|天)")


class Level(NamedTuple):
    """An alarm level: fen, percent of the last top-up, or days of mean use."""

    kind: str
    value: int


DEFAULT_ALARM1, DEFAULT_ALARM2 = Level(FIXED, 3000), Level(FIXED, 1000)


class Limits(NamedTuple):
    """What an account's balance is compared with, in fen."""

    alarm1_fen: int
    alarm2_fen: int
    overdraft_fen: int
    close_allowed_fen: int


@dataclass(frozen=True, slots=True)
class Rules:
    """The rules of one household at one time. Minutes are of the local day; from == to means no hour."""

    grace_s: int
    protected_from_min: int
    protected_to_min: int
    protect_weekends: bool
    protect_holidays: bool
    spread_s: int
    alarm1: Level = DEFAULT_ALARM1
    alarm2: Level = DEFAULT_ALARM2
    overdraft_fen: int = 0
    close_allowed_fen: int = 0
    quiet_from_min: int = 0
    quiet_to_min: int = 0
    protect_alerts: bool = True
    final_notice_s: int = 0  # so long before a cut a final notice must have been delivered; 0: none
    keep_power: str = KEEP_PROTECTED  # whose meters are told to keep the power on

    @property
    def moves(self) -> bool:
        """Whether a limit moves with top-ups or use."""
        return self.alarm1.kind != FIXED or self.alarm2.kind != FIXED


def _whole(low: int, high: int) -> Callable[[Any], int]:
    def read(value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise ValueError(f"{low} to {high}")
        return value

    return read


def _truth(value: Any) -> bool:
    if value not in (0, 1):
        raise ValueError("true or false")
    return bool(value)


def _policy(value: Any) -> str:
    if value not in KEEP_POLICIES:
        raise ValueError(", ".join(KEEP_POLICIES))
    return str(value)


def _level(value: Any) -> Level:
    kind, amount = value
    most = {FIXED: AMOUNT_MAX_FEN, PERCENT: PERCENT_MAX, DAYS: LEVEL_DAYS_MAX}[kind]
    return Level(kind, _whole(-AMOUNT_MAX_FEN if kind == FIXED else 0, most)(amount))


READ: Mapping[str, Callable[[Any], Any]] = {
    "alarm1": _level,
    "alarm2": _level,
    "overdraft_fen": _whole(0, AMOUNT_MAX_FEN),
    "close_allowed_fen": _whole(-AMOUNT_MAX_FEN, AMOUNT_MAX_FEN),
    "grace_s": _whole(0, GRACE_MAX_S),
    "quiet_from_min": _whole(0, DAY_MINUTES),
    "quiet_to_min": _whole(0, DAY_MINUTES),
    "protected_from_min": _whole(0, DAY_MINUTES),
    "protected_to_min": _whole(0, DAY_MINUTES),
    "protect_weekends": _truth,
    "protect_holidays": _truth,
    "protect_alerts": _truth,
    "spread_s": _whole(0, SPREAD_MAX_S),
    "final_notice_s": _whole(0, FINAL_NOTICE_MAX_S),
    "keep_power": _policy,
}
ESTATE_RULES = (
    "grace_s", "protected_from_min", "protected_to_min", "protect_weekends", "protect_holidays", "spread_s",
)  # fmt: skip
_PAIRS = (("quiet_from_min", "quiet_to_min"), ("protected_from_min", "protected_to_min"))


def definition_of(values: Mapping[str, Any]) -> dict[str, Any]:
    """A definition as it is kept (JSON values); ValueError names the key that is unknown or out of its range."""
    kept: dict[str, Any] = {}
    for name, value in values.items():
        if name not in READ:
            raise ValueError(f"{name}: no such rule; allowed: {', '.join(READ)}")
        try:
            read = READ[name](value)
        except (ValueError, TypeError, KeyError) as error:
            raise ValueError(f"{name}: {value!r} is wrong; allowed: {error}") from error
        kept[name] = list(read) if isinstance(read, Level) else read
    for start, end in _PAIRS:
        if (start in kept) != (end in kept):
            raise ValueError(f"{start} and {end} belong together; give both or neither")
    return dict(sorted(kept.items()))


def laid_over(estate: Mapping[str, Any], *definitions: Mapping[str, Any]) -> Rules:
    """The rules of the estate with definitions over them, the later ones on top."""
    values = {name: estate[name] for name in ESTATE_RULES}
    for definition in definitions:
        values |= definition
    return Rules(**{name: READ[name](value) for name, value in values.items()})


def check_order(rules: Rules) -> None:
    """ValueError for limits that would warn after the cut, or cut and close in turn at one balance."""
    if rules.alarm1.kind == rules.alarm2.kind and rules.alarm1.value < rules.alarm2.value:
        raise ValueError("alarm1 must be at least alarm2")
    fixed = [level.value for level in (rules.alarm1, rules.alarm2) if level.kind == FIXED]
    if fixed and min(fixed) < -rules.overdraft_fen:
        raise ValueError("an alarm must not lie beyond the overdraft below 0.00: it would come after the cut")
    if rules.close_allowed_fen < -rules.overdraft_fen:
        raise ValueError("close_allowed lies beyond the overdraft; power would come back and go again")


def limits_of(rules: Rules, last_topup_fen: int | None, day_cost_fen: int | None) -> Limits:
    """The limits in fen; a level without a top-up or a whole day to go by is the fixed default.

    `day_cost_fen` is the mean cost of a day. The order alarm1 >= alarm2 >= -overdraft always holds.
    """

    def bounded(fen: int) -> int:
        return min(AMOUNT_MAX_FEN, fen)

    def fen(level: Level, fallback: Level) -> int:
        if level.kind == PERCENT:
            return fallback.value if last_topup_fen is None else bounded(last_topup_fen * level.value // 100)
        if level.kind == DAYS:
            return fallback.value if day_cost_fen is None else bounded(day_cost_fen * level.value)
        return level.value

    floor_fen = -rules.overdraft_fen
    alarm2_fen = max(floor_fen, fen(rules.alarm2, DEFAULT_ALARM2))
    alarm1_fen = max(alarm2_fen, fen(rules.alarm1, DEFAULT_ALARM1))
    return Limits(alarm1_fen, alarm2_fen, rules.overdraft_fen, rules.close_allowed_fen)


def settled(before: Limits, wanted: Limits, level: int, *, paid: bool) -> Limits:
    """The limits to keep: an alarm that has fired does not sink before the next top-up, or it would fire twice."""
    if paid:
        return wanted
    alarm1_fen = max(before.alarm1_fen, wanted.alarm1_fen) if level >= 1 else wanted.alarm1_fen
    alarm2_fen = max(before.alarm2_fen, wanted.alarm2_fen) if level >= 2 else wanted.alarm2_fen
    return wanted._replace(alarm1_fen=max(alarm1_fen, alarm2_fen), alarm2_fen=alarm2_fen)


def day_cost_of(spent_fen: int, covered_s: int) -> int | None:
    """The mean cost of a day in fen, rounded up, from what was charged in `covered_s`; None before a whole day."""
    if covered_s < DAY_S:
        return None
    return -(-spent_fen * DAY_S // covered_s)


def times_of(
    rules: Rules, time_zone: str, days: Mapping[str, str], alerts: Sequence[tuple[int, int, str]], delay_s: int
) -> ProtectedTimes:
    """When the household is not cut; `days` is the estate's own calendar (day -> off | work)."""
    return ProtectedTimes(
        time_zone,
        rules.protected_from_min,
        rules.protected_to_min,
        rules.protect_weekends,
        rules.protect_holidays,
        days_off=tuple(sorted(day for day, kind in days.items() if kind == "off")),
        work_days=tuple(sorted(day for day, kind in days.items() if kind == "work")),
        alerts=tuple(alerts) if rules.protect_alerts else (),
        delay_s=delay_s,
    )


def quiet_until(rules: Rules, time_zone: str, at_s: int) -> int:
    """The world time from which a reminder may be sent: `at_s` itself, or the end of the quiet hours around it."""
    if rules.quiet_from_min == rules.quiet_to_min:
        return at_s
    moment_s = at_s
    for _ in range(DAY_MINUTES):
        if not inside_hours(time_zone, rules.quiet_from_min, rules.quiet_to_min, moment_s):
            return moment_s
        moment_s += 60 - moment_s % 60
    return moment_s


def level_from(text: str) -> Level:
    """`30.00`, `20%`, `7 days` as a level; ValueError for anything else."""
    found = _LEVEL.fullmatch(text.strip())
    if found is None:
        return _level((FIXED, parse_yuan(text.strip())))
    return _level((PERCENT if found[2] == "%" else DAYS, int(found[1])))


@dataclass(frozen=True, slots=True)
class Preset:
    """A scheme that is shipped: its name, and what it says."""

    name: str
    definition: Mapping[str, Any]


HUNAN = "state-grid-hunan"
PRESETS: Mapping[str, Preset] = {
    HUNAN: Preset(
        "国网湖南智能交费",
        {
            "alarm1": [FIXED, 3000],
            "alarm2": [FIXED, 0],
            "overdraft_fen": 0,
            "close_allowed_fen": 0,
            "quiet_from_min": 22 * 60,
            "quiet_to_min": 8 * 60,
            "final_notice_s": 2400,
        },
    )
}
