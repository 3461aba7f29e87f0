"""Accounts: the page of one with its life and what may be done with it, and the list of those that are not settled.

A register that is left empty takes the last accepted reading, if that is fresh. Sums are yuan as people type them.
"""

import re
import secrets
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Form, Query, Request
from sqlalchemy import Connection, RowMapping
from starlette.datastructures import FormData
from starlette.responses import HTMLResponse, RedirectResponse

from server.domain.accounts import INITIAL, TIER_POLICIES, act_problem
from server.domain.debt_plans import next_due
from server.domain.ledger import ELECTRICITY, LEDGERS, ledger_account
from server.domain.recovery import DEBT_LEDGERS
from server.errors import NotFound, Refused
from server.flows import accounts as flows
from server.flows import adjustments, approvals, credits, moves
from server.flows.moves import Register, Settlement
from server.store import accounts as kept
from server.store import credits as meter_credits
from server.store import debt_plans, wall
from server.store import household as reads
from server.store.estates import get_account, get_estate, has_household
from server.store.ledger import ledger_balances
from server.store.meters import MeterRow, get_meter
from server.store.settlement import months_of
from server.store.tariffs import load_tariffs
from server.store.unit import Deed, Unit
from server.web.deps import Reader, State, need
from server.web.money import parse_fen
from server.web.operator.exchanges import rates_of, wh_of
from server.web.operator.shell import staff_page
from server.web.principal import Principal
from server.web.state import WebState

router = APIRouter(include_in_schema=False)
Viewer = Annotated[Principal, Depends(need("households.list"))]
Clerk = Annotated[Principal, Depends(need("account.manage"))]
Reason = Annotated[str, Form(min_length=1, max_length=1000, pattern=r"^[^\x00]+$")]
Id = Annotated[str, Form(max_length=64, pattern=r"^[^\x00]*$")]
Text = Annotated[str, Form(max_length=200, pattern=r"^[^\x00]*$")]
LINES = 8
DORMANT_S = 180 * 86400  # without a top-up for so long, an account is to be looked at
MONTHS = 12
_KWH = re.compile(r"\d{1,6}(\.\d{1,2})?")
RATES = ("sharp", "peak", "flat", "valley")
FORMS = (  # of the page: name, right, act of the account's life
    ("move-in", "account.manage", "moved_in"), ("pay-out", "account.book", "paid_out"),
    ("carry", "account.book", "carried"), ("close", "account.manage", "closed"),
    ("reopen", "account.manage", "reopened"), ("resume", "account.manage", "resumed"),
    ("plan", "account.book", "adjusted"), ("adjust", "account.book", "adjusted"), ("fee", "account.book", "adjusted"),
    ("transfer", "account.book", "adjusted"), ("opening", "account.book", "opening"),
    ("move-out", "account.manage", "moved_out"), ("true-register", "account.manage", "final_corrected"),
    ("pause", "account.manage", "paused"),
    ("payment", "account.manage", "payment"),
)  # fmt: skip


async def _form(request: Request) -> FormData:
    return await request.form()


Fields = Annotated[FormData, Depends(_form)]


@router.get("/accounts")
def accounts_page(
    request: Request, state: State, conn: Reader, who: Viewer, q: Annotated[str, Query(max_length=80)] = ""
) -> HTMLResponse:
    """Accounts that are not as usual, meters that feed nobody, the newest moves, and what `q` finds of any state."""
    meters = kept.vacant_meters(conn, who.estate_id)
    return staff_page(
        request,
        conn,
        "operator/accounts.html",
        "accounts",
        sought=q.strip(),
        found=kept.found(conn, who.estate_id, q.strip()) if q.strip() else [],
        rows=kept.unsettled(conn, who.estate_id),
        dormant=kept.dormant(conn, who.estate_id, state.clock.now().world_s - DORMANT_S),
        vacant=meters,
        shown=kept.registers(conn, who.estate_id, [one.meter_id for one in meters]),
        rooms=sorted(
            {one.room_id for one in meters if one.room_id and not has_household(conn, who.estate_id, one.room_id)}
        ),
        tariffs=sorted(load_tariffs(conn, who.estate_id).values(), key=lambda one: one.tariff_id),
        moves=kept.last_moves(conn, who.estate_id),
    )


