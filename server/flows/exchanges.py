"""Exchanges: a meter is replaced, or the ratio of its transformers changes.

Either way one installation ends at a final register and another begins at its base register, in one unit of work: the
final register is judged like any reading, everything up to it is charged, and the new installation goes on with the
same account, balance, and counters of tiers and rates. So no energy is lost and none is charged twice.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING
from uuid import uuid4

from sqlalchemy import Connection

from core.reading import is_accepted
from server.domain.readings import MeterReading, Rates
from server.domain.registers import rates_text
from server.errors import Conflict, Refused
from server.flows.billing import charge_due
from server.flows.readings import record
from server.store import acceptance as kept
from server.store import audit
from server.store import installations as rows
from server.store.direct import Row
from server.store.household import cursor as cursor_of
from server.store.isolation import is_isolated
from server.store.meters import MeterRow, find_meter, get_meter
from server.store.readings import LiveState, live_states
from server.store.supply import get_supply
from server.store.unit import Unit

if TYPE_CHECKING:
    from server.clock import Now

MANUAL = "manual"


@dataclass(frozen=True, slots=True)
class NewMeter:
    """What is screwed in: its address, its registers as it is connected, and how it is spoken to.

    None takes what the old meter had. Another meter has the factory's password until an import says another.
    """

    meter_id: str
    start_wh: int
    start_rates_wh: Rates | None = None
    ratio: int | None = None
    max_power_w: int | None = None
    protocol: str | None = None
    model: str | None = None
    unit: int | None = None


@dataclass(frozen=True, slots=True)
class Exchanged:
    """The exchange as it was kept."""

    exchange_id: str
    old_meter_id: str
    new_meter_id: str
    install_no: int
    final_wh: int
    start_wh: int
    charged_fen: int


def replace_meter(
    unit: Unit,
    estate_id: str,
    meter_id: str,
    new: NewMeter,
    *,
    final_wh: int,
    final_rates_wh: Rates | None = None,
    at: int | None = None,
    actor: str,
    reason: str,
    now: "Now",
) -> Exchanged:
    """Close a meter at its final register and open another at its start register.

    `at` is world time, by default now. NotFound for a meter that is not here, Conflict when the new address is in use,
    Refused for a final register that does not follow from the readings.
    """
    connection = unit.connection
    old = _household_meter(connection, estate_id, meter_id, reason)
    relay = get_supply(connection, estate_id, meter_id)
    if relay is not None and is_isolated(relay):  # nothing is wanted of a new meter: the order would end unseen
        raise Refused(f"this meter was opened for {relay['cause']}: two people give its power back")
    known = find_meter(connection, estate_id, new.meter_id)
    if known is not None and known.meter_id != old.meter_id and (known.account_id is not None or known.bus_id):
        raise Conflict(f"meter {new.meter_id} is installed already, at {known.room_id or 'another account'}")
    when = now.world_s if at is None else at
    state = close_register(unit, estate_id, old, final_wh, final_rates_wh, when, now)
    charged_fen = charge_up_to(unit, estate_id, old, state, now)
    install_no = _begin(connection, estate_id, old, known, new, when)
    if new.meter_id != old.meter_id:
        rows.retire(connection, estate_id, old.meter_id)
    end = (final_wh, final_rates_wh)
    return keep_exchange(
        unit, old, new, install_no, end, when, charged_fen, "replacement", actor, reason, now, estate_id
    )


def change_ratio(
    unit: Unit,
    estate_id: str,
    meter_id: str,
    ratio: int,
    *,
    base_wh: int | None = None,
    base_rates_wh: Rates | None = None,
    max_power_w: int | None = None,
    actor: str,
    reason: str,
    now: "Now",
) -> Exchanged:
    """Count with another ratio from the base register on (by default the last accepted one); errors as above."""
    old = _household_meter(unit.connection, estate_id, meter_id, reason)
    if ratio < 1 or ratio == old.ratio:
        raise Refused(f"the ratio is {old.ratio}; give another one, of at least 1")
    state = live_states(unit.connection, estate_id, [meter_id])[meter_id]
    when = state.at
    if base_wh is not None:
        when = now.world_s
        state = close_register(unit, estate_id, old, base_wh, base_rates_wh, when, now)
    charged_fen = charge_up_to(unit, estate_id, old, state, now)
    new = NewMeter(meter_id, state.total_wh, state.rates_wh, ratio, max_power_w)
    install_no = rows.begin_again(unit.connection, estate_id, old, new, when, keep_live=True)
    end = (state.total_wh, state.rates_wh)
    return keep_exchange(unit, old, new, install_no, end, when, charged_fen, "ratio", actor, reason, now, estate_id)


def _household_meter(connection: Connection, estate_id: str, meter_id: str, reason: str) -> MeterRow:
    if not reason.strip():
        raise Refused("say why: the reason is kept with the exchange")
    old = get_meter(connection, estate_id, meter_id)
    if old.kind != "household" or old.account_id is None:
        raise Refused(f"meter {meter_id} feeds no household; only those are charged, and exchanged here")
    return old


def close_register(
    unit: Unit, estate_id: str, old: MeterRow, final_wh: int, rates_wh: Rates | None, at: int, now: "Now",
    source: str = MANUAL,
) -> LiveState:  # fmt: skip
    """Take a register in as a reading, judged like any; the state of the meter after it. Refused when it is held."""
    if at > now.world_s:
        raise Refused("the exchange lies in the future")
    state = live_states(unit.connection, estate_id, [old.meter_id])[old.meter_id]
    if (at, final_wh) == (state.at, state.total_wh):
        return state
    final = MeterReading(
        old.meter_id, at, now.machine_ms, final_wh, rates_wh or _unmoved(state, final_wh), None, source
    )
    [verdict] = record(unit, estate_id, [final], now)
    if not is_accepted(verdict):
        raise Refused(
            f"the register of {final_wh} Wh does not follow from the last accepted reading of {state.total_wh} "
            f"Wh ({verdict}); if it is right, read the meter and release that reading first"
        )
    return live_states(unit.connection, estate_id, [old.meter_id])[old.meter_id]


def _unmoved(state: LiveState, final_wh: int) -> Rates | None:
    """The rates need not be typed where nothing was used since they were read."""
    return state.rates_wh if final_wh == state.total_wh else None


def charge_up_to(unit: Unit, estate_id: str, old: MeterRow, state: LiveState, now: "Now") -> int:
    """Charge everything up to the register of `state`; the fen that were posted. Refused when that cannot be."""
    outcome = charge_due(unit, estate_id, now, meter_ids=(old.meter_id,))
    reached = cursor_of(unit.connection, estate_id, old.meter_id)
    if reached is None or reached["total_wh"] != state.total_wh:
        raise Refused(
            f"meter {old.meter_id} cannot be charged up to {state.total_wh} Wh: its account has no tariff, or one that "
            "needs the final register of each rate"
        )
    return outcome.charged_fen


def _begin(
    connection: Connection, estate_id: str, old: MeterRow, known: MeterRow | None, new: NewMeter, at: int
) -> int:
    if known is None:
        return rows.begin(connection, estate_id, old, new, at)
    return rows.begin_again(connection, estate_id, old, new, at, keep_live=False)


def keep_exchange(
    unit: Unit,
    old: MeterRow,
    new: NewMeter,
    install_no: int,
    end: tuple[int, Rates | None],
    at: int,
    charged_fen: int,
    kind: str,
    actor: str,
    reason: str,
    now: "Now",
    estate_id: str,
) -> Exchanged:
    """Keep the exchange with the counters that go on, and let the collector know."""
    carried: Row | None = cursor_of(unit.connection, estate_id, new.meter_id)
    if carried is None:
        raise Conflict(f"meter {new.meter_id} has no cursor after its installation")
    exchange_id = uuid4().hex
    values = {
        "estate_id": estate_id, "exchange_id": exchange_id, "kind": kind, "account_id": old.account_id, "at": at,
        "old_meter_id": old.meter_id, "old_install_no": old.install_no, "old_ratio": old.ratio,
        "old_max_power_w": old.max_power_w, "old_start_wh": old.start_wh, "old_installed_at": old.installed_at,
        "final_wh": end[0], "final_rates_wh": rates_text(end[1]), "new_meter_id": new.meter_id,
        "new_install_no": install_no, "new_ratio": new.ratio or old.ratio, "start_wh": new.start_wh,
        "start_rates_wh": rates_text(new.start_rates_wh), "actor": actor, "reason": reason.strip(),
        "created_ms": now.machine_ms,
        **{name: carried[name] for name in ("tier_period_start", "tier_period_wh", "order_start", "order_rates_wh")},
    }  # fmt: skip
    kept.add_exchange(unit.connection, values)
    detail = f"{old.meter_id} at {end[0]} Wh, {new.meter_id} from {new.start_wh} Wh, x {values['new_ratio']}: {reason}"
    audit.record(unit.connection, estate_id, actor, f"meter.{kind}", old.meter_id, now, detail.strip())
    for meter_id in {old.meter_id, new.meter_id}:
        unit.announce("meter", meter_id)
    unit.announce("estate", estate_id)
    return Exchanged(exchange_id, old.meter_id, new.meter_id, install_no, end[0], new.start_wh, charged_fen)
