"""Schemes: adding versions, choosing them, a household's own rules and protection, holidays, alerts, and the limits.

Every change is audited with what it was before. `settle` turns the rules into the fen that balances are compared
with; an alarm that fires because of it fires at the next charge, as every crossing does.
"""

import json
from collections.abc import Mapping, Sequence
from datetime import date
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from sqlalchemy import RowMapping

from server.domain.schemes import (
    DAY_S,
    DAYS,
    MEAN_DAYS,
    PERCENT,
    Limits,
    check_order,
    day_cost_of,
    definition_of,
    limits_of,
    settled,
)
from server.errors import Conflict, NotFound, Refused
from server.flows import keep_power
from server.flows.ledger import level_of
from server.flows.supply import on_balances
from server.store import audit
from server.store import schemes as kept
from server.store.estates import get_account, get_estate
from server.store.unit import Unit

if TYPE_CHECKING:
    from server.clock import Now

SETTLE_EVERY_S = 3600
CHUNK = 500
ALERT_KINDS = ("heat", "cold", "order")
ALERT_MAX_S = 31 * DAY_S
DAY_KINDS = ("off", "work")


def save_version(
    unit: Unit, estate_id: str, scheme_id: str, name: str, valid_from: int, values: Mapping[str, Any], *, actor: str,
    now: "Now",
) -> int:  # fmt: skip
    """Append a version of a scheme; returns its number. Conflict for a date at which other rules have been in force.

    The same version again changes nothing.
    """
    try:
        definition = json.dumps(definition_of(values), sort_keys=True)
    except ValueError as error:
        raise Refused(f"scheme {scheme_id}: {error}") from error
    known = [row for row in kept.versions(unit.connection, estate_id) if row["scheme_id"] == scheme_id]
    same_date = [row for row in known if row["valid_from"] == valid_from]
    if same_date and (same_date[-1]["definition"], same_date[-1]["name"]) == (definition, name):
        return int(same_date[-1]["version"])
    if known and valid_from <= now.world_s:
        raise Conflict(
            f"scheme {scheme_id!r} changes rules that are in force; add a version with a later valid_from instead"
        )
    version = known[-1]["version"] + 1 if known else 1
    kept.add_version(
        unit.connection,
        estate_id=estate_id,
        scheme_id=scheme_id,
        version=version,
        name=name,
        valid_from=valid_from,
        definition=definition,
        actor=actor,
        created_ms=now.machine_ms,
    )
    audit.record(unit.connection, estate_id, actor, "scheme.saved", f"{scheme_id}:{version}", now, definition)
    return version


def choose(unit: Unit, estate_id: str, scheme_id: str | None, *, actor: str, now: "Now") -> None:
    """Make a scheme that of all households that name none; None leaves them to the estate's own rules."""
    _known(unit, estate_id, scheme_id)
    before = get_estate(unit.connection, estate_id)["scheme_id"]
    kept.set_estate_scheme(unit.connection, estate_id, scheme_id)
    detail = f"{before or '-'} -> {scheme_id or '-'}"
    audit.record(unit.connection, estate_id, actor, "scheme.chosen", estate_id, now, detail)
    settle(unit, estate_id, None, now)


def set_household(
    unit: Unit,
    estate_id: str,
    account_id: str,
    *,
    scheme_id: str | None,
    own: Mapping[str, Any],
    actor: str,
    now: "Now",
) -> None:
    """The scheme of one household and what it has otherwise than its scheme; Refused for rules out of order."""
    before = _household(unit, estate_id, account_id)
    _known(unit, estate_id, scheme_id)
    try:
        own_rules = json.dumps(definition_of(own), sort_keys=True)
        row = {**before, "scheme_id": scheme_id, "own_rules": own_rules}
        check_order(kept.rule_book(unit.connection, estate_id, now.world_s).rules(row))
    except ValueError as error:
        raise Refused(f"household {account_id}: {error}") from error
    kept.update_account(unit.connection, estate_id, account_id, scheme_id=scheme_id, own_rules=own_rules)
    detail = f"{before['scheme_id'] or '-'} {before['own_rules']} -> {scheme_id or '-'} {own_rules}"
    audit.record(unit.connection, estate_id, actor, "household.rules", account_id, now, detail)
    settle(unit, estate_id, [account_id], now)
    keep_power.settle(unit, estate_id, now, may_end=False, account_ids=[account_id])


