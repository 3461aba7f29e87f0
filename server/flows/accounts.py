"""The life of an account: opened, paused, resumed, switched between prepaid and postpaid, closed.

Each act is one unit of work and leaves its event: who, when, why. Moving in and out stands in `server.flows.moves`,
what people book in `server.flows.adjustments`.
"""

import re
from typing import TYPE_CHECKING, Any

from sqlalchemy import RowMapping

from server.domain.accounts import INITIAL, LEFT, PAYMENTS, POSTPAID, PREPAID, TO, act_problem
from server.domain.supply import HAZARDS
from server.errors import Conflict, NotFound, Refused
from server.flows import supply
from server.flows.money_rules import keep_account
from server.store import accounts as kept
from server.store import audit
from server.store.bulk import insert_rows
from server.store.estates import get_account, get_estate, has_household
from server.store.schema import account
from server.store.supply import get_supply, unfinished_orders
from server.store.tariffs import load_tariffs
from server.store.unit import Unit

if TYPE_CHECKING:
    from server.clock import Now

_ID = re.compile(r"[^\s\x00-\x1f:/?#%&]{1,64}")  # a colon names a ledger of an account


def open_account(
    unit: Unit,
    estate_id: str,
    account_id: str,
    *,
    room_id: str,
    holder: str,
    tariff_id: str,
    actor: str,
    reason: str,
    now: "Now",
    phone: str = "",
    payment: str = PREPAID,
) -> None:
    """Open an account for a household that will move in; nothing feeds it yet, so nothing is charged.

    Conflict when the id or the room is taken, NotFound for an unknown room or tariff.
    """
    if not _ID.fullmatch(account_id):
        raise Refused("an account's id has up to 64 characters, and no space and none of : / ? # % &")
    if not holder.strip() or payment not in PAYMENTS:
        raise Refused(f"write who pays, and pay {' or '.join(PAYMENTS)}")
    if kept.account_exists(unit.connection, estate_id, account_id):
        raise Conflict(f"there is an account {account_id} already; give this one another id")
    if not kept.room_exists(unit.connection, estate_id, room_id):
        raise NotFound(f"there is no room {room_id!r} in this estate")
    if has_household(unit.connection, estate_id, room_id):
        raise Conflict(f"room {room_id} has a household; move it out first")
    if tariff_id not in load_tariffs(unit.connection, estate_id):
        raise NotFound(f"there is no tariff {tariff_id!r} in this estate")
    columns = (
        "estate_id", "account_id", "kind", "room_id", "holder", "phone", "status", "payment", "tariff_id",
    )  # fmt: skip
    values = (estate_id, account_id, "household", room_id, holder.strip(), phone, INITIAL, payment, tariff_id)
    insert_rows(unit.connection, account, columns, [values])
    keep_account(unit, estate_id, account_id, tariff_id, actor, now)
    row = get_account(unit.connection, estate_id, account_id)
    tell(unit, estate_id, row, "opened", actor=actor, reason=reason, now=now, detail=payment)
    unit.announce("estate", estate_id)


def pause(unit: Unit, estate_id: str, account_id: str, *, actor: str, reason: str, now: "Now") -> None:
    """Let the meters be read but nothing be charged and nobody be cut; a cut that was not read back is taken back."""
    row = transition(unit, estate_id, account_id, "paused", reason)
    site = get_estate(unit.connection, estate_id)
    own = {one.meter_id for one in kept.meters_of(unit.connection, estate_id, account_id)}
    for order in unfinished_orders(unit.connection, estate_id):
        if order["meter_id"] in own and order["action"] == "trip" and order["reason"] not in HAZARDS:
            supply.want_closed(unit, estate_id, site, order["meter_id"], order["bus_id"], "paused", actor, now)
    tell(unit, estate_id, row, "paused", actor=actor, reason=reason, now=now)


def resume(unit: Unit, estate_id: str, account_id: str, *, actor: str, reason: str, now: "Now") -> None:
    """Charge again, what was used meanwhile included: no energy is lost."""
    row = transition(unit, estate_id, account_id, "resumed", reason)
    tell(unit, estate_id, row, "resumed", actor=actor, reason=reason, now=now)


