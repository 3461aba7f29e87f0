"""The decision to cut a household off: a list of checks, each of which alone can keep the power on.

`decide_trip` sees facts of one consistent read and returns every check with its reason, so that the page, the
evidence of a cut and the tests speak of the same thing. It decides; it never commands. Modes: observe sees nothing
to do, dry_run says who would be cut, armed cuts.

A household may also be isolated by two people, for safety or for tampering. Of the checks of a cut for arrears, those
of money fall away then: debt, account, way of paying, warnings, readings; so do the protected times for safety, since
a danger does not wait for the morning, but not for tampering, which does. All others hold: who depends on the power
is protected from this too, a meter that keeps the power on keeps it, and the mode, the red button, the breaker, the
clocks and the limits stop this cut like any other. What they refuse is switched off on site, by somebody who is there.
"""

from collections.abc import Callable
from dataclasses import dataclass

from core.dlt645.identifiers import KEEP_POWER, RELAY_OPEN
from core.units import NF_PER_FEN
from server.domain.accounts import NORMAL
from server.domain.calendar import ProtectedTimes, protected_because

AGREEING_READINGS_MS = 2000  # two readings must be at least so far apart, machine time
BUS_TRIPS_PER_MINUTE = 2
BUS_WINDOW_S = 60
HOUR_S, DAY_S = 3600, 86400
FINAL_VALID_S = 6 * 3600  # after its lead a final notice holds so long; then another one comes before a cut
TRIP_WISH_S = 1800  # a wish to cut that was not carried out within this world time is void
COMMAND_TTL_MAX_S = 600
LATE_S = 2 * COMMAND_TTL_MAX_S  # after it no frame is on its way any more: its deadline, and a clock as far off
ARREARS, SAFETY, TAMPER = "arrears", "safety", "tamper"
HAZARDS = (SAFETY, TAMPER)  # causes for which two people isolate a household, and which no payment ends


@dataclass(frozen=True, slots=True)
class Check:
    """One condition of a cut. `detail` holds figures in project units, `waiting` says that time alone may mend it."""

    name: str
    passed: bool
    detail: str = ""
    waiting: bool = False

    def as_json(self) -> dict[str, object]:
        """For the evidence of a decision."""
        return {"name": self.name, "passed": self.passed, "detail": self.detail, "waiting": self.waiting}


@dataclass(frozen=True, slots=True)
class TripFacts:
    """Everything that the decision depends on, read at once.

    World times end in `_at`, machine times in `_ms`; None means never or unknown and keeps the power on, except for
    `clock_offset_s`: a meter's clock is read just before a cut is sent, and the cut refused then.
    """

    mode: str
    stopped: bool
    breaker: str
    clock_sane: bool
    account_status: str
    balance_fen: int
    residue_nf: int
    overdraft_fen: int
    protected: bool
    protected_until: int | None
    warned_at: int | None
    grace_s: int
    reading_at: int | None
    reading_ms: int | None
    previous_ms: int | None
    total_wh: int | None
    previous_wh: int | None
    reading_fresh_s: int
    status3: int | None
    status3_at: int | None
    clock_offset_s: int | None
    command_ttl_s: int
    bus_trips: int
    hour_trips: int
    hour_trips_max: int
    day_trips: int
    day_trips_max: int
    times: ProtectedTimes
    held_readings: int = 0  # read after the last accepted one and not believed
    unconfirmed_fen: int = 0  # charged up to the newest reading, which no later reading has confirmed
    quarantined: bool = False  # exceeded a limit before; only two people release it
    system_trips: int = 0  # within the last hour over all estates
    system_trips_max: int | None = None  # None: evidence of before there was such a limit
    returning_fen: int = 0  # left the balance for a refund that nobody has confirmed, so it may come back
    postpaid: bool = False  # pays afterwards: never cut for money
    released: bool = False  # its wave of a bulk cut has come, which two people approved: limits are the waves'
    final_notice_s: int = 0  # so long before a cut a final notice must have been delivered; 0: none is asked for
    final_at: int | None = None  # when the newest final notice of the present debt was delivered
    cause: str = ARREARS  # what the household is to be without power for: it says which checks there are
    asked_by: str = ""  # of a hazard: who asked for it, and who agreed
    agreed_by: str = ""


