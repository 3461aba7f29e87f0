"""What the collector does with a relay: the orders it gets, the steps it reports, the status it reads back."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sqlalchemy import Connection, RowMapping

from core.dlt645.identifiers import COMMAND_OPEN, RELAY_OPEN
from server.domain.keep_power import action_of
from server.domain.readings import StatusRead
from server.domain.supply import HAZARDS, LATE_S, TripFacts, decide_trip, may_still_be_sent
from server.flows import keep_power, notices
from server.flows.isolation import RELEASED, as_hazard
from server.flows.supply import BY_HAND, CLOSE_NEVER_EXPIRES_S, want_closed
from server.store import attempts, isolation
from server.store import keep_power as keeps
from server.store import supply as kept
from server.store.estates import get_account, get_estate
from server.store.meters import MeterRow, get_meter
from server.store.orders import mark_button, mark_power_permitted
from server.store.readings import note_contact
from server.store.status import save_status
from server.store.unit import Unit

if TYPE_CHECKING:
    from server.clock import Now

DISORDER_MAX_MS = 600_000  # what is older by more was not overtaken: the machine's clock was set back
UNSENT = ("superseded", "expired")  # steps of which in a row only the first is kept
SETTLED = ("none", "confirmed")  # commands that wait for no read-back
COMMAND_OF_STEP = {"sent": "sent", "accepted": "accepted", "refused": "failed"}


@dataclass(frozen=True, slots=True)
class RelayOrder:
    """A committed wish that no read-back has confirmed; `expires_at` is world time, `command_ttl_s` meter time."""

    meter_id: str
    gen: int
    action: str
    password: str = field(repr=False)
    password_level: int
    expires_at: int
    command_ttl_s: int


def next_orders(
    connection: Connection, estate_id: str, bus_id: str, now_ms: int | None = None
) -> list[RelayOrder]:  # fmt: skip
    """What is wanted of the relays of one bus; trips are left out while the estate's switches forbid them.

    With `now_ms` (machine time) closes that are spread over time are left out until their turn.
    """
    rows = kept.unfinished_orders(connection, estate_id, bus_id, now_ms)
    return _merged(
        [_order(row) for row in rows if _may_be_sent(row)],
        [_keep_order(row) for row in keeps.unfinished_orders(connection, estate_id, bus_id, now_ms)],
    )


def orders_by_bus(connection: Connection, estate_id: str, now_ms: int | None = None) -> dict[str, list[RelayOrder]]:
    """The same of all buses that have any."""
    orders: dict[str, list[RelayOrder]] = {}
    for row in kept.unfinished_orders(connection, estate_id, None, now_ms):
        if _may_be_sent(row):
            orders.setdefault(row["bus_id"], []).append(_order(row))
    wanted: dict[str, list[RelayOrder]] = {}
    for row in keeps.unfinished_orders(connection, estate_id, None, now_ms):
        wanted.setdefault(row["bus_id"], []).append(_keep_order(row))
    return {name: _merged(orders.get(name, []), wanted.get(name, [])) for name in orders.keys() | wanted.keys()}


def _merged(relays: list[RelayOrder], keeping: list[RelayOrder]) -> list[RelayOrder]:
    """Power first, then the protection of it, then cuts, and last what takes a protection back."""
    first = [order for order in relays if order.action != "trip"]
    trips = [order for order in relays if order.action == "trip"]
    taken_back = [order for order in keeping if order.action != "keep"]
    return [*first, *(order for order in keeping if order.action == "keep"), *trips, *taken_back]


def _may_be_sent(row: RowMapping) -> bool:
    return row["action"] != "trip" or kept.switched_on(row)


def _order(row: RowMapping) -> RelayOrder:
    return RelayOrder(
        row["meter_id"], row["gen"], row["action"], row["password"], row["password_level"], row["expires_at"],
        row["command_ttl_s"],
    )  # fmt: skip


def _keep_order(row: RowMapping) -> RelayOrder:
    return RelayOrder(
        row["meter_id"], row["gen"], action_of(row["state"]), row["password"], row["password_level"],
        CLOSE_NEVER_EXPIRES_S, row["command_ttl_s"],
    )  # fmt: skip


def is_current(connection: Connection, estate_id: str, meter_id: str, gen: int) -> bool:
    """Whether a frame of this generation may go out now: it is the newest, and trips are still allowed."""
    row = kept.get_supply(connection, estate_id, meter_id)
    wish = kept.get_wish(connection, estate_id, meter_id, gen)
    if row is None or wish is None or row["gen"] != gen:
        return False
    return wish["action"] != "trip" or kept.switched_on(get_estate(connection, estate_id))


def clear_trip(
    unit: Unit, estate_id: str, meter_id: str, gen: int, now: "Now", *, clock_sane: bool, sending: bool = False
) -> bool:  # fmt: skip
    """The last question before the frame of a trip: still current, still justified, and durably written.

    The household is judged once more, since a payment, a protected hour or a doubt may have come meanwhile, or the
    reading has grown old while its bus was away. A store that cannot be written answers with its error, and then no
    trip is sent. With `sending` the leave is kept as a step, so that whoever dies between frame and report, or hears of
    a relay that has opened, knows which cuts may be ours.
    """
    if not is_current(unit.connection, estate_id, meter_id, gen):
        return False
    account_id = get_meter(unit.connection, estate_id, meter_id).account_id
    accounts = [] if account_id is None else [account_id]
    for one in kept.trip_candidates(unit.connection, estate_id, accounts, now.world_s, clock_sane=clock_sane):
        if one.meter_id != meter_id:
            continue
        facts = _as_wished(unit.connection, estate_id, meter_id, gen, one.facts)
        if may_still_be_sent(decide_trip(facts, now.world_s, now.machine_ms)):
            break
    else:
        return False
    kept.update_supply(unit.connection, estate_id, meter_id, candidate_at=now.world_s)
    if sending:
        attempts.add_attempt(unit.connection, estate_id, meter_id, gen, "cleared", now.world_s, now.machine_ms, "")
    return True


def _as_wished(connection: Connection, estate_id: str, meter_id: str, gen: int, facts: TripFacts) -> TripFacts:
    """A hazard that two people have said is judged as one again, by the two names that its evidence has."""
    wish = kept.get_wish(connection, estate_id, meter_id, gen)
    if wish is None or wish["reason"] not in HAZARDS:
        return facts
    order = json.loads(wish["evidence"]).get("order", {})
    return as_hazard(facts, wish["reason"], order.get("asked_by", ""), order.get("agreed_by", ""))


def is_trip(connection: Connection, estate_id: str, meter_id: str, gen: int) -> bool:
    """Whether this generation wants the power off."""
    wish = kept.get_wish(connection, estate_id, meter_id, gen)
    return wish is not None and wish["action"] == "trip"


def closes_for_others(connection: Connection, estate_id: str, meter_id: str, gen: int) -> bool:
    """Whether a frame that gives the power back would close what others have opened.

    Asked where the relay was just read open. The newest cut never had leave to go out, and no frame of an older one can
    have come since that was decided, when the relay was seen closed. What somebody gives back by hand, or two people
    release, is theirs to say.
    """
    wish = kept.get_wish(connection, estate_id, meter_id, gen)
    cut = attempts.cut_before(connection, estate_id, meter_id, gen)
    if wish is None or cut is None or wish["action"] == "trip" or wish["reason"] in (BY_HAND, RELEASED):
        return False
    cut_gen, decided_at = cut
    if kept.trip_sent_at(connection, estate_id, meter_id, cut_gen) is not None:
        return False
    older_at = kept.trip_sent_at(connection, estate_id, meter_id)
    fresh_s = get_estate(connection, estate_id)["reading_fresh_s"]
    return older_at is None or older_at + LATE_S + fresh_s < decided_at


def leave_to_others(unit: Unit, estate_id: str, meter_id: str, gen: int, now: "Now") -> None:
    """Send nothing for a wish of which `closes_for_others` is true."""
    row = kept.get_supply(unit.connection, estate_id, meter_id)
    if row is not None and row["gen"] == gen and closes_for_others(unit.connection, estate_id, meter_id, gen):
        _send_nothing(unit, estate_id, meter_id, gen, now)


def record_attempt(unit: Unit, estate_id: str, meter_id: str, gen: int, step: str, detail: str, now: "Now") -> None:
    """Keep one step. It may say how the command fares, never what the relay does.

    A wish that nothing may be sent for is tried again and again: of the same outcome in a row only the first is kept.
    A hazard's wish that is too old stays while its relay may be open: the read-back decides, and nothing closes it.
    """
    again = step in UNSENT and attempts.newest_step(unit.connection, estate_id, meter_id, gen) == step
    if not again:
        attempts.add_attempt(unit.connection, estate_id, meter_id, gen, step, now.world_s, now.machine_ms, detail)
    elif step == "superseded":
        return
    row = kept.get_supply(unit.connection, estate_id, meter_id)
    if row is None or row["gen"] != gen or row["command"] == "confirmed":
        return
    unit.announce("meter", meter_id)
    if step == "expired" and row["desired"] == "open":
        if isolation.is_isolated(row) and isolation.may_be_open(unit.connection, estate_id, row, now.world_s):
            return
        _give_back(unit, estate_id, meter_id, "trip_expired", now)
    elif step in COMMAND_OF_STEP:
        kept.update_supply(unit.connection, estate_id, meter_id, command=COMMAND_OF_STEP[step])


def record_status(unit: Unit, estate_id: str, rows: Sequence[StatusRead], now: "Now") -> None:
    """Take status words in: the only place that says what a relay does and that a wish is fulfilled."""
    newest = {item.meter_id: item for item in sorted(rows, key=lambda one: one.ms)}
    known = kept.supply_states(unit.connection, estate_id, list(newest))
    fresh = [item for item in newest.values() if not _is_outrun(item, known.get(item.meter_id))]
    save_status(unit.connection, estate_id, fresh)
    note_contact(unit.connection, estate_id, {item.meter_id: (item.at, item.ms) for item in fresh})
    changed = [item for item in fresh if item.meter_id in known and not _is_unchanged(item, known[item.meter_id])]
    told = {item.meter_id for item in changed}
    kept.save_relays(
        unit.connection,
        estate_id,
        [(item.meter_id, item.at, item.ms) for item in fresh if item.meter_id in known and item.meter_id not in told],
    )
    for item in fresh:
        unit.announce("meter", item.meter_id)
    for item in changed:
        row = kept.get_supply(unit.connection, estate_id, item.meter_id)
        if row is not None:
            _believe(unit, estate_id, item, row, now)
    wanted = keeps.states(unit.connection, estate_id, list(newest))
    for item in fresh:
        if item.meter_id in wanted:
            keep_power.believe(unit, estate_id, item, wanted[item.meter_id], now)


def _is_outrun(item: StatusRead, known: kept.SupplyState | None) -> bool:
    """Whether the relay is known from a later word."""
    return known is not None and known.relay_ms is not None and _is_before(item.ms, known.relay_ms)


def _is_unchanged(item: StatusRead, known: kept.SupplyState) -> bool:
    """Whether the word only says again what is known, and what is wanted: nothing follows but its time."""
    if known.command not in SETTLED or relay_of(item.status3) != known.relay:
        return False
    if known.desired == "closed":
        return known.cause == "none" and not item.status3 & (RELAY_OPEN | COMMAND_OPEN)
    return bool(item.status3 & RELAY_OPEN)


def _is_before(ms: int, other_ms: int) -> bool:
    """Whether one machine time lies before another. After the clock was set back by far, nothing does: what is read
    then is new, and must not be disbelieved until the clock has caught up."""
    return 0 < other_ms - ms <= DISORDER_MAX_MS


def relay_of(status3: int) -> str:
    """What status word 3 says of the relay: closed, permitted (open, but the button closes it) or open."""
    if not status3 & RELAY_OPEN:
        return "closed"
    return "open" if status3 & COMMAND_OPEN else "permitted"


def _believe(unit: Unit, estate_id: str, item: StatusRead, known: RowMapping, now: "Now") -> None:
    relay = relay_of(item.status3)
    changes: dict[str, object] = {"relay": relay, "relay_at": item.at, "relay_ms": item.ms}
    waiting = known["command"] not in SETTLED
    wish = kept.get_wish(unit.connection, estate_id, item.meter_id, known["gen"]) if waiting else None
    after = wish is not None and not _is_before(item.ms, wish["created_ms"])
    fulfilled = wish is not None and after and _is_fulfilled(wish, item.status3)
    if _opens(known["relay"], relay):
        changes["opened_at"] = item.at
    elsewhere = (
        fulfilled and known["desired"] == "open" and not isolation.is_isolated(known)
        and not _is_ours(unit, estate_id, item, known)
    )  # fmt: skip
    if elsewhere:
        fulfilled = False
    if fulfilled:
        changes["command"] = "confirmed"
    if known["desired"] == "closed" and not item.status3 & (RELAY_OPEN | COMMAND_OPEN):
        changes["cause"] = "none"
    kept.update_supply(unit.connection, estate_id, item.meter_id, **changes)
    if relay != known["relay"] or fulfilled:
        _tell(unit, estate_id, item, known, relay, fulfilled=fulfilled, now=now)
    if elsewhere:
        _leave(unit, estate_id, item.meter_id, now)
    if not waiting:
        _react(unit, estate_id, item, known, now)


def _opens(before: str, now: str) -> bool:
    """Whether the contacts were read open anew; a cut of a relay that still waits for its button is a new opening."""
    return (now == "open" and before != "open") or (now == "permitted" and before in ("closed", "unknown"))


def _react(unit: Unit, estate_id: str, item: StatusRead, known: RowMapping, now: "Now") -> None:
    """The relay has moved without a wish: a frame of ours came late, or somebody closed it on site.

    A late cut is taken back; a relay that others opened is left alone. A household that has power again is judged
    and warned anew before it can be cut. Who is isolated stays so in our books: nothing is sent, two people release it.
    """
    if isolation.is_isolated(known):
        return
    if known["desired"] == "closed" and item.status3 & RELAY_OPEN and item.status3 & COMMAND_OPEN:
        if _may_be_late(unit, estate_id, item, known):
            _give_back(unit, estate_id, item.meter_id, "late_trip", now)
    elif known["desired"] == "open" and not item.status3 & (RELAY_OPEN | COMMAND_OPEN):
        _give_back(unit, estate_id, item.meter_id, "closed_on_site", now)


def _may_be_late(unit: Unit, estate_id: str, item: StatusRead, known: RowMapping) -> bool:
    """Whether a frame of any cut of ours may have opened the relay since it was last looked at."""
    sent_at = kept.trip_sent_at(unit.connection, estate_id, item.meter_id)
    last_at = known["relay_at"] if known["relay_at"] is not None else item.at
    return sent_at is not None and sent_at + LATE_S >= last_at


def _is_ours(unit: Unit, estate_id: str, item: StatusRead, known: RowMapping) -> bool:
    """Whether a relay that is to be opened and was found open may have been opened by a frame of ours."""
    own = kept.trip_sent_at(unit.connection, estate_id, item.meter_id, known["gen"])
    return own is not None or _may_be_late(unit, estate_id, item, known)


def _leave(unit: Unit, estate_id: str, meter_id: str, now: "Now") -> None:
    """Somebody else has opened the relay before our frame had leave to go: that is no cut of ours, so nothing that
    comes later, a payment least of all, may close it again."""
    site = get_estate(unit.connection, estate_id)
    bus_id = get_meter(unit.connection, estate_id, meter_id).bus_id
    gen = want_closed(unit, estate_id, site, meter_id, bus_id, "opened_elsewhere", "system", now)
    _send_nothing(unit, estate_id, meter_id, gen, now)


def _send_nothing(unit: Unit, estate_id: str, meter_id: str, gen: int, now: "Now") -> None:
    kept.update_supply(unit.connection, estate_id, meter_id, command="none", cause="none")
    unit.announce("meter", meter_id)
    attempts.add_attempt(
        unit.connection, estate_id, meter_id, gen, "superseded", now.world_s, now.machine_ms,
        "not sent: somebody else has opened the relay",
    )  # fmt: skip


def _give_back(unit: Unit, estate_id: str, meter_id: str, reason: str, now: "Now") -> None:
    site = get_estate(unit.connection, estate_id)
    bus_id = get_meter(unit.connection, estate_id, meter_id).bus_id
    want_closed(unit, estate_id, site, meter_id, bus_id, reason, "system", now)


def _is_fulfilled(wish: RowMapping, status3: int) -> bool:
    """A trip is done when the relay is open; allow-close when the command bit is clear; direct close when both are.

    A hazard's only when no button closes it either.
    """
    action = wish["action"]
    if action == "trip" and wish["reason"] in HAZARDS:
        return relay_of(status3) == "open"
    if action == "trip":
        return bool(status3 & RELAY_OPEN)
    if action == "allow":
        return not status3 & COMMAND_OPEN
    return not status3 & (COMMAND_OPEN | RELAY_OPEN)


def _tell(
    unit: Unit, estate_id: str, item: StatusRead, known: RowMapping, relay: str, *, fulfilled: bool, now: "Now"
) -> None:
    """Stop the pay-to-power clock and tell the household, from what was read back."""
    meter = get_meter(unit.connection, estate_id, item.meter_id)
    if meter.account_id is None:
        return
    if fulfilled and known["desired"] == "open":
        _notice(unit, estate_id, meter, "cut", now, known["cause"])
    if fulfilled and known["desired"] == "closed" and known["relay"] in ("open", "permitted", "unknown"):
        mark_power_permitted(unit.connection, estate_id, meter.account_id, item.ms)
    if relay == "closed" and known["relay"] in ("open", "permitted"):
        mark_power_permitted(unit.connection, estate_id, meter.account_id, item.ms)
        mark_button(unit.connection, estate_id, meter.account_id, item.ms)
        _notice(unit, estate_id, meter, "restored", now)


def _notice(unit: Unit, estate_id: str, meter: MeterRow, kind: str, now: "Now", cause: str = "") -> None:
    account_id = meter.account_id or ""
    row = get_account(unit.connection, estate_id, account_id)
    arguments: dict[str, int | str] = {
        "balance_fen": row["balance_fen"],
        "room": meter.room_id or "",
        "at": now.world_s,
        "pay_fen": notices.suggested_fen(row["balance_fen"], row["close_allowed_fen"]),
    }
    if cause in HAZARDS:
        del arguments["pay_fen"]  # no payment helps
        arguments["cause"] = cause
    notices.enqueue(unit, estate_id, account_id, kind, arguments, now)
