"""Why a household is cut, or why not: the checks of a decision in words, the reason for a no as visible as a yes.

Live decisions come from `domain.supply` over the facts of this moment, stored ones from the evidence of a cut; both
are said with the same words, and their figures are formatted here.
"""

import json
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Connection

from server.clock import Now
from server.domain.supply import ENDS_BY_TIME, decide_trip
from server.store import household as reads
from server.store import supply as kept
from server.store.wall import HouseholdRow
from server.web.check_words import ALL_CHECKS
from server.web.details import detail_said
from server.web.formats import Formats, meter_number, yuan
from server.web.i18n import mark as _

Gettext = Callable[[str], str]
COLUMNS = (  # head of a column of the table, and the checks that it sums up
    (_("debt"), ("overdrawn", "account_normal", "prepaid")),
    (_("twice"), ("readings_agree",)),
    (_("fresh"), ("reading_fresh", "clock_sane")),
    (_("relay"), ("relay_known_closed",)),
    (_("notice"), ("notice_delivered", "final_notice")),
    (_("keep"), ("not_protected", "no_keep_power")),
    (_("time"), ("allowed_time",)),
    (_("mode"), ("armed", "not_stopped", "breaker_closed")),
    (_("limits"), ("bus_limit", "hour_limit", "day_limit", "system_limit")),
)
NEVER = {  # said instead where not even the first step was made
    "no cut warning was delivered": _("Cut warning not delivered"),
    "no final notice was delivered": _("Final notice not delivered"),
    "status word 3 was never read": _("Relay never read back"),
    "keep-power was never read": _("Keep-power of the meter never read"),
}
REASONS = {
    "hours": _("protected hours"),
    "weekend": _("weekend"),
    "holiday": _("holiday"),
    "unknown_year": _("holidays of this year are not known"),
    "day_off": _("day off of the estate"),
    "heat": _("heat alert"),
    "cold": _("cold alert"),
    "order": _("cuts suspended by order"),
    "spread": _("its turn comes later after a protected time"),
    "in a wave that two people approved": _("in a wave that two people approved"),
    "pays afterwards, and is never cut for money": _("pays afterwards, and is never cut for money"),
    "sent only while cutting is armed": _("sent only while cutting is armed"),
    "never read": _("never read"),
    "one reading only": _("one reading only"),
    "server clock": _("the server's clock"),
}


@dataclass(frozen=True, slots=True)
class Check:
    """One condition of a cut: its name, its words, whether it holds, whether time alone may mend it."""

    name: str
    word: str
    passed: bool
    waiting: bool
    detail: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """One household as judged now: all checks, and the words of the first that says no ("" when it may be cut)."""

    account_id: str
    room_id: str
    holder: str
    balance_fen: int
    limit_fen: int
    checks: tuple[Check, ...]
    refusal: str
    detail: str
    passed: int
    meter_id: str = ""
    several: bool = False  # whether the household has other meters, each with a verdict of its own

    @property
    def columns(self) -> tuple[Check, ...]:
        """One check for each column of the table: the first of its checks that fails, or that all hold."""
        by_name = {check.name: check for check in self.checks}
        found = []
        for head, names in COLUMNS:
            failed = [by_name[name] for name in names if name in by_name and not by_name[name].passed]
            found.append(failed[0] if failed else Check(head, "", True, False, ""))
        return tuple(found)

    @property
    def allowed(self) -> bool:
        """Whether every check has passed."""
        return not self.refusal

    @property
    def owes(self) -> bool:
        """Whether there is anything to decide: the household is at or below its limit."""
        return all(check.passed for check in self.checks if check.name == "overdrawn")


def detail_in_words(detail: str, f: Formats, gettext: Gettext) -> str:
    """A check's detail: figures in project units become money, spans and words of the language."""
    if detail in REASONS:
        return gettext(REASONS[detail])
    for pattern, say in _FIGURES:
        found = pattern.fullmatch(detail)
        if found:
            return say(found, f, gettext)
    return detail_said(detail, f, gettext)


def _money(found: re.Match[str], _f: Formats, gettext: Gettext) -> str:
    figures = {"balance": yuan(int(found[1])), "limit": yuan(-int(found[2]))}
    said = gettext("%(balance)s, limit %(limit)s") % figures
    if found[3] is None:
        return said
    return f"{said} · " + gettext("%(sum)s in a refund that is not decided") % {"sum": yuan(int(found[3]))}


def _grace(found: re.Match[str], f: Formats, gettext: Gettext) -> str:
    spans = {"done": f.span(max(0, int(found[1]))), "whole": f.span(int(found[2]))}
    return gettext("%(done)s of %(whole)s") % spans


def _counted(found: re.Match[str], _f: Formats, gettext: Gettext) -> str:
    units = {"minute": gettext("a minute"), "hour": gettext("an hour"), "day": gettext("a day")}
    return f"{found[1]} / {found[2]} {units[found[3]]}"


def _age(found: re.Match[str], f: Formats, gettext: Gettext) -> str:
    return gettext("%(span)s old") % {"span": f.span(int(found[1]))}


def _held(found: re.Match[str], _f: Formats, gettext: Gettext) -> str:
    return gettext("%(n)s readings are held") % {"n": found[1]}


