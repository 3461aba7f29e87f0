"""Which item of which meter is read next: earliest due first, silent meters ever more rarely.

Times are machine seconds of one monotonic clock. Energy comes each cycle, of meters near a threshold more often, status
each cycle or each few. Variables and clocks come each few cycles, freezes once a day within two hours of midnight (each
meter at its own moment of them), and give way to the others; when they are two cycles late, each takes a turn after
every eighth of the others, so that neither starves on a bus that is too full.
A meter that did not answer is left alone for one cycle, then two, four, up to eight, and is then probed with one
attempt, so the dead cost the living little. A relay on its way (status bits that disagree) is watched closely for
a while, in turn with the ordinary items.
"""

import heapq
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from enum import IntEnum
from zlib import crc32

from server.collect.work import Cadence, Clocks, MeterPlan

BACKOFF_CYCLES_MAX = 8
WATCH_INTERVAL_S = 1.5  # between two looks at a relay on its way
WATCH_SLOWDOWN = 0.05  # ... growing to this share of the time already waited
WATCH_MAX_S = 1800.0
PATIENCE_CYCLES = 2  # how long clocks and variables give way when the bus has more to do than it can
FREEZE_AFTER_S = 120  # world seconds: a meter's own midnight may come a little later than ours
FREEZE_SPREAD_S = 7200
TURN_AFTER = 8  # ... and then one of them (three frames) comes after so many of the others (one frame each)


class Item(IntEnum):
    """What is read; the order is the order of the first round."""

    ENERGY = 0
    STATUS = 1
    VARIABLES = 2
    CLOCK = 3
    FREEZE = 4


@dataclass(slots=True)
class _Slot:
    """The schedule of one meter."""

    items: tuple[Item, ...]
    due: dict[Item, float] = field(default_factory=dict)
    failures: int = 0
    blocked_until: float = float("-inf")
    watched_since: float | None = None
    watch_due: float = float("inf")
    energy_reads: int = 0
    clock_known: bool = False
    clock_urgent: bool = False


Entry = tuple[float, Item, str]
ROUND = (Item.ENERGY, Item.STATUS, Item.VARIABLES, Item.CLOCK)