def protect(unit: Unit, estate_id: str, account_id: str, *, until_at: int, reason: str, actor: str, now: "Now") -> None:
    """Promise a household that it is not cut until `until_at` (world time); reason and end are needed.

    A cut for arrears is taken back at once, and its meter is told to keep the power on.
    """
    _household(unit, estate_id, account_id)
    if not reason.strip():
        raise Refused("say why the household is protected")
    if until_at <= now.world_s:
        raise Refused("the protection must end after now")
    kept.update_account(
        unit.connection, estate_id, account_id, protected=1, protected_reason=reason.strip(), protected_until=until_at
    )
    detail = f"until {until_at}: {reason.strip()}"
    audit.record(unit.connection, estate_id, actor, "household.protected", account_id, now, detail)
    keep_power.settle(unit, estate_id, now, may_end=False, account_ids=[account_id])


def unprotect(unit: Unit, estate_id: str, account_id: str, *, reason: str, actor: str, now: "Now") -> None:
    """End the protection of a household, with a reason."""
    if not _household(unit, estate_id, account_id)["protected"]:
        raise Conflict("this household is not protected")
    if not reason.strip():
        raise Refused("say why the protection ends")
    kept.update_account(
        unit.connection, estate_id, account_id, protected=0, protected_reason="", protected_until=None
    )  # fmt: skip
    audit.record(unit.connection, estate_id, actor, "household.unprotected", account_id, now, reason)


def raise_alert(
    unit: Unit, estate_id: str, kind: str, *, until_at: int, reason: str, actor: str, now: "Now"
) -> str:  # fmt: skip
    """Heat, cold, or an order: nobody is cut from now to `until_at`; returns the alert's id."""
    if kind not in ALERT_KINDS:
        raise Refused(f"an alert is one of {', '.join(ALERT_KINDS)}")
    if not now.world_s < until_at <= now.world_s + ALERT_MAX_S:
        raise Refused(f"an alert ends after now and within {ALERT_MAX_S // DAY_S} days")
    alert_id = uuid4().hex
    kept.add_alert(
        unit.connection,
        estate_id=estate_id,
        alert_id=alert_id,
        kind=kind,
        from_at=now.world_s,
        until_at=until_at,
        reason=reason.strip(),
        actor=actor,
        created_ms=now.machine_ms,
    )
    audit.record(unit.connection, estate_id, actor, "alert.raised", alert_id, now, f"{kind} until {until_at}: {reason}")
    return alert_id


def end_alert(unit: Unit, estate_id: str, alert_id: str, *, actor: str, now: "Now") -> None:
    """End an alert now."""
    row = kept.get_alert(unit.connection, estate_id, alert_id)
    if row is None or row["until_at"] <= now.world_s:
        raise NotFound("there is no such alert running in this estate")
    kept.end_alert(unit.connection, estate_id, alert_id, now.world_s)
    audit.record(unit.connection, estate_id, actor, "alert.ended", alert_id, now)


def set_holiday(unit: Unit, estate_id: str, day: str, kind: str, name: str, *, actor: str, now: "Now") -> None:
    """Put a day into the estate's calendar: off, or work where a statutory holiday is none here."""
    if kind not in DAY_KINDS:
        raise Refused(f"a day is one of {', '.join(DAY_KINDS)}")
    try:
        parsed = date.fromisoformat(day)
    except ValueError as error:
        raise Refused(f"{day!r} is no day; write YYYY-MM-DD") from error
    kept.set_holiday(unit.connection, estate_id, parsed.isoformat(), kind, name.strip())
    audit.record(unit.connection, estate_id, actor, "holiday.set", parsed.isoformat(), now, f"{kind} {name}".strip())


