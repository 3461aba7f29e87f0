"""Looks for gaps and has them filled: the last day again and again, the last seven days once a day.

The collector asks the meters when their bus has time; what they kept comes back like any reading. A gap is asked for a
few times, then again after the next look at all seven days; whatever stays is shown as a gap.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from zoneinfo import ZoneInfo

from sqlalchemy import Engine

from core.dlt645.profiles import EDITION_1997, EDITION_2007
from server.clock import Clock
from server.collect.history import Recall
from server.domain.healing import DAYS, Gap, Missing, is_first_of_month, longest_s, midnights, questions
from server.store import gaps as reads
from server.store.engine import reader
from server.store.estates import get_estate, list_buses
from server.store.meters import meters_on_bus

LOOK_EVERY_S = 900  # world time
DAY_S = 86_400
OVERLAP_S = 7200
KEEPERS = frozenset((EDITION_2007, EDITION_1997))  # a Modbus meter keeps nothing of its past

Recalling = Callable[[str, Sequence[Recall]], None]


class HealingJob:
    """One look at all buses; `recall` hands questions to the collector."""

    name = "healing"

    def __init__(self, engine: Engine, clock: Clock, estate_id: str, recall: Recalling) -> None:
        self._engine, self._clock, self._estate_id, self._recall = engine, clock, estate_id, recall
        self._tries: Counter[tuple[str, int]] = Counter()
        self._week_at: int | None = None
        self.interval_s = max(5.0, LOOK_EVERY_S / clock.anchor.factor)

    def run_once(self) -> None:
        """Find what is missing and ask for it."""
        now_s = self._clock.now().world_s
        whole_week = self._week_at is None or not 0 <= now_s - self._week_at < DAY_S  # our clock may be set back
        if whole_week:
            self._week_at = now_s
            self._tries.clear()
        days = DAYS if whole_week else 1
        with reader(self._engine) as connection:
            site = get_estate(connection, self._estate_id)
            buses = [row["bus_id"] for row in list_buses(connection, self._estate_id)]
        zone = ZoneInfo(site["time_zone"])
        for bus_id in buses:
            missing = self._look(bus_id, now_s, days, site["reading_cycle_s"], zone, freezes=site["daily_freeze"])
            wanted = questions(missing, self._tries, zone)
            self._tries.update([*(gap.end for gap in (*missing.gaps, *missing.monthly)), *missing.midnights])
            if wanted:
                self._recall(bus_id, [Recall(*one) for one in wanted])

    def _look(self, bus_id: str, now_s: int, days: int, cycle_s: int, zone: ZoneInfo, *, freezes: int) -> Missing:
        """Gaps and midnights of one bus; tonight's freeze has its own time in the schedule."""
        with reader(self._engine) as connection:
            protocols = {one.meter_id: one.protocol for one in meters_on_bus(connection, self._estate_id, bus_id)}
            names = [name for name, protocol in protocols.items() if protocol in KEEPERS]
            from_s = now_s - days * DAY_S - OVERLAP_S
            found = reads.gaps(connection, self._estate_id, names, from_s, longest_s(cycle_s))
            nights = [at for at in midnights(now_s, zone, days + 1) if at < now_s - OVERLAP_S] if freezes else []
            nightly = reads.missing_midnights(connection, self._estate_id, names, nights)
        daily = {name for name in names if protocols[name] == EDITION_2007}
        firsts = [Gap(name, at, at) for name, at in nightly if name not in daily and is_first_of_month(at, zone)]
        return Missing(
            tuple(gap for gap in found if gap.meter_id in daily),
            tuple(one for one in nightly if one[0] in daily),
            (*firsts, *(gap for gap in found if gap.meter_id not in daily)),
        )
