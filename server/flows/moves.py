"""Moving out and moving in: the final registers charge the household that leaves, base registers begin the next one.

Who moves out is charged up to the registers of that day in one unit of work, and then nothing feeds the account any
more: its meters stay on their buses and are read, but belong to nobody, so nothing is charged and nothing is switched.
Who moves in begins a new installation of each meter at its base register; what was used between the two is charged to
nobody and told in the life of the new account. An account may have many meters.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from sqlalchemy import Connection, RowMapping

from core.tariff import tier_period_start_s
from core.units import REGISTER_MODULUS_WH
from server.domain.accounts import HOUSEHOLD_TIERS, LEFT, PAUSED, TIER_POLICIES
from server.domain.estimates import ESTIMATE, estimate
from server.domain.ledger import ELECTRICITY
from server.domain.local_fee import LOCAL
from server.domain.readings import Rates
from server.domain.registers import Registers
from server.domain.tariff_calendar import TariffCalendar
from server.errors import Conflict, Refused
from server.flows import adjustments, credits
from server.flows.accounts import close_if_done, power_back, tell, transition
from server.flows.exchanges import MANUAL, NewMeter, charge_up_to, close_register, keep_exchange
from server.store import accounts as kept
from server.store import installations as rows
from server.store.estates import get_account, get_estate
from server.store.household import cursor as cursor_of
from server.store.ledger import ledger_balances
from server.store.meters import MeterRow, get_meter
from server.store.readings import LiveState, live_states, rates_of
from server.store.tariffs import load_tariffs
from server.store.unit import Unit
from server.store.voiding import counted_from

if TYPE_CHECKING:
    from server.clock import Now

LEAVE = "leave"
CARRY = "carry"


@dataclass(frozen=True, slots=True)
class Register:
    """What a meter shows on the day of a move; None takes the last accepted reading, if it is fresh."""

    meter_id: str
    total_wh: int | None = None
    rates_wh: Rates | None = None
    estimate: str = ""  # how the register was estimated, of a dead meter; "?" asks for it
    credit_fen: int | None = None  # what two people decided to be left in a meter that keeps the credit and is silent

    @property
    def needs_second(self) -> bool:
        """Whether a second person must agree: nobody has read this."""
        return bool(self.estimate) or self.credit_fen is not None


@dataclass(frozen=True, slots=True)
class Settlement:
    """What becomes of the balance: left as it is, paid out (cash or bank), or carried to another account."""

    how: str = LEAVE
    target_id: str = ""


@dataclass(frozen=True, slots=True)
class MovedOut:
    """How an account was left: what its last registers cost, its ledgers now, and whether it is closed already."""

    charged_fen: int
    balances_fen: Mapping[str, int]
    closed: bool
    approval_id: str = ""


@dataclass(frozen=True, slots=True)
class MovedIn:
    """The meters that feed the account from now on, and the energy that each was charged to nobody for before."""

    vacant_wh: Mapping[str, int]


def move_out(
    unit: Unit,
    estate_id: str,
    account_id: str,
    finals: Sequence[Register],
    settlement: Settlement,
    *,
    actor: str,
    reason: str,
    now: "Now",
    approved_by: str = "",
    fresh: bool = True,
) -> MovedOut:
    """Charge all meters up to their final registers, take them from the account, and settle its balance.

    What a meter that keeps the credit still has goes into the account. An estimated register, and an amount that no
    meter has said, need a second person (`approved_by`). Refused while a relay command, a recharge or a held reading
    of it is open, or for a register that does not follow. A payout beyond what one person may book waits for a second
    one; the account stays left until then. StaleLogin for such a payout, unless the password of who asks is `fresh`.
    """
    if any(final.needs_second for final in finals) and approved_by in ("", actor):
        raise Refused("a second person must agree to what no meter has said")
    row = transition(unit, estate_id, account_id, "moved_out", reason)
    own = _all_named(unit, estate_id, account_id, finals)
    things = kept.open_of_meters(unit.connection, estate_id, list(own)) + kept.open_recharges(
        unit.connection, estate_id, account_id
    )
    if things:
        raise Refused(f"nobody moves out while something is open: {'; '.join(map(str, things))}")
    kept.update_account(unit.connection, estate_id, account_id, status=PAUSED)  # charged by name only, and not warned
    charged_fen = 0
    for final in finals:
        meter = own[final.meter_id]
        if meter.fee == LOCAL:
            detail, register_wh = "charged by the meter itself", final.total_wh
            credits.settle(
                unit, estate_id, row, meter, final.credit_fen, actor=actor, approved_by=approved_by, reason=reason,
                now=now,
            )  # fmt: skip
        else:
            state = _register(unit, estate_id, meter, final, now)
            fen, register_wh = charge_up_to(unit, estate_id, meter, state, now), state.total_wh
            charged_fen += fen
            detail = f"{fen} fen charged; {final.estimate}" if final.estimate else f"{fen} fen charged"
        tell(
            unit, estate_id, row, "moved_out", actor=actor, approved_by=approved_by or None, reason=reason, now=now,
            meter_id=meter.meter_id, register_wh=register_wh, detail=detail,
        )  # fmt: skip
        rows.free(unit.connection, estate_id, meter.meter_id)
        unit.announce("meter", meter.meter_id)
    if not finals:
        tell(unit, estate_id, row, "moved_out", actor=actor, reason=reason, now=now)
    kept.update_account(unit.connection, estate_id, account_id, status=LEFT, room_id=None)
    kept.end_logins(unit.connection, estate_id, account_id)
    unit.announce("estate", estate_id)
    approval_id = _settle(unit, estate_id, account_id, settlement, actor, reason, now, fresh=fresh)
    close_if_done(unit, estate_id, account_id, actor=actor, reason=reason, now=now)
    closed = get_account(unit.connection, estate_id, account_id)["status"] != LEFT
    return MovedOut(charged_fen, ledger_balances(unit.connection, estate_id, account_id), closed, approval_id)


def _all_named(unit: Unit, estate_id: str, account_id: str, finals: Sequence[Register]) -> dict[str, MeterRow]:
    own = {one.meter_id: one for one in kept.meters_of(unit.connection, estate_id, account_id)}
    if sorted(own) != sorted(final.meter_id for final in finals):
        raise Refused(f"give the final register of each of its meters, once: {', '.join(sorted(own)) or 'it has none'}")
    for final in finals:
        if (final.credit_fen is not None) != (own[final.meter_id].fee == LOCAL) and final.credit_fen is not None:
            raise Refused(f"meter {final.meter_id} keeps no credit; give its register")
    return own


def worked_out(
    connection: Connection, estate_id: str, account_id: str, finals: Sequence[Register], now: "Now"
) -> list[Register]:
    """The same registers with those that are asked for estimated, and how; Refused where nothing can be said."""
    own = {one.meter_id: one for one in kept.meters_of(connection, estate_id, account_id)}
    found = []
    for given in finals:
        meter = own.get(given.meter_id)
        if not given.estimate or meter is None:
            found.append(given)
            continue
        begun_wh = rates_of([getattr(meter, f"start_rate{number}_wh") for number in range(1, 5)])
        known = {meter.installed_at: Registers(meter.installed_at, meter.start_wh, begun_wh)}
        known |= counted_from(connection, estate_id, meter.meter_id, meter.installed_at)
        made = estimate(known, now.world_s)
        found.append(Register(given.meter_id, made.total_wh, made.rates_wh, made.said))
    return found


def _settle(
    unit: Unit, estate_id: str, account_id: str, settlement: Settlement, actor: str, reason: str, now: "Now", *,
    fresh: bool,
) -> str:  # fmt: skip
    """Do with the balance what was asked; the id of the request, where a second person is needed."""
    if settlement.how == LEAVE:
        return ""
    if settlement.how == CARRY:
        adjustments.carry(unit, estate_id, account_id, settlement.target_id, reason=reason, actor=actor, now=now)
        return ""
    balance_fen = ledger_balances(unit.connection, estate_id, account_id)[ELECTRICITY]
    if balance_fen <= 0:
        return ""
    booked = adjustments.pay_out(
        unit, estate_id, account_id, balance_fen, how=settlement.how, reason=reason, key="final", actor=actor, now=now,
        fresh=fresh,
    )  # fmt: skip
    return booked.approval_id


def move_in(
    unit: Unit,
    estate_id: str,
    account_id: str,
    bases: Sequence[Register],
    *,
    actor: str,
    reason: str,
    now: "Now",
    tier_policy: str = HOUSEHOLD_TIERS,
) -> MovedIn:
    """Let meters that feed nobody feed this account, each from its base register on; it is charged from there.

    `tier_policy`: "household" begins the tiers anew, "premises" goes on with those of the meter. The power comes back
    where it was cut for the arrears of who lived there before. Conflict for a meter that feeds somebody.
    """
    row = transition(unit, estate_id, account_id, "moved_in", reason)
    if not bases or tier_policy not in TIER_POLICIES:
        raise Refused(f"name at least one meter; tiers are those of {' or '.join(TIER_POLICIES)}")
    vacant_wh: dict[str, int] = {}
    for base in bases:
        meter, former = _vacant(unit, estate_id, base.meter_id)
        vacant_wh[meter.meter_id] = _begin(unit, estate_id, row, meter, former, base, tier_policy, actor, reason, now)
        detail = f"{vacant_wh[meter.meter_id]} Wh charged to nobody, tiers of the {tier_policy}"
        register_wh = get_meter(unit.connection, estate_id, meter.meter_id).start_wh
        tell(
            unit, estate_id, row, "moved_in", actor=actor, reason=reason, now=now, meter_id=meter.meter_id,
            register_wh=register_wh, detail=detail,
        )  # fmt: skip
    power_back(unit, estate_id, account_id, "moved_in", actor, now)
    return MovedIn(vacant_wh)


def _vacant(unit: Unit, estate_id: str, meter_id: str) -> tuple[MeterRow, str]:
    """The meter and the account that it fed last; Conflict when it feeds one, or hangs on no bus."""
    meter = get_meter(unit.connection, estate_id, meter_id)
    former = kept.former_account(unit.connection, estate_id, meter_id)
    if meter.kind != "household" or meter.account_id is not None or not meter.bus_id or former is None:
        raise Conflict(f"meter {meter_id} is not vacant: {meter.account_id or 'no household has moved out from it'}")
    return meter, former


def _begin(
    unit: Unit, estate_id: str, row: RowMapping, meter: MeterRow, former: str, base: Register, tier_policy: str,
    actor: str, reason: str, now: "Now",
) -> int:  # fmt: skip
    """Begin the new installation at the base register; the energy since the final one, after the ratio."""
    connection, account_id = unit.connection, row["account_id"]
    state = _register(unit, estate_id, meter, base, now)
    reached = cursor_of(connection, estate_id, meter.meter_id)
    if reached is None:
        raise Conflict(f"meter {meter.meter_id} has no cursor")
    new = NewMeter(meter.meter_id, state.total_wh, state.rates_wh)
    begun = replace(meter, account_id=account_id)
    install_no = rows.begin_again(connection, estate_id, begun, new, state.at, keep_live=True)
    tariff = load_tariffs(connection, estate_id)[row["tariff_id"]]
    if TariffCalendar(tariff).terms_at(state.at).by_rates and state.rates_wh is None:
        raise Refused(f"tariff {row['tariff_id']} charges by rates; give the base register of each rate")
    if tier_policy == HOUSEHOLD_TIERS:
        rows.restart_counters(connection, estate_id, meter.meter_id, tier_period_start_s(tariff, state.at))
    if meter.fee == LOCAL:
        credits.take_over(unit, estate_id, row, meter, install_no, actor=actor, reason=reason, now=now)
    final = (int(reached["total_wh"]), rates_of([reached[f"rate{number}_wh"] for number in (1, 2, 3, 4)]))
    keep_exchange(
        unit, replace(meter, account_id=former), new, install_no, final, state.at, 0, "move", actor, reason, now,
        estate_id,
    )  # fmt: skip
    return (state.total_wh - final[0]) % REGISTER_MODULUS_WH * meter.ratio


def _register(unit: Unit, estate_id: str, meter: MeterRow, given: Register, now: "Now") -> LiveState:
    """The meter at the register of the move: as typed and judged like any reading, or as it was read just now."""
    if given.total_wh is not None:
        source = ESTIMATE if given.estimate else MANUAL
        return close_register(unit, estate_id, meter, given.total_wh, given.rates_wh, now.world_s, now, source)
    state = live_states(unit.connection, estate_id, [meter.meter_id])[meter.meter_id]
    fresh_s = get_estate(unit.connection, estate_id)["reading_fresh_s"]
    if now.world_s - state.at > fresh_s:
        age_s = now.world_s - state.at
        raise Refused(f"meter {meter.meter_id} was read {age_s} s ago; read it now, or type what it shows")
    return state