def set_payment(
    unit: Unit, estate_id: str, account_id: str, payment: str, *, actor: str, reason: str, now: "Now"
) -> None:
    """Let a household pay in advance or afterwards; whoever is dark for arrears and pays afterwards gets power back.

    A household that changes to paying in advance with a debt is warned, and has its grace, like any other.
    """
    row = transition(unit, estate_id, account_id, "payment", reason)
    if payment not in PAYMENTS:
        raise Refused(f"{payment!r} is no way to pay; allowed: {', '.join(PAYMENTS)}")
    if row["payment"] == payment:
        raise Conflict(f"the account is {payment} already")
    kept.update_account(unit.connection, estate_id, account_id, payment=payment)
    tell(unit, estate_id, row, "payment", actor=actor, reason=reason, now=now, detail=payment)
    if payment == POSTPAID:
        power_back(unit, estate_id, account_id, "postpaid", actor, now)


def power_back(unit: Unit, estate_id: str, account_id: str, reason: str, actor: str, now: "Now") -> list[str]:
    """Wish every meter of the account closed that was wanted open for arrears; the meters."""
    site = get_estate(unit.connection, estate_id)
    found = []
    for meter in kept.meters_of(unit.connection, estate_id, account_id):
        known = get_supply(unit.connection, estate_id, meter.meter_id)
        if known is not None and known["desired"] == "open" and known["cause"] == "arrears":
            supply.want_closed(unit, estate_id, site, meter.meter_id, meter.bus_id, reason, actor, now)
            found.append(meter.meter_id)
    return found


def close_account(unit: Unit, estate_id: str, account_id: str, *, actor: str, reason: str, now: "Now") -> None:
    """Close an account of which nothing is open; Refused with all that is."""
    row = transition(unit, estate_id, account_id, "closed", reason)
    things = kept.open_things(unit.connection, estate_id, account_id, now.machine_ms)
    if things:
        raise Refused(f"the account cannot be closed: {'; '.join(map(str, things))}")
    kept.update_account(unit.connection, estate_id, account_id, room_id=None)
    kept.end_logins(unit.connection, estate_id, account_id)
    tell(unit, estate_id, row, "closed", actor=actor, reason=reason, now=now)


def reopen(unit: Unit, estate_id: str, account_id: str, *, actor: str, reason: str, now: "Now") -> None:
    """Open a closed account to be settled once more, since a correction has found money; nobody moves back in."""
    row = transition(unit, estate_id, account_id, "reopened", reason)
    tell(unit, estate_id, row, "reopened", actor=actor, reason=reason, now=now)


def close_if_done(unit: Unit, estate_id: str, account_id: str, *, actor: str, reason: str, now: "Now") -> bool:
    """Close an account that was left, if nothing of it is open any more."""
    status = get_account(unit.connection, estate_id, account_id)["status"]
    if status != LEFT or kept.open_things(unit.connection, estate_id, account_id, now.machine_ms):
        return False
    close_account(unit, estate_id, account_id, actor=actor, reason=reason, now=now)
    return True


def taken_in(unit: Unit, estate_id: str, account_id: str, meter_id: str, start_wh: int, actor: str, now: "Now") -> None:
    """A new meter feeds an account whose life has begun: it is in service, if it was only opened before."""
    row = get_account(unit.connection, estate_id, account_id)
    if row["status"] == INITIAL:
        kept.update_account(unit.connection, estate_id, account_id, status=TO["moved_in"])
    tell(
        unit, estate_id, row, "moved_in", actor=actor, reason="taken in", now=now, meter_id=meter_id,
        register_wh=start_wh,
    )  # fmt: skip


def transition(unit: Unit, estate_id: str, account_id: str, act: str, reason: str) -> RowMapping:
    """Move a household's account to the state after `act`; its row as it was.

    NotFound for no household, Refused without a reason or from a state that does not allow it.
    """
    row = get_account(unit.connection, estate_id, account_id)
    if row["kind"] != "household":
        raise NotFound(f"there is no household {account_id!r} in this estate")
    problem = act_problem(act, row["status"]) or ("" if reason.strip() else "say why: the reason is kept")
    if problem:
        raise Refused(problem)
    if act in TO:
        kept.update_account(unit.connection, estate_id, account_id, status=TO[act])
    return row


def tell(
    unit: Unit,
    estate_id: str,
    row: RowMapping,
    act: str,
    *,
    actor: str,
    reason: str,
    now: "Now",
    **more: Any,
) -> None:
    """Append an event to the account's life, and to the audit; `row` is the account's, `more` further columns."""
    account_id = row["account_id"]
    kept.add_event(
        unit.connection, estate_id, account_id, act=act, status=TO.get(act, row["status"]), actor=actor,
        reason=reason.strip(), world_at=now.world_s, created_ms=now.machine_ms, **{"room_id": row["room_id"], **more},
    )  # fmt: skip
    audit.record(unit.connection, estate_id, actor, f"account.{act}", account_id, now, reason.strip())
    unit.announce("balance", account_id)
