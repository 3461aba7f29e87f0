"""What a bus has done, counted on the collector's loop and read by pages from other threads.

Counters only grow; latencies are those of the last replies. A snapshot is a frozen value.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from math import inf

from core.errors import CoreError, MeterRefused, NoReply, ValueFormatError

LATENCIES_KEPT = 256


@dataclass(frozen=True, slots=True)
class BusStatus:
    """One bus as pages show it. `failures` are requests without a reply; latencies are machine milliseconds.

    A latency is of question and answer together, `reply_p50_ms` what the meters themselves take in between.

    Where a DTU dials in: `waiting` for it, or connected from `peer` since `since_ms` (machine time).
    """

    bus_id: str
    url: str
    open: bool
    parity_effective: bool | None
    meters: int
    silent_meters: int
    transactions: int
    failures: int
    refusals: int
    strays: int
    reconnects: int
    last_error: str
    last_reply_ms: int | None
    latency_p50_ms: float | None
    latency_p95_ms: float | None
    waiting: bool = False
    peer: str = ""
    since_ms: int | None = None
    reply_p50_ms: float | None = None
    next_s: float | None = None  # machine seconds until it asks again, 0 while it asks; None for never


@dataclass(slots=True)
class Tally:
    """The mutable counts behind a `BusStatus`."""

    transactions: int = 0
    failures: int = 0
    refusals: int = 0
    strays: int = 0
    opens: int = 0
    last_error: str = ""
    last_reply_ms: int | None = None
    due_at: float = inf  # machine time of what the bus waited for last
    latencies_s: deque[float] = field(default_factory=lambda: deque(maxlen=LATENCIES_KEPT))
    delays_s: deque[float] = field(default_factory=lambda: deque(maxlen=LATENCIES_KEPT))

    def replied(self, latency_s: float, delay_s: float, machine_ms: int) -> None:
        """Count a reply, with the time that the meter itself took."""
        self.latencies_s.append(latency_s)
        self.delays_s.append(max(0.0, delay_s))
        self.last_reply_ms = machine_ms

    def next_s(self, now: float) -> float | None:
        """Seconds until the bus asks again; None while nothing falls due."""
        return max(0.0, self.due_at - now) if self.due_at < inf else None


def percentile_ms(latencies_s: Sequence[float], percent: int) -> float | None:
    """The latency that `percent` of the replies did not exceed, in milliseconds; None without replies."""
    if not latencies_s:
        return None
    ordered = sorted(latencies_s)
    rank = max(0, -(-len(ordered) * percent // 100) - 1)
    return round(ordered[rank] * 1000, 1)


def reason_of(error: CoreError) -> str:
    """Why an item of a meter failed, as a bus tells of it."""
    match error:
        case NoReply():
            return f"no reply: {error}"
        case MeterRefused(err=err):
            return f"refused: ERR {err:02X}"
        case ValueFormatError():
            return f"unreadable value: {error}"
    return f"cannot be asked: {error}"