def drop_holiday(unit: Unit, estate_id: str, day: str, *, actor: str, now: "Now") -> None:
    """Take a day out of the estate's calendar: the statutory one holds again."""
    if not kept.drop_holiday(unit.connection, estate_id, day):
        raise NotFound(f"the estate's calendar has no {day}")
    audit.record(unit.connection, estate_id, actor, "holiday.dropped", day, now)


def settle_due(unit: Unit, estate_id: str, now: "Now") -> int:
    """Work the limits out again when an hour is over or a version has begun; returns how many accounts changed."""
    last_s = get_estate(unit.connection, estate_id)["limits_at"]
    began = kept.began_between(unit.connection, estate_id, last_s, now.world_s)
    if not began and 0 <= now.world_s - last_s < SETTLE_EVERY_S:
        return 0
    kept.mark_settled(unit.connection, estate_id, now.world_s)
    return settle(unit, estate_id, None, now)


def on_topup(unit: Unit, estate_id: str, account_id: str, now: "Now") -> None:
    """After a top-up: limits that move with it are worked out anew, and may sink again."""
    row = get_account(unit.connection, estate_id, account_id)
    if row["kind"] == "household" and kept.rule_book(unit.connection, estate_id, now.world_s).rules(row).moves:
        settle(unit, estate_id, [account_id], now, paid=True)


def settle(unit: Unit, estate_id: str, account_ids: Sequence[str] | None, now: "Now", *, paid: bool = False) -> int:
    """Work out the limits of these households, or of all; returns how many changed."""
    book = kept.rule_book(unit.connection, estate_id, now.world_s)
    rows = kept.household_rows(unit.connection, estate_id, account_ids)
    changed: dict[str, tuple[int, ...]] = {}
    for start in range(0, len(rows), CHUNK):
        chunk = rows[start : start + CHUNK]
        rules = {row["account_id"]: book.rules(row) for row in chunk}
        kinds = {name: {one.alarm1.kind, one.alarm2.kind} for name, one in rules.items()}
        by_topup = [name for name, found in kinds.items() if PERCENT in found]
        by_days = [name for name, found in kinds.items() if DAYS in found]
        topups = kept.last_topups(unit.connection, estate_id, by_topup) if by_topup else {}
        costs = _costs(unit, estate_id, by_days, now) if by_days else {}
        for row in chunk:
            name = row["account_id"]
            wanted = limits_of(rules[name], topups.get(name), costs.get(name))
            values = _new_limits(row, wanted, paid=paid)
            if values is not None:
                changed[name] = values
    kept.save_limits(unit.connection, estate_id, changed)
    on_balances(unit, estate_id, list(changed), now)
    return len(changed)


def _costs(unit: Unit, estate_id: str, account_ids: Sequence[str], now: "Now") -> dict[str, int | None]:
    found = kept.spent(unit.connection, estate_id, account_ids, now.world_s - MEAN_DAYS * DAY_S)
    return {name: day_cost_of(fen, now.world_s - from_s) for name, (fen, from_s) in found.items()}


def _new_limits(row: RowMapping, wanted: Limits, *, paid: bool) -> tuple[int, ...] | None:
    """The limits to be written and the level by them; None where nothing changes."""
    before = Limits(*(row[name] for name in Limits._fields))
    limits = settled(before, wanted, row["level"], paid=paid)
    if limits == before:
        return None
    level = level_of({**row, **limits._asdict()}, row["balance_fen"])
    return (*limits, min(level, row["level"]))  # a rise is an alarm, which the next charge tells


def _household(unit: Unit, estate_id: str, account_id: str) -> RowMapping:
    row = get_account(unit.connection, estate_id, account_id)
    if row["kind"] != "household":
        raise NotFound(f"there is no household {account_id!r} in this estate")
    return row


def _known(unit: Unit, estate_id: str, scheme_id: str | None) -> None:
    known = {row["scheme_id"] for row in kept.versions(unit.connection, estate_id)}
    if scheme_id is not None and scheme_id not in known:
        raise NotFound(f"there is no scheme {scheme_id!r}; known: {', '.join(sorted(known)) or 'none'}")
