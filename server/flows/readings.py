"""Taking readings in: each is kept raw with its verdict; only accepted ones move the meter's live registers.

A whole batch of a poller is one unit. The same batch again changes nothing: a reading that is kept already is a
duplicate. Charging happens elsewhere, from the live registers.
"""

from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from core.reading import Judged, Verdict, is_accepted, judge, worst
from server.domain.readings import ContactFailure, MeterReading, MeterVariables
from server.errors import NotFound
from server.store import readings as kept
from server.store.estates import get_estate
from server.store.readings import LiveState
from server.store.unit import Unit

if TYPE_CHECKING:
    from server.clock import Now

Days = dict[tuple[str, str], tuple[int, int, int]]


def record(unit: Unit, estate_id: str, readings: Sequence[MeterReading], now: "Now") -> list[Verdict]:
    """Judge and keep readings, in the given order; the verdict of each.

    NotFound when a meter is not installed in this estate (nothing of the batch is kept then).
    """
    connection = unit.connection
    zone = ZoneInfo(get_estate(connection, estate_id)["time_zone"])
    states = kept.live_states(connection, estate_id, list({item.meter_id for item in readings}))
    known = kept.stored(connection, estate_id, [(item.read_at, item.meter_id) for item in readings])
    verdicts: list[Verdict] = []
    fresh: list[tuple[MeterReading, int, Verdict, str]] = []
    contacts: dict[str, tuple[int, int]] = {}
    days: Days = {}
    for item in readings:
        state = states.get(item.meter_id)
        if state is None:
            raise NotFound(f"meter {item.meter_id!r} is not installed in this estate")
        contacts[item.meter_id] = max(contacts.get(item.meter_id, (0, 0)), (item.read_at, item.received_ms))
        if known.get((item.read_at, item.meter_id)) == item.total_wh:
            verdicts.append(Verdict.DUPLICATE)
            continue
        judged = judge_reading(state, item)
        verdicts.append(judged.verdict)
        known[item.read_at, item.meter_id] = item.total_wh
        fresh.append((item, state.install_no, judged.verdict, judged.reason))
        if is_accepted(judged.verdict):
            _count_day(days, item, state, zone)
            _advance(state, item)
    kept.insert_readings(connection, estate_id, fresh)
    kept.save_live(connection, estate_id, states)
    kept.note_contact(connection, estate_id, contacts)
    kept.save_days(connection, estate_id, days)
    for meter_id in contacts:
        unit.announce("meter", meter_id)
    return verdicts


def judge_reading(state: LiveState, item: MeterReading) -> Judged:
    """The verdict of a meter: that of its total, or of the rate register that is worse."""
    total = judge(state.total_wh, state.at, item.total_wh, item.read_at, max_power_w=state.max_power_w)
    if state.rates_wh is None or item.rates_wh is None or not is_accepted(total.verdict):
        return total
    by_rate = [
        judge(before, state.at, after, item.read_at, max_power_w=state.max_power_w)
        for before, after in zip(state.rates_wh, item.rates_wh, strict=True)
    ]
    verdict = worst([total.verdict, *(one.verdict for one in by_rate)])
    if is_accepted(verdict):
        return total
    rate, found = next((rate, one) for rate, one in enumerate(by_rate, 1) if one.verdict == verdict)
    return Judged(verdict, 0, state.total_wh, f"rate {rate}: {found.reason}")


def _advance(state: LiveState, item: MeterReading) -> None:
    state.previous_wh, state.previous_ms = (state.total_wh, state.received_ms) if state.received_ms else (None, None)
    state.total_wh, state.at, state.received_ms = item.total_wh, item.read_at, item.received_ms
    state.rates_wh, state.changed = item.rates_wh, True


def _count_day(days: Days, item: MeterReading, state: LiveState, zone: ZoneInfo) -> None:
    """A day starts from the register before it when that was read on the same day, else from its first reading."""
    day = datetime.fromtimestamp(item.read_at, zone).date().isoformat()
    before = datetime.fromtimestamp(state.at, zone).date().isoformat()
    first_wh = state.total_wh if before == day else item.total_wh
    known = days.get((item.meter_id, day))
    days[item.meter_id, day] = (known[0] if known else first_wh, item.total_wh, item.read_at)


def note_variables(unit: Unit, estate_id: str, variables: Sequence[MeterVariables], now: "Now") -> None:
    """Keep the newest voltage, current and power of each meter; they are contact, too."""
    rows = [
        (item.voltage_mv, item.current_ma, item.power_mw, item.at, estate_id, item.meter_id)
        for item in sorted(variables, key=lambda one: one.at)
    ]
    kept.save_variables(unit.connection, list({row[-1]: row for row in rows}.values()))
    contacts = {item.meter_id: (item.at, now.machine_ms) for item in variables}
    kept.note_contact(unit.connection, estate_id, contacts)
    for meter_id in contacts:
        unit.announce("meter", meter_id)


def note_failures(unit: Unit, estate_id: str, failures: Sequence[ContactFailure], now: "Now") -> None:
    """Count items that a meter did not answer; the next answer sets the count back to 0."""
    kept.count_failures(unit.connection, estate_id, Counter(item.meter_id for item in failures))
    for meter_id in {item.meter_id for item in failures}:
        unit.announce("meter", meter_id)
