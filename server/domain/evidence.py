"""The evidence of a cut, and its replay: what was known, so that the same rules give the same decision again.

Evidence is JSON: all facts of the decision, both clocks, every check as it stood, and where the facts come from (ledger
position, readings, notices, approvals). `replay` puts the facts through `decide_trip` once more and compares check by
check. Evidence that lacks facts is said to lack them; it is never filled up from the books of today.
"""

from collections.abc import Mapping, Sequence
from dataclasses import MISSING, asdict, dataclass, fields
from typing import Any

from server.domain.calendar import times_from
from server.domain.supply import Check, Decision, TripFacts, decide_trip

# 1 had the checks and six figures, and cannot be replayed; 2 did not name the scheme; 3 knew only prepaid; 4 no final
# notice
VERSION = 5
SOURCES = ("ledger", "readings", "notices", "approvals", "rules")
# sources and checks that earlier evidence has not
SINCE = {"rules": 3, "system_limit": 3, "prepaid": 4, "final_notice": 5}
WORDED_SINCE = {"no_keep_power": 5}  # checks that had no detail before


@dataclass(frozen=True, slots=True)
class Difference:
    """One check that did not come out again as it was stored; an absent one is None."""

    name: str
    stored: Check | None
    replayed: Check | None


@dataclass(frozen=True, slots=True)
class Replay:
    """What a replay gave: `missing` names what the evidence lacks, and then there is no decision."""

    stored: tuple[Check, ...]
    decision: Decision | None
    facts: TripFacts | None
    missing: tuple[str, ...]
    differences: tuple[Difference, ...]

    @property
    def same(self) -> bool:
        """Whether all is there and every check came out as it was stored."""
        return self.decision is not None and not self.missing and not self.differences


def evidence_of(
    facts: TripFacts, decision: Decision, now_s: int, now_ms: int, books: Mapping[str, object]
) -> dict[str, object]:
    """The evidence of one decision; `books` has one entry for each of `SOURCES`."""
    return {
        "version": VERSION,
        "checks": [check.as_json() for check in decision.checks],
        "facts": asdict(facts),
        "now_s": now_s,
        "now_ms": now_ms,
        "balance_fen": facts.balance_fen,
        "overdraft_fen": facts.overdraft_fen,
        "reading_at": facts.reading_at,
        "total_wh": facts.total_wh,
        "warned_at": facts.warned_at,
        **{name: books[name] for name in SOURCES},
    }


def replay(evidence: Mapping[str, Any]) -> Replay:
    """Decide once more from stored evidence."""
    stored = tuple(Check(one["name"], one["passed"], one["detail"], one["waiting"]) for one in _checks(evidence))
    known = evidence.get("facts")
    facts = known if isinstance(known, Mapping) else {}
    version = int(evidence.get("version", VERSION))
    missing = [name for name in ("now_s", "now_ms", *SOURCES) if name not in evidence and _asked(name, version)]
    missing += [f"facts.{name}" for name in _required() if name not in facts]
    missing += [] if stored else ["checks"]
    if any(name.startswith(("facts.", "now_")) for name in missing):
        return Replay(stored, None, None, tuple(missing), ())
    names = {field.name for field in fields(TripFacts)}
    missing += [f"rule of {name}" for name in facts if name not in names]  # a newer version knew more
    try:
        times = times_from(facts["times"])
    except (TypeError, ValueError) as error:
        return Replay(stored, None, None, (*missing, f"rule of times: {error}"), ())
    again = TripFacts(**{**_only(facts, names), "times": times})
    decision = decide_trip(again, evidence["now_s"], evidence["now_ms"])
    return Replay(stored, decision, again, tuple(missing), _differences(stored, decision.checks, version))


def _checks(evidence: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    listed = evidence.get("checks")
    return listed if isinstance(listed, Sequence) else ()


def _required() -> list[str]:
    return [one.name for one in fields(TripFacts) if one.default is MISSING and one.default_factory is MISSING]


def _only(facts: Mapping[str, Any], names: set[str]) -> dict[str, Any]:
    return {name: value for name, value in facts.items() if name in names}


def _asked(name: str, version: int) -> bool:
    """Whether evidence of this version must have it."""
    return version >= SINCE.get(name, 0)


def _worded(check: Check, version: int) -> Check:
    """The check as evidence of this version says it."""
    if version >= WORDED_SINCE.get(check.name, 0):
        return check
    return Check(check.name, check.passed)


def _differences(stored: Sequence[Check], replayed: Sequence[Check], version: int) -> tuple[Difference, ...]:
    then = {check.name: check for check in stored}
    again = {check.name: _worded(check, version) for check in replayed if _asked(check.name, version)}
    both = dict.fromkeys((*then, *again))
    return tuple(
        Difference(name, then.get(name), again.get(name)) for name in both if then.get(name) != again.get(name)
    )
