"""Taking readings in: each is kept raw with its verdict; only accepted ones move the meter's live registers.

A whole batch of a poller is one unit. The same batch again changes nothing: a reading that is kept already is a
duplicate. One that comes after its time fills a gap where it lies between its neighbours. Charging happens elsewhere,
from the live registers.
"""

from collections import Counter
from collections.abc import Sequence
from datetime import datetime, time, timedelta
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from sqlalchemy import Connection

from core.plausibility import rates_agree, spike_limit_wh, usual_after
from core.reading import Judged, Verdict, is_accepted, judge, judge_between, plausible_wh, worst
from core.units import REGISTER_MODULUS_WH
from server.domain.readings import ANSWERED_NOW, ContactFailure, MeterReading, MeterVariables
from server.errors import NotFound
from server.flows.clock_steps import explained
from server.store import readings as kept
from server.store.estates import get_estate
from server.store.readings import LiveState
from server.store.unit import Unit

if TYPE_CHECKING:
    from server.clock import Now

Days = dict[tuple[str, str], tuple[int, int, int]]
AWAITING = (Verdict.JUMP, Verdict.SPIKE)
LEARNING_S = 7 * 86400  # so long a meter's habits are learned before a step can be above them


def record(unit: Unit, estate_id: str, readings: Sequence[MeterReading], now: "Now") -> list[Verdict]:
    """Judge and keep readings, in the given order; the verdict of each.

    NotFound when a meter is not installed in this estate (nothing of the batch is kept then).
    """
    taking = _Taking(unit.connection, estate_id, readings)
    verdicts = [taking.take(item) for item in readings]
    taking.save()
    for meter_id in taking.contacts:
        unit.announce("meter", meter_id)
    return verdicts


class _Taking:
    """One batch on its way into the store."""

    def __init__(self, connection: Connection, estate_id: str, readings: Sequence[MeterReading]) -> None:
        self.connection, self.estate_id = connection, estate_id
        self.zone = ZoneInfo(get_estate(connection, estate_id)["time_zone"])
        self.states = kept.live_states(connection, estate_id, list({item.meter_id for item in readings}))
        self.known = kept.stored(connection, estate_id, [(item.read_at, item.meter_id) for item in readings])
        self.fresh: list[tuple[MeterReading, int, Verdict, str]] = []
        self.contacts: dict[str, tuple[int, int]] = {}
        self.days: Days = {}

    def take(self, item: MeterReading) -> Verdict:
        """Judge one reading and keep what follows from it."""
        state = self.states.get(item.meter_id)
        if state is None:
            raise NotFound(f"meter {item.meter_id!r} is not installed in this estate")
        contact = (item.read_at, item.received_ms) if item.source in ANSWERED_NOW else (0, 0)
        self.contacts[item.meter_id] = max(self.contacts.get(item.meter_id, contact), contact)
        if self.known.get((item.read_at, item.meter_id)) == item.total_wh:
            self._complete(state, item)
            return Verdict.DUPLICATE
        judged = judge_reading(state, item)
        if judged.verdict is Verdict.LATE:
            judged = self._judge_late(state, item)
        elif judged.verdict is Verdict.JUMP and item.source in ANSWERED_NOW:
            self._keep()
            judged = explained(self.connection, self.estate_id, state, item, follow) or judged
        self.known[item.read_at, item.meter_id] = item.total_wh
        self.fresh.append((item, state.install_no, judged.verdict, judged.reason))
        if is_accepted(judged.verdict):
            count_day(self.days, item, state, self.zone)
            advance(state, item, judged.step_wh)
        elif judged.verdict is Verdict.FILLED:
            self._fill_day(item)
        elif judged.verdict in AWAITING and (state.pending_wh is None or item.total_wh < state.pending_wh):
            state.pending_wh, state.pending_at, state.changed = item.total_wh, item.read_at, True
        return judged.verdict

    def _complete(self, state: LiveState, item: MeterReading) -> None:
        """A total of that instant is kept, and now its rates come, as by the freeze of a midnight: it gets them.

        Only while nothing was charged by the total alone; a meter that waits for these rates goes on then.
        """
        if item.rates_wh is None:
            return
        self._keep()
        if kept.add_rates(self.connection, self.estate_id, item) and state.at == item.read_at:
            state.rates_wh = item.rates_wh

    def _judge_late(self, state: LiveState, item: MeterReading) -> Judged:
        """By its neighbours; those of this batch have to be in the store for that."""
        self._keep()
        since = state.installed_at
        before, after = kept.neighbours(self.connection, self.estate_id, item.meter_id, item.read_at, since=since)
        if item.read_at <= since or after is None or (item.read_at, item.meter_id) in self.known:
            return Judged(Verdict.LATE, 0, state.total_wh, "late, with nothing to compare it with")
        return judge_between(state.start_wh if before is None else before[1], after[1], item.total_wh)

    def _fill_day(self, item: MeterReading) -> None:
        """A filled register ends the day before, if it was taken at midnight, and else belongs to its own."""
        self._keep()
        kept.save_days(self.connection, self.estate_id, _days_of(item, self.zone), source=item.source)

    def _keep(self) -> None:
        kept.insert_readings(self.connection, self.estate_id, self.fresh)
        kept.save_days(self.connection, self.estate_id, self.days)
        self.fresh, self.days = [], {}

    def save(self) -> None:
        """Write everything that is not written yet."""
        self._keep()
        kept.save_live(self.connection, self.estate_id, self.states)
        heard = {meter_id: contact for meter_id, contact in self.contacts.items() if contact[1]}
        kept.note_contact(self.connection, self.estate_id, heard)


