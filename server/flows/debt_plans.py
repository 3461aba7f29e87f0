"""Debt plans: set and ended by people, carried out day by day; each instalment is one unit with its notice."""

from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from sqlalchemy import Connection, RowMapping

from server.domain.accounts import INITIAL, LEFT, NORMAL, PAUSED
from server.domain.debt_plans import INSTALMENT, MISSED, DebtPlan, days_due, instalment, next_due
from server.domain.ledger import Entry, ledger_account
from server.domain.settlement import DAY, period_at
from server.errors import Conflict, NotFound, Refused
from server.flows import notices
from server.flows.accounts import close_if_done
from server.flows.booked import on_booking
from server.flows.crediting import PAID_UP
from server.flows.ledger import post_entries
from server.store import audit
from server.store import debt_plans as kept
from server.store import recovery as debts
from server.store.estates import get_account, get_estate
from server.store.unit import Unit

if TYPE_CHECKING:
    from server.clock import Now

SYSTEM = "system"
CATCH_UP_MAX = 62  # instalments of one plan at once, when nobody has looked for long


def set_plan(
    unit: Unit, estate_id: str, account_id: str, plan: DebtPlan, *, reason: str, actor: str, now: "Now"
) -> int:
    """Let a household pay its debts by a plan; its number. It is told of the plan at once.

    NotFound for no household, Refused for a plan that cannot be followed, that begins in the past, without a reason or
    without a debt in its ledgers, Conflict while another one runs.
    """
    plan.check()
    row = get_account(unit.connection, estate_id, account_id)
    if row["kind"] != "household" or row["status"] not in (INITIAL, NORMAL, PAUSED, LEFT):
        raise NotFound(f"there is no open household {account_id!r} in this estate")
    if plan.begin_day < _day(unit.connection, estate_id, now):
        raise Refused("a plan begins today or later; what was due before was not agreed")
    if not reason.strip():
        raise Refused("say what was agreed: the reason is kept with the plan")
    if kept.running_of(unit.connection, estate_id, account_id) is not None:
        raise Conflict(f"household {account_id} has a plan already; end that first")
    owed = debts.standing_of(unit.connection, estate_id, account_id).debts
    if not any(owed.get(ledger) for ledger in plan.ledgers):
        raise Refused("nothing is owed in these ledgers")
    number = kept.add_plan(
        unit.connection, estate_id, account_id, plan, actor=actor, reason=reason.strip(), world_at=now.world_s,
        created_ms=now.machine_ms,
    )  # fmt: skip
    detail = f"{plan.instalment_fen} fen each {plan.every} on {plan.day} from {plan.begin_day}: {reason.strip()}"
    audit.record(unit.connection, estate_id, actor, "debt_plan.set", str(number), now, detail)
    told: dict[str, int | str] = {"amount_fen": plan.instalment_fen, "every": plan.every, "day": plan.day}
    told |= {"due_day": next_due(plan, ""), "owed_fen": sum(owed.values())}
    notices.enqueue(unit, estate_id, account_id, "plan_set", told, now)
    unit.announce("balance", account_id)
    return number


def end_plan(unit: Unit, estate_id: str, account_id: str, *, reason: str, actor: str, now: "Now") -> None:
    """End the plan of a household; what was taken stays. NotFound without one, Refused without a reason."""
    row = kept.running_of(unit.connection, estate_id, account_id)
    if row is None:
        raise NotFound(f"household {account_id} has no plan")
    if not reason.strip():
        raise Refused("say why the plan ends")
    _end(unit, estate_id, row, reason.strip(), actor, now)


def due_plans(connection: Connection, estate_id: str, now: "Now") -> list[int]:
    """The numbers of plans of which an instalment is due."""
    today = _day(connection, estate_id, now)
    return [
        row["plan_no"]
        for row in kept.running(connection, estate_id)
        if next_due(kept.plan_of(row), row["last_day"] or "") <= today
    ]


def take_due(unit: Unit, estate_id: str, plan_no: int, now: "Now") -> int:
    """Take every instalment of a plan that is due; the fen.

    A plan without any debt left ends by itself, and with it closes an account that was left and has nothing open.
    """
    row = next((one for one in kept.running(unit.connection, estate_id) if one["plan_no"] == plan_no), None)
    if row is None:
        return 0
    plan, today = kept.plan_of(row), _day(unit.connection, estate_id, now)
    taken_fen = 0
    for day in days_due(plan, row["last_day"] or "", today)[:CATCH_UP_MAX]:
        taken_fen += _take(unit, estate_id, row, plan, day, now)
    owed = debts.standing_of(unit.connection, estate_id, row["account_id"]).debts
    if not any(owed.get(ledger) for ledger in plan.ledgers):
        _end(unit, estate_id, row, "nothing is owed any more", SYSTEM, now)
        close_if_done(unit, estate_id, row["account_id"], actor=SYSTEM, reason=PAID_UP, now=now)
    return taken_fen


def _take(unit: Unit, estate_id: str, row: RowMapping, plan: DebtPlan, day: str, now: "Now") -> int:
    """One instalment: the money, its row and its notice."""
    home, key = row["account_id"], f"{INSTALMENT}:{row['plan_no']}:{day}"
    standing = debts.standing_of(unit.connection, estate_id, home)
    owed_fen = sum(standing.debts.get(ledger, 0) for ledger in plan.ledgers)
    if not owed_fen:
        return 0
    parts, wanted_fen = instalment(plan, standing), min(plan.instalment_fen, owed_fen)
    taken_fen = sum(parts.values())
    balance_fen = standing.balance_fen
    if taken_fen:
        entries = [Entry(home, -taken_fen)]
        entries += [Entry(ledger_account(home, ledger), fen) for ledger, fen in parts.items()]
        before = get_account(unit.connection, estate_id, home)
        posted = post_entries(unit, estate_id, INSTALMENT, home, entries, key, now.world_s, SYSTEM, day, now)
        on_booking(unit, estate_id, before, now)
        balance_fen = posted.balance_fen
    kept.add_instalment(
        unit.connection, parts, estate_id=estate_id, plan_no=row["plan_no"], due_day=day, account_id=home,
        taken_fen=taken_fen, wanted_fen=wanted_fen, world_at=now.world_s, created_ms=now.machine_ms,
    )  # fmt: skip
    told: dict[str, int | str] = {
        "amount_fen": taken_fen, "missed_fen": wanted_fen - taken_fen, "owed_fen": owed_fen - taken_fen,
        "balance_fen": balance_fen, "due_day": day,
    }  # fmt: skip
    notices.enqueue(unit, estate_id, home, INSTALMENT if taken_fen == wanted_fen else MISSED, told, now)
    return taken_fen


def _end(unit: Unit, estate_id: str, row: RowMapping, reason: str, actor: str, now: "Now") -> None:
    kept.end_plan(unit.connection, estate_id, row["plan_no"], now.world_s, actor)
    audit.record(unit.connection, estate_id, actor, "debt_plan.ended", str(row["plan_no"]), now, reason)
    unit.announce("balance", row["account_id"])


def _day(connection: Connection, estate_id: str, now: "Now") -> str:
    return period_at(DAY, now.world_s, ZoneInfo(get_estate(connection, estate_id)["time_zone"]))