@router.get("/accounts/{account_id}")
def account_page(
    request: Request, state: State, conn: Reader, who: Viewer, account_id: str,
    do: Annotated[str, Query(max_length=20)] = "",
) -> HTMLResponse:  # fmt: skip
    """One account: where it stands, its ledgers, its life, and the acts that its state allows, one form at a time."""
    row = get_account(conn, who.estate_id, account_id)
    if row["kind"] != "household":
        raise NotFound(f"no household {account_id}")
    own, vacant = kept.meters_of(conn, who.estate_id, account_id), _vacant_for(conn, who, row["room_id"])
    now_ms = state.clock.now().machine_ms
    balances, life = ledger_balances(conn, who.estate_id, account_id), kept.life(conn, who.estate_id, account_id)
    plan = debt_plans.running_of(conn, who.estate_id, account_id)
    offers = offers_of(who, row, balances, life, vacant, plan)
    return staff_page(
        request,
        conn,
        "operator/account.html",
        "accounts",
        row=row,
        home=wall.household(conn, who.estate_id, account_id),
        meters=own,
        vacant=vacant,
        shown=kept.registers(conn, who.estate_id, [one.meter_id for one in (*own, *vacant)]),
        balances=balances,
        lines={
            name: reads.ledger(conn, who.estate_id, ledger_account(account_id, name), limit=LINES) for name in LEDGERS
        },
        things=kept.open_things(conn, who.estate_id, account_id, now_ms),
        requests=kept.requests(conn, who.estate_id, account_id, now_ms),
        months=months_of(conn, who.estate_id, account_id, limit=MONTHS),
        life=life,
        offers=offers,
        credits={one.meter_id: meter_credits.newest(conn, who.estate_id, one.meter_id) for one in own},
        estimated=estimated_in(life),
        plan=plan,
        plan_next=None if plan is None else next_due(debt_plans.plan_of(plan), plan["last_day"] or ""),
        instalments=debt_plans.instalments_of(conn, who.estate_id, account_id, limit=LINES),
        debt_ledgers=DEBT_LEDGERS,
        chosen=do if do in offers else "move-in" if row["status"] == INITIAL and "move-in" in offers else "",
        alone_fen=get_estate(conn, who.estate_id)["adjust_alone_fen"],
        tier_policies=TIER_POLICIES,
        key=secrets.token_urlsafe(16),
    )


def estimated_in(life: Sequence[RowMapping]) -> list[str]:
    """The meters of which a final register was estimated and not corrected since; `life` is newest first."""
    corrected = {one["meter_id"] for one in life if one["act"] == "final_corrected"}
    return [
        one["meter_id"]
        for one in life
        if one["act"] == "moved_out" and "estimated:" in one["detail"] and one["meter_id"] not in corrected
    ]


def offers_of(
    who: Principal, row: RowMapping, balances: Mapping[str, int], life: Sequence[RowMapping],
    vacant: Sequence[MeterRow], plan: RowMapping | None,
) -> list[str]:  # fmt: skip
    """The forms that this person may open for an account in its state, the likeliest first."""
    useless = set()
    if not any(fen > 0 for fen in balances.values()):
        useless.add("pay-out")
    if any(one["act"] == "opening" for one in life):
        useless.add("opening")
    if not any(fen < 0 for name, fen in balances.items() if name != ELECTRICITY) and plan is None:
        useless.add("plan")
    if not estimated_in(life):
        useless.add("true-register")
    if row["status"] != INITIAL and not vacant:
        useless.add("move-in")
    found = [
        name
        for name, verb, act_name in FORMS
        if who.may(verb) and not act_problem(act_name, row["status"]) and name not in useless
    ]
    return found if row["status"] == INITIAL else sorted(found, key=lambda name: name == "move-in")


def _vacant_for(conn: Connection, who: Principal, room_id: str | None) -> list[MeterRow]:
    """Meters that may feed an account: those of its room first."""
    found = kept.vacant_meters(conn, who.estate_id)
    return sorted(found, key=lambda one: (one.room_id != room_id, one.meter_id))


def act(state: WebState, account_id: str, work: Callable[[Unit], Any]) -> RedirectResponse:
    """Run one flow and show the account."""
    state.writer.run(work)
    return RedirectResponse(f"/accounts/{account_id}", 303)


@router.post("/accounts")
def open_account(
    state: State,
    who: Clerk,
    account_id: Id,
    room_id: Id,
    holder: Text,
    tariff_id: Id,
    reason: Reason,
    phone: Text = "",
    payment: Id = "prepaid",
) -> RedirectResponse:
    """Open an account for a room; its page then offers to move the household in."""
    now = state.clock.now()
    return act(
        state,
        account_id,
        Deed(
            flows.open_account,
            who.estate_id, account_id, room_id=room_id, holder=holder, phone=phone, tariff_id=tariff_id,
            payment=payment, actor=who.login, reason=reason, now=now,
        ),
    )  # fmt: skip


@router.post("/accounts/{account_id}/pause")
def pause(state: State, who: Clerk, account_id: str, reason: Reason) -> RedirectResponse:
    """Read on, charge nothing, cut nobody."""
    now = state.clock.now()
    return act(
        state,
        account_id,
        Deed(flows.pause, who.estate_id, account_id, actor=who.login, reason=reason, now=now),
    )


@router.post("/accounts/{account_id}/resume")
def resume(state: State, who: Clerk, account_id: str, reason: Reason) -> RedirectResponse:
    """Charge again."""
    now = state.clock.now()
    return act(
        state,
        account_id,
        Deed(flows.resume, who.estate_id, account_id, actor=who.login, reason=reason, now=now),
    )


@router.post("/accounts/{account_id}/payment")
def payment(state: State, who: Clerk, account_id: str, payment: Id, reason: Reason) -> RedirectResponse:
    """In advance, or afterwards."""
    now = state.clock.now()
    return act(
        state,
        account_id,
        Deed(flows.set_payment, who.estate_id, account_id, payment, actor=who.login, reason=reason, now=now),
    )