@dataclass(frozen=True, slots=True)
class Decision:
    """All checks in their fixed order."""

    checks: tuple[Check, ...]

    @property
    def allowed(self) -> bool:
        """Whether the household may be cut now: every check has passed."""
        return all(check.passed for check in self.checks)

    @property
    def refusal(self) -> str:
        """The name of the first check that says no, or an empty text."""
        return next((check.name for check in self.checks if not check.passed), "")

    @property
    def refusals(self) -> tuple[str, ...]:
        """The names of all checks that say no."""
        return tuple(check.name for check in self.checks if not check.passed)


MODE = "armed"
IN_WAVE = "in a wave that two people approved"
NOT_SENT_UNARMED = "sent only while cutting is armed"
QUARANTINED, WOULD_TRIP = "quarantined", "would_trip"
LIMITS = frozenset(
    {"hour_limit", "day_limit", "system_limit"}
)  # what exceeds them is quarantined; the bus limit is only a queue

ENDS_BY_TIME = frozenset({"final_notice", "notice_delivered", "allowed_time", "bus_limit"})

RECHECKED = frozenset(
    {
        "overdrawn", "account_normal", "prepaid", "not_protected", "notice_delivered", "final_notice", "reading_fresh",
        "readings_agree", "no_keep_power", "clock_sane", "allowed_time", "armed", "not_stopped", "breaker_closed",
        "two_people",
    }
)  # fmt: skip


def candidate_words(facts: TripFacts, decision: Decision) -> str:
    """The decision in one word: empty for a cut, quarantined, would_trip (dry run), or the check that says no."""
    refusals = [name for name in decision.refusals if not (name == MODE and facts.mode == "dry_run")]
    others = [name for name in refusals if name != "final_notice"]  # what a limit holds back gets none
    if (facts.quarantined and not facts.released) or (others and LIMITS.issuperset(others)):
        return QUARANTINED
    if not refusals:
        return "" if decision.allowed else WOULD_TRIP
    return refusals[0]


def is_candidate(facts: TripFacts, now_s: int) -> bool:
    """Whether the household counts as about to be cut, when it is judged whether there are too many at once."""
    served = facts.account_status == NORMAL and not facts.postpaid
    return owes(facts) and served and not is_protected(facts, now_s)


def owes(facts: TripFacts) -> bool:
    """Whether the household is overdrawn even if all that is on its way back to it or its payer came back here."""
    return is_overdrawn(facts.balance_fen + facts.returning_fen, facts.residue_nf, facts.overdraft_fen)


def is_protected(facts: TripFacts, now_s: int) -> bool:
    """Whether the household must not be cut at all; such a promise may have an end."""
    over = facts.protected_until is not None and facts.protected_until <= now_s
    return facts.protected and not over


def may_still_be_sent(decision: Decision) -> bool:
    """Whether a cut that was decided may go out: nothing that would forbid deciding it now has come up.

    The limits counted it already, and the collector itself reads the relay's status just before it sends.
    """
    return RECHECKED.isdisjoint(decision.refusals)


def decide_trip(facts: TripFacts, now_s: int, now_ms: int) -> Decision:
    """Judge one household at world time `now_s` and machine time `now_ms`."""
    rules = HAZARD_RULES.get(facts.cause, RULES)
    return Decision(tuple(rule(facts, now_s, now_ms) for rule in rules))


def is_overdrawn(balance_fen: int, residue_nf: int, overdraft_fen: int) -> bool:
    """Whether the exact balance has reached the limit: balance <= -overdraft, in nanofen."""
    return balance_fen * NF_PER_FEN - residue_nf <= -overdraft_fen * NF_PER_FEN


def may_close(balance_fen: int, residue_nf: int, close_allowed_fen: int) -> bool:
    """Whether the exact balance lets the power come back: balance > close-allowed amount, in nanofen."""
    return balance_fen * NF_PER_FEN - residue_nf > close_allowed_fen * NF_PER_FEN


