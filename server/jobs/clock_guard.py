"""Whether our clock may be believed, by the machine's steady clock and by what the clocks of the meters say.

    steady --wall clock jumps--> distrusted: nobody is cut; what was heard of clocks is forgotten, and they are asked
    distrusted --most meters agree with us--> steady
    distrusted --the wall clock is back where it was, or each clock that was heard before the jump shows what it showed
          then (this machine slept, and its steady clock with it)--> steady, for few meters too
    any --most meters agree with each other, not with us, and nobody keeps our clock--> wrong: no reading has a time
          (while they are few, others are asked first)

While the answers are awaited, and while it is wrong, readings have no time and are not taken in. Where no meter has a
clock, nothing is awaited for longer than a cycle, and a clock that jumped and stays away is distrusted until the next
start.
"""

import logging
import time
from collections.abc import Callable
from threading import RLock

from server.clock import EARLIEST_S, kernel_synchronised
from server.domain.clock_doubt import ALIKE_S, ClockDoubt, Opinion, Reason, opinion_of

JUMP_MAX_S = 60.0
AWAITED_S = 900.0  # machine time: a first round of a full bus of 64 meters takes two minutes
HEARD_SURE, SURE_AFTER_S = 8, 120.0  # until so many of a bus have answered, or for so long, ours may yet be right
ASK_AGAIN_S = 300.0  # so often the clocks are asked while ours is wrong: somebody may have slewed it right
WEIGHED_EACH, WEIGH_AGAIN_S = 100, 5.0  # of more meters, what they say together is worked out again so often
AWAY_MS = 2 * 86_400_000  # a server that was off for longer asks the meters first

log = logging.getLogger("estate645.jobs")