@router.post("/accounts/{account_id}/close")
def close(state: State, who: Clerk, account_id: str, reason: Reason) -> RedirectResponse:
    """Close it, if nothing of it is open."""
    now = state.clock.now()
    return act(
        state,
        account_id,
        Deed(flows.close_account, who.estate_id, account_id, actor=who.login, reason=reason, now=now),
    )


@router.post("/accounts/{account_id}/reopen")
def reopen(state: State, who: Clerk, account_id: str, reason: Reason) -> RedirectResponse:
    """Open a closed account to be settled again."""
    now = state.clock.now()
    return act(
        state,
        account_id,
        Deed(flows.reopen, who.estate_id, account_id, actor=who.login, reason=reason, now=now),
    )


def registers_in(form: FormData, meters: Sequence[MeterRow]) -> list[Register]:
    """The registers that a form gives of these meters; Refused for one that cannot be read."""
    found = []
    for one in meters:
        typed, *rates = [str(form.get(f"{name}-{one.meter_id}", "")).strip() for name in ("kwh", *RATES)]
        if any(text and not _KWH.fullmatch(text) for text in (typed, *rates)):
            raise Refused(f"the register of meter {one.meter_id} cannot be read; write it like 1234.56")
        left = str(form.get(f"credit-{one.meter_id}", "")).strip()
        credit_fen = None if not left else -parse_fen(left[1:]) if left.startswith("-") else parse_fen(left)
        estimated = "?" if form.get(f"estimate-{one.meter_id}") else ""
        found.append(Register(one.meter_id, wh_of(typed) if typed else None, rates_of(*rates), estimated, credit_fen))
    return found


@router.post("/accounts/{account_id}/move-out")
def move_out(
    state: State,
    conn: Reader,
    who: Clerk,
    account_id: str,
    form: Fields,
    reason: Reason,
    settle: Id = moves.LEAVE,
    target_id: Id = "",
) -> RedirectResponse:
    """Charge up to the final registers, free the meters, settle."""
    finals = registers_in(form, kept.meters_of(conn, who.estate_id, account_id))
    settlement = Settlement(who.may_settle(settle), target_id)
    now = state.clock.now()
    return act(
        state,
        account_id,
        Deed(
            approvals.request_move_out, who.estate_id, account_id, finals, settlement, actor=who.login, reason=reason,
            now=now, fresh=who.fresh,
        ),
    )  # fmt: skip


@router.post("/accounts/{account_id}/credit")
def ask_credit(state: State, who: Clerk, account_id: str) -> RedirectResponse:
    """Ask its meters what they still have; the form of the move shows it."""
    now = state.clock.now()
    state.writer.run(Deed(credits.ask, who.estate_id, account_id, actor=who.login, now=now))
    return RedirectResponse(f"/accounts/{account_id}?do=move-out", 303)


@router.post("/accounts/{account_id}/true-register")
def true_register(
    state: State, conn: Reader, who: Clerk, account_id: str, form: Fields, reason: Reason, meter_id: Id
) -> RedirectResponse:
    """Put the register that somebody has read in the place of the estimated one; above a limit two people do."""
    [given] = registers_in(form, [get_meter(conn, who.estate_id, meter_id)])
    if given.total_wh is None:
        raise Refused("type what the meter shows")
    now = state.clock.now()
    done = state.writer.run(
        Deed(
            approvals.request_correction, who.estate_id, account_id, meter_id, given.total_wh, given.rates_wh,
            actor=who.login, reason=reason, now=now, fresh=who.fresh,
        )
    )  # fmt: skip
    return RedirectResponse("/supply#approvals" if done.approval_id else f"/accounts/{account_id}", 303)


@router.post("/accounts/{account_id}/move-in")
def move_in(
    state: State,
    conn: Reader,
    who: Clerk,
    account_id: str,
    form: Fields,
    reason: Reason,
    tier_policy: Id = TIER_POLICIES[0],
) -> RedirectResponse:
    """Begin the meters that were ticked anew, for this account."""
    chosen = set(form.getlist("meter"))
    bases = registers_in(form, [one for one in kept.vacant_meters(conn, who.estate_id) if one.meter_id in chosen])
    now = state.clock.now()
    return act(
        state,
        account_id,
        Deed(
            moves.move_in,
            who.estate_id,
            account_id,
            bases,
            actor=who.login,
            reason=reason,
            now=now,
            tier_policy=tier_policy,
        ),
    )


@router.post("/accounts/{account_id}/carry")
def carry(
    state: State,
    who: Annotated[Principal, Depends(need("account.book"))],
    account_id: str,
    target_id: Id,
    reason: Reason,
) -> RedirectResponse:
    """Carry all ledgers over to another account."""
    now = state.clock.now()
    return act(
        state,
        account_id,
        Deed(adjustments.carry, who.estate_id, account_id, target_id, reason=reason, actor=who.login, now=now),
    )
