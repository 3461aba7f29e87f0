"""Bulk changes: a scheme, a protection or keep-power for many households, exception dates for the estate.

They go the way of a bulk cut: the dry run is a list, a second person approves its hash, one person may stop it. After
that the list is worked off in small units, so that payments go on meanwhile, also after a restart; an entry that is not
as it was on the list any more is left alone.
"""

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from sqlalchemy import RowMapping

from server.domain.bulk_edits import CHUNK, DAYS, KEEP, PROTECT, SCHEME, UNPROTECT, Entry, terms_of
from server.errors import Conflict, NotFound, Refused
from server.flows import schemes
from server.flows.bulk_cut import checked_list
from server.store import approvals, audit
from server.store import bulk_cut as kept
from server.store import schemes as rules
from server.store.unit import Unit

if TYPE_CHECKING:
    from server.clock import Now


def dry_run(
    unit: Unit, estate_id: str, act: str, account_ids: Sequence[str], terms: Mapping[str, Any], reason: str, now: "Now"
) -> dict[str, Any]:
    """What would change and what not, with the reason: the payload of an approval.

    Refused without a reason, for terms that make no sense, for too long a list, or when nothing would change.
    """
    try:
        wanted = terms_of(act, terms)
    except (ValueError, TypeError) as error:
        raise Refused(str(error)) from error
    listed = checked_list(wanted["days"] if act == DAYS else account_ids, reason, "this is changed")
    if act == DAYS:
        entries = _days(unit, estate_id, listed, wanted)
    else:
        entries = _households(unit, estate_id, act, listed, wanted, now)
    change = [one.as_json() for one in entries if not one.because]
    if not change:
        raise Refused("nothing would change; everything on the list is so already, or cannot be changed")
    left = [one.as_json() for one in entries if one.because]
    return {
        "kind": "bulk_edit", "act": act, "terms": wanted, "reason": reason.strip(), "change": change, "left": left,
    }  # fmt: skip


def _days(unit: Unit, estate_id: str, days: Sequence[str], terms: Mapping[str, Any]) -> list[Entry]:
    known = rules.holidays(unit.connection, estate_id)
    after = "" if terms["kind"] == "drop" else terms["kind"]
    return [_entry(day, "", known.get(day, ""), after) for day in days]


def _households(
    unit: Unit, estate_id: str, act: str, account_ids: Sequence[str], terms: Mapping[str, Any], now: "Now"
) -> list[Entry]:
    if act == SCHEME and terms["scheme_id"] is not None:
        known = {row["scheme_id"] for row in rules.versions(unit.connection, estate_id)}
        if terms["scheme_id"] not in known:
            raise NotFound(f"there is no scheme {terms['scheme_id']!r}; known: {', '.join(sorted(known)) or 'none'}")
    if act == PROTECT and terms["until_at"] <= now.world_s:
        raise Refused("the protection must end after now")
    rows = {row["account_id"]: row for row in rules.household_rows(unit.connection, estate_id, account_ids)}
    return [
        _entry(name, rows[name]["room_id"] or "", has(act, rows[name]), wants(act, terms)) if name in rows
        else Entry(name, "", "", "", "no open household")
        for name in account_ids
    ]  # fmt: skip


def _entry(subject: str, room: str, before: str, after: str) -> Entry:
    return Entry(subject, room, before, after, "already so" if before == after else "")


def has(act: str, row: RowMapping) -> str:
    """What a household has now, as the list says it: a scheme, the end of a protection, a policy; empty for none."""
    if act == SCHEME:
        return str(row["scheme_id"] or "")
    if act == KEEP:
        return str(json.loads(row["own_rules"]).get("keep_power", ""))
    return str(row["protected_until"] or "without end") if row["protected"] else ""


def wants(act: str, terms: Mapping[str, Any]) -> str:
    """What it is to have, in the same words."""
    return str(
        {SCHEME: terms.get("scheme_id") or "", KEEP: terms.get("policy"), PROTECT: terms.get("until_at")}.get(act, "")
    )


def start(unit: Unit, estate_id: str, row: RowMapping, payload: Mapping[str, Any], now: "Now") -> str:
    """Begin what two people approved; returns the id."""
    bulk_id = uuid4().hex
    kept.add(
        unit.connection,
        estate_id,
        [(entry["account"], "", 1) for entry in payload["change"]],
        bulk_id=bulk_id,
        approval_id=row["approval_id"],
        act=payload["act"],
        status=kept.RUNNING,
        wave=1,
        wave_at=now.world_s,
        started_at=now.world_s,
        created_ms=now.machine_ms,
    )
    return bulk_id