class ClockGuard:
    """Compares the wall clock with the monotonic clock and with the meters; may be asked from any thread."""

    def __init__(
        self,
        wall_s: Callable[[], float] = time.time,
        steady_s: Callable[[], float] = time.monotonic,
        *,
        synchronised: Callable[[], bool | None] = kernel_synchronised,
        waits_s: float = 0.0,
    ) -> None:
        """`synchronised` tells whether somebody keeps the wall clock, as far as that is known.

        In a fast world an answer that waits `waits_s` (world time) in this process looks like a clock that is behind.
        """
        self._waits_s = int(waits_s)
        self._wall_s, self._steady_s, self._synchronised = wall_s, steady_s, synchronised
        self._difference_s = self._believed_s = wall_s() - steady_s()
        self._lock = RLock()
        self._offsets: dict[str, int] = {}
        self._before: dict[str, int] = {}
        self._came_back = False
        self._opinion: Opinion | None = None
        self._suspected_s: float | None = None
        self._weighed_s = self._asked_s = float("-inf")
        self._awaited_until_s = float("-inf")
        self._wants_clocks = False
        self._distrusted: Reason | None = None

    def look(self) -> bool:
        """Whether our clock is beyond doubt: only then may anything be cut, closed or told the time."""
        with self._lock:
            return self.doubt() is None and not self.awaits

    @property
    def awaits(self) -> bool:
        """Whether the meters' clocks have been asked for and not enough of them have answered yet."""
        with self._lock:
            return self._steady_s() < self._awaited_until_s or (self._is_contradicted() and not self._is_sure())

    @property
    def may_time(self) -> bool:
        """Whether a reading may have its time from our clock."""
        with self._lock:
            self._compare()
            return not self.awaits and not self._is_wrong()

    @property
    def is_vouched_for(self) -> bool:
        """Whether the meters agree with our clock, or have none, and others keep it.

        Never at a date at which clocks begin that were never set: those of meters may do the same.
        """
        with self._lock:
            self._compare()
            if self._wall_s() < EARLIEST_S:
                return False
            if self._opinion is not None:
                return self._opinion.ours_is_right
            return not self.awaits and (self._came_back or self._synchronised() is True)

    def doubt(self) -> ClockDoubt | None:
        """Why our clock is not believed now; None too while that is only awaited."""
        with self._lock:
            self._compare()
            said = self._opinion
            if said is not None and self._is_wrong():
                return ClockDoubt("meters", -said.behind_s, said.heard, said.alike)
            return None if self._distrusted is None else ClockDoubt(self._distrusted)

    def hear(self, meter_id: str, offset_s: int | None) -> None:
        """A meter's clock was read: its offset in world seconds, or it showed no time."""
        with self._lock:
            self._compare()
            if offset_s is None:
                self._offsets.pop(meter_id, None)
            else:
                self._offsets[meter_id] = offset_s if offset_s >= 0 else min(0, offset_s + self._waits_s)
            if len(self._offsets) <= WEIGHED_EACH or self._steady_s() - self._weighed_s >= WEIGH_AGAIN_S:
                self._weigh()

    def _weigh(self) -> None:
        self._weighed_s = self._steady_s()
        if self._distrusted == "jumped" and self._shows_what_it_showed():
            self._believe("the clocks of the meters show against ours what they showed before")
        self._opinion = opinion_of(self._offsets.values())
        if self._opinion is None:
            return
        self._awaited_until_s = float("-inf")
        if self._opinion.ours_is_right:
            self._suspected_s = None
        elif self._suspected_s is None:  # the first that answer may be those that somebody has set wrongly
            self._suspected_s, self._wants_clocks = self._steady_s(), True
        if self._opinion.ours_is_right and self._distrusted is not None:
            self._believe(f"the clocks of {self._opinion.alike} meters agree with ours again")

    def ask_meters(self) -> None:
        """Let the meters' clocks be asked, and have no time until they have answered."""
        with self._lock:
            self._offsets.clear()
            self._opinion = self._suspected_s = None
            self._wants_clocks = True
            self._awaited_until_s = self._steady_s() + AWAITED_S

    def wants_clocks(self) -> bool:
        """Whether the meters' clocks shall be asked now; says so once."""
        with self._lock:
            due = self._wants_clocks or (self._is_wrong() and self._steady_s() - self._asked_s >= ASK_AGAIN_S)
            self._wants_clocks = False
            if due:
                self._asked_s = self._steady_s()
            return due

    def look_at_past(self, newest_ms: int | None) -> None:
        """At the start: what was kept last (machine ms). After it, or long before it, the meters are asked first."""
        if newest_ms is None or self._synchronised() is True:
            return
        away_ms = int(self._wall_s() * 1000) - newest_ms
        if away_ms < -JUMP_MAX_S * 1000:
            self.distrust(f"the clock is {-away_ms // 1000} s before the newest answer of a meter", "behind")
        if away_ms > AWAY_MS or away_ms < 0:
            self.ask_meters()

    def look_at_journal(self, behind_s: int) -> None:
        """World time is so many seconds before what the journal has booked; more than a jump is doubt."""
        with self._lock:
            vouched = self._opinion is not None and self._opinion.ours_is_right
            if behind_s > JUMP_MAX_S and not vouched and self._distrusted is None:
                self.distrust(f"world time is {behind_s} s before the journal's newest batch", "behind")
                self.ask_meters()

    def distrust(self, why: str, reason: Reason = "jumped") -> None:
        """Stop trusting the clock, for a reason that is logged once."""
        with self._lock:
            if self._distrusted is None:
                log.error(
                    "%s: nobody is cut until it is back, the meters' clocks agree with it, or the next start", why
                )
                self._distrusted, self._came_back, self._before = reason, False, dict(self._offsets)

    def _compare(self) -> None:
        """Whether the wall clock has gone as far as the steady one since the last jump."""
        drift_s = self._wall_s() - self._steady_s() - self._difference_s
        if abs(drift_s) <= JUMP_MAX_S:
            return
        self._difference_s += drift_s
        self.distrust(f"the wall clock jumped by {drift_s:.0f} s")
        self.ask_meters()
        if self._distrusted == "jumped" and abs(self._difference_s - self._believed_s) <= JUMP_MAX_S:
            self._believe("the wall clock is back where it was")

    def _shows_what_it_showed(self) -> bool:
        """Whether each clock that was heard before the jump has been heard since, and is as far from ours as then."""
        now = {name: self._offsets.get(name) for name in self._before}
        return bool(now) and all(
            offset_s is not None and abs(offset_s - self._before[name]) <= ALIKE_S for name, offset_s in now.items()
        )

    def _believe(self, why: str) -> None:
        log.warning("%s; it is believed", why)
        self._distrusted, self._came_back = None, True
        self._believed_s = self._difference_s

    def _is_wrong(self) -> bool:
        return self._is_contradicted() and self._is_sure()

    def _is_sure(self) -> bool:
        """Whether those who contradict our clock are many, or nobody has spoken for it meanwhile."""
        heard, since_s = len(self._offsets), self._suspected_s
        return heard >= HEARD_SURE or since_s is None or self._steady_s() - since_s >= SURE_AFTER_S

    def _is_contradicted(self) -> bool:
        return self._opinion is not None and not self._opinion.ours_is_right and self._synchronised() is not True
