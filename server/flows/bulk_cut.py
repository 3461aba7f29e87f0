"""Bulk cuts: a dry run as a list, its hash approved by a second person, then waves that stop at the first doubt.

Only households against whom nothing stands but the limits come onto the list; at its turn each is judged again like
any other. The estate's switches, the red button and the breaker stop a bulk cut as they stop every other.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from sqlalchemy import RowMapping

from server.domain.bulk_cut import LIST_MAX, Progress, must_stop, next_wave, waves_of
from server.domain.supply import LIMITS, decide_trip, is_overdrawn
from server.errors import Conflict, NotFound, Refused
from server.store import audit
from server.store import bulk_cut as kept
from server.store import supply as supply_rows
from server.store.estates import get_estate
from server.store.unit import Unit

if TYPE_CHECKING:
    from server.clock import Now


AWAITS_THE_WAVE = LIMITS | {"final_notice"}  # waves stand in for the limits, and bring the final notice


def checked_list(entries: Sequence[str], reason: str, what: str) -> list[str]:
    """The entries of a bulk act, each once; Refused without a reason for `what`, or for too long a list."""
    if not reason.strip():
        raise Refused(f"say why {what}")
    if len(entries) > LIST_MAX:
        raise Refused(f"a list holds at most {LIST_MAX} entries")
    return list(dict.fromkeys(entries))


def dry_run(
    unit: Unit, estate_id: str, account_ids: Sequence[str], reason: str, now: "Now", *, clock_sane: bool
) -> dict[str, Any]:
    """Who of these would be cut and who not, with the check that says no: the payload of an approval.

    Refused without a reason, for too long a list, or when nobody would be cut.
    """
    wanted = checked_list(account_ids, reason, "these households are to be cut")
    found = supply_rows.trip_candidates(unit.connection, estate_id, wanted, now.world_s, clock_sane=clock_sane)
    cut: list[dict[str, Any]] = []
    left: list[dict[str, Any]] = []
    for one in found:
        decision = decide_trip(one.facts, now.world_s, now.machine_ms)
        refusals = [name for name in decision.refusals if name not in AWAITS_THE_WAVE]
        refusals += ["wanted_open"] if one.desired == "open" else []
        entry = {"account": one.account_id, "meter": one.meter_id, "room": one.room_id or ""}
        if refusals and refusals != ["bus_limit"]:
            left.append(entry | {"because": next(name for name in refusals if name != "bus_limit")})
        else:
            cut.append(entry | {"balance_fen": one.facts.balance_fen})
    if not cut:
        raise Refused("none of these households can be cut now; see the reason of each")
    return {"kind": "bulk_cut", "reason": reason.strip(), "cut": cut, "left": left}


def start(unit: Unit, estate_id: str, row: RowMapping, payload: Mapping[str, Any], now: "Now") -> str:
    """Begin what two people approved; Conflict when the estate cuts nobody now. Returns the id."""
    if not supply_rows.switched_on(get_estate(unit.connection, estate_id)):
        raise Conflict("cutting is not armed, or stopped, or the breaker is open; nothing was started")
    bulk_id = uuid4().hex
    entries = payload["cut"]
    waves = waves_of(len(entries))
    kept.add(
        unit.connection,
        estate_id,
        [(entry["account"], entry["meter"], wave) for entry, wave in zip(entries, waves, strict=True)],
        bulk_id=bulk_id,
        approval_id=row["approval_id"],
        status=kept.RUNNING,
        wave=1,
        wave_at=now.world_s,
        started_at=now.world_s,
        created_ms=now.machine_ms,
    )
    return bulk_id


def advance(unit: Unit, estate_id: str, now: "Now") -> list[str]:
    """Look at every running bulk cut; returns the ids of those that had to stop."""
    stopped: list[str] = []
    for row in kept.running(unit.connection, estate_id):
        reason = _look(unit, estate_id, row, now)
        if reason:
            _end(unit, estate_id, row["bulk_id"], "stopped", reason, "system", now)
            stopped.append(row["bulk_id"])
    return stopped


def _look(unit: Unit, estate_id: str, row: RowMapping, now: "Now") -> str:
    """Move one bulk cut on; the reason to stop it, or an empty text."""
    outcomes, newest_cut_at = _note_outcomes(unit, estate_id, row)
    if not supply_rows.switched_on(get_estate(unit.connection, estate_id)):
        return "the estate's switches"
    now_in = [wave for (wave, _), count in outcomes.items() for _ in range(count) if wave == row["wave"]]
    progress = Progress(
        wave=row["wave"],
        wave_size=len(now_in),
        paid=outcomes[row["wave"], "paid"],
        cut=outcomes[row["wave"], "cut"],
        waiting=sum(count for (_, outcome), count in outcomes.items() if outcome == "waiting"),
        wave_age_s=now.world_s - max(row["wave_at"], newest_cut_at),
        age_s=now.world_s - row["started_at"],
    )
    if must_stop(progress):
        return f"{progress.paid} of {progress.wave_size} households of wave {progress.wave} have paid"
    following = next_wave(progress)
    if not following:
        _end(unit, estate_id, row["bulk_id"], "done", "", "system", now)
    elif following != row["wave"]:
        kept.update(unit.connection, estate_id, row["bulk_id"], wave=following, wave_at=now.world_s)
    return ""


def _note_outcomes(unit: Unit, estate_id: str, row: RowMapping) -> tuple[Counter[tuple[int, str]], int]:
    """What became of each household, as far as its wave has come: (wave, outcome) -> number.

    Second, when (world time) the newest cut of the present wave was read back, 0 for none.
    """
    counts: Counter[tuple[int, str]] = Counter()
    news: dict[str, list[str]] = {}
    newest_cut_at = 0
    for item in kept.items(unit.connection, estate_id, row["bulk_id"]):
        outcome = item["outcome"]
        if item["wave"] <= row["wave"] and outcome in ("waiting", "cut"):
            known = supply_rows.get_supply(unit.connection, estate_id, item["meter_id"])
            outcome = _became(item, known)
            if known is not None and (item["wave"], outcome) == (row["wave"], "cut"):
                newest_cut_at = max(newest_cut_at, known["opened_at"] or 0)
        if outcome != item["outcome"]:
            news.setdefault(outcome, []).append(item["meter_id"])
        counts[item["wave"], outcome] += 1
    for outcome, meter_ids in news.items():
        kept.set_outcome(unit.connection, estate_id, row["bulk_id"], meter_ids, outcome)
    return counts, newest_cut_at


def _became(item: RowMapping, known: RowMapping | None) -> str:
    """Cut once its relay was read back open: a frame that is only wanted or sent has shown nothing, and may never
    have come."""
    outcome = str(item["outcome"])
    if known is not None and known["desired"] == "open":
        return "cut" if known["command"] == "confirmed" else outcome
    return outcome if is_overdrawn(item["balance_fen"], item["residue_nf"], item["overdraft_fen"]) else "paid"


def stop(unit: Unit, estate_id: str, bulk_id: str, *, reason: str, actor: str, now: "Now") -> list[str]:
    """One person stops a bulk cut at once; its meters, so that what is still on its way can be taken back."""
    row = kept.get(unit.connection, estate_id, bulk_id)
    if row is None or row["status"] != kept.RUNNING:
        raise NotFound("there is no such bulk cut under way in this estate")
    _note_outcomes(unit, estate_id, row)
    _end(unit, estate_id, bulk_id, "stopped", reason.strip() or "by hand", actor, now)
    return [item["meter_id"] for item in kept.items(unit.connection, estate_id, bulk_id)]


def _end(unit: Unit, estate_id: str, bulk_id: str, status: str, reason: str, actor: str, now: "Now") -> None:
    waiting = [
        item["meter_id"]
        for item in kept.items(unit.connection, estate_id, bulk_id)
        if item["outcome"] == "waiting"
    ]  # fmt: skip
    kept.set_outcome(unit.connection, estate_id, bulk_id, waiting, "left")
    kept.update(unit.connection, estate_id, bulk_id, status=status, reason=reason)
    audit.record(unit.connection, estate_id, actor, f"bulk_cut.{status}", bulk_id, now, reason)
