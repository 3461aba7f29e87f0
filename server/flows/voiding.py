"""A reading that counted, and perhaps was charged, is taken back: counter-posted, and its neighbours charged instead.

One unit: the reading's verdict, a batch of kind void whose lines mirror the charges that went by it, the cursor, and
an ordinary charge batch up to the readings that are left. Nothing is rewritten, so `verify` follows the whole way.
What is more than one person may do waits for a second one, who approves exactly these lines.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, time, timedelta
from hashlib import sha256
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from sqlalchemy import Connection, RowMapping

from core.reading import Verdict
from server.domain.billing import AccountState, Charging, Due, TierState
from server.domain.ledger import REVENUE, Line, payload_sha256
from server.domain.registers import Registers, rates_from, rates_text
from server.domain.tariff_calendar import TariffCalendar
from server.domain.voiding import (
    ALONE_MAX_FEN,
    VOID,
    BackTo,
    CannotVoid,
    back_to,
    back_to_idle,
    lines_to_void,
    mirror,
    standing,
    stops,
)
from server.errors import Conflict, NotFound, Refused
from server.flows.billing import Charges, book_charges, calendars_of, plan_due
from server.flows.ledger import apply_balances, level_of
from server.flows.notices import on_crossings
from server.flows.supply import on_balances
from server.store import acceptance as readings
from server.store import audit
from server.store import ledger as journal
from server.store import voiding as kept
from server.store.archive import meter_standing
from server.store.billing import advance_cursors
from server.store.bulk import Bundle
from server.store.estates import get_account, get_estate
from server.store.household import cursor as cursor_of
from server.store.meters import MeterRow, get_meter
from server.store.readings import ACCEPTED, KNOWN, live_states, rates_of, save_live
from server.store.rerating import with_status
from server.store.tariffs import load_tariffs
from server.store.unit import Unit

if TYPE_CHECKING:
    from server.clock import Now


ELSEWHERE = "the meter was charged by somebody else at the same time; nothing was booked, try again"


@dataclass(frozen=True, slots=True)
class Plan:
    """What taking a reading back does: the charges that go, newest first, and where the cursor goes back to.

    It stood at `stood_at`.
    """

    row: RowMapping
    meter: MeterRow
    taken: tuple[Line, ...]
    back: BackTo | None
    stood_at: int = 0

    @property
    def moved_fen(self) -> int:
        """What is counter-posted, before it is charged again."""
        return sum(-line.amount_fen for line in self.taken)

    @property
    def needs_second(self) -> bool:
        """Whether it is more than one person may do."""
        return self.moved_fen > ALONE_MAX_FEN

    def as_json(self) -> dict[str, Any]:
        """For the second person: the reading, and exactly the lines that go."""
        lines = "\n".join(f"{line.account_version} {line.amount_fen}" for line in self.taken)
        return {
            "meter": self.row["meter_id"], "room": self.meter.room_id or "", "read_at": self.row["read_at"],
            "total_wh": self.row["total_wh"], "lines": len(self.taken), "moved_fen": self.moved_fen,
            "lines_sha256": sha256(lines.encode()).hexdigest(),
        }  # fmt: skip


def plan_of(
    connection: Connection, estate_id: str, meter_id: str, read_at: int, *, charged_to: str | None = None
) -> Plan:
    """What would be done; NotFound, Conflict for a reading that does not count, Refused for one that cannot go.

    `charged_to`: as if the meter fed this household, which has left it.
    """
    row = readings.get_reading(connection, estate_id, meter_id, read_at)
    if row is None:
        raise NotFound(f"there is no reading of meter {meter_id!r} at {read_at} in this estate")
    if row["verdict"] not in KNOWN:
        raise Conflict(f"this reading does not count; it is {row['verdict']}")
    meter = get_meter(connection, estate_id, meter_id)
    if charged_to is not None:
        meter = replace(meter, account_id=charged_to)
    if row["install_no"] != meter.install_no or kept.ends_an_installation(connection, estate_id, meter_id, read_at):
        raise Refused("an exchange goes by this reading; it cannot be taken back")
    stood = meter_standing(connection, estate_id, meter_id, meter.install_no)
    if stood is not None and read_at <= stood.read_at:
        raise Refused("what was charged by this reading is archived; it cannot be taken back")
    if meter.account_id is None and _was_charged(connection, estate_id, meter_id, read_at):
        raise Refused("who was charged by this reading has moved out; correct the account by hand instead")
    if meter.account_id is None or row["verdict"] not in ACCEPTED:
        return Plan(row, meter, (), None)
    charges = standing(kept.meter_lines(connection, estate_id, meter.account_id, meter_id, meter.install_no))
    others = kept.counted_from(connection, estate_id, meter_id, meter.installed_at)
    true_at = (others.keys() | {meter.installed_at}) - {read_at}
    try:
        stood_at = _stood_at(connection, estate_id, meter_id)
        stands = stood_at == read_at
        taken = lines_to_void(charges, read_at, true_at, stands=stands)
        _not_rerated(connection, estate_id, taken)
        back = _back_to(connection, estate_id, meter, taken, others) if taken else None
        if stands and not taken:
            before = [one for at, one in others.items() if at < read_at]
            back = _back_idle(connection, estate_id, meter, before, charges[0] if charges else None)
    except CannotVoid as error:
        raise Refused(str(error)) from error
    return Plan(row, meter, tuple(taken), back, stood_at)


def _was_charged(connection: Connection, estate_id: str, meter_id: str, read_at: int) -> bool:
    """Whether a meter that feeds nobody was charged as far as this reading, to whom it fed."""
    cursor = cursor_of(connection, estate_id, meter_id)
    return cursor is not None and read_at <= cursor["read_at"]


def _not_rerated(connection: Connection, estate_id: str, taken: Sequence[Line]) -> None:
    """CannotVoid where corrections were posted for one of these charges: they would stay for energy that has gone."""
    for one in with_status(connection, estate_id, "running", "done"):
        own = (line for line in taken if line.tariff_id == one.tariff_id)
        if any((line.event_to or 0) > one.from_at and (line.event_from or 0) < one.until_at for line in own):
            raise CannotVoid("it was charged again by corrections since; correct the bill by hand instead")


def _stood_at(connection: Connection, estate_id: str, meter_id: str) -> int:
    """Where the cursor of a meter stands; 0 where it has none."""
    cursor = cursor_of(connection, estate_id, meter_id)
    return 0 if cursor is None else int(cursor["read_at"])


def _back_idle(
    connection: Connection, estate_id: str, meter: MeterRow, before: Sequence[Registers], newest: Line | None
) -> BackTo:
    """Where the cursor stood while nothing was used: at the last of the true readings `before`, or at the start."""
    cursor = cursor_of(connection, estate_id, meter.meter_id)
    tariff_id = get_account(connection, estate_id, meter.account_id or "")["tariff_id"]
    calendars = {key: TariffCalendar(value) for key, value in load_tariffs(connection, estate_id).items()}
    if cursor is None or tariff_id not in calendars:
        raise CannotVoid("the meter has no cursor or its household no tariff")
    starts = rates_of([getattr(meter, f"start_rate{number}_wh") for number in range(1, 5)])
    at = before[-1] if before else Registers(meter.installed_at, meter.start_wh, starts)
    if at.total_wh != cursor["total_wh"]:
        raise CannotVoid("the charges before it reach back too far; correct the bill by hand instead")
    now = TierState(
        cursor["tier_period_start"], cursor["tier_period_wh"], cursor["order_start"],
        rates_from(cursor["order_rates_wh"]),
    )  # fmt: skip
    return back_to_idle(at, now, newest, calendars[tariff_id], meter.ratio, is_first=meter.install_no == 1)


def _back_to(
    connection: Connection, estate_id: str, meter: MeterRow, taken: Sequence[Line], others: Mapping[int, Registers]
) -> BackTo:
    cursor = cursor_of(connection, estate_id, meter.meter_id)
    if cursor is None:
        raise CannotVoid("the meter has no cursor")
    now = TierState(
        cursor["tier_period_start"], cursor["tier_period_wh"], cursor["order_start"],
        rates_from(cursor["order_rates_wh"]),
    )  # fmt: skip
    begun = others.get(taken[-1].event_from or 0)
    calendars = {key: TariffCalendar(value) for key, value in load_tariffs(connection, estate_id).items()}
    starts = rates_of([getattr(meter, f"start_rate{number}_wh") for number in range(1, 5)])
    return back_to(taken, now, starts if begun is None else begun.rates_wh, calendars, meter.ratio)


def take_back(
    unit: Unit, estate_id: str, meter_id: str, read_at: int, *, actor: str, reason: str, now: "Now",
    approved: Mapping[str, Any] | None = None,
) -> int:  # fmt: skip
    """Take a reading back; the fen that its household has more after it is charged again.

    `approved` is what a second person agreed to; Refused when one is needed and missing, Conflict when the lines have
    changed since. Errors of `plan_of` besides.
    """
    if not reason.strip():
        raise Refused("say why: the reason is kept with the reading")
    plan = plan_of(unit.connection, estate_id, meter_id, read_at)
    if approved is None and plan.needs_second:
        raise Refused(f"{plan.moved_fen} fen would be counter-posted; more than {ALONE_MAX_FEN} take a second person")
    if approved is not None and plan.as_json() != {name: approved[name] for name in plan.as_json()}:
        raise Conflict("the charges have changed since this was asked; ask again")
    verdict = Verdict.REVOKED if plan.taken else Verdict.VOIDED
    readings.change_verdict(unit.connection, plan.row, verdict.value, actor=actor, reason=reason.strip(), now=now)
    _set_live_back(unit.connection, estate_id, plan)
    before_fen = after_fen = 0
    if plan.back is not None:
        account_id = plan.meter.account_id or ""
        before_fen = get_account(unit.connection, estate_id, account_id)["balance_fen"]
        if plan.taken:
            _counter_post(unit, estate_id, plan, actor, reason.strip(), now)
        _set_cursor_back(unit.connection, estate_id, plan.meter.meter_id, plan.back)
        _charge_again(unit, estate_id, plan, plan.back, now)
        on_balances(unit, estate_id, [account_id], now)
        after_fen = get_account(unit.connection, estate_id, account_id)["balance_fen"]
        unit.announce("balance", account_id)
    detail = f"{plan.row['total_wh']} Wh of {read_at}, {len(plan.taken)} lines, {after_fen - before_fen} fen: {reason}"
    audit.record(unit.connection, estate_id, actor, "reading.revoked", meter_id, now, detail.strip())
    unit.announce("meter", meter_id)
    return int(after_fen - before_fen)


def _counter_post(unit: Unit, estate_id: str, plan: Plan, actor: str, reason: str, now: "Now") -> None:
    """The mirror of every charge that goes, against revenue."""
    connection, account_id = unit.connection, plan.meter.account_id or ""
    rows = journal.accounts_by_id(connection, estate_id, [account_id, REVENUE])
    own, revenue = rows[account_id], rows[REVENUE]
    lines: list[Line] = []
    balance_fen, residue_nf, version = own["balance_fen"], own["residue_nf"], own["version"]
    for number, one in enumerate(plan.taken, 1):
        lines.append(mirror(one, number, balance_fen, residue_nf, version))
        balance_fen, residue_nf = lines[-1].balance_after_fen, lines[-1].residue_after_nf
        version = lines[-1].account_version
    fen = -sum(line.amount_fen for line in lines)
    lines.append(Line(len(lines) + 1, REVENUE, fen, revenue["balance_fen"] + fen, revenue["version"] + 1))
    cursor = cursor_of(connection, estate_id, plan.meter.meter_id)
    seq = 0 if cursor is None else cursor["seq"]
    key = f"{VOID}:{plan.meter.meter_id}:{plan.row['read_at']}:{seq}"
    payload = payload_sha256(VOID, *((line.account_id, line.amount_fen) for line in lines))
    turnover_fen = sum(abs(line.amount_fen) for line in lines) // 2
    header = (
        journal.next_batch_seq(connection, estate_id), VOID, now.world_s, now.machine_ms, key, payload, len(lines),
        turnover_fen, actor, reason[:500],
    )  # fmt: skip
    bundle = Bundle()
    journal.append(bundle, estate_id, [(header, lines)])
    versions = {name: row["version"] for name, row in rows.items()}
    levels = {account_id: min(own["level"], level_of(own, balance_fen)), REVENUE: 0}
    apply_balances(bundle, estate_id, lines[-2:], versions, levels)
    bundle.send(connection)


def _set_cursor_back(connection: Connection, estate_id: str, meter_id: str, back: BackTo) -> None:
    cursor = cursor_of(connection, estate_id, meter_id)
    rates, seq = back.rates_wh or (None,) * 4, 0 if cursor is None else cursor["seq"]
    if not kept.set_back_cursor(
        connection, estate_id, meter_id, seq, read_at=back.at, total_wh=back.total_wh,
        **{f"rate{number}_wh": value for number, value in enumerate(rates, 1)},
        tier_period_start=back.tier.period_start, tier_period_wh=back.tier.wh, order_start=back.tier.order_start,
        order_rates_wh=rates_text(back.tier.rates_wh),
    ):  # fmt: skip
        raise Conflict(ELSEWHERE)


def _charge_again(unit: Unit, estate_id: str, plan: Plan, back: BackTo, now: "Now") -> None:
    """From where the cursor stands to each true reading at which it had stood before, with a charge or without one."""
    connection, meter = unit.connection, plan.meter
    others = kept.counted_from(connection, estate_id, meter.meter_id, back.at)
    points = sorted(stops(plan.taken, plan.stood_at) & others.keys() - {back.at})
    if not points:
        return  # the next reading is charged from here
    account = get_account(connection, estate_id, meter.account_id or "")
    cursor = cursor_of(connection, estate_id, meter.meter_id)
    tier, start = back.tier, Registers(back.at, back.total_wh, back.rates_wh)
    dues: list[Due] = []
    for at in points:
        end = others[at]
        dues.append(
            Due(
                meter.meter_id, meter.account_id or "", plan.taken[0].tariff_id or "", meter.install_no,
                0 if cursor is None else cursor["seq"], meter.ratio, start, end, tier.period_start, tier.wh,
                tier.order_start, tier.rates_wh,
            )
        )  # fmt: skip
        start = end
    steps, held = plan_due(connection, estate_id, dues, calendars_of(connection, estate_id))
    if held:
        raise Refused("the readings around it do not tell what to charge instead; exchange the meter")
    names = ("account_id", "balance_fen", "residue_nf", "version", "level")
    limits = ("alarm1_fen", "alarm2_fen", "overdraft_fen", "close_allowed_fen")
    state = AccountState(*(account[name] for name in (*names, *limits)))
    versions, level = {state.account_id: state.version}, state.level
    charging = Charging({state.account_id: state})
    charging.run(steps)
    bundle = Bundle()
    advance_cursors(bundle, estate_id, [dues[-1]], charging.tiers, otherwise=Conflict(ELSEWHERE))
    if charging.lines:
        book_charges(unit, bundle, estate_id, Charges.by_objects(charging, dues, versions), now)
    bundle.send(connection)
    if state.level > level:
        on_crossings(unit, estate_id, tuple(charging.crossings.values()), now)


def _set_live_back(connection: Connection, estate_id: str, plan: Plan) -> None:
    """The live registers and the registers of the day go by the readings that are left."""
    meter_id, read_at = plan.meter.meter_id, plan.row["read_at"]
    states = live_states(connection, estate_id, [meter_id])
    state = states[meter_id]
    last = kept.last_two(connection, estate_id, meter_id, plan.meter.install_no)
    newest, before = (last[0] if last else None), (last[1] if len(last) > 1 else None)
    state.received_ms = None if newest is None else newest["received_ms"]
    if newest is not None:
        state.total_wh, state.at = newest["total_wh"], newest["read_at"]
    state.previous_wh = None if before is None else before["total_wh"]
    state.previous_ms = None if before is None else before["received_ms"]
    state.changed = True
    save_live(connection, estate_id, states)
    zone = ZoneInfo(get_estate(connection, estate_id)["time_zone"])
    local = datetime.fromtimestamp(read_at, zone)
    days = {local.date()} | ({local.date() - timedelta(days=1)} if local.time() == time.min else set())
    for day in days:
        begun = datetime.combine(day, time.min, zone)
        ended = datetime.combine(day + timedelta(days=1), time.min, zone)
        kept.rebuild_day(
            connection, estate_id, meter_id, day.isoformat(), int(begun.timestamp()), int(ended.timestamp()),
            plan.row["total_wh"],
        )  # fmt: skip