def judge_reading(state: LiveState, item: MeterReading) -> Judged:
    """The verdict of a meter: that of its total, or of the rate register that is worse, or of all together."""
    total = judge(state.total_wh, state.at, item.total_wh, item.read_at, max_power_w=state.max_power_w)
    if not is_accepted(total.verdict):
        return total
    if state.rates_wh is not None and item.rates_wh is not None:
        by_rate = [
            judge(before, state.at, after, item.read_at, max_power_w=state.max_power_w)
            for before, after in zip(state.rates_wh, item.rates_wh, strict=True)
        ]
        verdict = worst([total.verdict, *(one.verdict for one in by_rate)])
        if not is_accepted(verdict):
            rate, found = next((rate, one) for rate, one in enumerate(by_rate, 1) if one.verdict == verdict)
            return Judged(verdict, 0, state.total_wh, f"rate {rate}: {found.reason}")
        steps_wh = [one.step_wh for one in by_rate]
        if not rates_agree(total.step_wh, steps_wh):
            said = f"the rates moved by {sum(steps_wh)} Wh, the total by {total.step_wh} Wh"
            return Judged(Verdict.SUM_DIFFERS, 0, state.total_wh, said)
    return _by_history(state, item, total)


def follow(state: LiveState, item: MeterReading) -> bool:
    """Judge a reading after `state` and move it there; False, and not moved, where it is not accepted."""
    judged = judge_reading(state, item)
    if is_accepted(judged.verdict):
        advance(state, item, judged.step_wh)
    return is_accepted(judged.verdict)


def _by_history(state: LiveState, item: MeterReading, total: Judged) -> Judged:
    """A step that only time made plausible, or that is far above what this meter does, must be confirmed."""
    if state.pending_wh is not None and state.pending_at is not None and item.total_wh >= state.pending_wh:
        seconds = max(1, state.pending_at - state.at)
        step_wh = (state.pending_wh - state.total_wh) % REGISTER_MODULUS_WH
        if step_wh > plausible_wh(seconds, state.max_power_w):
            reason = f"still {step_wh} Wh within {seconds} s; a person has to release it"
            return Judged(Verdict.JUMP, 0, state.total_wh, reason)
        return total
    if state.usual_w is None or state.usual_from is None or item.read_at - state.usual_from < LEARNING_S:
        return total
    limit_wh = spike_limit_wh(state.usual_w, item.read_at - state.at)
    if total.step_wh <= limit_wh:
        return total
    reason = f"{total.step_wh} Wh forward, usual are at most {limit_wh} Wh; waits for the next reading"
    return Judged(Verdict.SPIKE, 0, state.total_wh, reason)


def advance(state: LiveState, item: MeterReading, step_wh: int) -> None:
    """Move the live registers to a reading that counts; nothing is pending after it."""
    state.usual_from = state.at if state.usual_from is None else state.usual_from
    state.usual_w = usual_after(state.usual_w, step_wh, item.read_at - state.at)
    state.previous_wh, state.previous_ms = (state.total_wh, state.received_ms) if state.received_ms else (None, None)
    state.total_wh, state.at, state.received_ms = item.total_wh, item.read_at, item.received_ms
    state.rates_wh, state.changed = item.rates_wh, True
    state.pending_wh = state.pending_at = None


def count_day(days: Days, item: MeterReading, state: LiveState, zone: ZoneInfo) -> None:
    """A day starts from the register before it when that was read on the same day, else from its first reading."""
    before = datetime.fromtimestamp(state.at, zone).date().isoformat()
    for (meter_id, day), (first_wh, total_wh, read_at) in _days_of(item, zone).items():
        known = days.get((meter_id, day))
        start_wh = state.total_wh if before == day else first_wh
        days[meter_id, day] = (known[0] if known else start_wh, total_wh, read_at)


def _days_of(item: MeterReading, zone: ZoneInfo) -> Days:
    """The local day that a register belongs to; at midnight it ends the day before as well."""
    at = datetime.fromtimestamp(item.read_at, zone)
    own = (item.total_wh, item.total_wh, item.read_at)
    days = {(item.meter_id, at.date().isoformat()): own}
    if at.time() == time.min:
        days = {(item.meter_id, (at.date() - timedelta(days=1)).isoformat()): own, **days}
    return days


def note_untimed(unit: Unit, estate_id: str, readings: Sequence[MeterReading], now: "Now") -> None:
    """Meters that answered while our clock is in doubt: a register without a time moves nothing and is not kept."""
    contacts = {item.meter_id: (now.world_s, now.machine_ms) for item in readings if item.source in ANSWERED_NOW}
    kept.note_contact(unit.connection, estate_id, contacts)
    for meter_id in contacts:
        unit.announce("meter", meter_id)


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