class Schedule:
    """The reading plan of one bus. Not thread-safe."""

    def __init__(self, meters: Sequence[MeterPlan], cadence: Cadence, clocks: Clocks, now: float) -> None:
        self._clocks = clocks
        self._cadence = cadence
        self._cycle_s = clocks.machine_seconds(cadence.reading_cycle_s)
        self._near: frozenset[str] = frozenset()
        self._slots: dict[str, _Slot] = {}
        self._watched: set[str] = set()
        self._clocks_asked: set[str] = set()
        self._first: list[Entry] = []  # what billing and supply live on
        self._patient: list[Entry] = []  # what may wait a little
        self._watch_was_last = False
        self._since_patient = 0
        self.replan(meters, now)

    @property
    def silent(self) -> int:
        """How many meters did not answer when they were last asked."""
        return sum(1 for slot in self._slots.values() if slot.failures)

    def replan(self, meters: Sequence[MeterPlan], now: float) -> None:
        """Take a new list of meters; those already known keep their place."""
        wanted = {meter.meter_id: meter for meter in meters}
        for gone in self._slots.keys() - wanted.keys():
            del self._slots[gone]
            self._watched.discard(gone)
        for meter_id, meter in wanted.items():
            if meter_id not in self._slots:
                items = (Item.ENERGY, Item.VARIABLES) if meter.kind == "gate" else ROUND
                self._slots[meter_id] = _Slot(items)
                for item in items:
                    self._set_due(meter_id, item, now)
                if meter.kind != "gate" and self._cadence.daily_freeze:
                    self._set_due(meter_id, Item.FREEZE, now + self._until_freeze_s(meter_id))

    def set_near(self, meter_ids: Collection[str], now: float) -> None:
        """Read the energy of these meters at the shorter cycle from now on, and their clocks soon if unknown."""
        near = frozenset(meter_ids) & self._slots.keys()
        near_s = self._span_s(near=True)
        for meter_id in near - self._near:
            slot = self._slots[meter_id]
            due = slot.due[Item.ENERGY]
            if not slot.failures and due > now:
                self._set_due(meter_id, Item.ENERGY, max(now, due - self._cycle_s + near_s))
            if not slot.clock_known and Item.CLOCK in slot.due:
                slot.clock_urgent = True
                self._set_due(meter_id, Item.CLOCK, slot.due[Item.CLOCK])
        self._near = near

    def next(self, now: float) -> tuple[str, Item] | None:
        """The item to read now, or None when nothing is due. It stays due until `done` or `failed`."""
        watch = self._due_watch(now)
        ordinary = self._due_ordinary(now)
        if watch is not None and not (self._watch_was_last and ordinary is not None):
            self._watch_was_last = True
            return watch, Item.STATUS
        self._watch_was_last = False
        if ordinary is not None:
            self._since_patient = 0 if self._is_patient(ordinary[2], ordinary[1]) else self._since_patient + 1
        return (ordinary[2], ordinary[1]) if ordinary is not None else None

    def due_at(self) -> float:
        """When the next item falls due; infinity without meters."""
        heads = [head[0] for head in (self._head(self._first), self._head(self._patient)) if head is not None]
        watches = [self._slots[meter_id].watch_due for meter_id in self._watched]
        return min([float("inf"), *heads, *watches])

    def attempts(self, meter_id: str, attempts_max: int) -> int:
        """How often to ask: once for a meter that was silent when last asked."""
        slot = self._slots.get(meter_id)
        return 1 if slot is not None and slot.failures else attempts_max

    def wants_reverse(self, meter_id: str) -> bool:
        """Whether this energy item shall include the reverse register; never in the first round, which hurries."""
        slot, every = self._slots.get(meter_id), self._cadence.reverse_every
        return slot is not None and slot.energy_reads % every == every // 2

    def done(self, meter_id: str, item: Item, now: float) -> None:
        """The item was read; the next one follows after its span."""
        slot = self._slots.get(meter_id)
        if slot is None:
            return
        self.heard(meter_id, now)
        slot.energy_reads += item is Item.ENERGY
        if item is Item.CLOCK:
            slot.clock_known, slot.clock_urgent = True, False
        if item is Item.STATUS and slot.watched_since is not None:
            waited_s = now - slot.watched_since
            slot.watch_due = now + max(WATCH_INTERVAL_S, waited_s * WATCH_SLOWDOWN)
            if waited_s > WATCH_MAX_S:
                slot.watch_due = float("inf")
        if item in slot.due:
            self._set_due(meter_id, item, now + self._item_span_s(meter_id, item))

    def heard(self, meter_id: str, now: float) -> None:
        """The meter answered. If the whole bus had been silent, all its meters are asked again at once."""
        slot = self._slots.get(meter_id)
        if slot is None or not slot.failures:
            return
        whole_bus = all(other.failures for other in self._slots.values())
        slot.failures, slot.blocked_until = 0, float("-inf")
        if whole_bus:
            for other_id, other in self._slots.items():
                if other_id != meter_id:
                    other.blocked_until = float("-inf")
                    self._set_due(other_id, Item.ENERGY, now)

    def failed(self, meter_id: str, now: float) -> None:
        """The meter did not answer; all its items wait."""
        slot = self._slots.get(meter_id)
        if slot is None:
            return
        cycles = min(BACKOFF_CYCLES_MAX, 2**slot.failures)
        slot.failures = min(slot.failures + 1, 16)
        slot.blocked_until = now + cycles * self._cycle_s
        for item, due in slot.due.items():
            if due < slot.blocked_until:
                self._set_due(meter_id, item, slot.blocked_until)
        if slot.watched_since is not None:
            slot.watch_due = max(slot.watch_due, now + self._cycle_s)

    def watch(self, meter_id: str, now: float) -> None:
        """Look at this relay closely from now on."""
        slot = self._slots.get(meter_id)
        if slot is not None and slot.watched_since is None:
            slot.watched_since, slot.watch_due = now, now + WATCH_INTERVAL_S
            self._watched.add(meter_id)

    def settle(self, meter_id: str) -> None:
        """The relay has arrived; read it with the cycle again."""
        slot = self._slots.get(meter_id)
        if slot is not None:
            slot.watched_since, slot.watch_due = None, float("inf")
            self._watched.discard(meter_id)

    def _span_s(self, *, near: bool) -> float:
        return self._clocks.machine_seconds(self._cadence.near_cycle_s) if near else self._cycle_s

    def _item_span_s(self, meter_id: str, item: Item) -> float:
        if item is Item.VARIABLES:
            return self._cycle_s * self._cadence.variables_every
        if item is Item.CLOCK:
            return self._cycle_s * self._cadence.clock_every
        if item is Item.FREEZE:
            return self._until_freeze_s(meter_id)
        if item is Item.STATUS:
            return self._cycle_s * self._cadence.status_every
        return self._span_s(near=item is Item.ENERGY and meter_id in self._near)

    def _until_freeze_s(self, meter_id: str) -> float:
        """Machine seconds to this meter's moment after the next midnight of the estate."""
        world_s = self._clocks.world_now()
        civil = self._clocks.civil(world_s)
        midnight = civil.replace(hour=0, minute=0, second=0) + timedelta(days=1)
        jitter_s = FREEZE_AFTER_S + crc32(meter_id.encode()) % FREEZE_SPREAD_S
        return self._clocks.machine_seconds(self._clocks.world_of(midnight) + jitter_s - world_s)

    def recheck_clock(self, meter_id: str, now: float) -> None:
        """The clock has been told the time; see what came of it."""
        slot = self._slots.get(meter_id)
        if slot is not None and Item.CLOCK in slot.due:
            self._set_due(meter_id, Item.CLOCK, now)

    def ask_clocks(self, most: int, now: float) -> None:
        """Read the clocks of so many meters that answer ahead of everything else; each has its turn before a second."""
        answering = [one for one, slot in self._slots.items() if Item.CLOCK in slot.due and not slot.failures]
        if all(one in self._clocks_asked for one in answering):
            self._clocks_asked.clear()
        turn = sorted(answering, key=self._clocks_asked.__contains__)[:most]
        if self._clocks_asked.intersection(turn):  # the round ends within this turn
            self._clocks_asked.clear()
        self._clocks_asked.update(turn)
        for meter_id in turn:
            self._slots[meter_id].clock_urgent = True
            self._set_due(meter_id, Item.CLOCK, now - self._cycle_s)

    def _set_due(self, meter_id: str, item: Item, due: float) -> None:
        slot = self._slots[meter_id]
        slot.due[item] = due
        heapq.heappush(self._patient if self._is_patient(meter_id, item) else self._first, (due, item, meter_id))

    def _is_patient(self, meter_id: str, item: Item) -> bool:
        return item in (Item.VARIABLES, Item.FREEZE) or (item is Item.CLOCK and not self._slots[meter_id].clock_urgent)

    def _due_ordinary(self, now: float) -> Entry | None:
        """The head of one of the two queues, if it is due."""
        first, patient = self._head(self._first), self._head(self._patient)
        if patient is None or patient[0] > now:
            return first if first is not None and first[0] <= now else None
        if first is None or first[0] > now:
            return patient
        late = patient[0] + PATIENCE_CYCLES * self._cycle_s < now
        return patient if late and self._since_patient >= TURN_AFTER else first

    def _head(self, heap: list[Entry]) -> Entry | None:
        """The earliest entry that still holds; outdated ones fall off."""
        while heap:
            due, item, meter_id = heap[0]
            slot = self._slots.get(meter_id)
            if slot is not None and slot.due.get(item) == due:
                return heap[0]
            heapq.heappop(heap)
        return None

    def _due_watch(self, now: float) -> str | None:
        if not self._watched:
            return None
        due = [(due, meter_id) for meter_id in self._watched if (due := self._slots[meter_id].watch_due) <= now]
        return min(due)[1] if due else None