def advance(unit: Unit, estate_id: str, now: "Now") -> int:
    """Work off some entries of the oldest bulk change under way; returns how many, 0 when there is none."""
    running = kept.running(unit.connection, estate_id, cuts=False)
    if not running:
        return 0
    bulk = running[0]
    asked = approvals.get(unit.connection, estate_id, bulk["approval_id"])
    if asked is None:
        raise NotFound("the request of a bulk change under way has gone")
    payload = json.loads(asked["payload"])
    before = {entry["account"]: entry["before"] for entry in payload["change"]}
    waiting = kept.waiting(unit.connection, estate_id, bulk["bulk_id"], limit=CHUNK)
    outcomes: dict[str, list[str]] = {"done": [], "left": []}
    for subject in waiting:
        done = _change(unit, estate_id, subject, before[subject], payload, asked["requested_by"], now)
        outcomes["done" if done else "left"].append(subject)
    for outcome, subjects in outcomes.items():
        kept.set_outcome_of(unit.connection, estate_id, bulk["bulk_id"], subjects, outcome)
    if len(waiting) < CHUNK:
        kept.update(unit.connection, estate_id, bulk["bulk_id"], status="done")
        counts = kept.counts(unit.connection, estate_id, bulk["bulk_id"])
        detail = f"{payload['act']}: {counts.get('done', 0)} done, {counts.get('left', 0)} left"
        audit.record(unit.connection, estate_id, "system", "bulk_edit.done", bulk["bulk_id"], now, detail)
    return len(waiting)


def _change(
    unit: Unit, estate_id: str, subject: str, before: str, payload: Mapping[str, Any], actor: str, now: "Now"
) -> bool:
    """Change one entry, unless it is no more as it was on the list."""
    act, terms = payload["act"], payload["terms"]
    try:
        if act == DAYS:
            if rules.holidays(unit.connection, estate_id).get(subject, "") != before:
                return False
            if terms["kind"] == "drop":
                schemes.drop_holiday(unit, estate_id, subject, actor=actor, now=now)
            else:
                schemes.set_holiday(unit, estate_id, subject, terms["kind"], terms["name"], actor=actor, now=now)
            return True
        rows = rules.household_rows(unit.connection, estate_id, [subject])
        if not rows or has(act, rows[0]) != before:
            return False
        _change_household(unit, estate_id, rows[0], act, terms, payload["reason"], actor, now)
    except (Refused, Conflict, NotFound):
        return False
    return True


def _change_household(
    unit: Unit, estate_id: str, row: RowMapping, act: str, terms: Mapping[str, Any], reason: str, actor: str, now: "Now"
) -> None:
    name, own = row["account_id"], json.loads(row["own_rules"])
    if act == PROTECT:
        schemes.protect(unit, estate_id, name, until_at=terms["until_at"], reason=reason, actor=actor, now=now)
    elif act == UNPROTECT:
        schemes.unprotect(unit, estate_id, name, reason=reason, actor=actor, now=now)
    else:
        scheme_id = terms["scheme_id"] if act == SCHEME else row["scheme_id"]
        if act == KEEP:
            own = {key: value for key, value in own.items() if key != "keep_power"}
            own |= {"keep_power": terms["policy"]} if terms["policy"] else {}
        schemes.set_household(unit, estate_id, name, scheme_id=scheme_id, own=own, actor=actor, now=now)


def stop(unit: Unit, estate_id: str, bulk_id: str, *, reason: str, actor: str, now: "Now") -> None:
    """One person stops a bulk change at once; what was not changed yet stays as it is."""
    row = kept.get(unit.connection, estate_id, bulk_id)
    if row is None or row["status"] != kept.RUNNING or row["act"] == kept.CUT:
        raise NotFound("there is no such bulk change under way in this estate")
    waiting = kept.waiting(unit.connection, estate_id, bulk_id)
    kept.set_outcome_of(unit.connection, estate_id, bulk_id, waiting, "left")
    kept.update(unit.connection, estate_id, bulk_id, status="stopped", reason=reason.strip() or "by hand")
    audit.record(unit.connection, estate_id, actor, "bulk_edit.stopped", bulk_id, now, reason)