def trips_allowed(households: int, configured: int | None, permille: int) -> int:
    """The limit of cuts: as configured, else the larger of 5 and the share of the households."""
    return configured if configured is not None else max(5, households * permille // 1000)


def _overdrawn(facts: TripFacts, _now_s: int, _now_ms: int) -> Check:
    detail = f"balance {facts.balance_fen} fen, overdraft {facts.overdraft_fen} fen"
    if facts.returning_fen:
        detail += f", {facts.returning_fen} fen in a refund that is not decided"
    return Check("overdrawn", owes(facts), detail)


def _account(facts: TripFacts, _now_s: int, _now_ms: int) -> Check:
    return Check("account_normal", facts.account_status == NORMAL, facts.account_status)


def _prepaid(facts: TripFacts, _now_s: int, _now_ms: int) -> Check:
    return Check("prepaid", not facts.postpaid, "pays afterwards, and is never cut for money" if facts.postpaid else "")


def _unprotected(facts: TripFacts, now_s: int, _now_ms: int) -> Check:
    return Check("not_protected", not is_protected(facts, now_s))


def _warned(facts: TripFacts, now_s: int, _now_ms: int) -> Check:
    if facts.warned_at is None:
        return Check("notice_delivered", False, "no cut warning was delivered", waiting=True)
    age_s = now_s - facts.warned_at
    return Check("notice_delivered", age_s >= facts.grace_s, f"{age_s} of {facts.grace_s} s of grace", waiting=True)


def _final_notice(facts: TripFacts, now_s: int, _now_ms: int) -> Check:
    if not facts.final_notice_s:
        return Check("final_notice", True)
    if facts.mode != MODE:
        return Check("final_notice", True, NOT_SENT_UNARMED)  # nobody is told of a cut that cannot come
    if facts.final_at is None:
        return Check("final_notice", False, "no final notice was delivered", waiting=True)
    age_s = now_s - facts.final_at
    passed = facts.final_notice_s <= age_s <= facts.final_notice_s + FINAL_VALID_S
    return Check("final_notice", passed, f"{age_s} of {facts.final_notice_s} s since it", waiting=True)


def final_notice_due(facts: TripFacts, decision: Decision, now_s: int) -> bool:
    """Whether the final notice is to be written now: nothing but it and time stands against a cut when it has run out.

    That moment must lie after the grace and outside the protected times, so nobody is told of a cut that cannot come.
    """
    if "final_notice" not in decision.refusals or not ENDS_BY_TIME.issuperset(decision.refusals):
        return False
    cut_at = now_s + facts.final_notice_s
    if facts.warned_at is None or cut_at < facts.warned_at + facts.grace_s:
        return False
    return protected_because(facts.times, cut_at) is None


def _fresh(facts: TripFacts, now_s: int, _now_ms: int) -> Check:
    if facts.reading_at is None:
        return Check("reading_fresh", False, "never read", waiting=True)
    age_s = now_s - facts.reading_at
    return Check("reading_fresh", 0 <= age_s <= facts.reading_fresh_s, f"{age_s} s old", waiting=True)


def _agreeing(facts: TripFacts, _now_s: int, _now_ms: int) -> Check:
    known = (facts.reading_ms, facts.previous_ms, facts.total_wh, facts.previous_wh)
    if facts.held_readings:
        return Check("readings_agree", False, f"{facts.held_readings} readings are held", waiting=True)
    if facts.reading_ms is None or facts.previous_ms is None or None in known:
        return Check("readings_agree", False, "one reading only", waiting=True)
    limits = (facts.residue_nf, facts.overdraft_fen)
    confirmed_fen = facts.balance_fen + facts.unconfirmed_fen
    if is_overdrawn(facts.balance_fen, *limits) and not is_overdrawn(confirmed_fen, *limits):
        return Check("readings_agree", False, "one reading only", waiting=True)
    apart_ms = facts.reading_ms - facts.previous_ms
    agree = apart_ms >= AGREEING_READINGS_MS
    return Check("readings_agree", agree, f"two readings {apart_ms} ms apart", waiting=True)


def _status(facts: TripFacts, now_s: int, _now_ms: int) -> Check:
    if facts.status3 is None or facts.status3_at is None:
        return Check("relay_known_closed", False, "status word 3 was never read", waiting=True)
    age_s = now_s - facts.status3_at
    passed = not facts.status3 & RELAY_OPEN and 0 <= age_s <= facts.reading_fresh_s
    return Check("relay_known_closed", passed, f"status {facts.status3:04X}, {age_s} s old", waiting=True)


def _relay_known(facts: TripFacts, now_s: int, _now_ms: int) -> Check:
    """Whatever it shows: who is dark for arrears, or may press the button, can be isolated too."""
    if facts.status3 is None or facts.status3_at is None:
        return Check("relay_known", False, "status word 3 was never read", waiting=True)
    age_s = now_s - facts.status3_at
    passed = 0 <= age_s <= facts.reading_fresh_s
    return Check("relay_known", passed, f"status {facts.status3:04X}, {age_s} s old", waiting=True)


def _two_people(facts: TripFacts, _now_s: int, _now_ms: int) -> Check:
    agreed = bool(facts.asked_by and facts.agreed_by) and facts.asked_by != facts.agreed_by
    return Check("two_people", agreed, f"{facts.asked_by} + {facts.agreed_by}")


def _keep_power(facts: TripFacts, _now_s: int, _now_ms: int) -> Check:
    if facts.status3 is None:
        return Check("no_keep_power", False, "keep-power was never read", waiting=True)
    if facts.status3 & KEEP_POWER:
        return Check("no_keep_power", False, f"status {facts.status3:04X} keeps the power on")
    return Check("no_keep_power", True)


def _clock(facts: TripFacts, _now_s: int, _now_ms: int) -> Check:
    allowed_s = min(facts.command_ttl_s, COMMAND_TTL_MAX_S) // 2
    offset_fine = facts.clock_offset_s is None or abs(facts.clock_offset_s) <= allowed_s
    detail = "" if offset_fine else f"the meter's clock is off by {facts.clock_offset_s} s"
    return Check("clock_sane", facts.clock_sane and offset_fine, detail or ("" if facts.clock_sane else "server clock"))


def _allowed_time(facts: TripFacts, now_s: int, _now_ms: int) -> Check:
    reason = protected_because(facts.times, now_s)
    return Check("allowed_time", reason is None, reason or "", waiting=True)


def _armed(facts: TripFacts, _now_s: int, _now_ms: int) -> Check:
    return Check("armed", facts.mode == "armed", facts.mode)


def _not_stopped(facts: TripFacts, _now_s: int, _now_ms: int) -> Check:
    return Check("not_stopped", not facts.stopped)


def _breaker(facts: TripFacts, _now_s: int, _now_ms: int) -> Check:
    return Check("breaker_closed", facts.breaker == "closed", facts.breaker)


def _bus_limit(facts: TripFacts, _now_s: int, _now_ms: int) -> Check:
    passed = facts.bus_trips < BUS_TRIPS_PER_MINUTE
    return Check("bus_limit", passed, f"{facts.bus_trips} of {BUS_TRIPS_PER_MINUTE} a minute", waiting=True)


def _hour_limit(facts: TripFacts, _now_s: int, _now_ms: int) -> Check:
    if facts.released:
        return Check("hour_limit", True, IN_WAVE)
    passed = facts.hour_trips < facts.hour_trips_max
    return Check("hour_limit", passed, f"{facts.hour_trips} of {facts.hour_trips_max} an hour", waiting=True)


def _day_limit(facts: TripFacts, _now_s: int, _now_ms: int) -> Check:
    if facts.released:
        return Check("day_limit", True, IN_WAVE)
    if facts.quarantined:
        return Check("day_limit", False)
    passed = facts.day_trips < facts.day_trips_max
    return Check("day_limit", passed, f"{facts.day_trips} of {facts.day_trips_max} a day", waiting=True)


def _system_limit(facts: TripFacts, _now_s: int, _now_ms: int) -> Check:
    if facts.released:
        return Check("system_limit", True, IN_WAVE)
    passed = facts.system_trips_max is None or facts.system_trips < facts.system_trips_max
    most = "any" if facts.system_trips_max is None else facts.system_trips_max
    return Check("system_limit", passed, f"{facts.system_trips} of {most} an hour", waiting=True)


RULES: tuple[Callable[[TripFacts, int, int], Check], ...] = (
    _overdrawn,
    _account,
    _prepaid,
    _unprotected,
    _warned,
    _final_notice,
    _fresh,
    _agreeing,
    _status,
    _keep_power,
    _clock,
    _allowed_time,
    _armed,
    _not_stopped,
    _breaker,
    _bus_limit,
    _hour_limit,
    _day_limit,
    _system_limit,
)
_DANGER = (
    _two_people,
    _unprotected,
    _relay_known,
    _keep_power,
    _clock,
    _armed,
    _not_stopped,
    _breaker,
    _bus_limit,
    _hour_limit,
    _day_limit,
    _system_limit,
)
HAZARD_RULES = {SAFETY: _DANGER, TAMPER: (*_DANGER, _allowed_time)}
