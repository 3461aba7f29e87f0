"""What a person decides about a held reading: it counts (release), or it never will (void).

A reading that counts already is taken back by `flows.voiding`, since charges may have gone by it.

Both need a reason and are kept beside the reading, with the verdict before. Money follows by itself: a released
reading moves the live registers, and the next charge goes up to it. A register that stands below the accepted one
cannot be released, since nobody used negative energy: an exchange of the meter is what to record then.
"""

from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from sqlalchemy import Connection, RowMapping

from core.reading import HELD, Verdict, judge_between
from server.domain.billing import MAX_DELTA_WH
from server.domain.readings import MeterReading, Rates
from server.domain.registers import may_release, step_wh
from server.errors import Conflict, NotFound, Refused
from server.flows.readings import advance, count_day
from server.store import acceptance as kept
from server.store import audit
from server.store.estates import get_estate
from server.store.readings import LiveState, live_states, neighbours, rates_of, save_days, save_live
from server.store.unit import Unit

if TYPE_CHECKING:
    from server.clock import Now


def release(unit: Unit, estate_id: str, meter_id: str, read_at: int, *, actor: str, reason: str, now: "Now") -> Verdict:
    """Let a held reading count; RELEASED, or FILLED where a later one was accepted meanwhile.

    NotFound, Conflict when it is not held, Refused without a reason or for a register that ran backwards.
    """
    row = _held(unit.connection, estate_id, meter_id, read_at, reason)
    state = live_states(unit.connection, estate_id, [meter_id])[meter_id]
    if row["install_no"] != state.install_no:
        raise Conflict("the meter has been exchanged since; this reading belongs to what was before")
    if read_at <= state.at:
        verdict = _between(unit.connection, estate_id, row, state)
    else:
        verdict = Verdict.RELEASED
        _advance(unit.connection, estate_id, row, state)
    kept.change_verdict(unit.connection, row, verdict.value, actor=actor, reason=reason.strip(), now=now)
    _note(unit, row, "release", actor, reason, now)
    return verdict


def void(unit: Unit, estate_id: str, meter_id: str, read_at: int, *, actor: str, reason: str, now: "Now") -> None:
    """Say that a held reading never counts; NotFound, Conflict when it is not held, Refused without a reason."""
    row = _held(unit.connection, estate_id, meter_id, read_at, reason)
    states = live_states(unit.connection, estate_id, [meter_id])
    state = states[meter_id]
    if state.pending_at == read_at:
        state.pending_wh, state.pending_at, state.changed = None, None, True
        save_live(unit.connection, estate_id, states)
    kept.change_verdict(unit.connection, row, Verdict.VOIDED.value, actor=actor, reason=reason.strip(), now=now)
    _note(unit, row, "void", actor, reason, now)


def _held(connection: Connection, estate_id: str, meter_id: str, read_at: int, reason: str) -> RowMapping:
    if not reason.strip():
        raise Refused("say why: the reason is kept with the reading")
    row = kept.get_reading(connection, estate_id, meter_id, read_at)
    if row is None:
        raise NotFound(f"there is no reading of meter {meter_id!r} at {read_at} in this estate")
    if row["verdict"] not in {verdict.value for verdict in HELD}:
        raise Conflict(f"this reading is not held; it is {row['verdict']}")
    return row


def _between(connection: Connection, estate_id: str, row: RowMapping, state: LiveState) -> Verdict:
    """A reading that others have overtaken may still be true, but only between them."""
    before, after = neighbours(connection, estate_id, row["meter_id"], row["read_at"], since=state.installed_at)
    before_wh = state.start_wh if before is None else before[1]
    judged = judge_between(before_wh, after[1] if after else state.total_wh, row["total_wh"])
    if judged.verdict is not Verdict.FILLED:
        raise Refused(f"readings before and after it are accepted, and it does not lie between them: {judged.reason}")
    return judged.verdict


def _advance(connection: Connection, estate_id: str, row: RowMapping, state: LiveState) -> None:
    item = _reading_of(row)
    moved_wh = step_wh(state.total_wh, item.total_wh)
    steps = [moved_wh]
    if state.rates_wh is not None and item.rates_wh is not None:
        steps += [step_wh(before, after) for before, after in zip(state.rates_wh, item.rates_wh, strict=True)]
    if max(steps) > MAX_DELTA_WH or not may_release(state.total_wh, item.total_wh):
        raise Refused(
            f"{item.total_wh} Wh or a rate of it is below the accepted register ({state.total_wh} Wh): it cannot be "
            "charged; record the exchange of the meter with its final and its new register instead"
        )
    days: dict[tuple[str, str], tuple[int, int, int]] = {}
    count_day(days, item, state, ZoneInfo(get_estate(connection, estate_id)["time_zone"]))
    advance(state, item, moved_wh)
    save_live(connection, estate_id, {item.meter_id: state})
    save_days(connection, estate_id, days)


def _reading_of(row: RowMapping) -> MeterReading:
    rates: Rates | None = rates_of([row[f"rate{number}_wh"] for number in range(1, 5)])
    return MeterReading(row["meter_id"], row["read_at"], row["received_ms"], row["total_wh"], rates)


def _note(unit: Unit, row: RowMapping, verb: str, actor: str, reason: str, now: "Now") -> None:
    detail = f"{row['total_wh']} Wh of {row['read_at']}, {row['verdict']}: {reason.strip()}"
    audit.record(unit.connection, row["estate_id"], actor, f"reading.{verb}", row["meter_id"], now, detail)
    unit.announce("meter", row["meter_id"])