def _people(found: re.Match[str], _f: Formats, _gettext: Gettext) -> str:
    return found[0]


def _silence(_found: re.Match[str], _f: Formats, _gettext: Gettext) -> str:
    return ""


_FIGURES: tuple[tuple[re.Pattern[str], Callable[[re.Match[str], Formats, Gettext], str]], ...] = (
    (
        re.compile(r"balance (-?\d+) fen, overdraft (\d+) fen(?:, (\d+) fen in a refund that is not decided)?"),
        _money,
    ),
    (re.compile(r"(-?\d+) of (\d+) s (?:of grace|since it)"), _grace),
    (re.compile(r"(\d+) of (\d+) (?:a|an) (minute|hour|day)"), _counted),
    (re.compile(r"(?:status [0-9A-F]{4}, )?(-?\d+) s old"), _age),
    (re.compile(r"(\d+) readings are held"), _held),
    (re.compile(r"two readings -?\d+ ms apart|normal|armed|observe|dry_run|open|closed|\d+ of any an hour"), _silence),
    (re.compile(r"status [0-9A-F]{4} keeps the power on"), _silence),
    (re.compile("|".join(NEVER)), _silence),
    (re.compile(r"\S+ \+ \S*"), _people),
)


def check_in_words(name: str, passed: bool, detail: str, waiting: bool, f: Formats, gettext: Gettext) -> Check:
    """One check as people read it."""
    holds, fails = ALL_CHECKS.get(name, (name, name))
    word = gettext(holds if passed else NEVER.get(detail, fails))
    return Check(name, word, passed, waiting and not passed, detail_in_words(detail, f, gettext))


def checks_in(evidence: str, f: Formats, gettext: Gettext) -> tuple[Check, ...]:
    """The checks of stored evidence (JSON)."""
    stored: Any = json.loads(evidence)
    listed = stored.get("checks", []) if isinstance(stored, Mapping) else []
    return tuple(
        check_in_words(
            str(one["name"]), bool(one["passed"]), str(one.get("detail", "")), bool(one.get("waiting")), f, gettext
        )
        for one in listed
    )


def verdicts_of(
    conn: Connection, estate_id: str, accounts: Sequence[str], now: Now, f: Formats, gettext: Gettext,
    holders: Mapping[str, str] | None = None, *, clock_sane: bool,
) -> list[Verdict]:  # fmt: skip
    """Households judged at this moment, in the order of `accounts`."""
    found = []
    for one in kept.trip_candidates(conn, estate_id, list(accounts), now.world_s, clock_sane=clock_sane):
        decision = decide_trip(one.facts, now.world_s, now.machine_ms)
        checks = tuple(
            check_in_words(check.name, check.passed, check.detail, check.waiting, f, gettext)
            for check in decision.checks
        )
        first = telling(checks)
        found.append(
            Verdict(
                one.account_id, one.room_id or "", (holders or {}).get(one.account_id, ""), one.facts.balance_fen,
                -one.facts.overdraft_fen, checks, first.word if first else "", first.detail if first else "",
                sum(1 for check in checks if check.passed), one.meter_id,
            )
        )  # fmt: skip
    of_each = Counter(one.account_id for one in found)
    return [replace(one, several=True) if of_each[one.account_id] > 1 else one for one in found]


def telling(checks: Sequence[Check]) -> Check | None:
    """The check that says why a household keeps its power: the first that says no.

    A final notice is written only once nothing but time is in the way, so where something else is, that is the reason.
    """
    failed = [check for check in checks if not check.passed]
    if failed and failed[0].name == "final_notice":
        return next((check for check in failed if check.name not in ENDS_BY_TIME), failed[0])
    return failed[0] if failed else None


def checks_of(
    conn: Connection, estate_id: str, row: HouseholdRow, now: Now, f: Formats, gettext: Gettext, *, clock_sane: bool,
    alone: bool = False,
) -> tuple[str, tuple[Check, ...]]:  # fmt: skip
    """The question that the drawer answers, and its checks: what says no first, then what holds.

    Of all meters of the household, as long as the one of `row` is not cut or asked about `alone`.
    """
    if row.relay == "open":
        cut = next((w for w in reads.relay_history(conn, estate_id, row.meter_id) if w.action == "trip"), None)
        return gettext("Why it was cut"), checks_in(cut.evidence, f, gettext) if cut is not None else ()
    if row.relay == "permitted":
        return "", ()
    judged = verdicts_of(conn, estate_id, [row.account_id], now, f, gettext, clock_sane=clock_sane)
    if alone:
        judged = [one for one in judged if one.meter_id == row.meter_id]
    return gettext("Why it is not cut now"), tuple(sorted(told_once(judged), key=lambda check: check.passed))


def told_once(judged: Sequence[Verdict]) -> list[Check]:
    """The checks of all meters of a household: what is so of each is told once, anything else with its meter."""
    meters: dict[Check, list[str]] = {}
    for verdict in judged:
        for check in verdict.checks:
            meters.setdefault(check, []).append(meter_number(verdict.meter_id))
    return [
        check if len(own) == len(judged) else replace(check, detail=" · ".join(filter(None, [check.detail, *own])))
        for check, own in meters.items()
    ]
